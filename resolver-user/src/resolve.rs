//! The whole journey of one query: local data → cache → somebody else's search → upstream → validation → filters → cache → answer → publication.
//!
//! Start at [`Resolver::answer_now`] (what the operator says, and what the cache holds; `early` has the less common ways, `ahead` what is done before somebody has to wait) and [`Resolver::answer_later`] (what has to be found). Each
//! step is one function; the rooms know nothing of each other.

mod ahead;
mod at_hand;
mod early;
mod elsewhere;
mod fetching;
mod forgetting;
mod publishing;
mod telling;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::answer::{
    Asked, ChaosQuestion, Failure, Sent, Transport, turn_addresses, write_answer, write_chaos, write_failure,
};
use crate::cache::{
    AnswerCache, CachedAnswer, FAILURE_PAUSE_S_MIN, Failures, InFlight, Joined, Keeping, Kept, Leader, Outcome,
    QuestionKey, QuestionRef, ResponseCache, SetCache, result,
};
use crate::clock::{Clock, NS_PER_S};
use crate::config::LoggingConfig;
use crate::daemon::Fingerprint;
use crate::filter::Filters;
use crate::listener::{Answered, ClientQuery, Hits, QueryBytes, QueryService, count_sent};
use crate::local::LocalData;
use crate::metrics::Metrics;
use crate::prefetch::Prefetching;
use crate::publish::Publisher;
use crate::saved::Restored;
use crate::slow_lane::{Run, SlowLane};
use crate::trust::{Basis, KeySentinel, Trust};
use crate::upstream::{Source as Server, Upstream, UpstreamError, is_circle};
use crate::validator::{BudgetItem, FetchFailure, IndeterminateReason, Pace, ProvenStatus, Step, Validation, Verdict};
use crate::wire::{Name, Question, RCode, RecordType, Response, Soa};
use crate::witness::Counting;

use at_hand::{Means, Use};
use elsewhere::Told;
pub(crate) use fetching::fetch_failure;
use fetching::{Fetches, Reply};
pub use publishing::Offer;

/// Longest time an answer is kept, in seconds; no TTL shown to a client exceeds it.
/// Choice: the same day as in the kernel map (`FAST_TTL_S_MAX`), so that both show the same TTL; RFC 2181 §8 allows more.
pub const ANSWER_TTL_S_MAX: u32 = resolver_ebpf::abi::FAST_TTL_S_MAX;
/// How long a bogus outcome is remembered, in seconds: a flood of queries for it costs one validation a minute.
pub const BOGUS_TTL_S: u32 = 60;
/// How long a failure is remembered at first, in seconds.
pub const FAILURE_TTL_S: u32 = FAILURE_PAUSE_S_MIN;
/// Longest time that one question may take, sub-queries and all. Clients give up after five to ten seconds.
const RESOLUTION_TIME_MAX: Duration = Duration::from_secs(12);
/// Time that is left for sub-queries in any case where `query-retry` is longer.
const VALIDATION_TIME: Duration = Duration::from_secs(4);

/// Finds answers.
pub struct Resolver {
    /// Finished answers.
    pub cache: AnswerCache,
    /// Single sets of them, for other questions.
    pub sets: SetCache,
    /// Searches under way.
    pub searches: Arc<InFlight<Arc<CachedAnswer>>>,
    /// Fetches under way on behalf of validations.
    pub fetches: Arc<Fetches>,
    /// The same after what one server has said was bogus.
    pub fetches_elsewhere: Arc<Fetches>,
    /// Replies to them.
    pub responses: ResponseCache<Server>,
    /// Questions that failed a moment ago.
    pub failures: Failures,
    /// Answers of the cache file that nobody has asked for yet.
    pub restored: Restored,
    /// Searches ahead of time.
    pub prefetching: Arc<Prefetching>,
    /// Answers of the daemon whose addresses could change places.
    pub turns: AtomicU32,
    /// What the configuration decides about answers.
    pub rules: ArcSwap<Rules>,
    /// What validation needs; none if `dnssec` is off.
    pub trust: Option<Trust>,
    /// Where validations go on that look like an attack.
    pub slow_lane: SlowLane,
    /// Where answers go to be served by XDP, if they do.
    pub publisher: Option<Arc<Publisher>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Owns the task of every search.
    pub tracker: TaskTracker,
    /// Held while what answers rest on changes.
    pub basis_turn: Mutex<()>,
    /// Who asks, and what is asked for, if anybody wants to know.
    pub counting: Counting,
    /// Answers logged with a number.
    pub queries_logged: AtomicU64,
}

