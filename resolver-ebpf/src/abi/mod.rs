//! Everything that both halves read or write in a BPF map. Nothing else may be put into a map.
//!
//! Rules: `#[repr(C)]`, fixed-width integers, explicit padding, sizes pinned at compile time; no `bool`, `usize` or enum.
//! Integers are in host order unless the field's type says otherwise. [`ABI_VERSION`] rises with any change; the daemon
//! refuses an object or a pinned map with another number.

mod answers;
pub mod bench;
mod clients;
mod cookies;
mod counters;
mod latency;
mod limits;
mod links;
mod settings;
mod watch;

pub use answers::*;
pub use clients::*;
pub use cookies::*;
pub use counters::*;
pub use latency::*;
pub use limits::*;
pub use links::*;
pub use settings::*;
pub use watch::*;

/// Number of this layout. Compared by the daemon with the `abi_version` it finds in a BPF object and in pinned settings.
pub const ABI_VERSION: u32 = 3;

/// Name of each map, as declared by the XDP program, pinned in bpffs and shown by `bpftool map`. At most 15 bytes.
pub mod map_name {
    /// ARRAY of [`super::Bucket`], one element per bucket; mmapable.
    pub const BUCKETS: &str = "BUCKETS";
    /// ARRAY of [`super::AnswerBlock`]; mmapable.
    pub const ANSWERS: &str = "ANSWERS";
    /// ARRAY of one [`super::Settings`]; mmapable.
    pub const SETTINGS: &str = "SETTINGS";
    /// LPM_TRIE from [`super::ClientV4`] to [`super::ClientRule`].
    pub const CLIENTS_V4: &str = "CLIENTS_V4";
    /// LPM_TRIE from [`super::ClientV6`] to [`super::ClientRule`].
    pub const CLIENTS_V6: &str = "CLIENTS_V6";
    /// HASH from [`super::Link`] to [`super::LinkRule`].
    pub const LINKS: &str = "LINKS";
    /// ARRAY of one [`super::LimitTable`]; mmapable.
    pub const LIMITS: &str = "LIMITS";
    /// PERCPU_ARRAY of one [`super::LimitLog`].
    pub const LIMIT_LOG: &str = "LIMIT_LOG";
    /// PERCPU_ARRAY of one [`super::Counters`].
    pub const COUNTERS: &str = "COUNTERS";
    /// PERCPU_ARRAY of one [`super::CookieCounters`].
    pub const COOKIES: &str = "COOKIES";
    /// PERCPU_ARRAY of one [`super::Latency`].
    pub const LATENCY: &str = "LATENCY";
    /// PERCPU_ARRAY of one [`super::ClockSample`], written by the `clock` program.
    pub const CLOCK: &str = "CLOCK";
    /// PERCPU_ARRAY of one [`super::Watch`].
    pub const WATCH: &str = "WATCH";
    /// RINGBUF of records that begin with a [`super::SeenHead`].
    pub const SEEN: &str = "SEEN";
    /// All of them.
    pub const ALL: [&str; 14] = [
        BUCKETS, ANSWERS, SETTINGS, CLIENTS_V4, CLIENTS_V6, LINKS, LIMITS, LIMIT_LOG, COUNTERS, COOKIES, LATENCY,
        CLOCK, WATCH, SEEN,
    ];
}
