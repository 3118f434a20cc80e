//! The long run of the hammer test: answers are checked byte by byte while their slots are reused at full speed.
//!
//! In: how many answers. Out: how many were checked, and how fast slots were reused. Fails if a single one was wrong.

use clap::Args;

use super::{Output, fastpath::LOAD_TOOL, kernel_rig, report::Machine};
use crate::{command::Failure, setup};

/// Words of the verb.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    output: Output,
    /// Answers to check, such as 1e9; a core checks about half a million per second
    #[arg(long, value_name = "N", default_value = "1e7")]
    hits: f64,
}

/// Runs the verb.
///
/// # Errors
/// Something could not be built, run or written, or an answer was wrong.
pub fn run(options: &Options) -> Result<(), Failure> {
    setup::require_root("cargo xtask bench hammer")?;
    let then = options.output.earlier()?;
    kernel_rig::build()?;
    let machine = Machine { driver: "none, by test-run".to_owned(), ..Machine::of_veth(LOAD_TOOL)? };
    println!("\n{}", kernel_rig::HEAD);
    let words = [options.hits.to_string()];
    let (told, ended) = kernel_rig::run(RIG, words, |case| println!("{}", kernel_rig::row(case, RIG)));
    let report = told.report(RIG, machine);
    options.output.finish(&report, then.as_ref())?;
    ended
}

const RIG: &str = "hammer";
