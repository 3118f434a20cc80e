//! What a client gets.

use resolver_tests::client::{ask, ask_bytes, ask_tcp, receive_tcp, send_tcp, tcp};
use resolver_tests::message::{TestQuery, TestRecord, a, cname, name, soa};
use resolver_tests::upstream::{Asked, Reply, Upstream};
use resolver_user::wire::{Message, RCode, RecordType};

use super::RESOLVER;

/// www. has an address, alias. leads to it, big. has a hundred; all else does not exist.
fn zone(asked: &Asked) -> Reply {
    let big: Vec<TestRecord> = (0..100).map(|number| a("big.", 300, [10, 0, 0, number])).collect();
    match asked.question.to_string().to_ascii_lowercase().as_str() {
        "www. a" => Reply::answer(vec![a("www.", 300, [192, 0, 2, 1])]),
        "alias. a" => Reply::answer(vec![cname("alias.", 60, "www."), a("www.", 300, [192, 0, 2, 1])]),
        "big. a" => Reply::answer(big),
        "www. txt" => Reply { authority: vec![soa(".", 900, 30)], ..Reply::default() },
        _ => Reply { authority: vec![soa(".", 900, 30)], ..Reply::error(RCode::NXDOMAIN) },
    }
}

#[test]
fn the_clients_id_and_letter_case_are_its_own() {
    let upstream = Upstream::replying(zone);
    let daemon = RESOLVER.start(&[&upstream.option()]);
    for (id, qname) in [(1, "www."), (2, "WWW."), (3, "wWw.")] {
        let query = TestQuery::new(qname, RecordType::A).id(id);
        let answer = ask_bytes(daemon.address, &query);
        assert_eq!(answer[12..21], query.wire()[12..21], "the question's bytes");
        let answer = Message::read(&answer).unwrap();
        assert_eq!((answer.header.id, answer.rcode()), (id, RCode::NOERROR));
        assert!(answer.header.flags.response && answer.header.flags.recursion_available);
        assert!(!answer.header.flags.authoritative && !answer.header.flags.authentic_data);
        let [record] = &answer.answer[..] else { panic!("one record: {answer:?}") };
        assert_eq!((&*record.rdata, record.ttl_s / 10), (&[192, 0, 2, 1][..], if id == 1 { 30 } else { 29 }));
    }
    assert_eq!(upstream.seen().len(), 1, "the first answer is kept for the others");
}

#[test]
fn all_ttls_of_an_answer_are_the_smallest() {
    let upstream = Upstream::replying(zone);
    let daemon = RESOLVER.start(&[&upstream.option()]);
    let answer = ask(daemon.address, &TestQuery::new("alias.", RecordType::A));
    let ttls: Vec<u32> = answer.answer.iter().map(|record| record.ttl_s).collect();
    assert_eq!(ttls, [60, 60]);
}

#[test]
fn edns_is_answered_with_edns_and_only_then() {
    let upstream = Upstream::replying(zone);
    let daemon = RESOLVER.start(&[&upstream.option()]);
    let plain = ask(daemon.address, &TestQuery::new("www.", RecordType::A));
    assert_eq!(plain.edns, None);
    for dnssec_ok in [false, true] {
        let answer = ask(daemon.address, &TestQuery::new("www.", RecordType::A).edns(4096, dnssec_ok));
        let edns = answer.edns.unwrap();
        assert_eq!((edns.udp_payload_len, edns.version, edns.dnssec_ok), (1232, 0, dnssec_ok));
        assert!(edns.options.is_empty());
    }
}

#[test]
fn negative_answers_carry_the_soa_and_its_minimum() {
    let upstream = Upstream::replying(zone);
    let daemon = RESOLVER.start(&[&upstream.option()]);
    for (qname, qtype, rcode) in [("www.", RecordType::TXT, RCode::NOERROR), ("nx.", RecordType::A, RCode::NXDOMAIN)] {
        let answer = ask(daemon.address, &TestQuery::new(qname, qtype));
        assert_eq!((answer.rcode(), answer.answer.len()), (rcode, 0));
        let [record] = &answer.authority[..] else { panic!("one SOA: {answer:?}") };
        assert_eq!((record.rtype, record.ttl_s), (RecordType::SOA, 30));
    }
}

