//! What others see of the daemon: metrics over HTTP and the control socket, names of class CH, the guide's scripts.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Output;
use std::time::{Duration, Instant};

use resolver_tests::client::{PATIENCE, ask, ask_tcp, receive, udp};
use resolver_tests::daemon::{Daemon, TestDirectory};
use resolver_tests::message::{TestQuery, a};
use resolver_tests::openmetrics::Exposition;
use resolver_tests::signed::SignedTree;
use resolver_tests::upstream::{Reply, Upstream};
use resolver_user::wire::{Message, RCode, RecordType};

use super::RESOLVER;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A validating daemon before the signed tree that serves metrics, and where.
fn start(options: &[&str]) -> (Upstream, Daemon, SocketAddr) {
    let tree = SignedTree::default();
    let anchor = tree.anchor_option();
    let upstream = Upstream::replying(move |asked| tree.reply(asked));
    let scraped = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
    let (server, metrics) = (upstream.option(), format!("--metrics-address={scraped}"));
    // Else the servers would hear of the anchors at some moment of their own.
    let quiet = "--trust-anchor-signaling=no";
    let daemon = RESOLVER.start(&[&["--dnssec", quiet, &anchor, &server, &metrics], options].concat());
    (upstream, daemon, scraped)
}

/// What comes back for these bytes, until the daemon closes.
fn http(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("time-out");
    stream.write_all(request).expect("send");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("an answer, then the end");
    response
}

/// The body of a scrape, after its head is checked.
fn scrape(address: SocketAddr) -> Exposition {
    let response = http(address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains(&format!("Content-Type: {OPENMETRICS}\r\n")), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    Exposition::read(body).unwrap_or_else(|error| panic!("{error}\n{body}"))
}

/// A scrape that shows this number, which is written down after the client has its answer.
fn scrape_until(address: SocketAddr, line: &str, value: f64) -> Exposition {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shown = scrape(address);
        if shown.lines.get(line).is_some_and(|shown| *shown >= value) {
            return shown;
        }
        assert!(Instant::now() < deadline, "{line} did not reach {value}");
    }
}

fn secure(qname: &str) -> TestQuery {
    TestQuery { authentic_data: true, ..TestQuery::new(qname, RecordType::A) }
}

