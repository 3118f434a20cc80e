//! Builds the rooms, joins them, and stops them in order. Decides nothing about queries.

mod anchors;
mod cache_file;
mod cookies;
mod fast_path;
mod fingerprint;
mod listening;
mod observe;
mod privileges;
mod reload;
mod service;
mod signals;
mod verify;
mod watching;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use thiserror::Error;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::cache::{AnswerCache, Failures, InFlight, ResponseCache, SetCache};
use crate::clock::{Clock, Now, SystemClock};
use crate::config::{Config, DnssecConfig, XdpMode};
use crate::control::{ControlError, ControlService, print_status, serve_control};
use crate::export::{ExportError, MetricsSocket, bind_metrics, serve_metrics};
use crate::listener::{ListenError, Shared};
use crate::logging::Log;
use crate::metrics::Metrics;
use crate::process::{IdentityError, ServiceManager, watchdog_period};
use crate::publish::{FastPath, FastPathError, Publisher};
use crate::rate_limit::{RateLimiter, SharedTable};
use crate::resolve::{Ident, Resolver, Rules};
use crate::slow_lane::SlowLane;
use crate::trust::{Configured, Followed, StateError, Timestamp, TimestampError, Timing, Trust, TrustChange};
use crate::upstream::{Network, Outside, Upstream};
use crate::witness::Counting;
use anchors::{follow_anchors, log_anchors, log_remembered};
use cache_file::keep_cache_file;
use cookies::Cookies;
use fast_path::{end_fast_path, start_fast_path};
use listening::{Bound, Listening};
use privileges::Prepared;
use signals::{Asked, Signals};
use watching::Watching;

pub use fast_path::BPF_OBJECT;
pub use fingerprint::{FINGERPRINT_LEN, Fingerprint, configuration_fingerprint, fingerprint, fingerprint_with};

