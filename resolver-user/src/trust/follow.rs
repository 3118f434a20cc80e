//! Follows the keys of the configured anchors through their rolls (RFC 5011), and remembers them in a file.
//!
//! In: replies to DNSKEY queries, or that there was none. Out: what changed, and a new [`Basis`](super::Basis) if the anchors
//! did. The thin shell around `rfc5011`: it verifies, saves, and decides nothing about states.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Trust;
use super::rfc5011::{FollowedKey, KeyState, Timing, Transition, TrustPoint};
use super::state_file::{self, StateError};
use crate::clock::Now;
use crate::validator::{DsAnchor, KeySet, KeySetError, flagged_revoked, proven_revoked};
use crate::wire::{Name, Response};

/// The keys that are followed, and where they are kept.
#[derive(Debug)]
pub struct Followed {
    path: PathBuf,
    timing: Timing,
    points: Vec<TrustPoint>,
    /// What the file says differs from what is known, because it could not be written.
    unsaved: bool,
}

/// What looking at a zone's keys brought.
#[derive(Debug)]
pub struct Looked {
    /// Keys that changed their state.
    pub transitions: Vec<Transition>,
    /// Whether the anchors changed: whoever keeps conclusions has to forget them.
    pub anchors_changed: bool,
    /// Why the set did not count, if it was there.
    pub refused: Option<KeySetError>,
    /// Why the new states could not be written.
    pub saved: Result<(), StateError>,
}

/// A key or an anchor that is followed, for reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorState {
    /// The zone.
    pub zone: Name,
    /// The key as an anchor with a digest of SHA-256.
    pub anchor: DsAnchor,
    /// DNSKEY RDATA.
    pub rdata: Box<[u8]>,
    /// Where it is in its life.
    pub state: KeyState,
    /// Since when, in seconds since 1970.
    pub since_s: u64,
    /// When its hold-down ends, in seconds since 1970; 0: it has none.
    pub until_s: u64,
    /// When a set of the zone was last verified, in seconds since 1970; 0: never.
    pub success_at_s: u64,
    /// When the zone is looked at next, in seconds since 1970.
    pub next_look_at_s: u64,
}

impl AnchorState {
    /// Whether the last verified set held the key, revoked or not, as far as its state tells.
    pub fn is_seen(&self) -> bool {
        match self.state {
            KeyState::AddPend | KeyState::Valid => true,
            KeyState::Revoked => self.since_s >= self.success_at_s,
            KeyState::Missing | KeyState::Removed => false,
        }
    }
}

impl Followed {
    /// What the file remembers; with no file, one is made.
    ///
    /// # Errors
    /// The file cannot be read, understood, or made.
    pub fn open(path: PathBuf, timing: Timing) -> Result<Self, StateError> {
        let points = match state_file::read(&path)? {
            Some(points) => points,
            None => {
                state_file::write(&path, &[])?;
                Vec::new()
            }
        };
        Ok(Self { path, timing, points, unsaved: false })
    }

    /// Whether [`Self::open`] would understand the file, if it is there. Changes nothing.
    ///
    /// # Errors
    /// Why not.
    pub fn check(path: &Path) -> Result<(), StateError> {
        state_file::read(path).map(drop)
    }

    /// The anchors that hold: for each configured zone what has become of them. What is remembered of a zone that is not
    /// configured any more anchors nothing.
    pub(super) fn anchors(&self, configured: &[DsAnchor]) -> Vec<DsAnchor> {
        let of_zone = |zone: &Name| match self.points.iter().find(|point| point.zone == *zone) {
            Some(point) => point.anchors(configured),
            None => configured.iter().filter(|anchor| anchor.zone == *zone).cloned().collect(),
        };
        zones(configured).iter().flat_map(of_zone).collect()
    }

    fn point(&mut self, zone: &Name) -> Option<&mut TrustPoint> {
        if !self.points.iter().any(|point| point.zone == *zone) {
            self.points.push(TrustPoint::new(zone.clone()));
        }
        self.points.iter_mut().find(|point| point.zone == *zone)
    }

    fn save(&mut self) -> Result<(), StateError> {
        let written = state_file::write(&self.path, &self.points);
        self.unsaved = written.is_err();
        written
    }
}

impl Trust {
    /// Follows the keys of the anchors from now on. To be called before anything is concluded.
    pub fn follow(&self, followed: Followed) {
        let mut changing = self.changing();
        changing.followed = Some(followed);
        self.change(&changing);
    }

