//! Resolvers in processes of their own: established ones and ours, each a validating forwarder with one thread on one CPU.
//!
//! In: which one, where it listens, whom it asks, what it trusts, and for how many names its cache is made. Out: a running
//! process, which is stopped by dropping it; its CPU time and its memory.
//! Refuses a peer that does not validate: it has to answer its first question with AD.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::{SysconfVar, sysconf};
use resolver_user::wire::RecordType;

use super::client::{NotProven, ask_all};
use super::place;
use super::upstream::{RigUpstream, host};

/// A resolver of the rig.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// As cases begin: `unbound`, `ours-xdp`.
    pub name: &'static str,
    /// Last byte of its address.
    pub host: u8,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unbound,
    Bind,
    Knot,
    Dnsmasq,
    Ours,
    OursXdp,
}

/// The first one is what all others are held against.
pub const PEERS: [Peer; 6] = [
    Peer { name: "unbound", host: 61, kind: Kind::Unbound },
    Peer { name: "bind", host: 62, kind: Kind::Bind },
    Peer { name: "knot-resolver", host: 63, kind: Kind::Knot },
    Peer { name: "dnsmasq", host: 64, kind: Kind::Dnsmasq },
    Peer { name: "ours-user", host: 65, kind: Kind::Ours },
    Peer { name: OURS_XDP, host: 66, kind: Kind::OursXdp },
];
/// Name of our daemon with its kernel half.
pub const OURS_XDP: &str = "ours-xdp";

/// What all peers of a run share.
#[derive(Debug)]
pub struct Scene<'a> {
    /// Folder for configurations and logs.
    pub folder: &'a Path,
    /// Whom they ask.
    pub upstream: &'a RigUpstream,
    /// CPU of the peer.
    pub cpu: usize,
    /// Where our daemon puts its program, and where it pins its maps.
    pub xdp: (&'a str, &'a Path),
}

/// Why a peer is not measured.
#[derive(Debug)]
pub enum PeerFailure {
    /// Its program is not there.
    NotInstalled,
    /// It did not answer its first question as it has to; and the end of its log.
    Silent(NotProven, String),
}

/// A running peer.
#[derive(Debug)]
pub struct Running {
    /// Where it answers.
    pub address: SocketAddr,
    child: Child,
    log: PathBuf,
}

