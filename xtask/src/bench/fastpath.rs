//! Rig 1: how many answers per second the kernel half gives on one core, against a program that only turns frames round.
//!
//! In: names of cases. Out: a table, line by line as the rig measures.

use clap::Args;

use super::{
    Common, kernel_rig,
    report::{Figure, Machine, Measured},
};
use crate::command::Failure;

/// Words of the verb.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Names of cases, or how they begin; all without any
    #[arg(value_name = "CASE")]
    cases: Vec<String>,
}

/// Runs the verb.
///
/// # Errors
/// Something could not be built, run or written, or a case could not be measured.
pub fn run(options: &Options) -> Result<(), Failure> {
    let then = options.common.output.earlier()?;
    kernel_rig::build()?;
    let machine = Machine::of_veth(LOAD_TOOL)?;
    println!("\n{HEAD}");
    let words = std::iter::once(options.common.runs.to_string()).chain(options.cases.iter().cloned());
    let (told, ended) = kernel_rig::run(RIG, words, |case| println!("{}", row(case)));
    let report = told.report(RIG, machine);
    println!(
        "\n{} runs each; {}; {}; veth, native XDP",
        options.common.runs, report.machine.cpu, report.machine.kernel
    );
    options.common.output.finish(&report, then.as_ref())?;
    ended?;
    super::given_up(&told.measured)
}

/// A line of the table.
fn row(case: &Measured) -> String {
    let Some(figure) = case.figure(RIG) else {
        let why = case.given_up.as_deref().unwrap_or("no runs");
        return format!("{:<20} given up after {} void runs, the last: {why}", case.case, case.void_runs);
    };
    let Figure { median, min, max, ratio, ratio_min, ratio_max, void_runs, baseline, .. } = &figure;
    format!(
        "{:<20} {median:>9} {min:>9} {max:>9}  {:<9} {:>9}  {ratio:>5.3} {ratio_min:>5.3} {ratio_max:>5.3} {:>+5.0} {void_runs:>5}",
        figure.case,
        baseline.name,
        baseline.median,
        figure.added_ns(),
    )
}

/// Over the table. Rates are per second: of answers, and in the cases that end in `pass` of passed frames.
const HEAD: &str =
    "case                    median       min       max  baseline     median  ratio   min   max   +ns  void";
const RIG: &str = "fastpath";
/// What sends the load of all rigs of [`kernel_rig`].
pub(super) const LOAD_TOOL: &str = "rig: BPF_PROG_TEST_RUN with live frames, batch 64";
