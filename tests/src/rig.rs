//! Rig 1 (benchmarks.md): the fast path against a bare reflector, on one core, over a veth pair in a namespace of its own.
//!
//! In: a [`Load`]: what is published and what is asked. Out: answers per second of the program under test and of the
//! reflector, taken in turns, so that a noisy machine disturbs both alike.
//! Refuses to count a run in which sent, answered and sunk differ.

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
#[derive(Clone, Debug)]
pub struct Rates {
    /// Frames per second through the program under test, one for each run.
    pub ours: Vec<f64>,
    /// Frames per second through the reflector, or the bare pass, one for each run.
    pub baseline: Vec<f64>,
}

/// Why a run is void.
#[derive(Clone, Copy, Debug)]
pub struct VoidRun {
    /// What the programs of the rig counted.
    pub counted: BenchCounters,
    /// What the program under test answered.
    pub answered: u64,
}

impl Rates {
    /// Median of ours over the median of the baseline.
    pub fn ratio(&self) -> f64 {
        median(&self.ours) / median(&self.baseline)
    }

    /// What an answer costs over the baseline, in nanoseconds.
    pub fn added_ns(&self) -> f64 {
        1e9 / median(&self.ours) - 1e9 / median(&self.baseline)
    }
}

/// The median.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
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
    for command in ["link add kdev-gen type veth peer name kdev-sut", "link set kdev-gen up", "link set kdev-sut up"] {
        let status = Command::new("ip").args(command.split(' ')).status().expect("run ip");
        assert!(status.success(), "ip {command}");
    }
}

/// The rig with a load.
#[derive(Debug)]
pub struct Rig {
    /// The program under test.
    pub kernel: Kernel,
    bench: Ebpf,
    frame: Vec<u8>,
    is_answered: bool,
    generator_index: u32,
    /// What the program under test had answered when the run began.
    answered_before: u64,
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
            bench,
            frame,
            is_answered: load.is_answered,
            generator_index,
            answered_before: 0,
            _maps: [queries, sequence],
        }
    }

    /// Takes `runs` pairs of runs of `frames` frames each.
    ///
    /// # Errors
    /// When frames were lost or wrongly answered.
    pub fn measure(&mut self, runs: usize, frames: u32) -> Result<Rates, VoidRun> {
        let mut rates = Rates { ours: Vec::new(), baseline: Vec::new() };
        for _ in 0..runs {
            rates.baseline.push(self.retry(|rig| rig.run_baseline(frames))?);
            rates.ours.push(self.retry(|rig| rig.run_ours(frames))?);
        }
        Ok(rates)
    }

    /// Takes a run again when it is void: another task on the core makes a ring of 256 frames overflow.
    fn retry(&mut self, run: impl Fn(&mut Self) -> Result<f64, VoidRun>) -> Result<f64, VoidRun> {
        let mut result = run(self);
        for _ in 0..VOID_RUNS_MAX {
            if result.is_ok() {
                break;
            }
            result = run(self);
        }
        result
    }

    /// One run through the reflector, or the bare pass.
    fn run_baseline(&mut self, frames: u32) -> Result<f64, VoidRun> {
        let name = if self.is_answered { "reflect" } else { "pass" };
        let link = program(&mut self.bench, name).attach("kdev-sut", XdpMode::Driver).expect("attach the baseline");
        let (rate, counted) = self.run(frames);
        program(&mut self.bench, name).detach(link).expect("detach the baseline");
        let frames = u64::from(frames);
        let wanted = if self.is_answered { frames } else { 0 };
        let is_whole = counted.sent == frames && counted.reflected == wanted && counted.queries == wanted;
        if is_whole { Ok(rate) } else { Err(VoidRun { counted, answered: 0 }) }
    }

    /// One run through the program under test.
    fn run_ours(&mut self, frames: u32) -> Result<f64, VoidRun> {
        let link = program(&mut self.kernel.ebpf, "resolver").attach("kdev-sut", XdpMode::Driver).expect("attach ours");
        let (rate, counted) = self.run(frames);
        program(&mut self.kernel.ebpf, "resolver").detach(link).expect("detach ours");
        let answered = self.kernel.counters().answered() - self.answered_before;
        let frames = u64::from(frames);
        let wanted = if self.is_answered { frames } else { 0 };
        let is_whole = counted.sent == frames && answered == wanted && counted.noerror == wanted;
        if is_whole { Ok(rate) } else { Err(VoidRun { counted, answered }) }
    }

    /// Sends `frames` frames, after as many as it takes to warm up, and gives the rate and what was counted.
    fn run(&mut self, frames: u32) -> (f64, BenchCounters) {
        self.send(20_000);
        self.answered_before = self.kernel.counters().answered();
        let before = self.counted();
        let start = Instant::now();
        self.send(frames);
        let elapsed = start.elapsed();
        let after = self.counted();
        let mut counted = [0u64; 7];
        let (after, before): ([u64; 7], [u64; 7]) = (bytemuck::must_cast(after), bytemuck::must_cast(before));
        for (i, count) in counted.iter_mut().enumerate() {
            *count = after[i] - before[i];
        }
        (f64::from(frames) / elapsed.as_secs_f64(), bytemuck::must_cast(counted))
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

/// Void runs in a row after which a load is given up.
const VOID_RUNS_MAX: usize = 4;
