//! The life of a trust anchor's key (RFC 5011 §4), without any I/O: states, events, timers.
//!
//! In: a verified DNSKEY set or the failure to get one, the keys that have proven their revocation, the configured anchors,
//! the time. Out: what changed, and when to look again. Keeps every key it has ever followed, so that a configured anchor
//! cannot bring a revoked key back.
//! Refuses: to fetch, to verify, to write, and to read a clock.

use std::fmt;

use crate::validator::{DsAnchor, KeySet, Presence};
use crate::wire::Name;

#[cfg(test)]
mod tests;

/// Most keys of one trust point that are kept. Choice: RFC 5011 §2.4.3 wants at least five. Removed ones that no configured
/// anchor could bring back make room; a zone that still shows more is not followed further.
pub const KEYS_MAX: usize = 64;

/// How long things last, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a new key must be seen before it is trusted, at least (§2.4.1).
    pub add_hold_down_s: u64,
    /// How long a revoked key must not be seen before it counts as removed (§2.4.2).
    pub remove_hold_down_s: u64,
    /// Shortest time between two looks (§2.3).
    pub interval_s_min: u64,
    /// Longest time between a success and the next look (§2.3).
    pub refresh_s_max: u64,
    /// Longest time between a failure and the next try (§2.3).
    pub retry_s_max: u64,
}

impl Timing {
    /// What RFC 5011 demands.
    pub const RFC: Self = Self {
        add_hold_down_s: 30 * DAY_S,
        remove_hold_down_s: 30 * DAY_S,
        interval_s_min: 3600,
        refresh_s_max: 15 * DAY_S,
        retry_s_max: DAY_S,
    };
}

const DAY_S: u64 = 86_400;

/// Where a key is in its life (§4.2). A key in state `Start` is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Seen, not trusted yet.
    AddPend,
    /// Trusted, and in the last set.
    Valid,
    /// Trusted, but not in the last set.
    Missing,
    /// Revoked: never trusted again.
    Revoked,
    /// Revoked, and no longer seen.
    Removed,
}

impl KeyState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::AddPend, Self::Valid, Self::Missing, Self::Revoked, Self::Removed];

    /// Its name, as the state file and reports have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AddPend => "add-pending",
            Self::Valid => "valid",
            Self::Missing => "missing",
            Self::Revoked => "revoked",
            Self::Removed => "removed",
        }
    }
}

/// A key that is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowedKey {
    /// DNSKEY RDATA, without the revoke flag.
    pub rdata: Box<[u8]>,
    /// Where it is in its life.
    pub state: KeyState,
    /// Since when, in seconds since 1970; of a revoked key, when it was last seen.
    pub since_s: u64,
    /// When the hold-down of a pending key ends, in seconds since 1970; 0 in every other state.
    pub until_s: u64,
}

/// The keys of one anchored zone (§1.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustPoint {
    /// The zone.
    pub zone: Name,
    /// Its keys, oldest first.
    pub keys: Vec<FollowedKey>,
    /// When a set was last verified, in seconds since 1970; 0: never.
    pub success_at_s: u64,
    /// When to look again, in seconds since 1970.
    pub next_look_at_s: u64,
    /// Shortest time until the next try after a failure, by the last set that was verified; in seconds.
    pub retry_s: u64,
}

/// A key changed its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The zone.
    pub zone: Name,
    /// Key tag, without the revoke flag.
    pub key_tag: u16,
    /// From where; none: from `Start`.
    pub from: Option<KeyState>,
    /// To where; none: to `Start`.
    pub to: Option<KeyState>,
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |state: Option<KeyState>| state.map_or("start", KeyState::name);
        write!(f, "{} {}: {} to {}", self.zone, self.key_tag, name(self.from), name(self.to))
    }
}

impl TrustPoint {
    /// A zone of which nothing is known yet.
    pub fn new(zone: Name) -> Self {
        Self { zone, keys: Vec::new(), success_at_s: 0, next_look_at_s: 0, retry_s: 0 }
    }

    /// Whether it is time to look. A time further away than any interval comes from a clock that was wrong.
    pub fn is_due(&self, now_s: u64, timing: &Timing) -> bool {
        let latest_s = now_s.saturating_add(timing.refresh_s_max.max(timing.retry_s_max));
        self.next_look_at_s <= now_s || self.next_look_at_s > latest_s
    }

    /// The anchors of the zone: its trusted keys, and those of `configured` whose key was never followed or is pending,
    /// which the operator's word makes trusted. Nothing, once all are revoked: the zone is then as if it had never been
    /// anchored (§5). Those most likely to have signed come first, as validation looks at so many and no more.
    pub fn anchors(&self, configured: &[DsAnchor]) -> Vec<DsAnchor> {
        let in_state = |state: KeyState| {
            let keys = self.keys.iter().rev().filter(move |key| key.state == state);
            keys.filter_map(|key| DsAnchor::of_key(&self.zone, &key.rdata))
        };
        let open = configured.iter().filter(|anchor| {
            let known = self.keys.iter().find(|key| anchor.vouches_for(&key.rdata));
            anchor.zone == self.zone && known.is_none_or(|key| key.state == KeyState::AddPend)
        });
        in_state(KeyState::Valid).chain(open.cloned()).chain(in_state(KeyState::Missing)).collect()
    }

