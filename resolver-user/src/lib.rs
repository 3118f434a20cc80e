//! Lib.
pub mod wire;
