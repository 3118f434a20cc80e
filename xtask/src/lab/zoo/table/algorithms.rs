//! Algorithms: those we verify, those we refuse, those that nobody knows; RSA keys of all sizes.

use super::super::{
    Signer, Specimen, insecure, ksk,
    scene::{Edited, Scene},
    wire::PublicKey,
    zsk,
};

/// Algorithms.
pub const ROOM: &[Specimen] = &[
    Specimen::new("rsamd5", "RFC 6944 §2.3, RFC 4035 §5.2")
        .keys(&[ksk(1).bits(1024), zsk(1).bits(1024)])
        .signer(Signer::Ldns)
        .all(insecure(1)),
    Specimen::new("dsa", "RFC 8624 §3.1, RFC 4035 §5.2")
        .keys(&[ksk(3).bits(1024), zsk(3).bits(1024)])
        .signer(Signer::Ldns)
        .all(insecure(1)),
    Specimen::new("dsa-nsec3-sha1", "RFC 8624 §3.1, RFC 4035 §5.2")
        .keys(&[ksk(6).bits(1024), zsk(6).bits(1024)])
        .signer(Signer::Ldns)
        .all(insecure(1)),
    Specimen::new("rsasha1", "RFC 9905 §2").keys(&[ksk(5).bits(2048), zsk(5).bits(2048)]).all(insecure(1)),
    Specimen::new("rsasha1-nsec3-sha1", "RFC 9905 §2")
        .keys(&[ksk(7).bits(2048), zsk(7).bits(2048)])
        .nsec3(0, "-", false)
        .all(insecure(1)),
    Specimen::new("gost", "RFC 9906 §2, RFC 4035 §5.2")
        .ds(1, |apex, keys| vec![relabelled(&keys[0], 12).ds(apex, 2)])
        .edited(11, |z| relabel(z, 12))
        .all(insecure(1)),
    Specimen::new("unassigned-algorithm", "RFC 4035 §5.2")
        .ds(1, |apex, keys| vec![relabelled(&keys[0], 100).ds(apex, 2)])
        .edited(11, |z| relabel(z, 100))
        .all(insecure(1)),
    Specimen::new("reserved-algorithm", "RFC 4035 §5.2")
        .ds(1, |apex, keys| vec![relabelled(&keys[0], 200).ds(apex, 2)])
        .edited(11, |z| relabel(z, 200))
        .all(insecure(1)),
    Specimen::new("rsasha256", "RFC 5702 §2.1").keys(&[ksk(8).bits(2048), zsk(8).bits(2048)]),
    Specimen::new("rsasha512", "RFC 5702 §2.2").keys(&[ksk(10).bits(2048), zsk(10).bits(2048)]),
    Specimen::new("ecdsap384", "RFC 6605 §4").keys(&[ksk(14), zsk(14)]),
    Specimen::new("ed25519", "RFC 8080 §3").keys(&[ksk(15), zsk(15)]),
    Specimen::new("ed448", "RFC 8080 §3").keys(&[ksk(16), zsk(16)]),
    Specimen::new("rsa-512", "RFC 4035 §5.2; Choice: RSA under 1024 bits is not supported")
        .keys(&[ksk(8).bits(512), zsk(8).bits(512)])
        .signer(Signer::Ldns)
        .all(insecure(1)),
    Specimen::new("rsa-1024", "RFC 5702 §2.1").keys(&[ksk(8).bits(1024), zsk(8).bits(1024)]),
    Specimen::new("rsa-4096", "RFC 5702 §2.1").keys(&[ksk(8).bits(4096), zsk(8).bits(1024)]),
    Specimen::new("rsa-exponent-3", "RFC 3110 §2").keys(&[ksk(8).exponent(3), zsk(8).exponent(3)]),
    Specimen::new("rsa-exponent-large", "RFC 3110 §2")
        .keys(&[ksk(8).exponent((1 << 32) + 1), zsk(8).exponent((1 << 32) + 1)]),
    Specimen::new("rsa-exponent-huge", "RFC 4035 §5.2; Choice: an exponent over 2^33 - 1 is not supported")
        .keys(&[ksk(8).exponent((1 << 40) + 15), zsk(8).exponent((1 << 40) + 15)])
        .signer(Signer::Ldns)
        .all(insecure(1)),
];

/// The key with another algorithm's number.
fn relabelled(key: &PublicKey, algorithm: u8) -> PublicKey {
    PublicKey { algorithm, ..key.clone() }
}

/// Gives all keys and signatures of a zone another algorithm's number, and the tags that follow from it. Nobody can
/// verify them, so what the numbers stand for does not matter.
fn relabel(z: &mut Scene, algorithm: u8) -> Edited {
    let tags: Vec<(String, String)> = (z.keys.iter().map(|key| &key.public))
        .map(|key| (key.tag().to_string(), relabelled(key, algorithm).tag().to_string()))
        .collect();
    for record in &mut z.records {
        match record.rtype.as_str() {
            "DNSKEY" => record.set_word(2, &algorithm.to_string()),
            "RRSIG" => {
                let tag = tags.iter().find(|(old, _)| old == record.word(6)).map(|(_, new)| new.clone());
                record.set_word(1, &algorithm.to_string());
                record.set_word(6, &tag.unwrap_or_default());
            }
            _ => {}
        }
    }
    Ok(())
}
