//! The twin rule: every vector of the fast path runs on the host and in the kernel, and both frames must be equal.

use resolver_ebpf::abi::{ABI_VERSION, Outcome};
use resolver_ebpf::host::PlainFrame;
use resolver_ebpf::host::vectors;
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
    let mut store = vectors::store();
    let mut kernel = Kernel::with_store(&store);
    let mut expected = kernel.counters();
    for vector in vectors::vectors() {
        store.settings.mode = vector.mode;
        store.settings.abi_version = vector.abi_version;
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
    let store = vectors::store();
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
    let store = vectors::store();
    let mut kernel = Kernel::with_store(&store);
    let query = resolver_ebpf::host::message::ClientQuery::new(&vectors::wire_name("www.example.com"), 1);
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
    assert_eq!(ABI_VERSION, 1);
}
