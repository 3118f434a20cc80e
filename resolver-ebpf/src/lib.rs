//! The kernel half as a library: what a packet looks like, what the maps hold, and how a query is answered from them.
//!
//! Compiled twice: for the host, where it is tested on plain memory, and for BPF, where `bin/xdp` gives it packets and
//! maps. Rooms, in the order a packet meets them: [`wire`] (headers, names, sums), [`abi`] (map layout), [`serve`] (the
//! fast path: admit → look up → reply).
//!
//! Refuses: allocation, panics, and every dependency on a BPF library; those live in the binaries.
#![no_std]

pub mod abi;
pub mod serve;
pub mod wire;
