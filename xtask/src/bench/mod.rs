//! `cargo xtask bench`: measures, always against a baseline that is measured in the same run, since machines differ.
//!
//! In: the name of a rig. Out: a table, with `--json` the same figures with the machine they were taken on, and with `--html`
//! a page with plots.
//! Refuses to judge: a comparison flags what changed beyond the spread, and fails the run only if asked to.

pub mod attack;
mod beside;
mod cold;
mod compare;
pub mod fastpath;
pub mod flood;
pub mod hammer;
mod html;
mod kernel_rig;
mod machine;
pub mod misses;
pub mod page;
pub mod peers;
mod plot;
pub mod publish;
pub mod report;
pub mod restarts;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::command::{Failure, read, write};
use report::{Measured, Report};

/// A rig.
#[derive(Subcommand)]
pub enum Rig {
    /// Answers per second of the kernel half against a bare reflector, on one core over a veth pair
    Fastpath(fastpath::Options),
    /// Cached answers of Unbound, BIND, Knot Resolver, dnsmasq and ours under the same load: rate, CPU, latency, memory
    Peers(peers::Options),
    /// Validated answers per second with a cold cache, CPU and queries per miss, forwarding and from the root
    Misses(misses::Options),
    /// Latency of others while zones are asked that are made to cost a validator much, against that without
    Attack(attack::Options),
    /// Time until an answer is served by XDP, and publishes and retirements per second beside full load
    Publish(publish::Options),
    /// Checks answers byte by byte while their slots are reused at full speed
    Hammer(hammer::Options),
    /// Makes one page of several files that --json wrote
    Page(page::Options),
    /// What hits, memory and others' misses become beside floods: random names, made-up sources, malformed packets
    Flood(flood::Options),
    /// What clients get while the daemon is killed and started again, over and over
    Restarts(restarts::Options),
}

/// What becomes of figures. Words that every rig has.
#[derive(Args)]
pub struct Output {
    /// Write the figures, with the machine they were taken on
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Hold the figures against those of an earlier run
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Fail if a case is worse than then by more than so many percent, beyond the spread
    #[arg(long, value_name = "PERCENT", requires = "compare")]
    fail_over: Option<f64>,
}

/// Words of every rig that takes its cases and their baselines in turns.
#[derive(Args)]
pub struct Common {
    #[command(flatten)]
    output: Output,
    /// Counted runs of each case, and as many of its baseline
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    runs: u16,
}

/// Runs the verb.
///
/// # Errors
/// Something could not be built, run or written, or a case could not be measured.
pub fn run(rig: &Rig) -> Result<(), Failure> {
    match rig {
        Rig::Fastpath(options) => fastpath::run(options),
        Rig::Misses(options) => misses::run(options),
        Rig::Peers(options) => peers::run(options),
        Rig::Attack(options) => attack::run(options),
        Rig::Publish(options) => publish::run(options),
        Rig::Hammer(options) => hammer::run(options),
        Rig::Page(options) => page::run(options),
        Rig::Flood(options) => flood::run(options),
        Rig::Restarts(options) => restarts::run(options),
    }
}

impl Output {
    /// Reads the figures of the run to compare with, if there is one.
    fn earlier(&self) -> Result<Option<Report>, Failure> {
        self.compare.as_deref().map(report_of).transpose()
    }

    /// Writes the figures where they are wanted, and prints how they stand to the earlier ones.
    fn finish(&self, report: &Report, then: Option<&Report>) -> Result<(), Failure> {
        if let Some(path) = &self.json {
            let text = serde_json::to_string_pretty(report).map_err(|error| unreadable(error.to_string()))?;
            write(path, text + "\n")?;
        }
        if let Some(path) = &self.html {
            write(path, html::page(std::slice::from_ref(report)))?;
        }
        let Some(then) = then else { return Ok(()) };
        let compared = compare::compare(report, then);
        println!();
        compared.lines.iter().for_each(|line| println!("{line}"));
        let Some(percent) = self.fail_over else { return Ok(()) };
        let lost = compared.worse.into_iter().filter(|(_, lost)| *lost > percent);
        let cases: Vec<_> = lost.map(|(case, lost)| format!("{case}: {lost:.1} % worse")).collect();
        if cases.is_empty() { Ok(()) } else { Err(Failure::CasesWorse { cases }) }
    }
}

/// A report that `--json` wrote.
fn report_of(path: &Path) -> Result<Report, Failure> {
    let text = read(path)?;
    serde_json::from_str(&text).map_err(|error| unreadable(format!("{}: {error}", path.display())))
}

/// Fails with the names of the cases that were given up, if any were.
fn given_up(measured: &[Measured]) -> Result<(), Failure> {
    let given_up = measured.iter().filter(|case| case.given_up.is_some());
    let mut cases: Vec<_> = given_up.map(|case| case.case.clone()).collect();
    cases.dedup();
    if cases.is_empty() { Ok(()) } else { Err(Failure::CasesVoid { cases }) }
}

/// Figures are not in the shape that we know.
fn unreadable(said: String) -> Failure {
    Failure::Unreadable { tool: "figures", said }
}
