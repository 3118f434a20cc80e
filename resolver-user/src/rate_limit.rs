//! Rate limits as the daemon holds clients to them, with the budgets that XDP draws from as well.
//!
//! In: the configuration; a client's address and the time. Out: a [`Verdict`], and who was over a limit lately.
//! The rules and the budgets stand in one table: in the kernel half's map where there is one, else in memory of our own.
//! Deciding is [`resolver_ebpf::limit`]'s work, which both halves are built with.
//! Refuses: sockets, and to know who is exempt; that is said by [`crate::access`].

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use resolver_ebpf::abi::{
    LIMIT_ENFORCE, LIMIT_LEVELS, LIMIT_LOG_ONLY, LIMIT_OFF, LIMIT_WORDS, LimitLevel, LimitRules, OFFENDER_TICK_LOG2,
    client_v4, client_v6,
};
use resolver_ebpf::limit::{Limits, Use};
use resolver_ebpf::serve::SharedWord;

use crate::clock::Clock;
use crate::config::{Config, PrefixLengths};

pub use resolver_ebpf::limit::Verdict;

/// A prefix is told of at most once in so many ticks of the table: a minute.
const TOLD_EVERY_TICKS: u32 = 56;

/// The words of a table that the kernel half has, too.
pub type SharedTable = Box<dyn AsRef<[SharedWord]> + Send + Sync>;

/// The limiter.
pub struct RateLimiter {
    clock: Arc<dyn Clock>,
    /// The kernel half's table, if there is one.
    shared: Option<SharedTable>,
    /// Ours, once it is needed.
    own: OnceLock<Box<[SharedWord]>>,
    is_on: AtomicBool,
    lengths: Mutex<[PrefixLengths; LIMIT_LEVELS]>,
    /// What was told last of each prefix: when, and how often it had been over its limit.
    told: Mutex<HashMap<(usize, u64), (u32, u32)>>,
}

/// A prefix that was over its limit lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// The network.
    pub prefix: IpAddr,
    /// Its length, in bits.
    pub len: u32,
    /// Whether it is a wide one, with `rate-limit-wide`.
    pub is_wide: bool,
    /// Queries of it that were over the limit, since it was first noticed.
    pub queries: u32,
    /// When the last one came, in seconds before now; right within a few seconds in a minute.
    pub seen_s_ago: u32,
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter").field("is_on", &self.is_on).finish_non_exhaustive()
    }
}

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.prefix, self.len)
    }
}

impl RateLimiter {
    /// A limiter that limits nobody yet, with the kernel half's table if there is one. What a daemon before us has left in that
    /// is not told again.
    pub fn new(shared: Option<SharedTable>, clock: Arc<dyn Clock>) -> Self {
        let now_boot_ns = clock.boot_ns();
        let mut limiter = Self {
            clock,
            shared,
            own: OnceLock::new(),
            is_on: AtomicBool::new(false),
            lengths: Mutex::new([PrefixLengths { v4: 32, v6: 64 }; LIMIT_LEVELS]),
            told: Mutex::new(HashMap::new()),
        };
        let told_at = ticks(now_boot_ns).wrapping_sub(TOLD_EVERY_TICKS);
        let told = limiter.offenders(now_boot_ns).map(|(key, limited)| (key, (told_at, limited.queries))).collect();
        limiter.told = Mutex::new(told);
        limiter
    }

    /// Puts the rules of a configuration in force, for both halves. Budgets stay, unless prefixes have other lengths.
    pub fn configure(&self, config: &Config) {
        let rules = rules(config);
        let is_on = rules.mode != LIMIT_OFF;
        *self.lengths.lock().unwrap_or_else(PoisonError::into_inner) =
            [config.rate_limit.narrow_prefix, config.rate_limit.wide_prefix];
        if is_on || self.is_on() {
            let limits = self.limits();
            limits.set_hash_key(rand::random());
            limits.set_rules(&rules);
        }
        self.is_on.store(is_on, Ordering::Relaxed);
    }

    /// Whether anybody is limited.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Decides about a query of a client, and charges it.
    pub fn ask(&self, client: IpAddr) -> Verdict {
        if !self.is_on() {
            return Verdict::Within;
        }
        let (client, is_v4) = match client {
            IpAddr::V4(v4) => (client_v4(v4.octets()), true),
            IpAddr::V6(v6) => (client_v6(v6.octets()), false),
        };
        self.limits().ask(client, is_v4, Use::Answer, self.clock.boot_ns(), rand::random)
    }

    /// Who was over a limit lately: at most 128 of each kind, the last one first.
    pub fn limited(&self) -> Vec<Limited> {
        let now_boot_ns = self.clock.boot_ns();
        let mut all: Vec<Limited> = self.offenders(now_boot_ns).map(|(_, limited)| limited).collect();
        all.sort_by_key(|limited| (limited.seen_s_ago, u32::MAX - limited.queries));
        all
    }

