//! No answer is torn or foreign while slots are reused at full speed; and without grace periods some are, or the hammer could
//! not have seen one. The long run is `cargo xtask bench hammer --hits 1e9`.

use std::time::Duration;

use resolver_tests::hammer::{ANVILS, Limit, Reuse, strike};

#[test]
fn no_answer_is_torn_or_foreign_while_slots_are_reused_at_full_speed() {
    for anvil in ANVILS {
        let limit = Limit { hits: HITS_MIN, duration: Duration::from_secs(120), broken: u64::MAX };
        let struck = strike(anvil, Reuse::AfterGrace, limit);
        assert_eq!(struck.broken(), 0, "{struck:?}");
        assert!(struck.versions_written > 10_000 && struck.answered >= HITS_MIN, "{struck:?}");
    }
}

#[test]
fn without_the_grace_period_the_hammer_sees_broken_answers() {
    for anvil in ANVILS {
        let limit = Limit { hits: u64::MAX, duration: Duration::from_secs(60), broken: BROKEN_MIN };
        let struck = strike(anvil, Reuse::AtOnce, limit);
        assert!(struck.broken() >= BROKEN_MIN, "the hammer is too soft to prove anything: {struck:?}");
    }
}

/// Answers that are looked at.
const HITS_MIN: u64 = 1_000_000;
/// Broken answers that the control has to see at least: many more than one, so that the absence of any is no luck.
const BROKEN_MIN: u64 = 20;
