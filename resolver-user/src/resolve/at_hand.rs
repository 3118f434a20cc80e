//! What a search need not ask servers for: answers to other questions, single sets of them, denials, and what wildcards have, that earlier searches have found.
//!
//! In: questions on the way of a search. Out: replies as a server would give them, which are judged as if one had. So what is put together
//! from them is Secure only if every part is so now, and lives no longer than any of them. If it is bogus, servers are asked after all.
//! Refuses: keys and DS, which belong to the chain of trust; anything without `dnssec`, since nothing is proven then; what is
//! found ahead of time, for which news are wanted. RFC 2181 §5.4.1, RFC 6672 §3.

use std::sync::Arc;

use super::fetching::Reply;
use super::{ANSWER_TTL_S_MAX, Lifetime, Resolver};
use crate::cache::{AtHand, Moment, Outcome, QuestionRef, is_answered_by_sets};
use crate::clock::{NS_PER_S, Now};
use crate::trust::Basis;
use crate::upstream::Allowance;
use crate::validator::{Validated, WorkBudget, WorkLimits};
use crate::wire::{Name, Question, RecordType, Response};

/// What a search may spend, and what it has taken from earlier ones.
#[derive(Debug)]
pub(super) struct Means {
    /// What its queries to servers are paid from.
    pub(super) allowance: Arc<Allowance>,
    /// What its validations are paid from, one after another; none before the first.
    pub(super) budget: Option<WorkBudget>,
    /// Whether it is among those that servers are asked for, of which there are only so many at once.
    is_let_in: bool,
    /// What may be taken.
    use_of: Use,
    /// Sets that were taken.
    taken: Vec<(Name, RecordType)>,
    /// Until when all that was taken may be used, in nanoseconds of CLOCK_BOOTTIME.
    until_boot_ns: u64,
}

/// What a search may take from earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// What is at hand.
    AtHand,
    /// Nothing: only servers have news.
    Nothing,
}

impl Means {
    /// Those of a search that has done nothing yet.
    pub(super) fn new(use_of: Use) -> Self {
        let (allowance, taken) = (Arc::default(), Vec::new());
        Self { allowance, budget: None, is_let_in: false, use_of, taken, until_boot_ns: u64::MAX }
    }

    /// Takes note that a server is asked; false if one was already.
    pub(super) fn is_first_fetch(&mut self) -> bool {
        !std::mem::replace(&mut self.is_let_in, true)
    }

    /// The budget of a validation: what earlier ones have left.
    pub(super) fn take_budget(&mut self, limits: WorkLimits) -> WorkBudget {
        self.budget.take().unwrap_or_else(|| WorkBudget::new(limits))
    }

    /// How long an outcome that may be kept for `ttl_s` seconds by itself is kept: what is made of older parts gets no more time.
    pub(super) fn lifetime(&self, outcome: &Outcome, ttl_s: u32) -> Lifetime {
        let is_composed = self.has_taken_any() && outcome.may_be_stale();
        if is_composed { Lifetime::Rest(ttl_s) } else { Lifetime::Own(ttl_s) }
    }

    /// Until when an outcome may be used, in nanoseconds of CLOCK_BOOTTIME.
    pub(super) fn until_boot_ns(&self) -> u64 {
        self.until_boot_ns
    }

    /// Whether anything was taken.
    pub(super) fn has_taken_any(&self) -> bool {
        !self.taken.is_empty()
    }

    /// Gives back what was taken, and takes nothing more; false if that changes nothing.
    pub(super) fn give_back(&mut self) -> bool {
        let had_taken = self.has_taken_any();
        self.taken.clear();
        self.until_boot_ns = u64::MAX;
        self.use_of = Use::Nothing;
        had_taken
    }

    /// Whether what earlier searches have found may be used at all.
    pub(super) fn may_use(&self) -> bool {
        self.use_of == Use::AtHand
    }

    /// Whether something that is at hand may be taken for a question.
    fn may_take(&self, question: &Question) -> bool {
        self.use_of == Use::AtHand && is_answered_by_sets(question.qtype)
    }

    fn take(&mut self, at_hand: AtHand) -> Arc<Response> {
        let AtHand { response, expires_at_boot_ns } = at_hand;
        let sets = response.answer.iter().chain(&response.authority);
        self.taken.extend(sets.map(|set| (set.owner.clone(), set.rtype)));
        self.until_boot_ns = self.until_boot_ns.min(expires_at_boot_ns);
        Arc::new(response)
    }

    /// Whether a set was taken, so that nothing new is known of it.
    fn has_taken(&self, owner: &Name, rtype: RecordType) -> bool {
        self.taken.iter().any(|(known, of)| known == owner && *of == rtype)
    }
}

