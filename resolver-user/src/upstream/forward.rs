//! Forwards a question to the configured recursive servers: which one, how long, and who next.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::timeout_at;

use super::exchange::exchange;
use super::scrub::scrub;
use super::servers::Servers;
use super::{ServerReport, UpstreamError};
use crate::metrics::Metrics;
use crate::wire::{Message, QueryWriter, Question, RCode, Response};

/// Longest time that one question may take, all servers and tries together.
const QUESTION_TIME_MAX: Duration = Duration::from_secs(8);
/// How often each server is tried for one question.
const ROUNDS: usize = 2;
/// Most tries for one question.
const TRIES_MAX: usize = 8;
/// UDP payload size that we announce, in bytes (DNS flag day 2020).
const UDP_PAYLOAD_LEN: u16 = 1232;

/// Asks recursive servers.
#[derive(Debug)]
pub struct Forwarder {
    servers: Arc<Servers>,
    /// CD: leave validation to us (RFC 6840 §5.9).
    checking_disabled: bool,
    metrics: Arc<Metrics>,
}

/// A try that ended.
struct Tried {
    index: usize,
    server: SocketAddr,
    outcome: Result<Message, UpstreamError>,
}

impl Forwarder {
    /// A forwarder to these servers. `validating`: replies are validated here, so the servers need not.
    pub fn new(servers: &[SocketAddr], validating: bool, metrics: Arc<Metrics>) -> Self {
        Self { servers: Arc::new(Servers::new(servers)), checking_disabled: validating, metrics }
    }

    /// How each server behaved.
    pub fn reports(&self) -> Vec<ServerReport> {
        self.servers.reports()
    }

    /// Fetches the reply to a question. A try that is late goes on while the next server is asked: whoever answers first
    /// wins. Dropping the future ends all tries.
    ///
    /// # Errors
    /// That of the last try, once all have failed or the time is up.
    pub async fn fetch(&self, question: &Question) -> Result<Response, UpstreamError> {
        let fetched = self.race(question).await;
        if fetched.is_err() {
            self.metrics.upstream_failures.add_one();
        }
        fetched
    }

    async fn race(&self, question: &Question) -> Result<Response, UpstreamError> {
        let started = Instant::now();
        let deadline = started.checked_add(QUESTION_TIME_MAX).unwrap_or(started);
        let order = self.servers.order();
        let mut refused: Vec<usize> = Vec::new();
        let mut tries = JoinSet::new();
        let mut last_error = None;
        for (number, &index) in order.iter().cycle().take(order.len().saturating_mul(ROUNDS).min(TRIES_MAX)).enumerate()
        {
            // A server that said no will say no again.
            if refused.contains(&index) {
                continue;
            }
            if number == 1 {
                self.metrics.upstream_retries.add_one();
            }
            let wait = self.start_try(&mut tries, index, question, deadline);
            // The second round is more patient.
            let wait = if number < order.len() { wait } else { wait.saturating_mul(2) };
            let next_try_at = Instant::now().checked_add(wait).unwrap_or(deadline).min(deadline);
            while let Ok(Some(joined)) = timeout_at(next_try_at.into(), tries.join_next()).await {
                let Ok(tried) = joined else { continue };
                let index = tried.index;
                match self.judge(tried, question) {
                    Ok(response) => return Ok(response),
                    Err(error @ UpstreamError::Refused { .. }) => {
                        refused.push(index);
                        last_error = Some(error);
                    }
                    Err(error) => last_error = Some(error),
                }
                // Nothing to wait for: on to the next server at once.
                if tries.is_empty() {
                    break;
                }
            }
        }
        self.wait_out(tries, question, deadline).await.map_err(|error| last_error.unwrap_or(error))
    }

    /// Starts a try and returns how long to wait for it before the next one.
    fn start_try(&self, tries: &mut JoinSet<Tried>, index: usize, question: &Question, deadline: Instant) -> Duration {
        let Some(server) = self.servers.server(index) else { return Duration::ZERO };
        server.sent.add_one();
        let patience = deadline.saturating_duration_since(Instant::now());
        let (servers, metrics, question) = (Arc::clone(&self.servers), Arc::clone(&self.metrics), question.clone());
        let (address, checking_disabled) = (server.address, self.checking_disabled);
        tries.spawn(async move {
            let query = QueryWriter {
                question: &question,
                recursion_desired: true,
                authentic_wanted: false,
                checking_disabled,
                dnssec_ok: true,
                udp_payload_len: UDP_PAYLOAD_LEN,
            };
            let asked_at = Instant::now();
            let outcome = exchange(address, query, patience, &metrics).await;
            if let (Ok(_), Some(server)) = (&outcome, servers.server(index)) {
                server.note_rtt(asked_at.elapsed());
            }
            Tried { index, server: address, outcome }
        });
        server.retry_after()
    }

    /// Waits for the tries that are still running.
    async fn wait_out(
        &self,
        mut tries: JoinSet<Tried>,
        question: &Question,
        deadline: Instant,
    ) -> Result<Response, UpstreamError> {
        let mut last_error = self.no_server();
        while let Ok(Some(joined)) = timeout_at(deadline.into(), tries.join_next()).await {
            let Ok(tried) = joined else { continue };
            match self.judge(tried, question) {
                Ok(response) => return Ok(response),
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }

    /// Takes the scrubbed reply out of a try that succeeded, and notes how the server did.
    fn judge(&self, tried: Tried, question: &Question) -> Result<Response, UpstreamError> {
        let usable = tried.outcome.and_then(|message| match message.rcode() {
            // YXDOMAIN is a reply: a DNAME that leads to too long a name.
            RCode::NOERROR | RCode::NXDOMAIN | RCode::YXDOMAIN => Ok(scrub(message, question)),
            rcode => Err(UpstreamError::Refused { server: tried.server, rcode }),
        });
        match (&usable, self.servers.server(tried.index)) {
            (Ok(_), _) => self.servers.favour(tried.index),
            (Err(_), Some(server)) => server.failed.add_one(),
            (Err(_), None) => {}
        }
        usable
    }

    /// What is said if no try ended before the deadline.
    fn no_server(&self) -> UpstreamError {
        let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
        let server = self.servers.server(0).map_or(unspecified, |server| server.address);
        UpstreamError::Timeout { server, waited_ms: u64::try_from(QUESTION_TIME_MAX.as_millis()).unwrap_or(u64::MAX) }
    }
}
