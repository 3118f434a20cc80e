//! Attacks: zones that make a validator work as hard as it lets them, each name below being a new miss. They are asked about
//! by tests of their own, and never by other validators, whose limits are theirs.

use data_encoding::BASE64;

use super::super::{
    Ask, Key, Reply, SECURE, Signer, Specimen, bogus, insecure, ksk, not_there,
    scene::{Edited, Record, Scene},
    there,
    wire::{Ds, PublicKey},
    zsk,
};

/// Attacks.
pub const ROOM: &[Specimen] = &[
    key_trap("sigjam-p384", &[ksk(13), zsk(14)]).edited(SIGNATURES, jam).ask(ANY_BOGUS),
    key_trap("sigjam-ed448", &[ksk(13), zsk(16)]).edited(SIGNATURES, jam).ask(ANY_OVER_BUDGET),
    key_trap("lockcram-p384", P384).edited_within(&["DNSKEY", "A"], cram).ask(ANY_BOGUS),
    key_trap("lockcram-ed448", ED448).edited_within(&["DNSKEY", "A"], cram).ask(ANY_BOGUS),
    key_trap("keysigtrap-p384", P384).edited_within(&["DNSKEY", "A"], cram_and_jam).ask(ANY_OVER_BUDGET),
    key_trap("keysigtrap-ed448", ED448).edited_within(&["DNSKEY", "A"], cram_and_jam).ask(ANY_OVER_BUDGET),
    key_trap("keysigtrap-rsa4096", &[ksk(13), zsk(8).bits(4096)])
        .edited_within(&["DNSKEY", "A"], cram_and_jam)
        .ask(ANY_BOGUS),
    hash_trap("hashtrap-rsa4096", &[ksk(8).bits(4096)]),
    hash_trap("hashtrap-ed448", ED448_KSKS),
    // As many iterations as are hashed at all; the walk to the closest encloser tries every label.
    Specimen::new("nsec3-labels-50", "RFC 5155 §8.3, RFC 9276 §3.2 (CVE-2023-50868)")
        .attack()
        .nsec3(50, SALT, false)
        .ask(&[not_there("nowhere", "A", Reply::NxDomain, SECURE), not_there(DEEP, "A", Reply::NxDomain, bogus(27))]),
    Specimen::new("nsec3-labels-150", "RFC 5155 §8.3, RFC 9276 §3.2 (CVE-2023-50868)")
        .attack()
        .nsec3(150, SALT, false)
        .ask(&[not_there(DEEP, "A", Reply::NxDomain, insecure(27))]),
];

/// A zone whose data are signed by what costs most, with a wildcard for whatever is asked. Its keys are signed by a cheap one.
const fn key_trap(name: &'static str, keys: &'static [Key]) -> Specimen {
    Specimen::new(name, "RFC 4035 §5.3.1, RFC 4034 §B (CVE-2023-50387)")
        .attack()
        .keys(keys)
        .content("* IN A 192.0.2.66")
}

/// A zone with many keys of one tag, and many DS that name them all and vouch for none.
const fn hash_trap(name: &'static str, keys: &'static [Key]) -> Specimen {
    key_trap(name, keys)
        .signer(Signer::Bind(&["-z"]))
        .ds(DS_RECORDS, useless_ds)
        .edited_within(&["DNSKEY"], |z| collide(z, 0))
        .ask(ANY_WITHOUT_KEY)
}

/// Replaces the signature of the wildcard by many that fail as late as can be.
fn jam(z: &mut Scene) -> Edited {
    let owner = z.below("*");
    let good = z.of(&owner, "RRSIG A").next().cloned();
    z.remove(&owner, "RRSIG A")?;
    let bad = |number| good.iter().map(move |record| spoiled(record, number));
    (1..=SIGNATURES).flat_map(bad).for_each(|record| z.add(record));
    Ok(())
}

/// Spoils the signature of the wildcard, and lets it be of any of many keys.
fn cram(z: &mut Scene) -> Edited {
    z.change(&z.below("*"), "RRSIG A", |record| *record = spoiled(record, 1))?;
    cram_keys(z)
}

/// Gives other keys the tag of the one that signs data, and has the first key alone sign them all.
fn cram_keys(z: &mut Scene) -> Edited {
    z.remove_signature(&z.below("@"), "DNSKEY", 1)?;
    collide(z, 1)?;
    z.sign_again(&z.below("@"), "DNSKEY", 0, |_| ())
}

