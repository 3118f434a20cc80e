//! The twin rule: every vector of the fast path runs on the host and in the kernel, and both frames must be equal.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;

use aya::maps::{Map, RingBuf};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use resolver_ebpf::abi::{ABI_VERSION, AnswerBlock, LATENCY_FIRST_LOG2, LATENCY_ONE_IN, Outcome};
use resolver_ebpf::host::PlainFrame;
use resolver_ebpf::host::message::ClientQuery;
use resolver_ebpf::host::tags::{HIDES_TAGS, PLAIN};
use resolver_ebpf::host::{records, vectors};
use resolver_ebpf::serve::{SharedWord, serve};
use resolver_tests::kernel::{Kernel, program};
use resolver_tests::netns;
use resolver_user::access::{Access, AccessList, Network};
use resolver_user::config::Config;

const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;
/// What the kernel leaves before a frame.
const HEAD_ROOM: usize = 256;
/// What it leaves behind, at least.
const TAIL_ROOM: usize = 2048;

#[test]
fn the_kernel_answers_every_vector_as_the_host_does() {
    netns::in_new(|| {
        let words = format!("link add a7 index {HIDES_TAGS} type veth peer name a8 index {PLAIN}");
        let made = Command::new("ip").args(words.split(' ')).status().expect("ip");
        assert!(made.success(), "interfaces with the vectors' numbers");
        run_every_vector();
    });
}

fn run_every_vector() {
    let mut store = records::store();
    let mut kernel = Kernel::with_store(&store);
    let mut expected = kernel.counters();
    for vector in vectors::vectors() {
        vector.apply(&mut store.settings);
        kernel.set(&store.settings);
        let frame = PlainFrame::new(&vector.frame, HEAD_ROOM, TAIL_ROOM).expect("fits a page");
        let mut frame = frame.on(vector.ingress);
        let outcome = serve(&mut frame, &store.view());
        assert_eq!(outcome, vector.outcome, "{}", vector.name);

        let (verdict, bytes) = kernel.run_on("resolver", &vector.frame, vector.ingress);
        assert_eq!(verdict, if outcome.is_answer() { XDP_TX } else { XDP_PASS }, "{}", vector.name);
        assert!(bytes == frame.bytes(), "{}\nkernel {bytes:02x?}\nhost   {:02x?}", vector.name, frame.bytes());
        expected.as_array_mut()[outcome as usize] += 1;
        assert_eq!(kernel.counters(), expected, "{}", vector.name);
        assert_eq!(kernel.cookies(), store.cookies.each_ref().map(SharedWord::load), "{}", vector.name);
    }
    assert!(expected.answered() > 3000, "{expected:?}");
    assert!(kernel.cookies().iter().all(|count| *count > 0), "{:?}", kernel.cookies());
}

/// A made-up access list: networks in networks, around some hubs, so that many nest.
fn access_list(random: &mut impl FnMut(usize) -> usize, is_only: bool) -> AccessList {
    let mut config = Config::default();
    let hubs_v4 = [[10, 0, 0, 0], [192, 168, 128, 77], [203, 0, 113, 255], [128, 0, 0, 0]];
    let hubs_v6 = ["2001:db8::", "fe80::ffff:1", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "8000::"];
    let mut seen = std::collections::HashSet::new();
    for _ in 0..60 {
        let (address, len): (IpAddr, u8) = if random(2) == 0 {
            (hubs_v4[random(4)].into(), random(33) as u8)
        } else {
            (hubs_v6[random(4)].parse().expect("an address"), random(129) as u8)
        };
        let network = Network::of(address, len).expect("a legal length");
        if seen.insert(network) {
            let list = if random(2) == 0 { &mut config.access.allowed } else { &mut config.access.denied };
            list.push(network);
        }
    }
    if !is_only {
        config.access.allowed.clear();
    }
    AccessList::new(&config, &[])
}

/// The clients at both edges of a network, and those just outside.
fn edge_clients(network: Network) -> Vec<IpAddr> {
    let (address, len) = (network.address(), u32::from(network.prefix_len()));
    match address {
        IpAddr::V4(first) => {
            let last = first.to_bits() | u32::MAX.checked_shr(len).unwrap_or(0);
            let around = [first.to_bits().wrapping_sub(1), first.to_bits(), last, last.wrapping_add(1)];
            around.map(|bits| Ipv4Addr::from_bits(bits).into()).to_vec()
        }
        IpAddr::V6(first) => {
            let last = first.to_bits() | u128::MAX.checked_shr(len).unwrap_or(0);
            let around = [first.to_bits().wrapping_sub(1), first.to_bits(), last, last.wrapping_add(1)];
            around.map(|bits| Ipv6Addr::from_bits(bits).into()).to_vec()
        }
    }
}

