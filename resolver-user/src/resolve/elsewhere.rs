//! Another server is asked once what one has said is bogus: of the same zone, or another one of those that are forwarded to.
//!
//! In: a validation that has come to the verdict "bogus", and who said what it was told. Out: the validation with another reply in
//! place of the one to blame, or that there is none. All of it is paid from the budget and the allowance that the validation has been paid
//! from, and takes no longer than [`ELSEWHERE_TIME_MAX`]. A server that was blamed is doubted for a while, and not asked again by
//! anybody who looks for something better: a zone that is bogus everywhere costs each of its servers one more question, whoever asks
//! for how many of its names.
//! Refuses: to keep a bogus reply for others, and to ask elsewhere where the reply came from nobody, such as the cache file.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::info;

use super::Resolver;
use super::fetching::{Reply, fetch_failure};
use crate::cache::{Joined, Leader, QuestionKey, result};
use crate::slow_lane::Run;
use crate::upstream::{Allowance, Source, join_chain, rest_of_chain};
use crate::validator::{
    Blame, BogusReason, BudgetItem, FetchFailure, IndeterminateReason, ProvenStatus, Validated, Validation, Verdict,
};
use crate::wire::{Question, Response};

/// Other replies that one validation may ask for. Choice: a server that gives bogus data may be to blame for an answer, a DS, a key set and
/// a denial, in one zone after the other; then again, a zone rarely has more servers.
const REPLIES_MAX: usize = 8;
/// How long a validation may look for them. Choice: clients give up after five seconds; a zone that is bogus everywhere, with one of its
/// servers dead, is told to be bogus before that.
pub(super) const ELSEWHERE_TIME_MAX: Duration = Duration::from_secs(3);

/// What one validation was told by whom, and what it has found bogus of that.
pub(super) struct Told {
    /// The reply that is judged.
    first: (Question, Reply),
    /// Those that were needed on the way.
    others: Vec<(Question, Reply)>,
    /// Why it was bogus at first.
    first_reason: Option<BogusReason>,
    /// Who gave replies that only looked bogus, to which questions.
    suspects: Vec<(Source, Question)>,
    /// Whether any of that was replaced.
    is_mended: bool,
    /// How many replies were asked for in place of others.
    asked_again: usize,
    /// When that is to end; none before the first one.
    deadline: Option<Instant>,
}

impl Told {
    /// Only the reply that is judged.
    pub(super) fn new(question: Question, reply: Reply) -> Self {
        let first = (question, reply);
        let (others, suspects) = (Vec::new(), Vec::new());
        Self { first, others, first_reason: None, suspects, is_mended: false, asked_again: 0, deadline: None }
    }

    /// Takes note of a reply.
    pub(super) fn note(&mut self, question: &Question, reply: &Reply) {
        match self.reply_to(question) {
            Some(known) => *known = reply.clone(),
            None => self.others.push((question.clone(), reply.clone())),
        }
    }

    /// The reply to a question.
    fn reply_to(&mut self, question: &Question) -> Option<&mut Reply> {
        let mut replies = std::iter::once(&mut self.first).chain(&mut self.others);
        replies.find(|(known, _)| known == question).map(|(_, reply)| reply)
    }

    /// All that was told on the way along aliases, as one reply; none if it breaks off before its end.
    pub(super) fn whole(&self) -> Option<Arc<Response>> {
        let (_, first) = &self.first;
        let mut whole = Arc::clone(&first.response);
        // Bound: each turn but the last uses another reply.
        for _ in 0..=self.others.len() {
            let Some(target) = rest_of_chain(&whole) else { return Some(whole) };
            let rest = Question::new(target, whole.question.qtype);
            let (_, Reply { response: rest, .. }) = self.others.iter().find(|(asked, _)| *asked == rest)?;
            whole = Arc::new(join_chain(Response::clone(&whole), rest));
            if rest.answer.is_empty() {
                return Some(whole);
            }
        }
        None
    }

    /// Begins anew because of something that nobody said just now; with the reply that is judged, as it is by now.
    pub(super) fn begin_anew(&mut self) -> &Arc<Response> {
        self.first_reason = None;
        &self.first.1.response
    }

    /// The verdict, after others were asked: if they had nothing better to say, the first one. Only work that others have kept us from
    /// doing says nothing about the data.
    fn verdict(self, last: Verdict) -> Verdict {
        let kept_from = IndeterminateReason::from(BudgetItem::CostlyValidations);
        match (self.first_reason, last) {
            (Some(_), Verdict::Indeterminate(reason)) if reason == kept_from => Verdict::Indeterminate(reason),
            (Some(first), Verdict::Bogus(_) | Verdict::Indeterminate(_)) => Verdict::Bogus(first),
            (_, last) => last,
        }
    }
}

