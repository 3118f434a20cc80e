//! What a daemon may do once it has started as root and become somebody else.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use resolver_tests::lab::{self, LabClient, LabDaemon};
use xtask::lab::facts::{Facts, Question};

use super::life::is_attached;

/// CAP_NET_BIND_SERVICE (10), CAP_NET_ADMIN (12), CAP_PERFMON (38), CAP_BPF (39).
const KEPT: u64 = 1 << 10 | 1 << 12 | 1 << 38 | 1 << 39;

/// The values of a line of /proc/PID/task/TID/status, for each thread.
fn of_threads(daemon: &LabDaemon, key: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.status().pid)).expect("a process");
    let value = |task: PathBuf| {
        let status = fs::read_to_string(task.join("status")).expect("a thread");
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("no {key}"));
        line.trim_start_matches(':').trim().to_owned()
    };
    tasks.map(|task| value(task.expect("a thread").path())).collect()
}

fn ask_until_xdp_answers(facts: &Facts, daemon: &LabDaemon, question: &Question) {
    daemon.ask_until_xdp_answers(&LabClient::remote(facts), &lab::query(question, true), false);
}

#[test]
fn a_daemon_that_became_another_user_keeps_few_rights_and_xdp_answers() {
    let facts = lab::facts();
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let mut daemon = LabDaemon::start(&facts, "user=nobody\n");
        ask_until_xdp_answers(&facts, &daemon, lab::address(&facts));
        for uids in of_threads(&daemon, "Uid") {
            assert!(uids.split_whitespace().all(|uid| uid == "65534"), "{uids}");
        }
        for (key, most) in [("CapEff", KEPT), ("CapPrm", KEPT), ("CapBnd", KEPT), ("CapInh", 0), ("CapAmb", 0)] {
            for capabilities in of_threads(&daemon, key) {
                let capabilities = u64::from_str_radix(&capabilities, 16).expect("hexadecimal");
                assert_eq!(capabilities & !most, 0, "{key} {capabilities:x}");
            }
        }
        for (key, expected) in [("NoNewPrivs", "1"), ("Seccomp", "2")] {
            assert!(of_threads(&daemon, key).iter().all(|value| value == expected), "{key}");
        }
        daemon.signal(signal);
        daemon.wait();
        // A killed one leaves the program; the next start, by root again, takes over.
        assert_eq!(is_attached(&facts), signal == Signal::SIGKILL);
    }
}

#[test]
fn a_daemon_with_another_root_answers_and_takes_its_program_along() {
    let facts = lab::facts();
    let root = xtask::paths::target().join("lab-tests/root");
    fs::create_dir_all(&root).expect("a folder below target/");
    for user in ["", "user=nobody\n"] {
        let mut daemon = LabDaemon::start(&facts, &format!("chroot={}\n{user}", root.display()));
        ask_until_xdp_answers(&facts, &daemon, lab::address(&facts));
        let link = fs::read_link(format!("/proc/{}/root", daemon.status().pid)).expect("a process");
        assert_eq!(link, root.canonicalize().expect("a folder"));
        daemon.signal(Signal::SIGTERM);
        assert!(daemon.wait().success(), "{}", daemon.log());
        assert!(!is_attached(&facts));
    }
}
