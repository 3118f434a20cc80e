//! A response in as few bytes as will do, for as long as it is kept and nobody looks at it.
//!
//! In: a [`Response`]. Out: a [`PackedResponse`], one piece of memory, from which the same response comes back. Numbers take as many
//! bytes as they need, an owner that is the question's name takes one, and of a signature nothing is kept beside its RDATA.
//! Refuses: bytes of others; what is unpacked was packed here. No wire format, and never stored or sent.

use super::{Name, Question, RCode, Record, RecordType, Response, RrSet, Rrsig};

/// Bits of a number in each byte; the highest bit says that there are more.
const GROUP_BITS: u32 = 7;
/// Most bytes of a number.
const NUMBER_LEN_MAX: u32 = u32::BITS.div_ceil(GROUP_BITS);

/// A response that was packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedResponse {
    question: Question,
    bytes: Box<[u8]>,
}

impl PackedResponse {
    /// Packs a response. None if another one would come back, which is not known of any: nobody shall ever be told less, or else, than was
    /// found out.
    pub fn new(response: &Response) -> Option<Self> {
        let mut packed = Packer::default();
        packed.number(response.rcode.0.into());
        for section in [&response.answer, &response.authority] {
            packed.count(section.len());
            section.iter().for_each(|set| packed.set(set, &response.question.qname));
        }
        let packed = Self { question: response.question.clone(), bytes: packed.0.into() };
        (packed.unpack() == *response).then_some(packed)
    }

    /// The question.
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// The RCODE.
    pub fn rcode(&self) -> RCode {
        Unpacker(&self.bytes).number().and_then(|code| u16::try_from(code).ok()).map_or(RCode::SERVFAIL, RCode)
    }

    /// What it takes beside the question, in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The response, as it was.
    pub fn unpack(&self) -> Response {
        let mut packed = Unpacker(&self.bytes);
        let sections = packed.number().and_then(|_rcode| {
            let answer = packed.sets(&self.question.qname)?;
            Some((answer, packed.sets(&self.question.qname)?))
        });
        // None at most within `new`, which refuses it then.
        let (answer, authority) = sections.unwrap_or_default();
        Response { question: self.question.clone(), rcode: self.rcode(), answer, authority }
    }
}

/// Bytes so far.
#[derive(Default)]
struct Packer(Vec<u8>);

impl Packer {
    fn number(&mut self, mut number: u32) {
        // Bound: NUMBER_LEN_MAX turns.
        loop {
            let [low, ..] = number.to_le_bytes();
            number >>= GROUP_BITS;
            if number == 0 {
                return self.0.push(low);
            }
            self.0.push(low | 0x80);
        }
    }

    /// A length or a count: nothing of a message, nor of several that were put together, has 2^32 of anything.
    fn count(&mut self, count: usize) {
        self.number(u32::try_from(count).unwrap_or(u32::MAX));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn set(&mut self, set: &RrSet, qname: &Name) {
        // No name has no bytes.
        self.bytes(if set.owner.wire() == qname.wire() { &[] } else { set.owner.wire() });
        self.number(set.rtype.0.into());
        self.number(set.ttl_s);
        self.count(set.rdatas.len());
        set.rdatas.iter().for_each(|rdata| self.bytes(rdata));
        self.count(set.signatures.len());
        for signature in &set.signatures {
            self.number(signature.ttl_s);
            self.bytes(&signature.rdata);
        }
    }
}

/// What is still to be read. None where there is not enough of it.
struct Unpacker<'a>(&'a [u8]);

