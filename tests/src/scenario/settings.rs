//! What a scenario's configuration asks for, in either dialect.
//!
//! In: the lines in front of `CONFIG_END`. Out: [`Settings`], or the feature that they need and the product does not claim. A word that
//! is neither known nor known to make no difference is an error.

use std::net::IpAddr;

use thiserror::Error;

/// What is to be set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Addresses of root servers.
    pub roots: Vec<IpAddr>,
    /// Zones with servers of their own that are authoritative.
    pub stubs: Vec<Upstream>,
    /// Domains with servers of their own that resolve.
    pub forwards: Vec<Upstream>,
    /// Trust anchors, as records.
    pub anchors: Vec<String>,
    /// Domains that are not validated.
    pub insecure: Vec<String>,
    /// Wall time, in seconds since 1970.
    pub unix_s: Option<u64>,
    /// Signatures of algorithms with SHA-1 count as valid, whatever they are.
    pub fake_sha1: bool,
    /// Lines of a file with keys that are to be followed (RFC 5011).
    pub followed: Vec<String>,
    /// Whether names are minimised (RFC 9156).
    pub minimises: Option<bool>,
    /// Our own options, as lines.
    pub options: Vec<String>,
    /// Whether anything is validated although there is an anchor.
    pub validates: bool,
    /// Deckard's dialect: there are no sections.
    pub is_deckards: bool,
    /// The TTL that stale data are to have; we show what RFC 8767 §4 recommends.
    pub stale_ttl_s: Option<u32>,
    /// IP versions that are not used to ask.
    pub without: Vec<char>,
}

/// A domain with servers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Upstream {
    /// Its name.
    pub zone: String,
    /// Its servers.
    pub servers: Vec<IpAddr>,
}

/// Why a scenario cannot be played.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum Unplayable {
    /// It needs a feature that the product does not claim.
    #[error("{0}")]
    Feature(&'static str),
    /// Its configuration has a word that nobody here knows.
    #[error("unknown configuration: {0}")]
    Unknown(String),
}

/// Features that the product does not claim, by the words that ask for them.
const FEATURES: &[(&str, &str)] = &[
    ("rpz", "RPZ"),
    ("zonefile", "authoritative zones"),
    ("auth-zone", "authoritative zones"),
    ("dns64-prefix", "DNS64"),
    ("dns64-ignore-aaaa", "DNS64"),
    ("do-nat64", "NAT64"),
    ("nat64-prefix", "NAT64"),
    ("response-ip", "response-ip actions"),
    ("edns-client-string", "EDNS client strings"),
    ("edns-client-string-opcode", "EDNS client strings"),
    ("nsid", "NSID"),
    ("forward-first", "falling back from a forwarder to iterating"),
    ("stub-first", "falling back from a stub zone to iterating"),
    ("num-queries-per-thread", "jostling of old queries by new ones"),
    ("tcp-upstream", "asking by TCP only"),
    ("forward-tcp-upstream", "asking by TCP only"),
    ("forward-no-cache", "forwarding without a cache"),
    ("harden-algo-downgrade", "demanding a signature of every algorithm"),
    ("harden-unverified-glue", "a choice about unverified glue"),
    ("val-max-restart", "a choice of how often a validation restarts"),
    ("max-query-restarts", "a choice of how often a query restarts"),
    ("discard-timeout", "a choice of when queries are discarded"),
];
/// Words that only change what is not compared, what is logged, or what we do anyway.
const WITHOUT_EFFECT: &[&str] = &[
    "server",
    "target-fetch-policy",
    "trust-anchor-signaling",
    "minimal-responses",
    "iter-scrub-promiscuous",
    "ede",
    "rrset-roundrobin",
    "log-time-ascii",
    "log-servfail",
    "log-servfail-ede",
    "verbosity",
    "val-log-level",
    "do-not-query-localhost",
    "directory",
    "stub-prime",
    "prefetch-key",
    "outbound-msg-retry",
    "max-global-quota",
    "harden-referral-path",
    "harden-unknown-additional",
    "harden-glue",
    "access-control",
    "aggressive-nsec",
    "ede-serve-expired",
    "edns-tcp-keepalive",
    "edns-tcp-keepalive-timeout",
    "iter-scrub-ns",
    "rpz-log",
    "rpz-log-name",
    "root-hints",
    "stub-name",
    "serve-expired-ttl",
    "serve-expired-client-timeout",
];

