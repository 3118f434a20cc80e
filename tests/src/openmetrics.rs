//! A reader of OpenMetrics text that accepts nothing that the standard forbids, written from the standard alone.
//!
//! In: the text. Out: its [`Exposition`], or what is wrong with it. Knows the kinds that a resolver shows: counter, gauge,
//! histogram, info.

use std::collections::{BTreeMap, BTreeSet};

/// Everything that a text says: lines by name and labels, as written.
#[derive(Clone, Debug, Default)]
pub struct Exposition {
    /// Values by name and labels: `name{a="b"}`.
    pub lines: BTreeMap<String, f64>,
    /// Kind of each family.
    pub kinds: BTreeMap<String, String>,
}

/// Names and values, the values without escapes.
type Labels = Vec<(String, String)>;

/// The family that is being read.
#[derive(Default)]
struct Family {
    name: String,
    kind: String,
    unit: Option<String>,
    helped: bool,
    /// Labels (without `le`) of the series of a histogram that is being read, its last `le` and its last count.
    buckets: Vec<(String, f64, f64)>,
    sampled: bool,
}

impl Exposition {
    /// Reads a text.
    ///
    /// # Errors
    /// The first line that is wrong, and why.
    pub fn read(text: &str) -> Result<Self, String> {
        let body = text.strip_suffix("# EOF\n").ok_or("does not end with # EOF")?;
        let (mut all, mut family) = (Self::default(), Family::default());
        for (line, number) in body.split_terminator('\n').zip(1..) {
            let read = match line.strip_prefix("# ") {
                Some(head) => all.head(head, &mut family),
                None => all.sample(line, &mut family),
            };
            read.map_err(|what| format!("line {number}: {what}: {line}"))?;
        }
        all.finish(&family)?;
        Ok(all)
    }

    /// The value of a line.
    ///
    /// # Panics
    /// If there is no such line.
    pub fn value(&self, line: &str) -> f64 {
        *self.lines.get(line).unwrap_or_else(|| panic!("no line {line}: {:?}", self.lines.keys()))
    }

    /// Sum of all lines of a name.
    pub fn sum(&self, name: &str) -> f64 {
        let of_name = |line: &&String| line.split('{').next() == Some(name);
        self.lines.keys().filter(of_name).map(|line| self.lines[line]).sum()
    }

    /// `TYPE`, `UNIT`, `HELP`.
    fn head(&mut self, head: &str, family: &mut Family) -> Result<(), String> {
        let (word, rest) = head.split_once(' ').ok_or("a comment")?;
        let (name, value) = rest.split_once(' ').ok_or("no value")?;
        if name != family.name {
            self.finish(family)?;
            check_name(name)?;
            if self.kinds.contains_key(name) {
                return Err("a family that was there before".to_owned());
            }
            *family = Family { name: name.to_owned(), ..Family::default() };
            self.kinds.insert(name.to_owned(), String::new());
        }
        if family.sampled {
            return Err("a head after samples".to_owned());
        }
        match word {
            "TYPE" if family.kind.is_empty() && ["counter", "gauge", "histogram", "info"].contains(&value) => {
                value.clone_into(&mut family.kind);
                self.kinds.insert(name.to_owned(), value.to_owned());
                Ok(())
            }
            "UNIT" if family.unit.is_none() && name.ends_with(&format!("_{value}")) => {
                family.unit = Some(value.to_owned());
                Ok(())
            }
            "HELP" if !family.helped && unescaped(value).is_ok() => {
                family.helped = true;
                Ok(())
            }
            _ => Err("no such head, or not here".to_owned()),
        }
    }

    fn sample(&mut self, line: &str, family: &mut Family) -> Result<(), String> {
        let name_end = line.find(['{', ' ']).ok_or("no value")?;
        let (name, rest) = line.split_at(name_end);
        let (labels, number) = match rest.strip_prefix('{') {
            Some(rest) => read_labels(rest)?,
            None => (Vec::new(), rest),
        };
        let number = number.strip_prefix(' ').ok_or("no space before the value")?;
        let value: f64 = number.parse().map_err(|_| "no number")?;
        let written_well = number == "+Inf" || !number.contains(|letter: char| letter.is_whitespace() || letter == '_');
        let suffix = name.strip_prefix(family.name.as_str()).ok_or("a sample of another family")?;
        let suffixes: &[&str] = match family.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_count", "_sum"],
            _ => return Err("a sample without a type".to_owned()),
        };
        if !suffixes.contains(&suffix) || !written_well || value.is_nan() {
            return Err("a wrong suffix or number".to_owned());
        }
        if family.kind != "gauge" && value < 0.0 || suffix == "_info" && value.to_bits() != 1f64.to_bits() {
            return Err("a wrong value for its kind".to_owned());
        }
        family.sampled = true;
        if family.kind == "histogram" {
            family.histogram(suffix, &labels, value)?;
        } else if labels.iter().any(|(name, _)| name == "le") {
            return Err("le without a histogram".to_owned());
        }
        let told: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let key = if told.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", told.join(",")) };
        match self.lines.insert(key, value) {
            None => Ok(()),
            Some(_) => Err("there twice".to_owned()),
        }
    }

    /// Checks the end of a family.
    fn finish(&self, family: &Family) -> Result<(), String> {
        if family.name.is_empty() {
            return Ok(());
        }
        if !family.sampled || !family.helped || family.kind.is_empty() {
            return Err(format!("{} has no samples, no help or no type", family.name));
        }
        let unit = ["seconds", "bytes"].into_iter().find(|unit| family.name.ends_with(&format!("_{unit}")));
        if unit.map(str::to_owned) != family.unit {
            return Err(format!("{} and its unit {:?} differ", family.name, family.unit));
        }
        // Each series of a histogram has ended with its sum.
        if family.buckets.is_empty() { Ok(()) } else { Err(format!("{} is not complete", family.name)) }
    }
}