#[test]
fn daemon_host_and_kernel_agree_on_every_client_at_the_edges_of_every_network() {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut random = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % limit
    };
    let (mut answered, mut passed) = (0u32, 0u32);
    for generation in 1..=12 {
        let list = access_list(&mut random, generation % 3 != 0);
        let mut store = records::store();
        (store.clients_v4, store.clients_v6, store.settings.clients) = (Vec::new(), Vec::new(), generation);
        for (network, access) in list.networks() {
            let (len, allowed) = (network.prefix_len().into(), access == Access::Answer);
            match network.address() {
                IpAddr::V4(v4) => store.add_client_v4(generation, v4.octets(), len, allowed),
                IpAddr::V6(v6) => store.add_client_v6(generation, v6.octets(), len, allowed),
            }
        }
        let mut kernel = Kernel::with_store(&store);
        for client in list.networks().flat_map(|(network, _)| edge_clients(network)) {
            let base = ClientQuery::new(&records::wire_name("www.example.com"), 1);
            let query = match client {
                IpAddr::V4(v4) => ClientQuery { client_v4: v4.octets(), ..base },
                IpAddr::V6(v6) => ClientQuery { over_v6: true, client_v6: v6.octets(), ..base },
            };
            let mut frame = PlainFrame::new(&query.frame(), HEAD_ROOM, TAIL_ROOM).expect("fits a page");
            let outcome = serve(&mut frame, &store.view());
            let (verdict, _) = kernel.run("resolver", &query.frame());
            assert_eq!(verdict == XDP_TX, outcome.is_answer(), "{client}: {outcome:?} by the host");
            if outcome == Outcome::PassSource {
                continue;
            }
            assert_eq!(outcome.is_answer(), list.of(client) == Access::Answer, "{client}: {outcome:?}, {list:?}");
            assert!(outcome.is_answer() || outcome == Outcome::PassClient, "{client}: {outcome:?}");
            *if outcome.is_answer() { &mut answered } else { &mut passed } += 1;
        }
    }
    println!("{answered} clients answered, {passed} passed");
    assert!(answered > 500 && passed > 500, "{answered} clients answered, {passed} passed");
}

#[test]
fn damaged_frames_come_out_of_the_kernel_as_out_of_the_host() {
    let mut store = records::store();
    store.settings.cookies = 1;
    let mut kernel = Kernel::with_store(&store);
    let seeds: Vec<Vec<u8>> = vectors::vectors().into_iter().map(|vector| vector.frame).collect();
    let mut random = 0x0123_4567_89ab_cdefu64;
    let mut below = |limit: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 16) as usize % limit
    };
    for _ in 0..20_000 {
        let mut bytes = seeds[below(seeds.len())].clone();
        for _ in 0..1 + below(3) {
            let at = below(bytes.len());
            match below(4) {
                0 => bytes[at] ^= 1 << below(8),
                1 => bytes[at] = below(256) as u8,
                // The kernel takes no frame without an Ethernet header.
                2 => bytes.truncate(at.max(14)),
                _ => bytes.insert(at, below(256) as u8),
            }
        }
        let mut frame = PlainFrame::new(&bytes, HEAD_ROOM, TAIL_ROOM).expect("fits a page");
        let outcome = serve(&mut frame, &store.view());
        let (verdict, result) = kernel.run("resolver", &bytes);
        assert_eq!(verdict == XDP_TX, outcome.is_answer(), "{outcome:?} {bytes:02x?}");
        assert!(result == frame.bytes(), "{bytes:02x?}\nkernel {result:02x?}\nhost   {:02x?}", frame.bytes());
    }
}

#[test]
fn the_kernel_notes_the_second_of_use_in_the_slot() {
    let store = records::store();
    let mut kernel = Kernel::with_store(&store);
    let query = ClientQuery::new(&records::wire_name("www.example.com"), 1);
    let before: Vec<u64> = kernel.answers.words().iter().map(|word| word.load()).collect();
    assert_eq!(kernel.run("resolver", &query.frame()).0, XDP_TX);
    let changed: Vec<usize> = kernel
        .answers
        .words()
        .iter()
        .zip(&before)
        .enumerate()
        .filter(|(_, (a, b))| a.load() != **b)
        .map(|(i, _)| i)
        .collect();
    assert_eq!(changed.len(), 1, "one word of one slot");
    assert_eq!(changed[0] % 8, 3, "the word of use");
    assert_eq!(kernel.answers.words()[changed[0]].load() as u32, 1000);
}

