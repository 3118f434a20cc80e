//! Claims of RFC 5011, by section; times are in days of its own hold-down.

use super::*;
use crate::validator::EntryKey;

const NOW_S: u64 = 1_750_000_000;

/// RDATA of a made-up key.
fn key(number: u8) -> Box<[u8]> {
    let rdata: Vec<u8> = [1, 1, 3, 15].into_iter().chain([number; 32]).collect();
    rdata.into()
}

fn zone() -> Name {
    Name::root()
}

fn configured(numbers: &[u8]) -> Vec<DsAnchor> {
    numbers.iter().map(|number| DsAnchor::of_key(&zone(), &key(*number)).unwrap()).collect()
}

/// A set with these keys; `-n` is key `n` with the revoke flag.
fn set(numbers: &[i8]) -> KeySet {
    let keys = numbers.iter().map(|number| EntryKey { rdata: key(number.unsigned_abs()), is_revoked: *number < 0 });
    KeySet { keys: keys.collect(), original_ttl_s: 172_800, signature_left_s: 1_000_000 }
}

/// The life of the keys of one zone.
struct Life {
    point: TrustPoint,
    configured: Vec<DsAnchor>,
}

impl Life {
    /// Key 1 is configured and was seen on day 0.
    fn new() -> Self {
        let mut life = Self { point: TrustPoint::new(zone()), configured: configured(&[1]) };
        life.see(0, &[1]);
        life
    }

    /// A verified set on a day, in which all revocations are proven.
    fn see(&mut self, day: u64, numbers: &[i8]) {
        self.see_at(NOW_S + day * DAY_S, numbers);
    }

    fn see_at(&mut self, now_s: u64, numbers: &[i8]) {
        let revoked: Vec<Box<[u8]>> = numbers.iter().filter(|n| **n < 0).map(|n| key(n.unsigned_abs())).collect();
        self.point.revoke(&revoked, &self.configured, now_s);
        self.point.observe(&set(numbers), &self.configured, now_s, &Timing::RFC);
    }

    /// State of a key by its number; none: `Start`.
    fn state(&self, number: u8) -> Option<KeyState> {
        self.point.keys.iter().find(|followed| followed.rdata == key(number)).map(|followed| followed.state)
    }

    /// Numbers of the keys that anchors vouch for.
    fn trusted(&self) -> Vec<u8> {
        let anchors = self.point.anchors(&self.configured);
        (1..10).filter(|number| anchors.iter().any(|anchor| anchor.vouches_for(&key(*number)))).collect()
    }
}

