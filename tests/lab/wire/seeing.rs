//! What an operator sees of single answers: the query log, captures, the live view, counts by client.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use resolver_tests::lab::{self, LabClient, LabDaemon};
use resolver_tests::message::TestQuery;
use resolver_user::control::report::{CountsReport, Serving};
use serde_json::Value;
use xtask::lab::facts::Question;

/// Queries of one test that XDP answers.
const QUERIES: u64 = 200;

/// Lines of the log that tell of XDP's answers.
fn lines_of_xdp(daemon: &LabDaemon) -> Vec<String> {
    daemon.log().lines().filter(|line| line.contains("from=xdp")).map(str::to_owned).collect()
}

#[test]
fn every_answer_of_xdp_stands_in_the_query_log_like_the_daemons() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "log-queries=proto");
    let client = LabClient::remote(&facts);
    let question = lab::addresses(&facts)[0];
    let query = lab::query(question, true);
    for _ in 0..QUERIES {
        client.ask(&query, false);
        client.ask(&query, true);
    }
    let answered = daemon.counter("answered_") as usize;
    assert!(answered > QUERIES as usize);
    daemon.wait_until("a line for each answer", |daemon| lines_of_xdp(daemon).len() == answered);
    let seen = daemon.fast_path().seen;
    assert_eq!((seen.told as usize, seen.lost, seen.log_one_in), (answered, 0, 1));
    let log = daemon.log();
    let fields = |from: &str| -> Vec<String> {
        let line = log.lines().find(|line| line.contains(&format!("from={from}"))).expect("a line");
        let fields = line.split_whitespace().filter(|word| word.contains('='));
        // Those that are another's with each query.
        let own = ["number=", "client=", "from=", "ms="];
        fields.filter(|field| !own.iter().any(|start| field.starts_with(start))).map(str::to_owned).collect()
    };
    assert_eq!(fields("xdp"), fields("upstream"), "both halves say the same in the same words");
    assert!(fields("xdp").contains(&"outcome=secure".to_owned()) && fields("xdp").contains(&"ad=true".to_owned()));
}

#[test]
fn the_query_log_is_sampled_or_without_xdp_as_the_operator_wants() {
    let facts = lab::facts();
    let client = LabClient::remote(&facts);
    let query = lab::query(lab::addresses(&facts)[0], false);
    for (lines, is_within) in [
        ("log-queries\nxdp-log-queries=0", (|told| told == 0) as fn(u64) -> bool),
        ("log-queries=only_failed", |told| told == 0),
        ("xdp-log-queries=1", |told| told == 0),
        // 1000 draws of 1 in 10: further than 60 from 100 never happens.
        ("log-queries\nxdp-log-queries=10", |told| (40..=160).contains(&told)),
    ] {
        let daemon = LabDaemon::start(&facts, lines);
        daemon.ask_until_xdp_answers(&client, &query, false);
        for _ in 0..5 * QUERIES {
            client.ask(&query, false);
        }
        let told = daemon.fast_path().seen.told;
        assert!(is_within(told), "{lines}: {told}");
        daemon.wait_until("the lines", |daemon| lines_of_xdp(daemon).len() as u64 == told);
    }
}

#[test]
fn a_reload_changes_what_is_logged_and_whether_xdp_answers() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let client = LabClient::remote(&facts);
    let query = lab::query(lab::addresses(&facts)[0], false);
    daemon.ask_until_xdp_answers(&client, &query, false);
    assert_eq!((daemon.fast_path().seen.told, lines_of_xdp(&daemon).len()), (0, 0));
    let config = daemon.socket.with_file_name("resolver.conf");
    let text = std::fs::read_to_string(&config).expect("the configuration");
    std::fs::write(&config, text.clone() + "log-queries\n").expect("written");
    daemon.signal(Signal::SIGHUP);
    daemon.wait_until("lines", |daemon| {
        client.ask(&query, false);
        !lines_of_xdp(daemon).is_empty()
    });
    std::fs::write(&config, text + "xdp-mode=off\n").expect("written");
    daemon.signal(Signal::SIGHUP);
    daemon.wait_until("XDP off", |daemon| daemon.fast_path().serving == Serving::Off);
    assert_eq!(daemon.fast_path().seen.log_one_in, 0);
}

/// A `resolver capture` under way.
struct Running {
    child: Child,
    file: PathBuf,
}

impl Running {
    fn start(daemon: &LabDaemon, name: &str, words: &[&str]) -> Self {
        let file = daemon.socket.with_file_name(name);
        let child = Command::new(lab::binary())
            .arg("capture")
            .arg(&file)
            .args(words)
            .arg("--control-socket")
            .arg(&daemon.socket)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the resolver binary");
        daemon.wait_until("the capture", |daemon| daemon.fast_path().seen.capture);
        Self { child, file }
    }

