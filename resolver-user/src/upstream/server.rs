//! One server and what is known of it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::cookie::Jar;
use super::way::Way;
use crate::config::ServerSpec;
use crate::metrics::{Counter, Durations, Histogram};

/// Shortest wait before the next try. A validating or recursing server needs a few round trips of its own.
const RETRY_AFTER_MIN: Duration = Duration::from_millis(300);
/// Longest wait before the next try, and the wait for a server of which nothing is known.
const RETRY_AFTER_MAX: Duration = Duration::from_millis(1500);
/// Weight of a new round-trip time, as a shift: 1/8 (RFC 6298 §2).
const SRTT_SHIFT: u32 = 3;
/// Shortest wait for an authoritative server, which knows its answer.
const REPLY_WITHIN_MIN: Duration = Duration::from_millis(60);
/// The wait for one of which nothing is known.
const REPLY_WITHIN_UNKNOWN: Duration = Duration::from_millis(400);
/// How long a server that refused EDNS by FORMERR or NOTIMP is asked without, in milliseconds.
/// Choice: ten minutes, so that a server that was repaired is soon believed.
const REFUSED_EDNS_MS: u64 = 600_000;
/// The same for one that answered nothing but queries without EDNS. Choice: a minute, as silence proves little.
const SILENT_TO_EDNS_MS: u64 = 60_000;
/// Refusals of EDNS in a row after which a server that has spoken it is asked without.
/// Choice: each costs a question its answer; a server that was replaced by an old one is found out within as many.
const REFUSALS_DOUBTED: u32 = 5;
/// Tries in a row that were not answered after which a server is asked last for a while. Choice: one or two get lost.
const SILENCES_BORNE: u32 = 3;
/// How long such a server is asked last at first, in milliseconds (RFC 9520 §3.2: at least 1 s), doubled each time.
const SILENT_MS_MIN: u64 = 5000;
/// The longest such time, in milliseconds (RFC 9520 §3.2).
const SILENT_MS_MAX: u64 = 300_000;
/// How long a server that changed the letter case by TCP too, or knew a name in small letters only, is asked without 0x20, in milliseconds.
const CASE_CHANGED_MS: u64 = 600_000;

/// One server.
#[derive(Debug)]
pub(super) struct Server {
    /// How it is configured.
    pub(super) spec: ServerSpec,
    /// Where it is.
    pub(super) address: SocketAddr,
    /// From where it is asked.
    pub(super) way: Way,
    /// What its probe for loops is called.
    pub(super) probe: u32,
    /// Its cookies.
    pub(super) cookies: Jar,
    /// Queries sent.
    pub(super) sent: Counter,
    /// Queries that got no usable reply.
    pub(super) failed: Counter,
    /// Smoothed round-trip time, in microseconds; 0 = not known.
    srtt_us: AtomicU32,
    /// Round-trip times of the replies.
    rtt: Histogram,
    /// It sent its probe back to us, so it is not asked.
    looping: AtomicBool,
    /// It has answered with EDNS.
    speaks_edns: AtomicBool,
    /// Refusals of EDNS since then, in a row.
    refusals: AtomicU32,
    /// Tries since its last reply that were not answered.
    silences: AtomicU32,
    /// Until when it is asked last, in milliseconds of [`Outside::now_ms`](super::Outside).
    silent_until_ms: AtomicU64,
    /// Until when it is asked without EDNS.
    plain_until_ms: AtomicU64,
    /// Until when it is asked without 0x20.
    case_until_ms: AtomicU64,
}

/// Why a server is asked without EDNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoEdns {
    /// It said FORMERR or NOTIMP to EDNS, and answered without.
    Refused,
    /// It was silent with EDNS, and answered without.
    Silent,
}

/// What `resolver status` shows of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerReport {
    /// Its address.
    pub address: SocketAddr,
    /// Domains that it is asked about, as between the slashes of `server=`; none: all others.
    pub domains: Vec<String>,
    /// Queries sent.
    pub sent: u64,
    /// Queries that got no usable reply.
    pub failed: u64,
    /// Smoothed round-trip time, in microseconds; none before the first reply.
    pub srtt_us: Option<u32>,
    /// Round-trip times of its replies.
    pub rtt: Durations,
    /// It sent a query of ours back to us, so it is not asked.
    pub looping: bool,
    /// It is asked without EDNS for a while.
    pub without_edns: bool,
}

