//! Whole validations with hostile servers: no panic, an end within the budget, and nothing believed that is not so.
//!
//! The world is fixed: a root, and below it zones with NSEC and NSEC3, opt-out, many iterations, several algorithms and
//! keys, unsigned ones, an island, aliases of every kind from each to the others. The bytes are questions and what an
//! attacker makes of the servers' replies; what is true, and what may be insecure, the world says.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use resolver_user::validator::{DsAnchor, TrustAnchors, Verdict};
use resolver_user::wire::{Name, Question, RecordType};

use super::source::Source;
use super::world::{Attacker, Key, Link, Nsec3Parameters, Path, Trial, World, ZonePlan};

/// Validates responses that the bytes make up, with the world's own anchors or with one that no key has.
pub fn validation(bytes: &[u8]) {
    static WORLD: OnceLock<(World, Vec<Name>)> = OnceLock::new();
    let (world, names) = WORLD.get_or_init(|| {
        let world = world();
        let names = names(&world);
        (world, names)
    });
    let mut source = Source::new(bytes);
    let attacker = Attacker::new(world, names);
    let is_anchored = source.byte() % 16 != 1;
    let trial = if is_anchored { Trial::new(world) } else { Trial::with_anchors(world, alien_anchors()) };
    for _ in 0..ROUNDS_MAX {
        let question = attacker.question(&mut source);
        let how = source.byte();
        if how.is_multiple_of(4) && is_anchored {
            trial.ask_honest(&question, how & 4 == 0);
        } else {
            // Now and then a server does not answer.
            let source = RefCell::new(&mut source);
            let attack = |asked: &Question| {
                let source = &mut **source.borrow_mut();
                (source.byte() != 0xff).then(|| attacker.reply(asked, source))
            };
            let verdict = match how % 8 {
                // Of two servers one is honest, or none.
                1 => trial.ask_both(&question, attack, |asked| Some(world.honest(asked, false))),
                2 => trial.ask_both(&question, |asked| Some(world.honest(asked, true)), attack),
                3 => trial.ask_both(&question, attack, attack),
                _ => trial.ask(&question, attack),
            };
            let is_proven = matches!(verdict, Verdict::Proven(_));
            assert!(is_anchored || !is_proven, "{question} was proven without a chain: {verdict:?}");
        }
        for _ in 0..KNOWN {
            trial.check_known(&attacker.question(&mut source));
        }
        if source.is_empty() {
            return;
        }
    }
}

/// Questions that are asked one after another.
const ROUNDS_MAX: usize = 5;
/// Questions after each that are answered from what is known by then.
const KNOWN: usize = 3;

/// Names of the world, and some that are not there.
pub(super) fn names(world: &World) -> Vec<Name> {
    let more =
        ["a.b.example.", "x.wild.example.", "x.y.dn.example.", "x.unsigned.example.", "x.lost.", "nx.", "ent.optout."];
    world.names().into_iter().chain(more.map(crate::message::name)).collect()
}

/// An anchor of the root that no key of it has.
fn alien_anchors() -> Arc<TrustAnchors> {
    let anchor =
        DsAnchor { zone: Name::root(), key_tag: 1, algorithm: 15, digest_type: 2, digest: Box::new([0x5a; 32]) };
    Arc::new(TrustAnchors::new(vec![anchor], Vec::new()))
}

/// All zones.
pub(super) fn world() -> World {
    let plans = vec![root(), example(), sub(), hashed(), opting_out(), plain(), island()];
    let (root, island) = (Path::new("."), Path::new("island.plain."));
    World::new(plans.into_iter().chain(odd()).collect(), &[root, island])
}

/// NSEC; one key of another algorithm signs the keys.
fn root() -> ZonePlan {
    let lost_ds = [&[1, 2, 15, 2][..], &[7; 32]].concat();
    let plan =
        ZonePlan::new(Path::new("."), 0).with("lost.", RecordType::NS, ns()).with("lost.", RecordType::DS, &lost_ds);
    ZonePlan { key_signing: vec![Key::Rsa], zone_signing: vec![Key::Ed25519 { seed: 1, flags: 256 }], ..plan }
}

