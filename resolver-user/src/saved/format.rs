//! The bytes of a cache file.
//!
//! In: answers as DNS messages with their times. Out: a file; and back, from bytes that may be anything. All numbers are big-endian:
//!
//! ```text
//! "RSLVCACH"  version u32  basis 32  saved at u64  count u32
//! count times: found at u64  expires at u64  length u32  message
//! SHA-256 of all that comes before it
//! ```
//!
//! The sum at the end is against damage, not against forgery: see [the room](super).

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use thiserror::Error;

use super::{Basis, RestoreError, SavedAnswer};
use crate::wire::{CLASS_IN, Message, Name, Question, RecordType, Response, RrSet, WireError, group, group_authority};

/// First bytes of a file.
const MAGIC: &[u8; 8] = b"RSLVCACH";
/// Rises with each change of the format.
const VERSION: u32 = 1;
/// Bytes of an answer beside its message.
const ENTRY_HEAD_LEN: usize = 8 + 8 + 4;

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FormatError {
    /// It is something else.
    #[error("it is no cache file")]
    Magic,
    /// It is of another version.
    #[error("its format is version {found}, ours is {VERSION}")]
    Version {
        /// The version found.
        found: u32,
    },
    /// It was changed or cut short after it was written.
    #[error("it is damaged: its sum does not fit")]
    Sum,
    /// It ends too early, or too late.
    #[error("it is damaged at byte {at}")]
    Length {
        /// Offset.
        at: usize,
    },
    /// An answer is no DNS message.
    #[error("the answer before byte {at} is none: {source}")]
    Message {
        /// Offset behind it.
        at: usize,
        /// What is wrong with it.
        source: WireError,
    },
    /// An answer has no question.
    #[error("the answer before byte {at} has no question")]
    Question {
        /// Offset behind it.
        at: usize,
    },
}

/// The bytes of a file of at most `len_max` bytes, and how many answers found room in it.
pub(super) fn encode(basis: &Basis, saved_at_unix_s: u64, answers: &[SavedAnswer], len_max: usize) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(basis);
    out.extend_from_slice(&saved_at_unix_s.to_be_bytes());
    let mut room = len_max.saturating_sub(out.len().saturating_add(4).saturating_add(SHA256_OUTPUT_LEN));
    let fits = |answer: &&SavedAnswer| {
        let len = answer.message.len().saturating_add(ENTRY_HEAD_LEN);
        let left = room.checked_sub(len);
        room = left.unwrap_or(0);
        left.is_some()
    };
    let fitting: Vec<&SavedAnswer> = answers.iter().take_while(fits).collect();
    out.extend_from_slice(&u32::try_from(fitting.len()).unwrap_or(u32::MAX).to_be_bytes());
    for answer in &fitting {
        out.extend_from_slice(&answer.found_at_unix_s.to_be_bytes());
        out.extend_from_slice(&answer.expires_at_unix_s.to_be_bytes());
        out.extend_from_slice(&u32::try_from(answer.message.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&answer.message);
    }
    let sum = digest(&SHA256, &out);
    out.extend_from_slice(sum.as_ref());
    (out, fitting.len())
}

