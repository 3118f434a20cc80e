//! The fast path on plain memory: what tests, fuzzers and tools use in place of packets and maps.
//!
//! In: bytes of a frame, words of a store. Out: what [`crate::serve::serve`] does with them.
//! [`clients`] are access lists with what they say about some clients, [`cookies`] the cookies of clients, for the same tests.
//! [`tags`] are the VLANs and interfaces that vectors come by.
//! [`limits`] are rate limits that leave everything or nothing, for them as well.
//! [`vectors`] is the table of frames that run through the host and through the kernel; both must agree, byte for byte.
//! Not compiled for BPF, and the only room that allocates.

pub mod clients;
pub mod cookies;
mod frame;
pub mod limits;
pub mod message;
pub mod records;
mod store;
pub mod tags;
pub mod vectors;

pub use frame::{FrameTooLong, PlainFrame, udp_frame};
pub use store::{Network, OwnedStore, PlainStore, StoreFull};
