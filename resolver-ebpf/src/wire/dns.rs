//! DNS header, the fixed end of a question, and OPT (RFC 1035 §4.1, RFC 6891 §6.1).

use bytemuck::{Pod, Zeroable};

use super::bytes::Be16;

/// Class IN.
pub const CLASS_IN: Be16 = Be16::new(1);
/// Type OPT.
pub const TYPE_OPT: Be16 = Be16::new(41);

/// Response.
pub const HIGH_QR: u8 = 0x80;
/// Truncated.
pub const HIGH_TC: u8 = 0x02;
/// Recursion desired.
pub const HIGH_RD: u8 = 0x01;
/// Recursion available.
pub const LOW_RA: u8 = 0x80;
/// Authenticated data (RFC 6840 §5.7, §5.8).
pub const LOW_AD: u8 = 0x20;
/// Checking disabled.
pub const LOW_CD: u8 = 0x10;
/// DNSSEC OK, in the first byte of OPT's extended flags (RFC 3225 §3).
pub const OPT_DO: u8 = 0x80;

/// Length of [`DnsHeader`], in bytes. The name of the question follows.
pub const DNS_HEADER_LEN: usize = size_of::<DnsHeader>();
/// Length of [`QuestionEnd`], in bytes.
pub const QUESTION_END_LEN: usize = size_of::<QuestionEnd>();
/// UDP payload that every client takes, in bytes (RFC 1035 §4.2.1).
pub const PAYLOAD_LEN_PLAIN: u16 = 512;

/// Header of a message.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct DnsHeader {
    /// Chosen by the client.
    pub id: Be16,
    /// QR, OPCODE, AA, TC, RD, from the highest bit.
    pub high: u8,
    /// RA, Z, AD, CD, RCODE, from the highest bit.
    pub low: u8,
    /// Questions, answers, authority records, additional records.
    pub counts: [Be16; 4],
}

impl DnsHeader {
    /// Whether this is a query for recursion (QR, OPCODE, AA, TC zero, RD one) with no bit set that only a response has.
    #[inline(always)]
    pub const fn is_plain_query(&self) -> bool {
        self.high == HIGH_RD && self.low & !(LOW_AD | LOW_CD) == 0
    }

    /// Whether the message carries one question and else nothing but perhaps one additional record; if so, whether it does.
    #[inline(always)]
    pub fn plain_counts(&self) -> Option<bool> {
        match u64::from_le_bytes(bytemuck::must_cast(self.counts)) {
            ONE_QUESTION => Some(false),
            ONE_QUESTION_AND_OPT => Some(true),
            _ => None,
        }
    }

    /// Sum of the header's words for the UDP checksum.
    #[inline(always)]
    pub fn sum(&self) -> u64 {
        let words: [[u8; 4]; 3] = bytemuck::must_cast(*self);
        let [a, b, c] = words.map(|word| u64::from(u32::from_le_bytes(word)));
        a.wrapping_add(b).wrapping_add(c)
    }
}

/// What stands behind the name of a question.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct QuestionEnd {
    /// QTYPE.
    pub qtype: Be16,
    /// QCLASS.
    pub class: Be16,
}

impl QuestionEnd {
    /// Sum of the two fields for the UDP checksum, as from an even offset.
    #[inline(always)]
    pub fn sum(&self) -> u64 {
        u64::from(self.qtype.raw()).wrapping_add(u64::from(self.class.raw()))
    }
}

/// An OPT record without its options.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Opt {
    /// Owner: the root, a zero byte.
    pub root: u8,
    /// [`TYPE_OPT`].
    pub rtype: Be16,
    /// UDP payload that the sender takes, in bytes.
    pub payload_len_max: Be16,
    /// Upper bits of an extended RCODE; means nothing in a query.
    pub extended_rcode: u8,
    /// EDNS version.
    pub version: u8,
    /// [`OPT_DO`] and bits without a meaning.
    pub flags: [u8; 2],
    /// Length of the options, in bytes.
    pub options_len: Be16,
}

impl Opt {
    /// The OPT of our answers: version 0, no options.
    pub const fn of_answer(dnssec_ok: bool, payload_len_max: u16) -> Self {
        Self {
            root: 0,
            rtype: TYPE_OPT,
            payload_len_max: Be16::new(payload_len_max),
            extended_rcode: 0,
            version: 0,
            flags: [if dnssec_ok { OPT_DO } else { 0 }, 0],
            options_len: Be16::new(0),
        }
    }

    /// Whether this is an OPT of version 0.
    #[inline(always)]
    pub fn is_version_0(&self) -> bool {
        self.root == 0 && self.rtype == TYPE_OPT && self.version == 0
    }

    /// Whether the sender wants DNSSEC records.
    #[inline(always)]
    pub const fn dnssec_ok(&self) -> bool {
        let [first, _] = self.flags;
        first & OPT_DO != 0
    }
}

/// [`DnsHeader::counts`] as they lie.
const ONE_QUESTION: u64 = 0x0000_0000_0000_0100;
const ONE_QUESTION_AND_OPT: u64 = 0x0100_0000_0000_0100;

const _: () = assert!(DNS_HEADER_LEN == 12 && align_of::<DnsHeader>() == 1);
const _: () = assert!(QUESTION_END_LEN == 4 && align_of::<QuestionEnd>() == 1);
const _: () = assert!(size_of::<Opt>() == crate::abi::OPT_LEN && align_of::<Opt>() == 1);
