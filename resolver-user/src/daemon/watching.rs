//! Joins those who want to know of single answers: the query log, counts by client and name, captures.
//!
//! In: answers of the kernel half, and wishes. Out: log lines, counts, frames for captures; and what the kernel half is to tell.
//! Counts are kept from samples once there are many answers: each half's factor follows its rate, and is told with the counts.
//! Nothing here may hold up an answer: a capture that is not taken fast enough loses frames, and is told how many.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use resolver_ebpf::abi::{Outcome, WATCH_CAPTURE, WATCH_COUNT, WATCH_LOG};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::clock::{NS_PER_S, Now};
use crate::config::{Config, QueryLog};
use crate::control::report::{ClientCount, CountsReport, NameCount};
use crate::control::{CaptureStream, Captured};
use crate::publish::{Seen, Watched, Witness};
use crate::resolve::Resolver;
use crate::wire::{Name, RecordType};
use crate::witness::{AnsweredBy, CaptureFilter, Counted, Direction, ReadFilter, UdpFrame, packet, question};

/// Time between two looks at rates and wishes.
const PERIOD: Duration = Duration::from_secs(1);
/// Answers of each half that are counted, in a second. Choice: each costs about a microsecond.
const COUNTED_PER_S: u64 = 5_000;
/// How long counts go on after `resolver top` has last asked for them, in nanoseconds.
const LEASE_NS: u64 = 10 * NS_PER_S;
/// Counters of clients without `client-counts`, and of names.
const COUNTERS: usize = 512;
/// Captures at once.
const CAPTURES_MAX: usize = 4;
/// Answers that wait for a capture to take them.
const CAPTURED_WAITING_MAX: usize = 4096;

/// Who wants to know.
pub(super) struct Watching {
    resolver: Arc<Resolver>,
    wishes: Mutex<Wishes>,
    captures: Mutex<Vec<Capture>>,
}

/// What is wanted, and what the kernel half was told.
#[derive(Debug)]
struct Wishes {
    /// `client-counts`.
    client_counts: usize,
    /// One of so many answers of XDP for the query log.
    log_one_in: u32,
    /// When counts end that `resolver top` has begun, in nanoseconds of CLOCK_BOOTTIME.
    lease_ends_at_boot_ns: u64,
    /// Whether anything is counted.
    is_counting: bool,
    /// One of so many answers is counted: of XDP's, and of the daemon's.
    one_in: [u32; 2],
    /// Answers of both at the last look, and when that was, in nanoseconds of CLOCK_BOOTTIME.
    last: Option<([u64; 2], u64)>,
    watched: Watched,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            client_counts: 0,
            log_one_in: 0,
            lease_ends_at_boot_ns: 0,
            is_counting: false,
            // Nobody has asked yet.
            one_in: [1, 1],
            last: None,
            watched: Watched::default(),
        }
    }
}

/// A capture under way.
struct Capture {
    filter: ReadFilter,
    to: mpsc::Sender<Captured>,
    lost: Arc<AtomicU64>,
}

impl Watching {
    /// Nobody wants to know anything but what the configuration says.
    pub(super) fn new(resolver: Arc<Resolver>, config: &Config) -> Self {
        let watching = Self { resolver, wishes: Mutex::default(), captures: Mutex::default() };
        watching.configure(config);
        watching
    }

    /// Takes over a configuration.
    pub(super) fn configure(&self, config: &Config) {
        let mut wishes = self.wishes();
        let is_logging = config.logging.queries == QueryLog::All;
        wishes.log_one_in = if is_logging { config.logging.xdp_one_in } else { 0 };
        if wishes.client_counts != config.observing.client_counts {
            wishes.client_counts = config.observing.client_counts;
            self.stop_counting(&mut wishes);
        }
        self.follow(&mut wishes);
    }

    /// The most frequent clients and names. Begins to count if nobody has, and goes on for some seconds.
    pub(super) fn top(&self, clients: usize, names: usize) -> CountsReport {
        let mut wishes = self.wishes();
        wishes.lease_ends_at_boot_ns = self.now().boot_ns + LEASE_NS;
        self.follow(&mut wishes);
        self.counts(&wishes, clients, names)
    }

