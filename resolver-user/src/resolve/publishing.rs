//! What is offered to the publisher of what was found, and when.
//!
//! In: answers, as they are given. Out: offers of those that XDP may give as well: proven, in the form that was asked for, with a whole
//! second left. Refuses what rests on something that has changed meanwhile.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Resolver;
use crate::answer::Form;
use crate::cache::{CachedAnswer, RenderedForm};
use crate::publish::Publication;
use crate::trust::KeySentinel;

/// A publication, and the generation of what it rests on.
#[derive(Debug)]
pub struct Offer {
    publication: Publication,
    generation: u64,
}

impl Resolver {
    /// Hands an answer to the publisher.
    pub(super) fn offer(&self, offer: Offer) {
        let Some(publisher) = &self.publisher else { return };
        let Offer { publication, generation } = offer;
        let published = Arc::clone(&publication.published);
        self.metrics.publications_offered.add_one();
        // A change of trust withdraws what was published before it, so nothing that rests on the old one may come after.
        // Nor may a name follow that has become the operator's own since it was asked for.
        let offer = || {
            let is_own = self.rules().local.answer(publication.name.wire(), publication.qtype).is_some();
            !is_own && publisher.offer(publication)
        };
        let taken = match &self.trust {
            Some(trust) => trust.if_current(generation, offer).unwrap_or(false),
            None => offer(),
        };
        if !taken {
            self.metrics.publications_refused.add_one();
            published.store(false, Ordering::Relaxed);
        }
    }

    /// What to offer of an answer that has just been found. Where room is scarce that is nothing: an answer earns its place by being asked
    /// for twice, which a flood of made-up names never is.
    pub(super) fn first_publication(&self, answer: &CachedAnswer, form: Form) -> Option<Offer> {
        if self.publisher.as_ref()?.is_crowded() {
            self.metrics.publications_unearned.add_one();
            return None;
        }
        self.publication(answer, form, answer.found_at_boot_ns())
    }

    /// What to offer to the publisher of an answer: a proven one, in this form, unless it was offered before.
    /// An answer with an extended error, of a root key sentinel, or without a whole second left, stays with the daemon.
    pub(super) fn publication(&self, answer: &CachedAnswer, form: Form, now_boot_ns: u64) -> Option<Offer> {
        self.publisher.as_ref()?;
        let rules = self.rules();
        let question = answer.question();
        if answer.is_published(form) || answer.ttl_left_s(now_boot_ns) == 0 {
            return None;
        }
        if KeySentinel::read(question.qname.wire(), question.qtype).is_some() {
            return None;
        }
        let RenderedForm::Proven(rendered) = answer.rendered(form)? else { return None };
        if rendered.has_extended_error() || rendered.is_oversized() || !rules.keeping.keeps(&answer.outcome()) {
            return None;
        }
        // Of several threads that come here at once, one makes the offer.
        let published = answer.published(form);
        if published.swap(true, Ordering::Relaxed) {
            return None;
        }
        let publication = Publication {
            name: question.qname.clone(),
            qtype: question.qtype,
            form,
            rendered: rendered.clone(),
            expires_at_boot_ns: answer.expires_at_boot_ns,
            generation: answer.generation,
            refresh_from_boot_ns: if rules.prefetch_per_s > 0 { answer.refresh_from_boot_ns() } else { u64::MAX },
            rotation: rendered.rotation().filter(|_| rules.round_robin),
            published: Arc::clone(published),
        };
        Some(Offer { publication, generation: answer.generation })
    }
}
