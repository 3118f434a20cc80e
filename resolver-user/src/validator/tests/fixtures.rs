//! Records that others made: the RFCs' examples, and a zone signed by BIND.

use super::super::key::ZoneKey;
use super::*;
use crate::wire::{CLASS_IN, Record, group};

/// Reads a fixture: one record a line, as owner, type number and RDATA in hex.
pub fn read(text: &str) -> Vec<RrSet> {
    let record = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        let byte = |at: usize| u8::from_str_radix(&fields[2][at..at + 2], 16).unwrap();
        let rtype = RecordType(fields[1].parse().unwrap());
        let rdata = (0..fields[2].len()).step_by(2).map(byte).collect();
        Record { owner: name(fields[0]), rtype, class: CLASS_IN, ttl_s: TTL_S, rdata }
    };
    group(&text.lines().filter(|line| !line.starts_with('#')).map(record).collect::<Vec<_>>())
}

/// The keys among them.
pub fn keys(sets: &[RrSet]) -> Vec<ZoneKey> {
    let set = sets.iter().find(|set| set.rtype == RecordType::DNSKEY).unwrap();
    set.rdatas.iter().map(|rdata| ZoneKey::read(rdata).unwrap()).collect()
}
