//! `rig flood RUNS`: what hits of XDP, and the daemon's memory, become beside floods of others.
//!
//! Hits and flood come over one link, so on one CPU; the flood's packets go up the stack to the daemon, which has the other CPU
//! together with the server that it asks. What it answers to the flood leaves by another link, so that no CPU but theirs has to do with
//! hits. Each run floods with names that nobody has asked for. Two figures for each flood:
//!
//! * `answers_per_s`, by the clock: one frame in [`ONE_IN`] is the flood's. Whatever its way up the stack takes of the CPU, hits do not get.
//! * `answers_per_cpu_s`, by CPU share: hits for each second of CPU time *that hits got*. Hits and flood are sent by two threads of one CPU, and
//!   all that a packet sets off there runs in the time of who sent it: driver, XDP, stack, waking the daemon. So this is what a hit
//!   costs beside a flood against what it costs alone, and the flood's own share of the CPU is left out. It is told beside it.
//!
//! By the clock, a packet of a flood takes 10 to 13 us. Samples of the CPU (`perf record -e cpu-clock`, Linux 6.18 on KVM) say where: four
//! fifths of that wake the daemon, whose CPU sleeps until the next packet comes and is woken by an interrupt that leaves the virtual
//! machine; one fifth is the stack, from the packet buffer to the socket. XDP has no part in either. Where packets come in bursts, as on
//! the flood's own thread, one waking serves several, and a packet takes 5 to 7 us with its sending.
//!
//! Refuses to count a run in which XDP did not answer a hit.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use resolver_ebpf::host::message::{ClientOpt, ClientQuery};
use resolver_ebpf::host::records::wire_name;
use resolver_tests::netns::enter_new;
use resolver_tests::pinned::answered;
use resolver_tests::rig::flooder::{Flooded, Flooder, softirq_thread_s, thread_cpu_s};
use resolver_tests::rig::generator::{Frames, Generator, Replies};
use resolver_tests::rig::peers::{OURS_XDP, PEERS, Peer, Running};
use resolver_tests::rig::place::{ip, move_to_cpu};
use resolver_tests::rig::upstream::host;
use resolver_user::wire::RecordType;
use xtask::bench::report::{Line, Measured};

use super::peers::{CLIENT, LOAD_CPU, PAIR, Stage, TESTED_CPU, XDP_CLIENT, XDP_PAIR, retry};
use super::publish::{PINS, sent_to};
use super::say;

/// A kind of flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flood {
    /// Names that have no address, from one client.
    RandomNames,
    /// The same, each from another client.
    MadeUpSources,
    /// What is no query, from one client.
    Malformed,
}

const FLOODS: [(&str, Flood); 3] =
    [("random-names", Flood::RandomNames), ("made-up-sources", Flood::MadeUpSources), ("malformed", Flood::Malformed)];

/// Measures hits without and with each flood, in turns.
pub fn run(runs: usize) -> ExitCode {
    move_to_cpu(LOAD_CPU);
    enter_new();
    let stage = Stage::new(TESTED_CPU);
    let [a, b, c, d] = CLIENT;
    let way = format!("route add {SOURCES} via {a}.{b}.{c}.{d} dev {} onlink", PAIR[1]);
    stage.elsewhere.inside(|| ip(&way));
    let peer = PEERS.into_iter().find(|peer| peer.name == OURS_XDP).expect("one of them");
    let started = stage.start(&peer, MADE_FOR).and_then(|running| {
        let questions: Vec<_> = (0..NAMES).map(|i| (host(i), RecordType::A)).collect();
        stage.warm(&running, &questions).map(|()| running)
    });
    let running = match started {
        Ok(running) => running,
        Err(why) => {
            say(&Line::Note(why));
            return ExitCode::FAILURE;
        }
    };
    let mut scene = Scene { stage, peer, running, next: 0 };
    let full = scene.fill();
    for (name, flood) in FLOODS {
        for measured in scene.measure(name, flood, full, runs) {
            say(&Line::Measured(measured));
        }
    }
    ExitCode::SUCCESS
}

