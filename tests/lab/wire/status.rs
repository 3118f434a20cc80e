//! What an operator sees.

use std::process::Command;

use resolver_tests::lab::{self, LabClient, LabDaemon};
use resolver_tests::message::TestQuery;

#[test]
fn bpftool_names_the_fields_of_every_map() {
    let facts = lab::facts();
    let _daemon = LabDaemon::start(&facts, "xdp-cache-size=100\ndeny-client=192.0.2.0/24");
    let fields = [
        ("COUNTERS", ["answered_secure", "pass_miss"]),
        ("LATENCY", ["frames", "buckets"]),
        ("SETTINGS", ["jiffy_ns", "listen_v4"]),
        ("BUCKETS", ["place", "tag"]),
        ("ANSWERS", ["expires_at_boot_ns", "last_used_s"]),
        ("CLIENTS_V4", ["prefix_len", "allowed"]),
        ("CLIENTS_V6", ["generation", "address"]),
        ("COOKIES", ["new", "renewed"]),
        ("CLOCK", ["jiffies", "boot_ns"]),
        ("WATCH", ["told", "lost"]),
    ];
    for (map, fields) in fields {
        let pin = format!("{}/maps/{map}", lab::pin_dir(&facts).display());
        let output = Command::new("bpftool").args(["map", "dump", "pinned", &pin]).output().expect("bpftool");
        let text = String::from_utf8_lossy(&output.stdout);
        for field in fields {
            assert!(text.contains(&format!("\"{field}\"")), "{map} shows {field}: {}", &text[..text.len().min(500)]);
        }
    }
}

#[test]
fn counters_add_up_and_a_flush_withdraws_everything() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let client = LabClient::remote(&facts);
    let question = lab::address(&facts);
    let query = lab::query(question, false);
    daemon.ask_until_xdp_answers(&client, &query, false);
    let before = daemon.fast_path();
    client.ask(&query, false);
    client.ask(&TestQuery { checking_disabled: true, ..query.clone() }, false);
    client.ask(&TestQuery { recursion_desired: false, ..query.clone() }, false);
    let after = daemon.fast_path();
    let rise = |prefix: &str| {
        let sum = |counters: &[(String, u64)]| -> u64 {
            counters.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, count)| count).sum()
        };
        sum(&after.counters) - sum(&before.counters)
    };
    assert_eq!((rise("answered_secure"), rise("pass_header"), rise("pass_miss")), (2, 1, 0));

    let entry = daemon.published().into_iter().find(|entry| entry.name == question.qname).expect("the name is listed");
    assert_eq!((entry.status.as_str(), entry.form.as_str(), entry.rcode.as_str()), ("secure", "plain", "NOERROR"));
    assert!(entry.last_used_s_ago.is_some_and(|age_s| age_s < 60) && entry.size > 40);
    for words in [["fastpath", "dump"], ["cache", "dump"]] {
        assert!(daemon.command(&words).contains(&question.qname), "resolver {words:?}");
    }
    daemon.command(&["fastpath", "flush"]);
    assert!(daemon.published().is_empty());
    let answered = daemon.counter("answered_");
    client.ask(&query, false);
    assert_eq!(daemon.counter("answered_"), answered, "after a flush the daemon answers");
    daemon.ask_until_xdp_answers(&client, &query, false);
}

#[test]
fn the_kernel_half_says_why_it_passes_when_asked_to() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "xdp-log");
    let client = LabClient::remote(&facts);
    let query = TestQuery { recursion_desired: false, ..lab::query(lab::address(&facts), false) };
    daemon.wait_until("a message of the kernel half", |daemon| {
        (0..32).for_each(|_| drop(client.ask(&query, false)));
        daemon.log().contains("pass_header")
    });
}
