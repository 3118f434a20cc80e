//! A daemon that is killed and started again, over and over, while clients ask: what they get, and when.
//!
//! In: the lab, and how often. Out: a [`Window`] for each kill, from it to the next daemon's being ready.
//! One client asks without a pause for names whose answers are published, and knows each of them byte for byte, while its TTL lasts;
//! a second one sees to it that they are found anew after that; a third one asks for names that nobody has asked for yet, again and
//! again until it is answered. One kill in four hits a daemon that is just starting:
//! while it takes over maps, exchanges programs, replaces pins.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use xtask::lab::facts::{Facts, Question};

use crate::compare::Normal;
use crate::lab::{self, Asker, LabDaemon};
use crate::message::TestQuery;
use crate::random::Random;

/// Names that the first client asks for.
const KNOWN: usize = 40;
/// Longest wait for an answer of XDP. Choice: far longer than it takes, since the machine has other things to do.
const KNOWN_PATIENCE: Duration = Duration::from_secs(2);
/// Longest TTL that the daemon gives, in seconds. Choice: shorter than a run of a hundred kills, so that answers end meanwhile.
const TTL_S_MAX: u32 = 200;
/// Most wrong answers after a kill that are told.
const WRONG_TOLD: usize = 10;
/// In its last second an answer is not given any more, and on a busy machine another one may pass.
const LAST_SECONDS: Duration = Duration::from_secs(3);
/// The second client asks again after so long.
const RETRY: Duration = Duration::from_millis(100);
/// Longest time from a daemon's being ready to the answer of a question that is open then.
const MISS_PATIENCE: Duration = Duration::from_secs(10);
/// Longest time that a question may be open once a daemon is ready, in milliseconds (issue 5).
pub const OPEN_MS_MAX: u128 = 1000;
/// Longest life of a daemon that is ready, and of one that is starting.
const LIVES: [Duration; 2] = [Duration::from_millis(800), Duration::from_millis(1500)];

/// What happened from a kill to the next daemon's being ready.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// Whether the daemon was killed while it was starting.
    pub starting: bool,
    /// Without a daemon that is ready, in milliseconds.
    pub down_ms: u128,
    /// Answers that XDP gave meanwhile, by its own counter.
    pub answered: u64,
    /// Answers that the new daemon took over.
    pub adopted: u64,
    /// Entries whose time was over when it came: some of the known answers live for seconds only.
    pub dropped: u64,
    /// Entries that it found not to be in order.
    pub unsound: u64,
    /// Known answers that came, while somebody counted.
    pub known: u64,
    /// Known names whose answer did not come, or was another.
    pub wrong: Vec<String>,
    /// Questions for new names that were answered.
    pub misses: u64,
    /// Longest time from the daemon's being ready, or the question if that came later, to such an answer, in milliseconds.
    pub slowest_miss_ms: u128,
}

impl Window {
    /// What a client did not get that it must get, if anything.
    pub fn complaint(&self) -> Option<String> {
        if let Some(wrong) = self.wrong.first() {
            Some(wrong.clone())
        } else if self.known == 0 {
            Some("no known answer came".to_owned())
        } else if self.answered == 0 {
            Some("XDP answered nothing while there was no daemon".to_owned())
        } else if self.unsound > 0 {
            Some(format!("{} entries were not in order", self.unsound))
        } else if self.adopted <= self.dropped {
            Some(format!("{} answers were taken over, {} were over", self.adopted, self.dropped))
        } else if self.misses == 0 || self.slowest_miss_ms > OPEN_MS_MAX {
            Some(format!("a question was open for {} ms", self.slowest_miss_ms))
        } else {
            None
        }
    }
}

/// A question whose answer is known.
struct Known {
    query: TestQuery,
    answer: Normal,
    /// When the TTL of the last answer is over.
    good_until: Mutex<Instant>,
}

impl Known {
    /// Notes until when an answer is good that was asked for at this time.
    fn note(&self, reply: &Normal, asked_at: Instant) {
        let ttl_s = reply.ttls_s.iter().min().copied().unwrap_or_default();
        *self.good_until() = asked_at + Duration::from_secs(ttl_s.into());
    }

    /// Whether an answer that is asked for now may be over when it would come.
    fn is_over(&self) -> bool {
        Instant::now() + LAST_SECONDS >= *self.good_until()
    }

