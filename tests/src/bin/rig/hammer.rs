//! `rig hammer HITS`: answers are checked byte by byte while their slots are reused at full speed, until so many were.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use resolver_tests::hammer::{ANVILS, Limit, Reuse, strike};
use resolver_tests::rig::place::move_to_cpu;
use xtask::bench::report::{Line, Measured};

use super::say;

/// Strikes each anvil for its share of the hits.
pub fn run(hits: f64) -> ExitCode {
    // The writer, on a thread of its own, takes the other one.
    move_to_cpu(0);
    let share = (hits / ANVILS.len() as f64).ceil();
    let mut is_whole = true;
    for (anvil, case) in ANVILS.into_iter().zip(["hammer-one-name", "hammer-three-names"]) {
        let limit = Limit { duration: Duration::MAX, broken: u64::MAX, answered: share as u64 };
        let start = Instant::now();
        let struck = strike(anvil, Reuse::AfterGrace, limit);
        let took_s = start.elapsed().as_secs_f64();
        is_whole &= struck.broken() == 0;
        let figure = |metric: &str, unit: &str, value: f64, goal: f64| Measured {
            unit: unit.to_owned(),
            ours: vec![value],
            baseline_name: "goal".to_owned(),
            baseline: vec![goal],
            ..Measured::new(case, metric)
        };
        say(&Line::Measured(figure("checked_answers", "answers", struck.answered as f64, share)));
        let reuses = struck.versions_written as f64 / took_s;
        say(&Line::Measured(figure("slots_reused_per_s", "1/s", reuses, 100_000.0)));
        if let Some(example) = struck.example {
            say(&Line::Note(format!("{case}: {} answers torn, {} foreign: {example}", struck.torn, struck.foreign)));
        }
    }
    if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
