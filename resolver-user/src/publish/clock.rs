//! Tells the kernel half the time: it counts jiffies, because reading a clock costs it half of an answer.
//!
//! A jiffy's length is measured, not assumed. The offset between jiffies and CLOCK_BOOTTIME is taken from one run of the
//! `clock` program, which reads both at once, and refreshed by [`KernelClock::sample`] several times a second, since
//! jiffies stop in suspend. After a resume the kernel half can therefore be late by the time slept, but only until the
//! next refresh. Where none comes, because the daemon is gone, the kernel half reads the clock itself after [`CLOCK_HOLDS_S`].

use std::thread;
use std::time::Duration;

use aya::maps::{MapData, PerCpuArray};
use aya::programs::{ProgramError, TestRun as _, TestRunOptions, Xdp};
use resolver_ebpf::abi::{CLOCK_HOLDS_S, ClockSample};
use thiserror::Error;

use super::pod::Shared;
use crate::clock::NS_PER_S;

/// Tick rates that Linux can be built with on the machines we run on, in Hz (kernel/Kconfig.hz, arch/arm/Kconfig).
const TICK_RATES_HZ: [u64; 6] = [100, 200, 250, 300, 500, 1000];
/// Jiffies over which the length of one is measured.
const MEASURED_JIFFIES: u64 = 16;
/// Test runs before giving up on a standing clock: with a pause of 0.2 ms, well over a second.
const SAMPLES_MAX: u32 = 10_000;

/// Why the kernel's clock cannot be used.
#[derive(Debug, Error)]
pub enum ClockError {
    /// The clock program cannot be run.
    #[error("the clock program does not run: {0}")]
    Run(#[from] Box<ProgramError>),
    /// Its result cannot be read.
    #[error("the clock sample cannot be read: {0}")]
    Read(#[from] Box<aya::maps::MapError>),
    /// Jiffies do not advance.
    #[error("jiffies do not advance")]
    Standing,
    /// The measured tick rate is none that Linux has.
    #[error("a jiffy of {measured_ns} ns fits no tick rate of Linux")]
    TickRate {
        /// Measured length of a jiffy, in nanoseconds.
        measured_ns: u64,
    },
}

/// What the kernel half is told about the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelTime {
    /// [`resolver_ebpf::abi::Settings::boot_offset_ns`].
    pub boot_offset_ns: u64,
    /// [`resolver_ebpf::abi::Settings::offset_until_jiffies`].
    pub until_jiffies: u64,
}

/// Reads the kernel's clocks through the `clock` program.
pub struct KernelClock {
    map: PerCpuArray<MapData, Shared<ClockSample>>,
    /// Length of a jiffy, in nanoseconds.
    pub jiffy_ns: u64,
}

impl KernelClock {
    /// Measures the length of a jiffy; takes less than twenty of them.
    ///
    /// # Errors
    /// Any [`ClockError`].
    pub fn calibrate(map: PerCpuArray<MapData, Shared<ClockSample>>, program: &mut Xdp) -> Result<Self, ClockError> {
        let mut clock = Self { map, jiffy_ns: 0 };
        let first = clock.next_edge(program, 1)?;
        let last = clock.next_edge(program, MEASURED_JIFFIES)?;
        let jiffies = last.jiffies.wrapping_sub(first.jiffies).max(1);
        let measured_ns = last.boot_ns.saturating_sub(first.boot_ns) / jiffies;
        let lengths = TICK_RATES_HZ.map(|rate| NS_PER_S / rate);
        let closest = lengths.into_iter().min_by_key(|length| length.abs_diff(measured_ns)).unwrap_or(measured_ns);
        if closest.abs_diff(measured_ns) > closest / 8 {
            return Err(ClockError::TickRate { measured_ns });
        }
        clock.jiffy_ns = closest;
        Ok(clock)
    }

    /// What the kernel half has to be told now.
    ///
    /// One jiffy is added, since the sample may have been taken anywhere in one: the kernel half's time is then ahead of
    /// ours by up to two jiffies, and behind only where a timer tick comes late. So no TTL of XDP is higher than the
    /// daemon's, nor served any longer, but for such a delay.
    ///
    /// # Errors
    /// `Run` or `Read`.
    pub fn time(&self, program: &mut Xdp) -> Result<KernelTime, ClockError> {
        let sample = self.sample(program)?;
        let jiffy_start_ns = sample.jiffies.wrapping_mul(self.jiffy_ns);
        Ok(KernelTime {
            boot_offset_ns: sample.boot_ns.wrapping_sub(jiffy_start_ns).wrapping_add(self.jiffy_ns),
            until_jiffies: sample.jiffies.saturating_add(CLOCK_HOLDS_S * NS_PER_S / self.jiffy_ns),
        })
    }

    /// Runs the clock program once.
    ///
    /// # Errors
    /// `Run` or `Read`.
    pub fn sample(&self, program: &mut Xdp) -> Result<ClockSample, ClockError> {
        let frame = [0u8; 64];
        let options = TestRunOptions { data_in: Some(&frame), ..TestRunOptions::default() };
        program.test_run(options).map_err(Box::new)?;
        let values = self.map.get(&0, 0).map_err(Box::new)?;
        // Only the CPU that ran the program last has a new sample; boot time only grows.
        let newest = values.iter().map(|value| value.0).max_by_key(|sample| sample.boot_ns);
        newest.ok_or(ClockError::Standing)
    }

    /// The first sample seen after `jiffies` more have begun.
    fn next_edge(&self, program: &mut Xdp, jiffies: u64) -> Result<ClockSample, ClockError> {
        let start = self.sample(program)?;
        for _ in 0..SAMPLES_MAX {
            let sample = self.sample(program)?;
            if sample.jiffies.wrapping_sub(start.jiffies) >= jiffies {
                return Ok(sample);
            }
            thread::sleep(Duration::from_micros(200));
        }
        Err(ClockError::Standing)
    }
}
