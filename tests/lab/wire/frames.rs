//! Whatever comes along the wire, XDP neither drops nor alters it, and the daemon survives it.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket, sockopt,
};
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use resolver_tests::lab::{self, LabClient, LabDaemon};
use resolver_tests::message::TestQuery;
use resolver_tests::netns;
use resolver_user::wire::Message;
use xtask::lab::facts::Facts;

/// Frames sent in all.
const FRAMES: usize = 100_000;
/// Frames sent before all of them are accounted for.
const BATCH: usize = 64;

#[test]
fn a_hundred_thousand_strange_frames_pass_unaltered() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let client = LabClient::remote(&facts);
    let secure = lab::address(&facts);
    let queries = [lab::query(secure, false), lab::query(secure, true)];
    for query in &queries {
        daemon.ask_until_xdp_answers(&client, query, false);
    }
    let mut wire = Wire::new(&facts);
    let mut random = StdRng::seed_from_u64(0x5eed);
    let (frames_before, answered_before) = (daemon.counter(""), daemon.counter("answered_"));
    let mut missing = 0;
    for _ in 0..FRAMES.div_ceil(BATCH) {
        let batch: Vec<Vec<u8>> = (0..BATCH).map(|_| strange_frame(&facts, &queries, &mut random)).collect();
        missing += wire.pass(&batch);
    }
    let frames = daemon.counter("") - frames_before;
    let answered = daemon.counter("answered_") - answered_before;
    println!(
        "{FRAMES} frames sent, {frames} seen by XDP, {answered} answered by it, {missing} did not reach the stack"
    );
    assert!(frames >= FRAMES as u64, "XDP saw {frames} of {FRAMES} frames");
    assert_eq!(missing, answered, "every frame reached the stack unaltered or was answered");
    assert!(answered > 0, "some mutants are still good queries");
    let reply = Message::read(&client.ask(&queries[1], true)).expect("a reply");
    assert!(reply.header.flags.authentic_data, "the daemon and XDP still answer");
}

/// Raw sockets at both ends of the client's veth.
struct Wire {
    sender: OwnedFd,
    out: LinkAddr,
    receiver: OwnedFd,
}

impl Wire {
    fn new(facts: &Facts) -> Self {
        let packet = |flags| {
            let made = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll);
            made.expect("a packet socket (needs root)")
        };
        let name = facts.client.interfaces[0].name.clone();
        let (sender, out) = netns::inside(&facts.client.path, || {
            let addresses = nix::ifaddrs::getifaddrs().expect("interfaces");
            let mut links = addresses.filter(|at| at.interface_name == name).filter_map(|at| at.address);
            (packet(SockFlag::SOCK_NONBLOCK), links.find_map(|at| at.as_link_addr().copied()).expect("a link address"))
        });
        let receiver = netns::inside(&facts.resolver.path, || packet(SockFlag::SOCK_NONBLOCK));
        setsockopt(&receiver, sockopt::RcvBufForce, &(32 << 20)).expect("a large buffer");
        Self { sender, out, receiver }
    }

    /// Sends frames and returns how many of them did not come out as they went in. Frames in the veth's queue are waited
    /// for until nothing has come for a while.
    fn pass(&mut self, batch: &[Vec<u8>]) -> u64 {
        let mut expected: HashMap<Vec<u8>, usize> = HashMap::new();
        for frame in batch {
            sendto(self.sender.as_raw_fd(), frame, &self.out, MsgFlags::empty()).expect("the frame is sent");
            *expected.entry(as_captured(frame)).or_default() += 1;
        }
        let mut left = batch.len() as u64;
        let mut buffer = [0; 4096];
        let mut idle = 0;
        while left > 0 && idle < 400 {
            match recv(self.receiver.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => {
                    idle = 0;
                    if let Some(count) = expected.get_mut(&buffer[..length]).filter(|count| **count > 0) {
                        *count -= 1;
                        left -= 1;
                    }
                }
                Err(_) => {
                    idle += 1;
                    std::thread::yield_now();
                }
            }
        }
        left
    }
}

