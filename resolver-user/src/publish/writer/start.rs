//! How the thread's state is made: the program is loaded, goes on with what a daemon before us has left, and is told everything
//! before it is attached.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;

use bytemuck::Zeroable as _;
use resolver_ebpf::abi::{
    self, ABI_VERSION, LIMIT_OFF, LINE_LEN, Legacy, LimitRules, Place, SLOT_START_MAX, Settings, map_name,
};
use resolver_ebpf::limit::Limits;
use resolver_ebpf::serve::SharedWord;

use super::super::attach::{Attachments, NotAttached};
use super::super::clients::Clients;
use super::super::clock::{KernelClock, KernelTime};
use super::super::compare::Comparing;
use super::super::cookies::CookieSlots;
use super::super::endpoints::{self, Endpoints};
use super::super::memory::MappedArray;
use super::super::pins::PinDir;
use super::super::predecessor::{Basis, Predecessor};
use super::super::program::{Demand, FastPathConfig, FastPathError, Loaded};
use super::super::status::PublisherStatus;
use super::super::table::{Adopted, AnswerTable};
use super::super::{Watched, grace};
use super::{Delay, Writer};
use crate::clock::Clock;

/// Answers of ordinary size take this much of `ANSWERS`, in bytes.
/// Choice: an address takes 128, signed with ECDSA 256, a signed denial 400 to 1000; most clients of an edge gateway ask
/// with DO=0.
const TYPICAL_SLOT_LEN: u64 = 256;
/// Fewest blocks: so that each slot length finds one.
const BLOCKS_MIN: u64 = 16;
/// With `xdp-log`: one of so many passed queries is logged.
const LOG_ONE_IN: u32 = 16;

impl Writer {
    /// A thread's state, with the program attached and everything pinned.
    ///
    /// # Errors
    /// Any [`FastPathError`].
    pub(super) fn new(
        object: &[u8],
        config: &FastPathConfig,
        pins: PinDir,
        clock: Arc<dyn Clock>,
        retired: Sender<Vec<Place>>,
    ) -> Result<Self, FastPathError> {
        let (buckets, blocks) = dimensions(config.cache_size);
        let predecessor = Predecessor::find(&pins, buckets, blocks);
        let mut loaded = Loaded::load(object, config, pins, (buckets, blocks), predecessor.is_some())?;
        let mut table = AnswerTable::new(loaded.map_buckets()?, loaded.map_answers()?, blocks);
        let adopted = predecessor
            .as_ref()
            .map(|before| adopt(before, &config.basis, &mut table, &*clock))
            .transpose()?
            .unwrap_or_default();
        let (map, program) = loaded.take_clock()?;
        let kernel_clock = KernelClock::calibrate(map, program)?;
        let found = kernel_clock.sample(program)?.abi_version;
        if found != ABI_VERSION {
            return Err(FastPathError::Abi { found, expected: ABI_VERSION });
        }
        let time = kernel_clock.time(program)?;
        let settings = loaded.map_settings()?;
        let mut initial = initial_settings(config, &table, &kernel_clock, time);
        initial.hash_key = predecessor.map_or_else(rand::random, |before| before.hash_key());
        initial.legacy.map_ids = [loaded.map_id(map_name::BUCKETS)?, loaded.map_id(map_name::ANSWERS)?];
        store_settings(&settings, &initial);
        let (clients_v4, clients_v6) = loaded.take_clients()?;
        let clients = Clients::new(clients_v4, clients_v6);
        let log = config.log.then(|| super::super::log::start(loaded.ebpf_mut())).flatten();
        let mut writer = Self {
            attachments: Attachments::new(config, loaded.take_links()?),
            counters: Arc::new(loaded.take_counters()?),
            hash_key: initial.hash_key,
            loaded,
            table,
            settings,
            endpoints: Endpoints::default(),
            clients,
            cookies: CookieSlots::default(),
            kernel_clock,
            clock,
            log,
            retired,
            retiring: 0,
            crowded: Arc::default(),
            rotation_s: config.rotation_s,
            counts: first_counts(adopted),
            delay: Delay::default(),
            serving: config.serving,
            watched: Watched::default(),
            comparing: Comparing::default(),
            waiting: Arc::default(),
            buckets,
            blocks,
            generation: config.generation,
            next_tick_boot_ns: 0,
        };
        writer.serve(config.serving);
        // Nobody reads yet.
        writer.watch(Watched::default());
        writer.set_endpoints(&config.listen);
        writer.set_access(&config.access);
        writer.set_cookies(config.cookies);
        put_limits(&writer.loaded.map_limits()?, &config.limits);
        writer.tell_wall_time();
        writer.set_interfaces(&config.interfaces);
        writer.settled(config.demand)
    }

