//! Forwards a question to the servers that are configured for its name: which one, how long, and who next.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::attempt::{Asking, ask};
use super::group::{Group, Order, Plan};
use super::refresh::{Watched, fixed_port, read_resolv_files};
use super::scrub::scrub;
use super::server::Server;
use super::table::{Found, Route, Table};
use super::transport::Outside;
use super::{ServerReport, UpstreamError};
use crate::config::UpstreamConfig;
use crate::metrics::Metrics;
use crate::wire::{Message, Name, Question, RCode, RecordType, Response};

/// How often each server is tried for one question. The last time without EDNS, if it has not answered so far.
const ROUNDS: usize = 3;
/// Most tries for one question, but for a first one at each server where all are asked at once.
const TRIES_MAX: usize = 8;

/// Asks recursive servers.
#[derive(Debug)]
pub struct Forwarder {
    pub(super) config: UpstreamConfig,
    /// Whether replies are validated here, so that servers need not (CD, RFC 6840 §5.9).
    validating: bool,
    /// The port of `query-port`; where the system was to draw it, the one it drew.
    pub(super) query_port: Option<u16>,
    pub(super) table: ArcSwap<Table>,
    /// What was last seen of the files and names that the configuration refers to.
    pub(super) watched: Mutex<Watched>,
    /// The servers have changed since they were last probed for loops.
    pub(super) unprobed: AtomicBool,
    pub(super) metrics: Arc<Metrics>,
    pub(super) outside: Outside,
}

/// A try that ended.
struct Tried {
    number: usize,
    server: Arc<Server>,
    outcome: Result<Message, UpstreamError>,
}

/// The tries for one question.
struct Race<'a> {
    forwarder: &'a Forwarder,
    table: &'a Table,
    group: &'a Arc<Group>,
    question: &'a Question,
    deadline: Instant,
    tries: JoinSet<Tried>,
    /// Servers that said no, and will say it again.
    refused: Vec<usize>,
    last_error: Option<UpstreamError>,
}

impl Forwarder {
    /// A forwarder as configured. `validating`: replies are validated here, so the servers need not. `own`: addresses that
    /// we listen on, which are no servers. Reads resolv.conf; host names of servers are not resolved before
    /// [`Self::refresh`].
    pub fn new(
        config: &UpstreamConfig,
        validating: bool,
        own: &[SocketAddr],
        metrics: Arc<Metrics>,
        outside: Outside,
    ) -> Self {
        Self::build(config, validating, own, (metrics, outside), None)
    }

    /// The same after the configuration has changed: what is known of servers that stay goes on to be known.
    pub fn renewed(&self, config: &UpstreamConfig, validating: bool, own: &[SocketAddr]) -> Self {
        Self::build(config, validating, own, (Arc::clone(&self.metrics), self.outside.clone()), Some(self))
    }

    fn build(
        config: &UpstreamConfig,
        validating: bool,
        own: &[SocketAddr],
        (metrics, outside): (Arc<Metrics>, Outside),
        older: Option<&Self>,
    ) -> Self {
        let kept_port = older.filter(|older| older.config.query_port == config.query_port);
        let query_port = kept_port.map_or_else(|| fixed_port(config), |older| older.query_port);
        let (file, nameservers) = read_resolv_files(&config.resolv_files);
        let addresses = older.map(|older| older.watched().found.addresses.clone()).unwrap_or_default();
        let found = Found { nameservers, addresses, own: own.to_vec() };
        let older_table = older.map(|older| older.table.load_full());
        let table = Table::new(config, query_port, &found, older_table.as_deref());
        Self {
            config: config.clone(),
            validating,
            query_port,
            table: ArcSwap::from_pointee(table),
            watched: Mutex::new(Watched::new(found, file)),
            unprobed: AtomicBool::new(true),
            metrics,
            outside,
        }
    }

    /// How each server behaved.
    pub fn reports(&self) -> Vec<ServerReport> {
        self.table.load().reports(self.outside.now_ms())
    }

