//! Authenticating sets by their signatures.

mod kinds;
mod lifetime;
mod limits;
mod signatures;
mod time;
mod unsigned;
mod vectors;
mod wildcards;
