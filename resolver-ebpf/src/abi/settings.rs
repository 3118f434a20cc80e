//! What the daemon tells the kernel half, and the clock sample it gets back.

use bytemuck::{Pod, Zeroable};

use super::{COOKIE_SLOTS, CookieSecrets};

/// Words of the hash key: one for each 8 bytes of the longest name, two spare.
pub const HASH_KEY_WORDS: usize = 34;
/// Listening endpoints of each address family that the kernel half knows; further ones are served by the daemon alone.
pub const LISTEN_MAX: usize = 64;

/// XDP answers nothing.
pub const MODE_OFF: u32 = 0;
/// XDP answers.
pub const MODE_SERVE: u32 = 1;
/// XDP counts what it would have answered, and passes it.
pub const MODE_DRY_RUN: u32 = 2;

/// One IPv4 endpoint that the daemon listens on. Compared and changed as one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C, align(8))]
pub struct ListenV4 {
    /// Address, network order.
    pub address: [u8; 4],
    /// Port, network order.
    pub port: [u8; 2],
    /// Zero; all ones in an unused element, which is then equal to no endpoint.
    pub padding: [u8; 2],
}

/// One IPv6 endpoint that the daemon listens on. Compared as three words; the address changes only while the last word says
/// that the element is unused, and no program runs that saw it otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C, align(8))]
pub struct ListenV6 {
    /// Address, network order.
    pub address: [u8; 16],
    /// Port, network order.
    pub port: [u8; 2],
    /// Zero; all ones in an unused element, which is then equal to no endpoint.
    pub padding: [u8; 6],
}

impl Settings {
    /// The secrets of cookies, if cookies are on.
    #[inline(always)]
    pub fn cookie_secrets(&self) -> Option<&CookieSecrets> {
        self.cookie_secrets.get((self.cookies as usize).wrapping_sub(1))
    }
}

impl ListenV4 {
    /// An element that is no endpoint.
    pub const UNUSED: Self = Self { address: [0; 4], port: [0; 2], padding: [0xff; 2] };
}

impl ListenV6 {
    /// An element that is no endpoint.
    pub const UNUSED: Self = Self { address: [0; 16], port: [0; 2], padding: [0xff; 6] };
}

/// The one element of `SETTINGS`. Each field is changed by single aligned stores.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Settings {
    /// [`super::ABI_VERSION`] of the daemon that wrote this. XDP passes everything while it differs from its own.
    pub abi_version: u32,
    /// [`MODE_OFF`], [`MODE_SERVE`] or [`MODE_DRY_RUN`].
    pub mode: u32,
    /// Bucket number = hash >> this. Valid: 33..=63, for 2^31 buckets down to 2.
    pub bucket_shift: u32,
    /// Elements of `listen_v4` to look at: 0..=[`LISTEN_MAX`].
    pub listen_v4_count: u32,
    /// Elements of `listen_v6` to look at: 0..=[`LISTEN_MAX`].
    pub listen_v6_count: u32,
    /// While the program is loaded with `XDP_LOG`: one of this many passed queries is logged, a power of two. 0 logs none.
    pub log_one_in: u32,
    /// Longest TTL that an answer shows, in seconds: 1..=[`super::FAST_TTL_S_MAX`].
    pub ttl_shown_s_max: u32,
    /// Generation of the list in `CLIENTS_V4` and `CLIENTS_V6` that says who is answered; [`super::CLIENTS_ALL`]: everybody is.
    pub clients: u32,
    /// Length of a jiffy, in nanoseconds.
    pub jiffy_ns: u64,
    /// CLOCK_BOOTTIME = jiffies64 · `jiffy_ns` + this, in nanoseconds, wrapping. Refreshed by the daemon, since jiffies stop in suspend.
    pub boot_offset_ns: u64,
    /// Whole seconds since 1970 (low 32 bits) = whole seconds of (CLOCK_BOOTTIME + `wall_offset_ns`) + this, wrapping.
    /// Both halves of the word are stored as one.
    pub wall_offset_s: u32,
    /// Below a second, in nanoseconds.
    pub wall_offset_ns: u32,
    /// [`super::COOKIES_OFF`], or 1 + the element of `cookie_secrets` in use.
    pub cookies: u32,
    /// 1: `LINKS` may say that untagged frames of an interface are passed. 0: it says nothing about any.
    pub untagged_ruled: u32,
    /// 1: XDP asks `LIMITS` about each query that it could answer or that nobody here knows. 0: nobody is limited.
    pub limits: u32,
    /// Which answers are told in `SEEN`: some of [`super::WATCH_LOG`], [`super::WATCH_COUNT`], [`super::WATCH_CAPTURE`].
    /// 0: none, and nothing of it costs anything.
    pub watch: u32,
    /// With [`super::WATCH_LOG`]: one of so many answers. 0: none.
    pub seen_log_one_in: u32,
    /// With [`super::WATCH_COUNT`]: one of so many answers. 0: none.
    pub seen_count_one_in: u32,
    /// Random, new at each start.
    pub hash_key: [u64; HASH_KEY_WORDS],
    /// UDP endpoints that are ours.
    pub listen_v4: [ListenV4; LISTEN_MAX],
    /// UDP endpoints that are ours.
    pub listen_v6: [ListenV6; LISTEN_MAX],
    /// Secrets of cookies. The element that `cookies` does not choose is written, then chosen by one store, and the one
    /// before is written again only once no program runs any more that saw it chosen.
    pub cookie_secrets: [CookieSecrets; COOKIE_SLOTS],
    /// Zero, up to the end of a cache line.
    pub line_end: [u64; 4],
}

/// What the `clock` program saw, both taken within one run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct ClockSample {
    /// `bpf_jiffies64()`.
    pub jiffies: u64,
    /// `bpf_ktime_get_boot_ns()`.
    pub boot_ns: u64,
    /// [`super::ABI_VERSION`] that the object was built with.
    pub abi_version: u32,
    /// Zero.
    pub padding: u32,
}

const _: () = assert!(size_of::<ListenV4>() == 8 && size_of::<ListenV6>() == 24);
const _: () = assert!(size_of::<Settings>().is_multiple_of(64));
const _: () = assert!(size_of::<ClockSample>() == 24);
