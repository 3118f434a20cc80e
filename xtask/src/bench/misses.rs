//! Rig 3: validated answers per second with a cold cache, CPU and upstream queries per miss, against Unbound doing the same.
//!
//! In: nothing but a machine with two CPUs. Out: a table, line by line as runs end. The program under test has the second CPU
//! for itself; the load, the upstream and everything behind it share the first. Cold: each run is a fresh process. It is asked
//! for the many names of one zone, and from the root also for the few of each zone of the tree, which shows what the way there
//! takes: delegations, keys, proofs.
//! Refuses to count a run in which anything but NOERROR came, or whose program does not validate.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use super::{
    Common,
    cold::{Mode, PEERS, Peer, Running},
    kernel_rig,
    report::{Figure, Machine, Measured, Report},
};
use crate::{
    build,
    command::{Failure, Tool, make_folder, write},
    lab::{
        self,
        facts::{Facts, Namespace, Question},
    },
    paths, setup,
};
use clap::Args;

/// Words of the verb.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Only this way to answers
    #[arg(long, value_enum)]
    mode: Option<Mode>,
}

/// Runs the verb.
///
/// # Errors
/// Something could not be built, raised or written, or nothing but void runs came.
pub fn run(options: &Options) -> Result<(), Failure> {
    setup::require_root("cargo xtask bench misses")?;
    setup::peers_are_there()?;
    let then = options.common.output.earlier()?;
    build::run()?;
    let lab = lab::Guard::up(lab::Switch::On)?;
    let rig = Rig::new(&lab.facts)?;
    let machine = Machine { xdp_mode: "off".to_owned(), ..Machine::of_veth(&tools())? };
    let mut measured = Vec::new();
    for mode in [Mode::Forward, Mode::Iterate] {
        if options.mode.is_none_or(|wanted| wanted == mode) {
            println!("\n{HEAD}");
            measured.extend(measure(&rig, mode, &rig.hosts, options.common.runs)?);
            if mode == Mode::Iterate {
                measured.extend(measure(&rig, mode, &rig.tree, options.common.runs)?);
            }
        }
    }
    lab.down()?;
    println!("\n{}", kernel_rig::HEAD);
    measured.iter().for_each(|case| println!("{}", kernel_rig::row(case, RIG)));
    let results: Vec<Figure> = measured.iter().filter_map(|case| case.figure(RIG)).collect();
    let report = Report { machine, results, curves: Vec::new() };
    println!("\n{} runs each; {}; {}", options.common.runs, report.machine.cpu, report.machine.tools.join(", "));
    options.common.output.finish(&report, then.as_ref())?;
    super::given_up(&measured)
}

/// Runs of all programs in one mode, in turns.
fn measure(rig: &Rig, mode: Mode, asked: &Asked, runs: u16) -> Result<Vec<Measured>, Failure> {
    // Asked for the whole tree at once, Knot Resolver fails for one or two names: no run of it would count.
    let takes = |peer: &&Peer| peer.mode == mode && (asked.is_timed || !peer.case.starts_with("knot"));
    let mut cases: Vec<Case> = PEERS.iter().filter(takes).map(|peer| Case::new(peer, asked)).collect();
    for turn in 0..runs {
        for case in cases.iter_mut().filter(|case| case.given_up.is_none()) {
            // One that does not start, or does not know the way, is no reason not to measure the others.
            let counted = rig.counted(case, asked);
            match counted.unwrap_or_else(|failure| Err(failure.to_string())) {
                Ok(rate) => {
                    let Rate { per_s, queries, .. } = rate;
                    let cpu_us = rate.cpu_us();
                    println!("{:<26} {:>4} {per_s:>10.0} {cpu_us:>11.1} {queries:>12.3}", case.name, turn + 1);
                    case.rates.push(rate);
                }
                Err(last) => case.given_up = Some(last),
            }
        }
    }
    // Of few questions, time says nothing.
    let figures = measured(&cases).into_iter();
    Ok(figures.filter(|figure| asked.is_timed || figure.metric == QUERIES_PER_ANSWER).collect())
}

/// What came of a program's runs.
struct Case {
    /// Its stable name.
    name: String,
    peer: &'static Peer,
    rates: Vec<Rate>,
    void_runs: usize,
    given_up: Option<String>,
}

impl Case {
    fn new(peer: &'static Peer, asked: &Asked) -> Self {
        let name = format!("{}{}", peer.case, asked.suffix);
        Self { name, peer, rates: Vec::new(), void_runs: 0, given_up: None }
    }
}

