//! The canonical form of sets (RFC 4034 §6, RFC 6840 §5.1): what is signed over one spelling of a set verifies with every
//! other spelling of the same set, and with no other set.
//!
//! The bytes are a set and a second one, which differs by letter case, order, repetition, or by what it says. The first is
//! signed over a canonical form that is made here, from the RFC and not with the product's code.

use std::collections::BTreeSet;

use resolver_user::clock::{NS_PER_S, Now};
use resolver_user::validator::{Policy, SignatureOutcome, WorkBudget, check_signature};
use resolver_user::wire::{CLASS_IN, Name, Record, RecordType, RrSet, Rrsig};

use super::source::Source;
use super::world::{Key, Path, SignatureFields};

/// Signs a set and verifies it and others that are nearly the same.
pub fn canonical(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let rtype = RecordType(if source.flag() { *source.pick(TYPES) } else { source.word() });
    if rtype == RecordType::RRSIG {
        return;
    }
    let owner = owner(&mut source);
    let rdatas: Vec<Vec<u8>> = (0..=source.byte() % 4).map(|_| rdata(rtype, &mut source)).collect();
    let Some(labels) = labels(&owner, &mut source) else { return };
    let set = RrSet { owner, rtype, ttl_s: source.long(), rdatas: boxed(&rdatas), signatures: Vec::new() };
    let signature = sign(&set, labels, source.long());
    check(&set, &set, &signature);
    if let Some(form) = form(rtype, &set.rdatas) {
        let sorted: Vec<Vec<u8>> = form.into_iter().collect();
        check(&set, &RrSet { owner: set.owner.to_lowercase(), rdatas: boxed(&sorted), ..set.clone() }, &signature);
    }
    let other = changed(&set, &mut source);
    check(&set, &other, &signature);
}

/// A signature of `signed` verifies with `given` if both are the same set, and only then.
fn check(signed: &RrSet, given: &RrSet, signature: &Rrsig) {
    let (Some(owner), Some(given_owner)) = (signed_owner(signed, signature), signed_owner(given, signature)) else {
        return;
    };
    let (expected, found) = (form(signed.rtype, &signed.rdatas), form(given.rtype, &given.rdatas));
    let is_same = expected.is_some() && expected == found && owner == given_owner && signed.rtype == given.rtype;
    let mut budget = WorkBudget::new(Policy::DEFAULT.limits);
    let keys = [KEY.dnskey().into_boxed_slice()];
    let outcome = check_signature(given, signature, &keys, NOW, &Policy::DEFAULT, &mut budget);
    assert_eq!(outcome == SignatureOutcome::Verifies, is_same, "{outcome:?}: {signed:?} as {given:?}");
}

/// The owner that a signature with its number of labels is made over (RFC 4035 §5.3.2); none if that cannot be.
fn signed_owner(set: &RrSet, signature: &Rrsig) -> Option<Vec<u8>> {
    let path = Path::of(&set.owner);
    let (own, labels) = (path.signed_labels(), signature.labels);
    if labels > own {
        return None;
    }
    let wildcard = || path.first(labels.into()).wildcard().map(|wildcard| wildcard.wire());
    if labels == own { Some(path.wire()) } else { wildcard() }
}

/// Signs a set as its zone would, over the form that this file makes. One without a canonical form is signed as it is:
/// nothing may verify it.
fn sign(set: &RrSet, labels: u8, original_ttl_s: u32) -> Rrsig {
    let root = Path::new(".");
    let times = NOW_S - 10..NOW_S + 10;
    let fields = SignatureFields { signer: &root, rtype: set.rtype, labels, ttl_s: original_ttl_s, times };
    let rdatas = match form(set.rtype, &set.rdatas) {
        Some(form) => form.into_iter().collect(),
        None => set.rdatas.iter().map(|rdata| rdata.to_vec()).collect::<Vec<_>>(),
    };
    let path = Path::of(&set.owner);
    let own = labels == path.signed_labels();
    let owner = if own { Some(path) } else { path.first(labels.into()).wildcard() };
    let rdata = KEY.rrsig(&fields, &owner.map(|owner| owner.wire()).unwrap_or_default(), &rdatas);
    let record =
        Record { owner: Name::root(), rtype: RecordType::RRSIG, class: CLASS_IN, ttl_s: 1, rdata: rdata.into() };
    Rrsig::read(&record).expect("a whole RRSIG")
}

/// The canonical RDATAs of a set, in their order, each once; none if one of them does not follow its type.
fn form(rtype: RecordType, rdatas: &[Box<[u8]>]) -> Option<BTreeSet<Vec<u8>>> {
    rdatas.iter().map(|rdata| canonical_rdata(rtype, rdata)).collect()
}

/// Fixed bytes, character strings, and then names that are folded (RFC 4034 §6.2 without NSEC, RFC 6840 §5.1).
fn shape(rtype: RecordType) -> (usize, usize, usize) {
    match rtype.0 {
        2..=5 | 7..=9 | 12 | 30 | 39 => (0, 0, 1),
        6 | 14 | 17 => (0, 0, 2),
        15 | 18 | 21 | 36 => (2, 0, 1),
        24 => (18, 0, 1),
        26 => (2, 0, 2),
        33 => (6, 0, 1),
        35 => (4, 3, 1),
        _ => (0, 0, 0),
    }
}

