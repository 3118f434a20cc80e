//! What validation starts from, and the moments at which that changes while the daemon runs.
//!
//! In: configured anchors and policy, anchors that are replaced, key rolls that `follow` sees (RFC 5011, states in `rfc5011`,
//! kept in `state_file`), negative anchors that the operator adds for a time (RFC 7646), a clock that becomes trustworthy.
//! Out: the [`Basis`] that holds now. Every change makes a new basis with a higher generation and an empty
//! zone cache, so nothing that was concluded before can be mixed with what is concluded after.
//! Refuses: to judge, and to clear anybody else's cache: whoever keeps conclusions keeps their generation with them.

mod follow;
mod rfc5011;
mod sentinel;
mod state_file;
mod timestamp;

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use thiserror::Error;

use crate::clock::{NS_PER_S, Now};
use crate::validator::{DsAnchor, Policy, TrustAnchors, ZoneCache};
use crate::wire::{DomainMap, Name};

pub use follow::{AnchorState, Followed, Looked};
pub use rfc5011::{KeyState, Timing, Transition};
pub use sentinel::{KeySentinel, key_tag_query};
pub use state_file::{StateError, date};
pub use timestamp::{Timestamp, TimestampError};

/// Names whose keys, or whose lack of them, are remembered: one for each answer that may be kept, but so many at least and at most.
const ZONES: RangeInclusive<usize> = 500..=10_000;
/// Denial records that are kept to answer from: two for each answer that may be kept, but so many at least and at most. These are about
/// 10 MiB.
const DENIALS: RangeInclusive<usize> = 1000..=20_000;
/// Most negative anchors that may be added while running. Choice: each is looked at for every name that is judged.
pub const TIMED_ANCHORS_MAX: usize = 1000;
/// Longest time for which one may be added, in seconds. Choice: a week, as BIND has it; RFC 7646 §2 wants them short.
pub const TIMED_ANCHOR_S_MAX: u64 = 7 * 86_400;

/// Where all validations of one generation start.
#[derive(Debug)]
pub struct Basis {
    /// The anchors.
    pub anchors: Arc<TrustAnchors>,
    /// What is proven from them about zones, and what does not exist.
    pub zones: Arc<ZoneCache>,
    /// What may be accepted, at what cost.
    pub policy: Policy,
    /// Rises with each change.
    pub generation: u64,
}

/// The basis that holds now, and what changes it.
#[derive(Debug)]
pub struct Trust {
    timestamp: Option<Timestamp>,
    changing: Mutex<Changing>,
    current: RwLock<Arc<Basis>>,
    /// That of `current`, to be read without waiting.
    generation: AtomicU64,
}

/// What changes while running.
#[derive(Debug)]
struct Changing {
    configured: Configured,
    /// What became of the anchors, if that is followed.
    followed: Option<Followed>,
    /// What anchored zones were told (RFC 8145).
    signalled: Vec<sentinel::Signalled>,
    timed: Vec<TimedAnchor>,
    /// The clock shows a time before that of the timestamp file, so signature times mean nothing yet.
    awaits_clock: bool,
}

/// What the configuration says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    /// Where validation starts.
    pub anchors: Vec<DsAnchor>,
    /// Names at and below which nothing is validated.
    pub negative: Vec<Name>,
    /// What may be accepted, at what cost.
    pub policy: Policy,
    /// Domains with servers of their own; see [`TrustAnchors::with_private`].
    pub private: DomainMap<bool>,
    /// Answers that may be kept, which bounds what is remembered of zones.
    pub answers_max: usize,
}

/// A negative anchor that ends by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TimedAnchor {
    name: Name,
    ends_at_boot_ns: u64,
}

/// A negative anchor, for reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegativeAnchor {
    /// The name at and below which nothing is validated.
    pub name: Name,
    /// Seconds until it ends; none if it is configured.
    pub left_s: Option<u64>,
}

