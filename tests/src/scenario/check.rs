//! Whether an answer is what a script demands, as far as the RFCs fix it.
//!
//! In: the entry of a CHECK_ANSWER step, the answer that came, and its [`Circumstances`]. Out: nothing, or the first [`Difference`].
//!
//! Not compared, since no RFC fixes it: the order of records; the additional section; NS sets beside an answer (RFC 1034 §4.3.2 lets a
//! resolver add them or not); denial records beside an answer without AD; letter case, but for `qcase`; the UDP size that an OPT tells.
//! With CD a resolver need not validate, and so may leave AD out (RFC 4035 §3.2.2); one that has validated may set it: then it must be set
//! without CD as well. DO is the query's (RFC 3225 §3), whatever the script says. RA is no matter of an answer that refuses the query: RFC 1035 §4.1.1 has it say what the server can do, not what it does for this client.
//! An answer shows one TTL for all its records, the least: that is what is compared where TTLs are. A proven answer may show less,
//! though not nothing, since keys and signatures bound it (RFC 4035 §5.3.3).
//!
//! Stale data (RFC 8767) are known by their extended error, or where there is no OPT by the TTL of 30 s that §4 recommends. They may show any
//! TTL up to that or the script's, and lack AD: what has outlived its TTL, or the keys that proved it, need not count as authentic
//! (RFC 4035 §3.2.3), and is never to gain it. Where the script waits for fresh data first, stale ones may come in their place, which then
//! are those that were given last, and so they may for 30 s after a server was given up (§5, client response timer and failure recheck timer).

use std::collections::BTreeSet;
use std::fmt;

use super::message::Seen;
use super::record::{Record, folded};
use super::script::Entry;
use super::servers::options;
use super::settings::Stale;

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
/// FORMERR, NOTIMP, REFUSED.
const REFUSALS: &[u16] = &[1, 4, 5];
/// Extended errors of stale data: an answer, a denial.
const STALE: &[u16] = &[3, 19];
/// TTL of stale data that RFC 8767 §4 recommends, in seconds.
const STALE_TTL_S: u32 = 30;
/// Option codes: cookies (RFC 7873), keepalive (RFC 7828), extended errors (RFC 8914).
const COOKIE: u16 = 10;
const KEEPALIVE: u16 = 11;
const EXTENDED_ERROR: u16 = 15;
/// Names of the sections.
const SECTIONS: [&str; 3] = ["answer", "authority", "additional"];

