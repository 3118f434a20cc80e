//! The command line: verbs, flags, and the exit code of whatever they start.
//!
//! In: the arguments of the process. Out: text for people, and dnsmasq's exit codes: 1 configuration, 2 network, 3 files,
//! 5 other; `chain` and `check` have their own. Decides nothing but how to print.

mod anchors;
mod capture;
mod chain;
mod check;
mod documents;
mod metrics;
mod query;
mod top;

use std::ffi::OsString;
use std::future::Future;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tracing::error;

use crate::config::{self, Config, ConfigError, LogTarget, LoggingConfig, Problem, TOPICS, Takes, Topic};
use crate::control::report::{StatusReport, VerifyReport};
use crate::control::{self, ClientError, Request};
use crate::daemon::{self, DaemonError};
use crate::logging::Log;
use crate::serving::Serving;
use crate::trust::{Followed, Timing};
use crate::wire::{Name, Question, RecordType};

/// A validating DNS resolver that lets XDP answer what is cached.
#[derive(Parser)]
#[command(name = "resolver", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run in the foreground until SIGINT or SIGTERM; what an option without a command means
    #[command(after_help = options_help())]
    Run(Options),
    /// Check options and files, tell everything that is wrong
    #[command(after_help = options_help())]
    TestConfig(Options),
    /// Show the state of the running daemon
    Status(Control),
    /// Walk the chain of trust to NAME and tell what is met; exit code 0: secure or proven insecure, 2: bogus, 3: neither
    Chain(chain::ChainArguments),
    /// Ask the running daemon, and tell who answered and whether it is proven
    Query(query::QueryArguments),
    /// Ask for names that must be secure, bogus or unsigned, and tell which are not; exit code 0: all as they must be, 1: some not
    Check(check::Lists),
    /// What the daemon counts and measures, as OpenMetrics
    Metrics(metrics::MetricsArguments),
    /// The daemon's own cache
    Cache {
        #[command(subcommand)]
        command: CacheCommand,
    },
    /// Where validation starts, and where it is turned off
    Anchors {
        #[command(subcommand)]
        command: AnchorsCommand,
    },
    /// The kernel's answers
    Fastpath {
        #[command(subcommand)]
        command: FastpathCommand,
    },
    /// What both halves are doing, again each second, until q
    Top(top::TopArguments),
    /// Who asks how much: the busiest clients, if client-counts is set
    Clients(Control),
    /// Write what XDP answers to a file, with the queries; tcpdump cannot see it
    Capture(capture::CaptureArguments),
    /// Write manual pages and shell completions
    #[command(hide = true)]
    Documents(documents::DocumentsArguments),
}

#[derive(Subcommand)]
enum CacheCommand {
    /// List its answers
    Dump(Control),
}

#[derive(Subcommand)]
enum AnchorsCommand {
    /// Show each anchor: where it is from, the state of its key, and whether the zone still has that
    Status(Control),
    /// Take the root's anchors from IANA, once their signature is verified, into an anchors file and the running daemon
    Update(anchors::UpdateArguments),
    /// Get root-anchors.xml and root-anchors.p7s over HTTPS
    Fetch(anchors::FetchArguments),
    /// Names at and below which nothing is validated (RFC 7646)
    Negative {
        #[command(subcommand)]
        command: NegativeCommand,
    },
}

#[derive(Subcommand)]
enum NegativeCommand {
    /// Turn validation off at and below a name, for a time
    Add {
        /// The name
        name: String,
        /// For how long: a number with s, m, h or d; at most 7d
        #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = read_time)]
        for_s: u64,
        #[command(flatten)]
        control: Control,
    },
    /// Turn validation on again
    Remove {
        /// The name
        name: String,
        #[command(flatten)]
        control: Control,
    },
    /// List them
    List(Control),
}

#[derive(Subcommand)]
enum FastpathCommand {
    /// List its answers
    Dump(Control),
    /// Who was over a rate limit lately
    Limits(Control),
    /// Remove all of them
    Flush(Control),
    /// Let XDP answer
    On(Control),
    /// Let XDP answer nothing; the daemon answers everything
    Off(Control),
    /// Let XDP count what it would answer, while the daemon answers everything and compares
    DryRun(Control),
    /// Hold every answer against the daemon's cache; exit code 1: something is wrong
    Verify(Control),
}

/// The words of the config language.
#[derive(Args)]
struct Options {
    /// Options, as in a config file: --conf-file FILE, --server=127.0.0.1#5300, …
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION")]
    options: Vec<String>,
}

/// How to reach the running daemon.
#[derive(Args)]
struct Control {
    /// Its control socket
    #[arg(long, value_name = "PATH", default_value = config::CONTROL_SOCKET)]
    control_socket: PathBuf,
    /// Print the daemon's JSON as it is
    #[arg(long)]
    json: bool,
}

/// What to ask, and whom.
#[derive(Args)]
struct Asking {
    /// Name, type (A unless given), server (the daemon's unless given)
    #[arg(value_names = ["NAME", "TYPE", "@SERVER[#PORT]"], num_args = 1..=3, required = true)]
    words: Vec<String>,
    #[command(flatten)]
    control: Control,
}

