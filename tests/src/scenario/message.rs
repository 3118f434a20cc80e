//! Messages of a scenario: queries and replies made of entries, and replies read back into records.
//!
//! In: an [`Entry`], and for replies the query it answers. Out: wire bytes; or what a reply says, as a [`Seen`].

use bytes::Bytes;
use domain::base::rdata::ComposeRecordData as _;
use domain::base::{Message, ParsedName, ToName as _};
use domain::rdata::AllRecordData;

use super::record::{Asked, Record, folded};
use super::script::Entry;
use super::servers::options;

/// OPT.
const OPT: u16 = 41;
/// Option code of an extended error (RFC 8914).
const EXTENDED_ERROR: u16 = 15;
/// Option code of cookies (RFC 7873).
const COOKIE: u16 = 10;
/// What clients and servers of scenarios take by UDP, in bytes: enough that nothing is cut that the script does not cut.
const UDP_PAYLOAD_LEN: u16 = 4096;

/// Header flags by their words in an entry: byte and bit.
const FLAGS: [(&str, usize, u8); 7] = [
    ("QR", 2, 0x80),
    ("AA", 2, 0x04),
    ("TC", 2, 0x02),
    ("RD", 2, 0x01),
    ("RA", 3, 0x80),
    ("AD", 3, 0x20),
    ("CD", 3, 0x10),
];
/// RCODEs by their words.
const RCODES: [(&str, u16); 14] = [
    ("NOERROR", 0),
    ("FORMERR", 1),
    ("SERVFAIL", 2),
    ("NXDOMAIN", 3),
    ("NOTIMPL", 4),
    ("NOTIMP", 4),
    ("REFUSED", 5),
    ("YXDOMAIN", 6),
    ("YXRRSET", 7),
    ("NXRRSET", 8),
    ("NOTAUTH", 9),
    ("NOTZONE", 10),
    ("BADVERS", 16),
    ("BADCOOKIE", 23),
];
/// RCODEs of servers that know no EDNS: FORMERR, NOTIMP.
const NO_EDNS: [u16; 2] = [1, 4];
/// OPCODEs by their words.
const OPCODES: [(&str, u8); 5] = [("QUERY", 0), ("IQUERY", 1), ("STATUS", 2), ("NOTIFY", 4), ("UPDATE", 5)];

/// Whether REPLY may have this word.
pub fn is_reply_word(word: &str) -> bool {
    let is_code = RCODES.iter().any(|(name, _)| *name == word) || OPCODES.iter().any(|(name, _)| *name == word);
    is_code || word == "DO" || FLAGS.iter().any(|(name, ..)| *name == word)
}

/// What a message says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Flags that are set, as words.
    pub flags: Vec<&'static str>,
    /// OPCODE.
    pub opcode: u8,
    /// RCODE, with the OPT's part.
    pub rcode: u16,
    /// The first question.
    pub question: Option<Asked>,
    /// Answer, authority and additional records, without the OPT.
    pub sections: [Vec<Record>; 3],
    /// Whether there is an OPT, and its DO.
    pub dnssec_ok: Option<bool>,
    /// EDNS options: code and data.
    pub options: Vec<(u16, Vec<u8>)>,
}

impl Seen {
    /// Reads a message; none if it cannot be read.
    pub fn read(message: &[u8]) -> Option<Self> {
        let message = Message::from_octets(Bytes::copy_from_slice(message)).ok()?;
        let header = message.header();
        let octets = message.as_slice();
        let mut seen = Self {
            flags: FLAGS.iter().filter(|(_, byte, bit)| octets[*byte] & bit != 0).map(|(word, ..)| *word).collect(),
            opcode: header.opcode().to_int(),
            rcode: header.rcode().to_int().into(),
            ..Self::default()
        };
        if let Some(question) = message.question().next() {
            let question = question.ok()?;
            let (qtype, qclass) = (question.qtype().to_int(), question.qclass().to_int());
            seen.question = Some(Asked { qname: wire(question.qname()), qtype, qclass });
        }
        for (number, section) in
            [message.answer().ok()?, message.authority().ok()?, message.additional().ok()?].into_iter().enumerate()
        {
            for record in section {
                let record = record.ok()?;
                if record.rtype().to_int() == OPT {
                    let ttl = record.ttl().as_secs();
                    seen.dnssec_ok = Some(ttl & 0x8000 != 0);
                    seen.rcode |= ((ttl >> 24) as u16) << 4;
                }
                let record = record.into_record::<AllRecordData<Bytes, ParsedName<Bytes>>>().ok()??;
                let mut rdata = Vec::new();
                record.data().compose_rdata(&mut rdata).ok()?;
                if record.rtype().to_int() == OPT {
                    seen.options = options(&rdata);
                    continue;
                }
                let (rtype, class, ttl_s) = (record.rtype().to_int(), record.class().to_int(), record.ttl().as_secs());
                seen.sections[number].push(Record { owner: wire(record.owner()), rtype, class, ttl_s, rdata });
            }
        }
        Some(seen)
    }

