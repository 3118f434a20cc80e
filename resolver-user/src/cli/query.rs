//! `resolver query`: asks the daemon as a client would, and tells who answered and whether it is proven.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use resolver_ebpf::abi::Outcome;
use serde::Serialize;

use super::{Asking, EXIT_CONFIG, EXIT_NETWORK, block_on, daemon_status, say};
use crate::chain::extended_error_name;
use crate::config::{self, PORT, ServerHost};
use crate::control::report::StatusReport;
use crate::upstream::{Network, ask_server};
use crate::wire::{Message, QueryWriter, RCode, Record, RecordType, rdata_text};

/// Longest wait for an answer: longer than the daemon takes to give up.
const PATIENCE: Duration = Duration::from_secs(15);
/// UDP payload size that is announced, in bytes (DNS flag day 2020).
const UDP_PAYLOAD_LEN: u16 = 1232;
/// Option code of extended errors (RFC 8914 §2).
const EXTENDED_ERROR: u16 = 15;

/// Arguments of `resolver query`.
#[derive(Args)]
pub(super) struct QueryArguments {
    #[command(flatten)]
    asking: Asking,
    /// Ask for signatures and proofs too
    #[arg(long)]
    dnssec: bool,
}

/// An answer as a client sees it.
#[derive(Serialize)]
struct AnswerReport {
    name: String,
    rtype: String,
    server: String,
    /// `secure`, `insecure`, `bogus`, `indeterminate`, `failed`; `unknown` where nobody says whether it was validated.
    status: &'static str,
    rcode: String,
    authentic: bool,
    extended_errors: Vec<String>,
    /// Who answered, as far as the daemon's counters tell.
    answered_by: &'static str,
    /// Why XDP passed the query on: the name of its counter; none if it did not see it, or others asked meanwhile.
    passed_by_xdp: Option<&'static str>,
    took_ms: f64,
    answer: Vec<String>,
    authority: Vec<String>,
}

pub(super) fn query(arguments: &QueryArguments) -> ExitCode {
    let (question, server) = match arguments.asking.read() {
        Ok(read) => read,
        Err(error) => return fail(&error, EXIT_CONFIG),
    };
    let before = daemon_status(&arguments.asking.control.control_socket).ok();
    let server = match server.map(|server| read_server(&server)).transpose() {
        Ok(server) => server.unwrap_or_else(|| daemon_address(before.as_ref())),
        Err(error) => return fail(&error, EXIT_CONFIG),
    };
    let query = QueryWriter {
        question: &question,
        recursion_desired: true,
        authentic_wanted: true,
        checking_disabled: false,
        dnssec_ok: arguments.dnssec,
        udp_payload_len: Some(UDP_PAYLOAD_LEN),
        cookie: &[],
    };
    let started = Instant::now();
    let exchanged = block_on(async { ask_server(&Network::default(), server, query, PATIENCE).await });
    let took_ms = started.elapsed().as_secs_f64() * 1e3;
    let message = match exchanged {
        Ok(Ok(message)) => message,
        Ok(Err(error)) => return fail(&error.to_string(), EXIT_NETWORK),
        Err(error) => return fail(&error.to_string(), EXIT_NETWORK),
    };
    let before = before.filter(|status| listens_on(status, server));
    let after = before.as_ref().and_then(|_| daemon_status(&arguments.asking.control.control_socket).ok());
    let errors = extended_errors(&message);
    let report = AnswerReport {
        name: question.qname.to_string(),
        rtype: question.qtype.to_string(),
        server: server.to_string(),
        status: status(&message, &errors, before.as_ref()),
        rcode: message.rcode().to_string(),
        authentic: message.header.flags.authentic_data,
        extended_errors: errors.iter().map(|(code, text)| error_text(*code, text)).collect(),
        answered_by: answered_by(before.as_ref(), after.as_ref()),
        passed_by_xdp: passed_by_xdp(before.as_ref(), after.as_ref()),
        took_ms,
        answer: message.answer.iter().map(record_text).collect(),
        authority: message.authority.iter().map(record_text).collect(),
    };
    print(&report, arguments.asking.control.json)
}

fn fail(error: &str, code: u8) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(code)
}

