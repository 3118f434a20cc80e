//! Plays a scenario: starts the user half over the scripted world, and goes through the steps.
//!
//! In: a [`Script`]. Out: nothing, or a [`Failure`] at a step. Time is tokio's paused time: it stands still while anybody has
//! something to do, and jumps to the next timer when nobody has.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use resolver_user::answer::Transport;
use resolver_user::clock::Clock;
use resolver_user::config::{Config, ConfigError, load};
use resolver_user::daemon::{DaemonError, assemble};
use resolver_user::listener::{Answered, ClientQuery, QueryBytes, QueryService};
use resolver_user::metrics::Metrics;
use resolver_user::resolve::Resolver;
use resolver_user::trust::{Configured, StateError, Trust};
use resolver_user::upstream::Outside;
use resolver_user::validator::{DsAnchor, Policy, WorkLimits};
use resolver_user::wire::Name;
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::autotrust;
use super::check::Difference;
use super::expression::{Expression, Values};
use super::message::Seen;
use super::record::{Asked, Record, RecordError, name_wire};
use super::script::{Action, Entry, Script, Step};
use super::settings::{Settings, Unplayable};
use super::world::{ScriptedClock, World};
use crate::daemon::TestDirectory;

/// Wall time where a script says none, in seconds since 1970: some day in 2026.
const UNIX_S: u64 = 1_780_000_000;
/// Longest virtual time that an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How far time moves while waiting.
const MOMENT: Duration = Duration::from_millis(10);
/// Length of the DNSKEY RDATA of an RSA key of 1024 bits with the shortest exponent, in bytes.
const RSA_1024_KEY_LEN: usize = 4 + 2 + 128;
/// TTL that we show of stale data, in seconds (RFC 8767 §4).
const STALE_TTL_S: u32 = 30;
/// ANY.
const ANY: u16 = 255;
/// DNSKEY, DS.
const ANCHOR_TYPES: [u16; 2] = [48, 43];

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
pub fn play(script: Script, told: &mut Vec<String>) -> Result<(), Failure> {
    let settings = Settings::read(&script.config)?;
    if let Some(Step { action: Action::Foreign(_), .. }) =
        script.steps.iter().find(|step| matches!(step.action, Action::Foreign(_)))
    {
        return Err(Unplayable::Feature("steps of Unbound's own test program").into());
    }
    let asks_any = |step: &Step| matches!(&step.action, Action::Query(entry, _) if entry.question.as_ref().is_some_and(|asked| asked.qtype == ANY));
    if script.steps.iter().any(asks_any) {
        return Err(Unplayable::Feature("queries of type ANY, which are refused (RFC 8482)").into());
    }
    if asks_unasked(&script) {
        let feature = "answers to queries without RD for what nobody has asked for: glue is none (RFC 2181 §5.4.1)";
        return Err(Unplayable::Feature(feature).into());
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

/// An answer that a client waits for: where it arrives, and what has.
type Awaited = (oneshot::Receiver<Vec<u8>>, Option<Vec<u8>>);

/// Everything while a scenario runs.
struct Stage {
    script: Arc<Script>,
    world: Arc<World>,
    clock: Arc<ScriptedClock>,
    resolver: Arc<Resolver>,
    /// Answers that clients wait for, the oldest first.
    answers: VecDeque<Awaited>,
    /// Values with names.
    values: HashMap<String, f64>,
    clients: u16,
    /// Deckard's dialect, where a step ends with the answer.
    is_deckards: bool,
    /// The TTL that the script wants stale data to have.
    stale_ttl_s: Option<u32>,
    /// Where root hints and the state of followed anchors are.
    _folder: TestDirectory,
}

impl Stage {
    fn new(script: Arc<Script>, settings: &Settings) -> Result<Self, Failure> {
        let world = Arc::new(World::new(Arc::clone(&script)));
        // Scripts with followed anchors set the time by letting it pass.
        let unix_s = settings.unix_s.unwrap_or(if settings.followed.is_empty() { UNIX_S } else { 0 });
        let clock = Arc::new(ScriptedClock::new(unix_s));
        let folder = TestDirectory::new();
        let config = load(&words(settings, folder.path())?).map_err(Failure::Config)?;
        let trust = trust(&script, settings, &config, clock.as_ref())?;
        if let Some(trust) = trust.as_ref().filter(|_| !settings.followed.is_empty()) {
            autotrust::follow(trust, folder.path())?;
        }
        let outside = Outside { transport: world.clone(), clock: clock.clone() };
        let owned = (Arc::new(Metrics::default()), TaskTracker::new());
        let resolver = Arc::new(assemble(&config, &[], trust, None, owned, outside)?);
        let (answers, values) = (VecDeque::new(), HashMap::new());
        Ok(Self {
            script,
            world,
            clock,
            resolver,
            answers,
            values,
            clients: 0,
            is_deckards: settings.is_deckards,
            stale_ttl_s: settings.stale_ttl_s,
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
            if matches!(step.action, Action::Query(..)) {
                asked_in = step.number;
            }
            done.map_err(|difference| Failure::Differs { step: step.number, line: step.line, difference })?;
        }
        Ok(())
    }

    /// Lets everything happen that comes before the step, then the step.
    async fn come_to(&mut self, action: &Action) -> Result<(), Difference> {
        let begin = Instant::now();
        loop {
            self.settle().await;
            let is_there = match action {
                Action::CheckOutQuery(entry, at) => self.world.find(entry, *at).is_some(),
                Action::CheckAnswer(_) => self.has_answer(),
                _ => false,
            };
            if is_there {
                return self.act(action).await;
            }
            if self.world.answer_from_ranges() {
                continue;
            }
            let waits = match action {
                Action::CheckOutQuery(..) | Action::CheckAnswer(_) => true,
                Action::Reply(entry, at) => self.world.find(entry, *at).is_none(),
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
            Action::Query(entry, client) => {
                self.clients += 1;
                self.ask(entry.query(self.clients), client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)));
            }
            Action::CheckAnswer(entry) => {
                let seen = self.answer()?;
                self.with_our_stale_ttl(entry).check(&seen)?;
            }
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
                if !self.world.answer(entry, *at) {
                    return difference("query to be replied to", format!("{:?}", entry.question), "none".to_owned());
                }
            }
            Action::Timeout | Action::Error => {
                let (waiting, begin) = (self.world.waiting(), Instant::now());
                while waiting > 0 && self.world.waiting() >= waiting && begin.elapsed() < PATIENCE {
                    self.moment(MOMENT).await;
                }
            }
            Action::TimePasses(expression) => self.pass(expression).await?,
            Action::Traffic => self.look_at_anchors().await,
            Action::CheckAutotrust(_, lines) => autotrust::check(&self.resolver, lines)?,
            Action::Assign(name, expression) => {
                let value = self.evaluate(expression)?;
                self.values.insert(name.clone(), value);
            }
            Action::Nothing | Action::Foreign(_) => {}
        }
        Ok(())
    }

    /// Hands a client's query to the resolver, as the listener does.
    fn ask(&mut self, packet: Vec<u8>, client: IpAddr) {
        let (sender, receiver) = oneshot::channel();
        self.answers.push_back((receiver, None));
        let resolver = Arc::clone(&self.resolver);
        let client = SocketAddr::new(client, 5353);
        tokio::spawn(async move {
            // TCP: what a client takes by UDP is no matter of these scripts.
            let Ok(query) = ClientQuery::read(&packet, client, Transport::Tcp, |_| Ok(None)) else { return };
            let mut out = Vec::new();
            let work = match resolver.answer_now(&query, &mut out) {
                Answered::Now(work) => work,
                Answered::Later => {
                    let bytes = QueryBytes::new(&packet, &query);
                    let (answer, work) = Arc::clone(&resolver).answer_later(bytes).await;
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

    /// The entry with the TTL that we show of stale data, where the script has chosen another one.
    fn with_our_stale_ttl(&self, entry: &Entry) -> Entry {
        let mut entry = entry.clone();
        let stale = |record: &&mut Record| self.stale_ttl_s == Some(record.ttl_s);
        entry.sections.iter_mut().flatten().filter(stale).for_each(|record| record.ttl_s = STALE_TTL_S);
        entry
    }

    /// Whether the oldest query that was not checked has its answer.
    fn has_answer(&mut self) -> bool {
        let Some((receiver, got)) = self.answers.front_mut() else { return false };
        if got.is_none() {
            *got = receiver.try_recv().ok();
        }
        got.is_some()
    }

    /// The answer to the oldest query that was not checked.
    fn answer(&mut self) -> Result<Seen, Difference> {
        let missing = |seen: &str| Difference { what: "answer", expected: "one".to_owned(), seen: seen.to_owned() };
        let (_, got) = self.answers.pop_front().ok_or_else(|| missing("nobody asked"))?;
        let answer = got.ok_or_else(|| missing("none"))?;
        let seen = Seen::read(&answer).ok_or_else(|| missing("one that cannot be read"))?;
        let told = seen
            .options
            .iter()
            .filter(|(code, _)| *code == 15)
            .map(|(_, data)| String::from_utf8_lossy(data.get(2..).unwrap_or_default()));
        let told: Vec<_> = told.collect();
        self.world.tell(format!("answer to {:?}: {} {:?} {told:?}", seen.question, seen.rcode, seen.extended_error()));
        Ok(seen)
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
        let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
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

fn difference(what: &'static str, expected: String, seen: String) -> Result<(), Difference> {
    Err(Difference { what, expected, seen })
}

/// Our configuration for what a scenario asks for, as words of a command line; `folder` is for its root hints. Anchors are not in it:
/// see [`trust`].
fn words(settings: &Settings, folder: &Path) -> Result<Vec<String>, Failure> {
    let mut words: Vec<String> = ["no-resolv", "no-hosts"].map(|option| format!("--{option}")).to_vec();
    for forward in &settings.forwards {
        for server in &forward.servers {
            let domain = if forward.zone == "." { String::new() } else { format!("/{}/", forward.zone) };
            words.push(format!("--server={domain}{server}"));
        }
    }
    let of_root = settings.stubs.iter().filter(|stub| stub.zone == ".").flat_map(|stub| &stub.servers);
    let roots: Vec<IpAddr> = settings.roots.iter().chain(of_root).copied().collect();
    for stub in settings.stubs.iter().filter(|stub| stub.zone != ".") {
        words.extend(stub.servers.iter().map(|server| format!("--stub=/{}/{server}", stub.zone)));
    }
    if !settings.forwards.iter().any(|forward| forward.zone == ".") {
        words.push(match settings.without[..] {
            ['4'] => "--recursive=ipv6".to_owned(),
            ['6'] => "--recursive=ipv4".to_owned(),
            _ => "--recursive".to_owned(),
        });
        if !roots.is_empty() {
            let hints = folder.join("root.hints");
            std::fs::write(&hints, hints_of(&roots)).map_err(|source| DaemonError::Runtime { source })?;
            words.push(format!("--root-hints={}", hints.display()));
        }
        if settings.minimises == Some(false) {
            words.push("--qname-minimisation=no".to_owned());
        }
    }
    if settings.is_validating() {
        words.push("--dnssec".to_owned());
    }
    words.extend(settings.options.iter().map(|option| format!("--{option}")));
    Ok(words)
}

/// A file of root hints. Their names are of no matter: they are asked for the true ones first.
fn hints_of(roots: &[IpAddr]) -> String {
    let lines = roots.iter().enumerate().map(|(number, address)| {
        let rtype = if address.is_ipv4() { "A" } else { "AAAA" };
        format!(". 3600000 NS root{number}.hints.invalid.\nroot{number}.hints.invalid. 3600000 {rtype} {address}\n")
    });
    lines.collect()
}

/// What validation starts from: none without an anchor.
fn trust(script: &Script, settings: &Settings, config: &Config, clock: &dyn Clock) -> Result<Option<Trust>, Failure> {
    let mut anchors = Vec::new();
    for line in settings.anchors.iter().chain(&settings.followed) {
        let record = Record::read(line.split(';').next().unwrap_or(line))?;
        let counts = settings.followed.is_empty() || autotrust::is_anchor(&record);
        anchors.extend((counts && ANCHOR_TYPES.contains(&record.rtype)).then(|| anchor(&record)).flatten());
    }
    if !settings.is_validating() {
        return Ok(None);
    }
    let negative = settings.insecure.iter().map(|name| Ok(Name::from_wire(&name_wire(name)?).ok()));
    let negative = negative.collect::<Result<Vec<_>, RecordError>>()?.into_iter().flatten().collect();
    // As the authors' resolvers have it: RFC 9276 §3.2 leaves the limits to us.
    let limits = WorkLimits {
        nsec3_iterations_insecure_above: 150,
        nsec3_iterations_bogus_above: u16::MAX,
        nsec3_rounds: 10_000,
        ..config.dnssec.policy.limits
    };
    let sha1_taken_on_trust = settings.fake_sha1 || settings.is_deckards && has_keys_of_the_past(script);
    let policy = Policy { sha1_allowed: true, sha1_taken_on_trust, limits, ..config.dnssec.policy };
    let configured = Configured { anchors, negative, policy, private: config.upstream.private_domains() };
    Ok(Some(Trust::new(configured, None, clock.now())))
}

/// Whether a client that does not want recursion asks for what no other has asked for before.
fn asks_unasked(script: &Script) -> bool {
    let mut asked: Vec<&Asked> = Vec::new();
    let queries = script.steps.iter().filter_map(|step| match &step.action {
        Action::Query(entry, _) => Some((entry.question.as_ref()?, entry.says("RD"))),
        _ => None,
    });
    for (question, is_recursive) in queries {
        if !is_recursive && !asked.iter().any(|known| known.is(question)) {
            return true;
        }
        asked.push(question);
    }
    false
}

/// Whether a script has keys that no library of today verifies with: of DSA, or of RSA with SHA-1 and fewer than 1024 bits.
fn has_keys_of_the_past(script: &Script) -> bool {
    let entries = script.ranges.iter().flat_map(|range| &range.entries);
    let mut keys =
        entries.flat_map(|entry| entry.sections.iter().flatten()).filter(|record| record.rtype == ANCHOR_TYPES[0]);
    keys.any(|key| match key.rdata[..] {
        [_, _, _, 3 | 6, ..] => true,
        [_, _, _, 5 | 7, ..] => key.rdata.len() < RSA_1024_KEY_LEN,
        _ => false,
    })
}

/// The anchor of a DS or DNSKEY record.
fn anchor(record: &Record) -> Option<DsAnchor> {
    let zone = Name::from_wire(&record.owner).ok()?;
    if record.rtype == ANCHOR_TYPES[0] {
        return DsAnchor::of_key(&zone, &record.rdata);
    }
    let (&[high, low, algorithm, digest_type], digest) = record.rdata.split_first_chunk::<4>()?;
    Some(DsAnchor { zone, key_tag: u16::from_be_bytes([high, low]), algorithm, digest_type, digest: digest.into() })
}
