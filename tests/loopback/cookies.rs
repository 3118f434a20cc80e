//! DNS cookies (RFC 7873, RFC 9018) and the other EDNS options.

use std::fs;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use resolver_ebpf::host::cookies::server_cookie;
use resolver_tests::client::{ask, ask_tcp, receive, udp};
use resolver_tests::compare::extended_error;
use resolver_tests::daemon::TestDirectory;
use resolver_tests::message::{TestQuery, a};
use resolver_tests::upstream::{Reply, Upstream};
use resolver_user::wire::{Message, RCode, RecordType};

use super::RESOLVER;

const COOKIE: u16 = 10;
const KEEPALIVE: u16 = 11;
const CLIENT_COOKIE: [u8; 8] = *b"a client";
const ONE: [u8; 16] = *b"secret number 1!";
const TWO: [u8; 16] = *b"secret number 2!";

fn upstream() -> Upstream {
    Upstream::replying(|asked| {
        let count = if asked.question.qname.to_string().starts_with("big.") { 100 } else { 1 };
        let name = asked.question.qname.to_string();
        Reply::answer((0..count).map(|last| a(&name, 300, [192, 0, 2, last])).collect())
    })
}

/// A query with EDNS.
fn query(qname: &str) -> TestQuery {
    TestQuery::new(qname, RecordType::A).edns(1232, false)
}

