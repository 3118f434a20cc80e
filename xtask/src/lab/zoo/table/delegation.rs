//! What the parent says: no DS, a wrong DS, a DS that nobody understands, several of them.

use super::super::{INSECURE, SECURE, Signer, Specimen, bogus, insecure, wire::Ds};

/// Delegations.
pub const ROOM: &[Specimen] = &[
    Specimen::new("sound", "RFC 4035 §5.2"),
    Specimen::new("no-ds", "RFC 4035 §5.2").ds(1, |_, _| Vec::new()).all(INSECURE),
    Specimen::new("ds-bad-tag", "RFC 4035 §5.2")
        .ds(1, |apex, keys| {
            let due = keys[0].ds(apex, 2);
            vec![Ds { tag: due.tag ^ 1, ..due }]
        })
        .all(bogus(9)),
    Specimen::new("ds-bad-algorithm", "RFC 4035 §5.2")
        .ds(1, |apex, keys| vec![Ds { algorithm: 8, ..keys[0].ds(apex, 2) }])
        .all(bogus(9)),
    Specimen::new("ds-unassigned-algorithm", "RFC 4035 §5.2")
        .ds(1, |apex, keys| vec![Ds { algorithm: 100, ..keys[0].ds(apex, 2) }])
        .all(insecure(1)),
    Specimen::new("ds-reserved-algorithm", "RFC 4035 §5.2")
        .ds(1, |apex, keys| vec![Ds { algorithm: 200, ..keys[0].ds(apex, 2) }])
        .all(insecure(1)),
    Specimen::new("ds-unassigned-digest", "RFC 4035 §5.2, RFC 6840 §5.2")
        .ds(1, |apex, keys| vec![keys[0].ds(apex, 100)])
        .all(insecure(2)),
    Specimen::new("ds-reserved-digest", "RFC 4035 §5.2, RFC 6840 §5.2")
        .ds(1, |apex, keys| vec![keys[0].ds(apex, 0)])
        .all(insecure(2)),
    Specimen::new("ds-gost-digest", "RFC 6840 §5.2, RFC 9906 §2")
        .ds(1, |apex, keys| vec![keys[0].ds(apex, 3)])
        .all(insecure(2)),
    Specimen::new("ds-bogus-digest", "RFC 4035 §5.2")
        .ds(1, |apex, keys| {
            let mut due = keys[0].ds(apex, 2);
            due.digest[7] ^= 1;
            vec![due]
        })
        .all(bogus(9)),
    // The digest covers the owner: a sibling's DS does not fit, even where both zones have the same key.
    Specimen::new("ds-of-sibling", "RFC 4034 §5.1.4")
        .ds(1, |_, keys| vec![keys[0].ds("sound.zoo.test.", 2)])
        .all(bogus(9)),
    Specimen::new("ds-sha384", "RFC 6605 §2").ds(1, |apex, keys| vec![keys[0].ds(apex, 4)]),
    Specimen::new("ds-sha1-alone", "RFC 6840 §5.2; Choice: dnssec-policy, digest 1 is refused")
        .ds(1, |apex, keys| vec![keys[0].ds(apex, 1)])
        .all(insecure(2)),
    Specimen::new("ds-sha1-bogus-besides", "RFC 4509 §3")
        .ds(1, |apex, keys| vec![keys[0].ds("sound.zoo.test.", 1), keys[0].ds(apex, 2)]),
    Specimen::new("ds-sha1-downgrade", "RFC 4509 §3")
        .ds(2, |apex, keys| vec![keys[0].ds(apex, 1), keys[0].ds("sound.zoo.test.", 2)])
        .all(bogus(9)),
    Specimen::new("ds-second-bogus", "RFC 4035 §5.2")
        .ds(1, |apex, keys| vec![keys[0].ds(apex, 2), keys[0].ds("sound.zoo.test.", 2)]),
    Specimen::new("ds-second-unknown-algorithm", "RFC 4035 §5.2")
        .ds(1, |apex, keys| vec![keys[0].ds(apex, 2), Ds { algorithm: 100, ..keys[0].ds(apex, 2) }]),
    Specimen::new("ds-second-unknown-digest", "RFC 6840 §5.2")
        .ds(1, |apex, keys| vec![keys[0].ds(apex, 2), keys[0].ds(apex, 100)]),
    Specimen::new("ds-without-zone", "RFC 4035 §5.2").signer(Signer::Nobody).all(bogus(9)),
    Specimen::new("unsigned", "RFC 4035 §5.2").unsigned(),
    Specimen::new("island", "RFC 4035 §5.2").unsigned(),
    Specimen::new("signed.island", "RFC 4033 §5, RFC 4035 §5.2").all(INSECURE),
    Specimen::new("signed.sound", "RFC 4035 §5.2").all(SECURE),
    Specimen::new("plain.sound", "RFC 4035 §5.2, RFC 6840 §4.4").unsigned(),
    Specimen::new("a.b.deep", "RFC 4035 §5.2"),
    Specimen::new("plain.c.deep", "RFC 4035 §5.2, RFC 6840 §4.4").unsigned(),
];
