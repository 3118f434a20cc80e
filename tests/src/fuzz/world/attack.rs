//! What an attacker can say who has no keys: anything that was ever signed, replayed, mixed, cut and altered, and
//! anything that needs no signature.

use resolver_user::wire::{CLASS_IN, Message, Name, Question, RCode, Record, RecordType};

use super::server::Reply;
use super::trial::NOW_S;
use super::{Path, World};
use crate::fuzz::source::Source;
use crate::signed::TTL_S;

/// Somebody between the validator and the servers.
pub(crate) struct Attacker<'w> {
    world: &'w World,
    /// Names that forgeries and replays are about.
    names: &'w [Name],
}

/// Most changes of one reply.
const CHANGES_MAX: u8 = 8;

/// Types that are asked for and forged.
pub(crate) const TYPES: [RecordType; 16] = [
    RecordType::A,
    RecordType::DS,
    RecordType::TXT,
    RecordType::NSEC,
    RecordType::CNAME,
    RecordType::DNSKEY,
    RecordType::SOA,
    RecordType::NS,
    RecordType::DNAME,
    RecordType::MX,
    RecordType::NSEC3,
    RecordType::ANY,
    RecordType::RRSIG,
    RecordType(0xff00),
    RecordType::NSEC3PARAM,
    RecordType(0),
];

impl<'w> Attacker<'w> {
    /// An attacker who knows these names.
    pub(crate) fn new(world: &'w World, names: &'w [Name]) -> Self {
        Self { world, names }
    }

    /// What the attacker makes of a question: of the honest reply, of that to another question, of nothing, or of bytes.
    pub(crate) fn reply(&self, question: &Question, source: &mut Source<'_>) -> Reply {
        let how = source.byte();
        let base = match how % 8 {
            0..=4 => self.world.honest(question, how & 8 == 0),
            5 => self.world.honest(&self.question(source), true),
            6 => Reply { rcode: RCode::NOERROR, answer: Vec::new(), authority: Vec::new() },
            _ => {
                let len = source.word() % 1500;
                let read = Message::read(source.bytes(len.into()));
                let (answer, authority) = read.map(|read| (read.answer, read.authority)).unwrap_or_default();
                Reply { rcode: RCode::NOERROR, answer, authority }
            }
        };
        (0..source.byte() % CHANGES_MAX).fold(base, |reply, _| self.changed(reply, question, source))
    }

    fn changed(&self, mut reply: Reply, question: &Question, source: &mut Source<'_>) -> Reply {
        let (change, in_answer) = (source.byte(), source.flag());
        let section = if in_answer { &mut reply.answer } else { &mut reply.authority };
        let at = usize::from(source.byte()) % section.len().max(1);
        match change % 12 {
            0 => {
                section.drain(at..section.len().min(at + 1));
            }
            1 => section.extend(self.genuine(question, change >= 128, source)),
            2 => {
                let other = self.world.honest(&self.question(source), true);
                section.extend(if source.flag() { other.answer } else { other.authority });
            }
            3 => {
                let owner = self.owner(question, source);
                // A set and its signatures, as a wildcard is expanded.
                let old = section.get(at).map(|record| record.owner.clone());
                section.iter_mut().filter(|record| Some(&record.owner) == old.as_ref()).for_each(|record| {
                    record.owner = owner.clone();
                });
            }
            4 => change_byte(section.get_mut(at), source),
            5 => reply.rcode = *source.pick(&[RCode::NOERROR, RCode::NXDOMAIN, RCode(6), RCode(2)]),
            6 => {
                let moved = section.split_off(at);
                let other = if in_answer { &mut reply.authority } else { &mut reply.answer };
                other.extend(moved);
            }
            7 => section.iter_mut().skip(at).for_each(in_capitals),
            8 => section.extend(self.stale(question, source)),
            9 => section.truncate(at),
            10 => section.retain(|record| record.rtype != RecordType::RRSIG),
            _ => section.push(self.forged(question, source)),
        }
        reply
    }

    /// Some other question.
    pub(crate) fn question(&self, source: &mut Source<'_>) -> Question {
        Question::new(self.name(source), *source.pick(&TYPES))
    }

