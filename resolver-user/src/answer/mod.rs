//! Turns an outcome and a client's wishes into a message: the one place that sets AD, RCODE, TC and extended errors.
//!
//! In: what was asked ([`Asked`]) and either a finished answer ([`RenderedAnswer`], [`UncheckedAnswer`]) with its remaining
//! TTL, or records of the operator's own, or a [`Failure`]. Out: the bytes of a message.
//! Refuses: sockets, clocks, tasks; the remaining TTL comes in as a number. A [`RenderedAnswer`] can only be made from
//! what the validator let through, and only it can carry AD or be published.
//! Of EDNS an answer carries an extended error, the time of keepalive over TCP if it was asked for, and cookies, in this order;
//! no padding, which is for encrypted transports only (RFC 7830 §6), no client subnet, which is not used (RFC 7871 §7.2.1).
//! Ruled by RFC 1035 §4, RFC 3597 §4 (compression), RFC 4035 §3.2, RFC 6840 §5.7–5.8 (AD), RFC 6891, RFC 7828, RFC 7873, RFC 8914.

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]

mod asked;
mod chaos;
mod compress;
mod failure;
mod local;
mod message;
mod rendered;
mod rotation;

pub use asked::{Asked, AskedEdns, Form, Transport};
pub use chaos::{ChaosName, ChaosQuestion, write_chaos};
pub use failure::{ExtendedError, Failure, Notice};
pub use local::write_local;
pub use message::{
    Answer, Sent, turn_addresses, write_answer, write_cookies_alone, write_failure, write_slip, write_stale,
};
pub use rendered::{RenderedAnswer, UncheckedAnswer};
pub use rotation::Rotation;

/// UDP payload size that our OPT announces and that no UDP answer of ours exceeds, in bytes (DNS flag day 2020).
pub const UDP_PAYLOAD_LEN_MAX: u16 = 1232;
/// Largest UDP answer to a client without EDNS, in bytes (RFC 1035 §4.2.1).
pub const UDP_PLAIN_LEN_MAX: u16 = 512;

#[cfg(test)]
mod tests;