/// What the configuration decides about answers. A reload replaces it as a whole.
#[derive(Debug)]
pub struct Rules {
    /// Rises with each change after which the same question may have another answer. It counts where there is no trust,
    /// whose generation rises at the same moments and more.
    pub generation: u64,
    /// Fingerprint of what answers rest on, but for what validation starts from.
    pub fingerprint: Fingerprint,
    /// Where replies come from.
    pub upstream: Arc<Upstream>,
    /// What the operator says about names: given before anything else, never published.
    pub local: Arc<LocalData>,
    /// What clients do not get to see.
    pub filters: Filters,
    /// How long answers are kept, and which TTLs are shown.
    pub keeping: Keeping,
    /// How many popular answers a second are found anew before their time is over.
    pub prefetch_per_s: u32,
    /// Whether addresses of an answer change places.
    pub round_robin: bool,
    /// What is logged of queries and validations.
    pub logging: LoggingConfig,
    /// Whether anchored zones are told which anchors there are (RFC 8145).
    pub anchor_signaling: bool,
    /// Whether the root key sentinel's names are served (RFC 8509).
    pub key_sentinel: bool,
    /// Whether bogus data are given to every client, without AD, as if it had set CD.
    pub dnssec_debug: bool,
    /// What is told about ourselves in class CH; nothing with `no-ident`.
    pub ident: Option<Ident>,
}

/// What is told about ourselves in class CH, besides counters.
#[derive(Clone, Debug)]
pub struct Ident {
    /// The answer to `id.server`, if there is one.
    pub identity: Option<String>,
    /// The answer to `cachesize.bind`.
    pub cache_size: usize,
}

/// What holds for some queries that came together, and what they have done.
#[derive(Debug)]
pub struct Present {
    rules: Guard<Arc<Rules>>,
    /// The time, in nanoseconds of CLOCK_BOOTTIME.
    boot_ns: u64,
    hits: Hits,
}

/// What is left to do after an answer was sent.
#[derive(Debug)]
pub enum Afterwork {
    /// Publish it.
    Publish(Offer),
    /// Its time was over: find it anew.
    Refresh(Question),
    /// Its time is nearly over: find it anew.
    RefreshAhead(Arc<CachedAnswer>),
}

/// For how many seconds an outcome may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifetime {
    /// By itself; the operator may want it otherwise.
    Own(u32),
    /// What is left of the time that it was to be kept before a restart.
    Rest(u32),
}

/// Who had the answer, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Local,
    Stale,
    Cache,
    Xdp,
    Upstream,
    Merged,
}

impl QueryService for Resolver {
    type Afterwork = Afterwork;
    type Present = Present;

    fn present(&self) -> Present {
        Present { rules: self.rules(), boot_ns: self.clock.boot_ns(), hits: Hits::default() }
    }

    fn is_past(&self, present: Present) {
        present.hits.add_to(&self.metrics);
    }

