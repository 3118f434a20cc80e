//! The maps of a running daemon, by their pins: read, and damaged, as somebody with a debugger might.

use std::path::Path;

use aya::maps::{Map, MapData, PerCpuArray};
use resolver_ebpf::abi::{AnswerBlock, Bucket, BucketEntry, LINE_LEN, OUTCOMES, Outcome, SLOT_WORDS_MAX, map_name};
use resolver_ebpf::serve::SharedWord;
use resolver_ebpf::slot;
use resolver_user::wire::Name;

use crate::kernel::MappedMap;

/// `BUCKETS` and `ANSWERS` of a daemon.
#[derive(Debug)]
pub struct PinnedAnswers {
    buckets: MappedMap,
    answers: MappedMap,
}

/// Where a published answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its entry, among all words of `BUCKETS`.
    pub entry_at: usize,
    /// Its slot, among all words of `ANSWERS`.
    pub slot_at: usize,
}

impl PinnedAnswers {
    /// Opens the maps in a directory of pins.
    ///
    /// # Panics
    /// If they are not there.
    pub fn open(pins: &Path) -> Self {
        Self {
            buckets: mapped(pins, map_name::BUCKETS, size_of::<Bucket>()),
            answers: mapped(pins, map_name::ANSWERS, size_of::<AnswerBlock>()),
        }
    }

    /// The answer to a question, for DO=0 or DO=1.
    pub fn find(&self, qname: &str, qtype: u16, dnssec_ok: bool) -> Option<Published> {
        let wanted: Name = qname.to_ascii_lowercase().parse().ok()?;
        self.all().find(|published| {
            let words = self.slot(*published);
            slot::read(&words).is_some_and(|view| {
                let is_for_do = view.head.flags & resolver_ebpf::abi::FLAG_DO != 0;
                view.name == wanted.wire() && view.head.qtype == qtype && is_for_do == dnssec_ok
            })
        })
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = Published> + '_ {
        self.buckets.words().iter().enumerate().filter_map(|(entry_at, word)| {
            let entry: BucketEntry = bytemuck::cast(word.load());
            let line = entry.place.block() as usize * resolver_ebpf::abi::BLOCK_LINES + entry.place.line() as usize;
            (!entry.place.is_none()).then_some(Published { entry_at, slot_at: line * LINE_LEN / 8 })
        })
    }

    /// A word of an answer's slot.
    pub fn word(&self, published: Published, at: usize) -> &SharedWord {
        &self.answers.words()[published.slot_at + at]
    }

    /// An entry of the index.
    pub fn entry(&self, published: Published) -> &SharedWord {
        &self.buckets.words()[published.entry_at]
    }

    fn slot(&self, published: Published) -> [u64; SLOT_WORDS_MAX] {
        std::array::from_fn(|at| self.answers.words().get(published.slot_at + at).map_or(0, SharedWord::load))
    }
}

/// Queries that XDP has answered so far: with or without a daemon.
///
/// # Panics
/// If its counters are not pinned.
pub fn answered(pins: &Path) -> u64 {
    let pin = pins.join("maps").join(map_name::COUNTERS);
    let map = MapData::from_pin(&pin).unwrap_or_else(|error| panic!("{}: {error}", pin.display()));
    let map: PerCpuArray<_, [u64; OUTCOMES]> = Map::PerCpuArray(map).try_into().expect("a per-CPU array");
    let per_cpu = map.get(&0, 0).expect("read COUNTERS");
    let outcomes = |cpu: &[u64; OUTCOMES]| {
        Outcome::ALL
            .iter()
            .zip(*cpu)
            .filter(|((outcome, _), _)| outcome.is_answer())
            .map(|(_, count)| count)
            .sum::<u64>()
    };
    per_cpu.iter().map(outcomes).sum()
}

fn mapped(pins: &Path, name: &str, element_len: usize) -> MappedMap {
    let path = pins.join("maps").join(name);
    let data = MapData::from_pin(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let elements = data.info().expect("map info").max_entries() as usize;
    MappedMap::new(&data, elements * element_len)
}
