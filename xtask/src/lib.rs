//! The developer's commands, one file per verb: `cargo xtask setup | build | bench | demo | fuzz | lab | lint | test`.
//!
//! In: the words after `cargo xtask`. Out: an exit code, and on standard error every command that was run.
//! Refuses to hide work in shell scripts: a verb prints each command, fails with it, and cleans up after itself.
//!
//! A library, so that tests read the lab's facts where they are written.

pub mod bench;
pub mod build;
pub mod command;
pub mod demo;
pub mod dist;
pub mod fuzz;
pub mod lab;
pub mod lint;
pub mod paths;
pub mod setup;
pub mod test;