fn canonical_rdata(rtype: RecordType, rdata: &[u8]) -> Option<Vec<u8>> {
    let (fixed, strings, names) = shape(rtype);
    let mut at = fixed;
    let mut names_left = names;
    if rtype.0 == 38 {
        // A prefix length, as many address bytes as it leaves over, and a name unless it is 0 (RFC 2874 §3.1).
        let prefix = usize::from(*rdata.first()?);
        at = 1 + 128usize.checked_sub(prefix)?.div_ceil(8);
        names_left = usize::from(prefix > 0);
    }
    for _ in 0..strings {
        at += 1 + usize::from(*rdata.get(at)?);
    }
    let mut out = rdata.to_vec();
    for _ in 0..names_left {
        let start = at;
        while let len @ 1.. = usize::from(*rdata.get(at)?) {
            if len > 63 {
                return None;
            }
            out.get_mut(at + 1..=at + len)?.make_ascii_lowercase();
            at += 1 + len;
        }
        at += 1;
        if at - start > 255 {
            return None;
        }
    }
    (at <= rdata.len()).then_some(out)
}

/// Another spelling, or another set: letters change case, records are turned around or repeated, bytes change.
fn changed(set: &RrSet, source: &mut Source<'_>) -> RrSet {
    let mut other = set.clone();
    for _ in 0..source.byte() % 4 {
        let at = usize::from(source.byte()) % other.rdatas.len();
        let len = other.rdatas[at].len().max(1);
        let place = usize::from(source.byte()) % len;
        match source.byte() % 8 {
            0 => other.rdatas.reverse(),
            1 => other.rdatas.push(other.rdatas[at].clone()),
            2 => other.rdatas[at].iter_mut().skip(place).for_each(swap_case),
            3 => other.rdatas[at].iter_mut().skip(place).take(1).for_each(swap_case),
            4 => other.rdatas[at].iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 1),
            5 => other.rdatas[at] = [&*other.rdatas[at], &[0]].concat().into(),
            6 => other.owner = Name::from_wire(&other.owner.wire().to_ascii_uppercase()).expect("only letters change"),
            _ => other.owner = owner(source),
        }
    }
    other
}

fn swap_case(byte: &mut u8) {
    if byte.is_ascii_alphabetic() {
        *byte ^= 0x20;
    }
}

/// RDATA that follows its type with names in any letter case, or any bytes.
fn rdata(rtype: RecordType, source: &mut Source<'_>) -> Vec<u8> {
    if source.flag() {
        return source.run().to_vec();
    }
    let (fixed, strings, names) = shape(rtype);
    let mut rdata = source.bytes(fixed).to_vec();
    rdata.resize(fixed, 0);
    for _ in 0..strings {
        let string = source.run();
        rdata.push(u8::try_from(string.len()).expect("a run is short"));
        rdata.extend(string);
    }
    for _ in 0..names {
        rdata.extend(owner(source).wire());
    }
    rdata.extend(source.run());
    rdata
}

fn owner(source: &mut Source<'_>) -> Name {
    let mut name = Name::root();
    for _ in 0..source.byte() % 5 {
        let label = *source.pick::<&[u8]>(&[b"a", b"B", b"*", b"Ab", b"[", b"\0", b"\xc0", b"@Z`z{"]);
        name = name.prepend(label).unwrap_or(name);
    }
    name
}

/// Labels of the owner, or fewer, as those of a wildcard that it was made from.
fn labels(owner: &Name, source: &mut Source<'_>) -> Option<u8> {
    let own = Path::of(owner).signed_labels();
    own.checked_sub(if source.flag() { source.byte() % 3 } else { 0 })
}

fn boxed(rdatas: &[Vec<u8>]) -> Vec<Box<[u8]>> {
    rdatas.iter().map(|rdata| rdata.clone().into_boxed_slice()).collect()
}

/// Types with names in their RDATA, folded or not, and some without.
const TYPES: &[u16] = &[
    2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15, 17, 18, 21, 24, 26, 30, 33, 35, 36, 38, 39, 1, 13, 16, 28, 43, 47, 48, 50, 55,
    64, 65, 107, 0xff00,
];
const KEY: Key = Key::Ed25519 { seed: 1, flags: 257 };
const NOW_S: u32 = 1_750_000_000;
const NOW: Now = Now { unix_s: 1_750_000_000, boot_ns: NS_PER_S };

#[cfg(test)]
mod tests {
    use super::*;

    /// The forms of RFC 4034 §6.2 and what RFC 6840 §5.1 took out of them, spelled out.
    #[test]
    fn names_are_folded_by_type() {
        let name = b"\x01A\x02bC\0";
        let folded = b"\x01a\x02bc\0";
        for (number, before) in [(2, 0), (5, 0), (15, 2), (33, 6), (39, 0)] {
            let rdata = [&vec![b'X'; before][..], name].concat();
            let expected = [&vec![b'X'; before][..], folded].concat();
            assert_eq!(canonical_rdata(RecordType(number), &rdata), Some(expected), "{number}");
        }
        for number in [1, 16, 47, 64, 65, 0xff00] {
            assert_eq!(canonical_rdata(RecordType(number), name), Some(name.to_vec()), "{number}");
        }
        let naptr = [&b"\0\x01\0\x01\x01S\x03SIP\x02!X"[..], name].concat();
        let expected = [&b"\0\x01\0\x01\x01S\x03SIP\x02!X"[..], folded].concat();
        assert_eq!(canonical_rdata(RecordType(35), &naptr), Some(expected));
        for short in [&b""[..], b"\x01A", b"\xc0\x0c", b"\x40"] {
            assert_eq!(canonical_rdata(RecordType::CNAME, short), None);
        }
    }
}
