//! The test harness: a daemon in a process of its own, servers that do what a script says, clients, and messages.
//!
//! Everything is on loopback and needs no rights. Nothing here judges; the tests do.

pub mod client;
pub mod compare;
pub mod daemon;
pub mod dnsmasq;
pub mod fuzz;
pub mod guide;
#[cfg(feature = "lab")]
pub mod hammer;
pub mod icann;
#[cfg(feature = "lab")]
pub mod kernel;
#[cfg(feature = "lab")]
pub mod lab;
#[cfg(feature = "lab")]
pub mod machine;
pub mod message;
#[cfg(feature = "lab")]
pub mod netns;
pub mod openmetrics;
#[cfg(feature = "lab")]
pub mod pinned;
pub mod random;
#[cfg(feature = "lab")]
pub mod restarts;
#[cfg(feature = "lab")]
pub mod rig;
pub mod rolling;
pub mod scenario;
pub mod signed;
pub mod upstream;
