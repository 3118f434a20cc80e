//! `resolver check`: asks for names of which it is known what must come of them, and tells which did not.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde::Serialize;
use tokio::task::JoinSet;

use super::query::{daemon_address, extended_errors, read_server};
use super::{Control, EXIT_CONFIG, EXIT_NETWORK, block_on, daemon_status, say};
use crate::chain::extended_error_name;
use crate::control::report::StatusReport;
use crate::upstream::{Network, ask_server};
use crate::wire::{Message, QueryWriter, Question, RCode, RecordType};

/// All names came out as they must.
const EXIT_PASSED: u8 = 0;
/// Some did not; as the guide's script has it.
const EXIT_FAILED: u8 = 1;
/// Longest wait for an answer: longer than the daemon takes to give up.
const PATIENCE: Duration = Duration::from_secs(15);
/// Names asked for at once.
const ASKED_AT_ONCE: usize = 16;
/// UDP payload size that is announced, in bytes (DNS flag day 2020).
const UDP_PAYLOAD_LEN: u16 = 1232;
/// Extended errors that say that it is validation which failed (RFC 8914 §4).
const VALIDATION_ERRORS: [u16; 9] = [6, 7, 8, 9, 10, 11, 12, 25, 27];

/// What must come of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Expected {
    /// It is signed well: NOERROR with AD.
    Good,
    /// It is signed badly: SERVFAIL, and not because the servers fail.
    Bad,
    /// It is not signed: an answer without AD.
    Unsigned,
}

/// The guide's names.
/// Differs: the guide takes example.com for unsigned; it is signed. google.com is not.
const BUILT_IN: &[(Expected, &str)] = &[
    (Expected::Good, "dnssec-tools.org"),
    (Expected::Good, "isc.org"),
    (Expected::Good, "cloudflare.com"),
    (Expected::Good, "verisign.com"),
    (Expected::Good, "example.com"),
    (Expected::Unsigned, "google.com"),
    (Expected::Bad, "dnssec-failed.org"),
];
/// Those that the guide's monitoring script asks for, corrected in the same way.
pub(super) const MONITORED: &[(Expected, &str)] = &[
    (Expected::Good, "cloudflare.com"),
    (Expected::Good, "isc.org"),
    (Expected::Good, "verisign.com"),
    (Expected::Unsigned, "google.com"),
];

/// Names to ask for, and whom to ask.
#[derive(Args)]
pub(super) struct Lists {
    /// Names that are signed well, and the server (the daemon unless given)
    #[arg(value_names = ["NAME", "@SERVER[#PORT]"], num_args = 0..)]
    words: Vec<String>,
    /// Names that are signed well
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    good: Vec<String>,
    /// Names that are signed badly
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    bad: Vec<String>,
    /// Names that are not signed
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    unsigned: Vec<String>,
    /// Read names from FILE; each line: good, bad or unsigned, a name, perhaps a type
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) control: Control,
}

impl Lists {
    /// Whether nothing is said of names and servers.
    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
            && self.good.is_empty()
            && self.bad.is_empty()
            && self.unsigned.is_empty()
            && self.file.is_empty()
    }
}

/// Whom to ask for what.
pub(super) struct Plan {
    server: SocketAddr,
    names: Vec<(Expected, Question)>,
}

/// What was seen of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) rcode: RCode,
    pub(super) authentic: bool,
    /// Records in the answer section.
    pub(super) records: usize,
    pub(super) errors: Vec<(u16, String)>,
    /// RCODE when asked without validation (CD=1), if that was needed.
    pub(super) unvalidated: Option<RCode>,
}

/// A name and what came of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Judged {
    pub(super) expected: Expected,
    pub(super) question: String,
    pub(super) passed: bool,
    /// In words.
    pub(super) told: String,
    pub(super) took_ms: f64,
    /// None if there was no answer.
    #[serde(skip)]
    pub(super) seen: Option<Seen>,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Printed<'a> {
    server: String,
    passed: usize,
    failed: usize,
    names: &'a [Judged],
}

pub(super) fn check(lists: &Lists) -> ExitCode {
    let daemon = daemon_status(&lists.control.control_socket).ok();
    let plan = match plan(lists, daemon.as_ref(), BUILT_IN) {
        Ok(plan) => plan,
        Err(error) => return fail(&error, EXIT_CONFIG),
    };
    let judged = match ask_all(&plan) {
        Ok(judged) => judged,
        Err(error) => return fail(&error.to_string(), EXIT_NETWORK),
    };
    let passed = judged.iter().filter(|judged| judged.passed).count();
    let printed = Printed { server: plan.server.to_string(), passed, failed: judged.len() - passed, names: &judged };
    match lists.control.json.then(|| serde_json::to_string(&printed)).transpose() {
        Ok(Some(json)) => say(&format!("{json}\n")),
        Ok(None) => say(&table(&printed)),
        Err(error) => return fail(&error.to_string(), EXIT_NETWORK),
    }
    ExitCode::from(if printed.failed == 0 { EXIT_PASSED } else { EXIT_FAILED })
}

