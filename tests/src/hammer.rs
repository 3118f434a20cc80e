//! Publishing and retiring at full speed while the kernel answers: no torn answer, no foreign one.
//!
//! A writer does what the daemon does, through mapped memory: write a free slot, store its entry; clear an entry, wait for a
//! grace period, reuse the slot. Every answer that comes out must be whole: name, data and TTL of one and the same version.
//!
//! The control is the same writer, with as many grace periods and as many publishes between them, that only reuses a
//! retired slot at once. It has to break answers, or the hammer could not have seen one.
//!
//! In: names, and when to stop. Out: how many answers were checked, and how many were broken; the tests and `bench hammer` judge.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::kernel::{Kernel, MappedMap, program};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use resolver_ebpf::abi::{BLOCK_LINES, BucketEntry, LINE_LEN, Place, SLOT_START_MAX, SLOT_WORDS_MAX};
use resolver_ebpf::host::OwnedStore;
use resolver_ebpf::host::message::ClientQuery;
use resolver_ebpf::host::records::{NOW_BOOT_NS, Record, set_listeners, wire_name};
use resolver_ebpf::serve::SharedWord;
use resolver_ebpf::slot::{answer_key_hash, render};
use resolver_ebpf::wire::name::tag;

/// What the hammer strikes.
#[derive(Clone, Copy, Debug)]
pub struct Anvil {
    /// Names that come and go.
    names: usize,
    /// Slots beyond one for each name, and turns between two grace periods. Not a multiple of five, or each grace period
    /// would find the same names retired.
    spare: usize,
}

/// One name: each slot is its own, next time in another version. Three names: each slot is soon another name's, and
/// still the reader is likely to be where the writer is.
pub const ANVILS: [Anvil; 2] = [Anvil { names: 1, spare: 997 }, Anvil { names: 3, spare: 997 }];

/// When a retired slot is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// After a grace period, as the daemon does.
    AfterGrace,
    /// For the next publish.
    AtOnce,
}

/// When the hammer rests: whichever comes first.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// This many answers are enough.
    pub hits: u64,
    /// Longest time it may take.
    pub duration: Duration,
    /// This many broken answers are enough.
    pub broken: u64,
}

/// A name that comes and goes, with all that was ever said about it.
struct Target {
    /// The query for it.
    query: Vec<u8>,
    /// Hash of its key.
    hash: u64,
    /// Its answers; made beforehand, so that writer and reader lose no time.
    versions: Vec<Version>,
}

/// One answer to a name.
struct Version {
    /// As it lies in a slot.
    slot: Vec<u64>,
    /// As it must leave the kernel.
    frame: Vec<u8>,
}

/// Makes name `i`.
fn target(i: usize, store: &OwnedStore) -> Target {
    let name = wire_name(&format!("n{i}.hammer.example"));
    let query = ClientQuery::new(&name, 1);
    let versions = (0..VERSIONS).map(|version| {
        let record = record(&name, i, version);
        let mut words = [0; SLOT_WORDS_MAX];
        let lines = render(&record.answer(), &mut words).expect("publishable");
        assert!(lines <= SLOT_LINES);
        Version {
            slot: words[..lines * LINE_LEN / 8].to_vec(),
            frame: query.answered(&record.answer(), ttl_s(version)),
        }
    });
    let versions = versions.collect();
    Target { query: query.frame(), hash: answer_key_hash(&name, 1, false, &store.settings.hash_key), versions }
}

/// Answer number `version` to name `i`: every eight bytes of the data tell which one it is, and so does the TTL.
fn record(name: &[u8], i: usize, version: u32) -> Record {
    let mut data = Vec::new();
    while data.len() < DATA_LEN {
        data.extend(name_mark(i).to_be_bytes());
        data.extend(version.to_be_bytes());
    }
    let mut record = Record::new(name, 1).with(65_280, &data);
    record.expires_at_boot_ns = NOW_BOOT_NS + u64::from(ttl_s(version)) * 1_000_000_000;
    record
}

/// Tells names apart.
fn name_mark(i: usize) -> u32 {
    0xaaaa_0000 + i as u32
}

fn ttl_s(version: u32) -> u32 {
    100 + version
}

