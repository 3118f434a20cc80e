//! Builds the rooms, joins them, and stops them in order. Decides nothing about queries.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::answer::Form;
use crate::cache::{AnswerCache, CachedAnswer, InFlight, Outcome, ResponseCache};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config, XdpMode};
use crate::control::report::{
    CachedEntry, FastPathEntry, FlushReport, NegativeAnchorEntry, ServerStatus, StatusReport,
};
use crate::control::{ControlError, ControlService, bind_control, serve_control};
use crate::listener::{
    Listen, ListenError, Shared, bind_tcp, bind_udp, listen_addresses, serve_tcp, serve_udp, xdp_interfaces,
};
use crate::metrics::Metrics;
use crate::publish::{AttachMode, FastPath, FastPathConfig, FastPathError, Publisher};
use crate::resolve::Resolver;
use crate::trust::{NegativeAnchor, NegativeAnchorError, Timestamp, TimestampError, Trust, TrustChange};
use crate::upstream::Forwarder;
use crate::validator::ProvenStatus;
use crate::wire::Name;

/// Longest time that queries in progress get at the end.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);
/// Open files that queries in progress and connections may need: a socket for the first try of each, and some more.
const OPEN_FILES_MIN: u64 = 8192;
/// How often the clock is looked at for what ends or begins with time.
const TRUST_PERIOD: Duration = Duration::from_secs(1);

/// The XDP program that was built with us, as an ELF object; none in a plain `cargo build`.
pub const BPF_OBJECT: Option<&[u8]> = include!(concat!(env!("OUT_DIR"), "/bpf_object.rs"));

/// Why the daemon cannot start.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// A socket for clients.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The control socket.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The file with the process number.
    #[error("cannot write pid-file {}: {source}", path.display())]
    PidFile {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The timestamp file.
    #[error(transparent)]
    Timestamp(#[from] TimestampError),
    /// The runtime, or its signal handlers.
    #[error("cannot start the runtime: {source}")]
    Runtime {
        /// The system's reason.
        source: io::Error,
    },
    /// XDP was demanded, but this program was built without it.
    #[error(
        "xdp={mode} is demanded, but this build holds no XDP program; build it with `cargo xtask build`, or set xdp=off"
    )]
    NoBpfObject {
        /// The mode demanded.
        mode: XdpMode,
    },
    /// XDP was demanded, but cannot be had.
    #[error("xdp: {0}")]
    FastPath(#[from] FastPathError),
    /// XDP was demanded, but there is no interface for it.
    #[error("xdp={mode} is demanded, but no interface carries a listening address; name one with xdp-interface")]
    NoXdpInterface {
        /// The mode demanded.
        mode: XdpMode,
    },
}

/// The running daemon, as the control socket sees it.
struct Daemon {
    config: Config,
    addresses: Vec<SocketAddr>,
    resolver: Arc<Resolver>,
    started: Instant,
}

/// Runs until SIGINT or SIGTERM.
///
/// # Errors
/// Whatever keeps it from starting.
pub fn run(config: Config) -> Result<(), DaemonError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(config.threads).enable_all().build();
    runtime.map_err(|source| DaemonError::Runtime { source })?.block_on(serve(config))
}

