//! Records of a scenario file: master-file text to wire form and back (RFC 1035 §5.1, RFC 3597).
//!
//! In: one line, which may leave out TTL and class, in either order. Out: a [`Record`].
//! Refuses what the master-file library cannot read; nothing is guessed.

use std::fmt;

use bytes::Bytes;
use domain::base::Name as DomainName;
use domain::base::iana::{Class, Rtype};
use domain::rdata::ZoneRecordData;
use domain::zonefile::inplace::{Entry as ZoneEntry, Zonefile};
use thiserror::Error;

/// TTL of a record that says none, in seconds, as in both dialects.
const TTL_DEFAULT_S: u32 = 3600;

/// A resource record in wire form, names in it uncompressed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// Owner name, as written.
    pub owner: Vec<u8>,
    /// TYPE.
    pub rtype: u16,
    /// CLASS.
    pub class: u16,
    /// TTL, in seconds.
    pub ttl_s: u32,
    /// RDATA.
    pub rdata: Vec<u8>,
}

/// A question in wire form.
#[derive(Clone, PartialEq, Eq)]
pub struct Asked {
    /// QNAME, as written.
    pub qname: Vec<u8>,
    /// QTYPE.
    pub qtype: u16,
    /// QCLASS.
    pub qclass: u16,
}

/// What lines leave out: `$ORIGIN` and `$TTL` (RFC 1035 §5.1, RFC 2308 §4).
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Behind names without a final dot, wire form.
    origin: DomainName<Bytes>,
    /// Of records without a TTL, in seconds.
    ttl_s: u32,
}

impl Default for Defaults {
    fn default() -> Self {
        Self { origin: DomainName::root_bytes(), ttl_s: TTL_DEFAULT_S }
    }
}

impl Defaults {
    /// Takes another origin.
    ///
    /// # Errors
    /// [`RecordError::Name`].
    pub fn set_origin(&mut self, name: &str) -> Result<(), RecordError> {
        let bad = || RecordError::Name(name.to_owned());
        self.origin = DomainName::from_octets(Bytes::from(name_wire(name)?)).map_err(|_| bad())?;
        Ok(())
    }

    /// Takes another TTL.
    ///
    /// # Errors
    /// [`RecordError::Data`].
    pub fn set_ttl(&mut self, word: &str) -> Result<(), RecordError> {
        self.ttl_s = ttl(word).ok_or_else(|| RecordError::Data(word.to_owned()))?;
        Ok(())
    }

    /// A name as it is meant.
    fn absolute(&self, name: &str) -> String {
        let origin = self.origin.to_string();
        match (name, origin.trim_end_matches('.')) {
            ("@", "") => ".".to_owned(),
            ("@", origin) => format!("{origin}."),
            (name, "") => absolute(name),
            (name, _) if name.ends_with('.') => name.to_owned(),
            (name, origin) => format!("{name}.{origin}."),
        }
    }
}

/// Why a line is no record.
#[derive(Debug, Error)]
pub enum RecordError {
    /// A word is missing.
    #[error("a record needs owner, type and data")]
    Short,
    /// The name cannot be read.
    #[error("bad name {0:?}")]
    Name(String),
    /// The type is unknown.
    #[error("unknown type {0:?}")]
    Type(String),
    /// The library's reason.
    #[error("{0}")]
    Data(String),
}

impl Record {
    /// Reads a line without its comment that leaves nothing out.
    ///
    /// # Errors
    /// Any [`RecordError`].
    pub fn read(line: &str) -> Result<Self, RecordError> {
        Self::read_with(line, &Defaults::default())
    }

    /// Reads a line without its comment.
    ///
    /// # Errors
    /// Any [`RecordError`].
    pub fn read_with(line: &str, defaults: &Defaults) -> Result<Self, RecordError> {
        let (owner, mut rest) = split_word(line).ok_or(RecordError::Short)?;
        let (mut ttl_s, mut class) = (defaults.ttl_s, "IN");
        loop {
            let (word, behind) = split_word(rest).ok_or(RecordError::Short)?;
            if let Some(ttl) = ttl(word) {
                ttl_s = ttl;
            } else if matches!(word.to_ascii_uppercase().as_str(), "IN" | "CH" | "HS") {
                class = word;
            } else {
                break;
            }
            rest = behind;
        }
        let (data, rtype) = readable(rest);
        let text = format!("{} {ttl_s} {class} {data}\n", defaults.absolute(owner));
        let read = parse(&text, class, &defaults.origin).ok_or_else(|| RecordError::Data(text.trim().to_owned()))??;
        Ok(Self { rtype: rtype.unwrap_or(read.rtype), ..read })
    }

