//! `rig peers RUNS NAMES[,NAMES…] [PEER…]`: rig 2. Each resolver answers from its cache, under the same load.
//!
//! Out: for each peer its best rate of NOERROR answers at rising load, CPU time per million of them, and how long an answer
//! takes at half of that rate; then the memory that each name in its cache takes. All against the first peer.
//!
//! The load comes from CPU 0, which also carries its packets to the peer's socket; the peer has CPU 1 for itself. Our kernel
//! half answers on CPU 0, beside the generator.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use aya::programs::XdpMode;
use aya::{Ebpf, EbpfLoader};
use resolver_ebpf::host::message::{CLIENT_MAC, ClientOpt, ClientQuery, SERVER_MAC};
use resolver_ebpf::host::records::wire_name;
use resolver_tests::kernel::{object_path, program};
use resolver_tests::netns::enter_new;
use resolver_tests::rig::client::ask_all;
use resolver_tests::rig::generator::{Frames, Generator, Replies, counted_since};
use resolver_tests::rig::peers::{OURS_XDP, PEERS, Peer, PeerFailure, Running, Scene};
use resolver_tests::rig::place::{Elsewhere, add_pair, ip, move_to_cpu};
use resolver_tests::rig::upstream::{RigUpstream, host};
use resolver_user::wire::RecordType;
use xtask::bench::report::{Curve, Line, Measured};

use super::publish::{PINS, UPSTREAM};
use super::say;

/// Measures the peers whose names begin as one of `wanted`, and the first one in any case.
pub fn run(runs: usize, names: &[usize], wanted: &[&str]) -> ExitCode {
    move_to_cpu(LOAD_CPU);
    enter_new();
    let is_wanted = |peer: &Peer| wanted.is_empty() || wanted.iter().any(|name| peer.name.starts_with(name));
    let chosen: Vec<Peer> =
        PEERS.into_iter().enumerate().filter(|(i, peer)| *i == 0 || is_wanted(peer)).map(|(_, peer)| peer).collect();
    let stage = Stage::new(LOAD_CPU);
    // Without runs, only memory is wanted.
    if runs > 0 {
        measure_speed(&stage, &chosen, runs);
    }
    for &count in names {
        measure_memory(&stage, &chosen, count);
    }
    ExitCode::SUCCESS
}

/// Two veth pairs to the namespace of the peers, and the server they ask.
pub struct Stage {
    /// The namespace of the peers.
    pub elsewhere: Elsewhere,
    /// Whom they ask.
    pub upstream: RigUpstream,
    folder: PathBuf,
    _pass: Ebpf,
}

impl Stage {
    /// Makes it, with the server on this CPU.
    pub fn new(upstream_cpu: usize) -> Self {
        let elsewhere = Elsewhere::new();
        for pair in [PAIR, XDP_PAIR] {
            add_pair(pair);
            ip(&format!("link set {} address {}", pair[1], mac(SERVER_MAC)));
            ip(&format!("link set {} netns {}", pair[1], elsewhere.path()));
        }
        let (pass, upstream) = elsewhere.inside(|| {
            ip("link set lo up");
            for (pair, client) in [(PAIR, CLIENT), (XDP_PAIR, XDP_CLIENT)] {
                ip(&format!("link set {} up", pair[1]));
                for peer in PEERS.iter().filter(|peer| pair_of(peer) == pair) {
                    ip(&format!("address add 192.0.2.{}/32 dev {}", peer.host, pair[1]));
                }
                let [a, b, c, d] = client;
                ip(&format!("route add {a}.{b}.{c}.{d}/32 dev {}", pair[1]));
                ip(&format!("neigh replace {a}.{b}.{c}.{d} lladdr {} dev {} nud permanent", mac(CLIENT_MAC), pair[1]));
            }
            // A veth takes frames of XDP only where a program is; on the other pair that is our daemon's.
            let mut bench = EbpfLoader::new().load_file(object_path("bench")).expect("load the bench object");
            program(&mut bench, "pass").load().expect("load the bare pass");
            program(&mut bench, "pass").attach(PAIR[1], XdpMode::Driver).expect("attach the bare pass");
            move_to_cpu(upstream_cpu);
            (bench, RigUpstream::start(UPSTREAM))
        });
        Self { elsewhere, upstream, folder: xtask::paths::target().join("rig"), _pass: pass }
    }