    fn answer_now(&self, query: &ClientQuery<'_>, present: &mut Present, out: &mut Vec<u8>) -> Answered<Afterwork> {
        if self.answer_locally(query, present, out) {
            return Answered::Now(None);
        }
        let now_boot_ns = present.boot_ns;
        let key = QuestionRef { qname_wire: query.qname_wire, qtype: query.qtype };
        if let Some(answer) = self.cache.answer(key, now_boot_ns)
            && answer.generation == self.generation_under(&present.rules)
        {
            let sent = self.write(query, &answer, present, now_boot_ns, out);
            present.hits.count(sent);
            self.log(query, &answer, present, sent, Source::Cache, Duration::ZERO);
            let publication = self.publication(&answer, query.asked.form(), now_boot_ns).map(Afterwork::Publish);
            if publication.is_none() && query.asked.transport == Transport::Udp {
                self.compare(query, &answer, present, out);
            }
            return Answered::Now(publication.or_else(|| self.refresh_due(query, answer, present)));
        }
        if let Some(question) = self.answer_stale(query, present, false, out) {
            // Whether the client wants recursion or not: it waits for nobody, and what is given away stale is worth finding anew.
            return Answered::Now(Some(Afterwork::Refresh(question)));
        }
        if self.catch_loop(query, present, out) {
            return Answered::Now(None);
        }
        // Choice: a client that does not want recursion gets what is here and nothing else (as Unbound does).
        if !query.asked.recursion_desired {
            self.metrics.refused_not_cached.add_one();
            count_sent(write_failure(&query.asked, &Failure::NotCached, out), &self.metrics);
            return Answered::Now(None);
        }
        self.metrics.cache_misses.add_one();
        Answered::Later
    }

    fn answer_chaos(&self, asked: &Asked<'_>, out: &mut Vec<u8>) -> Option<Sent> {
        match ChaosQuestion::read(asked.question) {
            ChaosQuestion::Known(name) => Some(write_chaos(asked, &self.told_in_chaos(name), out)),
            ChaosQuestion::Unknown => Some(write_chaos(asked, &[], out)),
            ChaosQuestion::Foreign => None,
        }
    }

    async fn answer_later(self: Arc<Self>, query: QueryBytes) -> (Vec<u8>, Option<Afterwork>) {
        let started = Instant::now();
        let mut out = Vec::new();
        let Some(query) = query.query() else { return (out, None) };
        let Ok(qname) = Name::from_wire(query.qname_wire) else { return (out, None) };
        let (found, source) = self.find(Question::new(qname, query.qtype)).await;
        let Some(answer) = found else {
            count_sent(write_failure(&query.asked, &Failure::Unavailable, &mut out), &self.metrics);
            return (out, None);
        };
        let present = self.present();
        if answer.is_failure() && self.answer_stale(&query, &present, true, &mut out).is_some() {
            return (out, None);
        }
        // Whoever waited for the answer sees it as it was found: with its whole TTL, even if that is one second.
        let sent = self.write(&query, &answer, &present, answer.found_at_boot_ns(), &mut out);
        count_sent(sent, &self.metrics);
        self.log(&query, &answer, &present, sent, source, started.elapsed());
        let publication = self.first_publication(&answer, query.asked.form());
        self.metrics.miss_duration.record(started.elapsed());
        (out, publication.map(Afterwork::Publish))
    }

    fn after_sending(self: &Arc<Self>, work: Afterwork) {
        match work {
            Afterwork::Publish(offer) => self.offer(offer),
            Afterwork::Refresh(question) => self.refresh(question),
            Afterwork::RefreshAhead(answer) => self.refresh_ahead(answer.question().clone(), &[]),
        }
    }
}

impl Resolver {
    /// The answer that the cache would give to a question now.
    pub fn cached(&self, question: QuestionRef<'_>) -> Option<Arc<CachedAnswer>> {
        let answer = self.cache.answer(question, self.clock.now().boot_ns)?;
        (answer.generation == self.generation()).then_some(answer)
    }

    /// The rules that hold now.
    pub fn rules(&self) -> Guard<Arc<Rules>> {
        self.rules.load()
    }

