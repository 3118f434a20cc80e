//! What the daemon keeps, and for how long.

use super::option::{OptionSpec, number, value};

/// Answers kept by the daemon unless told otherwise.
/// Differs: dnsmasq keeps 150; its manual calls 10 000 a sane ceiling, and an entry costs about 1 kB.
pub const CACHE_SIZE: usize = 10_000;
/// Most answers that may be asked to be kept.
pub const CACHE_SIZE_MAX: usize = 10_000_000;

/// What the daemon keeps, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// `cache-size`, in answers: 0..=10 000 000; 0 keeps none.
    pub size: usize,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { size: CACHE_SIZE }
    }
}

/// The options.
pub(super) const OPTIONS: &[OptionSpec] =
    &[value("cache-size", "0..=10000000", "answers kept by the daemon (10000)", |config, value| {
        config.cache.size = number(value, 0, CACHE_SIZE_MAX)?;
        Ok(())
    })
    .letter('c')];
