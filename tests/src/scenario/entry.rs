//! Entries of a scenario file: the words that shape a message, and what of it is compared.
//!
//! In: the lines between `ENTRY_BEGIN` and `ENTRY_END`. Out: an [`Entry`]. A word of MATCH, ADJUST or REPLY that neither dialect has is an
//! error; one that asks for a feature that we do not claim is told by the feature's name.

use super::message::is_reply_word;
use super::record::{Asked, Record};
use super::script::{Entry, Fault, Reader};

/// Words of MATCH in either dialect, lower case; `ede=` stands with its code. On a query to a server each must hold, unless only
/// answers have it; what is compared on an answer stands in [`super::check`].
const MATCH_WORDS: &[&str] = &[
    "opcode",
    "qtype",
    "qname",
    "qcase",
    "subdomain",
    "question",
    "all",
    "all_noedns",
    "rcode",
    "flags",
    "answer",
    "authority",
    "additional",
    "ttl",
    "do",
    "edns",
    "noedns",
    "ednsdata",
    "udp",
    "tcp",
    "client_cookie",
    "server_cookie",
];
/// Words of ADJUST. All that we reply has the query's ID, whether it is said or not: no resolver takes another one.
const ADJUST_WORDS: &[&str] = &["copy_id", "copy_query", "raw_id", "do_not_answer"];
/// Words of either that ask for features that we do not claim.
const FEATURES: &[(&str, &str)] = &[
    ("serial", "incremental zone transfers"),
    ("nsid", "NSID"),
    ("copy_ednsdata_assume_clientsubnet", "EDNS client subnet"),
    ("increment_ecs_scope", "EDNS client subnet"),
    ("sleep", "servers that take their time by the real clock"),
    ("packet_sleep", "servers that take their time by the real clock"),
];

impl Reader<'_> {
    /// The entry that begins in the next line.
    pub(super) fn next_entry(&mut self) -> Result<Entry, Fault> {
        match self.line("ENTRY_BEGIN")? {
            line if line.starts_with("ENTRY_BEGIN") => self.entry(),
            line => Err(Fault::Word(line.to_owned())),
        }
    }

    /// The rest of an entry, behind `ENTRY_BEGIN`.
    pub(super) fn entry(&mut self) -> Result<Entry, Fault> {
        let mut entry = Entry { line: self.number, ..Entry::default() };
        // Records in front of any SECTION are the question, as in both dialects.
        let mut section = Section::Question;
        loop {
            let line = self.line("ENTRY_END")?;
            // A sign that begins a comment in lines of words, and stands for itself in records.
            let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
            match words[..] {
                ["ENTRY_END", ..] => return Ok(entry),
                ["MATCH", ref what @ ..] => {
                    for word in what {
                        entry.matches.push(match_word(word)?);
                    }
                }
                ["ADJUST", ref what @ ..] => {
                    for word in what {
                        entry.adjusts.push(adjust_word(word)?);
                    }
                }
                ["REPLY" | "FLAGS", ref what @ ..] => {
                    for word in what {
                        entry.reply.push(reply_word(word)?);
                    }
                }
                ["MANDATORY"] => entry.is_mandatory = true,
                ["SECTION", name] => section = Section::read(name)?,
                ["$ORIGIN", name] => self.defaults.set_origin(name)?,
                ["$TTL", ttl] => self.defaults.set_ttl(ttl)?,
                ["HEX_EDNSDATA_BEGIN" | "HEX_EDNS_BEGIN"] => {
                    entry.edns_options = Some(self.hex(&["HEX_EDNSDATA_END", "HEX_EDNS_END"])?);
                }
                ["HEX_ANSWER_BEGIN"] => entry.raw = Some(self.hex(&["HEX_ANSWER_END"])?),
                ["RAW"] => {
                    let line = self.line("ENTRY_END")?;
                    entry.raw = Some(bytes_of(line)?);
                }
                ["EXTRA_PACKET"] => return Err(Fault::Feature("zone transfers")),
                ["TSIG", ..] => return Err(Fault::Feature("TSIG")),
                _ => section.add(&mut entry, line, self)?,
            }
        }
    }

    fn hex(&mut self, ends: &[&'static str]) -> Result<Vec<u8>, Fault> {
        let mut digits = String::new();
        loop {
            let line = self.line(ends[0])?;
            if ends.contains(&line) {
                return bytes_of(&digits);
            }
            digits.push_str(line);
        }
    }
}