/// The writer: what the daemon's publisher does.
struct Writer<'k> {
    answers: &'k MappedMap,
    buckets: &'k MappedMap,
    bucket_shift: u32,
    targets: &'k [Target],
    /// Slot of each published name.
    published: Vec<Option<usize>>,
    /// Slots to be written, the next one last.
    free: Vec<usize>,
    /// Slots whose entries are cleared or lead elsewhere; free after a grace period.
    retired: Vec<usize>,
    reuse: Reuse,
    versions_written: u64,
    grace_periods: u64,
}

impl Writer<'_> {
    /// Publishes and retires until told to stop.
    fn work(&mut self, spare: usize, done: &AtomicBool) {
        let mut turn = 0usize;
        while !done.load(Ordering::Relaxed) {
            for _ in 0..spare {
                turn = turn.wrapping_add(1);
                let i = turn.wrapping_mul(7) % self.targets.len();
                if turn.is_multiple_of(5) { self.retire(i) } else { self.publish(i) }
            }
            wait_for_grace_period();
            self.grace_periods += 1;
            self.free.append(&mut self.retired);
        }
    }

    /// Publishes the next version of a name, in place of its last one.
    fn publish(&mut self, i: usize) {
        let target = &self.targets[i];
        let slot = self.free.pop().expect("as many spare slots as turns");
        let version = &target.versions[self.versions_written as usize % target.versions.len()];
        self.versions_written += 1;
        let place = place(slot);
        let at = (place.block() as usize * BLOCK_LINES + place.line() as usize) * LINE_LEN / 8;
        for (to, from) in self.answers.words()[at..].iter().zip(&version.slot) {
            to.store(*from);
        }
        self.entry(target.hash, self.published[i]).store(entry_of(target.hash, slot));
        if let Some(before) = self.published[i].replace(slot) {
            self.give_back(before);
        }
    }

    /// Retires a name.
    fn retire(&mut self, i: usize) {
        let Some(slot) = self.published[i].take() else { return };
        self.entry(self.targets[i].hash, Some(slot)).store(0);
        self.give_back(slot);
    }

    /// Takes a slot back to which no entry leads any more.
    fn give_back(&mut self, slot: usize) {
        match self.reuse {
            Reuse::AfterGrace => self.retired.push(slot),
            Reuse::AtOnce => self.free.push(slot),
        }
    }

    /// The entry of a key: the one that leads to `slot`, or a free one.
    fn entry(&self, hash: u64, slot: Option<usize>) -> &SharedWord {
        let bucket = (hash >> self.bucket_shift) as usize;
        let wanted = slot.map_or(0, |slot| entry_of(hash, slot));
        let entries = &self.buckets.words()[bucket * 8..bucket * 8 + 8];
        entries.iter().find(|entry| entry.load() == wanted).expect("an entry")
    }
}

/// Where a slot is.
fn place(slot: usize) -> Place {
    Place::new((slot / BLOCK_SLOTS) as u32, (slot % BLOCK_SLOTS * SLOT_LINES) as u32)
}

/// The entry that leads from a key to a slot.
fn entry_of(hash: u64, slot: usize) -> u64 {
    bytemuck::must_cast(BucketEntry { place: place(slot), tag: tag(hash) })
}

