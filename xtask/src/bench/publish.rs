//! Rig 4: how soon an answer is served by XDP, and how many can be published and retired while XDP serves what it can.
//!
//! Out: a table, each figure against what is aimed at.

use clap::Args;

use super::{Common, fastpath::LOAD_TOOL, kernel_rig, report::Machine};
use crate::{command::Failure, setup};

/// Words of the verb.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
}

/// Runs the verb.
///
/// # Errors
/// Something could not be built, run or written, or a case could not be measured.
pub fn run(options: &Options) -> Result<(), Failure> {
    setup::require_root("cargo xtask bench publish")?;
    let then = options.common.output.earlier()?;
    kernel_rig::build()?;
    let machine = Machine::of_veth(LOAD_TOOL)?;
    println!("\n{}", kernel_rig::HEAD);
    let words = [options.common.runs.to_string()];
    let (told, ended) = kernel_rig::run(RIG, words, |case| println!("{}", kernel_rig::row(case, RIG)));
    let report = told.report(RIG, machine);
    println!("\n{} runs each; {}; {}", options.common.runs, report.machine.cpu, report.machine.kernel);
    options.common.output.finish(&report, then.as_ref())?;
    ended?;
    super::given_up(&told.measured)
}

const RIG: &str = "publish";