    /// The thread's state for good, unless it is not on an interface that is demanded.
    fn settled(mut self, demand: Demand) -> Result<Self, FastPathError> {
        let stops = |refusal: &NotAttached| match demand {
            Demand::Nothing => false,
            Demand::Fit => !matches!(refusal, NotAttached::Unfit(_)),
            Demand::All => true,
        };
        match self.attachments.take_refused().into_iter().find(|(_, refusal)| stops(refusal)) {
            Some((interface, source)) => Err(FastPathError::Refused { interface, source }),
            None => self.loaded.settle().map(|()| self),
        }
    }
}

/// Takes the answers of a daemon before us over into an empty table, or withdraws them if they rest on something else; then
/// waits until no program runs that has found what is gone. See [`super::predecessor`] for the order.
fn adopt(
    before: &Predecessor,
    basis: &Basis,
    table: &mut AnswerTable,
    clock: &dyn Clock,
) -> Result<Adopted, FastPathError> {
    let adopted = if before.rests_on(basis) {
        table.adopt(&before.hash_key(), clock.now().boot_ns)
    } else {
        before.disown();
        Adopted { dropped: table.disinherit(), ..Adopted::default() }
    };
    grace::wait().map_err(FastPathError::NoGracePeriod)?;
    let Adopted { kept, dropped, unsound } = adopted;
    tracing::info!(kept, dropped, unsound, "answers that XDP had from an earlier daemon");
    Ok(adopted)
}

/// What there is to tell before anything is published.
fn first_counts(Adopted { kept, dropped, unsound }: Adopted) -> PublisherStatus {
    PublisherStatus { adopted: kept, adopted_dropped: dropped, adopted_unsound: unsound, ..PublisherStatus::default() }
}

/// Buckets and blocks for so many answers of ordinary size.
///
/// Choice: four entries a bucket on average, of eight, and what finds no room stands in the partner. So the index takes half of the
/// memory, and of the caches, that two entries would take, and there is room for twice as many small answers.
pub fn dimensions(cache_size: u32) -> (u32, u32) {
    let buckets = (cache_size / 4).max(2).next_power_of_two();
    let usable_len = (SLOT_START_MAX * LINE_LEN) as u64;
    let blocks = (u64::from(cache_size) * TYPICAL_SLOT_LEN).div_ceil(usable_len).max(BLOCKS_MIN);
    (buckets, u32::try_from(blocks).unwrap_or(u32::MAX))
}

fn initial_settings(
    config: &FastPathConfig,
    table: &AnswerTable,
    kernel_clock: &KernelClock,
    time: KernelTime,
) -> Settings {
    let mut settings = Settings {
        abi_version: ABI_VERSION,
        mode: config.serving.kernel_mode(),
        bucket_shift: table.bucket_shift(),
        ttl_shown_s_max: config.ttl_shown_s_max.clamp(1, abi::FAST_TTL_S_MAX),
        log_one_in: if config.log { LOG_ONE_IN } else { 0 },
        limits: (config.limits.mode != LIMIT_OFF).into(),
        jiffy_ns: kernel_clock.jiffy_ns,
        boot_offset_ns: time.boot_offset_ns,
        offset_until_jiffies: time.until_jiffies,
        daemon_pid: std::process::id(),
        legacy: Legacy { basis: config.basis, ..Legacy::zeroed() },
        ..Settings::zeroed()
    };
    // They come in one by one, before the program is attached.
    endpoints::clear(&mut settings);
    settings
}

/// Puts rate limits in force, before anybody asks for them.
fn put_limits(table: &MappedArray, rules: &LimitRules) {
    if let Some(words) = <_ as AsRef<[SharedWord]>>::as_ref(table).first_chunk() {
        Limits(words).set_hash_key(rand::random());
        Limits(words).set_rules(rules);
    }
}

/// Writes all settings, the word that lets XDP answer last.
fn store_settings(memory: &MappedArray, settings: &Settings) {
    let words: &[u64; size_of::<Settings>() / 8] = bytemuck::must_cast_ref(settings);
    for (word, value) in memory.words().iter().zip(words).rev() {
        word.store(*value, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use resolver_ebpf::abi::{AnswerBlock, Bucket};

    use super::*;

    #[test]
    fn the_default_cache_stays_under_64_mib() {
        let (buckets, blocks) = dimensions(100_000);
        let bytes = buckets as usize * size_of::<Bucket>() + blocks as usize * size_of::<AnswerBlock>();
        assert!(bytes < 64 << 20, "{bytes}");
        assert!(dimensions(1).0 >= 2 && dimensions(u32::MAX / 4).0.is_power_of_two());
    }
}
