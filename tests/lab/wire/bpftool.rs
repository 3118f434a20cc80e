//! The README's page on bpftool and jq: every command on it works as written.

use resolver_tests::lab::{self, LabClient, LabDaemon};
use resolver_tests::message::TestQuery;
use resolver_tests::netns;
use serde_json::Value;
use xtask::lab::facts::Facts;

const README: &str = include_str!("../../../README.md");
const HEADING: &str = "### With bpftool and jq";

/// The commands of the page.
fn commands() -> Vec<&'static str> {
    let page = README.split_once(HEADING).expect("the page").1;
    let page = page.split_once("\n### ").expect("another one").0;
    let lines = page.lines().filter_map(|line| line.strip_prefix("    "));
    lines.filter(|line| !line.starts_with('#')).collect()
}

/// What a command prints in the resolver's namespace, with our pins for those of the page.
fn run(facts: &Facts, command: &str) -> String {
    let command = command.replace("/sys/fs/bpf/resolver/", &format!("{}/", lab::pin_dir(facts).display()));
    let output = netns::command(&facts.resolver.path, "bash")
        .args(["-o", "pipefail", "-c", &command])
        .output()
        .expect("nsenter");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn every_command_of_the_page_shows_what_it_says() {
    let facts = lab::facts();
    let lines = "xdp-cache-size=100\nallow-client=10.0.0.0/8\nallow-client=fd53::/16\nlog-queries";
    let daemon = LabDaemon::start(&facts, lines);
    let client = LabClient::remote(&facts);
    let query: TestQuery = lab::query(lab::address(&facts), false);
    daemon.ask_until_xdp_answers(&client, &query, false);
    for _ in 0..300 {
        client.ask(&query, false);
    }
    let commands = commands();
    assert_eq!(commands.len(), 13, "{commands:?}");
    let shown = |map: &str| {
        let command = commands.iter().find(|command| command.contains(map)).unwrap_or_else(|| panic!("{map}"));
        run(&facts, command)
    };
    for command in &commands {
        let text = run(&facts, command);
        assert!(!text.trim().is_empty() && !text.contains("null"), "{command}: {text}");
    }
    let json = |map: &str| -> Value { serde_json::from_str(&shown(map)).expect("JSON") };
    let sum_of = |value: &Value, field: &str| -> u64 {
        value.as_array().into_iter().flatten().filter_map(|entry| entry[field].as_u64()).sum()
    };
    let answered = daemon.counter("answered_");
    assert_eq!(json("maps/COUNTERS")["answered_secure"].as_u64(), Some(answered));
    assert!(sum_of(&json("maps/LATENCY"), "answers") >= 1);
    assert_eq!((json("maps/SETTINGS")["mode"].as_u64(), json("maps/SETTINGS")["watch"].as_u64()), (Some(1), Some(1)));
    assert_eq!(json("maps/BUCKETS").as_u64(), Some(daemon.published().len() as u64));
    assert_eq!(json("maps/ANSWERS")["qtype"].as_u64(), Some(1));
    assert!(shown("maps/CLIENTS_V4").contains("10.0.0.0/8 1") && shown("maps/CLIENTS_V4").contains("0.0.0.0/0 0"));
    assert!(shown("maps/CLIENTS_V6").contains("{\"bits\":16,"));
    assert_eq!(sum_of(&json("maps/WATCH"), "told"), answered);
    assert!(shown("net show").contains(&facts.resolver.interfaces[0].name));
    let maps = shown("for map");
    let names: Vec<&str> = maps.lines().filter_map(|line| line.split('\t').next()).collect();
    let mut expected = resolver_ebpf::abi::map_name::ALL.to_vec();
    expected.sort_unstable();
    assert_eq!(names, expected, "every map is pinned under its name");
}