/// Longest time that queries in progress get at the end.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);
/// Open files that queries in progress and connections may need: a socket for the first try of each, and some more.
const OPEN_FILES_MIN: u64 = 8192;
/// How often files with servers are looked at, and what else of the servers may have changed.
const SERVERS_PERIOD: Duration = Duration::from_secs(1);
/// How often it is looked which answers of XDP are asked for and nearly over, and how many are taken each time.
const POPULAR_PERIOD: Duration = Duration::from_millis(250);
const POPULAR_MAX: usize = 1024;
/// How often is looked who is over a rate limit.
const LIMITS_PERIOD: Duration = Duration::from_secs(1);
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
    /// The socket for scrapers of metrics.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The file with the process number.
    #[error("cannot write pid-file {}: {source}", path.display())]
    PidFile {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Whom the process should become.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A socket of the service manager.
    #[error("cannot use the sockets of the service manager: {source}")]
    Inherited {
        /// The system's reason.
        source: io::Error,
    },
    /// The new root.
    #[error("cannot chroot to {}: {source}", path.display())]
    Chroot {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The directory of the pins.
    #[error("cannot use xdp-pin-dir {}: {source}", path.display())]
    PinDir {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The timestamp file.
    #[error(transparent)]
    Timestamp(#[from] TimestampError),
    /// The file of the followed keys.
    #[error(transparent)]
    AnchorState(#[from] StateError),
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
    #[error("xdp={mode} is demanded, but only loopback is listened on; xdp-interface=lo lets it answer there")]
    NoXdpInterface {
        /// The mode demanded.
        mode: XdpMode,
    },
}

/// The running daemon, as the control socket sees it.
struct Daemon {
    /// The words that the configuration is read from.
    arguments: Vec<String>,
    config: ArcSwap<Config>,
    /// Held while another configuration is taken over.
    configuring: Mutex<()>,
    listening: Arc<Listening>,
    resolver: Arc<Resolver>,
    limiter: Arc<RateLimiter>,
    watching: Arc<Watching>,
    cookies: Arc<Cookies>,
    started: Instant,
    /// When it started, in seconds since 1970.
    started_unix_s: u64,
    log: Log,
}

/// Runs until SIGINT or SIGTERM. `config` was read from `arguments`, and is so again on SIGHUP. `timing`: how long RFC 5011
/// waits, which only tests shorten. To be called while the process has no thread but the log's.
///
/// # Errors
/// Whatever keeps it from starting.
pub fn run(arguments: Vec<String>, config: Config, log: Log, timing: Timing) -> Result<(), DaemonError> {
    for warning in &config.warnings {
        warn!("{warning}");
    }
    raise_open_files_limit();
    let prepared = privileges::prepare(&config)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(config.process.threads).enable_all().build();
    let runtime = runtime.map_err(|source| DaemonError::Runtime { source })?;
    let served = runtime.block_on(serve(arguments, config, prepared, log, timing));
    // The system may still be looking for the name of a server; nobody waits for that any more.
    runtime.shutdown_background();
    served
}

async fn serve(
    arguments: Vec<String>,
    config: Config,
    mut prepared: Prepared,
    log: Log,
    timing: Timing,
) -> Result<(), DaemonError> {
    // Before anything is taken, so that a signal during the start is not lost.
    let signals = Signals::take().map_err(|source| DaemonError::Runtime { source })?;
    let bound = Bound::new(&config, &prepared.inherited)?;
    let scraped = config.observing.metrics_address.map(bind_metrics).transpose()?;
    let trust = trust(&config, timing, SystemClock.now())?;
    let jar = cookies::jar(&config);
    let programs = std::mem::take(&mut prepared.programs);
    let mut fast_path = start_fast_path(&config, prepared.pins.take(), &bound, trust.as_ref(), &jar, programs)?;
    let limiter = limiter(fast_path.as_mut(), &config);
    let publisher = fast_path.as_ref().map(|fast_path| Arc::new(fast_path.publisher()));
    let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
    let metrics = Arc::new(Metrics::default());
    let own = bound.addresses();
    let transport = Arc::new(Network::new(Arc::clone(&metrics)));
    let outside = Outside { transport, clock: Arc::new(SystemClock) };
    let owned = (Arc::clone(&metrics), tracker.clone());
    let resolver = Arc::new(assemble(&config, &own, trust, publisher.clone(), owned, outside)?);
    // The names of servers, before the first question needs them.
    resolver.rules.load_full().upstream.refresh_names().await;
    let watching = watching(fast_path.as_mut(), &resolver, &config)?;
    let (access, door, limited) = (bound.access.clone(), cookies::door(&jar), Arc::clone(&limiter));
    let shared = Shared::new(Arc::clone(&resolver), metrics, access, limited, door, tracker.clone(), stop.clone());
    let shared = Arc::new(shared);
    let cookies = Arc::new(Cookies::new(jar, Arc::clone(&shared)));
    let listening = Arc::new(Listening::start(bound, config.clone(), shared, publisher)?);
    prepared.confine(&config)?;
    let Prepared { control, .. } = &prepared;
    log_start(&config, &listening.addresses());
    log_anchors(&config.dnssec);
    resolver.trust.iter().for_each(|trust| log_remembered(&config.dnssec, None, trust));
    let (config, configuring) = (ArcSwap::from_pointee(config), Mutex::new(()));
    let (started, started_unix_s) = (Instant::now(), SystemClock.now().unix_s);
    let daemon = Daemon {
        arguments,
        config,
        configuring,
        listening,
        resolver,
        limiter,
        watching,
        cookies,
        started,
        started_unix_s,
        log,
    };
    let daemon = Arc::new(daemon);
    let control = control.listen()?;
    tracker.spawn(serve_control(control, Arc::clone(&daemon), tracker.clone(), stop.clone()));
    daemon.keep(scraped, &tracker, &stop);
    ServiceManager.ready("answering");
    let (signal, hands_over) = daemon.obey(signals).await;
    let stays = hands_over || daemon.config.load().xdp.keep;
    info!(signal, "stopping");
    ServiceManager.stopping();
    stop.cancel();
    drain(&tracker).await;
    tokio::task::block_in_place(|| daemon.save_cache());
    // After the daemon has stopped answering for it.
    end_fast_path(fast_path, stays);
    info!("stopped");
    Ok(())
}

/// Whoever is told of single answers, by the fast path too.
fn watching(
    fast_path: Option<&mut FastPath>,
    resolver: &Arc<Resolver>,
    config: &Config,
) -> Result<Arc<Watching>, FastPathError> {
    let watching = Arc::new(Watching::new(Arc::clone(resolver), config));
    if let Some(fast_path) = fast_path {
        fast_path.tell(Arc::clone(&watching) as _)?;
    }
    Ok(watching)
}

/// Waits for queries in progress, for a while.
async fn drain(tracker: &TaskTracker) {
    tracker.close();
    if timeout(DRAIN_TIME_MAX, tracker.wait()).await.is_err() {
        warn!(tasks = tracker.len(), "queries in progress were given up");
    }
}

/// The rate limits, which both halves draw from where there are both.
fn limiter(fast_path: Option<&mut FastPath>, config: &Config) -> Arc<RateLimiter> {
    let table = fast_path.and_then(FastPath::take_limits).map(|table| Box::new(table) as SharedTable);
    let limiter = RateLimiter::new(table, Arc::new(SystemClock));
    limiter.configure(config);
    Arc::new(limiter)
}

impl Daemon {
    /// Starts everything that goes on beside the answering.
    fn keep(self: &Arc<Self>, scraped: Option<MetricsSocket>, tracker: &TaskTracker, stop: &CancellationToken) {
        if let Some(socket) = scraped {
            let observed = Arc::clone(self);
            let (observe, metrics) = (Arc::new(move || observed.families()), Arc::clone(&self.resolver.metrics));
            tracker.spawn(serve_metrics(socket, observe, metrics, tracker.clone(), stop.clone()));
        }
        tracker.spawn(Arc::clone(&self.listening).follow());
        tracker.spawn(keep_servers(Arc::clone(&self.resolver), Arc::clone(&self.listening), stop.clone()));
        tracker.spawn(tell_limited(Arc::clone(&self.limiter), stop.clone()));
        tracker.spawn(keep_trust(Arc::clone(&self.resolver), stop.clone()));
        tracker.spawn(Arc::clone(&self.cookies).keep(stop.clone()));
        tracker.spawn(Arc::clone(&self.watching).keep(stop.clone()));
        tracker.spawn(follow_anchors(Arc::clone(&self.resolver), stop.clone()));
        tracker.spawn(keep_popular(Arc::clone(&self.resolver), stop.clone()));
        tracker.spawn(keep_alive(Arc::clone(self), stop.clone()));
        if self.config.load().cache.file.is_some() {
            tracker.spawn(keep_cache_file(Arc::clone(self), stop.clone()));
        }
    }

    /// Does what signals ask for, until one asks for the end; returns its name, and whether XDP is to answer on.
    async fn obey(&self, mut signals: Signals) -> (&'static str, bool) {
        loop {
            match signals.next().await {
                Asked::Stop(signal) => return (signal, false),
                Asked::HandOver(signal) => return (signal, true),
                Asked::Reload => self.reload().await,
                Asked::Statistics => {
                    for line in print_status(&self.status()).lines() {
                        info!("{line}");
                        // There are more lines than a queue holds.
                        self.log.flush();
                    }
                }
                Asked::ReopenLog => match self.log.reopen() {
                    Ok(()) => info!("log opened again"),
                    Err(error) => error!(%error, "the old log goes on"),
                },
            }
        }
    }

    /// Whether the thread that publishes still answers; true if there is none.
    fn is_alive(&self) -> bool {
        self.resolver.publisher.is_none() || self.ask_publisher(Publisher::status).is_some()
    }
}

/// Tells the service manager that we are alive, if it wants to hear that, for as long as we are.
async fn keep_alive(daemon: Arc<Daemon>, stop: CancellationToken) {
    let Some(period) = watchdog_period() else { return };
    let mut period = tokio::time::interval(period);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = period.tick() => {}
        }
        if daemon.is_alive() {
            ServiceManager.alive();
        } else {
            error!("the thread that publishes does not answer; the service manager will start us again");
        }
    }
}

/// What validation starts from, as configured.
///
/// # Errors
/// A file that it is kept in cannot be used.
pub fn trust(config: &Config, timing: Timing, now: Now) -> Result<Option<Trust>, DaemonError> {
    if !config.dnssec.enabled {
        return Ok(None);
    }
    let timestamp = config.dnssec.timestamp.as_deref().map(Timestamp::open).transpose()?;
    if let Some(timestamp) = timestamp.as_ref().filter(|timestamp| timestamp.is_past(now)) {
        timestamp.touch(now)?;
    }
    let trust = Trust::new(configured(config), timestamp, now);
    if let Some(path) = config.dnssec.anchor_state.clone() {
        trust.follow(Followed::open(path, timing)?);
    }
    if trust.awaits_clock() {
        warn!("the clock is behind the dnssec-timestamp file: signature times are not checked until it is set");
    }
    Ok(Some(trust))
}

/// What validation takes from the configuration.
fn configured(config: &Config) -> Configured {
    let DnssecConfig { negative_anchors, policy, .. } = &config.dnssec;
    let (anchors, private) = (config.dnssec.ds_anchors(), config.upstream.private_domains());
    let (negative, answers_max) = (negative_anchors.clone(), config.cache.size);
    Configured { anchors, negative, private, policy: *policy, answers_max }
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

/// Logs who is over a rate limit: one line for each prefix and minute at most, and so at most 256 a minute.
async fn tell_limited(limiter: Arc<RateLimiter>, stop: CancellationToken) {
    let mut period = tokio::time::interval(LIMITS_PERIOD);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = period.tick() => {}
        }
        for limited in limiter.to_tell() {
            let option = if limited.is_wide { "rate-limit-wide" } else { "rate-limit" };
            warn!(prefix = %limited, queries = limited.queries, "over {option}");
        }
    }
}

/// Follows changes of the servers: resolv.conf, host names, loops, and which of them are ourselves.
async fn keep_servers(resolver: Arc<Resolver>, listening: Arc<Listening>, stop: CancellationToken) {
    let mut period = tokio::time::interval(SERVERS_PERIOD);
    loop {
        let rules = tokio::select! {
            () = stop.cancelled() => return,
            _ = period.tick() => resolver.rules.load_full(),
        };
        let own = listening.addresses();
        tokio::select! {
            () = stop.cancelled() => return,
            _ = rules.upstream.refresh(&own) => {}
        }
    }
}

/// Finds popular answers of XDP anew before their time is over.
async fn keep_popular(resolver: Arc<Resolver>, stop: CancellationToken) {
    let Some(publisher) = resolver.publisher.clone() else { return };
    let mut period = tokio::time::interval(POPULAR_PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = period.tick() => {}
        }
        if resolver.rules().prefetch_per_s > 0 {
            let nearly_over = tokio::task::block_in_place(|| publisher.nearly_over(POPULAR_MAX));
            resolver.refresh_published(nearly_over.unwrap_or_default());
        }
    }
}

