//! The claim behind all others: no change that a stranger can make to any reply makes a wrong answer secure.

use super::*;

/// A set without what may differ: order, letter case, TTL, signatures.
type Believed = (Name, RecordType, Vec<Box<[u8]>>);

/// What a client would believe of an answer.
fn believed(validated: &Validated) -> (RCode, Vec<Believed>) {
    let set = |set: &RrSet| {
        let mut rdatas: Vec<Box<[u8]>> = set.rdatas.iter().map(|rdata| rdata.to_ascii_lowercase().into()).collect();
        rdatas.sort();
        (set.owner.clone(), set.rtype, rdatas)
    };
    (validated.response().rcode, validated.response().answer.iter().map(set).collect())
}

/// The sets of a response, of both sections.
fn sets(response: &mut Response) -> Vec<&mut RrSet> {
    response.answer.iter_mut().chain(&mut response.authority).collect()
}

/// All changes of one thing in a response; bytes of RDATA and signatures by a stride, to save time.
fn changes(response: &Response) -> Vec<Response> {
    let mut changed = vec![];
    let mut with = |change: &dyn Fn(&mut Response)| {
        let mut other = response.clone();
        change(&mut other);
        changed.push(other);
    };
    with(&|other| other.rcode = if other.rcode == RCode::NOERROR { RCode::NXDOMAIN } else { RCode::NOERROR });
    with(&|other| other.answer.clear());
    with(&|other| other.authority.clear());
    for index in 0..response.answer.len() {
        with(&|other| drop(other.answer.remove(index)));
    }
    for index in 0..response.authority.len() {
        with(&|other| drop(other.authority.remove(index)));
    }
    for index in 0..response.answer.len() + response.authority.len() {
        with(&|other| sets(other)[index].signatures.clear());
        with(&|other| sets(other)[index].rtype = RecordType::A);
        with(&|other| sets(other)[index].rtype = RecordType::CNAME);
        with(&|other| sets(other)[index].owner = other_name(&sets(other)[index].owner));
        let mut copy = response.clone();
        let set = sets(&mut copy).remove(index).clone();
        for (number, rdata) in set.rdatas.iter().enumerate() {
            with(&|other| drop(sets(other)[index].rdatas.remove(number)));
            for at in (0..rdata.len()).step_by(5) {
                with(&|other| sets(other)[index].rdatas[number][at] ^= 1);
            }
        }
        for number in 0..set.signatures.len() {
            with(&|other| sets(other)[index].signatures[number].labels ^= 1);
            with(&|other| sets(other)[index].signatures[number].signature_mut()[7] ^= 1);
            with(&|other| sets(other)[index].signatures[number].signer = name("org"));
            with(&|other| sets(other)[index].signatures[number].signer = name("www.example.org"));
        }
    }
    changed
}

fn other_name(owner: &Name) -> Name {
    if *owner == name("www.example.org") { name("other.example.org") } else { name("www.example.org") }
}

#[test]
fn no_single_change_to_any_reply_makes_a_wrong_answer_secure() {
    for denies in [Denies::Nsec, NSEC3, OPT_OUT] {
        let mut world = World::new(&[("org", denies), ("example.org", denies), ("unsigned.org", Denies::Unsigned)]);
        world.add("www.example.org", RecordType::A, &ADDRESS);
        world.add("*.wild.example.org", RecordType::A, &ADDRESS);
        world.add("alias.example.org", RecordType::CNAME, &target("x.wild.example.org"));
        world.add("www.unsigned.org", RecordType::A, &ADDRESS);
        for (qname, qtype) in [
            ("www.example.org", RecordType::A),
            ("www.example.org", RecordType::TXT),
            ("gone.example.org", RecordType::A),
            ("alias.example.org", RecordType::A),
            ("www.unsigned.org", RecordType::A),
        ] {
            check(&mut world, qname, qtype);
        }
    }
}

fn check(world: &mut World, qname: &str, qtype: RecordType) {
    world.breaks.clear();
    world.cache.clear();
    let honest = world.resolve(qname, qtype);
    let expected = believed(honest.proven());
    let mut asked: Vec<Question> = vec![Question::new(name(qname), qtype)];
    for question in &honest.asked {
        let (qname, qtype) = question.split_once(' ').unwrap();
        asked.push(Question::new(name(qname), qtype.parse().unwrap()));
    }
    for question in asked {
        let reply = world.answer(&question);
        for changed in changes(&reply) {
            let (question, description) = (question.clone(), format!("{question}: {changed:?}"));
            world.breaks.clear();
            world.cache.clear();
            world.break_reply(&question.qname.to_string(), question.qtype, move |response| *response = changed.clone());
            let Verdict::Proven(validated) = world.resolve(qname, qtype).verdict else { continue };
            if validated.status() == ProvenStatus::Secure {
                assert_eq!(believed(&validated), expected, "{qname} {qtype}; {description}");
            } else {
                // A signed zone is never taken for an unsigned one.
                assert_eq!(honest.proven().status(), ProvenStatus::Insecure, "{qname} {qtype}; {description}");
            }
        }
    }
}
