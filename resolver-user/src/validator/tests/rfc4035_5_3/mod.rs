//! Authenticating sets by their signatures.

mod time;
mod unsigned;
