//! The one table of options, for files and flags alike.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use super::anchors::AnchorText;
use super::syntax::reveal;
use super::{CACHE_SIZE_MAX, PORT, THREADS_MAX, XDP_CACHE_SIZE_MAX, XdpMode, anchors, limits};
use crate::validator::{DsAnchor, Policy};
use crate::wire::Name;

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
    /// What it does to the draft.
    pub(super) effect: Effect,
}

/// What an option does to the draft.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    /// Without a value.
    Flag(fn(&mut Draft)),
    /// With a value; says what is wrong with it.
    Value(fn(&mut Draft, &str) -> Result<(), String>),
    /// With or without a value; says what is wrong with it.
    Perhaps(fn(&mut Draft, Option<&str>) -> Result<(), String>),
}

/// What has been read so far.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    pub(super) servers: Vec<SocketAddr>,
    pub(super) listen_addresses: Vec<IpAddr>,
    pub(super) interfaces: Vec<String>,
    pub(super) port: Option<u16>,
    pub(super) no_resolv: bool,
    pub(super) cache_size: Option<usize>,
    pub(super) dnssec: bool,
    pub(super) anchors: Vec<DsAnchor>,
    pub(super) negative_anchors: Vec<Name>,
    pub(super) policy: Policy,
    pub(super) dnssec_timestamp: Option<PathBuf>,
    pub(super) dnssec_debug: bool,
    pub(super) log_dnssec: bool,
    pub(super) log_queries: bool,
    pub(super) xdp: Option<XdpMode>,
    pub(super) xdp_interfaces: Vec<String>,
    pub(super) xdp_cache_size: Option<u32>,
    pub(super) xdp_log: bool,
    pub(super) xdp_pin_dir: Option<PathBuf>,
    pub(super) threads: Option<usize>,
    pub(super) control_socket: Option<PathBuf>,
    pub(super) pid_file: Option<PathBuf>,
    /// Files that the option just applied asks to be read.
    pub(super) pending_file: Option<PendingFile>,
}

/// A file to read next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PendingFile {
    /// `conf-file`.
    Options(PathBuf),
    /// `trust-anchors-file`.
    Anchors(PathBuf),
}

