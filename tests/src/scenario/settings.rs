//! What a scenario's configuration asks for, in either dialect.
//!
//! In: the lines in front of `CONFIG_END`. Out: [`Settings`], or the feature that they need and the product does not claim. A word that
//! is neither known nor known to make no difference is an error.

use std::net::IpAddr;

use resolver_user::access::Network;
use thiserror::Error;

use super::options::{Meaning, meaning};

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
    /// When stale data are given.
    pub stale: Option<Stale>,
    /// Iterations of NSEC3 above which a zone is insecure.
    pub nsec3_iterations: Option<u16>,
    /// Secret of the cookies for clients, as hexadecimal digits.
    pub cookie_secret: Option<String>,
    /// IP versions that are not used to ask.
    pub without: Vec<char>,
}

/// Unbound's serving of stale data, as far as ours is to be held against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale {
    /// The TTL that it is to show, in seconds.
    pub ttl_s: u32,
    /// Whether fresh data are waited for first: ours are given at once, which RFC 8767 §5 leaves to the resolver.
    pub waits: bool,
}

impl Default for Stale {
    /// As Unbound has it where nothing is said.
    fn default() -> Self {
        Self { ttl_s: 30, waits: true }
    }
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

/// Networks whose addresses `stop-dns-rebind` withholds.
const PRIVATE: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
    "fd00::/8",
    "fe80::/10",
    "::1",
    "::1/128",
    "::ffff:0:0/96",
];
/// No time of a scenario is as late as this, in seconds since 1970: in the year 36 812.
const UNIX_S_MAX: u64 = 1 << 40;
/// Shortest time, in milliseconds, after which a query may be discarded without a difference to us, who discard none.
const NEVER_DISCARDED_MS: u64 = 60_000;

