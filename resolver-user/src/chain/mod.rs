//! Walks the chain of trust for one question and tells people, zone by zone, what was met on the way.
//!
//! [`Walk`] runs a real [`Validation`](crate::validator::Validation) and keeps every question it asked and the reply it
//! got; [`report`] describes these replies; [`text`] prints the report, serde makes JSON of it.
//! In: replies, anchors, the time. Out: a [`ChainReport`]. The verdict is the validation's and its extended error is
//! `answer`'s; nothing here judges. Refuses: sockets, tasks, clocks. The caller fetches, as for a validation.

mod describe;
mod numbers;
mod report;
mod text;
mod walk;

#[cfg(test)]
mod tests;

pub use describe::report;
pub use numbers::extended_error_name;
pub use report::{
    AlgorithmReport, AnswerReport, ChainReport, DsReport, DsSetReport, ExtendedErrorReport, KeyReport, ProofRecord,
    ProofReport, QueryReport, SetReport, SignatureReport, VerdictReport, ZoneReport,
};
pub use text::text;
pub use walk::{Exchange, Walk, Walked};
