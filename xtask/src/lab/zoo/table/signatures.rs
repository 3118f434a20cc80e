//! Signatures: at the wrong time, missing, spoiled, or with fields that contradict the records.

use super::super::{BOGUS, INSECURE, SECURE, Signer, Specimen, bogus, ksk, there, zsk};

/// Signatures.
pub const ROOM: &[Specimen] = &[
    Specimen::new("rrsig-expired-all", "RFC 4035 §5.3.1").window(PAST.0, PAST.1).all(bogus(7)),
    Specimen::new("rrsig-expired-a", "RFC 4035 §5.3.1")
        .edited(1, |z| {
            z.sign_again(&z.below("www"), "A", 1, |fields| {
                (fields.inception, fields.expiration) = (PAST.0.to_owned(), PAST.1.to_owned());
            })
        })
        .answer(bogus(7)),
    Specimen::new("rrsig-future-all", "RFC 4035 §5.3.1").window(FUTURE.0, FUTURE.1).all(bogus(8)),
    Specimen::new("rrsig-future-a", "RFC 4035 §5.3.1")
        .edited(1, |z| {
            z.sign_again(&z.below("www"), "A", 1, |fields| {
                (fields.inception, fields.expiration) = (FUTURE.0.to_owned(), FUTURE.1.to_owned());
            })
        })
        .answer(bogus(8)),
    Specimen::new("rrsig-expired-before-inception-all", "RFC 4034 §3.1.5, RFC 4035 §5.3.1")
        .edited_within(&["RRSIG"], |z| {
            z.sign_all_again(|fields| std::mem::swap(&mut fields.inception, &mut fields.expiration))
        })
        .all(BOGUS),
    Specimen::new("rrsig-expired-before-inception-a", "RFC 4034 §3.1.5, RFC 4035 §5.3.1")
        .edited(1, |z| {
            z.sign_again(&z.below("www"), "A", 1, |fields| {
                std::mem::swap(&mut fields.inception, &mut fields.expiration);
            })
        })
        .answer(BOGUS),
    // Past the end of a signed 32-bit clock.
    Specimen::new("rrsig-beyond-2038", "RFC 4034 §3.1.5, RFC 1982 §3")
        .edited(1, |z| z.sign_again(&z.below("www"), "A", 1, |fields| fields.expiration = "20900101000000".to_owned())),
    Specimen::new("rrsig-missing-all", "RFC 4035 §5.2, §5.3")
        .edited_within(&["RRSIG"], |z| z.remove_all("RRSIG"))
        .all(bogus(10)),
    Specimen::new("rrsig-missing-a", "RFC 4035 §5.3")
        .edited(1, |z| z.remove(&z.below("www"), "RRSIG A"))
        .answer(bogus(10)),
    Specimen::new("rrsig-missing-dnskey", "RFC 4035 §5.2")
        .edited(1, |z| z.remove(&z.below("@"), "RRSIG DNSKEY"))
        .all(bogus(10)),
    Specimen::new("rrsig-missing-dnskey-ksk", "RFC 4035 §5.2")
        .signer(Signer::Bind(&[]))
        .edited(1, |z| z.remove_signature(&z.below("@"), "DNSKEY", 0))
        .all(BOGUS),
    Specimen::new("rrsig-bad-a", "RFC 4035 §5.3.3")
        .edited(1, |z| z.change(&z.below("www"), "RRSIG A", |record| record.spoil_word(8)))
        .answer(bogus(6)),
    Specimen::new("rrsig-bad-dnskey", "RFC 4035 §5.2")
        .edited(1, |z| z.change(&z.below("@"), "RRSIG DNSKEY", |record| record.spoil_word(8)))
        .all(BOGUS),
    Specimen::new("rrsig-bad-soa", "RFC 4035 §3.2.3, §5.3.3")
        .edited(1, |z| z.change(&z.below("@"), "RRSIG SOA", |record| record.spoil_word(8)))
        .nodata(BOGUS)
        .nxdomain(BOGUS)
        .ask(&[there("@", "SOA", 1, bogus(6))]),
    Specimen::new("rrsig-other-data", "RFC 4035 §5.3.3")
        .edited(1, |z| z.change(&z.below("www"), "A", |record| record.set_word(0, "192.0.2.81")))
        .answer(bogus(6)),
    Specimen::new("rrsig-signer-is-parent", "RFC 4035 §5.3.1")
        .edited(1, |z| z.change(&z.below("www"), "RRSIG A", |record| record.set_word(7, "zoo.test.")))
        .answer(BOGUS),
    Specimen::new("rrsig-signer-is-sibling", "RFC 4035 §5.3.1")
        .edited(1, |z| z.change(&z.below("www"), "RRSIG A", |record| record.set_word(7, "sound.zoo.test.")))
        .answer(BOGUS),
    Specimen::new("rrsig-signer-is-below", "RFC 4035 §5.3.1")
        .edited(1, |z| {
            let owner = z.below("www");
            z.sign_again(&owner.clone(), "A", 1, |fields| fields.signer = owner)
        })
        .answer(BOGUS),
    Specimen::new("rrsig-labels-too-many", "RFC 4035 §5.3.1")
        .edited(1, |z| z.sign_again(&z.below("www"), "A", 1, |fields| fields.labels += 1))
        .answer(BOGUS),
    Specimen::new("rrsig-labels-below-signer", "RFC 4035 §5.3.2")
        .on_nsd()
        .edited(1, |z| z.sign_again(&z.below("www"), "A", 1, |fields| fields.labels = 1))
        .answer(BOGUS),
    Specimen::new("rrsig-labels-none", "RFC 4035 §5.3.2")
        .on_nsd()
        .edited(1, |z| z.sign_again(&z.below("www"), "A", 1, |fields| fields.labels = 0))
        .answer(BOGUS),
    Specimen::new("rrsig-tag-unknown", "RFC 4035 §5.3.1")
        .edited(1, |z| z.sign_again(&z.below("www"), "A", 1, |fields| fields.tag ^= 0x5555))
        .answer(BOGUS),
    Specimen::new("rrsig-algorithm-other", "RFC 4035 §5.3.1")
        .edited(1, |z| z.change(&z.below("www"), "RRSIG A", |record| record.set_word(1, "8")))
        .answer(BOGUS),
    Specimen::new("rrsig-original-ttl-changed", "RFC 4035 §5.3.3")
        .edited(1, |z| z.change(&z.below("www"), "RRSIG A", |record| record.set_word(3, "301")))
        .answer(bogus(6)),
    // The TTL is no part of what is signed; it is cut down to the original one.
    Specimen::new("ttl-above-original", "RFC 4035 §5.3.3")
        .edited(1, |z| z.change(&z.below("www"), "A", |record| record.ttl_s = 900)),
    Specimen::new("rrsig-second-bad", "RFC 4035 §5.3.3, RFC 6840 §5.4")
        .keys(&[ksk(13), zsk(13), zsk(13)])
        .edited(1, |z| z.change_signature(&z.below("www"), "A", 2, |record| record.spoil_word(8)))
        .all(SECURE),
    Specimen::new("rrsig-first-bad", "RFC 4035 §5.3.3, RFC 6840 §5.4")
        .keys(&[ksk(13), zsk(13), zsk(13)])
        .edited(1, |z| z.change_signature(&z.below("www"), "A", 1, |record| record.spoil_word(8)))
        .all(SECURE),
    Specimen::new("rrsig-by-ksk", "RFC 4034 §2.1.1, RFC 4035 §5.3.1")
        .edited(1, |z| z.sign_again(&z.below("www"), "A", 0, |_| ())),
    // Nobody asked for signatures here, so nobody minds a wrong one.
    Specimen::new("rrsig-spurious", "RFC 4035 §5.2")
        .ds(1, |_, _| Vec::new())
        .edited(1, |z| z.change(&z.below("www"), "RRSIG A", |record| record.spoil_word(8)))
        .all(INSECURE),
];

/// A month that is over.
const PAST: (&str, &str) = ("20200101000000", "20200201000000");

/// A month to come.
const FUTURE: (&str, &str) = ("20370101000000", "20370201000000");
