//! `rig fastpath RUNS [CASE…]`: rig 1. A case is chosen by its name or by how it begins.

use std::net::Ipv6Addr;
use std::process::ExitCode;

use resolver_ebpf::abi::{ClientRule, LIMIT_ENFORCE, LimitLevel, LimitRules};
use resolver_ebpf::host::OwnedStore;
use resolver_ebpf::host::cookies::{client_option, set_secrets};
use resolver_ebpf::host::limits::{LimitCase, rules};
use resolver_ebpf::host::message::{CLIENT_V4, CLIENT_V6, ClientOpt, ClientQuery};
use resolver_ebpf::host::records::{NOW_BOOT_NS, Record, name_of_len, set_listeners, wire_name};
use resolver_ebpf::limit::Limits;
use resolver_tests::random::Random;
use resolver_tests::rig::fastpath::{Load, Rig, enter};
use resolver_tests::rig::generator::{Frames, Replies};
use xtask::bench::report::{Line, Measured};

use super::say;

/// A case of the rig.
#[derive(Clone, Copy)]
struct Case {
    /// Stable: figures of different days are compared by it.
    name: &'static str,
    /// Names that are published, and asked for in turn.
    names: usize,
    /// Length of the one name in wire form, where that is the point.
    name_len: Option<usize>,
    dnssec_ok: bool,
    over_v6: bool,
    /// Whether a list says who is answered: eight networks of each family, and the client in one of them.
    listed: bool,
    /// Whether each client has a rate limit, which is never reached.
    limited: bool,
    cookie: Cookie,
    kind: Kind,
}

/// What the client sends of cookies. With any, cookies are on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cookie {
    None,
    /// Its own: it gets a server cookie.
    New,
    /// And the server cookie that it got: it is checked, and sent back.
    Valid,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Asks for what is published, each name as often as any other.
    Hit,
    /// Asks for what is published, the k-th name with a share of 1/k.
    Zipf,
    /// Asks for what is not published.
    Miss,
    /// Sends to an address that is not ours.
    Foreign,
}

/// A case over IPv4 with DO=0.
const fn hit(name: &'static str, names: usize) -> Case {
    Case {
        name,
        names,
        name_len: None,
        dnssec_ok: false,
        over_v6: false,
        listed: false,
        limited: false,
        cookie: Cookie::None,
        kind: Kind::Hit,
    }
}

/// A case with one name of a length.
const fn long(name: &'static str, len: usize) -> Case {
    Case { name_len: Some(len), ..hit(name, 1) }
}

const CASES: &[Case] = &[
    hit("hot-do0-v4", 1),
    Case { dnssec_ok: true, ..hit("hot-do1-v4", 1) },
    Case { over_v6: true, ..hit("hot-do0-v6", 1) },
    Case { listed: true, ..hit("listed-do0-v4", 1) },
    Case { listed: true, over_v6: true, ..hit("listed-do0-v6", 1) },
    Case { limited: true, ..hit("limited-do0-v4", 1) },
    Case { limited: true, over_v6: true, ..hit("limited-do0-v6", 1) },
    Case { listed: true, limited: true, ..hit("policy-do0-v4", 1) },
    Case { listed: true, limited: true, over_v6: true, ..hit("policy-do0-v6", 1) },
    Case { limited: true, kind: Kind::Miss, ..hit("limited-miss-pass", 1) },
    Case { cookie: Cookie::Valid, ..hit("cookie-do0-v4", 1) },
    Case { cookie: Cookie::Valid, over_v6: true, ..hit("cookie-do0-v6", 1) },
    Case { cookie: Cookie::New, ..hit("cookie-new-do0-v4", 1) },
    hit("10k-uniform-do0-v4", 10_000),
    Case { dnssec_ok: true, ..hit("10k-uniform-do1-v4", 10_000) },
    hit("100k-uniform-do0-v4", 100_000),
    Case { dnssec_ok: true, ..hit("100k-uniform-do1-v4", 100_000) },
    hit("1m-uniform-do0-v4", 1_000_000),
    Case { kind: Kind::Zipf, ..hit("1m-zipf-do0-v4", 1_000_000) },
    long("name-10-do0-v4", 10),
    long("name-30-do0-v4", 30),
    long("name-60-do0-v4", 60),
    long("name-120-do0-v4", 120),
    long("name-250-do0-v4", 250),
    Case { kind: Kind::Miss, ..hit("miss-pass", 1) },
    Case { kind: Kind::Foreign, ..hit("foreign-pass", 1) },
];

