//! Dry-run: compares what XDP would have sent with what the daemon has sent.
//!
//! In: queries of clients and the answers that they got. Out: counts, and a log line with both messages where they differ.
//! The kernel half's own code runs here over the very maps, in the thread that writes them, so nothing changes meanwhile.
//! What may differ between the two is the TTL, by the time that has passed.
//! Refuses to hold up the daemon: while there is much to compare, answers go uncompared, and are counted.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use resolver_ebpf::abi::{
    ClientRule, ClientV4, ClientV6, CookieVerdict, Link, LinkRule, MODE_SERVE, Outcome, Place, Settings,
};
use resolver_ebpf::host::{PlainFrame, udp_frame};
use resolver_ebpf::limit::{Use, Verdict};
use resolver_ebpf::serve::{Bucket, SharedWord, Slot, Store, serve};

use super::clients::Clients;
use super::memory::MappedArray;
use super::status::ComparedStatus;
use crate::answer::Form;
use crate::clock::NS_PER_S;
use crate::wire::{Name, Question, RecordType};

/// Answers that may wait to be compared. Choice: few, since publishing waits behind them.
const WAITING_MAX: usize = 64;
/// What a driver leaves before and behind a frame, in bytes.
const HEAD_ROOM: usize = 256;
const TAIL_ROOM: usize = 1536;
/// Shortest time between two differences that are logged.
const LOGGED_EVERY_NS: u64 = NS_PER_S;

/// An answer that the daemon has given from its cache, by UDP.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What was asked.
    pub question: Question,
    /// For DO=0 or DO=1.
    pub form: Form,
    /// Who asked.
    pub client: SocketAddr,
    /// The query.
    pub query: Box<[u8]>,
    /// What was sent.
    pub answer: Box<[u8]>,
    /// When the answer's TTL ends, in nanoseconds of CLOCK_BOOTTIME.
    pub expires_at_boot_ns: u64,
    /// When it was sent.
    pub answered_at_boot_ns: u64,
}

/// Whether answers are compared, and how many wait for it. Shared by whoever answers and the publishing thread.
#[derive(Debug, Default)]
pub struct Waiting {
    wanted: AtomicBool,
    count: AtomicUsize,
    skipped: AtomicU64,
}