    /// Appends the record in wire form.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend(&self.owner);
        out.extend(self.rtype.to_be_bytes());
        out.extend(self.class.to_be_bytes());
        out.extend(self.ttl_s.to_be_bytes());
        out.extend((self.rdata.len() as u16).to_be_bytes());
        out.extend(&self.rdata);
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", name_text(&self.owner), self.ttl_s, Rtype::from_int(self.rtype))?;
        self.rdata.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Asked {
    /// Reads `name [class] type`, in either order of the last two.
    ///
    /// # Errors
    /// Any [`RecordError`].
    pub fn read(line: &str) -> Result<Self, RecordError> {
        Self::read_with(line, &Defaults::default())
    }

    /// The same, of a name that may leave out its end.
    ///
    /// # Errors
    /// Any [`RecordError`].
    pub fn read_with(line: &str, defaults: &Defaults) -> Result<Self, RecordError> {
        let (owner, mut rest) = split_word(line).ok_or(RecordError::Short)?;
        let (mut qclass, mut qtype) = (None, None);
        while let Some((word, behind)) = split_word(rest) {
            rest = behind;
            match (word.to_ascii_uppercase().as_str(), qtype) {
                ("IN", _) => qclass = Some(1),
                ("CH", _) => qclass = Some(3),
                ("HS", _) => qclass = Some(4),
                ("ANY", Some(_)) => qclass = Some(255),
                // A TTL, or data: a question has none.
                (number, _) if ttl(number).is_some() => {}
                (other, None) => qtype = Some(type_number(other)?),
                (_, Some(_)) => break,
            }
        }
        Ok(Self {
            qname: name_wire(&defaults.absolute(owner))?,
            qtype: qtype.ok_or(RecordError::Short)?,
            qclass: qclass.unwrap_or(1),
        })
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", name_text(&self.qname), Rtype::from_int(self.qtype))
    }
}

/// The number of a type, by its mnemonic or as `TYPE123`.
///
/// # Errors
/// [`RecordError::Type`].
pub fn type_number(word: &str) -> Result<u16, RecordError> {
    let number = word.parse::<Rtype>().map_err(|_| RecordError::Type(word.to_owned()))?;
    Ok(number.to_int())
}

/// A name in wire form; without a final dot it is taken as if it had one.
///
/// # Errors
/// [`RecordError::Name`].
pub fn name_wire(word: &str) -> Result<Vec<u8>, RecordError> {
    let name = absolute(word).parse::<DomainName<Vec<u8>>>().map_err(|_| RecordError::Name(word.to_owned()))?;
    Ok(name.as_slice().to_vec())
}

/// A wire name as text, for messages.
pub fn name_text(wire: &[u8]) -> String {
    DomainName::from_octets(wire)
        .map_or_else(|_| format!("{wire:?}"), |name| format!("{}.", name.to_string().trim_end_matches('.')))
}

/// Writes the letters of a wire name in lower case. Length bytes are never letters.
pub fn folded(wire: &[u8]) -> Vec<u8> {
    wire.to_ascii_lowercase()
}

fn absolute(word: &str) -> String {
    if word.ends_with('.') { word.to_owned() } else { format!("{word}.") }
}

fn split_word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (!text.is_empty()).then(|| text.split_at(end))
}

/// A TTL in seconds, with or without a unit.
fn ttl(word: &str) -> Option<u32> {
    let (digits, factor) = match word.to_ascii_lowercase().as_bytes().last()? {
        b's' => (word.len() - 1, 1),
        b'm' => (word.len() - 1, 60),
        b'h' => (word.len() - 1, 3600),
        b'd' => (word.len() - 1, 86_400),
        b'w' => (word.len() - 1, 604_800),
        _ => (word.len(), 1),
    };
    word[..digits].parse::<u32>().ok()?.checked_mul(factor)
}

/// Types that the library cannot read from words: their number, and a type of the same layout that it can.
const SAME_LAYOUT: &[(&str, u16, &str)] = &[
    ("AFSDB", 18, "MX"),
    ("RT", 21, "MX"),
    ("SIG", 24, "RRSIG"),
    ("KEY", 25, "DNSKEY"),
    ("KX", 36, "MX"),
    ("SPF", 99, "TXT"),
    ("DLV", 32_769, "DS"),
];
/// Mnemonics of algorithms (RFC 4034 §A.1 and IANA's registry).
const ALGORITHMS: &[(&str, &str)] = &[
    ("RSAMD5", "1"),
    ("DH", "2"),
    ("DSA", "3"),
    ("RSASHA1", "5"),
    ("DSA-NSEC3-SHA1", "6"),
    ("RSASHA1-NSEC3-SHA1", "7"),
    ("NSEC3RSASHA1", "7"),
    ("RSASHA256", "8"),
    ("RSASHA512", "10"),
    ("ECC-GOST", "12"),
    ("ECDSAP256SHA256", "13"),
    ("ECDSAP384SHA384", "14"),
    ("ED25519", "15"),
    ("ED448", "16"),
    ("INDIRECT", "252"),
    ("PRIVATEDNS", "253"),
    ("PRIVATEOID", "254"),
];

