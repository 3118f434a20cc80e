//! SIGHUP: the configuration is read again while queries go on.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::Signal;
use resolver_tests::client::ask;
use resolver_tests::daemon::TestDirectory;
use resolver_tests::message::{TestQuery, a};
use resolver_tests::upstream::{Reply, Upstream};
use resolver_user::wire::RecordType;

use super::RESOLVER;

/// A server that answers every name with an address that ends in `number`.
fn upstream(number: u8) -> Upstream {
    Upstream::replying(move |asked| {
        Reply::answer(vec![a(&asked.question.qname.to_string(), 3600, [192, 0, 2, number])])
    })
}

fn option(upstream: &Upstream) -> String {
    upstream.option().trim_start_matches("--").to_owned()
}

/// The last byte of the address that a name has.
fn address_of(server: std::net::SocketAddr, name: &str) -> Option<u8> {
    ask(server, &TestQuery::new(name, RecordType::A)).answer.first().and_then(|record| record.rdata.last().copied())
}

#[test]
fn another_server_counts_from_the_reload_on_for_cached_names_too() {
    let (one, two) = (upstream(1), upstream(2));
    let directory = TestDirectory::new();
    let file = directory.file("r.conf", &option(&one));
    let daemon = RESOLVER.start(&["--conf-file", &file]);
    assert_eq!(address_of(daemon.address, "a.example."), Some(1));
    directory.file("r.conf", &option(&two));
    assert_eq!(address_of(daemon.address, "a.example."), Some(1), "nothing changes before the signal");
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_counter("reloads", 1);
    assert_eq!(address_of(daemon.address, "a.example."), Some(2));
    assert_eq!(daemon.status().servers.len(), 1);
}

#[test]
fn a_reload_without_a_change_keeps_the_cache_and_what_is_known_of_the_servers() {
    let one = upstream(1);
    let directory = TestDirectory::new();
    let file = directory.file("r.conf", &option(&one));
    let daemon = RESOLVER.start(&["--conf-file", &file]);
    assert_eq!(address_of(daemon.address, "a.example."), Some(1));
    directory.file("r.conf", &format!("# a comment\nlog-queries\n{}", option(&one)));
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_counter("reloads", 1);
    assert_eq!(address_of(daemon.address, "a.example."), Some(1));
    let status = daemon.status();
    assert_eq!((status.servers[0].sent, daemon.counter("cache_hits")), (1, 1));
    daemon.wait_for_log("answered qname=a.example.");
}

#[test]
fn servers_that_stay_are_known_as_before_a_reload_and_new_ones_are_asked() {
    let (one, two) = (upstream(1), upstream(2));
    let directory = TestDirectory::new();
    let file = directory.file("r.conf", &option(&one));
    let daemon = RESOLVER.start(&["--conf-file", &file]);
    assert_eq!(address_of(daemon.address, "a.example."), Some(1));
    let of_domain = two.option_for("b.example").trim_start_matches("--").to_owned();
    directory
        .file("r.conf", &format!("{of_domain}\n{}\nlocal=/c.example/\naddress=/d.c.example/10.0.0.9", option(&one)));
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_counter("reloads", 1);
    let known = |address| daemon.status().servers.iter().find(|server| server.address == address).map(|one| one.sent);
    assert_eq!((known(one.address.to_string()), known(two.address.to_string())), (Some(1), Some(0)));
    for (name, last) in
        [("a.example.", Some(1)), ("x.b.example.", Some(2)), ("c.example.", None), ("d.c.example.", Some(9))]
    {
        assert_eq!(address_of(daemon.address, name), last, "{name}");
    }
}

#[test]
fn a_wrong_configuration_changes_nothing_and_is_told_line_by_line() {
    let (one, two) = (upstream(1), upstream(2));
    let directory = TestDirectory::new();
    let file = directory.file("r.conf", &option(&one));
    let daemon = RESOLVER.start(&["--conf-file", &file]);
    directory.file("r.conf", &format!("{}\nno-such-thing\nthreads=0\n", option(&two)));
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_counter("reloads_failed", 1);
    assert_eq!(address_of(daemon.address, "a.example."), Some(1));
    daemon.wait_for_log(&format!("{file}:2: option \"no-such-thing\": unknown option"));
    daemon.wait_for_log(&format!("{file}:3: option \"threads\", value \"0\": out of range"));
    fs::remove_file(&file).unwrap();
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_counter("reloads_failed", 2);
    assert_eq!(address_of(daemon.address, "b.example."), Some(1));
}