/// A wrong configuration, as dnsmasq has it.
const EXIT_CONFIG: u8 = 1;
/// No socket, or no daemon on the other end, as dnsmasq has it.
const EXIT_NETWORK: u8 = 2;
/// A file that cannot be used, as dnsmasq has it.
const EXIT_FILES: u8 = 3;
/// Anything else, as dnsmasq has it.
const EXIT_OTHER: u8 = 5;

/// The program: reads the arguments and does what they say.
pub fn main() -> ExitCode {
    main_with(Timing::RFC)
}

/// The same, but following keys with other hold-downs than RFC 5011 demands: for tests, which cannot wait a month.
pub fn main_with(timing: Timing) -> ExitCode {
    let cli = match Cli::try_parse_from(with_verb(std::env::args_os())) {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing can be done where nobody listens. Help and version are no errors.
            let _unheard = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_CONFIG } else { 0 });
        }
    };
    match cli.command {
        Command::Run(options) => run(&options.options, timing),
        Command::TestConfig(options) => test_config(&options.options),
        Command::Status(control) => ask(&control, Request::Status),
        Command::Chain(arguments) => chain::chain(&arguments),
        Command::Check(lists) => check::check(&lists),
        Command::Metrics(arguments) => metrics::metrics(&arguments),
        Command::Top(arguments) => top::top(&arguments),
        Command::Clients(control) => ask(&control, Request::Clients),
        Command::Capture(arguments) => capture::capture(&arguments),
        Command::Query(arguments) => query::query(&arguments),
        Command::Cache { command: CacheCommand::Dump(control) } => ask(&control, Request::CacheDump),
        Command::Anchors { command } => anchors(command),
        Command::Fastpath { command } => fastpath(&command),
        Command::Documents(arguments) => documents::documents(&arguments),
    }
}

/// Puts in `run` where the first word is an option of the config language, so that a command line of dnsmasq works.
fn with_verb(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.collect();
    let is_option = |word: &OsString| {
        let word = word.to_string_lossy();
        word.starts_with('-') && !["-h", "--help", "-V", "--version"].contains(&word.as_ref())
    };
    if words.get(1).is_some_and(is_option) {
        words.insert(1, "run".into());
    }
    words
}

fn run(options: &[String], timing: Timing) -> ExitCode {
    let config = match load(options) {
        Ok(config) if config.files.test => return tested(&config),
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let logging = match config.process.no_daemon {
        true => LoggingConfig { target: LogTarget::StandardError, ..config.logging.clone() },
        false => config.logging.clone(),
    };
    let log = match Log::open(&logging) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(EXIT_FILES);
        }
    };
    log.install(&logging.target);
    let ended = daemon::run(options.to_vec(), config, log.clone(), timing);
    let code = ended.map_or_else(
        |error| {
            error!("{error}");
            exit_code(&error)
        },
        |()| 0,
    );
    log.flush();
    ExitCode::from(code)
}

fn exit_code(error: &DaemonError) -> u8 {
    match error {
        DaemonError::Listen(_)
        | DaemonError::Control(_)
        | DaemonError::Export(_)
        | DaemonError::FastPath(_)
        | DaemonError::Inherited { .. } => EXIT_NETWORK,
        DaemonError::NoBpfObject { .. } | DaemonError::NoXdpInterface { .. } | DaemonError::Identity(_) => EXIT_CONFIG,
        DaemonError::PidFile { .. }
        | DaemonError::Timestamp(_)
        | DaemonError::AnchorState(_)
        | DaemonError::Chroot { .. }
        | DaemonError::PinDir { .. } => EXIT_FILES,
        DaemonError::Runtime { .. } => EXIT_OTHER,
    }
}

fn test_config(options: &[String]) -> ExitCode {
    load(options).map_or_else(|exit| exit, |config| tested(&config))
}

/// Tells that a configuration is right, and what is strange in it.
fn tested(config: &Config) -> ExitCode {
    for warning in &config.warnings {
        eprintln!("warning: {warning}");
    }
    if let Some(path) = config.dnssec.anchor_state.as_deref().filter(|_| config.dnssec.enabled)
        && let Err(error) = Followed::check(path)
    {
        eprintln!("{error}");
        return ExitCode::from(EXIT_CONFIG);
    }
    println!("syntax check OK.");
    ExitCode::SUCCESS
}

/// Reads the configuration, or prints everything that is wrong with it. The exit code is dnsmasq's, who stops at the first.
fn load(options: &[String]) -> Result<Config, ExitCode> {
    config::load_for_daemon(options).map_err(|errors| {
        for error in &errors {
            eprintln!("{error}");
        }
        let unreadable = |error: &ConfigError| matches!(error.problem, Problem::Unreadable { .. });
        ExitCode::from(if errors.first().is_some_and(unreadable) { EXIT_FILES } else { EXIT_CONFIG })
    })
}