impl Family {
    /// A line of a histogram: buckets in rising order up to +Inf, then the same count, then the sum.
    fn histogram(&mut self, suffix: &str, labels: &[(String, String)], value: f64) -> Result<(), String> {
        let (le, others): (Vec<_>, Vec<_>) = labels.iter().partition(|(name, _)| name == "le");
        let series = format!("{others:?}");
        let at = self.buckets.iter().position(|(known, ..)| *known == series);
        match (suffix, le.as_slice(), at) {
            ("_bucket", [(_, le)], _) => {
                let end: f64 = if le == "+Inf" { f64::INFINITY } else { le.parse().map_err(|_| "le is no number")? };
                let before = at.map(|at| self.buckets.remove(at));
                if before.is_some_and(|(_, last_end, last)| end <= last_end || value < last) {
                    return Err("a bucket that does not rise".to_owned());
                }
                self.buckets.push((series, end, value));
                Ok(())
            }
            ("_count", [], Some(at)) if self.buckets[at].1.is_infinite() && self.buckets[at].2 == value => Ok(()),
            ("_sum", [], Some(at)) if self.buckets[at].1.is_infinite() => {
                self.buckets.remove(at);
                Ok(())
            }
            _ => Err("a histogram out of order, or whose count is not its last bucket".to_owned()),
        }
    }
}

/// Labels after the opening brace, and what follows the closing one.
fn read_labels(mut rest: &str) -> Result<(Labels, &str), String> {
    let (mut labels, mut names) = (Vec::new(), BTreeSet::new());
    loop {
        let (name, after) = rest.split_once("=\"").ok_or("a label without a value")?;
        check_name(name)?;
        let mut escaped = false;
        let end = after.find(|letter| {
            let ends = letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            ends
        });
        let (value, after) = after.split_at(end.ok_or("a label without an end")?);
        if !names.insert(name.to_owned()) {
            return Err("a label that is there twice".to_owned());
        }
        labels.push((name.to_owned(), unescaped(value)?));
        let after = after.get(1..).unwrap_or_default();
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Ok((labels, after.strip_prefix('}').ok_or("labels without an end")?)),
        }
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let well = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let starts_well = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    if starts_well && name.chars().all(well) { Ok(()) } else { Err(format!("\"{name}\" is no name")) }
}

fn unescaped(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        out.push(match (letter, if letter == '\\' { letters.next() } else { None }) {
            ('\\', Some('\\')) => '\\',
            ('\\', Some('n')) => '\n',
            ('\\', Some('"')) => '"',
            ('\\' | '"', _) => return Err("a wrong escape".to_owned()),
            (plain, _) => plain,
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# TYPE a counter\n# HELP a A \\\"b\\\".\na_total{x=\"1\"} 2\na_total{x=\"\\\\\"} 1\n\
        # TYPE w_seconds histogram\n# UNIT w_seconds seconds\n# HELP w_seconds W.\nw_seconds_bucket{le=\"1.0\"} 1\n\
        w_seconds_bucket{le=\"+Inf\"} 2\nw_seconds_count 2\nw_seconds_sum 3.5\n# EOF\n";

    #[test]
    fn a_good_text_is_read() {
        let all = Exposition::read(GOOD).unwrap();
        assert_eq!((all.sum("a_total"), all.value("w_seconds_bucket{le=\"+Inf\"}")), (3.0, 2.0));
    }

    #[test]
    fn every_departure_from_the_standard_is_found() {
        for (from, to) in [
            ("# EOF\n", ""),
            ("# EOF\n", "# EOF\n\n"),
            ("# TYPE a counter\n", ""),
            ("# HELP a A \\\"b\\\".\n", ""),
            ("a_total{x=\"1\"}", "a{x=\"1\"}"),
            ("x=\"1\"} 2", "x=\"\\\\\"} 2"),
            ("x=\"1\"} 2", "x=\"1\"}2"),
            ("x=\"1\"} 2", "x=\"1\"} two"),
            ("x=\"1\"} 2", "x=\"1\"} -2"),
            ("x=\"1\"", "x=\"1\",x=\"1\""),
            ("x=\"1\"", "1x=\"1\""),
            ("\\\"b\\\"", "\"b\""),
            ("# UNIT w_seconds seconds\n", ""),
            ("w_seconds_count 2", "w_seconds_count 3"),
            ("w_seconds_sum 3.5\n", ""),
            ("{le=\"1.0\"} 1", "{le=\"1.0\"} 3"),
            ("w_seconds_bucket{le=\"+Inf\"} 2\n", ""),
            ("# TYPE w_seconds", "a_total{x=\"3\"} 1\n\n# TYPE w_seconds"),
            ("# TYPE w_seconds histogram\n", "# TYPE w_seconds histogram\n# TYPE a counter\n"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let text = GOOD.replacen(from, to, 1);
            assert!(Exposition::read(&text).is_err(), "{from} -> {to}");
        }
    }
}
