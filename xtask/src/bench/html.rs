//! A report as a page for people: plots, and a table of every figure. It needs nothing from elsewhere.
//!
//! In: reports, of one rig or several. Out: HTML with its style and its plots inside.

use std::fmt::Write as _;

use super::{
    plot::{Axes, Point, Row, Series, escaped, lines, rows, short},
    report::{Curve, Figure, Report},
};

/// The page of these reports.
pub fn page(reports: &[Report]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{TITLE}</title>\n{STYLE}\n<h1>{TITLE}</h1>\n"
    );
    for report in reports {
        let machine = &report.machine;
        // A `String` takes everything, here and below.
        let _ = write!(
            page,
            "<h2>{}</h2>\n<p class=\"machine\">{}</p>\n",
            escaped(&rigs(report).join(", ")),
            escaped(&format!(
                "{}; commit {}; kernel {}; {}; driver {}, XDP {}; {}",
                machine.date,
                machine.commit,
                machine.kernel,
                machine.cpu,
                machine.driver,
                machine.xdp_mode,
                machine.tools.join("; ")
            )),
        );
        page += &by_entries(report);
        page += &by_name_length(report);
        for rig in rigs(report) {
            page += &figures_of(report, &rig);
            page += &curves_of(report, &rig);
        }
        page += &table(report);
    }
    page + "</html>\n"
}

/// Names of the rigs of a report, each once.
fn rigs(report: &Report) -> Vec<String> {
    let mut rigs: Vec<String> = report.results.iter().map(|figure| figure.rig.clone()).collect();
    rigs.dedup();
    rigs
}

/// The kernel half's rate by the number of published answers, as shares of the reflector's.
fn by_entries(report: &Report) -> String {
    let of = |suffix: &str, pattern: &str| Series {
        name: pattern.to_owned(),
        points: ENTRIES
            .iter()
            .filter_map(|(entries, name)| {
                let names =
                    if *entries == 1.0 { vec![format!("hot-{suffix}")] } else { vec![format!("{name}-{pattern}")] };
                point(report, *entries, &names)
            })
            .collect(),
    };
    let series = [of("do0-v4", "uniform-do0-v4"), of("do1-v4", "uniform-do1-v4"), of("", "zipf-do0-v4")];
    section("Answers by published names", "entries (log scale)", true, series)
}

/// The same by the length of the name.
fn by_name_length(report: &Report) -> String {
    let points = LENGTHS.iter().filter_map(|length| point(report, *length, &[format!("name-{length}-do0-v4")]));
    let series = Series { name: "one name, DO=0, IPv4".to_owned(), points: points.collect() };
    section("Answers by length of the name", "bytes of the name in wire form", false, [series])
}

/// A plot of shares of the reflector's rate, or nothing for nothing.
fn section<const N: usize>(title: &str, x: &str, is_x_log: bool, series: [Series; N]) -> String {
    let series: Vec<Series> = series.into_iter().filter(|one| !one.points.is_empty()).collect();
    if series.iter().all(|one| one.points.len() < 2) {
        return String::new();
    }
    let axes = Axes { x, y: "share of the bare reflector's rate", is_x_log, y_max: 1.0 };
    format!("<h3>{title}</h3>\n{}", lines(&axes, &series))
}

fn point(report: &Report, x: f64, names: &[String]) -> Option<Point> {
    let is_it = |figure: &&Figure| figure.rig == "fastpath" && names.contains(&figure.case);
    let figure = report.results.iter().find(is_it)?;
    Some(Point { x, y: figure.ratio, spread: Some([figure.ratio_min, figure.ratio_max]) })
}

/// Rows of each metric of a rig, with the least and the greatest of all runs.
fn figures_of(report: &Report, rig: &str) -> String {
    let of_rig = || report.results.iter().filter(|figure| figure.rig == rig);
    let mut metrics: Vec<(&str, &str)> = Vec::new();
    for figure in of_rig() {
        if !metrics.contains(&(&figure.metric, &figure.unit)) {
            metrics.push((&figure.metric, &figure.unit));
        }
    }
    let mut html = String::new();
    for (metric, unit) in metrics {
        let figures = of_rig().filter(|figure| figure.metric == metric && figure.unit == unit);
        let figures: Vec<&Figure> = figures.collect();
        let rows_of: Vec<Row> = figures.iter().map(|figure| row(figure)).collect();
        let mut baselines: Vec<&str> = figures.iter().map(|figure| figure.baseline.name.as_str()).collect();
        baselines.dedup();
        let baselines = baselines.join(", ");
        let better =
            if of_rig().any(|figure| figure.metric == metric && figure.is_less_better) { "less" } else { "more" };
        let title = escaped(&metric.replace('_', " "));
        let _ = write!(
            html,
            "<h3>{}: {title}</h3>\n{}",
            escaped(rig),
            rows(&format!("{unit}; {better} is better; ×: median of the ratios to {baselines}"), &rows_of)
        );
    }
    html
}

fn row(figure: &Figure) -> Row {
    Row {
        name: figure.case.clone(),
        median: figure.median,
        spread: [figure.min, figure.max],
        told: format!("{}  ×{:.3}", short(figure.median), figure.ratio),
        is_ours: !["unbound", "bind", "knot-resolver", "dnsmasq"].iter().any(|peer| figure.case.starts_with(peer)),
    }
}