    fn good_until(&self) -> MutexGuard<'_, Instant> {
        self.good_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the clients have seen since somebody looked.
#[derive(Default)]
struct Seen {
    known: u64,
    wrong: Vec<String>,
    misses: u64,
    /// When each new name was asked for first, and answered.
    answered: Vec<(Instant, Instant)>,
}

/// What the clients share with who kills.
#[derive(Default)]
struct Meeting {
    seen: Mutex<Seen>,
    /// A new name was answered.
    is_answered: Condvar,
    is_over: Mutex<bool>,
    /// Nobody is to ask any more.
    ends: Condvar,
}

impl Meeting {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets time pass, but for the end. Returns whether that has come.
    fn is_over_after(&self, pause: Duration) -> bool {
        let is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.ends.wait_timeout_while(is_over, pause, |is_over| !*is_over);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Kills a daemon so many times, and tells of each.
///
/// # Panics
/// If the lab does not do what a lab does.
pub fn run(facts: &Facts, lines: &str, kills: usize, mut tell: impl FnMut(&Window)) -> Vec<Window> {
    let mut daemon = LabDaemon::start(facts, &format!("max-cache-ttl={TTL_S_MAX}\n{lines}"));
    let known = publish(facts, &daemon);
    let meeting = Meeting::default();
    // Wherever this ends, the clients do, too.
    struct Ending<'a>(&'a Meeting);
    impl Drop for Ending<'_> {
        fn drop(&mut self) {
            *self.0.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.0.ends.notify_all();
        }
    }
    thread::scope(|scope| {
        let _ending = Ending(&meeting);
        scope.spawn(|| ask_known(facts, &known, &meeting));
        scope.spawn(|| revive(facts, &known, &meeting));
        scope.spawn(|| ask_new(facts, &meeting));
        let mut random = Random::new(0x0123_4567_89ab_cdef);
        (0..kills)
            .map(|number| {
                let window = kill_and_start(facts, &mut daemon, number % 4 == 3, &mut random, &meeting);
                tell(&window);
                window
            })
            .collect()
    })
}

/// One kill, and the start after it.
fn kill_and_start(
    facts: &Facts,
    daemon: &mut LabDaemon,
    starting: bool,
    random: &mut Random,
    meeting: &Meeting,
) -> Window {
    meeting.is_over_after(random.shorter_than(LIVES[0]));
    daemon.kill();
    let (killed_at, before) = (Instant::now(), lab::answered_by_xdp(facts));
    if starting {
        daemon.start_again();
        meeting.is_over_after(random.shorter_than(LIVES[1]));
        daemon.kill();
    }
    daemon.start_again();
    daemon.wait_until_ready();
    let ready_at = Instant::now();
    let answered = lab::answered_by_xdp(facts) - before;
    let publisher = daemon.fast_path().publisher;
    // Whatever was open when the daemon was ready is answered before the next kill.
    let seen = meeting.seen();
    let open = seen.misses;
    let waited = meeting.is_answered.wait_timeout_while(seen, MISS_PATIENCE, |seen| seen.misses <= open);
    let mut seen = waited.unwrap_or_else(PoisonError::into_inner).0;
    let Seen { known, wrong, misses, answered: times } = std::mem::take(&mut *seen);
    let waited = times.iter().map(|(asked, told)| told.saturating_duration_since(ready_at.max(*asked)));
    Window {
        starting,
        down_ms: (ready_at - killed_at).as_millis(),
        answered,
        adopted: publisher.adopted,
        dropped: publisher.adopted_dropped,
        unsound: publisher.adopted_unsound,
        known,
        wrong,
        misses,
        slowest_miss_ms: waited.max().unwrap_or(MISS_PATIENCE).as_millis(),
    }
}

/// Has answers published, and notes what they are.
fn publish(facts: &Facts, daemon: &LabDaemon) -> Vec<Known> {
    let client = lab::asker(facts);
    // Of several records in one set, the order may change whenever the answer is found anew.
    let told = |question: &&Question| {
        ["secure", "insecure"].contains(&question.status.as_str()) && question.qtype != "ANY" && question.answers <= 1
    };
    let questions =
        facts.zones.iter().filter(|zone| zone.group == "tree").flat_map(|zone| &zone.questions).filter(told);
    let mut known = Vec::new();
    for (number, question) in questions.step_by(3).take(KNOWN).enumerate() {
        let query = lab::query(question, number % 2 == 0);
        let reply = client.ask(&query, KNOWN_PATIENCE);
        let before = daemon.counter("answered_");
        for _ in 0..10 {
            client.ask(&query, KNOWN_PATIENCE);
        }
        if daemon.counter("answered_") >= before + 5 {
            let (answer, good_until) = (Normal::of(&reply.expect("a reply")), Mutex::new(Instant::now()));
            known.push(Known { answer, query, good_until });
        }
    }
    assert!(known.len() > KNOWN / 2, "{} answers are published", known.len());
    known
}

/// Asks for published answers, all in turn, without a pause while there are such.
fn ask_known(facts: &Facts, known: &[Known], meeting: &Meeting) {
    let client = lab::asker(facts);
    let mut pause = Duration::ZERO;
    while !meeting.is_over_after(pause) {
        // A round in which nobody was asked is no reason to spin.
        pause = RETRY / 10;
        for known in known.iter().filter(|known| !known.is_over()) {
            pause = Duration::ZERO;
            if !ask_one(&client, known, meeting) {
                return;
            }
        }
    }
}

/// Asks for a published answer, and notes what came. False: it is over.
fn ask_one(client: &Asker, known: &Known, meeting: &Meeting) -> bool {
    let asked_at = Instant::now();
    let reply = client.ask(&known.query, KNOWN_PATIENCE).map(|reply| Normal::of(&reply));
    reply.iter().for_each(|reply| known.note(reply, asked_at));
    let wrong = match &reply {
        None => Some("no answer"),
        Some(reply) if reply.message != known.answer.message => Some("another answer"),
        Some(reply) if reply.ttls_s.iter().any(|ttl_s| *ttl_s > TTL_S_MAX) => Some("too long a TTL"),
        Some(_) => None,
    };
    let mut seen = meeting.seen();
    match wrong {
        None => seen.known += 1,
        Some(_) if seen.wrong.len() >= WRONG_TOLD => {}
        Some(wrong) => seen.wrong.push(format!("{} {}: {wrong}", known.query.qname, known.query.qtype)),
    }
    drop(seen);
    !meeting.is_over_after(Duration::ZERO)
}

/// Asks for known names whose time is over: they are found anew when there is a daemon.
fn revive(facts: &Facts, known: &[Known], meeting: &Meeting) {
    let client = lab::asker(facts);
    while !meeting.is_over_after(RETRY / 10) {
        for known in known.iter().filter(|known| known.is_over()) {
            let asked_at = Instant::now();
            if let Some(reply) = client.ask(&known.query, RETRY) {
                known.note(&Normal::of(&reply), asked_at);
            }
        }
    }
}

/// Asks for names that nobody has asked for, each until it is answered.
fn ask_new(facts: &Facts, meeting: &Meeting) {
    let client = lab::asker(facts);
    let zone = facts.zones.iter().find(|zone| zone.generated_hosts > 0).expect("a zone of many hosts");
    for number in (0..zone.generated_hosts).cycle() {
        let query =
            TestQuery::new(&format!("h{number:04}.{}", zone.name), "A".parse().expect("a type")).edns(1232, true);
        let asked_at = Instant::now();
        let reply = loop {
            if let Some(reply) = client.ask(&query, RETRY) {
                break reply;
            }
            if meeting.is_over_after(RETRY / 10) {
                return;
            }
        };
        let address = [198, 18, (number / 250) as u8, (number % 250 + 1) as u8];
        let mut seen = meeting.seen();
        // NOERROR, AD, and the one address that the host has.
        if reply[3] & 0x2f != 0x20 || !reply.windows(4).any(|bytes| bytes == address) {
            seen.wrong.push(format!("{}: {reply:02x?}", query.qname));
        }
        seen.misses += 1;
        seen.answered.push((asked_at, Instant::now()));
        drop(seen);
        meeting.is_answered.notify_all();
        if meeting.is_over_after(RETRY) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_that_a_client_misses_is_a_complaint() {
        let good = || Window {
            answered: 5,
            adopted: 4,
            dropped: 3,
            known: 4,
            misses: 1,
            slowest_miss_ms: 900,
            ..Window::default()
        };
        assert_eq!(good().complaint(), None);
        for bad in [
            Window { answered: 0, ..good() },
            Window { adopted: 3, ..good() },
            Window { unsound: 1, ..good() },
            Window { adopted: 0, dropped: 0, ..good() },
            Window { known: 0, ..good() },
            Window { misses: 0, ..good() },
            Window { slowest_miss_ms: 1001, ..good() },
            Window { wrong: vec!["www.test. A: no answer".to_owned()], ..good() },
        ] {
            assert!(bad.complaint().is_some(), "{bad:?}");
        }
    }
}
