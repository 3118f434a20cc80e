//! The fast path on plain memory: what tests, fuzzers and tools use in place of packets and maps.
//!
//! In: bytes of a frame, words of a store. Out: what [`crate::serve::serve`] does with them.
//! Not compiled for BPF.

mod frame;
mod store;

pub use frame::{FrameTooLong, PlainFrame};
pub use store::PlainStore;
