//! Families as text: OpenMetrics, or the older format of Prometheus that differs from it in a few words.

use std::fmt::Write;

use resolver_ebpf::abi::{LATENCY_BUCKETS, LATENCY_FIRST_LOG2};

use super::{Family, Kind, Sample, Value};
use crate::metrics::Durations;

/// A way to write families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4; node-exporter reads it from files.
    Prometheus,
}

impl Format {
    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Writes families. Families without numbers are left out.
pub fn text(families: &[Family], format: Format) -> String {
    let mut text = String::new();
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        write_head(family, format, &mut text);
        for sample in &family.samples {
            write_sample(family, sample, &mut text);
        }
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

/// Type, unit and help. The older format knows neither units nor families: there the help is about the very line.
fn write_head(family: &Family, format: Format, text: &mut String) {
    let Family { name, help, unit, .. } = family;
    let (name, kind) = match (family.kind, format) {
        (Kind::Counter, Format::OpenMetrics) => (name.clone(), "counter"),
        (Kind::Counter, Format::Prometheus) => (format!("{name}_total"), "counter"),
        (Kind::Gauge, _) => (name.clone(), "gauge"),
        (Kind::Histogram, _) => (name.clone(), "histogram"),
        (Kind::Info, Format::OpenMetrics) => (name.clone(), "info"),
        (Kind::Info, Format::Prometheus) => (format!("{name}_info"), "gauge"),
    };
    // Writing to a string cannot fail.
    let _infallible = writeln!(text, "# TYPE {name} {kind}");
    if let (Some(unit), Format::OpenMetrics) = (unit, format) {
        let _infallible = writeln!(text, "# UNIT {name} {unit}");
    }
    let help = match format {
        Format::OpenMetrics => escaped(help),
        // There quotes stand for themselves in a help.
        Format::Prometheus => help.replace('\\', "\\\\").replace('\n', "\\n"),
    };
    let _infallible = writeln!(text, "# HELP {name} {help}");
}

fn write_sample(family: &Family, sample: &Sample, text: &mut String) {
    let name = &family.name;
    let labels = |more: Option<String>| {
        let told = sample.labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
        let all: Vec<String> = told.chain(more.map(|le| format!("le=\"{le}\""))).collect();
        if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
    };
    let suffix = match family.kind {
        Kind::Counter => "_total",
        Kind::Info => "_info",
        Kind::Gauge | Kind::Histogram => "",
    };
    let _infallible = match &sample.value {
        Value::Whole(number) => writeln!(text, "{name}{suffix}{} {number}", labels(None)),
        Value::Fraction(number) => writeln!(text, "{name}{suffix}{} {number:?}", labels(None)),
        Value::Durations { durations, first_log2, last_log2 } => {
            for (le, count) in cumulative(durations, *first_log2, *last_log2) {
                let _infallible = writeln!(text, "{name}_bucket{} {count}", labels(Some(le)));
            }
            let _infallible = writeln!(text, "{name}_count{} {}", labels(None), durations.count());
            writeln!(text, "{name}_sum{} {:?}", labels(None), durations.sum_ns as f64 / 1e9)
        }
    };
}

/// Upper ends in seconds and how many durations do not exceed them; the last one is without end.
fn cumulative(durations: &Durations, first_log2: u32, last_log2: u32) -> Vec<(String, u64)> {
    let mut told = Vec::new();
    let mut sum = 0_u64;
    // The last bucket has no end.
    for (count, log2) in durations.buckets.iter().take(LATENCY_BUCKETS - 1).zip(LATENCY_FIRST_LOG2..) {
        sum = sum.saturating_add(*count);
        if (first_log2..=last_log2).contains(&log2) {
            let end_s = f64::from(log2).exp2() / 1e9;
            told.push((format!("{end_s:?}"), sum));
        }
    }
    told.push(("+Inf".to_owned(), durations.count()));
    told
}

/// Text within quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::Histogram;

    fn families() -> Vec<Family> {
        let histogram = Histogram::default();
        histogram.record(Duration::from_nanos(40));
        histogram.record_several(Duration::from_nanos(200), 2);
        histogram.record(Duration::from_secs(60));
        let durations = Box::new(histogram.snapshot());
        let durations = Value::Durations { durations, first_log2: 7, last_log2: 8 };
        vec![
            Family::new(Kind::Info, "x_build", "Which \"it\" is.").with(&[("version", "a\\b\"c\nd")], Value::Whole(1)),
            Family::new(Kind::Counter, "x_moved_bytes", "Moved.").with(&[], Value::Whole(7)),
            Family::new(Kind::Gauge, "x_nothing", "Left out."),
            Family::new(Kind::Histogram, "x_wait_seconds", "Waits.").with(&[("to", "a")], durations),
        ]
    }

    #[test]
    fn openmetrics_is_written_as_its_standard_says() {
        let expected = "# TYPE x_build info\n# HELP x_build Which \\\"it\\\" is.\n\
            x_build_info{version=\"a\\\\b\\\"c\\nd\"} 1\n\
            # TYPE x_moved_bytes counter\n# UNIT x_moved_bytes bytes\n# HELP x_moved_bytes Moved.\nx_moved_bytes_total 7\n\
            # TYPE x_wait_seconds histogram\n# UNIT x_wait_seconds seconds\n# HELP x_wait_seconds Waits.\n\
            x_wait_seconds_bucket{to=\"a\",le=\"1.28e-7\"} 1\nx_wait_seconds_bucket{to=\"a\",le=\"2.56e-7\"} 3\n\
            x_wait_seconds_bucket{to=\"a\",le=\"+Inf\"} 4\nx_wait_seconds_count{to=\"a\"} 4\n\
            x_wait_seconds_sum{to=\"a\"} 60.00000044\n# EOF\n";
        assert_eq!(text(&families(), Format::OpenMetrics), expected);
    }

    #[test]
    fn the_older_format_names_the_lines_and_has_no_units() {
        let text = text(&families(), Format::Prometheus);
        assert!(text.starts_with("# TYPE x_build_info gauge\n# HELP x_build_info Which \"it\" is.\nx_build_info{"));
        assert!(text.contains("# TYPE x_moved_bytes_total counter\n# HELP x_moved_bytes_total Moved.\n"));
        assert!(!text.contains("UNIT") && !text.contains("EOF"));
    }
}
