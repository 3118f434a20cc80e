//! The maps as plain memory, or as memory mapped from the kernel.

use std::vec::Vec;

use crate::abi::{
    ABI_VERSION, BLOCK_LINES, BUCKET_ENTRIES, BucketEntry, COOKIE_VERDICTS, ClientRule, ClientV4, ClientV6,
    CookieVerdict, FAST_TTL_S_MAX, GENERATION_BITS, LIMIT_LEVELS, LIMIT_WORDS, LINE_LEN, Link, LinkRule, MODE_SERVE,
    Place, SLOT_REACH_WORDS, SLOT_START_MAX, SLOT_WORDS_MAX, Settings, entry_in_turn, partner,
};
use crate::limit::{Limits, Use, Verdict};
use crate::serve::{Bucket, SharedWord, Slot, Store};
use crate::slot::{Answer, SlotError, answer_key_hash, render};
use crate::wire::name::tag;

/// The maps of the fast path, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct PlainStore<'a> {
    /// `SETTINGS`.
    pub settings: &'a Settings,
    /// `BUCKETS`.
    pub buckets: &'a [Bucket],
    /// `ANSWERS`: all lines of all blocks, as words.
    pub answers: &'a [SharedWord],
    /// `CLIENTS_V4`.
    pub clients_v4: &'a [Network<ClientV4>],
    /// `CLIENTS_V6`.
    pub clients_v6: &'a [Network<ClientV6>],
    /// `LINKS`.
    pub links: &'a [(Link, LinkRule)],
    /// `LIMITS`, as words.
    pub limits: &'a [SharedWord; LIMIT_WORDS],
    /// `LIMIT_LOG`.
    pub limit_log: &'a [SharedWord; LIMIT_LEVELS],
    /// What the limiter takes for random.
    pub random: u32,
    /// `COOKIES`: answers by verdict.
    pub cookies: &'a [SharedWord; COOKIE_VERDICTS],
    /// What the kernel's jiffies stand at.
    pub jiffies: u64,
    /// What the kernel's CLOCK_BOOTTIME stands at, in nanoseconds.
    pub boot_ns: u64,
}

/// An element of `CLIENTS_V4` or `CLIENTS_V6`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network<T> {
    /// In bits, with those of the generation.
    pub prefix_len: u32,
    /// Generation and address.
    pub data: T,
    /// What is said about its clients.
    pub rule: ClientRule,
}

/// The rule of the longest network that holds a client. Both are taken as bytes, as the kernel takes them.
fn longest<T: bytemuck::Pod>(networks: &[Network<T>], client: &T) -> Option<ClientRule> {
    let client = bytemuck::bytes_of(client);
    let holding = networks.iter().filter(|network| {
        let bits_equal = |bit: u32| {
            let byte = |bytes: &[u8]| bytes.get(bit as usize / 8).map(|byte| byte >> (7 - bit % 8) & 1);
            byte(bytemuck::bytes_of(&network.data)) == byte(client)
        };
        (0..network.prefix_len).all(bits_equal)
    });
    holding.max_by_key(|network| network.prefix_len).map(|network| network.rule)
}

impl Store for PlainStore<'_> {
    fn settings(&self) -> Option<&Settings> {
        Some(self.settings)
    }

    fn bucket(&self, number: u32) -> Option<&Bucket> {
        self.buckets.get(usize::try_from(number).ok()?)
    }

    fn slot(&self, place: Place) -> Option<&Slot> {
        let (block, line) = (place.block() as usize, place.line() as usize);
        if line > SLOT_START_MAX {
            return None;
        }
        let at = (block * BLOCK_LINES + line) * (LINE_LEN / 8);
        self.answers.get(at..at + SLOT_REACH_WORDS)?.first_chunk()
    }

    fn client_v4(&self, client: ClientV4) -> Option<ClientRule> {
        longest(self.clients_v4, &client)
    }

    fn client_v6(&self, client: ClientV6) -> Option<ClientRule> {
        longest(self.clients_v6, &client)
    }

    fn link(&self, link: Link) -> Option<LinkRule> {
        self.links.iter().find(|(known, _)| *known == link).map(|(_, rule)| *rule)
    }

    fn ask_limits(&self, client: u64, is_v4: bool, purpose: Use, now_boot_ns: u64) -> Verdict {
        let verdict = Limits(self.limits).ask(client, is_v4, purpose, now_boot_ns, || self.random);
        if let Some(count) = verdict.logged_level().and_then(|level| self.limit_log.get(level)) {
            count.store(count.load() + 1);
        }
        verdict
    }

    fn count_cookies(&self, verdict: CookieVerdict) {
        if let Some(counter) = self.cookies.get(verdict as usize) {
            counter.store(counter.load() + 1);
        }
    }

    fn jiffies(&self) -> u64 {
        self.jiffies
    }

    fn boot_ns(&self) -> u64 {
        self.boot_ns
    }
}

/// Why an answer did not get into an [`OwnedStore`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreFull {
    /// It cannot be published at all.
    Slot(SlotError),
    /// Its bucket and the partner of that have no free entry.
    Bucket,
    /// No block has room for it.
    Answers,
}

