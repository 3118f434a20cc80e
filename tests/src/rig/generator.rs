//! Sends ready-made frames out of one end of a veth pair, and counts what comes back there.
//!
//! In: frames of one length and the sequence in which they are sent. Out: counts, and how long answers took.
//! The sending is BPF_PROG_TEST_RUN with live frames: the kernel makes them from the pages of a pool, without a packet buffer.
//! Each call ends with a wait of some milliseconds, so a pace is kept by the program in the kernel and not by many calls.

use std::time::Duration;

use aya::maps::{Array, Map, PerCpuArray};
use aya::programs::{SchedClassifier, TcAttachType, TestRun, TestRunAttrs, TestRunOptions, XdpMode};
use aya::{Ebpf, EbpfLoader};
use nix::time::{ClockId, clock_gettime};
use resolver_ebpf::abi::bench::{
    BenchCounters, BenchSettings, FRAME_START_MAX, FrameBlock, WAIT_BUCKETS, bench_map_name, wait_bucket_end_ns,
};
use resolver_ebpf::abi::{LINE_LEN, Place};
use resolver_ebpf::wire::name::word_of;

use crate::kernel::{MappedMap, object_path, program};

/// Frames to send.
#[derive(Clone, Debug)]
pub struct Frames {
    /// All of the same length.
    pub frames: Vec<Vec<u8>>,
    /// Which of them is sent in which turn, over and over; a power of two of them.
    pub sequence: Vec<u32>,
    /// What comes back.
    pub replies: Replies,
    /// Whether each gets an ID of its own, and waits are measured; for frames over IPv4 without a UDP checksum.
    pub is_timed: bool,
}

/// Who sends what comes back, and so where it is cheapest to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replies {
    /// An XDP program.
    OfXdp,
    /// A socket. An XDP program could count them too, but a veth would copy each for it, at the expense of the sender's CPU.
    OfSockets,
}

/// The programs of the rig with frames.
#[derive(Debug)]
pub struct Generator {
    bench: Ebpf,
    frame: Vec<u8>,
    settings: BenchSettings,
    interface_index: u32,
    // They keep the memory mapped for as long as the programs run.
    _maps: [MappedMap; 2],
}

impl Generator {
    /// Loads the programs, and attaches the sink to the interface that frames will leave by. The thread is in its namespace.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn new(load: &Frames, interface: &str) -> Self {
        let Frames { frames, sequence, replies, is_timed } = load;
        let frame_lines = frames[0].len().div_ceil(LINE_LEN);
        let per_block = FRAME_START_MAX / frame_lines + 1;
        let blocks = frames.len().div_ceil(per_block);
        let mut loader = EbpfLoader::new();
        loader.map_max_entries(bench_map_name::QUERIES, blocks as u32);
        // Two turns an element.
        loader.map_max_entries(bench_map_name::SEQUENCE, sequence.len().div_ceil(2) as u32);
        let mut bench = loader.load_file(object_path("bench")).expect("load the bench object");
        for name in ["generate", "reflect", "sink", "pass"] {
            program(&mut bench, name).load().unwrap_or_else(|error| panic!("load {name}: {error}"));
        }
        let sink: &mut SchedClassifier =
            bench.program_mut("sink_buffers").expect("a program").try_into().expect("its kind");
        sink.load().expect("load the sink");
        let place = |i: usize| Place::new((i / per_block) as u32, (i % per_block * frame_lines) as u32);
        let mapped = |name: &str, bytes: usize| match bench.map(name) {
            Some(Map::Array(map)) => MappedMap::new(map, bytes),
            other => panic!("{name} is {other:?}"),
        };
        let queries = mapped(bench_map_name::QUERIES, blocks * size_of::<FrameBlock>());
        for (i, frame) in frames.iter().enumerate() {
            let at = (place(i).block() as usize * 1024 + place(i).line() as usize) * LINE_LEN / 8;
            for (word, bytes) in queries.words()[at..].iter().zip(frame.chunks(8)) {
                word.store(word_of(bytes));
            }
        }
        let turns = mapped(bench_map_name::SEQUENCE, sequence.len() * 4);
        turns.fill(sequence.chunks(2).map(|pair| {
            let [low, high] = [pair[0], pair[1]].map(|i| u64::from(place(i as usize).bits));
            high << 32 | low
        }));
        let settings = BenchSettings {
            sequence_mask: sequence.len() as u32 - 1,
            frame_words: frames[0].len().div_ceil(8) as u32,
            is_timed: u32::from(*is_timed),
            interval_ns: 0,
            end_mono_ns: 0,
        };
        match replies {
            Replies::OfXdp => {
                program(&mut bench, "sink").attach(interface, XdpMode::Driver).expect("attach the sink");
            }
            Replies::OfSockets => {
                let sink = bench.program_mut("sink_buffers").expect("a program");
                let sink: &mut SchedClassifier = sink.try_into().expect("its kind");
                sink.attach(interface, TcAttachType::Ingress).expect("attach the sink");
            }
        }
        let interface_index = nix::net::if_::if_nametoindex(interface).expect("the interface");
        let mut frame = frames[0].clone();
        frame.resize(frame.len().next_multiple_of(8), 0);
        let mut generator = Self { bench, frame, settings, interface_index, _maps: [queries, turns] };
        generator.set(settings);
        generator
    }

    fn set(&mut self, settings: BenchSettings) {
        let words: [u64; 3] = bytemuck::must_cast(settings);
        let map = self.bench.map_mut(bench_map_name::BENCH_SETTINGS).expect("settings");
        let mut map: Array<_, [u64; 3]> = map.try_into().expect("an array");
        map.set(0, words, 0).expect("write the settings");
    }

    /// The programs `reflect` and `pass` are for the other end of the pair.
    pub fn programs(&mut self) -> &mut Ebpf {
        &mut self.bench
    }

    /// Sends `frames` frames as fast as it can.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn send(&mut self, frames: u32) {
        self.run(BATCH, frames);
    }

    /// Sends frames at a pace for a time. The other end gets to work on them every few microseconds.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn send_for(&mut self, per_s: f64, time: Duration) {
        let (interval_ns, time_ns) = ((1e9 / per_s) as u32, time.as_nanos() as u64);
        let end_mono_ns = now_mono_ns() + time_ns;
        self.set(BenchSettings { interval_ns: interval_ns.max(1), end_mono_ns, ..self.settings });
        // Runs that send, and runs that wait for a microsecond; what is too much ends at once.
        let runs = time.as_secs_f64() * (per_s + RUNS_PER_S);
        self.run(BATCH_PACED, runs as u32);
        self.set(self.settings);
    }

    fn run(&mut self, batch: u32, runs: u32) {
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let context = [0, self.frame.len() as u32, 0, self.interface_index, 0, 0];
        let mut options = TestRunOptions::new();
        options.data_in = Some(&self.frame);
        options.ctx_in = Some(bytemuck::must_cast_slice(&context));
        options.repeat = runs;
        options.attrs = TestRunAttrs::new().xdp_live_frames(batch);
        program(&mut self.bench, "generate").test_run(options).expect("run the generator");
    }

    /// What was counted so far.
    pub fn counted(&self) -> BenchCounters {
        bytemuck::must_cast(self.sum::<7>(bench_map_name::BENCH_COUNTERS))
    }

    /// Waits of all answers so far.
    pub fn waits(&self) -> Waits {
        Waits { buckets: self.sum(bench_map_name::WAITS) }
    }

    /// The only element of a map, all CPUs together.
    fn sum<const LEN: usize>(&self, name: &str) -> [u64; LEN]
    where
        [u64; LEN]: aya::Pod,
    {
        let map: PerCpuArray<_, [u64; LEN]> = self.bench.map(name).expect("a map").try_into().expect("a per-CPU array");
        let mut total = [0u64; LEN];
        for cpu in map.get(&0, 0).expect("read the map").iter() {
            total.iter_mut().zip(cpu).for_each(|(sum, value)| *sum += value);
        }
        total
    }
}

