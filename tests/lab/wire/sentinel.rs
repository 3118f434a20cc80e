//! Root key sentinels on the wire: what they say depends on the daemon's anchors, so the kernel half never answers them.

use std::fs;

use resolver_tests::lab::{self, LabClient, LabDaemon};
use resolver_tests::message::TestQuery;
use resolver_user::config::is_root_anchor;
use resolver_user::wire::{Message, RCode, RecordType};

/// Below a wildcard of addresses, so that every name is secure.
const BELOW: &str = "w.wildcard.zoo.test.";

#[test]
fn sentinels_are_answered_by_the_daemon_alone() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let client = LabClient::remote(&facts);
    let anchors = fs::read_to_string(&facts.trust_anchors_file).expect("the lab's anchors");
    let tag = anchors.lines().find_map(is_root_anchor).expect("the root's anchor").key_tag;
    let query = |label: &str| {
        let query = TestQuery::new(&format!("{label}.{BELOW}"), RecordType::A);
        TestQuery { authentic_data: true, ..query.edns(1232, false) }
    };
    let other = tag.wrapping_add(1);
    for (label, rcode) in [
        (format!("root-key-sentinel-is-ta-{tag:05}"), RCode::NOERROR),
        (format!("root-key-sentinel-not-ta-{tag:05}"), RCode::SERVFAIL),
        (format!("root-key-sentinel-is-ta-{other:05}"), RCode::SERVFAIL),
        (format!("root-key-sentinel-not-ta-{other:05}"), RCode::NOERROR),
    ] {
        for _ in 0..3 {
            let answer = Message::read(&client.ask(&query(&label), false)).expect("an answer");
            assert_eq!(
                (answer.rcode(), answer.header.flags.authentic_data),
                (rcode, rcode == RCode::NOERROR),
                "{label}"
            );
        }
    }
    // An ordinary name beside them, asked for later, is published.
    daemon.ask_until_xdp_answers(&client, &query("ordinary"), false);
    let published = daemon.published();
    assert!(published.iter().any(|entry| entry.name.starts_with("ordinary.")), "{published:?}");
    assert!(!published.iter().any(|entry| entry.name.starts_with("root-key-sentinel")), "{published:?}");
}
