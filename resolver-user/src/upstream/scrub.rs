//! Drops what cannot concern the question, before anything is grouped, kept or judged.
//!
//! Kept of the answer section: records whose owner is on the alias chain from the question. Kept of the authority section:
//! SOA, NS and DS at names above the question or an alias, and the proofs NSEC and NSEC3, which stand at other names.
//! The additional section is dropped: whoever wants those records asks for them. So is an address that is none, by its length.

use crate::wire::{Message, Name, Question, RCode, Record, RecordType, Response, RrSet, Rrsig, group, group_authority};

/// Names of an alias chain that are followed here. The validator's own limit is lower.
pub(super) const CHAIN_LEN_MAX: usize = 16;
/// Signatures in the additional section that are looked at.
const SIGNATURES_STRAY_MAX: usize = 16;
/// Signatures of one set that are passed on where nobody here verifies them. Choice: as many as a validation looks at by default.
const SIGNATURES_UNVERIFIED_MAX: usize = 8;
/// Records of an authority section that are looked at: a proof has at most four sets, each with its signatures.
const AUTHORITY_RECORDS_MAX: usize = 128;

/// The part of a reply that may concern its question. An alias chain is cut before the first name that `competent` says
/// is other servers' to speak of; the reply is then that the chain goes on there.
pub fn scrub(mut message: Message, question: &Question, competent: impl Fn(&Name) -> bool) -> Response {
    gather_signatures(&mut message);
    let mut chain = alias_chain(&message.answer, question);
    let foreign = chain.iter().skip(1).position(|name| !competent(name));
    if let Some(foreign) = foreign {
        chain.truncate(foreign.saturating_add(1));
    }
    let on_chain = |record: &Record| {
        chain.contains(&record.owner) || is_dname_part(record) && chain.iter().any(|name| name.is_below(&record.owner))
    };
    let counts = |record: &&Record| on_chain(record) && !is_misshapen(record);
    let answer: Vec<Record> = message.answer.iter().filter(counts).cloned().collect();
    let mut answer = group(&answer);
    answer.retain(|set| {
        let asked = set.rtype == question.qtype || question.qtype == RecordType::ANY;
        let signatures_asked = question.qtype == RecordType::RRSIG || question.qtype == RecordType::ANY;
        let alias = matches!(set.rtype, RecordType::CNAME | RecordType::DNAME);
        if set.rdatas.is_empty() { signatures_asked } else { asked || alias }
    });
    let authority: Vec<Record> = message.authority.iter().take(AUTHORITY_RECORDS_MAX).cloned().collect();
    let mut authority = group_authority(&authority);
    authority.retain(|set| {
        let above = || chain.iter().any(|name| name.is_at_or_below(&set.owner));
        !set.rdatas.is_empty()
            && match set.rtype {
                RecordType::NSEC | RecordType::NSEC3 => true,
                // It would deny what is at the end of the chain.
                RecordType::SOA if foreign.is_some() => false,
                RecordType::SOA | RecordType::NS | RecordType::DS => above(),
                _ => false,
            }
    });
    // It is about the end of the chain, unless the alias was asked for.
    let is_foreign = foreign.is_some() && question.qtype != RecordType::CNAME;
    let rcode = if is_foreign { RCode::NOERROR } else { message.rcode() };
    Response { question: question.clone(), rcode, answer, authority }.compact()
}

/// Takes off signatures that only make a reply large, where nobody here looks at them. Those asked for by themselves are the answer.
pub(super) fn cut_signatures(response: &mut Response) {
    for set in response.answer.iter_mut().chain(&mut response.authority).filter(|set| !set.rdatas.is_empty()) {
        set.signatures.truncate(SIGNATURES_UNVERIFIED_MAX);
    }
}

/// Brings signatures to their sets: some servers put those that do not fit beside the set into the additional section, where
/// RFC 4035 §3.1.1 does not want them.
fn gather_signatures(message: &mut Message) {
    let stray = message.additional.iter().filter(|record| record.rtype == RecordType::RRSIG).take(SIGNATURES_STRAY_MAX);
    for signature in stray {
        let Some(covered) = Rrsig::read(signature).map(|read| read.type_covered) else { continue };
        let is_of = |record: &Record| record.rtype == covered && record.owner == signature.owner;
        for section in [&mut message.answer, &mut message.authority] {
            if section.iter().any(is_of) {
                section.push(signature.clone());
            }
        }
    }
}

