//! What is done before somebody has to wait: popular answers are found anew ahead of their end, and questions that have just failed
//! are not asked again at once.
//!
//! In: answers in their last part that were asked for, here or in XDP. Out: the same, found anew the way every answer is found and
//! published in the forms that were, without a gap. Refuses more than the operator allows in a second. RFC 9520 (failures).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::at_hand::{Means, Use};
use super::fetching::Reply;
use super::{Afterwork, Present, Resolver, search};
use crate::answer::Form;
use crate::cache::{CachedAnswer, Joined, Outcome, QuestionKey, QuestionRef, result};
use crate::listener::ClientQuery;
use crate::prefetch::Permit;
use crate::publish::NearlyOver;
use crate::trust::Basis;
use crate::validator::IndeterminateReason;
use crate::wire::Question;

/// Forms that an answer can have.
const FORMS: [Form; 2] = [Form::Plain, Form::Dnssec];

impl Resolver {
    /// What to do after a hit: find the answer anew, if its time is nearly over and nobody else is at it.
    pub(super) fn refresh_due(
        &self,
        query: &ClientQuery<'_>,
        answer: Arc<CachedAnswer>,
        present: &Present,
    ) -> Option<Afterwork> {
        let is_due = present.boot_ns >= answer.refresh_from_boot_ns() && query.asked.recursion_desired;
        let begins = is_due && present.rules.prefetch_per_s > 0 && !answer.refreshing.swap(true, Ordering::Relaxed);
        begins.then_some(Afterwork::RefreshAhead(answer))
    }

    /// Finds answers of XDP anew that are asked for and nearly over.
    pub fn refresh_published(self: &Arc<Self>, mut nearly_over: Vec<NearlyOver>) {
        nearly_over.sort_by(|a, b| (&a.name, a.qtype).cmp(&(&b.name, b.qtype)));
        for forms in nearly_over.chunk_by(|a, b| (&a.name, a.qtype) == (&b.name, b.qtype)) {
            let Some(first) = forms.first() else { continue };
            let question = Question::new(first.name.clone(), first.qtype);
            let forms: Vec<Form> = forms.iter().map(|nearly_over| nearly_over.form).collect();
            self.refresh_ahead(question, &forms);
        }
    }

    /// Finds an answer anew ahead of its end, and publishes it in these forms and those in which the old one is.
    pub(super) fn refresh_ahead(self: &Arc<Self>, question: Question, forms: &[Form]) {
        let now_boot_ns = self.clock.now().boot_ns;
        let key = QuestionRef::from(&question);
        let old = self.cache.answer(key, now_boot_ns);
        let try_again_later = || old.iter().for_each(|old| old.refreshing.store(false, Ordering::Relaxed));
        if self.failures.pauses(key, now_boot_ns) {
            self.metrics.failures_remembered.add_one();
            return try_again_later();
        }
        // Somebody has asked by TCP, or it was published anew: the published one will be replaced, or ends by itself.
        if old.as_ref().is_some_and(|old| now_boot_ns < old.refresh_from_boot_ns()) {
            self.republish(old.as_deref(), forms);
            return;
        }
        let published = |form: &Form| {
            let is_published = |old: &Arc<CachedAnswer>| old.is_published(*form);
            forms.contains(form) || old.as_ref().is_some_and(is_published)
        };
        let forms: Vec<Form> = FORMS.into_iter().filter(published).collect();
        let Some(permit) = self.prefetching.permit(self.rules().prefetch_per_s, now_boot_ns) else {
            self.metrics.prefetches_held_back.add_one();
            return try_again_later();
        };
        // In the letter case that it was asked in first.
        let question = old.map_or(question, |old| old.question().clone());
        self.tracker.spawn(refresh(Arc::clone(self), question, forms, permit));
    }

    /// Offers an answer in these forms.
    fn republish(&self, answer: Option<&CachedAnswer>, forms: &[Form]) {
        let now_boot_ns = self.clock.now().boot_ns;
        for (answer, form) in answer.into_iter().flat_map(|answer| forms.iter().map(move |form| (answer, *form))) {
            if let Some(offer) = self.publication(answer, form, now_boot_ns) {
                self.offer(offer);
            }
        }
    }

    /// The answer that the cache file has to a question, judged anew as if a server had given it; none if it has none that holds, or if
    /// news are wanted.
    pub(super) async fn restored(
        self: &Arc<Self>,
        question: &Question,
        basis: Option<&Basis>,
        means: &mut Means,
    ) -> Option<(Outcome, u32)> {
        let response = self.restored.take(question, self.clock.now()).filter(|_| means.may_use())?;
        if self.rules().filters.ignores(&response) {
            return None;
        }
        // Each is taken once, so what validating them needs is bounded by the file.
        means.is_first_fetch();
        // It is for a server to say it anew, not for another one to say it better.
        let reply = Reply { response: Arc::new(response), source: None };
        let (outcome, ttl_s) = Box::pin(self.judge(question, basis, reply, means)).await;
        let holds = outcome.may_be_stale();
        if holds {
            self.metrics.cache_file_answers.add_one();
        } else {
            means.give_back();
        }
        holds.then_some((outcome, ttl_s))
    }

    /// Takes note of whether a question could be answered, and says for how many seconds that counts.
    pub(super) fn note_failure(&self, question: &Question, outcome: &Outcome, ttl_s: u32) -> u32 {
        let now_boot_ns = self.clock.now().boot_ns;
        let key = QuestionRef::from(question);
        match outcome {
            // Too many questions now says nothing of the next moment.
            Outcome::Failed(reason, _) if reason.is_want_of_room() => ttl_s,
            Outcome::Failed(IndeterminateReason::Fetch { .. }, _) => {
                self.failures.note(key, || QuestionKey::new(question), now_boot_ns)
            }
            _ => {
                self.failures.forgive(key, now_boot_ns);
                ttl_s
            }
        }
    }
}

/// The task of one search ahead of time.
async fn refresh(resolver: Arc<Resolver>, question: Question, forms: Vec<Form>, permit: Permit) {
    let asked = question.clone();
    let receiver = match resolver.searches.join(QuestionKey::new(&question)) {
        Joined::Follower(receiver) => receiver,
        Joined::Leader(leader) => {
            resolver.metrics.prefetches.add_one();
            let receiver = leader.follow();
            search(Arc::clone(&resolver), question, leader, Use::Nothing).await;
            receiver
        }
    };
    let found = result(receiver).await;
    drop(permit);
    if let Some(found) = found.filter(|found| found.may_be_stale()) {
        return resolver.republish(Some(&found), &forms);
    }
    resolver.metrics.prefetches_failed.add_one();
    // The old one is still there, and may be tried again once its failure is forgotten.
    let old = resolver.cache.answer(QuestionRef::from(&asked), resolver.clock.now().boot_ns);
    old.iter().for_each(|old| old.refreshing.store(false, Ordering::Relaxed));
}
