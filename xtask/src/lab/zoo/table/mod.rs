//! The rows, room by room. Each file is about one part of the chain of trust.

mod algorithms;
mod attacks;
mod delegation;
mod denial;
mod keys;
mod names;
mod signatures;

use super::Specimen;

/// Every room of the zoo.
pub const ROOMS: &[&[Specimen]] =
    &[delegation::ROOM, signatures::ROOM, keys::ROOM, denial::ROOM, algorithms::ROOM, names::ROOM, attacks::ROOM];