async fn serve(config: Config) -> Result<(), DaemonError> {
    for warning in &config.warnings {
        warn!("{warning}");
    }
    raise_open_files_limit();
    // Before anything is taken, so that a signal during the start is not lost.
    let stop_signal = StopSignal::new().map_err(|source| DaemonError::Runtime { source })?;
    let listen =
        Listen { addresses: config.listen_addresses.clone(), interfaces: config.interfaces.clone(), port: config.port };
    let addresses = listen_addresses(&listen)?;
    let control = bind_control(&config.control_socket)?;
    let _pid_file = PidFile::write(config.pid_file.clone())?;
    // TCP first: it fails where another daemon listens, whose UDP clients we would share (SO_REUSEPORT) without an error.
    let tcp = addresses.iter().map(|&address| bind_tcp(address)).collect::<Result<Vec<_>, _>>()?;
    let each_thread = addresses.iter().flat_map(|&address| std::iter::repeat_n(address, config.threads));
    let udp = each_thread.map(bind_udp).collect::<Result<Vec<_>, _>>()?;
    let trust = trust(&config)?;
    let fast_path = start_fast_path(&config, &listen, &addresses)?;
    let publisher = fast_path.as_ref().map(|fast_path| Arc::new(fast_path.publisher()));
    let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
    let metrics = Arc::new(Metrics::default());
    let resolver = Arc::new(resolver(&config, trust, publisher, Arc::clone(&metrics), tracker.clone()));
    let shared = Arc::new(Shared::new(Arc::clone(&resolver), metrics, tracker.clone(), stop.clone()));
    for socket in udp {
        tracker.spawn(serve_udp(socket, Arc::clone(&shared)));
    }
    for socket in tcp {
        tracker.spawn(serve_tcp(socket, Arc::clone(&shared)));
    }
    log_start(&config, &addresses);
    tracker.spawn(keep_trust(Arc::clone(&resolver), stop.clone()));
    let daemon = Arc::new(Daemon { config, addresses, resolver, started: Instant::now() });
    tracker.spawn(serve_control(control, daemon, tracker.clone(), stop.clone()));
    let signal = stop_signal.wait().await;
    info!(signal, "stopping");
    stop.cancel();
    tracker.close();
    if timeout(DRAIN_TIME_MAX, tracker.wait()).await.is_err() {
        warn!(tasks = tracker.len(), "queries in progress were given up");
    }
    // Takes the program off the interfaces, after the daemon has stopped answering for it.
    drop(fast_path);
    info!("stopped");
    Ok(())
}

/// What validation starts from, as configured.
fn trust(config: &Config) -> Result<Option<Trust>, TimestampError> {
    let Some(dnssec) = config.dnssec.clone() else { return Ok(None) };
    let timestamp = dnssec.timestamp.as_deref().map(Timestamp::open).transpose()?;
    let now = SystemClock.now();
    if let Some(timestamp) = timestamp.as_ref().filter(|timestamp| timestamp.is_past(now)) {
        timestamp.touch(now)?;
    }
    let trust = Trust::new(dnssec.anchors, dnssec.negative_anchors, dnssec.policy, timestamp, now);
    if trust.awaits_clock() {
        warn!("the clock is behind the dnssec-timestamp file: signature times are not checked until it is set");
    }
    Ok(Some(trust))
}

/// Ends negative anchors when their time is over, and begins to check signature times when the clock is set.
async fn keep_trust(resolver: Arc<Resolver>, stop: CancellationToken) {
    let Some(trust) = &resolver.trust else { return };
    let mut period = tokio::time::interval(TRUST_PERIOD);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = period.tick() => {}
        }
        let (changes, touched) = trust.look_at_clock(resolver.clock.now());
        if let Err(error) = touched {
            warn!(%error, "the next start will trust an older time");
        }
        for change in &changes {
            match change {
                TrustChange::NegativeAnchorEnded(name) => info!(%name, "negative anchor ended"),
                TrustChange::TimeChecksBegan => info!("the clock is set: signature times are checked from now on"),
            }
        }
        if !changes.is_empty() {
            tokio::task::block_in_place(|| resolver.forget_conclusions());
        }
    }
}

fn resolver(
    config: &Config,
    trust: Option<Trust>,
    publisher: Option<Arc<Publisher>>,
    metrics: Arc<Metrics>,
    tracker: TaskTracker,
) -> Resolver {
    Resolver {
        cache: AnswerCache::new(config.cache_size),
        searches: Arc::new(InFlight::default()),
        fetches: Arc::new(InFlight::default()),
        responses: ResponseCache::default(),
        upstream: Forwarder::new(&config.servers, trust.is_some(), Arc::clone(&metrics)),
        trust,
        publisher,
        clock: Arc::new(SystemClock),
        metrics,
        tracker,
        log_queries: config.log_queries,
        log_dnssec: config.dnssec.as_ref().is_some_and(|dnssec| dnssec.log),
        dnssec_debug: config.dnssec.as_ref().is_some_and(|dnssec| dnssec.debug),
    }
}