    /// The servers as options that another process could be given: lines of the configuration, and what was found in
    /// resolv.conf.
    pub fn options(&self) -> Vec<String> {
        let lines = self.config.servers.iter().map(|entry| format!("server={entry}"));
        let nameservers = self.watched().found.nameservers.clone();
        lines.chain(nameservers.iter().map(|address| format!("server={address}"))).collect()
    }

    /// Whether a line of the configuration names a domain of this name, so that what others prove about the public tree
    /// says nothing of it. Allocates nothing.
    pub fn has_own_line(&self, qname_wire: &[u8], qtype: RecordType) -> bool {
        self.table.load().has_own_line(qname_wire, qtype)
    }

    /// The longest time that one question may take.
    pub fn patience(&self) -> Duration {
        self.config.give_up_after
    }

    /// Fetches the reply to a client's question. A try that is late goes on while the next server is asked: whoever answers
    /// first wins. Dropping the future ends all tries. The reply to a name that is never forwarded is that it does not
    /// exist.
    ///
    /// # Errors
    /// That of the last try, once all have failed or the time is up; or there are too many questions.
    pub async fn fetch(&self, question: &Question) -> Result<Response, UpstreamError> {
        self.fetch_within(question, Some(self.config.forward_max)).await
    }

    /// The same on behalf of a question that was let in already: never refused because there are too many.
    ///
    /// # Errors
    /// That of the last try, once all have failed or the time is up.
    pub async fn fetch_more(&self, question: &Question) -> Result<Response, UpstreamError> {
        self.fetch_within(question, None).await
    }

    async fn fetch_within(&self, question: &Question, max: Option<usize>) -> Result<Response, UpstreamError> {
        let table = self.table.load_full();
        let group = match table.route(question.qname.wire(), question.qtype) {
            Route::Group(group) => group,
            Route::LocalOnly => return Ok(not_there(question)),
        };
        let Some(_place) = group.place(max) else {
            self.metrics.refused_forward_max.add_one();
            let limit = self.config.forward_max;
            if group.may_warn(self.outside.now_ms()) {
                warn!(limit, "too many questions are with the servers (dns-forward-max): refusing more");
            }
            return Err(UpstreamError::TooMany { limit });
        };
        let plan = group.plan(self.order(), self.outside.now_ms());
        let started = Instant::now();
        let deadline = started.checked_add(self.config.give_up_after).unwrap_or(started);
        let mut race = Race {
            forwarder: self,
            table: &table,
            group,
            question,
            deadline,
            tries: JoinSet::new(),
            refused: Vec::new(),
            last_error: None,
        };
        let fetched = race.run(&plan).await;
        if fetched.is_err() {
            self.metrics.upstream_failures.add_one();
        }
        fetched
    }

    fn order(&self) -> Order {
        match (self.config.all_servers, self.config.strict_order) {
            (true, _) => Order::All,
            (false, true) => Order::Strict,
            (false, false) => Order::Favoured,
        }
    }
}

/// What is to be said of a name that is never forwarded.
fn not_there(question: &Question) -> Response {
    Response { question: question.clone(), rcode: RCode::NXDOMAIN, answer: Vec::new(), authority: Vec::new() }
}