/// What a packet socket shows of a frame: the stack has taken the outer VLAN tag off.
fn as_captured(frame: &[u8]) -> Vec<u8> {
    match frame[12..14] {
        [0x81, 0x00] | [0x88, 0xa8] if frame.len() >= 18 => [&frame[..12], &frame[16..]].concat(),
        _ => frame.to_vec(),
    }
}

/// A frame that is malformed, foreign, fragmented, tagged, random, or a good query changed a little.
fn strange_frame(facts: &Facts, queries: &[TestQuery], random: &mut StdRng) -> Vec<u8> {
    let dns = queries[random.random_range(0..queries.len())].clone().id(random.random()).wire();
    let mut frame = if random.random() { ipv4_frame(facts, &dns) } else { ipv6_frame(facts, &dns) };
    match random.random_range(0..9) {
        0 => flip_bits(&mut frame[14..], random),
        1 => flip_bits(&mut frame[42..], random),
        2 => frame.truncate(random.random_range(14..frame.len())),
        3 => frame.extend((0..random.random_range(1..64)).map(|_| random.random::<u8>())),
        4 => {
            let tag = if random.random() { [0x81, 0x00, 0x00, 0x05] } else { [0x88, 0xa8, 0x00, 0x07] };
            frame.splice(12..12, tag);
        }
        // Another destination address: the last byte of either version's.
        5 => {
            let last = if frame[14] == 0x45 { 33 } else { 53 };
            frame[last] ^= random.random_range(1..=255);
        }
        // Fragment fields, or a hop limit and addresses.
        6 => frame[20..22].copy_from_slice(&random.random::<[u8; 2]>()),
        // Another protocol.
        7 => frame[if random.random() { 20 } else { 23 }] = random.random(),
        _ => random.fill_bytes(&mut frame[12..]),
    }
    frame
}

fn flip_bits(bytes: &mut [u8], random: &mut StdRng) {
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..bytes.len());
        bytes[at] ^= 1 << random.random_range(0..8);
    }
}

fn ethernet(facts: &Facts, ether_type: [u8; 2]) -> Vec<u8> {
    let address = |text: &str| -> Vec<u8> {
        text.split(':').map(|byte| u8::from_str_radix(byte, 16).expect("a hardware address")).collect()
    };
    let (to, from) = (&facts.resolver.interfaces[0].mac, &facts.client.interfaces[0].mac);
    [address(to), address(from), ether_type.to_vec()].concat()
}

fn udp(dns: &[u8]) -> Vec<u8> {
    let length = (8 + dns.len()) as u16;
    let mut udp = vec![0x9c, 0x40, 0, 53];
    udp.extend(length.to_be_bytes());
    // No checksum: allowed over IPv4, and over IPv6 the stack drops it, which is none of XDP's business.
    udp.extend([0, 0]);
    udp.extend(dns);
    udp
}

fn ipv4_frame(facts: &Facts, dns: &[u8]) -> Vec<u8> {
    let (from, to): (Ipv4Addr, Ipv4Addr) = (facts.client.interfaces[0].ipv4, facts.resolver.interfaces[0].ipv4);
    let mut header = vec![0x45, 0];
    header.extend(((28 + dns.len()) as u16).to_be_bytes());
    header.extend([0, 1, 0x40, 0, 64, 17, 0, 0]);
    header.extend(from.octets());
    header.extend(to.octets());
    let sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    [ethernet(facts, [8, 0]), header, udp(dns)].concat()
}

fn ipv6_frame(facts: &Facts, dns: &[u8]) -> Vec<u8> {
    let (from, to): (Ipv6Addr, Ipv6Addr) = (facts.client.interfaces[0].ipv6, facts.resolver.interfaces[0].ipv6);
    let mut header = vec![0x60, 0, 0, 0];
    header.extend(((8 + dns.len()) as u16).to_be_bytes());
    header.extend([17, 64]);
    header.extend(from.octets());
    header.extend(to.octets());
    [ethernet(facts, [0x86, 0xdd]), header, udp(dns)].concat()
}
