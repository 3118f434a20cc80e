//! From an offered answer to the bytes of its slot, and from a slot back to something readable.

use resolver_ebpf::abi::{AnswerHead, FLAG_DO, FLAG_SECURE, HASH_KEY_WORDS, OPT_LEN};
use resolver_ebpf::slot::{self, Answer, SlotError, answer_key_hash};
use thiserror::Error;

use super::status::FastPathEntry;
use super::table::{Entry, SlotWords};
use super::{NearlyOver, Publication};
use crate::answer::Form;
use crate::clock::NS_PER_S;
use crate::wire::{Name, RCode, RecordType};

/// Bytes of header and of type and class behind the question's name.
const HEADER_AND_QUESTION_END_LEN: usize = 12 + 4;

/// Why an offered answer has no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotPublishable {
    /// Less than a second is left.
    #[error("no whole second left")]
    Expired,
    /// The fast path cannot send it exactly as the daemon would.
    #[error("{0}")]
    Unfit(Unfit),
}

/// What makes an answer unfit for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    /// It carries an extended error, for which the stored OPT has no room.
    #[error("carries an extended error")]
    ExtendedError,
    /// More records than a slot's counts hold.
    #[error("too many records")]
    Records,
    /// What [`resolver_ebpf::slot`] refuses.
    #[error("{0}")]
    Slot(#[from] SlotError),
}

/// A slot ready to be written.
#[derive(Debug)]
pub struct Prepared<'a> {
    publication: &'a Publication,
    key_hash: u64,
    words: SlotWords,
    lines: usize,
}

impl Prepared<'_> {
    /// What the table needs of it.
    pub fn entry(&self) -> Entry<'_> {
        Entry {
            key_hash: self.key_hash,
            slot: &self.words,
            lines: self.lines,
            expires_at_boot_ns: self.publication.expires_at_boot_ns,
            refresh_from_boot_ns: self.publication.refresh_from_boot_ns,
            rotation: self.publication.rotation,
            published: std::sync::Arc::clone(&self.publication.published),
        }
    }
}

/// Makes the slot of an offered answer.
///
/// # Errors
/// Why it has none.
pub fn render<'a>(
    publication: &'a Publication,
    hash_key: &[u64; HASH_KEY_WORDS],
    now_boot_ns: u64,
) -> Result<Prepared<'a>, NotPublishable> {
    if publication.expires_at_boot_ns.saturating_sub(now_boot_ns) < NS_PER_S {
        return Err(NotPublishable::Expired);
    }
    let rendered = &publication.rendered;
    if rendered.has_extended_error() {
        return Err(NotPublishable::Unfit(Unfit::ExtendedError));
    }
    let narrow = |count: u16| u8::try_from(count).map_err(|_| NotPublishable::Unfit(Unfit::Records));
    let answer = Answer {
        name: publication.name.wire(),
        qtype: publication.qtype.0,
        dnssec_ok: publication.form == Form::Dnssec,
        secure: rendered.is_secure(),
        rcode: narrow(rendered.rcode().0)?,
        answer_count: narrow(rendered.answer_count())?,
        authority_count: narrow(rendered.authority_count())?,
        body: rendered.body(),
        ttl_offsets: rendered.ttl_offsets(),
        expires_at_boot_ns: publication.expires_at_boot_ns,
    };
    let mut words = [0; _];
    let lines = slot::render(&answer, &mut words).map_err(|error| NotPublishable::Unfit(error.into()))?;
    let key_hash = answer_key_hash(answer.name, answer.qtype, answer.dnssec_ok, hash_key);
    Ok(Prepared { publication, key_hash, words, lines })
}

/// Whether a slot is the form for DO=1.
pub fn is_for_do(head: &AnswerHead) -> bool {
    head.flags & FLAG_DO != 0
}

/// Which answer a slot holds; none if it makes no sense.
pub fn question(words: &SlotWords) -> Option<NearlyOver> {
    let view = slot::read(words)?;
    let form = if view.head.flags & FLAG_DO != 0 { Form::Dnssec } else { Form::Plain };
    Some(NearlyOver { name: Name::from_wire(view.name).ok()?, qtype: RecordType(view.head.qtype), form })
}

/// A slot as an operator wants to see it; none if it makes no sense.
pub fn describe(words: &SlotWords, now_boot_ns: u64) -> Option<FastPathEntry> {
    let view = slot::read(words)?;
    let head = view.head;
    let now_s = (now_boot_ns / NS_PER_S) as u32;
    let size = HEADER_AND_QUESTION_END_LEN + view.name.len() + view.body.len() + OPT_LEN;
    Some(FastPathEntry {
        name: Name::from_wire(view.name).ok()?.to_string(),
        rtype: RecordType(head.qtype).to_string(),
        form: if head.flags & FLAG_DO != 0 { "dnssec" } else { "plain" }.to_owned(),
        status: if head.flags & FLAG_SECURE != 0 { "secure" } else { "insecure" }.to_owned(),
        rcode: RCode(head.rcode.into()).to_string(),
        ttl_s: u32::try_from(head.expires_at_boot_ns.saturating_sub(now_boot_ns) / NS_PER_S).unwrap_or(u32::MAX),
        size: size as u64,
        last_used_s_ago: (head.last_used_s != 0).then(|| now_s.saturating_sub(head.last_used_s).into()),
    })
}
