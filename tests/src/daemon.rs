//! A daemon in a process of its own.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use resolver_user::control::report::{AnchorEntry, StatusReport};
use resolver_user::control::{Request, ask};

use crate::client::PATIENCE;

/// Holds the seconds that RFC 5011's hold-downs last in the program under test. Its looks at keys are then a second apart.
pub const HOLD_DOWN_VARIABLE: &str = "RESOLVER_TEST_HOLD_DOWN_S";

/// A running daemon. Dropping it stops it.
pub struct Daemon {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its control socket.
    pub control: PathBuf,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    _directory: TestDirectory,
}

/// A directory of one test; removed at the end.
pub struct TestDirectory(PathBuf);

impl TestDirectory {
    /// A new empty directory.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("resolver-test-{}-{number}", process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it and returns its path as text.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a file");
        path.display().to_string()
    }
}

impl Default for TestDirectory {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TestDirectory {
    fn drop(&mut self) {
        // What is left is in the system's temporary directory.
        let _left = fs::remove_dir_all(&self.0);
    }
}

/// The program to start: given by the test target, which alone knows its path.
#[derive(Clone, Copy, Debug)]
pub struct Program(pub &'static str);

impl Program {
    /// Runs it to its end.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn output(self, arguments: &[&str]) -> Output {
        Command::new(self.0).args(arguments).output().expect("the program starts")
    }

    /// Starts a daemon on 127.0.0.1 with these options besides those that a test needs, and waits until it listens. It
    /// reads no resolv.conf but one that is named.
    pub fn start(self, options: &[&str]) -> Daemon {
        self.start_on([127, 0, 0, 1].into(), options)
    }

    /// The same on another address.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_on(self, address: IpAddr, options: &[&str]) -> Daemon {
        // The port is free when it is drawn; should another process be quicker, the next one is tried.
        (0..10).find_map(|_| self.try_start(address, options, &[])).expect("the daemon starts")
    }

    /// Starts a daemon on 127.0.0.1 with more variables in its environment.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_in(self, environment: &[(&str, &str)], options: &[&str]) -> Daemon {
        let address = [127, 0, 0, 1].into();
        (0..10).find_map(|_| self.try_start(address, options, environment)).expect("the daemon starts")
    }

    /// Starts a daemon that follows its anchors' keys with a hold-down of so many seconds.
    pub fn start_following(self, hold_down_s: u64, options: &[&str]) -> Daemon {
        self.start_in(&[(HOLD_DOWN_VARIABLE, &hold_down_s.to_string())], options)
    }

    fn try_start(self, ip: IpAddr, options: &[&str], environment: &[(&str, &str)]) -> Option<Daemon> {
        let port = TcpListener::bind((ip, 0)).and_then(|socket| socket.local_addr()).expect("a free port").port();
        let directory = TestDirectory::new();
        let control = directory.path().join("control.sock");
        let reads_resolv = options.iter().any(|option| option.starts_with("--resolv-file"));
        let mut child = Command::new(self.0)
            .arg("run")
            // Not the machine's own configuration.
            .args(["--conf-file=/dev/null", "--no-hosts", "--xdp=off", "--threads=2"])
            .args((!reads_resolv).then_some("--no-resolv"))
            .args([format!("--listen-address={ip}"), format!("--port={port}")])
            .arg(format!("--control-socket={}", control.display()))
            .args(options)
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (sender, receiver) = mpsc::channel();
        let stderr = child.stderr.take().expect("piped");
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&log);
        // Reads to the end, so that the daemon never waits for its log to be taken.
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                eprintln!("daemon: {line}");
                lines.lock().expect("the lines").push(line.clone());
                let _done = sender.send(line);
            }
        });
        let mut daemon = Daemon { address: (ip, port).into(), control, child, log, _directory: directory };
        loop {
            match receiver.recv_timeout(PATIENCE) {
                Ok(line) if line.contains("started") => return Some(daemon),
                Ok(line) if line.contains("Address already in use") => return None,
                Ok(_) => {}
                Err(_) => panic!("the daemon did not start: {:?}", daemon.child.wait()),
            }
        }
    }
}

impl Daemon {
    /// Its state.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn status(&self) -> StatusReport {
        let reply = ask(&self.control, Request::Status).expect("the daemon answers");
        serde_json::from_str(&reply).expect("a status report")
    }

    /// What it has logged so far.
    ///
    /// # Panics
    /// If the thread that reads it panicked.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().expect("not poisoned").clone()
    }

    /// Its anchors.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn anchors(&self) -> Vec<AnchorEntry> {
        let reply = ask(&self.control, Request::Anchors).expect("the daemon answers");
        reply.lines().map(|line| serde_json::from_str(line).expect("an anchor")).collect()
    }

    /// One of its counters.
    ///
    /// # Panics
    /// If there is no such counter.
    pub fn counter(&self, name: &str) -> u64 {
        let counters = self.status().counters;
        counters.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no counter {name}")).1
    }

    /// Waits until a counter reaches a value.
    ///
    /// # Panics
    /// If it does not.
    pub fn wait_for_counter(&self, name: &str, value: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.counter(name) < value {
            assert!(Instant::now() < deadline, "{name} did not reach {value}: {:?}", self.status().counters);
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Sends a signal and waits for the end.
    ///
    /// # Panics
    /// If it does not end in time.
    pub fn stop(&mut self, signal: Signal) -> (ExitStatus, Duration) {
        let started = Instant::now();
        self.signal(signal);
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return (status, started.elapsed());
            }
            assert!(started.elapsed() < PATIENCE, "the daemon does not stop");
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Waits until a line of its log contains a text.
    ///
    /// # Panics
    /// If none does in time.
    pub fn wait_for_log(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log.lock().expect("the lines").iter().any(|line| line.contains(text)) {
            assert!(Instant::now() < deadline, "{text} was not logged");
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If it is gone.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process number");
        kill(Pid::from_raw(pid), signal).expect("our child");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            // Its end is what matters, not how it came.
            let _ended = self.child.kill().and_then(|()| self.child.wait());
        }
    }
}
