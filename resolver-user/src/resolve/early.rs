//! What is answered without a search although the cache holds nothing that is fresh, and what a search leaves behind.
//!
//! In: a query, or what a search has found. Out: answers of the operator's own and stale ones; outcomes after the filters,
//! kept as the operator wants. Nothing that passes here gains a proof. RFC 8767 (stale answers).

use std::sync::Arc;
use std::time::Duration;

use super::at_hand::Use;
use super::{Present, Resolver, Source, search};
use crate::answer::{Failure, write_failure, write_local, write_stale};
use crate::cache::{CachedAnswer, Joined, Outcome, QuestionKey, QuestionRef};
use crate::filter::FilterReason;
use crate::listener::{ClientQuery, count_sent};
use crate::trust::Basis;
use crate::validator::{FetchFailure, IndeterminateReason, Validated};
use crate::wire::{Name, Question, RCode, RecordType, Response};

/// TTL that clients see of data whose time is over, in seconds (RFC 8767 §4).
const STALE_TTL_S: u32 = 30;

impl Resolver {
    /// Answers what the operator has said something about; false if that is nothing.
    pub(super) fn answer_locally(&self, query: &ClientQuery<'_>, present: &Present, out: &mut Vec<u8>) -> bool {
        let Some(answer) = present.rules.local.answer(query.qname_wire, query.qtype) else { return false };
        let sent = write_local(&query.asked, answer.rcode, answer.authoritative, &answer.records, out);
        self.metrics.local_answers.add_one();
        count_sent(sent, &self.metrics);
        self.log_as(query, &"local", present, sent, Source::Local, Duration::ZERO);
        true
    }

    /// The denial of what earlier answers have proven not to exist (RFC 8198).
    pub(super) fn known_denial(&self, basis: &Basis, question: &Question) -> Option<Arc<Validated>> {
        let known = basis.zones.denials.deny(question, &basis.anchors, self.clock.now())?;
        let mut soas = known.response().authority.iter().filter(|set| set.rtype == RecordType::SOA);
        if !soas.any(|soa| self.may_speak(&soa.owner, question)) {
            return None;
        }
        self.metrics.denials_from_cache.add_one();
        Some(known)
    }

    /// What a wildcard has for a question, as the zone's server would say it, if earlier answers have proven that it is the
    /// wildcard's to answer (RFC 8198 §5.3).
    pub(super) fn known_expansion(&self, basis: &Basis, question: &Question) -> Option<Response> {
        let known = basis.zones.denials.expand(question, &basis.anchors, self.clock.now())?;
        let mut signatures = known.answer.iter().flat_map(|set| &set.signatures);
        if !signatures.all(|signature| self.may_speak(&signature.signer, question)) {
            return None;
        }
        self.metrics.wildcards_from_cache.add_one();
        Some(known)
    }

    /// Whether what a zone has proven counts for a question: what the public tree lacks, a domain with servers of its own may
    /// have. There, only its own zones count.
    fn may_speak(&self, zone: &Name, question: &Question) -> bool {
        let own = self.rules().upstream.own_line(question.qname.wire(), question.qtype);
        own.is_none_or(|labels| zone.label_count() >= labels)
    }

    /// Refuses a query of our own that a server sent back to us; false if it is none.
    pub(super) fn catch_loop(&self, query: &ClientQuery<'_>, present: &Present, out: &mut Vec<u8>) -> bool {
        let caught = present.rules.upstream.catches_loop(query.qname_wire, query.qtype);
        if caught {
            let sent = write_failure(&query.asked, &Failure::Loop, out);
            count_sent(sent, &self.metrics);
            self.log_as(query, &"loop", present, sent, Source::Local, Duration::ZERO);
        }
        caught
    }

