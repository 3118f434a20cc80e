//! Plays a scenario: starts the user half over the scripted world, and goes through the steps.
//!
//! In: a [`Script`]. Out: nothing, or a [`Failure`] at a step. What it starts from is made next door, in [`super::start`]. Time is tokio's paused time: it stands still while anybody has
//! something to do, and jumps to the next timer when nobody has.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use resolver_user::access::AccessList;
use resolver_user::answer::Transport;
use resolver_user::clock::Clock;
use resolver_user::config::{ConfigError, load};
use resolver_user::cookies::{CookieDoor, CookieJar, CookieSecret};
use resolver_user::daemon::{DaemonError, assemble};
use resolver_user::listener::{QueryService, Received, Shared};
use resolver_user::metrics::Metrics;
use resolver_user::rate_limit::RateLimiter;
use resolver_user::resolve::Resolver;
use resolver_user::trust::StateError;
use resolver_user::upstream::Outside;
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::autotrust;
use super::check::{Circumstances, Difference};
use super::expression::{Expression, Values};
use super::message::Seen;
use super::record::RecordError;
use super::script::{Action, Entry, Script};
use super::settings::{Settings, Stale, Unplayable};
use super::start::{refuse_features, trust, words};
use super::world::{ScriptedClock, World};
use crate::daemon::TestDirectory;

/// Wall time where a script says none, in seconds since 1970: some day in 2026.
const UNIX_S: u64 = 1_780_000_000;
/// Longest virtual time that an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest time that passes in one step: a century.
const TIME_PASSES_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);
/// How far time moves while waiting.
const MOMENT: Duration = Duration::from_millis(10);
/// Byte of the header with CD, and its bit.
const CD_BYTE: usize = 3;
const CD: u8 = 0x10;
/// How long a failed refresh of stale data need not be tried again (RFC 8767 §5).
const FAILURE_RECHECK: Duration = Duration::from_secs(30);
/// Option code of keepalive, which means something by TCP alone (RFC 7828 §3.1).
const KEEPALIVE: u16 = 11;
/// What a query of Deckard's must agree in where nothing is said.
const MATCH_DEFAULT: [&str; 3] = ["opcode", "qtype", "qname"];