fn print(report: &AnswerReport, json: bool) -> ExitCode {
    let json = json.then(|| serde_json::to_string(report)).transpose();
    match json {
        Ok(Some(json)) => say(&format!("{json}\n")),
        Ok(None) => say(&text(report)),
        Err(error) => return fail(&error.to_string(), EXIT_NETWORK),
    }
    ExitCode::SUCCESS
}

fn text(report: &AnswerReport) -> String {
    let AnswerReport { name, rtype, rcode, status, server, answered_by, took_ms, .. } = report;
    let mut lines = vec![
        format!(";; {name} {rtype}: {rcode}, {status}"),
        format!(";; {server} answered in {took_ms:.2} ms; from {answered_by}"),
    ];
    lines.extend(report.passed_by_xdp.map(|reason| format!(";; XDP passed it on: {reason}")));
    lines.extend(report.extended_errors.iter().map(|error| format!(";; {error}")));
    for (section, records) in [("answer", &report.answer), ("authority", &report.authority)] {
        if !records.is_empty() {
            lines.push(format!(";; {section}"));
            lines.extend_from_slice(records);
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// Reads an address as `server=` has it.
pub(super) fn read_server(server: &str) -> Result<SocketAddr, String> {
    let options =
        ["--no-resolv".to_owned(), "--no-hosts".to_owned(), "--xdp=off".to_owned(), format!("--server={server}")];
    let config = config::load(&options).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })?;
    let spec = config.upstream.usual_servers().next().cloned();
    match spec.map(|spec| (spec.host, spec.port)) {
        Some((ServerHost::Address { ip, .. }, port)) => Ok((ip, port).into()),
        _ => Err(format!("\"{server}\" is no IP address")),
    }
}

/// An address that the daemon listens on; where there is none to be had, that of a resolver on this machine.
pub(super) fn daemon_address(daemon: Option<&StatusReport>) -> SocketAddr {
    let listening = daemon.and_then(|status| status.listening.first()?.parse::<SocketAddr>().ok());
    let address = listening.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, PORT).into());
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

/// Whether it is the daemon that answers at this address.
fn listens_on(daemon: &StatusReport, server: SocketAddr) -> bool {
    let listening = daemon.listening.iter().filter_map(|address| address.parse::<SocketAddr>().ok());
    let mut on_port = listening.filter(|address| address.port() == server.port());
    on_port.any(|address| address.ip() == server.ip() || address.ip().is_unspecified())
}

/// What AD, RCODE and extended errors say of the answer. `daemon`: it is the daemon's.
fn status(message: &Message, errors: &[(u16, String)], daemon: Option<&StatusReport>) -> &'static str {
    let has = |codes: &[u16]| errors.iter().any(|(code, _)| codes.contains(code));
    if message.header.flags.authentic_data {
        return "secure";
    }
    match message.rcode() {
        RCode::SERVFAIL if has(&[6, 7, 8, 9, 10, 11, 12, 25]) => "bogus",
        RCode::SERVFAIL if has(&[5, 27]) => "indeterminate",
        RCode::NOERROR | RCode::NXDOMAIN | RCode::YXDOMAIN if has(&[5]) => "indeterminate",
        // None of these has a proof: changed by filters, past its time, or the operator's own.
        RCode::NOERROR | RCode::NXDOMAIN if has(&[4, 15, 17]) => "filtered",
        RCode::NOERROR | RCode::NXDOMAIN if has(&[3, 19]) => "stale",
        RCode::NOERROR | RCode::NXDOMAIN if daemon.is_some() && message.header.flags.authoritative => "local",
        RCode::NOERROR | RCode::NXDOMAIN | RCode::YXDOMAIN => match daemon {
            Some(status) if status.dnssec => "insecure",
            _ => "unknown",
        },
        _ => "failed",
    }
}

pub(super) fn extended_errors(message: &Message) -> Vec<(u16, String)> {
    let options = message.edns.iter().flat_map(|edns| &edns.options).filter(|option| option.code == EXTENDED_ERROR);
    let read = |data: &[u8]| {
        let (code, text) = data.split_first_chunk::<2>()?;
        let text: String = String::from_utf8_lossy(text).chars().filter(|letter| !letter.is_control()).collect();
        Some((u16::from_be_bytes(*code), text))
    };
    options.filter_map(|option| read(&option.data)).collect()
}

fn error_text(code: u16, text: &str) -> String {
    format!("extended error {code} ({}): {text}", extended_error_name(code))
}

