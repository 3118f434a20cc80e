//! The scripted servers: which entry answers a query in a step.
//!
//! In: a query as the server under test sent it, where to and how, and the step. Out: the entry, or none: then nobody answers.

use std::net::IpAddr;

use super::message::Seen;
use super::record::{Asked, folded};
use super::script::{Entry, Range, Script};

/// A query on its way to a server.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The server.
    pub address: IpAddr,
    /// By TCP.
    pub tcp: bool,
    /// The message.
    pub query: Vec<u8>,
    /// The same, read.
    pub seen: Seen,
}

impl Script {
    /// The entry that answers a query in a step.
    pub fn answer(&self, step: u32, query: &Outgoing) -> Option<&Entry> {
        let ranges = self.ranges.iter().filter(|range| range.holds(step, query.address));
        ranges.flat_map(|range| &range.entries).find(|entry| entry.matches_query(query))
    }
}

impl Range {
    fn holds(&self, step: u32, address: IpAddr) -> bool {
        let (first, last) = self.steps;
        (first..=last).contains(&step) && (self.addresses.is_empty() || self.addresses.contains(&address))
    }
}

impl Entry {
    /// Whether the entry is for this query.
    pub fn matches_query(&self, query: &Outgoing) -> bool {
        let asked = query.seen.question.as_ref();
        let own = self.question.as_ref();
        let both = |same: fn(&Asked, &Asked) -> bool| own.zip(asked).is_some_and(|(own, asked)| same(own, asked));
        self.matches.iter().all(|what| match what.as_str() {
            "opcode" => self.opcode() == query.seen.opcode,
            "qtype" => both(|own, asked| own.qtype == asked.qtype),
            "qname" => both(|own, asked| folded(&own.qname) == folded(&asked.qname)),
            "qcase" => both(|own, asked| own.qname == asked.qname),
            "question" | "all" => both(Asked::is),
            "subdomain" => both(|own, asked| is_at_or_below(&asked.qname, &own.qname)),
            "udp" => !query.tcp,
            "tcp" => query.tcp,
            "do" => query.seen.dnssec_ok == Some(true),
            "noedns" => query.seen.dnssec_ok.is_none(),
            "cd" => query.seen.flags.contains(&"CD") == self.says("CD"),
            "ednsdata" => self.edns_options.as_deref().map(options) == Some(query.seen.options.clone()),
            // What only replies have.
            _ => true,
        })
    }
}

/// EDNS options by code and data.
pub fn options(mut bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut options = Vec::new();
    while let Some(([a, b, c, d], rest)) = bytes.split_first_chunk() {
        let (data, rest) = rest.split_at(usize::from(u16::from_be_bytes([*c, *d])).min(rest.len()));
        options.push((u16::from_be_bytes([*a, *b]), data.to_vec()));
        bytes = rest;
    }
    options
}

/// Whether a wire name ends in another one.
fn is_at_or_below(name: &[u8], zone: &[u8]) -> bool {
    let (name, zone) = (folded(name), folded(zone));
    let mut rest = name.as_slice();
    loop {
        if rest == zone {
            return true;
        }
        match rest.split_first() {
            Some((&length, behind)) if length > 0 => rest = behind.get(usize::from(length)..).unwrap_or_default(),
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_below_itself_and_its_parents_only() {
        let name = b"\x03www\x07Example\0";
        assert!(is_at_or_below(name, name) && is_at_or_below(name, b"\x07eXample\0") && is_at_or_below(name, b"\0"));
        assert!(!is_at_or_below(name, b"\x03www\0") && !is_at_or_below(b"\0", name));
    }
}
