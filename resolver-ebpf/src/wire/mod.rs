//! The wire format, as far as the fast path reads or writes it: link, IP, UDP and DNS headers, names and sums.
//!
//! In: bytes of a frame, laid over with the alignment-1 structs of this room. Out: checked facts and sums.
//! Refuses: anything that needs a walk over records or labels; that is the daemon's.
//! Rules: RFC 1035 §4.1 (message), RFC 6891 §6.1 (OPT), RFC 791, RFC 8200, RFC 768, RFC 1071 (sums),
//! RFC 7873 and RFC 9018 (cookies).
#![deny(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

pub mod bytes;
pub mod checksum;
pub mod cookie;
pub mod dns;
pub mod ip;
pub mod link;
pub mod name;
pub mod udp;
