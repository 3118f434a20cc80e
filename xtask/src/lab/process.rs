//! Processes that the lab started: noted in files, and known by their command line before they are stopped.
//!
//! Refuses to signal a process that is not of this checkout, whatever a stale file says.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::facts::Namespace;
use crate::{
    command::{Failure, Tool, read, remove, write},
    paths,
};

/// Notes the process number of a server.
pub fn note(name: &str, pid: u32) -> Result<(), Failure> {
    write(&pid_file(name), format!("{pid}\n"))
}

/// File with the process number of a server.
pub fn pid_file(name: &str) -> PathBuf {
    paths::lab().join("run").join(format!("{name}.pid"))
}

/// Whether a noted server still runs.
pub fn is_running(name: &str) -> bool {
    noted(&pid_file(name)).is_some_and(is_ours)
}

/// Stops all noted servers and all other processes of ours in the namespaces, such as a daemon left behind.
pub fn stop_all(namespaces: &[Namespace]) -> Result<(), Failure> {
    let folder = paths::lab().join("run");
    let files = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let noted: Vec<i32> = files.filter_map(|file| noted(&file)).collect();
    let inside = namespaces.iter().flat_map(inhabitants);
    let mut ours: Vec<i32> = noted.into_iter().chain(inside).filter(|pid| is_ours(*pid)).collect();
    ours.sort_unstable();
    ours.dedup();
    stop(&ours);
    remove(&folder)
}

/// Stops one noted server.
pub fn stop_noted(name: &str) {
    stop(&noted(&pid_file(name)).into_iter().filter(|pid| is_ours(*pid)).collect::<Vec<_>>());
    // What is left is an empty note.
    let _ = remove(&pid_file(name));
}

/// A process in one of the namespaces that is not of this checkout.
pub fn stranger(namespaces: &[Namespace]) -> Option<(String, i32, String)> {
    namespaces.iter().find_map(|namespace| {
        let pid = inhabitants(namespace).into_iter().find(|pid| is_alive(*pid) && !is_ours(*pid))?;
        Some((namespace.name.clone(), pid, command_line(pid)))
    })
}

/// Asks processes to end, and after a while makes them.
fn stop(pids: &[i32]) {
    for (signal, patience) in [(Signal::SIGTERM, Duration::from_secs(5)), (Signal::SIGKILL, Duration::from_secs(1))] {
        let left: Vec<i32> = pids.iter().copied().filter(|pid| is_ours(*pid)).collect();
        for pid in &left {
            eprintln!("+ kill -{} {pid} # {}", signal.as_str().trim_start_matches("SIG"), command_line(*pid));
            // It may have ended meanwhile.
            let _ = kill(Pid::from_raw(*pid), signal);
        }
        let deadline = Instant::now() + patience;
        while left.iter().any(|pid| is_alive(*pid)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Processes in a namespace.
fn inhabitants(namespace: &Namespace) -> Vec<i32> {
    if !Path::new(&namespace.path).exists() {
        return Vec::new();
    }
    let said = Tool::new("ip").args(["netns", "pids", &namespace.name]).quiet_output().unwrap_or_default();
    said.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// The number in a file.
fn noted(file: &Path) -> Option<i32> {
    read(file).ok()?.trim().parse().ok()
}

/// Whether a process runs a program, or was given a file, below our `target`.
fn is_ours(pid: i32) -> bool {
    let target = format!("{}/", paths::target().display());
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    is_alive(pid) && pid != own_pid() && (program.starts_with(&target) || command_line(pid).contains(&target))
}

/// Whether a process exists and is no zombie.
fn is_alive(pid: i32) -> bool {
    // The state follows the name, which stands in parentheses and may hold anything.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Words of a process, with spaces between them.
fn command_line(pid: i32) -> String {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).replace('\0', " ").trim_end().to_owned()
}

/// Our own number.
fn own_pid() -> i32 {
    Pid::this().as_raw()
}
