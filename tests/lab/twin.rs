//! The twin rule: every vector of the fast path runs on the host and in the kernel, and both frames must be equal.

use std::process::Command;

use aya::maps::{Map, RingBuf};
use resolver_ebpf::abi::{ABI_VERSION, AnswerBlock, Outcome};
use resolver_ebpf::host::PlainFrame;
use resolver_ebpf::host::message::ClientQuery;
use resolver_ebpf::host::{records, vectors};
use resolver_ebpf::serve::serve;
use resolver_tests::kernel::{Kernel, program};

const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;
/// What the kernel leaves before a frame.
const HEAD_ROOM: usize = 256;
/// What it leaves behind, at least.
const TAIL_ROOM: usize = 2048;

#[test]
fn the_kernel_answers_every_vector_as_the_host_does() {
    let mut store = records::store();
    let mut kernel = Kernel::with_store(&store);
    let mut expected = kernel.counters();
    for vector in vectors::vectors() {
        store.settings.mode = vector.mode;
        store.settings.abi_version = vector.abi_version;
        store.settings.ttl_shown_s_max = vector.ttl_shown_s_max;
        kernel.set(&store.settings);
        let mut frame = PlainFrame::new(&vector.frame, HEAD_ROOM, TAIL_ROOM).expect("fits a page");
        let outcome = serve(&mut frame, &store.view());
        assert_eq!(outcome, vector.outcome, "{}", vector.name);

        let (verdict, bytes) = kernel.run("resolver", &vector.frame);
        assert_eq!(verdict, if outcome.is_answer() { XDP_TX } else { XDP_PASS }, "{}", vector.name);
        assert!(bytes == frame.bytes(), "{}\nkernel {bytes:02x?}\nhost   {:02x?}", vector.name, frame.bytes());
        expected.as_array_mut()[outcome as usize] += 1;
        assert_eq!(kernel.counters(), expected, "{}", vector.name);
    }
    assert!(expected.answered() > 1000, "{expected:?}");
}

#[test]
fn damaged_frames_come_out_of_the_kernel_as_out_of_the_host() {
    let store = records::store();
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
fn map_dumps_name_the_fields() {
    let kernel = Kernel::load(2, 1);
    for (name, field) in [
        ("SETTINGS", "boot_offset_ns"),
        ("BUCKETS", "place"),
        ("ANSWERS", "expires_at_boot_ns"),
        ("COUNTERS", "answered_secure"),
        ("CLOCK", "jiffies"),
    ] {
        let Some(Map::Array(map) | Map::PerCpuArray(map)) = kernel.ebpf.map(name) else { panic!("no map {name}") };
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
        assert!(verified < 250_000, "{name}: {verified} of 1 000 000 instructions");
    }
    assert_eq!(Outcome::ALL.len(), resolver_ebpf::abi::OUTCOMES);
    assert_eq!(ABI_VERSION, 2);
}