#[test]
fn what_only_a_start_can_change_is_named_and_the_rest_taken_over() {
    let (one, two) = (upstream(1), upstream(2));
    let directory = TestDirectory::new();
    let file = directory.file("r.conf", &option(&one));
    let daemon = RESOLVER.start(&["--conf-file", &file]);
    directory.file("r.conf", &format!("{}\ncache-size=7\n", option(&two)));
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_log("cache-size changed: that counts from the next start on");
    daemon.wait_for_counter("reloads", 1);
    assert_eq!(address_of(daemon.address, "a.example."), Some(2));
    assert_eq!(daemon.status().cache_entries_max, 10_000);
}

#[test]
fn of_a_thousand_reloads_under_load_no_query_notices_a_thing() {
    let (one, two) = (upstream(1), upstream(2));
    let directory = TestDirectory::new();
    let file = directory.file("r.conf", &option(&one));
    let daemon = RESOLVER.start(&["--conf-file", &file]);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let askers: Vec<_> = (0..2)
            .map(|asker| {
                let (done, daemon) = (&done, &daemon);
                scope.spawn(move || {
                    let mut asked = 0_u64;
                    while !done.load(Ordering::Relaxed) {
                        // Some names come again and again, others are new each time. Each answer must come, and be right.
                        let name = if asked.is_multiple_of(2) {
                            "often.example.".to_owned()
                        } else {
                            format!("n{asked}.{asker}.")
                        };
                        let number = address_of(daemon.address, &name);
                        assert!(matches!(number, Some(1 | 2)), "{name}: {number:?}");
                        asked += 1;
                    }
                    asked
                })
            })
            .collect();
        for reload in 1..=1000 {
            directory.file("r.conf", &option(if reload % 2 == 0 { &one } else { &two }));
            daemon.signal(Signal::SIGHUP);
            // Signals of a kind that wait become one, so each is waited for.
            daemon.wait_for_counter("reloads", reload);
        }
        done.store(true, Ordering::Relaxed);
        let asked: u64 = askers.into_iter().map(|asker| asker.join().expect("no query is lost")).sum();
        println!("{asked} queries beside 1000 reloads");
    });
    assert_eq!(address_of(daemon.address, "often.example."), Some(1), "the last configuration counts");
}

#[test]
fn a_hosts_file_that_cannot_be_read_any_more_leaves_everything_as_it_was() {
    let one = upstream(1);
    let directory = TestDirectory::new();
    let list = directory.file("block.list", "0.0.0.0 ads.example tracker.example\n");
    let lines = |more: &str| format!("{}\naddn-hosts={list}\naddn-hosts=/no/such/list\n{more}", option(&one));
    let file = directory.file("r.conf", &lines(""));
    let daemon = RESOLVER.start(&["--conf-file", &file]);
    assert_eq!(address_of(daemon.address, "ads.example."), Some(0));
    fs::remove_file(&list).unwrap();
    directory.file("r.conf", &lines("address=/new.example/192.0.2.77"));
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_counter("reloads_failed", 1);
    daemon.wait_for_log(&format!("option \"addn-hosts\", value \"{list}\": cannot read file: it could be read before"));
    assert_eq!(address_of(daemon.address, "ads.example."), Some(0), "a block list is not empty because it is gone");
    assert_eq!(address_of(daemon.address, "new.example."), Some(1), "and the rest stays, too");
    // One that never was there keeps nobody from reloading.
    directory.file("block.list", "0.0.0.0 other.example\n");
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_counter("reloads", 1);
    assert_eq!([0, 1].map(|at| address_of(daemon.address, ["other.example.", "ads.example."][at])), [Some(0), Some(1)]);
    assert_eq!(address_of(daemon.address, "new.example."), Some(77));
}
