//! Whole validations with hostile servers: no panic, an end within the budget, and nothing believed that was not signed.
//!
//! The world is a signed root and a signed `example.` with four sets and two denials. The bytes are the servers: each reply
//! is any mixture of what the zones really say and of what an attacker without their keys can write.

use std::sync::{Arc, OnceLock};

use resolver_user::clock::{NS_PER_S, Now};
use resolver_user::validator::{
    DsAnchor, FetchFailure, Pace, Policy, ProvenStatus, Step, TrustAnchors, Validated, Validation, Verdict, WorkBudget,
    ZoneCache,
};
use resolver_user::wire::{CLASS_IN, Message, Name, Question, RCode, Record, RecordType, Response, group};

use super::source::Source;
use crate::message::{TestRecord, a, name, soa};
use crate::signed::{SignedZone, TTL_S, nsec};

/// Validates a response that the bytes make up, with the zones' own anchor or with one that no key has.
pub fn validation(bytes: &[u8]) {
    static WORLD: OnceLock<World> = OnceLock::new();
    let world = WORLD.get_or_init(World::new);
    let mut source = Source::new(bytes);
    let is_anchored = source.flag();
    let question = Question::new(source.pick(&world.names).clone(), *source.pick(&QTYPES));
    let anchors = if is_anchored { &world.anchors } else { &world.alien_anchors };
    let first = Arc::new(reply(&question, world, &mut source));
    let zones = Arc::new(ZoneCache::new(100));
    let mut validation = Validation::new(question.clone(), first, anchors.clone(), zones, Policy::DEFAULT);
    let verdict = run(&mut validation, world, &mut source);
    let _shown = validation.steps().len();
    let Verdict::Proven(proven) = verdict else {
        assert!(!matches!(verdict, Verdict::Unchecked { .. }), "policy asks for proofs");
        return;
    };
    assert!(is_anchored, "{question} was proven without a chain: {proven:?}");
    if proven.status() == ProvenStatus::Secure {
        world.check_secure(&question, &proven);
    } else {
        assert!(!question.qname.is_at_or_below(&name("example.")), "{question} is signed, not {proven:?}");
    }
}

fn run(validation: &mut Validation, world: &World, source: &mut Source<'_>) -> Verdict {
    let mut budget = WorkBudget::new(Policy::DEFAULT.limits);
    let mut asked: Vec<Question> = Vec::new();
    // Bound: each turn but the last pays for a sub-query or a signature check.
    loop {
        match validation.advance(NOW, &mut budget, Pace::Slice) {
            Step::Done(verdict) => return verdict,
            Step::Costly { .. } => {}
            Step::Need(question) => {
                assert!(!asked.contains(&question), "{question} is asked again");
                let reply = if budget.spend_sub_query().is_err() || source.byte() == 0xff {
                    Err(FetchFailure::NoAnswer)
                } else {
                    Ok(Arc::new(reply(&question, world, source)))
                };
                validation.supply(reply);
                asked.push(question);
                assert!(asked.len() < 200, "no end: {asked:?}");
            }
        }
    }
}

/// A reply: the honest one, one from wire form, or one put together set by set.
fn reply(question: &Question, world: &World, source: &mut Source<'_>) -> Response {
    let question = question.clone();
    match source.byte() % 4 {
        0 => world.honest(&question),
        1 => {
            let len = source.word() % 1500;
            let message = Message::read(source.bytes(len.into()));
            let (answer, authority) = message.map(|read| (read.answer, read.authority)).unwrap_or_default();
            Response { rcode: rcode(source), answer: group(&answer), authority: group(&authority), question }
        }
        _ => {
            let rcode = rcode(source);
            let section = |source: &mut Source<'_>| {
                let parts = source.byte() % 6;
                let records: Vec<Record> = (0..parts).flat_map(|_| records(&question, world, source)).collect();
                group(&records)
            };
            Response { rcode, answer: section(source), authority: section(source), question }
        }
    }
}