impl Waiting {
    /// Begins or ends comparing.
    pub fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    /// Takes a place for a comparison; false if none is wanted, or too many wait.
    pub fn enter(&self) -> bool {
        if !self.wanted.load(Ordering::Relaxed) {
            return false;
        }
        if self.count.fetch_add(1, Ordering::Relaxed) < WAITING_MAX {
            return true;
        }
        self.leave();
        self.skipped.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// Gives the place back.
    pub fn leave(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The maps as the kernel half's code sees them, in the daemon.
pub struct MapsView<'m> {
    /// Those in force, but serving, and with the daemon's clock.
    pub settings: Settings,
    /// `BUCKETS`.
    pub buckets: &'m MappedArray,
    /// `ANSWERS`.
    pub answers: &'m MappedArray,
    /// `CLIENTS_V4` and `CLIENTS_V6`.
    pub clients: &'m Clients,
}

impl<'m> MapsView<'m> {
    /// The maps with settings as they are, but for the mode, at a moment of CLOCK_BOOTTIME.
    pub fn new(
        settings: &MappedArray,
        [buckets, answers]: [&'m MappedArray; 2],
        clients: &'m Clients,
        now_boot_ns: u64,
    ) -> Self {
        let mut words = [0u64; size_of::<Settings>() / 8];
        words.iter_mut().zip(settings.words()).for_each(|(to, from)| *to = from.load(Ordering::Acquire));
        let settings: Settings = bytemuck::must_cast(words);
        // No jiffy has a length: time stands still while the code runs.
        let settings = Settings {
            mode: MODE_SERVE,
            jiffy_ns: 0,
            boot_offset_ns: now_boot_ns,
            offset_until_jiffies: u64::MAX,
            ..settings
        };
        Self { settings, buckets, answers, clients }
    }
}

impl Store for MapsView<'_> {
    fn settings(&self) -> Option<&Settings> {
        Some(&self.settings)
    }

    fn bucket(&self, number: u32) -> Option<&Bucket> {
        let words: &[SharedWord] = bytemuck::TransparentWrapper::wrap_slice(self.buckets.words());
        words.as_chunks().0.get(usize::try_from(number).ok()?)
    }

    fn slot(&self, place: Place) -> Option<&Slot> {
        let words: &[SharedWord] = bytemuck::TransparentWrapper::wrap_slice(self.answers.words());
        words.get(super::table::first_word(place)..)?.first_chunk()
    }

    fn client_v4(&self, client: ClientV4) -> Option<ClientRule> {
        self.clients.rule_v4(client)
    }

    fn client_v6(&self, client: ClientV6) -> Option<ClientRule> {
        self.clients.rule_v6(client)
    }

    /// No client gets this answer, so it is not counted.
    /// Nothing is known of links: an untagged frame is compared.
    fn link(&self, _: Link) -> Option<LinkRule> {
        None
    }

    /// To compare is not to answer: nobody is limited.
    fn ask_limits(&self, _: u64, _: bool, _: Use, _: u64) -> Verdict {
        Verdict::Within
    }

    fn count_cookies(&self, _: CookieVerdict) {}

    fn jiffies(&self) -> u64 {
        0
    }

    /// Not asked: the settings hold for every jiffy.
    fn boot_ns(&self) -> u64 {
        self.settings.boot_offset_ns
    }
}

/// Compares, counts, and tells of differences.
#[derive(Debug, Default)]
pub struct Comparing {
    counts: ComparedStatus,
    logged_at_boot_ns: Option<u64>,
}

impl Comparing {
    /// Compares an answer with that of the kernel half, which would have come to `endpoint`.
    pub fn compare(&mut self, comparison: &Comparison, endpoint: SocketAddr, maps: &MapsView<'_>) {
        let now_boot_ns = maps.settings.boot_offset_ns;
        let (outcome, message) = answer_of_kernel_half(comparison, endpoint, maps);
        let Some(message) = message else {
            self.counts.not_answered += 1;
            tracing::debug!(reason = outcome.counter_name(), "dry-run: XDP would have passed this");
            return;
        };
        let passed_s = now_boot_ns.saturating_sub(comparison.answered_at_boot_ns) / NS_PER_S;
        if is_same(&message, &comparison.answer, u32::try_from(passed_s).unwrap_or(u32::MAX)) {
            self.counts.equal += 1;
            return;
        }
        self.counts.differing += 1;
        if self.logged_at_boot_ns.is_none_or(|logged_at| now_boot_ns.saturating_sub(logged_at) >= LOGGED_EVERY_NS) {
            self.logged_at_boot_ns = Some(now_boot_ns);
            tracing::error!(
                client = %comparison.client, outcome = outcome.counter_name(), by_xdp = %Hex(&message),
                by_daemon = %Hex(&comparison.answer), "dry-run: XDP would have sent another answer"
            );
        }
    }

    /// An answer that a newer one had replaced in the maps before it could be compared.
    pub fn pass_over(&mut self) {
        self.counts.superseded += 1;
    }

    /// What was counted.
    pub fn status(&self, waiting: &Waiting) -> ComparedStatus {
        ComparedStatus { skipped: waiting.skipped.load(Ordering::Relaxed), ..self.counts }
    }
}

/// What the kernel half would have done, and its message if it had answered.
fn answer_of_kernel_half(
    comparison: &Comparison,
    endpoint: SocketAddr,
    maps: &MapsView<'_>,
) -> (Outcome, Option<Vec<u8>>) {
    let Some(frame) = udp_frame(comparison.client, endpoint, &comparison.query) else {
        return (Outcome::PassNotOurs, None);
    };
    let Ok(mut frame) = PlainFrame::new(&frame, HEAD_ROOM, TAIL_ROOM) else { return (Outcome::PassTruncated, None) };
    let outcome = serve(&mut frame, maps);
    let headers_len = if matches!(endpoint.ip(), IpAddr::V4(_)) { 14 + 20 + 8 } else { 14 + 40 + 8 };
    let message = frame.bytes().get(headers_len..).filter(|_| outcome.is_answer());
    (outcome, message.map(<[u8]>::to_vec))
}

/// Whether two messages are the same, but for TTLs that differ by no more than one second and those that have passed.
fn is_same(kernel: &[u8], daemon: &[u8], passed_s: u32) -> bool {
    let (Some((kernel, kernel_ttls)), Some((daemon, daemon_ttls))) = (without_ttls(kernel), without_ttls(daemon))
    else {
        return false;
    };
    let is_near = |(kernel, daemon): (&u32, &u32)| kernel.abs_diff(*daemon) <= passed_s.saturating_add(1);
    kernel == daemon && kernel_ttls.len() == daemon_ttls.len() && kernel_ttls.iter().zip(&daemon_ttls).all(is_near)
}

/// A message with its TTLs zeroed, and they. None if it is none of ours.
fn without_ttls(message: &[u8]) -> Option<(Vec<u8>, Vec<u32>)> {
    let (mut bare, mut ttls_s) = (message.to_vec(), Vec::new());
    let (_, question_end) = Name::read_compressed(message, 12).ok()?;
    let mut at = question_end.checked_add(4)?;
    // Bound: every turn moves on by a record.
    while at < message.len() {
        let (_, after) = Name::read_compressed(message, at).ok()?;
        let &[t0, t1, _, _, a, b, c, d, l0, l1] = message.get(after..)?.first_chunk::<10>()?;
        if RecordType(u16::from_be_bytes([t0, t1])) != RecordType::OPT {
            ttls_s.push(u32::from_be_bytes([a, b, c, d]));
            bare.get_mut(after + 4..after + 8)?.fill(0);
        }
        at = after + 10 + usize::from(u16::from_be_bytes([l0, l1]));
    }
    Some((bare, ttls_s))
}

/// Bytes as text.
struct Hex<'b>(&'b [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `www. A`, one address with a TTL.
    fn message(ttl_s: u32, last: u8) -> Vec<u8> {
        let mut message = b"\x12\x34\x81\xa0\0\x01\0\x01\0\0\0\x01\x03www\0\0\x01\0\x01\xc0\x0c\0\x01\0\x01".to_vec();
        message.extend(ttl_s.to_be_bytes());
        message.extend([0, 4, 192, 0, 2, last]);
        message.extend(b"\0\0\x29\x04\xd0\0\0\x80\0\0\0");
        message
    }

    #[test]
    fn ttls_may_differ_by_the_time_passed_and_nothing_else_may() {
        assert!(is_same(&message(60, 1), &message(60, 1), 0));
        assert!(is_same(&message(59, 1), &message(60, 1), 0));
        assert!(!is_same(&message(58, 1), &message(60, 1), 0));
        assert!(is_same(&message(58, 1), &message(60, 1), 1));
        assert!(!is_same(&message(60, 1), &message(60, 2), 5));
        let mut without_ad = message(60, 1);
        without_ad[3] &= !0x20;
        assert!(!is_same(&without_ad, &message(60, 1), 5));
        // Another DO bit in the OPT, which stands where a record has its TTL.
        let mut other_opt = message(60, 1);
        let at = other_opt.len() - 4;
        other_opt[at] = 0;
        assert!(!is_same(&other_opt, &message(60, 1), 5));
        assert!(!is_same(b"short", b"short", 0));
    }

    #[test]
    fn few_answers_wait_and_the_others_are_counted() {
        let waiting = Waiting::default();
        assert!(!waiting.enter(), "nobody wants it");
        waiting.want(true);
        assert!((0..WAITING_MAX).all(|_| waiting.enter()));
        assert!(!waiting.enter() && !waiting.enter());
        assert_eq!(Comparing::default().status(&waiting).skipped, 2);
        waiting.leave();
        assert!(waiting.enter());
    }
}
