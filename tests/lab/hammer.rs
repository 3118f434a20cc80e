//! Publishing and retiring at full speed while the kernel answers: no torn answer, no foreign one.
//!
//! A writer does what the daemon does, through mapped memory: write a free slot, store its entry; clear an entry, wait for a
//! grace period, reuse the slot. Every answer that comes out must be whole: name, data and TTL of one and the same version.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aya::programs::{TestRun, TestRunOptions, Xdp};
use resolver_ebpf::abi::{BucketEntry, LINE_LEN, Place, SLOT_WORDS_MAX};
use resolver_ebpf::host::OwnedStore;
use resolver_ebpf::host::message::ClientQuery;
use resolver_ebpf::host::records::{NOW_BOOT_NS, Record, set_listeners, wire_name};
use resolver_ebpf::slot::{answer_key_hash, render};
use resolver_ebpf::wire::name::tag;
use resolver_tests::kernel::{Kernel, MappedMap, program};

/// What the hammer strikes.
#[derive(Clone, Copy)]
struct Anvil {
    /// Names that come and go.
    names: usize,
    /// Slots that they share. Few, so that each is soon another name's.
    slots: usize,
    /// Whether a grace period lies between the retirement of a slot and its next use.
    has_grace: bool,
}

/// Lines of each slot.
const SLOT_LINES: usize = 8;
/// How long the hammer runs, unless it finds something.
const DURATION: Duration = Duration::from_secs(10);

/// Answer number `version` to name `i`: every byte of it tells which one it is.
fn record(i: usize, version: u64) -> Record {
    let mut data = Vec::new();
    while data.len() < 160 {
        data.extend((i as u32).to_be_bytes());
        data.extend((version as u32).to_be_bytes());
    }
    let mut record = Record::new(&name(i), 1).with(65_280, &data);
    // The TTL tells the version too.
    record.expires_at_boot_ns = NOW_BOOT_NS + (100 + version % 1000) * 1_000_000_000;
    record
}

fn name(i: usize) -> Vec<u8> {
    wire_name(&format!("n{i}.hammer.example"))
}

/// Waits until every program that was running has ended.
#[expect(unsafe_code, reason = "nix has no membarrier")]
fn wait_for_grace_period() {
    const GLOBAL: i32 = 1;
    // SAFETY: the call takes three integers and touches no memory of ours.
    let result = unsafe { nix::libc::syscall(nix::libc::SYS_membarrier, GLOBAL, 0, 0) };
    assert_eq!(result, 0, "membarrier");
}

/// The writer: what the daemon's publisher does.
struct Writer<'k> {
    answers: &'k MappedMap,
    buckets: &'k MappedMap,
    store: &'k OwnedStore,
    /// Slot of each published name.
    published: Vec<Option<usize>>,
    free: Vec<usize>,
    /// Slots whose entries are cleared; free after a grace period.
    retired: Vec<usize>,
    has_grace: bool,
    version: u64,
}

impl Writer<'_> {
    /// Publishes the next version of a name, in place of its last one.
    fn publish(&mut self, i: usize) {
        let Some(slot) = self.free.pop() else {
            if self.has_grace {
                wait_for_grace_period();
            }
            return self.free.append(&mut self.retired);
        };
        self.version += 1;
        let record = record(i, self.version);
        let mut words = [0; SLOT_WORDS_MAX];
        let lines = render(&record.answer(), &mut words).expect("publishable");
        assert!(lines <= SLOT_LINES);
        let at = slot * SLOT_LINES * LINE_LEN / 8;
        for (to, from) in self.answers.words()[at..].iter().zip(&words[..lines * LINE_LEN / 8]) {
            to.store(*from);
        }
        let hash = answer_key_hash(&record.name, 1, false, &self.store.settings.hash_key);
        let place = Place::new(0, (slot * SLOT_LINES) as u32);
        self.entry(hash, self.published[i]).store(bytemuck::must_cast(BucketEntry { place, tag: tag(hash) }));
        self.retired.extend(self.published[i].replace(slot));
    }

    /// Retires a name.
    fn retire(&mut self, i: usize) {
        let Some(slot) = self.published[i].take() else { return };
        let hash = answer_key_hash(&name(i), 1, false, &self.store.settings.hash_key);
        self.entry(hash, Some(slot)).store(0);
        self.retired.push(slot);
    }

    /// The entry of a key: the one that leads to `slot`, or a free one.
    fn entry(&self, hash: u64, slot: Option<usize>) -> &resolver_ebpf::serve::SharedWord {
        let bucket = (hash >> self.store.settings.bucket_shift) as usize;
        let wanted = slot.map_or(0, |slot| {
            bytemuck::must_cast(BucketEntry { place: Place::new(0, (slot * SLOT_LINES) as u32), tag: tag(hash) })
        });
        let entries = &self.buckets.words()[bucket * 8..bucket * 8 + 8];
        entries.iter().find(|entry| entry.load() == wanted).expect("an entry")
    }
}