    /// Who was over a limit since it was last asked, each at most once a minute, with how often that was.
    pub fn to_tell(&self) -> Vec<Limited> {
        if !self.is_on() {
            return Vec::new();
        }
        let now_boot_ns = self.clock.boot_ns();
        let now_ticks = ticks(now_boot_ns);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut news = Vec::new();
        let mut known = HashMap::new();
        for (key, limited) in self.offenders(now_boot_ns) {
            let before = told.get(&key).copied();
            let counted = match before {
                // A prefix that lost its place and came back counts from the start.
                Some((_, count)) if count <= limited.queries => limited.queries - count,
                _ => limited.queries,
            };
            let is_due = before.is_none_or(|(at, _)| now_ticks.wrapping_sub(at) >= TOLD_EVERY_TICKS);
            if is_due && counted > 0 {
                news.push(Limited { queries: counted, ..limited });
                known.insert(key, (now_ticks, limited.queries));
            } else if let Some(before) = before {
                known.insert(key, before);
            }
        }
        // What has left the table is forgotten here, too: so this stays as small.
        *told = known;
        news
    }

    fn offenders(&self, now_boot_ns: u64) -> impl Iterator<Item = ((usize, u64), Limited)> {
        let lengths = *self.lengths.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = self.shared.is_some() || self.own.get().is_some();
        let levels = if is_there { 0..LIMIT_LEVELS } else { 0..0 };
        let all = levels.zip(lengths).flat_map(move |(level, lengths)| {
            self.limits().offenders(level).map(move |offender| (level, lengths, offender)).collect::<Vec<_>>()
        });
        all.map(move |(level, lengths, offender)| {
            let (seen, queries) = ((offender.state >> 32) as u32, offender.state as u32);
            let (prefix, len) = network(offender.prefix, lengths);
            let seen_s_ago = ticks(now_boot_ns).wrapping_sub(seen);
            ((level, offender.prefix), Limited { prefix, len, is_wide: level > 0, queries, seen_s_ago })
        })
    }

    fn limits(&self) -> Limits<'_> {
        let words = match &self.shared {
            Some(shared) => (**shared).as_ref(),
            None => self.own.get_or_init(|| (0..LIMIT_WORDS).map(|_| SharedWord::new(0)).collect()),
        };
        // Both were made in this length.
        Limits(words.first_chunk().unwrap_or(&EMPTY))
    }
}

/// A table that limits nobody; never looked into.
static EMPTY: [SharedWord; LIMIT_WORDS] = [const { SharedWord::new(0) }; LIMIT_WORDS];

/// The rules of a configuration; the hash key is none of it.
pub fn rules(config: &Config) -> LimitRules {
    let config = &config.rate_limit;
    let mode = match (config.narrow, config.log_only) {
        (None, _) => LIMIT_OFF,
        (Some(_), true) => LIMIT_LOG_ONLY,
        (Some(_), false) => LIMIT_ENFORCE,
    };
    let level = |rate: u32, lengths: PrefixLengths| LimitLevel::new(rate, config.burst_s, lengths.v4, lengths.v6);
    let narrow = level(config.narrow.unwrap_or(1), config.narrow_prefix);
    let wide = level(config.wide_or_default(), config.wide_prefix);
    let (levels, slip_one_in) = ([narrow, wide], config.slip_one_in);
    LimitRules { mode, slip_one_in, hash_key: [[0; 2]; LIMIT_LEVELS], levels, padding: [0; 3] }
}

/// A client word as a network.
fn network(prefix: u64, lengths: PrefixLengths) -> (IpAddr, u32) {
    if prefix >> 32 == 0xffff_ffff {
        return (Ipv4Addr::from_bits(prefix as u32).into(), lengths.v4);
    }
    (Ipv6Addr::from_bits(u128::from(prefix) << 64).into(), lengths.v6)
}

