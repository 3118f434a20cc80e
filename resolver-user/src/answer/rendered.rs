//! Answers in wire form, ready to be put behind any client's question.

use super::compress::Compressor;
use super::rotation::Rotation;
use super::{ExtendedError, Form, Notice};
use crate::filter::FilterReason;
use crate::validator::{ProvenStatus, Validated};
use crate::wire::{CLASS_IN, Name, RCode, RdataField, RecordType, Response, RrSet, rdata_layout};

/// An answer that validation let through, in one form. The XDP program sends exactly these bytes.
#[derive(Debug)]
pub struct RenderedAnswer {
    sections: Sections,
    secure: bool,
    extended_error: Option<Box<ExtendedError>>,
}

impl RenderedAnswer {
    /// Renders a proven answer.
    pub fn new(validated: &Validated, form: Form) -> Self {
        Self {
            sections: Sections::render(validated.response(), form),
            secure: validated.status() == ProvenStatus::Secure,
            extended_error: validated.insecure_reason().and_then(ExtendedError::of_insecure).map(Box::new),
        }
    }

    /// RCODE.
    pub fn rcode(&self) -> RCode {
        self.sections.rcode
    }

    /// Whether it is Secure; else it is proven insecure.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// ANCOUNT.
    pub fn answer_count(&self) -> u16 {
        self.sections.answer_count
    }

    /// NSCOUNT.
    pub fn authority_count(&self) -> u16 {
        self.sections.authority_count
    }

    /// Every record after the question, without an OPT. TTL fields are zero; names are compressed against the question
    /// at offset 12 and against each other.
    pub fn body(&self) -> &[u8] {
        &self.sections.body
    }

    /// Where the TTL fields stand, in bytes from the body's start, ascending.
    pub fn ttl_offsets(&self) -> &[u16] {
        &self.sections.ttl_offsets
    }

    /// The addresses that can change places, if the answer has several.
    pub fn rotation(&self) -> Option<Rotation> {
        self.sections.rotation
    }

    /// Whether an extended error goes with the answer. Such an answer is not published.
    pub fn has_extended_error(&self) -> bool {
        self.extended_error.is_some()
    }

    /// Whether the answer does not fit any message. Such an answer has no body and is sent with TC.
    pub fn is_oversized(&self) -> bool {
        self.sections.oversized
    }

    pub(super) fn sections(&self) -> &Sections {
        &self.sections
    }

    pub(super) fn extended_error(&self) -> Option<&ExtendedError> {
        self.extended_error.as_deref()
    }
}

/// An answer that was not validated: `dnssec` is off, or the client set CD and the data are bogus, or something was taken
/// out of it. Never carries AD.
#[derive(Debug)]
pub struct UncheckedAnswer {
    sections: Sections,
    extended_error: Option<Box<ExtendedError>>,
}

impl UncheckedAnswer {
    /// Renders a response as it is.
    pub fn new(response: &Response, form: Form) -> Self {
        Self { sections: Sections::render(response, form), extended_error: None }
    }

    /// Renders what filters have left of a response, and says that they did.
    pub fn filtered(response: &Response, reason: FilterReason, form: Form) -> Self {
        let extended_error = Some(Box::new(Notice::Filtered(reason).extended_error()));
        Self { sections: Sections::render(response, form), extended_error }
    }

    /// RCODE.
    pub fn rcode(&self) -> RCode {
        self.sections.rcode
    }

    /// Length of its records, in bytes.
    pub fn body_len(&self) -> usize {
        self.sections.body.len()
    }

    pub(super) fn sections(&self) -> &Sections {
        &self.sections
    }

    pub(super) fn extended_error(&self) -> Option<&ExtendedError> {
        self.extended_error.as_deref()
    }
}

/// The sections of an answer as bytes.
#[derive(Debug)]
pub(super) struct Sections {
    pub(super) rcode: RCode,
    pub(super) answer_count: u16,
    pub(super) authority_count: u16,
    pub(super) body: Box<[u8]>,
    pub(super) ttl_offsets: Box<[u16]>,
    pub(super) rotation: Option<Rotation>,
    pub(super) oversized: bool,
}

impl Sections {
    fn render(response: &Response, form: Form) -> Self {
        let question = &response.question;
        let mut writer = SectionWriter::new(&question.qname);
        let mut answer_count = 0u16;
        for set in &response.answer {
            let wanted = form == Form::Dnssec || !set.rtype.is_dnssec_only() || set.rtype == question.qtype;
            let signatures = form == Form::Dnssec || question.qtype == RecordType::RRSIG;
            let records_before = writer.ttl_offsets.len();
            answer_count = answer_count.saturating_add(writer.write_set(set, wanted, signatures && wanted));
            writer.note_addresses(set, records_before);
        }
        let mut authority_count = 0u16;
        for set in &response.authority {
            // A positive answer needs no authority; the proofs of a negative one or of a wildcard are SOA, NSEC and NSEC3.
            let wanted = set.rtype == RecordType::SOA || form == Form::Dnssec && set.rtype.is_dnssec_only();
            let count = writer.write_set(set, wanted, wanted && form == Form::Dnssec);
            authority_count = authority_count.saturating_add(count);
        }
        writer.finish(response.rcode, answer_count, authority_count)
    }
}

