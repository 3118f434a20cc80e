//! The developer's commands, one file per verb: `cargo xtask setup | build | lab | lint | test`.
//!
//! In: the words after `cargo xtask`. Out: an exit code, and on standard error every command that was run.
//! Refuses to hide work in shell scripts: a verb prints each command, fails with it, and cleans up after itself.

mod build;
mod command;
mod lab;
mod lint;
mod paths;
mod setup;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    Setup,
    /// Build both halves: the BPF objects and target/release/resolver
    Build,
    /// Raise, use and remove the network namespaces and the private DNS tree
    #[command(subcommand)]
    Lab(lab::Action),
    /// Check formatting, lints, documentation and the architecture rules
    Lint,
    /// Run every tier of tests, or one
    Test(test::Options),
}

fn main() -> ExitCode {
    let outcome = match CommandLine::parse().verb {
        Verb::Setup => setup::run(),
        Verb::Build => build::run().map(|_| ()),
        Verb::Lab(action) => lab::run(action),
        Verb::Lint => lint::run(),
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