/// What a counted run gave.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rate {
    /// Answers per second of the clock.
    per_s: f64,
    /// Answers per second of the program's CPU time, user and system.
    per_cpu_s: f64,
    /// Packets by UDP to other servers, and connections by TCP, for each answer.
    queries: f64,
}

impl Rate {
    /// CPU time of one answer, in microseconds.
    fn cpu_us(self) -> f64 {
        1e6 / self.per_cpu_s
    }
}

/// Where runs take place.
pub(super) struct Rig<'a> {
    pub(super) facts: &'a Facts,
    pub(super) folder: PathBuf,
    /// Both addresses of many hosts in one zone.
    pub(super) hosts: Asked,
    /// What there is to ask of all zones of the plain tree that validate.
    tree: Asked,
}

/// Questions that are asked once each, and all answered with NOERROR.
pub(super) struct Asked {
    /// What they add to the names of cases.
    suffix: &'static str,
    /// In dnsperf's form.
    pub(super) file: PathBuf,
    /// How many.
    count: usize,
    /// Whether they are enough for a rate.
    is_timed: bool,
}

impl<'a> Rig<'a> {
    /// Writes the questions, and moves the lab's servers to the CPU of the load and to the rig's priority.
    pub(super) fn new(facts: &'a Facts) -> Result<Self, Failure> {
        let folder = paths::target().join(RIG);
        make_folder(&folder)?;
        let (name, hosts) = facts
            .zones
            .iter()
            .find(|zone| zone.name == ZONE)
            .map_or((ZONE, 0), |zone| (&zone.name, zone.generated_hosts));
        let mut text = String::new();
        for number in 0..hosts {
            // A `String` takes everything.
            let _ = write!(text, "h{number:04}.{name} A\nh{number:04}.{name} AAAA\n");
        }
        let hosts = Asked::write(&folder, "", &text, true)?;
        let validated = |question: &&Question| {
            ["secure", "insecure"].contains(&question.status.as_str())
                && question.rcode == "NOERROR"
                && question.qtype != "ANY"
        };
        let of_tree = facts.zones.iter().filter(|zone| zone.group == lab::TREE).flat_map(|zone| &zone.questions);
        let of_tree = of_tree.filter(validated).map(|question| format!("{} {}\n", question.qname, question.qtype));
        let of_tree: BTreeSet<String> = of_tree.collect();
        let tree = Asked::write(&folder, "-tree", &of_tree.into_iter().collect::<String>(), false)?;
        // All of the namespace, since a server may be several processes.
        let servers = Tool::new("ip").args(["netns", "pids", &facts.auth.name]).quiet_output()?;
        for pid in servers.split_whitespace() {
            Tool::new("taskset").args(["-a", "-p", "-c", LOAD_CPU, pid]).output()?;
            let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
            let threads = threads.map(|thread| thread.file_name());
            Tool::new("renice").args(["-n", NICENESS, "-p"]).args(threads).output()?;
            raise_session(pid);
        }
        raise_session("self");
        Ok(Self { facts, folder, hosts, tree })
    }

    /// Runs until a run counts. In the inner error, what the last of too many void runs saw.
    fn counted(&self, case: &mut Case, asked: &Asked) -> Result<Result<Rate, String>, Failure> {
        let mut last = String::new();
        for _ in 0..VOID_IN_A_ROW {
            match self.measure(case.peer, asked)? {
                Ok(rate) => return Ok(Ok(rate)),
                Err(why) => last = why,
            }
            println!("{:<26} void {last}", case.name);
            case.void_runs += 1;
        }
        Ok(Err(last))
    }

    /// One run of a fresh process. In the inner error, why it is void.
    fn measure(&self, peer: &Peer, asked: &Asked) -> Result<Result<Rate, String>, Failure> {
        self.warm_upstream()?;
        let at = &self.address();
        let running = Running::start(self, peer)?;
        running.wait_until_it_answers(&self.facts.client, at, peer.port)?;
        let (before_s, sent_before) = (running.cpu_s()?, self.sent()?);
        let said = self.load(&self.facts.client, at, peer.port, asked, &[])?;
        let (cpu_s, sent) = (running.cpu_s()? - before_s, self.sent()? - sent_before);
        let count = Count::read(&said).ok_or_else(|| Failure::Unreadable { tool: "dnsperf", said: said.clone() })?;
        if count.noerror != asked.count || count.sent != asked.count {
            return Ok(Err(format!("sent {}, NOERROR {} ({})", count.sent, count.noerror, count.codes)));
        }
        let port = peer.port.to_string();
        let words = ["dig", "+tries=1", "+time=2", "+adflag", &format!("@{at}"), "-p", &port, "A", PROBE];
        if !lab::inside_namespace(&self.facts.client).args(words).quiet_output()?.contains(" ad;") {
            return Ok(Err(format!("{PROBE} came without AD")));
        }
        // Whatever left the namespace and was no answer.
        let queries = sent / count.answers() - 1.0;
        Ok(Ok(Rate { per_s: count.per_s, per_cpu_s: count.answers() / cpu_s, queries }))
    }

