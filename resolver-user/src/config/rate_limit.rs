//! How many answers a client gets.

use super::ConfigError;
use super::option::{OptionSpec, flag, number, value};
use crate::access::Network;

/// Answers a second that a wide prefix gets unless told otherwise, as a multiple of those of a narrow one.
const WIDE_FACTOR: u32 = 10;
/// Seconds' worth of answers that may be given at once unless told otherwise.
const BURST_S: u32 = 1;
/// One in so many queries over a limit gets an empty answer unless told otherwise. Choice: BIND's and Knot's.
const SLIP_ONE_IN: u32 = 2;

/// How many answers a client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitConfig {
    /// `rate-limit`: answers a second of a narrow prefix, 1..=1 000 000; none: nobody is limited.
    pub narrow: Option<u32>,
    /// `rate-limit-wide`: answers a second of a wide prefix, 1..=1 000 000; none: ten times as many as of a narrow one.
    pub wide: Option<u32>,
    /// `rate-limit-burst`, in seconds: 1..=60.
    pub burst_s: u32,
    /// `rate-limit-slip`: 0..=100; 0: never.
    pub slip_one_in: u32,
    /// `rate-limit-prefix`: lengths of narrow prefixes.
    pub narrow_prefix: PrefixLengths,
    /// `rate-limit-prefix-wide`: lengths of wide prefixes, none longer than the narrow one of its family.
    pub wide_prefix: PrefixLengths,
    /// `rate-limit-log-only`.
    pub log_only: bool,
    /// `rate-limit-exempt`: at most 1000.
    pub exempt: Vec<Network>,
}

/// Lengths of prefixes that count as one client, in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixLengths {
    /// IPv4: 8..=32.
    pub v4: u32,
    /// IPv6: 16..=64. Choice: a host may take any address in its /64, so nothing longer is a client.
    pub v6: u32,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self {
            narrow: None,
            wide: None,
            burst_s: BURST_S,
            slip_one_in: SLIP_ONE_IN,
            narrow_prefix: PrefixLengths { v4: 32, v6: 64 },
            wide_prefix: PrefixLengths { v4: 24, v6: 56 },
            log_only: false,
            exempt: Vec::new(),
        }
    }
}

/// What a rate may be.
const RATE: &str = "1..=1000000 answers a second";
/// Most of them.
const RATE_MAX: u32 = 1_000_000;
/// What the lengths of prefixes may be.
const PREFIXES: &str = "<length for IPv4, 8..=32>[,<length for IPv6, 16..=64>]";

/// The options.
pub(super) const OPTIONS: &[OptionSpec] = &[
    value("rate-limit", RATE, "give each client so many answers a second by UDP (unlimited)", |config, value| {
        config.rate_limit.narrow = Some(number(value, 1, RATE_MAX)?);
        Ok(())
    }),
    value("rate-limit-wide", RATE, "and all clients of a wider network so many (10 x rate-limit)", |config, value| {
        config.rate_limit.wide = Some(number(value, 1, RATE_MAX)?);
        Ok(())
    }),
    value("rate-limit-burst", "1..=60 seconds", "as many at once as so many seconds bring (1)", |config, value| {
        config.rate_limit.burst_s = number(value, 1, 60)?;
        Ok(())
    }),
    value(
        "rate-limit-slip",
        "0..=100; 0 is never",
        "one in so many over it is told to use TCP (2)",
        |config, value| {
            config.rate_limit.slip_one_in = number(value, 0, 100)?;
            Ok(())
        },
    ),
    value("rate-limit-prefix", PREFIXES, "the network that counts as one client (32,64)", |config, value| {
        prefixes(value, &mut config.rate_limit.narrow_prefix)
    }),
    value("rate-limit-prefix-wide", PREFIXES, "the wider network (24,56)", |config, value| {
        prefixes(value, &mut config.rate_limit.wide_prefix)
    }),
    flag("rate-limit-log-only", "count and log what is over the limits, and answer it", |config| {
        config.rate_limit.log_only = true;
    }),
    value("rate-limit-exempt", super::access::NETWORKS, "limit none of these clients", |config, value| {
        super::access::networks(value, &mut config.rate_limit.exempt)
    }),
];

