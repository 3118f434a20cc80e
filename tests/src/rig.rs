//! Rig 1 (benchmarks.md): the fast path against a bare reflector, on one core, over a veth pair in a namespace of its own.
//!
//! In: a [`Load`]: what is published and what is asked. Out: answers per second of the program under test and of the
//! reflector, taken in turns, so that a noisy machine disturbs both alike.
//! Refuses to count a run in which sent, answered and sunk differ.

use std::fmt;
use std::process::Command;
use std::time::Instant;

use aya::maps::{Array, Map, PerCpuArray};
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, XdpMode};
use aya::{Ebpf, EbpfLoader};
use nix::sched::{CloneFlags, CpuSet, sched_setaffinity, unshare};
use nix::unistd::Pid;
use resolver_ebpf::abi::bench::{BenchCounters, BenchSettings, FRAME_START_MAX, FrameBlock, bench_map_name};
use resolver_ebpf::abi::{LINE_LEN, Place};
use resolver_ebpf::host::OwnedStore;

use crate::kernel::{Kernel, MappedMap, object_path, program};

/// What is published and what is asked.
#[derive(Debug)]
pub struct Load {
    /// Published answers, listeners and settings.
    pub store: OwnedStore,
    /// Frames that the generator chooses from, all of the same length.
    pub frames: Vec<Vec<u8>>,
    /// Which frame is sent in which turn, over and over; a power of two of them.
    pub sequence: Vec<u32>,
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
    let mut cpus = CpuSet::new();
    cpus.set(cpu).expect("a CPU");
    sched_setaffinity(Pid::from_raw(0), &cpus).expect("move to the CPU");
    unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
    // No IPv6 of its own, lest the kernel's neighbour discovery is counted among the frames of a run.
    let link = "link add kdev-gen type veth peer name kdev-sut";
    let [gen_quiet, sut_quiet] = INTERFACES.map(|name| format!("link set {name} addrgenmode none up"));
    for command in [link, &gen_quiet, &sut_quiet] {
        let status = Command::new("ip").args(command.split(' ')).status().expect("run ip");
        assert!(status.success(), "ip {command}");
    }
}

/// The rig with a load.
#[derive(Debug)]
pub struct Rig {
    /// The program under test.
    pub kernel: Kernel,
    /// What was measured so far.
    pub rates: Rates,
    bench: Ebpf,
    frame: Vec<u8>,
    is_answered: bool,
    generator_index: u32,
    // They keep the memory mapped for as long as the programs run.
    _maps: [MappedMap; 2],
}

