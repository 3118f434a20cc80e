//! The fast path's vectors: each a frame, the settings it meets, and what must come of it.
//!
//! The host's tests and the kernel's (`tests/lab/twin.rs`) run the same table. What is published stands in [`super::records`].

use std::format;
use std::string::String;
use std::vec::Vec;

use super::clients::{CLIENT_LISTS, EXEMPT_CLIENTS};
use super::limits::LimitCase;
use super::message::{ClientOpt, ClientQuery, FLAGS_AD, FLAGS_CD, FLAGS_RD, internet_checksum};
use super::records::{Record, name_lengths, name_of_len, records, wire_name};
use super::tags::{self, HIDES_TAGS, LOOPBACK};
use crate::abi::{
    ABI_VERSION, CLIENTS_ALL, COOKIES_OFF, CookieVerdict, FAST_TTL_S_MAX, LIMIT_ENFORCE, LIMIT_LOG_ONLY, LIMIT_OFF,
    MODE_DRY_RUN, MODE_OFF, MODE_SERVE, Outcome, Settings,
};

/// One frame and what must come of it.
#[derive(Clone, Debug)]
pub struct Vector {
    /// What it shows.
    pub name: String,
    /// [`crate::abi::Settings::mode`].
    pub mode: u32,
    /// [`crate::abi::Settings::abi_version`].
    pub abi_version: u32,
    /// [`crate::abi::Settings::clients`].
    pub clients: u32,
    /// Rate limits, if there are any.
    pub limits: Option<LimitCase>,
    /// [`crate::abi::Settings::ttl_shown_s_max`].
    pub ttl_shown_s_max: u32,
    /// [`crate::abi::Settings::untagged_ruled`].
    pub untagged_ruled: u32,
    /// Number of the interface that the frame comes in by, one of those in [`super::tags`].
    pub ingress: u32,
    /// [`crate::abi::Settings::cookies`].
    pub cookies: u32,
    /// What is counted of its cookies.
    pub cookie: Option<CookieVerdict>,
    /// The frame that comes in.
    pub frame: Vec<u8>,
    /// The outcome.
    pub outcome: Outcome,
    /// The frame that goes out; the one that came in if it is passed.
    pub result: Vec<u8>,
}

impl Vector {
    /// Makes the settings those that the frame meets.
    pub fn apply(&self, settings: &mut Settings) {
        settings.mode = self.mode;
        settings.abi_version = self.abi_version;
        settings.clients = self.clients;
        settings.ttl_shown_s_max = self.ttl_shown_s_max;
        settings.cookies = self.cookies;
        settings.untagged_ruled = self.untagged_ruled;
    }
}

/// The whole table.
pub fn vectors() -> Vec<Vector> {
    let mut table = Table { records: records(), vectors: Vec::new() };
    for over_v6 in [false, true] {
        table.answers(over_v6);
        table.caps(over_v6);
        table.names(over_v6);
        table.sizes(over_v6);
        table.refusals(over_v6);
        table.refusals_of_records(over_v6);
        table.limits(over_v6);
        table.cookies(over_v6);
    }
    table.clients();
    table.exempt_clients();
    table.headers_v4();
    table.headers_v6();
    let behind_tags = tags::behind_tags(&table.vectors);
    table.link_types();
    table.loopback();
    table.vectors.extend(behind_tags);
    table.vectors
}

/// The table while it is built.
pub(super) struct Table {
    records: Vec<Record>,
    pub(super) vectors: Vec<Vector>,
}

impl Table {
    /// A query that is answered with `ttl_s`.
    fn answered(&mut self, name: &str, query: &ClientQuery, ttl_s: u32) {
        self.answered_with(name, query, ttl_s, &[]);
    }

    /// The same with EDNS options in the answer.
    pub(super) fn answered_with(&mut self, name: &str, query: &ClientQuery, ttl_s: u32, options: &[u8]) {
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
        let result = query.answered_with(&record.answer(), ttl_s, options);
        self.push(name, query.frame(), outcome, result);
    }