fn command(daemon: &Daemon, words: &[&str]) -> Output {
    RESOLVER.output(&[words, &[&format!("--control-socket={}", daemon.control.display())]].concat())
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_scrape_shows_exactly_what_was_asked() {
    let (upstream, daemon, metrics) = start(&["--trust-anchor=lan"]);
    let before = scrape(metrics);
    for qname in ["www.example.", "www.example.", "www.plain.", "forged.example.", "expired.example."] {
        ask(daemon.address, &secure(qname));
    }
    ask(daemon.address, &TestQuery { recursion_desired: false, ..secure("nobody.example.") });
    ask(daemon.address, &TestQuery::new("www.example.", RecordType::ANY));
    ask_tcp(daemon.address, &secure("www.example."));
    let after = scrape_until(metrics, "resolver_hit_duration_seconds_count", 2.0);
    let rise = |line: &str| after.value(line) - before.lines.get(line).copied().unwrap_or(0.0);
    for (line, expected) in [
        ("resolver_queries_total{transport=\"udp\"}", 7.0),
        ("resolver_queries_total{transport=\"tcp\"}", 1.0),
        ("resolver_cache_hits_total", 2.0),
        ("resolver_cache_misses_total", 4.0),
        ("resolver_refused_total{reason=\"not_cached\"}", 1.0),
        ("resolver_refused_total{reason=\"meta_type\"}", 1.0),
        ("resolver_outcomes_total{status=\"secure\"}", 1.0),
        ("resolver_outcomes_total{status=\"insecure\"}", 1.0),
        ("resolver_outcomes_total{status=\"bogus\"}", 2.0),
        ("resolver_outcome_extended_errors_total{code=\"6\",name=\"DNSSEC Bogus\"}", 1.0),
        ("resolver_outcome_extended_errors_total{code=\"7\",name=\"Signature Expired\"}", 1.0),
        ("resolver_answers_total{rcode=\"noerror\"}", 4.0),
        ("resolver_answers_total{rcode=\"servfail\"}", 2.0),
        ("resolver_answers_total{rcode=\"other\"}", 2.0),
        // One hit by UDP, and the query that was refused because it is not cached.
        ("resolver_hit_duration_seconds_count", 2.0),
        ("resolver_miss_duration_seconds_count", 4.0),
        ("resolver_cache_entries", 4.0),
        ("resolver_cache_insertions_total", 4.0),
    ] {
        assert_eq!(rise(line).to_bits(), f64::to_bits(expected), "{line}: {} {}", rise(line), expected);
    }
    let server = format!("{{server=\"{}\"}}", upstream.address);
    let asked = upstream.seen().len() as f64;
    for name in ["resolver_upstream_server_queries_total", "resolver_upstream_server_rtt_seconds_count"] {
        assert_eq!(after.value(&format!("{name}{server}")).to_bits(), asked.to_bits(), "{name}");
    }
    assert_eq!(after.value("resolver_trust_anchors{kind=\"key\"}").to_bits(), 1f64.to_bits());
    assert_eq!(after.value("resolver_trust_anchors{kind=\"negative\"}").to_bits(), 1f64.to_bits());
    assert!(!before.lines.contains_key("resolver_root_keys_age_seconds"), "not validated yet");
    assert!(after.value("resolver_root_keys_age_seconds") < 60.0);
    assert!(after.value("process_resident_memory_bytes") > 1e6 && after.value("process_start_time_seconds") > 1.7e9);
    // The answers by RCODE are all answers.
    let answered = after.sum("resolver_answers_total") - before.sum("resolver_answers_total");
    assert_eq!(answered.to_bits(), 8f64.to_bits());
}

#[test]
fn counters_only_rise_while_queries_run() {
    const QUERIES: usize = 2000;
    let (_upstream, daemon, metrics) = start(&[]);
    ask(daemon.address, &secure("www.example."));
    let address = daemon.address;
    let asking = std::thread::spawn(move || {
        let socket = udp(address);
        for id in 0..QUERIES {
            socket.send(&secure("www.example.").id(id as u16).wire()).expect("send");
            receive(&socket);
        }
    });
    let mut last = 0.0;
    let mut scrapes = 0;
    while !asking.is_finished() {
        let shown = scrape(metrics);
        let hits = shown.value("resolver_cache_hits_total");
        assert!(hits >= last);
        (last, scrapes) = (hits, scrapes + 1);
    }
    asking.join().expect("all answered");
    let shown = scrape_until(metrics, "resolver_hit_duration_seconds_count", QUERIES as f64);
    assert_eq!(shown.value("resolver_cache_hits_total").to_bits(), (QUERIES as f64).to_bits());
    assert_eq!(shown.value("resolver_hit_duration_seconds_count").to_bits(), (QUERIES as f64).to_bits());
    assert!(shown.value("resolver_hit_duration_seconds_sum") > 0.0 && scrapes > 0);
}

#[test]
fn scrapers_get_the_format_they_like() {
    let (_upstream, _daemon, metrics) = start(&[]);
    let plain = http(metrics, b"GET /metrics HTTP/1.0\r\nAccept: text/plain;version=0.0.4\r\n\r\n");
    assert!(plain.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{plain}");
    assert!(plain.contains("# TYPE resolver_cache_hits_total counter\n") && !plain.contains("# EOF"));
    let prometheus =
        b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.5\r\n\r\n";
    assert!(http(metrics, prometheus).ends_with("# EOF\n"));
    let head = http(metrics, b"HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn bad_requests_do_no_harm() {
    let (_upstream, daemon, metrics) = start(&[]);
    let long = [&b"GET /metrics HTTP/1.1\r\nX: "[..], &[b'x'; 20_000]].concat();
    for (request, status) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "404"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"),
        (b"GET /metrics HTTP/3\r\n\r\n", "505"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
        (&long, "431"),
    ] {
        let response = http(metrics, request);
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
    }
    // As many connections that say nothing as are served at once, less one: the next scraper does not wait for them.
    let silent: Vec<TcpStream> = (0..7).map(|_| TcpStream::connect(metrics).expect("connect")).collect();
    scrape_until(metrics, "resolver_scrapes_failed_total", 6.0);
    // One more, and further ones wait until one ends.
    let last = TcpStream::connect(metrics).expect("connect");
    assert_eq!(ask(daemon.address, &secure("www.example.")).rcode(), RCode::NOERROR);
    drop((silent, last));
    scrape(metrics);
    // Cut short in the middle of a request.
    drop(TcpStream::connect(metrics).and_then(|mut stream| stream.write_all(b"GET /met")));
    scrape(metrics);
}

#[test]
fn a_client_that_says_nothing_is_sent_away() {
    let (_upstream, _daemon, metrics) = start(&[]);
    let mut silent = TcpStream::connect(metrics).expect("connect");
    silent.set_read_timeout(Some(Duration::from_secs(15))).expect("time-out");
    assert_eq!(silent.read(&mut [0; 1]).expect("the end, not silence"), 0);
}

#[test]
fn metrics_are_served_over_http_only_when_asked_for_and_over_the_control_socket_always() {
    let upstream =
        Upstream::replying(|asked| Reply::answer(vec![a(&asked.question.qname.to_string(), 60, [1, 2, 3, 4])]));
    let daemon = RESOLVER.start(&[&upstream.option()]);
    ask(daemon.address, &TestQuery::new("x.", RecordType::A));
    let output = command(&daemon, &["metrics"]);
    let shown = Exposition::read(&text(&output)).expect("OpenMetrics");
    assert_eq!(shown.value("resolver_cache_misses_total").to_bits(), 1f64.to_bits());
    assert_eq!(shown.value("resolver_xdp_enabled").to_bits(), 0f64.to_bits());
    let json = text(&command(&daemon, &["metrics", "--json"]));
    assert!(
        json.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()) && json.lines().count() > 30
    );
    let sockets = fs::read_to_string(format!("/proc/{}/net/tcp", daemon.status().pid)).expect("sockets");
    assert!(!sockets.contains(&format!(":{:04X} 00000000:0000 0A", 9153)), "{sockets}");
}

/// A query of class CH for TXT.
fn chaos(daemon: &Daemon, qname: &str) -> Message {
    let mut wire = TestQuery::new(qname, RecordType::TXT).wire();
    *wire.last_mut().expect("a class") = 3;
    let socket = udp(daemon.address);
    socket.send(&wire).expect("send");
    Message::read(&receive(&socket)).expect("a message")
}

/// The strings of its answer.
fn told(daemon: &Daemon, qname: &str) -> Vec<String> {
    let answer = chaos(daemon, qname);
    assert_eq!((answer.rcode(), answer.answer.len()), (RCode::NOERROR, 1), "{qname}");
    let record = &answer.answer[0];
    assert_eq!((record.rtype, record.class, record.ttl_s), (RecordType::TXT, 3, 0));
    let mut rest = &record.rdata[..];
    let mut strings = Vec::new();
    while let Some((&length, after)) = rest.split_first() {
        let (string, after) = after.split_at(usize::from(length));
        strings.push(String::from_utf8_lossy(string).into_owned());
        rest = after;
    }
    strings
}

#[test]
fn the_names_of_class_ch_tell_what_dnsmasqs_tell() {
    let (upstream, daemon, _) = start(&["--cache-size=123", "--identity=gate-1"]);
    for qname in ["www.example.", "www.example.", "www.example.", "www.plain."] {
        ask(daemon.address, &secure(qname));
    }
    let sent = upstream.seen().len();
    for (qname, expected) in [
        ("VERSION.bind.", format!("resolver-{}", env!("CARGO_PKG_VERSION"))),
        ("version.server.", format!("resolver-{}", env!("CARGO_PKG_VERSION"))),
        ("authors.bind.", "the authors of resolver".to_owned()),
        ("copyright.bind.", "licensed under MIT OR Apache-2.0".to_owned()),
        ("cachesize.bind.", "123".to_owned()),
        ("insertions.bind.", "2".to_owned()),
        ("evictions.bind.", "0".to_owned()),
        ("misses.bind.", "2".to_owned()),
        ("hits.bind.", "2".to_owned()),
        ("auth.bind.", "0".to_owned()),
        ("servers.bind.", format!("{}#{} {sent} 0", upstream.address.ip(), upstream.address.port())),
        ("id.server.", "gate-1".to_owned()),
        ("hostname.bind.", "gate-1".to_owned()),
    ] {
        assert_eq!(told(&daemon, qname), [expected], "{qname}");
    }
    for (qname, rcode) in [("other.bind.", RCode::NOTIMP), ("x.server.", RCode::NOTIMP), ("x.example.", RCode::REFUSED)]
    {
        assert_eq!(chaos(&daemon, qname).rcode(), rcode, "{qname}");
    }
    assert_eq!(upstream.seen().len(), sent, "nobody else is asked");
    assert_eq!(daemon.status().cache_entries, 2, "nothing of it is kept");
}

#[test]
fn nothing_is_told_with_no_ident_and_no_identity_without_one() {
    let (_upstream, daemon, _) = start(&["--no-ident", "--identity=gate-1"]);
    for qname in ["version.bind.", "hits.bind.", "id.server.", "servers.bind."] {
        assert_eq!(chaos(&daemon, qname).rcode(), RCode::NOTIMP, "{qname}");
    }
    let (_upstream, daemon, _) = start(&[]);
    assert_eq!(chaos(&daemon, "id.server.").rcode(), RCode::NOTIMP);
}

#[test]
fn check_tells_which_names_are_not_what_they_must_be() {
    let (_upstream, daemon, _) = start(&[]);
    let right = ["check", "www.example", "--bad=forged.example,expired.example", "--unsigned", "www.plain"];
    let output = command(&daemon, &right);
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(shown.ends_with("4 passed, 0 failed\n") && shown.contains("PASS  bad       expired.example. A"), "{shown}");
    assert!(shown.contains("Signature Expired: RRSIG for expired.example. A expired"), "{shown}");

    let directory = TestDirectory::new();
    let list = directory
        .file("names", "# names\ngood www.plain\nbad www.example\nunsigned forged.example A\ngood www.example\n");
    let output = command(&daemon, &["check", "--json", "--file", &list]);
    assert_eq!(output.status.code(), Some(1));
    let shown: serde_json::Value = serde_json::from_str(&text(&output)).expect("JSON");
    assert_eq!((shown["passed"].as_u64(), shown["failed"].as_u64()), (Some(1), Some(3)), "{shown}");

    let broken = directory.file("broken", "good a\nfine b\n");
    let output = command(&daemon, &["check", "--file", &broken]);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains(&format!("{broken}:2: \"fine\"; legal: good, bad, unsigned"))
    );
}

#[test]
fn check_does_not_take_dead_servers_for_a_failed_validation() {
    let dead = Upstream::replying(|_| Reply::error(RCode::SERVFAIL));
    let daemon = RESOLVER.start(&["--dnssec", &dead.option()]);
    let output = command(&daemon, &["check", "--bad=dnssec-failed.org"]);
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("FAIL  bad") && shown.contains("the same without validation"), "{shown}");
}

