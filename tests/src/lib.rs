//! The test harness: a daemon in a process of its own, servers that do what a script says, clients, and messages.
//!
//! Everything is on loopback and needs no rights. Nothing here judges; the tests do.

pub mod client;
pub mod daemon;
#[cfg(feature = "lab")]
pub mod kernel;
pub mod message;
pub mod signed;
pub mod upstream;