/// What came of it.
#[derive(Debug)]
struct Struck {
    /// Versions published.
    published: u64,
    /// Answers that came out.
    answered: u64,
    /// The first that was torn or foreign.
    broken: Option<String>,
}

/// Publishes and retires on one thread and asks on another.
fn strike(anvil: Anvil) -> Struck {
    let mut store = OwnedStore::new(6, 1, NOW_BOOT_NS);
    set_listeners(&mut store.settings);
    let Kernel { mut ebpf, settings: _settings, buckets, answers } = Kernel::with_store(&store);
    let (done, published) = (AtomicBool::new(false), AtomicU64::new(0));
    let (answered, broken) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = Writer {
                answers: &answers,
                buckets: &buckets,
                store: &store,
                published: vec![None; anvil.names],
                free: (0..anvil.slots).collect(),
                retired: Vec::new(),
                has_grace: anvil.has_grace,
                version: 0,
            };
            let mut turn = 0usize;
            while !done.load(Ordering::Relaxed) {
                turn = turn.wrapping_add(1);
                let i = turn.wrapping_mul(7) % anvil.names;
                if turn.is_multiple_of(5) { writer.retire(i) } else { writer.publish(i) }
            }
            published.store(writer.version, Ordering::Relaxed);
        });
        let (answered, broken) = ask(program(&mut ebpf, "resolver"), anvil.names);
        done.store(true, Ordering::Relaxed);
        (answered, broken)
    });
    Struck { published: published.into_inner(), answered, broken }
}

/// Asks for all names in turn until time is up or an answer is wrong.
fn ask(resolver: &Xdp, names: usize) -> (u64, Option<String>) {
    let queries: Vec<ClientQuery> = (0..names).map(|i| ClientQuery::new(&name(i), 1)).collect();
    let frames: Vec<Vec<u8>> = queries.iter().map(ClientQuery::frame).collect();
    let start = Instant::now();
    let (mut answered, mut turn) = (0u64, 0usize);
    let mut out = vec![0; 4096];
    while start.elapsed() < DURATION {
        turn += 1;
        let i = turn % names;
        let mut options = TestRunOptions::new();
        options.data_in = Some(&frames[i]);
        options.data_out = Some(&mut out);
        let result = resolver.test_run(options).expect("test-run");
        if result.return_value != XDP_TX {
            continue;
        }
        answered += 1;
        let frame = &out[..result.data_size_out as usize];
        if !is_whole(&queries[i], i, frame) {
            return (answered, Some(format!("name {i}: {frame:02x?}")));
        }
    }
    (answered, None)
}

/// Whether an answer is exactly that of the version which its own data name.
fn is_whole(query: &ClientQuery, i: usize, frame: &[u8]) -> bool {
    let data_at = 14 + 20 + 8 + 12 + query.name.len() + 4 + 12;
    let version = u32::from_be_bytes(frame[data_at + 4..data_at + 8].try_into().expect("four bytes"));
    let record = record(i, u64::from(version));
    frame == query.answered(&record.answer(), 100 + version % 1000)
}

#[test]
fn no_answer_is_torn_or_foreign_while_slots_are_reused_at_full_speed() {
    for (names, slots, published_min) in [(24, 40, 1_000), (1, 2, 100)] {
        let struck = strike(Anvil { names, slots, has_grace: true });
        println!("{struck:?}");
        assert!(struck.broken.is_none(), "{struck:?}");
        assert!(struck.published > published_min && struck.answered > 100_000, "{struck:?}");
    }
}

#[test]
fn without_grace_periods_the_hammer_finds_broken_answers() {
    let struck = strike(Anvil { names: 1, slots: 2, has_grace: false });
    println!("{} published, {} answered", struck.published, struck.answered);
    assert!(struck.broken.is_some(), "the hammer is too soft to prove anything: {struck:?}");
}

const XDP_TX: u32 = 3;
