//! What an operator sees of single answers where there is no XDP: the live view, counts by client, refusals.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use resolver_tests::client::{PATIENCE, ask};
use resolver_tests::daemon::Daemon;
use resolver_tests::message::{TestQuery, a};
use resolver_tests::upstream::{Reply, Upstream};
use resolver_user::control::report::CountsReport;
use resolver_user::wire::RecordType;

use super::RESOLVER;

fn start(options: &[&str]) -> (Upstream, Daemon) {
    let upstream =
        Upstream::replying(|asked| Reply::answer(vec![a(&asked.question.qname.to_string(), 300, [192, 0, 2, 1])]));
    let server = upstream.option();
    let daemon = RESOLVER.start(&[&[server.as_str()], options].concat());
    (upstream, daemon)
}

fn command(daemon: &Daemon, words: &[&str]) -> Output {
    RESOLVER.output(&[words, &[&format!("--control-socket={}", daemon.control.display())]].concat())
}

#[test]
fn the_daemons_queries_are_counted_by_client_and_way() {
    let (_upstream, daemon) = start(&["--client-counts=4", "--address=/own.test/192.0.2.7"]);
    for name in ["www.test.", "WWW.test.", "www.test.", "own.test."] {
        ask(daemon.address, &TestQuery::new(name, RecordType::A));
    }
    let output = command(&daemon, &["clients", "--json"]);
    let report: CountsReport = serde_json::from_slice(&output.stdout).expect("a report");
    let [client] = &report.clients[..] else { panic!("one client: {report:?}") };
    assert_eq!((client.queries, client.error_max, client.xdp), (4, 0, 0));
    assert_eq!((client.cache, client.upstream, client.failed), (3, 1, 0));
    assert_eq!((report.queries, report.xdp_one_in, report.daemon_one_in), (4, 0, 1));
}

#[test]
fn without_xdp_there_is_nothing_to_capture_to_verify_or_to_switch() {
    let (_upstream, daemon) = start(&[]);
    for words in [&["capture", "-"][..], &["fastpath", "verify"], &["fastpath", "dry-run"], &["fastpath", "on"]] {
        let output = command(&daemon, words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("XDP is off"), "{words:?}: {output:?}");
    }
    let refused = command(&daemon, &["clients"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("client-counts"));
}

/// A program on a terminal of its own, which `script` makes.
struct OnTerminal {
    child: Child,
    output: Receiver<Vec<u8>>,
    shown: String,
}

impl OnTerminal {
    fn start(command: &str) -> Self {
        let mut child = Command::new("script")
            .args(["--quiet", "--flush", "--return", "--command", command, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script, of every Debian system");
        let mut stdout = child.stdout.take().expect("piped");
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, output, shown: String::new() }
    }

    /// Waits until this was shown, after what was waited for before.
    fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.shown.contains(text) {
            let left = deadline.saturating_duration_since(Instant::now());
            let more = self.output.recv_timeout(left).unwrap_or_else(|_| panic!("{text} is not shown: {}", self.shown));
            self.shown.push_str(&String::from_utf8_lossy(&more));
        }
        let at = self.shown.find(text).map_or(0, |at| at + text.len());
        self.shown.drain(..at);
    }

    /// Hits keys.
    fn hit(&mut self, keys: &str) {
        let stdin = self.child.stdin.as_mut().expect("piped");
        stdin.write_all(keys.as_bytes()).and_then(|()| stdin.flush()).expect("a keyboard");
    }
}

#[test]
fn the_live_view_is_drawn_again_each_second_and_gives_the_terminal_back_at_q() {
    let (_upstream, daemon) = start(&[]);
    let program = env!("CARGO_BIN_EXE_resolver-under-test");
    let mut view = OnTerminal::start(&format!("{program} top --control-socket={}", daemon.control.display()));
    view.wait_for("\x1b[?1049h");
    for _ in 0..2 {
        view.wait_for("queries/s: ");
        ask(daemon.address, &TestQuery::new("hot.test.", RecordType::A));
    }
    view.wait_for("hottest names");
    view.wait_for("hot.test. A");
    view.hit("xq");
    view.wait_for("\x1b[?1049l");
    assert!(view.child.wait().expect("our child").success());
    // What is no terminal gets one view, and only if it asks for it.
    let refused = command(&daemon, &["top"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("--once"));
    let once = command(&daemon, &["top", "--once"]);
    let text = String::from_utf8_lossy(&once.stdout);
    assert!(once.status.success() && text.contains("share of XDP") && !text.contains('\x1b'), "{text}");
}
