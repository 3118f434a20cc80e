//! Where validations go on that look like an attack: one thread of the lowest priority, which takes turns between zones.
//!
//! In: a validation that has paused before a costly check, and the zone that it is at. Out: the same at its next step that is
//! no pause. A zone that is made to be costly (CVE-2023-50387) thus delays nobody but itself: not the tasks that serve others,
//! which run at the usual priority, nor costly validations of other zones, which have their turns.
//!
//! Refuses more than so many validations at once, of one zone and in all: they end at once for lack of budget.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;
use tracing::warn;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::validator::{BudgetItem, Pace, Step, Validation, Verdict, WorkBudget};
use crate::wire::Name;

/// Validations of one zone that may wait at once. Choice: some people may ask for names of a zone that is in trouble; an
/// attack asks for hundreds a second.
const OF_ONE_ZONE_MAX: usize = 8;
/// Validations that may wait at once: as many zones as in an attack with zones of the attacker's own making.
const IN_ALL_MAX: usize = 128;
/// The lowest priority of a thread that is not real-time: about a seventieth of a usual one's share of a busy CPU.
const NICENESS: i32 = 19;

/// A validation with what it may still cost.
#[derive(Debug)]
pub struct Run {
    /// The validation.
    pub validation: Validation,
    /// Its budget.
    pub budget: WorkBudget,
}

