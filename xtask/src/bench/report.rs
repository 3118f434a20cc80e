//! The figures of a run: their shape in JSON, which outlives us.
//!
//! In: what a rig measured, [`Line`] by line. Out: a [`Report`]. How two of them are held against each other, and how one is
//! shown, stands next door.

use serde::{Deserialize, Serialize};

/// A run of a rig.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Where and with what.
    pub machine: Machine,
    /// One for each case and metric, in the order in which they were measured.
    pub results: Vec<Figure>,
    /// What a single figure cannot say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curves: Vec<Curve>,
}

/// Something over something else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Name of the rig.
    pub rig: String,
    /// What it is of.
    pub name: String,
    /// What the first number of a point is, with its unit.
    pub x: String,
    /// What the second one is.
    pub y: String,
    /// Rising in x.
    pub points: Vec<[f64; 2]>,
}

/// What a rig says, one line of JSON each.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// A case.
    Measured(Measured),
    /// More about one.
    Curve(Curve),
    /// For who watches.
    Note(String),
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
    /// Whether less is better; else more is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_less_better: bool,
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

/// What a rig says of a case.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    /// Stable name of the case.
    pub case: String,
    /// What is counted.
    pub metric: String,
    /// Unit of all values.
    pub unit: String,
    /// Whether less is better.
    pub is_less_better: bool,
    /// Of the program under test, one for each run.
    pub ours: Vec<f64>,
    /// What ran in turns with it, or what was aimed at.
    pub baseline_name: String,
    /// Of the baseline, one for each run.
    pub baseline: Vec<f64>,
    /// Void runs.
    pub void_runs: usize,
    /// Why the case was given up, if it was: what the last of too many void runs in a row counted.
    pub given_up: Option<String>,
}

impl Measured {
    /// A rate without runs yet, of which more is better.
    pub fn new(case: &str, metric: &str) -> Self {
        Self {
            case: case.to_owned(),
            metric: metric.to_owned(),
            unit: "1/s".to_owned(),
            is_less_better: false,
            ours: Vec::new(),
            baseline_name: String::new(),
            baseline: Vec::new(),
            void_runs: 0,
            given_up: None,
        }
    }

    /// The figure; `None` if the case was given up.
    pub fn figure(&self, rig: &str) -> Option<Figure> {
        if self.given_up.is_some() {
            return None;
        }
        let pairs = self.ours.iter().zip(&self.baseline);
        let ratios: Vec<f64> = pairs.map(|(ours, baseline)| (ours / baseline * 1e4).round() / 1e4).collect();
        let (ours, baseline) = (Spread::of(&self.ours)?, Spread::of(&self.baseline)?);
        let ratio = Spread::of(&ratios)?;
        Some(Figure {
            rig: rig.to_owned(),
            case: self.case.clone(),
            metric: self.metric.clone(),
            unit: self.unit.clone(),
            is_less_better: self.is_less_better,
            median: rounded(ours.median),
            min: rounded(ours.min),
            max: rounded(ours.max),
            runs: self.ours.len(),
            baseline: Baseline { name: self.baseline_name.clone(), median: rounded(baseline.median) },
            ratio: ratio.median,
            ratio_min: ratio.min,
            ratio_max: ratio.max,
            void_runs: self.void_runs,
        })
    }
}

/// Whole, or to three decimals where that would lose much.
fn rounded(value: f64) -> f64 {
    if value.abs() < 1000.0 { (value * 1e3).round() / 1e3 } else { value.round() }
}

impl Figure {
    /// What one frame costs over the baseline, in nanoseconds.
    pub fn added_ns(&self) -> f64 {
        1e9 / self.baseline.median * (1.0 / self.ratio - 1.0)
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
            ours: ours.to_vec(),
            baseline_name: "reflector".to_owned(),
            baseline: [5e6, 4e6, 6e6][..ours.len()].to_vec(),
            void_runs: 1,
            ..Measured::new("hot-do0-v4", "answers_per_s")
        }
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
}