/// The name that the aliases of a reply lead to, if it says nothing about that name.
pub fn rest_of_chain(response: &Response) -> Option<Name> {
    let Question { qname, qtype } = &response.question;
    let last = chain_of_sets(&response.answer, qname).pop()?;
    let is_answered = response.answer.iter().any(|set| set.owner == last && set.rtype == *qtype);
    let is_denied = || {
        let soa = |set: &RrSet| set.rtype == RecordType::SOA && last.is_at_or_below(&set.owner);
        response.rcode != RCode::NOERROR || response.authority.iter().any(soa)
    };
    let follows_aliases = !matches!(*qtype, RecordType::CNAME | RecordType::ANY | RecordType::RRSIG);
    (follows_aliases && last != *qname && !is_answered && !is_denied()).then_some(last)
}

/// A reply whose alias chain is cut before the first name that `competent` says is other servers' to speak of.
pub(super) fn cut_chain(response: Response, competent: impl Fn(&Name) -> bool) -> Response {
    let mut chain = chain_of_sets(&response.answer, &response.question.qname);
    let Some(foreign) = chain.iter().skip(1).position(|name| !competent(name)) else { return response };
    chain.truncate(foreign.saturating_add(1));
    let Response { question, mut answer, mut authority, .. } = response;
    answer.retain(|set| {
        let leads_on = set.rtype == RecordType::DNAME && chain.iter().any(|name| name.is_below(&set.owner));
        chain.contains(&set.owner) || leads_on
    });
    // It would deny what is at the end of the chain.
    authority.retain(|set| set.rtype != RecordType::SOA);
    Response { question, rcode: RCode::NOERROR, answer, authority }
}

/// A reply whose aliases lead to a name that it says nothing about, and what was said to the question for that name, as one reply.
pub fn join_chain(mut response: Response, rest: &Response) -> Response {
    response = with_made_aliases(response);
    response.answer.extend(rest.answer.iter().cloned());
    (response.rcode, response.authority) = (rest.rcode, rest.authority.clone());
    response
}

/// A reply with the CNAME of each name that a DNAME of it leads away from (RFC 6672 §3.1).
fn with_made_aliases(mut response: Response) -> Response {
    let chain = chain_of_sets(&response.answer, &response.question.qname);
    for (owner, target) in chain.iter().zip(chain.iter().skip(1)) {
        if !response.answer.iter().any(|set| set.rtype == RecordType::CNAME && set.owner == *owner) {
            let mut dnames = response.answer.iter().filter(|set| set.rtype == RecordType::DNAME);
            let Some(dname) = dnames.find(|dname| owner.is_below(&dname.owner)) else { continue };
            let (owner, ttl_s, rdatas) = (owner.clone(), dname.ttl_s, vec![target.wire().into()]);
            response.answer.push(RrSet { owner, rtype: RecordType::CNAME, ttl_s, rdatas, signatures: Vec::new() });
        }
    }
    response
}

/// Whether the aliases of a reply lead back to one of themselves: it says all that there is to be said.
pub fn is_circle(response: &Response) -> bool {
    let chain = chain_of_sets(&response.answer, &response.question.qname);
    let aliases = response.answer.iter().filter(|set| matches!(set.rtype, RecordType::CNAME | RecordType::DNAME));
    let target = |set: &RrSet| Name::from_wire(set.rdatas.first()?).ok();
    let led = |last: &Name, set: &RrSet| match set.rtype {
        RecordType::CNAME if set.owner == *last => target(set),
        RecordType::DNAME if last.is_below(&set.owner) => last.moved(&set.owner, &target(set)?),
        _ => None,
    };
    let Some(last) = chain.last() else { return false };
    aliases.filter_map(|set| led(last, set)).any(|target| chain.contains(&target))
}

/// The names that the aliases of scrubbed sets lead to, the question's first.
fn chain_of_sets(answer: &[RrSet], qname: &Name) -> Vec<Name> {
    let aliases = answer.iter().filter(|set| matches!(set.rtype, RecordType::CNAME | RecordType::DNAME));
    let records: Vec<Record> = aliases.filter_map(|set| set.records().next()).collect();
    alias_chain(&records, &Question::new(qname.clone(), RecordType::A))
}

/// Whether it says that it is an address, and is not as long as one (RFC 1035 §3.4.1, RFC 3596 §2.2): no client could read it. A
/// signature that covers it fails.
fn is_misshapen(record: &Record) -> bool {
    let len = match record.rtype {
        RecordType::A => 4,
        RecordType::AAAA => 16,
        _ => return false,
    };
    record.rdata.len() != len
}

/// A DNAME or its signature: it stands above the name that it concerns.
fn is_dname_part(record: &Record) -> bool {
    record.rtype == RecordType::DNAME
        || record.rtype == RecordType::RRSIG
            && Rrsig::read(record).is_some_and(|signature| signature.type_covered == RecordType::DNAME)
}

