//! What is published while the vectors run: names of every length, answers of every kind, size and age.
//!
//! The clock stands still at [`NOW_BOOT_NS`].

use std::vec::Vec;

use super::OwnedStore;
use super::message::{SERVER_PORT, SERVER_V4, SERVER_V6};
use crate::abi::{Settings, TTL_FIELDS_MAX};
use crate::slot::Answer;

/// What the clock shows, in nanoseconds of CLOCK_BOOTTIME.
pub const NOW_BOOT_NS: u64 = 1_000_000_000_000;

/// A published answer of the table.
#[derive(Clone, Debug)]
pub struct Record {
    /// As in [`Answer`].
    pub name: Vec<u8>,
    /// As in [`Answer`].
    pub qtype: u16,
    /// As in [`Answer`].
    pub dnssec_ok: bool,
    /// As in [`Answer`].
    pub secure: bool,
    /// As in [`Answer`].
    pub rcode: u8,
    /// As in [`Answer`].
    pub answer_count: u8,
    /// As in [`Answer`].
    pub authority_count: u8,
    /// As in [`Answer`].
    pub body: Vec<u8>,
    /// As in [`Answer`].
    pub ttl_offsets: Vec<u16>,
    /// As in [`Answer`].
    pub expires_at_boot_ns: u64,
}

impl Record {
    /// An empty Secure answer with five minutes left.
    pub fn new(name: &[u8], qtype: u16) -> Self {
        Self {
            name: name.into(),
            qtype,
            dnssec_ok: false,
            secure: true,
            rcode: 0,
            answer_count: 0,
            authority_count: 0,
            body: Vec::new(),
            ttl_offsets: Vec::new(),
            expires_at_boot_ns: NOW_BOOT_NS + 300_500_000_000,
        }
    }

    /// With one more answer record, whose data are `data`.
    pub fn with(mut self, rtype: u16, data: &[u8]) -> Self {
        self.answer_count += 1;
        self.push(rtype, data);
        self
    }

    /// With one more authority record.
    pub fn with_authority(mut self, rtype: u16, data: &[u8]) -> Self {
        self.authority_count += 1;
        self.push(rtype, data);
        self
    }

    /// As the publisher has it.
    pub fn answer(&self) -> Answer<'_> {
        Answer {
            name: &self.name,
            qtype: self.qtype,
            dnssec_ok: self.dnssec_ok,
            secure: self.secure,
            rcode: self.rcode,
            answer_count: self.answer_count,
            authority_count: self.authority_count,
            body: &self.body,
            ttl_offsets: &self.ttl_offsets,
            expires_at_boot_ns: self.expires_at_boot_ns,
        }
    }

    /// Appends a record owned by the question's name. Its TTL is not zero, since that must not matter.
    fn push(&mut self, rtype: u16, data: &[u8]) {
        self.body.extend([0xc0, 12]);
        self.body.extend(rtype.to_be_bytes());
        self.body.extend([0, 1]);
        self.ttl_offsets.push(self.body.len() as u16);
        self.body.extend([0x12, 0x34, 0x56, 0x78]);
        self.body.extend((data.len() as u16).to_be_bytes());
        self.body.extend(data);
    }
}

/// The wire form of a dotted name.
pub fn wire_name(dotted: &str) -> Vec<u8> {
    let mut name = Vec::new();
    for label in dotted.split('.').filter(|label| !label.is_empty()) {
        name.push(label.len() as u8);
        name.extend(label.bytes());
    }
    name.push(0);
    name
}

/// A name of exactly `len` bytes in wire form; 2 is no possible length.
pub fn name_of_len(len: usize) -> Vec<u8> {
    let mut name = Vec::new();
    let mut left = len.saturating_sub(1);
    while left > 0 {
        let label = if left <= 64 {
            left - 1
        } else if left == 65 {
            62
        } else {
            63
        };
        name.push(label as u8);
        name.extend((0..label).map(|i| b'a' + ((i + left) % 26) as u8));
        left -= label + 1;
    }
    name.push(0);
    name
}

/// Every length that a name can have.
pub fn name_lengths() -> impl Iterator<Item = usize> {
    (1..=255).filter(|len| *len != 2)
}