/// A time in ticks of the table.
fn ticks(boot_ns: u64) -> u32 {
    (boot_ns >> OFFENDER_TICK_LOG2) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Now};

    fn limiter(change: impl FnOnce(&mut Config)) -> (RateLimiter, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Now { unix_s: 0, boot_ns: 1_000_000_000_000 }));
        let limiter = RateLimiter::new(None, Arc::clone(&clock) as Arc<dyn Clock>);
        let mut config = Config::default();
        config.rate_limit.narrow = Some(5);
        (config.rate_limit.wide, config.rate_limit.slip_one_in) = (Some(12), 0);
        change(&mut config);
        limiter.configure(&config);
        // Under a key that is drawn, two prefixes of a test share a place in a hundred runs.
        limiter.limits().set_hash_key([[1, 2], [3, 4]]);
        (limiter, clock)
    }

    fn within(limiter: &RateLimiter, client: &str, queries: usize) -> usize {
        let client = client.parse().unwrap();
        (0..queries).filter(|_| limiter.ask(client) == Verdict::Within).count()
    }

    #[test]
    fn the_configuration_says_who_gets_how_many() {
        let (limiter, clock) = limiter(|_| ());
        assert_eq!([1, 2, 3].map(|last| within(&limiter, &format!("192.0.2.{last}"), 9)), [5, 5, 2]);
        assert_eq!(["2001:db8::1", "2001:db8::2"].map(|client| within(&limiter, client, 9)), [5, 0]);
        clock.advance_s(1);
        assert_eq!(within(&limiter, "192.0.2.1", 9), 5);
    }

    /// A table that outlives its limiters, as the kernel half's does.
    #[derive(Clone)]
    struct Pinned(Arc<[SharedWord]>);

    impl AsRef<[SharedWord]> for Pinned {
        fn as_ref(&self) -> &[SharedWord] {
            &self.0
        }
    }

    #[test]
    fn the_next_daemon_goes_on_with_the_budgets_and_tells_nothing_twice() {
        let clock = Arc::new(ManualClock::new(Now { unix_s: 0, boot_ns: 1_000_000_000_000 }));
        let table = Pinned((0..LIMIT_WORDS).map(|_| SharedWord::new(0)).collect());
        let mut config = Config::default();
        config.rate_limit.narrow = Some(5);
        let started = |config: &Config| {
            let limiter = RateLimiter::new(Some(Box::new(table.clone())), Arc::clone(&clock) as Arc<dyn Clock>);
            limiter.configure(config);
            limiter
        };
        let first = started(&config);
        assert_eq!((within(&first, "192.0.2.1", 8), first.to_tell().len()), (5, 1));
        drop(first);
        let second = started(&config);
        assert!(second.to_tell().is_empty() && second.limited()[0].queries == 3);
        assert_eq!(within(&second, "192.0.2.1", 8), 0);
        assert_eq!(second.to_tell().iter().map(|limited| limited.queries).collect::<Vec<_>>(), [8]);
        drop(second);
        config.rate_limit.narrow_prefix = PrefixLengths { v4: 28, v6: 64 };
        let third = started(&config);
        assert!(third.limited().is_empty(), "other prefixes have other budgets");
        assert_eq!(within(&third, "192.0.2.1", 8), 5);
    }

    #[test]
    fn without_a_rate_nobody_is_limited_and_a_reload_changes_that_both_ways() {
        let (limiter, _) = limiter(|config| config.rate_limit.narrow = None);
        assert!(!limiter.is_on() && limiter.limited().is_empty());
        assert_eq!(within(&limiter, "192.0.2.1", 1000), 1000);
        let mut config = Config::default();
        for (rate, expected) in [(Some(7), 7), (None, 1000)] {
            config.rate_limit.narrow = rate;
            limiter.configure(&config);
            assert_eq!(within(&limiter, "192.0.2.1", 1000), expected);
        }
    }

    #[test]
    fn prefixes_of_other_lengths_are_other_clients() {
        let (limiter, _) = limiter(|config| {
            config.rate_limit.narrow_prefix = PrefixLengths { v4: 28, v6: 48 };
            config.rate_limit.wide_prefix = PrefixLengths { v4: 16, v6: 32 };
        });
        assert_eq!(["192.0.2.1", "192.0.2.15", "192.0.2.16"].map(|client| within(&limiter, client, 9)), [5, 0, 5]);
        assert_eq!(
            ["2001:db8:1::", "2001:db8:1:ff::", "2001:db8:2::"].map(|client| within(&limiter, client, 9)),
            [5, 0, 5]
        );
        let told: Vec<String> = limiter.limited().iter().map(ToString::to_string).collect();
        for prefix in ["192.0.2.0/28", "192.0.2.16/28", "2001:db8:1::/48"] {
            assert!(told.contains(&prefix.to_owned()), "{prefix}: {told:?}");
        }
    }

    #[test]
    fn a_prefix_is_told_of_once_a_minute_with_what_came_meanwhile() {
        let (limiter, clock) = limiter(|_| ());
        within(&limiter, "192.0.2.1", 8);
        let told = limiter.to_tell();
        assert_eq!((told.len(), told[0].to_string(), told[0].queries), (1, "192.0.2.1/32".to_owned(), 3));
        for _ in 0..50 {
            clock.advance_s(1);
            within(&limiter, "192.0.2.1", 7);
            assert!(limiter.to_tell().is_empty());
        }
        clock.advance_s(12);
        let told = limiter.to_tell();
        assert_eq!((told.len(), told[0].queries), (1, 100));
        assert!(limiter.to_tell().is_empty());
    }
}