/// What bears on an answer beside the step that checks it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Circumstances<'a> {
    /// When stale data are given, if they are.
    pub stale: Option<Stale>,
    /// The query, if it can be read.
    pub query: Option<&'a Seen>,
    /// Whether the same query without CD gets AD.
    pub is_proven_without_cd: bool,
    /// What the question was answered with before, if it was, and that was as demanded.
    pub before: Option<&'a Seen>,
}

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
    pub fn check(&self, seen: &Seen, circumstances: Circumstances<'_>) -> Result<(), Difference> {
        let stale = circumstances.stale.filter(|_| seen.is_stale());
        if stale.is_some_and(|stale| stale.waits && seen.is_as_before(circumstances.before, stale)) {
            return Ok(());
        }
        for what in &self.matches {
            match what.as_str() {
                "opcode" => same("opcode", self.opcode(), seen.opcode)?,
                "qtype" | "qname" | "question" | "subdomain" => self.check_question(seen)?,
                "qcase" => same(
                    "letter case",
                    self.question.as_ref().map(|asked| &asked.qname),
                    seen.question.as_ref().map(|asked| &asked.qname),
                )?,
                "rcode" => self.check_rcode(seen)?,
                "flags" => self.check_flags(seen, stale, circumstances)?,
                "answer" => self.check_section(0, seen, stale)?,
                "authority" => self.check_section(1, seen, stale)?,
                "all" | "all_noedns" => {
                    self.check_rcode(seen)?;
                    self.check_flags(seen, stale, circumstances)?;
                    self.check_question(seen)?;
                    self.check_section(0, seen, stale)?;
                    self.check_section(1, seen, stale)?;
                }
                "ttl" => self.check_ttl(seen, stale)?,
                "ednsdata" => self.check_options(seen, circumstances.query)?,
                "do" => same("DO", Some(true), seen.dnssec_ok)?,
                "edns" => same("EDNS", true, seen.dnssec_ok.is_some())?,
                "noedns" => same("EDNS", false, seen.dnssec_ok.is_some())?,
                "client_cookie" => same("length of the cookies", Some(8), seen.cookie_len())?,
                "server_cookie" => same("length of the cookies", Some(24), seen.cookie_len())?,
                // How the query was sent; and what no RFC fixes.
                "tcp" | "udp" | "additional" => {}
                "ede=any" if seen.extended_error().is_some() => {}
                ede if ede.starts_with("ede=") => check_extended_error(&ede["ede=".len()..], seen.extended_error())?,
                other => same("a word of MATCH that is known", other.to_owned(), String::new())?,
            }
        }
        Ok(())
    }

    fn check_question(&self, seen: &Seen) -> Result<(), Difference> {
        let equal = match (&self.question, &seen.question) {
            (Some(own), Some(other)) => own.is(other),
            (own, other) => own.is_none() && other.is_none(),
        };
        if equal { Ok(()) } else { same("question", format!("{:?}", self.question), format!("{:?}", seen.question)) }
    }

    fn check_rcode(&self, seen: &Seen) -> Result<(), Difference> {
        same("RCODE", self.rcode(), seen.rcode)
    }

    fn check_flags(
        &self,
        seen: &Seen,
        stale: Option<Stale>,
        circumstances: Circumstances<'_>,
    ) -> Result<(), Difference> {
        let mut expected = self.flags();
        let mut got = seen.flags.clone();
        expected.retain(|flag| *flag != "AD" || self.claims_proof(seen, stale));
        if self.says("CD") && circumstances.is_proven_without_cd {
            got.retain(|flag| *flag != "AD" || expected.contains(flag));
        }
        if REFUSALS.contains(&self.rcode()) {
            for flags in [&mut expected, &mut got] {
                flags.retain(|flag| *flag != "RA");
            }
        }
        same("flags", expected.join(" "), got.join(" "))?;
        let asked = circumstances.query.and_then(|query| query.dnssec_ok);
        let is_copied = asked.is_none() || seen.dnssec_ok.is_none() || asked == seen.dnssec_ok;
        same("DO", if is_copied { seen.dnssec_ok } else { asked }, seen.dnssec_ok)?;
        if self.says("DO") { same("DO", Some(true), seen.dnssec_ok) } else { Ok(()) }
    }

    /// Whether the answer has to be proven: stale data need not be.
    fn claims_proof(&self, seen: &Seen, stale: Option<Stale>) -> bool {
        self.says("AD") && (stale.is_none() || seen.flags.contains(&"AD"))
    }

    fn check_section(&self, number: usize, seen: &Seen, stale: Option<Stale>) -> Result<(), Difference> {
        // Without AD nothing is claimed to be proven, so denial records beside it are ballast.
        let is_proven = self.claims_proof(seen, stale);
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

    fn check_ttl(&self, seen: &Seen, stale: Option<Stale>) -> Result<(), Difference> {
        let ttls = |sections: &[Vec<Record>; 3]| -> Vec<u32> {
            let compared = (0..2).flat_map(|number| comparable(sections, number, self.says("AD")));
            compared.map(|record| record.0.ttl_s).collect()
        };
        let (expected, got) = (ttls(&self.sections), ttls(&seen.sections));
        let (least, greatest) = (got.iter().min().copied(), got.iter().max().copied());
        if let Some(stale) = stale {
            let longest = stale.ttl_s.max(STALE_TTL_S);
            let may_be = stale.waits || expected.iter().min().is_none_or(|ttl_s| *ttl_s <= stale.ttl_s);
            if may_be && least.is_none_or(|ttl_s| ttl_s > 0) && greatest.is_none_or(|ttl_s| ttl_s <= longest) {
                return Ok(());
            }
        }
        // A secure answer may be shorter-lived: it does not outlive the keys that prove it.
        let is_bounded = stale.is_none()
            && self.says("AD")
            && least > Some(0)
            && least < expected.iter().min().copied()
            && least == greatest;
        if is_bounded {
            return Ok(());
        }
        same("least TTL", expected.iter().min().copied(), least)?;
        same("greatest TTL", expected.iter().min().copied(), greatest)
    }

    /// Extended errors and cookies are left to the words of their own. How long a connection may be idle is the server's choice, and
    /// so is telling it to whoever has not asked (RFC 7828 §3.3.2, §3.4).
    fn check_options(&self, seen: &Seen, query: Option<&Seen>) -> Result<(), Difference> {
        let has_own_word = |code: u16| match code {
            EXTENDED_ERROR => true,
            COOKIE => self.matches.iter().any(|word| word.ends_with("_cookie")),
            _ => false,
        };
        let mut expected = options(self.edns_options.as_deref().unwrap_or_default());
        let mut got = seen.options.clone();
        let asked = query.is_some_and(|query| query.option(KEEPALIVE).is_some());
        let is_well_formed = |data: &[u8]| data.len() == 2;
        match (expected.iter().any(|(code, _)| *code == KEEPALIVE), seen.option(KEEPALIVE)) {
            (true, Some(data)) if is_well_formed(data) => {
                got.retain(|(code, _)| *code != KEEPALIVE);
                expected.retain(|(code, _)| *code != KEEPALIVE);
            }
            (true, None) if !asked => expected.retain(|(code, _)| *code != KEEPALIVE),
            _ => {}
        }
        got.retain(|(code, _)| !has_own_word(*code));
        expected.retain(|(code, _)| !has_own_word(*code));
        same("EDNS options", format!("{expected:?}"), format!("{got:?}"))
    }
}