/// Longest message that is rendered, in bytes: what TCP carries, less our OPT with an extended error.
const MESSAGE_LEN_MAX: usize = 65_535 - 256;

/// Writes records with zero TTLs and remembers where those are.
pub(super) struct SectionWriter {
    names: Compressor,
    body_at: usize,
    ttl_offsets: Vec<u16>,
    rotation: Option<Rotation>,
}

impl SectionWriter {
    /// A writer behind a question for `qname`.
    pub(super) fn new(qname: &Name) -> Self {
        let names = Compressor::new(qname);
        let body_at = names.message.len();
        Self { names, body_at, ttl_offsets: Vec::new(), rotation: None }
    }

    /// Writes the records and the signatures of a set, as wanted, and returns how many that were.
    fn write_set(&mut self, set: &RrSet, records: bool, signatures: bool) -> u16 {
        let mut count = 0u16;
        if records {
            for rdata in &set.rdatas {
                self.write_record(&set.owner, set.rtype, rdata);
                count = count.saturating_add(1);
            }
        }
        if signatures {
            for signature in &set.signatures {
                self.write_record(&set.owner, RecordType::RRSIG, &signature.rdata);
                count = count.saturating_add(1);
            }
        }
        count
    }

    /// Remembers the addresses of a set that was just written behind so many records: the last such set is what was asked for.
    fn note_addresses(&mut self, set: &RrSet, records_before: usize) {
        let len = match set.rtype {
            RecordType::A => 4,
            RecordType::AAAA => 16,
            _ => return,
        };
        let own = self.ttl_offsets.get(records_before..records_before.saturating_add(set.rdatas.len()));
        let sound = own.filter(|_| set.rdatas.iter().all(|rdata| rdata.len() == usize::from(len)));
        self.rotation = sound.and_then(|own| Rotation::of_ttl_fields(own, len));
    }

    /// Writes a record with a TTL of zero.
    pub(super) fn write_record(&mut self, owner: &Name, rtype: RecordType, rdata: &[u8]) {
        self.names.write_name(owner);
        self.names.message.extend_from_slice(&rtype.0.to_be_bytes());
        self.names.message.extend_from_slice(&CLASS_IN.to_be_bytes());
        let ttl_at = self.names.message.len().saturating_sub(self.body_at);
        self.ttl_offsets.push(u16::try_from(ttl_at).unwrap_or(u16::MAX));
        self.names.message.extend_from_slice(&[0; 6]);
        let rdata_at = self.names.message.len();
        self.write_rdata(rtype, rdata);
        let length = u16::try_from(self.names.message.len().saturating_sub(rdata_at)).unwrap_or(u16::MAX);
        let length_at = rdata_at.saturating_sub(2)..rdata_at;
        if let Some(field) = self.names.message.get_mut(length_at) {
            field.copy_from_slice(&length.to_be_bytes());
        }
    }

    /// Writes RDATA; names are compressed only in the types of RFC 1035, which every reader decompresses (RFC 3597 §4).
    fn write_rdata(&mut self, rtype: RecordType, rdata: &[u8]) {
        let compressible = matches!(rtype.0, 2..=9 | 12 | 14 | 15);
        let mut rest = rdata;
        for field in if compressible { rdata_layout(rtype) } else { &[] } {
            match *field {
                RdataField::Bytes(length) => {
                    let Some((bytes, tail)) = rest.split_at_checked(length) else { break };
                    self.names.message.extend_from_slice(bytes);
                    rest = tail;
                }
                RdataField::Name => {
                    let Ok((name, end)) = Name::read_compressed(rest, 0) else { break };
                    let Some(tail) = rest.get(end..) else { break };
                    self.names.write_name(&name);
                    rest = tail;
                }
                RdataField::CharacterString | RdataField::A6 => break,
            }
        }
        self.names.message.extend_from_slice(rest);
    }

    /// The sections, with the body if it fits a message.
    pub(super) fn finish(self, rcode: RCode, answer_count: u16, authority_count: u16) -> Sections {
        match self.names.message.get(self.body_at..) {
            Some(body) if self.names.message.len() <= MESSAGE_LEN_MAX => Sections {
                rcode,
                answer_count,
                authority_count,
                body: body.into(),
                ttl_offsets: self.ttl_offsets.into_boxed_slice(),
                rotation: self.rotation,
                oversized: false,
            },
            _ => Sections {
                rcode,
                answer_count: 0,
                authority_count: 0,
                body: Box::default(),
                ttl_offsets: Box::default(),
                rotation: None,
                oversized: true,
            },
        }
    }
}