#[test]
fn large_answers_are_truncated_by_udp_and_whole_by_tcp() {
    let upstream = Upstream::replying(zone);
    let daemon = RESOLVER.start(&[&upstream.option()]);
    for (query, length_max) in [
        (TestQuery::new("big.", RecordType::A), 512),
        (TestQuery::new("big.", RecordType::A).edns(100, false), 512),
        (TestQuery::new("big.", RecordType::A).edns(65_535, true), 1232),
    ] {
        let bytes = ask_bytes(daemon.address, &query);
        assert!(bytes.len() <= length_max);
        let answer = Message::read(&bytes).unwrap();
        assert!(answer.header.flags.truncated && answer.answer.is_empty() && answer.question.is_some());
        assert_eq!(answer.edns.is_some(), query.edns.is_some());
        let whole = ask_tcp(daemon.address, &query);
        assert_eq!((whole.answer.len(), whole.header.flags.truncated), (100, false));
    }
    let by_tcp: Vec<bool> = upstream.seen().iter().map(|asked| asked.tcp).collect();
    assert_eq!(by_tcp, [false, true], "the upstream's TC is followed by TCP, once");
}

#[test]
fn pipelined_queries_are_answered_as_they_are_ready() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let upstream = Upstream::replying(move |asked| {
        if asked.question.qname == name("slow.") {
            released.lock().unwrap().recv().unwrap();
        }
        Reply::answer(vec![a(&asked.question.qname.to_string(), 60, [1, 2, 3, 4])])
    });
    let daemon = RESOLVER.start(&[&upstream.option()]);
    let mut stream = tcp(daemon.address);
    send_tcp(&mut stream, &TestQuery::new("slow.", RecordType::A).id(1).wire());
    send_tcp(&mut stream, &TestQuery::new("fast.", RecordType::A).id(2).wire());
    assert_eq!(Message::read(&receive_tcp(&mut stream)).unwrap().header.id, 2);
    // The client has said all it wants to say; what it asked is still answered.
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    release.send(()).unwrap();
    assert_eq!(Message::read(&receive_tcp(&mut stream)).unwrap().header.id, 1);
}

#[test]
fn without_rd_only_the_cache_answers() {
    let upstream = Upstream::replying(zone);
    let daemon = RESOLVER.start(&[&upstream.option()]);
    let query = TestQuery { recursion_desired: false, ..TestQuery::new("www.", RecordType::A) };
    assert_eq!(ask(daemon.address, &query).rcode(), RCode::REFUSED);
    assert!(upstream.seen().is_empty());
    ask(daemon.address, &TestQuery::new("www.", RecordType::A));
    let answer = ask(daemon.address, &query);
    assert_eq!(answer.rcode(), RCode::NOERROR);
    assert!(!answer.header.flags.recursion_desired);
}

#[test]
fn another_parser_reads_our_compression() {
    let upstream = Upstream::replying(zone);
    let daemon = RESOLVER.start(&[&upstream.option()]);
    let bytes = ask_bytes(daemon.address, &TestQuery::new("alias.", RecordType::A).edns(1232, false));
    let message = hickory_proto::op::Message::from_vec(&bytes).unwrap();
    let text: Vec<String> = message.answers.iter().map(|record| format!("{} {}", record.name, record.data)).collect();
    assert_eq!(text, ["alias. www.", "www. 192.0.2.1"]);
}

#[test]
fn ipv6_is_served_on_its_own_address() {
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("this machine has no IPv6 loopback address");
        return;
    }
    let upstream = Upstream::replying(zone);
    // One thread serves both families in turn.
    let daemon =
        RESOLVER.start_on("::1".parse().unwrap(), &[&upstream.option(), "--listen-address=127.0.0.1", "--threads=1"]);
    let v4 = std::net::SocketAddr::from(([127, 0, 0, 1], daemon.address.port()));
    for _ in 0..3 {
        for address in [v4, daemon.address] {
            assert_eq!(ask(address, &TestQuery::new("www.", RecordType::A)).answer.len(), 1);
            assert_eq!(ask_tcp(address, &TestQuery::new("www.", RecordType::A)).answer.len(), 1);
        }
    }
}
