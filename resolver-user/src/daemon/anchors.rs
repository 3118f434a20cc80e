//! The anchors while the daemon runs: looks at the followed zones' keys when they are due (RFC 5011), logs what becomes of
//! them, and tells the operator how each anchor stands.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::clock::Now;
use crate::config::{ConfiguredAnchor, DnssecConfig};
use crate::control::report::AnchorEntry;
use crate::resolve::Resolver;
use crate::trust::{AnchorState, Looked, Trust, date};
use crate::validator::DsAnchor;
use crate::wire::Name;

/// How often it is looked whether a zone is due.
const PERIOD: Duration = Duration::from_secs(1);
/// How often states that could not be written are tried again, in periods.
const SAVE_PERIODS: u64 = 60;

/// Looks at the keys of the anchored zones whenever they are due, if they are followed.
pub(super) async fn follow_anchors(resolver: Arc<Resolver>, stop: CancellationToken) {
    let Some(trust) = resolver.trust.as_ref().filter(|trust| trust.follows()) else { return };
    let mut period = tokio::time::interval(PERIOD);
    for number in 1_u64.. {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = period.tick() => {}
        }
        for zone in trust.due(resolver.clock.now()) {
            tokio::select! {
                () = stop.cancelled() => return,
                () = look(&resolver, trust, &zone) => {}
            }
        }
        if number.is_multiple_of(SAVE_PERIODS)
            && let Err(error) = tokio::task::block_in_place(|| trust.save_states())
        {
            error!(%error, "a restart would forget what became of trust anchors");
        }
    }
}

/// Looks at the keys of one zone. The fetch ends by itself, with an error at the latest.
async fn look(resolver: &Arc<Resolver>, trust: &Trust, zone: &Name) {
    let fetched = resolver.fetch_keys(zone).await;
    if let Err(error) = &fetched {
        warn!(%zone, %error, "the keys of a trust anchor's zone cannot be fetched");
    }
    let now = resolver.clock.now();
    tokio::task::block_in_place(|| {
        let looked = trust.look(zone, fetched.as_ref().ok(), now);
        if looked.anchors_changed {
            resolver.forget_conclusions();
        }
        tell(trust, zone, &looked);
    });
}

fn tell(trust: &Trust, zone: &Name, looked: &Looked) {
    for transition in &looked.transitions {
        info!(%transition, "trust anchor");
    }
    match &looked.refused {
        Some(error) => warn!(%zone, %error, "the keys of a trust anchor's zone do not verify"),
        None => debug!(%zone, "the keys of a trust anchor's zone were looked at"),
    }
    if let Err(error) = &looked.saved {
        error!(%error, "a restart would forget what became of trust anchors");
    }
    if looked.anchors_changed && trust.basis().anchors.of_zone(zone).next().is_none() {
        error!(%zone, "every trust anchor of the zone is revoked: nothing is validated from it any more (RFC 5011 §5)");
    }
}

/// Says which anchors are used, and where they are from.
pub(super) fn log_anchors(dnssec: &DnssecConfig) {
    for ConfiguredAnchor { anchor, origin } in dnssec.anchors.iter().filter(|_| dnssec.enabled) {
        let DsAnchor { zone, key_tag, algorithm, digest_type, .. } = anchor;
        info!(%zone, key_tag, algorithm, digest_type, from = %origin, "trust anchor");
    }
}

/// Says which keys are trusted only because `trust-anchor-state` remembers them; a warning for those that were configured
/// until now.
///
/// Choice: they stay. To RFC 5011 a configured key is where following begins; what is trusted later is what the zone's keys said since
/// then, and only the zone takes a key back, by revoking it (§2.1). An operator who wants a key gone at once has to say so where it is
/// remembered.
pub(super) fn log_remembered(dnssec: &DnssecConfig, before: Option<&DnssecConfig>, trust: &Trust) {
    let vouched = |dnssec: &DnssecConfig, state: &AnchorState| {
        dnssec.anchors.iter().any(|one| one.anchor.zone == state.zone && one.anchor.vouches_for(&state.rdata))
    };
    let basis = trust.basis();
    for state in trust.anchor_states() {
        let AnchorState { zone, anchor, .. } = &state;
        if vouched(dnssec, &state) || !basis.anchors.all().contains(anchor) {
            continue;
        }
        let key_tag = anchor.key_tag;
        if before.is_some_and(|before| vouched(before, &state)) {
            warn!(%zone, key_tag, "taken out of the configuration, but still trusted: trust-anchor-state remembers the key \
                until the zone revokes it (RFC 5011); to end that now, stop, move the file away, and start");
        } else {
            info!(%zone, key_tag, "trusted though not configured: trust-anchor-state has followed the key (RFC 5011)");
        }
    }
}

/// How each anchor stands: those configured, in their order, then keys that were found by following.
pub(super) fn anchor_entries(dnssec: &DnssecConfig, trust: &Trust, now: Now) -> Vec<AnchorEntry> {
    let states = trust.anchor_states();
    let basis = trust.basis();
    let is_trusted = |anchor: &DsAnchor| basis.anchors.all().contains(anchor);
    let mut told: Vec<&AnchorState> = Vec::new();
    let mut entries = Vec::new();
    for ConfiguredAnchor { anchor, origin } in &dnssec.anchors {
        let state = states.iter().find(|state| state.zone == anchor.zone && anchor.vouches_for(&state.rdata));
        told.extend(state);
        let trusted = state.map_or(is_trusted(anchor), |state| is_trusted(&state.anchor) || is_trusted(anchor));
        entries.push(entry(anchor, origin.to_string(), trusted, state, trust, now));
    }
    for state in states.iter().filter(|state| !told.contains(state)) {
        let from = "followed".to_owned();
        entries.push(entry(&state.anchor, from, is_trusted(&state.anchor), Some(state), trust, now));
    }
    entries
}

fn entry(
    anchor: &DsAnchor,
    from: String,
    trusted: bool,
    state: Option<&AnchorState>,
    trust: &Trust,
    now: Now,
) -> AnchorEntry {
    let last = trust.last_keys(&anchor.zone, now);
    let followed = state.filter(|state| state.success_at_s > 0);
    let verified_s_ago = match (followed, &last) {
        (Some(state), _) => Some(now.unix_s.saturating_sub(state.success_at_s)),
        (None, last) => last.as_ref().map(|(_, ago_s)| *ago_s),
    };
    let seen = match (followed, &last) {
        (Some(state), _) => Some(state.is_seen()),
        (None, last) => last.as_ref().map(|(tags, _)| tags.contains(&anchor.key_tag)),
    };
    AnchorEntry {
        zone: anchor.zone.to_string(),
        key_tag: anchor.key_tag,
        algorithm: anchor.algorithm,
        digest_type: anchor.digest_type,
        from,
        trusted,
        state: state.map(|state| state.state.name().to_owned()),
        since: state.map(|state| date(state.since_s)),
        until: state.filter(|state| state.until_s > 0).map(|state| date(state.until_s)),
        seen,
        verified_s_ago,
        next_look_s: state.map(|state| state.next_look_at_s.saturating_sub(now.unix_s)),
    }
}
