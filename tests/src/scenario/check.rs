//! Whether an answer is what a script demands, as far as the RFCs fix it.
//!
//! In: the entry of a CHECK_ANSWER or CHECK_OUT_QUERY step and what came. Out: nothing, or the first [`Difference`].
//!
//! Not compared, since no RFC fixes it: the order of records; the additional section; NS sets beside an answer (RFC 1034 §4.3.2 lets a
//! resolver add them or not); denial records beside an answer without AD; letter case. An answer shows one TTL for all its records, the least: that is what is compared where TTLs are.

use std::collections::BTreeSet;
use std::fmt;

use super::message::Seen;
use super::record::{Record, folded};
use super::script::Entry;

/// NS.
const NS: u16 = 2;
/// TXT.
const TXT: u16 = 16;
/// RRSIG.
const RRSIG: u16 = 46;
/// NSEC.
const NSEC: u16 = 47;
/// NSEC3.
const NSEC3: u16 = 50;
/// Extended errors of a failed validation: bogus, and more exactly why.
const BOGUS: &[u16] = &[6, 7, 8, 9, 10, 11, 12];
/// Extended errors where keys cannot be had: they are missing, nobody answers, the network fails.
const WITHOUT_KEYS: &[u16] = &[9, 22, 23];
/// Names of the sections.
const SECTIONS: [&str; 3] = ["answer", "authority", "additional"];

/// The first thing that is not as demanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What differs.
    pub what: &'static str,
    /// As demanded.
    pub expected: String,
    /// As it came.
    pub seen: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, got {}", self.what, self.expected, self.seen)
    }
}

impl Entry {
    /// Compares what came with what is demanded.
    ///
    /// # Errors
    /// The first difference.
    pub fn check(&self, seen: &Seen) -> Result<(), Difference> {
        for what in &self.matches {
            match what.as_str() {
                "opcode" => same("opcode", self.opcode(), seen.opcode)?,
                "qtype" | "qname" | "question" | "subdomain" => self.check_question(seen)?,
                "rcode" => self.check_rcode(seen)?,
                "flags" => self.check_flags(seen)?,
                "answer" => self.check_section(0, seen)?,
                "authority" => self.check_section(1, seen)?,
                "all" => {
                    self.check_rcode(seen)?;
                    self.check_flags(seen)?;
                    self.check_question(seen)?;
                    self.check_section(0, seen)?;
                    self.check_section(1, seen)?;
                }
                "ttl" => self.check_ttl(seen)?,
                "ednsdata" => self.check_options(seen)?,
                "additional" | "tcp" | "udp" | "qcase" | "do" | "cd" => {}
                "ede=any" if seen.extended_error().is_some() => {}
                ede if ede.starts_with("ede=") => check_extended_error(&ede["ede=".len()..], seen.extended_error())?,
                other => same("a word of MATCH that is known", other.to_owned(), String::new())?,
            }
        }
        Ok(())
    }

    fn check_question(&self, seen: &Seen) -> Result<(), Difference> {
        let equal = self.question.as_ref().zip(seen.question.as_ref()).is_some_and(|(own, other)| own.is(other));
        if equal { Ok(()) } else { same("question", format!("{:?}", self.question), format!("{:?}", seen.question)) }
    }

    fn check_rcode(&self, seen: &Seen) -> Result<(), Difference> {
        same("RCODE", self.rcode(), seen.rcode)
    }

    fn check_flags(&self, seen: &Seen) -> Result<(), Difference> {
        same("flags", self.flags().join(" "), seen.flags.join(" "))?;
        if self.says("DO") { same("DO", Some(true), seen.dnssec_ok) } else { Ok(()) }
    }

    fn check_section(&self, number: usize, seen: &Seen) -> Result<(), Difference> {
        // Without AD nothing is claimed to be proven, so denial records beside it are ballast.
        let is_proven = self.says("AD");
        let expected = comparable(&self.sections, number, is_proven);
        let got = comparable(&seen.sections, number, is_proven);
        if expected == got {
            return Ok(());
        }
        let only = |a: &BTreeSet<Comparable>, b: &BTreeSet<Comparable>| {
            let words: Vec<String> = a.difference(b).map(|one| format!("{:?}", one.0)).collect();
            format!("[{}]", words.join("; "))
        };
        let (missing, added) = (only(&expected, &got), only(&got, &expected));
        Err(Difference {
            what: SECTIONS[number],
            expected: format!("also {missing}"),
            seen: format!("instead {added}"),
        })
    }