fn record_text(record: &Record) -> String {
    let rdata = rdata_text(record.rtype, &record.rdata);
    let class = if record.class == crate::wire::CLASS_IN { "IN".to_owned() } else { format!("CLASS{}", record.class) };
    let rtype: RecordType = record.rtype;
    format!("{}\t{}\t{class}\t{rtype}\t{rdata}", record.owner, record.ttl_s)
}

/// Who answered, going by what the daemon counted meanwhile: one event is ours, more cannot be told apart.
fn answered_by(before: Option<&StatusReport>, after: Option<&StatusReport>) -> &'static str {
    let (Some(before), Some(after)) = (before, after) else { return "a server whose counters are not at hand" };
    let daemon = |name| counted(&after.counters, name).saturating_sub(counted(&before.counters, name));
    let kernel = |name| {
        let of = |status: &StatusReport| status.fast_path.as_ref().map_or(0, |xdp| counted(&xdp.counters, name));
        of(after).saturating_sub(of(before))
    };
    let by_xdp = kernel("answered_secure").saturating_add(kernel("answered_insecure"));
    match (daemon("local_answers"), daemon("cache_stale_hits")) {
        (1, 0) if by_xdp == 0 => return "the operator's own names",
        (0, 1) if by_xdp == 0 => return "the daemon's cache, stale",
        _ => {}
    }
    match (by_xdp, daemon("cache_hits"), daemon("cache_misses")) {
        (1, 0, 0) => "XDP",
        (0, 1, 0) => "the daemon's cache",
        (0, 0, 1) if daemon("misses_merged") > 0 => "a search that was under way",
        (0, 0, 1) => "upstream",
        (0, 0, 0) => "the daemon, without looking for it",
        _ => "XDP or the daemon: others asked meanwhile",
    }
}

/// Why XDP passed the one query that it passed meanwhile.
fn passed_by_xdp(before: Option<&StatusReport>, after: Option<&StatusReport>) -> Option<&'static str> {
    let (before, after) = (before?.fast_path.as_ref()?, after?.fast_path.as_ref()?);
    let passes = Outcome::ALL.iter().filter(|(outcome, _)| outcome.is_pass_of_query());
    let risen =
        passes.map(|(_, name)| (*name, counted(&after.counters, name).saturating_sub(counted(&before.counters, name))));
    let risen: Vec<(&str, u64)> = risen.filter(|(_, rise)| *rise > 0).collect();
    match risen.as_slice() {
        [(name, 1)] => Some(name),
        _ => None,
    }
}

fn counted(counters: &[(String, u64)], name: &str) -> u64 {
    counters.iter().find(|(known, _)| known == name).map_or(0, |(_, count)| *count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Edns, EdnsOption, Flags, Header};

    fn message(rcode: u8, authentic_data: bool, error: Option<u16>) -> Message {
        let flags = Flags { response: true, authentic_data, ..Flags::default() };
        let header = Header { id: 0, opcode: 0, rcode, flags, counts: [1, 0, 0, 1] };
        let option =
            |code: u16| EdnsOption { code: EXTENDED_ERROR, data: [&code.to_be_bytes()[..], b"a\x1b"].concat().into() };
        let options = error.map(option).into_iter().collect();
        let edns = Edns { udp_payload_len: 1232, rcode_high: 0, version: 0, dnssec_ok: false, options };
        Message { header, question: None, answer: vec![], authority: vec![], additional: vec![], edns: Some(edns) }
    }

    #[test]
    fn status_is_read_from_ad_rcode_and_extended_error() {
        for (rcode, authentic, error, expected) in [
            (0, true, None, "secure"),
            (3, true, None, "secure"),
            (0, false, None, "unknown"),
            (0, false, Some(5), "indeterminate"),
            (0, false, Some(17), "filtered"),
            (3, false, Some(15), "filtered"),
            (3, false, Some(19), "stale"),
            (2, false, Some(7), "bogus"),
            (2, false, Some(27), "indeterminate"),
            (2, false, Some(22), "failed"),
            (5, false, None, "failed"),
        ] {
            let message = message(rcode, authentic, error);
            assert_eq!(status(&message, &extended_errors(&message), None), expected, "{rcode} {error:?}");
        }
        assert_eq!(extended_errors(&message(2, false, Some(7))), [(7, "a".to_owned())], "no control characters");
    }
}