/// The lane. Dropping it stops its thread; validations in it get no reply.
pub struct SlowLane {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    /// One reference to this for each validation that is in the lane, and one here.
    presence: Arc<()>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// Who waits. The first zone has the next turn, and its first validation is the one that goes on.
#[derive(Debug, Default)]
struct Queue {
    zones: VecDeque<(Name, VecDeque<Job>)>,
    is_over: bool,
}

#[derive(Debug)]
struct Job {
    run: Run,
    reply: oneshot::Sender<(Run, Step)>,
    _presence: Arc<()>,
}

impl SlowLane {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no room for it.
    pub fn start(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> io::Result<Self> {
        let queue = Mutex::new(Queue::default());
        let shared = Arc::new(Shared { queue, changed: Condvar::new(), presence: Arc::default(), clock, metrics });
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("slow-lane".to_owned()).spawn(move || {
            // Of this thread alone: on Linux, priorities are of threads.
            if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
                warn!(%error, "costly validations run at the usual priority");
            }
            of_thread.serve();
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Takes a validation that has paused at `zone` on to its next step, which is no pause. None: the lane has ended.
    pub async fn advance(&self, zone: Name, run: Run) -> Option<(Run, Step)> {
        let (reply, receiver) = oneshot::channel();
        let job = Job { run, reply, _presence: Arc::clone(&self.shared.presence) };
        if let Some(job) = self.shared.lock().join(zone, job) {
            self.shared.metrics.costly_refused.add_one();
            let verdict = Verdict::Indeterminate(BudgetItem::CostlyValidations.into());
            return Some((job.run, Step::Done(verdict)));
        }
        self.shared.metrics.costly_validations.add_one();
        self.shared.changed.notify_one();
        receiver.await.ok()
    }
}

impl SlowLane {
    /// Whether no validation is in the lane: all have got their replies. Of interest to whoever drives the clock, which must stand still
    /// meanwhile.
    pub fn is_idle(&self) -> bool {
        Arc::strong_count(&self.shared.presence) == 1
    }
}

impl Drop for SlowLane {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It has nothing to tell, even if it has failed.
            let _ended = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives slices of work to zones in turn until the lane is over.
    fn serve(&self) {
        while let Some((zone, mut job)) = self.next() {
            let step = job.run.validation.advance(self.clock.now(), &mut job.run.budget, Pace::Slice);
            match step {
                // At another zone's keys now, maybe; but it is this zone whose turns it has used.
                Step::Costly { .. } => self.lock().put_back(zone, job),
                step => {
                    // Whoever waited may have given up meanwhile.
                    let _unheard = job.reply.send((job.run, step));
                }
            }
            thread::yield_now();
        }
    }

    /// Waits for the next validation that somebody waits for. None: the lane is over.
    fn next(&self) -> Option<(Name, Job)> {
        let mut queue = self.lock();
        loop {
            if queue.is_over {
                return None;
            }
            match queue.take() {
                Some((_, job)) if job.reply.is_closed() => {}
                Some(next) => return Some(next),
                None => queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Queue {
    /// Takes a validation in as the last of its zone, or gives it back.
    fn join(&mut self, zone: Name, job: Job) -> Option<Job> {
        let in_all: usize = self.zones.iter().map(|(_, jobs)| jobs.len()).sum();
        if in_all >= IN_ALL_MAX {
            return Some(job);
        }
        match self.zones.iter_mut().find(|(known, _)| *known == zone) {
            Some((_, jobs)) if jobs.len() >= OF_ONE_ZONE_MAX => return Some(job),
            Some((_, jobs)) => jobs.push_back(job),
            None => self.zones.push_back((zone, VecDeque::from([job]))),
        }
        None
    }

    /// The first validation of the first zone; the zone becomes the last.
    fn take(&mut self) -> Option<(Name, Job)> {
        let (zone, mut jobs) = self.zones.pop_front()?;
        let job = jobs.pop_front();
        if !jobs.is_empty() {
            self.zones.push_back((zone.clone(), jobs));
        }
        job.map(|job| (zone, job))
    }

    /// Puts back a validation that needs more turns, as the first of its zone.
    fn put_back(&mut self, zone: Name, job: Job) {
        match self.zones.iter_mut().find(|(known, _)| *known == zone) {
            Some((_, jobs)) => jobs.push_front(job),
            None => self.zones.push_back((zone, VecDeque::from([job]))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validator::{Policy, TrustAnchors, WorkLimits, ZoneCache};
    use crate::wire::{Question, RCode, RecordType, Response};

    fn run(qname: &str) -> Run {
        let question = Question::new(qname.parse().unwrap(), RecordType::A);
        let response =
            Response { question: question.clone(), rcode: RCode::NOERROR, answer: Vec::new(), authority: Vec::new() };
        let (anchors, zones) = (TrustAnchors::new(Vec::new(), Vec::new()), ZoneCache::new(1, 0));
        let validation =
            Validation::new(question, Arc::new(response), Arc::new(anchors), Arc::new(zones), Policy::DEFAULT);
        Run { validation, budget: WorkBudget::new(WorkLimits::DEFAULT) }
    }

    fn job(qname: &str) -> (Job, oneshot::Receiver<(Run, Step)>) {
        let (reply, receiver) = oneshot::channel();
        (Job { run: run(qname), reply, _presence: Arc::default() }, receiver)
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn zones_have_their_turns_and_within_a_zone_the_first_ends_first() {
        let mut queue = Queue::default();
        let mut receivers = Vec::new();
        for zone in ["a", "a", "a", "b", "c"] {
            let (job, receiver) = job(zone);
            receivers.push(receiver);
            assert!(queue.join(name(zone), job).is_none());
        }
        let mut turns = Vec::new();
        for _ in 0..6 {
            let (zone, job) = queue.take().unwrap();
            turns.push(zone.to_string());
            queue.put_back(zone, job);
        }
        assert_eq!(turns, ["a.", "b.", "c.", "a.", "b.", "c."]);
    }

    #[test]
    fn a_zone_takes_no_more_than_its_places_and_leaves_those_of_others() {
        let mut queue = Queue::default();
        let mut receivers = Vec::new();
        let mut join = |queue: &mut Queue, zone: &str| {
            let (job, receiver) = job(zone);
            receivers.push(receiver);
            queue.join(name(zone), job).is_none()
        };
        for place in 0..OF_ONE_ZONE_MAX + 3 {
            assert_eq!(join(&mut queue, "attack"), place < OF_ONE_ZONE_MAX);
        }
        for place in OF_ONE_ZONE_MAX..IN_ALL_MAX + 3 {
            assert_eq!(join(&mut queue, &format!("z{place}")), place < IN_ALL_MAX);
        }
    }

    #[test]
    fn the_thread_takes_a_validation_to_its_next_step_and_ends_with_the_lane() {
        let metrics = Arc::new(Metrics::default());
        let lane = SlowLane::start(Arc::new(crate::clock::SystemClock), Arc::clone(&metrics)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (run, step) = runtime.block_on(lane.advance(name("org"), run("www.org"))).unwrap();
        // Nothing is anchored here, so nothing needs to be fetched.
        assert!(matches!(step, Step::Done(Verdict::Proven(_))), "{step:?}");
        assert_eq!(run.budget.spent().signature_checks, 0);
        while !lane.is_idle() {
            std::thread::yield_now();
        }
        assert_eq!((metrics.costly_validations.value(), metrics.costly_refused.value()), (1, 0));
        drop(lane);
    }
}