    /// Takes in the keys that have proven their revocation: at once and for ever (§2.1), whether followed so far or only
    /// configured.
    pub fn revoke(&mut self, revoked: &[Box<[u8]>], configured: &[DsAnchor], now_s: u64) -> Vec<Transition> {
        let mut transitions = Vec::new();
        for key in &mut self.keys {
            if revoked.contains(&key.rdata) {
                match key.state {
                    KeyState::AddPend | KeyState::Valid | KeyState::Missing => {
                        transitions.extend(key.enter(&self.zone, KeyState::Revoked, now_s));
                    }
                    // Seen again: its removal waits (§4.1, RemTime).
                    KeyState::Revoked => key.since_s = now_s,
                    KeyState::Removed => {}
                }
            }
        }
        for rdata in revoked {
            let is_configured = configured.iter().any(|anchor| anchor.zone == self.zone && anchor.vouches_for(rdata));
            if !is_configured || self.keys.iter().any(|key| key.rdata == *rdata) {
                continue;
            }
            let state = KeyState::Revoked;
            let key = FollowedKey { rdata: rdata.clone(), state, since_s: now_s, until_s: 0 };
            let zone = self.zone.clone();
            transitions.extend(key.tag().map(|key_tag| Transition { zone, key_tag, from: None, to: Some(state) }));
            self.keys.push(key);
        }
        transitions
    }

    /// Takes in a verified set (§4.1). Revocations in it must have been taken in before.
    pub fn observe(&mut self, set: &KeySet, configured: &[DsAnchor], now_s: u64, timing: &Timing) -> Vec<Transition> {
        let mut transitions = Vec::new();
        let zone = self.zone.clone();
        self.keys.retain_mut(|key| {
            let next = key.next(set.presence(&key.rdata), configured, now_s, timing);
            match next {
                Next::Stay => {}
                Next::Enter(state) => transitions.extend(key.enter(&zone, state, now_s)),
                // KeyRem: whatever was waited for begins anew (§2.2).
                Next::Start => transitions.extend(key.transition(&zone, None)),
            }
            next != Next::Start
        });
        for new in set.keys.iter().filter(|key| !key.is_revoked) {
            if self.keys.iter().any(|key| key.rdata == new.rdata) || !self.has_room(configured) {
                continue;
            }
            let is_configured = configured.iter().any(|anchor| anchor.zone == zone && anchor.vouches_for(&new.rdata));
            let hold_down_s = timing.add_hold_down_s.max(u64::from(set.original_ttl_s));
            let (state, until_s) = match is_configured {
                true => (KeyState::Valid, 0),
                false => (KeyState::AddPend, now_s.saturating_add(hold_down_s)),
            };
            let key = FollowedKey { rdata: new.rdata.clone(), state, since_s: now_s, until_s };
            transitions.extend(key.tag().map(|key_tag| Transition {
                zone: zone.clone(),
                key_tag,
                from: None,
                to: Some(state),
            }));
            self.keys.push(key);
        }
        self.success_at_s = now_s;
        let (ttl_s, left_s) = (u64::from(set.original_ttl_s), u64::from(set.signature_left_s));
        let part =
            |divisor: u64, most_s: u64| most_s.min(ttl_s / divisor).min(left_s / divisor).max(timing.interval_s_min);
        self.retry_s = part(10, timing.retry_s_max);
        self.next_look_at_s = now_s.saturating_add(part(2, timing.refresh_s_max));
        transitions
    }

    /// Whether one more key can be kept, if need be in the place of one that is removed and forgotten everywhere else.
    fn has_room(&mut self, configured: &[DsAnchor]) -> bool {
        let forgettable = |key: &FollowedKey| {
            key.state == KeyState::Removed && !configured.iter().any(|anchor| anchor.vouches_for(&key.rdata))
        };
        if self.keys.len() >= KEYS_MAX
            && let Some(oldest) = self.keys.iter().position(forgettable)
        {
            self.keys.remove(oldest);
        }
        self.keys.len() < KEYS_MAX
    }

    /// Takes in that no verified set could be had (§2.3).
    pub fn fail(&mut self, now_s: u64, timing: &Timing) {
        let retry_s = self.retry_s.clamp(timing.interval_s_min, timing.retry_s_max);
        self.next_look_at_s = now_s.saturating_add(retry_s);
    }
}

/// What a verified set does to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Stay,
    Enter(KeyState),
    Start,
}

impl FollowedKey {
    /// Key tag; none if the RDATA is too short to be a key's.
    pub fn tag(&self) -> Option<u16> {
        DsAnchor::of_key(&Name::root(), &self.rdata).map(|anchor| anchor.key_tag)
    }

    fn next(&self, presence: Presence, configured: &[DsAnchor], now_s: u64, timing: &Timing) -> Next {
        use KeyState::{AddPend, Missing, Removed, Revoked, Valid};
        // With a revoke flag that it has not proven, a key is not there.
        let is_present = presence == Presence::Present;
        match self.state {
            AddPend if !is_present => Next::Start,
            AddPend if now_s >= self.until_s || configured.iter().any(|anchor| anchor.vouches_for(&self.rdata)) => {
                Next::Enter(Valid)
            }
            Valid if !is_present => Next::Enter(Missing),
            Missing if is_present => Next::Enter(Valid),
            Revoked if presence == Presence::Absent => {
                let is_gone = now_s >= self.since_s.saturating_add(timing.remove_hold_down_s);
                if is_gone { Next::Enter(Removed) } else { Next::Stay }
            }
            AddPend | Valid | Missing | Revoked | Removed => Next::Stay,
        }
    }

    fn enter(&mut self, zone: &Name, state: KeyState, now_s: u64) -> Option<Transition> {
        let transition = self.transition(zone, Some(state));
        (self.state, self.since_s, self.until_s) = (state, now_s, 0);
        transition
    }

    fn transition(&self, zone: &Name, to: Option<KeyState>) -> Option<Transition> {
        let key_tag = self.tag()?;
        Some(Transition { zone: zone.clone(), key_tag, from: Some(self.state), to })
    }
}
