//! Claims that hold for any bytes: one function each, which panics when its claim does not hold.
//!
//! In: bytes that a fuzzer made up (`cargo xtask fuzz`), or that it once found or was given to start from (`tests/fuzz/corpus`
//! and `regressions`, replayed by `cargo test`). Out: nothing, or a panic that says what was broken.
//! Refuses clocks, sockets and randomness: the same bytes do the same on every machine.

mod at_hand;
mod canonical;
mod fast_path;
mod message;
mod name;
mod nsec3;
mod slot;
mod source;
mod validation;
mod world;

pub use at_hand::at_hand;
pub use canonical::canonical;
pub use fast_path::fast_path;
pub use message::message;
pub use name::name;
pub use nsec3::nsec3;
pub use slot::slot;
pub use validation::validation;

/// A claim about any bytes.
pub type Claim = fn(&[u8]);

/// All claims by the name of their program in `tests/fuzz/fuzz_targets`.
pub const CLAIMS: &[(&str, Claim)] = &[
    ("message", message),
    ("name", name),
    ("canonical", canonical),
    ("nsec3", nsec3),
    ("validation", validation),
    ("at_hand", at_hand),
    ("fast_path", fast_path),
    ("slot", slot),
];
