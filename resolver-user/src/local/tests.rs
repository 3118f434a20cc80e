//! Every kind of saying, looked up.

use std::net::IpAddr;

use super::*;
use crate::wire::{DomainPattern, Name, RCode, RecordType};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn host(names: &[&str], addresses: &[&str], from_file: bool) -> HostLine {
    let names = names.iter().map(|text| name(text)).collect();
    HostLine { names, addresses: addresses.iter().map(|text| ip(text)).collect(), ttl_s: None, from_file }
}

fn rule(domain: &str, kind: RuleKind) -> (DomainPattern, RuleKind) {
    (DomainPattern::Domain(name(domain)), kind)
}

fn build(source: &LocalSource) -> LocalData {
    LocalData::build(source).unwrap()
}

/// The answer as text: RCODE, AA, records without their owner if it is the name asked for.
fn ask(data: &LocalData, qname: &str, qtype: RecordType) -> String {
    let qname = name(qname);
    let Some(answer) = data.answer(qname.wire(), qtype) else { return "elsewhere".to_owned() };
    let mut text = answer.rcode.to_string();
    if answer.authoritative {
        text.push_str(" aa");
    }
    for record in &answer.records {
        let owner = if record.owner == qname { String::new() } else { format!("{} ", record.owner) };
        let rdata = crate::wire::rdata_text(record.rtype, &record.rdata);
        text.push_str(&format!(" | {owner}{} {} {rdata}", record.ttl_s, record.rtype));
    }
    text
}

fn check(data: &LocalData, cases: &[(&str, RecordType, &str)]) {
    for (qname, qtype, expected) in cases {
        assert_eq!(ask(data, qname, *qtype), *expected, "{qname} {qtype}");
    }
}

const A: RecordType = RecordType::A;
const AAAA: RecordType = RecordType::AAAA;
const PTR: RecordType = RecordType::PTR;
const TXT: RecordType = RecordType::TXT;
const CNAME: RecordType = RecordType::CNAME;

#[test]
fn hosts_have_addresses_and_addresses_the_first_of_their_names() {
    let hosts = vec![
        host(&["gw", "gw.lan"], &["192.168.7.1"], true),
        host(&["multi.lan"], &["10.1.1.1"], true),
        host(&["multi.lan"], &["10.1.1.2", "fd00::5"], true),
        host(&["other.lan"], &["10.1.1.1"], true),
    ];
    let data = build(&LocalSource { hosts, ttl_s: 7, ..LocalSource::default() });
    check(
        &data,
        &[
            ("GW.lan", A, "NOERROR aa | 7 A 192.168.7.1"),
            ("gw", A, "NOERROR aa | 7 A 192.168.7.1"),
            ("multi.lan", A, "NOERROR aa | 7 A 10.1.1.1 | 7 A 10.1.1.2"),
            ("multi.lan", AAAA, "NOERROR aa | 7 AAAA fd00::5"),
            // As with dnsmasq: other types of a name may stand elsewhere.
            ("gw.lan", AAAA, "elsewhere"),
            ("lan", A, "elsewhere"),
            ("1.7.168.192.in-addr.arpa", PTR, "NOERROR aa | 7 PTR gw."),
            ("1.1.1.10.in-addr.arpa", PTR, "NOERROR aa | 7 PTR multi.lan."),
            (
                "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
                PTR,
                "NOERROR aa | 7 PTR multi.lan.",
            ),
        ],
    );
    assert_eq!(data.name_count(), 8);
}

#[test]
fn single_names_of_hosts_files_stand_in_the_domain_of_their_address() {
    let range = AddressRange::of_prefix(ip("10.6.6.9"), 24).unwrap();
    let data = build(&LocalSource {
        hosts: vec![
            host(&["first.x", "plain"], &["10.5.5.5"], true),
            host(&["only"], &["10.6.6.6"], true),
            host(&["record"], &["10.6.6.7"], false),
        ],
        expand_hosts: true,
        domain: Some(name("d.example")),
        subnet_domains: vec![SubnetDomain { domain: name("sub.example"), range }],
        ..LocalSource::default()
    });
    check(
        &data,
        &[
            ("plain", A, "NOERROR aa | 0 A 10.5.5.5"),
            ("plain.d.example", A, "NOERROR aa | 0 A 10.5.5.5"),
            ("first.d.example", A, "elsewhere"),
            ("only.sub.example", A, "NOERROR aa | 0 A 10.6.6.6"),
            ("only.d.example", A, "elsewhere"),
            ("6.6.6.10.in-addr.arpa", PTR, "NOERROR aa | 0 PTR only.sub.example."),
            ("record.sub.example", A, "elsewhere"),
        ],
    );
}

