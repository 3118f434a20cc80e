//! A verdict as the cache keeps it: in a third of the memory, until somebody looks at it.
//!
//! In: a [`Validated`]. Out: the same again. Made of nothing else, so that what comes out was validated.
//! Refuses the few verdicts that have more to say than a status: those stay as they are.

use super::status::{ProvenStatus, Validated};
use crate::wire::{PackedResponse, Question, RCode};

/// A packed [`Validated`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedValidated {
    response: PackedResponse,
    ttl_s: u32,
    proof_ttl_s: u32,
    status: ProvenStatus,
}

impl PackedValidated {
    /// Packs a verdict; none if it has a reason to be insecure, or its response cannot be packed.
    pub fn new(validated: &Validated) -> Option<Self> {
        let Validated { response, status, insecure_reason: None, ttl_s, proof_ttl_s } = validated else { return None };
        let response = PackedResponse::new(response)?;
        Some(Self { response, ttl_s: *ttl_s, proof_ttl_s: *proof_ttl_s, status: *status })
    }

    /// The verdict, as it was.
    pub fn unpack(&self) -> Validated {
        let Self { response, ttl_s, proof_ttl_s, status } = self;
        let (response, ttl_s, proof_ttl_s) = (response.unpack(), *ttl_s, *proof_ttl_s);
        Validated { response, status: *status, insecure_reason: None, ttl_s, proof_ttl_s }
    }

    /// The question of the response.
    pub fn question(&self) -> &Question {
        self.response.question()
    }

    /// The RCODE of the response.
    pub fn rcode(&self) -> RCode {
        self.response.rcode()
    }

    /// Secure or proven insecure.
    pub fn status(&self) -> ProvenStatus {
        self.status
    }

    /// What the response takes beside the question, in bytes.
    pub fn size(&self) -> usize {
        self.response.size()
    }
}