/// NSEC, two keys, and one of everything. Its signatures end before its TTLs do.
fn example() -> ZonePlan {
    let plan = ZonePlan {
        key_signing: vec![Key::Ed25519 { seed: 2, flags: 257 }],
        zone_signing: vec![Key::Ed25519 { seed: 3, flags: 256 }],
        valid_s: 200,
        ..ZonePlan::new(Path::new("example."), 0)
    };
    let plan = plan
        .with("www.example.", RecordType::A, &[192, 0, 2, 1])
        .with("www.example.", RecordType::A, &[192, 0, 2, 2])
        .with("www.example.", RecordType::TXT, b"\x01t")
        .with("mx.example.", RecordType::MX, &[&[0, 10], &*Path::new("www.example.").wire()].concat())
        .with("a.ent.example.", RecordType::A, &[192, 0, 2, 3])
        .with("*.wild.example.", RecordType::A, &[192, 0, 2, 4])
        .with("there.wild.example.", RecordType::TXT, b"\x01w")
        .with("a.ent.wild.example.", RecordType::A, &[192, 0, 2, 14])
        .with("cut.wild.example.", RecordType::NS, ns())
        .with("x.*.odd.example.", RecordType::A, &[192, 0, 2, 5])
        .with("unsigned.example.", RecordType::NS, ns());
    let plan = aliased(
        plan,
        RecordType::CNAME,
        &[
            ("alias.example.", "www.example."),
            ("far.example.", "www.hashed."),
            ("chain.example.", "far.example."),
            ("dangling.example.", "nx.example."),
            ("loop.example.", "loop2.example."),
            ("loop2.example.", "loop.example."),
            ("plain.example.", "www.plain."),
            ("cut.example.", "x.unsigned.example."),
            ("deep.example.", "a.b.dn.example."),
            ("*.wildc.example.", "x.w.hashed."),
        ],
    );
    aliased(
        plan,
        RecordType::DNAME,
        &[
            ("dn.example.", "hashed."),
            ("dnplain.example.", "plain."),
            ("dnup.example.", "wild.example."),
            ("dn.wild.example.", "hashed."),
        ],
    )
}

/// A child with two algorithms.
fn sub() -> ZonePlan {
    let plan = ZonePlan { key_signing: vec![Key::of_seed(4), Key::Rsa], ..ZonePlan::new(Path::new("sub.example."), 0) };
    plan.with("www.sub.example.", RecordType::A, &[192, 0, 2, 6]).with("*.sub.example.", RecordType::TXT, b"\x01s")
}

/// NSEC3.
fn hashed() -> ZonePlan {
    let nsec3 = Nsec3Parameters { iterations: 1, salt: vec![0xab, 0xcd], opt_out: false };
    let plan = ZonePlan {
        nsec3: Some(nsec3),
        key_signing: vec![Key::Rsa],
        zone_signing: vec![Key::of_seed(5)],
        ..ZonePlan::new(Path::new("hashed."), 0)
    };
    let plan = plan
        .with("www.hashed.", RecordType::A, &[192, 0, 2, 7])
        .with("*.w.hashed.", RecordType::A, &[192, 0, 2, 8])
        .with("a.ent.w.hashed.", RecordType::A, &[192, 0, 2, 15])
        .with("cut.w.hashed.", RecordType::NS, ns())
        .with("a.b.c.hashed.", RecordType::TXT, b"\x01h")
        .with("unsigned.hashed.", RecordType::NS, ns());
    let plan = aliased(plan, RecordType::CNAME, &[("alias.hashed.", "alias.example."), ("*.wc.hashed.", "nx.hashed.")]);
    aliased(plan, RecordType::DNAME, &[("dn.hashed.", "wild.example.")])
}

