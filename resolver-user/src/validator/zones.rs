//! What is proven about names: where zones start, and with which keys; and what zones have said of other names, which
//! [`DenialCache`] keeps. Shared by all validations.
//!
//! In: facts with the end of their life. Out: the same facts until then. Bounded: old and unpopular facts make room.
//! Refuses: to judge. A fact is only as good as the anchors it was derived from, so clear the cache when they change.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::key::ZoneKey;
use super::{DenialCache, InsecureReason};
use crate::clock::{NS_PER_S, Now};
use crate::wire::Name;

/// Longest life of a fact, in seconds.
/// Choice: a day, so that a withdrawn key or a new delegation is noticed whatever TTL was published.
const FACT_TTL_S_MAX: u32 = 86_400;

/// What is proven about a name as the start of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ZoneFact {
    /// A zone starts here, and these are all its zone keys that a chain from an anchor vouches for.
    Secure(Vec<ZoneKey>),
    /// What starts here has no chain of signatures; nor has anything below.
    Insecure(InsecureReason),
    /// No zone starts here.
    NoCut {
        /// Nothing exists below the name either.
        nothing_below: bool,
    },
}

/// A fact about a name, and until when it may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fact {
    /// The name.
    pub(super) name: Name,
    /// What is proven about it.
    pub(super) what: ZoneFact,
    /// When it was proven, in nanoseconds of boot time.
    pub(super) proven_at_boot_ns: u64,
    /// End of its life, in nanoseconds of boot time.
    pub(super) expires_at_boot_ns: u64,
}

impl Fact {
    /// A fact that holds for `ttl_s` seconds from `now`, at most a day.
    pub(super) fn new(name: &Name, what: ZoneFact, ttl_s: u32, now: Now) -> Arc<Self> {
        let life_ns = u64::from(ttl_s.min(FACT_TTL_S_MAX)).saturating_mul(NS_PER_S);
        let expires_at_boot_ns = now.boot_ns.saturating_add(life_ns);
        Arc::new(Self { name: name.clone(), what, proven_at_boot_ns: now.boot_ns, expires_at_boot_ns })
    }

    /// Whole seconds that are left of its life.
    pub(super) fn ttl_s(&self, now: Now) -> u32 {
        let left_ns = self.expires_at_boot_ns.saturating_sub(now.boot_ns);
        u32::try_from(left_ns.checked_div(NS_PER_S).unwrap_or(0)).unwrap_or(u32::MAX)
    }
}

/// Bounded memory of what is proven about names.
#[derive(Debug)]
pub struct ZoneCache {
    facts: Cache<Name, Arc<Fact>>,
    /// What zones have said of names that nobody has asked for.
    pub denials: DenialCache,
}

impl ZoneCache {
    /// An empty cache for about `capacity` names, and for `denials` records that deny; with 0, nothing is learned from those.
    pub fn new(capacity: usize, denials: usize) -> Self {
        Self { facts: Cache::new(capacity), denials: DenialCache::new(denials) }
    }

    /// Forgets everything. To be called when anchors change.
    pub fn clear(&self) {
        self.facts.clear();
        self.denials.clear();
    }

    /// Number of names of which something is known, facts at the end of their life included.
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// Most names that are kept.
    pub fn capacity(&self) -> usize {
        usize::try_from(self.facts.capacity()).unwrap_or(usize::MAX)
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// Time since the keys of a zone were last proven, in seconds, whether that still holds or not; none if it never was,
    /// or was forgotten.
    pub fn secure_age_s(&self, zone: &Name, now: Now) -> Option<u64> {
        let fact = self.facts.peek(zone).filter(|fact| matches!(fact.what, ZoneFact::Secure(_)))?;
        now.boot_ns.saturating_sub(fact.proven_at_boot_ns).checked_div(NS_PER_S)
    }

    /// What is known about `name`, if it still holds.
    pub(super) fn fact(&self, name: &Name, now: Now) -> Option<Arc<Fact>> {
        self.facts.get(name).filter(|fact| fact.expires_at_boot_ns > now.boot_ns)
    }

    /// Tags of the keys of a zone that is proven secure, and how many seconds ago it was proven; none if it is not.
    pub fn last_keys(&self, zone: &Name, now: Now) -> Option<(Vec<u16>, u64)> {
        let fact = self.fact(zone, now)?;
        let ZoneFact::Secure(keys) = &fact.what else { return None };
        let ago_ns = now.boot_ns.saturating_sub(fact.proven_at_boot_ns);
        Some((keys.iter().map(|key| key.tag).collect(), ago_ns.checked_div(NS_PER_S).unwrap_or(0)))
    }

    /// Remembers a fact; one with no life left is not worth a place.
    pub(super) fn remember(&self, fact: Arc<Fact>, now: Now) {
        if fact.expires_at_boot_ns > now.boot_ns {
            self.facts.insert(fact.name.clone(), fact);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { unix_s: 1_000, boot_ns: 5 * NS_PER_S };

    fn later(seconds: u64) -> Now {
        Now { unix_s: NOW.unix_s + seconds, boot_ns: NOW.boot_ns + seconds * NS_PER_S }
    }

    fn no_cut(name: &str, ttl_s: u32) -> Arc<Fact> {
        Fact::new(&name.parse().unwrap(), ZoneFact::NoCut { nothing_below: false }, ttl_s, NOW)
    }

    #[test]
    fn a_fact_ends_with_its_ttl_and_after_a_day_at_the_latest() {
        let cache = ZoneCache::new(10, 0);
        cache.remember(no_cut("a.example", 60), NOW);
        cache.remember(no_cut("b.example", u32::MAX), NOW);
        cache.remember(no_cut("c.example", 0), NOW);
        let known = |name: &str, seconds| cache.fact(&name.parse().unwrap(), later(seconds)).is_some();
        assert!(known("A.example", 59) && !known("a.example", 60));
        assert!(known("b.example", 86_399) && !known("b.example", 86_400));
        assert!(!known("c.example", 0));
        assert_eq!(no_cut("a.example", 60).ttl_s(later(20)), 40);
    }

    #[test]
    fn the_age_of_a_zones_keys_is_told_even_when_they_hold_no_longer() {
        let cache = ZoneCache::new(10, 0);
        let name = |text: &str| -> Name { text.parse().unwrap() };
        cache.remember(Fact::new(&name("."), ZoneFact::Secure(Vec::new()), 60, NOW), NOW);
        cache.remember(no_cut("a.example", 60), NOW);
        assert_eq!(cache.secure_age_s(&name("."), later(90)), Some(90));
        assert_eq!(cache.secure_age_s(&name("a.example"), later(1)), None, "no keys there");
        assert_eq!(cache.secure_age_s(&name("b.example"), later(1)), None);
    }

    #[test]
    fn the_cache_stays_within_its_capacity() {
        let cache = ZoneCache::new(16, 0);
        for index in 0..1000 {
            cache.remember(no_cut(&format!("n{index}.example"), 60), NOW);
        }
        assert!(cache.len() <= 16, "{}", cache.len());
        cache.clear();
        assert!(cache.is_empty());
    }
}