fn fail(error: &str, code: u8) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(code)
}

/// Reads what is given; the built-in names if there are none.
pub(super) fn plan(
    lists: &Lists,
    daemon: Option<&StatusReport>,
    built_in: &[(Expected, &str)],
) -> Result<Plan, String> {
    let (servers, words): (Vec<&String>, Vec<&String>) = lists.words.iter().partition(|word| word.starts_with('@'));
    let server = match servers.as_slice() {
        [] => daemon_address(daemon),
        [server] => read_server(server.trim_start_matches('@'))?,
        _ => return Err("at most one @server is wanted".to_owned()),
    };
    let given = [(Expected::Good, &lists.good), (Expected::Bad, &lists.bad), (Expected::Unsigned, &lists.unsigned)];
    let given = given.iter().flat_map(|(expected, names)| names.iter().map(|name| (*expected, name.as_str())));
    let given = words.iter().map(|word| (Expected::Good, word.as_str())).chain(given);
    let mut names: Vec<(Expected, Question)> =
        given.map(|(expected, name)| Ok((expected, question(name, "A")?))).collect::<Result<_, String>>()?;
    for path in &lists.file {
        let text = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        for (line, number) in text.lines().zip(1..) {
            let read = read_line(line).map_err(|error| format!("{}:{number}: {error}", path.display()))?;
            names.extend(read);
        }
    }
    if names.is_empty() {
        let read = |(expected, name): &(Expected, &str)| Ok((*expected, question(name, "A")?));
        names = built_in.iter().map(read).collect::<Result<_, String>>()?;
    }
    Ok(Plan { server, names })
}

fn question(name: &str, rtype: &str) -> Result<Question, String> {
    let rtype: RecordType = rtype.parse().map_err(|error| format!("type \"{rtype}\": {error}"))?;
    Ok(Question::new(name.parse().map_err(|error| format!("name \"{name}\": {error}"))?, rtype))
}

/// Reads a line of a file: what is expected, a name, perhaps a type; `#` starts a comment.
fn read_line(line: &str) -> Result<Option<(Expected, Question)>, String> {
    let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
    let (expected, name, rtype) = match words.as_slice() {
        [] => return Ok(None),
        [expected, name] => (expected, name, "A"),
        [expected, name, rtype] => (expected, name, *rtype),
        _ => return Err("legal: good, bad or unsigned, then a name, then perhaps a type".to_owned()),
    };
    let expected =
        Expected::from_str(expected, false).map_err(|_| format!("\"{expected}\"; legal: good, bad, unsigned"))?;
    Ok(Some((expected, question(name, rtype)?)))
}

/// Asks for all names, some at once.
///
/// # Errors
/// No runtime.
pub(super) fn ask_all(plan: &Plan) -> io::Result<Vec<Judged>> {
    block_on(async {
        let mut judged = Vec::with_capacity(plan.names.len());
        for names in plan.names.chunks(ASKED_AT_ONCE) {
            let mut asking = JoinSet::new();
            for (number, (expected, question)) in names.iter().cloned().enumerate() {
                let server = plan.server;
                asking.spawn(async move { (number, ask_one(server, expected, question).await) });
            }
            let mut some = asking.join_all().await;
            some.sort_by_key(|(number, _)| *number);
            judged.extend(some.into_iter().map(|(_, judged)| judged));
        }
        judged
    })
}

/// Time of one more query for the first name, in milliseconds; none without an answer.
pub(super) fn time_again_ms(plan: &Plan) -> Option<f64> {
    let (_, question) = plan.names.first()?;
    let started = Instant::now();
    let answered = block_on(ask(plan.server, question, false)).ok()?;
    answered.ok().map(|_| started.elapsed().as_secs_f64() * 1e3)
}

async fn ask_one(server: SocketAddr, expected: Expected, question: Question) -> Judged {
    let started = Instant::now();
    let answered = ask(server, &question, false).await;
    let took_ms = started.elapsed().as_secs_f64() * 1e3;
    let question_text = format!("{} {}", question.qname, question.qtype);
    let message = match answered {
        Ok(message) => message,
        Err(error) => {
            return Judged { expected, question: question_text, passed: false, told: error, took_ms, seen: None };
        }
    };
    let mut seen = Seen {
        rcode: message.rcode(),
        authentic: message.header.flags.authentic_data,
        records: message.answer.len(),
        errors: extended_errors(&message),
        unvalidated: None,
    };
    // Whether it is validation that fails, or the servers: without validation a bad name is answered.
    if seen.rcode == RCode::SERVFAIL && !seen.failed_validation() {
        seen.unvalidated = ask(server, &question, true).await.ok().map(|message| message.rcode());
    }
    let (passed, told) = judge(expected, &seen);
    Judged { expected, question: question_text, passed, told, took_ms, seen: Some(seen) }
}

