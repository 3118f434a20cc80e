//! Rig 1 (benchmarks.md): the fast path against a bare reflector, on one core, over a veth pair in a namespace of its own.
//!
//! In: a [`Load`]: what is published and what is asked. Out: answers per second of the program under test and of the
//! reflector, taken in turns, so that a noisy machine disturbs both alike.
//! Refuses to count a run in which sent, answered and sunk differ.

use std::fmt;
use std::time::Instant;

use aya::programs::XdpMode;
use resolver_ebpf::abi::bench::BenchCounters;
use resolver_ebpf::host::OwnedStore;

use super::generator::{Frames, Generator, counted_since};
use super::place;
use crate::kernel::{Kernel, program};
use crate::netns;

/// What is published and what is asked.
#[derive(Debug)]
pub struct Load {
    /// Published answers, listeners and settings.
    pub store: OwnedStore,
    /// What is asked.
    pub frames: Frames,
    /// Whether the frames are answered; else they are passed, and the reflector makes room for a program that passes all.
    pub is_answered: bool,
}

/// Rates of one load.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    /// Frames per second through the program under test, one for each run.
    pub ours: Vec<f64>,
    /// Frames per second through the reflector, or the bare pass, one for each run.
    pub baseline: Vec<f64>,
    /// Runs that do not count.
    pub void_runs: usize,
}

/// What was counted in a run that is void.
#[derive(Clone, Copy, Debug)]
pub struct VoidRun {
    /// Frames that the generator sent.
    pub sent: u64,
    /// Frames that the program at the other end answered, or saw if it was to pass them.
    pub served: u64,
    /// Frames that came back as they should, and, if none should, those that came back at all.
    pub sunk: u64,
}

impl fmt::Display for VoidRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sent {}, served {}, sunk {}", self.sent, self.served, self.sunk)
    }
}

/// Moves this thread into a network namespace of its own with a veth pair, and to one CPU.
///
/// # Panics
/// When it may not.
pub fn enter(cpu: usize) {
    place::move_to_cpu(cpu);
    netns::enter_new();
    place::add_pair(INTERFACES);
}

/// The rig with a load.
#[derive(Debug)]
pub struct Rig {
    /// The program under test.
    pub kernel: Kernel,
    /// What was measured so far.
    pub rates: Rates,
    generator: Generator,
    is_answered: bool,
}

impl Rig {
    /// Loads everything. The thread has [`enter`]ed a namespace.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn new(load: &Load) -> Self {
        Self::with_kernel(Kernel::with_store(&load.store), &load.frames, load.is_answered)
    }

    /// Makes a rig of a kernel half that is loaded and filled.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn with_kernel(kernel: Kernel, frames: &Frames, is_answered: bool) -> Self {
        let [generating, _] = INTERFACES;
        Self { kernel, rates: Rates::default(), generator: Generator::new(frames, generating), is_answered }
    }

    /// Takes `runs` pairs of runs of `frames` frames each, into [`Rig::rates`].
    ///
    /// # Errors
    /// When frames were lost or wrongly answered in too many runs in a row.
    pub fn measure(&mut self, runs: usize, frames: u32) -> Result<(), VoidRun> {
        for _ in 0..runs {
            let baseline = self.retry(|rig| rig.run_baseline(frames))?;
            let ours = self.retry(|rig| rig.run_ours(frames))?;
            self.rates.baseline.push(baseline);
            self.rates.ours.push(ours);
        }
        Ok(())
    }

    /// Takes a run again when it is void: another task on the core makes a ring of 256 frames overflow.
    fn retry(&mut self, run: impl Fn(&mut Self) -> Result<f64, VoidRun>) -> Result<f64, VoidRun> {
        let mut void_in_a_row = 0;
        loop {
            match run(self) {
                Err(void) => {
                    self.rates.void_runs += 1;
                    void_in_a_row += 1;
                    if void_in_a_row == VOID_RUNS_MAX {
                        return Err(void);
                    }
                }
                rate => return rate,
            }
        }
    }

    /// One run through the reflector, or the bare pass.
    fn run_baseline(&mut self, frames: u32) -> Result<f64, VoidRun> {
        let name = if self.is_answered { "reflect" } else { "pass" };
        let programs = self.generator.programs();
        let link = program(programs, name).attach(TESTED, XdpMode::Driver).expect("attach the baseline");
        let run = self.run(frames);
        program(self.generator.programs(), name).detach(link).expect("detach the baseline");
        // The bare pass counts nothing: that none came back is all that is known.
        let served = if self.is_answered { run.counted.reflected } else { run.counted.sent };
        self.judge(frames, &run, served, run.counted.queries)
    }

    /// One run through the program under test.
    ///
    /// # Errors
    /// When frames were lost or wrongly answered.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn run_ours(&mut self, frames: u32) -> Result<f64, VoidRun> {
        let link = program(&mut self.kernel.ebpf, "resolver").attach(TESTED, XdpMode::Driver).expect("attach ours");
        let run = self.run(frames);
        program(&mut self.kernel.ebpf, "resolver").detach(link).expect("detach ours");
        let served = if self.is_answered { run.answered } else { run.seen - run.answered };
        self.judge(frames, &run, served, run.counted.noerror)
    }

    /// Holds the counts of a run against each other.
    fn judge(&self, frames: u32, run: &Run, served: u64, sunk: u64) -> Result<f64, VoidRun> {
        let counted = run.counted;
        let back = counted.noerror + counted.nxdomain + counted.other_rcode + counted.queries + counted.other;
        let frames = u64::from(frames);
        let wanted = if self.is_answered { frames } else { 0 };
        let is_whole = counted.sent == frames && served == frames && sunk == wanted && back == wanted;
        if is_whole {
            Ok(run.rate)
        } else {
            Err(VoidRun { sent: counted.sent, served, sunk: if self.is_answered { sunk } else { back } })
        }
    }

    /// Sends `frames` frames, after as many as it takes to warm up, and gives the rate and what was counted.
    fn run(&mut self, frames: u32) -> Run {
        self.generator.send(WARM_UP_FRAMES);
        let (served_before, before) = (self.kernel.counters(), self.generator.counted());
        let start = Instant::now();
        self.generator.send(frames);
        let elapsed = start.elapsed();
        let (served, after) = (self.kernel.counters(), self.generator.counted());
        Run {
            rate: f64::from(frames) / elapsed.as_secs_f64(),
            counted: counted_since(before, after),
            answered: served.answered() - served_before.answered(),
            seen: served.frames() - served_before.frames(),
        }
    }
}

/// One run.
struct Run {
    /// Frames per second.
    rate: f64,
    /// What the programs of the rig counted.
    counted: BenchCounters,
    /// What the program under test answered.
    answered: u64,
    /// What the program under test saw.
    seen: u64,
}

/// The generator's end of the veth pair and the other.
const INTERFACES: [&str; 2] = ["kdev-gen", TESTED];
/// The end where the program under test is.
const TESTED: &str = "kdev-sut";
/// Void runs in a row after which a load is given up.
const VOID_RUNS_MAX: usize = 8;
/// Frames sent before a run, which do not count.
const WARM_UP_FRAMES: u32 = 20_000;