/// Every option.
pub const OPTIONS: &[OptionSpec] = &[
    value("conf-file", Some('C'), "a path", "read options from this file too", |draft, value| {
        draft.pending_file = Some(PendingFile::Options(path(value)?));
        Ok(())
    }),
    value(
        "server",
        Some('S'),
        "<IPv4 or IPv6 address>[#<port 1..=65535>]",
        "forward to this server",
        |draft, value| {
            draft.servers.push(server(value)?);
            Ok(())
        },
    ),
    flag("no-resolv", Some('R'), "do not read /etc/resolv.conf for servers", |draft| draft.no_resolv = true),
    value(
        "listen-address",
        Some('a'),
        "IPv4 or IPv6 addresses, separated by commas",
        "listen on these",
        |draft, value| {
            for address in value.split(',') {
                let address = reveal(address.trim());
                draft.listen_addresses.push(address.parse().map_err(|_| format!("\"{address}\" is no IP address"))?);
            }
            Ok(())
        },
    ),
    value("interface", Some('i'), INTERFACES, "listen on these interfaces, and on loopback", |draft, value| {
        interfaces(value, &mut draft.interfaces)
    }),
    value("port", Some('p'), "1..=65535", "listen on this port (53)", |draft, value| {
        draft.port = Some(number(value, 1, u16::MAX)?);
        Ok(())
    }),
    value("cache-size", Some('c'), "0..=10000000", "answers kept by the daemon (10000)", |draft, value| {
        draft.cache_size = Some(number(value, 0, CACHE_SIZE_MAX)?);
        Ok(())
    }),
    flag("dnssec", None, "validate", |draft| draft.dnssec = true),
    value(
        "trust-anchor",
        None,
        anchors::LEGAL,
        "start validation from this DS (the root's are built in)",
        |draft, value| {
            draft.take_anchor(anchors::read_value(value)?);
            Ok(())
        },
    ),
    value("trust-anchors-file", None, "a path", "read trust anchors from this file", |draft, value| {
        draft.pending_file = Some(PendingFile::Anchors(path(value)?));
        Ok(())
    }),
    value("dnssec-limits", None, limits::LEGAL_FOUR, "work that one query may cause (16,32,40,150)", |draft, value| {
        limits::read_four(value, &mut draft.policy.limits)
    }),
    value("dnssec-limit", None, limits::LEGAL_NAMED, "another limit of that work, by name", |draft, value| {
        limits::read_named(value, &mut draft.policy.limits)
    }),
    flag("dnssec-allow-sha1", None, "accept signatures and digests of SHA-1 (RFC 9905 says not to)", |draft| {
        draft.policy.sha1_allowed = true;
    }),
    flag("dnssec-no-timecheck", None, "never check when signatures begin and end", |draft| {
        draft.policy.times_checked = false;
    }),
    perhaps(
        "dnssec-check-unsigned",
        "nothing, or no",
        "want proof that unsigned answers need no signature (on)",
        |draft, value| {
            draft.policy.unsigned_checked = match value {
                None => true,
                Some("no") => false,
                Some(_) => return Err("neither nothing nor \"no\"".to_owned()),
            };
            Ok(())
        },
    ),
    value(
        "dnssec-timestamp",
        None,
        "a path",
        "check times only once the clock has passed this file's",
        |draft, value| {
            draft.dnssec_timestamp = Some(path(value)?);
            Ok(())
        },
    ),
    flag("dnssec-debug", None, "give bogus data to clients, without AD, and log why", |draft| {
        draft.dnssec_debug = true
    }),
    flag("log-dnssec", None, "log the chain of each validation, step by step", |draft| draft.log_dnssec = true),
    flag("log-queries", Some('q'), "log each answer", |draft| draft.log_queries = true),
    value("xdp", None, "auto, native, generic, off", "how XDP answers (auto)", |draft, value| {
        draft.xdp = Some(match value {
            "auto" => XdpMode::Auto,
            "native" => XdpMode::Native,
            "generic" => XdpMode::Generic,
            "off" => XdpMode::Off,
            _ => return Err("no such mode".to_owned()),
        });
        Ok(())
    }),
    value("xdp-interface", None, INTERFACES, "let XDP answer on these interfaces", |draft, value| {
        interfaces(value, &mut draft.xdp_interfaces)
    }),
    value("xdp-cache-size", None, "0..=16000000", "answers kept in the kernel (100000)", |draft, value| {
        draft.xdp_cache_size = Some(number(value, 0, XDP_CACHE_SIZE_MAX)?);
        Ok(())
    }),
    flag("xdp-log", None, "let XDP log why it passed queries on (sampled)", |draft| draft.xdp_log = true),
    value(
        "xdp-pin-dir",
        None,
        "a path below a bpf file system",
        "pin maps there (/sys/fs/bpf/resolver)",
        |draft, value| {
            draft.xdp_pin_dir = Some(path(value)?);
            Ok(())
        },
    ),
    value("threads", None, "1..=256", "listener threads (one per CPU)", |draft, value| {
        draft.threads = Some(number(value, 1, THREADS_MAX)?);
        Ok(())
    }),
    value(
        "control-socket",
        None,
        "a path",
        "Unix socket of `resolver status` (/run/resolver/control.sock)",
        |draft, value| {
            draft.control_socket = Some(path(value)?);
            Ok(())
        },
    ),
    value("pid-file", Some('x'), "a path", "write the process number there", |draft, value| {
        draft.pid_file = Some(path(value)?);
        Ok(())
    }),
];

impl Draft {
    /// Takes an anchor of either kind.
    pub(super) fn take_anchor(&mut self, anchor: AnchorText) {
        match anchor {
            AnchorText::Positive(anchor) => self.anchors.push(anchor),
            AnchorText::Negative(name) => self.negative_anchors.push(name),
        }
    }
}