#[test]
fn check_asks_the_guides_names_unless_told_otherwise() {
    // Whatever they are in the world: here none is signed and no anchor covers them.
    let upstream =
        Upstream::replying(|asked| Reply::answer(vec![a(&asked.question.qname.to_string(), 60, [1, 2, 3, 4])]));
    let server = format!("@{}#{}", upstream.address.ip(), upstream.address.port());
    let directory = TestDirectory::new();
    let nobody = format!("--control-socket={}", directory.path().join("none").display());
    let output = RESOLVER.output(&["check", &server, &nobody]);
    assert_eq!(output.status.code(), Some(1));
    let asked: Vec<String> = upstream.seen().iter().map(|asked| asked.question.qname.to_string()).collect();
    for name in ["dnssec-tools.org.", "isc.org.", "cloudflare.com.", "verisign.com.", "dnssec-failed.org."] {
        assert!(asked.iter().any(|asked| asked == name), "{name} is not in {asked:?}");
    }
    assert!(text(&output).contains("PASS  unsigned  google.com. A"), "{}", text(&output));
}

#[test]
fn the_textfile_has_the_guides_names_and_is_replaced_whole() {
    let (_upstream, daemon, _) = start(&["--cache-size=321"]);
    let directory = TestDirectory::new();
    let path = directory.file("dnssec.prom", "old\n");
    let words =
        ["metrics", "www.example", "--good=forged.example,www.plain", "--unsigned=www.plain", "--textfile", &path];
    let output = command(&daemon, &words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = fs::read_to_string(&path).expect("the file");
    for line in [
        "# TYPE dnssec_valid_responses gauge",
        "dnssec_valid_responses 1",
        "dnssec_invalid_responses 1",
        "dnssec_unsigned_responses 1",
        "dnssec_errors 1",
        "dns_cache_size 321",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
    }
    let time = shown.lines().find_map(|line| line.strip_prefix("dns_query_time_ms ")).expect("a time");
    assert!(time.parse::<f64>().expect("a number") > 0.0);
    assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 1, "no draft is left");

    let output = command(&daemon, &["metrics", "www.example", "--textfile", "/no/such/directory/x.prom"]);
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("cannot write"));
}

#[test]
fn an_address_for_metrics_that_cannot_be_had_stops_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let upstream = Upstream::replying(|_| Reply::default());
    let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
    let directory = TestDirectory::new();
    let output = RESOLVER.output(&[
        "run",
        "--no-resolv",
        "--xdp=off",
        "--listen-address=127.0.0.1",
        &format!("--port={port}"),
        &upstream.option(),
        &format!("--control-socket={}", directory.path().join("c.sock").display()),
        &format!("--metrics-address={address}"),
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("cannot serve metrics on {address}")));
}
