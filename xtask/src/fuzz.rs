//! `cargo xtask fuzz`: builds the fuzz programs with coverage instrumentation, and runs each for a while.
//!
//! In: the name of a claim in `tests/fuzz`, or none for all of them. Out: libFuzzer's report; what it finds is left in
//! `target/fuzz/finds`. Needs a compiler for C++, which builds libFuzzer, and no other tool. New inputs that reach new code
//! are kept in `target/fuzz/corpus`, so that the next run goes on from there. The checked-in corpus is only read, unless
//! `--keep` asks to add to it what reaches code that nothing there reaches.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::{
    command::{Failure, Tool, make_folder},
    paths, setup,
};

/// Words of the verb.
#[derive(Args)]
pub struct Options {
    /// Name of the claim
    #[arg(default_value = ALL, value_parser = PossibleValuesParser::new([ALL].into_iter().chain(TARGETS)))]
    target: String,
    /// How long to run each, in seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Run nothing; add inputs that earlier runs found and that reach new code to the checked-in corpus
    #[arg(long)]
    keep: bool,
}

/// The programs in `tests/fuzz/fuzz_targets`, one for each claim. A test of `resolver-tests` holds them against the claims.
pub const TARGETS: [&str; 8] = ["message", "name", "canonical", "nsec3", "validation", "at_hand", "fast_path", "slot"];

/// Runs the verb.
///
/// # Errors
/// A program does not compile, or found something. The programs after it are not run.
pub fn run(options: &Options) -> Result<(), Failure> {
    setup::for_cargo()?;
    for target in TARGETS.into_iter().filter(|target| [ALL, target].contains(&&*options.target)) {
        let program = Program::build(target)?;
        if options.keep { program.keep()? } else { program.run(options.seconds)? }
    }
    Ok(())
}

/// Stands for all claims.
const ALL: &str = "all";

/// A program that was built, with its folders.
struct Program {
    name: String,
    path: PathBuf,
    /// What runs found, and what they found wrong.
    corpus: PathBuf,
    finds: PathBuf,
    /// What is checked in.
    seeds: PathBuf,
}

impl Program {
    fn build(name: &str) -> Result<Self, Failure> {
        let sources = paths::workspace().join("tests/fuzz");
        let folder = paths::target().join("fuzz");
        let host = host()?;
        Tool::cargo()
            .env("CARGO_ENCODED_RUSTFLAGS", COVERAGE_FLAGS.join("\x1f"))
            // The lock file follows the other workspace, whose crates these programs are made of.
            .args(["build", "--release", "--bin", name, "--manifest-path"])
            .arg(sources.join("Cargo.toml"))
            // With a target named, flags are for it alone: build scripts are not instrumented.
            .args(["--target", &host, "--target-dir"])
            .arg(&folder)
            .run()?;
        let program = Self {
            name: name.to_owned(),
            path: folder.join(host).join("release").join(name),
            corpus: folder.join("corpus").join(name),
            finds: folder.join("finds"),
            seeds: sources.join("corpus").join(name),
        };
        for path in [&program.corpus, &program.finds, &program.seeds] {
            make_folder(path)?;
        }
        Ok(program)
    }

    fn run(&self, seconds: u32) -> Result<(), Failure> {
        Tool::new(&self.path)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/{}-", self.finds.display(), self.name))
            .args(["-max_len=4096", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"])
            .args([&self.corpus, &self.seeds])
            .run()
    }

    /// Adds the smallest inputs that reach edges which the seeds do not. How often an edge is taken does not count, so that
    /// the corpus stays small.
    fn keep(&self) -> Result<(), Failure> {
        Tool::new(&self.path)
            .args(["-merge=1", "-use_counters=0", "-max_len=1024", "-timeout=10"])
            .args([&self.seeds, &self.corpus])
            .run()
    }
}

/// The triple of this machine, as the compiler calls it.
fn host() -> Result<String, Failure> {
    let said = Tool::new("rustc").args(["--print", "host-tuple"]).quiet_output()?;
    Ok(said.trim().to_owned())
}

/// What libFuzzer wants to know from the compiler: which edges were taken, how often, and what was compared with what.
const COVERAGE_FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
