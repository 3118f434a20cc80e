//! Authenticating sets by their signatures.

mod kinds;
mod lifetime;
mod signatures;
mod time;
mod unsigned;
mod wildcards;
