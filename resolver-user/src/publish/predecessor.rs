//! What a daemon before us has left pinned, and whether we can go on with it.
//!
//! In: a [`PinDir`] that is ours now. Out: a [`Predecessor`], if its maps are of our layout and size and belong together.
//! We always load our own program with settings and lists of our own; what is kept is the answers, clients' budgets, and all
//! that was counted ([`kept`]). What may be answered by tags is not: it is a fact of the machine, found out anew before our
//! program is on any interface.
//! The old program goes on with the old settings until the new one takes its place on an interface, in one step: so nobody is
//! answered by half a configuration, and endpoints, access lists and modes need no care of their own.
//!
//! What answers rest on is compared before they are kept; if it is another, they are withdrawn first:
//!
//! 1. the old settings are disowned: should we die from here on, nobody takes over what is left;
//! 2. every entry is cleared, and the old program finds nothing more;
//! 3. no program runs any more that had found something (grace period);
//! 4. the new program takes the old one's place, and the first answer of today's is published after that;
//! 5. the new settings, which say what today's answers rest on, are pinned in place of the old ones, last of all.
//!
//! Wherever a daemon dies in between, the pinned settings never say of answers that they rest on what they do not.
//! Refuses to look into the answers; see [`super::table::AnswerTable::adopt`].

use std::fmt;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::Ordering;

use aya::maps::{MapData, MapInfo, MapType};
use resolver_ebpf::abi::{
    ABI_VERSION, AnswerBlock, BASIS_UNKNOWN, BASIS_WORDS, Bucket, CookieCounters, Counters, HASH_KEY_WORDS, Latency,
    Legacy, LimitLog, LimitTable, Settings, Watch, map_name,
};

use super::memory::MappedArray;
use super::pins::PinDir;

/// Maps of one element that go from daemon to daemon, with its length: budgets, so that no restart gives a flood new ones, and
/// what was counted, so that counters only rise.
const SINGLE: [(&str, usize); 6] = [
    (map_name::LIMITS, size_of::<LimitTable>()),
    (map_name::LIMIT_LOG, size_of::<LimitLog>()),
    (map_name::COUNTERS, size_of::<Counters>()),
    (map_name::COOKIES, size_of::<CookieCounters>()),
    (map_name::LATENCY, size_of::<Latency>()),
    (map_name::WATCH, size_of::<Watch>()),
];
/// What answers rest on, as a fingerprint.
pub type Basis = [u64; BASIS_WORDS];

/// Maps that go from daemon to daemon.
pub fn kept() -> impl Iterator<Item = &'static str> {
    [map_name::BUCKETS, map_name::ANSWERS].into_iter().chain(SINGLE.map(|(name, _)| name))
}

/// What was left, and fits.
pub struct Predecessor {
    memory: MappedArray,
    settings: Settings,
}

/// Why what was left cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unfit {
    /// A pin is missing, or leads to nothing that we may open.
    Missing(&'static str),
    /// The settings are of another layout.
    Abi(u32),
    /// A map is of another kind or size.
    Shape(&'static str),
    /// The maps do not belong together: somebody died while they were replaced.
    Mixed,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(map) => write!(f, "{map} is not pinned, or not ours to open"),
            Self::Abi(found) => write!(f, "their layout is {found}, ours is {ABI_VERSION}"),
            Self::Shape(map) => write!(f, "{map} has another size"),
            Self::Mixed => f.write_str("they do not belong together"),
        }
    }
}

impl Predecessor {
    /// What is pinned, if it has so many buckets and blocks. What does not fit is left alone.
    pub fn find(pins: &PinDir, buckets: u32, blocks: u32) -> Option<Self> {
        let found = read(&pins.at("maps", ""), buckets, blocks);
        found.inspect_err(|unfit| tracing::info!(reason = %unfit, "no maps of an earlier daemon are taken over")).ok()
    }

    /// The key that its answers are hashed with.
    pub fn hash_key(&self) -> [u64; HASH_KEY_WORDS] {
        self.settings.hash_key
    }

    /// Whether its answers rest on this.
    pub fn rests_on(&self, basis: &Basis) -> bool {
        *basis != BASIS_UNKNOWN && self.settings.legacy.basis == *basis
    }

    /// Sees to it that nobody takes its answers over.
    pub fn disown(&self) {
        store_basis(&self.memory, &BASIS_UNKNOWN);
    }
}

/// Stores what answers rest on into settings in use. Half stored it equals no fingerprint: it is part of one, or of two.
pub fn store_basis(settings: &MappedArray, basis: &Basis) {
    let at = (std::mem::offset_of!(Settings, legacy) + std::mem::offset_of!(Legacy, basis)) / 8;
    for (word, value) in settings.words()[at..].iter().zip(basis) {
        word.store(*value, Ordering::Release);
    }
}

/// Process number of the daemon whose settings are pinned in a folder, as far as that can be known.
pub fn daemon_pid(maps: &Path) -> Option<u32> {
    let (_, settings) = pinned_settings(maps).ok()?;
    (settings.abi_version == ABI_VERSION).then_some(settings.daemon_pid)
}

fn read(maps: &Path, buckets: u32, blocks: u32) -> Result<Predecessor, Unfit> {
    let (memory, settings) = pinned_settings(maps)?;
    if settings.abi_version != ABI_VERSION {
        return Err(Unfit::Abi(settings.abi_version));
    }
    let info = |name, value_len, entries| shaped(maps, name, value_len, entries);
    let ids = [
        info(map_name::BUCKETS, size_of::<Bucket>(), buckets)?.id(),
        info(map_name::ANSWERS, size_of::<AnswerBlock>(), blocks)?.id(),
    ];
    for (name, value_len) in SINGLE {
        info(name, value_len, 1)?;
    }
    let belongs = settings.legacy.map_ids == ids && settings.bucket_shift == u64::BITS - buckets.trailing_zeros();
    if belongs { Ok(Predecessor { memory, settings }) } else { Err(Unfit::Mixed) }
}

/// The pinned settings: their memory, and what it holds.
fn pinned_settings(maps: &Path) -> Result<(MappedArray, Settings), Unfit> {
    let name = map_name::SETTINGS;
    shaped(maps, name, size_of::<Settings>(), 1)?;
    let map = MapData::from_pin(maps.join(name)).map_err(|_| Unfit::Missing(name))?;
    let memory = MappedArray::new(map.fd().as_fd(), size_of::<Settings>()).map_err(|_| Unfit::Shape(name))?;
    let mut words = [0u64; size_of::<Settings>() / 8];
    for (value, word) in words.iter_mut().zip(memory.words()) {
        *value = word.load(Ordering::Acquire);
    }
    Ok((memory, bytemuck::must_cast(words)))
}

/// A pinned map, if it is an array with so many elements of this length.
fn shaped(maps: &Path, name: &'static str, value_len: usize, entries: u32) -> Result<MapInfo, Unfit> {
    let info = MapInfo::from_pin(maps.join(name)).map_err(|_| Unfit::Missing(name))?;
    let is_array = matches!(info.map_type(), Ok(MapType::Array | MapType::PerCpuArray));
    let fits = is_array && info.value_size() as usize == value_len && info.max_entries() == entries;
    if fits { Ok(info) } else { Err(Unfit::Shape(name)) }
}