impl<'a> Unpacker<'a> {
    fn number(&mut self) -> Option<u32> {
        let mut number = 0;
        for group in 0..NUMBER_LEN_MAX {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u32::from(byte & 0x7f) << (group * GROUP_BITS);
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn sets(&mut self, qname: &Name) -> Option<Vec<RrSet>> {
        let count = self.number()?;
        (0..count).map(|_| self.set(qname)).collect()
    }

    fn set(&mut self, qname: &Name) -> Option<RrSet> {
        let owner = match self.bytes()? {
            [] => qname.clone(),
            wire => Name::from_wire(wire).ok()?,
        };
        let rtype = RecordType(u16::try_from(self.number()?).ok()?);
        let ttl_s = self.number()?;
        let count = self.number()?;
        let rdatas = (0..count).map(|_| self.bytes().map(Box::from)).collect::<Option<_>>()?;
        let count = self.number()?;
        let signatures = (0..count).map(|_| self.signature(&owner)).collect::<Option<_>>()?;
        Some(RrSet { owner, rtype, ttl_s, rdatas, signatures })
    }

    fn signature(&mut self, owner: &Name) -> Option<Rrsig> {
        let ttl_s = self.number()?;
        let rdata = self.bytes()?.into();
        Rrsig::read(&Record { owner: owner.clone(), rtype: RecordType::RRSIG, class: super::CLASS_IN, ttl_s, rdata })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(covered: RecordType, ttl_s: u32, length: usize) -> Rrsig {
        let mut rdata = [&covered.0.to_be_bytes()[..], &[13, 2, 0, 0, 14, 16, 0, 0, 0, 2, 0, 0, 0, 1, 0, 7]].concat();
        rdata.extend_from_slice(b"\x07eXample\0");
        rdata.resize(rdata.len() + length, 7);
        let owner = "x.example.".parse().unwrap();
        let record =
            Record { owner, rtype: RecordType::RRSIG, class: super::super::CLASS_IN, ttl_s, rdata: rdata.into() };
        Rrsig::read(&record).unwrap()
    }

    fn check(rcode: RCode, answer: Vec<RrSet>, authority: Vec<RrSet>) -> usize {
        let question = Question::new("WWW.example.".parse().unwrap(), RecordType::A);
        let response = Response { question, rcode, answer, authority };
        let packed = PackedResponse::new(&response).unwrap();
        let unpacked = packed.unpack();
        assert_eq!(unpacked, response);
        // Names are equal in any letter case, but here it counts.
        assert_eq!(format!("{unpacked:?}"), format!("{response:?}"));
        assert_eq!((packed.question(), packed.rcode()), (&response.question, rcode));
        packed.size()
    }

    #[test]
    fn what_is_packed_comes_back_as_it_was() {
        let set = |owner: &str, rtype, ttl_s, rdatas: &[&[u8]], signatures: &[Rrsig]| RrSet {
            owner: owner.parse().unwrap(),
            rtype,
            ttl_s,
            rdatas: rdatas.iter().map(|&rdata| rdata.into()).collect(),
            signatures: signatures.to_vec(),
        };
        let (a, cname) = (RecordType::A, RecordType::CNAME);
        let signed = set("WWW.example.", a, 86_400, &[&[10, 0, 0, 1]], &[signature(a, 86_400, 64)]);
        assert!(check(RCode::NOERROR, vec![signed.clone()], vec![]) < 120, "an address takes little more than it has");
        check(RCode(4095), vec![], vec![]);
        check(RCode::NOERROR, vec![set("www.example.", a, 0, &[&[1, 2, 3, 4]], &[])], vec![]);
        let long = vec![9; 65_535];
        let sets = vec![
            set(
                "WWW.example.",
                cname,
                u32::MAX,
                &[b"\x01y\0"],
                &[signature(cname, 127, 0), signature(cname, 128, 300)],
            ),
            set("y.", a, 1, &[&[], &long, &[5; 127], &[5; 128]], &[]),
        ];
        let nothing = set(".", RecordType(65_535), 16_384, &[], &[signature(RecordType(65_535), 0, 128)]);
        check(RCode::NXDOMAIN, sets.clone(), [sets, vec![nothing]].concat());
        check(RCode::NOERROR, vec![signed; 200], vec![]);
    }

    #[test]
    fn numbers_of_all_lengths_come_back() {
        for number in (0..32).flat_map(|bits| [1u32 << bits, (1 << bits) - 1, u32::MAX >> bits]) {
            let mut packed = Packer::default();
            packed.number(number);
            let mut unpacked = Unpacker(&packed.0);
            assert_eq!((unpacked.number(), unpacked.0), (Some(number), &[][..]), "{number}");
        }
    }
}
