//! What both halves count adds up, and others can read it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use resolver_ebpf::abi::LATENCY_ONE_IN;
use resolver_tests::lab::{self, LabClient, LabDaemon};
use resolver_tests::message::TestQuery;
use resolver_tests::netns;
use resolver_tests::openmetrics::Exposition;
use resolver_user::wire::{Message, RecordType};

/// Queries asked of XDP: enough for several to be timed.
const QUERIES: u64 = 20 * LATENCY_ONE_IN;

fn shown(daemon: &LabDaemon) -> Exposition {
    let text = daemon.command(&["metrics"]);
    Exposition::read(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// `hits.bind`, as `dig` would ask for it.
fn hits_bind(client: &LabClient) -> u64 {
    let mut wire = TestQuery::new("hits.bind.", RecordType::TXT).wire();
    *wire.last_mut().expect("a class") = 3;
    let reply = Message::read(&client.exchange(&wire)).expect("a message");
    let rdata = &reply.answer[0].rdata;
    String::from_utf8_lossy(&rdata[1..]).parse().expect("a number")
}

#[test]
fn both_halves_are_counted_and_the_sums_add_up() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let (remote, local) = (LabClient::remote(&facts), LabClient::local(&facts));
    let query = lab::query(lab::address(&facts), false);
    daemon.ask_until_xdp_answers(&remote, &query, false);
    let (before, hits_before) = (shown(&daemon), hits_bind(&local));
    for _ in 0..QUERIES {
        remote.ask(&query, false);
    }
    for _ in 0..3 {
        local.ask(&query, false);
    }
    let (after, hits_after) = (shown(&daemon), hits_bind(&local));
    let rise = |line: &str| after.value(line) - before.value(line);
    let by_xdp = rise("resolver_xdp_frames_total{outcome=\"answered\",reason=\"secure\"}");
    assert_eq!(by_xdp as u64, QUERIES, "XDP has answered all queries of the remote client");
    assert_eq!(rise("resolver_cache_hits_total") as u64, 3, "the daemon those of the local one");
    assert_eq!(hits_after - hits_before, QUERIES + 3, "hits.bind counts both");
    // The two are read one after the other: a frame may come in between, but not each time.
    daemon.wait_until("outcomes that add up to the frames seen", |daemon| {
        let shown = shown(daemon);
        shown.sum("resolver_xdp_frames_total") as u64 == shown.value("resolver_xdp_seen_frames_total") as u64
    });
    let timed = rise("resolver_xdp_answer_duration_seconds_count") as u64;
    // Frames of others, such as neighbour discovery, are among those that are counted towards the timed ones, and the
    // queries may have come on any CPU.
    let expected = QUERIES / LATENCY_ONE_IN;
    assert!((expected / 2..=expected + 8).contains(&timed), "{timed} of {QUERIES} answers were timed");
    let mean_s = rise("resolver_xdp_answer_duration_seconds_sum") / timed as f64;
    println!("{timed} of {QUERIES} answers of XDP timed: {:.0} ns on average", mean_s * 1e9);
    assert!(mean_s > 1e-8 && mean_s < 1e-2, "{mean_s} s on average");
    assert!(after.value("resolver_xdp_published_answers") >= 1.0);
    assert!(after.value("resolver_xdp_map_entries{map=\"BUCKETS\"}") >= 1.0);
    let attached =
        format!("resolver_xdp_attached{{interface=\"{}\",mode=\"native\"}}", facts.resolver.interfaces[0].name);
    assert_eq!(after.value(&attached) as u64, 1);
}

#[test]
fn a_scrape_over_http_is_what_promtool_takes_for_good() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "metrics-address=127.0.0.1:9153");
    let client = LabClient::remote(&facts);
    daemon.ask_until_xdp_answers(&client, &lab::query(lab::address(&facts), true), false);
    let response = netns::inside(&facts.resolver.path, || {
        let mut stream = std::net::TcpStream::connect("127.0.0.1:9153").expect("the scraper's port");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nAccept: text/plain\r\n\r\n").expect("sent");
        std::io::read_to_string(stream).expect("a response")
    });
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics", "--extended"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool (cargo xtask setup installs it)");
    promtool.stdin.take().expect("piped").write_all(body.as_bytes()).expect("taken");
    let output = promtool.wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool: {said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("resolver_xdp_answer_duration_seconds"));
}

#[test]
fn a_query_tells_why_xdp_passed_it_on() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let at = &facts.resolver.interfaces[0];
    let output = netns::command(&facts.client.path, lab::binary())
        .args(["query", "www.alg14.test", "A", &format!("@{}", at.ipv4), "--control-socket"])
        .arg(&daemon.socket)
        .output()
        .expect("nsenter");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("NOERROR, secure") && text.contains("from upstream"), "{text}");
    assert!(text.contains("XDP passed it on: pass_miss"), "{text}");
}