/// The daemon, and how many packets of floods there were.
struct Scene {
    stage: Stage,
    peer: Peer,
    running: Running,
    next: u32,
}

/// What came of a run.
struct Run {
    /// Hits answered per second of the clock.
    hits_per_s: f64,
    /// Packets of the flood per second.
    flood_per_s: f64,
    /// Questions of the daemon to its server meanwhile.
    asked: u64,
}

/// What came of a run whose flood has a thread of its own.
struct ShareRun {
    /// Hits answered per second of the CPU time that hits got.
    hits_per_cpu_s: f64,
    /// The flood.
    flooded: Flooded,
    /// How long the run was by the clock, in seconds.
    elapsed_s: f64,
}

impl Scene {
    /// Fills the daemon's caches with what floods leave there, at a pace that it keeps up with, and then has as many queries in progress
    /// as there may be. Returns its memory then, in bytes.
    fn fill(&mut self) -> u64 {
        let empty = self.running.memory();
        for (flood, per_s) in [(Flood::RandomNames, FILL_PER_S), (Flood::MadeUpSources, FILL_MORE_PER_S)] {
            let frames: Vec<_> = (0..FILL).map(|_| self.flood_frame(flood)).collect();
            let sequence = (0..FILL).collect();
            let frames = Frames { frames, sequence, replies: Replies::OfXdp, is_timed: false };
            let mut generator = Generator::new(&frames, XDP_PAIR[0]);
            let before = self.stage.upstream.asked();
            generator.send_for(per_s, Duration::from_secs_f64(f64::from(FILL) / per_s));
            let (sent, asked) = (generator.counted().sent, self.stage.upstream.asked() - before);
            say(&Line::Note(format!(
                "before: {sent} names without addresses, {asked} asked for; {} kB resident, {} kB before",
                self.running.memory() >> 10,
                empty >> 10
            )));
        }
        self.running.memory()
    }

    fn measure(&mut self, name: &str, flood: Flood, full: u64, runs: usize) -> [Measured; 3] {
        let mut pairs: Vec<(Pair, u64)> = Vec::new();
        let (mut void_runs, mut given_up) = (0, None);
        for _ in 0..runs {
            match self.pair(flood, &mut void_runs) {
                Ok(pair) => {
                    let resident = self.running.memory();
                    say(&Line::Note(pair.told(name, resident)));
                    pairs.push((pair, resident));
                }
                Err(why) => {
                    given_up = Some(why);
                    break;
                }
            }
        }
        let of = |what: fn(&Pair) -> f64| pairs.iter().map(|(pair, _)| what(pair)).collect::<Vec<_>>();
        let hits = |metric, [ours, baseline]: [Vec<f64>; 2]| Measured {
            ours,
            baseline_name: "no-flood".to_owned(),
            baseline,
            void_runs,
            given_up: given_up.clone(),
            ..Measured::new(&format!("hits-beside-{name}"), metric)
        };
        let by_clock = [of(|pair| pair.beside.hits_per_s), of(|pair| pair.alone.hits_per_s)];
        let by_share = [of(|pair| pair.share_beside.hits_per_cpu_s), of(|pair| pair.share_alone.hits_per_cpu_s)];
        let memory = Measured {
            unit: "bytes".to_owned(),
            is_less_better: true,
            ours: pairs.iter().map(|(_, resident)| *resident as f64).collect(),
            baseline_name: "full-cache".to_owned(),
            baseline: vec![full as f64; pairs.len()],
            given_up: given_up.clone(),
            ..Measured::new(&format!("memory-after-{name}"), "resident_bytes")
        };
        [hits("answers_per_cpu_s", by_share), hits("answers_per_s", by_clock), memory]
    }

    /// Runs without and with a flood. In the error, why one is void over and over.
    fn pair(&mut self, flood: Flood, void_runs: &mut usize) -> Result<Pair, String> {
        Ok(Pair {
            alone: retry(void_runs, || self.hits(None))?,
            beside: retry(void_runs, || self.hits(Some(flood)))?,
            share_alone: retry(void_runs, || self.share(None))?,
            share_beside: retry(void_runs, || self.share(Some(flood)))?,
        })
    }

