//! The scripted servers: which entry answers a query in a step.
//!
//! In: a query as the server under test sent it, where to and how, and the step. Out: the entry, or none: then nobody answers. Of several
//! ranges Unbound's dialect takes the last in the file, Deckard's the first; a server of Deckard's that has no answer says SERVFAIL.
//!
//! Of which type a minimised query is, is the resolver's choice (RFC 9156 §2.1: A, NS, …). So a query for A or NS that has no entry, and whose
//! question no client asks, gets what its server says to the other type, as far as that holds for every type: a referral, an alias,
//! a denial; and in the place of that type's data, that there are none of its own.

use std::net::IpAddr;

use super::record::Record;

use super::message::Seen;
use super::record::{Asked, folded};
use super::script::{Action, Entry, Range, Script, Step};

/// A query on its way to a server.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The server.
    pub address: IpAddr,
    /// By TCP.
    pub tcp: bool,
    /// The message.
    pub query: Vec<u8>,
    /// The same, read.
    pub seen: Seen,
}

/// A.
const A: u16 = 1;
/// NS.
const NS: u16 = 2;
/// CNAME.
const CNAME: u16 = 5;
/// DNAME.
const DNAME: u16 = 39;

/// What a server says to a query.
#[derive(Debug)]
pub enum Said<'a> {
    /// As an entry has it.
    Entry(&'a Entry),
    /// What an entry for another type means for this one.
    Alike(Box<Entry>, usize),
    /// Nothing, ever.
    Silence,
}

impl Script {
    /// What a server says to a query in a step, by Unbound's rules or Deckard's; none if it says nothing now. `is_used` says of steps
    /// which have answered already.
    pub fn answer(
        &self,
        step: u32,
        query: &Outgoing,
        is_deckards: bool,
        is_used: impl Fn(usize) -> bool,
    ) -> Option<Said<'_>> {
        let entry = if is_deckards { self.first(step, query) } else { self.last(step, query) };
        let later = || {
            let replies = self.steps.iter().filter(|later| is_deckards && later.number >= step && !is_used(later.line));
            let mut replies = replies.filter_map(|later| match &later.action {
                Action::Reply(entry, _) => Some((entry, later.line)),
                _ => None,
            });
            replies
                .find(|(entry, _)| entry.matches_query(query))
                .map(|(entry, line)| Said::Alike(Box::new(entry.clone()), line))
        };
        if let Some(entry) = entry {
            return Some(if entry.adjusts_to("do_not_answer") { Said::Silence } else { Said::Entry(entry) });
        }
        self.answer_alike(step, query, is_deckards).or_else(later).or_else(|| {
            let is_there = is_deckards && self.ranges.iter().any(|range| range.addresses.contains(&query.address));
            is_there.then(|| Said::Alike(Box::new(Entry::failure()), 0))
        })
    }

    fn first(&self, step: u32, query: &Outgoing) -> Option<&Entry> {
        let ranges = self.ranges.iter().filter(|range| range.holds(step, query.address));
        ranges.flat_map(|range| &range.entries).find(|entry| entry.matches_query(query))
    }

    fn last(&self, step: u32, query: &Outgoing) -> Option<&Entry> {
        let ranges = self.ranges.iter().rev().filter(|range| range.holds(step, query.address));
        ranges.flat_map(|range| &range.entries).find(|entry| entry.matches_query(query))
    }

    /// What an entry for NS means for A, and the other way round.
    fn answer_alike(&self, step: u32, query: &Outgoing, is_deckards: bool) -> Option<Said<'_>> {
        let asked = query.seen.question.as_ref()?;
        let other = match asked.qtype {
            A => NS,
            NS => A,
            _ => return None,
        };
        let is_asked = |step: &Step| matches!(&step.action, Action::Query(entry, _) if entry.question.as_ref().is_some_and(|own| own.is(asked)));
        if self.steps.iter().any(is_asked) {
            return None;
        }
        let mut alike = query.clone();
        alike.seen.question = Some(Asked { qtype: other, ..asked.clone() });
        let entry = if is_deckards { self.first(step, &alike) } else { self.last(step, &alike) }?;
        Some(Said::Alike(Box::new(entry.for_type(asked)), entry.line))
    }
}

