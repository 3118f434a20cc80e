//! Runs the rigs whose frames are made in the kernel: a binary of the tests' package with one verb for each of them.
//!
//! In: a verb of the binary with its words. Out: what it measured, as its lines come; notes are printed. The binary makes
//! namespaces and veth pairs of its own, which go with it.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use super::report::{Curve, Figure, Line, Machine, Measured, Report};
use crate::{
    build,
    command::{self, Failure, Tool},
    paths, setup,
};

/// What a rig measured.
#[derive(Default)]
pub(super) struct Told {
    /// In its order.
    pub measured: Vec<Measured>,
    /// What single figures cannot say.
    pub curves: Vec<Curve>,
}

impl Told {
    /// The report of a rig, in which cases that were given up are missing.
    pub fn report(&self, rig: &str, machine: Machine) -> Report {
        let results = self.measured.iter().filter_map(|case| case.figure(rig)).collect();
        Report { machine, results, curves: self.curves.clone() }
    }
}

/// Builds everything that the rigs need, the binary with the object named as for the daemon, lest cargo build the daemon's
/// library anew each time.
pub(super) fn build() -> Result<(), Failure> {
    let built = build::run()?;
    let words = ["build", "--release", "--package", "resolver-tests", "--features", "lab", "--bin", BINARY];
    let tool = Tool::cargo().env("RESOLVER_BPF_OBJECT", &built.xdp_object).args(words);
    tool.arg("--target-dir").arg(paths::target()).run()
}

/// Runs a verb of the binary. What was measured until it failed, if it did, is told all the same.
pub(super) fn run<W: AsRef<std::ffi::OsStr>>(
    verb: &str,
    words: impl IntoIterator<Item = W>,
    show: impl Fn(&Measured),
) -> (Told, Result<(), Failure>) {
    let mut told = Told::default();
    let ended = follow(verb, words, &mut |line| match line {
        Line::Measured(measured) => {
            show(&measured);
            told.measured.push(measured);
        }
        Line::Curve(curve) => told.curves.push(curve),
        Line::Note(note) => println!("{note}"),
    });
    (told, ended)
}

fn follow<W: AsRef<std::ffi::OsStr>>(
    verb: &str,
    words: impl IntoIterator<Item = W>,
    take: &mut impl FnMut(Line),
) -> Result<(), Failure> {
    let binary = paths::target().join("release").join(BINARY);
    let not_root = || Failure::NotRoot { verb: format!("cargo xtask bench {verb}") };
    let tool = setup::Rights::found().tool(&binary.to_string_lossy()).ok_or_else(not_root)?;
    let (line, mut command) = tool.arg(verb).args(words).announced();
    let failed = |source| Failure::Start { command: line.clone(), source };
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let mut odd = None;
    let output = child.stdout.take();
    for text in output.into_iter().flat_map(|output| BufReader::new(output).lines()).map_while(Result::ok) {
        match serde_json::from_str(&text) {
            Ok(line) => take(line),
            Err(_) => odd = Some(text),
        }
    }
    let status = child.wait().map_err(failed)?;
    command::ended(line, status, String::new())?;
    odd.map_or(Ok(()), |said| Err(Failure::Unreadable { tool: BINARY, said }))
}

/// A line of a table under [`HEAD`].
pub(super) fn row(case: &Measured, rig: &str) -> String {
    let Some(figure) = case.figure(rig) else {
        let why = case.given_up.as_deref().unwrap_or("no runs");
        return format!("{:<24} given up after {} void runs: {why}", case.case, case.void_runs);
    };
    let Figure { case, metric, unit, median, min, max, ratio, ratio_min, ratio_max, void_runs, baseline, .. } = &figure;
    format!(
        "{case:<24} {metric:<20} {median:>9} {min:>9} {max:>9} {unit:<7} {:<15} {:>9}  {ratio:>6.3} {ratio_min:>6.3} \
         {ratio_max:>6.3} {void_runs:>5}",
        baseline.name, baseline.median,
    )
}

/// Over a table of several metrics.
pub(super) const HEAD: &str = "case                     metric                  median       min       max unit    \
                               baseline           median   ratio    min    max  void";
const BINARY: &str = "rig";