/// What was counted between two times.
pub fn counted_since(before: BenchCounters, after: BenchCounters) -> BenchCounters {
    let (after, before): ([u64; 7], [u64; 7]) = (bytemuck::must_cast(after), bytemuck::must_cast(before));
    bytemuck::must_cast::<[u64; 7], _>(std::array::from_fn(|i| after[i] - before[i]))
}

/// How long answered queries waited.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    buckets: [u64; WAIT_BUCKETS],
}

impl Waits {
    /// Those that came since.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self { buckets: std::array::from_fn(|i| self.buckets[i] - before.buckets[i]) }
    }

    /// Answers.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The wait in microseconds that a share of all answers does not exceed, to the end of its bucket; none without answers.
    pub fn quantile_us(&self, share: f64) -> Option<f64> {
        self.cumulated().into_iter().find(|(_, reached)| *reached >= share).map(|(us, _)| us)
    }

    /// Each wait in microseconds with the share of answers that it covers, rising; buckets without answers are left out.
    pub fn cumulated(&self) -> Vec<(f64, f64)> {
        let (all, mut so_far) = (self.count() as f64, 0);
        let used = self.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        let point = |(bucket, count): (usize, &u64)| {
            so_far += count;
            (wait_bucket_end_ns(bucket) as f64 / 1e3, so_far as f64 / all)
        };
        used.map(point).collect()
    }
}

fn now_mono_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("the clock");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

/// Runs of the generator between two times that frames leave.
const BATCH: u32 = 64;
/// The same where frames are to come at a pace, which is the smoother the fewer.
const BATCH_PACED: u32 = 8;
/// Runs in a second that wait, at most.
const RUNS_PER_S: f64 = 1.3e6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_end_of_the_bucket_that_reaches_it() {
        let mut waits = Waits { buckets: [0; WAIT_BUCKETS] };
        assert_eq!(waits.quantile_us(0.5), None);
        (waits.buckets[80], waits.buckets[88]) = (98, 2);
        let ends = [80, 88].map(|bucket| wait_bucket_end_ns(bucket) as f64 / 1e3);
        assert_eq!(
            [0.5, 0.98, 0.99].map(|share| waits.quantile_us(share)),
            [Some(ends[0]), Some(ends[0]), Some(ends[1])]
        );
        assert_eq!(waits.cumulated(), [(ends[0], 0.98), (ends[1], 1.0)]);
    }
}
