//! `rig publish RUNS`: rig 4. How long after its answer a name is hit in XDP, by a whole daemon; and how many answers can be
//! published and retired in a second while the kernel half serves as much as it can.

use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use aya::maps::Map;
use aya::programs::{TestRun, TestRunOptions, Xdp};
use aya_obj::programs::XdpAttachType;
use nix::cmsg_space;
use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use resolver_ebpf::abi::{AnswerBlock, Bucket, SLOT_WORDS_MAX, Settings, map_name};
use resolver_ebpf::host::OwnedStore;
use resolver_ebpf::host::message::ClientQuery;
use resolver_ebpf::host::records::{NOW_BOOT_NS, Record, set_listeners, wire_name};
use resolver_ebpf::slot::{answer_key_hash, render};
use resolver_tests::hammer::wait_for_grace_period;
use resolver_tests::kernel::Kernel;
use resolver_tests::message::TestQuery;
use resolver_tests::rig::fastpath::{Rig, enter};
use resolver_tests::rig::generator::{Frames, Replies};
use resolver_tests::rig::peers::{OURS_XDP, PEERS, Running, Scene};
use resolver_tests::rig::place::{Elsewhere, add_pair, ip, move_to_cpu};
use resolver_tests::rig::upstream::{RigUpstream, host};
use resolver_user::publish::memory::MappedArray;
use resolver_user::publish::table::{AnswerTable, Entry, SlotWords};
use resolver_user::wire::RecordType;
use xtask::bench::report::{Line, Measured};

use super::say;

/// Runs both parts.
pub fn run(runs: usize) -> ExitCode {
    enter(LOAD_CPU);
    for measured in measure_delay(runs).into_iter().chain(measure_writing(runs)) {
        say(&Line::Measured(measured));
    }
    ExitCode::SUCCESS
}

/// The time from an answer's way out to the first hit of XDP, over names that nobody has asked for.
fn measure_delay(runs: usize) -> [Measured; 2] {
    let elsewhere = Elsewhere::new();
    add_pair(DAEMON_PAIR);
    ip(&format!("link set {} netns {}", DAEMON_PAIR[1], elsewhere.path()));
    let folder = xtask::paths::target().join("rig");
    let pins = Path::new(PINS);
    let peer = PEERS.into_iter().find(|peer| peer.name == OURS_XDP).expect("one of them");
    let (medians, greatest) = elsewhere.inside(|| {
        ip("link set lo up");
        ip(&format!("link set {} up", DAEMON_PAIR[1]));
        ip(&format!("address add 192.0.2.{}/32 dev {}", peer.host, DAEMON_PAIR[1]));
        let upstream = RigUpstream::start(UPSTREAM);
        let scene = Scene { folder: &folder, upstream: &upstream, cpu: TESTED_CPU, xdp: (DAEMON_PAIR[1], pins) };
        let running = peer.start(&scene, runs * NAMES_PER_RUN).unwrap_or_else(|failure| panic!("{failure:?}"));
        let program = pins.join("programs/resolver");
        let program = Xdp::from_pin(program, XdpAttachType::Interface).expect("the daemon's program");
        let mut number = 1;
        let runs = (0..runs).map(|_| {
            let delays = (0..NAMES_PER_RUN).map(|_| {
                number += 1;
                delay_us(&running, &program, &host(number))
            });
            let mut delays: Vec<f64> = delays.collect();
            delays.sort_by(f64::total_cmp);
            (delays[delays.len() / 2], delays[delays.len() - 1])
        });
        runs.collect::<(Vec<f64>, Vec<f64>)>()
    });
    let figure = |metric: &str, ours: Vec<f64>| Measured {
        unit: "us".to_owned(),
        is_less_better: true,
        baseline: vec![DELAY_GOAL_US; ours.len()],
        baseline_name: "goal".to_owned(),
        ours,
        ..Measured::new("publish-delay", metric)
    };
    [figure("median_delay", medians), figure("greatest_delay", greatest)]
}

/// How long after the answer for a new name XDP has it too, in microseconds, one look of ours included.
fn delay_us(running: &Running, program: &Xdp, name: &str) -> f64 {
    let SocketAddr::V4(address) = running.address else { panic!("an IPv4 address") };
    let frame = sent_to(ClientQuery::new(&wire_name(name), 1).frame(), address.ip().octets());
    let socket = UdpSocket::bind(("0.0.0.0", 0)).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    setsockopt(&socket, ReceiveTimestampns, &true).expect("arrival times");
    socket.send_to(&TestQuery::new(name, RecordType::A).wire(), address).expect("send the query");
    // When the answer came to this socket, which on loopback is when it left the daemon's; not when we were woken.
    let (mut packet, mut control) = ([0; 4096], cmsg_space!(TimeSpec));
    let mut parts = [IoSliceMut::new(&mut packet)];
    let message =
        recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty()).expect("an answer");
    let arrived = message.cmsgs().expect("arrival times").find_map(|control| match control {
        ControlMessageOwned::ScmTimestampns(at) => Some(at),
        _ => None,
    });
    let arrived = Duration::from(arrived.expect("an arrival time"));
    let start = Instant::now();
    let mut out = [0; 1024];
    loop {
        let mut options = TestRunOptions::new();
        options.data_in = Some(&frame);
        options.data_out = Some(&mut out);
        let verdict = program.test_run(options).expect("test-run").return_value;
        if verdict == XDP_TX {
            let now = Duration::from(clock_gettime(ClockId::CLOCK_REALTIME).expect("the clock"));
            return now.saturating_sub(arrived).as_secs_f64() * 1e6;
        }
        assert!(start.elapsed() < PATIENCE, "{name} was not published");
    }
}

