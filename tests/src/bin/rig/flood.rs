//! `rig flood RUNS`: what hits of XDP, and the daemon's memory, become beside floods of others.
//!
//! Hits and flood come over one link, so on one CPU: one frame in [`ONE_IN`] is the flood's, and goes up the stack to the daemon,
//! which has the other CPU together with the server that it asks. What it answers to the flood leaves by another link, so that no
//! CPU but theirs has to do with hits. Each run floods with names that nobody has asked for.
//! Refuses to count a run in which XDP did not answer a hit.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use resolver_ebpf::host::message::{ClientOpt, ClientQuery};
use resolver_ebpf::host::records::wire_name;
use resolver_tests::netns::enter_new;
use resolver_tests::pinned::answered;
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

impl Scene {
    /// Fills the daemon's cache with answers of the sort that floods leave there, at a pace that it keeps up with. Returns its
    /// memory then, in bytes.
    fn fill(&mut self) -> u64 {
        let frames: Vec<_> = (0..FILL).map(|_| self.flood_frame(Flood::RandomNames)).collect();
        let sequence = (0..FILL).collect();
        let frames = Frames { frames, sequence, replies: Replies::OfXdp, is_timed: false };
        let mut generator = Generator::new(&frames, XDP_PAIR[0]);
        let before = self.stage.upstream.asked();
        generator.send_for(FILL_PER_S, Duration::from_secs_f64(f64::from(FILL) / FILL_PER_S));
        let (sent, asked) = (generator.counted().sent, self.stage.upstream.asked() - before);
        let memory = self.running.memory();
        say(&Line::Note(format!(
            "before: {sent} names without addresses, {asked} asked for; {} kB resident",
            memory >> 10
        )));
        memory
    }

    fn measure(&mut self, name: &str, flood: Flood, full: u64, runs: usize) -> [Measured; 2] {
        let (mut with, mut alone, mut memory) = (Vec::new(), Vec::new(), Vec::new());
        let (mut void_runs, mut given_up) = (0, None);
        for _ in 0..runs {
            let pair = retry(&mut void_runs, || self.hits(None)).and_then(|before| {
                let beside = retry(&mut void_runs, || self.hits(Some(flood)))?;
                Ok((before, beside))
            });
            let (before, beside) = match pair {
                Ok(pair) => pair,
                Err(why) => {
                    given_up = Some(why);
                    break;
                }
            };
            let resident = self.running.memory();
            say(&Line::Note(format!(
                "{name:<16} {:>9.0} hits/s, alone {:>9.0}; {:>6.0} packets/s of the flood, {} asked for; {} kB resident",
                beside.hits_per_s,
                before.hits_per_s,
                beside.flood_per_s,
                beside.asked,
                resident >> 10
            )));
            alone.push(before.hits_per_s);
            with.push(beside.hits_per_s);
            memory.push(resident as f64);
        }
        let hits = Measured {
            ours: with,
            baseline_name: "no-flood".to_owned(),
            baseline: alone,
            void_runs,
            given_up: given_up.clone(),
            ..Measured::new(&format!("hits-beside-{name}"), "answers_per_s")
        };
        let memory = Measured {
            unit: "bytes".to_owned(),
            is_less_better: true,
            baseline_name: "full-cache".to_owned(),
            baseline: vec![full as f64; memory.len()],
            ours: memory,
            given_up,
            ..Measured::new(&format!("memory-after-{name}"), "resident_bytes")
        };
        [hits, memory]
    }

    /// One run. In the error, why it is void.
    fn hits(&mut self, beside: Option<Flood>) -> Result<Run, String> {
        let mut frames: Vec<_> = (0..NAMES).map(|i| self.frame(&host(i), XDP_CLIENT)).collect();
        let mut sequence: Vec<u32> = (0..TURNS).map(|turn| turn.wrapping_mul(0x9e37_79b1) % NAMES as u32).collect();
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

/// Names that others ask for, all of them published.
const NAMES: usize = 1000;
/// So many names the daemon's cache is made for: 9/4 as many answers fit.
const MADE_FOR: usize = 2000;
/// More than whatever is bounded by a number holds: answers, proofs, what is known of zones. A power of two.
const FILL: u32 = 1 << 16;
/// Names per second with which it is filled.
const FILL_PER_S: f64 = 4000.0;
/// Turns of a run, a power of two: each packet of a flood comes once.
const TURNS: u32 = 1 << 21;
/// Turns that do not count.
const WARM_UP_TURNS: u32 = 20_480;
/// Time for what is still on its way.
const DRAIN_TIME: Duration = Duration::from_millis(30);
/// Beside a flood, one frame in so many is the flood's.
const ONE_IN: u32 = 256;
/// Where floods come from (RFC 2544), and their one client where they have one.
const SOURCES: &str = "198.18.0.0/15";
const FLOODER: u32 = 0xc612_0000;
/// Where the message begins in a frame over IPv4.
const DNS_AT: usize = 14 + 20 + 8;