/// A key's way: days, what was seen, and the state of key 2 after it.
type Way<'a> = &'a [(u64, &'a [i8], Option<KeyState>)];

#[track_caller]
fn check(way: Way<'_>) {
    let mut life = Life::new();
    for (day, seen, expected) in way {
        life.see(*day, seen);
        assert_eq!(life.state(2), *expected, "day {day}, {seen:?}");
    }
}

mod section_4_1_events {
    use super::*;

    const PENDING: Option<KeyState> = Some(KeyState::AddPend);
    const VALID: Option<KeyState> = Some(KeyState::Valid);
    const MISSING: Option<KeyState> = Some(KeyState::Missing);
    const REVOKED: Option<KeyState> = Some(KeyState::Revoked);
    const REMOVED: Option<KeyState> = Some(KeyState::Removed);

    #[test]
    fn new_key_and_add_time() {
        check(&[(1, &[1, 2], PENDING), (30, &[1, 2], PENDING), (31, &[1, 2], VALID)]);
    }

    #[test]
    fn a_pending_key_that_is_removed_begins_anew() {
        check(&[
            (1, &[1, 2], PENDING),
            (29, &[1], None),
            (30, &[1, 2], PENDING),
            (59, &[1, 2], PENDING),
            (60, &[1, 2], VALID),
        ]);
    }

    #[test]
    fn a_valid_key_that_is_removed_is_missing_for_ever_and_comes_back() {
        check(&[
            (1, &[1, 2], PENDING),
            (31, &[1, 2], VALID),
            (32, &[1], MISSING),
            (900, &[1], MISSING),
            (901, &[1, 2], VALID),
        ]);
    }

    #[test]
    fn a_revoked_key_is_removed_once_it_was_not_seen_for_long_enough() {
        check(&[
            (1, &[1, 2], PENDING),
            (31, &[1, 2], VALID),
            (40, &[1, -2], REVOKED),
            (60, &[1, -2], REVOKED),
            (80, &[1], REVOKED),
            (90, &[1], REMOVED),
        ]);
    }

    #[test]
    fn a_missing_and_a_pending_key_can_be_revoked() {
        check(&[(1, &[1, 2], PENDING), (31, &[1, 2], VALID), (32, &[1], MISSING), (33, &[1, -2], REVOKED)]);
        check(&[(1, &[1, 2], PENDING), (2, &[1, -2], REVOKED), (3, &[1, 2], REVOKED)]);
    }

    #[test]
    fn a_key_that_was_never_followed_cannot_begin_revoked() {
        check(&[(1, &[1, -2], None)]);
    }

    #[test]
    fn a_configured_key_that_is_first_seen_revoked_is_revoked() {
        let mut life = Life { point: TrustPoint::new(zone()), configured: configured(&[1, 2]) };
        assert_eq!(life.trusted(), [1, 2]);
        life.see(0, &[1, -2]);
        assert_eq!((life.state(2), life.trusted()), (REVOKED, vec![1]));
        life.see(1, &[1, 2]);
        assert_eq!((life.state(2), life.trusted()), (REVOKED, vec![1]), "it may not come back");
    }

    #[test]
    fn a_revoke_flag_without_proof_only_makes_the_key_missing() {
        let mut life = Life::new();
        life.point.observe(&set(&[-1]), &life.configured, NOW_S + DAY_S, &Timing::RFC);
        assert_eq!(life.state(1), Some(KeyState::Missing));
        assert_eq!(life.trusted(), [1]);
    }
}

mod section_2_1_revocation {
    use super::*;

    #[test]
    fn revocation_is_immediate_and_permanent_whatever_is_configured() {
        let mut life = Life::new();
        life.see(1, &[1, 2]);
        life.see(31, &[1, 2]);
        assert_eq!(life.trusted(), [1, 2]);
        life.see(32, &[-1, 2]);
        assert_eq!((life.state(1), life.trusted()), (Some(KeyState::Revoked), vec![2]));
        for day in [33, 70, 400] {
            life.see(day, &[1, 2]);
            assert_eq!(life.trusted(), [2], "day {day}: the configured anchor does not bring it back");
        }
        life.see(500, &[2]);
        assert_eq!((life.state(1), life.trusted()), (Some(KeyState::Removed), vec![2]));
        life.see(501, &[1, 2]);
        assert_eq!((life.state(1), life.trusted()), (Some(KeyState::Removed), vec![2]));
    }

    #[test]
    fn revocation_needs_no_set_that_verifies() {
        let mut life = Life::new();
        let transitions = life.point.revoke(&[key(1)], &life.configured, NOW_S);
        assert_eq!(transitions[0].to_string(), format!(". {}: valid to revoked", life.point.keys[0].tag().unwrap()));
        assert!(life.trusted().is_empty());
    }
}

mod section_2_2_add_hold_down {
    use super::*;

    #[test]
    fn it_lasts_thirty_days_to_the_second() {
        let mut life = Life::new();
        life.see_at(NOW_S, &[1, 2]);
        life.see_at(NOW_S + 30 * DAY_S - 1, &[1, 2]);
        assert_eq!(life.trusted(), [1]);
        life.see_at(NOW_S + 30 * DAY_S, &[1, 2]);
        assert_eq!(life.trusted(), [1, 2]);
    }

    #[test]
    fn it_lasts_as_long_as_the_original_ttl_if_that_is_longer() {
        let mut life = Life::new();
        let long = KeySet { original_ttl_s: 40 * 86_400, ..set(&[1, 2]) };
        life.point.observe(&long, &life.configured, NOW_S, &Timing::RFC);
        life.see(39, &[1, 2]);
        assert_eq!(life.trusted(), [1]);
        life.see(40, &[1, 2]);
        assert_eq!(life.trusted(), [1, 2]);
    }

    #[test]
    fn its_end_alone_does_not_make_a_key_trusted() {
        let mut life = Life::new();
        life.see(1, &[1, 2]);
        life.point.fail(NOW_S + 50 * DAY_S, &Timing::RFC);
        assert_eq!(life.trusted(), [1], "no set was verified since");
    }

    #[test]
    fn a_clock_that_goes_back_waits_longer() {
        let mut life = Life::new();
        life.see(10, &[1, 2]);
        life.see(0, &[1, 2]);
        life.see(39, &[1, 2]);
        assert_eq!(life.trusted(), [1]);
    }
}

mod section_2_3_active_refresh {
    use super::*;

    /// Original TTL, time left of the signature, and the wait after a success and after a failure.
    #[test]
    fn intervals_follow_ttl_and_signature_within_their_bounds() {
        for (ttl_s, left_s, refresh_s, retry_s) in [
            (172_800, 1_000_000, 86_400, 17_280),
            (172_800, 60_000, 30_000, 6000),
            (60, 1_000_000, 3600, 3600),
            (10_000_000, 10_000_000, 15 * DAY_S, DAY_S),
            (10_000_000, 0, 3600, 3600),
        ] {
            let mut life = Life::new();
            let seen = KeySet { original_ttl_s: ttl_s, signature_left_s: left_s, ..set(&[1]) };
            life.point.observe(&seen, &life.configured, NOW_S, &Timing::RFC);
            assert_eq!(life.point.next_look_at_s - NOW_S, refresh_s, "{ttl_s}, {left_s}");
            life.point.fail(NOW_S, &Timing::RFC);
            assert_eq!(life.point.next_look_at_s - NOW_S, retry_s, "{ttl_s}, {left_s}");
        }
    }

    #[test]
    fn a_look_is_due_at_once_then_in_time_and_never_later_than_any_interval() {
        let mut point = TrustPoint::new(zone());
        assert!(point.is_due(NOW_S, &Timing::RFC));
        point.fail(NOW_S, &Timing::RFC);
        assert!(!point.is_due(NOW_S + 3599, &Timing::RFC) && point.is_due(NOW_S + 3600, &Timing::RFC));
        point.next_look_at_s = NOW_S + 400 * DAY_S;
        assert!(point.is_due(NOW_S, &Timing::RFC), "the clock was wrong when this was noted");
    }
}

mod section_2_4_3_minimum_trust_anchors {
    use super::*;

    #[test]
    fn five_keys_and_more_are_followed_but_not_any_number() {
        let mut life = Life::new();
        for day in [1, 31] {
            life.see(day, &[1, 2, 3, 4, 5, 6]);
        }
        assert_eq!(life.trusted(), [1, 2, 3, 4, 5, 6]);
        let many: Vec<i8> = (1..127).collect();
        life.see(32, &many);
        assert_eq!(life.point.keys.len(), KEYS_MAX);
    }

    #[test]
    fn removed_keys_make_room_unless_a_configured_anchor_would_bring_them_back() {
        let mut life = Life::new();
        let first: Vec<i8> = (1..=64).collect();
        life.see(1, &first);
        let revoked: Vec<i8> = (1..=64).map(|number| if number <= 2 { -number } else { number }).collect();
        life.see(2, &revoked);
        life.see(40, &first[2..]);
        assert_eq!((life.state(1), life.state(2)), (Some(KeyState::Removed), Some(KeyState::Removed)));
        life.see(41, &(3..=65).collect::<Vec<i8>>());
        assert_eq!((life.state(1), life.state(2)), (Some(KeyState::Removed), None), "1 is configured");
        assert_eq!(life.state(65), Some(KeyState::AddPend));
    }

    #[test]
    fn keys_in_use_come_before_those_that_are_missing() {
        let mut life = Life::new();
        life.see(1, &[1, 2, 3]);
        life.see(31, &[1, 2, 3]);
        life.see(32, &[2, 3]);
        let anchors = life.point.anchors(&life.configured);
        let order: Vec<u8> =
            anchors.iter().filter_map(|anchor| (1..4).find(|number| anchor.vouches_for(&key(*number)))).collect();
        assert_eq!(order, [3, 2, 1]);
    }
}

mod section_5_trust_point_deletion {
    use super::*;

    #[test]
    fn with_every_anchor_revoked_the_zone_is_not_anchored_any_more() {
        let mut life = Life::new();
        life.configured = configured(&[1, 2]);
        life.see(1, &[-1]);
        assert_eq!(life.trusted(), [2], "the other configured anchor was never seen, and stays");
        life.see(2, &[-1, 2]);
        life.see(3, &[-1, -2]);
        assert_eq!(life.point.anchors(&life.configured), []);
    }
}

#[test]
fn a_configured_anchor_becomes_a_key_with_the_first_set_and_one_added_later_ends_the_wait() {
    let mut life = Life::new();
    assert_eq!(life.state(1), Some(KeyState::Valid));
    life.see(1, &[1, 2]);
    assert_eq!(life.trusted(), [1]);
    life.configured = configured(&[1, 2]);
    assert_eq!(life.trusted(), [1, 2], "the operator's word counts at once");
    life.see(2, &[1, 2]);
    assert_eq!(life.state(2), Some(KeyState::Valid));
}