/// Waits until every program that was running has ended.
#[expect(unsafe_code, reason = "nix has no membarrier")]
///
/// # Panics
/// When the kernel does not.
pub fn wait_for_grace_period() {
    const GLOBAL: i32 = 1;
    // SAFETY: the call takes three integers and touches no memory of ours.
    let result = unsafe { nix::libc::syscall(nix::libc::SYS_membarrier, GLOBAL, 0, 0) };
    assert_eq!(result, 0, "membarrier");
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Struck {
    /// Slots written and led to.
    pub versions_written: u64,
    /// Times that the writer waited.
    pub grace_periods: u64,
    /// Answers that came out.
    pub answered: u64,
    /// Answers that hold another name's data.
    pub foreign: u64,
    /// Answers that mix versions, most often a body with the checksum of the next one.
    pub torn: u64,
    /// The first broken answer.
    pub example: Option<String>,
}

impl Struck {
    /// Broken answers.
    pub fn broken(&self) -> u64 {
        self.foreign + self.torn
    }
}

/// Publishes and retires on one thread and asks on another.
///
/// # Panics
/// When the kernel refuses.
pub fn strike(anvil: Anvil, reuse: Reuse, limit: Limit) -> Struck {
    // Two cores are two threads' worth: the other test waits.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock();
    let slots = anvil.names + anvil.spare;
    let mut store = OwnedStore::new(6, slots.div_ceil(BLOCK_SLOTS), NOW_BOOT_NS);
    set_listeners(&mut store.settings);
    let targets: Vec<Target> = (0..anvil.names).map(|i| target(i, &store)).collect();
    let Kernel { mut ebpf, settings: _settings, limits: _limits, buckets, answers } = Kernel::with_store(&store);
    let mut writer = Writer {
        answers: &answers,
        buckets: &buckets,
        bucket_shift: store.settings.bucket_shift,
        targets: &targets,
        published: vec![None; anvil.names],
        free: (0..slots).collect(),
        retired: Vec::new(),
        reuse,
        versions_written: 0,
        grace_periods: 0,
    };
    let done = AtomicBool::new(false);
    let mut struck = std::thread::scope(|scope| {
        scope.spawn(|| writer.work(anvil.spare, &done));
        let struck = ask(program(&mut ebpf, "resolver"), &targets, limit);
        done.store(true, Ordering::Relaxed);
        struck
    });
    struck.versions_written = writer.versions_written;
    struck.grace_periods = writer.grace_periods;
    eprintln!("{} names, reuse {reuse:?}: {struck:?}", anvil.names);
    struck
}

/// Asks for all names in turn up to a limit.
fn ask(resolver: &Xdp, targets: &[Target], limit: Limit) -> Struck {
    let mut struck = Struck::default();
    let start = Instant::now();
    let mut out = vec![0; 1024];
    for (i, target) in targets.iter().enumerate().cycle() {
        let is_enough = struck.broken() >= limit.broken || struck.answered >= limit.hits;
        if is_enough || i == 0 && start.elapsed() > limit.duration {
            break;
        }
        let mut options = TestRunOptions::new();
        options.data_in = Some(&target.query);
        options.data_out = Some(&mut out);
        let result = resolver.test_run(options).expect("test-run");
        if result.return_value != XDP_TX {
            continue;
        }
        struck.answered += 1;
        let frame = &out[..result.data_size_out as usize];
        if !target.said(frame) {
            let is_foreign = target.data(frame).any(|(name, _)| name != name_mark(i));
            *(if is_foreign { &mut struck.foreign } else { &mut struck.torn }) += 1;
            struck.example.get_or_insert_with(|| {
                let data = frame.get(target.query.len() - 4..).unwrap_or_default();
                format!(
                    "name {i}, from the type on: {}",
                    data.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
                )
            });
        }
    }
    struck
}

impl Target {
    /// Whether a frame is exactly the answer of the version which its own data name.
    fn said(&self, frame: &[u8]) -> bool {
        let version = self.data(frame).next().and_then(|(_, version)| self.versions.get(version as usize));
        version.is_some_and(|version| version.frame == frame)
    }

    /// What the data say, every eight bytes anew: the name's mark and the version. They follow the question, which is as
    /// long as the query's, and the 12 bytes before the data of a record.
    fn data<'f>(&self, frame: &'f [u8]) -> impl Iterator<Item = (u32, u32)> + use<'f> {
        let data = frame.get(self.query.len() + 12..).unwrap_or_default();
        data.as_chunks::<8>().0.iter().map(|chunk| {
            let [a, b, c, d, e, f, g, h] = *chunk;
            (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
        })
    }
}

/// Lines of each slot.
const SLOT_LINES: usize = 8;
/// Slots of a block.
const BLOCK_SLOTS: usize = SLOT_START_MAX / SLOT_LINES;
/// Length of the data of each answer, in bytes: as much as goes into 512 bytes without OPT, so that copying takes time.
const DATA_LEN: usize = 400;
/// Versions of each name, over and over.
const VERSIONS: u32 = 101;
const XDP_TX: u32 = 3;
