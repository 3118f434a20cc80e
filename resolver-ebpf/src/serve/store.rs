//! What the fast path asks of the maps.

use super::SharedWord;
use crate::abi::{
    BUCKET_ENTRIES, ClientRule, ClientV4, ClientV6, CookieVerdict, Link, LinkRule, Place, SLOT_REACH_WORDS, Settings,
};
use crate::limit::{Use, Verdict};

/// A line of the index, as shared memory; each word is an [`crate::abi::BucketEntry`].
pub type Bucket = [SharedWord; BUCKET_ENTRIES];

/// A slot, as shared memory. What lies behind the slot's own length belongs to others and is not read.
pub type Slot = [SharedWord; SLOT_REACH_WORDS];

/// The published answers and the clock.
pub trait Store {
    /// The one element of `SETTINGS`.
    fn settings(&self) -> Option<&Settings>;

    /// A line of the index.
    fn bucket(&self, number: u32) -> Option<&Bucket>;

    /// The slot at `place`; `None` when its block does not exist or it would not end inside the block.
    fn slot(&self, place: Place) -> Option<&Slot>;

    /// The rule of the longest network in `CLIENTS_V4` that holds a client.
    fn client_v4(&self, client: ClientV4) -> Option<ClientRule>;

    /// The rule of the longest network in `CLIENTS_V6` that holds a client.
    fn client_v6(&self, client: ClientV6) -> Option<ClientRule>;

    /// What `LINKS` says about a link.
    fn link(&self, link: Link) -> Option<LinkRule>;

    /// Asks the limiter about a query of a client; an answer over a limit that only logs is counted. `LIMITS` is its table, random
    /// numbers are its own.
    fn ask_limits(&self, client: u64, is_v4: bool, purpose: Use, now_boot_ns: u64) -> Verdict;

    /// Counts an answer with cookies, in `COOKIES`.
    fn count_cookies(&self, verdict: CookieVerdict);

    /// The kernel's 64-bit jiffies.
    fn jiffies(&self) -> u64;

    /// CLOCK_BOOTTIME, in nanoseconds. Slow: asked for only where jiffies do not tell.
    fn boot_ns(&self) -> u64;
}