    /// Finds the answer to a question, or waits for whoever is already looking for it. The search is a task of its own:
    /// a client that goes away ends nobody's wait. None: the daemon is stopping, or the task failed.
    async fn find(self: &Arc<Self>, question: Question) -> (Option<Arc<CachedAnswer>>, Source) {
        let asked_under = self.generation();
        // Bound: a search that began under an older trust is waited for once; the next one is of today's.
        for _ in 0..2 {
            match self.searches.join(QuestionKey::new(&question)) {
                Joined::Follower(receiver) => {
                    self.metrics.misses_merged.add_one();
                    let found = result(receiver).await;
                    if found.as_ref().is_none_or(|answer| answer.generation >= asked_under) {
                        return (found, Source::Merged);
                    }
                }
                Joined::Leader(leader) => {
                    let receiver = leader.follow();
                    self.tracker.spawn(search(Arc::clone(self), question, leader, Use::AtHand));
                    return (result(receiver).await, Source::Upstream);
                }
            }
        }
        (None, Source::Merged)
    }

    /// Generation of what answers rest on now. What was found under an older one is not used.
    pub fn generation(&self) -> u64 {
        self.generation_under(&self.rules())
    }

    /// The same, under these rules.
    fn generation_under(&self, rules: &Rules) -> u64 {
        self.trust.as_ref().map_or(rules.generation, Trust::generation)
    }

    /// Asks upstream, validates, and says what came of it and for how many seconds that may be kept.
    async fn resolve(
        self: &Arc<Self>,
        question: &Question,
        basis: Option<&Basis>,
        means: &mut Means,
    ) -> (Outcome, Lifetime) {
        let rules = self.rules.load_full();
        let basis_of_denials = basis.filter(|_| rules.keeping.keeps_negative && means.may_use());
        if let Some(known) = basis_of_denials.and_then(|basis| self.known_denial(basis, question)) {
            let ttl_s = known.ttl_s();
            return (Outcome::Proven(known), Lifetime::Own(ttl_s));
        }
        if let Some((restored, left_s)) = self.restored(question, basis, means).await {
            return (restored, Lifetime::Rest(left_s));
        }
        if let Some(basis) = basis
            && let Some(found) = self.found_at_hand(question, basis, means).await
        {
            return found;
        }
        means.is_first_fetch();
        let reply = match rules.upstream.fetch(question, &means.allowance).await {
            Ok(fetched) if rules.filters.ignores(&fetched.response) => {
                // Differs: dnsmasq goes on listening for another reply; the client is told that none came.
                self.metrics.replies_ignored.add_one();
                let failure = FetchFailure::NoAnswer;
                let reason = IndeterminateReason::Fetch { question: question.clone(), failure };
                return (Outcome::Failed(reason, None), Lifetime::Own(FAILURE_TTL_S));
            }
            Ok(fetched) => Reply::from(fetched),
            Err(error) => {
                let failure = fetch_failure(&error);
                let reason = IndeterminateReason::Fetch { question: question.clone(), failure };
                let ttl_s = if reason.is_want_of_room() { 0 } else { FAILURE_TTL_S };
                return (Outcome::Failed(reason, None), Lifetime::Own(ttl_s));
            }
        };
        let (outcome, ttl_s) = self.judge(question, basis, reply, means).await;
        let lifetime = means.lifetime(&outcome, ttl_s);
        (outcome, lifetime)
    }

