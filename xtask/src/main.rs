//! `cargo xtask`: reads the verb and runs it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{bench, build, demo, dist, fuzz, lab, lint, setup, test};

/// Command line of `cargo xtask`.
#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer's commands of the resolver")]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

/// One verb, and the words that belong to it.
#[derive(Subcommand)]
enum Verb {
    /// Install what the build, the lab and the tests need; quick when nothing is missing
    Setup(setup::Options),
    /// Build both halves: the BPF objects and target/release/resolver
    Build,
    /// Raise, use and remove the network namespaces and the private DNS tree
    #[command(subcommand)]
    Lab(lab::Action),
    /// Do the main job on real packets in the lab, and check every expectation
    Demo(demo::Options),
    /// Measure, against a baseline in the same run
    #[command(subcommand)]
    Bench(bench::Rig),
    /// Check formatting, lints, documentation and the architecture rules
    Lint,
    /// Feed a claim with made-up bytes for a while, guided by coverage
    Fuzz(fuzz::Options),
    /// Make what users install: a Debian package and a tarball
    Dist,
    /// Run every tier of tests, or one
    Test(test::Options),
}

fn main() -> ExitCode {
    let outcome = match CommandLine::parse().verb {
        Verb::Setup(options) => setup::run(&options),
        Verb::Build => build::run().map(|_| ()),
        Verb::Lab(action) => lab::run(action),
        Verb::Demo(options) => demo::run(&options),
        Verb::Bench(rig) => bench::run(&rig),
        Verb::Lint => lint::run(),
        Verb::Fuzz(options) => fuzz::run(&options),
        Verb::Dist => dist::run().map(|_| ()),
        Verb::Test(options) => test::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
