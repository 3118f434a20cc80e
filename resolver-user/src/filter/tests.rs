//! What passes, what does not, and what is left.

use super::*;
use crate::wire::{DomainPattern, Name, Question};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn set(owner: &str, rtype: RecordType, rdata: &[u8]) -> RrSet {
    RrSet { owner: name(owner), rtype, ttl_s: 60, rdatas: vec![rdata.into()], signatures: Vec::new() }
}

fn address(text: &str) -> RrSet {
    match text.parse().unwrap() {
        IpAddr::V4(address) => set("www.example.", RecordType::A, &address.octets()),
        IpAddr::V6(address) => set("www.example.", RecordType::AAAA, &address.octets()),
    }
}

fn response(answer: Vec<RrSet>) -> Response {
    let question = Question::new(name("www.example."), RecordType::A);
    let authority = vec![set("example.", RecordType::SOA, &[0; 22])];
    Response { question, rcode: RCode::NOERROR, answer, authority }
}

fn rebind(localhost_allowed: bool, domains: &[&str]) -> Filters {
    let mut filter = RebindFilter { localhost_allowed, ..RebindFilter::default() };
    for domain in domains {
        filter.domains_allowed.entry(&DomainPattern::Domain(name(domain)), || ());
    }
    Filters { rebind: Some(filter), ..Filters::default() }
}

fn reason(filters: &Filters, answer: Vec<RrSet>) -> Option<FilterReason> {
    filters.apply(&response(answer)).map(|(_, reason)| reason)
}

#[test]
fn private_addresses_from_outside_are_blocked() {
    let filters = rebind(false, &[]);
    for private in [
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.3.4",
        "127.0.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "fd00::1",
        "fc00::1",
        "2001:db8::1",
        "::ffff:192.168.1.1",
        "::ffff:127.0.0.1",
    ] {
        assert_eq!(reason(&filters, vec![address(private)]), Some(FilterReason::Rebind), "{private}");
    }
    for public in ["9.9.9.9", "172.32.0.1", "100.64.1.1", "192.0.3.1", "2620:fe::9", "::ffff:9.9.9.9", "2001:db9::1"] {
        assert_eq!(reason(&filters, vec![address(public)]), None, "{public}");
    }
    let (left, _) = filters.apply(&response(vec![address("9.9.9.9"), address("10.0.0.1")])).unwrap();
    assert!(left.answer.is_empty() && left.authority.is_empty() && left.rcode == RCode::NOERROR, "nothing is left");
}

#[test]
fn private_hints_of_services_are_blocked_too() {
    let hint = |key: u8, value: &[u8]| {
        let len = u8::try_from(value.len()).unwrap();
        // SvcPriority 1, target root, alpn first.
        [&[0, 1, 0, 0, 1, 0, 3, 2, b'h', b'2', 0, key, 0, len][..], value].concat()
    };
    let filters = rebind(false, &[]);
    for rtype in [RecordType::HTTPS, RecordType(64)] {
        let bad = hint(4, &[9, 9, 9, 9, 192, 168, 0, 1]);
        assert_eq!(reason(&filters, vec![set("www.example.", rtype, &bad)]), Some(FilterReason::Rebind));
        let bad = hint(6, &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(reason(&filters, vec![set("www.example.", rtype, &bad)]), Some(FilterReason::Rebind));
        assert_eq!(reason(&filters, vec![set("www.example.", rtype, &hint(4, &[9, 9, 9, 9]))]), None);
        assert_eq!(reason(&filters, vec![set("www.example.", rtype, b"\0\x01\0\0\x04\xff\xff")]), None, "cut short");
        let alias = set("www.example.", RecordType::CNAME, name("x.example.").wire());
        let (good, bad) = (hint(4, &[9, 9, 9, 9]), hint(4, &[9, 9, 9, 9, 192, 168, 0, 1]));
        let both = RrSet { rdatas: vec![bad.into(), good.clone().into()], ..set("x.example.", rtype, &[]) };
        let (left, _) = filters.apply(&response(vec![alias.clone(), both.clone()])).unwrap();
        assert_eq!(left.answer, [alias, RrSet { rdatas: vec![good.into()], ..both.clone() }], "the good one is left");
        let (left, _) = filters.apply(&response(vec![both, address("10.0.0.1")])).unwrap();
        assert!(left.answer.is_empty(), "an address empties all");
    }
}

#[test]
fn exceptions_are_for_localhost_and_for_domains() {
    assert_eq!(reason(&rebind(true, &[]), vec![address("127.0.0.1"), address("::1"), address("0.0.0.0")]), None);
    assert_eq!(reason(&rebind(true, &[]), vec![address("10.0.0.1")]), Some(FilterReason::Rebind));
    assert_eq!(reason(&rebind(false, &["example"]), vec![address("10.0.0.1")]), None);
    assert_eq!(reason(&rebind(false, &["other.example"]), vec![address("10.0.0.1")]), Some(FilterReason::Rebind));
}

#[test]
fn bogus_addresses_mean_nxdomain_and_come_first() {
    let prefix = Prefix::new("6.6.6.0".parse().unwrap(), 24).unwrap();
    let filters = Filters { bogus_nxdomain: vec![prefix], types: vec![RecordType::A], ..rebind(false, &[]) };
    let (left, reason) = filters.apply(&response(vec![address("6.6.6.99"), address("10.0.0.1")])).unwrap();
    assert_eq!((left.rcode, reason), (RCode::NXDOMAIN, FilterReason::BogusNxdomain));
    assert!(left.answer.is_empty() && left.authority.is_empty());
    assert!(Prefix::new("1.2.3.4".parse().unwrap(), 33).is_none());
    let all = Prefix::new("::".parse().unwrap(), 0).unwrap();
    assert!(all.contains("fd00::1".parse().unwrap()) && !all.contains("1.2.3.4".parse().unwrap()));
}

#[test]
fn types_are_taken_out_and_aliases_stay() {
    let filters = Filters { types: vec![RecordType::AAAA, RecordType::MX], ..Filters::default() };
    let alias = set("www.example.", RecordType::CNAME, name("x.example.").wire());
    let (left, reason) = filters.apply(&response(vec![alias.clone(), address("2620:fe::9")])).unwrap();
    assert_eq!((left.answer, reason), (vec![alias.clone()], FilterReason::Type));
    assert_eq!(filters.apply(&response(vec![alias, address("9.9.9.9")])), None);
}

#[test]
fn replies_with_ignored_addresses_are_known() {
    let filters = Filters { ignored: vec![Prefix::of("1.2.3.4".parse().unwrap())], ..Filters::default() };
    assert!(filters.ignores(&response(vec![address("9.9.9.9"), address("1.2.3.4")])));
    assert!(!filters.ignores(&response(vec![address("1.2.3.5")])));
    assert_eq!(filters.apply(&response(vec![address("1.2.3.4")])), None);
}
