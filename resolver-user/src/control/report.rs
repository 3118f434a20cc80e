//! What goes over the control socket.

use serde::{Deserialize, Serialize};

/// What the operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// One [`StatusReport`].
    Status,
    /// A [`CachedEntry`] for each answer that the daemon keeps.
    CacheDump,
    /// A [`FastPathEntry`] for each answer in the kernel map.
    FastpathDump,
    /// Empties the kernel map; one [`FlushReport`].
    FastpathFlush,
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
    /// Addresses and port that are listened on.
    pub listening: Vec<String>,
    /// Servers that are forwarded to.
    pub servers: Vec<ServerStatus>,
    /// Answers in the daemon's cache.
    pub cache_entries: u64,
    /// Most answers that the cache may hold.
    pub cache_entries_max: u64,
    /// Searches under way.
    pub searches: u64,
    /// The daemon's counters, by name.
    pub counters: Vec<(String, u64)>,
    /// XDP; none if it is off.
    pub fast_path: Option<FastPathStatus>,
}

/// A server that is forwarded to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Address and port.
    pub address: String,
    /// Queries sent.
    pub sent: u64,
    /// Queries that got no usable reply.
    pub failed: u64,
    /// Smoothed round-trip time, in milliseconds.
    pub srtt_ms: Option<f64>,
}

/// The state of the kernel half.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FastPathStatus {
    /// Where the program is attached.
    pub interfaces: Vec<InterfaceStatus>,
    /// Its maps.
    pub maps: Vec<MapStatus>,
    /// Answers that are in the maps now.
    pub published: u64,
    /// Frames by what became of them, and the publisher's own counters.
    pub counters: Vec<(String, u64)>,
}

/// An interface that XDP answers on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// `native` or `generic`.
    pub mode: String,
}

/// A BPF map.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MapStatus {
    /// Its name.
    pub name: String,
    /// Elements in use.
    pub entries: u64,
    /// Elements that there are.
    pub max_entries: u64,
    /// Memory that it takes, in bytes.
    pub memory_bytes: u64,
}

/// An answer in the daemon's cache.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CachedEntry {
    /// Name, presentation form.
    pub name: String,
    /// Type, mnemonic.
    pub rtype: String,
    /// `secure`, `insecure`, `bogus`, `failed` or `unchecked`.
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

/// An answer in the kernel map.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FastPathEntry {
    /// Name, presentation form.
    pub name: String,
    /// Type, mnemonic.
    pub rtype: String,
    /// `plain` (DO=0) or `dnssec` (DO=1).
    pub form: String,
    /// `secure` or `insecure`.
    pub status: String,
    /// RCODE.
    pub rcode: String,
    /// Time left, in seconds.
    pub ttl_s: u32,
    /// Length of the answer body, in bytes.
    pub size: u64,
    /// How long ago XDP last answered with it, in seconds; none if never.
    pub last_used_s_ago: Option<u64>,
}

/// What emptying the kernel map did.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct FlushReport {
    /// Answers removed.
    pub removed: u64,
}
