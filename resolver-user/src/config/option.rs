//! What an option is, and the one table of them, for files, flags, help and manual alike.
//!
//! Each topic of the configuration declares its own options beside the part of [`Config`] that they fill.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use super::syntax::reveal;
use super::{
    Config, access, cache, cookies, dnssec, files, filter, iterating, listening, local, logging, observing, process,
    rate_limit, upstream, xdp,
};

/// Whether an option takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// No.
    Nothing,
    /// Yes.
    Value,
    /// It may; on the command line only after `=`.
    Perhaps,
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// Its name, without dashes.
    pub name: &'static str,
    /// Its letter on the command line, if it has one; dnsmasq's.
    pub letter: Option<char>,
    /// Whether it takes a value.
    pub takes: Takes,
    /// What the value may be.
    pub legal: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// What it does to the configuration.
    pub(super) effect: Effect,
}

/// What an option does to the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    /// Without a value.
    Flag(fn(&mut Config)),
    /// With a value; says what is wrong with it.
    Value(fn(&mut Config, &str) -> Result<(), String>),
    /// With or without a value; says what is wrong with it.
    Perhaps(fn(&mut Config, Option<&str>) -> Result<(), String>),
    /// Names a file that is to be read here and now.
    File(FileKind),
}

/// What a file that is read here and now holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    /// Options, one a line.
    Options,
    /// None itself: it is a directory, whose files hold options.
    Directory,
    /// Options that name servers, one a line.
    Servers,
    /// Trust anchors, one a line.
    Anchors,
    /// Secrets of cookies, one a line.
    CookieSecrets,
}

/// Options of one topic.
#[derive(Clone, Copy, Debug)]
pub struct Topic {
    /// What they are about, as a heading.
    pub title: &'static str,
    /// The options.
    pub options: &'static [OptionSpec],
}

/// Every option, by topic.
pub const TOPICS: &[Topic] = &[
    Topic { title: "Files", options: files::OPTIONS },
    Topic { title: "Listening", options: listening::OPTIONS },
    Topic { title: "Access", options: access::OPTIONS },
    Topic { title: "Rate limits", options: rate_limit::OPTIONS },
    Topic { title: "Cookies", options: cookies::OPTIONS },
    Topic { title: "Servers", options: upstream::OPTIONS },
    Topic { title: "Resolution from the root", options: iterating::OPTIONS },
    Topic { title: "Cache", options: cache::OPTIONS },
    Topic { title: "Names of your own", options: local::OPTIONS },
    Topic { title: "Filters", options: filter::OPTIONS },
    Topic { title: "DNSSEC", options: dnssec::OPTIONS },
    Topic { title: "XDP", options: xdp::OPTIONS },
    Topic { title: "Logging", options: logging::OPTIONS },
    Topic { title: "Observing", options: observing::OPTIONS },
    Topic { title: "Process", options: process::OPTIONS },
];

/// Every option.
pub fn options() -> impl Iterator<Item = &'static OptionSpec> {
    TOPICS.iter().flat_map(|topic| topic.options)
}

/// The option of this name.
pub(super) fn find(name: &str) -> Option<&'static OptionSpec> {
    options().find(|spec| spec.name == name)
}

/// The option of this letter.
pub(super) fn find_letter(letter: char) -> Option<&'static OptionSpec> {
    options().find(|spec| spec.letter == Some(letter))
}

/// An option with a value.
pub(super) const fn value(
    name: &'static str,
    legal: &'static str,
    help: &'static str,
    apply: fn(&mut Config, &str) -> Result<(), String>,
) -> OptionSpec {
    OptionSpec { name, letter: None, takes: Takes::Value, legal, help, effect: Effect::Value(apply) }
}

/// An option without one.
pub(super) const fn flag(name: &'static str, help: &'static str, set: fn(&mut Config)) -> OptionSpec {
    OptionSpec { name, letter: None, takes: Takes::Nothing, legal: "no value", help, effect: Effect::Flag(set) }
}

/// An option that may have one.
pub(super) const fn perhaps(
    name: &'static str,
    legal: &'static str,
    help: &'static str,
    apply: fn(&mut Config, Option<&str>) -> Result<(), String>,
) -> OptionSpec {
    OptionSpec { name, letter: None, takes: Takes::Perhaps, legal, help, effect: Effect::Perhaps(apply) }
}

/// An option that names a file.
pub(super) const fn file(name: &'static str, help: &'static str, kind: FileKind) -> OptionSpec {
    OptionSpec { name, letter: None, takes: Takes::Value, legal: PATH, help, effect: Effect::File(kind) }
}

impl OptionSpec {
    /// The same option with other legal values.
    pub(super) const fn legal(mut self, legal: &'static str) -> Self {
        self.legal = legal;
        self
    }

    /// The same option with a letter.
    pub(super) const fn letter(mut self, letter: char) -> Self {
        self.letter = Some(letter);
        self
    }
}

/// What a path may be.
pub(super) const PATH: &str = "a path";
/// Reads a number within bounds.
pub(super) fn number<N: FromStr + PartialOrd>(value: &str, min: N, max: N) -> Result<N, String> {
    // Digits only, as in dnsmasq: the library would take a sign.
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<N> = digits.then(|| value.parse().ok()).flatten();
    let number = number.ok_or("not a number, or out of range")?;
    if number < min || number > max { Err("out of range".to_owned()) } else { Ok(number) }
}

