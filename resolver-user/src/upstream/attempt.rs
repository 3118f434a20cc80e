//! One try: a question to one server, with EDNS if it takes that, in mixed letter case if that is wanted.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::UpstreamError;
use super::allowance::Allowance;
use super::exchange::{Carrier, exchange_with, mix_case};
use super::server::{NoEdns, Server};
use super::transport::{LetterCase, Outgoing, Outside, Protocol};
use crate::metrics::Metrics;
use crate::wire::{Message, QueryWriter, Question, RCode};

/// What to ask, and how.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    /// The question.
    pub(super) question: Question,
    /// RD: the server is to find the answer (RFC 1035 §4.1.1).
    pub(super) recursion_desired: bool,
    /// CD: leave validation to us (RFC 6840 §5.9).
    pub(super) checking_disabled: bool,
    /// UDP payload size to announce, in bytes.
    pub(super) udp_payload_len: u16,
    /// Whether to ask in mixed letter case.
    pub(super) case_mixed: bool,
    /// Whether the server gets a cookie of ours (RFC 7873).
    pub(super) with_cookie: bool,
    /// Earlier tries at the same server got no reply.
    pub(super) last_resort: bool,
    /// How long to wait.
    pub(super) patience: Duration,
    /// What each query is paid from.
    pub(super) allowance: Arc<Allowance>,
}

/// Asks one server. One that will not take EDNS is asked again without, and remembered; without EDNS there are no
/// signatures, so that only what needs none can be believed of its replies.
pub(super) async fn ask(
    server: &Server,
    asking: &Asking,
    metrics: &Metrics,
    outside: &Outside,
) -> Result<Message, UpstreamError> {
    let started = Instant::now();
    let with_edns = server.takes_edns(asking.last_resort, outside.now_ms());
    if !with_edns {
        metrics.upstream_without_edns.add_one();
    }
    let reply = ask_once(server, asking, with_edns, asking.patience, metrics, outside).await?;
    server.note_rtt(started.elapsed());
    if reply.edns.is_some() {
        server.note_edns();
        return Ok(reply);
    }
    if !with_edns {
        note(server, NoEdns::Silent, asking.last_resort && is_answer(&reply), outside.now_ms());
        return Ok(reply);
    }
    // RFC 6891 §7: a server that knows no EDNS may say so by these codes.
    if !matches!(reply.rcode(), RCode::FORMERR | RCode::NOTIMP) {
        return Ok(reply);
    }
    // One that has spoken it is believed to have forgotten it only after a while: whoever can forge such a reply, or a server with
    // a bad day, would take DNSSEC away from all questions for ten minutes.
    if server.doubts_refusal() {
        return Ok(reply);
    }
    metrics.upstream_without_edns.add_one();
    let left = asking.patience.saturating_sub(started.elapsed());
    let plain = ask_once(server, asking, false, left, metrics, outside).await?;
    note(server, NoEdns::Refused, is_answer(&plain), outside.now_ms());
    Ok(plain)
}

/// Notes that a server answers without EDNS only, if it did.
fn note(server: &Server, why: NoEdns, answered: bool, now_ms: u64) {
    if answered && server.note_no_edns(why, now_ms) {
        warn!(server = %server.address, ?why, "the server does not take EDNS: no DNSSEC from it for a while");
    }
}

fn is_answer(reply: &Message) -> bool {
    !matches!(reply.rcode(), RCode::FORMERR | RCode::NOTIMP | RCode::SERVFAIL | RCode::REFUSED)
}

async fn ask_once(
    server: &Server,
    asking: &Asking,
    with_edns: bool,
    patience: Duration,
    metrics: &Metrics,
    outside: &Outside,
) -> Result<Message, UpstreamError> {
    let query = QueryWriter {
        question: &asking.question,
        recursion_desired: asking.recursion_desired,
        authentic_wanted: false,
        checking_disabled: asking.checking_disabled,
        dnssec_ok: true,
        udp_payload_len: with_edns.then_some(asking.udp_payload_len),
        cookie: &[],
    };
    let mixed = (asking.case_mixed && server.keeps_case(outside.now_ms()))
        .then(|| Question::new(mix_case(&asking.question.qname), asking.question.qtype));
    let way = &server.way;
    let outgoing = Outgoing { server: server.address, protocol: Protocol::Udp, query, spelled: mixed.as_ref(), way };
    let jar = (with_edns && asking.with_cookie).then_some(&server.cookies);
    let carrier = Carrier { transport: &*outside.transport, allowance: &asking.allowance, metrics };
    let reply = exchange_with(carrier, outgoing, jar, patience).await?;
    // Nobody but the server can have changed it on the way by TCP.
    if reply.letter_case == LetterCase::Changed {
        server.note_case_changed(outside.now_ms());
        warn!(server = %server.address, "the server changes the letter case of questions: asked without 0x20 for a while");
    }
    Ok(reply.message)
}
