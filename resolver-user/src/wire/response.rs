//! An upstream's reply after scrubbing: what the validator judges and the cache keeps.

use super::{Question, RCode, RrSet};

/// The sets of a reply that may concern its question. Nothing in it is trusted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The question that was asked.
    pub question: Question,
    /// RCODE of the reply.
    pub rcode: RCode,
    /// Answer section, in the order received.
    pub answer: Vec<RrSet>,
    /// Authority section, in the order received.
    pub authority: Vec<RrSet>,
}
