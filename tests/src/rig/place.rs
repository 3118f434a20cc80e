//! Where rigs run: network namespaces without a name, which go with the process, and veth pairs between them.

use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::{Pid, gettid};

use crate::netns;

/// Moves this thread, and so those that it starts, to one CPU.
///
/// # Panics
/// When there is no such CPU for us.
pub fn move_to_cpu(cpu: usize) {
    let mut cpus = CpuSet::new();
    cpus.set(cpu).expect("a CPU");
    sched_setaffinity(Pid::from_raw(0), &cpus).expect("move to the CPU");
}

/// Raises the priority of this process, of what it starts, and of its session, so that whatever else the machine does
/// disturbs the rig less.
///
/// # Panics
/// When there is no renice.
pub fn raise_priority() {
    let process = std::process::id().to_string();
    let status = Command::new("renice").args(["-n", NICENESS, "-p", &process]).stdout(Stdio::null()).status();
    assert!(status.expect("run renice").success(), "renice");
    // Where the kernel shares CPUs among sessions first, a niceness counts for nothing outside of its own. Where it does
    // not, there is no such file.
    let _not_there = std::fs::write("/proc/self/autogroup", NICENESS);
}

/// Runs iproute2 in the namespace of this thread.
///
/// # Panics
/// If it fails.
pub fn ip(words: &str) {
    let status = Command::new("ip").args(words.split(' ')).status().expect("run ip");
    assert!(status.success(), "ip {words}");
}

/// Adds a veth pair without addresses of its own, lest the kernel's neighbour discovery is counted among the frames of a run.
/// Both ends are up.
pub fn add_pair([one, other]: [&str; 2]) {
    ip(&format!("link add {one} type veth peer name {other}"));
    for end in [one, other] {
        ip(&format!("link set {end} addrgenmode none up"));
    }
}

/// Another network namespace. It lives as long as this.
#[derive(Debug)]
pub struct Elsewhere {
    path: String,
    _end: Sender<()>,
}

impl Elsewhere {
    /// A new namespace, held by a thread of its own.
    ///
    /// # Panics
    /// When it may not be made.
    pub fn new() -> Self {
        let (told, heard) = channel();
        let (end, ended) = channel::<()>();
        thread::spawn(move || {
            netns::enter_new();
            told.send(gettid()).expect("somebody listens");
            // Fails when the other end is dropped, which is what we wait for.
            let _end = ended.recv();
        });
        let holder = heard.recv().expect("the namespace");
        Self { path: format!("/proc/{}/task/{holder}/ns/net", std::process::id()), _end: end }
    }

    /// Its path in `/proc`, good for our own descendants too.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Runs `work` on a thread in there. What it starts stays there.
    ///
    /// # Panics
    /// If `work` does.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        netns::inside(&self.path, work)
    }
}

impl Default for Elsewhere {
    fn default() -> Self {
        Self::new()
    }
}

/// As in the rig of misses.
const NICENESS: &str = "-15";