    /// What a response is worth, and for how many seconds.
    async fn judge(
        self: &Arc<Self>,
        question: &Question,
        basis: Option<&Basis>,
        reply: Reply,
        means: &mut Means,
    ) -> (Outcome, u32) {
        let response = Arc::clone(&reply.response);
        let Some(basis) = basis else {
            let ttl_s = unchecked_ttl_s(&response);
            return (Outcome::Unchecked(response), ttl_s);
        };
        let received = self.clock.now();
        let (verdict, told) = self.validate(basis, question, reply, means).await;
        match verdict {
            Verdict::Proven(validated) => {
                self.learn(&validated, basis, means, received);
                let ttl_s = validated.ttl_s().min(ANSWER_TTL_S_MAX);
                (Outcome::Proven(validated), ttl_s)
            }
            Verdict::Unchecked { response, ttl_s } => (Outcome::Unchecked(response), ttl_s.min(ANSWER_TTL_S_MAX)),
            Verdict::Bogus(reason) => (Outcome::Bogus(reason, told.unwrap_or(response)), BOGUS_TTL_S),
            // As costly as bogus data, so remembered as long; but not where others made it fail.
            Verdict::Indeterminate(reason @ IndeterminateReason::Budget { item })
                if item != BudgetItem::CostlyValidations =>
            {
                (Outcome::Failed(reason, told), BOGUS_TTL_S)
            }
            // Too many questions now says nothing of the next moment.
            Verdict::Indeterminate(reason) if reason.is_want_of_room() => (Outcome::Failed(reason, None), 0),
            Verdict::Indeterminate(reason) => (Outcome::Failed(reason, told), FAILURE_TTL_S),
        }
    }

    /// Judges a response, fetching what the validator asks for, and what is bogus once more elsewhere. All of it is paid from one budget.
    /// With the verdict comes what was told, for clients that judge for themselves, unless that leads nowhere.
    async fn validate(
        self: &Arc<Self>,
        basis: &Basis,
        question: &Question,
        reply: Reply,
        means: &mut Means,
    ) -> (Verdict, Option<Arc<Response>>) {
        let begin = |response: &Arc<Response>| {
            let (anchors, zones) = (Arc::clone(&basis.anchors), Arc::clone(&basis.zones));
            let mut validation = Validation::new(question.clone(), Arc::clone(response), anchors, zones, basis.policy);
            validation.tell_suspicions();
            validation
        };
        let is_first_at_hand = means.has_taken_any();
        let mut run = Run { validation: begin(&reply.response), budget: means.take_budget(basis.policy.limits) };
        let mut told = Told::new(question.clone(), reply);
        // Bound: every round but the last spends a sub-query of the budget, or follows an alias, which it pays as well, or settles a
        // reply. It begins anew once at most.
        let verdict = loop {
            let mut step = run.validation.advance(self.clock.now(), &mut run.budget, Pace::WhileCheap);
            if let Step::Costly { zone } = step {
                match self.slow_lane.advance(zone, run).await {
                    Some(advanced) => (run, step) = advanced,
                    None => return (Verdict::Indeterminate(BudgetItem::CostlyValidations.into()), told.whole()),
                }
            }
            match step {
                Step::Done(Verdict::Bogus(reason))
                    if self.ask_elsewhere(&mut run, &mut told, &reason, &means.allowance).await => {}
                // A part on the way that is at hand does not hold.
                Step::Done(Verdict::Bogus(_)) if !is_first_at_hand && means.give_back() => {
                    run.validation = begin(told.begin_anew());
                }
                Step::Done(verdict) => break verdict,
                Step::Costly { .. } => {}
                Step::Need(needed) => {
                    let reply = match self.link_at_hand(&needed, basis, means) {
                        Some(response) => Ok(Reply { response, source: None }),
                        None => match run.budget.spend_sub_query() {
                            Ok(()) => self.fetch_shared(&needed, means).await,
                            Err(item) => break Verdict::Indeterminate(item.into()),
                        },
                    };
                    reply.iter().for_each(|reply| told.note(&needed, reply));
                    run.validation.supply(reply.map(|reply| reply.response));
                }
            }
        };
        let is_wrong = matches!(verdict, Verdict::Bogus(_) | Verdict::Indeterminate(_));
        let whole = if is_wrong { told.whole() } else { None };
        let verdict = self.mended(told, verdict, &mut run.validation);
        means.budget = Some(run.budget);
        self.log_chain(question, &run.validation, &verdict);
        (verdict, whole)
    }

