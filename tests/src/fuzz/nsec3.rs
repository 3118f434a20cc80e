//! Denial of existence, NSEC and NSEC3: a made-up tree of zones is denied truly or not at all.
//!
//! The bytes are zones with names, wildcards, aliases, empty non-terminals and delegations, with NSEC or NSEC3, with
//! opt-out or without; then questions, and what servers or an attacker say to them. Honest servers must be believed, and
//! nothing false may ever be proven, neither from a reply nor from what was learned from earlier ones (RFC 8198).

use resolver_user::wire::{Name, RecordType};

use super::source::Source;
use super::world::{Attacker, Link, Node, Nsec3Parameters, Path, Trial, World, ZonePlan};

/// Makes zones of the bytes, and asks about them.
pub fn nsec3(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let (world, names) = made_up(&mut source);
    let attacker = Attacker::new(&world, &names);
    let trial = Trial::new(&world);
    for _ in 0..ROUNDS_MAX {
        let question = attacker.question(&mut source);
        let how = source.byte();
        if how.is_multiple_of(2) {
            trial.ask_honest(&question, how & 2 == 0);
        } else {
            trial.ask(&question, |asked| Some(attacker.reply(asked, &mut source)));
        }
        for _ in 0..KNOWN {
            trial.check_known(&attacker.question(&mut source));
        }
        if source.is_empty() {
            return;
        }
    }
}

/// Questions that are asked about one world.
const ROUNDS_MAX: usize = 5;
/// Questions after each that are answered from what is known by then.
const KNOWN: usize = 3;
const APEX: &str = "e.";

/// The zones, and names at, above and between theirs.
fn made_up(source: &mut Source<'_>) -> (World, Vec<Name>) {
    let apex = Path::new(APEX);
    let mut known = vec![apex.clone()];
    let mut plans = vec![plan(apex.clone(), 1, source, &mut known)];
    for seed in 0..source.byte() % 3 {
        let child = path(source, &known);
        if plans.iter().all(|plan| plan.apex != child) {
            // A child with its parent's key is the worst case: all signatures of one verify in the other.
            let seed = if source.flag() { 1 } else { 2 + seed };
            let link = if source.byte() % 4 == 3 { Link::Unsigned } else { Link::Signed };
            known.push(child.clone());
            plans.push(ZonePlan { link, ..plan(child, seed, source, &mut known) });
        }
    }
    let names = known.iter().flat_map(Path::upward).filter(|path| path.is_at_or_below(&apex));
    let mut names: Vec<Path> = names.collect();
    names.sort();
    names.dedup();
    (World::new(plans, &[apex]), names.iter().map(Path::name).collect())
}

fn plan(apex: Path, seed: u8, source: &mut Source<'_>, known: &mut Vec<Path>) -> ZonePlan {
    let mut plan = ZonePlan::new(apex.clone(), seed);
    if source.flag() {
        let iterations = *source.pick(&[0, 0, 0, 1, 3, 12, 50, 51, 150, 151]);
        let salt_len = usize::from(source.byte() % 4);
        plan.nsec3 =
            Some(Nsec3Parameters { iterations, salt: source.bytes(salt_len).to_vec(), opt_out: source.flag() });
    }
    for _ in 0..source.byte() % 10 {
        let path = path(source, known);
        if !path.is_below(&apex) {
            continue;
        }
        let node = node(source, known);
        known.push(path.clone());
        plan.nodes.insert(path, node);
    }
    plan
}

/// A name one or two labels below a known one.
fn path(source: &mut Source<'_>, known: &[Path]) -> Path {
    let label = |source: &mut Source<'_>| *source.pick::<&[u8]>(&[b"a", b"b", b"c", b"*", b"w", b"\0", b"\xff", b"a-"]);
    let above = source.pick(known).clone();
    let one = above.child(label(source)).unwrap_or(above);
    let two = if source.byte() % 4 == 3 { one.child(label(source)) } else { None };
    two.unwrap_or(one)
}

/// What there is at a name.
fn node(source: &mut Source<'_>, known: &[Path]) -> Node {
    let target = |source: &mut Source<'_>| vec![path(source, known).wire()];
    let address = || (RecordType::A, vec![vec![192, 0, 2, 1]]);
    let text = || (RecordType::TXT, vec![b"\x01t".to_vec(), b"\x02tt".to_vec()]);
    match source.byte() % 10 {
        0 | 1 => Node::from([address()]),
        2 => Node::from([text()]),
        3 => Node::from([address(), text(), (RecordType(0xff00), vec![Vec::new()])]),
        4 => Node::from([(RecordType::CNAME, target(source))]),
        5 => Node::from([(RecordType::DNAME, target(source))]),
        6 => Node::from([(RecordType::DNAME, target(source)), address()]),
        7 | 8 => Node::from([(RecordType::NS, target(source))]),
        _ => Node::from([
            (RecordType::NS, target(source)),
            (RecordType::DS, vec![[&[1, 2, 15, 2][..], &[7; 32]].concat()]),
        ]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use resolver_user::validator::Verdict;
    use resolver_user::wire::Question;

    fn any_bytes(seed: u32) -> Vec<u8> {
        let byte =
            |index: u32| (seed * 7919 + index * index * 31 + index).to_be_bytes()[2] ^ (index * seed).to_be_bytes()[3];
        (0..300).map(byte).collect()
    }

    /// The same for what is known from earlier answers.
    #[test]
    fn made_up_zones_are_known_without_asking() {
        let (mut denials, mut expansions) = (0, 0);
        for seed in 0..50 {
            let (world, names) = made_up(&mut Source::new(&any_bytes(seed)));
            let trial = Trial::new(&world);
            let below = |label: &'static [u8]| names.iter().filter_map(move |name| name.prepend(label).ok());
            let names: Vec<Name> = names.iter().cloned().chain(below(b"aa")).chain(below(b"zz")).collect();
            for round in 0..2 {
                for (name, rtype) in names.iter().flat_map(|name| TYPES.map(|rtype| (name, rtype))) {
                    let question = Question::new(name.clone(), rtype);
                    if round == 0 {
                        trial.ask_honest(&question, seed % 2 == 0);
                    }
                    trial.check_known(&question);
                    trial.check_known(&Question::new(name.prepend(b"mm").unwrap_or(name.clone()), rtype));
                }
            }
            let known = trial.known();
            (denials, expansions) = (denials + known.0, expansions + known.1);
        }
        println!("{denials} denials, {expansions} answers from wildcards");
        assert!(denials > 5000 && expansions > 30, "{denials} {expansions}");
    }

    const TYPES: [RecordType; 4] = [RecordType::A, RecordType::TXT, RecordType::DS, RecordType::CNAME];

    /// Without this the claim could hold because nothing is ever proven.
    #[test]
    fn made_up_zones_prove_and_deny() {
        let (mut proven, mut asked) = (0, 0);
        for seed in 0..200u32 {
            let (world, names) = made_up(&mut Source::new(&any_bytes(seed)));
            for name in names {
                for rtype in [RecordType::A, RecordType::TXT, RecordType::DS] {
                    let question = Question::new(name.clone(), rtype);
                    let trial = Trial::new(&world);
                    trial.ask_honest(&question, seed % 2 == 0);
                    let verdict = trial.ask(&question, |asked| Some(world.honest(asked, true)));
                    asked += 1;
                    proven += u32::from(matches!(verdict, Verdict::Proven(_)));
                }
            }
        }
        assert!(proven * 10 > asked * 7, "{proven} of {asked}");
    }
}
