//! The kernel half as a library: what a packet looks like, what the maps hold, and how a query is answered from them.
//!
//! Compiled twice: for the host, where it is tested on plain memory, and for BPF, where `bin/xdp` gives it packets and
//! maps. Rooms, in the order a packet meets them: [`wire`] (headers, names, sums), [`abi`] (map layout), [`serve`] (the
//! fast path: admit → look up → limit → reply). [`limit`] is the rate limiter of both halves. [`slot`] writes and reads what the daemon publishes; [`host`] is the fast path on
//! plain memory, for tests.
//!
//! Refuses: allocation and panics (but for [`host`]), and every dependency on a BPF library; those live in the binaries.
#![no_std]

#[cfg(not(target_arch = "bpf"))]
extern crate std;

pub mod abi;
#[cfg(not(target_arch = "bpf"))]
pub mod host;
pub mod limit;
pub mod serve;
pub mod slot;
pub mod wire;