    /// Fetches the keys of an anchored zone from upstream, and tells the zone which anchors we have for it.
    ///
    /// # Errors
    /// No server answered usably.
    pub async fn fetch_keys(self: &Arc<Self>, zone: &Name) -> Result<Response, UpstreamError> {
        let question = Question::new(zone.clone(), RecordType::DNSKEY);
        self.signal_anchors(&question);
        let fetched = self.rules.load_full().upstream.fetch_more(&question, &Arc::default()).await;
        fetched.map(|fetched| fetched.response)
    }

    /// Tells an anchored zone whose keys are asked for which anchors we have for it, if that is wanted and due (RFC 8145).
    /// What it answers does not matter.
    fn signal_anchors(self: &Arc<Self>, question: &Question) {
        let rules = self.rules.load_full();
        let (Some(trust), true, RecordType::DNSKEY) = (&self.trust, rules.anchor_signaling, question.qtype) else {
            return;
        };
        let Some(signal) = trust.signal(&question.qname, self.clock.now()) else { return };
        self.metrics.anchors_signalled.add_one();
        self.tracker.spawn(async move {
            let _does_not_matter = rules.upstream.fetch(&signal, &Arc::default()).await;
        });
    }

    /// Writes the answer that this client may have, as of a time, which is not counted yet.
    fn write(
        &self,
        query: &ClientQuery<'_>,
        answer: &CachedAnswer,
        Present { rules, .. }: &Present,
        now_boot_ns: u64,
        out: &mut Vec<u8>,
    ) -> Sent {
        let asked = &query.asked;
        let is_false_sentinel = |status| self.is_false_sentinel(query, status, rules);
        let failure = match answer.kept() {
            Kept::Proven(packed) => is_false_sentinel(packed.status()).then_some(Failure::KeySentinel),
            Kept::Other(other) => match &other.1 {
                // With CD=1 the client judges for itself (RFC 4035 §3.2.2).
                Outcome::Bogus(..) | Outcome::Failed(_, Some(_)) if asked.checking_disabled || rules.dnssec_debug => {
                    None
                }
                Outcome::Bogus(reason, _) => Some(Failure::Bogus(reason)),
                Outcome::Failed(reason, _) => Some(Failure::Indeterminate(reason)),
                Outcome::Proven(validated) => is_false_sentinel(validated.status()).then_some(Failure::KeySentinel),
                Outcome::Unchecked(_) | Outcome::Filtered(..) => None,
            },
        };
        if let Some(failure) = failure {
            return write_failure(asked, &failure, out);
        }
        let Some(rendered) = answer.rendered(asked.form()) else {
            return write_failure(asked, &Failure::Unavailable, out);
        };
        let ttl_s = rules.keeping.shown_s(answer.ttl_left_s(now_boot_ns));
        let sent = write_answer(asked, rendered.as_answer(), ttl_s, out);
        if rules.round_robin {
            let places = self.turns.fetch_add(1, Ordering::Relaxed);
            turn_addresses(asked, rendered.as_answer(), sent, places, out);
        }
        sent
    }

    /// Whether a secure answer must be withheld because its name claims about our anchors what is not so (RFC 8509 §3), also one that
    /// says that the name does not exist. With CD=1 the client judges for itself.
    fn is_false_sentinel(&self, query: &ClientQuery<'_>, status: ProvenStatus, rules: &Rules) -> bool {
        let Some(sentinel) = KeySentinel::read(query.qname_wire, query.qtype) else { return false };
        let Some(trust) = &self.trust else { return false };
        let concerned = rules.key_sentinel && !query.asked.checking_disabled && status == ProvenStatus::Secure;
        let refused = concerned && !sentinel.holds(&trust.basis().anchors);
        if refused {
            self.metrics.sentinel_refusals.add_one();
        }
        refused
    }
}

