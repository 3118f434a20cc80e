//! The programs of rig 3: validating resolvers with a cold cache, as forwarders and from the root.
//!
//! In: the lab. Out: their command lines, with the configurations that these name written.

use std::path::Path;

use super::misses::Rig;
use crate::{
    command::{Failure, read, write},
    lab, paths,
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