impl Range {
    fn holds(&self, step: u32, address: IpAddr) -> bool {
        let (first, last) = self.steps;
        (first..=last).contains(&step) && (self.addresses.is_empty() || self.addresses.contains(&address))
    }
}

impl Entry {
    /// What a server of Deckard's says that knows no answer.
    fn failure() -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self { reply: words(&["QR", "SERVFAIL"]), adjusts: words(&["copy_query"]), ..Self::default() }
    }

    /// What the entry says of its own type, said of another one.
    fn for_type(&self, asked: &Asked) -> Self {
        let mut entry = Self { question: Some(asked.clone()), raw: None, ..self.clone() };
        let [answer, authority, additional] = &mut entry.sections;
        let holds_for_all = |record: &Record| matches!(record.rtype, CNAME | DNAME);
        if !answer.is_empty() && !answer.iter().any(holds_for_all) {
            // The name is there, without this type; NS beside that would be a referral.
            answer.clear();
            authority.retain(|record| record.rtype != NS);
            additional.clear();
        }
        entry
    }

    /// Whether the entry is for this query.
    pub fn matches_query(&self, query: &Outgoing) -> bool {
        let asked = query.seen.question.as_ref();
        let own = self.question.as_ref();
        let both = |same: fn(&Asked, &Asked) -> bool| own.zip(asked).is_some_and(|(own, asked)| same(own, asked));
        self.matches.iter().all(|what| match what.as_str() {
            "opcode" => self.opcode() == query.seen.opcode,
            "client_cookie" => query.seen.cookie_len() == Some(8),
            "server_cookie" => query.seen.cookie_len() == Some(24),
            "qtype" => both(|own, asked| own.qtype == asked.qtype),
            "qname" => both(|own, asked| folded(&own.qname) == folded(&asked.qname)),
            "qcase" => both(|own, asked| own.qname == asked.qname),
            "question" | "all" | "all_noedns" => both(Asked::is),
            "subdomain" => both(|own, asked| is_at_or_below(&asked.qname, &own.qname)),
            "udp" => !query.tcp,
            "tcp" => query.tcp,
            "do" => query.seen.dnssec_ok == Some(true),
            "noedns" => query.seen.dnssec_ok.is_none(),
            "ednsdata" => self.edns_options.as_deref().map(options) == Some(query.seen.options.clone()),
            // What only replies have.
            _ => true,
        })
    }
}

/// EDNS options by code and data.
pub fn options(mut bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut options = Vec::new();
    while let Some(([a, b, c, d], rest)) = bytes.split_first_chunk() {
        let (data, rest) = rest.split_at(usize::from(u16::from_be_bytes([*c, *d])).min(rest.len()));
        options.push((u16::from_be_bytes([*a, *b]), data.to_vec()));
        bytes = rest;
    }
    options
}

