//! `cargo xtask fuzz`: builds one fuzz program with coverage instrumentation, and runs it for a while.
//!
//! In: the name of a claim in `tests/fuzz`. Out: libFuzzer's report; what it finds is left in `target/fuzz/finds`.
//! Needs a compiler for C++, which builds libFuzzer, and no other tool. New inputs that reach new code are kept in
//! `target/fuzz/corpus`, so that the next run goes on from there; the checked-in seeds are read and never written.

use std::fs;

use clap::Args;

use crate::{
    command::{Failure, Tool},
    paths,
};

/// Words of the verb.
#[derive(Args)]
pub struct Options {
    /// Name of the claim: message, name, fast_path, slot or validation
    #[arg(value_parser = TARGETS)]
    target: String,
    /// How long to run, in seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
}

/// Runs the verb.
///
/// # Errors
/// The program does not compile, or found something.
pub fn run(options: &Options) -> Result<(), Failure> {
    let Options { target, seconds } = options;
    let sources = paths::workspace().join("tests/fuzz");
    let folder = paths::target().join("fuzz");
    Tool::cargo()
        .env("CARGO_ENCODED_RUSTFLAGS", COVERAGE_FLAGS.join("\x1f"))
        .args(["build", "--release", "--bin", target, "--manifest-path"])
        .arg(sources.join("Cargo.toml"))
        // With a target named, flags are for it alone: build scripts are not instrumented.
        .args(["--target", &host()?, "--target-dir"])
        .arg(&folder)
        .run()?;
    let (corpus, finds) = (folder.join("corpus").join(target), folder.join("finds"));
    for path in [&corpus, &finds] {
        fs::create_dir_all(path).map_err(|source| Failure::File { path: path.clone(), source })?;
    }
    Tool::new(folder.join(host()?).join("release").join(target))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/{target}-", finds.display()))
        .args(["-max_len=4096", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"])
        .args([corpus, sources.join("corpus").join(target)])
        .run()
}

/// The triple of this machine, as the compiler calls it.
fn host() -> Result<String, Failure> {
    let said = Tool::new("rustc").args(["--print", "host-tuple"]).quiet_output()?;
    Ok(said.trim().to_owned())
}

/// The programs in `tests/fuzz/fuzz_targets`.
const TARGETS: [&str; 5] = ["message", "name", "fast_path", "slot", "validation"];

/// What libFuzzer wants to know from the compiler: which edges were taken, how often, and what was compared with what.
const COVERAGE_FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