impl Settings {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`Unplayable`].
    pub fn read(lines: &[String]) -> Result<Self, Unplayable> {
        let mut settings = Self { validates: true, is_deckards: true, ..Self::default() };
        let mut lines = lines.iter().map(|line| without_comment(line)).filter(|line| !line.is_empty());
        let mut place = Place::Server;
        while let Some(line) = lines.next() {
            if line.starts_with("AUTOTRUST_FILE") {
                settings.followed =
                    lines.by_ref().take_while(|line| *line != "AUTOTRUST_END").map(str::to_owned).collect();
                continue;
            }
            if line.starts_with("TEMPFILE_NAME") {
                continue;
            }
            if line.starts_with("TEMPFILE_CONTENTS") {
                return Err(Unplayable::Feature("files beside the configuration"));
            }
            for (word, value) in settings_of(line)? {
                settings.set(&word, &value, &mut place)?;
            }
        }
        Ok(settings)
    }

    /// Whether anything is validated.
    pub fn is_validating(&self) -> bool {
        self.validates && !(self.anchors.is_empty() && self.followed.is_empty())
    }

    fn set(&mut self, word: &str, value: &str, place: &mut Place) -> Result<(), Unplayable> {
        let unknown = || Unplayable::Unknown(format!("{word}: {value}"));
        let address = || value.split(['@', '#']).next().unwrap_or(value).parse::<IpAddr>().map_err(|_| unknown());
        match (word, &*place) {
            ("server", _) => {
                self.is_deckards = false;
                *place = Place::Server;
            }
            ("stub-zone", _) => {
                self.is_deckards = false;
                self.stubs.push(Upstream::default());
                *place = Place::Stub;
            }
            ("forward-zone", _) => {
                self.is_deckards = false;
                self.forwards.push(Upstream::default());
                *place = Place::Forward;
            }
            ("name", Place::Stub) => last(&mut self.stubs).zone = value.to_owned(),
            ("name", Place::Forward) => last(&mut self.forwards).zone = value.to_owned(),
            ("stub-addr", Place::Stub) => {
                let address = address()?;
                last(&mut self.stubs).servers.push(address);
            }
            // Deckard's: a root server.
            ("stub-addr", _) => self.roots.push(address()?),
            ("forward-addr", Place::Forward) => {
                let address = address()?;
                last(&mut self.forwards).servers.push(address);
            }
            ("forward-addr", _) => self.forwards.push(Upstream { zone: ".".to_owned(), servers: vec![address()?] }),
            ("trust-anchor", _) => self.anchors.push(value.to_owned()),
            ("domain-insecure", _) => self.insecure.push(value.to_owned()),
            ("val-override-date" | "val-override-timestamp", _) if value.starts_with('-') => {
                self.options.push("dnssec-no-timecheck".to_owned());
            }
            ("val-override-date" | "val-override-timestamp", _) => self.unix_s = wall_time(value),
            ("fake-sha1", _) => self.fake_sha1 = value == "yes",
            ("qname-minimisation" | "query-minimization", _) => self.minimises = Some(matches!(value, "yes" | "on")),
            ("do-ip4", _) if value == "no" => self.without.push('4'),
            ("do-ip6", _) if value == "no" => self.without.push('6'),
            ("do-ip4" | "do-ip6", _) => {}
            ("module-config", _) => self.modules(value)?,
            ("serve-expired", _) if value == "yes" => self.options.push("use-stale-cache".to_owned()),
            ("serve-expired", _) => {}
            ("serve-expired-reply-ttl", _) => self.stale_ttl_s = value.parse().ok(),
            ("prefetch", _) if value == "yes" => self.options.push("prefetch".to_owned()),
            ("prefetch", _) => {}
            ("cache-max-ttl", _) => self.options.push(format!("max-cache-ttl={value}")),
            ("cache-min-ttl", _) => self.options.push(format!("min-cache-ttl={value}")),
            ("private-address", _) => self.options.push("stop-dns-rebind".to_owned()),
            ("private-domain", _) => self.options.push(format!("rebind-domain-ok={value}")),
            ("local-zone", _) if value.ends_with("nodefault") => {}
            ("local-zone" | "local-data", _) => return Err(Unplayable::Feature("local zones of Unbound's own kinds")),
            ("features" | "feature-list", _) => self.deckard_feature(value)?,
            _ => match FEATURES.iter().find(|(feature, _)| *feature == word) {
                Some((_, name)) if value != "no" => return Err(Unplayable::Feature(name)),
                Some(_) => {}
                None if WITHOUT_EFFECT.contains(&word) => {}
                None => return Err(unknown()),
            },
        }
        Ok(())
    }

    fn modules(&mut self, value: &str) -> Result<(), Unplayable> {
        for module in value.split_whitespace() {
            match module {
                "iterator" | "validator" => {}
                "dns64" => return Err(Unplayable::Feature("DNS64")),
                "respip" => return Err(Unplayable::Feature("response-ip actions")),
                other => return Err(Unplayable::Unknown(format!("module {other}"))),
            }
        }
        self.validates = value.contains("validator");
        Ok(())
    }

    fn deckard_feature(&mut self, value: &str) -> Result<(), Unplayable> {
        match value.split_once('=').map_or((value, ""), |(feature, value)| (feature.trim(), value.trim())) {
            ("min_ttl", value) => self.options.push(format!("min-cache-ttl={value}")),
            ("max_ttl", value) => self.options.push(format!("max-cache-ttl={value}")),
            ("dns64_prefix", _) => return Err(Unplayable::Feature("DNS64")),
            ("policy", _) => return Err(Unplayable::Feature("policy modules of Knot Resolver")),
            // Lists of servers that are known to be broken: ours are found out.
            ("workarounds", _) => {}
            _ => return Err(Unplayable::Unknown(format!("features: {value}"))),
        }
        Ok(())
    }
}