/// Reads a path.
pub(super) fn path(value: &str) -> Result<PathBuf, String> {
    match reveal(value) {
        empty if empty.is_empty() => Err("empty path".to_owned()),
        path => Ok(path.into()),
    }
}

/// Reads an address.
pub(super) fn address(value: &str) -> Result<IpAddr, String> {
    let address = reveal(value.trim());
    address.parse().map_err(|_| format!("\"{address}\" is no IP address"))
}

/// Reads names of interfaces into a list.
pub(super) fn interfaces(value: &str, list: &mut Vec<String>) -> Result<(), String> {
    for name in value.split(',') {
        let name = reveal(name.trim());
        // The kernel's limit (IFNAMSIZ less the final zero).
        if name.is_empty() || name.len() > 15 || name.contains(['/', ' ', '*']) {
            return Err(format!("\"{name}\" is no name of an interface"));
        }
        list.push(name);
    }
    Ok(())
}

/// dnsmasq's options that have no place here, by name or, with a final `*`, by its beginning.
pub const NOT_SUPPORTED: &[(&str, &str)] = &[
    ("dhcp-*", DHCP),
    ("no-dhcp*", DHCP),
    ("read-ethers", DHCP),
    ("bootp-dynamic", DHCP),
    ("bridge-interface", DHCP),
    ("shared-network", DHCP),
    ("tag-if", DHCP),
    ("no-ping", DHCP),
    ("script-arp", DHCP),
    ("script-on-renewal", DHCP),
    ("leasefile-ro", DHCP),
    ("leasequery", DHCP),
    ("log-dhcp", DHCP),
    ("quiet-dhcp*", DHCP),
    ("enable-ra", ROUTES),
    ("ra-param", ROUTES),
    ("quiet-ra", ROUTES),
    ("enable-tftp", TFTP),
    ("tftp-*", TFTP),
    ("quiet-tftp", TFTP),
    ("pxe-*", "network boot is not this program's business"),
    ("proxy-dnssec", "an upstream's AD is not passed on: only what is validated here, with dnssec, carries AD"),
    ("alias", "addresses are not rewritten: signatures would fail at clients that check; use host-record or address"),
    ("interface-name", "addresses of interfaces are not looked at; use host-record"),
    ("dynamic-host", "addresses of interfaces are not looked at; use host-record"),
    ("localise-queries", "answers do not depend on the interface that a query came by"),
    ("selfmx", "no MX records are made up; use mx-host"),
    ("localmx", "no MX records are made up; use mx-host"),
    ("mx-target", "no MX records are made up; use mx-host with its target"),
    ("ipset", "addresses are not put into firewall sets: answers of XDP would not be seen there"),
    ("nftset", "addresses are not put into firewall sets: answers of XDP would not be seen there"),
    ("auth-*", "this is a resolver; zones are served by an authoritative server"),
    ("enable-dbus", "there is no D-Bus here; use the control socket"),
    ("ubus", "there is no ubus here; use the control socket"),
    ("enable-ubus", "there is no ubus here; use the control socket"),
    (
        "conf-script",
        "a reload runs without the rights of the start, so a program would not do the same again; write its output to a \
         file, and name that with conf-file",
    ),
    ("add-mac", TELLTALE),
    ("strip-mac", STRIPPED),
    ("add-subnet", TELLTALE),
    ("strip-subnet", STRIPPED),
    ("add-cpe-id", TELLTALE),
    ("umbrella", TELLTALE),
    ("conntrack", "answers of XDP and answers from the cache belong to no connection that could carry a mark"),
    ("connmark-allowlist*", CLIENT_DEPENDENT),
    ("clear-on-reload", "a reload keeps what is still right and drops the rest, without being told"),
    ("max-tcp-connections", "connections are tasks here, not processes; their limit is built in"),
    ("dumpfile", CAPTURE),
    ("dumpmask", CAPTURE),
    ("log-debug", "resolver chain NAME tells of a validation step by step; log-queries, log-dnssec and xdp-log of all"),
    ("log-malloc", "there is no allocator of our own that could be logged"),
    ("domain-suffix", "an old name; say domain"),
    ("help", "a word for the command line: resolver help"),
    ("version", "a word for the command line: resolver --version"),
];

const DHCP: &str = "DHCP is not this program's business; run dnsmasq with port=0 for it";
const TFTP: &str = "TFTP is not this program's business";
const ROUTES: &str = "router advertisements are not this program's business";
const CAPTURE: &str = "resolver capture FILE writes down what XDP answers, tcpdump everything else";
const TELLTALE: &str =
    "clients are not told on to servers; an answer that depends on the client could not be cached for all";
const STRIPPED: &str = "nothing that a client says of itself is ever passed on to servers";
const CLIENT_DEPENDENT: &str = "answers do not depend on who asks, or XDP could not give them";

/// Why there is no option of this name, if dnsmasq has one.
pub(super) fn not_supported(name: &str) -> Option<&'static str> {
    let named = |pattern: &str| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    };
    NOT_SUPPORTED.iter().find(|(pattern, _)| named(pattern)).map(|(_, reason)| *reason)
}