/// Why a negative anchor was neither added nor removed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NegativeAnchorError {
    /// The time is not legal.
    #[error("{for_s} s is out of range; legal: 1..={TIMED_ANCHOR_S_MAX}")]
    Time {
        /// The time, in seconds.
        for_s: u64,
    },
    /// There are too many.
    #[error("there are {TIMED_ANCHORS_MAX} already")]
    TooMany,
    /// It is in the configuration, which is not changed from outside.
    #[error("{name} is in the configuration; remove it there")]
    Configured {
        /// The name.
        name: Name,
    },
    /// There is none of that name.
    #[error("there is no negative anchor at {name}")]
    Unknown {
        /// The name.
        name: Name,
    },
}

/// What a look at the clock changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustChange {
    /// A negative anchor ended.
    NegativeAnchorEnded(Name),
    /// The clock has passed the timestamp file: signature times are checked from now on.
    TimeChecksBegan,
}

impl Trust {
    /// What the configuration says, as of `now`.
    pub fn new(configured: Configured, timestamp: Option<Timestamp>, now: Now) -> Self {
        let awaits_clock = timestamp.as_ref().is_some_and(|timestamp| !timestamp.is_past(now));
        let changing = Changing { configured, followed: None, signalled: Vec::new(), timed: Vec::new(), awaits_clock };
        let first = basis(&changing, 0);
        Self {
            timestamp,
            changing: Mutex::new(changing),
            current: RwLock::new(Arc::new(first)),
            generation: AtomicU64::new(0),
        }
    }

    /// The basis that holds now.
    pub fn basis(&self) -> Arc<Basis> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The generation of the basis that holds now.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Does something unless the basis has changed since `generation`; while it is done, it does not change.
    pub fn if_current<T>(&self, generation: u64, act: impl FnOnce() -> T) -> Option<T> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        (current.generation == generation).then(act)
    }

    /// Whether signature times are not checked yet because the clock is not set.
    pub fn awaits_clock(&self) -> bool {
        self.changing().awaits_clock
    }

    /// Takes over what the configuration says now, and begins a new generation even if that is what it said before. Negative
    /// anchors that were added for a time stay.
    pub fn configure(&self, configured: Configured) {
        let mut changing = self.changing();
        changing.configured = configured;
        self.change(&changing);
    }

    /// What the configuration says.
    pub fn configured(&self) -> Configured {
        self.changing().configured.clone()
    }

    /// Turns validation off at and below a name for a time, or changes the time of one that is there.
    ///
    /// # Errors
    /// A time out of range, too many, or one that is configured.
    pub fn add_negative(&self, name: Name, for_s: u64, now: Now) -> Result<(), NegativeAnchorError> {
        if !(1..=TIMED_ANCHOR_S_MAX).contains(&for_s) {
            return Err(NegativeAnchorError::Time { for_s });
        }
        let mut changing = self.changing();
        if changing.configured.negative.contains(&name) {
            return Err(NegativeAnchorError::Configured { name });
        }
        let ends_at_boot_ns = now.boot_ns.saturating_add(for_s.saturating_mul(NS_PER_S));
        changing.timed.retain(|anchor| anchor.name != name);
        if changing.timed.len() >= TIMED_ANCHORS_MAX {
            return Err(NegativeAnchorError::TooMany);
        }
        changing.timed.push(TimedAnchor { name, ends_at_boot_ns });
        self.change(&changing);
        Ok(())
    }

    /// Ends a negative anchor that was added.
    ///
    /// # Errors
    /// There is none of that name, or it is configured.
    pub fn remove_negative(&self, name: &Name) -> Result<(), NegativeAnchorError> {
        let mut changing = self.changing();
        if changing.configured.negative.contains(name) {
            return Err(NegativeAnchorError::Configured { name: name.clone() });
        }
        let before = changing.timed.len();
        changing.timed.retain(|anchor| anchor.name != *name);
        if changing.timed.len() == before {
            return Err(NegativeAnchorError::Unknown { name: name.clone() });
        }
        self.change(&changing);
        Ok(())
    }

    /// All negative anchors, by name.
    pub fn negative_anchors(&self, now: Now) -> Vec<NegativeAnchor> {
        let left_s = |ends_at_boot_ns: u64| ends_at_boot_ns.saturating_sub(now.boot_ns).div_ceil(NS_PER_S);
        let changing = self.changing();
        let configured = changing.configured.negative.iter();
        let configured = configured.map(|name| NegativeAnchor { name: name.clone(), left_s: None });
        let timed = changing.timed.iter().map(|anchor| {
            let left_s = Some(left_s(anchor.ends_at_boot_ns));
            NegativeAnchor { name: anchor.name.clone(), left_s }
        });
        let mut all: Vec<NegativeAnchor> = configured.chain(timed).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Makes the changes that time brings. To be called about once a second.
    ///
    /// # Errors
    /// The timestamp file could not be brought up to date; time checks begin all the same.
    pub fn look_at_clock(&self, now: Now) -> (Vec<TrustChange>, Result<(), TimestampError>) {
        let mut changing = self.changing();
        let mut changes = Vec::new();
        let mut touched = Ok(());
        changing.timed.retain(|anchor| {
            let ended = anchor.ends_at_boot_ns <= now.boot_ns;
            if ended {
                changes.push(TrustChange::NegativeAnchorEnded(anchor.name.clone()));
            }
            !ended
        });
        if let Some(timestamp) = self.timestamp.as_ref().filter(|timestamp| timestamp.is_past(now))
            && changing.awaits_clock
        {
            changing.awaits_clock = false;
            changes.push(TrustChange::TimeChecksBegan);
            touched = timestamp.touch(now);
        }
        if !changes.is_empty() {
            self.change(&changing);
        }
        (changes, touched)
    }

    fn changing(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a new basis in the place of the old one.
    fn change(&self, changing: &Changing) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let generation = current.generation.saturating_add(1);
        *current = Arc::new(basis(changing, generation));
        self.generation.store(generation, Ordering::Release);
    }
}

