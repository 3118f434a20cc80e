//! The rigs that need what the tests have: frames made in the kernel, clients of the lab. For `cargo xtask bench`; as root: `rig
//! VERB WORD…`.
//!
//! In: a verb and its words, see each file. Out: a [`Line`] of JSON on standard output for each thing that was measured.

mod fastpath;
mod flood;
mod hammer;
mod peers;
mod publish;
mod restarts;

use std::process::ExitCode;

use resolver_tests::rig::place::raise_priority;
use xtask::bench::report::Line;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    raise_priority();
    let ran = match words[..] {
        ["fastpath", runs, ref cases @ ..] => runs.parse().ok().map(|runs| fastpath::run(runs, cases)),
        ["peers", runs, names, ref peers @ ..] => {
            let names: Result<Vec<usize>, _> = names.split(',').map(str::parse).collect();
            runs.parse().ok().zip(names.ok()).map(|(runs, names)| peers::run(runs, &names, peers))
        }
        ["publish", runs] => runs.parse().ok().map(publish::run),
        ["flood", runs] => runs.parse().ok().map(flood::run),
        ["restarts", kills] => kills.parse().ok().map(restarts::run),
        ["hammer", hits] => hits.parse().ok().map(hammer::run),
        _ => None,
    };
    match ran {
        Some(code) => code,
        None => {
            eprintln!(
                "usage: rig fastpath RUNS [CASE…] | peers RUNS NAMES[,NAMES…] [PEER…] | publish RUNS | flood RUNS | hammer HITS | \
                 restarts KILLS"
            );
            ExitCode::FAILURE
        }
    }
}

/// Says what was measured.
fn say(line: &Line) {
    println!("{}", serde_json::to_string(line).expect("plain data"));
}
