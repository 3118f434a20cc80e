//! What the operator has said about names: hosts files, `address=`, `host-record=`, `cname=` and their like.
//!
//! In: [`LocalSource`], everything that was read from the configuration and its files. Out: [`LocalData`], which says for a
//! question what is to be answered, or that the operator has said nothing. Rooms: `source` is what may be said, `build` puts
//! it together, `data` looks it up, `reverse` knows the names of addresses, `synth` those that are made from addresses.
//! Refuses: files, sockets, clocks, and everything that comes from other servers. What is said here has no proof: it never
//! carries AD and is never published; it comes before every cache. Ruled by RFC 1035 §4.1, RFC 6303, RFC 8482.

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]

mod build;
mod data;
mod reverse;
mod source;
mod synth;

#[cfg(test)]
mod tests;

pub use build::BuildError;
pub use data::{LocalAnswer, LocalData};
pub use reverse::reverse_name;
pub use source::{Cname, HostLine, LocalRecord, LocalSource, RuleKind, SubnetDomain};
pub use synth::{AddressRange, SynthDomain};