    /// What it says at its end.
    fn end(mut self) -> (String, PathBuf) {
        let said = self.child.stderr.take().map(|stderr| BufReader::new(stderr).lines().map_while(Result::ok));
        let said: Vec<String> = said.into_iter().flatten().collect();
        assert!(self.child.wait().expect("our child").success(), "{said:?}");
        (said.join("\n"), self.file)
    }
}

/// What a program prints.
fn output(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn a_capture_holds_what_the_client_sent_and_got_and_others_read_it() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let client = LabClient::remote(&facts);
    let questions = lab::addresses(&facts);
    let (wanted, unwanted) = (lab::query(questions[0], true), lab::query(questions[1], false));
    for ipv6 in [false, true] {
        daemon.ask_until_xdp_answers(&client, &wanted, ipv6);
        daemon.ask_until_xdp_answers(&client, &unwanted, ipv6);
    }
    let capture =
        Running::start(&daemon, "capture.pcapng", &["--count", "4", "--name", &questions[0].qname, "--type", "a"]);
    let mut messages = Vec::new();
    for ipv6 in [false, true, false, true] {
        client.ask(&unwanted, ipv6);
        messages.push(client.ask(&wanted, ipv6));
    }
    let (said, file) = capture.end();
    assert_eq!(said, "4 answers captured with their queries, 0 lost");
    let file = file.to_str().expect("UTF-8");

    let listing = output("tcpdump", &["-n", "-r", file]);
    assert_eq!(listing.lines().count(), 8, "{listing}");
    assert_eq!(listing.matches(&format!("{}.", facts.client.interfaces[0].ipv4)).count(), 4, "{listing}");
    // The IDs, query and answer, and the payload as the client got it.
    let fields =
        ["-T", "fields", "-e", "dns.id", "-e", "dns.flags.response", "-e", "udp.payload", "-e", "frame.interface_name"];
    let read = output("tshark", &[&["-n", "-r", file][..], &fields].concat());
    let rows: Vec<Vec<&str>> = read.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 8, "{read}");
    for (pair, message) in rows.chunks(2).zip(&messages) {
        assert_eq!((pair[0][0], pair[0][1], pair[1][1]), (pair[1][0], "0", "1"), "a query, then its answer: {read}");
        let hex: String = message.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((pair[1][2], pair[1][3]), (hex.as_str(), "xdp"));
    }
    // Once nobody captures, nothing is told any more.
    daemon.wait_until("the end of the capture", |daemon| !daemon.fast_path().seen.capture);
}

#[test]
fn a_capture_ends_by_size_and_by_time_and_filters_by_client_and_rcode() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let client = LabClient::remote(&facts);
    let query = lab::query(lab::addresses(&facts)[0], false);
    daemon.ask_until_xdp_answers(&client, &query, false);
    let by_size = Running::start(&daemon, "size.pcapng", &["--size", "2000", "--client", "10.53.0.0/24"]);
    while daemon.fast_path().seen.capture {
        client.ask(&query, false);
    }
    let (said, file) = by_size.end();
    let len = std::fs::metadata(&file).expect("the file").len();
    assert!((1000..=2000).contains(&len) && said.ends_with(" 0 lost"), "{len} bytes: {said}");
    for words in [["--client", "192.0.2.0/24"], ["--rcode", "NXDOMAIN"]] {
        let none = Running::start(&daemon, "none.pcapng", &[&["--seconds", "1"][..], &words].concat());
        for _ in 0..10 {
            client.ask(&query, false);
        }
        assert!(none.end().0.starts_with("0 answers captured"), "{words:?}");
    }
    let wrong = Command::new(lab::binary()).args(["capture", "-", "--rcode", "SERVFAIL"]).output().expect("resolver");
    assert_eq!(wrong.status.code(), Some(1));
}

#[test]
fn a_capture_that_nobody_takes_loses_answers_and_is_told_how_many() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let client = LabClient::remote(&facts);
    let query = lab::query(lab::addresses(&facts)[0], false);
    daemon.ask_until_xdp_answers(&client, &query, false);
    // It stands still until it is to go on.
    let capture = Running::start(&daemon, "slow.pcapng", &[]);
    let pid = Pid::from_raw(i32::try_from(capture.child.id()).expect("a process number"));
    kill(pid, Signal::SIGSTOP).expect("our child");
    let before = daemon.counter("answered_");
    for _ in 0..8_000 {
        client.ask(&query, false);
    }
    assert_eq!(daemon.counter("answered_") - before, 8_000, "XDP waits for nobody");
    daemon.wait_until("all to be told", |daemon| daemon.fast_path().seen.told >= 8_000);
    kill(pid, Signal::SIGCONT).expect("our child");
    kill(pid, Signal::SIGINT).expect("our child");
    let (said, _) = capture.end();
    let numbers: Vec<u64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [captured, lost] = numbers[..] else { panic!("{said}") };
    assert!(captured + lost == 8_000 && captured > 1000 && lost > 1000, "{said}");
}

