//! Denial of existence: proofs that are missing, spoiled, or about something else; parameters at the edge.

use super::super::{
    BOGUS, INSECURE, Reply, SECURE, Signer, Specimen, bogus, insecure, not_there, scene::Record, there,
};

/// Denial of existence.
pub const ROOM: &[Specimen] = &[
    Specimen::new("nsec-missing", "RFC 4035 §5.4")
        .edited(2, |z| z.remove_set(&z.covering("oops"), "NSEC"))
        .ask(&[not_there("oops", "A", Reply::NxDomain, BOGUS)]),
    Specimen::new("nsec-missing-at-name", "RFC 4035 §5.4")
        .on_nsd()
        .edited(2, |z| z.remove_set(&z.below("www"), "NSEC"))
        .nodata(BOGUS),
    Specimen::new("nsec-signature-missing", "RFC 4035 §5.4")
        .on_nsd()
        .edited(1, |z| z.remove(&z.below("www"), "RRSIG NSEC"))
        .nodata(BOGUS),
    Specimen::new("nsec-gap", "RFC 4035 §5.4")
        .edited(2, |z| {
            let next = z.below("aaa");
            z.change_signed(&z.below("@"), "NSEC", 1, |record| record.set_word(0, &next))
        })
        .nxdomain(bogus(12)),
    Specimen::new("nsec-lists-the-type", "RFC 4035 §5.4")
        .edited(2, |z| z.change_signed(&z.below("www"), "NSEC", 1, |record| record.rdata += " MX"))
        .nodata(BOGUS),
    Specimen::new("nsec-lists-a-cname", "RFC 6840 §4.3")
        .edited(2, |z| z.change_signed(&z.below("www"), "NSEC", 1, |record| record.rdata += " CNAME"))
        .nodata(BOGUS),
    Specimen::new("nsec-bad-signature", "RFC 4035 §5.4")
        .edited(1, |z| z.change(&z.below("www"), "RRSIG NSEC", |record| record.spoil_word(8)))
        .nodata(BOGUS),
    // The whole record is invalid, whatever it is used for.
    Specimen::new("nsec-next-outside", "RFC 4034 §4.1.1")
        .edited(2, |z| z.change_signed(&z.below("www"), "NSEC", 1, |record| record.set_word(0, "zzz.zoo.test.")))
        .nodata(BOGUS)
        .ask(&[not_there("zzz", "A", Reply::NxDomain, BOGUS)]),
    // The parent's NSEC at the zone cut says nothing about the child's data.
    Specimen::new("nsec-of-parent", "RFC 6840 §4.1, RFC 4035 §5.4")
        .edited(2, |z| {
            let apex = z.below("@");
            let taken = |record: &&Record| record.owner == apex && (record.rtype == "NSEC" || record.word(0) == "NSEC");
            let parents: Vec<Record> = z.parent.iter().filter(taken).cloned().collect();
            z.remove_set(&apex, "NSEC")?;
            parents.into_iter().for_each(|record| z.add(record));
            Ok(())
        })
        .nxdomain(BOGUS)
        .ask(&[not_there("@", "TYPE65399", Reply::NoData, BOGUS)]),
    Specimen::new("ent", "RFC 4035 §5.4, RFC 4592 §2.2.2")
        .content("leaf.ent IN A 192.0.2.44")
        .ask(&[not_there("ent", "A", Reply::NoData, SECURE), there("leaf.ent", "A", 1, SECURE)]),
    Specimen::new("nsec3-sound", "RFC 5155 §8").nsec3(0, "-", false),
    Specimen::new("nsec3-ent", "RFC 5155 §7.1, §8.5")
        .nsec3(0, "-", false)
        .content("leaf.ent IN A 192.0.2.44")
        .ask(&[not_there("ent", "A", Reply::NoData, SECURE), there("leaf.ent", "A", 1, SECURE)]),
    Specimen::new("nsec3-missing", "RFC 5155 §8.4")
        .nsec3(0, "-", false)
        .edited_within(&["NSEC3"], |z| z.remove_all("NSEC3"))
        .nodata(bogus(12))
        .nxdomain(bogus(12)),
    Specimen::new("nsec3-bad-hash", "RFC 5155 §8.3")
        .nsec3(0, "-", false)
        .edited(2, |z| {
            z.change_signed(&z.hashed("@"), "NSEC3", 1, |record| {
                record.owner = bumped(&record.owner);
            })
        })
        .nxdomain(BOGUS)
        .ask(&[not_there("@", "TYPE65399", Reply::NoData, BOGUS)]),
    Specimen::new("nsec3-bad-next", "RFC 5155 §8.4")
        .nsec3(0, "-", false)
        .edited(2, |z| {
            z.change_signed(&z.covering("nowhere"), "NSEC3", 1, |record| {
                let owner = bumped(&record.owner);
                record.set_word(4, owner.split('.').next().unwrap_or_default());
            })
        })
        .nxdomain(BOGUS),
    Specimen::new("nsec3-bad-signature", "RFC 5155 §8.1, RFC 4035 §5.4")
        .nsec3(0, "-", false)
        .edited(1, |z| z.change(&z.hashed("@"), "RRSIG NSEC3", |record| record.spoil_word(8)))
        .nxdomain(BOGUS)
        .ask(&[not_there("@", "TYPE65399", Reply::NoData, BOGUS)]),
    Specimen::new("nsec3-signature-missing", "RFC 5155 §8.1, RFC 4035 §5.4")
        .nsec3(0, "-", false)
        .edited(1, |z| z.remove(&z.hashed("@"), "RRSIG NSEC3"))
        .nxdomain(BOGUS)
        .ask(&[not_there("@", "TYPE65399", Reply::NoData, BOGUS)]),
    Specimen::new("nsec3-unknown-flag", "RFC 5155 §8.2")
        .nsec3(0, "-", false)
        .edited(2, |z| z.change_signed(&z.hashed("@"), "NSEC3", 1, |record| record.set_word(1, "2")))
        .nxdomain(BOGUS)
        .ask(&[not_there("@", "TYPE65399", Reply::NoData, BOGUS)]),
    Specimen::new("nsec3-lists-the-type", "RFC 5155 §8.5")
        .nsec3(0, "-", false)
        .edited(2, |z| z.change_signed(&z.hashed("www"), "NSEC3", 1, |record| record.rdata += " MX"))
        .nodata(BOGUS),
    // Validators do not use NSEC3PARAM; the server does, and finds no proof to send, or takes the zone for unsigned.
    Specimen::new("nsec3param-missing", "RFC 5155 §4, §7.2")
        .nsec3(0, "-", false)
        .edited(2, |z| z.remove_set(&z.below("@"), "NSEC3PARAM"))
        .all(BOGUS)
        .answer(bogus(10)),
    Specimen::new("nsec3param-missing-on-nsd", "RFC 5155 §4, §7.2")
        .on_nsd()
        .nsec3(0, "-", false)
        .edited(2, |z| z.remove_set(&z.below("@"), "NSEC3PARAM"))
        .nodata(BOGUS)
        .nxdomain(BOGUS),
    Specimen::new("nsec3param-salt", "RFC 5155 §4, §7.2")
        .nsec3(0, "-", false)
        .edited(2, |z| z.change_signed(&z.below("@"), "NSEC3PARAM", 1, |record| record.set_word(3, "AABB")))
        .nodata(bogus(12))
        .nxdomain(bogus(12)),
    Specimen::new("nsec3param-iterations", "RFC 5155 §4, §7.2")
        .nsec3(0, "-", false)
        .edited(2, |z| z.change_signed(&z.below("@"), "NSEC3PARAM", 1, |record| record.set_word(2, "7")))
        .nodata(bogus(12))
        .nxdomain(bogus(12)),
    Specimen::new("nsec3-salt", "RFC 5155 §3.1.5").nsec3(0, "AABBCCDD", false),
    Specimen::new("nsec3-iterations-1", "RFC 9276 §3.2; Choice: to 50 as ever").nsec3(1, "-", false),
    Specimen::new("nsec3-iterations-50", "RFC 9276 §3.2; Choice: to 50 as ever").nsec3(50, "-", false),
    Specimen::new("nsec3-iterations-51", "RFC 9276 §3.2; Choice: over 50 insecure")
        .nsec3(51, "-", false)
        .nodata(insecure(27))
        .nxdomain(insecure(27)),
    Specimen::new("nsec3-iterations-101", "RFC 9276 §3.2; Choice: over 50 insecure")
        .nsec3(101, "-", false)
        .nodata(insecure(27))
        .nxdomain(insecure(27)),
    Specimen::new("nsec3-iterations-151", "RFC 9276 §3.2; Choice: over 150 bogus")
        .signer(Signer::Ldns)
        .nsec3(151, "-", false)
        .nodata(bogus(27))
        .nxdomain(bogus(27)),
    Specimen::new("nsec3-iterations-200", "RFC 9276 §3.2; Choice: over 150 bogus")
        .signer(Signer::Ldns)
        .nsec3(200, "-", false)
        .nodata(bogus(27))
        .nxdomain(bogus(27)),
    Specimen::new("opt-out", "RFC 5155 §9.2")
        .nsec3(0, "-", true)
        .nxdomain(INSECURE)
        .ask(&[not_there("plain", "DS", Reply::NoData, INSECURE), there("signed", "DS", 1, SECURE)]),
    Specimen::new("plain.opt-out", "RFC 5155 §6, §8.6").unsigned(),
    Specimen::new("signed.opt-out", "RFC 5155 §6"),
    Specimen::new("cut", "RFC 5155 §8.6").nsec3(0, "-", false).ask(&[not_there("plain", "DS", Reply::NoData, SECURE)]),
    Specimen::new("plain.cut", "RFC 5155 §8.6").unsigned(),
];

/// The name with the last digit of its first label raised, or lowered if it cannot be.
fn bumped(owner: &str) -> String {
    let (hash, rest) = owner.split_once('.').unwrap_or((owner, ""));
    let (start, last) = hash.split_at(hash.len() - 1);
    let other = match last.bytes().next() {
        Some(b'v') | None => 'u',
        Some(b'9') => 'a',
        Some(digit) => char::from(digit + 1),
    };
    format!("{start}{other}.{rest}")
}
