//! Plots as SVG, drawn plainly: lines over a scale, and rows of medians with their spread.
//!
//! In: numbers with their words. Out: an `<svg>` element that needs nothing from elsewhere; colours are classes of the page.
//! Refuses to smooth, to hide a scale's start, or to leave out a value.

use std::fmt::Write as _;

/// One line of a plot.
pub struct Series {
    /// What it is of.
    pub name: String,
    /// Rising in x.
    pub points: Vec<Point>,
}

/// A point, with its spread if it has one.
#[derive(Clone, Copy)]
pub struct Point {
    /// Along.
    pub x: f64,
    /// Up.
    pub y: f64,
    /// Least and greatest y.
    pub spread: Option<[f64; 2]>,
}

/// What is written at the axes.
pub struct Axes<'a> {
    /// Along, with its unit.
    pub x: &'a str,
    /// Up, with its unit.
    pub y: &'a str,
    /// Whether each step along is ten times the one before.
    pub is_x_log: bool,
    /// Where y ends at least.
    pub y_max: f64,
}

/// One row: a median between the least and the greatest.
pub struct Row {
    /// What it is of.
    pub name: String,
    /// The value.
    pub median: f64,
    /// Of all runs.
    pub spread: [f64; 2],
    /// Told behind the row.
    pub told: String,
    /// Whether it is ours, or else a peer's.
    pub is_ours: bool,
}

