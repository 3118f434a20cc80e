//! Holds the figures of a run against those of an earlier one.
//!
//! In: two reports. Out: lines for people, and by how much the worst case is worse. What is compared are ratios to baselines
//! that were measured in the same run, so that two machines, or two moods of one, can be compared at all.

use super::report::{Figure, Report};

/// What came of a comparison.
#[derive(Debug, Default)]
pub struct Comparison {
    /// For people.
    pub lines: Vec<String>,
    /// Cases that are worse beyond the spread of both, each with its loss in percent.
    pub worse: Vec<(String, f64)>,
}

/// How two figures stand to each other. Each is a range of ratios to its own baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Every run is better than every earlier one.
    Better,
    /// The ranges overlap.
    WithinSpread,
    /// Every run is worse than every earlier one.
    Worse,
}

/// Holds a report against an earlier one, case by case.
pub fn compare(now: &Report, then: &Report) -> Comparison {
    let of =
        |report: &Report| format!("{} on {}, {}", report.machine.commit, report.machine.cpu, report.machine.kernel);
    let mut comparison = Comparison::default();
    comparison.lines.push(format!("then: {} ({})", of(then), then.machine.date));
    comparison.lines.push(format!("now:  {}", of(now)));
    comparison
        .lines
        .push(format!("{:<26} {:<20} {:>8} {:>8} {:>8}  least to most", "case", "metric", "then", "now", "now/then"));
    for now in &now.results {
        let same = |figure: &&Figure| (&figure.rig, &figure.case, &figure.metric) == (&now.rig, &now.case, &now.metric);
        let Some(then) = then.results.iter().find(same) else {
            comparison.lines.push(format!("{:<26} {:<20} {:>8} {:>8.3}", now.case, now.metric, "-", now.ratio));
            continue;
        };
        let mark = match change(now, then) {
            Change::Better => "  better, beyond the spread",
            Change::Worse => "  WORSE, beyond the spread",
            Change::WithinSpread => "",
        };
        comparison.lines.push(format!(
            "{:<26} {:<20} {:>8.3} {:>8.3} {:>8.3}  {:.3} to {:.3}{mark}",
            now.case,
            now.metric,
            then.ratio,
            now.ratio,
            now.ratio / then.ratio,
            now.ratio_min / then.ratio_max,
            now.ratio_max / then.ratio_min,
        ));
        if change(now, then) == Change::Worse {
            let share = if now.is_less_better { then.ratio / now.ratio } else { now.ratio / then.ratio };
            comparison.worse.push((format!("{} {}", now.case, now.metric), (1.0 - share) * 100.0));
        }
    }
    comparison
}

fn change(now: &Figure, then: &Figure) -> Change {
    let (above, below) = (now.ratio_min > then.ratio_max, now.ratio_max < then.ratio_min);
    match (above, below, now.is_less_better) {
        (true, _, false) | (_, true, true) => Change::Better,
        (true, _, true) | (_, true, false) => Change::Worse,
        (false, false, _) => Change::WithinSpread,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::{Machine, Measured};

    fn report(ours: &[f64], is_less_better: bool) -> Report {
        let text = String::new;
        let machine = Machine {
            kernel: text(),
            cpu: text(),
            driver: text(),
            xdp_mode: text(),
            tools: Vec::new(),
            commit: text(),
            date: text(),
        };
        let measured = Measured {
            ours: ours.to_vec(),
            baseline_name: "reflector".to_owned(),
            baseline: vec![5e6; ours.len()],
            is_less_better,
            ..Measured::new("hot-do0-v4", "answers_per_s")
        };
        Report { machine, results: measured.figure("fastpath").into_iter().collect(), curves: Vec::new() }
    }

    #[test]
    fn only_a_change_beyond_the_spread_is_flagged_and_the_direction_is_the_metric_s() {
        for is_less_better in [false, true] {
            let then = report(&[3e6, 2.9e6, 3.1e6], is_less_better);
            for (now, change) in [(3.05e6, ""), (3.2e6, "more"), (2.4e6, "less")] {
                let compared = compare(&report(&[now], is_less_better), &then);
                let line = compared.lines.last().unwrap();
                let is_better = (change == "more") != is_less_better;
                let mark = if change.is_empty() {
                    ""
                } else if is_better {
                    "better"
                } else {
                    "WORSE"
                };
                assert!(line.contains(mark) && line.contains("spread") != mark.is_empty(), "{line}");
                assert_eq!(compared.worse.len(), usize::from(mark == "WORSE"));
            }
        }
    }

    #[test]
    fn a_loss_is_told_in_percent() {
        let compared = compare(&report(&[2.4e6], false), &report(&[3e6], false));
        assert!((compared.worse[0].1 - 20.0).abs() < 0.1, "{:?}", compared.worse);
    }
}