impl Seen {
    /// Whether the answer says that its data are stale, or says nothing and has the TTL of such.
    fn is_stale(&self) -> bool {
        let mut records = self.sections[..2].iter().flatten().peekable();
        let silent =
            self.dnssec_ok.is_none() && records.peek().is_some() && records.all(|record| record.ttl_s == STALE_TTL_S);
        silent || self.extended_error().is_some_and(|code| STALE.contains(&code))
    }

    /// Whether a stale answer says what the question was answered with before, and claims no more.
    fn is_as_before(&self, before: Option<&Self>, stale: Stale) -> bool {
        let Some(before) = before else { return false };
        let flags = |seen: &Self| -> Vec<&str> { seen.flags.iter().copied().filter(|flag| *flag != "AD").collect() };
        let is_short = |record: &Record| (1..=stale.ttl_s.max(STALE_TTL_S)).contains(&record.ttl_s);
        !self.flags.contains(&"AD")
            && (self.rcode, flags(self)) == (before.rcode, flags(before))
            && (0..2)
                .all(|number| comparable(&self.sections, number, false) == comparable(&before.sections, number, false))
            && self.sections[..2].iter().flatten().all(is_short)
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

    /// Compares without anything else that bears on it.
    fn check(expected: &Entry, seen: &Seen) -> Result<(), Difference> {
        expected.check(seen, Circumstances::default())
    }

    #[test]
    fn order_case_and_servers_beside_an_answer_do_not_count_but_proofs_do() {
        let expected = entry("answer authority", &["a. A 1.1.1.1", "a. A 2.2.2.2"], &["b. NS c."]);
        check(&expected, &seen(&["A. A 2.2.2.2", "a. A 1.1.1.1"], &[])).unwrap();
        let other = check(&expected, &seen(&["a. A 1.1.1.1"], &[])).unwrap_err();
        assert!(other.to_string().contains("answer: expected also [a. 3600 A"), "{other}");
        assert!(check(&expected, &seen(&["a. A 2.2.2.2", "a. A 1.1.1.1"], &["b. NSEC c. A"])).is_err());
    }

    #[test]
    fn the_least_ttl_is_the_one_that_is_shown() {
        let mut expected = entry("ttl", &["a. 10 CNAME b.", "b. 20 A 1.1.1.1"], &["b. 5 NS c."]);
        let shows = |ttl_s: u32| seen(&[&format!("a. {ttl_s} CNAME b."), &format!("b. {ttl_s} A 1.1.1.1")], &[]);
        check(&expected, &shows(10)).unwrap();
        assert!(check(&expected, &seen(&["a. 10 CNAME b.", "b. 20 A 1.1.1.1"], &[])).is_err());
        check(&expected, &shows(9)).expect("what is proven is bounded by its proof");
        assert!(check(&expected, &shows(0)).is_err(), "but not to nothing");
        assert!(check(&expected, &shows(11)).is_err(), "and it is never longer");
        expected.reply.retain(|word| word != "AD");
        assert!(check(&expected, &shows(9)).is_err(), "what is not proven is not");
    }

    #[test]
    fn stale_data_in_the_place_of_fresh_ones_are_those_that_were_given_last() {
        let fresh = entry("all ttl", &["a. A 2.2.2.2"], &[]);
        let before = Seen { flags: vec!["QR", "AD"], ..seen(&["a. A 1.1.1.1"], &[]) };
        let marked = |record: &str, flags: &[&'static str]| Seen {
            flags: flags.to_vec(),
            dnssec_ok: Some(false),
            options: vec![(15, vec![0, 3])],
            ..seen(&[record], &[])
        };
        let check = |got: &Seen, waits, before| {
            let stale = Some(Stale { ttl_s: 30, waits });
            fresh.check(got, Circumstances { stale, before, ..Circumstances::default() }).is_ok()
        };
        let got = marked("a. 30 A 1.1.1.1", &["QR"]);
        assert!(check(&got, true, Some(&before)));
        assert!(!check(&got, false, Some(&before)), "the script has stale data at once, and wants none here");
        assert!(!check(&got, true, None), "nobody knows whence they are");
        assert!(!check(&marked("a. 30 A 3.3.3.3", &["QR"]), true, Some(&before)), "other data");
        assert!(!check(&marked("a. 31 A 1.1.1.1", &["QR"]), true, Some(&before)), "kept for too long");
        assert!(!check(&marked("a. 30 A 1.1.1.1", &["QR", "AD"]), true, Some(&before)), "claimed to be proven");
        assert!(!check(&Seen { options: Vec::new(), ..got }, true, Some(&before)), "not marked");
    }

    #[test]
    fn do_is_as_the_query_has_it() {
        let expected = entry("flags", &[], &[]);
        let seen = |dnssec_ok| Seen { flags: vec!["QR", "AD"], dnssec_ok, ..Seen::default() };
        for (asked, answered, is_right) in [
            (Some(true), Some(true), true),
            (Some(true), Some(false), false),
            (Some(false), Some(true), false),
            (None, None, true),
        ] {
            let query = seen(asked);
            let circumstances = Circumstances { query: Some(&query), ..Circumstances::default() };
            assert_eq!(expected.check(&seen(answered), circumstances).is_ok(), is_right, "{asked:?} {answered:?}");
        }
    }

    #[test]
    fn with_cd_there_may_be_ad_if_there_is_without() {
        let expected = Entry { reply: ["QR", "CD"].map(str::to_owned).to_vec(), ..entry("flags", &[], &[]) };
        let got = Seen { flags: vec!["QR", "AD", "CD"], ..Seen::default() };
        assert!(check(&expected, &got).is_err());
        let proven = Circumstances { is_proven_without_cd: true, ..Circumstances::default() };
        expected.check(&got, proven).unwrap();
        let without = Entry { reply: vec!["QR".to_owned()], ..expected };
        assert!(without.check(&Seen { flags: vec!["QR", "AD"], ..got }, proven).is_err());
    }

    #[test]
    fn stale_data_may_lack_ad_and_show_30_s_only_where_stale_data_are_given_at_all() {
        let expected = entry("all ttl", &["a. 123 A 1.1.1.1"], &[]);
        let got = Seen {
            flags: vec!["QR"],
            dnssec_ok: Some(false),
            options: vec![(15, vec![0, 3])],
            ..seen(&["a. 30 A 1.1.1.1"], &[])
        };
        let stale = Circumstances { stale: Some(Stale { ttl_s: 123, waits: false }), ..Circumstances::default() };
        expected.check(&got, stale).unwrap();
        assert!(check(&expected, &got).is_err(), "nothing is stale here");
        assert!(expected.check(&Seen { options: Vec::new(), ..got.clone() }, stale).is_err(), "it is not marked");
        let other = Seen { sections: seen(&["a. 30 A 2.2.2.2"], &[]).sections, ..got.clone() };
        assert!(expected.check(&other, stale).is_err(), "the data are others");
        let fresh = entry("all ttl", &["a. 3600 A 1.1.1.1"], &[]);
        assert!(fresh.check(&got, stale).is_err(), "fresh data are demanded");
        let waits = Circumstances { stale: Some(Stale { ttl_s: 123, waits: true }), ..Circumstances::default() };
        fresh.check(&got, waits).expect("when stale data are given is the resolver's choice");
        let unproven = Entry { reply: vec!["QR".to_owned()], ..expected.clone() };
        let with_ad = Seen { flags: vec!["QR", "AD"], ..got };
        assert!(unproven.check(&with_ad, stale).is_err(), "nothing gains AD");
    }

    #[test]
    fn the_time_of_keepalive_is_the_servers_choice_and_whether_it_is_there_is_not_if_asked() {
        let expected = Entry { edns_options: Some(vec![0, 11, 0, 2, 1, 44]), ..entry("ednsdata", &[], &[]) };
        let with = |options: Vec<(u16, Vec<u8>)>| Seen { dnssec_ok: Some(false), options, ..Seen::default() };
        let query = with(vec![(11, Vec::new())]);
        let asked = Circumstances { query: Some(&query), ..Circumstances::default() };
        expected.check(&with(vec![(11, vec![0, 100])]), asked).unwrap();
        assert!(expected.check(&with(vec![(11, Vec::new())]), asked).is_err(), "a server tells a time");
        assert!(expected.check(&with(Vec::new()), asked).is_err());
        check(&expected, &with(Vec::new())).unwrap();
        assert!(check(&entry("ednsdata", &[], &[]), &with(vec![(12, Vec::new())])).is_err());
    }
}
