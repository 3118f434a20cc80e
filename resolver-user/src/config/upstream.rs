//! Who is asked, in which order, how long, and from where.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::iterating::IteratingConfig;
use super::option::{OptionSpec, PATH, flag, number, path, perhaps, value};
use super::servers::{self, ServerEntry, ServerSpec, ServerTarget, Targets};
use super::{ConfigError, RESOLV_CONF};
use crate::wire::{DomainMap, DomainPattern, Name};

/// Questions that may be with the servers of one group at once unless told otherwise.
/// Differs: dnsmasq allows 150; the guide's 1000 costs us little, and leaves room among the listener's 4096 queries for
/// those that need other servers.
pub const FORWARD_MAX: usize = 1000;
/// Most that may be asked for.
pub const FORWARD_MAX_MAX: usize = 100_000;
/// UDP payload size that we announce unless told otherwise, in bytes (DNS flag day 2020).
pub const EDNS_PACKET_MAX: u16 = 1232;
/// Smallest that is announced whatever is said, in bytes (RFC 6891 §6.2.3).
pub const EDNS_PACKET_MIN: u16 = 512;
/// How long servers are asked before a question is given up, unless told otherwise. dnsmasq's is the same.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(10);
/// Wait before a second try with `fast-dns-retry` alone, in milliseconds; dnsmasq's.
const FAST_RETRY_MS: u64 = 1000;
/// Lowest port with `max-port` alone; dnsmasq's.
const PORT_LOW: u16 = 1024;

/// Who is asked, in which order, how long, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamConfig {
    /// `server`, `local`, `rev-server`, in order.
    pub servers: Vec<ServerEntry>,
    /// Files with `nameserver` lines, of which the youngest counts: `resolv-file`, else `/etc/resolv.conf`; none with
    /// `no-resolv`.
    pub resolv_files: Vec<PathBuf>,
    /// `no-resolv`.
    pub no_resolv: bool,
    /// `no-poll`: those files are read once.
    pub no_poll: bool,
    /// `strict-order`: always begin with the first server.
    pub strict_order: bool,
    /// `all-servers`: ask all at once; stronger than `strict-order`.
    pub all_servers: bool,
    /// `dns-forward-max`: questions that may be with the servers of one group at once: 1..=100 000.
    pub forward_max: usize,
    /// `query-retry`, or the second number of `fast-dns-retry`: when a question is given up.
    pub give_up_after: Duration,
    /// `fast-dns-retry`: the wait before the second try, doubled for each further one; none: by the server's round-trip
    /// time.
    pub retry_after: Option<Duration>,
    /// `query-port`: send all queries from this port; 0: from one that the system draws once.
    pub query_port: Option<u16>,
    /// `min-port`: send from this port or a higher one.
    pub port_min: Option<u16>,
    /// `max-port`: send from this port or a lower one.
    pub port_max: Option<u16>,
    /// `port-limit`, which changes nothing here.
    pub port_limit: Option<u16>,
    /// `edns-packet-max`: UDP payload size that is announced to servers, in bytes: 512..=65 535.
    pub edns_packet_max: u16,
    /// `dns-loop-detect`: find servers that send our queries back to us.
    pub loop_detect: bool,
    /// `do-0x20-encode` or `no-0x20-encode`: whether to ask in mixed letter case, and to take only replies in the same. None:
    /// only authoritative servers are asked so.
    pub case_mixed: Option<bool>,
    /// Resolution from the root.
    pub iterating: IteratingConfig,
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            resolv_files: Vec::new(),
            no_resolv: false,
            no_poll: false,
            strict_order: false,
            all_servers: false,
            forward_max: FORWARD_MAX,
            give_up_after: GIVE_UP_AFTER,
            retry_after: None,
            query_port: None,
            port_min: None,
            port_max: None,
            port_limit: None,
            edns_packet_max: EDNS_PACKET_MAX,
            loop_detect: false,
            case_mixed: None,
            iterating: IteratingConfig::default(),
        }
    }
}