/// Both.
fn cram_and_jam(z: &mut Scene) -> Edited {
    jam(z)?;
    cram_keys(z)
}

/// Gives other keys the tag of one key, so that whatever names it names them all. All are real keys, lest they be refused at a
/// glance; the set's signature stays as it was.
///
/// Reserved flags, which validators ignore (RFC 4034 §2.1.1), make up for what a tag lacks, where the flags that matter
/// allow it: with one key of four. Of RSA any odd number will do, so its words are swapped, which leaves their sum alone.
fn collide(z: &mut Scene, like: usize) -> Edited {
    let apex = z.below("@");
    let first = z.keys[like].public.clone();
    for key in like + 1..z.keys.len() {
        match flags_for(&z.keys[key].public, first.tag()) {
            Some(flags) => z.spoil_key(key, |public| public.flags = flags)?,
            None => z.drop_key(key)?,
        }
    }
    if first.algorithm == 8 {
        for pair in 1..=RSA_KEYS {
            let mut twin = first.clone();
            (0..2).for_each(|octet| twin.material.swap(4 * pair + octet + 4, 4 * pair + octet + 6));
            z.add(Record { owner: apex.clone(), ttl_s: 300, rtype: "DNSKEY".to_owned(), rdata: twin.text() });
        }
    }
    Ok(())
}

/// The flags that give a zone key this tag, if they leave it a zone key that is not revoked.
fn flags_for(key: &PublicKey, tag: u16) -> Option<u16> {
    let flags = (i32::from(key.flags) + i32::from(tag) - i32::from(key.tag())).rem_euclid(65_535);
    let made = PublicKey { flags: u16::try_from(flags).ok()?, ..key.clone() };
    (made.tag() == tag && made.flags & 0x0100 != 0 && made.flags & 0x0080 == 0).then_some(made.flags)
}

/// A signature that differs by its number, where neither ECDSA nor EdDSA refuse it at a glance: in the second half.
fn spoiled(record: &Record, number: usize) -> Record {
    let words: Vec<&str> = record.rdata.split(' ').collect();
    let (fields, signature) = words.split_at(8);
    let mut octets = BASE64.decode(signature.concat().as_bytes()).unwrap_or_default();
    let at = octets.len() * 3 / 5;
    octets[at] ^= number as u8;
    Record { rdata: format!("{} {}", fields.join(" "), BASE64.encode(&octets)), ..record.clone() }
}

/// DS records that name a key and have digests of nothing.
fn useless_ds(apex: &str, keys: &[PublicKey]) -> Vec<Ds> {
    let due = keys[0].ds(apex, 2);
    let useless = |number: usize| {
        let mut digest = due.digest.clone();
        digest[0] ^= number as u8;
        Ds { digest, ..due.clone() }
    };
    (1..=DS_RECORDS).map(useless).collect()
}

/// Bad data and nothing to make them insecure.
const ANY_BOGUS: &[Ask] = &[there("any", "A", 1, bogus(6))];
/// Work runs out before that is known.
const ANY_OVER_BUDGET: &[Ask] = &[there("any", "A", 1, bogus(5))];
/// No key that a DS vouches for.
const ANY_WITHOUT_KEY: &[Ask] = &[there("any", "A", 1, bogus(9))];
/// Signatures of a jammed set: what 64 kB hold of the longest.
const SIGNATURES: usize = 80;
/// DS records of a trap.
const DS_RECORDS: usize = 30;
/// RSA keys that are made from one.
const RSA_KEYS: usize = 20;
/// Not empty, so that a round is not the shortest possible.
const SALT: &str = "AABBCCDDEEFF0011";
/// Thirty labels.
const DEEP: &str = "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20.21.22.23.24.25.26.27.28.29.30";
/// Keys of P-384, of which some can be made to collide.
const P384: &[Key] = &[ksk(13), zsk(14), S384, S384, S384, S384, S384, S384, S384, S384, S384, S384, S384, S384];
const S384: Key = zsk(14).standby();
/// Keys of Ed448, of which some can be made to collide.
const ED448: &[Key] = &[ksk(13), zsk(16), S448, S448, S448, S448, S448, S448, S448, S448, S448, S448, S448, S448];
const S448: Key = zsk(16).standby();
/// The same for keys that sign keys.
const ED448_KSKS: &[Key] = &[ksk(16), K448, K448, K448, K448, K448, K448, K448, K448, K448, K448, K448, K448];
const K448: Key = ksk(16).standby();
