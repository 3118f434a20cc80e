//! Which clients XDP may answer: networks, the longest of which that holds a client decides.
//!
//! A key is a prefix length in bits (`u32`), then one of the data below. The generation stands first, so that a whole new
//! list can be written beside the one in use and be switched to by one store of [`super::Settings::clients`].
//! A list says something about every client: it has networks of length 0. A client that no network holds is passed.

use bytemuck::{Pod, Zeroable};

/// In [`super::Settings::clients`]: there is no list, and every client is answered.
pub const CLIENTS_ALL: u32 = 0;
/// Networks of each address family that one list may have, those of length 0 included.
pub const CLIENT_NETWORKS_MAX: usize = 2048;
/// Bits of the generation, which come before those of the network.
pub const GENERATION_BITS: u32 = 32;

/// Data of a key of `CLIENTS_V4`: prefix length 32..=64 with the generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct ClientV4 {
    /// Of the list, as it lies.
    pub generation: u32,
    /// Address, network order.
    pub address: [u8; 4],
}

/// Data of a key of `CLIENTS_V6`: prefix length 32..=160 with the generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct ClientV6 {
    /// Of the list, as it lies.
    pub generation: u32,
    /// Address, network order.
    pub address: [u8; 16],
}

/// What is said about the clients of a network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct ClientRule {
    /// 1: XDP may answer. 0: it passes, and the daemon does what is to be done.
    pub allowed: u16,
    /// 1: rate limits hold, if there are any. 0: they do not (`rate-limit-exempt`).
    pub limited: u16,
}

const _: () = assert!(size_of::<ClientV4>() == 8 && size_of::<ClientV6>() == 20 && size_of::<ClientRule>() == 4);
