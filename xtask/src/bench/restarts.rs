//! Rig 4: a daemon that is killed and started again, over and over, under load.
//!
//! In: how often. Out: a line for each kill, and what they come to; with `--json` all of it. The rig is a binary of the tests'
//! package, which has the daemon's clients; the lab is raised for it and taken down again.
//! Unlike other rigs this one judges: a wrong answer, a lost one, a pause of XDP, or a question that is open longer than
//! a second after the daemon is back, is a failure.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::Stdio,
};

use clap::Args;
use serde_json::{Value, json};

use super::report::Machine;
use crate::{
    build,
    command::{self, Failure, Tool, write},
    lab, paths, setup,
};

/// Words of the verb.
#[derive(Args)]
pub struct Options {
    /// How often the daemon is killed
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    kills: u16,
    /// Write what happened, with the machine it happened on
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// Something could not be built, raised or written, or a client did not get what it must.
pub fn run(options: &Options) -> Result<(), Failure> {
    setup::require_root("cargo xtask bench restarts")?;
    let built = build::run()?;
    let words = ["build", "--release", "--package", "resolver-tests", "--features", "lab", "--bin", RIG];
    let tool = Tool::cargo().env("RESOLVER_BPF_OBJECT", &built.xdp_object).args(words);
    tool.arg("--target-dir").arg(paths::target()).run()?;
    let machine = Machine::of_veth(RIG)?;
    let lab = lab::Guard::up(lab::Switch::On)?;
    println!("\n{HEAD}");
    let mut windows = Vec::new();
    let ended = measure(options, &built, |window| {
        println!("{}", row(windows.len() + 1, &window));
        windows.push(window);
    });
    lab.down()?;
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&json!({ "machine": machine, "windows": windows })).unwrap_or_default();
        write(path, text + "\n")?;
    }
    ended?;
    let sum = |name: &str| windows.iter().filter_map(|window| window[name].as_u64()).sum::<u64>();
    let most = |name: &str| windows.iter().filter_map(|window| window[name].as_u64()).max().unwrap_or_default();
    println!(
        "\n{} kills: {} known answers, {} wrong or lost; {} answered by XDP without a daemon; {} new names; down {} ms at most, \
         a question open {} ms at most after that",
        windows.len(),
        sum("known"),
        windows.iter().map(|window| window["wrong"].as_array().map_or(0, Vec::len)).sum::<usize>(),
        sum("answered_by_xdp"),
        sum("misses"),
        most("down_ms"),
        most("slowest_miss_ms"),
    );
    let cases: Vec<String> = windows.iter().enumerate().filter_map(|(at, window)| complaint(at + 1, window)).collect();
    let all_there = windows.len() == usize::from(options.kills);
    if cases.is_empty() && all_there { Ok(()) } else { Err(Failure::CasesVoid { cases }) }
}

/// Runs the rig and hands out each window as it comes.
fn measure(options: &Options, built: &build::Built, mut take: impl FnMut(Value)) -> Result<(), Failure> {
    let rig = paths::target().join("release").join(RIG);
    let tool = Tool::new(&*rig.to_string_lossy()).arg(options.kills.to_string());
    let tool = tool.env("RESOLVER_BIN", &built.resolver).env("RESOLVER_LAB", paths::lab_facts());
    let (line, mut command) = tool.announced();
    let failed = |source| Failure::Start { command: line.clone(), source };
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let output = child.stdout.take();
    for text in output.into_iter().flat_map(|output| BufReader::new(output).lines()).map_while(Result::ok) {
        match serde_json::from_str(&text) {
            Ok(window) => take(window),
            Err(_) => println!("{text}"),
        }
    }
    let status = child.wait().map_err(failed)?;
    command::ended(line, status, String::new())
}

/// What a client did not get after this kill, if anything.
fn complaint(number: usize, window: &Value) -> Option<String> {
    let count = |name: &str| window[name].as_u64().unwrap_or_default();
    let why = if let Some(wrong) = window["wrong"].as_array().and_then(|wrong| wrong.first()) {
        wrong.to_string()
    } else if count("answered_by_xdp") == 0 {
        "XDP paused".to_owned()
    } else if count("adopted") == 0 {
        "answers were not taken over".to_owned()
    } else if count("misses") == 0 || count("slowest_miss_ms") > OPEN_MS_MAX {
        format!("a question was open for {} ms", count("slowest_miss_ms"))
    } else {
        return None;
    };
    Some(format!("kill {number}: {why}"))
}

/// A line of the table.
fn row(number: usize, window: &Value) -> String {
    let count = |name: &str| window[name].as_u64().unwrap_or_default();
    format!(
        "{number:>4}  {:<8} {:>7} {:>9} {:>8} {:>6} {:>6} {:>7} {:>8}",
        if window["starting"] == true { "starting" } else { "ready" },
        count("down_ms"),
        count("answered_by_xdp"),
        count("known"),
        window["wrong"].as_array().map_or(0, Vec::len),
        count("adopted"),
        count("misses"),
        count("slowest_miss_ms"),
    )
}

/// Over the lines. `XDP`: answers it gave while no daemon was ready; `open`: longest time that a new name's question was open
/// after the daemon was ready.
const HEAD: &str = "kill  of       down ms       XDP    known  wrong   kept new names  open ms";
/// Longest time that a question may be open once a daemon is ready, in milliseconds.
const OPEN_MS_MAX: u64 = 1000;
const RIG: &str = "restarts-rig";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_that_a_client_misses_is_a_complaint() {
        let good = json!({ "answered_by_xdp": 5, "adopted": 3, "dropped": 0, "misses": 1, "slowest_miss_ms": 900, "wrong": [] });
        assert_eq!(complaint(1, &good), None);
        for (field, value) in [
            ("answered_by_xdp", json!(0)),
            ("adopted", json!(0)),
            ("misses", json!(0)),
            ("slowest_miss_ms", json!(1001)),
            ("wrong", json!(["www.test A: no answer"])),
        ] {
            let mut window = good.clone();
            window[field] = value;
            assert!(complaint(7, &window).is_some_and(|said| said.starts_with("kill 7: ")), "{field}");
        }
    }
}
