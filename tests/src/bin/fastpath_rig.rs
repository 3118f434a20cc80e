//! Rig 1 by hand: `cargo run --release -p resolver-tests --features lab --bin fastpath-rig -- [runs] [frames] [case…]`.

use resolver_ebpf::host::OwnedStore;
use resolver_ebpf::host::message::{ClientOpt, ClientQuery};
use resolver_ebpf::host::records::{NOW_BOOT_NS, Record, set_listeners, wire_name};
use resolver_tests::rig::{Load, Rig, enter, median};

/// A case of the rig.
struct Case {
    name: &'static str,
    names: usize,
    dnssec_ok: bool,
    over_v6: bool,
    kind: Kind,
}

enum Kind {
    Hit,
    Zipf,
    Miss,
    Foreign,
}

const CASES: &[Case] = &[
    Case { name: "hot-do0-v4", names: 1, dnssec_ok: false, over_v6: false, kind: Kind::Hit },
    Case { name: "hot-do1-v4", names: 1, dnssec_ok: true, over_v6: false, kind: Kind::Hit },
    Case { name: "hot-do0-v6", names: 1, dnssec_ok: false, over_v6: true, kind: Kind::Hit },
    Case { name: "10k-uniform-do0-v4", names: 10_000, dnssec_ok: false, over_v6: false, kind: Kind::Hit },
    Case { name: "10k-uniform-do1-v4", names: 10_000, dnssec_ok: true, over_v6: false, kind: Kind::Hit },
    Case { name: "100k-uniform-do0-v4", names: 100_000, dnssec_ok: false, over_v6: false, kind: Kind::Hit },
    Case { name: "100k-uniform-do1-v4", names: 100_000, dnssec_ok: true, over_v6: false, kind: Kind::Hit },
    Case { name: "1m-uniform-do0-v4", names: 1_000_000, dnssec_ok: false, over_v6: false, kind: Kind::Hit },
    Case { name: "1m-zipf-do0-v4", names: 1_000_000, dnssec_ok: false, over_v6: false, kind: Kind::Zipf },
    Case { name: "miss-pass", names: 1, dnssec_ok: false, over_v6: false, kind: Kind::Miss },
    Case { name: "foreign-pass", names: 1, dnssec_ok: false, over_v6: false, kind: Kind::Foreign },
];

fn main() {
    let mut args = std::env::args().skip(1);
    let runs = args.next().map_or(5, |runs| runs.parse().expect("runs"));
    let frames = args.next().map_or(2_000_000, |frames| frames.parse().expect("frames"));
    let wanted: Vec<String> = args.collect();
    enter(0);
    for case in CASES.iter().filter(|case| wanted.is_empty() || wanted.iter().any(|name| case.name.starts_with(name))) {
        let load = load(case);
        let mut rig = Rig::new(&load);
        match rig.measure(runs, frames) {
            Ok(rates) => println!(
                "{:22} {:.2} M/s ({:.2}..{:.2}), baseline {:.2} M/s, ratio {:.2}, +{:.0} ns; query {} bytes",
                case.name,
                median(&rates.ours) / 1e6,
                rates.ours.iter().copied().fold(f64::MAX, f64::min) / 1e6,
                rates.ours.iter().copied().fold(0.0, f64::max) / 1e6,
                median(&rates.baseline) / 1e6,
                rates.ratio(),
                rates.added_ns(),
                load.frames[0].len(),
            ),
            Err(void) => println!("{:22} void: {void:?}", case.name),
        }
    }
}

/// Publishes and asks what a case says.
fn load(case: &Case) -> Load {
    let bucket_bits = (case.names.next_power_of_two().trailing_zeros()).saturating_sub(1).max(4);
    let lines = if case.dnssec_ok { 4 } else { 2 };
    let mut store = OwnedStore::new(bucket_bits, case.names * lines / 990 + 1, NOW_BOOT_NS);
    set_listeners(&mut store.settings);
    let mut frames = Vec::new();
    for i in 0..case.names {
        let name = wire_name(&format!("n{i:06x}.example.com"));
        let mut record = Record::new(&name, 1).with(1, &[10, (i >> 16) as u8, (i >> 8) as u8, i as u8]);
        record.dnssec_ok = case.dnssec_ok;
        if case.dnssec_ok {
            // An RRSIG with an ECDSA P-256 signature: 18 bytes, the signer's name, 64 bytes.
            record = record.with(46, &(0..95).map(|byte| byte ^ i as u8).collect::<Vec<u8>>());
        }
        let asked = match case.kind {
            Kind::Miss => wire_name(&format!("m{i:06x}.example.com")),
            _ => name.clone(),
        };
        // A full bucket leaves an answer unpublished, as in the daemon; it is not asked for.
        if store.publish(&record.answer()).is_ok() {
            let opt = Some(ClientOpt::new(1232, case.dnssec_ok));
            frames.push(ClientQuery { opt, over_v6: case.over_v6, ..ClientQuery::new(&asked, 1) }.frame());
        }
    }
    if matches!(case.kind, Kind::Foreign) {
        // To a neighbour's address, with the header's checksum kept whole.
        frames[0][33] = frames[0][33].wrapping_add(1);
        frames[0][25] = frames[0][25].wrapping_sub(1);
    }
    let sequence = sequence(case, frames.len());
    let is_answered = matches!(case.kind, Kind::Hit | Kind::Zipf);
    Load { store, frames, sequence, is_answered }
}

/// A sequence of 2^20 turns.
fn sequence(case: &Case, names: usize) -> Vec<u32> {
    let mut random = 0x0123_4567_89ab_cdefu64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) as f64 / (1u64 << 53) as f64
    };
    // Zipf with exponent 1: the share of the first k names is ln k / ln n, near enough.
    let draw = |u: f64| match case.kind {
        Kind::Zipf => ((names as f64).powf(u) as usize).saturating_sub(1),
        _ => (u * names as f64) as usize,
    };
    (0..1 << 20).map(|_| draw(next()).min(names - 1) as u32).collect()
}
