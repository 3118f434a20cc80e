//! Plays every scenario of some folders and says of each what became of it.
//!
//! Folders: the arguments, else `RESOLVER_SCENARIOS`, which `cargo xtask test` sets; without either those of our own, `own/`, and says so. Output:
//! a line for each file, the sum, and the goals that are not met: every applicable `val_` file passes, 95 % of the other applicable ones
//! do, and at most 15 % are not applicable. A file passes, fails with its first difference, or is not applicable, with the feature that
//! the product does not claim, or with the word that neither dialect is known to have. `--only=TEXT`: files with this in their path;
//! `--trace`: also what servers were asked.
//!
//! Files of which we know that and why they fail are listed in `known.txt` and count as ignored; one that passes nevertheless, or that is
//! not there though its folder is played whole, is a failure of the list. Exit code 1 if another file fails, or there is none where
//! there should be; with `--strict`, if any fails. Whole folders must also meet the goals.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{env, fs, thread};

use resolver_tests::scenario::play::{Failure, play};
use resolver_tests::scenario::script::{Fault, Script};

/// Longest real time for one file: its own time is virtual, so more means that it hangs.
const REAL_TIME_MAX: Duration = Duration::from_secs(60);
/// Files played at once.
const WORKERS: usize = 2;

/// Scenarios of our own: what those of others do not ask, and what was found by varying them.
const OWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/own");

/// Files that fail, and why: `file | why`.
const KNOWN: &str = include_str!("known.txt");

/// What became of a file.
enum Verdict {
    Passed,
    Failed(String),
    NotApplicable(String),
}

/// What a file was, and what servers were asked.
struct Played {
    name: String,
    verdict: Verdict,
    told: Vec<String>,
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let (flags, mut folders): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| word.starts_with("--"));
    let filter = flags.iter().find_map(|flag| flag.strip_prefix("--only=")).unwrap_or_default().to_owned();
    let tells = flags.iter().any(|flag| flag == "--trace");
    let is_strict = flags.iter().any(|flag| flag == "--strict");
    if folders.is_empty() {
        folders.extend(env::var("RESOLVER_SCENARIOS").ok().filter(|folder| !folder.is_empty()));
    }
    if folders.is_empty() {
        println!(
            "scenarios: only our own; `cargo xtask test --tier scenarios` plays others, or name their folder in RESOLVER_SCENARIOS"
        );
        folders.push(OWN.to_owned());
    }
    let mut files = Vec::new();
    for folder in &folders {
        find(Path::new(folder), &mut files);
    }
    files.retain(|file| file.display().to_string().contains(&filter));
    files.sort();
    if files.is_empty() {
        println!("scenarios: no files in {}", folders.join(", "));
        return end(0, 1, 0);
    }
    let mut played = play_all(files);
    played.sort_by(|a, b| a.name.cmp(&b.name));
    for one in &played {
        match &one.verdict {
            Verdict::Passed if known(&one.name).is_some() => {
                println!("{} ... FAILED: it passes, but is listed", one.name)
            }
            Verdict::Passed => println!("{} ... passed", one.name),
            Verdict::Failed(why) => match known(&one.name) {
                Some(reason) if !is_strict => println!("{} ... failed, as known ({reason}): {why}", one.name),
                _ => println!("{} ... FAILED: {why}", one.name),
            },
            Verdict::NotApplicable(feature) if known(&one.name).is_some() => {
                println!("{} ... FAILED: it is not applicable ({feature}), but is listed", one.name);
            }
            Verdict::NotApplicable(feature) => println!("{} ... not applicable: {feature}", one.name),
        }
        if tells {
            one.told.iter().for_each(|line| println!("    {line}"));
        }
    }
    let missing = if filter.is_empty() { missing(&played) } else { Vec::new() };
    for name in &missing {
        println!("{name} ... FAILED: it is listed, but not there");
    }
    sum_up(&played, missing.len(), is_strict, filter.is_empty())
}

/// Files of the list that are not there, of folders that hold others of the list: those that it was written for.
fn missing(played: &[Played]) -> Vec<&'static str> {
    let folder = |name: &str| name.split('/').next().unwrap_or_default().to_owned();
    let is_there = |name: &str| played.iter().any(|one| one.name == name);
    let folders: Vec<String> = known_files().map(|(name, _)| name).filter(|name| is_there(name)).map(folder).collect();
    let names = known_files().map(|(name, _)| name);
    names.filter(|name| folders.contains(&folder(name)) && !is_there(name)).collect()
}

