//! The daemon as a process, between scripted servers and plain clients, all on loopback: `cargo test --test loopback`.
//!
//! Needs no rights, no tools and no network.

mod access;
mod anchors;
mod answers;
mod at_hand;
mod chain;
mod cookies;
mod elsewhere;
mod forwarding;
mod hostile;
mod keeping;
mod limits;
mod local;
mod observing;
mod operation;
mod policy;
mod reload;
mod rolls;
mod seeing;
mod servers;
mod service;
mod split;
mod stubs;
mod validation;

use resolver_tests::daemon::Program;

/// The daemon under test.
const RESOLVER: Program = Program(env!("CARGO_BIN_EXE_resolver-under-test"));