impl Rig {
    /// Loads everything. The thread has [`enter`]ed a namespace.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn new(load: &Load) -> Self {
        let kernel = Kernel::with_store(&load.store);
        let frame_lines = load.frames[0].len().div_ceil(LINE_LEN);
        let per_block = (FRAME_START_MAX + 1) / frame_lines;
        let blocks = load.frames.len().div_ceil(per_block);
        let mut loader = EbpfLoader::new();
        loader.map_max_entries(bench_map_name::QUERIES, blocks as u32);
        loader.map_max_entries(bench_map_name::SEQUENCE, load.sequence.len() as u32);
        let mut bench = loader.load_file(object_path("bench")).expect("load the bench object");
        for name in ["generate", "reflect", "sink", "pass"] {
            program(&mut bench, name).load().unwrap_or_else(|error| panic!("load {name}: {error}"));
        }
        let place = |i: usize| Place::new((i / per_block) as u32, (i % per_block * frame_lines) as u32);
        let mapped = |name: &str, bytes: usize| match bench.map(name) {
            Some(Map::Array(map)) => MappedMap::new(map, bytes),
            other => panic!("{name} is {other:?}"),
        };
        let queries = mapped(bench_map_name::QUERIES, blocks * size_of::<FrameBlock>());
        for (i, frame) in load.frames.iter().enumerate() {
            let at = (place(i).block() as usize * 1024 + place(i).line() as usize) * LINE_LEN / 8;
            for (word, bytes) in queries.words()[at..].iter().zip(frame.chunks(8)) {
                word.store(resolver_ebpf::wire::name::word_of(bytes));
            }
        }
        let sequence = mapped(bench_map_name::SEQUENCE, load.sequence.len() * 4);
        sequence.fill(load.sequence.chunks(2).map(|pair| {
            let [low, high] = [pair[0], pair[1]].map(|i| u64::from(place(i as usize).bits));
            high << 32 | low
        }));
        let settings = BenchSettings {
            sequence_mask: load.sequence.len() as u32 - 1,
            frame_words: load.frames[0].len().div_ceil(8) as u32,
        };
        let word: u64 = bytemuck::must_cast(settings);
        let mut map: Array<_, u64> =
            bench.map_mut(bench_map_name::BENCH_SETTINGS).expect("settings").try_into().expect("an array");
        map.set(0, word, 0).expect("write the settings");
        program(&mut bench, "sink").attach("kdev-gen", XdpMode::Driver).expect("attach the sink");
        let generator_index = nix::net::if_::if_nametoindex("kdev-gen").expect("the interface");
        let mut frame = load.frames[0].clone();
        frame.resize(frame.len().next_multiple_of(8), 0);
        Self {
            kernel,
            rates: Rates::default(),
            bench,
            frame,
            is_answered: load.is_answered,
            generator_index,
            _maps: [queries, sequence],
        }
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
        let link = program(&mut self.bench, name).attach("kdev-sut", XdpMode::Driver).expect("attach the baseline");
        let run = self.run(frames);
        program(&mut self.bench, name).detach(link).expect("detach the baseline");
        // The bare pass counts nothing: that none came back is all that is known.
        let served = if self.is_answered { run.counted.reflected } else { run.counted.sent };
        self.judge(frames, &run, served, run.counted.queries)
    }

    /// One run through the program under test.
    fn run_ours(&mut self, frames: u32) -> Result<f64, VoidRun> {
        let link = program(&mut self.kernel.ebpf, "resolver").attach("kdev-sut", XdpMode::Driver).expect("attach ours");
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
        self.send(WARM_UP_FRAMES);
        let (served_before, before) = (self.kernel.counters(), self.counted());
        let start = Instant::now();
        self.send(frames);
        let elapsed = start.elapsed();
        let (served, after) = (self.kernel.counters(), self.counted());
        let mut counted = [0u64; 7];
        let (after, before): ([u64; 7], [u64; 7]) = (bytemuck::must_cast(after), bytemuck::must_cast(before));
        for (i, count) in counted.iter_mut().enumerate() {
            *count = after[i] - before[i];
        }
        Run {
            rate: f64::from(frames) / elapsed.as_secs_f64(),
            counted: bytemuck::must_cast(counted),
            answered: served.answered() - served_before.answered(),
            seen: served.frames() - served_before.frames(),
        }
    }

    /// Runs the generator.
    fn send(&mut self, frames: u32) {
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let context = [0, self.frame.len() as u32, 0, self.generator_index, 0, 0];
        let mut options = TestRunOptions::new();
        options.data_in = Some(&self.frame);
        options.ctx_in = Some(bytemuck::must_cast_slice(&context));
        options.repeat = frames;
        options.attrs = TestRunAttrs::new().xdp_live_frames(64);
        program(&mut self.bench, "generate").test_run(options).expect("run the generator");
    }

    /// What the rig's programs counted so far.
    fn counted(&self) -> BenchCounters {
        let map = self.bench.map(bench_map_name::BENCH_COUNTERS).expect("counters");
        let map: PerCpuArray<_, [u64; 7]> = map.try_into().expect("a per-CPU array");
        let mut total = [0u64; 7];
        for cpu in map.get(&0, 0).expect("read the counters").iter() {
            for (sum, value) in total.iter_mut().zip(cpu) {
                *sum += value;
            }
        }
        bytemuck::must_cast(total)
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
const INTERFACES: [&str; 2] = ["kdev-gen", "kdev-sut"];
/// Void runs in a row after which a load is given up.
const VOID_RUNS_MAX: usize = 8;
/// Frames sent before a run, which do not count.
const WARM_UP_FRAMES: u32 = 20_000;
