//! Publishing and retiring at full speed while the kernel answers: no torn answer, no foreign one.
//!
//! A writer does what the daemon does, through mapped memory: write a free slot, store its entry; clear an entry, wait for a
//! grace period, reuse the slot. Every answer that comes out must be whole: name, data and TTL of one and the same version.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aya::programs::{TestRun, TestRunOptions};
use resolver_ebpf::abi::{BucketEntry, LINE_LEN, Place, SLOT_WORDS_MAX};
use resolver_ebpf::host::OwnedStore;
use resolver_ebpf::host::message::ClientQuery;
use resolver_ebpf::host::vectors::{NOW_BOOT_NS, Record, set_listeners, wire_name};
use resolver_ebpf::slot::{answer_key_hash, render};
use resolver_ebpf::wire::name::tag;
use resolver_tests::kernel::{Kernel, MappedMap, program};

/// Names that come and go.
const NAMES: usize = 24;
/// Slots that they share. Few, so that each is soon another name's.
const SLOTS: usize = 40;
/// Lines of each slot.
const SLOT_LINES: usize = 8;
/// How long the hammer runs.
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
    version: u64,
}

impl Writer<'_> {
    /// Publishes the next version of a name, in place of its last one.
    fn publish(&mut self, i: usize) {
        let Some(slot) = self.free.pop() else {
            wait_for_grace_period();
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

#[test]
fn no_answer_is_torn_or_foreign_while_slots_are_reused_at_full_speed() {
    let mut store = OwnedStore::new(6, 1, NOW_BOOT_NS);
    set_listeners(&mut store.settings);
    let Kernel { mut ebpf, settings: _settings, buckets, answers } = Kernel::with_store(&store);
    let (done, published, answered) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = Writer {
                answers: &answers,
                buckets: &buckets,
                store: &store,
                published: vec![None; NAMES],
                free: (0..SLOTS).collect(),
                retired: Vec::new(),
                version: 0,
            };
            let mut turn = 0usize;
            while !done.load(Ordering::Relaxed) {
                turn = turn.wrapping_add(1);
                let i = turn.wrapping_mul(7) % NAMES;
                if turn % 5 == 0 { writer.retire(i) } else { writer.publish(i) }
            }
            published.store(writer.version, Ordering::Relaxed);
        });
        // The readers keep one program; each thread runs it by its own descriptor.
        let resolver = program(&mut ebpf, "resolver");
        let queries: Vec<ClientQuery> = (0..NAMES).map(|i| ClientQuery::new(&name(i), 1)).collect();
        let frames: Vec<Vec<u8>> = queries.iter().map(ClientQuery::frame).collect();
        let start = Instant::now();
        let (mut hits, mut turn) = (0u64, 0usize);
        let mut out = vec![0; 4096];
        while start.elapsed() < DURATION {
            turn += 1;
            let i = turn % NAMES;
            let mut options = TestRunOptions::new();
            options.data_in = Some(&frames[i]);
            options.data_out = Some(&mut out);
            let result = resolver.test_run(options).expect("test-run");
            if result.return_value == 3 {
                hits += 1;
                check(&queries[i], i, &out[..result.data_size_out as usize]);
            }
        }
        answered.store(hits, Ordering::Relaxed);
        done.store(true, Ordering::Relaxed);
    });
    let (published, answered) = (published.into_inner(), answered.into_inner());
    println!("{published} published, {answered} answers, all whole");
    assert!(published > 1_000 && answered > 100_000, "{published} published, {answered} answered");
}

/// An answer must be exactly that of the version which its own data name.
fn check(query: &ClientQuery, i: usize, frame: &[u8]) {
    let data_at = 14 + 20 + 8 + 12 + query.name.len() + 4 + 12;
    let version = u32::from_be_bytes(frame[data_at + 4..data_at + 8].try_into().expect("four bytes"));
    let record = record(i, u64::from(version));
    let ttl_s = 100 + version % 1000;
    assert!(frame == query.answered(&record.answer(), ttl_s), "name {i}, version {version}: {frame:02x?}");
}
