//! The programs of rig 3: validating resolvers with a cold cache, as forwarders and from the root.
//!
//! In: the lab. Out: their command lines, with the configurations that these name written; and their processes, on a CPU of their own.

use std::{
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, SysconfVar, sysconf},
};

use super::misses::{NICENESS, Rig};
use crate::{
    command::{Failure, read, write},
    lab::{self, facts::Namespace},
    paths,
};

/// How a question is answered that the cache does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// By asking a recursive server.
    Forward,
    /// By asking authoritative servers, from the root on.
    Iterate,
}

/// A program under test.
pub(super) struct Peer {
    /// Stable name of its case.
    pub case: &'static str,
    /// Where it listens.
    pub port: u16,
    /// How it answers.
    pub mode: Mode,
    /// Its program and words.
    pub command: fn(&Rig, &Peer) -> Result<Vec<String>, Failure>,
}

/// Each mode's first one is ours, and the second one what all are held against.
pub(super) const PEERS: [Peer; 6] = [
    Peer { case: "ours-forward", port: 5455, mode: Mode::Forward, command: ours },
    Peer { case: "unbound-forward", port: 5456, mode: Mode::Forward, command: unbound },
    Peer { case: "knot-resolver-forward", port: 5457, mode: Mode::Forward, command: knot },
    Peer { case: "ours-iterate", port: 5458, mode: Mode::Iterate, command: ours },
    Peer { case: "unbound-iterate", port: 5459, mode: Mode::Iterate, command: unbound },
    Peer { case: "knot-resolver-iterate", port: 5460, mode: Mode::Iterate, command: knot },
];

/// Our daemon without its kernel half.
fn ours(rig: &Rig, peer: &Peer) -> Result<Vec<String>, Failure> {
    let whom = match peer.mode {
        Mode::Forward => vec![format!("--server={}", rig.upstream('#'))],
        Mode::Iterate => {
            vec!["--recursive=ipv4".to_owned(), format!("--root-hints={}", rig.facts.root_hints_file)]
        }
    };
    let words = vec![
        paths::resolver().display().to_string(),
        "run".to_owned(),
        "--no-resolv".to_owned(),
        format!("--listen-address={}", rig.address()),
        format!("--port={}", peer.port),
        "--dnssec".to_owned(),
        "--xdp=off".to_owned(),
        "--threads=1".to_owned(),
        format!("--trust-anchors-file={}", rig.facts.trust_anchors_file),
        format!("--control-socket={}", rig.control_socket().display()),
    ];
    Ok([words, whom].concat())
}

/// Unbound, answering no question by another's proof.
fn unbound(rig: &Rig, peer: &Peer) -> Result<Vec<String>, Failure> {
    let config = rig.folder.join(format!("{}.conf", peer.case));
    let whom = match peer.mode {
        Mode::Forward => format!("forward-zone:\n  name: \".\"\n  forward-addr: {}\n", rig.upstream('@')),
        Mode::Iterate => String::new(),
    };
    let text = format!(
        "server:\n  interface: {}\n  port: {}\n  access-control: 0.0.0.0/0 allow\n  num-threads: 1\n  \
         outgoing-range: 4096\n  num-queries-per-thread: 2048\n  username: \"\"\n  chroot: \"\"\n  directory: \"{}\"\n  \
         pidfile: \"\"\n  use-syslog: no\n  logfile: \"\"\n  module-config: \"validator iterator\"\n  \
         trust-anchor-file: \"{}\"\n  root-hints: \"{}\"\n  local-zone: \"test.\" nodefault\n  do-ip6: no\n  \
         do-not-query-localhost: no\n  aggressive-nsec: no\nremote-control:\n  control-enable: no\n{whom}",
        rig.address(),
        peer.port,
        rig.folder.display(),
        rig.facts.anchor_record_file,
        rig.facts.root_hints_file,
    );
    write(&config, text)?;
    let program = lab::unconfined("unbound").display().to_string();
    Ok([program.as_str(), "-d", "-p", "-c", &config.display().to_string()].map(ToOwned::to_owned).to_vec())
}

