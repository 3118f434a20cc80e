//! The figures of a run: their shape in JSON, which outlives us, and how two runs are compared.
//!
//! In: rates as a rig measured them. Out: a [`Report`]; or lines that say what changed since another one.

use serde::{Deserialize, Serialize};

/// A run of a rig.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Where and with what.
    pub machine: Machine,
    /// One for each case, in the order in which they were measured.
    pub results: Vec<Figure>,
}

/// Without these a figure is not a figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Release of the kernel.
    pub kernel: String,
    /// Model and number of CPUs.
    pub cpu: String,
    /// Driver of the interfaces.
    pub driver: String,
    /// `native` or `generic`.
    pub xdp_mode: String,
    /// Load tool and compilers, with versions.
    pub tools: Vec<String>,
    /// Commit that was measured; ends in `+changes` when the checkout differs from it.
    pub commit: String,
    /// UTC, ISO 8601.
    pub date: String,
}

/// The rates of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Name of the rig.
    pub rig: String,
    /// Stable name of the case.
    pub case: String,
    /// What is counted.
    pub metric: String,
    /// Unit of `median`, `min` and `max`.
    pub unit: String,
    /// Median of all runs.
    pub median: f64,
    /// Least of all runs.
    pub min: f64,
    /// Greatest of all runs.
    pub max: f64,
    /// Number of runs.
    pub runs: usize,
    /// What it is held against.
    pub baseline: Baseline,
    /// Median of the ratios of each run to the baseline's run before it. Choice: not the ratio of the medians, since what
    /// disturbs a shared machine lasts longer than a run and so disturbs both of a pair.
    pub ratio: f64,
    /// Least of these ratios.
    pub ratio_min: f64,
    /// Greatest of these ratios.
    pub ratio_max: f64,
    /// Runs that were not counted, since frames were lost or wrongly answered; of both, and each was taken again.
    pub void_runs: usize,
}

/// What a case is held against, measured in turns with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// What ran.
    pub name: String,
    /// Median of its runs, in the unit of the figure.
    pub median: f64,
}

/// What a rig says of a case, one line of JSON each.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    /// Stable name of the case.
    pub case: String,
    /// What is counted.
    pub metric: String,
    /// Through the program under test, per second, one for each run.
    pub ours_per_s: Vec<f64>,
    /// What ran in turns with it.
    pub baseline_name: String,
    /// Through the baseline, per second, one for each run.
    pub baseline_per_s: Vec<f64>,
    /// Void runs.
    pub void_runs: usize,
    /// Why the case was given up, if it was: what the last of too many void runs in a row counted.
    pub given_up: Option<String>,
}

impl Measured {
    /// The figure; `None` if the case was given up.
    pub fn figure(&self, rig: &str) -> Option<Figure> {
        if self.given_up.is_some() {
            return None;
        }
        let pairs = self.ours_per_s.iter().zip(&self.baseline_per_s);
        let ratios: Vec<f64> = pairs.map(|(ours, baseline)| (ours / baseline * 1e4).round() / 1e4).collect();
        let (ours, baseline) = (Spread::of(&self.ours_per_s)?, Spread::of(&self.baseline_per_s)?);
        let ratio = Spread::of(&ratios)?;
        Some(Figure {
            rig: rig.to_owned(),
            case: self.case.clone(),
            metric: self.metric.clone(),
            unit: "1/s".to_owned(),
            median: ours.median.round(),
            min: ours.min.round(),
            max: ours.max.round(),
            runs: self.ours_per_s.len(),
            baseline: Baseline { name: self.baseline_name.clone(), median: baseline.median.round() },
            ratio: ratio.median,
            ratio_min: ratio.min,
            ratio_max: ratio.max,
            void_runs: self.void_runs,
        })
    }
}

impl Figure {
    /// What one frame costs over the baseline, in nanoseconds.
    pub fn added_ns(&self) -> f64 {
        1e9 / self.baseline.median * (1.0 / self.ratio - 1.0)
    }

