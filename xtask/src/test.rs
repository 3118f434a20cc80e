//! `cargo xtask test`: every tier of tests, and at the end how many passed, failed and were skipped.
//!
//! In: the checkout; for the lab tier also root. Out: the output of the tests as they run, and the sum over all tiers as
//! the last line. A tier that cannot be built or run is a failure, never silence: absence must not look green.

use std::{
    env,
    io::{BufRead, BufReader},
    path::{self, PathBuf},
    process::Stdio,
};

use clap::{Args, ValueEnum};

use crate::{
    build, command,
    command::{Failure, Tool},
    lab, paths, setup,
};

/// Names the folder of scenarios to the tests that play them.
const SCENARIOS: &str = "RESOLVER_SCENARIOS";

/// Words of the verb.
#[derive(Args)]
pub struct Options {
    /// Run this tier alone
    #[arg(long, value_enum)]
    tier: Option<Tier>,
    /// Play the scenarios of this folder, and run no other tier than that unless it is named
    #[arg(long, value_name = "DIR")]
    scenarios: Option<PathBuf>,
    /// Fail for every scenario that fails, though it is known to
    #[arg(long)]
    strict: bool,
}

/// A tier of tests, from the cheapest to the dearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Tier {
    /// All that `cargo test` runs: no root, no BPF, sockets on the loopback interface only.
    Plain,
    /// Both halves in network namespaces, against real servers.
    Lab,
    /// Scripted upstreams and clients.
    Scenarios,
}

/// Number of tests by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
    /// Lines about goals that are not met. Whether that fails the tier is decided where they are printed: it is then in `failed`, too.
    unmet: Vec<String>,
}

/// Runs the verb.
///
/// # Errors
/// A test failed, or a tier could not be built or run.
pub fn run(options: &Options) -> Result<(), Failure> {
    let named: Vec<Tier> = options.tier.into_iter().chain(options.scenarios.iter().map(|_| Tier::Scenarios)).collect();
    let mut tiers = if named.is_empty() { vec![Tier::Plain, Tier::Lab, Tier::Scenarios] } else { named };
    tiers.dedup();
    setup::for_cargo()?;
    let mut tally = Tally::default();
    let mut broken = Vec::new();
    for tier in tiers {
        let name = format!("{tier:?}").to_lowercase();
        println!("\n== {name} ==");
        let outcome = match tier {
            Tier::Plain => plain(&mut tally),
            Tier::Lab => in_lab(&mut tally),
            Tier::Scenarios => scenarios(options, &mut tally),
        };
        if let Err(failure) = outcome {
            println!("{name}: {failure}");
            broken.push(format!("{name}: {}", failure.to_string().lines().next().unwrap_or_default()));
        }
    }
    println!();
    tally.unmet.iter().for_each(|goal| println!("{goal}"));
    println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    if broken.is_empty() && tally.failed == 0 { Ok(()) } else { Err(Failure::TestsFailed { broken }) }
}

/// The tier that a fresh clone can run.
fn plain(tally: &mut Tally) -> Result<(), Failure> {
    // Scenarios are a tier of their own.
    let tool = Tool::cargo().env(SCENARIOS, "");
    counted(tool.args(["test", "--workspace", "--no-fail-fast"]), tally)
}

/// The tier of scripted upstreams, from the folder that is named, here or in the environment, else the one beside the checkout.
fn scenarios(options: &Options, tally: &mut Tally) -> Result<(), Failure> {
    let beside = paths::workspace().join("../shared/scenarios");
    let named = options.scenarios.clone().or_else(|| env::var_os(SCENARIOS).map(PathBuf::from));
    if named.is_none() && !beside.is_dir() {
        println!("scenarios: none in {}; name a folder with --scenarios", beside.display());
        tally.skipped += 1;
        return Ok(());
    }
    // The tests run in another folder than we. One that is not there is theirs to complain of.
    let folder = named.unwrap_or(beside);
    let folder = path::absolute(&folder).unwrap_or(folder);
    let tool =
        Tool::cargo().env(SCENARIOS, folder).args(["test", "--package", "resolver-tests", "--test", "scenarios"]);
    counted(if options.strict { tool.args(["--", "--strict"]) } else { tool }, tally)
}

/// The tier in the lab, which is taken down afterwards, come what may.
fn in_lab(tally: &mut Tally) -> Result<(), Failure> {
    if setup::Rights::found() != setup::Rights::Root {
        return Err(Failure::NotRoot { verb: "cargo xtask test --tier lab".to_owned() });
    }
    let built = build::run()?;
    let lab = lab::Guard::up(lab::Switch::On)?;
    println!("lab: {} zones on {} servers", lab.facts.zones.len(), lab.facts.servers.len());
    let words = ["test", "--package", "resolver-tests", "--features", "lab", "--no-fail-fast"];
    let tool = Tool::cargo()
        .env("RESOLVER_BIN", &built.resolver)
        .env("RESOLVER_BPF_OBJECT", &built.xdp_object)
        .env("RESOLVER_BPF_BENCH_OBJECT", &built.bench_object)
        .env("RESOLVER_LAB", paths::lab_facts())
        .args(words)
        .env(SCENARIOS, "")
        // The tests share interfaces and pins.
        .args(["--", "--test-threads=1"]);
    counted(tool, tally).and(lab.down())
}

/// Runs `cargo test`, shows its output as it comes, and adds up the summaries. A run that ends badly without a failed
/// test, such as one that does not compile, is a failure of its own.
fn counted(tool: Tool, tally: &mut Tally) -> Result<(), Failure> {
    let (line, mut command) = tool.announced();
    let start = |source| Failure::Start { command: line.clone(), source };
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(start)?;
    let mut sum = Tally::default();
    let output = child.stdout.take();
    for line in output.into_iter().flat_map(|output| BufReader::new(output).lines()).map_while(Result::ok) {
        println!("{line}");
        if let Some(target) = Tally::of_summary(&line) {
            sum = sum.plus(target);
        }
        if line.starts_with("scenarios: goal not met") {
            sum.unmet.push(line);
        }
    }
    let status = child.wait().map_err(start)?;
    let failed = sum.failed;
    *tally = std::mem::take(tally).plus(sum);
    if failed > 0 { Ok(()) } else { command::ended(line, status, String::new()) }
}

impl Tally {
    /// Reads a summary of Rust's test harness: `test result: ok. 3 passed; 0 failed; 1 ignored; …`
    fn of_summary(line: &str) -> Option<Self> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let count = |name: &str| counts.split("; ").find_map(|part| part.strip_suffix(name)?.trim().parse().ok());
        Some(Self { passed: count("passed")?, failed: count("failed")?, skipped: count("ignored")?, ..Self::default() })
    }

    /// The sum of two.
    fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
            unmet: [self.unmet, other.unmet].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_added_up() {
        let lines = [
            "test result: ok. 16 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s",
            "test result: FAILED. 27 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s",
            "test summary ... ok",
        ];
        let sum = lines.iter().filter_map(|line| Tally::of_summary(line)).fold(Tally::default(), Tally::plus);
        assert_eq!(sum, Tally { passed: 43, failed: 2, skipped: 1, ..Tally::default() });
    }
}