/// A frame over IPv4 with another destination, and without a UDP checksum, so that its ID may change.
pub fn sent_to(mut frame: Vec<u8>, address: [u8; 4]) -> Vec<u8> {
    frame[30..34].copy_from_slice(&address);
    frame[24..26].fill(0);
    let sum: u32 = frame[14..34].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
    frame[24..26].copy_from_slice(&checksum.to_be_bytes());
    frame[40..42].fill(0);
    frame
}

/// Publishes answers anew at a steady pace, and then as fast as it can, while rig 1 asks for all of them.
fn measure_writing(runs: usize) -> Vec<Measured> {
    let (mut rig, mut writer) = loaded();
    let (mut load, mut alone) = (Vec::new(), Vec::new());
    let (mut paced, mut flat_out) = (Written::default(), Written::default());
    let (mut void_runs, mut last) = (0, None);
    while load.len() < runs && void_runs < VOID_RUNS_MAX {
        let rate_alone = rig.run_ours(FRAMES_PER_RUN);
        let (rate, written) = writer.beside(Some(PACE_PER_S), || rig.run_ours(FRAMES_PER_RUN));
        let (also, written_flat_out) = writer.beside(None, || rig.run_ours(FRAMES_PER_RUN));
        match (rate_alone, rate, also) {
            (Ok(rate_alone), Ok(rate), Ok(_)) => {
                alone.push(rate_alone);
                load.push(rate);
                paced.add(&written);
                flat_out.add(&written_flat_out);
            }
            (Err(void), ..) | (_, Err(void), _) | (.., Err(void)) => {
                void_runs += 1;
                last = Some(void.to_string());
            }
        }
    }
    let given_up = last.filter(|_| load.len() < runs);
    let written = |case: &str, metric: &str, ours: &[f64]| Measured {
        ours: ours.to_vec(),
        baseline_name: "goal".to_owned(),
        baseline: vec![PACE_PER_S; ours.len()],
        void_runs,
        given_up: given_up.clone(),
        ..Measured::new(case, metric)
    };
    vec![
        written("publish-beside-load", "publishes_per_s", &paced.published),
        written("publish-beside-load", "retirements_per_s", &paced.freed),
        written("publish-flat-out", "publishes_per_s", &flat_out.published),
        written("publish-flat-out", "retirements_per_s", &flat_out.freed),
        Measured {
            ours: load,
            baseline_name: "load-alone".to_owned(),
            baseline: alone,
            void_runs,
            given_up: given_up.clone(),
            ..Measured::new("load-beside-publish", "answers_per_s")
        },
    ]
}

/// What was written per second, run by run.
#[derive(Default)]
struct Written {
    published: Vec<f64>,
    freed: Vec<f64>,
}

impl Written {
    fn add(&mut self, other: &Self) {
        self.published.extend(&other.published);
        self.freed.extend(&other.freed);
    }
}

/// The daemon's table of published answers, and two versions of each of them.
struct Writer {
    table: AnswerTable,
    versions: Vec<[(SlotWords, usize); 2]>,
    hashes: Vec<u64>,
    turn: usize,
}

impl Writer {
    /// Publishes the next answer in place of its other version.
    fn publish_next(&mut self) -> bool {
        let (i, version) = (self.turn % self.versions.len(), self.turn / self.versions.len() % 2);
        self.turn += 1;
        let (slot, lines) = &self.versions[i][version];
        let entry = Entry {
            key_hash: self.hashes[i],
            slot,
            lines: *lines,
            expires_at_boot_ns: NOW_BOOT_NS + 300_500_000_000,
            refresh_from_boot_ns: u64::MAX,
            rotation: None,
            published: Arc::new(AtomicBool::new(false)),
        };
        self.table.publish(&entry, NOW_BOOT_NS).is_ok()
    }