    /// Starts a peer with a cache for so many names.
    pub fn start(&self, peer: &Peer, names: usize) -> Result<Running, String> {
        let xdp = (XDP_PAIR[1], Path::new(PINS));
        let scene = Scene { folder: &self.folder, upstream: &self.upstream, cpu: TESTED_CPU, xdp };
        self.elsewhere.inside(|| peer.start(&scene, names)).map_err(|failure| match failure {
            PeerFailure::NotInstalled => "not installed; `cargo xtask setup --with-peers` does that".to_owned(),
            PeerFailure::Silent(not, log) => format!("{} came as {:?}; its log: {log}", not.question, not.came),
        })
    }

    /// Has a peer answer each question twice, so that all are in its cache and, by the second time, in the kernel half.
    pub fn warm(&self, running: &Running, questions: &[(String, RecordType)]) -> Result<(), String> {
        let ask = || ask_all(running.address, questions).and_then(|()| ask_all(running.address, questions));
        self.elsewhere.inside(ask).map_err(|not| format!("{} came as {:?}", not.question, not.came))
    }
}

/// What one run says of a peer.
#[derive(Clone, Copy, Debug)]
struct Speed {
    /// NOERROR answers per second.
    best: f64,
    /// CPU seconds of the peer for a million answers; of the kernel half, those of its whole CPU.
    cpu_s: f64,
    /// Microseconds.
    p50_us: f64,
    p99_us: f64,
}

/// Speed and waits of all peers, in turns.
fn measure_speed(stage: &Stage, peers: &[Peer], runs: usize) {
    let questions: Vec<_> =
        (0..NAMES).flat_map(|i| [RecordType::A, RecordType::AAAA].map(|rtype| (host(i), rtype))).collect();
    let mut running: Vec<_> = peers
        .iter()
        .map(|peer| {
            let started = stage.start(peer, NAMES);
            let warm = started.and_then(|running| stage.warm(&running, &questions).map(|()| running));
            (peer, warm, Vec::new(), 0)
        })
        .collect();
    for _ in 0..runs {
        for (peer, started, speeds, void_runs) in &mut running {
            let Ok(process) = &started else { continue };
            match retry(void_runs, || speed(peer, process)) {
                Ok((speed, curve)) => {
                    say(&Line::Note(format!(
                        "{:<14} {:>9.0} answers/s {:>7.2} CPU s/million, p50 {:>7.1} us, p99 {:>8.1} us",
                        peer.name, speed.best, speed.cpu_s, speed.p50_us, speed.p99_us
                    )));
                    speeds.push((speed, curve));
                }
                Err(why) => *started = Err(why),
            }
        }
    }
    let baseline: Vec<Speed> = running[0].2.iter().map(|(speed, _)| *speed).collect();
    for (peer, started, speeds, void_runs) in running {
        let measured = |metric: &str, unit: &str, of: fn(&Speed) -> f64| Measured {
            unit: unit.to_owned(),
            is_less_better: unit != "1/s",
            ours: speeds.iter().map(|(speed, _)| of(speed)).collect(),
            baseline_name: format!("{}-cached", PEERS[0].name),
            baseline: baseline.iter().map(of).collect(),
            void_runs,
            given_up: started.as_ref().err().cloned(),
            ..Measured::new(&format!("{}-cached", peer.name), metric)
        };
        say(&Line::Measured(measured("answers_per_s", "1/s", |speed| speed.best)));
        say(&Line::Measured(measured("cpu_s_per_million", "s", |speed| speed.cpu_s)));
        say(&Line::Measured(measured("p50_latency_at_half", "us", |speed| speed.p50_us)));
        say(&Line::Measured(measured("p99_latency_at_half", "us", |speed| speed.p99_us)));
        if let Some((_, curve)) = speeds.into_iter().next_back() {
            say(&Line::Curve(curve));
        }
    }
}

/// A run again while it is void.
pub fn retry<T>(void_runs: &mut usize, mut run: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let mut last = String::new();
    for _ in 0..VOID_IN_A_ROW {
        match run() {
            Ok(result) => return Ok(result),
            Err(why) => last = why,
        }
        *void_runs += 1;
    }
    Err(last)
}