impl Resolver {
    /// The answer to a question whose first part is at hand, and how long it is kept; none if there is no such part, or the
    /// answer is bogus.
    pub(super) async fn found_at_hand(
        self: &Arc<Self>,
        question: &Question,
        basis: &Basis,
        means: &mut Means,
    ) -> Option<(Outcome, Lifetime)> {
        let now = self.moment(basis);
        let first = means.take(self.reply_at_hand(question, basis, now).filter(|_| means.may_take(question))?);
        // There is no server to blame for it: if it is bogus, it is asked for as if nothing were at hand.
        let first = Reply { response: first, source: None };
        self.metrics.at_hand.add_one();
        let (outcome, ttl_s) = Box::pin(self.judge(question, Some(basis), first, means)).await;
        if matches!(outcome, Outcome::Bogus(..)) {
            self.metrics.at_hand_refused.add_one();
            means.give_back();
            return None;
        }
        let lifetime = means.lifetime(&outcome, ttl_s);
        Some((outcome, lifetime))
    }

    /// What is at hand for a question that a search has come to, as a server would say it.
    pub(super) fn link_at_hand(&self, question: &Question, basis: &Basis, means: &mut Means) -> Option<Arc<Response>> {
        if !means.may_take(question) {
            return None;
        }
        let now = self.moment(basis);
        let found = self.reply_at_hand(question, basis, now).or_else(|| self.denial_at_hand(question, basis, now))?;
        self.metrics.at_hand.add_one();
        Some(means.take(found))
    }

    fn moment(&self, basis: &Basis) -> Moment {
        Moment { generation: basis.generation, boot_ns: self.clock.now().boot_ns }
    }

    /// An answer to this very question, or single sets, or what a wildcard has for it.
    fn reply_at_hand(&self, question: &Question, basis: &Basis, now: Moment) -> Option<AtHand> {
        let rules = self.rules();
        // What one server says of the names below a DNAME is nothing to those that have servers of their own.
        let line = |name: &Name| rules.upstream.own_line(name.wire(), question.qtype);
        let single = || self.sets.reply(question, now, |owner| line(owner) == line(&question.qname));
        let answer = self.answer_at_hand(question, now).or_else(single);
        answer.or_else(|| self.wildcard_at_hand(question, basis, now))
    }

    /// What a wildcard has for the question.
    fn wildcard_at_hand(&self, question: &Question, basis: &Basis, now: Moment) -> Option<AtHand> {
        let basis = Some(basis).filter(|_| self.rules().keeping.keeps_negative)?;
        let response = self.known_expansion(basis, question)?;
        let ttl_s = response.answer.iter().chain(&response.authority).map(|set| set.ttl_s).min()?;
        let left_ns = u64::from(ttl_s).saturating_mul(NS_PER_S);
        Some(AtHand { response, expires_at_boot_ns: now.boot_ns.saturating_add(left_ns) })
    }

    /// A proven answer to this very question: on the way of a search that is where an alias leads.
    fn answer_at_hand(&self, question: &Question, now: Moment) -> Option<AtHand> {
        let answer = self.cache.answer(QuestionRef::from(question), now.boot_ns)?;
        if answer.generation != now.generation {
            return None;
        }
        let Outcome::Proven(validated) = answer.outcome() else { return None };
        let response = validated.response().clone().with_ttl_s(answer.ttl_left_s(now.boot_ns));
        Some(AtHand { response, expires_at_boot_ns: answer.expires_at_boot_ns })
    }

    /// What earlier answers have proven not to exist (RFC 8198).
    fn denial_at_hand(&self, question: &Question, basis: &Basis, now: Moment) -> Option<AtHand> {
        let basis = Some(basis).filter(|_| self.rules().keeping.keeps_negative)?;
        let denial = self.known_denial(basis, question)?;
        let left_ns = u64::from(denial.ttl_s()).saturating_mul(NS_PER_S);
        Some(AtHand { response: denial.response().clone(), expires_at_boot_ns: now.boot_ns.saturating_add(left_ns) })
    }

    /// Keeps what a proven answer says beside what was asked. `received`: not later than its replies came.
    pub(super) fn learn(&self, validated: &Validated, basis: &Basis, means: &Means, received: Now) {
        let ttl_s_max = self.rules().keeping.ttl_s_max.unwrap_or(u32::MAX).min(ANSWER_TTL_S_MAX);
        let now = Moment { generation: basis.generation, boot_ns: received.boot_ns };
        self.sets.learn(validated, |set| means.has_taken(&set.owner, set.rtype), ttl_s_max, now);
    }
}