/// The bytes of hexadecimal digits with blanks among them; half a byte too many stands for a whole one.
fn bytes_of(digits: &str) -> Result<Vec<u8>, Fault> {
    let mut digits: String = digits.chars().filter(|letter| !letter.is_whitespace()).collect();
    if digits.len() % 2 == 1 {
        digits.push('0');
    }
    data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).map_err(|_| Fault::Value(digits))
}

fn match_word(word: &str) -> Result<String, Fault> {
    let lower = word.to_ascii_lowercase().replacen(':', "=", 1);
    let is_code = lower.strip_prefix("ede=").is_some_and(|code| code == "any" || code.parse::<u16>().is_ok());
    if is_code || MATCH_WORDS.contains(&&*lower) { Ok(lower) } else { Err(feature_of(&lower, "MATCH")) }
}

fn adjust_word(word: &str) -> Result<String, Fault> {
    let lower = word.to_ascii_lowercase();
    if ADJUST_WORDS.contains(&&*lower) { Ok(lower) } else { Err(feature_of(&lower, "ADJUST")) }
}

fn reply_word(word: &str) -> Result<String, Fault> {
    let upper = word.to_ascii_uppercase();
    if is_reply_word(&upper) { Ok(upper) } else { Err(Fault::Word(format!("REPLY {word}"))) }
}

fn feature_of(word: &str, of: &str) -> Fault {
    let name = word.split('=').next().unwrap_or(word);
    let feature = FEATURES.iter().find(|(known, _)| *known == name);
    feature.map_or_else(|| Fault::Word(format!("{of} {word}")), |(_, feature)| Fault::Feature(feature))
}

/// Where records of an entry go.
#[derive(Clone, Copy)]
enum Section {
    Question,
    Records(usize),
}

impl Section {
    fn read(name: &str) -> Result<Self, Fault> {
        Ok(match name {
            "QUESTION" => Self::Question,
            "ANSWER" => Self::Records(0),
            "AUTHORITY" => Self::Records(1),
            "ADDITIONAL" => Self::Records(2),
            _ => return Err(Fault::Word(format!("SECTION {name}"))),
        })
    }

    fn add(self, entry: &mut Entry, line: &str, reader: &Reader<'_>) -> Result<(), Fault> {
        match self {
            Self::Question => entry.question = Some(Asked::read_with(line, &reader.defaults)?),
            Self::Records(number) => entry.sections[number].push(Record::read_with(line, &reader.defaults)?),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::script::Script;

    fn entry(text: &str) -> Result<Entry, Fault> {
        let text = format!("CONFIG_END\nSTEP 1 QUERY\nENTRY_BEGIN\n{text}\nENTRY_END\nSCENARIO_END\n");
        let script = Script::read(&text).map_err(|error| error.fault)?;
        match &script.steps[0].action {
            crate::scenario::script::Action::Query(entry, _) => Ok(entry.clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_form_of_a_word_is_read() {
        let read = entry(
            "# a comment\nMATCH UDP DO ede:6 # more\nADJUST copy_id\nREPLY qr Aa ; and more\nwww.example. IN A\nSECTION ANSWER\n\
             $ORIGIN example.\n$TTL 60\nwww IN CNAME web",
        )
        .unwrap();
        assert_eq!(
            (read.matches, read.reply),
            (vec!["udp".into(), "do".into(), "ede=6".into()], vec!["QR".into(), "AA".into()])
        );
        assert!(read.question.is_some(), "the question stands in front of any SECTION");
        assert_eq!(format!("{:?}", read.sections[0]), "[www.example. 60 CNAME 03776562076578616d706c6500]");
        assert_eq!(entry("RAW\nb5c9ca3").unwrap().raw, Some(vec![0xb5, 0xc9, 0xca, 0x30]));
    }

    #[test]
    fn a_word_that_nobody_knows_and_one_that_needs_a_feature_are_told_apart() {
        for (text, is_feature) in [
            ("MATCH serial=12", true),
            ("ADJUST sleep=10", true),
            ("EXTRA_PACKET", true),
            ("TSIG a b", true),
            ("MATCH everything", false),
            ("ADJUST everything", false),
            ("REPLY everything", false),
            ("SECTION everything", false),
            ("MATCH ede=x", false),
        ] {
            let fault = entry(text).unwrap_err();
            assert_eq!(matches!(fault, Fault::Feature(_)), is_feature, "{text}: {fault}");
            assert!(is_feature || matches!(fault, Fault::Word(_)), "{text}: {fault}");
        }
    }
}