#[test]
fn the_longest_domain_decides_over_addresses_and_servers_together() {
    let data = build(&LocalSource {
        rules: vec![
            rule("ad.example", RuleKind::Address(ip("10.0.0.1"))),
            rule("sub.ad.example", RuleKind::Null),
            rule("srv.ad.example", RuleKind::Forwarded),
            rule("deep.srv.ad.example", RuleKind::LocalOnly),
            rule("nx.example", RuleKind::LocalOnly),
            rule("same.example", RuleKind::LocalOnly),
            rule("same.example", RuleKind::Address(ip("10.0.0.6"))),
            rule("fwd.example", RuleKind::Forwarded),
            rule("fwd.example", RuleKind::Address(ip("fd00::7"))),
            rule("fwd.example", RuleKind::LocalOnly),
            (DomainPattern::Undotted, RuleKind::Address(ip("10.0.0.3"))),
        ],
        hosts: vec![host(&["a.b.nx.example", "over.ad.example"], &["10.9.9.9"], true)],
        ..LocalSource::default()
    });
    check(
        &data,
        &[
            ("ad.example", A, "NOERROR aa | 0 A 10.0.0.1"),
            ("X.y.AD.example", A, "NOERROR aa | 0 A 10.0.0.1"),
            ("ad.example", AAAA, "elsewhere"),
            ("ad.example", TXT, "elsewhere"),
            ("bad.example", A, "elsewhere"),
            ("over.ad.example", A, "NOERROR aa | 0 A 10.9.9.9"),
            ("sub.ad.example", A, "NOERROR aa | 0 A 0.0.0.0"),
            ("z.sub.ad.example", AAAA, "NOERROR aa | 0 AAAA ::"),
            ("srv.ad.example", A, "elsewhere"),
            ("x.deep.srv.ad.example", A, "NXDOMAIN"),
            ("q.nx.example", TXT, "NXDOMAIN"),
            ("a.b.nx.example", TXT, "NOERROR"),
            ("b.nx.example", A, "NOERROR"),
            ("nx.example", A, "NOERROR"),
            ("same.example", A, "NOERROR aa | 0 A 10.0.0.6"),
            ("q.same.example", TXT, "NOERROR"),
            ("fwd.example", AAAA, "NOERROR aa | 0 AAAA fd00::7"),
            ("fwd.example", A, "elsewhere"),
            ("single", A, "NOERROR aa | 0 A 10.0.0.3"),
            ("two.words", A, "elsewhere"),
        ],
    );
}

#[test]
fn aliases_are_followed_as_far_as_local_names_go() {
    let cname = |alias: &str, target: &str, ttl_s| Cname { alias: name(alias), target: name(target), ttl_s };
    let data = build(&LocalSource {
        hosts: vec![host(&["gw.lan"], &["192.168.7.1"], false)],
        cnames: vec![
            cname("c1.lan", "c2.lan", Some(50)),
            cname("c2.lan", "gw.lan", None),
            cname("out.lan", "www.example", None),
        ],
        ..LocalSource::default()
    });
    check(
        &data,
        &[
            ("c1.lan", A, "NOERROR aa | 50 CNAME c2.lan. | c2.lan. 0 CNAME gw.lan. | gw.lan. 0 A 192.168.7.1"),
            ("c1.lan", CNAME, "NOERROR aa | 50 CNAME c2.lan."),
            ("c1.lan", TXT, "NOERROR aa | 50 CNAME c2.lan. | c2.lan. 0 CNAME gw.lan."),
            ("out.lan", A, "NOERROR aa | 0 CNAME www.example."),
            ("gw.lan", CNAME, "elsewhere"),
        ],
    );
    let refused = |cnames: Vec<Cname>| LocalData::build(&LocalSource { cnames, ..LocalSource::default() }).unwrap_err();
    let circle = refused(vec![cname("a", "b", None), cname("b", "a", None)]);
    assert!(matches!(circle, BuildError::AliasLoop { .. }), "{circle}");
    assert!(matches!(refused(vec![cname("a", "a", None)]), BuildError::AliasLoop { .. }));
    let two = refused(vec![cname("a", "b", None), cname("A", "c", None)]);
    assert!(matches!(two, BuildError::TwoTargets { .. }), "{two}");
}

#[test]
fn names_are_made_from_addresses_and_back() {
    let synth = |domain: &str, range, prefix: &str, numbered| SynthDomain {
        domain: name(domain),
        range,
        prefix: prefix.to_owned(),
        numbered,
    };
    let data = build(&LocalSource {
        synths: vec![
            synth("syn.lan", AddressRange::new(ip("10.20.0.0"), ip("10.20.0.255")).unwrap(), "ip-", false),
            synth("num.lan", AddressRange::new(ip("10.30.0.50"), ip("10.30.0.70")).unwrap(), "internal-", true),
            synth("six.lan", AddressRange::of_prefix(ip("fd00:1::"), 112).unwrap(), "s-", false),
        ],
        ..LocalSource::default()
    });
    check(
        &data,
        &[
            ("IP-10-20-0-7.syn.lan", A, "NOERROR aa | 0 A 10.20.0.7"),
            ("ip-10-20-0-7.syn.lan", AAAA, "elsewhere"),
            ("ip-10-20-1-7.syn.lan", A, "elsewhere"),
            ("ip-10-20-0-7.lan", A, "elsewhere"),
            ("9.0.20.10.in-addr.arpa", PTR, "NOERROR aa | 0 PTR ip-10-20-0-9.syn.lan."),
            ("9.1.20.10.in-addr.arpa", PTR, "elsewhere"),
            ("internal-3.num.lan", A, "NOERROR aa | 0 A 10.30.0.53"),
            ("internal-21.num.lan", A, "elsewhere"),
            ("internal-+3.num.lan", A, "elsewhere"),
            ("55.0.30.10.in-addr.arpa", PTR, "NOERROR aa | 0 PTR internal-5.num.lan."),
            ("s-fd00-1--5.six.lan", AAAA, "NOERROR aa | 0 AAAA fd00:1::5"),
            (
                "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa",
                PTR,
                "NOERROR aa | 0 PTR s-fd00-1--5.six.lan.",
            ),
            (".", PTR, "elsewhere"),
        ],
    );
}

