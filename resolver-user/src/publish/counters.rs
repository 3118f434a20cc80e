//! What the kernel half has counted, summed over all CPUs. May be read by any thread.

use std::{fmt, io};

use aya::maps::{MapData, MapError, PerCpuArray};
use resolver_ebpf::abi::{
    COOKIE_VERDICTS, CookieCounters, Counters, LATENCY_BUCKETS, LIMIT_LEVELS, Latency, LimitLog, OUTCOMES, Outcome,
    Watch, map_name,
};

use super::pod::Shared;
use super::program::FastPathError;
use crate::metrics::Durations;

/// The per-CPU maps that the kernel half counts into.
pub struct KernelCounters {
    pub(super) counters: PerCpuArray<MapData, Shared<Counters>>,
    pub(super) cookies: PerCpuArray<MapData, Shared<CookieCounters>>,
    pub(super) latency: PerCpuArray<MapData, Shared<Latency>>,
    pub(super) limit_log: PerCpuArray<MapData, Shared<LimitLog>>,
    pub(super) watch: PerCpuArray<MapData, Shared<Watch>>,
}

impl KernelCounters {
    /// Frames by outcome.
    ///
    /// # Errors
    /// [`FastPathError::Map`].
    pub fn outcomes(&self) -> Result<[u64; OUTCOMES], FastPathError> {
        let values = self.counters.get(&0, 0).map_err(|error| failed(map_name::COUNTERS, error))?;
        let mut sums = [0; OUTCOMES];
        for value in values.iter() {
            for (sum, count) in sums.iter_mut().zip(value.0.as_array()) {
                *sum += count;
            }
        }
        Ok(sums)
    }

    /// Answers with cookies, by verdict.
    ///
    /// # Errors
    /// [`FastPathError::Map`].
    pub fn cookies(&self) -> Result<[u64; COOKIE_VERDICTS], FastPathError> {
        let values = self.cookies.get(&0, 0).map_err(|error| failed(map_name::COOKIES, error))?;
        let mut sums = [0; COOKIE_VERDICTS];
        for value in values.iter() {
            for (sum, count) in sums.iter_mut().zip(value.0.as_array()) {
                *sum += count;
            }
        }
        Ok(sums)
    }

    /// Frames seen, and how long the timed ones among the answered took.
    ///
    /// # Errors
    /// [`FastPathError::Map`].
    pub fn latency(&self) -> Result<(u64, Durations), FastPathError> {
        let values = self.latency.get(&0, 0).map_err(|error| failed(map_name::LATENCY, error))?;
        let (mut frames, mut sum_ns, mut buckets) = (0, 0, [0; LATENCY_BUCKETS]);
        for Shared(cpu) in values.iter() {
            frames += cpu.frames;
            sum_ns += cpu.sum_ns;
            for (sum, count) in buckets.iter_mut().zip(cpu.buckets) {
                *sum += count;
            }
        }
        Ok((frames, Durations { buckets, sum_ns }))
    }

    /// Answers over a limit that only logs, by level.
    ///
    /// # Errors
    /// [`FastPathError::Map`].
    pub fn over_limit(&self) -> Result<[u64; LIMIT_LEVELS], FastPathError> {
        let values = self.limit_log.get(&0, 0).map_err(|error| failed(map_name::LIMIT_LOG, error))?;
        Ok(std::array::from_fn(|level| values.iter().filter_map(|Shared(cpu)| cpu.over.get(level)).sum()))
    }

    /// Answers told of one by one, and those for which there was no room.
    ///
    /// # Errors
    /// [`FastPathError::Map`].
    pub fn told(&self) -> Result<(u64, u64), FastPathError> {
        let values = self.watch.get(&0, 0).map_err(|error| failed(map_name::WATCH, error))?;
        Ok(values.iter().fold((0, 0), |(told, lost), Shared(cpu)| (told + cpu.told, lost + cpu.lost)))
    }

    /// Queries answered by XDP; none if the map cannot be read.
    pub fn answered(&self) -> Option<u64> {
        let sums = self.outcomes().ok()?;
        Some(Outcome::ALL.iter().zip(sums).filter(|((outcome, _), _)| outcome.is_answer()).map(|(_, sum)| sum).sum())
    }
}

impl fmt::Debug for KernelCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelCounters").finish_non_exhaustive()
    }
}

fn failed(name: &'static str, error: MapError) -> FastPathError {
    FastPathError::Map { name, source: io::Error::other(error) }
}
