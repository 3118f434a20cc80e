//! What a service manager and an operator's scripts see: notifications, given sockets, log files, statistics.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::Signal;
use resolver_tests::client::{PATIENCE, ask, ask_tcp};
use resolver_tests::daemon::TestDirectory;
use resolver_tests::message::{TestQuery, a};
use resolver_tests::upstream::{Reply, Upstream};
use resolver_user::wire::RecordType;

use super::RESOLVER;

/// A child that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

fn upstream() -> Upstream {
    Upstream::replying(|asked| Reply::answer(vec![a(&asked.question.qname.to_string(), 60, [1, 2, 3, 4])]))
}

/// The next message to the service manager that says something.
fn told(manager: &UnixDatagram, what: &str) -> String {
    let mut buffer = [0; 4096];
    loop {
        let length = manager.recv(&mut buffer).unwrap_or_else(|error| panic!("{what}: {error}"));
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if message.lines().any(|line| line == what) {
            return message;
        }
    }
}

#[test]
fn the_service_manager_is_told_of_the_start_reloads_life_and_the_end() {
    let upstream = upstream();
    let directory = TestDirectory::new();
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let path = path.display().to_string();
    let environment = [("NOTIFY_SOCKET", path.as_str()), ("WATCHDOG_USEC", "200000")];
    let mut daemon = RESOLVER.start_in(&environment, &[&upstream.option()]);
    told(&manager, "READY=1");
    told(&manager, "WATCHDOG=1");
    told(&manager, "WATCHDOG=1");
    daemon.signal(Signal::SIGHUP);
    let reloading = told(&manager, "RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    told(&manager, "READY=1");
    daemon.stop(Signal::SIGTERM);
    told(&manager, "STOPPING=1");
}

#[test]
fn sockets_that_the_service_manager_opened_are_listened_on() {
    let upstream = upstream();
    let directory = TestDirectory::new();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = udp.local_addr().unwrap();
    let tcp = TcpListener::bind(address).unwrap();
    for socket in [udp.as_fd(), tcp.as_fd()] {
        fcntl(socket, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    }
    let control = directory.path().join("control.sock");
    let script = format!(
        "exec 3<&{} 4<&{}; export LISTEN_PID=$$ LISTEN_FDS=2; exec \"$0\" \"$@\"",
        udp.as_raw_fd(),
        tcp.as_raw_fd()
    );
    let child = Command::new("bash")
        .args(["-c", &script, RESOLVER.0, "run", "--no-resolv", "--xdp=off", "--threads=2", &upstream.option()])
        .arg(format!("--control-socket={}", control.display()))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let running = Running(child);
    // A query that comes before the daemon waits in the socket: that is what given sockets are for.
    let query = TestQuery::new("a.example.", RecordType::A);
    let early = resolver_tests::client::udp(address);
    early.send(&query.wire()).unwrap();
    assert!(!resolver_tests::client::receive(&early).is_empty());
    assert_eq!(ask(address, &query).answer.len(), 1);
    assert_eq!(ask_tcp(address, &query).answer.len(), 1);
    drop(running);
}

#[test]
fn a_moved_log_file_is_left_alone_once_it_is_opened_again() {
    let upstream = upstream();
    let directory = TestDirectory::new();
    let log = directory.path().join("log");
    let option = format!("--log-facility={}", log.display());
    let control = directory.path().join("control.sock");
    let child = Command::new(RESOLVER.0)
        .args(["run", "--no-resolv", "--xdp=off", "--log-queries=extra", "--log-async=50", &option, &upstream.option()])
        .args(["--listen-address=127.0.0.1", &free_port()])
        .arg(format!("--control-socket={}", control.display()))
        .spawn()
        .unwrap();
    let mut running = Running(child);
    let wait_for = |path: &std::path::Path, text: &str| {
        let deadline = std::time::Instant::now() + PATIENCE;
        while !fs::read_to_string(path).is_ok_and(|log| log.contains(text)) {
            assert!(std::time::Instant::now() < deadline, "{text} is not in {}", path.display());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    };
    wait_for(&log, "started");
    let moved = directory.path().join("log.1");
    fs::rename(&log, &moved).unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(running.0.id()).unwrap());
    nix::sys::signal::kill(pid, Signal::SIGUSR2).unwrap();
    wait_for(&log, "log opened again");
    nix::sys::signal::kill(pid, Signal::SIGUSR1).unwrap();
    wait_for(&log, "XDP: off");
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
    assert!(running.0.wait().unwrap().success());
    assert!(fs::read_to_string(&log).unwrap().contains("stopped"), "queued lines are written before the end");
    assert!(!fs::read_to_string(&moved).unwrap().contains("XDP: off"));
}

fn free_port() -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("--port={port}")
}

#[test]
fn a_log_file_that_cannot_be_opened_stops_the_start() {
    let output = RESOLVER.output(&["run", "--server=127.0.0.1", "--xdp=off", "--log-facility=/no/such/directory/log"]);
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("cannot open log-facility /no/such/directory/log"), "{text}");
}
