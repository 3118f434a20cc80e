//! Scripted resolver tests that others wrote (`.rpl`, in the dialects of Unbound and of Deckard), played against the user half in one
//! process: scripted servers instead of sockets, and a clock that the script drives.
//!
//! In: a file. Out: what became of it: passed, failed with the first difference, or not applicable with the feature that the product does not
//! claim. No file is known by its name; what is compared is what the RFCs fix.

pub mod autotrust;
pub mod check;
pub mod entry;
pub mod expression;
pub mod message;
#[cfg(test)]
mod mutated;
pub mod options;
pub mod play;
pub mod record;
pub mod script;
pub mod servers;
pub mod settings;
pub mod start;
pub mod world;
