//! Rig 1: how many answers per second the kernel half gives on one core, against a program that only turns frames round.
//!
//! In: names of cases. Out: a table, line by line as the rig measures. The rig is a binary of the tests' package; it makes a
//! namespace and a veth pair of its own, and both go with it.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use clap::Args;

use super::{
    Common,
    report::{Figure, Machine, Measured, Report},
};
use crate::{
    build::{self, Built},
    command::{self, Failure, Tool},
    paths, setup,
};

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
    let then = options.common.earlier()?;
    let built = build::run()?;
    build_rig(&built)?;
    let machine = Machine::of_veth(LOAD_TOOL)?;
    let mut measured = Vec::new();
    println!("\n{HEAD}");
    let ended = measure(options, |case| {
        println!("{}", row(&case));
        measured.push(case);
    });
    let results = measured.iter().filter_map(|case| case.figure(RIG)).collect();
    let report = Report { machine, results };
    println!(
        "\n{} runs each; {}; {}; veth, native XDP",
        options.common.runs, report.machine.cpu, report.machine.kernel
    );
    options.common.finish(&report, then.as_ref())?;
    ended?;
    super::given_up(&measured)
}

/// Builds the rig, with the object named as for the daemon, lest cargo build the daemon's library anew each time.
fn build_rig(built: &Built) -> Result<(), Failure> {
    let words = ["build", "--release", "--package", "resolver-tests", "--features", "lab", "--bin", RIG_BINARY];
    let tool = Tool::cargo().env("RESOLVER_BPF_OBJECT", &built.xdp_object).args(words);
    tool.arg("--target-dir").arg(paths::target()).run()
}

/// Runs the rig and hands out each case as it comes.
fn measure(options: &Options, mut take: impl FnMut(Measured)) -> Result<(), Failure> {
    let rig = paths::target().join("release").join(RIG_BINARY);
    let verb = || Failure::NotRoot { verb: "cargo xtask bench fastpath".to_owned() };
    let tool = setup::Rights::found().tool(&rig.to_string_lossy()).ok_or_else(verb)?;
    let (line, mut command) = tool.arg(options.common.runs.to_string()).args(&options.cases).announced();
    let failed = |source| Failure::Start { command: line.clone(), source };
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let mut odd = None;
    let output = child.stdout.take();
    for text in output.into_iter().flat_map(|output| BufReader::new(output).lines()).map_while(Result::ok) {
        match serde_json::from_str(&text) {
            Ok(case) => take(case),
            Err(_) => odd = Some(text),
        }
    }
    let status = child.wait().map_err(failed)?;
    command::ended(line, status, String::new())?;
    odd.map_or(Ok(()), |text| Err(unreadable(text)))
}

/// What the rig says is not what we know.
fn unreadable(said: String) -> Failure {
    Failure::Unreadable { tool: RIG_BINARY, said }
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
const RIG_BINARY: &str = "fastpath-rig";
const LOAD_TOOL: &str = "fastpath-rig: BPF_PROG_TEST_RUN with live frames, batch 64";