/// Whether a wire name ends in another one.
fn is_at_or_below(name: &[u8], zone: &[u8]) -> bool {
    let (name, zone) = (folded(name), folded(zone));
    let mut rest = name.as_slice();
    loop {
        if rest == zone {
            return true;
        }
        match rest.split_first() {
            Some((&length, behind)) if length > 0 => rest = behind.get(usize::from(length)..).unwrap_or_default(),
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_below_itself_and_its_parents_only() {
        let name = b"\x03www\x07Example\0";
        assert!(is_at_or_below(name, name) && is_at_or_below(name, b"\x07eXample\0") && is_at_or_below(name, b"\0"));
        assert!(!is_at_or_below(name, b"\x03www\0") && !is_at_or_below(b"\0", name));
    }

    /// A server with two ranges, the second of which holds for step 2 alone, and a client that asks for `www.example. A`.
    const SCRIPT: &str = "CONFIG_END\nRANGE_BEGIN 0 9\nADDRESS 1.2.3.4\n\
        ENTRY_BEGIN\nMATCH opcode qname qtype\nREPLY QR\nSECTION QUESTION\nexample. IN NS\nSECTION AUTHORITY\nexample. NS ns.\nENTRY_END\n\
        ENTRY_BEGIN\nMATCH qname qtype\nREPLY QR AA\nSECTION QUESTION\nwww.example. IN NS\nSECTION ANSWER\nwww.example. NS ns.\nENTRY_END\n\
        ENTRY_BEGIN\nMATCH qname qtype\nREPLY QR AA\nSECTION QUESTION\napex.example. IN NS\nSECTION ANSWER\napex.example. NS ns.\nENTRY_END\n\
        ENTRY_BEGIN\nMATCH qname\nADJUST do_not_answer\nSECTION QUESTION\nsilent.example. IN NS\nENTRY_END\nRANGE_END\n\
        RANGE_BEGIN 2 2\nADDRESS 1.2.3.4\nENTRY_BEGIN\nMATCH opcode\nREPLY QR REFUSED\nENTRY_END\nRANGE_END\n\
        STEP 1 QUERY\nENTRY_BEGIN\nSECTION QUESTION\nwww.example. IN A\nENTRY_END\n\
        STEP 5 REPLY\nENTRY_BEGIN\nMATCH qname\nREPLY QR NXDOMAIN\nSECTION QUESTION\nlater.example. IN A\nENTRY_END\nSCENARIO_END\n";

    /// What the server says to a question in a step: RCODE, flags, and how many records; none if it says nothing now.
    fn said(step: u32, question: &str, is_deckards: bool) -> Option<String> {
        let script = Script::read(SCRIPT).unwrap();
        let asked = Asked::read(question).unwrap();
        let query = Entry { question: Some(asked), ..Entry::default() }.query(1, true);
        let address = "1.2.3.4".parse().unwrap();
        let outgoing = Outgoing { address, tcp: false, seen: Seen::read(&query).unwrap(), query };
        let told = |entry: &Entry| {
            let counts = entry.sections.each_ref().map(Vec::len);
            format!("{} {} {counts:?}", entry.rcode(), entry.flags().join(" "))
        };
        Some(match script.answer(step, &outgoing, is_deckards, |_| false)? {
            Said::Entry(entry) => told(entry),
            Said::Alike(entry, _) => told(&entry),
            Said::Silence => "silence".to_owned(),
        })
    }

    #[test]
    fn of_two_ranges_the_last_one_answers_and_in_deckards_dialect_the_first() {
        assert_eq!(said(2, "example. NS", false).unwrap(), "5 QR [0, 0, 0]");
        assert_eq!(said(2, "example. NS", true).unwrap(), "0 QR [0, 1, 0]");
        assert_eq!(said(1, "example. NS", false), said(1, "example. NS", true));
    }

    #[test]
    fn a_minimised_query_may_be_of_another_type_than_the_script_has() {
        assert_eq!(said(1, "example. A", false).unwrap(), "0 QR [0, 1, 0]", "a referral is one for every type");
        assert_eq!(said(1, "apex.example. A", false).unwrap(), "0 QR AA [0, 0, 0]", "the name is there without A");
        assert_eq!(said(1, "www.example. A", false), None, "this one a client asks: it has no answer");
        assert_eq!(said(1, "example. AAAA", false), None, "nobody minimises with AAAA");
    }

    #[test]
    fn a_server_of_deckards_says_servfail_where_it_knows_nothing_and_has_replies_for_later() {
        assert_eq!(said(1, "other.example. TXT", true).unwrap(), "2 QR [0, 0, 0]");
        assert_eq!(said(1, "other.example. TXT", false), None);
        assert_eq!(said(1, "later.example. A", true).unwrap(), "3 QR [0, 0, 0]");
        assert_eq!(said(6, "later.example. A", true).unwrap(), "2 QR [0, 0, 0]", "its step is over");
        assert_eq!(said(1, "silent.example. NS", true).unwrap(), "silence");
    }
}
