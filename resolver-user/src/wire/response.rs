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

impl Response {
    /// Takes no more memory than it needs, for as long as it is kept: owners that are the question's name share it, and no vector
    /// has room for more.
    #[must_use]
    pub fn compact(mut self) -> Self {
        let qname = &self.question.qname;
        for set in self.answer.iter_mut().chain(&mut self.authority) {
            if set.owner.wire() == qname.wire() {
                set.owner = qname.clone();
            }
            set.rdatas.shrink_to_fit();
            set.signatures.shrink_to_fit();
        }
        self.answer.shrink_to_fit();
        self.authority.shrink_to_fit();
        self
    }

    /// With no TTL longer than this, in seconds.
    #[must_use]
    pub fn with_ttl_s(mut self, ttl_s_max: u32) -> Self {
        for set in self.answer.iter_mut().chain(&mut self.authority) {
            set.ttl_s = set.ttl_s.min(ttl_s_max);
            for signature in &mut set.signatures {
                signature.ttl_s = signature.ttl_s.min(ttl_s_max);
            }
        }
        self
    }
}
