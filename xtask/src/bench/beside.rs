//! What others wait for an answer while somebody else asks for much.
//!
//! In: who asks, how often, and for what. Out: a line for each run, and figures. Each run is a fresh daemon on the second CPU;
//! it is asked for names that it does not know yet at a bounded rate, without and with an attacker beside it, in turns.
//! Refuses to count a run in which anything but NOERROR came for the others, the attack was not answered, or one query of it cost
//! more than its limits.

use std::{
    net::Ipv4Addr,
    process::{Child, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use super::{
    cold::{Mode, PEERS, Peer, Running},
    misses::Rig,
    report::{Figure, Measured},
};
use crate::{
    command::{Failure, Tool, write},
    lab::facts::Facts,
    paths,
};

/// An attack.
pub(super) struct Case {
    /// Its stable name.
    pub name: &'static str,
    /// How the daemon finds answers.
    pub mode: Mode,
    /// So many names that nobody has asked for, in dnsperf's form.
    pub names: fn(&Facts, u32) -> String,
}

impl Case {
    /// Our daemon in the case's mode.
    fn daemon(&self) -> &'static Peer {
        PEERS.iter().find(|peer| peer.mode == self.mode).unwrap_or(&PEERS[0])
    }
}

/// How much an attacker asks for.
#[derive(Clone, Copy)]
pub(super) struct Rates {
    /// Questions per second.
    pub attack_per_s: u32,
    /// Where they come from, if not from the address of the others.
    pub source: Option<Ipv4Addr>,
}

/// Latencies of one run, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Latency {
    median: f64,
    p99: f64,
}

/// Pairs of runs of one case: its figures for the median and the tail.
pub(super) fn measure(rig: &Rig, case: &Case, rates: Rates, runs: u16) -> Result<[Measured; 2], Failure> {
    let (mut without, mut with, mut void_runs, mut given_up) = (Vec::new(), Vec::new(), 0, None);
    'runs: for turn in 0..runs {
        for (attack, latencies) in [(None, &mut without), (Some(rates), &mut with)] {
            let mut last = String::new();
            let counted = (0..VOID_IN_A_ROW).find_map(|_| match once(rig, case, attack) {
                Ok(Ok(counted)) => Some(Ok(counted)),
                Ok(Err(why)) => {
                    println!("{:<21} void {why}", case.name);
                    void_runs += 1;
                    last = why;
                    None
                }
                Err(failure) => Some(Err(failure)),
            });
            let Some(counted) = counted else {
                given_up = Some(last);
                break 'runs;
            };
            let (latency, told) = counted?;
            let beside = if attack.is_some() { "attack" } else { "none" };
            let Latency { median, p99 } = latency;
            println!("{:<21} {:>4} {beside:<7} {:>9.2} {:>9.2}  {told}", case.name, turn + 1, median * 1e3, p99 * 1e3);
            latencies.push(latency);
        }
    }
    // Choice: not the times, so that more is better in every figure.
    let figure = |metric: &str, of: fn(&Latency) -> f64| Measured {
        ours: with.iter().map(|latency| 1.0 / of(latency)).collect(),
        baseline_name: "no attack".to_owned(),
        baseline: without.iter().map(|latency| 1.0 / of(latency)).collect(),
        void_runs,
        given_up: given_up.clone(),
        ..Measured::new(case.name, metric)
    };
    Ok([figure("1/median_latency", |latency| latency.median), figure("1/p99_latency", |latency| latency.p99)])
}

/// One run of a fresh daemon: the latencies of others, and what is to be told of the attack. In the inner error, why it is void.
fn once(rig: &Rig, case: &Case, attack: Option<Rates>) -> Result<Result<(Latency, String), String>, Failure> {
    rig.warm_upstream()?;
    let (at, peer) = (rig.address(), case.daemon());
    let running = Running::start(rig, peer)?;
    running.wait_until_it_answers(&rig.facts.client, &at, peer.port)?;
    let attacker = attack.map(|rates| Attacker::start(rig, case, rates)).transpose()?;
    if attacker.is_some() {
        // What its tool does to begin is no attack, and would have the CPU of the others' tool.
        std::thread::sleep(HEAD_START);
    }
    let said = rig.dnsperf(&rig.facts.client, &at, peer.port).args(["-v", "-q", "1000", "-n", "1"]);
    let (rate, seconds) = (OTHERS_PER_S.to_string(), SECONDS.to_string());
    let said = said.args(["-Q", &rate, "-l", &seconds, "-d"]).arg(&rig.hosts.file).quiet_output()?;
    let told = attacker.map(|attacker| attacker.end(rig)).transpose()?;
    let Some(latency) = latency(&said, u32::from(OTHERS_PER_S) * SECONDS * 9 / 10) else {
        let summary = said.lines().map(str::trim).filter(|line| line.starts_with("Queries") || line.contains("codes"));
        return Ok(Err(summary.collect::<Vec<_>>().join(", ")));
    };
    Ok(told.unwrap_or_else(|| Ok(String::new())).map(|told| (latency, told)))
}