/// Loads the XDP program and attaches it, as far as the configuration asks and the build allows.
fn start_fast_path(
    config: &Config,
    listen: &Listen,
    addresses: &[SocketAddr],
) -> Result<Option<FastPath>, DaemonError> {
    let mode = config.xdp;
    let demanded = matches!(mode, XdpMode::Native | XdpMode::Generic);
    if mode == XdpMode::Off || config.xdp_cache_size == 0 {
        return Ok(None);
    }
    let Some(object) = BPF_OBJECT else {
        if demanded {
            return Err(DaemonError::NoBpfObject { mode });
        }
        warn!("this build holds no XDP program: every query is answered by the daemon; build with `cargo xtask build`");
        return Ok(None);
    };
    let interfaces = match &config.xdp_interfaces {
        named if named.is_empty() => xdp_interfaces(listen, addresses)?,
        named => named.clone(),
    };
    if interfaces.is_empty() {
        if demanded {
            return Err(DaemonError::NoXdpInterface { mode });
        }
        warn!("no interface but loopback carries a listening address: XDP is off; name one with xdp-interface");
        return Ok(None);
    }
    let fast_path = FastPathConfig {
        mode: match mode {
            XdpMode::Native => AttachMode::Native,
            XdpMode::Generic => AttachMode::Generic,
            XdpMode::Auto | XdpMode::Off => AttachMode::Auto,
        },
        interfaces,
        cache_size: config.xdp_cache_size,
        listen: addresses.to_vec(),
        pin_dir: config.xdp_pin_dir.clone(),
        log: config.xdp_log,
    };
    match FastPath::start(object, &fast_path, Arc::new(SystemClock)) {
        Ok(started) => Ok(Some(started)),
        Err(error) if demanded => Err(error.into()),
        Err(error) => {
            warn!(%error, "XDP is off: every query is answered by the daemon");
            Ok(None)
        }
    }
}

/// Every query in progress may hold sockets, so we ask for as many as we may have.
fn raise_open_files_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        Ok(hard)
    });
    match raised {
        Ok(limit) if limit < OPEN_FILES_MIN => {
            warn!(limit, wanted = OPEN_FILES_MIN, "few files may be open: many misses at once will fail");
        }
        Ok(_) => {}
        Err(error) => warn!(%error, "cannot raise the limit of open files"),
    }
}

fn log_start(config: &Config, addresses: &[SocketAddr]) {
    let join = |addresses: &[SocketAddr]| addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" ");
    info!(
        version = env!("CARGO_PKG_VERSION"),
        listening = join(addresses),
        servers = join(&config.servers),
        dnssec = config.dnssec.is_some(),
        threads = config.threads,
        "started"
    );
}

impl ControlService for Daemon {
    fn status(&self) -> StatusReport {
        let servers = self.resolver.upstream.reports().into_iter().map(|server| ServerStatus {
            address: server.address.to_string(),
            sent: server.sent,
            failed: server.failed,
            srtt_ms: server.srtt_us.map(|srtt_us| f64::from(srtt_us) / 1e3),
        });
        StatusReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_s: self.started.elapsed().as_secs(),
            dnssec: self.config.dnssec.is_some(),
            dnssec_options: self.dnssec_options(),
            listening: self.addresses.iter().map(SocketAddr::to_string).collect(),
            servers: servers.collect(),
            cache_entries: self.resolver.cache.len() as u64,
            cache_entries_max: self.config.cache_size as u64,
            searches: self.resolver.searches.len() as u64,
            counters: self.resolver.metrics.snapshot(),
            fast_path: self.ask_publisher(Publisher::status),
        }
    }

    fn cache_dump(&self) -> Vec<CachedEntry> {
        let now_boot_ns = self.resolver.clock.now().boot_ns;
        let mut entries: Vec<_> = self.resolver.cache.dump(now_boot_ns);
        entries.sort_by(|a, b| (&a.question.qname, a.question.qtype).cmp(&(&b.question.qname, b.question.qtype)));
        entries.iter().map(|entry| cached_entry(entry, now_boot_ns)).collect()
    }

    fn fastpath_dump(&self) -> Option<Vec<FastPathEntry>> {
        self.ask_publisher(Publisher::dump)
    }

    fn negative_anchors(&self) -> Result<Vec<NegativeAnchorEntry>, String> {
        let trust = self.resolver.trust.as_ref().ok_or("dnssec is off")?;
        let anchors = trust.negative_anchors(self.resolver.clock.now()).into_iter();
        let entry =
            |anchor: NegativeAnchor| NegativeAnchorEntry { name: anchor.name.to_string(), left_s: anchor.left_s };
        Ok(anchors.map(entry).collect())
    }

    fn add_negative_anchor(&self, name: &str, for_s: u64) -> Result<Vec<NegativeAnchorEntry>, String> {
        let now = self.resolver.clock.now();
        self.change_negative(name, |trust, name| trust.add_negative(name, for_s, now))
    }

    fn remove_negative_anchor(&self, name: &str) -> Result<Vec<NegativeAnchorEntry>, String> {
        self.change_negative(name, |trust, name| trust.remove_negative(&name))
    }

    fn fastpath_flush(&self) -> Option<FlushReport> {
        self.ask_publisher(Publisher::flush).map(|removed| FlushReport { removed: removed as u64 })
    }
}