fn rcode(source: &mut Source<'_>) -> RCode {
    *source.pick(&[RCode::NOERROR, RCode::NXDOMAIN, RCode(6), RCode(2)])
}

/// An honest set, perhaps with one byte changed, or a forged record.
fn records(question: &Question, world: &World, source: &mut Source<'_>) -> Vec<Record> {
    let kind = source.byte() % 4;
    if kind == 3 {
        return vec![forged(question, world, source)];
    }
    let mut set = source.pick(&world.sets).clone();
    match kind {
        1 => {
            let index = usize::from(source.byte()) % set.len();
            let rdata = &mut set[index].rdata;
            let at = usize::from(source.byte()) % rdata.len();
            rdata[at] ^= source.byte();
        }
        2 => {
            let owner = source.pick(&world.names);
            set.iter_mut().for_each(|record| record.owner = owner.clone());
        }
        _ => {}
    }
    set.into_iter().map(received).collect()
}

/// A record that nobody signed: data of every kind that validation reads.
fn forged(question: &Question, world: &World, source: &mut Source<'_>) -> Record {
    let owner = if source.flag() { question.qname.clone() } else { source.pick(&world.names).clone() };
    let rtype = if source.flag() { question.qtype } else { *source.pick(&QTYPES) };
    let other = source.pick(&world.names).wire();
    let algorithm = *source.pick(&[15, 13, 8, 16, 5, 14, 10, 253]);
    let rdata = match rtype {
        RecordType::DNSKEY => [&[1, 1, 3, algorithm], source.run()].concat(),
        RecordType::DS => [&source.word().to_be_bytes()[..], &[algorithm, 2], source.run()].concat(),
        RecordType::CNAME | RecordType::DNAME | RecordType::NS => other.to_vec(),
        RecordType::NSEC => [other, source.run()].concat(),
        RecordType::NSEC3 => [&[1, source.byte() & 1, 0, source.byte(), 0, 20], source.run()].concat(),
        RecordType::RRSIG => {
            let covered = source.pick(&QTYPES).0.to_be_bytes();
            let (labels, tag) = (source.byte() % 5, source.word().to_be_bytes());
            let times = [(NOW_S + 1000).to_be_bytes(), (NOW_S - 1000).to_be_bytes()].concat();
            [&covered, &[algorithm, labels][..], &TTL_S.to_be_bytes(), &times, &tag, other, source.run()].concat()
        }
        _ => source.run().to_vec(),
    };
    Record { owner, rtype, class: CLASS_IN, ttl_s: TTL_S, rdata: rdata.into() }
}

fn received(record: TestRecord) -> Record {
    let TestRecord { owner, rtype, ttl_s, rdata } = record;
    Record { owner, rtype, class: CLASS_IN, ttl_s, rdata: rdata.into() }
}

/// What is true, and who says so.
struct World {
    anchors: Arc<TrustAnchors>,
    alien_anchors: Arc<TrustAnchors>,
    /// Every set that is signed, each with its signature.
    sets: Vec<Vec<TestRecord>>,
    /// Names that questions and forgeries are about.
    names: Vec<Name>,
}

impl World {
    fn new() -> Self {
        let (root, example) = (SignedZone::new(".", 1), SignedZone::new("example.", 2));
        let sign = |zone: &SignedZone, record| zone.signed_between(vec![record], NOW_S - 1000, NOW_S + 100_000);
        let key_set = |zone: &SignedZone| sign(zone, zone.dnskey_record());
        let ds = TestRecord { owner: name("example."), rtype: RecordType::DS, ttl_s: TTL_S, rdata: example.ds() };
        let anchor = |ds: &[u8]| DsAnchor {
            zone: Name::root(),
            key_tag: root.key_tag(),
            algorithm: ds[2],
            digest_type: ds[3],
            digest: ds[4..].into(),
        };
        let anchors = |ds: &[u8]| Arc::new(TrustAnchors::new(vec![anchor(ds)], Vec::new()));
        let alien_ds = [&root.ds()[..4], &[0x5a; 32]].concat();
        let sets = vec![
            key_set(&root),
            sign(&root, ds),
            key_set(&example),
            sign(&example, a("www.example.", TTL_S, [192, 0, 2, 1])),
            sign(&example, soa("example.", TTL_S, 60)),
            sign(&example, nsec("example.", "www.example.", &[6, 46, 47, 48])),
            sign(&example, nsec("www.example.", "example.", &[1, 46, 47])),
        ];
        let names = ["www.example.", "example.", ".", "nx.example.", "a.www.example.", "*.example.", "other."];
        Self { anchors: anchors(&root.ds()), alien_anchors: anchors(&alien_ds), sets, names: names.map(name).to_vec() }
    }