#[test]
fn a_passed_query_is_logged_with_its_reason_and_an_answered_one_is_not() {
    let mut store = records::store();
    let view = store.view();
    let (buckets, blocks) = (view.buckets.len() as u32, (view.answers.len() * 8 / size_of::<AnswerBlock>()) as u32);
    let mut kernel = Kernel::load_with_log(buckets, blocks, true);
    store.settings.log_one_in = 1;
    kernel.set(&store.settings);
    let mut ring: RingBuf<_> = kernel.ebpf.take_map("AYA_LOGS").expect("AYA_LOGS").try_into().expect("a ring");
    let hit = ClientQuery::new(&records::wire_name("www.example.com"), 1);
    // Nothing is published: a miss.
    assert_eq!(kernel.run("resolver", &hit.frame()).0, XDP_PASS);
    let record = ring.next().expect("a record").to_vec();
    assert!(record.windows(9).any(|window| window == b"pass_miss"), "{record:02x?}");
    // Traffic of others is not logged.
    let mut foreign = hit.frame();
    foreign[37] ^= 1;
    assert_eq!(kernel.run("resolver", &foreign).0, XDP_PASS);
    assert!(ring.next().is_none());
    // Nor is anything with the sampling at zero.
    store.settings.log_one_in = 0;
    kernel.set(&store.settings);
    assert_eq!(kernel.run("resolver", &hit.frame()).0, XDP_PASS);
    assert!(ring.next().is_none());
}

#[test]
fn every_frame_is_counted_and_one_in_64_answers_is_timed() {
    let store = records::store();
    let mut kernel = Kernel::with_store(&store);
    // Each CPU counts for itself.
    let mut here = CpuSet::new();
    here.set(0).expect("CPU 0");
    sched_setaffinity(Pid::from_raw(0), &here).expect("stay on one CPU");
    let hit = ClientQuery::new(&records::wire_name("www.example.com"), 1).frame();
    let miss = ClientQuery::new(&records::wire_name("nobody.example.com"), 1).frame();
    for _ in 0..3 * LATENCY_ONE_IN {
        assert_eq!(kernel.run("resolver", &hit).0, XDP_TX);
    }
    for _ in 0..2 * LATENCY_ONE_IN {
        assert_eq!(kernel.run("resolver", &miss).0, XDP_PASS);
    }
    let latency = kernel.latency();
    assert_eq!((latency.frames, kernel.counters().frames()), (5 * LATENCY_ONE_IN, 5 * LATENCY_ONE_IN));
    assert_eq!(latency.buckets.iter().sum::<u64>(), 3, "passed frames are timed for nothing");
    let (fastest_ns, slowest_ns) = (10, 1_000_000_000);
    assert!((3 * fastest_ns..3 * slowest_ns).contains(&latency.sum_ns), "{latency:?}");
    let ended_ns = |bucket: usize| 1u64 << (LATENCY_FIRST_LOG2 as usize + bucket);
    let at_most: u64 = latency.buckets.iter().enumerate().map(|(bucket, count)| count * ended_ns(bucket)).sum();
    assert!(
        latency.sum_ns <= at_most && latency.sum_ns >= (at_most / 2).saturating_sub(3 * ended_ns(0)),
        "{latency:?}"
    );
}

#[test]
fn map_dumps_name_the_fields() {
    let kernel = Kernel::with_store(&records::store());
    for (name, field) in [
        ("SETTINGS", "boot_offset_ns"),
        ("BUCKETS", "place"),
        ("ANSWERS", "expires_at_boot_ns"),
        ("CLIENTS_V4", "generation"),
        ("CLIENTS_V6", "allowed"),
        ("LINKS", "tags"),
        ("COUNTERS", "answered_secure"),
        ("COOKIES", "renewed"),
        ("LATENCY", "started_mono_ns"),
        ("CLOCK", "jiffies"),
    ] {
        let Some(Map::Array(map) | Map::PerCpuArray(map) | Map::LpmTrie(map) | Map::HashMap(map)) =
            kernel.ebpf.map(name)
        else {
            panic!("no map {name}")
        };
        let id = map.info().expect("map info").id().to_string();
        let dump = Command::new("bpftool").args(["map", "dump", "id", &id]).output().expect("run bpftool");
        let text = String::from_utf8_lossy(&dump.stdout);
        assert!(text.contains(field), "{name}: {}", text.chars().take(300).collect::<String>());
    }
}

#[test]
fn the_programs_fit_the_verifier_with_room_to_spare() {
    let mut kernel = Kernel::load(2, 1);
    for name in ["resolver", "clock", "pass"] {
        let info = program(&mut kernel.ebpf, name).info().expect("program info");
        let verified = info.verified_instruction_count().expect("kernel counts them");
        println!(
            "{name}: {verified} verified, {:?} bytes translated, {} jited",
            info.size_translated(),
            info.size_jitted()
        );
        // Six families: two IP versions, each behind up to two tags.
        assert!(verified < 500_000, "{name}: {verified} of 1 000 000 instructions");
    }
    assert_eq!(Outcome::ALL.len(), resolver_ebpf::abi::OUTCOMES);
    assert_eq!(ABI_VERSION, 3);
}
