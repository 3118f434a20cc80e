//! What honest servers say: a recursive one that follows aliases through all zones, or one that stops at the first
//! (RFC 4035 §3.1, RFC 5155 §7.2).

use std::sync::Arc;

use resolver_user::upstream::scrub;
use resolver_user::wire::{CLASS_IN, Flags, Header, Message, Question, RCode, Record, RecordType, Response};

use super::truth::{Kind, Step};
use super::{Path, World, Zone};
use crate::signed::TTL_S;

/// The sections of a reply that matter.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// RCODE.
    pub(crate) rcode: RCode,
    /// Answer section.
    pub(crate) answer: Vec<Record>,
    /// Authority section.
    pub(crate) authority: Vec<Record>,
}

impl Reply {
    /// The reply as a message.
    fn message(self) -> Message {
        let Self { rcode, answer, authority } = self;
        let flags = Flags { response: true, ..Flags::default() };
        let rcode = u8::try_from(rcode.0).expect("a small RCODE");
        let header = Header { id: 0, opcode: 0, rcode, flags, counts: [1, 0, 0, 0] };
        Message { header, question: None, answer, authority, additional: Vec::new(), edns: None }
    }

    /// What is left of it for validation.
    pub(crate) fn received(self, asked: &Question) -> Arc<Response> {
        Arc::new(scrub(self.message(), asked, |_| true))
    }
}

impl World {
    /// The honest reply; one that does not follow ends with the first alias.
    pub(crate) fn honest(&self, question: &Question, follows: bool) -> Reply {
        let truth = self.truth(question);
        let mut reply = Reply { rcode: RCode::NOERROR, answer: Vec::new(), authority: Vec::new() };
        let steps = if follows { &*truth.steps } else { &truth.steps[..1] };
        if steps.len() == truth.steps.len() {
            reply.rcode = truth.rcode.unwrap_or(RCode::NOERROR);
        }
        for step in steps {
            say(step, question.qtype, &mut reply);
        }
        reply
    }
}

/// Adds what a step has to say.
fn say(step: &Step<'_>, qtype: RecordType, reply: &mut Reply) {
    let Some(zone) = step.zone.filter(|_| step.kind != Kind::Unknown) else {
        if qtype == RecordType::A {
            reply.answer.push(unsigned(&step.name, RecordType::A, &[192, 0, 2, 66]));
        }
        return;
    };
    let expanded = |rtype: RecordType| {
        let mut records = zone.records(&step.source, rtype);
        records.iter_mut().for_each(|record| record.owner = step.name.name());
        records
    };
    match &step.kind {
        Kind::Data if qtype == RecordType::ANY => {
            reply.answer.extend(zone.nodes[&step.source].keys().flat_map(|rtype| expanded(*rtype)));
        }
        Kind::Data => reply.answer.extend(expanded(qtype)),
        Kind::Alias(_) => reply.answer.extend(expanded(RecordType::CNAME)),
        Kind::Redirection(owner, target) => {
            reply.answer.extend(zone.records(owner, RecordType::DNAME));
            let made = target.as_ref().map(|target| unsigned(&step.name, RecordType::CNAME, &target.wire()));
            reply.answer.extend(made);
        }
        Kind::NoData | Kind::NxDomain | Kind::Unknown => {
            reply.authority.extend(zone.records(&zone.apex, RecordType::SOA));
        }
    }
    for number in proof(zone, step) {
        reply.authority.extend(zone.chain_set(number));
    }
}

/// The records of the chain that a step needs, by number, each once.
fn proof(zone: &Zone, step: &Step<'_>) -> Vec<usize> {
    let Some(chain) = &zone.chain else { return Vec::new() };
    let covering = |path: Option<Path>| path.map(|path| chain.at_or_before(&path));
    let is_expanded = step.source != step.name;
    let found = if zone.nsec3.is_none() {
        let wildcard = || covering(step.encloser.wildcard());
        match step.kind {
            Kind::NxDomain => vec![covering(Some(step.name.clone())), wildcard()],
            Kind::NoData if is_expanded => vec![covering(Some(step.name.clone())), wildcard()],
            Kind::NoData => vec![covering(Some(step.name.clone()))],
            Kind::Data | Kind::Alias(_) if is_expanded => vec![covering(Some(step.name.clone()))],
            _ => Vec::new(),
        }
    } else {
        // The closest provable encloser: with opt-out, names exist that the chain does not know.
        let mut upward = step.name.upward();
        let encloser = upward.find(|above| chain.matching(above).is_some()).expect("the apex is in its chain");
        let next_closer = || (encloser != step.name).then(|| step.name.first(encloser.depth() + 1));
        match step.kind {
            Kind::NxDomain => {
                vec![chain.matching(&encloser), covering(next_closer()), covering(encloser.wildcard())]
            }
            Kind::NoData if is_expanded => {
                vec![chain.matching(&encloser), covering(next_closer()), chain.matching(&step.source)]
            }
            Kind::NoData => vec![chain.matching(&encloser), covering(next_closer())],
            Kind::Data | Kind::Alias(_) if is_expanded => vec![covering(next_closer())],
            _ => Vec::new(),
        }
    };
    let mut numbers: Vec<usize> = found.into_iter().flatten().collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn unsigned(owner: &Path, rtype: RecordType, rdata: &[u8]) -> Record {
    Record { owner: owner.name(), rtype, class: CLASS_IN, ttl_s: TTL_S, rdata: rdata.into() }
}