/// The task of one search: resolves, keeps the outcome, tells everybody who waits.
async fn search(resolver: Arc<Resolver>, question: Question, leader: Leader<Arc<CachedAnswer>>, use_of: Use) {
    let started_boot_ns = resolver.clock.now().boot_ns;
    let basis = resolver.trust.as_ref().map(Trust::basis);
    let generation = basis.as_ref().map_or_else(|| resolver.rules().generation, |basis| basis.generation);
    let time_max = RESOLUTION_TIME_MAX.max(resolver.rules().upstream.patience().saturating_add(VALIDATION_TIME));
    let mut means = Means::new(use_of);
    let resolved = timeout(time_max, resolver.resolve(&question, basis.as_deref(), &mut means)).await;
    resolver.metrics.queries_per_search.count(means.allowance.spent());
    means.budget.iter().for_each(|budget| resolver.metrics.work.count(budget.spent()));
    let (outcome, lifetime) = resolved.unwrap_or_else(|_| {
        let failure = FetchFailure::NoAnswer;
        let reason = IndeterminateReason::Fetch { question: question.clone(), failure };
        (Outcome::Failed(reason, None), Lifetime::Own(FAILURE_TTL_S))
    });
    resolver.count_outcome(&outcome);
    if let (Outcome::Bogus(reason, _), true) = (&outcome, resolver.rules().dnssec_debug) {
        warn!(%question, %reason, "bogus, but given to clients: dnssec-debug");
    }
    let ttl_s = match lifetime {
        Lifetime::Own(ttl_s) => {
            resolver.rules().keeping.kept_s(&outcome, resolver.note_failure(&question, &outcome, ttl_s))
        }
        Lifetime::Rest(left_s) => resolver.note_failure(&question, &outcome, left_s),
    };
    let outcome = resolver.filter(resolver.without_ignored(outcome, &question));
    if matches!(outcome, Outcome::Filtered(..)) {
        resolver.metrics.outcomes_filtered.add_one();
    }
    let now_boot_ns = resolver.clock.now().boot_ns;
    // The time of what was proven first runs, in whole seconds, while the rest is looked for. That of a failure begins with it.
    let took_s = now_boot_ns.saturating_sub(started_boot_ns) / NS_PER_S;
    let passed_s = if outcome.may_be_stale() { took_s } else { 0 };
    let found_at_boot_ns = now_boot_ns.saturating_sub(passed_s * NS_PER_S);
    // Nor does anything outlive what it was made of.
    let left_s = u32::try_from(means.until_boot_ns().saturating_sub(found_at_boot_ns) / NS_PER_S).unwrap_or(u32::MAX);
    let ttl_s = ttl_s.min(ANSWER_TTL_S_MAX).min(left_s);
    let may_be_kept = resolver.rules().keeping.keeps(&outcome);
    let answer = Arc::new(CachedAnswer::new(question, outcome, ttl_s, generation, found_at_boot_ns));
    resolver.keep(&answer, may_be_kept, now_boot_ns);
    leader.finish(answer);
}

/// How long a reply may be kept that was not validated: its smallest TTL, for a negative one also the SOA's minimum. A
/// negative reply without a SOA is not kept (RFC 2308 §5). Aliases that lead in a circle deny nothing.
fn unchecked_ttl_s(response: &Response) -> u32 {
    let soa = response.authority.iter().find(|set| set.rtype == RecordType::SOA);
    let answered = response
        .answer
        .iter()
        .any(|set| set.rtype == response.question.qtype || response.question.qtype == RecordType::RRSIG);
    let negative_ttl_s = match soa.and_then(|set| Some((set.ttl_s, Soa::read(set.rdatas.first()?)?))) {
        _ if (answered || is_circle(response)) && response.rcode == RCode::NOERROR => ANSWER_TTL_S_MAX,
        Some((ttl_s, soa)) => ttl_s.min(soa.minimum_s),
        None => 0,
    };
    let ttls_s = response.answer.iter().map(|set| set.ttl_s);
    ttls_s.min().unwrap_or(ANSWER_TTL_S_MAX).min(negative_ttl_s).min(ANSWER_TTL_S_MAX)
}