/// The options.
pub(super) const OPTIONS: &[OptionSpec] = &[
    value("server", servers::LEGAL, "forward to this server, all names or those of a domain", |config, value| {
        config.upstream.servers.push(servers::read_value(value)?);
        Ok(())
    })
    .letter('S'),
    value(
        "local",
        servers::LEGAL,
        "the same; without a server: never forward names of this domain",
        |config, value| {
            config.upstream.servers.push(servers::read_value(value)?);
            Ok(())
        },
    ),
    value(
        "rev-server",
        servers::LEGAL_REVERSE,
        "forward reverse look-ups of a subnet to this server",
        |config, value| {
            config.upstream.servers.push(servers::read_reverse_value(value)?);
            Ok(())
        },
    ),
    flag("no-resolv", "read servers from no resolv.conf", |config| config.upstream.no_resolv = true).letter('R'),
    value("resolv-file", PATH, "read servers from this file (/etc/resolv.conf)", |config, value| {
        config.upstream.resolv_files.push(path(value)?);
        Ok(())
    })
    .letter('r'),
    flag("no-poll", "read those files once only", |config| config.upstream.no_poll = true).letter('n'),
    flag("strict-order", "ask servers in the order given", |config| config.upstream.strict_order = true).letter('o'),
    flag("all-servers", "ask all servers at once", |config| config.upstream.all_servers = true),
    value("dns-forward-max", "1..=100000", "questions with a group of servers at once (1000)", |config, value| {
        config.upstream.forward_max = number(value, 1, FORWARD_MAX_MAX)?;
        Ok(())
    })
    .letter('0'),
    value("query-retry", "1..=60", "seconds until a question is given up (10)", |config, value| {
        config.upstream.give_up_after = Duration::from_secs(number(value, 1, 60)?);
        Ok(())
    }),
    perhaps(
        "fast-dns-retry",
        "[<first wait 50..=10000>[,<give up after 1000..=60000>]], in milliseconds",
        "wait so long before a second try (1000,10000)",
        |config, value| fast_retry(&mut config.upstream, value),
    ),
    value("query-port", "0..=65535", "send all queries from this port; 0: from one drawn once", |config, value| {
        config.upstream.query_port = Some(number(value, 0, u16::MAX)?);
        Ok(())
    })
    .letter('Q'),
    value("min-port", "1..=65535", "send no query from a lower port", |config, value| {
        config.upstream.port_min = Some(number(value, 1, u16::MAX)?);
        Ok(())
    }),
    value("max-port", "1..=65535", "send no query from a higher port", |config, value| {
        config.upstream.port_max = Some(number(value, 1, u16::MAX)?);
        Ok(())
    }),
    value("port-limit", "1..=65535", "changes nothing: each try has a port of its own", |config, value| {
        config.upstream.port_limit = Some(number(value, 1, u16::MAX)?);
        Ok(())
    }),
    value(
        "edns-packet-max",
        "0..=65535; under 512 means 512",
        "UDP size announced to servers (1232)",
        |config, value| {
            config.upstream.edns_packet_max = number(value, 0, u16::MAX)?.max(EDNS_PACKET_MIN);
            Ok(())
        },
    )
    .letter('P'),
    flag("dns-loop-detect", "find servers that send our queries back, and leave them out", |config| {
        config.upstream.loop_detect = true;
    }),
    flag("do-0x20-encode", "ask servers in mixed letter case, and want it back", |config| {
        config.upstream.case_mixed = Some(true);
    }),
    flag("no-0x20-encode", "do not, authoritative servers neither", |config| {
        config.upstream.case_mixed = Some(false);
    }),
];

impl UpstreamConfig {
    /// Takes the usual file if none is named, and checks what only the options together show.
    pub(super) fn complete(&mut self, warnings: &mut Vec<String>) -> Result<(), ConfigError> {
        let is_recursive = self.iterating.recursive.is_some();
        if is_recursive && self.usual_servers().next().is_some() {
            let what = "from the root or by server= without a domain: say one of them";
            return Err(ConfigError::of_the_whole("recursive", what));
        }
        if self.no_resolv || is_recursive {
            self.resolv_files.clear();
        } else if self.resolv_files.is_empty() {
            self.resolv_files.push(RESOLV_CONF.into());
        }
        if !is_recursive && !self.names_servers() && self.resolv_files.is_empty() {
            warnings.push("no-resolv, and no server: names are resolved from the root, as with recursive".to_owned());
        }
        if self.port_limit.is_some() {
            warnings.push("port-limit changes nothing: each try is sent from a port of its own".to_owned());
        }
        if self.query_port.is_some() {
            warnings.push("query-port: a forger need not guess the port, only the ID".to_owned());
        }
        match self.port_range() {
            Some((low, high)) if low > high => Err(ConfigError::of_the_whole("min-port", "min-port is above max-port")),
            _ => Ok(()),
        }
    }

    /// Domains whose names are not asked of the usual servers (true), and those below whose names are (false): split DNS.
    pub fn private_domains(&self) -> DomainMap<bool> {
        self.servers_by_domain().map(|targets| !targets.usual)
    }

    /// Lowest and highest port that queries are sent from, if that is limited.
    pub fn port_range(&self) -> Option<(u16, u16)> {
        let limited = self.port_min.is_some() || self.port_max.is_some();
        limited.then(|| (self.port_min.unwrap_or(PORT_LOW), self.port_max.unwrap_or(u16::MAX)))
    }

    /// The servers that are configured for all names that no domain's line covers, in order.
    pub fn usual_servers(&self) -> impl Iterator<Item = &ServerSpec> {
        self.servers.iter().filter(|entry| entry.is_for_all()).filter_map(|entry| match &entry.target {
            ServerTarget::Server(spec) => Some(spec),
            ServerTarget::LocalOnly | ServerTarget::Usual | ServerTarget::Stub(_) => None,
        })
    }