/// NSEC3 that leaves unsigned delegations out.
fn opting_out() -> ZonePlan {
    let nsec3 = Nsec3Parameters { iterations: 0, salt: Vec::new(), opt_out: true };
    ZonePlan { nsec3: Some(nsec3), ..ZonePlan::new(Path::new("optout."), 6) }
        .with("www.optout.", RecordType::A, &[192, 0, 2, 9])
        .with("*.w.optout.", RecordType::A, &[192, 0, 2, 10])
        .with("unsigned.w.optout.", RecordType::NS, ns())
        .with("unsigned.optout.", RecordType::NS, ns())
        .with("unsigned.ent.optout.", RecordType::NS, ns())
        .with("alias.optout.", RecordType::CNAME, &Path::new("nx.optout.").wire())
}

/// No signatures.
fn plain() -> ZonePlan {
    let plan = ZonePlan { key_signing: Vec::new(), link: Link::Unsigned, ..ZonePlan::new(Path::new("plain."), 0) };
    let plan = plan.with("www.plain.", RecordType::A, &[192, 0, 2, 11]);
    aliased(plan, RecordType::CNAME, &[("alias.plain.", "www.example."), ("back.plain.", "www.island.plain.")])
}

/// Signed, below one that is not, with an anchor of its own.
fn island() -> ZonePlan {
    ZonePlan { link: Link::Unsigned, ..ZonePlan::new(Path::new("island.plain."), 7) }
        .with("www.island.plain.", RecordType::A, &[192, 0, 2, 12])
        .with("alias.island.plain.", RecordType::CNAME, &Path::new("www.plain.").wire())
}

/// Zones of which something is not supported: their algorithm, one of two algorithms, 100 and 151 iterations; and one that
/// is signed and that nothing leads to.
fn odd() -> Vec<ZonePlan> {
    let iterated = |iterations| Some(Nsec3Parameters { iterations, salt: vec![1], opt_out: false });
    let zone = |apex: &str, seed| {
        let www = format!("www.{apex}");
        let child = format!("unsigned.{apex}");
        ZonePlan::new(Path::new(apex), seed).with(&www, RecordType::A, &[192, 0, 2, 13]).with(
            &child,
            RecordType::NS,
            ns(),
        )
    };
    vec![
        ZonePlan { key_signing: vec![Key::Unsupported], ..zone("unsupported.", 0) },
        zone("www2.unsupported.", 8),
        ZonePlan { key_signing: vec![Key::Unsupported, Key::of_seed(9)], ..zone("mixed.", 0) },
        ZonePlan { nsec3: iterated(100), ..zone("iterated.", 10) },
        zone("sub.iterated.", 11),
        ZonePlan { nsec3: iterated(151), ..zone("far.", 12) },
        ZonePlan { nsec3: iterated(12), ..zone("a.b.c.d.hashed.", 13) },
        ZonePlan { link: Link::Unsigned, ..zone("signed.plain.", 14) },
    ]
}

fn aliased(plan: ZonePlan, rtype: RecordType, aliases: &[(&str, &str)]) -> ZonePlan {
    aliases.iter().fold(plan, |plan, (owner, target)| plan.with(owner, rtype, &Path::new(target).wire()))
}

/// RDATA of any NS.
fn ns() -> &'static [u8] {
    b"\x02ns\x07invalid\0"
}

#[cfg(test)]
mod tests {
    use resolver_user::validator::ProvenStatus;

    use super::super::world::Reply;
    use super::*;

