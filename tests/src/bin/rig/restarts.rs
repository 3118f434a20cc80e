//! `rig restarts KILLS`: a daemon is killed and started again, over and over, in a lab that is up.
//!
//! Out: a line of a table for each kill, and figures, each against what is aimed at. Fails if a client did not get what it must.

use std::process::ExitCode;

use resolver_tests::lab;
use resolver_tests::restarts::{OPEN_MS_MAX, Window, run as kill_and_restart};
use xtask::bench::report::{Line, Measured};

use super::say;

/// Kills a daemon so many times.
pub fn run(kills: usize) -> ExitCode {
    say(&Line::Note(HEAD.to_owned()));
    let mut number = 0;
    let windows = kill_and_restart(&lab::facts(), "", kills, |window| {
        number += 1;
        say(&Line::Note(row(number, window)));
    });
    let complaints: Vec<_> = windows.iter().map(Window::complaint).collect();
    for (at, complaint) in complaints.iter().enumerate() {
        if let Some(complaint) = complaint {
            say(&Line::Note(format!("kill {}: {complaint}", at + 1)));
        }
    }
    say(&Line::Note(sum(&windows)));
    for (case, starting) in [("restart-ready", false), ("restart-starting", true)] {
        let windows: Vec<&Window> = windows.iter().filter(|window| window.starting == starting).collect();
        figures(case, &windows).iter().for_each(|measured| say(&Line::Measured(measured.clone())));
    }
    if complaints.iter().all(Option::is_none) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What kills come to that hit a daemon that was ready, or one that was starting; nothing without such kills.
fn figures(case: &str, windows: &[&Window]) -> Vec<Measured> {
    let share = |part: u64, rest: u64| part as f64 / (part + rest) as f64;
    let figure = |metric: &str, unit: &str, goal: f64, of: &dyn Fn(&Window) -> f64| Measured {
        unit: unit.to_owned(),
        is_less_better: unit == "ms",
        ours: windows.iter().map(|window| of(window)).collect(),
        baseline_name: "goal".to_owned(),
        baseline: vec![goal; windows.len()],
        ..Measured::new(case, metric)
    };
    if windows.is_empty() {
        return Vec::new();
    }
    let open_ms_max = OPEN_MS_MAX as f64;
    vec![
        figure("down", "ms", open_ms_max, &|window| window.down_ms as f64),
        figure("question_open", "ms", open_ms_max, &|window| window.slowest_miss_ms as f64),
        figure("answers_kept", "share", 1.0, &|window| share(window.adopted, window.dropped)),
        figure("right_answers", "share", 1.0, &|window| share(window.known, window.wrong.len() as u64)),
    ]
}

/// All kills together.
fn sum(windows: &[Window]) -> String {
    let sum = |of: fn(&Window) -> u64| windows.iter().map(of).sum::<u64>();
    let most = |of: fn(&Window) -> u128| windows.iter().map(of).max().unwrap_or_default();
    format!(
        "{} kills: {} known answers, {} wrong or lost; {} answered by XDP without a daemon; {} new names; down {} ms at most, a \
         question open {} ms at most after that",
        windows.len(),
        sum(|window| window.known),
        sum(|window| window.wrong.len() as u64),
        sum(|window| window.answered),
        sum(|window| window.misses),
        most(|window| window.down_ms),
        most(|window| window.slowest_miss_ms),
    )
}

/// A line of the table.
fn row(number: usize, window: &Window) -> String {
    let of = if window.starting { "starting" } else { "ready" };
    let Window { down_ms, answered, known, wrong, adopted, dropped, unsound, misses, slowest_miss_ms, .. } = window;
    let wrong = wrong.len();
    format!(
        "{number:>4}  {of:<8} {down_ms:>7} {answered:>9} {known:>8} {wrong:>6} {adopted:>6} {dropped:>5} {unsound:>7} {misses:>9} \
         {slowest_miss_ms:>8}"
    )
}

/// Over the lines. `XDP`: answers it gave while no daemon was ready; `kept`, `over`, `unsound`: entries that were taken over, whose
/// time was over, and that were not in order; `open`: longest time that a new name's question was open after the daemon was ready.
const HEAD: &str = "kill  of       down ms       XDP    known  wrong   kept  over unsound new names  open ms";