    /// One run with the flood on a thread of its own. In the error, why it is void.
    fn share(&mut self, beside: Option<Flood>) -> Result<ShareRun, String> {
        let frames: Vec<_> = (0..NAMES).map(|i| self.frame(&host(i), XDP_CLIENT)).collect();
        let frames = Frames { frames, sequence: hits_in_turn(), replies: Replies::OfXdp, is_timed: false };
        let mut generator = Generator::new(&frames, XDP_PAIR[0]);
        generator.send(WARM_UP_TURNS);
        let flood: Option<Vec<_>> =
            beside.map(|flood| (0..FLOOD_PER_S * FLOOD_S_MAX).map(|_| self.flood_frame(flood)).collect());
        let by_xdp_before = answered(Path::new(PINS));
        let flooder = flood.map(|frames| Flooder::start(frames, FLOOD_PER_S, XDP_PAIR[0]));
        let (cpu_before_s, start) = (thread_cpu_s() + softirq_thread_s(LOAD_CPU), Instant::now());
        generator.send(TURNS);
        let elapsed_s = start.elapsed().as_secs_f64();
        // The kernel's own thread may have worked for the flood. All of it counts for hits, lest they look cheaper than they are.
        let cpu_s = thread_cpu_s() + softirq_thread_s(LOAD_CPU) - cpu_before_s;
        let flooded = flooder.map(Flooder::end).unwrap_or_default();
        std::thread::sleep(DRAIN_TIME);
        let by_xdp = answered(Path::new(PINS)) - by_xdp_before;
        let too_little = beside.is_some() && (flooded.sent as f64) < f64::from(FLOOD_PER_S) * elapsed_s / 2.0;
        if by_xdp != u64::from(TURNS) || too_little {
            return Err(format!("of {TURNS} hits {by_xdp} by XDP, beside {} packets in {elapsed_s} s", flooded.sent));
        }
        Ok(ShareRun { hits_per_cpu_s: f64::from(TURNS) / cpu_s, flooded, elapsed_s })
    }

    /// One run. In the error, why it is void.
    fn hits(&mut self, beside: Option<Flood>) -> Result<Run, String> {
        let mut frames: Vec<_> = (0..NAMES).map(|i| self.frame(&host(i), XDP_CLIENT)).collect();
        let mut sequence = hits_in_turn();
        if let Some(flood) = beside {
            for turn in sequence.iter_mut().step_by(ONE_IN as usize) {
                *turn = frames.len() as u32;
                frames.push(self.flood_frame(flood));
            }
        }
        let frames = Frames { frames, sequence, replies: Replies::OfXdp, is_timed: false };
        let mut generator = Generator::new(&frames, XDP_PAIR[0]);
        let (by_xdp_first, asked_first) = (answered(Path::new(PINS)), self.stage.upstream.asked());
        let mut send = |turns| {
            let (by_xdp_before, start) = (answered(Path::new(PINS)), Instant::now());
            generator.send(turns);
            let elapsed_s = start.elapsed().as_secs_f64();
            // What is still on its way.
            std::thread::sleep(DRAIN_TIME);
            (elapsed_s, answered(Path::new(PINS)) - by_xdp_before)
        };
        send(WARM_UP_TURNS);
        let (elapsed_s, hits) = send(TURNS - WARM_UP_TURNS);
        let (counted, by_xdp) = (generator.counted(), answered(Path::new(PINS)) - by_xdp_first);
        let of_flood = if beside.is_some() { u64::from(TURNS / ONE_IN) } else { 0 };
        let all_hits = u64::from(TURNS) - of_flood;
        if counted.sent != u64::from(TURNS) || by_xdp != all_hits || counted.noerror != all_hits {
            let (sent, noerror) = (counted.sent, counted.noerror);
            return Err(format!("sent {sent}, of a flood {of_flood}; of XDP {by_xdp}, NOERROR {noerror}"));
        }
        let flood = u64::from(TURNS - WARM_UP_TURNS) - hits;
        Ok(Run {
            hits_per_s: hits as f64 / elapsed_s,
            flood_per_s: flood as f64 / elapsed_s,
            asked: self.stage.upstream.asked() - asked_first,
        })
    }

