//! Rigs that measure with frames made in the kernel (benchmarks.md, rigs 1, 2 and 4), in namespaces of their own.
//!
//! In: frames to send, and what is published or who listens. Out: rates, waits and counts. [`generator`] sends and counts;
//! [`fastpath`] holds the kernel half against a bare reflector; [`peers`] are resolvers in processes of
//! their own, which forward to an [`upstream`] in ours and are warmed by a [`client`]; a [`flooder`] has its share of a CPU counted apart;
//! [`place`] makes the namespaces.
//! Refuses: to tell a good run from a bad one by anything but counts.

pub mod client;
pub mod fastpath;
pub mod flooder;
pub mod generator;
pub mod peers;
pub mod place;
pub mod upstream;