/// One run of one peer. In the error, why it is void.
fn speed(peer: &Peer, process: &Running) -> Result<(Speed, Curve), String> {
    let best = {
        let mut generator = Generator::new(&frames(peer, false), pair_of(peer)[0]);
        climb(&mut generator, process)?
    };
    let mut generator = Generator::new(&frames(peer, true), pair_of(peer)[0]);
    let rate = (best.answered_per_s / 2.0).min(LATENCY_RATE_MAX);
    let before = generator.waits();
    let step = offer(&mut generator, process, Some(rate), LATENCY_TIME)?;
    let waits = generator.waits().since(&before);
    if waits.count() == 0 {
        return Err("nothing was answered at half of the best rate".to_owned());
    }
    let quantile = |share| waits.quantile_us(share).unwrap_or(f64::NAN);
    let speed = Speed {
        best: best.answered_per_s,
        // Of our kernel half nothing but the whole CPU is known: it is busy with nothing else.
        cpu_s: if peer.name == OURS_XDP { 1e6 / best.answered_per_s } else { best.cpu_s_per_million },
        p50_us: quantile(0.5),
        p99_us: quantile(0.99),
    };
    let curve = Curve {
        rig: "peers".to_owned(),
        name: peer.name.to_owned(),
        x: format!("microseconds, {:.0} queries/s", step.offered_per_s),
        y: "share of answers".to_owned(),
        points: waits.cumulated().into_iter().map(|(us, share)| [us, share]).collect(),
    };
    Ok((speed, curve))
}

/// What came of a load.
#[derive(Clone, Copy, Debug)]
struct Step {
    offered_per_s: f64,
    answered_per_s: f64,
    cpu_s_per_million: f64,
}

/// The best rate of answers at rising load.
fn climb(generator: &mut Generator, process: &Running) -> Result<Step, String> {
    let mut best = offer(generator, process, Some(LOAD_FIRST), STEP_TIME)?;
    let (mut load, mut worse) = (LOAD_FIRST, 0);
    while worse < WORSE_IN_A_ROW && load < PACED_MAX {
        load *= LOAD_GROWTH;
        let step = offer(generator, process, Some(load), STEP_TIME)?;
        worse = if step.answered_per_s < best.answered_per_s * 1.01 { worse + 1 } else { 0 };
        if step.answered_per_s > best.answered_per_s {
            best = step;
        }
    }
    let unpaced = offer(generator, process, None, STEP_TIME)?;
    Ok(if unpaced.answered_per_s > best.answered_per_s { unpaced } else { best })
}

/// Offers a load for a while, or as much as there can be. In the error, why the run is void.
fn offer(generator: &mut Generator, process: &Running, load: Option<f64>, time: Duration) -> Result<Step, String> {
    let (cpu_before, before, start) = (process.cpu_s(), generator.counted(), Instant::now());
    match load {
        Some(load) => generator.send_for(load, time),
        None => generator.send(UNPACED_FRAMES),
    }
    let elapsed_s = start.elapsed().as_secs_f64();
    let counted = counted_since(before, generator.counted());
    let cpu_s = process.cpu_s() - cpu_before;
    // What still waits in the peer's socket belongs to nobody's figure.
    std::thread::sleep(DRAIN_TIME);
    let wrong = counted.nxdomain + counted.other_rcode + counted.queries + counted.other;
    if wrong > 0 || counted.noerror == 0 {
        return Err(format!(
            "sent {}, NOERROR {}, NXDOMAIN {}, other codes {}, no answers {}",
            counted.sent,
            counted.noerror,
            counted.nxdomain,
            counted.other_rcode,
            counted.queries + counted.other
        ));
    }
    Ok(Step {
        offered_per_s: counted.sent as f64 / elapsed_s,
        answered_per_s: counted.noerror as f64 / elapsed_s,
        cpu_s_per_million: cpu_s / counted.noerror as f64 * 1e6,
    })
}

