//! The lab as tests see it: its facts, and a daemon of their own in its resolver namespace.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use aya::maps::{Map, MapData, PerCpuArray};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use resolver_ebpf::abi::{OUTCOMES, Outcome, map_name};
use resolver_user::control::report::{FastPathEntry, FastPathStatus, StatusReport};
use resolver_user::control::{Request, ask};
use xtask::lab::facts::{Facts, Question};

use crate::message::TestQuery;
use crate::netns;

/// Longest wait for the daemon to start, stop or publish.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Where the tests' daemon pins its maps: a folder for each lab.
pub fn pin_dir(facts: &Facts) -> PathBuf {
    PathBuf::from(format!("/sys/fs/bpf/resolver-{}", facts.prefix))
}

/// One daemon at a time: they share addresses and interfaces.
static TURN: Mutex<()> = Mutex::new(());

/// The facts of the lab that `cargo xtask test` has raised.
///
/// # Panics
/// If there is no lab.
pub fn facts() -> Facts {
    Facts::read().expect("a lab: run the tests by `cargo xtask test`, or raise one by `cargo xtask lab up`")
}

/// The daemon's binary, with the kernel half inside.
pub fn binary() -> PathBuf {
    std::env::var_os("RESOLVER_BIN").map_or_else(xtask::paths::resolver, PathBuf::from)
}

/// A Secure address.
///
/// # Panics
/// If the lab has none.
pub fn address(facts: &Facts) -> &Question {
    addresses(facts)[0]
}

/// Secure addresses, the first of which XDP can answer with signatures too: those of others may not fit a veth's frames.
///
/// # Panics
/// If there is no such first one.
pub fn addresses(facts: &Facts) -> Vec<&Question> {
    let is_secure_address = |question: &&Question| question.status == "secure" && question.qtype == "A";
    let mut addresses: Vec<_> = facts.questions().filter(is_secure_address).collect();
    addresses.sort_by_key(|question| question.qname != "www.alg13.test.");
    assert!(addresses.first().is_some_and(|first| first.qname == "www.alg13.test."), "a secure address");
    addresses
}

/// The client by IPv4, as one that may be left without a reply.
///
/// # Panics
/// If its socket cannot be made.
pub fn asker(facts: &Facts) -> Asker {
    Asker::new(&facts.client.path, facts.client.interfaces[0].ipv4, facts.resolver.interfaces[0].ipv4)
}

/// A question of the lab as dig asks it: RD and AD set, EDNS of 1232 bytes.
///
/// # Panics
/// If the question is none.
pub fn query(question: &Question, dnssec_ok: bool) -> TestQuery {
    let qtype = question.qtype.parse().unwrap_or_else(|error| panic!("{question:?}: {error}"));
    TestQuery { authentic_data: true, ..TestQuery::new(&question.qname, qtype).edns(1232, dnssec_ok) }
}

/// A running daemon in the lab. Dropping it stops it with SIGTERM and checks that it ended well.
#[derive(Debug)]
pub struct LabDaemon {
    process: Child,
    /// Its control socket.
    pub socket: PathBuf,
    /// Its configuration file.
    pub config: PathBuf,
    log: PathBuf,
    namespace: String,
    _turn: MutexGuard<'static, ()>,
}

