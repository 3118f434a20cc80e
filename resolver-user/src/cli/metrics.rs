//! `resolver metrics`: what the daemon counts and measures; and the file that the guide's monitoring script writes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::check::{self, Expected, Judged};
use super::{EXIT_CONFIG, EXIT_NETWORK, EXIT_OTHER, daemon_status, say};
use crate::control::Request;
use crate::export::{self, Format, GuideFacts};
use crate::wire::RCode;

/// Arguments of `resolver metrics`.
#[derive(Args)]
pub(super) struct MetricsArguments {
    #[command(flatten)]
    lists: check::Lists,
    /// Ask for known names and write what comes of it to FILE, for node-exporter's textfile collector
    #[arg(long, value_name = "FILE")]
    textfile: Option<PathBuf>,
    /// Print a table of all metrics
    #[arg(long, conflicts_with = "textfile")]
    describe: bool,
}

pub(super) fn metrics(arguments: &MetricsArguments) -> ExitCode {
    if arguments.describe {
        say(&export::table());
        return ExitCode::SUCCESS;
    }
    match &arguments.textfile {
        Some(path) => write_textfile(path, &arguments.lists),
        None if arguments.lists.is_empty() => super::ask(&arguments.lists.control, Request::Metrics),
        None => fail("names and servers are only asked with --textfile FILE", EXIT_CONFIG),
    }
}

fn fail(error: &str, code: u8) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(code)
}

/// Asks for the names and writes the guide's numbers.
fn write_textfile(path: &Path, lists: &check::Lists) -> ExitCode {
    let daemon = daemon_status(&lists.control.control_socket).ok();
    let plan = match check::plan(lists, daemon.as_ref(), check::MONITORED) {
        Ok(plan) => plan,
        Err(error) => return fail(&error, EXIT_CONFIG),
    };
    let judged = match check::ask_all(&plan) {
        Ok(judged) => judged,
        Err(error) => return fail(&error.to_string(), EXIT_NETWORK),
    };
    let facts = GuideFacts {
        cache_size: daemon.map_or(0, |status| status.cache_entries_max),
        // The first name once more: by now it is cached.
        query_time_ms: check::time_again_ms(&plan).unwrap_or(0.0),
        ..counted(&judged)
    };
    let text = export::text(&export::guide_families(&facts), Format::Prometheus);
    match replace(path, &text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("cannot write {}: {error}", path.display()), EXIT_OTHER),
    }
}

/// Answers by what they show, as the guide's script counts them.
fn counted(judged: &[Judged]) -> GuideFacts {
    let mut facts = GuideFacts::default();
    for judged in judged {
        let number = match (judged.expected, &judged.seen) {
            (Expected::Unsigned, Some(seen)) if seen.rcode == RCode::NOERROR && seen.records > 0 => &mut facts.unsigned,
            (Expected::Good | Expected::Bad, Some(seen)) if seen.authentic => &mut facts.valid,
            (Expected::Good | Expected::Bad, Some(seen)) if seen.rcode == RCode::SERVFAIL => &mut facts.invalid,
            _ => &mut facts.errors,
        };
        *number = number.saturating_add(1);
    }
    facts
}

/// Puts a file in the place of another, whole or not at all, readable by all.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // Not ending in `.prom`, so that a half-written one is never collected.
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let written = File::create(&draft).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        file.sync_all()?;
        fs::rename(&draft, path)
    });
    if written.is_err() {
        // What went wrong before is told; a draft that cannot be removed either is not worse.
        let _left = fs::remove_file(&draft);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::Seen;

    fn judged(expected: Expected, rcode: RCode, authentic: bool, records: usize) -> Judged {
        let seen = Seen { rcode, authentic, records, errors: Vec::new(), unvalidated: None };
        Judged { expected, question: String::new(), passed: true, seen: Some(seen), told: String::new(), took_ms: 0.0 }
    }

    #[test]
    fn answers_are_counted_as_the_guides_script_counts_them() {
        let nothing = Judged { seen: None, ..judged(Expected::Good, RCode::NOERROR, true, 1) };
        let facts = counted(&[
            judged(Expected::Good, RCode::NOERROR, true, 1),
            judged(Expected::Good, RCode::SERVFAIL, false, 0),
            judged(Expected::Good, RCode::NOERROR, false, 1),
            judged(Expected::Unsigned, RCode::NOERROR, false, 1),
            judged(Expected::Unsigned, RCode::NXDOMAIN, false, 0),
            judged(Expected::Bad, RCode::SERVFAIL, false, 0),
            nothing,
        ]);
        assert_eq!((facts.valid, facts.invalid, facts.unsigned, facts.errors), (1, 2, 1, 3));
    }
}