/// Type and data as the library reads them: the algorithm as a number where its mnemonic is allowed, and a type of the same layout in the
/// place of one that it does not know. With the number of the type, if that is another one.
fn readable(data: &str) -> (String, Option<u16>) {
    let mut words: Vec<&str> = data.split_whitespace().collect();
    let Some(first) = words.first().map(|word| word.to_ascii_uppercase()) else { return (data.to_owned(), None) };
    let alike = SAME_LAYOUT.iter().find(|(name, ..)| *name == first).filter(|_| words.get(1) != Some(&"\\#"));
    let rtype = alike.map_or(&*first, |(.., rtype)| rtype);
    let at = match rtype {
        "DNSKEY" | "CDNSKEY" => 3,
        "DS" | "CDS" | "RRSIG" => 2,
        _ if alike.is_none() => return (data.to_owned(), None),
        _ => words.len(),
    };
    if let Some(word) = words.get_mut(at) {
        let number = ALGORITHMS.iter().find(|(mnemonic, _)| mnemonic.eq_ignore_ascii_case(word));
        *word = number.map_or(*word, |(_, number)| number);
    }
    words[0] = rtype;
    (words.join(" "), alike.map(|(_, number, _)| *number))
}

/// None: the text holds no record at all.
fn parse(text: &str, class: &str, origin: &DomainName<Bytes>) -> Option<Result<Record, RecordError>> {
    let mut zone = Zonefile::load(&mut text.as_bytes()).ok()?;
    zone.set_origin(origin.clone());
    zone.set_default_class(class.parse().unwrap_or(Class::IN));
    let entry = match zone.next_entry() {
        Ok(entry) => entry?,
        Err(error) => return Some(Err(RecordError::Data(format!("{error} in {:?}", text.trim())))),
    };
    let ZoneEntry::Record(record) = entry else { return None };
    let (mut rdata, mut owner) = (Vec::new(), Vec::new());
    let data: &ZoneRecordData<Bytes, _> = record.data();
    use domain::base::ToName as _;
    use domain::base::rdata::ComposeRecordData as _;
    data.compose_rdata(&mut rdata).ok()?;
    record.owner().compose(&mut owner).ok()?;
    let (rtype, class, ttl_s) = (record.rtype().to_int(), record.class().to_int(), record.ttl().as_secs());
    Some(Ok(Record { owner, rtype, class, ttl_s, rdata }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_left_out_is_filled_in() {
        let full = Record::read("www.example.com. 3600 IN A 10.20.30.40").unwrap();
        assert_eq!(full.rdata, [10, 20, 30, 40]);
        for line in [
            "www.example.com. A 10.20.30.40",
            "www.example.com IN 1h A 10.20.30.40",
            "www.example.com.\t3600 A 10.20.30.40",
        ] {
            assert_eq!(Record::read(line).unwrap(), full, "{line}");
        }
        assert_eq!(Record::read(". IN NS K.ROOT-SERVERS.NET.").unwrap().owner, [0]);
    }

    #[test]
    fn signatures_with_blanks_in_them_and_unknown_types_are_read() {
        let line = "example.com. IN RRSIG NS 3 2 3600 20070926134150 20070829134150 2854 example.com. MC0CFQCN +qHd JxoI/2tNKwsb08pra/G7aAIUAWA5sDdJTbrXA1/3OaesGBAO3sI=";
        assert!(Record::read(line).unwrap().rdata.len() > 18 + 13 + 40);
        for (line, rtype) in [
            ("x. DLV 1 RSASHA256 2 ABCD", 32_769),
            ("x. SPF \"v=spf1 -all\"", 99),
            ("x. KEY 256 3 RSASHA1 AAAA", 25),
            (r"x. SPF \# 2 0161", 99),
        ] {
            assert_eq!(Record::read(line).unwrap().rtype, rtype, "{line}");
        }
        assert_eq!(Record::read("x. DS 1 ED25519 2 AB").unwrap().rdata, [0, 1, 15, 2, 0xab]);
        assert_eq!(Record::read(r"x. TYPE65280 \# 2 abcd").unwrap().rdata, [0xab, 0xcd]);
        assert!(
            Record::read("x. A 1.2.3").is_err()
                && Record::read("x. IN").is_err()
                && Record::read("x. NOTYPE 1").is_err()
        );
    }

    #[test]
    fn questions_come_in_both_orders() {
        let question = Asked::read("www.example.com. IN A").unwrap();
        assert_eq!(Asked::read("www.example.com. A").unwrap(), question);
        assert_eq!(Asked::read("www.example.com. A IN").unwrap(), question);
        assert_eq!(
            Asked::read("www.example.com. 3600 IN A 1.2.3.4").unwrap(),
            question,
            "what a record has is passed over"
        );
        assert_eq!(Asked::read("www.example.com. ANY ANY").unwrap().qclass, 255);
        assert_eq!(format!("{question:?}"), "www.example.com. A");
    }
}