    /// UDP packets and connections that left the namespace of the program under test so far.
    fn sent(&self) -> Result<f64, Failure> {
        let said = lab::inside_namespace(&self.facts.resolver).args(["cat", "/proc/net/snmp"]).quiet_output()?;
        sent(&said).ok_or(Failure::Unreadable { tool: "/proc/net/snmp", said })
    }

    /// Asks the upstream all questions. To be done before each run, since what it has kept since the last may have run out.
    pub(super) fn warm_upstream(&self) -> Result<(), Failure> {
        let upstream = &self.facts.upstreams[0];
        self.load(&self.facts.resolver, &upstream.ipv4.to_string(), upstream.port, &self.hosts, &["-D"]).map(drop)
    }

    /// Where the programs under test listen.
    pub(super) fn address(&self) -> String {
        self.facts.resolver.interfaces[0].ipv4.to_string()
    }

    /// Control socket of our daemon.
    pub(super) fn control_socket(&self) -> PathBuf {
        self.folder.join("control.sock")
    }

    /// All questions once, from a namespace to a server. Returns what dnsperf said.
    fn load(&self, from: &Namespace, server: &str, port: u16, asked: &Asked, more: &[&str]) -> Result<String, Failure> {
        let tool = self.dnsperf(from, server, port).args(["-q", OUTSTANDING, "-n", "1"]).args(more);
        tool.arg("-d").arg(&asked.file).quiet_output()
    }

    /// The load tool, on its CPU.
    pub(super) fn dnsperf(&self, from: &Namespace, server: &str, port: u16) -> Tool {
        let tool = lab::inside_namespace(from).args(["nice", "-n", NICENESS, "taskset", "-c", LOAD_CPU]);
        let tool = tool.args(["dnsperf", "-s", server]);
        tool.args(["-p", &port.to_string(), "-c", "1"])
    }

    /// Our upstream, as both forward to it.
    pub(super) fn upstream(&self, separator: char) -> String {
        let upstream = &self.facts.upstreams[0];
        format!("{}{separator}{}", upstream.ipv4, upstream.port)
    }
}

impl Asked {
    fn write(folder: &Path, suffix: &'static str, questions: &str, is_timed: bool) -> Result<Self, Failure> {
        let file = folder.join(format!("questions{suffix}"));
        write(&file, questions)?;
        Ok(Self { suffix, file, count: questions.lines().count(), is_timed })
    }
}

/// Raises the session of a process where the kernel shares CPUs among sessions first, so that a niceness counts for nothing
/// outside of its own (`sched_autogroup_enabled`). Where it does not, there is no such file.
fn raise_session(pid: &str) {
    let _not_there = std::fs::write(format!("/proc/{pid}/autogroup"), NICENESS);
}

/// What dnsperf counted.
#[derive(Debug, PartialEq)]
struct Count {
    sent: usize,
    noerror: usize,
    /// All codes, as dnsperf says it.
    codes: String,
    per_s: f64,
}

impl Count {
    /// `None` if a line is missing. Without any answer there is no line of codes.
    fn read(said: &str) -> Option<Self> {
        let value = |label: &str| said.lines().find_map(|line| Some(line.trim().strip_prefix(label)?.trim()));
        let codes = value("Response codes:").unwrap_or_default().to_owned();
        let noerror = codes.split(", ").find_map(|code| code.strip_prefix("NOERROR ")?.split(' ').next()?.parse().ok());
        let per_s = value("Queries per second:")?.parse().ok()?;
        Some(Self { sent: value("Queries sent:")?.parse().ok()?, noerror: noerror.unwrap_or(0), codes, per_s })
    }

    /// NOERROR answers, for dividing.
    fn answers(&self) -> f64 {
        u32::try_from(self.noerror).map_or(f64::NAN, f64::from)
    }
}

