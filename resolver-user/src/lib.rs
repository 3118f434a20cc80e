//! The user half, in the order a miss travels.
//!
//! * [`wire`]: messages, names, records: the vocabulary of every room
//! * [`clock`]: the one source of time
//! * [`validator`]: decides what may be believed

pub mod clock;
pub mod validator;
pub mod wire;