/// What is published.
pub fn records() -> Vec<Record> {
    let mut records = Vec::new();
    for len in name_lengths() {
        records.push(Record::new(&name_of_len(len), 1).with(1, &[10, 0, 0, len as u8]));
    }
    let example = wire_name("www.example.com");
    let signature: Vec<u8> = (0..93).collect();
    for dnssec_ok in [false, true] {
        let mut base = Record::new(&example, 1);
        base.dnssec_ok = dnssec_ok;
        let mut odd = Record { qtype: 16, ..base.clone() }.with(16, b"\x02ab").with(16, b"\x05odder").with(16, b"\x00");
        let mut insecure = Record { name: wire_name("insecure.example"), secure: false, ..base.clone() };
        insecure = insecure.with(1, &[10, 1, 2, 3]);
        let mut nxdomain = Record { name: wire_name("nx.example.com"), rcode: 3, ..base.clone() };
        nxdomain = nxdomain.with_authority(6, &[0; 40]);
        base = base.with(1, &[192, 0, 2, 80]).with(1, &[192, 0, 2, 81]);
        if dnssec_ok {
            base = base.with(46, &signature);
            odd = odd.with(46, &signature);
            nxdomain = nxdomain.with_authority(46, &signature).with_authority(47, &[0; 21]);
        }
        records.extend([base, odd, insecure, nxdomain]);
    }
    records.extend(sized_records());
    for (name, left_ns) in AGES {
        let mut record = Record::new(&wire_name(name), 1).with(1, &[10, 9, 8, 7]);
        record.expires_at_boot_ns = NOW_BOOT_NS.saturating_add_signed(*left_ns);
        records.push(record);
    }
    records
}

/// Answers by size: just within the plain limit and just over it, the largest of all, and the most TTL fields.
fn sized_records() -> Vec<Record> {
    let sized = |name: &str, message_len: usize, opt_len: usize| {
        let record = Record::new(&wire_name(name), 16);
        let data_len = message_len - opt_len - 12 - record.name.len() - 4 - 12;
        record.with(16, &(0..data_len).map(|i| (i * 7) as u8).collect::<Vec<u8>>())
    };
    let mut many = Record::new(&wire_name("many.example"), 1);
    for i in 0..TTL_FIELDS_MAX {
        many = many.with(1, &[10, 10, 10, i as u8]);
    }
    std::vec![
        sized("plain512.example", 512, 0),
        sized("plain513.example", 513, 0),
        sized("edns512.example", 512, 11),
        sized("edns1232.example", 1232, 11),
        many,
    ]
}

/// Names and what is left of their TTL, in nanoseconds.
const AGES: &[(&str, i64)] = &[
    ("second.age.example", 1_000_100_000),
    ("almost.age.example", 999_900_000),
    ("now.age.example", 0),
    ("past.age.example", -5_000_000_000),
    ("day.age.example", 86_400_000_100_000),
    ("longer.age.example", 200_000_000_000_000),
];

/// A store that holds [`records`] and every list of clients, and listens on the server's endpoints, among others.
///
/// # Panics
/// When they do not fit, which is a mistake in the table.
#[expect(clippy::expect_used, reason = "a table that does not fit is a mistake in the table")]
pub fn store() -> OwnedStore {
    // So few buckets that some overflow into their partners.
    let mut store = OwnedStore::new(6, 2, NOW_BOOT_NS);
    set_listeners(&mut store.settings);
    super::clients::add_lists(&mut store);
    super::tags::add_links(&mut store);
    super::cookies::set_secrets(&mut store.settings);
    for record in records() {
        store.publish(&record.answer()).expect("the table fits");
    }
    store
}

/// Sets two endpoints of each family, ours last.
pub fn set_listeners(settings: &mut Settings) {
    settings.listen_v4_count = 2;
    settings.listen_v6_count = 2;
    for (listen, (address, port)) in settings.listen_v4.iter_mut().zip([([127, 0, 0, 1], 53), (SERVER_V4, SERVER_PORT)])
    {
        (listen.address, listen.port) = (address, port.to_be_bytes());
    }
    for (listen, (address, port)) in settings.listen_v6.iter_mut().zip([(LOOPBACK_V6, 53), (SERVER_V6, SERVER_PORT)]) {
        (listen.address, listen.port) = (address, port.to_be_bytes());
    }
}

/// `::1`.
const LOOPBACK_V6: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
