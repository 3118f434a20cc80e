//! Trust anchors that are followed (RFC 5011) in a scenario.
//!
//! In: the keys that a script starts from, and what Unbound's state file should hold. Out: a [`Trust`] that follows them, and the first
//! key whose state is another one. Of Unbound's file, keys and their states are compared: times of its own timers are not ours.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use resolver_user::resolve::Resolver;
use resolver_user::trust::{Followed, KeyState, StateError, Timing, Trust};

use super::check::Difference;
use super::record::Record;

/// DNSKEY.
const DNSKEY: u16 = 48;
/// Flag of a key that signs keys, low byte of the flags.
const SECURE_ENTRY_POINT: u8 = 0x01;
/// Flag of a revoked key, low byte of the flags.
const REVOKED: u8 = 0x80;

/// Has a trust follow its anchors, with the times of the RFC and its state in a folder.
///
/// # Errors
/// The state file cannot be made.
pub fn follow(trust: &Trust, folder: &Path) -> Result<(), StateError> {
    trust.follow(Followed::open(folder.join("state"), Timing::RFC)?);
    Ok(())
}

/// Whether a line of the first file is an anchor to start from: a key that signs keys, or a DS.
pub fn is_anchor(record: &Record) -> bool {
    record.rtype != DNSKEY
        || record.rdata.get(1).is_some_and(|flags| flags & (SECURE_ENTRY_POINT | REVOKED) == SECURE_ENTRY_POINT)
}

/// Looks at the keys of every zone that is due.
pub async fn look(resolver: &Arc<Resolver>) {
    let Some(trust) = resolver.trust.as_ref().filter(|trust| trust.follows()) else { return };
    for zone in trust.due(resolver.clock.now()) {
        let fetched = resolver.fetch_keys(&zone).await;
        if trust.look(&zone, fetched.as_ref().ok(), resolver.clock.now()).anchors_changed {
            resolver.forget_conclusions();
        }
    }
}

/// Seconds until the next look.
pub fn next_look_s(resolver: &Resolver) -> Option<u64> {
    let states = resolver.trust.as_ref()?.anchor_states();
    let next = states.iter().map(|state| state.next_look_at_s).min()?;
    Some(next.saturating_sub(resolver.clock.now().unix_s))
}

/// Compares the keys that are followed with the lines of Unbound's file.
///
/// # Errors
/// What differs.
pub fn check(resolver: &Resolver, lines: &[String]) -> Result<(), Difference> {
    let expected: BTreeMap<_, _> = lines.iter().filter_map(|line| key_of(line)).collect();
    let states = resolver.trust.iter().flat_map(Trust::anchor_states);
    let seen: BTreeMap<_, _> = states
        .filter(|state| state.state != KeyState::Removed)
        .map(|state| (state.rdata.to_vec(), state.state.name()))
        .collect();
    if expected == seen {
        return Ok(());
    }
    let told = |keys: &BTreeMap<Vec<u8>, &str>| {
        let keys: Vec<String> = keys
            .iter()
            .map(|(key, state)| format!("{:02x?} {state}", key.iter().skip(4).take(6).collect::<Vec<_>>()))
            .collect();
        keys.join(", ")
    };
    Err(Difference { what: "followed keys", expected: told(&expected), seen: told(&seen) })
}

/// A key's RDATA without the revoke flag, and our name of its state.
fn key_of(line: &str) -> Option<(Vec<u8>, &'static str)> {
    let mut key = Record::read(line.split(';').next()?).ok().filter(|record| record.rtype == DNSKEY)?;
    let state = match line.split(";;state=").nth(1)?.chars().next()? {
        '1' => KeyState::AddPend,
        '2' => KeyState::Valid,
        '3' => KeyState::Missing,
        '4' => KeyState::Revoked,
        _ => return None,
    };
    if let Some(flags) = key.rdata.get_mut(1) {
        *flags &= !REVOKED;
    }
    Some((key.rdata, state.name()))
}