/// Puts together what finds answers, over the network and the clock of `outside`: those of the machine, or scripted ones of
/// a test. `own`: addresses that we listen on; `trust`: what [`trust`] made of the same configuration. Its tasks go to the
/// tracker.
///
/// # Errors
/// No thread can be started.
pub fn assemble(
    config: &Config,
    own: &[SocketAddr],
    trust: Option<Trust>,
    publisher: Option<Arc<Publisher>>,
    (metrics, tracker): (Arc<Metrics>, TaskTracker),
    outside: Outside,
) -> Result<Resolver, DaemonError> {
    let clock = Arc::clone(&outside.clock);
    let slow_lane = SlowLane::start(Arc::clone(&clock), Arc::clone(&metrics));
    let slow_lane = slow_lane.map_err(|source| DaemonError::Runtime { source })?;
    let upstream = Upstream::new(&config.upstream, config.dnssec.enabled, own, Arc::clone(&metrics), outside);
    let restored = cache_file::restore(config, trust.as_ref(), clock.now());
    Ok(Resolver {
        cache: AnswerCache::new(config.cache.size),
        sets: SetCache::new(if config.dnssec.enabled { config.cache.size } else { 0 }),
        searches: Arc::new(InFlight::default()),
        fetches: Arc::new(InFlight::default()),
        fetches_elsewhere: Arc::new(InFlight::default()),
        responses: ResponseCache::default(),
        failures: Failures::default(),
        restored,
        prefetching: Arc::default(),
        turns: AtomicU32::new(0),
        rules: ArcSwap::from_pointee(rules(config, Arc::new(upstream))),
        trust,
        slow_lane,
        publisher,
        clock,
        metrics,
        tracker,
        basis_turn: Mutex::default(),
        counting: Counting::default(),
        queries_logged: AtomicU64::new(0),
    })
}

/// What the configuration decides about answers.
fn rules(config: &Config, upstream: Arc<Upstream>) -> Rules {
    Rules {
        generation: 0,
        fingerprint: configuration_fingerprint(config),
        upstream,
        local: Arc::clone(&config.local.data),
        filters: config.filter.filters(),
        keeping: config.cache.keeping.clone(),
        prefetch_per_s: config.cache.prefetch_per_s,
        round_robin: config.cache.round_robin_s.is_some(),
        logging: config.logging.clone(),
        anchor_signaling: config.dnssec.signaling.0,
        key_sentinel: config.dnssec.key_sentinel.0,
        dnssec_debug: config.dnssec.enabled && config.dnssec.debug,
        ident: config
            .observing
            .ident
            .then(|| Ident { identity: config.observing.identity.clone(), cache_size: config.cache.size }),
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
        recursive = config.upstream.iterating.recursive.is_some(),
        dnssec = config.dnssec.enabled,
        threads = config.process.threads,
        "started"
    );
}
