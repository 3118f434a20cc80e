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

use resolver_tests::daemon::{Daemon, Program};
use resolver_tests::signed::SignedTree;
use resolver_tests::upstream::Upstream;

/// The daemon under test.
const RESOLVER: Program = Program(env!("CARGO_BIN_EXE_resolver-under-test"));

/// A validating daemon with more options before the signed tree.
fn signed(options: &[&str]) -> (Upstream, Daemon) {
    let tree = SignedTree::default();
    let anchor = tree.anchor_option();
    let upstream = Upstream::replying(move |asked| tree.reply(asked));
    let server = upstream.option();
    let daemon = RESOLVER.start(&[&["--dnssec", &anchor, &server], options].concat());
    (upstream, daemon)
}
