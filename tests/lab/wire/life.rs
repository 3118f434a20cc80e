//! The daemon's life: what it leaves on the machine, and what it finds there.

use std::process::Stdio;

use nix::sys::signal::Signal;
use resolver_ebpf::abi::map_name;
use resolver_tests::lab::{self, LabClient, LabDaemon};
use resolver_tests::netns;
use resolver_user::wire::Message;
use xtask::lab::facts::Facts;

/// Whether a program is on the client-side interface of the resolver.
pub fn is_attached(facts: &Facts) -> bool {
    let output = netns::command(&facts.resolver.path, "ip")
        .args(["-details", "link", "show", "dev", &facts.resolver.interfaces[0].name])
        .output()
        .expect("ip");
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stdout).contains("xdp")
}

#[test]
fn a_stopped_daemon_leaves_neither_program_nor_pin() {
    let facts = lab::facts();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut daemon = LabDaemon::start(&facts, "");
        assert!(is_attached(&facts));
        for map in map_name::ALL {
            assert!(lab::pin_dir(&facts).join("maps").join(map).exists(), "{map} is pinned");
        }
        daemon.signal(signal);
        assert!(daemon.wait().success(), "{}", daemon.log());
        assert!(!is_attached(&facts));
        assert!(!lab::pin_dir(&facts).exists());
        assert!(!daemon.socket.exists());
    }
}

#[test]
fn a_daemon_takes_over_from_a_killed_one() {
    let facts = lab::facts();
    let mut killed = LabDaemon::start(&facts, "");
    killed.signal(Signal::SIGKILL);
    killed.wait();
    assert!(is_attached(&facts), "nobody took the program off");
    drop(killed);
    let daemon = LabDaemon::start(&facts, "");
    let question = lab::address(&facts);
    let client = LabClient::remote(&facts);
    daemon.ask_until_xdp_answers(&client, &lab::query(question, false), false);
    drop(daemon);
    assert!(!is_attached(&facts));
}

#[test]
fn a_second_daemon_is_refused_and_the_first_goes_on() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let config = daemon.socket.with_file_name("resolver.conf");
    let second = netns::command(&facts.resolver.path, lab::binary())
        .args(["run", "--conf-file"])
        .arg(config)
        .stdin(Stdio::null())
        .output()
        .expect("nsenter");
    assert!(!second.status.success());
    assert!(!second.stderr.is_empty());
    assert!(is_attached(&facts));
    daemon.status();
}

#[test]
fn generic_mode_answers_too() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "xdp=generic");
    assert_eq!(daemon.fast_path().interfaces[0].mode, "generic");
    let question = lab::address(&facts);
    let client = LabClient::remote(&facts);
    for ipv6 in [false, true] {
        daemon.ask_until_xdp_answers(&client, &lab::query(question, true), ipv6);
    }
}

/// Checksum offload switched off between client and resolver; it comes back with the drop, however the test ends.
struct OffloadOff<'f>(&'f Facts);

impl<'f> OffloadOff<'f> {
    fn new(facts: &'f Facts) -> Self {
        // Made first, so that what was half switched off comes back, too.
        let off = Self(facts);
        assert!(off.set("off"), "ethtool");
        off
    }

    fn set(&self, state: &str) -> bool {
        [&self.0.client, &self.0.resolver].iter().all(|namespace| {
            let interface = &namespace.interfaces[0].name;
            let status = netns::command(&namespace.path, "ethtool")
                .args(["-K", interface, "tx", state, "rx", state])
                .stdout(Stdio::null())
                .status();
            status.is_ok_and(|status| status.success())
        })
    }
}

impl Drop for OffloadOff<'_> {
    fn drop(&mut self) {
        let is_back = self.set("on");
        assert!(is_back || std::thread::panicking(), "checksum offload stays off");
    }
}

#[test]
fn without_checksum_offload_answers_are_right_too() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let client = LabClient::remote(&facts);
    let _offload_off = OffloadOff::new(&facts);
    let questions = facts.questions().filter(|q| q.status != "bogus");
    let before = daemon.counter("answered_");
    // A reply with a wrong checksum would be dropped by the client's stack, and asking would fail.
    for question in questions {
        for ipv6 in [false, true, false, true] {
            client.ask(&lab::query(question, false), ipv6);
            client.ask(&lab::query(question, true), ipv6);
        }
    }
    let answered = daemon.counter("answered_") - before;
    assert!(answered > 50, "{answered} by XDP");
}

#[test]
fn a_negative_anchor_withdraws_what_xdp_answered_and_its_end_brings_it_back() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let question = lab::address(&facts);
    let client = LabClient::remote(&facts);
    let query = lab::query(question, true);
    let is_authentic = |packet: &[u8]| Message::read(packet).expect("a message").header.flags.authentic_data;
    daemon.ask_until_xdp_answers(&client, &query, false);
    assert!(is_authentic(&client.ask(&query, false)));
    daemon.command(&["anchors", "negative", "add", "test.", "--for", "1h"]);
    assert!(daemon.published().is_empty(), "everything is withdrawn");
    let answered = daemon.counter("answered_");
    for _ in 0..10 {
        assert!(!is_authentic(&client.ask(&query, false)));
    }
    assert_eq!(daemon.counter("answered_"), answered, "what nobody validates is not published");
    daemon.command(&["anchors", "negative", "remove", "test."]);
    daemon.ask_until_xdp_answers(&client, &query, false);
    assert!(is_authentic(&client.ask(&query, false)));
}