impl LabDaemon {
    /// Starts a daemon with XDP on the client's side, forwarding to the lab's upstreams, with these lines added.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start(facts: &Facts, lines: &str) -> Self {
        let at = &facts.resolver.interfaces[0];
        Self::listening(facts, &format!("listen-address={},{}\n{lines}", at.ipv4, at.ipv6))
    }

    /// The same, with these lines to say where it listens, and whatever else they say.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn listening(facts: &Facts, lines: &str) -> Self {
        Self::run(facts, &format!("{}{lines}", servers(facts)))
    }

    /// Starts a daemon that resolves from the lab's root, with these lines added.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn iterating(facts: &Facts, lines: &str) -> Self {
        let at = &facts.resolver.interfaces[0];
        let hints = &facts.root_hints_file;
        Self::run(facts, &format!("listen-address={},{}\nroot-hints={hints}\n{lines}", at.ipv4, at.ipv6))
    }

    fn run(facts: &Facts, lines: &str) -> Self {
        // A test that failed has poisoned nothing but its own daemon.
        let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let folder = xtask::paths::target().join("lab-tests");
        std::fs::create_dir_all(&folder).expect("a folder below target/");
        let (config, socket, log) =
            (folder.join("resolver.conf"), folder.join("control.sock"), folder.join("resolver.log"));
        std::fs::write(&config, config_text(facts, &socket, lines)).expect("a config file");
        let process = spawn(&facts.resolver.path, &config, &log);
        let namespace = facts.resolver.path.clone();
        let mut daemon = Self { process, socket, config, log, namespace, _turn: turn };
        daemon.wait_until_ready();
        daemon
    }

    /// Kills it, and waits until it is gone.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill(&mut self) {
        self.process.kill().expect("our own child");
        self.process.wait().expect("our own child");
    }

    /// Starts it again after its end; whoever calls waits until it is ready.
    pub fn start_again(&mut self) {
        self.process = spawn(&self.namespace, &self.config, &self.log);
    }

    /// Starts it again after its end, listening as [`Self::start`] does, with these lines instead of those before.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start_with(&mut self, facts: &Facts, lines: &str) {
        let at = &facts.resolver.interfaces[0];
        let lines = format!("{}listen-address={},{}\n{lines}", servers(facts), at.ipv4, at.ipv6);
        std::fs::write(&self.config, config_text(facts, &self.socket, &lines)).expect("a config file");
        self.start_again();
        self.wait_until_ready();
    }

    /// Waits until it answers on its control socket.
    ///
    /// # Panics
    /// If it ends, or takes too long.
    pub fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while ask(&self.socket, Request::Status).is_err() {
            let ended = self.process.try_wait().expect("our own child");
            assert!(ended.is_none(), "the daemon ended with {ended:?}:\n{}", self.log());
            assert!(Instant::now() < deadline, "the daemon does not answer:\n{}", self.log());
            std::thread::yield_now();
        }
    }

    /// What the daemon has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `resolver` with these words, asking this daemon; its standard output.
    ///
    /// # Panics
    /// If it fails.
    pub fn command(&self, words: &[&str]) -> String {
        let output = Command::new(binary()).args(words).arg("--control-socket").arg(&self.socket).output();
        let output = output.expect("the resolver binary");
        assert!(output.status.success(), "resolver {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// The daemon's state.
    ///
    /// # Panics
    /// If it does not tell.
    pub fn status(&self) -> StatusReport {
        let reply = ask(&self.socket, Request::Status).expect("the daemon answers");
        serde_json::from_str(&reply).expect("a status report")
    }

    /// The state of the fast path.
    ///
    /// # Panics
    /// If there is none.
    pub fn fast_path(&self) -> FastPathStatus {
        self.status().fast_path.expect("a fast path")
    }

    /// Counters of the kernel half whose names start with `prefix`, added up.
    ///
    /// # Panics
    /// If there is no fast path.
    pub fn counter(&self, prefix: &str) -> u64 {
        let counters = self.fast_path().counters;
        counters.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, count)| count).sum()
    }

    /// One of the daemon's own counters.
    ///
    /// # Panics
    /// If there is none of that name.
    pub fn user_counter(&self, name: &str) -> u64 {
        let counters = self.status().counters;
        counters.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no counter {name}")).1
    }

    /// Every published answer.
    ///
    /// # Panics
    /// If the daemon does not tell.
    pub fn published(&self) -> Vec<FastPathEntry> {
        let reply = ask(&self.socket, Request::FastpathDump).expect("the daemon answers");
        reply.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect()
    }

    /// Asks until XDP answers.
    ///
    /// # Panics
    /// If it never does.
    pub fn ask_until_xdp_answers(&self, client: &LabClient, query: &TestQuery, ipv6: bool) {
        self.wait_until(&format!("an answer of XDP to {query:?}"), |daemon| {
            let before = daemon.counter("answered_");
            client.ask(query, ipv6);
            daemon.counter("answered_") > before
        });
    }

    /// Waits until `done`, asking again and again.
    ///
    /// # Panics
    /// If that takes too long.
    pub fn wait_until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "{what} did not happen:\n{}", self.log());
        }
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// If it cannot be sent.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id()).expect("a process number");
        kill(Pid::from_raw(pid), signal).expect("our own child");
    }

    /// Waits for the daemon's end.
    ///
    /// # Panics
    /// If it does not end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().expect("our own child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the daemon does not end:\n{}", self.log());
            std::thread::yield_now();
        }
    }
}