async fn ask(server: SocketAddr, question: &Question, checking_disabled: bool) -> Result<Message, String> {
    let query = QueryWriter {
        question,
        recursion_desired: true,
        authentic_wanted: true,
        checking_disabled,
        dnssec_ok: false,
        udp_payload_len: Some(UDP_PAYLOAD_LEN),
        cookie: &[],
    };
    ask_server(&Network::default(), server, query, PATIENCE).await.map_err(|error| error.to_string())
}

impl Seen {
    /// Whether the server says that validation failed.
    fn failed_validation(&self) -> bool {
        self.errors.iter().any(|(code, _)| VALIDATION_ERRORS.contains(code))
    }
}

/// Whether what was seen is as it must be, and what was seen in words.
/// Differs: the guide's script takes silence for a failed validation; silence proves nothing.
fn judge(expected: Expected, seen: &Seen) -> (bool, String) {
    let answered = seen.rcode == RCode::NOERROR;
    let passed = match expected {
        Expected::Good => answered && seen.authentic,
        Expected::Unsigned => answered && !seen.authentic && seen.records > 0,
        Expected::Bad => {
            let answered_unvalidated = seen.unvalidated.is_some_and(|rcode| rcode != RCode::SERVFAIL);
            seen.rcode == RCode::SERVFAIL && (seen.failed_validation() || answered_unvalidated)
        }
    };
    let mut told = format!("{}{}", seen.rcode, if seen.authentic { ", AD" } else { ", no AD" });
    if let Some((code, text)) = seen.errors.first() {
        told.push_str(&format!("; {}: {text}", extended_error_name(*code)));
    }
    match seen.unvalidated {
        Some(RCode::SERVFAIL) => told.push_str("; the same without validation"),
        Some(rcode) => told.push_str(&format!("; without validation {rcode}")),
        None => {}
    }
    (passed, told)
}

fn table(printed: &Printed<'_>) -> String {
    let width = printed.names.iter().map(|judged| judged.question.chars().count()).max().unwrap_or(0);
    let mut text = format!("asked {}\n", printed.server);
    for Judged { expected, question, passed, told, took_ms, .. } in printed.names {
        let expected = match expected {
            Expected::Good => "good",
            Expected::Bad => "bad",
            Expected::Unsigned => "unsigned",
        };
        let result = if *passed { "PASS" } else { "FAIL" };
        text.push_str(&format!("{result}  {expected:8}  {question:width$}  {took_ms:7.1} ms  {told}\n"));
    }
    text.push_str(&format!("{} passed, {} failed\n", printed.passed, printed.failed));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(rcode: RCode, authentic: bool, records: usize) -> Seen {
        Seen { rcode, authentic, records, errors: Vec::new(), unvalidated: None }
    }

    #[test]
    fn a_name_passes_only_as_what_it_is() {
        use Expected::{Bad, Good, Unsigned};
        let bogus = Seen { errors: vec![(7, String::new())], ..seen(RCode::SERVFAIL, false, 0) };
        let unreachable = Seen { unvalidated: Some(RCode::SERVFAIL), ..seen(RCode::SERVFAIL, false, 0) };
        let silent_validator = Seen { unvalidated: Some(RCode::NOERROR), ..seen(RCode::SERVFAIL, false, 0) };
        for (what, seen, passing) in [
            ("secure", seen(RCode::NOERROR, true, 1), vec![Good]),
            ("insecure", seen(RCode::NOERROR, false, 1), vec![Unsigned]),
            ("nothing there", seen(RCode::NOERROR, false, 0), vec![]),
            ("a secure denial", seen(RCode::NXDOMAIN, true, 0), vec![]),
            ("bogus", bogus, vec![Bad]),
            ("bogus without a word", silent_validator, vec![Bad]),
            ("unreachable", unreachable, vec![]),
            ("refused", seen(RCode::REFUSED, false, 0), vec![]),
        ] {
            let passed: Vec<Expected> =
                [Good, Bad, Unsigned].into_iter().filter(|expected| judge(*expected, &seen).0).collect();
            assert_eq!(passed, passing, "{what}");
        }
    }

    #[test]
    fn lines_of_a_file_name_what_is_expected() {
        let read =
            |line: &str| read_line(line).map(|read| read.map(|(expected, question)| (expected, question.to_string())));
        assert_eq!(read("  # nothing "), Ok(None));
        assert_eq!(
            read("bad x.example # why"),
            Ok(Some((Expected::Bad, question("x.example", "A").unwrap().to_string())))
        );
        assert_eq!(
            read("good x.example AAAA"),
            Ok(Some((Expected::Good, question("x.example", "AAAA").unwrap().to_string())))
        );
        for line in ["fine x.example", "good", "good a..b", "good x NOTYPE", "good x A y"] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
