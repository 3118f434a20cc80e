//! Plays every scenario of some folders and says of each what became of it.
//!
//! Folders: the arguments, else `RESOLVER_SCENARIOS`, else `shared/scenarios` beside the checkout. Output: a line for each file, then the
//! sum. A file passes, fails with its first difference, or is not applicable, with the feature that the product does not claim.
//! Exit code 1 unless every applicable `val_` file passes, 95 % of the other applicable ones do, and at most 15 % are not applicable.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{env, fs, thread};

use resolver_tests::scenario::play::{Failure, play};
use resolver_tests::scenario::script::Script;
use resolver_tests::scenario::settings::Unplayable;

/// Longest real time for one file: its own time is virtual, so more means that it hangs.
const REAL_TIME_MAX: Duration = Duration::from_secs(60);
/// Files played at once.
const WORKERS: usize = 2;

/// What became of a file.
enum Verdict {
    Passed,
    Failed(String),
    NotApplicable(&'static str),
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
    if folders.is_empty() {
        let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/scenarios").display().to_string();
        folders.push(env::var("RESOLVER_SCENARIOS").unwrap_or_else(|_| beside()));
    }
    let mut files = Vec::new();
    for folder in &folders {
        find(Path::new(folder), &mut files);
    }
    files.retain(|file| file.display().to_string().contains(&filter));
    files.sort();
    if files.is_empty() {
        println!("scenarios: none in {}; see RESOLVER_SCENARIOS", folders.join(", "));
        println!("test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        return ExitCode::SUCCESS;
    }
    let mut played = play_all(files);
    played.sort_by(|a, b| a.name.cmp(&b.name));
    for one in &played {
        match &one.verdict {
            Verdict::Passed => println!("{} ... passed", one.name),
            Verdict::Failed(why) => println!("{} ... FAILED: {why}", one.name),
            Verdict::NotApplicable(feature) => println!("{} ... not applicable: {feature}", one.name),
        }
        if tells {
            one.told.iter().for_each(|line| println!("    {line}"));
        }
    }
    sum_up(&played)
}

/// Prints the sum and whether it is enough.
fn sum_up(played: &[Played]) -> ExitCode {
    let count = |of: fn(&&Played) -> bool| played.iter().filter(of).count();
    let is_val = |one: &Played| one.name.rsplit('/').next().is_some_and(|name| name.starts_with("val_"));
    let passed = count(|one| matches!(one.verdict, Verdict::Passed));
    let failed = count(|one| matches!(one.verdict, Verdict::Failed(_)));
    let not_applicable = count(|one| matches!(one.verdict, Verdict::NotApplicable(_)));
    let of = |val: bool, passes: bool| {
        let wanted = |one: &&Played| is_val(one) == val && matches!(one.verdict, Verdict::Passed) == passes;
        let applicable = |one: &&Played| !matches!(one.verdict, Verdict::NotApplicable(_));
        played.iter().filter(applicable).filter(wanted).count()
    };
    let (val_passed, val_failed, other_passed, other_failed) = (of(true, true), of(true, false), of(false, true), of(false, false));
    println!("scenarios: {} files, {passed} passed, {failed} failed, {not_applicable} not applicable", played.len());
    println!("scenarios: val_*: {val_passed} of {}; others: {other_passed} of {}", val_passed + val_failed, other_passed + other_failed);
    let enough = val_failed == 0
        && other_passed * 100 >= (other_passed + other_failed) * 95
        && not_applicable * 100 <= played.len() * 15;
    // Files that may fail are told, and do not count as failures of the suite while they are few enough.
    let (result, failures) = if enough { ("ok", 0) } else { ("FAILED", failed.max(1)) };
    println!("test result: {result}. {passed} passed; {failures} failed; {} ignored; 0 measured; 0 filtered out", played.len() - passed - failures);
    if enough { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    if folder.extension().is_some_and(|extension| extension == "rpl") {
        files.push(folder.to_owned());
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() || path.extension().is_some_and(|extension| extension == "rpl") {
            find(&path, files);
        }
    }
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
        Err(error) => return Verdict::Failed(error.to_string()),
    };
    match play(script, told) {
        Ok(()) => Verdict::Passed,
        Err(Failure::Unplayable(Unplayable::Feature(feature))) => Verdict::NotApplicable(feature),
        Err(error) => Verdict::Failed(error.to_string()),
    }
}