    /// The next packet of a flood.
    fn flood_frame(&mut self, flood: Flood) -> Vec<u8> {
        let number = self.next;
        self.next += 1;
        let scattered = number.wrapping_mul(0x9e37_79b1) >> 15;
        let client = if flood == Flood::MadeUpSources { FLOODER | scattered } else { FLOODER };
        // As long as the names of hosts, since all frames of a run are.
        let mut frame = self.frame(&format!("r{number:06x}.bench."), client.to_be_bytes());
        if flood == Flood::Malformed {
            match number % 4 {
                // A label that ends behind the packet.
                0 => frame[DNS_AT + 12] = 63,
                // A name that points to itself.
                1 => frame[DNS_AT + 12..DNS_AT + 14].copy_from_slice(&[0xc0, 12]),
                // Two questions, where there is one.
                2 => frame[DNS_AT + 5] = 2,
                // An operation that nobody knows.
                _ => frame[DNS_AT + 2] |= 0x78,
            }
        }
        frame
    }

    fn frame(&self, name: &str, client_v4: [u8; 4]) -> Vec<u8> {
        let opt = Some(ClientOpt::new(1232, false));
        let query = ClientQuery { opt, client_v4, ..ClientQuery::new(&wire_name(name), 1) };
        sent_to(query.frame(), [192, 0, 2, self.peer.host])
    }
}

/// Runs of all sorts beside a flood and without.
struct Pair {
    alone: Run,
    beside: Run,
    share_alone: ShareRun,
    share_beside: ShareRun,
}

impl Pair {
    /// For who watches.
    fn told(&self, name: &str, resident: u64) -> String {
        let Self { alone, beside, share_alone, share_beside } = self;
        let Flooded { sent, cpu_s } = share_beside.flooded;
        format!(
            "{name:<16} by CPU share {:>9.0} hits/s, alone {:>9.0}, beside {:>6.0} packets/s of {:.1} us; by the clock {:>9.0} \
             hits/s, alone {:>9.0}, beside {:>6.0} packets/s, {} asked for; {} kB resident",
            share_beside.hits_per_cpu_s,
            share_alone.hits_per_cpu_s,
            sent as f64 / share_beside.elapsed_s,
            cpu_s / sent.max(1) as f64 * 1e6,
            beside.hits_per_s,
            alone.hits_per_s,
            beside.flood_per_s,
            beside.asked,
            resident >> 10
        )
    }
}

/// Which name is asked for in which turn.
fn hits_in_turn() -> Vec<u32> {
    (0..TURNS).map(|turn| turn.wrapping_mul(0x9e37_79b1) % NAMES as u32).collect()
}

/// Names that others ask for, all of them published.
const NAMES: usize = 1000;
/// So many names the daemon's cache is made for: 9/4 as many answers fit.
const MADE_FOR: usize = 2000;
/// More than whatever is bounded by a number holds: answers, proofs, what is known of zones. A power of two.
const FILL: u32 = 1 << 16;
/// Names per second with which it is filled, and more than it can find.
const FILL_PER_S: f64 = 4000.0;
const FILL_MORE_PER_S: f64 = 40_000.0;
/// Turns of a run, a power of two: each packet of a flood comes once.
const TURNS: u32 = 1 << 21;
/// Turns that do not count.
const WARM_UP_TURNS: u32 = 20_480;
/// Time for what is still on its way.
const DRAIN_TIME: Duration = Duration::from_millis(30);
/// Beside a flood, one frame in so many is the flood's.
const ONE_IN: u32 = 256;
/// Packets per second of a flood that has a thread of its own: about as many; and for how many seconds they last.
const FLOOD_PER_S: u32 = 12_000;
const FLOOD_S_MAX: u32 = 4;
/// Where floods come from (RFC 2544), and their one client where they have one.
const SOURCES: &str = "198.18.0.0/15";
const FLOODER: u32 = 0xc612_0000;
/// Where the message begins in a frame over IPv4.
const DNS_AT: usize = 14 + 20 + 8;