    /// Answers from data whose time is over, if that is allowed, and says what is to be found anew.
    ///
    /// Choice: at once, as dnsmasq does, not only after a failure (RFC 8767 §5 allows both). Stale data have no proof any
    /// more: they never carry AD, and are not published.
    pub(super) fn answer_stale(
        &self,
        query: &ClientQuery<'_>,
        present: &Present,
        after_failure: bool,
        out: &mut Vec<u8>,
    ) -> Option<Question> {
        let (rules, now_boot_ns) = (&present.rules, present.boot_ns);
        let key = QuestionRef { qname_wire: query.qname_wire, qtype: query.qtype };
        let answer = self.cache.stale(key, now_boot_ns, rules.keeping.stale_max_ns()?)?;
        // In its last second an answer is proven still, but can show no TTL: that is a miss as ever, unless it fails or has just done so.
        let fails = || after_failure || self.failures.pauses(key, now_boot_ns);
        let is_over = now_boot_ns >= answer.expires_at_boot_ns || fails();
        if answer.generation != self.generation_under(rules) || !is_over {
            return None;
        }
        let rendered = answer.rendered(query.asked.form())?;
        let sent = write_stale(&query.asked, rendered.as_answer(), rules.keeping.shown_s(STALE_TTL_S), out);
        self.metrics.cache_stale_hits.add_one();
        count_sent(sent, &self.metrics);
        self.log(query, &answer, present, sent, Source::Stale, Duration::ZERO);
        Some(answer.question().clone())
    }

    /// Finds an answer anew, unless somebody is at it already, or has failed a moment ago.
    pub(super) fn refresh(self: &Arc<Self>, question: Question) {
        if self.failures.pauses(QuestionRef::from(&question), self.clock.now().boot_ns) {
            self.metrics.failures_remembered.add_one();
            return;
        }
        if let Joined::Leader(leader) = self.searches.join(QuestionKey::new(&question)) {
            self.tracker.spawn(search(Arc::clone(self), question, leader, Use::AtHand));
        }
    }

    /// Keeps what a search has found. A failure does not take the place of data that may still be given (RFC 8767 §4);
    /// anything else ends them. Data whose time is not over, which was looked for ahead of time, stay if what came is none.
    /// `may_be_kept`: as the operator says.
    pub(super) fn keep(&self, answer: &Arc<CachedAnswer>, may_be_kept: bool, now_boot_ns: u64) {
        let rules = self.rules();
        let key = QuestionRef::from(answer.question());
        let fresh = self.cache.answer(key, now_boot_ns);
        let fresh = fresh.filter(|fresh| fresh.generation == answer.generation && fresh.may_be_stale());
        if fresh.is_some() && !answer.may_be_stale() {
            return;
        }
        let stale = rules.keeping.stale_max_ns().and_then(|max_ns| self.cache.stale(key, now_boot_ns, max_ns));
        let stays = stale.is_some_and(|stale| stale.generation == answer.generation);
        if stays && answer.is_failure() {
            return;
        }
        if may_be_kept && answer.ttl_left_s(now_boot_ns) > 0 {
            self.cache.insert(Arc::clone(answer), now_boot_ns);
        } else {
            self.cache.remove(key);
        }
    }

    /// The outcome, unless an address in it is one that does not count, wherever on the path of aliases it stands.
    pub(super) fn without_ignored(&self, outcome: Outcome, question: &Question) -> Outcome {
        let ignored = |response: &Response| self.rules().filters.ignores(response);
        match &outcome {
            Outcome::Proven(validated) if ignored(validated.response()) => {}
            Outcome::Unchecked(response) if ignored(response) => {}
            _ => return outcome,
        }
        self.metrics.replies_ignored.add_one();
        let (question, failure) = (question.clone(), FetchFailure::NoAnswer);
        Outcome::Failed(IndeterminateReason::Fetch { question, failure }, None)
    }

    /// What filters leave of an outcome. Bogus data, which CD=1 lets through, go through them like all others. A denial of
    /// a name that the operator has given other types for becomes one of the type alone, as with dnsmasq.
    pub(super) fn filter(&self, outcome: Outcome) -> Outcome {
        let rules = self.rules();
        let changed = outcome.response().and_then(|response| {
            let denied = response.rcode == RCode::NXDOMAIN && response.answer.is_empty();
            let known = || denied && rules.local.knows(&response.question.qname);
            let without = || Response { rcode: RCode::NOERROR, ..response.clone() };
            rules.filters.apply(response).or_else(|| known().then(|| (without(), FilterReason::Known)))
        });
        let Some((left, reason)) = changed else { return outcome };
        let left = Arc::new(left);
        match outcome {
            Outcome::Bogus(reason, _) => Outcome::Bogus(reason, left),
            Outcome::Failed(reason, _) => Outcome::Failed(reason, Some(left)),
            Outcome::Proven(_) | Outcome::Unchecked(_) | Outcome::Filtered(..) => Outcome::Filtered(left, reason),
        }
    }
}
