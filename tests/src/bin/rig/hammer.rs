//! `rig hammer HITS`: answers are checked byte by byte while their slots are reused at full speed, until so many were.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use resolver_tests::hammer::{ANVILS, Limit, Reuse, strike};
use xtask::bench::report::{Line, Measured};

use super::say;

/// Strikes each anvil for its share of the hits.
pub fn run(hits: f64) -> ExitCode {
    let share = (hits / ANVILS.len() as f64).ceil();
    let mut is_whole = true;
    for (anvil, case) in ANVILS.into_iter().zip(["hammer-one-name", "hammer-three-names"]) {
        let limit = Limit { hits: share as u64, duration: Duration::MAX, broken: u64::MAX };
        let start = Instant::now();
        let struck = strike(anvil, Reuse::AfterGrace, limit);
        let took_s = start.elapsed().as_secs_f64();
        is_whole &= struck.broken() == 0;
        let figure = |metric: &str, unit: &str, value: f64, least: f64| Measured {
            unit: unit.to_owned(),
            ours: vec![value],
            baseline_name: "wanted".to_owned(),
            baseline: vec![least],
            ..Measured::new(case, metric)
        };
        say(&Line::Measured(figure("checked_answers", "answers", struck.answered as f64, share)));
        let reuses = struck.versions_written as f64 / took_s;
        say(&Line::Measured(figure("slots_reused_per_s", "1/s", reuses, REUSES_PER_S_MIN)));
        if let Some(example) = struck.example {
            say(&Line::Note(format!("{case}: {} answers torn, {} foreign: {example}", struck.torn, struck.foreign)));
        }
    }
    if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the writer at least has to do beside the reader for the hammer to be one.
const REUSES_PER_S_MIN: f64 = 10_000.0;
