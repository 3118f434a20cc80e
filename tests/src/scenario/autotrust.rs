//! Trust anchors that are followed (RFC 5011) in a scenario.
//!
//! In: the keys that a script starts from, and what Unbound's state file should hold. Out: a [`Trust`] that follows them, and the first
//! key whose state is another one. Of Unbound's file, keys and their states are compared: how often its own timers have fired is not
//! ours to match. A configured key that was never seen in a verified set is trusted, so it counts as valid. A key that has been missing
//! for a year may be left out: RFC 5011 §4.2 keeps it trusted, Unbound forgets it by an option of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use data_encoding::BASE64;
use resolver_user::clock::{NS_PER_S, Now};
use resolver_user::resolve::Resolver;
use resolver_user::trust::{Followed, KeyState, StateError, Timing, Trust, date};

use super::check::Difference;
use super::record::{Record, name_text};

/// DNSKEY.
const DNSKEY: u16 = 48;
/// Flag of a key that signs keys, low byte of the flags.
const SECURE_ENTRY_POINT: u8 = 0x01;
/// Flag of a revoked key, low byte of the flags.
const REVOKED: u8 = 0x80;
/// How long Unbound keeps a missing key, in seconds.
const MISSING_KEPT_S: u64 = 366 * 86_400;

/// A key of Unbound's file.
struct Line {
    zone: String,
    /// RDATA without the revoke flag.
    rdata: Vec<u8>,
    /// Its state; none in a file that only says what is trusted.
    state: Option<KeyState>,
    /// Since when, in seconds since 1970.
    since_s: u64,
}

/// Has a trust follow its anchors, with the times of the RFC and its state in a folder. What became of them before the script begins is
/// taken from the lines of Unbound's file.
///
/// # Errors
/// The state file cannot be made or read.
pub fn follow(trust: &Trust, lines: &[String], folder: &Path) -> Result<(), StateError> {
    let path = folder.join("state");
    let text = state_of(lines);
    std::fs::write(&path, text).map_err(|source| StateError::Unwritable { path: path.clone(), source })?;
    trust.follow(Followed::open(path, Timing::RFC)?);
    Ok(())
}