/// UDP datagrams sent and connections opened, in the kernel's table of counters: a line of names, then a line of values.
fn sent(snmp: &str) -> Option<f64> {
    let value = |protocol: &str, wanted: &str| {
        let mut lines = snmp.lines().filter_map(|line| line.strip_prefix(protocol));
        let (names, values) = (lines.next()?, lines.next()?);
        let at = names.split_whitespace().position(|name| name == wanted)?;
        values.split_whitespace().nth(at)?.parse::<f64>().ok()
    };
    Some(value("Udp: ", "OutDatagrams")? + value("Tcp: ", "ActiveOpens")?)
}

/// The figures of all programs of one mode, against Unbound's: by the clock, by CPU time, and queries for each answer.
fn measured(cases: &[Case]) -> Vec<Measured> {
    let Some(baseline) = cases.iter().find(|case| case.peer.case.starts_with("unbound")) else { return Vec::new() };
    let of_case = |case: &Case| {
        let figure = |metric: &str, of: fn(&Rate) -> f64| Measured {
            ours: case.rates.iter().map(of).collect(),
            baseline_name: baseline.name.clone(),
            baseline: baseline.rates.iter().map(of).collect(),
            void_runs: case.void_runs,
            given_up: case.given_up.clone(),
            ..Measured::new(&case.name, metric)
        };
        let queries = Measured {
            unit: "queries".to_owned(),
            is_less_better: true,
            ..figure(QUERIES_PER_ANSWER, |rate| rate.queries)
        };
        // Choice: not time per answer, so that more is better in both.
        [figure("answers_per_s", |rate| rate.per_s), figure("answers_per_cpu_s", |rate| rate.per_cpu_s), queries]
    };
    cases.iter().flat_map(of_case).collect()
}

/// What the load comes from, and what we are held against.
pub(super) fn tools() -> String {
    let first_with = |program: &str, word: &str, mark: &str| {
        let said = Tool::new(program).arg(word).quiet_output().unwrap_or_default();
        said.lines().find_map(|line| Some(line.split_once(mark)?.1.trim().to_owned())).unwrap_or_default()
    };
    let (dnsperf, unbound) = (first_with("dnsperf", "-h", "Version "), first_with("unbound", "-V", "Version "));
    format!("dnsperf {dnsperf}, {OUTSTANDING} outstanding, against unbound {unbound}")
}

/// Over the lines of the runs.
const HEAD: &str = "case                        run  answers/s CPU µs/miss queries/miss";
const QUERIES_PER_ANSWER: &str = "queries_per_answer";
const RIG: &str = "misses";
/// Signed by ECDSA P-256, and the largest.
pub(super) const ZONE: &str = "hosts.test.";
/// Is asked after each run: its answer has to come with AD.
const PROBE: &str = "h0000.hosts.test.";
/// How many questions wait for their answers at once.
const OUTSTANDING: &str = "100";
/// CPU of the load, the upstream and all other servers.
const LOAD_CPU: &str = "0";
/// Priority of everything in the rig, so that it is disturbed less by whatever else the machine does.
pub(super) const NICENESS: &str = "-15";
/// After so many void runs in a row no more are taken.
const VOID_IN_A_ROW: usize = 5;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_their_code() {
        let said = "Statistics:\n\n  Queries sent:         10000\n  Queries completed:    9999 (99.99%)\n  \
                    Queries lost:         1 (0.01%)\n\n  \
                    Response codes:       NOERROR 9998 (99.99%), SERVFAIL 1 (0.01%)\n  \
                    Average packet size:  request 34, response 50\n  Run time (s):         2.0\n  \
                    Queries per second:   4999.500000\n";
        let codes = "NOERROR 9998 (99.99%), SERVFAIL 1 (0.01%)".to_owned();
        assert_eq!(Count::read(said), Some(Count { sent: 10000, noerror: 9998, codes, per_s: 4999.5 }));
        assert_eq!(Count::read("Queries sent: none"), None);
    }

    #[test]
    fn datagrams_and_connections_are_found_by_their_names() {
        let udp = "Udp: InDatagrams NoPorts InErrors OutDatagrams\nUdp: 1 2 3 40\nUdpLite: X\n";
        assert_eq!(sent(&format!("Ip: Forwarding\nIp: 1\nTcp: MaxConn ActiveOpens\nTcp: -1 2\n{udp}")), Some(42.0));
        assert_eq!(sent(udp), None);
    }
}
