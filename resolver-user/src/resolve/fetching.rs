//! Replies that validations need, each fetched once for all who need it at the same time.
//!
//! In: a question. Out: the reply and who gave it: of a moment ago, of somebody else's fetch under way, or of a server. Judges nothing.

use std::sync::Arc;

use super::Resolver;
use super::at_hand::Means;
use crate::cache::{InFlight, Joined, Leader, QuestionKey, result};
use crate::upstream::{Allowance, Fetched, Source, UpstreamError};
use crate::validator::FetchFailure;
use crate::wire::{Question, Response};

/// A reply, and who gave it, if anybody was asked.
#[derive(Clone, Debug)]
pub struct Reply {
    /// What it says.
    pub response: Arc<Response>,
    /// Who said it.
    pub source: Option<Source>,
}

impl From<Fetched> for Reply {
    fn from(Fetched { response, source }: Fetched) -> Self {
        Self { response: Arc::new(response), source }
    }
}

/// Fetches under way, by question.
pub type Fetches = InFlight<Result<Reply, FetchFailure>>;

impl Resolver {
    /// Fetches on behalf of a validation: from a moment ago, from whoever is fetching the same now, or from upstream.
    pub(super) async fn fetch_shared(
        self: &Arc<Self>,
        question: &Question,
        means: &mut Means,
    ) -> Result<Reply, FetchFailure> {
        self.metrics.sub_queries.add_one();
        if let Some((response, source)) = self.responses.response(question, self.clock.now().boot_ns) {
            self.metrics.sub_queries_merged.add_one();
            return Ok(Reply { response, source: Some(source) });
        }
        // A search that begins with what is at hand was not let in yet.
        if means.is_first_fetch() {
            self.rules().upstream.let_in(question).map_err(|error| fetch_failure(&error))?;
        }
        match self.fetches.join(QuestionKey::new(question)) {
            Joined::Follower(receiver) => {
                self.metrics.sub_queries_merged.add_one();
                result(receiver).await.unwrap_or(Err(FetchFailure::NoAnswer))
            }
            Joined::Leader(leader) => {
                let receiver = leader.follow();
                let allowance = Arc::clone(&means.allowance);
                self.tracker.spawn(fetch(Arc::clone(self), question.clone(), allowance, leader));
                result(receiver).await.unwrap_or(Err(FetchFailure::NoAnswer))
            }
        }
    }

    /// Keeps a reply for other validations for a moment. One of servers that are not asked any more is for those who wait, and for nobody
    /// else. `generation`: of the rules that it was fetched under.
    pub(super) fn keep_for_others(&self, reply: &Reply, generation: u64) {
        if let (Some(source), true) = (&reply.source, generation == self.rules().generation) {
            self.responses.insert(Arc::clone(&reply.response), source.clone(), self.clock.now().boot_ns);
        }
    }
}

/// The task of one fetch for validations.
async fn fetch(
    resolver: Arc<Resolver>,
    question: Question,
    allowance: Arc<Allowance>,
    leader: Leader<Result<Reply, FetchFailure>>,
) {
    resolver.signal_anchors(&question);
    let rules = resolver.rules.load_full();
    let fetched = rules.upstream.fetch_more(&question, &allowance).await;
    let fetched = fetched.map(Reply::from).map_err(|error| fetch_failure(&error));
    if let Ok(reply) = &fetched {
        resolver.keep_for_others(reply, rules.generation);
    }
    leader.finish(fetched);
}

/// What a failed fetch means to a validation.
pub(crate) fn fetch_failure(error: &UpstreamError) -> FetchFailure {
    match error {
        UpstreamError::Timeout { .. } | UpstreamError::NoServer | UpstreamError::Exhausted => FetchFailure::NoAnswer,
        UpstreamError::TooMany { .. } => FetchFailure::TooMany,
        UpstreamError::Network { .. } => FetchFailure::Network,
        UpstreamError::Malformed { .. }
        | UpstreamError::Refused { .. }
        | UpstreamError::Lame { .. }
        | UpstreamError::Truncated { .. }
        | UpstreamError::Aliases { .. } => FetchFailure::ServerError,
    }
}