    /// What the zones themselves say.
    fn honest(&self, question: &Question) -> Response {
        let is_it = |set: &&Vec<TestRecord>| set[0].owner == question.qname && set[0].rtype == question.qtype;
        let records =
            |sets: &[Vec<TestRecord>]| -> Vec<Record> { sets.iter().flatten().cloned().map(received).collect() };
        let found: Vec<Vec<TestRecord>> = self.sets.iter().filter(is_it).cloned().collect();
        let proof = if found.is_empty() { &self.sets[4..] } else { &[] };
        let exists = self.sets.iter().any(|set| set[0].owner == question.qname);
        let rcode = if exists { RCode::NOERROR } else { RCode::NXDOMAIN };
        Response {
            rcode,
            answer: group(&records(&found)),
            authority: group(&records(proof)),
            question: question.clone(),
        }
    }

    /// Only signed data are secure, and only what does not exist is denied.
    fn check_secure(&self, question: &Question, proven: &Validated) {
        let response = proven.response();
        for set in response.answer.iter().chain(&response.authority) {
            let is_it = |signed: &&Vec<TestRecord>| signed[0].owner == set.owner && signed[0].rtype == set.rtype;
            let signed = self.sets.iter().find(is_it).unwrap_or_else(|| panic!("{} {}", set.owner, set.rtype));
            assert_eq!(set.rdatas, [signed[0].rdata.clone().into_boxed_slice()], "{} {}", set.owner, set.rtype);
        }
        if response.answer.is_empty() {
            let exists = |set: &Vec<TestRecord>| {
                set[0].owner == question.qname && (response.rcode == RCode::NXDOMAIN || set[0].rtype == question.qtype)
            };
            assert!(!self.sets.iter().any(exists), "{question} exists, though denied by {proven:?}");
        }
    }
}

/// Types that are asked for and forged.
const QTYPES: [RecordType; 14] = [
    RecordType::A,
    RecordType::DS,
    RecordType::DNSKEY,
    RecordType::NSEC,
    RecordType::NSEC3,
    RecordType::RRSIG,
    RecordType::CNAME,
    RecordType::DNAME,
    RecordType::SOA,
    RecordType::NS,
    RecordType::ANY,
    RecordType(16),
    RecordType(0),
    RecordType(0xff00),
];
const NOW_S: u32 = 1_750_000_000;
const NOW: Now = Now { unix_s: 1_750_000_000, boot_ns: 1000 * NS_PER_S };

#[cfg(test)]
mod tests {
    use super::*;

    /// Without this the claim could hold because nothing is ever secure.
    #[test]
    fn honest_servers_are_believed() {
        let world = World::new();
        for (qname, qtype) in
            [("www.example.", RecordType::A), ("www.example.", RecordType(16)), ("nx.example.", RecordType::A)]
        {
            let question = Question::new(name(qname), qtype);
            let first = Arc::new(world.honest(&question));
            let zones = Arc::new(ZoneCache::new(100));
            let mut validation =
                Validation::new(question.clone(), first, world.anchors.clone(), zones, Policy::DEFAULT);
            let verdict = run(&mut validation, &world, &mut Source::new(&[]));
            let Verdict::Proven(proven) = verdict else { panic!("{question}: {verdict:?}") };
            assert_eq!(proven.status(), ProvenStatus::Secure);
            world.check_secure(&question, &proven);
        }
    }
}
