//! Builds the rooms, joins them, and stops them in order. Decides nothing about queries.

mod fast_path;
mod service;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::cache::{AnswerCache, InFlight, ResponseCache};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, XdpMode};
use crate::control::{ControlError, bind_control, serve_control};
use crate::listener::{Listen, ListenError, Shared, bind_tcp, bind_udp, listen_addresses, serve_tcp, serve_udp};
use crate::metrics::Metrics;
use crate::publish::{FastPathError, Publisher};
use crate::resolve::{Resolver, Rules};
use crate::trust::{Timestamp, TimestampError, Trust, TrustChange};
use crate::upstream::Forwarder;
use fast_path::start_fast_path;

pub use fast_path::BPF_OBJECT;

/// Longest time that queries in progress get at the end.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);
/// Open files that queries in progress and connections may need: a socket for the first try of each, and some more.
const OPEN_FILES_MIN: u64 = 8192;
/// How often files with servers are looked at, and what else of the servers may have changed.
const SERVERS_PERIOD: Duration = Duration::from_secs(1);
/// How often the clock is looked at for what ends or begins with time.
const TRUST_PERIOD: Duration = Duration::from_secs(1);

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
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(config.process.threads).enable_all().build();
    let runtime = runtime.map_err(|source| DaemonError::Runtime { source })?;
    let served = runtime.block_on(serve(config));
    // The system may still be looking for the name of a server; nobody waits for that any more.
    runtime.shutdown_background();
    served
}

async fn serve(config: Config) -> Result<(), DaemonError> {
    for warning in &config.warnings {
        warn!("{warning}");
    }
    raise_open_files_limit();
    // Before anything is taken, so that a signal during the start is not lost.
    let stop_signal = StopSignal::new().map_err(|source| DaemonError::Runtime { source })?;
    let listen = Listen {
        addresses: config.listening.addresses.clone(),
        interfaces: config.listening.interfaces.clone(),
        port: config.listening.port,
    };
    let addresses = listen_addresses(&listen)?;
    let control = bind_control(&config.process.control_socket)?;
    let _pid_file = PidFile::write(config.process.pid_file.clone())?;
    // TCP first: it fails where another daemon listens, whose UDP clients we would share (SO_REUSEPORT) without an error.
    let tcp = addresses.iter().map(|&address| bind_tcp(address)).collect::<Result<Vec<_>, _>>()?;
    let each_thread = addresses.iter().flat_map(|&address| std::iter::repeat_n(address, config.process.threads));
    let udp = each_thread.map(bind_udp).collect::<Result<Vec<_>, _>>()?;
    let trust = trust(&config)?;
    let fast_path = start_fast_path(&config, &listen, &addresses)?;
    let publisher = fast_path.as_ref().map(|fast_path| Arc::new(fast_path.publisher()));
    let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
    let metrics = Arc::new(Metrics::default());
    let resolver = Arc::new(resolver(&config, &addresses, trust, publisher, Arc::clone(&metrics), tracker.clone()));
    let shared = Arc::new(Shared::new(Arc::clone(&resolver), metrics, tracker.clone(), stop.clone()));
    // The names of servers, before the first question needs them.
    resolver.rules().upstream.refresh_names().await;
    for socket in udp {
        tracker.spawn(serve_udp(socket, Arc::clone(&shared)));
    }
    for socket in tcp {
        tracker.spawn(serve_tcp(socket, Arc::clone(&shared)));
    }
    log_start(&config, &addresses);
    tracker.spawn(keep_servers(Arc::clone(&resolver), stop.clone()));
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
    let dnssec = config.dnssec.clone();
    if !dnssec.enabled {
        return Ok(None);
    }
    let timestamp = dnssec.timestamp.as_deref().map(Timestamp::open).transpose()?;
    let now = SystemClock.now();
    if let Some(timestamp) = timestamp.as_ref().filter(|timestamp| timestamp.is_past(now)) {
        timestamp.touch(now)?;
    }
    let trust = Trust::new(dnssec.anchors, dnssec.negative_anchors, dnssec.policy, timestamp, now)
        .with_private(config.upstream.private_domains());
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

/// Follows changes of the servers: resolv.conf, host names, loops.
async fn keep_servers(resolver: Arc<Resolver>, stop: CancellationToken) {
    let mut period = tokio::time::interval(SERVERS_PERIOD);
    loop {
        let rules = tokio::select! {
            () = stop.cancelled() => return,
            _ = period.tick() => resolver.rules.load_full(),
        };
        tokio::select! {
            () = stop.cancelled() => return,
            _ = rules.upstream.refresh() => {}
        }
    }
}

fn resolver(
    config: &Config,
    addresses: &[SocketAddr],
    trust: Option<Trust>,
    publisher: Option<Arc<Publisher>>,
    metrics: Arc<Metrics>,
    tracker: TaskTracker,
) -> Resolver {
    let rules = rules(config, addresses, &metrics);
    Resolver {
        cache: AnswerCache::new(config.cache.size),
        searches: Arc::new(InFlight::default()),
        fetches: Arc::new(InFlight::default()),
        responses: ResponseCache::default(),
        rules: ArcSwap::from_pointee(rules),
        trust,
        publisher,
        clock: Arc::new(SystemClock),
        metrics,
        tracker,
    }
}

/// What the configuration decides about answers.
fn rules(config: &Config, addresses: &[SocketAddr], metrics: &Arc<Metrics>) -> Rules {
    Rules {
        upstream: Forwarder::new(&config.upstream, config.dnssec.enabled, addresses, Arc::clone(metrics)),
        log_queries: config.logging.queries,
        log_dnssec: config.logging.dnssec,
        dnssec_debug: config.dnssec.enabled && config.dnssec.debug,
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
        servers = config.upstream.servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        dnssec = config.dnssec.enabled,
        threads = config.process.threads,
        "started"
    );
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
