//! What an operator sees of the fast path.

use serde::{Deserialize, Serialize};

use crate::metrics::Durations;

/// State of the fast path.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FastPathStatus {
    /// Interfaces that the program is on, or should be.
    pub interfaces: Vec<InterfaceStatus>,
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
    /// Slots that wait for running programs to end, now.
    pub retiring: u64,
    /// Mean time from the client's answer to its publication, in microseconds.
    pub delay_mean_us: u64,
    /// Longest of these times, in microseconds.
    pub delay_max_us: u64,
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