fn fastpath(command: &FastpathCommand) -> ExitCode {
    let serve = |control: &Control, serving| ask(control, Request::FastpathServe { serving });
    match command {
        FastpathCommand::Dump(control) => ask(control, Request::FastpathDump),
        FastpathCommand::Limits(control) => ask(control, Request::FastpathLimits),
        FastpathCommand::Flush(control) => ask(control, Request::FastpathFlush),
        FastpathCommand::On(control) => serve(control, Serving::On),
        FastpathCommand::Off(control) => serve(control, Serving::Off),
        FastpathCommand::DryRun(control) => serve(control, Serving::DryRun),
        FastpathCommand::Verify(control) => verify(control),
    }
}

/// Prints what came of it; the exit code says whether anything is wrong.
fn verify(control: &Control) -> ExitCode {
    let report = control::ask(&control.control_socket, Request::FastpathVerify).and_then(|lines| {
        let report: VerifyReport = serde_json::from_str(&lines).map_err(|source| ClientError::Reply { source })?;
        let text = if control.json { lines } else { control::print_reply(&Request::FastpathVerify, &lines)? };
        Ok((report, text))
    });
    match report {
        Ok((report, text)) => {
            say(&text);
            ExitCode::from(u8::from(report.wrong > 0))
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(EXIT_NETWORK)
        }
    }
}

fn anchors(command: AnchorsCommand) -> ExitCode {
    match command {
        AnchorsCommand::Status(control) => ask(&control, Request::Anchors),
        AnchorsCommand::Update(arguments) => anchors::update(&arguments),
        AnchorsCommand::Fetch(arguments) => anchors::fetch(&arguments),
        AnchorsCommand::Negative { command } => negative(command),
    }
}

fn negative(command: NegativeCommand) -> ExitCode {
    match command {
        NegativeCommand::Add { name, for_s, control } => ask(&control, Request::AddNegativeAnchor { name, for_s }),
        NegativeCommand::Remove { name, control } => ask(&control, Request::RemoveNegativeAnchor { name }),
        NegativeCommand::List(control) => ask(&control, Request::NegativeAnchors),
    }
}

/// Reads a time such as `90s`, `15m`, `1h` or `7d` as seconds.
fn read_time(text: &str) -> Result<u64, String> {
    let legal = || "legal: a number with s, m, h or d, such as 1h".to_owned();
    let unit_s = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => return Err(legal()),
    };
    let number: u64 = text.get(..text.len() - 1).and_then(|number| number.parse().ok()).ok_or_else(legal)?;
    number.checked_mul(unit_s).ok_or_else(legal)
}

fn ask(control: &Control, request: Request) -> ExitCode {
    let reply = control::ask(&control.control_socket, request.clone());
    let text = if control.json { reply } else { reply.and_then(|lines| control::print_reply(&request, &lines)) };
    match text {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(EXIT_NETWORK)
        }
    }
}

impl Asking {
    /// The question, and the server if one is named.
    fn read(&self) -> Result<(Question, Option<String>), String> {
        let (servers, words): (Vec<&String>, Vec<&String>) = self.words.iter().partition(|word| word.starts_with('@'));
        let (name, rtype) = match (words.as_slice(), servers.len()) {
            ([name], 0..=1) => (name, RecordType::A),
            ([name, rtype], 0..=1) => (name, rtype.parse().map_err(|error| format!("type \"{rtype}\": {error}"))?),
            _ => return Err("one name, at most one type and one @server are wanted".to_owned()),
        };
        let qname: Name = name.parse().map_err(|error| format!("name \"{name}\": {error}"))?;
        let server = servers.first().and_then(|server| server.strip_prefix('@')).map(str::to_owned);
        Ok((Question::new(qname, rtype), server))
    }
}

/// The state of the running daemon.
fn daemon_status(control_socket: &Path) -> Result<StatusReport, ClientError> {
    let reply = control::ask(control_socket, Request::Status)?;
    serde_json::from_str(&reply).map_err(|source| ClientError::Reply { source })
}

/// Prints text. A reader that has seen enough, such as `head`, is no error.
fn say(text: &str) {
    let _unheard = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
}

/// Runs a command that talks to servers.
fn block_on<T>(future: impl Future<Output = T>) -> io::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future))
}

/// The option table as help text.
fn options_help() -> String {
    let topics: String = TOPICS.iter().map(topic_help).collect();
    format!("Config options (in a file without the dashes):{topics}")
}

fn topic_help(topic: &Topic) -> String {
    let lines = topic.options.iter().map(|spec| {
        let letter = spec.letter.map_or("    ".to_owned(), |letter| format!("-{letter}, "));
        let value = match spec.takes {
            Takes::Nothing => "",
            Takes::Value => "=…",
            Takes::Perhaps => "[=…]",
        };
        let name = format!("{letter}--{}{value}", spec.name);
        format!("  {name:28} {} [{}]\n", spec.help, spec.legal)
    });
    format!("\n{}:\n{}", topic.title, lines.collect::<String>())
}