#[test]
fn private_reverse_zones_and_single_names_are_asked_for_nowhere_else() {
    let data = build(&LocalSource {
        bogus_priv: true,
        domain_needed: true,
        hosts: vec![host(&["gw"], &["192.168.7.1"], true)],
        rules: vec![rule("20.172.in-addr.arpa", RuleKind::Forwarded), rule("lan", RuleKind::Forwarded)],
        ..LocalSource::default()
    });
    check(
        &data,
        &[
            ("1.7.168.192.in-addr.arpa", PTR, "NOERROR aa | 0 PTR gw."),
            ("2.7.168.192.in-addr.arpa", PTR, "NXDOMAIN aa"),
            ("1.7.168.192.in-addr.arpa", TXT, "NOERROR aa"),
            ("3.0.20.172.in-addr.arpa", PTR, "elsewhere"),
            ("3.0.32.172.in-addr.arpa", PTR, "elsewhere"),
            ("1.1.64.100.in-addr.arpa", PTR, "elsewhere"),
            ("8.e.f.ip6.arpa", PTR, "NXDOMAIN aa"),
            ("nosuch", A, "NXDOMAIN"),
            ("nosuch", RecordType::MX, "elsewhere"),
            ("gw", AAAA, "NOERROR"),
            ("two.words", A, "elsewhere"),
            (".", RecordType::NS, "elsewhere"),
            ("lan", A, "elsewhere"),
        ],
    );
}

#[test]
fn given_names_of_addresses_come_before_those_of_hosts() {
    let reverse = reverse_name(ip("10.9.9.9")).unwrap();
    let record = |target: &str| LocalRecord { owner: reverse.clone(), rtype: PTR, rdata: name(target).wire().into() };
    let data = build(&LocalSource {
        hosts: vec![host(&["hr.example"], &["10.9.9.9"], false)],
        records: vec![record("p1.lan"), record("p2.lan"), record("p1.lan")],
        ..LocalSource::default()
    });
    check(&data, &[("9.9.9.10.in-addr.arpa", PTR, "NOERROR aa | 0 PTR p1.lan. | 0 PTR p2.lan.")]);
}

#[test]
fn windows_queries_stay_here_where_nothing_is_known() {
    let srv = LocalRecord { owner: name("_a._tcp.lan"), rtype: RecordType::SRV, rdata: [0, 0, 0, 0, 0, 1, 0].into() };
    let data = build(&LocalSource { filter_win2k: true, records: vec![srv], ..LocalSource::default() });
    check(
        &data,
        &[
            ("_a._tcp.lan", RecordType::SRV, "NOERROR aa | 0 SRV 0 0 1 ."),
            ("_b._tcp.lan", RecordType::SRV, "NOERROR aa"),
            ("example", RecordType::SOA, "NOERROR aa"),
            ("example", A, "elsewhere"),
        ],
    );
}

#[test]
fn nothing_said_is_nothing_answered() {
    let data = LocalData::default();
    assert!(data.is_empty() && data.answer(name("a.b").wire(), A).is_none());
    assert_eq!(build(&LocalSource::default()), data);
    assert_eq!(data.name_count(), 0);
}

#[test]
fn a_hundred_thousand_names_are_found_each() {
    let rules = (0..100_000).map(|number| rule(&format!("n{number}.ads.example"), RuleKind::Null)).collect();
    let data = build(&LocalSource { rules, ..LocalSource::default() });
    assert_eq!(data.domain_count(), 100_000);
    for number in (0..100_000).step_by(997) {
        let answer = data.answer(name(&format!("x.N{number}.ads.example")).wire(), A).unwrap();
        assert_eq!((answer.rcode, answer.records.len()), (RCode::NOERROR, 1));
    }
    assert!(data.answer(name("n100000.ads.example").wire(), A).is_none());
}

#[test]
fn names_with_other_types_are_known() {
    let data = build(&LocalSource {
        hosts: vec![host(&["a.b.example"], &["10.0.0.1"], true)],
        rules: vec![rule("ad.example", RuleKind::Null), rule("nx.example", RuleKind::LocalOnly)],
        ..LocalSource::default()
    });
    for (qname, known) in [
        ("A.b.example", true),
        ("b.example", true),
        ("c.example", false),
        ("x.ad.example", true),
        ("nx.example", false),
    ] {
        assert_eq!(data.knows(&name(qname)), known, "{qname}");
    }
}