    /// Whether keys are followed.
    pub fn follows(&self) -> bool {
        self.changing().followed.is_some()
    }

    /// The zones whose keys are to be looked at now; none while the clock is not set.
    pub fn due(&self, now: Now) -> Vec<Name> {
        let changing = self.changing();
        let Some(followed) = changing.followed.as_ref().filter(|_| !changing.awaits_clock) else { return Vec::new() };
        let is_due = |zone: &Name| {
            let point = followed.points.iter().find(|point| point.zone == *zone);
            point.is_none_or(|point| point.is_due(now.unix_s, &followed.timing))
        };
        zones(&changing.configured.anchors).into_iter().filter(is_due).collect()
    }

    /// Takes in the reply to a DNSKEY query for a followed zone, or that there was none.
    pub fn look(&self, zone: &Name, reply: Option<&Response>, now: Now) -> Looked {
        let mut changing = self.changing();
        let basis = self.basis();
        let configured = changing.configured.anchors.clone();
        let mut looked = Looked { transitions: Vec::new(), anchors_changed: false, refused: None, saved: Ok(()) };
        let Some(followed) = &mut changing.followed else { return looked };
        let timing = followed.timing;
        let before = followed.anchors(&configured);
        let Some(point) = followed.point(zone) else { return looked };
        if let Some(response) = reply {
            let mut known: Vec<Box<[u8]>> = point.keys.iter().map(|key| key.rdata.clone()).collect();
            // A configured key is trusted before it is ever seen, so it can be revoked when it is first seen (RFC 5011 §2.1).
            known.extend(
                flagged_revoked(response, zone)
                    .into_iter()
                    .filter(|rdata| configured.iter().any(|anchor| anchor.zone == *zone && anchor.vouches_for(rdata))),
            );
            let revoked = proven_revoked(response, zone, &known, &basis.policy, now);
            looked.transitions.extend(point.revoke(&revoked, &configured, now.unix_s));
        }
        match reply.map(|response| KeySet::read(response, zone, &basis.anchors, &basis.policy, now)) {
            Some(Ok(set)) => looked.transitions.extend(point.observe(&set, &configured, now.unix_s, &timing)),
            Some(Err(error)) => {
                looked.refused = Some(error);
                point.fail(now.unix_s, &timing);
            }
            None => point.fail(now.unix_s, &timing),
        }
        // Written before anything rests on it. A revocation counts even where it cannot be written.
        looked.saved = followed.save();
        looked.anchors_changed = followed.anchors(&configured) != before;
        if looked.anchors_changed {
            self.change(&changing);
        }
        looked
    }

    /// Tries again to write states that could not be written.
    ///
    /// # Errors
    /// They still cannot.
    pub fn save_states(&self) -> Result<(), StateError> {
        match self.changing().followed.as_mut().filter(|followed| followed.unsaved) {
            Some(followed) => followed.save(),
            None => Ok(()),
        }
    }

    /// Every key that is followed, or was.
    pub fn anchor_states(&self) -> Vec<AnchorState> {
        let changing = self.changing();
        let points = changing.followed.iter().flat_map(|followed| &followed.points);
        let state = |point: &TrustPoint, key: &FollowedKey| {
            Some(AnchorState {
                zone: point.zone.clone(),
                anchor: DsAnchor::of_key(&point.zone, &key.rdata)?,
                rdata: key.rdata.clone(),
                state: key.state,
                since_s: key.since_s,
                until_s: key.until_s,
                success_at_s: point.success_at_s,
                next_look_at_s: point.next_look_at_s,
            })
        };
        points.flat_map(|point| point.keys.iter().filter_map(move |key| state(point, key))).collect()
    }

    /// Tags of the keys that a zone had when a chain last led there, and how many seconds ago that was; none if that is
    /// not remembered.
    pub fn last_keys(&self, zone: &Name, now: Now) -> Option<(Vec<u16>, u64)> {
        Arc::clone(&self.basis().zones).last_keys(zone, now)
    }
}

/// The anchored zones, each once.
fn zones(configured: &[DsAnchor]) -> Vec<Name> {
    let mut zones: Vec<Name> = Vec::new();
    for anchor in configured {
        if !zones.contains(&anchor.zone) {
            zones.push(anchor.zone.clone());
        }
    }
    zones
}