    /// A frame that is passed as it is.
    pub(super) fn passed(&mut self, name: &str, frame: Vec<u8>, outcome: Outcome) {
        let result = frame.clone();
        self.push(name, frame, outcome, result);
    }

    /// Adds a vector.
    fn push(&mut self, name: &str, frame: Vec<u8>, outcome: Outcome, result: Vec<u8>) {
        let version = if frame.get(12..14) == Some(&[0x86, 0xdd]) { 6 } else { 4 };
        let name = format!("{name} v{version}");
        self.vectors.push(Vector {
            name,
            mode: MODE_SERVE,
            abi_version: ABI_VERSION,
            clients: CLIENTS_ALL,
            limits: None,
            ttl_shown_s_max: FAST_TTL_S_MAX,
            untagged_ruled: 0,
            ingress: HIDES_TAGS,
            cookies: COOKIES_OFF,
            cookie: None,
            frame,
            outcome,
            result,
        });
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
            options: [0xff, 0xfe, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8].into(),
            ..ClientOpt::new(4096, false)
        };
        self.answered("edns with an unknown option and flags", &ClientQuery { opt: Some(odd), ..base.clone() }, 300);
        for (name, options) in [
            ("two options", &[0, 10, 0, 0, 0xff, 0xfe, 0, 0][..]),
            ("three options", &[0, 8, 0, 4, 0, 1, 0, 0, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 11, 0, 0]),
            ("four options", &[0, 11, 0, 0, 0, 10, 0, 1, 0, 0xff, 0xfe, 0, 0, 0, 12, 0, 3, 1, 2, 3]),
        ] {
            for dnssec_ok in [false, true] {
                let opt = ClientOpt { options: options.into(), ..ClientOpt::new(1232, dnssec_ok) };
                let name = format!("edns with {name}, do {dnssec_ok}");
                self.answered(&name, &ClientQuery { opt: Some(opt), ..base.clone() }, 300);
            }
        }
        let padding = [&[0, 12, 1, 140][..], &[0; 396]].concat();
        let padded = ClientOpt { options: padding, ..ClientOpt::new(1232, false) };
        self.answered("answer shorter than the query", &ClientQuery { opt: Some(padded), ..base }, 300);
    }

    /// Who is answered under each list of clients.
    fn clients(&mut self) {
        let base = ClientQuery::new(&wire_name("www.example.com"), 1);
        for list in CLIENT_LISTS {
            let start = self.vectors.len();
            for (client, is_allowed) in list.clients_v4 {
                let query = ClientQuery { client_v4: client.octets(), ..base.clone() };
                self.client(&format!("client {client}"), &query, *is_allowed);
            }
            for (client, is_allowed) in list.clients_v6 {
                let query = ClientQuery { over_v6: true, client_v6: client.octets(), ..base.clone() };
                self.client(&format!("client {client}"), &query, *is_allowed);
            }
            for vector in self.vectors.iter_mut().skip(start) {
                vector.clients = list.generation;
            }
        }
    }

    /// What becomes of queries under rate limits.
    fn limits(&mut self, over_v6: bool) {
        let base = ClientQuery { over_v6, ..ClientQuery::new(&wire_name("www.example.com"), 1) };
        let [hit, miss] =
            ["wWw.example.com", "absent.example.com"].map(|name| ClientQuery { name: wire_name(name), ..base.clone() });
        let case = |mode, slip_one_in, spent| LimitCase { mode, slip_one_in, spent };
        let start = self.vectors.len();
        let mut cases = Vec::new();
        for (mode, spent) in
            [(LIMIT_OFF, [true, true]), (LIMIT_LOG_ONLY, [true, false]), (LIMIT_ENFORCE, [false, false])]
        {
            self.answered("within its limits, or not held to them", &hit, 300);
            self.passed("miss within its limits, or not held to them", miss.frame(), Outcome::PassMiss);
            cases.extend([case(mode, 1, spent); 2]);
        }
        let narrow = [Outcome::DroppedRate, Outcome::SlippedRate];
        let wide = [Outcome::DroppedRateWide, Outcome::SlippedRateWide];
        for (spent, [dropped, slipped]) in [([true, false], narrow), ([false, true], wide), ([true, true], narrow)] {
            for query in [&hit, &miss] {
                self.passed("over a limit", query.frame(), dropped);
                cases.push(case(LIMIT_ENFORCE, 0, spent));
                for opt in [None, Some(ClientOpt::new(4096, false)), Some(ClientOpt::new(512, true))] {
                    let query = ClientQuery { opt, flags: FLAGS_RD | FLAGS_AD | FLAGS_CD, ..query.clone() };
                    self.push("over a limit, slipped", query.frame(), slipped, query.slipped());
                    cases.push(case(LIMIT_ENFORCE, 1, spent));
                }
            }
            // What is not looked at as a query is the daemon's to judge.
            self.passed("over a limit, class ch", ClientQuery { class: 3, ..hit.clone() }.frame(), Outcome::PassClass);
            cases.push(case(LIMIT_ENFORCE, 1, spent));
        }
        let options = ClientOpt { options: [0, 12, 0, 3, 1, 2, 3].into(), ..ClientOpt::new(1232, true) };
        for name in ["x.", "xy.", "xyz.example.", ""] {
            let query = ClientQuery {
                name: wire_name(name.trim_end_matches('.')),
                opt: Some(options.clone()),
                padding: std::vec![0xa5; 7],
                ..base.clone()
            };
            self.push("over a limit, slipped, shorter", query.frame(), Outcome::SlippedRate, query.slipped());
            cases.push(case(LIMIT_ENFORCE, 1, [true, true]));
        }
        self.passed("dry run", hit.frame(), Outcome::PassDryRun);
        cases.push(case(LIMIT_ENFORCE, 0, [true, true]));
        if let Some(vector) = self.vectors.last_mut() {
            vector.mode = MODE_DRY_RUN;
        }
        for (vector, case) in self.vectors.iter_mut().skip(start).zip(cases) {
            vector.limits = Some(case);
        }
    }

    /// Clients that no limit holds for.
    fn exempt_clients(&mut self) {
        let base = ClientQuery::new(&wire_name("www.example.com"), 1);
        for (list, v4, v6, is_exempt) in EXEMPT_CLIENTS {
            for query in [
                ClientQuery { client_v4: v4.octets(), ..base.clone() },
                ClientQuery { over_v6: true, client_v6: v6.octets(), ..base.clone() },
            ] {
                if *is_exempt {
                    self.answered("exempt client", &query, 300);
                } else {
                    self.passed("client that is not exempt", query.frame(), Outcome::DroppedRate);
                }
                if let Some(vector) = self.vectors.last_mut() {
                    vector.limits = Some(LimitCase { mode: LIMIT_ENFORCE, slip_one_in: 0, spent: [true, true] });
                    vector.clients = *list;
                }
            }
        }
    }

    /// What is shown where the operator caps TTLs: the cap if more is left.
    fn caps(&mut self, over_v6: bool) {
        let base = ClientQuery { over_v6, ..ClientQuery::new(&wire_name("www.example.com"), 1) };
        for (cap_s, shown_s) in [(1, 1), (40, 40), (299, 299), (300, 300), (301, 300)] {
            for opt in [None, Some(ClientOpt::new(1232, true))] {
                self.answered(&format!("TTL capped at {cap_s}"), &ClientQuery { opt, ..base.clone() }, shown_s);
                if let Some(vector) = self.vectors.last_mut() {
                    vector.ttl_shown_s_max = cap_s;
                }
            }
        }
    }

    /// A query that is answered if its client may be.
    fn client(&mut self, name: &str, query: &ClientQuery, is_allowed: bool) {
        if is_allowed {
            self.answered(name, query, 300);
        } else {
            self.passed(name, query.frame(), Outcome::PassClient);
        }
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
    }

    /// What makes a query pass by its counts, its OPT, or the settings.
    fn refusals_of_records(&mut self, over_v6: bool) {
        let base = ClientQuery { over_v6, ..ClientQuery::new(&wire_name("www.example.com"), 1) };
        let edns = ClientQuery { opt: Some(ClientOpt::new(1232, false)), ..base.clone() };
        let mut version = edns.clone();
        version.opt = Some(ClientOpt { version: 1, ..ClientOpt::new(1232, false) });
        self.passed("edns version 1", version.frame(), Outcome::PassEdns);
        let dns_at = if over_v6 { 62 } else { 42 };
        let with = |query: &ClientQuery, at: usize, byte: u8| {
            let mut frame = query.frame();
            set(&mut frame, at, &[byte]);
            frame
        };
        for (name, at, count) in
            [("no question", 5, 0), ("two questions", 5, 2), ("an answer", 7, 1), ("an authority record", 9, 1)]
        {
            self.passed(name, with(&base, dns_at + at, count), Outcome::PassCounts);
        }
        self.passed("two additional records", with(&edns, dns_at + 11, 2), Outcome::PassCounts);
        self.passed("more bytes than the counts say", with(&edns, dns_at + 11, 0), Outcome::PassCounts);
        self.passed("opt announced, not sent", with(&base, dns_at + 11, 1), Outcome::PassEdns);
        let opt_at = dns_at + 12 + base.name.len() + 4;
        for (name, at) in
            [("opt not at the root", 0), ("no opt", 2), ("options over the end", 10), ("options far over the end", 9)]
        {
            self.passed(name, with(&edns, opt_at + at, 1), Outcome::PassEdns);
        }
        let mut options = edns.clone();
        options.opt = Some(ClientOpt { options: [0; 5].into(), ..ClientOpt::new(1232, false) });
        self.passed("options before the end", with(&options, opt_at + 10, 4), Outcome::PassEdns);
        for (name, bytes) in [
            ("five options", &[0, 10, 0, 0, 0, 11, 0, 0, 0, 12, 0, 0, 0, 13, 0, 0, 0, 14, 0, 0][..]),
            ("an option over the end", &[0, 10, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8]),
            ("a second option over the end", &[0, 10, 0, 1, 1, 0, 12, 0, 1]),
            ("a fourth option over the end", &[0, 10, 0, 0, 0, 11, 0, 0, 0, 12, 0, 1, 1, 0, 13, 0, 2, 1]),
            ("an option far over the end", &[0, 10, 0xff, 0xff, 1, 2]),
            ("bytes behind the third option", &[0, 10, 0, 0, 0, 11, 0, 0, 0, 12, 0, 1, 1, 0, 0]),
            ("bytes behind an option", &[0, 10, 0, 1, 1, 2]),
            ("less than an option", &[0, 10, 0]),
        ] {
            options.opt = Some(ClientOpt { options: bytes.into(), ..ClientOpt::new(1232, false) });
            self.passed(name, options.frame(), Outcome::PassEdns);
        }
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
    }

    /// What becomes of a frame by its tags and by the interface that it comes in by.
    fn link_types(&mut self) {
        for over_v6 in [false, true] {
            let query = ClientQuery { over_v6, ..ClientQuery::new(&wire_name("www.example.com"), 1) };
            self.answered("a link", &query, 300);
            let of_links = self.vectors.last().map(tags::of_links).unwrap_or_default();
            self.vectors.extend(of_links);
        }
    }

    /// Loopback addresses, on the loopback interface and elsewhere.
    fn loopback(&mut self) {
        for (name, query, ingress) in tags::of_loopback() {
            let outcome = if name.starts_with("from") { Outcome::PassSource } else { Outcome::PassNotOurs };
            match ingress {
                LOOPBACK => self.answered(&name, &query, 300),
                _ => self.passed(&name, query.frame(), outcome),
            }
            if let Some(vector) = self.vectors.last_mut() {
                vector.ingress = ingress;
            }
        }
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