/// What dnsperf tells of each answer. `None` if one was no NOERROR, or there are too few.
fn latency(said: &str, answers_min: u32) -> Option<Latency> {
    let answers = said.lines().filter_map(|line| line.strip_prefix("> "));
    let seconds = |answer: &str| answer.strip_prefix("NOERROR ")?.split_whitespace().last()?.parse().ok();
    let mut latencies: Vec<f64> = answers.map(seconds).collect::<Option<_>>()?;
    latencies.sort_by(f64::total_cmp);
    let at = |share: usize| latencies.get(latencies.len() * share / 100).copied();
    let enough = latencies.len() >= usize::try_from(answers_min).ok()?;
    enough.then_some(Latency { median: at(50)?, p99: at(99)? })
}

/// A client that asks for always-new names of attack zones.
struct Attacker {
    child: Child,
    line: String,
}

impl Attacker {
    fn start(rig: &Rig, case: &Case, rates: Rates) -> Result<Self, Failure> {
        let names = rig.folder.join("attack");
        // More than one run needs.
        write(&names, (case.names)(rig.facts, rates.attack_per_s * (SECONDS + 2)))?;
        let tool = rig.dnsperf(&rig.facts.client, &rig.address(), case.daemon().port);
        let source = rates.source.unwrap_or(Ipv4Addr::UNSPECIFIED).to_string();
        // Longer than the others, who are never without it.
        let (rate, seconds) = (rates.attack_per_s.to_string(), (SECONDS + 1).to_string());
        let tool = tool.args(["-a", &source, "-q", "5000", "-t", "13", "-Q", &rate, "-l", &seconds, "-d"]).arg(names);
        let (line, mut command) = tool.announced();
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let child = child.map_err(|source| Failure::Start { command: line.clone(), source })?;
        Ok(Self { child, line })
    }

    /// Waits for its end. In the inner error, why the run is void.
    fn end(self, rig: &Rig) -> Result<Result<String, String>, Failure> {
        let output = self.child.wait_with_output().map_err(|source| Failure::Start { command: self.line, source })?;
        let said = String::from_utf8_lossy(&output.stdout);
        let codes = said.lines().find_map(|line| line.trim().strip_prefix("Response codes:"));
        let Some(codes) = codes.map(str::trim) else { return Ok(Err("nobody answered the attack".to_owned())) };
        let status = Tool::new(&*paths::resolver().to_string_lossy()).args(["status", "--json", "--control-socket"]);
        let status = status.arg(rig.control_socket()).quiet_output()?;
        let status: Value = serde_json::from_str(&status).unwrap_or_default();
        let work = |name: &str, of: &str| {
            let kinds = status["work"].as_array().into_iter().flatten();
            kinds.filter(|kind| kind["name"] == name).find_map(|kind| kind[of].as_u64()).unwrap_or(u64::MAX)
        };
        let most = |name| work(name, "most");
        let (weight, rounds) = (most("signature_weight"), most("nsec3_rounds"));
        let told = format!("{codes}; most of a query: {} checks, {rounds} rounds", most("signature_checks"));
        let within = weight <= work("signature_weight", "limit") && rounds <= work("nsec3_rounds", "limit");
        Ok(if within { Ok(told) } else { Err(told) })
    }
}

/// Different in each run.
pub(super) fn run_number() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}

/// Prints latencies as people think of them.
pub(super) fn tell(results: &[Figure]) {
    println!(
        "\nlatency of {OTHERS_PER_S}/s of others with the attack over that without: median of pairs, least, greatest"
    );
    for figure in results {
        let Figure { case, metric, ratio, ratio_min, ratio_max, void_runs, .. } = figure;
        let [middle, least, most] = [ratio, ratio_max, ratio_min].map(|ratio| 1.0 / ratio);
        println!("{case:<21} {metric:<16} {middle:.2} ({least:.2} to {most:.2}), {void_runs} void runs");
    }
}

/// Over the lines of the runs.
pub(super) const HEAD: &str = "case                  run beside  median ms    p99 ms";
/// Questions of others, per second.
const OTHERS_PER_S: u16 = 500;
/// How long an attack goes on before the others begin.
const HEAD_START: Duration = Duration::from_millis(500);
/// Length of a run, in seconds.
const SECONDS: u32 = 8;
/// After so many void runs in a row no more are taken.
const VOID_IN_A_ROW: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_read_from_each_answer_and_a_failed_one_voids_the_run() {
        let answers: String = (1..=200).map(|number| format!("> NOERROR h.test A 0.{number:06}\n")).collect();
        assert_eq!(latency(&answers, 200), Some(Latency { median: 101e-6, p99: 199e-6 }));
        assert_eq!(latency(&answers, 201), None);
        assert_eq!(latency(&(answers + "> SERVFAIL h.test A 0.000001\n"), 1), None);
    }
}
