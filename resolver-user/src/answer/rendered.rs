//! Answers in wire form, ready to be put behind any client's question.

use triomphe::ThinArc;

use super::compress::Compressor;
use super::rotation::Rotation;
use super::{ExtendedError, Form, Notice};
use crate::filter::FilterReason;
use crate::validator::{ProvenStatus, Validated};
use crate::wire::{CLASS_IN, Name, RCode, RdataField, RecordType, Response, RrSet, rdata_layout};

/// An answer that validation let through, in one form. The XDP program sends exactly these bytes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RenderedAnswer(Sections);

impl RenderedAnswer {
    /// Renders a proven answer.
    pub fn new(validated: &Validated, form: Form) -> Self {
        let secure = validated.status() == ProvenStatus::Secure;
        let extended_error = validated.insecure_reason().and_then(ExtendedError::of_insecure);
        Self(Sections::render(validated.response(), form).finish(Beside { secure, extended_error }))
    }

    /// RCODE.
    pub fn rcode(&self) -> RCode {
        self.0.head().rcode
    }

    /// Whether it is Secure; else it is proven insecure.
    pub fn is_secure(&self) -> bool {
        self.0.head().secure
    }

    /// ANCOUNT.
    pub fn answer_count(&self) -> u16 {
        self.0.head().answer_count
    }

    /// NSCOUNT.
    pub fn authority_count(&self) -> u16 {
        self.0.head().authority_count
    }

    /// Every record after the question, without an OPT. TTL fields are zero; names are compressed against the question
    /// at offset 12 and against each other.
    pub fn body(&self) -> &[u8] {
        self.0.body()
    }

    /// Where the TTL fields stand, in bytes from the body's start, ascending.
    pub fn ttl_offsets(&self) -> &[u16] {
        self.0.ttl_offsets()
    }

    /// The addresses that can change places, if the answer has several.
    pub fn rotation(&self) -> Option<Rotation> {
        self.0.head().rotation
    }

    /// Whether an extended error goes with the answer. Such an answer is not published.
    pub fn has_extended_error(&self) -> bool {
        self.0.head().extended_error.is_some()
    }

    /// Whether the answer does not fit any message. Such an answer has no body and is sent with TC.
    pub fn is_oversized(&self) -> bool {
        self.0.head().oversized
    }

    pub(super) fn sections(&self) -> &Sections {
        &self.0
    }
}

/// An answer that was not validated: `dnssec` is off, or the client set CD and the data are bogus, or something was taken
/// out of it. Never carries AD.
#[derive(Clone, Debug)]
pub struct UncheckedAnswer(Sections);

impl UncheckedAnswer {
    /// Renders a response as it is.
    pub fn new(response: &Response, form: Form) -> Self {
        Self(Sections::render(response, form).finish(Beside::default()))
    }

    /// Renders what filters have left of a response, and says that they did.
    pub fn filtered(response: &Response, reason: FilterReason, form: Form) -> Self {
        let extended_error = Some(Notice::Filtered(reason).extended_error());
        Self(Sections::render(response, form).finish(Beside { secure: false, extended_error }))
    }

    /// RCODE.
    pub fn rcode(&self) -> RCode {
        self.0.head().rcode
    }

    /// Length of its records, in bytes.
    pub fn body_len(&self) -> usize {
        self.0.body().len()
    }

    pub(super) fn sections(&self) -> &Sections {
        &self.0
    }
}

/// The sections of an answer as bytes, in one piece of memory: head, offsets of the TTL fields, body.
#[derive(Clone, Debug)]
pub(super) struct Sections(ThinArc<SectionsHead, u16>);

/// What there is to know of an answer beside its bytes.
#[derive(Debug)]
pub(super) struct SectionsHead {
    pub(super) rcode: RCode,
    pub(super) answer_count: u16,
    pub(super) authority_count: u16,
    /// Length of the body, in bytes. What stands before it are offsets.
    body_len: u16,
    pub(super) rotation: Option<Rotation>,
    /// Whether they do not fit any message, and so are missing.
    pub(super) oversized: bool,
    /// Whether the answer is Secure.
    secure: bool,
    pub(super) extended_error: Option<Box<ExtendedError>>,
}

/// With its counts, a short answer takes a cache line.
const _: () = assert!(size_of::<SectionsHead>() <= 24);

/// What goes with the sections of an answer.
#[derive(Default)]
pub(super) struct Beside {
    secure: bool,
    extended_error: Option<ExtendedError>,
}

impl Sections {
    pub(super) fn head(&self) -> &SectionsHead {
        &self.0.header.header
    }

    pub(super) fn body(&self) -> &[u8] {
        let (_, body) = self.parts();
        bytemuck::cast_slice(body).get(..usize::from(self.head().body_len)).unwrap_or_default()
    }

    pub(super) fn ttl_offsets(&self) -> &[u16] {
        self.parts().0
    }

    /// The offsets; the body in words of two bytes.
    fn parts(&self) -> (&[u16], &[u16]) {
        let words = &self.0.slice;
        words.split_at_checked(words.len().saturating_sub(body_words(self.head().body_len))).unwrap_or_default()
    }
}

/// Words of two bytes that hold so many bytes.
fn body_words(len: u16) -> usize {
    usize::from(len).div_ceil(2)
}

impl Sections {
    /// The records that are wanted in a form.
    fn render(response: &Response, form: Form) -> Rendering {
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
        Rendering { writer, rcode: response.rcode, answer_count, authority_count }
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
}

/// Sections that are written.
pub(super) struct Rendering {
    pub(super) writer: SectionWriter,
    pub(super) rcode: RCode,
    pub(super) answer_count: u16,
    pub(super) authority_count: u16,
}

impl Rendering {
    /// The sections, with the body if it fits a message.
    pub(super) fn finish(self, Beside { secure, extended_error }: Beside) -> Sections {
        let Self { writer, rcode, answer_count, authority_count } = self;
        let SectionWriter { names, body_at, ttl_offsets: mut words, rotation } = writer;
        let body = names.message.get(body_at..).filter(|_| names.message.len() <= MESSAGE_LEN_MAX);
        let body = body.and_then(|body| Some((body, u16::try_from(body.len()).ok()?)));
        let oversized = body.is_none();
        let (body, body_len) = body.unwrap_or_default();
        let (pairs, odd) = body.as_chunks();
        if oversized {
            words.clear();
        }
        words.extend(pairs.iter().copied().map(u16::from_ne_bytes));
        words.extend(odd.first().map(|&last| u16::from_ne_bytes([last, 0])));
        let head = SectionsHead {
            rcode,
            answer_count: if oversized { 0 } else { answer_count },
            authority_count: if oversized { 0 } else { authority_count },
            body_len,
            rotation: rotation.filter(|_| !oversized),
            oversized,
            secure,
            extended_error: extended_error.map(Box::new),
        };
        Sections(ThinArc::from_header_and_slice(head, &words))
    }
}
