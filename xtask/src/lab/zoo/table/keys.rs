//! Keys: missing, spoiled, with the wrong fields; and every stage of every kind of roll (RFC 6781 §4.1, RFC 7583).

use super::super::{BOGUS, SECURE, Signer, Specimen, bogus, ksk, wire::PublicKey, zsk};

/// Keys.
pub const ROOM: &[Specimen] = &[
    Specimen::new("ksk-missing", "RFC 4035 §5.2").edited(1, |z| z.drop_key(0)).all(bogus(9)),
    Specimen::new("ksk-bad", "RFC 4035 §5.2").edited(1, |z| z.spoil_key(0, swap_words)).all(bogus(9)),
    Specimen::new("zsk-missing", "RFC 4035 §5.3.1").edited(2, |z| z.remove_key(1)).all(BOGUS),
    Specimen::new("zsk-bad", "RFC 4035 §5.3.3").edited(2, |z| z.change_key(1, swap_words)).all(BOGUS),
    Specimen::new("dnskey-missing", "RFC 4035 §5.2").edited(3, |z| z.remove_set(&z.below("@"), "DNSKEY")).all(bogus(9)),
    Specimen::new("ksk-no-zone-bit", "RFC 4034 §2.1.1, RFC 4035 §5.2")
        .ds(1, |apex, keys| vec![PublicKey { flags: 1, ..keys[0].clone() }.ds(apex, 2)])
        .edited(2, |z| z.change_key(0, |key| key.flags = 1))
        .all(bogus(11)),
    Specimen::new("zsk-no-zone-bit", "RFC 4034 §2.1.1, RFC 4035 §5.3.1")
        .keys(&[ksk(13), zsk(13), zsk(13).standby()])
        .edited(3, |z| {
            z.change_key(2, |key| key.flags = 0)?;
            z.sign_again(&z.below("www"), "A", 2, |_| ())
        })
        .answer(bogus(11)),
    Specimen::new("ksk-protocol-4", "RFC 4034 §2.1.2")
        .ds(1, |apex, keys| vec![PublicKey { protocol: 4, ..keys[0].clone() }.ds(apex, 2)])
        .edited(2, |z| z.change_key(0, |key| key.protocol = 4))
        .all(BOGUS),
    Specimen::new("ksk-unknown-flag", "RFC 4034 §2.1.1")
        .ds(1, |apex, keys| vec![PublicKey { flags: 257 | 2, ..keys[0].clone() }.ds(apex, 2)])
        .edited(2, |z| z.change_key(0, |key| key.flags |= 2)),
    Specimen::new("zsk-unassigned-algorithm", "RFC 4035 §5.3.1")
        .edited(2, |z| z.change_key(1, |key| key.algorithm = 100))
        .all(BOGUS),
    Specimen::new("zsk-reserved-algorithm", "RFC 4035 §5.3.1")
        .edited(2, |z| z.change_key(1, |key| key.algorithm = 200))
        .all(BOGUS),
    Specimen::new("key-tag-collision", "RFC 4034 §5.1.1, RFC 4035 §5.3.1").edited(2, |z| {
        let mut twin = z.keys[1].public.clone();
        swap_words(&mut twin);
        z.add_key(&twin)
    }),
    Specimen::new("csk", "RFC 6781 §3.1").keys(&[ksk(13)]).signer(Signer::Bind(&["-z"])),
    Specimen::new("csk-without-sep", "RFC 4034 §2.1.1").keys(&[zsk(13)]).signer(Signer::Bind(&["-z"])),
    Specimen::new("ksk-without-sep", "RFC 4034 §2.1.1")
        .ds(1, |apex, keys| vec![PublicKey { flags: 256, ..keys[0].clone() }.ds(apex, 2)])
        .edited(2, |z| z.change_key(0, |key| key.flags = 256)),
    Specimen::new("standby-ksk", "RFC 6781 §4.2.4").keys(&[ksk(13), zsk(13), ksk(13).standby()]),
    Specimen::new("standby-ksk-with-ds", "RFC 7583 §3.3.2")
        .keys(&[ksk(13), zsk(13), ksk(13).standby()])
        .ds(1, |apex, keys| vec![keys[0].ds(apex, 2), keys[2].ds(apex, 2)]),
    Specimen::new("ds-before-key", "RFC 7583 §3.3.3")
        .keys(&[ksk(13), zsk(13), ksk(13).standby()])
        .ds(1, |apex, keys| vec![keys[2].ds(apex, 2), keys[0].ds(apex, 2)])
        .edited(2, |z| z.remove_key(2)),
    Specimen::new("ds-of-standby-alone", "RFC 4035 §5.2")
        .keys(&[ksk(13), zsk(13), ksk(13).standby()])
        .ds(1, |apex, keys| vec![keys[2].ds(apex, 2)])
        .all(BOGUS),
    Specimen::new("standby-zsk", "RFC 6781 §4.1.1.1").keys(&[ksk(13), zsk(13), zsk(13).standby()]),
    Specimen::new("revoked-ksk", "RFC 5011 §2.1").keys(&[ksk(13), zsk(13), ksk(13).revoked()]),
    Specimen::new("ds-of-revoked", "RFC 5011 §2.1")
        .keys(&[ksk(13).revoked(), zsk(13)])
        .ds(0, |apex, keys| vec![keys[0].ds(apex, 2)])
        .all(BOGUS),
    Specimen::new("double-zsk", "RFC 6781 §4.1.1.2").keys(&[ksk(13), zsk(13), zsk(13)]),
    Specimen::new("double-ksk", "RFC 6781 §4.1.2").keys(&[ksk(13), zsk(13), ksk(13)]),
    Specimen::new("double-ksk-double-ds", "RFC 6781 §4.1.2")
        .keys(&[ksk(13), zsk(13), ksk(13)])
        .ds(1, |apex, keys| vec![keys[2].ds(apex, 2), keys[0].ds(apex, 2)]),
    Specimen::new("algorithm-roll", "RFC 6781 §4.1.4").keys(&[ksk(8).bits(2048), zsk(8).bits(2048), ksk(13), zsk(13)]),
    Specimen::new("algorithm-roll-double-ds", "RFC 6781 §4.1.4")
        .keys(&[ksk(8).bits(2048), zsk(8).bits(2048), ksk(13), zsk(13)])
        .ds(1, |apex, keys| vec![keys[0].ds(apex, 2), keys[2].ds(apex, 2)]),
    Specimen::new("algorithm-without-signatures", "RFC 6840 §5.11")
        .keys(&[ksk(13), zsk(13), zsk(8).bits(2048).standby()])
        .all(SECURE),
    // Any one path is enough for a validator, whatever the DS set announces.
    Specimen::new("algorithm-stripped", "RFC 6840 §5.11")
        .keys(&[ksk(8).bits(2048), zsk(8).bits(2048), ksk(13), zsk(13)])
        .ds(1, |apex, keys| vec![keys[0].ds(apex, 2), keys[2].ds(apex, 2)])
        .edited(1, |z| z.remove_signature(&z.below("www"), "A", 1)),
];

/// Spoils a key without changing its tag, which is a sum of its words.
fn swap_words(key: &mut PublicKey) {
    key.material.swap(0, 2);
    key.material.swap(1, 3);
}
