//! What goes over the control socket.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use crate::publish::{FastPathEntry, FastPathStatus, InterfaceStatus, MapStatus};
pub use crate::serving::Serving;
pub use crate::witness::CaptureFilter;

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
    /// A [`LimitedEntry`] for each prefix that was over a rate limit lately.
    FastpathLimits,
    /// Empties the kernel map; one [`FlushReport`].
    FastpathFlush,
    /// Has XDP answer, or not; one [`ServingReport`].
    FastpathServe {
        /// Whether.
        serving: Serving,
    },
    /// Holds every answer in the kernel map against the daemon's cache; one [`VerifyReport`].
    FastpathVerify,
    /// Everything that a live view shows; one [`TopReport`]. Counts by name and client begin, and go on for some seconds.
    Top,
    /// Queries by client; one [`CountsReport`].
    Clients,
    /// Frames of XDP's answers, until the asking half of the connection is closed: a line of JSON (`{}`, or an [`ErrorReport`]), then for each
    /// answer the number of bytes that follow (`u32`), the number of answers lost so far (`u64`, counted among those bytes),
    /// and query and answer as blocks of pcapng, none in the last; all numbers little-endian.
    Capture {
        /// Which answers.
        filter: CaptureFilter,
    },
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
    /// What is kept beside answers.
    #[serde(default)]
    pub kept_beside: Vec<KeptReport>,
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

/// What is kept of one kind beside answers. How much may be follows from `cache-size`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeptReport {
    /// The kind.
    pub name: String,
    /// How many are kept.
    pub entries: u64,
    /// Most that may be.
    pub entries_max: u64,
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

/// A prefix that was over a rate limit lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitedEntry {
    /// The network.
    pub prefix: String,
    /// The option that limits it: `rate-limit` or `rate-limit-wide`.
    pub limit: String,
    /// Its queries that were over the limit, since it was noticed.
    pub queries: u64,
    /// When the last one came, in seconds before now; right within a few.
    pub seen_s_ago: u64,
}

/// Whether XDP answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServingReport {
    /// Whether.
    pub serving: Serving,
}

/// What came of holding every answer in the kernel map against the daemon's cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Answers in the kernel map; each is in one of the following.
    pub entries: u64,
    /// XDP sends what the daemon would send.
    pub equal: u64,
    /// The daemon has the answer no more; in the kernel map it is as it was written, and its time is not over.
    pub not_cached: u64,
    /// The daemon has found another answer since; in the kernel map it is as it was written, and its time is not over.
    pub older: u64,
    /// Something is wrong.
    pub wrong: u64,
    /// What is wrong: at most [`VERIFY_FAULTS_MAX`].
    pub faults: Vec<VerifyFault>,
}

/// Most faults that are listed one by one.
pub const VERIFY_FAULTS_MAX: usize = 1000;

/// An answer in the kernel map that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyFault {
    /// Name of the question; empty if it cannot be read.
    pub name: String,
    /// Type of the question; empty if it cannot be read.
    pub rtype: String,
    /// `plain` or `dnssec`; empty if it cannot be read.
    pub form: String,
    /// What is wrong.
    pub fault: String,
}

/// What a live view shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TopReport {
    /// The state of the daemon; rates are made of two of them.
    pub status: StatusReport,
    /// The most frequent names and clients.
    pub counts: CountsReport,
}

/// Who asks, and what is asked for. Numbers are estimates where one of several answers is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountsReport {
    /// Time since counting began, in seconds.
    pub since_s: u64,
    /// One of so many answers of XDP is counted now; 0: none.
    pub xdp_one_in: u32,
    /// One of so many of the daemon's answers is counted now; 0: none.
    pub daemon_one_in: u32,
    /// Queries of all clients.
    pub queries: u64,
    /// The most frequent clients, most frequent first.
    pub clients: Vec<ClientCount>,
    /// The most frequent names, most frequent first.
    pub names: Vec<NameCount>,
}

/// A client's queries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCount {
    /// The client.
    pub client: IpAddr,
    /// Its queries, too many by at most `error_max`; those that are no error are in one of the others.
    pub queries: u64,
    /// Queries that may have been another client's, who had the counter before.
    pub error_max: u64,
    /// Answered by XDP.
    pub xdp: u64,
    /// Answered by the daemon from what it had.
    pub cache: u64,
    /// Answered after others were asked.
    pub upstream: u64,
    /// Answered with neither NOERROR nor NXDOMAIN.
    pub failed: u64,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameCount {
    /// Name, lower case.
    pub name: String,
    /// Type.
    pub rtype: String,
    /// Queries, too many by at most `error_max`.
    pub queries: u64,
    /// Queries that may have been another name's, which had the counter before.
    pub error_max: u64,
}
