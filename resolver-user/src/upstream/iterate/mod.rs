//! Resolves from the root: asks authoritative servers, from the deepest zone that is known down to the one that answers.
//!
//! In: a question. Out: the scrubbed reply of the zone that it belongs to; an alias that leads out of that zone is not
//! followed here. Rooms: `iteration` is the machine that says whom to ask, with a `frame` for each question under way;
//! `said` reads replies, `delegation` what zones are delegated to, `minimise` shortens names, `choose` compares servers,
//! `infra` remembers. This file carries its queries out.
//! Refuses: to believe what a server says of names outside of its zone, or a child of itself; to validate; to give clients
//! anything from its memory. Ruled by RFC 1034 §5.3.3, RFC 2181 §5.4.1, RFC 9156, RFC 9609.

mod choose;
mod delegation;
mod frame;
mod infra;
mod iteration;
mod minimise;
mod said;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::allowance::Allowance;
use super::attempt::{Asking, ask};
use super::doubts::{Among, Doubts, Fetched};
use super::transport::Outside;
use super::{RecursionReport, UpstreamError};
use crate::config::UpstreamConfig;
use crate::metrics::Metrics;
use crate::wire::{Message, Name, Question, RecordType};
use infra::Infra;
use iteration::{Iteration, Setting, Step};

/// Longest wait for one reply. By then others were asked several times.
const REPLY_WITHIN_MAX: Duration = Duration::from_secs(5);

/// Resolves from the root.
#[derive(Debug)]
pub(super) struct Recursor {
    setting: Setting,
    /// Addresses that we listen on.
    own: ArcSwap<Vec<SocketAddr>>,
    give_up_after: Duration,
    udp_payload_len: u16,
    outside: Outside,
}

/// A try that ended: its number, and what came of it.
type Tried = (usize, Result<Message, UpstreamError>);

impl Recursor {
    /// As configured. `own`: addresses that we listen on, which are no servers. What an older one knows goes on to be known,
    /// unless another configuration might have had it find something else.
    pub(super) fn new(
        config: &UpstreamConfig,
        query_port: Option<u16>,
        own: &[SocketAddr],
        (metrics, outside): (Arc<Metrics>, Outside),
        older: Option<&Self>,
    ) -> Self {
        let known = older.map(|older| &older.setting.infra).filter(|infra| infra.is_of(config, query_port));
        let infra = known.map_or_else(|| Arc::new(Infra::new(config, query_port)), Arc::clone);
        Self {
            setting: Setting {
                infra,
                metrics,
                minimising: config.iterating.minimising.0,
                case_mixed: config.case_mixed.unwrap_or(true),
                own: Arc::default(),
            },
            own: ArcSwap::from_pointee(own.to_vec()),
            give_up_after: config.give_up_after,
            udp_payload_len: config.edns_packet_max,
            outside,
        }
    }

    /// Notes the addresses that we listen on now.
    pub(super) fn note_own(&self, own: &[SocketAddr]) {
        self.own.store(Arc::new(own.to_vec()));
    }

    /// What is known of zones and servers.
    pub(super) fn report(&self, usual: bool) -> RecursionReport {
        let (zones, servers) = self.setting.infra.sizes();
        RecursionReport { usual, zones, servers, most_asked: self.setting.infra.most_asked(self.outside.now_ms()) }
    }

    /// What the referral to a zone said of its DS a moment ago, if this is the question for it.
    pub(super) fn referred(&self, question: &Question) -> Option<Arc<Fetched>> {
        let asked = question.qtype == RecordType::DS;
        asked.then(|| self.setting.infra.referred_ds(&question.qname, self.outside.now_ms())).flatten()
    }

    /// Forgets what the referral to a zone said of its DS.
    pub(super) fn forget_referred(&self, zone: &Name) {
        self.setting.infra.forget_referred_ds(zone);
    }

    /// Servers whose data was bogus, those that are forwarded to among them.
    pub(super) fn doubts(&self) -> &Doubts {
        &self.setting.infra.doubts
    }

    /// Fetches the reply of the zone that a question belongs to. Dropping the future ends all tries.
    ///
    /// # Errors
    /// That of the last try, once all have failed or the time is up.
    pub(super) async fn fetch(
        &self,
        question: &Question,
        allowance: &Arc<Allowance>,
        among: Among,
    ) -> Result<Fetched, UpstreamError> {
        let (started, started_ms) = (Instant::now(), self.outside.now_ms());
        let deadline = started.checked_add(self.give_up_after).unwrap_or(started);
        // By tokio's time, like every wait.
        let now_ms = || started_ms.saturating_add(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
        let setting = Setting { own: self.own.load_full(), ..self.setting.clone() };
        let mut iteration = Iteration::new(setting, question.clone(), among, rand::random(), started_ms);
        let mut tries: JoinSet<Tried> = JoinSet::new();
        let mut last_asked = None;
        // Bound: each turn asks, which the allowance pays, hears of a try, or waits for a while of the time there is.
        while Instant::now() < deadline {
            match iteration.advance(now_ms()) {
                Step::Done(outcome) => return outcome,
                Step::Ask { number, server, question, last_resort, case_mixed } => {
                    server.sent.add_one();
                    last_asked = Some(server.address);
                    let patience = deadline.saturating_duration_since(Instant::now()).min(REPLY_WITHIN_MAX);
                    let asking = Asking {
                        question,
                        recursion_desired: false,
                        checking_disabled: false,
                        udp_payload_len: self.udp_payload_len,
                        case_mixed,
                        with_cookie: true,
                        last_resort,
                        patience,
                        allowance: Arc::clone(allowance),
                    };
                    let (metrics, outside) = (Arc::clone(&self.setting.metrics), self.outside.clone());
                    tries.spawn(async move { (number, ask(&server, &asking, &metrics, &outside).await) });
                }
                Step::Wait(until_ms) => {
                    let wait = Duration::from_millis(until_ms.saturating_sub(now_ms()).max(1));
                    let moment = Instant::now().checked_add(wait).unwrap_or(deadline).min(deadline);
                    match timeout_at(moment, tries.join_next()).await {
                        Ok(Some(Ok((_, Err(error @ UpstreamError::Exhausted))))) => return Err(error),
                        Ok(Some(Ok((number, outcome)))) => iteration.heard(number, outcome, now_ms()),
                        Ok(Some(Err(_))) => {}
                        // Every try has ended before; there is nothing but time to wait for.
                        Ok(None) => tokio::time::sleep_until(moment).await,
                        Err(_) => {}
                    }
                }
            }
        }
        Err(self.too_late(last_asked))
    }

    fn too_late(&self, server: Option<SocketAddr>) -> UpstreamError {
        let waited_ms = u64::try_from(self.give_up_after.as_millis()).unwrap_or(u64::MAX);
        server.map_or(UpstreamError::NoServer, |server| UpstreamError::Timeout { server, waited_ms })
    }
}