/// The names that CNAME and DNAME records of the answer lead to, the question's first.
fn alias_chain(answer: &[Record], question: &Question) -> Vec<Name> {
    let mut chain = vec![question.qname.clone()];
    while let Some(last) = chain.last()
        && chain.len() < CHAIN_LEN_MAX
    {
        let cname = answer.iter().find(|record| record.rtype == RecordType::CNAME && record.owner == *last);
        let dname = || answer.iter().find(|record| record.rtype == RecordType::DNAME && last.is_below(&record.owner));
        let next = match cname {
            Some(cname) => Name::from_wire(&cname.rdata).ok(),
            None => dname().and_then(|dname| last.moved(&dname.owner, &Name::from_wire(&dname.rdata).ok()?)),
        };
        match next {
            Some(next) if !chain.contains(&next) => chain.push(next),
            _ => break,
        }
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{CLASS_IN, Flags, Header};

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn record(owner: &str, rtype: RecordType, rdata: &[u8]) -> Record {
        Record { owner: name(owner), rtype, class: CLASS_IN, ttl_s: 60, rdata: rdata.into() }
    }

    fn reply(answer: Vec<Record>, authority: Vec<Record>) -> Message {
        let flags = Flags { response: true, ..Flags::default() };
        let header = Header { id: 0, opcode: 0, rcode: 0, flags, counts: [1, 0, 0, 0] };
        Message { header, question: None, answer, authority, additional: Vec::new(), edns: None }
    }

    fn owners(sets: &[crate::wire::RrSet]) -> Vec<String> {
        sets.iter().map(|set| format!("{} {}", set.owner, set.rtype)).collect()
    }

    #[test]
    fn only_the_alias_chain_and_what_was_asked_is_kept() {
        let question = Question::new(name("www.a."), RecordType::A);
        let answer = vec![
            record("victim.b.", RecordType::A, &[6, 6, 6, 6]),
            record("host.c.", RecordType::A, &[1, 2, 3, 4]),
            record("host.c.", RecordType::TXT, b"\x01x"),
            record("WWW.A.", RecordType::CNAME, name("alias.d.").wire()),
            record("d.", RecordType::DNAME, name("c2.").wire()),
            record("alias.d.", RecordType::CNAME, name("host.c.").wire()),
        ];
        let authority = vec![
            record("a.", RecordType::SOA, &[]),
            record("b.", RecordType::SOA, &[]),
            record("other.a.", RecordType::NSEC, &[]),
            record("a.", RecordType::A, &[1, 1, 1, 1]),
        ];
        let response = scrub(reply(answer, authority), &question, |_| true);
        assert_eq!(owners(&response.answer), ["host.c. A", "WWW.A. CNAME", "d. DNAME", "alias.d. CNAME"]);
        assert_eq!(owners(&response.authority), ["a. SOA", "other.a. NSEC"]);
    }

    #[test]
    fn an_address_of_the_wrong_length_is_none() {
        for (rtype, right, wrong) in [(RecordType::A, 4, 5), (RecordType::AAAA, 16, 4), (RecordType::A, 4, 0)] {
            let question = Question::new(name("www.a."), rtype);
            let [right, wrong] = [right, wrong].map(|len| record("www.a.", rtype, &vec![1; len]));
            let of = |answer: Vec<Record>| scrub(reply(answer, Vec::new()), &question, |_| true).answer;
            let kept = of(vec![wrong.clone(), right.clone()]);
            assert_eq!(kept[0].rdatas, [right.rdata]);
            assert_eq!(of(vec![wrong]), []);
        }
    }

    #[test]
    fn of_signatures_that_nobody_verifies_few_are_passed_on() {
        let question = Question::new(name("www.a."), RecordType::A);
        let signature = |number: u8| {
            let mut rdata = vec![0, 1, 13, 2, 0, 0, 0, 60, 0, 0, 0, 2, 0, 0, 0, 1, 0, number];
            rdata.extend_from_slice(name("a.").wire());
            record("www.a.", RecordType::RRSIG, &[rdata, vec![number; 64]].concat())
        };
        let signatures = (0..50).map(signature);
        let answer: Vec<Record> = signatures.chain([record("www.a.", RecordType::A, &[1, 2, 3, 4])]).collect();
        let mut response = scrub(reply(answer.clone(), Vec::new()), &question, |_| true);
        assert_eq!(response.answer[0].signatures.len(), 50, "a validation has its own limit");
        cut_signatures(&mut response);
        let tags: Vec<u16> = response.answer[0].signatures.iter().map(|signature| signature.key_tag).collect();
        assert_eq!(tags, (0..8).collect::<Vec<_>>());
        let asked = Question { qtype: RecordType::RRSIG, ..question };
        let mut response = scrub(reply(answer[..50].to_vec(), Vec::new()), &asked, |_| true);
        cut_signatures(&mut response);
        assert_eq!(response.answer[0].signatures.len(), 50, "what was asked for");
    }

    #[test]
    fn a_loop_of_aliases_ends() {
        let question = Question::new(name("a."), RecordType::A);
        let answer = vec![
            record("a.", RecordType::CNAME, name("b.").wire()),
            record("b.", RecordType::CNAME, name("a.").wire()),
        ];
        let response = scrub(reply(answer, Vec::new()), &question, |_| true);
        assert_eq!((response.answer.len(), is_circle(&response)), (2, true));
        let own = vec![record("d.", RecordType::DNAME, name("d.").wire())];
        let question = Question::new(name("x.d."), RecordType::A);
        assert!(is_circle(&scrub(reply(own, Vec::new()), &question, |_| true)));
        let other = vec![record("d.", RecordType::DNAME, name("e.").wire())];
        assert!(!is_circle(&scrub(reply(other, Vec::new()), &question, |_| true)));
    }

    #[test]
    fn a_dname_leads_on_where_its_cname_is_missing() {
        let question = Question::new(name("x.y.d."), RecordType::A);
        let answer =
            vec![record("d.", RecordType::DNAME, name("e.").wire()), record("x.y.e.", RecordType::A, &[1, 2, 3, 4])];
        let response = scrub(reply(answer, Vec::new()), &question, |_| true);
        assert_eq!(owners(&response.answer), ["d. DNAME", "x.y.e. A"]);
        let made = with_made_aliases(response);
        assert_eq!(owners(&made.answer), ["d. DNAME", "x.y.e. A", "x.y.d. CNAME"]);
        assert_eq!(&*made.answer[2].rdatas[0], name("x.y.e.").wire());
        assert_eq!(with_made_aliases(made.clone()), made);
    }

    #[test]
    fn the_rest_of_a_chain_is_what_a_reply_says_nothing_about() {
        let question = Question::new(name("www.a."), RecordType::A);
        let cname = || record("www.a.", RecordType::CNAME, name("host.b.").wire());
        let rest = |answer, authority| {
            let response = scrub(reply(answer, authority), &question, |_| true);
            rest_of_chain(&response).map(|name| name.to_string())
        };
        assert_eq!(rest(vec![cname()], vec![]).as_deref(), Some("host.b."));
        assert_eq!(rest(vec![cname(), record("host.b.", RecordType::A, &[1, 2, 3, 4])], vec![]), None);
        assert_eq!(rest(vec![cname()], vec![record("b.", RecordType::SOA, &[])]), None, "denied");
        assert_eq!(rest(vec![record("www.a.", RecordType::A, &[1, 2, 3, 4])], vec![]), None);
        assert_eq!(rest(vec![], vec![]), None);
        let long = vec![
            cname(),
            record("host.b.", RecordType::CNAME, name("c.").wire()),
            record("c.", RecordType::A, &[1; 4]),
        ];
        let whole = scrub(reply(long, vec![record("c.", RecordType::SOA, &[])]), &question, |_| true);
        let cut = cut_chain(whole.clone(), |name| !name.is_at_or_below(&"c.".parse().unwrap()));
        assert_eq!(
            (owners(&cut.answer), cut.authority.len()),
            (vec!["www.a. CNAME".into(), "host.b. CNAME".into()], 0)
        );
        assert_eq!(cut_chain(whole.clone(), |_| true), whole);
    }

    #[test]
    fn a_chain_ends_where_other_servers_are_competent() {
        let question = Question::new(name("www.a."), RecordType::A);
        let answer = vec![
            record("www.a.", RecordType::CNAME, name("alias.a.").wire()),
            record("alias.a.", RecordType::CNAME, name("host.lan.").wire()),
            record("host.lan.", RecordType::A, &[6, 6, 6, 6]),
        ];
        let authority = vec![record(".", RecordType::SOA, &[]), record("w.a.", RecordType::NSEC, &[])];
        let mut message = reply(answer, authority);
        message.header.rcode = 3;
        let lan = name("lan.");
        let response = scrub(message, &question, |name| !name.is_at_or_below(&lan));
        assert_eq!(owners(&response.answer), ["www.a. CNAME", "alias.a. CNAME"]);
        assert_eq!((owners(&response.authority), response.rcode), (vec!["w.a. NSEC".to_owned()], RCode::NOERROR));
    }
}