impl Resolver {
    /// Looks for another reply in place of the one that made a verdict bogus, and hands it to the validation, or tells it that there is
    /// none; false if the verdict stands.
    pub(super) async fn ask_elsewhere(
        self: &Arc<Self>,
        run: &mut Run,
        told: &mut Told,
        reason: &BogusReason,
        allowance: &Arc<Allowance>,
    ) -> bool {
        let Some(blame) = run.validation.blame(self.clock.now()) else { return false };
        if blame.is_proven {
            told.first_reason.get_or_insert_with(|| reason.clone());
        }
        let Some(reply) = self.better(run, told, &blame, reason, allowance).await else {
            run.validation.settle();
            return !blame.is_proven;
        };
        self.metrics.bogus_replaced.add_one();
        run.validation.replace(reply.response);
        told.is_mended = true;
        true
    }

    /// Another reply in place of a blamed one. Nobody else gets that one, and who gave it is doubted.
    async fn better(
        self: &Arc<Self>,
        run: &mut Run,
        told: &mut Told,
        blame: &Blame,
        reason: &BogusReason,
        allowance: &Arc<Allowance>,
    ) -> Option<Reply> {
        let (asked_again, deadline) = (told.asked_again, told.deadline);
        let blamed = told.reply_to(&blame.question)?;
        let source = blamed.source.as_ref()?;
        if self.rules().logging.dnssec {
            info!(question = %blame.question, %reason, server = %source, "bogus: asking elsewhere");
        }
        // Whoever can make a reply look bogus must not make its server doubted about more than the name that was asked for.
        let zone = if blame.is_proven { &blame.zone } else { &blame.question.qname };
        self.rules().upstream.doubt(source, &blame.question, zone);
        let suspect = (!blame.is_proven).then(|| (source.clone(), blame.question.clone()));
        self.responses.remove(&blamed.response);
        told.suspects.extend(suspect);
        if asked_again >= REPLIES_MAX || run.budget.spend_sub_query().is_err() {
            return None;
        }
        let begin = Instant::now();
        let deadline = deadline.unwrap_or_else(|| begin.checked_add(ELSEWHERE_TIME_MAX).unwrap_or(begin));
        (told.asked_again, told.deadline) = (asked_again.saturating_add(1), Some(deadline));
        let found = timeout_at(deadline, self.fetch_elsewhere_shared(blame, allowance)).await;
        let reply = found.ok().flatten()?;
        told.note(&blame.question, &reply);
        Some(reply)
    }

    /// The verdict of a validation, after others were asked.
    pub(super) fn mended(&self, told: Told, last: Verdict, validation: &mut Validation) -> Verdict {
        let is_mended = told.is_mended && matches!(last, Verdict::Proven(_) | Verdict::Unchecked { .. });
        if is_mended {
            self.metrics.bogus_mended.add_one();
        }
        let is_secure = |proven: &Validated| proven.status() == ProvenStatus::Secure;
        // Now it is known whether what looked bogus was, and of which zone it is.
        if matches!(&last, Verdict::Bogus(_))
            || matches!(&last, Verdict::Proven(proven) if is_mended && is_secure(proven))
        {
            for (source, question) in &told.suspects {
                let zone = validation.zone_of(question, self.clock.now());
                zone.iter().for_each(|zone| self.rules().upstream.doubt(source, question, zone));
            }
        }
        told.verdict(last)
    }

    /// Fetches another reply: one that somebody else has looked for and found a moment ago, or looks for now, or from upstream.
    async fn fetch_elsewhere_shared(self: &Arc<Self>, blame: &Blame, allowance: &Arc<Allowance>) -> Option<Reply> {
        let question = &blame.question;
        // The blamed one is not there any more.
        if let Some((response, source)) = self.responses.response(question, self.clock.now().boot_ns) {
            return Some(Reply { response, source: Some(source) });
        }
        let receiver = match self.fetches_elsewhere.join(QuestionKey::new(question)) {
            Joined::Follower(receiver) => receiver,
            Joined::Leader(leader) => {
                let receiver = leader.follow();
                let allowance = Arc::clone(allowance);
                self.tracker.spawn(fetch_elsewhere(Arc::clone(self), question.clone(), allowance, leader));
                receiver
            }
        };
        result(receiver).await?.ok()
    }
}

/// The task of one fetch from another server.
async fn fetch_elsewhere(
    resolver: Arc<Resolver>,
    question: Question,
    allowance: Arc<Allowance>,
    leader: Leader<Result<Reply, FetchFailure>>,
) {
    let rules = resolver.rules.load_full();
    let fetched = rules.upstream.fetch_elsewhere(&question, &allowance).await;
    let fetched = fetched.map(Reply::from).map_err(|error| fetch_failure(&error));
    if let Ok(reply) = &fetched {
        resolver.keep_for_others(reply, rules.generation);
    }
    leader.finish(fetched);
}
