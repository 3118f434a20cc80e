//! `resolver top`: what both halves are doing, again each second, until `q`.
//!
//! Choice: plain control sequences, since a screen that is written anew each second needs no library for its windows.

mod terminal;
mod view;

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;

use super::{Control, EXIT_NETWORK, EXIT_OTHER, say};
use crate::control::report::TopReport;
use crate::control::{self, ClientError, Request};
use terminal::Terminal;
use view::View;

/// Time between two views.
const PERIOD: Duration = Duration::from_secs(1);
/// Size of a view that is not on a terminal, in columns and lines.
const PLAIN_SIZE: (usize, usize) = (120, 60);

/// Arguments of `resolver top`.
#[derive(Args)]
pub(super) struct TopArguments {
    /// Show one second, as text without control sequences, or with --json as JSON
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    control: Control,
}

pub(super) fn top(arguments: &TopArguments) -> ExitCode {
    if arguments.once || arguments.control.json {
        return match once(&arguments.control) {
            Ok(text) => {
                say(&text);
                ExitCode::SUCCESS
            }
            Err(error) => unreachable_daemon(&error),
        };
    }
    let mut terminal = match Terminal::open() {
        Ok(terminal) => terminal,
        Err(error) => {
            eprintln!("no terminal to show this on ({error}); give --once");
            return ExitCode::from(EXIT_OTHER);
        }
    };
    let ended = follow(&mut terminal, &arguments.control);
    // The screen first, so that what is said stays on it.
    drop(terminal);
    match ended {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => unreachable_daemon(&error),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(EXIT_OTHER)
        }
    }
}

fn unreachable_daemon(error: &ClientError) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(EXIT_NETWORK)
}

/// One second.
fn once(control: &Control) -> Result<String, ClientError> {
    let (before, started) = (ask(control)?, Instant::now());
    std::thread::sleep(PERIOD);
    let view = View::new(&before, &ask(control)?, started.elapsed());
    if control.json {
        let text = serde_json::to_string(&view).map_err(|source| ClientError::Reply { source })?;
        return Ok(text + "\n");
    }
    Ok(view.text(PLAIN_SIZE))
}

/// Shows second after second. The outer error is the terminal's.
fn follow(terminal: &mut Terminal, control: &Control) -> io::Result<Result<(), ClientError>> {
    let mut before = match ask(control) {
        Ok(report) => report,
        Err(error) => return Ok(Err(error)),
    };
    let mut started = Instant::now();
    terminal.show("resolver top: a moment, please (q quits)\n")?;
    while !terminal.wait_for_quit(PERIOD)? {
        let after = match ask(control) {
            Ok(report) => report,
            Err(error) => return Ok(Err(error)),
        };
        let view = View::new(&before, &after, started.elapsed());
        started = Instant::now();
        terminal.show(&view.text(terminal.size()))?;
        before = after;
    }
    Ok(Ok(()))
}

fn ask(control: &Control) -> Result<TopReport, ClientError> {
    let reply = control::ask(&control.control_socket, Request::Top)?;
    serde_json::from_str(&reply).map_err(|source| ClientError::Reply { source })
}