fn basis(changing: &Changing, generation: u64) -> Basis {
    let Configured { anchors, negative, private, policy, answers_max } = &changing.configured;
    let timed = changing.timed.iter().map(|anchor| anchor.name.clone());
    let negative = negative.iter().cloned().chain(timed).collect();
    let policy = Policy { times_checked: policy.times_checked && !changing.awaits_clock, ..*policy };
    let anchors = match &changing.followed {
        Some(followed) => followed.anchors(anchors),
        None => anchors.clone(),
    };
    let anchors = Arc::new(TrustAnchors::under(&policy, anchors, negative).with_private(private.clone()));
    let within = |wanted: usize, bounds: &RangeInclusive<usize>| wanted.clamp(*bounds.start(), *bounds.end());
    let (names, denials) = (within(*answers_max, &ZONES), within(answers_max.saturating_mul(2), &DENIALS));
    Basis { anchors, zones: Arc::new(ZoneCache::new(names, denials)), policy, generation }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { unix_s: 1_750_000_000, boot_ns: 7 * NS_PER_S };

    fn later(seconds: u64) -> Now {
        Now { unix_s: NOW.unix_s + seconds, boot_ns: NOW.boot_ns + seconds * NS_PER_S }
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn configured(negative: &[&str]) -> Configured {
        let negative = negative.iter().map(|text| name(text)).collect();
        let (private, policy) = (DomainMap::default(), Policy::DEFAULT);
        Configured { anchors: vec![], negative, private, policy, answers_max: 0 }
    }

    fn trust(negative: &[&str]) -> Trust {
        Trust::new(configured(negative), None, NOW)
    }

    #[test]
    fn a_negative_anchor_ends_by_itself_and_each_change_begins_a_generation() {
        let trust = trust(&["lan"]);
        let first = trust.basis();
        trust.add_negative(name("Broken.org"), 60, NOW).unwrap();
        assert_eq!((first.generation, trust.basis().generation, trust.generation()), (0, 1, 1));
        assert!(!Arc::ptr_eq(&first.zones, &trust.basis().zones), "what was proven before is not used after");
        let listed = [
            NegativeAnchor { name: name("lan"), left_s: None },
            NegativeAnchor { name: name("broken.org"), left_s: Some(60) },
        ];
        assert_eq!(trust.negative_anchors(NOW), listed);
        assert_eq!(trust.look_at_clock(later(59)).0, []);
        assert_eq!(trust.generation(), 1);
        assert_eq!(trust.look_at_clock(later(60)).0, [TrustChange::NegativeAnchorEnded(name("broken.org"))]);
        assert_eq!((trust.generation(), trust.negative_anchors(NOW).len()), (2, 1));
    }

    #[test]
    fn what_is_remembered_of_zones_follows_the_number_of_answers_within_bounds() {
        for (answers_max, names, denials) in
            [(0, 500, 1000), (800, 800, 1600), (10_000, 10_000, 20_000), (10_000_000, 10_000, 20_000)]
        {
            let basis = Trust::new(Configured { answers_max, ..configured(&[]) }, None, NOW).basis();
            assert_eq!(basis.zones.denials.capacity(), denials);
            // The cache has parts of at least 32 places, all of one size.
            assert!((names..=names + names / 32).contains(&basis.zones.capacity()), "{}", basis.zones.capacity());
        }
    }

    #[test]
    fn adding_again_changes_the_time_and_removing_ends_it() {
        let trust = trust(&["lan"]);
        trust.add_negative(name("a"), 60, NOW).unwrap();
        trust.add_negative(name("A"), 120, NOW).unwrap();
        assert_eq!(trust.negative_anchors(NOW)[0].left_s, Some(120));
        trust.remove_negative(&name("a")).unwrap();
        assert_eq!(trust.remove_negative(&name("a")), Err(NegativeAnchorError::Unknown { name: name("a") }));
        let configured = NegativeAnchorError::Configured { name: name("lan") };
        assert_eq!(trust.remove_negative(&name("lan")), Err(configured.clone()));
        assert_eq!(trust.add_negative(name("lan"), 60, NOW), Err(configured));
        for for_s in [0, TIMED_ANCHOR_S_MAX + 1] {
            assert_eq!(trust.add_negative(name("a"), for_s, NOW), Err(NegativeAnchorError::Time { for_s }));
        }
    }

    #[test]
    fn a_new_configuration_keeps_what_was_added_for_a_time() {
        let trust = trust(&["lan"]);
        trust.add_negative(name("a"), 60, NOW).unwrap();
        trust.configure(configured(&["home"]));
        let names: Vec<Name> = trust.negative_anchors(NOW).into_iter().map(|anchor| anchor.name).collect();
        assert_eq!((names, trust.generation()), (vec![name("a"), name("home")], 2));
    }

    #[test]
    fn nothing_is_done_on_the_strength_of_an_old_basis() {
        let trust = trust(&[]);
        let before = trust.basis().generation;
        assert_eq!(trust.if_current(before, || 7), Some(7));
        trust.add_negative(name("a"), 60, NOW).unwrap();
        assert_eq!(trust.if_current(before, || 7), None);
    }

    #[test]
    fn the_number_of_negative_anchors_is_bounded() {
        let trust = trust(&[]);
        for number in 0..TIMED_ANCHORS_MAX {
            trust.add_negative(name(&format!("n{number}")), 60, NOW).unwrap();
        }
        assert_eq!(trust.add_negative(name("more"), 60, NOW), Err(NegativeAnchorError::TooMany));
        trust.add_negative(name("n0"), 90, NOW).unwrap();
    }

    #[test]
    fn times_are_checked_once_the_clock_has_passed_the_timestamp_file() {
        let directory = std::env::temp_dir().join(format!("resolver-trust-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("stamp");
        let timestamp = Timestamp::open(&path).unwrap();
        timestamp.touch(later(1000)).unwrap();
        let trust = Trust::new(configured(&[]), Some(Timestamp::open(&path).unwrap()), NOW);
        assert!(trust.awaits_clock() && !trust.basis().policy.times_checked);
        assert_eq!(trust.look_at_clock(later(999)).0, []);
        assert_eq!(trust.look_at_clock(later(2000)), (vec![TrustChange::TimeChecksBegan], Ok(())));
        assert!(trust.basis().policy.times_checked && trust.generation() == 1);
        assert_eq!(trust.look_at_clock(later(2001)).0, [], "once");
        // The next start wants at least that time.
        assert!(!Timestamp::open(&path).unwrap().is_past(later(1999)));
        assert!(Timestamp::open(&path).unwrap().is_past(later(2000)));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