impl Drop for LabDaemon {
    fn drop(&mut self) {
        if self.process.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + PATIENCE;
        let ended = loop {
            match self.process.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if Instant::now() < deadline => std::thread::yield_now(),
                _ => break None,
            }
        };
        if ended.is_none() {
            // Not ended, and our own child: the number is still its own.
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
        if !std::thread::panicking() {
            assert!(ended.is_some_and(|status| status.success()), "the daemon ended with {ended:?}:\n{}", self.log());
        }
    }
}

/// Starts a daemon in a namespace.
fn spawn(namespace: &str, config: &Path, log: &Path) -> Child {
    let child = netns::command(namespace, binary())
        .args(["run", "--conf-file"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(log).expect("a log file"))
        .spawn();
    child.expect("nsenter")
}

/// Queries that XDP has answered, as the pinned counters have it: with or without a daemon.
///
/// # Panics
/// If they are not pinned.
pub fn answered_by_xdp(facts: &Facts) -> u64 {
    let pin = pin_dir(facts).join("maps").join(map_name::COUNTERS);
    let map = MapData::from_pin(&pin).unwrap_or_else(|error| panic!("{}: {error}", pin.display()));
    let map: PerCpuArray<_, [u64; OUTCOMES]> = Map::PerCpuArray(map).try_into().expect("a per-CPU array");
    let per_cpu = map.get(&0, 0).expect("read COUNTERS");
    let outcomes = |cpu: &[u64; OUTCOMES]| {
        Outcome::ALL
            .iter()
            .zip(*cpu)
            .filter(|((outcome, _), _)| outcome.is_answer())
            .map(|(_, count)| count)
            .sum::<u64>()
    };
    per_cpu.iter().map(outcomes).sum()
}

/// A client's UDP sockets, one for each IP version.
#[derive(Debug)]
pub struct LabClient {
    ipv4: UdpSocket,
    ipv6: UdpSocket,
    next_id: Cell<u16>,
}

impl LabClient {
    /// A client on the far side of the veth, whose queries XDP sees.
    ///
    /// # Panics
    /// If its sockets cannot be made.
    pub fn remote(facts: &Facts) -> Self {
        Self::new(facts, &facts.client.path)
    }

    /// A client in the daemon's own namespace, whose queries travel over loopback and never meet XDP.
    ///
    /// # Panics
    /// If its sockets cannot be made.
    pub fn local(facts: &Facts) -> Self {
        Self::new(facts, &facts.resolver.path)
    }

    fn new(facts: &Facts, namespace: &str) -> Self {
        let at = &facts.resolver.interfaces[0];
        let socket = |local: IpAddr, server: IpAddr| {
            let socket = UdpSocket::bind(SocketAddr::new(local, 0)).expect("a client socket");
            socket.connect(SocketAddr::new(server, 53)).expect("a route to the resolver");
            socket.set_read_timeout(Some(PATIENCE)).expect("a read time-out");
            socket
        };
        netns::inside(namespace, || Self {
            ipv4: socket(Ipv4Addr::UNSPECIFIED.into(), at.ipv4.into()),
            ipv6: socket(Ipv6Addr::UNSPECIFIED.into(), at.ipv6.into()),
            next_id: 1.into(),
        })
    }

    /// Sends a query under a new ID and returns the reply to it.
    ///
    /// # Panics
    /// If no reply comes, or one to another query.
    pub fn ask(&self, query: &TestQuery, ipv6: bool) -> Vec<u8> {
        let socket = if ipv6 { &self.ipv6 } else { &self.ipv4 };
        let id = self.next_id.get();
        self.next_id.set(id.wrapping_add(1));
        let sent = query.clone().id(id).wire();
        socket.send(&sent).expect("the query is sent");
        let mut reply = vec![0; 65_535];
        let length =
            socket.recv(&mut reply).unwrap_or_else(|error: io::Error| panic!("no reply to {query:?}: {error}"));
        reply.truncate(length);
        assert_eq!(reply.get(..2), Some(&id.to_be_bytes()[..]), "reply to another query than {query:?}");
        let question = 12..12 + query.qname.wire().len() + 4;
        assert_eq!(reply.get(question.clone()), sent.get(question), "the question comes back as sent: {query:?}");
        reply
    }

    /// Sends a packet over IPv4 and returns what comes back.
    ///
    /// # Panics
    /// If nothing comes.
    pub fn exchange(&self, packet: &[u8]) -> Vec<u8> {
        self.ipv4.send(packet).expect("the packet is sent");
        let mut reply = vec![0; 65_535];
        let length = self.ipv4.recv(&mut reply).expect("a reply");
        reply.truncate(length);
        reply
    }
}

/// A client's socket on one address, which asks another one.
#[derive(Debug)]
pub struct Asker {
    socket: UdpSocket,
    next_id: Cell<u16>,
}

impl Asker {
    /// A socket in the namespace at `path`, from `local` to port 53 of `server`.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn new(path: &str, local: impl Into<IpAddr>, server: impl Into<IpAddr>) -> Self {
        let (local, server) = (SocketAddr::new(local.into(), 0), SocketAddr::new(server.into(), 53));
        let socket = netns::inside(path, || {
            let socket = UdpSocket::bind(local).expect("a client socket");
            socket.connect(server).expect("a route to the resolver");
            socket
        });
        Self { socket, next_id: 1.into() }
    }

    /// Sends a query under a new ID and waits so long for the reply to it. Replies to earlier queries are passed over.
    ///
    /// # Panics
    /// If the socket fails.
    pub fn ask(&self, query: &TestQuery, wait: Duration) -> Option<Vec<u8>> {
        let id = self.next_id.get();
        self.next_id.set(id.wrapping_add(1));
        let deadline = Instant::now() + wait;
        // An ICMP error that an earlier query caused is told here; the query is sent by the next try.
        if !(0..2).any(|_| self.socket.send(&query.clone().id(id).wire()).is_ok()) {
            return None;
        }
        let mut reply = vec![0; 65_535];
        loop {
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            self.socket.set_read_timeout(Some(left)).expect("a read time-out");
            match self.socket.recv(&mut reply) {
                Ok(length) if reply.get(..2) == Some(&id.to_be_bytes()[..]) => {
                    reply.truncate(length);
                    return Some(reply);
                }
                // Nobody listens there, says ICMP.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return None,
                _ => {}
            }
        }
    }
}

/// The lab's upstreams, as lines of a configuration.
fn servers(facts: &Facts) -> String {
    facts.upstreams.iter().map(|upstream| format!("server={}#{}\n", upstream.ipv4, upstream.port)).collect()
}

fn config_text(facts: &Facts, socket: &Path, lines: &str) -> String {
    let at = &facts.resolver.interfaces[0];
    let mut text = String::from("no-resolv\nno-hosts\ndnssec\nxdp=native\n");
    text += &format!("xdp-interface={}\nxdp-pin-dir={}\n", at.name, pin_dir(facts).display());
    text += &format!("trust-anchors-file={}\n", facts.trust_anchors_file);
    text += &format!("control-socket={}\n{lines}\n", socket.display());
    text
}