impl Server {
    pub(super) fn new(spec: ServerSpec, address: SocketAddr, way: Way) -> Self {
        Self {
            spec,
            address,
            way,
            probe: rand::random(),
            cookies: Jar::new(),
            sent: Counter::default(),
            failed: Counter::default(),
            srtt_us: AtomicU32::new(0),
            rtt: Histogram::default(),
            looping: AtomicBool::new(false),
            speaks_edns: AtomicBool::new(false),
            refusals: AtomicU32::new(0),
            silences: AtomicU32::new(0),
            silent_until_ms: AtomicU64::new(0),
            plain_until_ms: AtomicU64::new(0),
            case_until_ms: AtomicU64::new(0),
        }
    }

    /// How long to wait for a reply before another try is made beside this one.
    pub(super) fn retry_after(&self) -> Duration {
        match self.srtt_us.load(Ordering::Relaxed) {
            0 => RETRY_AFTER_MAX,
            srtt_us => {
                let twice = Duration::from_micros(u64::from(srtt_us).saturating_mul(2));
                twice.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX)
            }
        }
    }

    /// The smoothed round-trip time, if it has answered.
    pub(super) fn srtt(&self) -> Option<Duration> {
        let srtt_us = self.srtt_us.load(Ordering::Relaxed);
        (srtt_us > 0).then(|| Duration::from_micros(srtt_us.into()))
    }

    /// How long to wait for a reply of an authoritative server before another try is made beside this one.
    pub(super) fn reply_within(&self) -> Duration {
        let srtt = self.srtt().map(|srtt| srtt.saturating_mul(3).max(REPLY_WITHIN_MIN));
        srtt.map_or(REPLY_WITHIN_UNKNOWN, |wait| wait.min(RETRY_AFTER_MAX))
    }

    /// Takes a measured round-trip time into the histogram and into the smoothed one. A lost update among threads does no harm.
    pub(super) fn note_rtt(&self, rtt: Duration) {
        self.rtt.record(rtt);
        self.silences.store(0, Ordering::Relaxed);
        self.silent_until_ms.store(0, Ordering::Relaxed);
        let new_us = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX).max(1);
        let old_us = self.srtt_us.load(Ordering::Relaxed);
        let smoothed = match old_us {
            0 => new_us,
            _ => old_us.saturating_sub(old_us >> SRTT_SHIFT).saturating_add(new_us >> SRTT_SHIFT).max(1),
        };
        self.srtt_us.store(smoothed, Ordering::Relaxed);
    }

    /// Whether to ask with EDNS. `last_resort`: earlier tries of the same question got no reply.
    pub(super) fn takes_edns(&self, last_resort: bool, now_ms: u64) -> bool {
        let silent = last_resort && !self.speaks_edns.load(Ordering::Relaxed);
        !silent && now_ms >= self.plain_until_ms.load(Ordering::Relaxed)
    }

    /// Notes a reply with EDNS.
    pub(super) fn note_edns(&self) {
        self.speaks_edns.store(true, Ordering::Relaxed);
        self.refusals.store(0, Ordering::Relaxed);
    }

    /// Whether it is not to be believed that it refuses EDNS, since it has spoken it, and has not refused it often in a row.
    pub(super) fn doubts_refusal(&self) -> bool {
        let before = self.refusals.fetch_add(1, Ordering::Relaxed);
        self.speaks_edns.load(Ordering::Relaxed) && before.saturating_add(1) < REFUSALS_DOUBTED
    }

    /// Notes that a try was not answered in time. Three in a row, and it is asked after all others for a while (RFC 9520 §3.1).
    pub(super) fn note_silence(&self, now_ms: u64) {
        let before = self.silences.fetch_add(1, Ordering::Relaxed);
        if let Some(more) = before.saturating_add(1).checked_sub(SILENCES_BORNE) {
            let for_ms = SILENT_MS_MIN.saturating_mul(1 << more.min(8)).min(SILENT_MS_MAX);
            self.silent_until_ms.store(now_ms.saturating_add(for_ms), Ordering::Relaxed);
        }
    }

    /// Whether it is to be asked after all others.
    pub(super) fn is_silent(&self, now_ms: u64) -> bool {
        now_ms < self.silent_until_ms.load(Ordering::Relaxed)
    }

    /// Notes that only a query without EDNS was answered. Returns whether that is news.
    pub(super) fn note_no_edns(&self, why: NoEdns, now_ms: u64) -> bool {
        let for_ms = match why {
            NoEdns::Refused => REFUSED_EDNS_MS,
            NoEdns::Silent => SILENT_TO_EDNS_MS,
        };
        self.plain_until_ms.swap(now_ms.saturating_add(for_ms), Ordering::Relaxed) <= now_ms
    }

    /// Whether its replies keep the letter case of the question.
    pub(super) fn keeps_case(&self, now_ms: u64) -> bool {
        now_ms >= self.case_until_ms.load(Ordering::Relaxed)
    }

    /// Notes that they do not.
    pub(super) fn note_case_changed(&self, now_ms: u64) {
        self.case_until_ms.store(now_ms.saturating_add(CASE_CHANGED_MS), Ordering::Relaxed);
    }

    /// Whether it sends our queries back to us.
    pub(super) fn is_looping(&self) -> bool {
        self.looping.load(Ordering::Relaxed)
    }

    /// Notes whether it does. Returns whether that is news.
    pub(super) fn set_looping(&self, looping: bool) -> bool {
        self.looping.swap(looping, Ordering::Relaxed) != looping
    }

    pub(super) fn report(&self, domains: Vec<String>, now_ms: u64) -> ServerReport {
        ServerReport {
            address: self.address,
            domains,
            sent: self.sent.value(),
            failed: self.failed.value(),
            srtt_us: Some(self.srtt_us.load(Ordering::Relaxed)).filter(|&srtt_us| srtt_us > 0),
            rtt: self.rtt.snapshot(),
            looping: self.is_looping(),
            without_edns: now_ms < self.plain_until_ms.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    pub(in crate::upstream) fn server(port: u16) -> Server {
        let spec = ServerSpec { port, ..ServerSpec::plain(Ipv4Addr::LOCALHOST.into()) };
        Server::new(spec, (Ipv4Addr::LOCALHOST, port).into(), Way::default())
    }

    #[test]
    fn waits_follow_the_round_trip_time_within_bounds() {
        let server = server(1);
        assert_eq!(server.retry_after(), RETRY_AFTER_MAX);
        server.note_rtt(Duration::from_millis(1));
        assert_eq!(server.retry_after(), RETRY_AFTER_MIN);
        for _ in 0..100 {
            server.note_rtt(Duration::from_millis(400));
        }
        assert!(server.retry_after() > Duration::from_millis(700) && server.retry_after() < RETRY_AFTER_MAX);
    }

    #[test]
    fn a_server_that_has_spoken_edns_is_not_asked_without_because_of_silence() {
        let server = server(1);
        assert!(server.takes_edns(false, 1) && !server.takes_edns(true, 1));
        server.note_edns();
        assert!(server.takes_edns(true, 1));
        assert!(server.note_no_edns(NoEdns::Refused, 1) && !server.takes_edns(false, 1));
        assert!(!server.note_no_edns(NoEdns::Silent, 2), "no news");
        assert!(server.takes_edns(false, REFUSED_EDNS_MS + 2), "it may have been repaired");
    }

    #[test]
    fn a_server_that_has_spoken_edns_must_refuse_it_often_to_be_believed() {
        let server = server(1);
        assert!(!server.doubts_refusal(), "of which nothing is known is believed");
        server.note_edns();
        assert!((1..REFUSALS_DOUBTED).all(|_| server.doubts_refusal()) && !server.doubts_refusal());
        server.note_edns();
        assert!(server.doubts_refusal(), "a reply with EDNS begins the count anew");
    }

    #[test]
    fn a_server_that_is_silent_three_times_is_asked_last_until_it_replies() {
        let server = server(1);
        server.note_silence(1);
        server.note_silence(1);
        assert!(!server.is_silent(1));
        server.note_silence(1);
        assert!(server.is_silent(2) && !server.is_silent(SILENT_MS_MIN + 1));
        server.note_rtt(Duration::from_millis(3));
        assert!(!server.is_silent(2));
    }
}