impl Race<'_> {
    async fn run(&mut self, plan: &Plan) -> Result<Response, UpstreamError> {
        let servers = plan.order.len();
        let tries_max = TRIES_MAX.max(plan.at_once);
        let order = plan.order.iter().cycle().take(servers.saturating_mul(ROUNDS).min(tries_max));
        for (number, &server) in order.enumerate() {
            if self.refused.contains(&server) {
                continue;
            }
            if Instant::now() >= self.deadline {
                break;
            }
            if number == plan.at_once {
                self.forwarder.metrics.upstream_retries.add_one();
            }
            let round = number.checked_div(servers).unwrap_or(0);
            let wait = self.start_try(server, number.saturating_sub(plan.at_once.saturating_sub(1)), round);
            if number.saturating_add(1) < plan.at_once {
                continue;
            }
            let next_try_at = Instant::now().checked_add(wait).unwrap_or(self.deadline).min(self.deadline);
            if let Some(response) = self.wait_until(next_try_at).await {
                return Ok(response);
            }
        }
        if let Some(response) = self.wait_until(self.deadline).await {
            return Ok(response);
        }
        Err(self.last_error.take().unwrap_or_else(|| self.nobody(plan)))
    }

    /// Starts a try and returns how long to wait for it before the next one. `number`: of the waits so far.
    fn start_try(&mut self, number: usize, waits: usize, round: usize) -> Duration {
        let Some(server) = self.group.servers.get(number).map(Arc::clone) else { return Duration::ZERO };
        server.sent.add_one();
        let config = &self.forwarder.config;
        let wait = match config.retry_after {
            Some(first) => doubled(first, waits),
            None => doubled(server.retry_after(), round),
        };
        let asking = Asking {
            question: self.question.clone(),
            checking_disabled: self.forwarder.validating,
            udp_payload_len: config.edns_packet_max,
            case_mixed: config.case_mixed,
            last_resort: round.saturating_add(1) >= ROUNDS,
            patience: self.deadline.saturating_duration_since(Instant::now()),
        };
        let (metrics, outside) = (Arc::clone(&self.forwarder.metrics), self.forwarder.outside.clone());
        self.tries.spawn(async move {
            let outcome = ask(&server, &asking, &metrics, &outside).await;
            Tried { number, server, outcome }
        });
        wait
    }

    /// The first usable reply until then. Ends early if there is nothing to wait for.
    async fn wait_until(&mut self, moment: Instant) -> Option<Response> {
        while let Ok(Some(joined)) = timeout_at(moment, self.tries.join_next()).await {
            let Ok(tried) = joined else { continue };
            match self.judge(tried) {
                Ok(response) => return Some(response),
                Err(error) => self.last_error = Some(error),
            }
        }
        None
    }

    /// Takes the scrubbed reply out of a try that succeeded, and notes how the server did.
    fn judge(&mut self, Tried { number, server, outcome }: Tried) -> Result<Response, UpstreamError> {
        let usable = outcome.and_then(|message| match message.rcode() {
            // YXDOMAIN is a reply: a DNAME that leads to too long a name.
            RCode::NOERROR | RCode::NXDOMAIN | RCode::YXDOMAIN => {
                Ok(scrub(message, self.question, |name| self.is_competent(name)))
            }
            rcode => Err(UpstreamError::Refused { server: server.address, rcode }),
        });
        match &usable {
            Ok(_) => self.group.favour(number),
            Err(error) => {
                server.failed.add_one();
                if matches!(error, UpstreamError::Refused { .. }) {
                    self.refused.push(number);
                }
            }
        }
        usable
    }

    /// Whether these servers are those for a name that an alias leads to. Without validation nobody asks for the rest of a
    /// chain, so it is taken from whoever has it, as dnsmasq does.
    fn is_competent(&self, name: &Name) -> bool {
        let same = match self.table.route(name.wire(), self.question.qtype) {
            Route::Group(group) => Arc::ptr_eq(group, self.group),
            Route::LocalOnly => false,
        };
        same || !self.forwarder.validating
    }

    /// What is said if no try ended before the deadline.
    fn nobody(&self, plan: &Plan) -> UpstreamError {
        let asked = plan.order.first().and_then(|&number| self.group.servers.get(number));
        let waited_ms = u64::try_from(self.forwarder.config.give_up_after.as_millis()).unwrap_or(u64::MAX);
        asked.map_or(UpstreamError::NoServer, |server| UpstreamError::Timeout { server: server.address, waited_ms })
    }
}

/// A wait, doubled some times.
fn doubled(wait: Duration, times: usize) -> Duration {
    let shift = u32::try_from(times.min(8)).unwrap_or(8);
    wait.saturating_mul(1 << shift)
}