#[test]
fn the_live_view_tells_shares_rates_and_the_hottest_names_of_both_halves() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let (remote, local) = (LabClient::remote(&facts), LabClient::local(&facts));
    let questions = lab::addresses(&facts);
    let (by_xdp, by_daemon) = (lab::query(questions[0], false), lab::query(questions[1], false));
    daemon.ask_until_xdp_answers(&remote, &by_xdp, false);
    local.ask(&by_daemon, false);
    let top = |words: &[&str]| {
        let mut child = Command::new(lab::binary())
            .arg("top")
            .args(words)
            .arg("--control-socket")
            .arg(&daemon.socket)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the resolver binary");
        // Counting begins with the view, and the view lasts for a second.
        while child.try_wait().expect("our child").is_none() {
            (0..30).for_each(|_| drop(remote.ask(&by_xdp, false)));
            (0..10).for_each(|_| drop(local.ask(&by_daemon, false)));
        }
        let output = child.wait_with_output().expect("our child");
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let view: Value = serde_json::from_str(&top(&["--once", "--json"])).expect("JSON");
    let share = view["xdp_share"].as_f64().expect("a share");
    assert!((0.7..0.8).contains(&share), "three of four: {view}");
    assert!(
        view["outcomes"]
            .as_array()
            .expect("outcomes")
            .iter()
            .any(|rate| { rate["name"] == "xdp_answered_secure" && rate["per_s"].as_f64() > Some(0.0) })
    );
    assert!(view["counts"]["queries"].as_u64() > Some(30), "{view}");
    let names: Vec<&str> =
        view["counts"]["names"].as_array().expect("names").iter().filter_map(|n| n["name"].as_str()).collect();
    let lower = |question: &Question| question.qname.to_ascii_lowercase();
    assert_eq!(names.first().map(|name| name.to_string()), Some(lower(questions[0])), "{names:?}");
    assert!(names.contains(&lower(questions[1]).as_str()), "the daemon's own queries count too: {names:?}");
    let text = top(&["--once"]);
    for part in ["share of XDP", "hottest names", "slowest servers", "XDP's answers", &lower(questions[0])] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
}

#[test]
fn queries_of_both_halves_are_counted_by_client() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "client-counts=10");
    let (remote, local) = (LabClient::remote(&facts), LabClient::local(&facts));
    let query = lab::query(lab::addresses(&facts)[0], false);
    daemon.ask_until_xdp_answers(&remote, &query, false);
    for _ in 0..QUERIES {
        remote.ask(&query, false);
    }
    for _ in 0..QUERIES / 2 {
        local.ask(&TestQuery { checking_disabled: true, ..query.clone() }, false);
    }
    let counts =
        || -> CountsReport { serde_json::from_str(&daemon.command(&["clients", "--json"])).expect("a report") };
    let answered = daemon.counter("answered_");
    daemon.wait_until("all counts", |_| counts().clients.first().is_some_and(|client| client.xdp == answered));
    let report = counts();
    assert_eq!((report.xdp_one_in, report.daemon_one_in), (1, 1), "so few queries are counted one by one");
    let of =
        |address: &str| report.clients.iter().find(|client| client.client.to_string() == address).expect("a client");
    let far = of(&facts.client.interfaces[0].ipv4.to_string());
    assert_eq!((far.upstream, far.failed, far.error_max), (1, 0, 0), "{far:?}");
    assert_eq!(far.queries, far.xdp + far.cache + far.upstream);
    let near = of(&facts.resolver.interfaces[0].ipv4.to_string());
    assert_eq!((near.xdp, near.cache), (0, QUERIES / 2), "{near:?}");
    assert!(daemon.command(&["clients"]).contains(&far.client.to_string()));
}

#[test]
fn clients_are_not_counted_unless_that_is_wanted() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let refused = Command::new(lab::binary()).args(["clients", "--control-socket"]).arg(&daemon.socket).output();
    let refused = refused.expect("the resolver binary");
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("client-counts"));
    assert_eq!(daemon.fast_path().seen.told, 0);
}
