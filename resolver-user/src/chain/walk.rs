//! A validation that remembers what it asked and was told.

use std::sync::Arc;

use crate::clock::Now;
use crate::validator::{
    ChainStep, FetchFailure, IndeterminateReason, Pace, Policy, Step, TrustAnchors, Validation, Verdict, WorkBudget,
    ZoneCache,
};
use crate::wire::{Question, Response};

/// Names of which one walk can find something out: more than its sub-queries.
const ZONES_MAX: usize = 256;

/// A walk under way. Call [`Walk::needed`] and [`Walk::take`] in turn until nothing is needed.
#[derive(Debug)]
pub struct Walk {
    question: Question,
    anchors: Arc<TrustAnchors>,
    policy: Policy,
    budget: WorkBudget,
    /// None until the first reply is there.
    validation: Option<Validation>,
    awaited: Option<Question>,
    exchanges: Vec<Exchange>,
    verdict: Option<Verdict>,
}

/// A question and what came of it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What was asked.
    pub question: Question,
    /// The reply.
    pub reply: Result<Arc<Response>, FetchFailure>,
    /// Why there is none, or who sent it: anything worth telling.
    pub remark: Option<String>,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

/// A walk at its end.
#[derive(Debug)]
pub struct Walked {
    /// What was asked for.
    pub question: Question,
    /// Where the walk could start from.
    pub anchors: Arc<TrustAnchors>,
    /// What was accepted.
    pub policy: Policy,
    /// What the validation found out.
    pub steps: Vec<ChainStep>,
    /// Every question it asked, in order.
    pub exchanges: Vec<Exchange>,
    /// What the validation said.
    pub verdict: Verdict,
}

impl Walk {
    /// A walk for `question` that knows nothing yet.
    pub fn new(question: Question, anchors: Arc<TrustAnchors>, policy: Policy) -> Self {
        Self {
            awaited: Some(question.clone()),
            question,
            anchors,
            policy,
            budget: WorkBudget::new(policy.limits),
            validation: None,
            exchanges: Vec::new(),
            verdict: None,
        }
    }

    /// What must be fetched next; none at the end.
    pub fn needed(&self) -> Option<Question> {
        self.awaited.clone()
    }

    /// Takes in what came of fetching what was needed, and goes on as far as that leads.
    pub fn take(&mut self, reply: Result<Arc<Response>, FetchFailure>, remark: Option<String>, took_us: u64, now: Now) {
        let Some(question) = self.awaited.take() else { return };
        self.exchanges.push(Exchange { question: question.clone(), reply: reply.clone(), remark, took_us });
        match (&mut self.validation, reply) {
            (Some(validation), reply) => validation.supply(reply),
            (None, Ok(response)) => {
                let (anchors, zones) = (Arc::clone(&self.anchors), Arc::new(ZoneCache::new(ZONES_MAX, 0)));
                self.validation = Some(Validation::new(question, response, anchors, zones, self.policy));
            }
            (None, Err(failure)) => {
                self.verdict = Some(Verdict::Indeterminate(IndeterminateReason::Fetch { question, failure }));
            }
        }
        self.advance(now);
    }

    fn advance(&mut self, now: Now) {
        let Some(validation) = &mut self.validation else { return };
        match validation.advance(now, &mut self.budget, Pace::Unhindered) {
            Step::Done(verdict) => self.verdict = Some(verdict),
            // Nobody else waits here, so there is no pause.
            Step::Costly { .. } => {}
            Step::Need(question) => match self.budget.spend_sub_query() {
                Ok(()) => self.awaited = Some(question),
                Err(item) => self.verdict = Some(Verdict::Indeterminate(IndeterminateReason::Budget { item })),
            },
        }
    }

    /// The end of the walk; none if something is still needed.
    pub fn finish(self) -> Option<Walked> {
        let Self { question, anchors, policy, validation, exchanges, verdict, .. } = self;
        let steps = validation.map(|validation| validation.steps()).unwrap_or_default();
        Some(Walked { question, anchors, policy, steps, exchanges, verdict: verdict? })
    }
}