impl Settings {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`Unplayable`].
    pub fn read(lines: &[String]) -> Result<Self, Unplayable> {
        let mut settings = Self { validates: true, is_deckards: true, ..Self::default() };
        let mut lines = lines.iter().map(|line| line.trim());
        let mut place = Place::Server;
        let mut seen = Seen::default();
        while let Some(line) = lines.next() {
            // Comments of this file are meant.
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
            for (word, value) in settings_of(without_comment(line))? {
                settings.set(&word, &value, &mut place, &mut seen)?;
            }
        }
        settings.complete(seen);
        Ok(settings)
    }

    /// Whether anything is validated.
    pub fn is_validating(&self) -> bool {
        self.validates && !(self.anchors.is_empty() && self.followed.is_empty())
    }

    fn set(&mut self, word: &str, value: &str, place: &mut Place, seen: &mut Seen) -> Result<(), Unplayable> {
        let unknown = || Unplayable::Unknown(format!("{word}: {value}"));
        let is_on = matches!(value, "yes" | "on" | "true");
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
            ("stub-addr", Place::Stub) => last(&mut self.stubs).servers.push(server(value)?),
            // Deckard's: a root server.
            ("stub-addr", _) => self.roots.push(server(value)?),
            ("forward-addr", Place::Forward) => last(&mut self.forwards).servers.push(server(value)?),
            ("forward-addr", _) => {
                self.forwards.push(Upstream { zone: ".".to_owned(), servers: vec![server(value)?] });
            }
            ("trust-anchor", _) => self.anchors.push(value.to_owned()),
            ("domain-insecure", _) => self.insecure.push(value.to_owned()),
            ("val-override-date" | "val-override-timestamp", _) if value.starts_with('-') => {
                self.options.push("dnssec-no-timecheck".to_owned());
            }
            ("val-override-date" | "val-override-timestamp", _) => self.unix_s = wall_time(value),
            ("val-permissive-mode", _) if is_on => self.options.push("dnssec-debug".to_owned()),
            ("val-nsec3-keysize-iterations", _) => {
                let counts = value.split_whitespace().skip(1).step_by(2).map(str::parse);
                self.nsec3_iterations = Some(
                    counts
                        .collect::<Result<Vec<u16>, _>>()
                        .map_err(|_| unknown())?
                        .into_iter()
                        .max()
                        .ok_or_else(unknown)?,
                );
            }
            // Of older files: the algorithms with DSA are among those.
            ("fake-sha1" | "fake-dsa", _) => self.fake_sha1 |= is_on,
            ("qname-minimisation" | "query-minimization", _) => self.minimises = Some(is_on),
            ("do-ip4", _) if !is_on => self.without.push('4'),
            ("do-ip6", _) if !is_on => self.without.push('6'),
            ("do-ip4" | "do-ip6" | "val-permissive-mode", _) => {}
            ("module-config", _) => self.modules(value)?,
            ("features" | "feature-list", _) => {
                value
                    .split(';')
                    .map(str::trim)
                    .filter(|feature| !feature.is_empty())
                    .try_for_each(|feature| self.deckard_feature(feature))?;
            }
            _ => return self.set_option(word, value, is_on, seen),
        }
        Ok(())
    }

    /// Options that have their like among ours, and the rest.
    fn set_option(&mut self, word: &str, value: &str, is_on: bool, seen: &mut Seen) -> Result<(), Unplayable> {
        let number = || value.parse::<u64>().map_err(|_| Unplayable::Unknown(format!("{word}: {value}")));
        match word {
            "serve-expired" => seen.serves_stale = is_on,
            "serve-expired-ttl" => seen.stale_max_s = Some(number()?),
            "serve-expired-reply-ttl" => seen.stale.ttl_s = u32::try_from(number()?).unwrap_or(u32::MAX),
            "serve-expired-client-timeout" => seen.stale.waits = number()? != 0,
            "prefetch" => seen.prefetches = is_on,
            "answer-cookie" => seen.answers_cookies = is_on,
            "cookie-secret" => self.cookie_secret = Some(value.to_owned()),
            "trust-anchor-signaling" if !is_on => self.options.push("trust-anchor-signaling=no".to_owned()),
            "root-key-sentinel" if !is_on => self.options.push("root-key-sentinel=no".to_owned()),
            "trust-anchor-signaling" | "root-key-sentinel" => {}
            "cache-max-ttl" => self.options.push(format!("max-cache-ttl={value}")),
            "cache-min-ttl" => self.options.push(format!("min-cache-ttl={value}")),
            "discard-timeout" if number()? == 0 || number()? >= NEVER_DISCARDED_MS => {}
            "discard-timeout" => return Err(Unplayable::Feature("a choice of when queries are discarded")),
            "private-address" if PRIVATE.contains(&value) => self.options.push("stop-dns-rebind".to_owned()),
            "private-address" => return Err(Unplayable::Feature("private networks of the operator's own")),
            "private-domain" => self.options.push(format!("rebind-domain-ok={value}")),
            "access-control" => self.control_access(value)?,
            "local-zone" if value.ends_with("nodefault") || value.ends_with("transparent") => {}
            _ => match meaning(word, value) {
                Meaning::Feature(name) => return Err(Unplayable::Feature(name)),
                Meaning::Nothing => {}
                Meaning::Unknown => return Err(Unplayable::Unknown(format!("{word}: {value}"))),
            },
        }
        Ok(())
    }

    /// `access-control: network action`. Snooping needs no leave with us: whoever may ask may ask without RD.
    fn control_access(&mut self, value: &str) -> Result<(), Unplayable> {
        let unknown = || Unplayable::Unknown(format!("access-control: {value}"));
        let (network, action) = value.split_once(char::is_whitespace).ok_or_else(unknown)?;
        let network = network_of(network).ok_or_else(unknown)?;
        match action.trim() {
            "allow" | "allow_snoop" => self.options.push(format!("allow-client={network}")),
            "refuse" => self.options.push(format!("deny-client={network}")),
            "deny" => return Err(Unplayable::Feature("clients that get no answer")),
            "allow_setrd" | "allow_cookie" | "deny_non_local" | "refuse_non_local" => {
                return Err(Unplayable::Feature("rules for clients of Unbound's own kinds"));
            }
            _ => return Err(unknown()),
        }
        Ok(())
    }

    /// What several options decide together.
    fn complete(&mut self, seen: Seen) {
        if seen.serves_stale {
            let lasts = seen.stale_max_s.map_or_else(String::new, |stale_max_s| format!("={stale_max_s}"));
            self.options.push(format!("use-stale-cache{lasts}"));
            self.stale = Some(seen.stale);
        }
        // Ours are on by default; theirs are off, and so is Deckard's signaling.
        if self.is_deckards {
            self.options.push("trust-anchor-signaling=no".to_owned());
        }
        self.options.push(if seen.prefetches { "prefetch" } else { "prefetch=0" }.to_owned());
        if !seen.answers_cookies {
            self.options.push("no-cookies".to_owned());
        }
    }

    fn modules(&mut self, value: &str) -> Result<(), Unplayable> {
        for module in value.split_whitespace() {
            match module {
                "iterator" | "validator" => {}
                "dns64" => return Err(Unplayable::Feature("DNS64")),
                "respip" => return Err(Unplayable::Feature("response-ip actions")),
                "subnetcache" => return Err(Unplayable::Feature("EDNS client subnet")),
                "cachedb" => return Err(Unplayable::Feature("a cache in an outside database")),
                "ipsecmod" => return Err(Unplayable::Feature("the module for IPsec keys")),
                "ipset" => return Err(Unplayable::Feature("sets of the packet filter")),
                "python" | "dynlib" => return Err(Unplayable::Feature("modules that are loaded")),
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

/// What several options decide together, while they are read.
#[derive(Debug, Default)]
struct Seen {
    /// `serve-expired`.
    serves_stale: bool,
    /// `serve-expired-ttl`, in seconds.
    stale_max_s: Option<u64>,
    stale: Stale,
    /// `prefetch`.
    prefetches: bool,
    /// `answer-cookie`.
    answers_cookies: bool,
}

/// The address of a server, without port and name.
fn server(value: &str) -> Result<IpAddr, Unplayable> {
    let address = value.split(['@', '#']).next().unwrap_or(value).trim();
    address.parse().map_err(|_| Unplayable::Unknown(format!("address {value}")))
}

/// A network as we write it, without bits behind its prefix.
fn network_of(text: &str) -> Option<Network> {
    let (address, len) = text.split_once('/').map_or((text, None), |(address, len)| (address, Some(len)));
    let address: IpAddr = address.parse().ok()?;
    let len = len.map_or(Some(if address.is_ipv4() { 32 } else { 128 }), |len| len.parse().ok())?;
    Network::of(address, len)
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

/// The line without what follows `#` or `;` outside of quotes, trimmed. In a list of Deckard's features `;` stands between two.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with("feature") {
        return line.split('#').next().unwrap_or_default().trim();
    }
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
        // 0: as if nothing were said.
        return value.parse().ok().filter(|unix_s| (1..UNIX_S_MAX).contains(unix_s));
    }
    if !value.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| value.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    // Days since 1970, with years that begin in March.
    if year < 1970 || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
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
        let deckard = read(
            "do-ip6: no\n stub-addr: 193.0.14.129\nquery-minimization: on\n features: min_ttl = 300; max_ttl=600 # both",
        );
        let deckard = deckard.unwrap();
        assert_eq!((deckard.roots.len(), deckard.minimises, deckard.without), (1, Some(true), vec!['6']));
        assert_eq!(deckard.options[..2], ["min-cache-ttl=300", "max-cache-ttl=600"]);
    }

    #[test]
    fn what_has_its_like_among_our_options_is_mapped() {
        let options = |text: &str| read(&format!("server:\n{text}")).unwrap().options;
        for (text, option) in [
            ("serve-expired: yes\nserve-expired-ttl: 10", "use-stale-cache=10"),
            ("serve-expired: yes", "use-stale-cache"),
            ("prefetch: yes", "prefetch"),
            ("access-control: 127.0.0.1/8 refuse", "deny-client=127.0.0.0/8"),
            ("access-control: 10.1.2.3 allow_snoop", "allow-client=10.1.2.3/32"),
            ("val-permissive-mode: yes", "dnssec-debug"),
            ("trust-anchor-signaling: no", "trust-anchor-signaling=no"),
        ] {
            assert!(options(text).iter().any(|known| known == option), "{text}: {:?}", options(text));
        }
        assert_eq!(options(""), ["prefetch=0", "no-cookies"], "ours are on by default, theirs are off");
        let stale = |text: &str| read(&format!("server: serve-expired: yes\n{text}")).unwrap().stale;
        assert_eq!(stale(""), Some(Stale { ttl_s: 30, waits: true }));
        assert_eq!(
            stale("serve-expired-reply-ttl: 123\nserve-expired-client-timeout: 0"),
            Some(Stale { ttl_s: 123, waits: false })
        );
        assert_eq!(read("server: serve-expired-client-timeout: 0").unwrap().stale, None);
        let iterations = read("server:\nval-nsec3-keysize-iterations: \"1024 150 2048 500 4096 2500\"").unwrap();
        assert_eq!(iterations.nsec3_iterations, Some(2500));
        assert!(
            read("server:\naccess-control: 0.0.0.0/0 deny").is_err()
                && read("server:\naccess-control: x allow").is_err()
        );
    }

    #[test]
    fn comments_of_a_file_with_keys_are_kept() {
        let settings =
            read("server:\nAUTOTRUST_FILE example.com\n;;id: example.com. 1\na. DNSKEY 1 ;;state=2\nAUTOTRUST_END\n")
                .unwrap();
        assert_eq!(settings.followed, [";;id: example.com. 1", "a. DNSKEY 1 ;;state=2"]);
    }

    #[test]
    fn a_feature_that_is_not_claimed_has_a_name_and_an_unknown_word_is_told() {
        assert_eq!(read("module-config: \"dns64 iterator\""), Err(Unplayable::Feature("DNS64")));
        for text in
            ["rpz:\n name: x", "view:\n", "python:\n", "stub-zone:\n stub-first: yes", "server: local-zone: a static"]
        {
            assert!(matches!(read(text), Err(Unplayable::Feature(_))), "{text}");
        }
        read("server: local-zone: test. nodefault").unwrap();
        assert!(matches!(read("no-such-word: yes"), Err(Unplayable::Unknown(_))));
    }
}