impl Daemon {
    /// The options that make others validate as we do now.
    fn dnssec_options(&self) -> Vec<String> {
        let (Some(config), Some(trust)) = (&self.config.dnssec, &self.resolver.trust) else { return Vec::new() };
        let negative: Vec<Name> =
            trust.negative_anchors(self.resolver.clock.now()).into_iter().map(|anchor| anchor.name).collect();
        config::dnssec_options(&config.anchors, &negative, &trust.basis().policy)
    }

    /// Changes the negative anchors, forgets what was concluded before, and lists those that are left.
    fn change_negative(
        &self,
        name: &str,
        change: impl FnOnce(&Trust, Name) -> Result<(), NegativeAnchorError>,
    ) -> Result<Vec<NegativeAnchorEntry>, String> {
        let trust = self.resolver.trust.as_ref().ok_or("dnssec is off")?;
        let name: Name = name.parse().map_err(|error| format!("domain \"{name}\": {error}"))?;
        change(trust, name.clone()).map_err(|error| error.to_string())?;
        tokio::task::block_in_place(|| self.resolver.forget_conclusions());
        info!(%name, "negative anchors changed");
        self.negative_anchors()
    }

    /// Asks the publishing thread and waits for it, while other tasks go on elsewhere.
    fn ask_publisher<T>(&self, question: impl FnOnce(&Publisher) -> Option<T>) -> Option<T> {
        let publisher = self.resolver.publisher.as_ref()?;
        tokio::task::block_in_place(|| question(publisher))
    }
}

fn cached_entry(entry: &CachedAnswer, now_boot_ns: u64) -> CachedEntry {
    let (status, rcode) = match &entry.outcome {
        Outcome::Proven(validated) if validated.status() == ProvenStatus::Secure => {
            ("secure", validated.response().rcode.to_string())
        }
        Outcome::Proven(validated) => ("insecure", validated.response().rcode.to_string()),
        Outcome::Unchecked(response) => ("unchecked", response.rcode.to_string()),
        Outcome::Bogus(..) => ("bogus", "SERVFAIL".to_owned()),
        Outcome::Failed(..) => ("failed", "SERVFAIL".to_owned()),
    };
    let published = [(Form::Plain, "plain"), (Form::Dnssec, "dnssec")]
        .into_iter()
        .filter(|(form, _)| entry.slot(*form).published.load(std::sync::atomic::Ordering::Relaxed));
    CachedEntry {
        name: entry.question.qname.to_string(),
        rtype: entry.question.qtype.to_string(),
        status: status.to_owned(),
        rcode,
        ttl_s: entry.ttl_left_s(now_boot_ns),
        size: entry.rendered_len() as u64,
        published: published.map(|(_, name)| name.to_owned()).collect(),
    }
}

/// SIGINT and SIGTERM. SIGHUP would end the process if nobody took it; it is told that it does nothing yet.
struct StopSignal {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl StopSignal {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn wait(mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.hang_up.recv() => warn!("SIGHUP does nothing yet; restart to read the configuration again"),
            }
        }
    }
}

/// The file with our process number; removed at the end.
struct PidFile(Option<PathBuf>);

impl PidFile {
    fn write(path: Option<PathBuf>) -> Result<Self, DaemonError> {
        if let Some(path) = &path {
            let written = fs::write(path, format!("{}\n", std::process::id()));
            written.map_err(|source| DaemonError::PidFile { path: path.clone(), source })?;
        }
        Ok(Self(path))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Nothing can be done about a file that somebody else has removed.
            let _gone = fs::remove_file(path);
        }
    }
}