    /// Whether any line names a server that recurses. If none does, and no resolv.conf either, names are resolved from the
    /// root. Choice: lines for some domains alone leave all other names without servers, as with dnsmasq.
    pub fn names_servers(&self) -> bool {
        self.servers.iter().any(|entry| matches!(entry.target, ServerTarget::Server(_)))
    }

    /// Each stub zone with the addresses of its servers.
    pub fn stub_zones(&self) -> HashMap<Name, Vec<SocketAddr>> {
        let mut zones: HashMap<Name, Vec<SocketAddr>> = HashMap::new();
        for entry in &self.servers {
            let ServerTarget::Stub(spec) = &entry.target else { continue };
            let Some(address) = spec.address() else { continue };
            for zone in entry.domains.iter().filter_map(DomainPattern::name) {
                zones.entry(zone.clone()).or_default().push(address);
            }
        }
        zones
    }

    /// Each domain with each of its servers.
    pub fn domains_and_servers(&self) -> impl Iterator<Item = (&ServerSpec, &DomainPattern)> {
        self.servers.iter().flat_map(|entry| {
            let spec = match &entry.target {
                ServerTarget::Server(spec) => Some(spec),
                ServerTarget::LocalOnly | ServerTarget::Usual | ServerTarget::Stub(_) => None,
            };
            spec.into_iter().flat_map(|spec| entry.own_domains().map(move |domain| (spec, domain)))
        })
    }

    /// Who is asked about the names of each domain that a line covers.
    pub fn servers_by_domain(&self) -> DomainMap<Targets> {
        servers::by_domain(self.servers.iter())
    }
}

fn fast_retry(upstream: &mut UpstreamConfig, value: Option<&str>) -> Result<(), String> {
    let mut numbers = value.unwrap_or_default().split(',').map(str::trim);
    let first_ms = match numbers.next() {
        None | Some("") => FAST_RETRY_MS,
        Some(first) => number(first, 50, 10_000)?,
    };
    if let Some(last) = numbers.next() {
        upstream.give_up_after = Duration::from_millis(number(last, 1000, 60_000)?);
    }
    upstream.retry_after = Some(Duration::from_millis(first_ms));
    if numbers.next().is_some() { Err("more than two numbers".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::{Config, load};

    fn read(options: &[&str]) -> Result<Config, String> {
        let words: Vec<String> = options.iter().map(|option| format!("--{option}")).collect();
        let told = |errors: Vec<crate::config::ConfigError>| errors.iter().map(ToString::to_string).collect();
        load(&[&["--xdp=off".to_owned()][..], &words].concat()).map_err(told)
    }

    #[test]
    fn times_ports_and_sizes_are_read_within_their_ranges() {
        let config = read(&["no-resolv", "server=::1", "query-retry=3", "min-port=2000", "edns-packet-max=100"]);
        let upstream = config.unwrap().upstream;
        assert_eq!((upstream.give_up_after, upstream.retry_after), (Duration::from_secs(3), None));
        assert_eq!((upstream.port_range(), upstream.edns_packet_max), (Some((2000, 65_535)), 512));
        let upstream = read(&["fast-dns-retry=200,4000", "max-port=3000"]).unwrap().upstream;
        assert_eq!(upstream.retry_after, Some(Duration::from_millis(200)));
        assert_eq!((upstream.give_up_after, upstream.port_range()), (Duration::from_secs(4), Some((1024, 3000))));
        assert_eq!(read(&["fast-dns-retry"]).unwrap().upstream.retry_after, Some(Duration::from_secs(1)));
        for (options, what) in [
            (&["query-retry=0"][..], "legal: 1..=60"),
            (&["fast-dns-retry=1,2,3"], "out of range"),
            (&["fast-dns-retry=100,2000,3"], "more than two numbers"),
            (&["dns-forward-max=0"], "legal: 1..=100000"),
            (&["edns-packet-max=70000"], "legal: 0..=65535"),
            (&["min-port=3000", "max-port=2000"], "min-port is above max-port"),
        ] {
            let error = read(options).unwrap_err();
            assert!(error.contains(what), "{options:?}: {error}");
        }
    }

    #[test]
    fn resolv_conf_is_read_unless_told_otherwise() {
        let files = |options: &[&str]| read(options).unwrap().upstream.resolv_files;
        assert_eq!(files(&["server=::1"]), [std::path::PathBuf::from("/etc/resolv.conf")]);
        assert_eq!(files(&["resolv-file=/a", "resolv-file=/b"]).len(), 2);
        assert!(files(&["resolv-file=/a", "no-resolv"]).is_empty());
    }

    #[test]
    fn the_last_word_on_letter_case_counts() {
        let mixed = |options: &[&str]| read(options).unwrap().upstream.case_mixed;
        assert_eq!((mixed(&[]), mixed(&["do-0x20-encode"])), (None, Some(true)));
        assert_eq!(mixed(&["do-0x20-encode", "no-0x20-encode"]), Some(false));
    }
}