    fn check_ttl(&self, seen: &Seen) -> Result<(), Difference> {
        let ttls = |sections: &[Vec<Record>; 3]| -> Vec<u32> {
            let compared = (0..2).flat_map(|number| comparable(sections, number, self.says("AD")));
            compared.map(|record| record.0.ttl_s).collect()
        };
        let (expected, got) = (ttls(&self.sections), ttls(&seen.sections));
        // A secure answer may be shorter-lived: it does not outlive the keys that prove it.
        let is_bounded =
            self.says("AD") && got.iter().min() < expected.iter().min() && got.iter().max() == got.iter().min();
        if is_bounded {
            return Ok(());
        }
        same("least TTL", expected.iter().min(), got.iter().min())?;
        same("greatest TTL", expected.iter().min(), got.iter().max())
    }

    fn check_options(&self, seen: &Seen) -> Result<(), Difference> {
        let expected = super::servers::options(self.edns_options.as_deref().unwrap_or_default());
        same("EDNS options", format!("{expected:?}"), format!("{:?}", seen.options))
    }
}

/// Which of several codes a failed validation has is no matter of the RFC: some are more exact than others (RFC 8914 §4).
fn check_extended_error(expected: &str, seen: Option<u16>) -> Result<(), Difference> {
    let told = seen.map_or_else(|| "none".to_owned(), |code| code.to_string());
    let both = |kind: &[u16]| {
        let is_of = |code: &u16| kind.contains(code);
        expected.parse().ok().as_ref().is_some_and(is_of) && seen.as_ref().is_some_and(is_of)
    };
    // 0 is "other": whoever knows better may say so (RFC 8914 §4.1).
    if expected == "0" && seen.is_some() || both(BOGUS) || both(WITHOUT_KEYS) {
        Ok(())
    } else {
        same("extended error", expected.to_owned(), told)
    }
}

fn same<T: PartialEq + fmt::Debug>(what: &'static str, expected: T, seen: T) -> Result<(), Difference> {
    if expected == seen {
        return Ok(());
    }
    Err(Difference { what, expected: format!("{expected:?}"), seen: format!("{seen:?}") })
}

/// A record without its TTL and letter case.
struct Comparable(Record);

impl Comparable {
    fn key(&self) -> (Vec<u8>, u16, u16, Vec<u8>) {
        let Record { owner, rtype, class, rdata, .. } = &self.0;
        let rdata = if *rtype == TXT { rdata.clone() } else { folded(rdata) };
        (folded(owner), *rtype, *class, rdata)
    }
}

impl PartialEq for Comparable {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Comparable {}

impl PartialOrd for Comparable {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Comparable {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// What of a section is compared: all of the answer; of the authority section what proves something.
fn comparable(sections: &[Vec<Record>; 3], number: usize, is_proven: bool) -> BTreeSet<Comparable> {
    let counts =
        |record: &&Record| number == 0 || !is_of(record, &[NS]) && (is_proven || !is_of(record, &[NSEC, NSEC3]));
    sections[number].iter().filter(counts).cloned().map(Comparable).collect()
}

/// Whether it is a record of one of these types, or a signature of some.
fn is_of(record: &Record, rtypes: &[u16]) -> bool {
    let covered = || rtypes.iter().any(|rtype| record.rdata.starts_with(&rtype.to_be_bytes()));
    rtypes.contains(&record.rtype) || record.rtype == RRSIG && covered()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(matches: &str, answer: &[&str], authority: &[&str]) -> Entry {
        let records = |lines: &[&str]| lines.iter().map(|line| Record::read(line).unwrap()).collect();
        Entry {
            matches: matches.split(' ').map(str::to_owned).collect(),
            reply: ["QR", "AD", "NOERROR"].map(str::to_owned).to_vec(),
            sections: [records(answer), records(authority), Vec::new()],
            ..Entry::default()
        }
    }

    fn seen(answer: &[&str], authority: &[&str]) -> Seen {
        let entry = entry("all", answer, authority);
        Seen { flags: vec!["QR"], sections: entry.sections, ..Seen::default() }
    }

    #[test]
    fn order_case_and_servers_beside_an_answer_do_not_count_but_proofs_do() {
        let expected = entry("answer authority", &["a. A 1.1.1.1", "a. A 2.2.2.2"], &["b. NS c."]);
        expected.check(&seen(&["A. A 2.2.2.2", "a. A 1.1.1.1"], &[])).unwrap();
        let other = expected.check(&seen(&["a. A 1.1.1.1"], &[])).unwrap_err();
        assert!(other.to_string().contains("answer: expected also [a. 3600 A"), "{other}");
        assert!(expected.check(&seen(&["a. A 2.2.2.2", "a. A 1.1.1.1"], &["b. NSEC c. A"])).is_err());
    }

    #[test]
    fn the_least_ttl_is_the_one_that_is_shown() {
        let expected = entry("ttl", &["a. 10 CNAME b.", "b. 20 A 1.1.1.1"], &["b. 5 NS c."]);
        expected.check(&seen(&["a. 10 CNAME b.", "b. 10 A 1.1.1.1"], &[])).unwrap();
        assert!(expected.check(&seen(&["a. 10 CNAME b.", "b. 20 A 1.1.1.1"], &[])).is_err());
    }
}