    /// Queries by client, most frequent first; none unless they are counted.
    pub(super) fn clients(&self) -> Option<CountsReport> {
        let wishes = self.wishes();
        (wishes.client_counts > 0).then(|| self.counts(&wishes, wishes.client_counts, 0))
    }

    /// Begins a capture. It ends when its receiver is dropped.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub(super) fn capture(&self, filter: &CaptureFilter) -> Result<CaptureStream, String> {
        if self.resolver.publisher.is_none() {
            return Err("XDP is off".to_owned());
        }
        let filter = filter.read().map_err(|error| error.to_string())?;
        let (to, answers) = mpsc::channel(CAPTURED_WAITING_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let mut wishes = self.wishes();
        let mut captures = self.captures();
        captures.retain(|capture| !capture.to.is_closed());
        if captures.len() >= CAPTURES_MAX {
            return Err(format!("{CAPTURES_MAX} captures are under way already"));
        }
        captures.push(Capture { filter, to, lost: Arc::clone(&lost) });
        drop(captures);
        self.follow(&mut wishes);
        Ok(CaptureStream { answers, lost })
    }

    /// Looks at rates and wishes now and then, until the daemon stops.
    pub(super) async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let mut period = tokio::time::interval(PERIOD);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = period.tick() => {}
            }
            tokio::task::block_in_place(|| {
                let mut wishes = self.wishes();
                self.adapt(&mut wishes);
                self.follow(&mut wishes);
            });
        }
    }

    /// Sees how many answers there are, and so how many of them are counted.
    fn adapt(&self, wishes: &mut Wishes) {
        let metrics = &self.resolver.metrics;
        let by_xdp = self.resolver.publisher.as_ref().and_then(|publisher| publisher.kernel_counters().answered());
        let answered = [by_xdp.unwrap_or(0), metrics.queries_udp.value() + metrics.queries_tcp.value()];
        let now_boot_ns = self.now().boot_ns;
        if let Some((before, since)) = wishes.last.replace((answered, now_boot_ns)) {
            let took_ms = (now_boot_ns.saturating_sub(since) / 1_000_000).max(1);
            wishes.one_in = std::array::from_fn(|half| {
                one_in(answered[half].saturating_sub(before[half]).saturating_mul(1000) / took_ms)
            });
        }
    }

    /// Begins or ends what is to begin or end, and tells the kernel half if something has changed.
    fn follow(&self, wishes: &mut Wishes) {
        let now_boot_ns = self.now().boot_ns;
        let is_wanted = wishes.client_counts > 0 || now_boot_ns < wishes.lease_ends_at_boot_ns;
        if is_wanted && !wishes.is_counting {
            let clients = if wishes.client_counts > 0 { wishes.client_counts } else { COUNTERS };
            self.resolver.counting.begin(clients, COUNTERS, now_boot_ns);
            wishes.is_counting = true;
        } else if !is_wanted && wishes.is_counting {
            self.stop_counting(wishes);
        }
        let [xdp_one_in, daemon_one_in] = wishes.one_in;
        if wishes.is_counting {
            self.resolver.counting.sample(daemon_one_in);
        }
        let mut captures = self.captures();
        captures.retain(|capture| !capture.to.is_closed());
        let watched = Watched {
            log_one_in: wishes.log_one_in,
            count_one_in: if wishes.is_counting { xdp_one_in } else { 0 },
            capture: !captures.is_empty(),
        };
        drop(captures);
        if watched != wishes.watched
            && let Some(publisher) = &self.resolver.publisher
        {
            wishes.watched = watched;
            if !publisher.watch(watched) {
                error!("XDP does not tell of its answers as it should");
            }
        }
    }

    fn stop_counting(&self, wishes: &mut Wishes) {
        self.resolver.counting.end();
        wishes.is_counting = false;
    }

    fn counts(&self, wishes: &Wishes, clients: usize, names: usize) -> CountsReport {
        let Some(told) = self.resolver.counting.most_frequent(clients, names) else { return CountsReport::default() };
        CountsReport {
            since_s: self.now().boot_ns.saturating_sub(told.since_boot_ns) / NS_PER_S,
            xdp_one_in: if self.resolver.publisher.is_some() { wishes.one_in[0] } else { 0 },
            daemon_one_in: self.resolver.counting.one_in(),
            queries: told.total,
            clients: told.clients.iter().map(client_count).collect(),
            names: told.names.iter().map(name_count).collect(),
        }
    }

    /// Gives a capture what it wants.
    fn give(&self, seen: &Seen<'_>, answer: &UdpFrame<'_>) {
        let Some(query) = UdpFrame::read(seen.query) else { return };
        // A capture began between the two.
        if query.source != answer.destination || query.message.get(..2) != answer.message.get(..2) {
            return;
        }
        let captures = self.captures();
        let wanting = captures.iter().filter(|capture| capture.filter.wants(answer.destination, answer.message));
        let mut frames = None;
        for capture in wanting {
            let frames = frames.get_or_insert_with(|| self.frames(seen));
            if capture.to.try_send(frames.clone()).is_err() {
                capture.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Query and answer as they stand in a capture file.
    fn frames(&self, seen: &Seen<'_>) -> Captured {
        let (now_boot_ns, now_unix_ns) = (self.now().boot_ns, unix_ns());
        let unix_ns = |at_boot_ns: u64| now_unix_ns.saturating_sub(now_boot_ns.saturating_sub(at_boot_ns));
        let head = &seen.head;
        let query = packet(unix_ns(head.asked_at_boot_ns), Direction::Inbound, seen.query, head.query_len);
        let answer = packet(unix_ns(head.answered_at_boot_ns), Direction::Outbound, seen.answer, head.answer_len);
        [query, answer].concat().into()
    }

    fn now(&self) -> Now {
        self.resolver.clock.now()
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn captures(&self) -> MutexGuard<'_, Vec<Capture>> {
        self.captures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Witness for Watching {
    fn saw(&self, seen: &Seen<'_>) {
        let Some(answer) = UdpFrame::read(seen.answer) else { return };
        let head = &seen.head;
        if head.told_for & WATCH_LOG != 0 {
            let is_secure = head.outcome == Outcome::AnsweredSecure as u32;
            self.resolver.log_seen(answer.destination, answer.message, is_secure, head.log_one_in);
        }
        if head.told_for & WATCH_COUNT != 0
            && let Some((qname_wire, qtype)) = question(answer.message)
        {
            let (client, weight) = (answer.destination.ip(), head.count_one_in.into());
            self.resolver.counting.add(client, qname_wire, qtype, AnsweredBy::Xdp, weight);
        }
        if head.told_for & WATCH_CAPTURE != 0 {
            self.give(seen, &answer);
        }
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching").finish_non_exhaustive()
    }
}

/// One of how many answers is counted at this rate.
fn one_in(answers_per_s: u64) -> u32 {
    u32::try_from(answers_per_s.div_ceil(COUNTED_PER_S)).unwrap_or(u32::MAX).max(1)
}

fn client_count(counted: &Counted<std::net::IpAddr, [u64; 4]>) -> ClientCount {
    let [xdp, cache, upstream, failed] = counted.detail;
    ClientCount { client: counted.key, queries: counted.count, error_max: counted.error, xdp, cache, upstream, failed }
}

fn name_count(counted: &Counted<(Box<[u8]>, RecordType), ()>) -> NameCount {
    let (wire, rtype) = &counted.key;
    let name = Name::from_wire(wire).unwrap_or_else(|_| Name::root());
    NameCount { name: name.to_string(), rtype: rtype.to_string(), queries: counted.count, error_max: counted.error }
}

/// Wall time, in nanoseconds since 1970. The clock that answers depend on counts seconds.
fn unix_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