impl RateLimitConfig {
    /// Answers a second of a wide prefix.
    pub fn wide_or_default(&self) -> u32 {
        self.wide.unwrap_or_else(|| self.narrow.unwrap_or(1).saturating_mul(WIDE_FACTOR))
    }

    /// Checks the whole.
    pub(super) fn complete(&self, warnings: &mut Vec<String>) -> Result<(), ConfigError> {
        let is_said = Self { exempt: Vec::new(), ..self.clone() } != Self::default() || !self.exempt.is_empty();
        if self.narrow.is_none() && is_said {
            warnings.push("rate-limit-… has no effect without rate-limit".to_owned());
        }
        if self.narrow.is_some_and(|narrow| narrow > self.wide_or_default()) {
            return Err(ConfigError::of_the_whole("rate-limit-wide", "is below rate-limit"));
        }
        if self.wide_prefix.v4 > self.narrow_prefix.v4 || self.wide_prefix.v6 > self.narrow_prefix.v6 {
            return Err(ConfigError::of_the_whole(
                "rate-limit-prefix-wide",
                "is longer than rate-limit-prefix, and so a smaller network",
            ));
        }
        Ok(())
    }
}

/// Reads one length or two.
fn prefixes(value: &str, lengths: &mut PrefixLengths) -> Result<(), String> {
    let (v4, v6) = value.split_once(',').map_or((value, None), |(v4, v6)| (v4, Some(v6)));
    lengths.v4 = number(v4.trim(), 8, 32)?;
    if let Some(v6) = v6 {
        lengths.v6 = number(v6.trim(), 16, 64)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::load;

    fn read(words: &[&str]) -> Result<super::RateLimitConfig, String> {
        let words: Vec<String> = words.iter().map(|word| format!("--{word}")).collect();
        let all = |errors: Vec<crate::config::ConfigError>| errors.iter().map(ToString::to_string).collect::<String>();
        load(&words).map(|config| config.rate_limit).map_err(all)
    }

    #[test]
    fn what_is_not_said_has_its_default_and_the_wide_rate_follows_the_narrow_one() {
        let config = read(&["rate-limit=20"]).unwrap();
        assert_eq!(
            (config.narrow, config.wide_or_default(), config.burst_s, config.slip_one_in),
            (Some(20), 200, 1, 2)
        );
        let config = read(&["rate-limit=20", "rate-limit-wide=50", "rate-limit-prefix=28"]).unwrap();
        assert_eq!((config.wide_or_default(), config.narrow_prefix.v4, config.narrow_prefix.v6), (50, 28, 64));
        let config = read(&["rate-limit-prefix=24,48", "rate-limit-prefix-wide=16,32"]).unwrap();
        assert_eq!((config.narrow_prefix.v6, config.wide_prefix.v4, config.narrow), (48, 16, None));
    }

    #[test]
    fn wrong_values_say_what_is_wrong() {
        for (words, what) in [
            (&["rate-limit=0"][..], "legal: 1..=1000000 answers a second"),
            (&["rate-limit-burst=61"], "legal: 1..=60 seconds"),
            (&["rate-limit-slip=101"], "legal: 0..=100"),
            (&["rate-limit-prefix=33"], "legal: <length for IPv4, 8..=32>"),
            (&["rate-limit-prefix=32,65"], "out of range"),
            (&["rate-limit-prefix=24", "rate-limit-prefix-wide=25"], "is longer than rate-limit-prefix"),
            (&["rate-limit=20", "rate-limit-wide=19"], "is below rate-limit"),
            (&["rate-limit-exempt=10.0.0.1/8"], "the network is 10.0.0.0/8"),
            (&["rate-limit-log-only=yes"], "takes no value"),
        ] {
            let error = read(words).unwrap_err();
            assert!(error.contains(what), "{words:?}: {error}");
        }
    }
}