/// When a file was written, in seconds since 1970, and its answers.
///
/// # Errors
/// Why it is not to be used: its format, or what its answers rest on.
pub(super) fn decode(bytes: &[u8], basis: &Basis) -> Result<(u64, Vec<(Question, SavedAnswer)>), RestoreError> {
    let mut reader = Reader { bytes, at: 0 };
    if reader.array::<8>().ok() != Some(*MAGIC) {
        return Err(FormatError::Magic.into());
    }
    let found = u32::from_be_bytes(reader.array()?);
    if found != VERSION {
        return Err(FormatError::Version { found }.into());
    }
    let (content, sum) = bytes.split_at_checked(bytes.len().saturating_sub(SHA256_OUTPUT_LEN)).unwrap_or_default();
    if digest(&SHA256, content).as_ref() != sum {
        return Err(FormatError::Sum.into());
    }
    let mut reader = Reader { bytes: content, ..reader };
    if reader.array::<32>()? != *basis {
        return Err(RestoreError::OtherBasis);
    }
    let saved_at_unix_s = u64::from_be_bytes(reader.array()?);
    let count = u32::from_be_bytes(reader.array()?);
    let mut entries = Vec::new();
    // Bound: each takes bytes of the file, which is no longer than is allowed.
    for _ in 0..count {
        entries.push(reader.entry()?);
    }
    if reader.at != content.len() {
        return Err(FormatError::Length { at: reader.at }.into());
    }
    Ok((saved_at_unix_s, entries))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], FormatError> {
        let at = self.at;
        let found = self.bytes.get(at..).and_then(|rest| rest.first_chunk::<LEN>());
        self.at = at.saturating_add(LEN);
        found.copied().ok_or(FormatError::Length { at })
    }

    fn slice(&mut self, len: usize) -> Result<&'a [u8], FormatError> {
        let at = self.at;
        self.at = at.saturating_add(len);
        self.bytes.get(at..self.at).ok_or(FormatError::Length { at })
    }

    fn entry(&mut self) -> Result<(Question, SavedAnswer), FormatError> {
        let found_at_unix_s = u64::from_be_bytes(self.array()?);
        let expires_at_unix_s = u64::from_be_bytes(self.array()?);
        let len = u32::from_be_bytes(self.array()?);
        let message = self.slice(usize::try_from(len).unwrap_or(usize::MAX))?;
        let at = self.at;
        let read = Message::read(message).map_err(|source| FormatError::Message { at, source })?;
        let (question, _) = read.question.ok_or(FormatError::Question { at })?;
        Ok((question, SavedAnswer { found_at_unix_s, expires_at_unix_s, message: message.into() }))
    }
}

/// A response as a DNS message, nothing compressed; none if it is too long for one.
pub(super) fn message(response: &Response) -> Option<Box<[u8]>> {
    let Response { question, rcode, answer, authority } = response;
    let rcode = u8::try_from(rcode.0).ok().filter(|rcode| *rcode < 16)?;
    let mut out = vec![0, 0, 0x80, rcode, 0, 1];
    for count in [record_count(answer)?, record_count(authority)?, 0] {
        out.extend_from_slice(&count.to_be_bytes());
    }
    out.extend_from_slice(question.qname.wire());
    out.extend_from_slice(&question.qtype.0.to_be_bytes());
    out.extend_from_slice(&CLASS_IN.to_be_bytes());
    for set in answer.iter().chain(authority) {
        for rdata in &set.rdatas {
            write_record(&set.owner, set.rtype, set.ttl_s, rdata, &mut out)?;
        }
        for signature in &set.signatures {
            write_record(&set.owner, RecordType::RRSIG, signature.ttl_s, &signature.rdata, &mut out)?;
        }
    }
    (out.len() <= usize::from(u16::MAX)).then(|| out.into_boxed_slice())
}

fn record_count(sets: &[RrSet]) -> Option<u16> {
    u16::try_from(sets.iter().map(|set| set.rdatas.len().saturating_add(set.signatures.len())).sum::<usize>()).ok()
}

fn write_record(owner: &Name, rtype: RecordType, ttl_s: u32, rdata: &[u8], out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(owner.wire());
    out.extend_from_slice(&rtype.0.to_be_bytes());
    out.extend_from_slice(&CLASS_IN.to_be_bytes());
    out.extend_from_slice(&ttl_s.to_be_bytes());
    out.extend_from_slice(&u16::try_from(rdata.len()).ok()?.to_be_bytes());
    out.extend_from_slice(rdata);
    Some(())
}

/// The response that a message holds, if it is one to this question.
pub(super) fn response(message: &[u8], question: &Question) -> Option<Response> {
    let message = Message::read(message).ok()?;
    let rcode = message.rcode();
    let (asked, class) = message.question?;
    let (answer, authority) = (group(&message.answer), group_authority(&message.authority));
    (asked == *question && class == CLASS_IN).then(|| Response { question: question.clone(), rcode, answer, authority })
}
