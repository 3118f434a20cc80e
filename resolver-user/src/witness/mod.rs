//! Pure parts of seeing what clients get, whichever half answers: frames read, popular things counted in bounded memory,
//! captures filtered and written as pcapng.
//!
//! In: frames and names. Out: what they say, estimates with their error, bytes of a capture file.
//! Refuses: sockets, maps, clocks and tasks; the kernel half's records come from `publish/`, and `daemon/` joins the two.

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]

mod counts;
mod filter;
mod frame;
mod pcapng;
mod popular;

pub use counts::{AnsweredBy, Counting, MostFrequent};
pub use filter::{CaptureFilter, FilterError, ReadFilter};
pub use frame::{UdpFrame, question};
pub use pcapng::{Direction, begin, end, packet};
pub use popular::{Counted, Popular};