    /// The extended error (RFC 8914), if there is one.
    pub fn extended_error(&self) -> Option<u16> {
        let data = self.option(EXTENDED_ERROR)?;
        data.first_chunk::<2>().map(|code| u16::from_be_bytes(*code))
    }

    /// Length of the COOKIE option (RFC 7873), in bytes, if there is one.
    pub fn cookie_len(&self) -> Option<usize> {
        self.option(COOKIE).map(<[u8]>::len)
    }

    /// The data of the first option with a code.
    pub fn option(&self, code: u16) -> Option<&[u8]> {
        self.options.iter().find(|(other, _)| *other == code).map(|(_, data)| &data[..])
    }
}

impl Entry {
    /// Whether REPLY has this word.
    pub fn says(&self, word: &str) -> bool {
        self.reply.iter().any(|said| said == word)
    }

    /// RCODE; NOERROR if none is said.
    pub fn rcode(&self) -> u16 {
        RCODES.iter().find(|(word, _)| self.says(word)).map_or(0, |(_, rcode)| *rcode)
    }

    /// OPCODE.
    pub fn opcode(&self) -> u8 {
        OPCODES.iter().find(|(word, _)| self.says(word)).map_or(0, |(_, opcode)| *opcode)
    }

    /// The flags that it says, as words.
    pub fn flags(&self) -> Vec<&'static str> {
        FLAGS.iter().filter(|(word, ..)| self.says(word)).map(|(word, ..)| *word).collect()
    }

    /// The query that a client makes of this, whole bytes as they are written. In Deckard's dialect every query has an OPT.
    pub fn query(&self, id: u16, is_deckards: bool) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let mut message = self.head(id);
        let has_opt = is_deckards || self.says("DO") || self.edns_options.is_some();
        counts(&mut message, [self.question.iter().len(), 0, 0, usize::from(has_opt)]);
        self.write_question(&mut message);
        if has_opt {
            write_opt(&mut message, self.says("DO"), 0, self.edns_options.as_deref().unwrap_or_default());
        }
        message
    }

    /// The reply to `query`: as scripted, with ID and question from the query where that is said. The question's letter case
    /// is always the query's, and an OPT answers an OPT, as with every real server; FORMERR and NOTIMP come without, as from one that
    /// knows no EDNS (RFC 6891 §7).
    pub fn reply_to(&self, query: &[u8], asked: &Seen) -> Vec<u8> {
        let id = u16::from_be_bytes([query[0], query[1]]);
        if let Some(raw) = &self.raw {
            let mut raw = raw.clone();
            if let Some(place) = raw.first_chunk_mut() {
                *place = id.to_be_bytes();
            }
            return raw;
        }
        let question = match (&self.question, &asked.question) {
            (Some(own), Some(asked)) if self.adjusts_to("copy_query") || own.is(asked) => Some(asked.clone()),
            (None, Some(asked)) if self.adjusts_to("copy_query") => Some(asked.clone()),
            (own, _) => own.clone(),
        };
        let mut message = self.head(id);
        message[2] |= query[2] & 0x01;
        let knows_edns = !NO_EDNS.contains(&self.rcode());
        let has_opt = asked.dnssec_ok.is_some() && knows_edns || self.says("DO") || self.edns_options.is_some();
        let [answer, authority, additional] = &self.sections;
        let added = additional.len() + usize::from(has_opt);
        counts(&mut message, [question.iter().len(), answer.len(), authority.len(), added]);
        let with_question = Self { question, ..Self::default() };
        with_question.write_question(&mut message);
        self.sections.iter().flatten().for_each(|record| record.write(&mut message));
        if has_opt {
            let dnssec_ok = asked.dnssec_ok == Some(true) || self.says("DO");
            write_opt(&mut message, dnssec_ok, self.rcode() >> 4, self.edns_options.as_deref().unwrap_or_default());
        }
        message
    }

    /// Whether ADJUST has this word.
    pub fn adjusts_to(&self, word: &str) -> bool {
        self.adjusts.iter().any(|said| said == word)
    }

    /// ID, flags, OPCODE and RCODE; four counts of zero.
    fn head(&self, id: u16) -> Vec<u8> {
        let mut head = vec![0; 12];
        head[..2].copy_from_slice(&id.to_be_bytes());
        for (_, byte, bit) in FLAGS.iter().filter(|(word, ..)| self.says(word)) {
            head[*byte] |= bit;
        }
        head[2] |= self.opcode() << 3;
        head[3] |= (self.rcode() & 15) as u8;
        head
    }

    fn write_question(&self, message: &mut Vec<u8>) {
        if let Some(question) = &self.question {
            message.extend(&question.qname);
            message.extend(question.qtype.to_be_bytes());
            message.extend(question.qclass.to_be_bytes());
        }
    }
}