/// Why a scenario did not pass.
#[derive(Debug, Error)]
pub enum Failure {
    /// It needs something that the product does not claim, or nobody here understands its configuration.
    #[error(transparent)]
    Unplayable(#[from] Unplayable),
    /// An anchor cannot be read.
    #[error("trust anchor: {0}")]
    Anchor(#[from] RecordError),
    /// Our own configuration does not take what it asks for.
    #[error("configuration: {0:?}")]
    Config(Vec<ConfigError>),
    /// The file of followed anchors cannot be made.
    #[error(transparent)]
    State(#[from] StateError),
    /// The resolver does not start.
    #[error(transparent)]
    Start(#[from] DaemonError),
    /// What came is not what a step demands.
    #[error("step {step}, line {line}: {difference}")]
    Differs {
        /// The step's number.
        step: u32,
        /// Its line.
        line: usize,
        /// What differs.
        difference: Difference,
    },
}

/// Plays a script. `told` gets every query that servers were asked, a line each.
///
/// # Errors
/// The first thing that is not as demanded.
pub fn play(mut script: Script, told: &mut Vec<String>) -> Result<(), Failure> {
    let settings = Settings::read(&script.config)?;
    refuse_features(&script)?;
    if settings.is_deckards {
        set_matches(&mut script);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|source| DaemonError::Runtime { source })?;
    runtime.block_on(async {
        let mut stage = Stage::new(Arc::new(script), &settings)?;
        let played = stage.play().await;
        *told = stage.world.told();
        played
    })
}

/// Says what is meant where MATCH is left out.
fn set_matches(script: &mut Script) {
    let of_steps = script.steps.iter_mut().filter_map(|step| match &mut step.action {
        Action::CheckAnswer(entry, _) | Action::Reply(entry, _) => Some(entry),
        _ => None,
    });
    let entries = script.ranges.iter_mut().flat_map(|range| &mut range.entries).chain(of_steps);
    for entry in entries.filter(|entry| entry.matches.is_empty()) {
        entry.matches = MATCH_DEFAULT.map(str::to_owned).to_vec();
    }
}

/// A query whose answer was not checked yet.
struct Awaited {
    /// Who asked.
    client: IpAddr,
    /// The query as it was sent.
    packet: Vec<u8>,
    /// The same, if it can be read.
    query: Option<Seen>,
    /// Where the answer arrives.
    receiver: oneshot::Receiver<Vec<u8>>,
    /// What has arrived.
    answer: Option<Vec<u8>>,
}

impl Awaited {
    /// Whether the answer is there.
    fn has_answer(&mut self) -> bool {
        if self.answer.is_none() {
            self.answer = self.receiver.try_recv().ok();
        }
        self.answer.is_some()
    }
}

/// Everything while a scenario runs.
struct Stage {
    script: Arc<Script>,
    world: Arc<World>,
    clock: Arc<ScriptedClock>,
    resolver: Arc<Resolver>,
    /// The door that clients come to.
    door: Arc<Shared<Resolver>>,
    /// Queries whose answers were not checked, the oldest first.
    answers: VecDeque<Awaited>,
    /// The last answer to each question that was as demanded.
    given: Vec<Seen>,
    /// Values with names.
    values: HashMap<String, f64>,
    clients: u16,
    /// Deckard's dialect, where a step ends with the answer.
    is_deckards: bool,
    /// When stale data are given.
    stale: Option<Stale>,
    /// Lines of the file that followed anchors start from.
    followed: Vec<String>,
    /// Where root hints and the state of followed anchors are.
    _folder: TestDirectory,
}

impl Stage {
    fn new(script: Arc<Script>, settings: &Settings) -> Result<Self, Failure> {
        let world = Arc::new(World::new(Arc::clone(&script), settings.is_deckards));
        // Scripts with followed anchors set the time by letting it pass.
        let unix_s = settings.unix_s.unwrap_or(if settings.followed.is_empty() { UNIX_S } else { 0 });
        let clock = Arc::new(ScriptedClock::new(unix_s));
        let folder = TestDirectory::new();
        let config = load(&words(settings, folder.path())?).map_err(Failure::Config)?;
        let trust = trust(&script, settings, &config, clock.as_ref())?;
        if let Some(trust) = trust.as_ref().filter(|_| !settings.followed.is_empty()) {
            autotrust::follow(trust, &settings.followed, folder.path())?;
        }
        let outside = Outside { transport: world.clone(), clock: clock.clone() };
        let (metrics, tracker) = (Arc::new(Metrics::default()), TaskTracker::new());
        let owned = (Arc::clone(&metrics), tracker.clone());
        let resolver = Arc::new(assemble(&config, &[], trust, None, owned, outside)?);
        let access = AccessList::new(&config, &[]);
        let jar = CookieJar::new(&config.cookies, clock.boot_ns(), CookieSecret::draw);
        let (limiter, cookies) =
            (Arc::new(RateLimiter::new(None, clock.clone())), CookieDoor::new(jar.secrets(), clock.clone()));
        let stop = CancellationToken::new();
        let door = Shared::new(Arc::clone(&resolver), metrics, access, limiter, cookies, tracker, stop);
        Ok(Self {
            script,
            world,
            clock,
            resolver,
            door: Arc::new(door),
            answers: VecDeque::new(),
            given: Vec::new(),
            values: HashMap::new(),
            clients: 0,
            is_deckards: settings.is_deckards,
            stale: settings.stale,
            followed: settings.followed.clone(),
            _folder: folder,
        })
    }

    /// In the order of Unbound's own runner: what the step waits for comes first, then replies of the servers, then the step.
    async fn play(&mut self) -> Result<(), Failure> {
        let script = Arc::clone(&self.script);
        let mut asked_in = 0;
        for step in &script.steps {
            // Deckard's steps are over when their query is answered; Unbound's go on to the next one while servers are asked.
            self.world.enter_step(if self.is_deckards { asked_in } else { step.number });
            let done = self.come_to(&step.action).await;
            if let Action::Query(entry, _) = &step.action {
                asked_in = step.number;
                if self.is_deckards && entry.raw.is_none() {
                    self.world.enter_step(asked_in);
                    self.await_answer().await;
                }
            }
            done.map_err(|difference| Failure::Differs { step: step.number, line: step.line, difference })?;
        }
        let last = script.steps.last().map_or((0, 0), |step| (step.number, step.line));
        self.end().await.map_err(|difference| Failure::Differs { step: last.0, line: last.1, difference })
    }

    /// What must be so when the steps are over: Unbound's scripts check all answers, Deckard's have some that servers must give.
    async fn end(&mut self) -> Result<(), Difference> {
        self.settle().await;
        if let Some(line) = self.world.unused_mandatory() {
            return difference("a mandatory answer of a server", format!("the one of line {line}"), "none".to_owned());
        }
        let unchecked =
            self.answers.iter_mut().find_map(|awaited| awaited.has_answer().then_some(awaited.query.as_ref()));
        match unchecked.filter(|_| !self.is_deckards) {
            Some(query) => difference(
                "answers",
                "none but those checked".to_owned(),
                format!("one to {:?}", query.map(|query| &query.question)),
            ),
            None => Ok(()),
        }
    }

    /// Lets servers answer until the client has its answer.
    async fn await_answer(&mut self) {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            self.settle().await;
            if self.has_answer(None) {
                return;
            }
            if !self.world.answer_from_ranges() {
                self.moment(MOMENT).await;
            }
        }
    }

    /// Lets everything happen that comes before the step, then the step.
    async fn come_to(&mut self, action: &Action) -> Result<(), Difference> {
        let begin = Instant::now();
        loop {
            self.settle().await;
            let is_there = match action {
                Action::CheckOutQuery(entry, at) => self.world.find(entry, *at).is_some(),
                Action::CheckAnswer(_, at) => self.has_answer(*at),
                _ => false,
            };
            // Where others wait for fresh data before they give stale ones, servers answer first.
            let waits = matches!(action, Action::CheckAnswer(..)) && self.stale.is_some_and(|stale| stale.waits);
            if is_there && !waits {
                return self.act(action).await;
            }
            if self.world.answer_from_ranges() {
                continue;
            }
            if is_there {
                return self.act(action).await;
            }
            let waits = match action {
                Action::CheckAnswer(..) => true,
                Action::CheckOutQuery(..) => !self.is_deckards,
                Action::Reply(entry, at) => !self.is_deckards && self.world.find(entry, *at).is_none(),
                Action::Timeout | Action::Error => self.world.oldest().is_none() && !self.has_answer(None),
                _ => false,
            };
            if !waits || begin.elapsed() > PATIENCE {
                return self.act(action).await;
            }
            self.moment(MOMENT).await;
        }
    }

    async fn act(&mut self, action: &Action) -> Result<(), Difference> {
        match action {
            Action::Query(entry, client) => self.ask(entry, client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))),
            Action::CheckAnswer(entry, at) => self.check(entry, *at)?,
            // Deckard answers by these what no range does, and checks none of them.
            Action::CheckOutQuery(..) | Action::Reply(..) if self.is_deckards => {}
            Action::CheckOutQuery(entry, at) => {
                if self.world.find(entry, *at).is_none() {
                    let asked = self.world.oldest().map(|outgoing| (outgoing.address, outgoing.seen.question));
                    return difference("query to a server", format!("{:?}", entry.question), format!("{asked:?}"));
                }
                if entry.adjusts_to("copy_id") {
                    self.world.answer(entry, *at);
                }
            }
            Action::Reply(entry, at) => {
                if !self.world.answer(entry, *at) && !self.world.answer_youngest(entry) {
                    return difference("query to be replied to", format!("{:?}", entry.question), "none".to_owned());
                }
            }
            Action::Timeout => {
                // How often a server is asked again is the resolver's choice: there may be none any more. Nor need it give a query up
                // before it sends the next one.
                let (lost, begin) = (self.world.lose_youngest(), Instant::now());
                while lost.is_some_and(|lost| self.world.goes_on_waiting(lost)) && begin.elapsed() < PATIENCE {
                    self.moment(MOMENT).await;
                }
            }
            Action::Error => _ = self.world.fail_youngest(),
            Action::TimePasses(expression) => self.pass(expression).await?,
            Action::Traffic => self.look_at_anchors().await,
            Action::CheckAutotrust(_, lines) => autotrust::check(&self.resolver, &self.followed, lines)?,
            Action::Assign(name, expression) => {
                let value = self.evaluate(expression)?;
                self.values.insert(name.clone(), value);
            }
            Action::Nothing => {}
        }
        Ok(())
    }

    /// Hands a client's query to the door, as the listeners do. By TCP unless UDP is said: what a client takes by UDP is no matter of
    /// these scripts. Keepalive is the exception, since it means nothing by UDP.
    fn ask(&mut self, entry: &Entry, client: IpAddr) {
        self.clients += 1;
        let packet = entry.query(self.clients, self.is_deckards);
        let query = Seen::read(&packet);
        let has = |word: &str| entry.matches.iter().any(|said| said == word);
        let keeps_alive = query.as_ref().is_some_and(|query| query.option(KEEPALIVE).is_some());
        let transport = if has("udp") || keeps_alive && !has("tcp") { Transport::Udp } else { Transport::Tcp };
        let (sender, receiver) = oneshot::channel();
        if self.is_deckards {
            self.answers.clear();
        }
        self.answers.push_back(Awaited { client, packet: packet.clone(), query, receiver, answer: None });
        let (resolver, door) = (Arc::clone(&self.resolver), Arc::clone(&self.door));
        let client = SocketAddr::new(client, 5353);
        tokio::spawn(async move {
            let mut out = Vec::new();
            let work = match door.receive(&packet, client, transport, &mut out) {
                Received::Answered(work) => work,
                Received::Silence => return,
                Received::Pending(query) => {
                    let (answer, work) = Arc::clone(&resolver).answer_later(query).await;
                    out = answer;
                    work
                }
            };
            // Whoever asked may have failed already.
            _ = sender.send(out);
            if let Some(work) = work {
                resolver.after_sending(work);
            }
        });
    }

    /// Whether an answer is there to be checked, to this client if that is said.
    fn has_answer(&mut self, at: Option<IpAddr>) -> bool {
        self.answers.iter_mut().any(|awaited| at.is_none_or(|at| at == awaited.client) && awaited.has_answer())
    }

    /// Checks the answers that are there: one must be as the entry says, and is done with; in Deckard's dialect the last one, which may
    /// be checked again.
    fn check(&mut self, entry: &Entry, at: Option<IpAddr>) -> Result<(), Difference> {
        let missing = |seen: &str| Difference { what: "answer", expected: "one".to_owned(), seen: seen.to_owned() };
        let rechecks = self.world.given_up_at().is_some_and(|at| at.elapsed() <= FAILURE_RECHECK);
        let stale = self.stale.map(|stale| Stale { waits: stale.waits || rechecks, ..stale });
        let mut first = None;
        for place in 0..self.answers.len() {
            let awaited = &mut self.answers[place];
            if at.is_some_and(|at| at != awaited.client) || !awaited.has_answer() {
                continue;
            }
            let seen = Seen::read(awaited.answer.as_deref().unwrap_or_default());
            let seen = seen.ok_or_else(|| missing("one that cannot be read"))?;
            self.world.tell(told_of(&seen));
            let is_proven_without_cd =
                seen.flags.contains(&"AD") && seen.flags.contains(&"CD") && is_proven_without_cd(&self.door, awaited);
            let before = self.given.iter().find(|before| before.question == seen.question);
            let circumstances = Circumstances { stale, query: awaited.query.as_ref(), is_proven_without_cd, before };
            match entry.check(&seen, circumstances) {
                Ok(()) => {
                    if !self.is_deckards {
                        self.answers.remove(place);
                    }
                    self.given.retain(|before| before.question != seen.question);
                    self.given.push(seen);
                    return Ok(());
                }
                Err(difference) => first = first.or(Some(difference)),
            }
        }
        Err(first.unwrap_or_else(|| missing(if self.answers.is_empty() { "nobody asked" } else { "none" })))
    }

    /// Lets everybody do what there is to do, without any timer.
    async fn settle(&self) {
        self.moment(Duration::from_millis(1)).await;
    }

    /// Moves the runtime's time. The clock stands still meanwhile, as it does for the scripts' authors: it moves by TIME_PASSES.
    async fn moment(&self, time: Duration) {
        // The thread of costly validations has a real time of its own.
        while !self.resolver.slow_lane.is_idle() {
            std::thread::yield_now();
        }
        tokio::time::sleep(time).await;
        // What was due in this moment is done in it.
        for _ in 0..64 {
            tokio::task::yield_now().await;
        }
    }

    async fn pass(&mut self, expression: &Expression) -> Result<(), Difference> {
        let seconds = self.evaluate(expression)?;
        let time = Duration::try_from_secs_f64(seconds).unwrap_or_default().min(TIME_PASSES_MAX);
        self.clock.advance_ns(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        tokio::time::advance(time).await;
        self.settle().await;
        self.look_at_anchors().await;
        Ok(())
    }

    /// Lets the followed anchors be looked at, as far as they are due.
    async fn look_at_anchors(&mut self) {
        let resolver = Arc::clone(&self.resolver);
        let task = tokio::spawn(async move { autotrust::look(&resolver).await });
        let begin = Instant::now();
        while !task.is_finished() && begin.elapsed() < PATIENCE {
            self.settle().await;
            if !self.world.answer_from_ranges() {
                self.moment(MOMENT).await;
            }
        }
    }

    fn evaluate(&self, expression: &Expression) -> Result<f64, Difference> {
        match expression.evaluate(self) {
            Some(value) => Ok(value),
            None => {
                difference("value", format!("{expression:?}"), "out of range, or no value".to_owned()).map(|()| 0.0)
            }
        }
    }
}

impl Values for Stage {
    fn value(&self, name: &str) -> Option<f64> {
        self.values.get(name).copied()
    }

    fn time_s(&self) -> f64 {
        self.clock.now().unix_s as f64
    }

    fn next_timer_s(&self) -> f64 {
        autotrust::next_look_s(&self.resolver).unwrap_or_default() as f64
    }
}

/// Whether the same query without CD gets an answer with AD now.
fn is_proven_without_cd(door: &Shared<Resolver>, awaited: &Awaited) -> bool {
    let mut packet = awaited.packet.clone();
    packet.get_mut(CD_BYTE).into_iter().for_each(|flags| *flags &= !CD);
    let mut out = Vec::new();
    let client = SocketAddr::new(awaited.client, 5353);
    let received = door.receive(&packet, client, Transport::Tcp, &mut out);
    matches!(received, Received::Answered(_)) && Seen::read(&out).is_some_and(|seen| seen.flags.contains(&"AD"))
}

/// An answer, for the report.
fn told_of(seen: &Seen) -> String {
    let told = seen.option(15).map(|data| String::from_utf8_lossy(data.get(2..).unwrap_or_default()).into_owned());
    format!(
        "answer to {:?}: {} {} {:?} {told:?}",
        seen.question,
        seen.rcode,
        seen.flags.join(" "),
        seen.extended_error()
    )
}

fn difference(what: &'static str, expected: String, seen: String) -> Result<(), Difference> {
    Err(Difference { what, expected, seen })
}