/// Lines over a scale; y begins at 0, and so does x unless its steps are tenfold.
pub fn lines(axes: &Axes<'_>, series: &[Series]) -> String {
    let points = || series.iter().flat_map(|series| &series.points);
    // Tenfold steps have no zero to begin with.
    let zero = (!axes.is_x_log).then_some(0.0);
    let x = Scale::over(points().map(|point| point.x).chain(zero), axes.is_x_log, [LEFT, WIDTH - RIGHT]);
    let y_values = points().map(|point| point.spread.map_or(point.y, |[_, most]| most));
    let y = Scale::over(y_values.chain([0.0, axes.y_max]), false, [HEIGHT - BOTTOM, TOP]);
    let mut svg = open(HEIGHT);
    for (value, label) in y.ticks() {
        let at = y.at(value);
        text(&mut svg, [LEFT - 8.0, at + 4.0], "end", &label);
        line(&mut svg, "grid", [[LEFT, at], [WIDTH - RIGHT, at]]);
    }
    for (value, label) in x.ticks() {
        text(&mut svg, [x.at(value), HEIGHT - BOTTOM + 18.0], "middle", &label);
        line(&mut svg, "grid", [[x.at(value), HEIGHT - BOTTOM], [x.at(value), HEIGHT - BOTTOM + 4.0]]);
    }
    text(&mut svg, [(LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 6.0], "middle", axes.x);
    text(&mut svg, [LEFT - 8.0, TOP - 10.0], "start", axes.y);
    for (number, one) in series.iter().enumerate() {
        let class = format!("s{}", number % COLOURS);
        let path: Vec<String> = one.points.iter().map(|at| format!("{:.1},{:.1}", x.at(at.x), y.at(at.y))).collect();
        let _ = write!(svg, r#"<polyline class="{class}" points="{}"/>"#, path.join(" "));
        // Of long curves the dots would hide the line.
        for at in one.points.iter().filter(|_| one.points.len() <= DOTS_MAX) {
            if let Some([least, most]) = at.spread {
                line(&mut svg, &class, [[x.at(at.x), y.at(least)], [x.at(at.x), y.at(most)]]);
            }
            let _ = write!(svg, r#"<circle class="{class}" cx="{:.1}" cy="{:.1}" r="3.5"/>"#, x.at(at.x), y.at(at.y));
        }
        let at = [WIDTH - RIGHT + 14.0, TOP + 18.0 * number as f64];
        let _ = write!(svg, r#"<circle class="{class}" cx="{:.1}" cy="{:.1}" r="5"/>"#, at[0], at[1] - 4.0);
        text(&mut svg, [at[0] + 10.0, at[1]], "start", &one.name);
    }
    svg + "</svg>\n"
}

/// Rows over a scale that begins at 0, or is one of tenfold steps if the values lie far apart.
pub fn rows(axis: &str, rows: &[Row]) -> String {
    let values = || rows.iter().flat_map(|row| row.spread);
    let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let is_log = least > 0.0 && most / least > FAR_APART;
    let ends = [ROW_LEFT, WIDTH - ROW_RIGHT];
    let x = if is_log { Scale::over(values(), true, ends) } else { Scale::over(values().chain([0.0]), false, ends) };
    let height = ROW_HEIGHT * rows.len() as f64 + TOP + BOTTOM;
    let mut svg = open(height);
    for (value, label) in x.ticks() {
        line(&mut svg, "grid", [[x.at(value), TOP - 6.0], [x.at(value), height - BOTTOM]]);
        text(&mut svg, [x.at(value), height - BOTTOM + 18.0], "middle", &label);
    }
    text(&mut svg, [(ends[0] + ends[1]) / 2.0, height - 6.0], "middle", axis);
    for (number, row) in rows.iter().enumerate() {
        let at = TOP + ROW_HEIGHT * (number as f64 + 0.5);
        let class = if row.is_ours { "ours" } else { "peer" };
        text(&mut svg, [ROW_LEFT - 10.0, at + 4.0], "end", &row.name);
        if !is_log {
            let width = (x.at(row.median) - ROW_LEFT).max(0.0);
            let _ = write!(
                svg,
                r#"<rect class="{class}" x="{ROW_LEFT}" y="{:.1}" width="{width:.1}" height="12"/>"#,
                at - 6.0
            );
        }
        let [from, to] = row.spread.map(|value| x.at(value));
        line(&mut svg, "spread", [[from, at], [to, at]]);
        for end in [from, to] {
            line(&mut svg, "spread", [[end, at - 5.0], [end, at + 5.0]]);
        }
        let _ = write!(svg, r#"<circle class="{class}" cx="{:.1}" cy="{at:.1}" r="4"/>"#, x.at(row.median));
        text(&mut svg, [WIDTH - ROW_RIGHT + 12.0, at + 4.0], "start", &row.told);
    }
    svg + "</svg>\n"
}

/// Text as it may stand between tags.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// From values to places on the page.
struct Scale {
    /// Least and greatest value, or their logarithms to base ten.
    from: f64,
    to: f64,
    is_log: bool,
    places: [f64; 2],
}

impl Scale {
    fn over(values: impl Iterator<Item = f64>, is_log: bool, places: [f64; 2]) -> Self {
        let of = |value: f64| if is_log { value.max(f64::MIN_POSITIVE).log10() } else { value };
        let (from, to) = values
            .map(of)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(from, to), value| (from.min(value), to.max(value)));
        let (from, to) = if from.is_finite() { (from, to) } else { (0.0, 1.0) };
        let (from, to) = if is_log { ((from + 1e-3).floor(), (to - 1e-3).ceil()) } else { (from, to * 1.05) };
        Self { from, to: if to > from { to } else { from + 1.0 }, is_log, places }
    }

    fn at(&self, value: f64) -> f64 {
        let value = if self.is_log { value.max(f64::MIN_POSITIVE).log10() } else { value };
        let [start, end] = self.places;
        start + (value - self.from) / (self.to - self.from) * (end - start)
    }

    /// Values to be marked, with their words.
    fn ticks(&self) -> Vec<(f64, String)> {
        if self.is_log {
            let powers = self.from as i32..=self.to as i32;
            return powers.map(|power| 10f64.powi(power)).map(|value| (value, short(value))).collect();
        }
        let rough = (self.to - self.from) / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= rough);
        let step = step.unwrap_or(power);
        let count = ((self.to - self.from) / step) as usize;
        (0..=count).map(|number| self.from + step * number as f64).map(|value| (value, short(value))).collect()
    }
}

/// A number for people: three digits and a letter for thousands.
pub fn short(value: f64) -> String {
    let (scaled, letter) = match value.abs() {
        size if size >= 1e6 => (value / 1e6, " M"),
        size if size >= 1e4 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let decimals = if scaled.abs() >= 100.0 || scaled == 0.0 {
        0
    } else {
        usize::try_from(2 - scaled.abs().log10().floor() as i32).unwrap_or(0)
    };
    let digits = format!("{scaled:.decimals$}");
    let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { &digits };
    format!("{digits}{letter}")
}

fn open(height: f64) -> String {
    format!(r#"<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img">"#)
}

fn line(svg: &mut String, class: &str, [[x1, y1], [x2, y2]]: [[f64; 2]; 2]) {
    // A `String` takes everything, here and below.
    let _ = write!(svg, r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#);
}

fn text(svg: &mut String, [x, y]: [f64; 2], anchor: &str, words: &str) {
    let words = escaped(words);
    let _ = write!(svg, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{words}</text>"#);
}

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 46.0;
const ROW_LEFT: f64 = 210.0;
const ROW_RIGHT: f64 = 210.0;
const ROW_HEIGHT: f64 = 26.0;
/// Longest line that shows its points.
const DOTS_MAX: usize = 12;
/// Colours of lines that the page has.
pub const COLOURS: usize = 6;
/// Values of which the greatest is more than so many times the least are shown in tenfold steps.
const FAR_APART: f64 = 12.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_exact_enough() {
        let wanted = [
            (0.0, "0"),
            (0.842, "0.842"),
            (1.5, "1.5"),
            (12.34, "12.3"),
            (999.0, "999"),
            (5500.0, "5500"),
            (146_200.0, "146 k"),
            (3_570_000.0, "3.57 M"),
            (100.0, "100"),
            (0.05, "0.05"),
        ];
        for (value, text) in wanted {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn a_scale_of_tenfold_steps_marks_each_of_them() {
        let scale = Scale::over([1.0, 1e6].into_iter(), true, [0.0, 100.0]);
        let labels: Vec<String> = scale.ticks().into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["1", "10", "100", "1000", "10 k", "100 k", "1 M"]);
        assert!(scale.at(1.0) < scale.at(10.0) && scale.at(1e6) <= 100.0);
    }

    #[test]
    fn words_cannot_break_the_page() {
        let row =
            Row { name: "<b>&\"".to_owned(), median: 1.0, spread: [1.0, 1.0], told: String::new(), is_ours: true };
        assert!(rows("x", &[row]).contains("&lt;b&gt;&amp;&quot;"));
    }
}
