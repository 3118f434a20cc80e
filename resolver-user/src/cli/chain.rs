//! `resolver chain`: fetches what a walk along the chain of trust needs, and prints what it met.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::query::read_server;
use super::{Asking, EXIT_CONFIG, block_on, daemon_status, say};
use crate::chain::{ChainReport, Walk, Walked, report, text};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config, UpstreamConfig};
use crate::control::report::StatusReport;
use crate::metrics::Metrics;
use crate::resolve::fetch_failure;
use crate::upstream::{Network, Outside, Upstream};
use crate::validator::{InsecureReason, Policy, TrustAnchors, Verdict};
use crate::wire::Question;

/// The chain, or its JSON, was printed, and the answer is secure or proven insecure.
const EXIT_PROVEN: u8 = 0;
/// The answer is bogus.
const EXIT_BOGUS: u8 = 2;
/// Nothing could be proven: no server reached, a limit reached, or no anchor covers the name.
const EXIT_INDETERMINATE: u8 = 3;

/// Arguments of `resolver chain`.
#[derive(Args)]
pub(super) struct ChainArguments {
    #[command(flatten)]
    asking: Asking,
    /// Start from this DS, as in a config file; several times for several
    #[arg(long, value_name = "DOMAIN,TAG,ALG,DIGESTTYPE,HEX")]
    trust_anchor: Vec<String>,
    /// Start from the anchors in this file
    #[arg(long, value_name = "PATH")]
    trust_anchors_file: Vec<PathBuf>,
}

/// What is printed as JSON: the chain, and what it was found with.
#[derive(Serialize)]
struct Printed<'a> {
    servers: &'a [String],
    anchors_from: &'static str,
    #[serde(flatten)]
    chain: &'a ChainReport,
}

/// Who is asked, and what is trusted.
struct Sources {
    upstream: UpstreamConfig,
    anchors: Arc<TrustAnchors>,
    policy: Policy,
    anchors_from: &'static str,
}

pub(super) fn chain(arguments: &ChainArguments) -> ExitCode {
    let (question, server) = match arguments.asking.read() {
        Ok(read) => read,
        Err(error) => return fail(&error, EXIT_CONFIG),
    };
    let sources = match sources(arguments, server.as_deref()) {
        Ok(sources) => sources,
        Err((error, code)) => return fail(&error, code),
    };
    let outside = Outside { transport: Arc::new(Network::default()), clock: Arc::new(SystemClock) };
    let upstream = Upstream::new(&sources.upstream, true, &[], Arc::new(Metrics::default()), outside);
    let walked = match block_on(walk(question, &sources, &upstream)) {
        Ok(Some(walked)) => walked,
        Ok(None) => return fail("the walk did not end", EXIT_INDETERMINATE),
        Err(error) => return fail(&error.to_string(), EXIT_INDETERMINATE),
    };
    let chain = report(&walked, SystemClock.now());
    let mut servers: Vec<String> = upstream.reports().iter().map(|server| server.address.to_string()).collect();
    if upstream.recursion().is_some_and(|recursion| recursion.usual) {
        servers.push("the servers of each zone, from the root".to_owned());
    }
    if arguments.asking.control.json {
        let printed = Printed { servers: &servers, anchors_from: sources.anchors_from, chain: &chain };
        match serde_json::to_string(&printed) {
            Ok(json) => say(&format!("{json}\n")),
            Err(error) => return fail(&error.to_string(), EXIT_INDETERMINATE),
        }
    } else {
        say(&format!("asked {}; anchors: {}\n{}", servers.join(", "), sources.anchors_from, text(&chain)));
    }
    ExitCode::from(exit_code(&walked.verdict))
}

fn fail(error: &str, code: u8) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(code)
}

/// Choice: insecure is no failure, as most names are; scripts that want secure alone read the JSON. Not so where no anchor
/// covers the name, which proves nothing.
fn exit_code(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Proven(validated) => match validated.insecure_reason() {
            Some(InsecureReason::NoAnchor { .. }) => EXIT_INDETERMINATE,
            _ => EXIT_PROVEN,
        },
        Verdict::Bogus(_) => EXIT_BOGUS,
        Verdict::Unchecked { .. } | Verdict::Indeterminate(_) => EXIT_INDETERMINATE,
    }
}

/// Servers from the command line, else the running daemon's; anchors from the command line, else the daemon's with its
/// policy, else those that are built in.
fn sources(arguments: &ChainArguments, server: Option<&str>) -> Result<Sources, (String, u8)> {
    let daemon = daemon_status(&arguments.asking.control.control_socket);
    let anchors_given = !arguments.trust_anchor.is_empty() || !arguments.trust_anchors_file.is_empty();
    let mut options =
        vec!["--no-resolv".to_owned(), "--no-hosts".to_owned(), "--dnssec".to_owned(), "--xdp=off".to_owned()];
    options.extend(arguments.trust_anchor.iter().map(|anchor| format!("--trust-anchor={anchor}")));
    let files = arguments.trust_anchors_file.iter();
    options.extend(files.map(|path| format!("--trust-anchors-file={}", path.display())));
    match (server, &daemon) {
        (Some(server), _) => {
            read_server(server).map_err(|error| (error, EXIT_CONFIG))?;
            options.push(format!("--server={server}"));
        }
        (None, Ok(status)) => options.extend(status.server_options.iter().map(|option| format!("--{option}"))),
        (None, Err(error)) => {
            return Err((format!("{error}; name a server to ask: @ADDRESS[#PORT]"), EXIT_INDETERMINATE));
        }
    }
    let of_daemon = |status: &StatusReport| status.dnssec_options.clone();
    let daemons = daemon.as_ref().map(of_daemon).unwrap_or_default();
    let anchors_from = match (anchors_given, daemons.is_empty()) {
        (true, _) => "from the command line",
        (false, true) => "built in",
        (false, false) => {
            options.extend(daemons.iter().map(|option| format!("--{option}")));
            "the running daemon's"
        }
    };
    let Config { upstream, dnssec, .. } = config::load(&options).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        (lines.join("\n"), EXIT_CONFIG)
    })?;
    let anchors = TrustAnchors::new(dnssec.ds_anchors(), dnssec.negative_anchors);
    let anchors = Arc::new(anchors.with_private(upstream.private_domains()));
    Ok(Sources { upstream, anchors, policy: dnssec.policy, anchors_from })
}

/// Walks, asking the servers as the daemon would: RD, CD and DO set, UDP first, then TCP.
async fn walk(question: Question, sources: &Sources, upstream: &Upstream) -> Option<Walked> {
    upstream.refresh(&[]).await;
    let mut walk = Walk::new(question, Arc::clone(&sources.anchors), sources.policy);
    // Bound: every question but the first is paid from the validation's budget.
    while let Some(needed) = walk.needed() {
        let started = Instant::now();
        let fetched = upstream.fetch(&needed, &Arc::default()).await;
        let took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let remark = fetched.as_ref().err().map(ToString::to_string);
        let reply = fetched.map(|fetched| Arc::new(fetched.response)).map_err(|error| fetch_failure(&error));
        walk.take(reply, remark, took_us, SystemClock.now());
    }
    walk.finish()
}