    /// A known name, or one beside or below a known one.
    pub(crate) fn name(&self, source: &mut Source<'_>) -> Name {
        let known = source.pick(self.names).clone();
        let label = *source.pick::<&[u8]>(&[b"", b"", b"a", b"b", b"*", b"zz", b"\0", b"-"]);
        let above = if source.byte() % 4 == 1 { known.parent().unwrap_or(known) } else { known };
        above.prepend(label).unwrap_or(above)
    }

    fn owner(&self, question: &Question, source: &mut Source<'_>) -> Name {
        if source.flag() { question.qname.clone() } else { self.name(source) }
    }

    /// A set of any zone as it is, or as if a wildcard answered with it.
    fn genuine(&self, question: &Question, expands: bool, source: &mut Source<'_>) -> Vec<Record> {
        let zone = source.pick(self.world.zones());
        let mut set = zone.set(usize::from(source.byte()) % zone.set_count());
        for record in set.iter_mut().filter(|record| expands && record.owner.is_wildcard()) {
            record.owner = question.qname.clone();
        }
        set
    }

    /// What a zone signed once, or will sign: right in all but its time.
    fn stale(&self, question: &Question, source: &mut Source<'_>) -> Vec<Record> {
        let forged = self.forged(question, source);
        let owner = Path::of(&forged.owner);
        let zone = source.pick(self.world.zones());
        let times = if source.flag() { NOW_S - 2000..NOW_S - 1 } else { NOW_S + 1..NOW_S + 2000 };
        if forged.rtype == RecordType::RRSIG || !owner.is_at_or_below(&zone.apex) {
            return vec![forged];
        }
        let signatures = zone.sign(&owner, forged.rtype, &[forged.rdata.to_vec()], times);
        let signature = |rdata: Vec<u8>| Record { rtype: RecordType::RRSIG, rdata: rdata.into(), ..forged.clone() };
        let signatures: Vec<Record> = signatures.into_iter().map(signature).collect();
        std::iter::once(forged).chain(signatures).collect()
    }

    /// A record that nobody signed: data of every kind that validation reads.
    fn forged(&self, question: &Question, source: &mut Source<'_>) -> Record {
        let owner = self.owner(question, source);
        let rtype = if source.flag() { question.qtype } else { *source.pick(&TYPES) };
        let other = self.name(source);
        let algorithm = *source.pick(&[15, 8, 12, 13, 16, 5, 14, 253]);
        let rdata = match rtype {
            RecordType::DNSKEY => [&[1, 1, 3, algorithm], source.run()].concat(),
            RecordType::DS => [&source.word().to_be_bytes()[..], &[algorithm, 2], source.run()].concat(),
            RecordType::CNAME | RecordType::DNAME | RecordType::NS => other.wire().to_vec(),
            RecordType::NSEC => [other.wire(), source.run()].concat(),
            RecordType::NSEC3 => [&[1, source.byte() & 1, 0, source.byte(), 0, 20], source.run()].concat(),
            RecordType::RRSIG => {
                let covered = source.pick(&TYPES).0.to_be_bytes();
                let (labels, tag) = (source.byte() % 5, source.word().to_be_bytes());
                let times = [(NOW_S + 1000).to_be_bytes(), (NOW_S - 1000).to_be_bytes()].concat();
                let fixed = [&covered, &[algorithm, labels][..], &TTL_S.to_be_bytes(), &times, &tag].concat();
                [&fixed, other.wire(), source.run()].concat()
            }
            _ => source.run().to_vec(),
        };
        Record { owner, rtype, class: CLASS_IN, ttl_s: TTL_S, rdata: rdata.into() }
    }
}

fn change_byte(record: Option<&mut Record>, source: &mut Source<'_>) {
    let (at, value) = (usize::from(source.byte()), source.byte());
    let Some(record) = record.filter(|record| !record.rdata.is_empty()) else { return };
    let at = at % record.rdata.len();
    record.rdata[at] ^= value;
}

/// Owner in capitals, and RDATA where letter case says nothing.
fn in_capitals(record: &mut Record) {
    let upper = record.owner.wire().to_ascii_uppercase();
    record.owner = Name::from_wire(&upper).expect("only letters change");
    if matches!(record.rtype, RecordType::CNAME | RecordType::DNAME | RecordType::NS) {
        record.rdata.make_ascii_uppercase();
    }
}
