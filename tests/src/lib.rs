//! The test harness: what the test targets share.

#[cfg(feature = "lab")]
pub mod kernel;
#[cfg(feature = "lab")]
pub mod rig;
