//! What is shown: numbers under one name, told apart by labels.

use serde::{Deserialize, Serialize};

use crate::metrics::Durations;

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It only rises.
    Counter,
    /// It rises and falls.
    Gauge,
    /// Durations by size.
    Histogram,
    /// It is always 1; its labels are what is told.
    Info,
}

/// Numbers of one name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Family {
    /// Name, without the suffixes of its samples (`_total`, `_info`, `_bucket`, …) and with that of its unit.
    pub name: String,
    /// What it is, in one sentence.
    pub help: String,
    /// What its numbers are.
    pub kind: Kind,
    /// Unit, if it has one: `seconds` or `bytes`. The name ends with it.
    pub unit: Option<String>,
    /// The numbers. No two have the same labels.
    pub samples: Vec<Sample>,
}

/// One number, or one histogram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Names and values of its labels.
    pub labels: Vec<(String, String)>,
    /// The number.
    pub value: Value,
}

/// A number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// A whole one.
    Whole(u64),
    /// A fraction; finite.
    Fraction(f64),
    /// Durations, told in buckets that end with 2^`first_log2` to 2^`last_log2` nanoseconds.
    Durations {
        /// All of them.
        durations: Box<Durations>,
        /// The smallest bucket that is told.
        first_log2: u32,
        /// The largest bucket that is told, but for the one of all the rest.
        last_log2: u32,
    },
}

impl Family {
    /// A family without numbers yet. The unit is read from the name.
    pub(super) fn new(kind: Kind, name: &str, help: &str) -> Self {
        let unit = ["seconds", "bytes"].into_iter().find(|unit| name.strip_suffix(unit).is_some());
        let unit = unit.filter(|_| kind != Kind::Info).map(str::to_owned);
        Self { name: name.to_owned(), help: help.to_owned(), kind, unit, samples: Vec::new() }
    }

    /// The family with one more number.
    pub(super) fn with(mut self, labels: &[(&str, &str)], value: Value) -> Self {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        self.samples.push(Sample { labels: labels.iter().map(owned).collect(), value });
        self
    }

    /// Names of the lines that the family is told in.
    pub fn line_names(&self) -> Vec<String> {
        let suffixes: &[&str] = match self.kind {
            Kind::Counter => &["_total"],
            Kind::Gauge => &[""],
            Kind::Histogram => &["_bucket", "_count", "_sum"],
            Kind::Info => &["_info"],
        };
        suffixes.iter().map(|suffix| format!("{}{suffix}", self.name)).collect()
    }
}
