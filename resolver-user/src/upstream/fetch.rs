//! Fetches the reply to a question: forwards it to the servers that are configured for its name, or resolves it from the root.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::warn;

use super::allowance::Allowance;
use super::doubts::{Among, Fetched, Source};
use super::forward::forward;
use super::group::{Group, Order, Place};
use super::iterate::Recursor;
use super::refresh::{Watched, fixed_port, read_resolv_files};
use super::scrub::{CHAIN_LEN_MAX, cut_chain, cut_signatures, join_chain, rest_of_chain};
use super::server::Server;
use super::table::{Found, Route, Table};
use super::transport::Outside;
use super::{RecursionReport, ServerReport, UpstreamError};
use crate::config::{ServerTarget, UpstreamConfig};
use crate::metrics::Metrics;
use crate::wire::{Name, Question, RCode, RecordType, Response};

/// Asks other servers.
#[derive(Debug)]
pub struct Upstream {
    pub(super) config: UpstreamConfig,
    /// Whether replies are validated here, so that servers need not (CD, RFC 6840 §5.9).
    pub(super) validating: bool,
    /// The port of `query-port`; where the system was to draw it, the one it drew.
    pub(super) query_port: Option<u16>,
    pub(super) table: ArcSwap<Table>,
    /// What was last seen of the files and names that the configuration refers to.
    pub(super) watched: Mutex<Watched>,
    /// The servers have changed since they were last probed for loops.
    pub(super) unprobed: AtomicBool,
    pub(super) metrics: Arc<Metrics>,
    pub(super) outside: Outside,
    /// Whoever resolves from the root.
    pub(super) recursor: Arc<Recursor>,
}