/// Measures the cases whose names begin as one of `wanted`, or all without any.
pub fn run(runs: usize, wanted: &[&str]) -> ExitCode {
    if let Some(unknown) = wanted.iter().find(|wanted| !CASES.iter().any(|case| case.name.starts_with(*wanted))) {
        eprintln!("no case {unknown}; there are:");
        CASES.iter().for_each(|case| eprintln!("    {}", case.name));
        return ExitCode::FAILURE;
    }
    enter(0);
    for case in CASES.iter().filter(|case| wanted.is_empty() || wanted.iter().any(|name| case.name.starts_with(name))) {
        say(&Line::Measured(measure(case, runs)));
    }
    ExitCode::SUCCESS
}

/// Measures a case.
fn measure(case: &Case, runs: usize) -> Measured {
    let load = load(case);
    if case.names > 1 {
        let view = load.store.view();
        let mib = |bytes: usize| bytes.div_ceil(1 << 20);
        let (index, answers) = (size_of_val(view.buckets), size_of_val(view.answers));
        let published = load.frames.frames.len();
        let maps = format!("{} MiB of index, {} MiB of answers", mib(index), mib(answers));
        say(&Line::Note(format!("{:<20} {published} of {} names published; {maps}", case.name, case.names)));
    }
    let (metric, baseline_name) =
        if load.is_answered { ("answers_per_s", "reflector") } else { ("passes_per_s", "bare-pass") };
    let mut rig = Rig::new(&load);
    let given_up = rig.measure(runs, FRAMES_PER_RUN).err();
    Measured {
        ours: rig.rates.ours,
        baseline_name: baseline_name.to_owned(),
        baseline: rig.rates.baseline,
        void_runs: rig.rates.void_runs,
        given_up: given_up.map(|void| void.to_string()),
        ..Measured::new(case.name, metric)
    }
}

/// Publishes and asks what a case says.
fn load(case: &Case) -> Load {
    // As many as the daemon takes for so many answers.
    let bucket_bits = (case.names / 4).next_power_of_two().trailing_zeros().max(4);
    // A slot of these records, whose names are short where they are many, takes at most so many lines.
    let lines = if case.dnssec_ok { 4 } else { 2 };
    let mut store = OwnedStore::new(bucket_bits, case.names * lines / 990 + 1, NOW_BOOT_NS);
    set_listeners(&mut store.settings);
    if case.listed {
        add_list(&mut store);
    }
    if case.limited {
        add_limits(&mut store);
    }
    let mut options = Vec::new();
    if case.cookie != Cookie::None {
        set_secrets(&mut store.settings);
        store.settings.cookies = 1;
        options = client_option(case.over_v6, case.cookie == Cookie::Valid);
    }
    let mut frames = Vec::new();
    for i in 0..case.names {
        let name = case.name_len.map_or_else(|| wire_name(&format!("n{i:06x}.example.com")), name_of_len);
        let asked = match case.kind {
            Kind::Miss => wire_name(&format!("m{i:06x}.example.com")),
            Kind::Hit | Kind::Zipf | Kind::Foreign => name.clone(),
        };
        // A full bucket leaves an answer unpublished, as in the daemon; it is not asked for.
        if store.publish(&record(&name, i, case.dnssec_ok).answer()).is_ok() {
            let opt = Some(ClientOpt { options: options.clone(), ..ClientOpt::new(1232, case.dnssec_ok) });
            frames.push(ClientQuery { opt, over_v6: case.over_v6, ..ClientQuery::new(&asked, 1) }.frame());
        }
    }
    if matches!(case.kind, Kind::Foreign) {
        // To a neighbour's address, with the header's checksum kept whole.
        frames[0][33] = frames[0][33].wrapping_add(1);
        frames[0][25] = frames[0][25].wrapping_sub(1);
    }
    let sequence = sequence(case.kind, frames.len());
    let is_answered = matches!(case.kind, Kind::Hit | Kind::Zipf);
    Load { store, frames: Frames { frames, sequence, replies: Replies::OfXdp, is_timed: false }, is_answered }
}

