//! The server that the peers forward to: a root and `bench.` below it, signed in memory with ECDSA P-256.
//!
//! In: queries by UDP. Out: replies of a recursive server that has everything: `n000000.bench.` and so on, to any number, have
//! an A and an AAAA; every other question is denied by an NSEC of its own name. What was signed once is kept, since it is the
//! peers that are measured.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use resolver_user::wire::{Message, Name, Question, RecordType};

use crate::message::{TestRecord, name, record, soa};
use crate::signed::SignedZone;

/// A running server. Its thread lives as long as the process.
#[derive(Debug)]
pub struct RigUpstream {
    /// Where it answers.
    pub address: SocketAddr,
    /// The root's anchor: key tag, algorithm, digest type, digest in hexadecimal.
    pub anchor: [String; 4],
    asked: Arc<AtomicU64>,
}

impl RigUpstream {
    /// Starts the server at an address of this thread's namespace, on this thread's CPU.
    ///
    /// # Panics
    /// If the address cannot be had.
    pub fn start(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        let tree = Tree { root: SignedZone::p256("."), bench: SignedZone::p256(ZONE), kept: HashMap::new() };
        let ds = tree.root.ds();
        let hex: String = ds[4..].iter().map(|byte| format!("{byte:02X}")).collect();
        let anchor = [tree.root.key_tag().to_string(), ds[2].to_string(), ds[3].to_string(), hex];
        let asked = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&asked);
        thread::spawn(move || tree.serve(&socket, &counter));
        Self { address, anchor, asked }
    }

    /// Questions so far.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Name number `i` that has addresses.
pub fn host(i: usize) -> String {
    format!("n{i:06x}.{ZONE}")
}

/// The zones, and the records of replies so far with their counts of answers and authorities.
struct Tree {
    root: SignedZone,
    bench: SignedZone,
    kept: HashMap<Question, (Vec<u8>, [u16; 2])>,
}

impl Tree {
    fn serve(mut self, socket: &UdpSocket, asked: &AtomicU64) {
        let mut packet = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut packet) {
            let packet = &packet[..length];
            let question = Message::read(packet).ok().and_then(|message| Some(message.question?.0));
            let Some(question) = question else { continue };
            asked.fetch_add(1, Ordering::Relaxed);
            let lower = Question::new(question.qname.to_lowercase(), question.qtype);
            if !self.kept.contains_key(&lower) {
                let reply = self.reply(&lower);
                self.kept.insert(lower.clone(), reply);
            }
            let (records, counts) = &self.kept[&lower];
            let question_end = 12 + question.qname.wire().len() + 4;
            let mut reply = packet[..2].to_vec();
            reply.extend([0x80 | packet[2], 0x80, 0, 1]);
            reply.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
            reply.extend([0, 1]);
            reply.extend(&packet[12..question_end]);
            reply.extend(records);
            reply.extend([0, 0, 41, 4, 208, 0, 0, 128, 0, 0, 0]);
            // The peer may have stopped waiting.
            let _gone = socket.send_to(&reply, client);
        }
    }

    /// The records that answer a question, with their counts.
    fn reply(&self, question: &Question) -> (Vec<u8>, [u16; 2]) {
        let (owner, apex) = (question.qname.to_string(), name(ZONE));
        let is_apex = question.qname == apex;
        let zone = match question.qtype {
            RecordType::DS if is_apex => &self.root,
            _ if is_apex || owner.ends_with(&format!(".{ZONE}")) => &self.bench,
            _ => &self.root,
        };
        let set = |rdata: &[u8]| zone.sign(record(&owner, question.qtype, TTL_S, rdata));
        let number = host_number(&owner);
        let found = match (question.qtype, number) {
            (RecordType::A, Some(i)) => Some(set(&[10, (i >> 16) as u8, (i >> 8) as u8, i as u8])),
            (RecordType::AAAA, Some(i)) => Some(set(&[&[0x20, 1, 0xd, 0xb8][..], &[0; 8], &i.to_be_bytes()].concat())),
            (RecordType::DNSKEY, _) if is_apex || owner == "." => Some(zone.sign(zone.dnskey_record())),
            (RecordType::DS, _) if is_apex => Some(set(&self.bench.ds())),
            (RecordType::NS, _) if is_apex || owner == "." => Some(set(name(&host(0)).wire())),
            (RecordType::SOA, _) if is_apex || owner == "." => Some(zone.sign(soa(&owner, TTL_S, TTL_S))),
            _ => None,
        };
        let (records, counts) = match found {
            Some(records) => (records, [2, 0]),
            None => {
                let apex = if std::ptr::eq(zone, &self.root) { "." } else { ZONE };
                let types: &[u8] = match number {
                    Some(_) => &[1, 28, 46, 47],
                    None if is_apex || owner == "." => &[2, 6, 46, 47, 48],
                    None => &[46, 47],
                };
                (([zone.sign(soa(apex, TTL_S, TTL_S)), zone.sign(nsec(&question.qname, types))]).concat(), [0, 4])
            }
        };
        (records.iter().flat_map(TestRecord::wire).collect(), counts)
    }
}

/// The number in the name of a host.
fn host_number(owner: &str) -> Option<u32> {
    let digits = owner.strip_prefix('n')?.strip_suffix(ZONE)?.strip_suffix('.')?;
    u32::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 6)
}

/// An NSEC that speaks of nothing but this name (RFC 4470).
fn nsec(owner: &Name, types: &[u8]) -> TestRecord {
    let next = [&[1, 0], owner.wire()].concat();
    let mut bitmap = [0u8; 7];
    types.iter().for_each(|rtype| bitmap[usize::from(rtype / 8)] |= 0x80 >> (rtype % 8));
    let rdata = [&next[..], &[0, 7], &bitmap].concat();
    TestRecord { owner: owner.clone(), rtype: RecordType::NSEC, ttl_s: TTL_S, rdata }
}

/// The zone that is asked.
const ZONE: &str = "bench.";
/// TTL of everything, in seconds: longer than any run.
const TTL_S: u32 = 86_400;
