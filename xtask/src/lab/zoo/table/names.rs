//! Names: wildcards and their proofs, aliases by CNAME and DNAME, letters and types of all kinds.

use super::super::{BOGUS, Reply, SECURE, Specimen, bogus, not_there, there};

/// Names.
pub const ROOM: &[Specimen] = &[
    Specimen::new("wildcard", "RFC 4035 §5.3.4, RFC 4592 §3.3").content("*.w IN A 192.0.2.66").ask(WILDCARD),
    Specimen::new("wildcard-nsec3", "RFC 5155 §8.7, §8.8")
        .nsec3(0, "-", false)
        .content("*.w IN A 192.0.2.66")
        .ask(WILDCARD),
    Specimen::new("wildcard-cname", "RFC 4035 §5.3.4")
        .content("*.w IN CNAME www")
        .ask(&[there("any.w", "A", 1, SECURE), not_there("any.w", "MX", Reply::NoData, SECURE)]),
    Specimen::new("wildcard-ent", "RFC 4592 §2.2.2")
        .content("*.w IN A 192.0.2.66\nleaf.ent.w IN A 192.0.2.44")
        .ask(&[there("any.w", "A", 1, SECURE), not_there("ent.w", "A", Reply::NoData, SECURE)]),
    // The wildcard's own signature, put under a name that exists.
    Specimen::new("wildcard-replay", "RFC 4035 §5.3.4")
        .content("*.w IN A 192.0.2.66\nreal.w IN A 192.0.2.66")
        .edited(1, |z| {
            let wildcard = z.of(&z.below("*.w"), "RRSIG A").next().map(|record| record.rdata.clone());
            z.change(&z.below("real.w"), "RRSIG A", |record| record.rdata = wildcard.unwrap_or_default())
        })
        .ask(&[there("real.w", "A", 1, BOGUS), there("any.w", "A", 1, SECURE)]),
    Specimen::new("wildcard-replay-nsec3", "RFC 4035 §5.3.4, RFC 5155 §8.8")
        .nsec3(0, "-", false)
        .content("*.w IN A 192.0.2.66\nreal.w IN A 192.0.2.66")
        .edited(1, |z| {
            let wildcard = z.of(&z.below("*.w"), "RRSIG A").next().map(|record| record.rdata.clone());
            z.change(&z.below("real.w"), "RRSIG A", |record| record.rdata = wildcard.unwrap_or_default())
        })
        .ask(&[there("real.w", "A", 1, BOGUS), there("any.w", "A", 1, SECURE)]),
    Specimen::new("wildcard-without-proof", "RFC 4035 §5.3.4")
        .content("*.w IN A 192.0.2.66")
        .edited(2, |z| z.remove_set(&z.covering("any.w"), "NSEC"))
        .ask(&[there("any.w", "A", 1, bogus(12)), not_there("any.w", "MX", Reply::NoData, bogus(12))]),
    Specimen::new("wildcard-asked-itself", "RFC 4592 §2.2")
        .content("*.w IN A 192.0.2.66")
        .ask(&[there("*.w", "A", 1, SECURE), not_there("*.w", "MX", Reply::NoData, SECURE)]),
    Specimen::new("cname", "RFC 4035 §3.2.3")
        .content("alias IN CNAME www\nlost IN CNAME nowhere")
        .ask(&[there("alias", "A", 1, SECURE), not_there("lost", "A", Reply::NxDomain, SECURE)]),
    Specimen::new("cname-at-ds", "RFC 4035 §5.2, RFC 6840 §4.4")
        .content("alias IN CNAME www")
        .ask(&[not_there("alias", "DS", Reply::NoData, SECURE), there("alias", "A", 1, SECURE)]),
    Specimen::new("cname-to-insecure", "RFC 4035 §3.2.3")
        .content("alias IN CNAME www.unsigned.zoo.test.")
        .ask(&[there("alias", "A", 1, super::super::INSECURE)]),
    Specimen::new("cname-to-bogus", "RFC 4035 §4.3")
        .content("alias IN CNAME www.rrsig-bad-a.zoo.test.")
        .ask(&[there("alias", "A", 1, BOGUS)]),
    Specimen::new("cname-bad-signature", "RFC 4035 §5.3.3")
        .content("alias IN CNAME www")
        .edited(1, |z| z.change(&z.below("alias"), "RRSIG CNAME", |record| record.spoil_word(8)))
        .ask(&[there("alias", "A", 1, bogus(6))]),
    Specimen::new("dname", "RFC 6672 §5.3.1")
        .content("d IN DNAME target\nx.target IN A 192.0.2.33")
        .ask(&[there("x.d", "A", 1, SECURE), there("d", "DNAME", 1, SECURE)]),
    Specimen::new("dname-nsec3", "RFC 6672 §5.3.1")
        .nsec3(0, "-", false)
        .content("d IN DNAME target\nx.target IN A 192.0.2.33")
        .ask(&[there("x.d", "A", 1, SECURE), not_there("y.d", "A", Reply::NxDomain, SECURE)]),
    Specimen::new("dname-bad-signature", "RFC 6672 §5.3.1, RFC 4035 §5.3.3")
        .content("d IN DNAME target\nx.target IN A 192.0.2.33")
        .edited(1, |z| z.change(&z.below("d"), "RRSIG DNAME", |record| record.spoil_word(8)))
        .ask(&[there("x.d", "A", 1, bogus(6))]),
    // Less than 255 octets before, more behind.
    Specimen::new("dname-too-long", "RFC 6672 §2.2, §3.2")
        .content(
            "d IN DNAME target.\
             ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt.\
             ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt",
        )
        .ask(&[not_there(
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.\
             xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.d",
            "A",
            Reply::TooLong,
            SECURE,
        )]),
    Specimen::new("letters", "RFC 4034 §6.2, RFC 6840 §5.1")
        .content("MiXeD IN A 192.0.2.77\nmail IN MX 10 MAIL.Upper\nserver IN SRV 0 5 53 Www")
        .ask(&[there("MiXeD", "A", 1, SECURE), there("mail", "MX", 1, SECURE), there("server", "SRV", 1, SECURE)]),
    Specimen::new("unknown-type", "RFC 3597 §6, RFC 4034 §6.2")
        .content("odd IN TYPE65400 \\# 4 0A000001")
        .ask(&[there("odd", "TYPE65400", 1, SECURE)]),
    Specimen::new("odd-octets", "RFC 4034 §6.1, RFC 1035 §5.1")
        .content("a\\.b IN A 192.0.2.46\n\\001 IN A 192.0.2.1\n\\255 IN A 192.0.2.255")
        .ask(&[there("a\\.b", "A", 1, SECURE), there("\\001", "A", 1, SECURE), there("\\255", "A", 1, SECURE)]),
];

/// What a zone with a wildcard is asked.
const WILDCARD: &[super::super::Ask] = &[
    there("any.w", "A", 1, SECURE),
    there("deep.any.w", "A", 1, SECURE),
    not_there("any.w", "MX", Reply::NoData, SECURE),
    not_there("w", "A", Reply::NoData, SECURE),
];
