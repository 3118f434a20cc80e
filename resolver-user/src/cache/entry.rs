//! What resolution found out about a question, in little memory, and its two forms in wire format.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::answer::{Answer, Form, RenderedAnswer, UncheckedAnswer};
use crate::clock::NS_PER_S;
use crate::filter::FilterReason;
use crate::prefetch::refresh_from_boot_ns;
use crate::validator::{BogusReason, IndeterminateReason, PackedValidated, Validated};
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

/// An outcome with its time and its forms. With all that belongs to it, a signed address takes about 430 bytes in a large cache.
#[derive(Debug)]
pub struct CachedAnswer {
    /// When its time is up, in nanoseconds of CLOCK_BOOTTIME.
    pub expires_at_boot_ns: u64,
    /// Generation of what it was judged by; it says nothing under another one.
    pub generation: u64,
    plain: OnceLock<RenderedForm>,
    dnssec: OnceLock<RenderedForm>,
    kept: Kept,
    /// How long it may be kept in all, in seconds.
    kept_s: u32,
    /// Whether it is being found anew ahead of time.
    pub refreshing: AtomicBool,
    published: OnceLock<Box<PublishedForms>>,
}

/// What was found out, as it is kept.
#[derive(Debug)]
pub enum Kept {
    /// Secure or proven insecure, and nothing more to say: nearly every answer.
    Proven(PackedValidated),
    /// All else.
    Other(Box<(Question, Outcome)>),
}

/// Whether forms were handed to the publisher: the plain one, that for DO=1. Made when one is for the first time.
type PublishedForms = [Arc<AtomicBool>; 2];

/// A form in wire format.
#[derive(Clone, Debug)]
pub enum RenderedForm {
    /// Of a proven outcome.
    Proven(RenderedAnswer),
    /// Of data that were not validated, or not successfully.
    Unchecked(UncheckedAnswer),
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
    /// An outcome that may be kept for `ttl_s` seconds from `now_boot_ns` on. The question is as it was asked first, in its letter case.
    pub fn new(question: Question, outcome: Outcome, ttl_s: u32, generation: u64, now_boot_ns: u64) -> Self {
        let packed = match &outcome {
            Outcome::Proven(validated) => PackedValidated::new(validated).filter(|packed| {
                let kept = packed.question();
                (kept.qname.wire(), kept.qtype) == (question.qname.wire(), question.qtype)
            }),
            _ => None,
        };
        Self {
            expires_at_boot_ns: now_boot_ns.saturating_add(ns(ttl_s)),
            generation,
            plain: OnceLock::new(),
            dnssec: OnceLock::new(),
            kept: packed.map_or_else(|| Kept::Other(Box::new((question, outcome))), Kept::Proven),
            kept_s: ttl_s,
            refreshing: AtomicBool::new(false),
            published: OnceLock::new(),
        }
    }

    /// The question that was asked first, in its letter case.
    pub fn question(&self) -> &Question {
        match &self.kept {
            Kept::Proven(packed) => packed.question(),
            Kept::Other(other) => &other.0,
        }
    }

    /// What was found out, as it is kept.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// What was found out. Makes a proven outcome anew: not for the way of every query.
    pub fn outcome(&self) -> Outcome {
        match &self.kept {
            Kept::Proven(packed) => Outcome::Proven(Arc::new(packed.unpack())),
            Kept::Other(other) => other.1.clone(),
        }
    }

    /// Whether it may be given after its time (RFC 8767): it holds data that were not found wrong.
    pub fn may_be_stale(&self) -> bool {
        match &self.kept {
            Kept::Proven(_) => true,
            Kept::Other(other) => other.1.may_be_stale(),
        }
    }

    /// Whether it could not be found out.
    pub fn is_failure(&self) -> bool {
        matches!(&self.kept, Kept::Other(other) if matches!(other.1, Outcome::Failed(..)))
    }

    /// When it was found out, in nanoseconds of CLOCK_BOOTTIME.
    pub fn found_at_boot_ns(&self) -> u64 {
        self.expires_at_boot_ns.saturating_sub(ns(self.kept_s))
    }

    /// Whole seconds left; every TTL of the answer shows this number.
    pub fn ttl_left_s(&self, now_boot_ns: u64) -> u32 {
        let left_ns = self.expires_at_boot_ns.saturating_sub(now_boot_ns);
        u32::try_from(left_ns / NS_PER_S).unwrap_or(u32::MAX)
    }

    /// From when on it is to be found anew if it is asked for, in nanoseconds of CLOCK_BOOTTIME; `u64::MAX`: never.
    pub fn refresh_from_boot_ns(&self) -> u64 {
        if self.may_be_stale() {
            refresh_from_boot_ns(self.found_at_boot_ns(), self.expires_at_boot_ns)
        } else {
            u64::MAX
        }
    }

    /// Whether a form was handed to the publisher and may be in the kernel map.
    pub fn is_published(&self, form: Form) -> bool {
        self.published.get().is_some_and(|published| one_of(published, form).load(Ordering::Relaxed))
    }

    /// What says so, for who hands it over and for the publisher.
    pub fn published(&self, form: Form) -> &Arc<AtomicBool> {
        one_of(self.published.get_or_init(Box::default), form)
    }

    /// The data in a form, rendered on first use; none if there are no data. Whether they may be given to the client is
    /// for the caller to decide, by [`kept`](Self::kept).
    pub fn rendered(&self, form: Form) -> Option<&RenderedForm> {
        let slot = match form {
            Form::Plain => &self.plain,
            Form::Dnssec => &self.dnssec,
        };
        let rendered = slot.get();
        if rendered.is_some() {
            return rendered;
        }
        let made = match self.outcome() {
            Outcome::Proven(validated) => RenderedForm::Proven(RenderedAnswer::new(&validated, form)),
            Outcome::Bogus(_, response) | Outcome::Unchecked(response) | Outcome::Failed(_, Some(response)) => {
                RenderedForm::Unchecked(UncheckedAnswer::new(&response, form))
            }
            Outcome::Filtered(response, reason) => {
                RenderedForm::Unchecked(UncheckedAnswer::filtered(&response, reason, form))
            }
            Outcome::Failed(_, None) => return None,
        };
        Some(slot.get_or_init(|| made))
    }

    /// Length of the rendered forms, in bytes; for dumps.
    pub fn rendered_len(&self) -> usize {
        let length = |slot: &OnceLock<RenderedForm>| match slot.get() {
            Some(RenderedForm::Proven(rendered)) => rendered.body().len(),
            Some(RenderedForm::Unchecked(unchecked)) => unchecked.body_len(),
            None => 0,
        };
        length(&self.plain).saturating_add(length(&self.dnssec))
    }
}

fn one_of([plain, dnssec]: &PublishedForms, form: Form) -> &Arc<AtomicBool> {
    match form {
        Form::Plain => plain,
        Form::Dnssec => dnssec,
    }
}

fn ns(seconds: u32) -> u64 {
    u64::from(seconds).saturating_mul(NS_PER_S)
}

/// Two and a half cache lines with the counts of an `Arc`: every name in the cache takes as much.
const _: () = assert!(size_of::<CachedAnswer>() <= 160 - 2 * size_of::<usize>());
