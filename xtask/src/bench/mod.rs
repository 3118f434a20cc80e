//! `cargo xtask bench`: measures, always against a baseline that is measured in the same run, since machines differ.
//!
//! In: the name of a rig. Out: a table, and with `--json` the same figures with the machine they were taken on.
//! Refuses to judge: a comparison flags what changed beyond the spread, and never fails the run.

pub mod attack;
pub mod fastpath;
mod machine;
pub mod misses;
pub mod report;
pub mod restarts;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::command::{Failure, read, write};
use report::{Measured, Report};

/// A rig.
#[derive(Subcommand)]
pub enum Rig {
    /// Answers per second of the kernel half against a bare reflector, on one core over a veth pair
    Fastpath(fastpath::Options),
    /// Validated answers per second of a forwarder with a cold cache against unbound, on one core
    Misses(misses::Options),
    /// Latency of others while zones are asked that are made to cost a validator much, against that without
    Attack(attack::Options),
    /// What clients get while the daemon is killed and started again, over and over
    Restarts(restarts::Options),
}

/// Words that every rig has.
#[derive(Args)]
pub struct Common {
    /// Write the figures, with the machine they were taken on
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Hold the figures against those of an earlier run
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
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
        Rig::Attack(options) => attack::run(options),
        Rig::Restarts(options) => restarts::run(options),
    }
}

impl Common {
    /// Reads the figures of the run to compare with, if there is one.
    fn earlier(&self) -> Result<Option<Report>, Failure> {
        let Some(path) = &self.compare else { return Ok(None) };
        let text = read(path)?;
        serde_json::from_str(&text).map(Some).map_err(|error| unreadable(format!("{}: {error}", path.display())))
    }

    /// Writes the figures where they are wanted, and prints how they stand to the earlier ones.
    fn finish(&self, report: &Report, then: Option<&Report>) -> Result<(), Failure> {
        if let Some(path) = &self.json {
            let text = serde_json::to_string_pretty(report).map_err(|error| unreadable(error.to_string()))?;
            write(path, text + "\n")?;
        }
        if let Some(then) = then {
            println!();
            report.compared_with(then).iter().for_each(|line| println!("{line}"));
        }
        Ok(())
    }
}

/// Fails with the names of the cases that were given up, if any were.
fn given_up(measured: &[Measured]) -> Result<(), Failure> {
    let cases: Vec<_> = measured.iter().filter(|case| case.given_up.is_some()).map(|case| case.case.clone()).collect();
    if cases.is_empty() { Ok(()) } else { Err(Failure::CasesVoid { cases }) }
}

/// Figures are not in the shape that we know.
fn unreadable(said: String) -> Failure {
    Failure::Unreadable { tool: "figures", said }
}
