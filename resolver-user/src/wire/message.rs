//! A whole message: header, question, sections, EDNS (RFC 1035 §4.1, RFC 6891 §6.1).

use super::{Name, Question, RCode, Record, RecordType, WireError, rdata};

/// Header flags, one bit each; RCODE and OPCODE are apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// QR: a response.
    pub response: bool,
    /// AA.
    pub authoritative: bool,
    /// TC.
    pub truncated: bool,
    /// RD.
    pub recursion_desired: bool,
    /// RA.
    pub recursion_available: bool,
    /// AD (RFC 4035 §3.2.3; in a query: RFC 6840 §5.7).
    pub authentic_data: bool,
    /// CD.
    pub checking_disabled: bool,
}

/// The 12 bytes every message starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// ID.
    pub id: u16,
    /// OPCODE: 0..=15.
    pub opcode: u8,
    /// RCODE without its extended part: 0..=15.
    pub rcode: u8,
    /// Flags.
    pub flags: Flags,
    /// QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT.
    pub counts: [u16; 4],
}

impl Header {
    /// Reads the header; none if there are fewer than 12 bytes.
    pub fn read(message: &[u8]) -> Option<Self> {
        let [i0, i1, high, low, q0, q1, a0, a1, n0, n1, r0, r1] = *message.first_chunk::<12>()?;
        Some(Self {
            id: u16::from_be_bytes([i0, i1]),
            opcode: (high >> 3) & 15,
            rcode: low & 15,
            flags: Flags {
                response: high & 0x80 != 0,
                authoritative: high & 4 != 0,
                truncated: high & 2 != 0,
                recursion_desired: high & 1 != 0,
                recursion_available: low & 0x80 != 0,
                authentic_data: low & 0x20 != 0,
                checking_disabled: low & 0x10 != 0,
            },
            counts: [
                u16::from_be_bytes([q0, q1]),
                u16::from_be_bytes([a0, a1]),
                u16::from_be_bytes([n0, n1]),
                u16::from_be_bytes([r0, r1]),
            ],
        })
    }
}

/// One EDNS option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdnsOption {
    /// Option code.
    pub code: u16,
    /// Its data.
    pub data: Box<[u8]>,
}

/// What an OPT record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edns {
    /// UDP payload size as sent, in bytes.
    pub udp_payload_len: u16,
    /// Upper eight bits of the RCODE.
    pub rcode_high: u8,
    /// EDNS version.
    pub version: u8,
    /// DO: DNSSEC records are wanted (RFC 3225).
    pub dnssec_ok: bool,
    /// Options in the order received.
    pub options: Vec<EdnsOption>,
}

/// A parsed message. Records of the sections are in the order received; the OPT is taken out of `additional`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The header.
    pub header: Header,
    /// The question with its class, if there is exactly one.
    pub question: Option<(Question, u16)>,
    /// Answer section.
    pub answer: Vec<Record>,
    /// Authority section.
    pub authority: Vec<Record>,
    /// Additional section without the OPT.
    pub additional: Vec<Record>,
    /// EDNS, if there was an OPT.
    pub edns: Option<Edns>,
}

impl Message {
    /// Reads a whole message; nothing may follow its last record.
    ///
    /// # Errors
    /// [`WireError`] with the offset of the first thing that is wrong.
    pub fn read(message: &[u8]) -> Result<Self, WireError> {
        let header = Header::read(message).ok_or(WireError::Truncated { at: 0 })?;
        let [questions, answers, authorities, additionals] = header.counts;
        let mut at = 12;
        let mut question = None;
        for index in 0..questions {
            let (asked, class, after) = read_question(message, at)?;
            question = (index == 0 && questions == 1).then_some((asked, class));
            at = after;
        }
        let mut edns = None;
        let answer = read_section(message, &mut at, answers, None)?;
        let authority = read_section(message, &mut at, authorities, None)?;
        let additional = read_section(message, &mut at, additionals, Some(&mut edns))?;
        if at != message.len() {
            return Err(WireError::Trailing { at });
        }
        Ok(Self { header, question, answer, authority, additional, edns })
    }

    /// RCODE with its extended part.
    pub fn rcode(&self) -> RCode {
        let high = self.edns.as_ref().map_or(0, |edns| u16::from(edns.rcode_high) << 4);
        RCode(high | u16::from(self.header.rcode))
    }
}

fn read_question(message: &[u8], at: usize) -> Result<(Question, u16, usize), WireError> {
    let (qname, after) = Name::read_compressed(message, at).map_err(|source| WireError::Name { at, source })?;
    let fixed = message.get(after..).and_then(|rest| rest.first_chunk::<4>());
    let [t0, t1, c0, c1] = *fixed.ok_or(WireError::Truncated { at: after })?;
    let question = Question::new(qname, RecordType(u16::from_be_bytes([t0, t1])));
    Ok((question, u16::from_be_bytes([c0, c1]), after.saturating_add(4)))
}

/// Reads `count` records from `at` on. An OPT goes to `edns`, where one is allowed; elsewhere it is an error.
fn read_section(
    message: &[u8],
    at: &mut usize,
    count: u16,
    mut edns: Option<&mut Option<Edns>>,
) -> Result<Vec<Record>, WireError> {
    let mut records = Vec::new();
    for _ in 0..count {
        let start = *at;
        let (record, after) = read_record(message, start)?;
        *at = after;
        if record.rtype != RecordType::OPT {
            records.push(record);
            continue;
        }
        let slot = edns.as_deref_mut().filter(|slot| slot.is_none() && record.owner.is_root());
        *slot.ok_or(WireError::Opt { at: start })? = Some(read_edns(&record).ok_or(WireError::Opt { at: start })?);
    }
    Ok(records)
}

fn read_record(message: &[u8], at: usize) -> Result<(Record, usize), WireError> {
    let (owner, after) = Name::read_compressed(message, at).map_err(|source| WireError::Name { at, source })?;
    let fixed = message.get(after..).and_then(|rest| rest.first_chunk::<10>());
    let [t0, t1, c0, c1, l0, l1, l2, l3, d0, d1] = *fixed.ok_or(WireError::Truncated { at: after })?;
    let rtype = RecordType(u16::from_be_bytes([t0, t1]));
    let start = after.saturating_add(10);
    let end = start.saturating_add(usize::from(u16::from_be_bytes([d0, d1])));
    if end > message.len() {
        return Err(WireError::Truncated { at: start });
    }
    let ttl = u32::from_be_bytes([l0, l1, l2, l3]);
    // An OPT has flags where others have a TTL (RFC 6891 §6.1.3).
    let ttl_s = if ttl > i32::MAX.unsigned_abs() && rtype != RecordType::OPT { 0 } else { ttl };
    let rdata = rdata::decompress(message, start, end, rtype)?;
    Ok((Record { owner, rtype, class: u16::from_be_bytes([c0, c1]), ttl_s, rdata }, end))
}

fn read_edns(record: &Record) -> Option<Edns> {
    let [rcode_high, version, flags_high, _] = record.ttl_s.to_be_bytes();
    let mut options = Vec::new();
    let mut rest = &*record.rdata;
    while !rest.is_empty() {
        let ([c0, c1, l0, l1], tail) = rest.split_first_chunk::<4>()?;
        let (data, after) = tail.split_at_checked(usize::from(u16::from_be_bytes([*l0, *l1])))?;
        options.push(EdnsOption { code: u16::from_be_bytes([*c0, *c1]), data: data.into() });
        rest = after;
    }
    Some(Edns { udp_payload_len: record.class, rcode_high, version, dnssec_ok: flags_high & 0x80 != 0, options })
}
