//! The state machine that judges one response (placeholder: needs everything, believes nothing).

use std::sync::Arc;

use super::{BogusReason, FetchFailure, Step, TrustAnchors, Verdict, WorkBudget, ZoneCache};
use crate::clock::Now;
use crate::wire::{Question, Response};

/// The validation of one response, from the first look to the verdict.
#[derive(Debug)]
pub struct Validation {
    question: Question,
}

impl Validation {
    /// A validation of `response` as the answer to `question`.
    pub fn new(
        question: Question,
        _response: Arc<Response>,
        _anchors: Arc<TrustAnchors>,
        _zones: Arc<ZoneCache>,
    ) -> Self {
        Self { question }
    }

    /// Goes on until something must be fetched or the verdict is reached. To be called again after each [`Self::supply`].
    pub fn advance(&mut self, _now: Now, _budget: &mut WorkBudget) -> Step {
        Step::Done(Verdict::Bogus(BogusReason::Unrelated { question: self.question.clone() }))
    }

    /// Hands over what came of the last [`Step::Need`].
    pub fn supply(&mut self, _reply: Result<Arc<Response>, FetchFailure>) {}
}