    /// How this figure stands to an earlier one of the same case.
    fn change_since(&self, then: &Self) -> Change {
        if self.ratio_min > then.ratio_max {
            Change::Faster
        } else if self.ratio_max < then.ratio_min {
            Change::Slower
        } else {
            Change::WithinSpread
        }
    }
}

/// How two figures stand to each other. Each is a range of ratios to its own baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Every run is above every earlier one.
    Faster,
    /// The ranges overlap.
    WithinSpread,
    /// Every run is below every earlier one.
    Slower,
}

impl Report {
    /// Lines that hold this report against an earlier one, case by case, as ratios to the baselines.
    pub fn compared_with(&self, then: &Self) -> Vec<String> {
        let of =
            |report: &Self| format!("{} on {}, {}", report.machine.commit, report.machine.cpu, report.machine.kernel);
        let mut lines = vec![format!("then: {} ({})", of(then), then.machine.date), format!("now:  {}", of(self))];
        lines.push(format!("{:<22} {:>7} {:>7} {:>8}", "case", "then", "now", "now/then"));
        for now in &self.results {
            let same =
                |figure: &&Figure| figure.rig == now.rig && figure.case == now.case && figure.metric == now.metric;
            lines.push(match then.results.iter().find(same) {
                Some(then) => {
                    let mark = match now.change_since(then) {
                        Change::Faster => "  faster, beyond the spread",
                        Change::Slower => "  SLOWER, beyond the spread",
                        Change::WithinSpread => "",
                    };
                    let change = now.ratio / then.ratio;
                    format!("{:<22} {:>7.3} {:>7.3} {change:>8.3}{mark}", now.case, then.ratio, now.ratio)
                }
                None => format!("{:<22} {:>7} {:>7.3}", now.case, "-", now.ratio),
            });
        }
        lines
    }
}

/// Several values as three.
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    /// `None` for no values.
    fn of(values: &[f64]) -> Option<Self> {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let median = (values.get((values.len() - 1) / 2)? + values.get(values.len() / 2)?) / 2.0;
        Some(Self { min, median, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(ours: &[f64]) -> Measured {
        Measured {
            case: "hot-do0-v4".to_owned(),
            metric: "answers_per_s".to_owned(),
            ours_per_s: ours.to_vec(),
            baseline_name: "reflector".to_owned(),
            baseline_per_s: [5e6, 4e6, 6e6][..ours.len()].to_vec(),
            void_runs: 1,
            given_up: None,
        }
    }

    fn report(ours: &[f64]) -> Report {
        let text = "?".to_owned();
        let machine = Machine {
            kernel: text.clone(),
            cpu: text.clone(),
            driver: text.clone(),
            xdp_mode: text.clone(),
            tools: Vec::new(),
            commit: text.clone(),
            date: text,
        };
        Report { machine, results: measured(ours).figure("fastpath").into_iter().collect() }
    }

    #[test]
    fn a_figure_has_the_shape_that_others_read() {
        let figure = measured(&[3e6, 2e6, 4.5e6]).figure("fastpath").unwrap();
        let wanted = serde_json::json!({
            "rig": "fastpath", "case": "hot-do0-v4", "metric": "answers_per_s", "unit": "1/s",
            "median": 3e6, "min": 2e6, "max": 4.5e6, "runs": 3, "baseline": {"name": "reflector", "median": 5e6},
            "ratio": 0.6, "ratio_min": 0.5, "ratio_max": 0.75, "void_runs": 1,
        });
        assert_eq!(serde_json::to_value(figure).unwrap(), wanted);
    }

    #[test]
    fn a_case_that_was_given_up_has_no_figure() {
        let given_up = Measured { given_up: Some("sent 2, answered 1".to_owned()), ..measured(&[3e6]) };
        assert_eq!(given_up.figure("fastpath"), None);
    }

    #[test]
    fn only_a_change_beyond_the_spread_is_flagged() {
        let then = report(&[3e6, 2.3e6, 3.7e6]);
        for (now, mark) in [(3.05e6, ""), (3.2e6, "faster"), (2.8e6, "SLOWER")] {
            let line = report(&[now]).compared_with(&then).pop().unwrap();
            assert!(line.contains(mark) && line.contains("spread") != mark.is_empty(), "{line}");
        }
    }
}