    /// Without this the claim could hold because nothing is ever proven.
    #[test]
    fn honest_servers_are_believed() {
        let world = world();
        let names = names(&world);
        let below = names.iter().filter_map(|name| name.prepend(b"zz").ok());
        let (mut secure, mut insecure) = (0, 0);
        for name in names.iter().cloned().chain(below) {
            for rtype in [RecordType::A, RecordType::DS, RecordType::TXT, RecordType::SOA, RecordType::CNAME] {
                let question = Question::new(name.clone(), rtype);
                for follows in [false, true] {
                    let trial = Trial::new(&world);
                    trial.ask_honest(&question, follows);
                    let verdict = trial.ask(&question, |asked| Some(world.honest(asked, follows)));
                    let Verdict::Proven(proven) = verdict else { continue };
                    *(if proven.status() == ProvenStatus::Secure { &mut secure } else { &mut insecure }) += 1;
                }
            }
        }
        assert!(secure > 900 && insecure > 300, "{secure} secure, {insecure} insecure");
    }

    /// Without this fail-over could be played and never mend anything.
    #[test]
    fn of_two_servers_one_that_is_honest_is_enough() {
        let world = world();
        let names = names(&world);
        let breaks: [fn(&mut Reply); 2] = [strip, forge];
        let mut mended = 0;
        // Without signatures, where its zone starts and whether it is signed cannot be told of the zone that hashes too often.
        let tellable = names.iter().filter(|name| !name.is_at_or_below(&crate::message::name("far.")));
        for (name, breaks) in tellable.flat_map(|name| breaks.map(|breaks| (name, breaks))) {
            for rtype in [RecordType::A, RecordType::TXT, RecordType::DS] {
                let question = Question::new(name.clone(), rtype);
                let elsewhere = RefCell::new(0);
                let broken = |asked: &Question| {
                    let mut reply = world.honest(asked, false);
                    breaks(&mut reply);
                    Some(reply)
                };
                let trial = Trial::new(&world);
                let verdict = trial.ask_both(&question, broken, |asked| {
                    *elsewhere.borrow_mut() += 1;
                    Some(world.honest(asked, false))
                });
                trial.check_honest(&question, &verdict);
                let is_mended = *elsewhere.borrow() > 0 && matches!(verdict, Verdict::Proven(_));
                mended += u32::from(is_mended);
            }
        }
        assert!(mended > 100, "{mended} answers");
    }

    /// As a server that knows no DNSSEC.
    fn strip(reply: &mut Reply) {
        let is_proof = |rtype| matches!(rtype, RecordType::RRSIG | RecordType::NSEC | RecordType::NSEC3);
        reply.answer.retain(|record| !is_proof(record.rtype));
        reply.authority.retain(|record| !is_proof(record.rtype));
    }

    /// Signatures are of other data.
    fn forge(reply: &mut Reply) {
        let signatures = reply.answer.iter_mut().chain(&mut reply.authority);
        for signature in signatures.filter(|record| record.rtype == RecordType::RRSIG) {
            if let Some(last) = signature.rdata.last_mut() {
                *last ^= 1;
            }
        }
    }

    /// Whatever is known from any answers: no name that hides a wildcard, by whatever stands there, is answered by it.
    #[test]
    fn what_is_known_without_asking_is_true() {
        let world = world();
        let known = names(&world);
        let beside = |label: &'static [u8]| known.iter().filter_map(move |name| name.prepend(label).ok());
        let names: Vec<Name> = known.iter().cloned().chain(beside(b"mm")).chain(beside(b"zz")).collect();
        let types = [RecordType::A, RecordType::TXT, RecordType::DS, RecordType::CNAME];
        let trial = Trial::new(&world);
        for round in 0..2 {
            for (name, rtype) in names.iter().flat_map(|name| types.map(|rtype| (name, rtype))) {
                let question = Question::new(name.clone(), rtype);
                if round == 0 {
                    trial.ask_honest(&question, rtype == RecordType::A);
                }
                trial.check_known(&question);
                for label in [&b"nn"[..], b"\0", b"*"] {
                    trial.check_known(&Question::new(name.prepend(label).unwrap_or(name.clone()), rtype));
                }
            }
        }
        let (denials, expansions) = trial.known();
        assert!(denials > 2000 && expansions > 50, "{denials} denials, {expansions} answers from wildcards");
    }
}