/// Knot Resolver, without its rules about `test.` and the modules that watch clock and root. Its cache begins empty.
fn knot(rig: &Rig, peer: &Peer) -> Result<Vec<String>, Failure> {
    let config = rig.folder.join(format!("{}.conf", peer.case));
    let storage = rig.folder.join(format!("{}.cache", peer.case));
    crate::command::remove(&storage)?;
    crate::command::make_folder(&storage)?;
    let whom = match peer.mode {
        Mode::Forward => format!("policy.add(policy.all(policy.FORWARD('{}')))", rig.upstream('@')),
        Mode::Iterate => format!("hints.root_file('{}')", rig.facts.root_hints_file),
    };
    let text = format!(
        "net.ipv6 = false\nnet.listen('{}', {}, {{ kind = 'dns' }})\ncache.open(100 * MB, 'lmdb://{}')\n\
         modules.unload('ta_update')\nmodules.unload('ta_signal_query')\nmodules.unload('priming')\n\
         modules.unload('detect_time_skew')\nmodules.unload('detect_time_jump')\nmodules = {{ 'hints > iterate', 'policy' }}\n\
         policy.special_names = {{}}\ntrust_anchors.remove('.')\ntrust_anchors.add('{}')\n{whom}\n",
        rig.address(),
        peer.port,
        storage.display(),
        read(Path::new(&rig.facts.anchor_record_file))?.trim(),
    );
    write(&config, text)?;
    lab::copy_unconfined("kresd")?;
    let program = lab::unconfined("kresd").display().to_string();
    Ok([program.as_str(), "-n", "-c", &config.display().to_string()].map(ToOwned::to_owned).to_vec())
}

/// A process under test. Dropping it stops it.
pub(super) struct Running {
    child: Child,
    line: String,
    log: PathBuf,
}

impl Running {
    /// Starts a process on the CPU of its own.
    pub(super) fn start(rig: &Rig, peer: &Peer) -> Result<Self, Failure> {
        let tool =
            lab::inside_namespace(&rig.facts.resolver).args(["nice", "-n", NICENESS, "taskset", "-c", TESTED_CPU]);
        let (line, mut command) = tool.args((peer.command)(rig, peer)?).announced();
        let log = rig.folder.join(format!("{}.log", peer.case));
        let file = |source| Failure::File { path: log.clone(), source };
        let output = std::fs::File::create(&log).map_err(file)?;
        let errors = output.try_clone().map_err(file)?;
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let child = child.map_err(|source| Failure::Start { command: line.clone(), source })?;
        Ok(Self { child, line, log })
    }

    /// Waits for a reply to a question that leaves nothing in a cache.
    pub(super) fn wait_until_it_answers(&self, from: &Namespace, server: &str, port: u16) -> Result<(), Failure> {
        let (deadline, port) = (Instant::now() + START_LIMIT, port.to_string());
        let words = ["dig", "+tries=1", "+time=1", &format!("@{server}"), "-p", &port, "CH", "TXT", "version.bind."];
        while lab::inside_namespace(from).args(words).quiet_output().is_err() {
            if Instant::now() > deadline {
                let (server, waited_s) = (self.line.clone(), START_LIMIT.as_secs());
                return Err(Failure::ServerSilent { server, waited_s, log: lab::last_lines(&self.log) });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// CPU time of all its threads so far, user and system.
    pub(super) fn cpu_s(&self) -> Result<f64, Failure> {
        let text = read(Path::new(&format!("/proc/{}/stat", self.child.id())))?;
        let ticks_per_s = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
        let ticks = ticks(&text).ok_or(Failure::Unreadable { tool: "/proc/PID/stat", said: text })?;
        Ok(f64::from(ticks) / f64::from(u32::try_from(ticks_per_s).unwrap_or(100)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It is our own child and not waited for yet, so the number is still its own.
        let asked = i32::try_from(self.child.id()).map(|pid| kill(Pid::from_raw(pid), Signal::SIGTERM));
        if !matches!(asked, Ok(Ok(()))) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// User and system time in a line of `/proc/PID/stat`. The name, in parentheses, may hold anything.
fn ticks(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split_whitespace().skip(11);
    let (user, system): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    user.checked_add(system)
}

/// CPU of the program under test.
const TESTED_CPU: &str = "1";
/// How long a program may take to answer its first question.
const START_LIMIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_name_with_spaces() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 170 30 0 0 20 0 1 0 100 0 0";
        assert_eq!(ticks(stat), Some(200));
    }
}