    /// Writes on the other CPU while `work` runs, at a pace or as fast as it can. Slots are reused after grace periods, which
    /// another thread waits for, as in the daemon.
    fn beside<T: Send>(&mut self, pace_per_s: Option<f64>, work: impl FnOnce() -> T) -> (T, Written) {
        let (done, published, freed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        let (retired, batches) = channel();
        let (returned, free) = channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                move_to_cpu(TESTED_CPU);
                for batch in batches {
                    wait_for_grace_period();
                    if returned.send(batch).is_err() {
                        return;
                    }
                }
            });
            scope.spawn(|| {
                move_to_cpu(TESTED_CPU);
                let (retired, start, mut waiting) = (retired, Instant::now(), false);
                while !done.load(Ordering::Relaxed) {
                    let due = pace_per_s.map_or(f64::INFINITY, |pace| start.elapsed().as_secs_f64() * pace);
                    for _ in 0..WRITES_PER_TURN {
                        if (published.load(Ordering::Relaxed) as f64) < due && self.publish_next() {
                            published.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    if let Ok(places) = free.try_recv() {
                        let places: Vec<_> = places;
                        freed.fetch_add(places.len() as u64, Ordering::Relaxed);
                        self.table.give_back(&places);
                        waiting = false;
                    }
                    if !waiting {
                        waiting = retired.send(self.table.take_limbo()).is_ok();
                    }
                }
                drop(retired);
                for places in free {
                    self.table.give_back(&places);
                }
            });
            let counts = || [&published, &freed].map(|count| count.load(Ordering::Relaxed));
            let (start, before) = (Instant::now(), counts());
            let result = work();
            let (elapsed_s, after) = (start.elapsed().as_secs_f64(), counts());
            done.store(true, Ordering::Relaxed);
            let [published, freed] = std::array::from_fn(|i| vec![(after[i] - before[i]) as f64 / elapsed_s]);
            (result, Written { published, freed })
        })
    }
}

/// The kernel half with all answers published by the daemon's own table, and a load that asks for them.
fn loaded() -> (Rig, Writer) {
    let mut settings_of: OwnedStore = OwnedStore::new(BUCKET_BITS, 1, NOW_BOOT_NS);
    set_listeners(&mut settings_of.settings);
    let settings: Settings = settings_of.settings;
    let kernel = Kernel::load(1 << BUCKET_BITS, BLOCKS);
    let mapped = |name: &str, length: usize| {
        let Some(Map::Array(map)) = kernel.ebpf.map(name) else { panic!("no map {name}") };
        MappedArray::new(map.fd().as_fd(), length).expect("map the array")
    };
    let buckets = mapped(map_name::BUCKETS, size_of::<Bucket>() << BUCKET_BITS);
    let answers = mapped(map_name::ANSWERS, BLOCKS as usize * size_of::<AnswerBlock>());
    let table = AnswerTable::new(buckets, answers, BLOCKS);
    kernel.set(&settings);
    let (mut versions, mut hashes, mut frames) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..NAMES {
        let name = wire_name(&format!("n{i:06x}.example.com"));
        versions.push([1, 2].map(|version| {
            let record = Record::new(&name, 1).with(1, &[10, version, (i >> 8) as u8, i as u8]);
            let mut words = [0; SLOT_WORDS_MAX];
            let lines = render(&record.answer(), &mut words).expect("publishable");
            (words, lines)
        }));
        hashes.push(answer_key_hash(&name, 1, false, &settings.hash_key));
        frames.push(ClientQuery::new(&name, 1).frame());
    }
    let mut writer = Writer { table, versions, hashes, turn: 0 };
    for frame in std::mem::take(&mut frames) {
        // A full bucket takes no further answer, in the daemon too; it is not asked for.
        if writer.publish_next() {
            frames.push(frame);
        }
    }
    let sequence = (0..1u32 << 20).map(|turn| turn.wrapping_mul(0x9e37_79b1) % frames.len() as u32).collect();
    (Rig::with_kernel(kernel, &Frames { frames, sequence, replies: Replies::OfXdp, is_timed: false }, true), writer)
}

/// CPU of the load, and of the client.
const LOAD_CPU: usize = 0;
/// CPU of the daemon, and of the writer.
const TESTED_CPU: usize = 1;
/// The daemon's end of a pair of its own, second.
const DAEMON_PAIR: [&str; 2] = ["kdev-xgen", "kdev-xsut"];
/// Where the daemon of the rig pins its maps.
pub const PINS: &str = "/sys/fs/bpf/resolver-rig";
/// Where the rig's upstream answers.
pub const UPSTREAM: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 5300));
/// Names that each run of the delay asks for.
const NAMES_PER_RUN: usize = 200;
/// What issue 5 asks for, in microseconds.
const DELAY_GOAL_US: f64 = 1000.0;
/// What issue 5 asks for: publishes, and as many retirements.
const PACE_PER_S: f64 = 100_000.0;
/// Answers that are published over and over.
const NAMES: usize = 10_000;
/// Two entries a bucket.
const BUCKET_BITS: u32 = 13;
/// Room for the answers and for what waits for grace periods when they are written as fast as can be: without room, others would go.
const BLOCKS: u32 = 1024;
/// Answers that the writer publishes between two looks at what has become free.
const WRITES_PER_TURN: usize = 64;
/// Frames of a run.
const FRAMES_PER_RUN: u32 = 2_000_000;
/// After so many void runs no more are taken.
const VOID_RUNS_MAX: usize = 10;
/// Longest wait for an answer, or for its publication.
const PATIENCE: Duration = Duration::from_secs(5);
const XDP_TX: u32 = 3;
