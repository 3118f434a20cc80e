//! No answer is torn or foreign while slots are reused at full speed; and without grace periods some are, or the hammer could
//! not have seen one. The long run is `cargo xtask bench hammer --hits 1e9`.

use std::time::Duration;

use resolver_tests::hammer::{ANVILS, Limit, Reuse, strike};

#[test]
fn no_answer_is_torn_or_foreign_while_slots_are_reused_at_full_speed() {
    for anvil in ANVILS {
        let struck = strike(anvil, Reuse::AfterGrace, limit(12, u64::MAX));
        assert_eq!(struck.broken(), 0, "{struck:?}");
        assert!(struck.versions_written > 10_000 && struck.answered > 1_000_000, "{struck:?}");
    }
}

#[test]
fn without_the_grace_period_the_hammer_sees_broken_answers() {
    for anvil in ANVILS {
        let struck = strike(anvil, Reuse::AtOnce, limit(15, BROKEN_MIN));
        assert!(struck.broken() >= BROKEN_MIN, "the hammer is too soft to prove anything: {struck:?}");
    }
}

fn limit(seconds: u64, broken: u64) -> Limit {
    Limit { duration: Duration::from_secs(seconds), broken, answered: u64::MAX }
}

/// Broken answers that the control has to see at least: many more than one, so that the absence of any is no luck.
const BROKEN_MIN: u64 = 20;