/// Our state file for what Unbound's says.
fn state_of(lines: &[String]) -> String {
    let value = |name: &str| {
        let line = lines.iter().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let time = |time_s: Option<u64>| time_s.filter(|time_s| *time_s > 0).map_or_else(|| "-".to_owned(), date);
    let keys: Vec<Line> =
        lines.iter().filter_map(|line| Line::read(line)).filter(|line| line.state.is_some()).collect();
    let mut text = "version 1\n".to_owned();
    let mut zone = "";
    for key in &keys {
        let (Some(state), [f0, f1, protocol, algorithm, public @ ..]) = (key.state, &key.rdata[..]) else { continue };
        if key.zone != zone {
            zone = &key.zone;
            let (success, next) = (time(value(";;last_success: ")), time(value(";;next_probe_time: ")));
            let retry = value(";;retry_time: ").unwrap_or_default();
            // Writing to a string cannot fail.
            let _infallible = writeln!(text, "zone {zone} success {success} next {next} retry {retry}");
        }
        let until_s = (state == KeyState::AddPend).then(|| key.since_s.saturating_add(Timing::RFC.add_hold_down_s));
        let _infallible = writeln!(
            text,
            "key {} since {} until {} DNSKEY {} {protocol} {algorithm} {}",
            state.name(),
            time(Some(key.since_s)),
            time(until_s),
            u16::from_be_bytes([*f0, *f1]),
            BASE64.encode(public),
        );
    }
    text.push_str("end\n");
    text
}

/// Whether a line of the first file is an anchor to start from: a DS, or a key that signs keys and is trusted.
pub fn is_anchor(line: &str, record: &Record) -> bool {
    let is_trusted = |state: KeyState| matches!(state, KeyState::Valid | KeyState::Missing);
    let is_key_signing =
        record.rdata.get(1).is_some_and(|flags| flags & (SECURE_ENTRY_POINT | REVOKED) == SECURE_ENTRY_POINT);
    record.rtype != DNSKEY || is_key_signing && Line::read(line).and_then(|line| line.state).is_none_or(is_trusted)
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

/// Seconds until the next look; none if there will be none.
pub fn next_look_s(resolver: &Resolver) -> Option<u64> {
    let trust = resolver.trust.as_ref().filter(|trust| trust.follows())?;
    let now = resolver.clock.now();
    let is_due = |after_s: u64| {
        let boot_ns = now.boot_ns.saturating_add(after_s.saturating_mul(NS_PER_S));
        !trust.due(Now { unix_s: now.unix_s.saturating_add(after_s), boot_ns }).is_empty()
    };
    // The first second at which something is due, by halves.
    let (mut early, mut late) = (0, Timing::RFC.refresh_s_max);
    if !is_due(late) {
        return None;
    }
    while early < late {
        let middle = early + (late - early) / 2;
        if is_due(middle) { late = middle } else { early = middle + 1 }
    }
    Some(late)
}

/// Compares the keys that are followed with the lines of Unbound's file; `configured` are those that the script starts from.
///
/// # Errors
/// What differs.
pub fn check(resolver: &Resolver, configured: &[String], lines: &[String]) -> Result<(), Difference> {
    // A file that was never written anew says what is trusted, and nothing of states.
    let trusted = |line: &String| record_of(line).filter(|record| is_anchor(line, record)).map(|_| KeyState::Valid);
    let named = |line: &String| {
        let read = Line::read(line)?;
        Some((read.rdata, read.state.or_else(|| trusted(line))?.name()))
    };
    let expected: BTreeMap<_, _> = lines.iter().filter_map(named).collect();
    let now_s = resolver.clock.now().unix_s;
    let states: Vec<_> = resolver.trust.iter().flat_map(Trust::anchor_states).collect();
    let is_forgotten = |rdata: &[u8], state: KeyState, since_s: u64| {
        state == KeyState::Removed
            || state == KeyState::Missing && since_s + MISSING_KEPT_S <= now_s && !expected.contains_key(rdata)
    };
    let mut seen: BTreeMap<_, _> = states
        .iter()
        .filter(|state| !is_forgotten(&state.rdata, state.state, state.since_s))
        .map(|state| (state.rdata.to_vec(), state.state.name()))
        .collect();
    for line in configured {
        let Some(record) = record_of(line).filter(|record| record.rtype == DNSKEY && is_anchor(line, record)) else {
            continue;
        };
        if !states.iter().any(|state| *state.rdata == *record.rdata) {
            seen.insert(record.rdata, KeyState::Valid.name());
        }
    }
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

/// The record of a line without what is behind a semicolon.
fn record_of(line: &str) -> Option<Record> {
    Record::read(line.split(';').next()?).ok()
}

impl Line {
    fn read(line: &str) -> Option<Self> {
        let mut key = record_of(line).filter(|record| record.rtype == DNSKEY)?;
        let behind = |name: &str| line.split(name).nth(1);
        let state = match behind(";;state=").and_then(|text| text.chars().next()) {
            Some('1') => Some(KeyState::AddPend),
            Some('2') => Some(KeyState::Valid),
            Some('3') => Some(KeyState::Missing),
            Some('4') => Some(KeyState::Revoked),
            Some('5') => Some(KeyState::Removed),
            _ => None,
        };
        let since_s = behind(";;lastchange=")
            .and_then(|text| text.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok());
        if let Some(flags) = key.rdata.get_mut(1).filter(|_| state.is_some()) {
            *flags &= !REVOKED;
        }
        Some(Self { zone: name_text(&key.owner), rdata: key.rdata, state, since_s: since_s.unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "example.com. 10800 IN DNSKEY 385 3 15 AAAA";

    #[test]
    fn a_state_of_unbounds_is_one_of_ours() {
        let lines = [
            ";;last_success: 1258962400 ;;Mon".to_owned(),
            ";;next_probe_time: ${0} ;;".to_owned(),
            ";;retry_time: 3600".to_owned(),
            format!("{KEY} ;{{id = 1}} ;;state=4 [ REVOKED ] ;;count=0 ;;lastchange=1258962400 ;;Mon"),
            "example.com. 10800 IN DNSKEY 257 3 15 BBBB ;;state=1 [ ADDPEND ] ;;count=1 ;;lastchange=1258962400"
                .to_owned(),
        ];
        let text = state_of(&lines);
        let expected = "version 1\nzone example.com. success 2009-11-23T07:46:40Z next - retry 3600\n\
                        key revoked since 2009-11-23T07:46:40Z until - DNSKEY 257 3 15 AAAA\n\
                        key add-pending since 2009-11-23T07:46:40Z until 2009-12-23T07:46:40Z DNSKEY 257 3 15 BBBB\nend\n";
        assert_eq!(text, expected);
        let is_anchor = |line: &str| is_anchor(line, &record_of(line).unwrap());
        assert!(!is_anchor(&lines[3]) && !is_anchor(&lines[4]), "neither is trusted");
        assert!(is_anchor("example.com. 10800 IN DNSKEY 257 3 15 AAAA"));
        assert!(!is_anchor(KEY) && !is_anchor("example.com. 10800 IN DNSKEY 256 3 15 AAAA"));
    }
}