impl Asked {
    /// Whether both ask the same, letter case aside.
    pub fn is(&self, other: &Self) -> bool {
        folded(&self.qname) == folded(&other.qname) && (self.qtype, self.qclass) == (other.qtype, other.qclass)
    }
}

fn counts(message: &mut [u8], of: [usize; 4]) {
    for (place, count) in message[4..12].chunks_mut(2).zip(of) {
        place.copy_from_slice(&(count as u16).to_be_bytes());
    }
}

fn write_opt(message: &mut Vec<u8>, dnssec_ok: bool, rcode_high: u16, options: &[u8]) {
    message.extend([0, 0, OPT as u8]);
    message.extend(UDP_PAYLOAD_LEN.to_be_bytes());
    message.extend([rcode_high as u8, 0, u8::from(dnssec_ok) << 7, 0]);
    message.extend((options.len() as u16).to_be_bytes());
    message.extend(options);
}

fn wire(name: &ParsedName<Bytes>) -> Vec<u8> {
    name.to_vec().as_slice().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::script::Script;

    fn entry(text: &str) -> Entry {
        let text = format!(
            "CONFIG_END\nSCENARIO_BEGIN\nRANGE_BEGIN 0 1\nENTRY_BEGIN\n{text}\nENTRY_END\nRANGE_END\nSCENARIO_END\n"
        );
        Script::read(&text).unwrap().ranges[0].entries[0].clone()
    }

    #[test]
    fn a_refusal_of_edns_has_no_opt() {
        let query = entry("REPLY RD DO\nSECTION QUESTION\nwww.example. IN A").query(7, false);
        let asked = Seen::read(&query).unwrap();
        for (reply, opt) in [("FORMERR", None), ("NOTIMPL", None), ("SERVFAIL", Some(true)), ("FORMERR DO", Some(true))]
        {
            let scripted = entry(&format!("REPLY QR {reply}\nSECTION QUESTION\nwww.example. IN A"));
            assert_eq!(Seen::read(&scripted.reply_to(&query, &asked)).unwrap().dnssec_ok, opt, "{reply}");
        }
    }

    #[test]
    fn a_reply_has_the_querys_id_case_and_an_opt_if_it_had_one() {
        let query = entry("REPLY RD DO\nSECTION QUESTION\nWwW.example. IN A").query(7, false);
        let asked = Seen::read(&query).unwrap();
        assert_eq!((asked.dnssec_ok, asked.flags.clone()), (Some(true), vec!["RD"]));
        let scripted = entry(
            "REPLY QR AA NXDOMAIN\nSECTION QUESTION\nwww.example. IN A\nSECTION ANSWER\nwww.example. A 1.2.3.4\nSECTION AUTHORITY\nexample. NS ns.example.",
        );
        let reply = scripted.reply_to(&query, &asked);
        let seen = Seen::read(&reply).unwrap();
        assert_eq!(reply[..2], [0, 7]);
        assert_eq!(seen.question.as_ref().unwrap().qname, b"\x03WwW\x07example\0");
        assert_eq!((seen.rcode, seen.dnssec_ok, seen.flags.clone()), (3, Some(true), vec!["QR", "AA", "RD"]));
        assert_eq!(
            (seen.sections[0].clone(), seen.sections[1].clone()),
            (scripted.sections[0].clone(), scripted.sections[1].clone())
        );
    }
}