/// Allows private networks, the client's, and nobody else, as a gateway would.
fn add_list(store: &mut OwnedStore) {
    store.settings.clients = 1;
    store.add_client_v4(1, [0; 4], 0, rule(0));
    store.add_client_v6(1, [0; 16], 0, rule(0));
    for (address, len) in [
        ([10, 0, 0, 0], 8),
        ([172, 16, 0, 0], 12),
        ([192, 168, 0, 0], 16),
        ([100, 64, 0, 0], 10),
        ([169, 254, 0, 0], 16),
        ([127, 0, 0, 0], 8),
        ([CLIENT_V4[0], CLIENT_V4[1], CLIENT_V4[2], 0], 24),
    ] {
        store.add_client_v4(1, address, len, rule(1));
    }
    let network = |first: u16, len: u32| (Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0).octets(), len);
    let mut own = CLIENT_V6;
    own[8..].fill(0);
    for (address, len) in [
        network(0xfe80, 10),
        network(0xfc00, 7),
        network(0xfec0, 10),
        network(0x2002, 16),
        network(0x3fff, 20),
        (own, 64),
    ] {
        store.add_client_v6(1, address, len, rule(1));
    }
}

/// The rule of a network; limits hold in all.
fn rule(allowed: u16) -> ClientRule {
    ClientRule { allowed, limited: 1 }
}

/// Limits that are never reached, so that every answer is charged to both of its prefixes.
fn add_limits(store: &mut OwnedStore) {
    store.set_limits(Some(LimitCase { mode: LIMIT_ENFORCE, slip_one_in: 2, spent: [false, false] }));
    let level = LimitLevel::new(1_000_000_000, 60, 32, 64);
    let levels = [level, LimitLevel::new(1_000_000_000, 60, 24, 56)];
    Limits(store.limits()).set_rules(&LimitRules { levels, ..rules(LIMIT_ENFORCE, 2) });
}

/// The address of name `i`, with its signature for DO=1.
fn record(name: &[u8], i: usize, dnssec_ok: bool) -> Record {
    let mut record = Record::new(name, 1).with(1, &[10, (i >> 16) as u8, (i >> 8) as u8, i as u8]);
    record.dnssec_ok = dnssec_ok;
    if dnssec_ok {
        // An RRSIG with an ECDSA P-256 signature: 18 bytes, the signer's name, 64 bytes.
        record = record.with(46, &(0..95).map(|byte| byte ^ i as u8).collect::<Vec<u8>>());
    }
    record
}

/// A sequence of 2^20 turns, the same each time.
fn sequence(kind: Kind, names: usize) -> Vec<u32> {
    let mut random = Random::new(0x0123_4567_89ab_cdef);
    // Zipf with exponent 1: the share of the first k names is ln k / ln n, near enough.
    let draw = |u: f64| match kind {
        Kind::Zipf => ((names as f64).powf(u) as usize).saturating_sub(1),
        Kind::Hit | Kind::Miss | Kind::Foreign => (u * names as f64) as usize,
    };
    (0..1 << 20).map(|_| draw(random.share()).min(names - 1) as u32).collect()
}

/// Frames of a run: half a second's worth or more, beside which the turns of a scheduler are small.
const FRAMES_PER_RUN: u32 = 2_000_000;
