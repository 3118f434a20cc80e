//! The fast path's vectors: each a frame, the settings it meets, and what must come of it.
//!
//! The host's tests and the kernel's (`tests/lab/twin.rs`) run the same table. The clock stands still at [`NOW_BOOT_NS`].

use std::boxed::Box;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::OwnedStore;
use super::message::{
    CLIENT_MAC, ClientOpt, ClientQuery, FLAGS_AD, FLAGS_CD, FLAGS_RD, SERVER_PORT, SERVER_V4, SERVER_V6,
    internet_checksum,
};
use crate::abi::{ABI_VERSION, MODE_DRY_RUN, MODE_OFF, MODE_SERVE, Outcome, Settings};
use crate::slot::Answer;

/// What the clock shows, in nanoseconds of CLOCK_BOOTTIME.
pub const NOW_BOOT_NS: u64 = 1_000_000_000_000;

/// One frame and what must come of it.
#[derive(Clone, Debug)]
pub struct Vector {
    /// What it shows.
    pub name: String,
    /// [`Settings::mode`].
    pub mode: u32,
    /// [`Settings::abi_version`].
    pub abi_version: u32,
    /// The frame that comes in.
    pub frame: Vec<u8>,
    /// The outcome.
    pub outcome: Outcome,
    /// The frame that goes out; the one that came in if it is passed.
    pub result: Vec<u8>,
}

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
    for i in 0..crate::abi::TTL_FIELDS_MAX {
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

/// A store that holds [`records`] and listens on the server's endpoints, among others.
///
/// # Panics
/// When they do not fit, which is a mistake in the table.
#[expect(clippy::expect_used, reason = "a table that does not fit is a mistake in the table")]
pub fn store() -> OwnedStore {
    let mut store = OwnedStore::new(8, 2, NOW_BOOT_NS);
    set_listeners(&mut store.settings);
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
    for (listen, (address, port)) in settings.listen_v6.iter_mut().zip([([0xfe; 16], 53), (SERVER_V6, SERVER_PORT)]) {
        (listen.address, listen.port) = (address, port.to_be_bytes());
    }
}

/// The whole table.
pub fn vectors() -> Vec<Vector> {
    let mut table = Table { records: records(), vectors: Vec::new() };
    for over_v6 in [false, true] {
        table.answers(over_v6);
        table.names(over_v6);
        table.sizes(over_v6);
        table.refusals(over_v6);
    }
    table.headers_v4();
    table.headers_v6();
    table.vectors
}

/// The table while it is built.
struct Table {
    records: Vec<Record>,
    vectors: Vec<Vector>,
}

impl Table {
    /// A query that is answered with `ttl_s`.
    fn answered(&mut self, name: &str, query: &ClientQuery, ttl_s: u32) {
        let dnssec_ok = query.opt.as_ref().is_some_and(|opt| opt.dnssec_ok);
        let lower = query.name.to_ascii_lowercase();
        let found = self
            .records
            .iter()
            .find(|record| record.name == lower && record.qtype == query.qtype && record.dnssec_ok == dnssec_ok);
        let Some(record) = found else {
            // A mistake in the table: make it fail.
            return self.passed(name, query.frame(), Outcome::PassOff);
        };
        let outcome = if record.secure { Outcome::AnsweredSecure } else { Outcome::AnsweredInsecure };
        let result = query.answered(&record.answer(), ttl_s);
        self.push(name, query.frame(), outcome, result);
    }

    /// A frame that is passed as it is.
    fn passed(&mut self, name: &str, frame: Vec<u8>, outcome: Outcome) {
        let result = frame.clone();
        self.push(name, frame, outcome, result);
    }

    /// Adds a vector.
    fn push(&mut self, name: &str, frame: Vec<u8>, outcome: Outcome, result: Vec<u8>) {
        let version = if frame.get(12..14) == Some(&[0x86, 0xdd]) { 6 } else { 4 };
        let name = format!("{name} v{version}");
        self.vectors.push(Vector { name, mode: MODE_SERVE, abi_version: ABI_VERSION, frame, outcome, result });
    }

    /// What answers look like.
    fn answers(&mut self, over_v6: bool) {
        let base = ClientQuery { over_v6, ..ClientQuery::new(&wire_name("www.example.com"), 1) };
        self.answered("plain", &base, 300);
        self.answered("ad", &ClientQuery { flags: FLAGS_RD | FLAGS_AD, ..base.clone() }, 300);
        self.answered("cd", &ClientQuery { flags: FLAGS_RD | FLAGS_CD, ..base.clone() }, 300);
        self.answered("mixed case", &ClientQuery { name: wire_name("wWw.ExAmPlE.CoM"), ..base.clone() }, 300);
        self.answered("port 1, id 0", &ClientQuery { port: 1, id: 0, ..base.clone() }, 300);
        self.answered("padded with zeroes", &ClientQuery { padding: std::vec![0; 18], ..base.clone() }, 300);
        self.answered("padded with noise", &ClientQuery { padding: std::vec![0xa5; 5], ..base.clone() }, 300);
        for dnssec_ok in [false, true] {
            let edns = ClientQuery { opt: Some(ClientOpt::new(1232, dnssec_ok)), ..base.clone() };
            self.answered(&format!("edns, do {dnssec_ok}"), &edns, 300);
            for flags in [FLAGS_AD, FLAGS_CD, FLAGS_AD | FLAGS_CD] {
                let query = ClientQuery { flags: FLAGS_RD | flags, ..edns.clone() };
                self.answered(&format!("edns, do {dnssec_ok}, flags {flags:#x}"), &query, 300);
            }
            for (name, qtype) in [("www.example.com", 16), ("insecure.example", 1), ("nx.example.com", 1)] {
                let query = ClientQuery { name: wire_name(name), qtype, ..edns.clone() };
                self.answered(&format!("{name} {qtype}, do {dnssec_ok}"), &query, 300);
                let query = ClientQuery { flags: FLAGS_RD | FLAGS_AD, ..query };
                self.answered(&format!("{name} {qtype}, do {dnssec_ok}, ad"), &query, 300);
            }
        }
        let odd = ClientOpt {
            other_flags: 0x7fff,
            options: [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0xff, 0xfe, 0, 0].into(),
            ..ClientOpt::new(4096, false)
        };
        self.answered("edns with unknown options and flags", &ClientQuery { opt: Some(odd), ..base.clone() }, 300);
        let padded = ClientOpt { options: [0; 400].into(), ..ClientOpt::new(1232, false) };
        self.answered("answer shorter than the query", &ClientQuery { opt: Some(padded), ..base }, 300);
    }

    /// Names of every length, with and without OPT, in mixed case; and what is left of the TTL.
    fn names(&mut self, over_v6: bool) {
        for len in name_lengths() {
            let mut name = name_of_len(len);
            for (i, byte) in name.iter_mut().enumerate() {
                if byte.is_ascii_lowercase() && i % 3 == 0 {
                    byte.make_ascii_uppercase();
                }
            }
            let query = ClientQuery { over_v6, ..ClientQuery::new(&name, 1) };
            self.answered(&format!("name of {len} bytes"), &query, 300);
            let query = ClientQuery { opt: Some(ClientOpt::new(1232, false)), ..query };
            self.answered(&format!("name of {len} bytes, edns"), &query, 300);
        }
        for (name, ttl_s) in [("second", Some(1)), ("almost", None), ("now", None), ("past", None)] {
            self.aged(over_v6, name, ttl_s);
        }
        self.aged(over_v6, "day", Some(86_400));
        self.aged(over_v6, "longer", Some(86_400));
    }

    /// An answer of [`AGES`].
    fn aged(&mut self, over_v6: bool, name: &str, ttl_s: Option<u32>) {
        let query = ClientQuery { over_v6, ..ClientQuery::new(&wire_name(&format!("{name}.age.example")), 1) };
        match ttl_s {
            Some(ttl_s) => self.answered(name, &query, ttl_s),
            None => self.passed(name, query.frame(), Outcome::PassExpired),
        }
    }

    /// Around the limits of size.
    fn sizes(&mut self, over_v6: bool) {
        let query =
            |name: &str, opt: Option<ClientOpt>| ClientQuery { over_v6, opt, ..ClientQuery::new(&wire_name(name), 16) };
        let opt = |len| Some(ClientOpt::new(len, false));
        self.answered("512 bytes without edns", &query("plain512.example", None), 300);
        self.passed("513 bytes without edns", query("plain513.example", None).frame(), Outcome::PassTooLarge);
        self.answered("512 bytes, client says 512", &query("edns512.example", opt(512)), 300);
        self.answered("512 bytes, client says 0", &query("edns512.example", opt(0)), 300);
        self.passed("523 bytes, client says 100", query("plain512.example", opt(100)).frame(), Outcome::PassTooLarge);
        self.answered("524 bytes, client says 524", &query("plain513.example", opt(524)), 300);
        self.passed("524 bytes, client says 523", query("plain513.example", opt(523)).frame(), Outcome::PassTooLarge);
        self.answered("1232 bytes, client says 1232", &query("edns1232.example", opt(1232)), 300);
        self.answered("1232 bytes, client says 65535", &query("edns1232.example", opt(65_535)), 300);
        self.passed(
            "1232 bytes, client says 1231",
            query("edns1232.example", opt(1231)).frame(),
            Outcome::PassTooLarge,
        );
        let many = ClientQuery { qtype: 1, ..query("many.example", opt(1232)) };
        self.answered("the most ttl fields", &many, 300);
    }

    /// What makes a query pass, from the DNS header on.
    fn refusals(&mut self, over_v6: bool) {
        let base = ClientQuery { over_v6, ..ClientQuery::new(&wire_name("www.example.com"), 1) };
        let edns = ClientQuery { opt: Some(ClientOpt::new(1232, false)), ..base.clone() };
        for (name, flags) in [
            ("response", 0x8100),
            ("notify", 0x2100),
            ("aa", 0x0500),
            ("tc", 0x0300),
            ("rd not set", 0x0000),
            ("ra", 0x0180),
            ("z", 0x0140),
            ("rcode", 0x0101),
        ] {
            self.passed(name, ClientQuery { flags, ..base.clone() }.frame(), Outcome::PassHeader);
        }
        self.passed("class ch", ClientQuery { class: 3, ..base.clone() }.frame(), Outcome::PassClass);
        self.passed("other type", ClientQuery { qtype: 2, ..base.clone() }.frame(), Outcome::PassMiss);
        self.passed(
            "other name",
            ClientQuery { name: wire_name("wwx.example.com"), ..base.clone() }.frame(),
            Outcome::PassMiss,
        );
        let pointer = ClientQuery { name: [3, b'w', b'w', b'w', 0xc0, 12, 0].into(), ..base.clone() };
        self.passed("compression pointer", pointer.frame(), Outcome::PassMiss);
        let endless = ClientQuery { name: [63; 300].into(), ..base.clone() };
        self.passed("name without end", endless.frame(), Outcome::PassName);
        let mut long = name_of_len(255);
        long.splice(0..0, [1, b'x']);
        self.passed("name of 257 bytes", ClientQuery { name: long, ..base.clone() }.frame(), Outcome::PassName);
        self.passed("source port 0", ClientQuery { port: 0, ..base.clone() }.frame(), Outcome::PassSource);

        let mut version = edns.clone();
        version.opt = Some(ClientOpt { version: 1, ..ClientOpt::new(1232, false) });
        self.passed("edns version 1", version.frame(), Outcome::PassEdns);
        let dns_at = if over_v6 { 62 } else { 42 };
        let edit = |query: &ClientQuery, change: Box<dyn Fn(&mut Vec<u8>)>| {
            let mut frame = query.frame();
            change(&mut frame);
            frame
        };
        for (name, at) in [("no question", 5), ("an answer", 7), ("an authority record", 9), ("two questions", 4)] {
            let flip = Box::new(move |frame: &mut Vec<u8>| flip_bit(frame, dns_at + at));
            self.passed(name, edit(&base, flip), Outcome::PassCounts);
        }
        let two = edit(&edns, Box::new(move |frame| set(frame, dns_at + 11, &[2])));
        self.passed("two additional records", two, Outcome::PassCounts);
        let unsaid = edit(&edns, Box::new(move |frame| set(frame, dns_at + 11, &[0])));
        self.passed("more bytes than the counts say", unsaid, Outcome::PassCounts);
        let opt_at = dns_at + 12 + base.name.len() + 4;
        for (name, at, byte) in [
            ("opt not at the root", 0, 1),
            ("no opt", 2, 1),
            ("options over the end", 10, 1),
            ("options before the end", 9, 1),
        ] {
            let change = Box::new(move |frame: &mut Vec<u8>| set(frame, opt_at + at, &[byte]));
            self.passed(name, edit(&edns, change), Outcome::PassEdns);
        }
        let missing = edit(&base, Box::new(move |frame| set(frame, dns_at + 11, &[1])));
        self.passed("opt announced, not sent", missing, Outcome::PassEdns);
        for (name, mode, abi_version, outcome) in [
            ("off", MODE_OFF, ABI_VERSION, Outcome::PassOff),
            ("dry run", MODE_DRY_RUN, ABI_VERSION, Outcome::PassDryRun),
            ("other abi", MODE_SERVE, ABI_VERSION + 1, Outcome::PassOff),
        ] {
            self.passed(name, base.frame(), outcome);
            if let Some(vector) = self.vectors.last_mut() {
                (vector.mode, vector.abi_version) = (mode, abi_version);
            }
        }
    }

    /// What makes a frame pass before it is DNS, whatever carries it; then IPv4's own.
    fn headers_v4(&mut self) {
        let query = ClientQuery::new(&wire_name("www.example.com"), 1).frame();
        let edit = |changes: &[(usize, &[u8])]| {
            let mut frame = query.clone();
            for (at, bytes) in changes {
                set(&mut frame, *at, bytes);
            }
            // The header's checksum holds again, so that only the change is wrong.
            set(&mut frame, 24, &[0, 0]);
            let checksum = internet_checksum(frame.get(14..34).unwrap_or_default());
            set(&mut frame, 24, &checksum.to_be_bytes());
            frame
        };
        self.passed("to a group", edit(&[(0, &[1, 0, 0x5e])]), Outcome::PassNotIp);
        self.passed("to all", edit(&[(0, &[0xff; 6])]), Outcome::PassNotIp);
        self.passed("arp", edit(&[(12, &[8, 6])]), Outcome::PassNotIp);
        for tag in [[0x81, 0], [0x88, 0xa8], [0x91, 0]] {
            self.passed("vlan", edit(&[(12, &tag)]), Outcome::PassVlan);
        }
        self.passed("ip options", edit(&[(14, &[0x46])]), Outcome::PassIpHeader);
        self.passed("version 6 in ipv4", edit(&[(14, &[0x65])]), Outcome::PassIpHeader);
        self.passed("first fragment", edit(&[(20, &[0x20])]), Outcome::PassFragment);
        self.passed("later fragment", edit(&[(20, &[0, 5])]), Outcome::PassFragment);
        self.passed("tcp", edit(&[(23, &[6])]), Outcome::PassNotUdp);
        self.passed("total length over the udp length", edit(&[(17, &[0xff])]), Outcome::PassIpHeader);
        let mut broken = query.clone();
        flip_bit(&mut broken, 24);
        self.passed("header checksum", broken, Outcome::PassIpHeader);
        for source in [[0, 1, 2, 3], [127, 0, 0, 1], [224, 0, 0, 251], [255, 255, 255, 255]] {
            self.passed("source", edit(&[(26, &source)]), Outcome::PassSource);
        }
        self.passed("other address", edit(&[(30, &[192, 0, 2, 54])]), Outcome::PassNotOurs);
        self.passed("other port", edit(&[(36, &[0, 54])]), Outcome::PassNotOurs);
        self.passed("udp length below its header", edit(&[(16, &[0, 27]), (38, &[0, 7])]), Outcome::PassIpHeader);
        self.passed("no room for a question", edit(&[(16, &[0, 44]), (38, &[0, 24])]), Outcome::PassTruncated);
        self.passed("name over the end", edit(&[(16, &[0, 46]), (38, &[0, 26])]), Outcome::PassName);
        for len in [14, 33, 41, 42, 53, 60, query.len() - 1] {
            let cut = query.get(..len).unwrap_or_default().into();
            self.passed(&format!("cut to {len}"), cut, Outcome::PassTruncated);
        }
        self.passed("from ourselves", edit(&[(6, &CLIENT_MAC), (12, &[0, 0])]), Outcome::PassNotIp);
    }

    /// IPv6's own.
    fn headers_v6(&mut self) {
        let query = ClientQuery { over_v6: true, ..ClientQuery::new(&wire_name("www.example.com"), 1) }.frame();
        let edit = |changes: &[(usize, &[u8])]| {
            let mut frame = query.clone();
            for (at, bytes) in changes {
                set(&mut frame, *at, bytes);
            }
            frame
        };
        self.passed("version 4 in ipv6", edit(&[(14, &[0x45])]), Outcome::PassIpHeader);
        for header in [0, 43, 51, 60] {
            self.passed("extension header", edit(&[(20, &[header])]), Outcome::PassIpHeader);
        }
        self.passed("fragment", edit(&[(20, &[44])]), Outcome::PassFragment);
        self.passed("icmp", edit(&[(20, &[58])]), Outcome::PassNotUdp);
        self.passed("payload length over the udp length", edit(&[(19, &[0xff])]), Outcome::PassIpHeader);
        self.passed("no checksum", edit(&[(60, &[0, 0])]), Outcome::PassIpHeader);
        self.passed("source multicast", edit(&[(22, &[0xff])]), Outcome::PassSource);
        self.passed("source unspecified", edit(&[(22, &[0; 16])]), Outcome::PassSource);
        self.passed("source loopback", edit(&[(22, &[0; 15]), (37, &[1])]), Outcome::PassSource);
        self.passed("other address", edit(&[(53, &[0x54])]), Outcome::PassNotOurs);
        self.passed("other port", edit(&[(56, &[0, 54])]), Outcome::PassNotOurs);
        let (lens, name_lens) = ([0, 24], [0, 26]);
        self.passed("no room for a question", edit(&[(18, &lens), (58, &lens)]), Outcome::PassTruncated);
        self.passed("name over the end", edit(&[(18, &name_lens), (58, &name_lens)]), Outcome::PassName);
        for len in [53, 61, 62, 73, 80, query.len() - 1] {
            let cut = query.get(..len).unwrap_or_default().into();
            self.passed(&format!("cut to {len}"), cut, Outcome::PassTruncated);
        }
    }
}

/// Replaces the bytes at `at`.
fn set(frame: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = frame.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// Turns the lowest bit of a byte.
fn flip_bit(frame: &mut [u8], at: usize) {
    if let Some(byte) = frame.get_mut(at) {
        *byte ^= 1;
    }
}