/// Queries to a peer for all names: seven A for three AAAA.
fn frames(peer: &Peer, is_timed: bool) -> Frames {
    let mut frames = Vec::new();
    for i in 0..NAMES {
        for qtype in [1, 28] {
            let client_v4 = if pair_of(peer) == XDP_PAIR { XDP_CLIENT } else { CLIENT };
            let opt = Some(ClientOpt::new(1232, false));
            let query = ClientQuery { opt, client_v4, ..ClientQuery::new(&wire_name(&host(i)), qtype) };
            frames.push(super::publish::sent_to(query.frame(), [192, 0, 2, peer.host]));
        }
    }
    let draw = |turn: u32| {
        let mixed = (u64::from(turn) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let name = (mixed >> 20) as u32 % NAMES as u32;
        name * 2 + u32::from(mixed >> 52 & 1023 >= 717)
    };
    let replies = if peer.name == OURS_XDP { Replies::OfXdp } else { Replies::OfSockets };
    Frames { frames, sequence: (0..1 << 18).map(draw).collect(), replies, is_timed }
}

/// Memory for each name that a peer keeps, against the first peer's.
fn measure_memory(stage: &Stage, peers: &[Peer], count: usize) {
    let mut baseline = Vec::new();
    for (i, peer) in peers.iter().enumerate() {
        let taken = memory(stage, peer, count);
        if let (0, Ok(bytes)) = (i, &taken) {
            baseline.push(*bytes);
        }
        if let Ok(bytes) = &taken {
            say(&Line::Note(format!("{:<14} {bytes:>9.0} bytes for each of {count} names", peer.name)));
        }
        say(&Line::Measured(Measured {
            unit: "bytes".to_owned(),
            is_less_better: true,
            ours: taken.iter().copied().collect(),
            baseline_name: format!("{}-memory-{}", PEERS[0].name, short(count)),
            baseline: baseline.clone(),
            given_up: taken.err(),
            ..Measured::new(&format!("{}-memory-{}", peer.name, short(count)), "bytes_per_name")
        }));
    }
}

/// What a process with so many names in its cache takes more than one that was made for few, for each name.
fn memory(stage: &Stage, peer: &Peer, count: usize) -> Result<f64, String> {
    let empty = stage.start(peer, 0)?.memory();
    let running = stage.start(peer, count)?;
    let questions: Vec<_> = (0..count).map(|i| (host(i), RecordType::A)).collect();
    let ask = |questions: &[_]| {
        let asked = stage.elsewhere.inside(|| ask_all(running.address, questions));
        asked.map_err(|not| format!("{} came as {:?}", not.question, not.came))
    };
    ask(&questions)?;
    let full = running.memory();
    let sample: Vec<_> = questions.iter().step_by(count.div_ceil(SAMPLE)).cloned().collect();
    let before = stage.upstream.asked();
    ask(&sample)?;
    let forgotten = stage.upstream.asked() - before;
    if forgotten as usize > sample.len() / 20 {
        return Err(format!("of {} names it had forgotten {forgotten}", sample.len()));
    }
    Ok(full.saturating_sub(empty) as f64 / count as f64)
}

/// A number as in names of cases.
fn short(count: usize) -> String {
    match count {
        _ if count >= 1_000_000 && count.is_multiple_of(1_000_000) => format!("{}m", count / 1_000_000),
        _ if count >= 1000 && count.is_multiple_of(1000) => format!("{}k", count / 1000),
        _ => count.to_string(),
    }
}

/// The pair that a peer is reached by: first the generator's end, then the peer's.
fn pair_of(peer: &Peer) -> [&'static str; 2] {
    if peer.name == OURS_XDP { XDP_PAIR } else { PAIR }
}

fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

/// The pair of all others, and where nothing of ours looks at packets.
pub const PAIR: [&str; 2] = ["kdev-gen", "kdev-sut"];
/// The pair of our kernel half.
pub const XDP_PAIR: [&str; 2] = ["kdev-xgen", "kdev-xsut"];
/// Whom the answers go to, by either pair.
pub const CLIENT: [u8; 4] = [198, 51, 100, 7];
/// The client on [`XDP_PAIR`].
pub const XDP_CLIENT: [u8; 4] = [198, 51, 100, 8];
/// CPU of the load, and of what its frames set off.
pub const LOAD_CPU: usize = 0;
/// CPU of the peer.
pub const TESTED_CPU: usize = 1;
/// Names that are asked for, each with two types.
const NAMES: usize = 10_000;
/// The first load, in queries per second, and how it rises.
const LOAD_FIRST: f64 = 40_000.0;
const LOAD_GROWTH: f64 = 1.2;
/// The highest load that is sent at a pace; the last one is as high as it can be.
const PACED_MAX: f64 = 1_000_000.0;
/// The load rises no further when so many steps brought no more answers.
const WORSE_IN_A_ROW: usize = 3;
/// Frames without a pace: so many that the time does not count which the kernel takes to end a call, 24 to 36 ms here.
const UNPACED_FRAMES: u32 = 4_000_000;
/// Length of a step.
const STEP_TIME: Duration = Duration::from_millis(400);
/// Time for what is still on its way.
const DRAIN_TIME: Duration = Duration::from_millis(30);
/// Where waits are measured.
const LATENCY_TIME: Duration = Duration::from_secs(1);
/// At most so many queries per second, of which the generator sends each at its time.
const LATENCY_RATE_MAX: f64 = 500_000.0;
/// After so many void runs in a row a peer is given up.
const VOID_IN_A_ROW: usize = 3;
/// Names that are asked for again, to see whether they were kept.
const SAMPLE: usize = 500;
