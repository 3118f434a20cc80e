//! `rig flood RUNS`: what hits of XDP, and the daemon's memory, become beside floods of others.
//!
//! Hits and flood come over one link, so on one CPU: one frame in [`ONE_IN`] is the flood's, and goes up the stack to the daemon,
//! which has the other CPU together with the server that it asks. Each run floods with names that nobody has asked for.
//! Refuses to count a run in which a hit was not answered.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use resolver_ebpf::host::message::{ClientOpt, ClientQuery};
use resolver_ebpf::host::records::wire_name;
use resolver_tests::netns::enter_new;
use resolver_tests::rig::generator::{Frames, Generator, Replies, counted_since};
use resolver_tests::rig::peers::{OURS_XDP, PEERS, Peer, Running};
use resolver_tests::rig::place::{ip, move_to_cpu};
use resolver_tests::rig::upstream::host;
use resolver_user::wire::RecordType;
use xtask::bench::report::{Line, Measured};

use super::peers::{LOAD_CPU, Stage, TESTED_CPU, XDP_CLIENT, XDP_PAIR, retry};
use super::publish::sent_to;
use super::say;

/// A kind of flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flood {
    /// Names that do not exist, from one client.
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
    let [a, b, c, d] = XDP_CLIENT;
    let way = format!("route add {SOURCES} via {a}.{b}.{c}.{d} dev {} onlink", XDP_PAIR[1]);
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
    let mut scene = Scene { peer, running, next: 0 };
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
    /// Answers to the flood meanwhile: NXDOMAIN, and other codes.
    to_flood: [u64; 2],
}

impl Scene {
    /// Fills the daemon's cache with answers of the sort that floods leave there, at a pace that it keeps up with. Returns its
    /// memory then, in bytes.
    fn fill(&mut self) -> u64 {
        let frames: Vec<_> = (0..FILL).map(|_| self.flood_frame(Flood::RandomNames)).collect();
        let sequence = (0..FILL).collect();
        let frames = Frames { frames, sequence, replies: Replies::OfXdp, is_timed: false };
        let mut generator = Generator::new(&frames, XDP_PAIR[0]);
        generator.send_for(FILL_PER_S, Duration::from_secs_f64(f64::from(FILL) / FILL_PER_S));
        let counted = generator.counted();
        let memory = self.running.memory();
        say(&Line::Note(format!(
            "before: {} names that do not exist, {} denied; {} kB resident",
            counted.sent,
            counted.nxdomain,
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
            let [denied, other] = beside.to_flood;
            say(&Line::Note(format!(
                "{name:<16} {:>9.0} hits/s, alone {:>9.0}; {:>6.0} packets/s of the flood, {denied} denied, {other} other answers; \
                 {} kB resident",
                beside.hits_per_s,
                before.hits_per_s,
                beside.flood_per_s,
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
        generator.send(WARM_UP_TURNS);
        let (before, start) = (generator.counted(), Instant::now());
        generator.send(TURNS - WARM_UP_TURNS);
        let elapsed_s = start.elapsed().as_secs_f64();
        let counted = counted_since(before, generator.counted());
        let of_flood = if beside.is_some() { u64::from((TURNS - WARM_UP_TURNS) / ONE_IN) } else { 0 };
        if counted.sent != u64::from(TURNS - WARM_UP_TURNS) || counted.noerror != counted.sent - of_flood {
            return Err(format!("sent {}, of a flood {of_flood}, NOERROR {}", counted.sent, counted.noerror));
        }
        Ok(Run {
            hits_per_s: counted.noerror as f64 / elapsed_s,
            flood_per_s: of_flood as f64 / elapsed_s,
            to_flood: [counted.nxdomain, counted.other_rcode],
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
/// More than the cache holds; a power of two.
const FILL: u32 = 8192;
/// Names per second with which it is filled.
const FILL_PER_S: f64 = 2000.0;
/// Turns of a run, a power of two: each packet of a flood comes once.
const TURNS: u32 = 1 << 21;
/// Turns that do not count.
const WARM_UP_TURNS: u32 = 80 * ONE_IN;
/// Beside a flood, one frame in so many is the flood's.
const ONE_IN: u32 = 256;
/// Where floods come from (RFC 2544), and their one client where they have one.
const SOURCES: &str = "198.18.0.0/15";
const FLOODER: u32 = 0xc612_0000;
/// Where the message begins in a frame over IPv4.
const DNS_AT: usize = 14 + 20 + 8;