impl Upstream {
    /// As configured. `validating`: replies are validated here, so the servers need not. `own`: addresses that
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
        let older_recursor = older.map(|older| &*older.recursor);
        let recursor = Recursor::new(config, query_port, own, (Arc::clone(&metrics), outside.clone()), older_recursor);
        Self {
            config: config.clone(),
            validating,
            query_port,
            table: ArcSwap::from_pointee(table),
            watched: Mutex::new(Watched::new(found, file)),
            unprobed: AtomicBool::new(true),
            metrics,
            outside,
            recursor: Arc::new(recursor),
        }
    }

    /// How each server behaved.
    pub fn reports(&self) -> Vec<ServerReport> {
        self.table.load().reports(self.outside.now_ms())
    }

    /// The servers as options that another process could be given: lines of the configuration, and what was found in
    /// resolv.conf.
    pub fn options(&self) -> Vec<String> {
        let lines = self.config.servers.iter().map(|entry| {
            let option = if matches!(entry.target, ServerTarget::Stub(_)) { "stub" } else { "server" };
            format!("{option}={entry}")
        });
        let nameservers = self.watched().found.nameservers.clone();
        let iterating = if self.table.load().usual_iterates { self.config.iterating.options() } else { Vec::new() };
        let nameservers = nameservers.iter().map(|address| format!("server={address}"));
        lines.chain(nameservers).chain(iterating).collect()
    }

    /// The labels of the domain of this name that a line of the configuration names: what others prove about the public tree
    /// says nothing of it. Allocates nothing.
    pub fn own_line(&self, qname_wire: &[u8], qtype: RecordType) -> Option<usize> {
        self.table.load().own_line(qname_wire, qtype)
    }

    /// The longest time that one question may take.
    pub fn patience(&self) -> Duration {
        self.config.give_up_after
    }

    /// What resolving from the root has found so far; none if no name is resolved so.
    pub fn recursion(&self) -> Option<RecursionReport> {
        let table = self.table.load();
        table.iterates().then(|| self.recursor.report(table.usual_iterates))
    }

    /// Fetches the reply to a client's question, paid from its allowance. The reply to a name that is never forwarded is that it
    /// does not exist. Dropping the future ends all tries.
    ///
    /// # Errors
    /// That of the last try, once all have failed or the time is up; or there are too many questions.
    pub async fn fetch(&self, question: &Question, allowance: &Arc<Allowance>) -> Result<Fetched, UpstreamError> {
        self.fetch_within(question, allowance, Some(self.config.forward_max), Among::All).await
    }

    /// The same on behalf of a question that was let in already: never refused because there are too many. The DS of a zone may
    /// be what the referral to it said a moment ago, which proves the same with fewer records.
    ///
    /// # Errors
    /// That of the last try, once all have failed or the time is up.
    pub async fn fetch_more(&self, question: &Question, allowance: &Arc<Allowance>) -> Result<Fetched, UpstreamError> {
        if let Some(known) = self.recursor.referred(question)
            && matches!(self.table.load().route(question.qname.wire(), question.qtype), Route::Iterate)
        {
            return Ok(Fetched::clone(&known));
        }
        self.fetch_within(question, allowance, None, Among::All).await
    }

    /// The same once what a server has said is bogus: asks none that is doubted about the zone.
    ///
    /// # Errors
    /// That of the last try, once all have failed or the time is up; or there is nobody else to ask.
    pub async fn fetch_elsewhere(
        &self,
        question: &Question,
        allowance: &Arc<Allowance>,
    ) -> Result<Fetched, UpstreamError> {
        self.fetch_within(question, allowance, None, Among::Undoubted).await
    }

    /// Notes that the reply of a server to a question is bogus: it is doubted for a while. `zone`: the zone that the reply speaks for,
    /// as far as the validation knows; of an authoritative server it is known better. A DS or its denial that came with a referral
    /// is forgotten first: nobody has asked for it, and the same server may have more to say when it is asked.
    pub fn doubt(&self, source: &Source, question: &Question, zone: &Name) {
        if self.recursor.referred(question).is_some() {
            self.recursor.forget_referred(&question.qname);
            return;
        }
        let Source { server, zone: asked } = source;
        self.recursor.doubts().note(asked.as_ref().unwrap_or(zone), *server, self.outside.now_ms());
    }

    /// Whether there is room for one more question among those that are with the servers that this one goes to. If not, it counts as
    /// refused.
    ///
    /// # Errors
    /// There are too many questions.
    pub fn let_in(&self, question: &Question) -> Result<(), UpstreamError> {
        let table = self.table.load();
        let max = Some(self.config.forward_max);
        match table.route(question.qname.wire(), question.qtype) {
            Route::LocalOnly => Ok(()),
            Route::Iterate => self.place(&table.usual, max).map(drop),
            Route::Group(group) => self.place(group, max).map(drop),
        }
    }

    async fn fetch_within(
        &self,
        question: &Question,
        allowance: &Arc<Allowance>,
        max: Option<usize>,
        among: Among,
    ) -> Result<Fetched, UpstreamError> {
        let mut fetched = self.fetch_chain(question, allowance, max, among).await;
        match &mut fetched {
            Ok(fetched) if !self.validating => cut_signatures(&mut fetched.response),
            Err(_) if among == Among::All => self.metrics.upstream_failures.add_one(),
            // There is a reply already.
            Ok(_) | Err(_) => {}
        }
        fetched
    }

    /// The reply to a question. Where nobody validates, and so asks for the rest of an alias chain, it is followed here.
    async fn fetch_chain(
        &self,
        question: &Question,
        allowance: &Arc<Allowance>,
        max: Option<usize>,
        among: Among,
    ) -> Result<Fetched, UpstreamError> {
        let Fetched { mut response, source } = self.fetch_part(question, allowance, max, among).await?;
        let mut visited = vec![question.qname.clone()];
        while !self.validating
            && let Some(target) = rest_of_chain(&response)
            && self.follows(&target, question.qtype)
        {
            if visited.contains(&target) || visited.len() >= CHAIN_LEN_MAX {
                return Err(UpstreamError::Aliases { name: question.qname.clone() });
            }
            let rest = Question::new(target.clone(), question.qtype);
            let rest = self.fetch_part(&rest, allowance, None, among).await?;
            visited.push(target);
            response = join_chain(response, &rest.response);
            if rest.response.answer.is_empty() {
                break;
            }
        }
        Ok(Fetched { response, source })
    }

    /// Whether what an alias leads to is asked for here (RFC 1034 §5.3.3, step 4c), which forwarders, too, may leave to us.
    fn follows(&self, target: &Name, qtype: RecordType) -> bool {
        !matches!(self.table.load().route(target.wire(), qtype), Route::LocalOnly)
    }

    /// What those who are asked about a name say to a question.
    async fn fetch_part(
        &self,
        question: &Question,
        allowance: &Arc<Allowance>,
        max: Option<usize>,
        among: Among,
    ) -> Result<Fetched, UpstreamError> {
        let table = self.table.load_full();
        match table.route(question.qname.wire(), question.qtype) {
            Route::LocalOnly => Ok(Fetched { response: not_there(question), source: None }),
            Route::Iterate => {
                let _place = self.place(&table.usual, max)?;
                let Fetched { response, source } = self.recursor.fetch(question, allowance, among).await?;
                Ok(Fetched { response: self.without_foreign(&table, response), source })
            }
            Route::Group(group) => {
                let _place = self.place(group, max)?;
                let now_ms = self.outside.now_ms();
                let is_doubted =
                    |server: &Server| self.recursor.doubts().about_any(&question.qname, server.address, now_ms);
                let plan = group.plan(self.order(), among, is_doubted, now_ms);
                forward(self, &table, group, question, allowance, &plan).await
            }
        }
    }

    /// A reply without what its servers say of names that have servers of their own here.
    fn without_foreign(&self, table: &Table, response: Response) -> Response {
        let qtype = response.question.qtype;
        let competent = |name: &Name| matches!(table.route(name.wire(), qtype), Route::Iterate);
        cut_chain(response, competent)
    }

    /// A place for a question among those that are with these servers.
    fn place<'a>(&self, group: &'a Group, max: Option<usize>) -> Result<Place<'a>, UpstreamError> {
        group.place(max).ok_or_else(|| {
            self.metrics.refused_forward_max.add_one();
            let limit = self.config.forward_max;
            if group.may_warn(self.outside.now_ms()) {
                warn!(limit, "too many questions are with the servers (dns-forward-max): refusing more");
            }
            UpstreamError::TooMany { limit }
        })
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
