//! What an operator sees of the fast path.

use serde::{Deserialize, Serialize};

use crate::metrics::Durations;
use crate::serving::Serving;

/// State of the fast path.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FastPathStatus {
    /// Interfaces that the program is on, or should be.
    pub interfaces: Vec<InterfaceStatus>,
    /// Whether it answers.
    #[serde(default)]
    pub serving: Serving,
    /// What came of comparing answers in dry-run mode, since the start.
    #[serde(default)]
    pub compared: ComparedStatus,
    /// What was told of single answers.
    #[serde(default)]
    pub seen: SeenStatus,
    /// Maps, by name.
    pub maps: Vec<MapStatus>,
    /// Published answers.
    pub published: u64,
    /// What the publisher counts and measures.
    pub publisher: PublisherStatus,
    /// The kernel half's counters, summed over all CPUs: every frame is in exactly one.
    pub counters: Vec<(String, u64)>,
    /// Answers of the kernel half with cookies, by what the query's server cookie was worth.
    #[serde(default)]
    pub cookies: Vec<(String, u64)>,
    /// Frames seen, counted apart from their outcomes.
    #[serde(default)]
    pub frames: u64,
    /// Answers over a rate limit that only logs: because of the narrow prefix, because of the wide one.
    #[serde(default)]
    pub logged_rate: [u64; 2],
    /// How long the kernel half took to answer, of one in [`LATENCY_ONE_IN`](resolver_ebpf::abi::LATENCY_ONE_IN) frames.
    #[serde(default)]
    pub durations: Durations,
}

/// What the publisher counts and measures, since the start.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct PublisherStatus {
    /// Answers published.
    pub published: u64,
    /// Answers refused for lack of room.
    pub refused_no_room: u64,
    /// Answers refused because another one has their tag in their bucket.
    pub refused_tag_taken: u64,
    /// Answers refused because their bucket is full of answers that are asked for all the time.
    #[serde(default)]
    pub refused_bucket_full: u64,
    /// Answers that had to go because their bucket was full.
    #[serde(default)]
    pub evicted_bucket: u64,
    /// Answers that had to go because no slot of their length was free.
    #[serde(default)]
    pub evicted_length: u64,
    /// Answers that had to go because their slots were needed for another length.
    #[serde(default)]
    pub evicted_block: u64,
    /// Answers that no slot can hold.
    pub refused_unfit: u64,
    /// Answers whose time was over before they could be published.
    pub refused_expired: u64,
    /// Answers found anew under something that holds no more when they came.
    #[serde(default)]
    pub refused_outdated: u64,
    /// Answers taken over from the daemon before.
    #[serde(default)]
    pub adopted: u64,
    /// Entries of the daemon before that were not taken over: expired, or resting on something else.
    #[serde(default)]
    pub adopted_dropped: u64,
    /// Entries of the daemon before that were not in order: somebody else has written to the maps.
    #[serde(default)]
    pub adopted_unsound: u64,
    /// Slots that wait for running programs to end, now.
    pub retiring: u64,
    /// Mean time from the client's answer to its publication, in microseconds.
    pub delay_mean_us: u64,
    /// Longest of these times, in microseconds.
    pub delay_max_us: u64,
}

/// What the kernel half has told of single answers, for the query log, counts and captures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenStatus {
    /// Answers told of.
    pub told: u64,
    /// Answers that should have been told of, but the ring had no room.
    pub lost: u64,
    /// One of so many is told for the query log now; 0: none.
    pub log_one_in: u32,
    /// One of so many is told for counting now; 0: none.
    pub count_one_in: u32,
    /// Whether a capture is under way.
    pub capture: bool,
}

/// What came of comparing the daemon's answers with what XDP would have sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComparedStatus {
    /// They were the same, bar aged TTLs.
    pub equal: u64,
    /// They were not.
    pub differing: u64,
    /// XDP would have passed the query.
    pub not_answered: u64,
    /// A newer answer was published before the comparison.
    pub superseded: u64,
    /// Not compared, because too many comparisons were waiting.
    pub skipped: u64,
}

/// An interface that the program is on, or should be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Name.
    pub name: String,
    /// `native` or `generic`; `none` if the program is not there.
    pub mode: String,
    /// Why it is not native, not there, or does not answer everything.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A map of the fast path.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MapStatus {
    /// Name.
    pub name: String,
    /// Entries (of `BUCKETS`) or elements in use.
    pub entries: u64,
    /// Entries or elements that there are.
    pub max_entries: u64,
    /// Memory of the map, used or not, in bytes.
    pub memory_bytes: u64,
}

/// One published answer, readable.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FastPathEntry {
    /// Name of the question.
    pub name: String,
    /// Type of the question.
    pub rtype: String,
    /// `plain` (DO=0) or `dnssec` (DO=1).
    pub form: String,
    /// `secure` or `insecure`.
    pub status: String,
    /// RCODE.
    pub rcode: String,
    /// Whole seconds left.
    pub ttl_s: u32,
    /// Size of the DNS message with EDNS, in bytes.
    pub size: u64,
    /// Seconds since XDP last answered with it; none if never.
    pub last_used_s_ago: Option<u64>,
}