/// The curves of a rig in one plot.
fn curves_of(report: &Report, rig: &str) -> String {
    let curves: Vec<&Curve> = report.curves.iter().filter(|curve| curve.rig == rig).collect();
    let Some(first) = curves.first() else { return String::new() };
    let series: Vec<Series> = curves
        .iter()
        .map(|curve| Series {
            name: curve.name.clone(),
            points: curve.points.iter().map(|&[x, y]| Point { x, y, spread: None }).collect(),
        })
        .collect();
    let axes = Axes { x: "microseconds until the answer (log scale)", y: &first.y, is_x_log: true, y_max: 1.0 };
    let loads: Vec<String> = curves.iter().map(|curve| format!("{}: {}", curve.name, curve.x)).collect();
    format!("<h3>{}: latency</h3>\n{}<p>{}</p>\n", escaped(rig), lines(&axes, &series), escaped(&loads.join("; ")))
}

/// Every figure.
fn table(report: &Report) -> String {
    let heads = [
        "case",
        "metric",
        "median",
        "min",
        "max",
        "unit",
        "baseline",
        "its median",
        "ratio",
        "min",
        "max",
        "runs",
        "void",
    ];
    let mut html = "<table><tr>".to_owned();
    for head in heads {
        let _ = write!(html, "<th>{head}</th>");
    }
    html += "</tr>\n";
    for figure in &report.results {
        let cells = [
            escaped(&figure.case),
            escaped(&figure.metric),
            figure.median.to_string(),
            figure.min.to_string(),
            figure.max.to_string(),
            escaped(&figure.unit),
            escaped(&figure.baseline.name),
            figure.baseline.median.to_string(),
            format!("{:.3}", figure.ratio),
            format!("{:.3}", figure.ratio_min),
            format!("{:.3}", figure.ratio_max),
            figure.runs.to_string(),
            figure.void_runs.to_string(),
        ];
        let _ = writeln!(html, "<tr><td>{}</td></tr>", cells.join("</td><td>"));
    }
    html + "</table>\n"
}

const TITLE: &str = "Benchmarks of the resolver";
/// Entries of the cases that differ in nothing else, and how their names begin.
const ENTRIES: [(f64, &str); 4] = [(1.0, "hot"), (1e4, "10k"), (1e5, "100k"), (1e6, "1m")];
/// Lengths of the cases that differ in nothing else.
const LENGTHS: [f64; 5] = [10.0, 30.0, 60.0, 120.0, 250.0];
const STYLE: &str = "<style>
body { font: 15px/1.45 system-ui, sans-serif; color: #1b1f24; background: #fff; max-width: 940px; margin: 2em auto; padding: 0 1em }
h2 { margin-top: 2em; border-bottom: 1px solid #d0d7de } h3 { margin: 1.6em 0 .3em; font-size: 1.05em }
.machine, p { color: #57606a; font-size: .87em }
svg { max-width: 100%; height: auto } text { font-size: 12px; fill: #424a53 }
.grid { stroke: #e4e8ec } .spread { stroke: #24292f; stroke-width: 1.4 }
rect.ours { fill: #9ecbff } rect.peer { fill: #d8dee4 } circle.ours { fill: #0550ae } circle.peer { fill: #57606a }
polyline { fill: none; stroke-width: 2 } line { stroke-width: 1 }
polyline.s0, line.s0 { stroke: #0550ae } circle.s0 { fill: #0550ae }
polyline.s1, line.s1 { stroke: #bc4c00 } circle.s1 { fill: #bc4c00 }
polyline.s2, line.s2 { stroke: #1a7f37 } circle.s2 { fill: #1a7f37 }
polyline.s3, line.s3 { stroke: #8250df } circle.s3 { fill: #8250df }
polyline.s4, line.s4 { stroke: #bf3989 } circle.s4 { fill: #bf3989 }
polyline.s5, line.s5 { stroke: #6e7781 } circle.s5 { fill: #6e7781 }
table { display: block; overflow-x: auto; border-collapse: collapse; font-size: .8em; margin: 1.5em 0; font-variant-numeric: tabular-nums }
th, td { padding: .2em .55em; text-align: right; border-bottom: 1px solid #eaeef2; white-space: nowrap }
td:nth-child(-n+2), th:nth-child(-n+2) { text-align: left }
</style>";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::{Machine, Measured};

    #[test]
    fn a_page_shows_every_figure_and_loads_nothing() {
        let text = || "?".to_owned();
        let machine = Machine {
            kernel: text(),
            cpu: text(),
            driver: text(),
            xdp_mode: text(),
            tools: Vec::new(),
            commit: text(),
            date: text(),
        };
        let case = |case: &str| Measured {
            ours: vec![2e6, 3e6],
            baseline_name: "reflector".to_owned(),
            baseline: vec![4e6, 4e6],
            ..Measured::new(case, "answers_per_s")
        };
        let cases = ["hot-do0-v4", "10k-uniform-do0-v4", "1m-zipf-do0-v4", "name-10-do0-v4", "name-250-do0-v4"];
        let results: Vec<Figure> = cases.iter().filter_map(|name| case(name).figure("fastpath")).collect();
        let points = vec![[1.0, 0.5], [10.0, 1.0]];
        let curve = Curve { rig: "fastpath".to_owned(), name: text(), x: text(), y: text(), points };
        let page = page(&[Report { machine, results, curves: vec![curve] }]);
        for case in cases {
            assert!(page.contains(&format!("<td>{case}</td>")), "{case}");
        }
        assert!(page.contains("by published names") && page.contains("by length") && page.contains("latency"));
        for foreign in ["http:", "https:", "src=", "href=", "@import", "<script", "NaN", "inf\""] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }
}
