//! Starting, looking in, stopping.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nix::sys::signal::Signal;
use resolver_tests::client::ask;
use resolver_tests::daemon::TestDirectory;
use resolver_tests::message::{TestQuery, a};
use resolver_tests::upstream::{Reply, Upstream};
use resolver_user::wire::RecordType;

use super::RESOLVER;

fn upstream() -> Upstream {
    Upstream::replying(|asked| Reply::answer(vec![a(&asked.question.qname.to_string(), 60, [1, 2, 3, 4])]))
}

#[test]
fn a_signal_stops_the_daemon_cleanly() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let silent = Upstream::scripted(|_| Vec::new());
        let mut daemon = RESOLVER.start(&[&silent.option()]);
        // A query in progress is given up after two seconds at most.
        resolver_tests::client::udp(daemon.address).send(&TestQuery::new("x.", RecordType::A).wire()).unwrap();
        daemon.wait_for_counter("cache_misses", 1);
        let (status, took) = daemon.stop(signal);
        assert!(status.success(), "{status}");
        assert!(took < Duration::from_secs(4), "{took:?}");
        assert!(!daemon.control.exists(), "the control socket is removed");
    }
}

#[test]
fn the_control_socket_shows_state_and_cache() {
    let upstream = upstream();
    let daemon = RESOLVER.start(&[&upstream.option()]);
    ask(daemon.address, &TestQuery::new("b.example.", RecordType::A));
    ask(daemon.address, &TestQuery::new("a.example.", RecordType::A));
    ask(daemon.address, &TestQuery::new("A.example.", RecordType::A));
    let mode = fs::metadata(&daemon.control).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let status = daemon.status();
    assert_eq!(status.listening, [daemon.address.to_string()]);
    assert_eq!((status.cache_entries, status.servers[0].sent, status.dnssec), (2, 2, false));
    assert_eq!((daemon.counter("cache_hits"), daemon.counter("cache_misses")), (1, 2));
    let socket = format!("--control-socket={}", daemon.control.display());
    let text = String::from_utf8(RESOLVER.output(&["status", &socket]).stdout).unwrap();
    assert!(text.contains("listening") && text.contains("cache_hits"), "{text}");
    let dump = String::from_utf8(RESOLVER.output(&["cache", "dump", &socket]).stdout).unwrap();
    let rows: Vec<Vec<&str>> = dump.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[1][..4], ["a.example.", "A", "unchecked", "NOERROR"]);
    assert_eq!(rows[2][0], "b.example.");
    let off = RESOLVER.output(&["fastpath", "dump", &socket]);
    assert!(!off.status.success() && String::from_utf8(off.stderr).unwrap().contains("XDP is off"));
}

#[test]
fn a_second_daemon_is_refused_and_a_dead_ones_socket_replaced() {
    let upstream = upstream();
    let mut daemon = RESOLVER.start(&[&upstream.option()]);
    let socket = format!("--control-socket={}", daemon.control.display());
    let arguments =
        ["run", "--no-resolv", &upstream.option(), "--xdp=off", "--listen-address=127.0.0.1", "--port=1", &socket];
    let second = RESOLVER.output(&arguments);
    assert_eq!(second.status.code(), Some(2));
    assert!(String::from_utf8(second.stderr).unwrap().contains("another daemon is running"));
    daemon.stop(Signal::SIGKILL);
    assert!(daemon.control.exists(), "left behind");
    let next = RESOLVER.start(&[&upstream.option(), &socket]);
    assert!(resolver_user::control::ask(&daemon.control, resolver_user::control::Request::Status).is_ok());
    drop(next);
}

#[test]
fn every_config_error_is_told_with_file_and_line() {
    let directory = TestDirectory::new();
    let inner = directory.file("inner.conf", "# comment\nport = 0\nconf-file=main.conf\n");
    let anchors = directory.file("anchors", ". IN DS 20326 8 2 00\n");
    let main = directory.file(
        "main.conf",
        &format!("server=127.0.0.1#99999\n\nno-such-thing\nconf-file={inner}\ntrust-anchors-file={anchors}\ndhcp-range=1,2\nxdp=\"of\n"),
    );
    let output = RESOLVER.output(&["test-config", "--conf-file", &main]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    for expected in [
        format!(
            "{main}:1: option \"server\", value \"127.0.0.1#99999\": port 99999: not a number, or out of range; legal: "
        ),
        format!("{main}:3: option \"no-such-thing\": unknown option"),
        format!(
            "{inner}:2: option \"port\", value \"0\": 0 turns dnsmasq's DNS off, and DNS is all that this program does; legal: 1..=65535"
        ),
        format!("{anchors}:1: option \"trust-anchor\", value \". IN DS 20326 8 2 00\": digest"),
        format!("{main}:6: option \"dhcp-range\", value \"1,2\": not supported: "),
        format!("{main}:7: missing \""),
    ] {
        assert!(text.contains(&expected), "{expected}\nis not in\n{text}");
    }
    let run = RESOLVER.output(&["run", "-C", &main]);
    assert_eq!(run.status.code(), Some(1), "a wrong configuration does not start");
    assert!(run.stderr.ends_with(text.as_bytes()));
}

#[test]
fn files_that_include_each_other_are_refused() {
    let directory = TestDirectory::new();
    let path = directory.path().join("a.conf").display().to_string();
    directory.file("a.conf", &format!("server=127.0.0.1\nconf-file={path}\n"));
    let output = RESOLVER.output(&["test-config", "-C", &path]);
    assert!(String::from_utf8(output.stderr).unwrap().contains(&format!("{path}:2: ")), "the including line is named");
}

#[test]
fn a_right_configuration_passes_and_starts() {
    let upstream = upstream();
    let directory = TestDirectory::new();
    let server = format!("server={}#{}", upstream.address.ip(), upstream.address.port());
    let path =
        directory.file("r.conf", &format!("# all is well\nno-resolv\n{server}\ncache-size = 0  # none\nlog-queries\n"));
    let output = RESOLVER.output(&["test-config", "--xdp=off", &format!("--conf-file={path}")]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "syntax check OK.\n");
    let daemon = RESOLVER.start(&["--conf-file", &path]);
    for _ in 0..2 {
        assert_eq!(ask(daemon.address, &TestQuery::new("x.", RecordType::A)).answer.len(), 1);
    }
    assert_eq!((daemon.status().cache_entries, upstream.seen().len()), (0, 2), "cache-size=0 keeps nothing");
}

#[test]
fn demanding_xdp_of_a_build_without_it_stops_the_start() {
    if resolver_user::daemon::BPF_OBJECT.is_some() {
        return;
    }
    let directory = TestDirectory::new();
    let socket = format!("--control-socket={}", directory.path().join("c.sock").display());
    let upstream = upstream();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = format!("--port={port}");
    let arguments = [
        "run",
        "--no-resolv",
        "--dnssec",
        &upstream.option(),
        "--listen-address=127.0.0.1",
        &port,
        &socket,
        "--xdp=native",
    ];
    let output = RESOLVER.output(&arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cargo xtask build"));
}