/// The maps in memory of their own. Answers are only ever added.
#[derive(Debug)]
pub struct OwnedStore {
    /// `SETTINGS`.
    pub settings: Settings,
    /// What the kernel's jiffies stand at.
    pub jiffies: u64,
    /// What the kernel's CLOCK_BOOTTIME stands at, in nanoseconds.
    pub boot_ns: u64,
    /// `CLIENTS_V4`.
    pub clients_v4: Vec<Network<ClientV4>>,
    /// `CLIENTS_V6`.
    pub clients_v6: Vec<Network<ClientV6>>,
    /// `LINKS`.
    pub links: Vec<(Link, LinkRule)>,
    /// `LIMIT_LOG`.
    pub limit_log: [SharedWord; LIMIT_LEVELS],
    /// What the limiter takes for random.
    pub random: u32,
    limits: Vec<SharedWord>,
    /// `COOKIES`: answers by verdict.
    pub cookies: [SharedWord; COOKIE_VERDICTS],
    buckets: Vec<Bucket>,
    answers: Vec<SharedWord>,
    /// First free line.
    free_line: usize,
}

impl OwnedStore {
    /// An empty store of `2^bucket_bits` buckets and `blocks` blocks, serving, with the clock at `now_boot_ns`.
    pub fn new(bucket_bits: u32, blocks: usize, now_boot_ns: u64) -> Self {
        let mut settings: Settings = bytemuck::Zeroable::zeroed();
        settings.abi_version = ABI_VERSION;
        settings.mode = MODE_SERVE;
        settings.ttl_shown_s_max = FAST_TTL_S_MAX;
        settings.bucket_shift = 64 - bucket_bits;
        // No jiffy has a length, so the clock stands still, here and in the kernel.
        settings.boot_offset_ns = now_boot_ns;
        settings.offset_until_jiffies = u64::MAX;
        let mut key = 0x9E37_79B9_7F4A_7C15u64;
        for word in &mut settings.hash_key {
            key = key.wrapping_mul(0xD120_0000_0000_0000 | 0x5DEE_CE66_D5A5).wrapping_add(0xB) ^ key >> 29;
            *word = key;
        }
        let words = |count: usize| (0..count).map(|_| SharedWord::new(0));
        Self {
            settings,
            jiffies: 0,
            boot_ns: now_boot_ns,
            clients_v4: Vec::new(),
            clients_v6: Vec::new(),
            links: Vec::new(),
            limit_log: Default::default(),
            random: 0,
            limits: words(LIMIT_WORDS).collect(),
            cookies: [const { SharedWord::new(0) }; COOKIE_VERDICTS],
            buckets: (0..1usize << bucket_bits).map(|_| [const { SharedWord::new(0) }; BUCKET_ENTRIES]).collect(),
            answers: words(blocks * BLOCK_LINES * LINE_LEN / 8).collect(),
            free_line: 0,
        }
    }

    /// The store as the fast path sees it.
    pub fn view(&self) -> PlainStore<'_> {
        PlainStore {
            settings: &self.settings,
            buckets: &self.buckets,
            answers: &self.answers,
            clients_v4: &self.clients_v4,
            clients_v6: &self.clients_v6,
            links: &self.links,
            limits: self.limits(),
            limit_log: &self.limit_log,
            random: self.random,
            cookies: &self.cookies,
            jiffies: self.jiffies,
            boot_ns: self.boot_ns,
        }
    }

    /// `LIMITS`, as words.
    ///
    /// # Panics
    /// Never: they were made in this number.
    #[expect(clippy::expect_used, reason = "made in this number")]
    pub fn limits(&self) -> &[SharedWord; LIMIT_WORDS] {
        self.limits.first_chunk().expect("made in this number")
    }

    /// Adds an IPv4 network of `len` bits to the list of `generation`.
    pub fn add_client_v4(&mut self, generation: u32, address: [u8; 4], len: u32, rule: ClientRule) {
        let data = ClientV4 { generation, address };
        self.clients_v4.push(Network { prefix_len: GENERATION_BITS + len, data, rule });
    }

    /// Adds an IPv6 network of `len` bits to the list of `generation`.
    pub fn add_client_v6(&mut self, generation: u32, address: [u8; 16], len: u32, rule: ClientRule) {
        let data = ClientV6 { generation, address };
        self.clients_v6.push(Network { prefix_len: GENERATION_BITS + len, data, rule });
    }

    /// Publishes an answer and returns its place.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn publish(&mut self, answer: &Answer<'_>) -> Result<Place, StoreFull> {
        let mut words = [0; SLOT_WORDS_MAX];
        let lines = render(answer, &mut words).map_err(StoreFull::Slot)?;
        if self.free_line % BLOCK_LINES > SLOT_START_MAX {
            self.free_line = self.free_line.next_multiple_of(BLOCK_LINES);
        }
        let place = Place::new((self.free_line / BLOCK_LINES) as u32, (self.free_line % BLOCK_LINES) as u32);
        let at = self.free_line * LINE_LEN / 8;
        let slot = self.answers.get(at..at + lines * LINE_LEN / 8).ok_or(StoreFull::Answers)?;
        for (to, from) in slot.iter().zip(words) {
            to.store(from);
        }
        let hash = answer_key_hash(answer.name, answer.qtype, answer.dnssec_ok, &self.settings.hash_key);
        let home = (hash >> self.settings.bucket_shift) as u32;
        let buckets = [home, partner(home)].into_iter().filter_map(|bucket| self.buckets.get(bucket as usize));
        let in_turn = |turn| entry_in_turn(tag(hash), turn);
        let mut entries =
            buckets.flat_map(|bucket| (0..BUCKET_ENTRIES).filter_map(move |turn| bucket.get(in_turn(turn))));
        let entry = entries.find(|entry| entry.load() == 0).ok_or(StoreFull::Bucket)?;
        entry.store(bytemuck::must_cast(BucketEntry { place, tag: tag(hash) }));
        self.free_line += lines;
        Ok(place)
    }
}