/// dnsmasq's options that have no place here, by name or, with a final `*`, by its beginning.
pub(super) const NOT_SUPPORTED: &[(&str, &str)] = &[
    ("dhcp-*", DHCP),
    ("no-dhcp-*", DHCP),
    ("read-ethers", DHCP),
    ("bootp-dynamic", DHCP),
    ("enable-ra", "router advertisements are not this program's business"),
    ("ra-param", "router advertisements are not this program's business"),
    ("enable-tftp", TFTP),
    ("tftp-*", TFTP),
    ("pxe-*", "network boot is not this program's business"),
    ("proxy-dnssec", "an upstream's AD is not passed on: only what is validated here, with dnssec, carries AD"),
    ("auth-*", "this is a resolver; zones are served by an authoritative server"),
    ("ubus", "there is no ubus here; use the control socket"),
    ("enable-ubus", "there is no ubus here; use the control socket"),
    ("enable-dbus", "there is no D-Bus here; use the control socket"),
];

const DHCP: &str = "DHCP is not this program's business; run dnsmasq with port=0 for it";
const TFTP: &str = "TFTP is not this program's business";
const INTERFACES: &str = "names of network interfaces, separated by commas";

const fn value(
    name: &'static str,
    letter: Option<char>,
    legal: &'static str,
    help: &'static str,
    apply: fn(&mut Draft, &str) -> Result<(), String>,
) -> OptionSpec {
    OptionSpec { name, letter, takes: Takes::Value, legal, help, effect: Effect::Value(apply) }
}

const fn flag(name: &'static str, letter: Option<char>, help: &'static str, set: fn(&mut Draft)) -> OptionSpec {
    OptionSpec { name, letter, takes: Takes::Nothing, legal: "no value", help, effect: Effect::Flag(set) }
}

const fn perhaps(
    name: &'static str,
    legal: &'static str,
    help: &'static str,
    apply: fn(&mut Draft, Option<&str>) -> Result<(), String>,
) -> OptionSpec {
    OptionSpec { name, letter: None, takes: Takes::Perhaps, legal, help, effect: Effect::Perhaps(apply) }
}

/// The option of this name.
pub(super) fn find(name: &str) -> Option<&'static OptionSpec> {
    OPTIONS.iter().find(|spec| spec.name == name)
}

/// The option of this letter.
pub(super) fn find_letter(letter: char) -> Option<&'static OptionSpec> {
    OPTIONS.iter().find(|spec| spec.letter == Some(letter))
}

/// A number within bounds.
pub(super) fn number<N: FromStr + PartialOrd>(value: &str, min: N, max: N) -> Result<N, String> {
    let number: N = value.parse().map_err(|_| "not a number, or out of range".to_owned())?;
    if number < min || number > max { Err("out of range".to_owned()) } else { Ok(number) }
}

fn path(value: &str) -> Result<PathBuf, String> {
    match reveal(value) {
        empty if empty.is_empty() => Err("empty path".to_owned()),
        path => Ok(path.into()),
    }
}

fn server(value: &str) -> Result<SocketAddr, String> {
    if value.starts_with('/') {
        return Err("servers for one domain are not supported yet".to_owned());
    }
    if value.contains('@') {
        return Err("a source address or interface is not supported yet".to_owned());
    }
    let (address, port) = match value.split_once('#') {
        Some((address, port)) => (address, number(port, 1, u16::MAX).map_err(|what| format!("port {port}: {what}"))?),
        None => (value, PORT),
    };
    let address: IpAddr = address.parse().map_err(|_| format!("\"{address}\" is no IP address"))?;
    if address.is_unspecified() || address.is_multicast() {
        return Err(format!("{address} is no server's address"));
    }
    Ok((address, port).into())
}

fn interfaces(value: &str, list: &mut Vec<String>) -> Result<(), String> {
    for name in value.split(',') {
        let name = reveal(name.trim());
        // The kernel's limit (IFNAMSIZ less the final zero).
        if name.is_empty() || name.len() > 15 || name.contains(['/', ' ']) {
            return Err(format!("\"{name}\" is no name of an interface"));
        }
        list.push(name);
    }
    Ok(())
}
