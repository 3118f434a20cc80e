//! Packets that get lost between the resolver and the servers, by an XDP program of a few instructions on a veth.
//!
//! In: a lab that is up, and what is to be lost. Out: a program on both ends of the link, taken off when [`Losses`] is dropped.
//! Only UDP and TCP are lost: what neighbours tell each other about hardware addresses would cost seconds.

use std::path::PathBuf;

use super::{
    facts::{Facts, Namespace},
    pass_program, topology,
};
use crate::command::{Failure, write};

/// What gets lost.
#[derive(Clone, Debug)]
pub enum Loss {
    /// One packet in so many, in each direction.
    OneIn(u32),
    /// All that is sent to servers with these last numbers of their addresses.
    To(Vec<u8>),
}

/// A link that loses packets.
#[derive(Debug)]
pub struct Losses {
    /// Namespace and interface of each end.
    ends: Vec<(Namespace, String)>,
}

impl Losses {
    /// Begins to lose packets.
    ///
    /// # Errors
    /// The program cannot be attached.
    pub fn begin(facts: &Facts, loss: &Loss) -> Result<Self, Failure> {
        let object = crate::paths::lab().join("losses.o");
        write(&object, pass_program::object_of(pass_program::SECTION, "lose", &code(loss)))?;
        let of_link = |namespace: &Namespace, word: &str| {
            let end = namespace.interfaces.iter().find(|end| end.name.ends_with(word))?;
            Some((namespace.clone(), end.name.clone()))
        };
        let ends = [of_link(&facts.auth, "a0"), of_link(&facts.resolver, "r1")];
        let mut losses = Self { ends: Vec::new() };
        for (namespace, interface) in ends.into_iter().flatten() {
            attach(&namespace, &interface, Some(&object))?;
            losses.ends.push((namespace, interface));
        }
        Ok(losses)
    }
}

impl Drop for Losses {
    fn drop(&mut self) {
        for (namespace, interface) in &self.ends {
            if let Err(failure) = attach(namespace, interface, None) {
                eprintln!("lab: {failure}");
            }
        }
    }
}

/// Last numbers of one address of each server of the tree that has two.
pub fn second_hosts() -> Vec<u8> {
    super::zones::TREE_SERVERS.iter().filter_map(|server| topology::hosts_of(*server).get(1).copied()).collect()
}

/// Attaches a program to an interface, or takes it off.
fn attach(namespace: &Namespace, interface: &str, object: Option<&PathBuf>) -> Result<(), Failure> {
    let tool = topology::inside(namespace).args(["ip", "link", "set", "dev", interface, "xdpgeneric"]);
    match object {
        Some(object) => tool.arg("obj").arg(object).args(["sec", pass_program::SECTION]).run(),
        None => tool.arg("off").run(),
    }
}

/// The program. Of IPv4 it looks at bytes 23 (protocol) and 33 (end of the destination), of IPv6 at 20 and 53.
fn code(loss: &Loss) -> Vec<[u8; 8]> {
    let chosen = match loss {
        // r0 = bpf_get_prandom_u32(); r0 %= n; if r0 != 0 goto pass
        Loss::OneIn(count) => vec![op(0x85, 0, 0, 7), op(0x94, 0, 0, *count), op(0x55, 0, PASS, 0)],
        // if r4 == host goto drop; …; goto pass. Addresses of IPv6 show the digits of those of IPv4.
        Loss::To(hosts) => {
            let digits = |host: &u8| IPV6_MARK | u32::from(host / 10) << 4 | u32::from(host % 10);
            let numbers = hosts.iter().flat_map(|host| [u32::from(*host), digits(host)]);
            numbers.map(|number| op(0x15, 4, DROP, number)).chain([op(0x05, 0, PASS, 0)]).collect()
        }
    };
    let start = vec![
        op(0x61, 0x12, 0, 0),      // r2 = start of the frame
        op(0x61, 0x13, 4, 0),      // r3 = its end
        op(0xbf, 0x24, 0, 0),      // r4 = r2
        op(0x07, 4, 0, 54),        // r4 += 54
        op(0x2d, 0x34, PASS, 0),   // if r4 > r3 goto pass
        op(0x69, 0x25, 12, 0),     // r5 = EtherType, as it stands
        op(0x15, 5, 5, 0x0008),    // if it is IPv4 goto +5
        op(0x55, 5, PASS, 0xdd86), // if it is not IPv6 goto pass
        op(0x71, 0x25, 20, 0),     // r5 = next header
        op(0x71, 0x24, 53, 0),     // r4 = last byte of the destination
        op(0x47, 4, 0, IPV6_MARK), // r4 |= mark
        op(0x05, 0, 2, 0),         // goto +2
        op(0x71, 0x25, 23, 0),     // r5 = protocol
        op(0x71, 0x24, 33, 0),     // r4 = last byte of the destination
        op(0x15, 5, 1, 17),        // if it is UDP goto +1
        op(0x55, 5, PASS, 6),      // if it is not TCP goto pass
    ];
    // r0 = XDP_DROP; exit; r0 = XDP_PASS; exit
    let end = vec![op(0xb7, 0, 0, 1), op(0x95, 0, 0, 0), op(0xb7, 0, 0, 2), op(0x95, 0, 0, 0)];
    let all = [start, chosen, end].concat();
    let (drop, pass) = (all.len() - 4, all.len() - 2);
    let resolved = all.iter().enumerate().map(|(at, &(code, registers, offset, number))| {
        let to = |target: usize| (target - at - 1) as i16;
        let offset = match offset {
            DROP => to(drop),
            PASS => to(pass),
            near => near,
        };
        let [o0, o1] = offset.to_le_bytes();
        let [n0, n1, n2, n3] = number.to_le_bytes();
        [code, registers, o0, o1, n0, n1, n2, n3]
    });
    resolved.collect()
}

/// Opcode, registers, offset and number of an instruction (RFC 9669).
type Instruction = (u8, u8, i16, u32);

fn op(code: u8, registers: u8, offset: i16, number: u32) -> Instruction {
    (code, registers, offset, number)
}

/// Stand for the offset to where a packet is dropped, and to where it passes.
const DROP: i16 = i16::MAX;
const PASS: i16 = i16::MAX - 1;
/// Tells last bytes of IPv6 addresses from those of IPv4.
const IPV6_MARK: u32 = 0x100;
