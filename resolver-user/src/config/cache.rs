//! What the daemon keeps, and for how long.

use std::path::PathBuf;
use std::time::Duration;

use super::option::{OptionSpec, PATH, flag, number, path, perhaps, value};
use crate::cache::Keeping;
use crate::prefetch::{PREFETCH_PER_S, PREFETCH_PER_S_MAX};
use crate::wire::RecordType;

/// Answers kept by the daemon unless told otherwise.
/// Differs: dnsmasq keeps 150; its manual calls 10 000 a sane ceiling, and an entry costs about 1 kB.
pub const CACHE_SIZE: usize = 10_000;
/// Most answers that may be asked to be kept.
pub const CACHE_SIZE_MAX: usize = 10_000_000;
/// Longest `min-cache-ttl`, in seconds. dnsmasq takes more and means this.
pub const MIN_CACHE_TTL_S_MAX: u32 = 3600;
/// How long after its end an answer may be given with `use-stale-cache` alone, in seconds: dnsmasq's day.
pub const STALE_S: u64 = 86_400;
/// How often addresses of XDP's answers change places with `round-robin` alone, in seconds.
/// Choice: as often as a client asks again that has forgotten; each time costs a copy of each answer that was used.
pub const ROTATION_S: u32 = 5;
/// Longest TTL that may be asked for, in seconds (RFC 2181 §8).
pub(super) const TTL_S_MAX: u32 = i32::MAX.unsigned_abs();
/// What a TTL may be.
pub(super) const TTL: &str = "seconds, 0..=2147483647";

/// What the daemon keeps, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// `cache-size`, in answers: 0..=10 000 000; 0 keeps none.
    pub size: usize,
    /// For how long answers are kept, and which TTLs are shown.
    pub keeping: Keeping,
    /// `prefetch`: how many popular answers a second are found anew before their time is over: 0..=10 000; 0: none.
    pub prefetch_per_s: u32,
    /// `round-robin`: addresses of an answer change places; in XDP's once in so many seconds: 1..=3600.
    pub round_robin_s: Option<u32>,
    /// `cache-file`: where the cache is kept over a restart.
    pub file: Option<PathBuf>,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            size: CACHE_SIZE,
            keeping: Keeping::default(),
            prefetch_per_s: PREFETCH_PER_S,
            round_robin_s: None,
            file: None,
        }
    }
}

impl CacheConfig {
    /// How often addresses of XDP's answers change places, in seconds; 0: never.
    pub fn rotation_s(&self) -> u32 {
        self.round_robin_s.unwrap_or(0)
    }
}

/// The options.
pub(super) const OPTIONS: &[OptionSpec] = &[
    value("cache-size", "0..=10000000", "answers kept by the daemon (10000)", |config, value| {
        config.cache.size = number(value, 0, CACHE_SIZE_MAX)?;
        Ok(())
    })
    .letter('c'),
    value("min-cache-ttl", "seconds, 0..=3600", "keep answers at least so long, if proven so long", |config, value| {
        config.cache.keeping.ttl_s_min = number(value, 0, MIN_CACHE_TTL_S_MAX)?;
        Ok(())
    }),
    value("max-cache-ttl", TTL, "keep answers at most so long (one day); 0: no such limit", |config, value| {
        config.cache.keeping.ttl_s_max = limit(value)?;
        Ok(())
    }),
    value("max-ttl", TTL, "show clients no longer TTL; 0: no such limit", |config, value| {
        config.cache.keeping.shown_ttl_s_max = limit(value)?;
        Ok(())
    }),
    value("neg-ttl", TTL, "keep negative answers without a SOA so long (0)", |config, value| {
        config.cache.keeping.negative_ttl_s = number(value, 0, TTL_S_MAX)?;
        Ok(())
    }),
    flag("no-negcache", "keep no negative answers", |config| config.cache.keeping.keeps_negative = false).letter('N'),
    perhaps(
        "use-stale-cache",
        "nothing, or seconds, 0 for no limit",
        "give answers up to a day, or so long, after their end, and refresh them",
        |config, value| {
            let longest_s = match value {
                None | Some("") => STALE_S,
                Some(value) => number(value, 0, u64::from(TTL_S_MAX))?,
            };
            config.cache.keeping.stale_max =
                Some(if longest_s == 0 { Duration::MAX } else { Duration::from_secs(longest_s) });
            Ok(())
        },
    ),
    perhaps(
        "prefetch",
        "nothing, or 0..=10000; 0 is off",
        "find popular answers anew before their time is over, at most so many a second (100)",
        |config, value| {
            config.cache.prefetch_per_s = match value {
                None | Some("") => PREFETCH_PER_S,
                Some(value) => number(value, 0, PREFETCH_PER_S_MAX)?,
            };
            Ok(())
        },
    ),
    perhaps(
        "round-robin",
        "nothing, or seconds, 1..=3600",
        "let addresses of an answer change places: with each answer of the daemon, once in so many seconds (5) in XDP's",
        |config, value| {
            config.cache.round_robin_s = Some(match value {
                None | Some("") => ROTATION_S,
                Some(value) => number(value, 1, 3600)?,
            });
            Ok(())
        },
    ),
    flag("no-round-robin", "keep the order of addresses, which is the default", |config| {
        config.cache.round_robin_s = None;
    }),
    value("cache-file", PATH, "keep the cache in this file over a restart", |config, value| {
        config.cache.file = Some(path(value)?);
        Ok(())
    }),
    value("cache-rr", TYPES, "without effect: answers of all types are kept", |_, value| types(value).map(|_| ())),
];

/// What a list of types may be.
pub(super) const TYPES: &str = "record types, separated by commas: mnemonics, numbers, or ANY";

/// Reads a list of types.
pub(super) fn types(value: &str) -> Result<Vec<RecordType>, String> {
    let read = |text: &str| {
        let text = text.trim();
        let number = text.parse().map(RecordType);
        number.or_else(|_| text.parse()).map_err(|_| format!("\"{text}\" is no record type"))
    };
    value.split(',').map(read).collect()
}

/// A limit in seconds; 0 is none.
fn limit(value: &str) -> Result<Option<u32>, String> {
    Ok(Some(number(value, 0, TTL_S_MAX)?).filter(|&limit_s| limit_s > 0))
}
