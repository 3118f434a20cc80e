//! What resolution found out about a question, and its two forms in wire format.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::answer::{Answer, Form, RenderedAnswer, UncheckedAnswer};
use crate::clock::NS_PER_S;
use crate::filter::FilterReason;
use crate::prefetch::refresh_from_boot_ns;
use crate::validator::{BogusReason, IndeterminateReason, Validated};
use crate::wire::{Question, Response};

/// What was found out.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Secure or proven insecure.
    Proven(Arc<Validated>),
    /// Bogus; the response is kept for clients that set CD.
    Bogus(BogusReason, Arc<Response>),
    /// It could not be found out. The response is there if only the chain of trust is missing.
    Failed(IndeterminateReason, Option<Arc<Response>>),
    /// Taken over as it came, because `dnssec` is off.
    Unchecked(Arc<Response>),
    /// What the operator's filters have left of an answer. It has no proof any more.
    Filtered(Arc<Response>, FilterReason),
}

impl Outcome {
    /// Whether it may be given after its time (RFC 8767): it holds data that were not found wrong.
    pub fn may_be_stale(&self) -> bool {
        matches!(self, Self::Proven(_) | Self::Unchecked(_) | Self::Filtered(..))
    }

    /// The response that it holds, if it holds one.
    pub fn response(&self) -> Option<&Response> {
        match self {
            Self::Proven(validated) => Some(validated.response()),
            Self::Bogus(_, response) | Self::Unchecked(response) | Self::Filtered(response, _) => Some(response),
            Self::Failed(_, response) => response.as_deref(),
        }
    }
}

/// An outcome with its time and its forms.
#[derive(Debug)]
pub struct CachedAnswer {
    /// The question that was asked first, in its letter case.
    pub question: Question,
    /// What was found out.
    pub outcome: Outcome,
    /// When it was found out, in nanoseconds of CLOCK_BOOTTIME.
    pub found_at_boot_ns: u64,
    /// Generation of what it was judged by; it says nothing under another one.
    pub generation: u64,
    /// When its time is up, in nanoseconds of CLOCK_BOOTTIME.
    pub expires_at_boot_ns: u64,
    /// Whether it is being found anew ahead of time.
    pub refreshing: AtomicBool,
    plain: FormSlot,
    dnssec: FormSlot,
}

/// One form of an outcome.
#[derive(Debug, Default)]
pub struct FormSlot {
    rendered: OnceLock<RenderedForm>,
    /// Whether this form was handed to the publisher; made when it is for the first time.
    published: OnceLock<Arc<AtomicBool>>,
}

impl FormSlot {
    /// Whether this form was handed to the publisher and may be in the kernel map.
    pub fn is_published(&self) -> bool {
        self.published.get().is_some_and(|published| published.load(Ordering::Relaxed))
    }

    /// What says so, for who hands it over and for the publisher.
    pub fn published(&self) -> &Arc<AtomicBool> {
        self.published.get_or_init(Arc::default)
    }
}

/// A form in wire format.
#[derive(Clone, Debug)]
pub enum RenderedForm {
    /// Of a proven outcome.
    Proven(Arc<RenderedAnswer>),
    /// Of data that were not validated, or not successfully.
    Unchecked(Arc<UncheckedAnswer>),
}

impl RenderedForm {
    /// The form as the message writer takes it.
    pub fn as_answer(&self) -> Answer<'_> {
        match self {
            Self::Proven(rendered) => Answer::Proven(rendered),
            Self::Unchecked(unchecked) => Answer::Unchecked(unchecked),
        }
    }
}

impl CachedAnswer {
    /// An outcome that may be kept for `ttl_s` seconds from `now_boot_ns` on.
    pub fn new(question: Question, outcome: Outcome, ttl_s: u32, generation: u64, now_boot_ns: u64) -> Self {
        let expires_at_boot_ns = now_boot_ns.saturating_add(u64::from(ttl_s).saturating_mul(NS_PER_S));
        Self {
            question,
            outcome,
            found_at_boot_ns: now_boot_ns,
            generation,
            expires_at_boot_ns,
            refreshing: AtomicBool::new(false),
            plain: FormSlot::default(),
            dnssec: FormSlot::default(),
        }
    }

    /// Whole seconds left; every TTL of the answer shows this number.
    pub fn ttl_left_s(&self, now_boot_ns: u64) -> u32 {
        let left_ns = self.expires_at_boot_ns.saturating_sub(now_boot_ns);
        u32::try_from(left_ns / NS_PER_S).unwrap_or(u32::MAX)
    }

    /// From when on it is to be found anew if it is asked for, in nanoseconds of CLOCK_BOOTTIME; `u64::MAX`: never.
    pub fn refresh_from_boot_ns(&self) -> u64 {
        if self.outcome.may_be_stale() {
            refresh_from_boot_ns(self.found_at_boot_ns, self.expires_at_boot_ns)
        } else {
            u64::MAX
        }
    }

    /// The slot of a form.
    pub fn slot(&self, form: Form) -> &FormSlot {
        match form {
            Form::Plain => &self.plain,
            Form::Dnssec => &self.dnssec,
        }
    }

    /// The data in a form, rendered on first use; none if there are no data. Whether they may be given to the client is
    /// for the caller to decide, by [`outcome`](Self::outcome).
    pub fn rendered(&self, form: Form) -> Option<&RenderedForm> {
        let slot = &self.slot(form).rendered;
        let unchecked = |response| RenderedForm::Unchecked(Arc::new(UncheckedAnswer::new(response, form)));
        match &self.outcome {
            Outcome::Proven(validated) => {
                Some(slot.get_or_init(|| RenderedForm::Proven(Arc::new(RenderedAnswer::new(validated, form)))))
            }
            Outcome::Bogus(_, response) | Outcome::Unchecked(response) | Outcome::Failed(_, Some(response)) => {
                Some(slot.get_or_init(|| unchecked(response)))
            }
            Outcome::Filtered(response, reason) => {
                Some(slot.get_or_init(|| {
                    RenderedForm::Unchecked(Arc::new(UncheckedAnswer::filtered(response, *reason, form)))
                }))
            }
            Outcome::Failed(_, None) => None,
        }
    }

    /// Length of the rendered forms, in bytes; for dumps.
    pub fn rendered_len(&self) -> usize {
        let length = |slot: &FormSlot| match slot.rendered.get() {
            Some(RenderedForm::Proven(rendered)) => rendered.body().len(),
            Some(RenderedForm::Unchecked(unchecked)) => unchecked.body_len(),
            None => 0,
        };
        length(&self.plain).saturating_add(length(&self.dnssec))
    }
}