fn hex(secret: [u8; 16]) -> String {
    secret.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The data of an option of an answer.
fn option(answer: &Message, code: u16) -> Option<Vec<u8>> {
    let mut options = answer.edns.iter().flat_map(|edns| &edns.options).filter(|option| option.code == code);
    let data = options.next().map(|option| option.data.to_vec());
    assert!(options.next().is_none(), "once");
    data
}

/// The server cookie that a client cookie alone gets.
fn learned(server: SocketAddr) -> Vec<u8> {
    let cookies = option(&ask(server, &query("www.").option(COOKIE, &CLIENT_COOKIE)), COOKIE).expect("cookies");
    assert_eq!((&cookies[..8], cookies.len()), (&CLIENT_COOKIE[..], 24));
    cookies[8..].to_vec()
}

/// Asks with this server cookie and returns the one that comes back.
fn shown(server: SocketAddr, cookie: &[u8]) -> Vec<u8> {
    let answer = ask(server, &query("www.").option(COOKIE, &[&CLIENT_COOKIE, cookie].concat()));
    assert_eq!(answer.answer.len(), 1, "whatever the cookie is worth, there is an answer");
    option(&answer, COOKIE).expect("cookies")[8..].to_vec()
}

/// Whether a server cookie was made with this secret a moment ago, for a client on loopback.
fn is_of(cookie: &[u8], secret: [u8; 16]) -> bool {
    let made_s = u32::from_be_bytes(cookie[4..8].try_into().expect("four bytes"));
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as u32;
    assert!(now_s.wrapping_sub(made_s) < 120, "made at {made_s}, now {now_s}");
    cookie == server_cookie(secret, CLIENT_COOKIE, [1, 0, 0, 0], made_s, &[127, 0, 0, 1])
}

#[test]
fn every_kind_of_answer_carries_the_cookies_of_its_client() {
    let upstream = upstream();
    let local = "--host-record=own.example,10.0.0.1";
    let daemon = RESOLVER.start(&[&upstream.option(), local]);
    let mut chaos =
        TestQuery { qtype: RecordType::TXT, ..query("version.bind.") }.option(COOKIE, &CLIENT_COOKIE).wire();
    chaos.splice(12 + 14 + 2..12 + 14 + 4, [0, 3]);
    let mut class = query("www.").option(COOKIE, &CLIENT_COOKIE).wire();
    class.splice(12 + 5 + 2..12 + 5 + 4, [0, 4]);
    let of = |query: TestQuery| query.option(COOKIE, &CLIENT_COOKIE).wire();
    for (what, wire, rcode) in [
        ("miss", of(query("www.")), RCode::NOERROR),
        ("hit", of(query("www.")), RCode::NOERROR),
        ("own", of(query("own.example.")), RCode::NOERROR),
        ("truncated", of(query("big.")), RCode::NOERROR),
        ("truncated", of(query("big.")), RCode::NOERROR),
        ("any", of(TestQuery { qtype: RecordType::ANY, ..query("www.") }), RCode::REFUSED),
        ("not cached", of(TestQuery { recursion_desired: false, ..query("nothing.") }), RCode::REFUSED),
        ("chaos", chaos, RCode::NOERROR),
        ("class", class, RCode::REFUSED),
    ] {
        let socket = udp(daemon.address);
        socket.send(&wire).expect("send");
        let answer = Message::read(&receive(&socket)).expect("a message");
        let cookies = option(&answer, COOKIE).unwrap_or_else(|| panic!("{what}: {answer:?}"));
        assert_eq!((answer.rcode(), &cookies[..8], cookies.len()), (rcode, &CLIENT_COOKIE[..], 24), "{what}");
        assert_eq!(answer.header.flags.truncated, what == "truncated");
        let last = answer.edns.as_ref().and_then(|edns| edns.options.last()).map(|option| option.code);
        assert_eq!(last, Some(COOKIE), "{what}: cookies stand last");
        assert_eq!(extended_error(&answer).is_some(), rcode == RCode::REFUSED, "{what}: beside extended errors");
    }
    assert_eq!(daemon.counter("cookies_new"), 9);
    // By TCP too; and without cookies in the query there are none in the answer.
    let whole = ask_tcp(daemon.address, &query("big.").option(COOKIE, &CLIENT_COOKIE));
    assert_eq!((whole.answer.len(), option(&whole, COOKIE).map(|data| data.len())), (100, Some(24)));
    assert_eq!(option(&ask(daemon.address, &query("www.")), COOKIE), None);
}

#[test]
fn a_server_cookie_comes_back_as_it_is_and_any_other_is_replaced() {
    let upstream = upstream();
    let directory = TestDirectory::new();
    let secrets = format!("--cookie-secret-file={}", directory.file("secrets", &hex(ONE)));
    let daemon = RESOLVER.start(&[&upstream.option(), &secrets]);
    let server = learned(daemon.address);
    assert!(is_of(&server, ONE));
    assert_eq!(shown(daemon.address, &server), server);
    let mut forged = server.clone();
    forged[15] ^= 1;
    for bad in [&forged[..], &server[..8], &[&server[..], &[0]].concat(), &[7; 32]] {
        let fresh = shown(daemon.address, bad);
        assert!(is_of(&fresh, ONE) && fresh != forged);
    }
    let counters = ["cookies_new", "cookies_valid", "cookies_renewed", "cookies_bad"];
    assert_eq!(counters.map(|name| daemon.counter(name)), [1, 1, 0, 4]);
}

#[test]
fn a_cookie_of_an_impossible_length_is_malformed_unless_cookies_are_off() {
    let upstream = upstream();
    let daemon = RESOLVER.start(&[&upstream.option()]);
    let without = RESOLVER.start(&[&upstream.option(), "--no-cookies"]);
    for len in [0, 7, 9, 15, 41, 300] {
        let query = query("www.").option(COOKIE, &vec![1; len]);
        let answer = ask(daemon.address, &query);
        assert_eq!((answer.rcode(), answer.edns.is_some(), option(&answer, COOKIE)), (RCode::FORMERR, true, None));
        let answer = ask(without.address, &query);
        assert_eq!((answer.rcode(), option(&answer, COOKIE)), (RCode::NOERROR, None), "ignored");
    }
    // Of several, the first one counts.
    let answer = ask(daemon.address, &query("www.").option(COOKIE, &CLIENT_COOKIE).option(COOKIE, &[1]));
    assert_eq!((answer.rcode(), option(&answer, COOKIE).is_some()), (RCode::NOERROR, true));
    assert_eq!(option(&ask(without.address, &query("www.").option(COOKIE, &CLIENT_COOKIE)), COOKIE), None);
    // Of another version of EDNS nothing is understood.
    let mut other = query("www.").option(COOKIE, &[1]).wire();
    let version_at = other.len() - 5 - 5;
    other[version_at] = 1;
    let socket = udp(daemon.address);
    socket.send(&other).expect("send");
    assert_eq!(Message::read(&receive(&socket)).expect("a message").rcode(), RCode::BADVERS);
}

#[test]
fn secrets_are_rolled_by_a_reload_while_cookies_go_on() {
    let upstream = upstream();
    let directory = TestDirectory::new();
    let secrets = directory.file("secrets", &hex(ONE));
    let daemon = RESOLVER.start(&[&upstream.option(), &format!("--cookie-secret-file={secrets}")]);
    let reload = |text: &str, count: u64| {
        fs::write(&secrets, text).expect("write");
        daemon.signal(Signal::SIGHUP);
        daemon.wait_for_counter("reloads", count);
    };
    let old = learned(daemon.address);
    // A single secret takes the place of another one, whose cookies are still good.
    reload(&hex(TWO), 1);
    let new = shown(daemon.address, &old);
    assert!(is_of(&new, TWO));
    assert_eq!(shown(daemon.address, &new), new);
    assert_eq!((daemon.counter("cookies_renewed"), daemon.counter("cookies_bad")), (1, 0));
    // In steps: first both, then in the other order, then the new one alone.
    reload(&format!("{}\n{}\n", hex(TWO), hex(ONE)), 2);
    assert_eq!(shown(daemon.address, &new), new);
    reload(&format!("# rolled\n{}\n{}\n", hex(ONE), hex(TWO)), 3);
    let newest = shown(daemon.address, &new);
    assert!(is_of(&newest, ONE));
    assert_eq!(daemon.counter("cookies_bad"), 0);
    reload(&hex(ONE), 4);
    assert_eq!(shown(daemon.address, &newest), newest);
    assert!(is_of(&shown(daemon.address, &new), ONE), "its secret was taken out by hand");
    assert_eq!(daemon.counter("cookies_bad"), 1);
    // A wrong file changes nothing, and is not shown.
    fs::write(&secrets, "supposed to be secret").expect("write");
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_counter("reloads_failed", 1);
    assert_eq!(shown(daemon.address, &newest), newest);
    daemon.wait_for_log("not 32 hexadecimal digits");
    assert!(!daemon.log().iter().any(|line| line.contains("supposed")));
}

#[test]
fn a_query_for_cookies_alone_needs_no_question() {
    let upstream = upstream();
    let daemon = RESOLVER.start(&[&upstream.option()]);
    let alone = |query: TestQuery| {
        let mut wire = query.wire();
        wire[5] = 0;
        wire.drain(12..12 + 5 + 4);
        let socket = udp(daemon.address);
        socket.send(&wire).expect("send");
        Message::read(&receive(&socket)).expect("a message")
    };
    let answer = alone(query("www.").option(COOKIE, &CLIENT_COOKIE));
    assert_eq!((answer.rcode(), answer.question.is_none(), answer.answer.len()), (RCode::NOERROR, true, 0));
    let cookies = option(&answer, COOKIE).expect("cookies");
    let answer = alone(query("www.").option(COOKIE, &cookies));
    assert_eq!((answer.rcode(), option(&answer, COOKIE)), (RCode::NOERROR, Some(cookies.clone())));
    let mut forged = cookies;
    forged[23] ^= 1;
    let answer = alone(query("www.").option(COOKIE, &forged));
    assert_eq!((answer.rcode(), option(&answer, COOKIE).is_some()), (RCode::BADCOOKIE, true));
    assert_eq!(alone(query("www.")).rcode(), RCode::FORMERR);
    assert_eq!(daemon.counter("cookie_queries"), 3);
}

#[test]
fn keepalive_is_told_by_tcp_and_other_options_are_ignored() {
    let upstream = upstream();
    let daemon = RESOLVER.start(&[&upstream.option()]);
    for _ in 0..2 {
        let answer = ask_tcp(daemon.address, &query("www.").option(KEEPALIVE, &[]).option(COOKIE, &CLIENT_COOKIE));
        // Ten seconds, in tenths.
        assert_eq!(option(&answer, KEEPALIVE), Some(vec![0, 100]));
        assert_eq!((answer.answer.len(), option(&answer, COOKIE).is_some()), (1, true));
    }
    assert_eq!(ask_tcp(daemon.address, &query("www.").option(KEEPALIVE, &[0, 9])).rcode(), RCode::FORMERR);
    assert_eq!(option(&ask_tcp(daemon.address, &query("www.")), KEEPALIVE), None, "only if asked for");
    for data in [&[][..], &[0, 9], &[1]] {
        let answer = ask(daemon.address, &query("www.").option(KEEPALIVE, data));
        assert_eq!((answer.rcode(), option(&answer, KEEPALIVE)), (RCode::NOERROR, None), "nothing by UDP");
    }
    // Client subnet, padding, NSID, and one that nobody knows.
    let others =
        query("www.").option(8, &[0, 1, 24, 0, 192, 0, 2]).option(12, &[0; 50]).option(3, &[]).option(65_001, &[9]);
    for answer in [ask(daemon.address, &others), ask_tcp(daemon.address, &others)] {
        let options = &answer.edns.as_ref().expect("EDNS").options;
        assert_eq!((answer.rcode(), answer.answer.len(), options.len()), (RCode::NOERROR, 1, 0));
    }
}