/// Prints the sum and the goals, and fails where they are not met though they are demanded.
fn sum_up(played: &[Played], missing: usize, is_strict: bool, is_whole: bool) -> ExitCode {
    let count = |of: &dyn Fn(&Played) -> bool| played.iter().filter(|one| of(one)).count();
    let is_val = |one: &Played| one.name.rsplit('/').next().is_some_and(|name| name.starts_with("val_"));
    let passes = |one: &Played| matches!(one.verdict, Verdict::Passed);
    let fails = |one: &Played| matches!(one.verdict, Verdict::Failed(_));
    let (passed, failed) = (count(&passes), count(&fails));
    let not_applicable = played.len() - passed - failed;
    let (val_passed, val_failed) = (count(&|one| is_val(one) && passes(one)), count(&|one| is_val(one) && fails(one)));
    let (other_passed, others) = (passed - val_passed, passed + failed - val_passed - val_failed);
    println!("scenarios: {} files, {passed} passed, {failed} failed, {not_applicable} not applicable", played.len());
    let goals = [
        (val_failed == 0, format!("every val_ file: {val_passed} of {}", val_passed + val_failed)),
        (other_passed * 100 >= others * 95, format!("95 % of the others: {other_passed} of {others}")),
        (not_applicable * 100 <= played.len() * 15, format!("at most 15 % not applicable: {not_applicable}")),
    ];
    for (is_met, goal) in &goals {
        println!("scenarios: goal {}: {goal}", if *is_met { "met" } else { "not met" });
    }
    let is_demanded = is_strict || is_whole;
    let unmet = usize::from(is_demanded && goals.iter().any(|(is_met, _)| !is_met));
    if is_strict {
        return end(passed, failed.max(unmet), not_applicable);
    }
    let is_known = |one: &Played| known(&one.name).is_some();
    let known_failures = count(&|one| fails(one) && is_known(one));
    let passes_listed = count(&|one| passes(one) && is_known(one));
    let listed_wrongly = missing + count(&|one| !fails(one) && is_known(one));
    let failed_in_all = failed - known_failures + listed_wrongly + unmet;
    let played_listed = listed_wrongly - missing - passes_listed;
    end(passed - passes_listed, failed_in_all, known_failures + not_applicable - played_listed)
}

/// Why a file is known to fail.
fn known(name: &str) -> Option<&'static str> {
    known_files().find(|(known, _)| *known == name).map(|(_, reason)| reason)
}

/// The files that are known to fail, and why.
fn known_files() -> impl Iterator<Item = (&'static str, &'static str)> {
    KNOWN.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" | "))
}

/// Prints the summary as Rust's own harness does, which `cargo xtask test` adds up.
fn end(passed: usize, failed: usize, ignored: usize) -> ExitCode {
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {result}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; 0 filtered out");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    if is_scenario(folder) {
        files.push(folder.to_owned());
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() || is_scenario(&path) {
            find(&path, files);
        }
    }
}

/// Whether a file is named like a scenario: `.crpl` are those of Unbound that need it to be built with something.
fn is_scenario(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rpl" || extension == "crpl")
}

fn play_all(files: Vec<PathBuf>) -> Vec<Played> {
    let (queue, done) = (Mutex::new(VecDeque::from(files)), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(file) = next else { break };
                    let played = play_one(file);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(played);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Plays a file in a thread of its own, so that one that hangs or panics fails alone.
fn play_one(file: PathBuf) -> Played {
    let parent = file.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let name = format!("{parent}/{}", file.file_name().unwrap_or_default().to_string_lossy());
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut told = Vec::new();
        let verdict = verdict(&file, &mut told);
        // Nobody listens any more to one that took too long.
        _ = sender.send((verdict, told));
    });
    let hung = |_| (Verdict::Failed("it hangs, or panicked".to_owned()), Vec::new());
    let (verdict, told) = receiver.recv_timeout(REAL_TIME_MAX).unwrap_or_else(hung);
    Played { name, verdict, told }
}

fn verdict(file: &Path, told: &mut Vec<String>) -> Verdict {
    let text = match fs::read(file) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => return Verdict::Failed(error.to_string()),
    };
    let script = match Script::read(&text) {
        Ok(script) => script,
        Err(error) if matches!(error.fault, Fault::Feature(_) | Fault::Word(_)) => {
            return Verdict::NotApplicable(error.fault.to_string());
        }
        Err(error) => return Verdict::Failed(error.to_string()),
    };
    match play(script, told) {
        Ok(()) => Verdict::Passed,
        Err(Failure::Unplayable(why)) => Verdict::NotApplicable(why.to_string()),
        // Ours has other limits: what is beyond them is not claimed.
        Err(error @ Failure::Config(_)) => Verdict::NotApplicable(error.to_string()),
        Err(error) => Verdict::Failed(error.to_string()),
    }
}
