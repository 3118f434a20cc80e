//! `cargo xtask bench`: measures, always against a baseline that is measured in the same run, since machines differ.
//!
//! In: the name of a rig. Out: a table, and with `--json` the same figures with the machine they were taken on.
//! Refuses to judge: a comparison flags what changed beyond the spread, and never fails the run.

pub mod fastpath;
mod machine;
pub mod report;

use clap::Subcommand;

use crate::command::Failure;

/// A rig.
#[derive(Subcommand)]
pub enum Rig {
    /// Answers per second of the kernel half against a bare reflector, on one core over a veth pair
    Fastpath(fastpath::Options),
}

/// Runs the verb.
///
/// # Errors
/// Something could not be built, run or written, or a case could not be measured.
pub fn run(rig: &Rig) -> Result<(), Failure> {
    match rig {
        Rig::Fastpath(options) => fastpath::run(options),
    }
}