/// What section of the configuration a line stands in.
enum Place {
    Server,
    Stub,
    Forward,
}

/// The one that was begun last; none only before the first, which `Place` rules out.
fn last(upstreams: &mut Vec<Upstream>) -> &mut Upstream {
    if upstreams.is_empty() {
        upstreams.push(Upstream::default());
    }
    let at = upstreams.len() - 1;
    &mut upstreams[at]
}

/// `word: value word: value …` of one line; quotes keep a value together.
fn settings_of(line: &str) -> Result<Vec<(String, String)>, Unplayable> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut rest = line;
    while let Some((word, behind)) = next_word(rest) {
        rest = behind;
        let is_feature = found.last().is_some_and(|(word, _)| word.starts_with("feature"));
        match word.strip_suffix(':').filter(|_| !is_feature) {
            Some(name)
                if !word.contains(' ')
                    && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-') =>
            {
                found.push((name.to_owned(), String::new()));
            }
            _ => match found.last_mut() {
                Some((_, value)) if value.is_empty() => *value = word,
                Some((_, value)) => *value = format!("{value} {word}"),
                None => return Err(Unplayable::Unknown(line.to_owned())),
            },
        }
    }
    Ok(found)
}

/// The next word and what is behind it; words in quotes are one, without them.
fn next_word(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start();
    if let Some(inside) = text.strip_prefix('"') {
        let end = inside.find('"').unwrap_or(inside.len());
        return Some((inside[..end].to_owned(), inside.get(end + 1..).unwrap_or_default()));
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (end > 0).then(|| (text[..end].to_owned(), &text[end..]))
}

/// The line without what follows `#` or `;` outside of quotes, trimmed.
fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    for (at, letter) in line.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            ';' | '#' if !quoted => return line[..at].trim(),
            _ => {}
        }
    }
    line.trim()
}

/// `YYYYMMDDHHMMSS` or a number of seconds, in seconds since 1970. None: -1, times are not checked; or no time.
fn wall_time(value: &str) -> Option<u64> {
    if value.len() != 14 {
        return value.parse().ok();
    }
    let part = |from: usize, to: usize| value.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    // Days since 1970, with years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + part(8, 10)?) * 60 + part(10, 12)?) * 60 + part(12, 14)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, Unplayable> {
        Settings::read(&text.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn both_dialects_are_read() {
        let unbound = "server:\n trust-anchor: \"example.com. 3600 IN DS 1 3 1 ab\" # x\n val-override-date: \"20070916134226\"\n\
                       fake-sha1: yes\nstub-zone:\n name: \".\"\n stub-addr: 193.0.14.129 # K\nforward-zone: name: \"a\" forward-addr: 1.2.3.4";
        let settings = read(unbound).unwrap();
        assert_eq!(settings.unix_s, Some(1_189_950_146));
        assert_eq!((settings.stubs.len(), settings.stubs[0].zone.as_str()), (1, "."));
        assert_eq!((settings.forwards[0].zone.as_str(), settings.forwards[0].servers.len()), ("a", 1));
        assert_eq!(settings.anchors, ["example.com. 3600 IN DS 1 3 1 ab"]);
        let deckard =
            read("do-ip6: no\n stub-addr: 193.0.14.129\nquery-minimization: on\n features: min_ttl = 300").unwrap();
        assert_eq!((deckard.roots.len(), deckard.minimises, deckard.without), (1, Some(true), vec!['6']));
        assert_eq!(deckard.options, ["min-cache-ttl=300"]);
    }

    #[test]
    fn a_feature_that_is_not_claimed_has_a_name_and_an_unknown_word_is_told() {
        assert_eq!(read("module-config: \"dns64 iterator\""), Err(Unplayable::Feature("DNS64")));
        assert!(matches!(read("no-such-word: yes"), Err(Unplayable::Unknown(_))));
    }
}