impl Peer {
    /// Starts it in the namespace of this thread, with a cache for so many names, and waits for its first proven answer.
    ///
    /// # Errors
    /// Why it cannot be measured.
    ///
    /// # Panics
    /// When files cannot be written.
    pub fn start(&self, scene: &Scene<'_>, names: usize) -> Result<Running, PeerFailure> {
        let folder = scene.folder.join(self.name);
        // What an earlier one left may be in another form.
        let _nothing_there = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        let ip = Ipv4Addr::new(192, 0, 2, self.host);
        let config = folder.join("config");
        fs::write(&config, self.config(scene, ip, names)).expect("write the configuration");
        let program = self.program().ok_or(PeerFailure::NotInstalled)?;
        let log = folder.join("log");
        let output = fs::File::create(&log).expect("a log");
        let errors = output.try_clone().expect("the log again");
        let start = || {
            place::move_to_cpu(scene.cpu);
            let mut command = Command::new(program);
            command.args(self.words()).arg(&config).current_dir(&folder).stdin(Stdio::null()).stdout(output);
            command.stderr(errors).spawn().expect("start the peer")
        };
        // On a thread of its own, which takes its namespace along and leaves our CPU to us.
        let child = std::thread::scope(|scope| scope.spawn(start).join().expect("start the peer"));
        let running = Running { address: (ip, PORT).into(), child, log };
        let (deadline, question) = (Instant::now() + START_LIMIT, [(host(0), RecordType::A)]);
        loop {
            match ask_all(running.address, &question) {
                Ok(()) => return Ok(running),
                Err(not) if Instant::now() > deadline => return Err(PeerFailure::Silent(not, running.last_lines())),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// The program, copied to where no confinement by path knows it.
    fn program(&self) -> Option<PathBuf> {
        let name = match self.kind {
            Kind::Ours | Kind::OursXdp => return Some(xtask::paths::resolver()),
            Kind::Unbound => "unbound",
            Kind::Bind => "named",
            Kind::Knot => "kresd",
            Kind::Dnsmasq => "dnsmasq",
        };
        xtask::lab::copy_unconfined(name).ok().map(|()| xtask::lab::unconfined(name))
    }

    /// The words before the path of the configuration.
    fn words(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Unbound => &["-d", "-p", "-c"],
            Kind::Bind => &["-g", "-n", "1", "-c"],
            Kind::Knot => &["-n", "-c"],
            Kind::Dnsmasq => &["-k", "-C"],
            Kind::Ours | Kind::OursXdp => &["run", "-C"],
        }
    }

    fn config(&self, scene: &Scene<'_>, ip: Ipv4Addr, names: usize) -> String {
        let [tag, algorithm, digest_type, digest] = &scene.upstream.anchor;
        let anchor = format!(". IN DS {tag} {algorithm} {digest_type} {digest}");
        let (server, server_port) = (scene.upstream.address.ip(), scene.upstream.address.port());
        match self.kind {
            Kind::Unbound => format!(
                "server:\n  interface: {ip}\n  access-control: 0.0.0.0/0 allow\n  num-threads: 1\n  outgoing-range: 4096\n  \
                 num-queries-per-thread: 2048\n  so-rcvbuf: 1m\n  username: \"\"\n  chroot: \"\"\n  directory: \".\"\n  \
                 pidfile: \"\"\n  use-syslog: no\n  logfile: \"\"\n  module-config: \"validator iterator\"\n  \
                 do-not-query-localhost: no\n  do-ip6: no\n  msg-cache-size: 2g\n  rrset-cache-size: 2g\n  \
                 trust-anchor: \"{anchor}\"\n  aggressive-nsec: no\n  minimal-responses: yes\n\
                 remote-control:\n  control-enable: no\nforward-zone:\n  name: \".\"\n  forward-addr: {server}@{server_port}\n"
            ),
            Kind::Bind => format!(
                "options {{\n  directory \".\";\n  listen-on {{ {ip}; }};\n  listen-on-v6 {{ none; }};\n  recursion yes;\n  \
                 allow-query {{ any; }};\n  allow-recursion {{ any; }};\n  dnssec-validation yes;\n  empty-zones-enable no;\n  \
                 synth-from-dnssec no;\n  minimal-responses yes;\n  max-cache-size unlimited;\n  notify no;\n  \
                 pid-file none;\n  session-keyfile none;\n  lock-file none;\n  forward only;\n  \
                 forwarders {{ {server} port {server_port}; }};\n}};\ncontrols {{ }};\n\
                 trust-anchors {{ \".\" static-ds {tag} {algorithm} {digest_type} \"{digest}\"; }};\n"
            ),
            Kind::Knot => format!(
                "net.ipv6 = false\nnet.listen('{ip}', 53, {{ kind = 'dns' }})\ncache.open({} * MB, 'lmdb://cache')\n\
                 modules.unload('ta_update')\nmodules.unload('ta_signal_query')\nmodules.unload('priming')\n\
                 modules.unload('detect_time_skew')\nmodules.unload('detect_time_jump')\nmodules = {{ 'policy' }}\n\
                 trust_anchors.remove('.')\ntrust_anchors.add('{anchor}')\n\
                 policy.add(policy.all(policy.FORWARD('{server}@{server_port}')))\n",
                20 + names * 2 / 1000,
            ),
            Kind::Dnsmasq => format!(
                "no-hosts\nno-resolv\nlisten-address={ip}\nbind-interfaces\nuser=root\ngroup=root\npid-file=\n\
                 log-facility=-\nserver={server}#{server_port}\ndnssec\ntrust-anchor=.,{tag},{algorithm},{digest_type},{digest}\n\
                 cache-size={}\ndns-forward-max=1000\n",
                // It keeps signers' keys in the same places, and an AAAA takes one of its own.
                names.max(150) * 9 / 4,
            ),
            Kind::Ours | Kind::OursXdp => format!(
                "no-hosts\nno-resolv\nlisten-address={ip}\nserver={server}#{server_port}\ndnssec\n\
                 trust-anchor=.,{tag},{algorithm},{digest_type},{digest}\ncache-size={}\nthreads=1\n{}\
                 control-socket={}\n",
                names.max(150) * 9 / 4,
                self.xdp_options(scene, names),
                scene.folder.join(self.name).join("control").display(),
            ),
        }
    }

    fn xdp_options(&self, scene: &Scene<'_>, names: usize) -> String {
        let (interface, pins) = scene.xdp;
        match self.kind {
            Kind::OursXdp => format!(
                "xdp=native\nxdp-interface={interface}\nxdp-pin-dir={}\nxdp-cache-size={}\n",
                pins.display(),
                names.max(150) * 5 / 2,
            ),
            _ => "xdp=off\n".to_owned(),
        }
    }
}

impl Running {
    /// CPU time of all its threads so far, user and system, in seconds.
    ///
    /// # Panics
    /// If it is gone.
    pub fn cpu_s(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("the peer runs");
        let (_, fields) = stat.rsplit_once(") ").expect("a line of fields");
        let ticks: f64 = fields.split_whitespace().skip(11).take(2).map(|field| field.parse().unwrap_or(0.0)).sum();
        let per_s = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
        ticks / per_s as f64
    }

    /// Memory that is resident, files it has mapped included, in bytes.
    ///
    /// # Panics
    /// If it is gone.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the peer runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line with its memory");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib * 1024
    }

    /// The end of its log.
    pub fn last_lines(&self) -> String {
        xtask::lab::last_lines(&self.log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).map(nix::unistd::Pid::from_raw);
        // Our daemon takes its program off on its way out. Whoever does not hear is killed.
        let _asked = pid.map(|pid| nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM));
        let deadline = Instant::now() + STOP_LIMIT;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Where all of them listen.
const PORT: u16 = 53;
/// How long a peer may take to its first proven answer.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long it may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(5);
