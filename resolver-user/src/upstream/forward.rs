//! Forwards a question to the servers of a group: which one, how long, and who next.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::UpstreamError;
use super::allowance::Allowance;
use super::attempt::{Asking, ask};
use super::doubts::{Fetched, Source};
use super::fetch::Upstream;
use super::group::{Group, Plan};
use super::scrub::scrub;
use super::server::Server;
use super::table::{Route, Table};
use crate::wire::{Message, Name, Question, RCode, Response};

/// How often each server is tried for one question. The last time without EDNS, if it has not answered so far.
const ROUNDS: usize = 3;
/// Most tries for one question, but for a first one at each server where all are asked at once.
const TRIES_MAX: usize = 8;
/// How long servers that were silent are waited for where there is a reply already, if only a bogus one.
/// Choice: long enough for one that is back; a zone that is bogus everywhere must not cost all who ask the wait for a dead server.
const LONG_SHOT: Duration = Duration::from_millis(500);

/// Asks the servers of a group as planned. A try that is late goes on while the next server is asked: whoever answers first
/// wins. Dropping the future ends all tries.
///
/// # Errors
/// That of the last try, once all have failed or the time is up.
pub(super) async fn forward(
    upstream: &Upstream,
    table: &Table,
    group: &Arc<Group>,
    question: &Question,
    allowance: &Arc<Allowance>,
    plan: &Plan,
) -> Result<Fetched, UpstreamError> {
    let started = Instant::now();
    let give_up_after = upstream.config.give_up_after;
    let give_up_after = if plan.is_long_shot { give_up_after.min(LONG_SHOT) } else { give_up_after };
    let deadline = started.checked_add(give_up_after).unwrap_or(started);
    let (tries, refused) = (JoinSet::new(), Vec::new());
    let open = Vec::new();
    let mut race =
        Race { upstream, table, group, question, allowance, deadline, tries, open, refused, last_error: None };
    let fetched = race.run(plan).await;
    race.note_silence();
    fetched
}

/// A try that ended.
struct Tried {
    number: usize,
    server: Arc<Server>,
    outcome: Result<Message, UpstreamError>,
}

/// The tries for one question.
struct Race<'a> {
    upstream: &'a Upstream,
    table: &'a Table,
    group: &'a Arc<Group>,
    question: &'a Question,
    allowance: &'a Arc<Allowance>,
    deadline: Instant,
    tries: JoinSet<Tried>,
    /// Servers that were asked and have not answered, and by when they should have.
    open: Vec<(usize, Instant)>,
    /// Servers that said no, and will say it again.
    refused: Vec<usize>,
    last_error: Option<UpstreamError>,
}

impl Race<'_> {
    async fn run(&mut self, plan: &Plan) -> Result<Fetched, UpstreamError> {
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
                self.upstream.metrics.upstream_retries.add_one();
            }
            let round = number.checked_div(servers).unwrap_or(0);
            let wait = self.start_try(server, number.saturating_sub(plan.at_once.saturating_sub(1)), round);
            if number.saturating_add(1) < plan.at_once {
                continue;
            }
            let next_try_at = Instant::now().checked_add(wait).unwrap_or(self.deadline).min(self.deadline);
            if let Some(fetched) = self.wait_until(next_try_at).await {
                return Ok(fetched);
            }
        }
        if let Some(fetched) = self.wait_until(self.deadline).await {
            return Ok(fetched);
        }
        Err(self.last_error.take().unwrap_or_else(|| self.nobody(plan)))
    }

    /// Starts a try and returns how long to wait for it before the next one. `number`: of the waits so far.
    fn start_try(&mut self, number: usize, waits: usize, round: usize) -> Duration {
        let Some(server) = self.group.servers.get(number).map(Arc::clone) else { return Duration::ZERO };
        server.sent.add_one();
        let config = &self.upstream.config;
        let wait = match config.retry_after {
            Some(first) => doubled(first, waits),
            None => doubled(server.retry_after(), round),
        };
        let asking = Asking {
            question: self.question.clone(),
            recursion_desired: true,
            checking_disabled: self.upstream.validating,
            udp_payload_len: config.edns_packet_max,
            case_mixed: config.case_mixed.unwrap_or(false),
            last_resort: round.saturating_add(1) >= ROUNDS,
            with_cookie: false,
            patience: self.deadline.saturating_duration_since(Instant::now()),
            allowance: Arc::clone(self.allowance),
        };
        self.open.push((number, Instant::now().checked_add(wait).unwrap_or(self.deadline)));
        let (metrics, outside) = (Arc::clone(&self.upstream.metrics), self.upstream.outside.clone());
        self.tries.spawn(async move {
            let outcome = ask(&server, &asking, &metrics, &outside).await;
            Tried { number, server, outcome }
        });
        wait
    }

    /// The first usable reply until then. Ends early if there is nothing to wait for.
    async fn wait_until(&mut self, moment: Instant) -> Option<Fetched> {
        while let Ok(Some(joined)) = timeout_at(moment, self.tries.join_next()).await {
            let Ok(tried) = joined else { continue };
            let source = Source { server: tried.server.address, zone: None };
            match self.judge(tried) {
                Ok(response) => return Some(Fetched { response, source: Some(source) }),
                Err(error) => self.last_error = Some(error),
            }
        }
        None
    }

    /// Notes which servers should have answered, and have not.
    fn note_silence(&self) {
        let (now, now_ms) = (Instant::now(), self.upstream.outside.now_ms());
        for (number, _) in self.open.iter().filter(|(_, answers_by)| *answers_by <= now) {
            self.group.servers.get(*number).into_iter().for_each(|server| server.note_silence(now_ms));
        }
    }

    /// Takes the scrubbed reply out of a try that succeeded, and notes how the server did.
    fn judge(&mut self, Tried { number, server, outcome }: Tried) -> Result<Response, UpstreamError> {
        if !matches!(outcome, Err(UpstreamError::Timeout { .. } | UpstreamError::Network { .. })) {
            self.open.retain(|(open, _)| *open != number);
        }
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
            Route::LocalOnly | Route::Iterate => false,
        };
        same || !self.upstream.validating
    }

    /// What is said if no try ended before the deadline.
    fn nobody(&self, plan: &Plan) -> UpstreamError {
        let asked = plan.order.first().and_then(|&number| self.group.servers.get(number));
        let waited_ms = u64::try_from(self.upstream.config.give_up_after.as_millis()).unwrap_or(u64::MAX);
        asked.map_or(UpstreamError::NoServer, |server| UpstreamError::Timeout { server: server.address, waited_ms })
    }
}

/// A wait, doubled some times.
fn doubled(wait: Duration, times: usize) -> Duration {
    let shift = u32::try_from(times.min(8)).unwrap_or(8);
    wait.saturating_mul(1 << shift)
}
