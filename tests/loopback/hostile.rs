//! Packets that no honest client sends.

use std::io::Write;

use rand::{RngExt, SeedableRng};
use resolver_tests::client::{ask, receive, tcp, udp};
use resolver_tests::message::{TestQuery, a};
use resolver_tests::upstream::{Reply, Upstream};
use resolver_user::wire::{Header, RCode, RecordType};

use super::RESOLVER;

#[test]
fn malformed_and_random_packets_harm_nobody() {
    let upstream =
        Upstream::replying(|asked| Reply::answer(vec![a(&asked.question.qname.to_string(), 60, [1, 2, 3, 4])]));
    let daemon = RESOLVER.start(&[&upstream.option()]);
    let socket = udp(daemon.address);
    let mut random = rand::rngs::StdRng::seed_from_u64(1);
    let good = TestQuery::new("www.example.", RecordType::A).edns(1232, true).wire();
    let mut sent = 0;
    for round in 0..2500u32 {
        let packet = match round % 3 {
            // Noise.
            0 => (0..random.random_range(0..600)).map(|_| random.random()).collect(),
            // A query with a few bytes changed.
            1 => {
                let mut packet = good.clone();
                for _ in 0..random.random_range(1..6) {
                    let at = random.random_range(2..packet.len());
                    packet[at] = random.random();
                }
                packet
            }
            // A query cut short, or with something behind it.
            _ => {
                let mut packet = good.clone();
                packet.truncate(random.random_range(0..=good.len()));
                packet.extend((0..random.random_range(0..4)).map(|_| random.random::<u8>()));
                packet
            }
        };
        socket.send(&packet).unwrap();
        sent += 1;
        // A good query now and then, so that no packet is lost for want of room.
        if round % 50 == 49 {
            sent += 1;
            daemon_is_well(daemon.address);
        }
    }
    daemon.wait_for_counter("queries_udp", sent);
    daemon_is_well(daemon.address);
}

fn daemon_is_well(address: std::net::SocketAddr) {
    let answer = ask(address, &TestQuery::new("good.example.", RecordType::A));
    assert_eq!(answer.rcode(), RCode::NOERROR);
}

#[test]
fn refusals_say_why_and_responses_get_none() {
    let upstream = Upstream::scripted(|_| Vec::new());
    let daemon = RESOLVER.start(&[&upstream.option()]);
    let socket = udp(daemon.address);
    let good = TestQuery::new("www.example.", RecordType::A).edns(1232, false).wire();
    let query = |qtype| TestQuery::new("www.example.", qtype).edns(1232, false).wire();
    let changed = |at: usize, value: u8| {
        let mut packet = good.clone();
        packet[at] = value;
        packet
    };
    let class_at = good.len() - 11 - 1;
    for (what, packet, rcode) in [
        ("opcode", changed(2, 0x29), 4),
        ("two questions", changed(5, 2), 1),
        ("class CH", changed(class_at, 3), 5),
        ("EDNS version", changed(good.len() - 5, 1), 0),
        ("AXFR", query(RecordType::AXFR), 5),
        ("ANY", query(RecordType::ANY), 5),
    ] {
        // A response is sent first: had it an answer, that would come first.
        socket.send(&changed(2, 0x81)).unwrap();
        socket.send(&packet).unwrap();
        let answer = receive(&socket);
        let header = Header::read(&answer).unwrap();
        assert_eq!((header.id, header.rcode, header.flags.response), (0x1234, rcode, true), "{what}");
        if what == "EDNS version" {
            assert_eq!(answer[answer.len() - 6], 1, "BADVERS is 16: its upper bits are in the OPT");
        }
    }
    assert_eq!(daemon.counter("dropped_not_a_query"), 6);
    assert!(upstream.seen().is_empty());
}

#[test]
fn a_broken_tcp_stream_is_closed() {
    let upstream = Upstream::scripted(|_| Vec::new());
    let daemon = RESOLVER.start(&[&upstream.option()]);
    for bytes in [&b"\0\x03abc"[..], b"\0\0", b"\0\x0c\0\x01\x80\0\0\0\0\0\0\0\0\0"] {
        let mut stream = tcp(daemon.address);
        stream.write_all(bytes).unwrap();
        let mut rest = Vec::new();
        // An end or a reset, but nothing to read.
        let _end = std::io::Read::read_to_end(&mut stream, &mut rest);
        assert!(rest.is_empty());
    }
    // The client sees the end before the daemon has counted it.
    daemon.wait_for_counter("tcp_connections_aborted", 3);
}
