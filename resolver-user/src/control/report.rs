//! What goes over the control socket.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use crate::publish::{FastPathEntry, FastPathStatus, InterfaceStatus, MapStatus};

/// What the operator asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// One [`StatusReport`].
    Status,
    /// A [`Family`](crate::export::Family) for each thing that is counted or measured.
    Metrics,
    /// A [`CachedEntry`] for each answer that the daemon keeps.
    CacheDump,
    /// A [`FastPathEntry`] for each answer in the kernel map.
    FastpathDump,
    /// Empties the kernel map; one [`FlushReport`].
    FastpathFlush,
    /// An [`AnchorEntry`] for each anchor.
    Anchors,
    /// Reads the anchors of one file again; then as for [`Self::Anchors`].
    ReadAnchors {
        /// The file, which the configuration must read already.
        file: PathBuf,
    },
    /// A [`NegativeAnchorEntry`] for each negative anchor.
    NegativeAnchors,
    /// Turns validation off at and below a name for a time; then as for [`Self::NegativeAnchors`].
    AddNegativeAnchor {
        /// The name, presentation form.
        name: String,
        /// The time, in seconds: 1..=604 800.
        for_s: u64,
    },
    /// Ends a negative anchor that was added; then as for [`Self::NegativeAnchors`].
    RemoveNegativeAnchor {
        /// The name, presentation form.
        name: String,
    },
}

/// A request that was not served.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorReport {
    /// Why.
    pub error: String,
}

/// The state of the daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatusReport {
    /// Version of the program.
    pub version: String,
    /// Process number.
    pub pid: u32,
    /// Time since the start, in seconds.
    pub uptime_s: u64,
    /// Whether answers are validated.
    pub dnssec: bool,
    /// What decides about validation, as options without dashes: anchors, negative anchors, policy.
    #[serde(default)]
    pub dnssec_options: Vec<String>,
    /// Whether signature times are not checked yet, because the clock is behind the `dnssec-timestamp` file.
    #[serde(default)]
    pub awaits_clock: bool,
    /// What validations have cost.
    #[serde(default)]
    pub work: Vec<WorkReport>,
    /// Addresses and port that are listened on.
    pub listening: Vec<String>,
    /// Servers that are forwarded to.
    pub servers: Vec<ServerStatus>,
    /// What resolving from the root has found; none if no name is resolved so.
    #[serde(default)]
    pub recursion: Option<RecursionStatus>,
    /// The servers, and names that are never forwarded, as options without dashes.
    #[serde(default)]
    pub server_options: Vec<String>,
    /// Answers in the daemon's cache.
    pub cache_entries: u64,
    /// Most answers that the cache may hold.
    pub cache_entries_max: u64,
    /// Names that the operator has given records for.
    #[serde(default)]
    pub local_names: u64,
    /// Domains that the operator has said something about.
    #[serde(default)]
    pub local_domains: u64,
    /// Searches under way.
    pub searches: u64,
    /// The daemon's counters, by name.
    pub counters: Vec<(String, u64)>,
    /// XDP; none if it is off.
    pub fast_path: Option<FastPathStatus>,
}

/// What validations have cost in work of one kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkReport {
    /// The kind.
    pub name: String,
    /// What all queries together have cost.
    pub total: u64,
    /// The most that one query has cost.
    pub most: u64,
    /// What one query may cost; none where another kind's limit bounds it.
    pub limit: Option<u64>,
}

/// A server that is forwarded to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Address and port.
    pub address: String,
    /// Domains that it is asked about, as between the slashes of `server=`; none: all others.
    #[serde(default)]
    pub domains: Vec<String>,
    /// It sent a query of ours back to us, so it is not asked.
    #[serde(default)]
    pub looping: bool,
    /// It is asked without EDNS for a while, because it does not take it.
    #[serde(default)]
    pub without_edns: bool,
    /// Queries sent.
    pub sent: u64,
    /// Queries that got no usable reply.
    pub failed: u64,
    /// Smoothed round-trip time, in milliseconds.
    pub srtt_ms: Option<f64>,
}

/// What resolving from the root has found so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecursionStatus {
    /// Whether all names are resolved so that no line gives to others; else those of stub zones.
    pub usual: bool,
    /// Zones whose servers are known.
    pub zones_known: u64,
    /// Servers that are known.
    pub servers_known: u64,
    /// Those that were asked most.
    pub servers: Vec<ServerStatus>,
}

/// An answer in the daemon's cache.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CachedEntry {
    /// Name, presentation form.
    pub name: String,
    /// Type, mnemonic.
    pub rtype: String,
    /// `secure`, `insecure`, `bogus`, `failed`, `unchecked` or `filtered`.
    pub status: String,
    /// RCODE that a client sees.
    pub rcode: String,
    /// Time left, in seconds.
    pub ttl_s: u32,
    /// Length of the forms rendered so far, in bytes.
    pub size: u64,
    /// Forms that were handed to the publisher: some of `plain` and `dnssec`.
    pub published: Vec<String>,
}

/// A trust anchor, or a key that may become one or was one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnchorEntry {
    /// The zone, presentation form.
    pub zone: String,
    /// Key tag.
    pub key_tag: u16,
    /// Algorithm, by number.
    pub algorithm: u8,
    /// Digest type, by number.
    pub digest_type: u8,
    /// Where it is from: file and line, `command line`, `built in`, or `followed` (RFC 5011).
    pub from: String,
    /// Whether validation starts from it.
    pub trusted: bool,
    /// State of its key: of RFC 5011, if that is followed and the key has been seen.
    pub state: Option<String>,
    /// Since when it is in that state, as a date.
    pub since: Option<String>,
    /// When the hold-down of a pending key ends, as a date.
    pub until: Option<String>,
    /// Whether the zone's last verified keys hold it; none if there are none.
    pub seen: Option<bool>,
    /// How long ago they were verified, in seconds.
    pub verified_s_ago: Option<u64>,
    /// When they are looked at next, in seconds from now, if they are followed.
    pub next_look_s: Option<u64>,
}

/// A name at and below which nothing is validated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NegativeAnchorEntry {
    /// The name, presentation form.
    pub name: String,
    /// Time until it ends, in seconds; none if it is configured.
    pub left_s: Option<u64>,
}

/// What emptying the kernel map did.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct FlushReport {
    /// Answers removed.
    pub removed: u64,
}
