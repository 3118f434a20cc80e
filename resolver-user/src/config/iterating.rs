//! Resolution from the root: whether, over which IP versions, and where it begins.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::Config;
use super::dnssec::{SWITCH, SwitchedOn, switch};
use super::option::{OptionSpec, PATH, path, perhaps, value};
use super::servers::{self, ServerEntry, ServerHost, ServerTarget};
use super::syntax::reveal;
use crate::wire::{Name, RecordType};

/// Longest file of root hints that is read, in bytes. The real one has 3 kB.
const HINTS_LEN_MAX: u64 = 1 << 20;
/// Root servers that are used of a file.
const HINTS_MAX: usize = 32;
/// Addresses of one of them that are.
const ADDRESSES_MAX: usize = 8;

/// Whether names are resolved from the root, and where that begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct IteratingConfig {
    /// `recursive`: names that no line gives to a server are resolved from the root, over these IP versions. None: only if
    /// no server is known for them.
    pub recursive: Option<Families>,
    /// `root-hints`, or the root's servers as they are built in.
    pub hints: RootHints,
    /// The file that they are from.
    pub hints_file: Option<PathBuf>,
    /// `qname-minimisation`: whether servers on the way are told no more of a name than they need (RFC 9156).
    pub minimising: SwitchedOn,
}

/// IP versions that servers are asked over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Families {
    /// IPv4 and IPv6.
    #[default]
    Both,
    /// IPv4 alone.
    Ipv4,
    /// IPv6 alone.
    Ipv6,
}

impl Families {
    /// Whether a server at this address is asked.
    pub fn covers(self, address: IpAddr) -> bool {
        match self {
            Self::Both => true,
            Self::Ipv4 => address.is_ipv4(),
            Self::Ipv6 => address.is_ipv6(),
        }
    }
}

/// Servers of the root with their addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RootHints(pub Vec<(Name, Vec<IpAddr>)>);

impl Default for RootHints {
    fn default() -> Self {
        let server = |(letter, v4, v6): &(&str, &str, &str)| {
            let name: Name = format!("{letter}.root-servers.net.").parse().ok()?;
            Some((name, [v4, v6].iter().filter_map(|address| address.parse().ok()).collect()))
        };
        Self(ROOT_SERVERS.iter().filter_map(server).collect())
    }
}

impl IteratingConfig {
    /// The options that make another process begin where this one does.
    pub fn options(&self) -> Vec<String> {
        let families = match self.recursive.unwrap_or_default() {
            Families::Both => "recursive",
            Families::Ipv4 => "recursive=ipv4",
            Families::Ipv6 => "recursive=ipv6",
        };
        let file = self.hints_file.iter().map(|path| format!("root-hints={}", path.display()));
        let minimising = (!self.minimising.0).then(|| "qname-minimisation=no".to_owned());
        [families.to_owned()].into_iter().chain(file).chain(minimising).collect()
    }
}

/// The options.
pub(super) const OPTIONS: &[OptionSpec] = &[
    perhaps(
        "recursive",
        "nothing, or the one IP version to ask over: ipv4 | ipv6",
        "resolve from the root what no domain's line gives to a server",
        |config, value| {
            config.upstream.iterating.recursive = Some(match value {
                None | Some("") => Families::Both,
                Some("ipv4") => Families::Ipv4,
                Some("ipv6") => Families::Ipv6,
                Some(_) => return Err("no IP version".to_owned()),
            });
            Ok(())
        },
    ),
    value("root-hints", PATH, "read names and addresses of the root's servers from this file", |config, value| {
        let file = path(value)?;
        config.upstream.iterating.hints = read_file(&file)?;
        config.upstream.iterating.hints_file = Some(file);
        Ok(())
    }),
    perhaps(
        "qname-minimisation",
        SWITCH,
        "tell servers on the way no more of a name than they need (on)",
        |config, value| switch(value, &mut config.upstream.iterating.minimising),
    ),
    value(
        "stub",
        "/<zone>/[<zone>/…]<address>[#<port 1..=65535>]",
        "ask this authoritative server about a zone, and those that it names below",
        stub,
    ),
];

fn stub(config: &mut Config, value: &str) -> Result<(), String> {
    let entry = servers::read_value(value)?;
    let ServerTarget::Server(spec) = entry.target else { return Err("no server".to_owned()) };
    if entry.domains.is_empty() {
        return Err("no zone".to_owned());
    }
    if !matches!(spec.host, ServerHost::Address { scope: None, .. })
        || spec.interface.is_some()
        || spec.source.is_some()
    {
        return Err("the server of a stub zone is an address, and a port perhaps".to_owned());
    }
    if entry.domains.iter().any(|domain| domain.name().is_none()) {
        return Err("the zone is a name, without *".to_owned());
    }
    config.upstream.servers.push(ServerEntry { domains: entry.domains, target: ServerTarget::Stub(spec) });
    Ok(())
}

fn read_file(path: &Path) -> Result<RootHints, String> {
    let length = fs::metadata(path).map_err(|error| format!("cannot read file: {error}"))?.len();
    if length > HINTS_LEN_MAX {
        return Err("too long a file".to_owned());
    }
    read(&fs::read_to_string(path).map_err(|error| format!("cannot read file: {error}"))?)
}

/// Reads root hints: the lines of a zone file, of which NS records of the root and addresses of their targets count.
fn read(text: &str) -> Result<RootHints, String> {
    let mut names: Vec<Name> = Vec::new();
    let mut addresses: Vec<(Name, IpAddr)> = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.split(';').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        let [owner, middle @ .., rtype, rdata] = words.as_slice() else {
            match words.first() {
                None => continue,
                Some(word) => return Err(format!("line {number}: no record: \"{}\"", reveal(word))),
            }
        };
        let wrong = |what: &str| format!("line {number}: {what}");
        let is_noise = |word: &&str| word.eq_ignore_ascii_case("IN") || word.bytes().all(|byte| byte.is_ascii_digit());
        if !middle.iter().all(is_noise) {
            return Err(wrong("a record is: name, TTL, IN, type, and one field"));
        }
        let owner: Name = owner.parse().map_err(|_| wrong("no name"))?;
        match rtype.parse() {
            Ok(RecordType::NS) if owner.is_root() => names.push(rdata.parse().map_err(|_| wrong("no name"))?),
            Ok(RecordType::A | RecordType::AAAA) => {
                addresses.push((owner, rdata.parse().map_err(|_| wrong("no address"))?));
            }
            _ => return Err(wrong("neither an NS record of the root nor an address")),
        }
    }
    let of = |name: &Name| -> Vec<IpAddr> {
        let own = addresses.iter().filter(|(owner, _)| owner == name);
        own.map(|(_, address)| *address).take(ADDRESSES_MAX).collect()
    };
    let servers = names.iter().take(HINTS_MAX).map(|name| (name.clone(), of(name)));
    let servers: Vec<_> = servers.filter(|(_, addresses)| !addresses.is_empty()).collect();
    if servers.is_empty() {
        Err("names no server of the root with an address".to_owned())
    } else {
        Ok(RootHints(servers))
    }
}

/// The root's servers: letter, IPv4 and IPv6 address.
const ROOT_SERVERS: &[(&str, &str, &str)] = &[
    ("a", "198.41.0.4", "2001:503:ba3e::2:30"),
    ("b", "170.247.170.2", "2801:1b8:10::b"),
    ("c", "192.33.4.12", "2001:500:2::c"),
    ("d", "199.7.91.13", "2001:500:2d::d"),
    ("e", "192.203.230.10", "2001:500:a8::e"),
    ("f", "192.5.5.241", "2001:500:2f::f"),
    ("g", "192.112.36.4", "2001:500:12::d0d"),
    ("h", "198.97.190.53", "2001:500:1::53"),
    ("i", "192.36.148.17", "2001:7fe::53"),
    ("j", "192.58.128.30", "2001:503:c27::2:30"),
    ("k", "193.0.14.129", "2001:7fd::1"),
    ("l", "199.7.83.42", "2001:500:9f::42"),
    ("m", "202.12.27.33", "2001:dc3::35"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    fn load_words(words: &[&str]) -> Result<Config, String> {
        let words: Vec<String> = words.iter().map(|word| format!("--{word}")).collect();
        let told = |errors: Vec<crate::config::ConfigError>| errors.iter().map(ToString::to_string).collect();
        load(&[&["--xdp=off".to_owned(), "--no-resolv".to_owned()][..], &words].concat()).map_err(told)
    }

    #[test]
    fn thirteen_servers_with_two_addresses_each_are_built_in() {
        let RootHints(servers) = RootHints::default();
        assert_eq!(servers.len(), 13);
        for (name, addresses) in servers {
            assert!(matches!(addresses.as_slice(), [v4, v6] if v4.is_ipv4() && v6.is_ipv6()), "{name}");
        }
    }

    #[test]
    fn hints_are_read_as_zone_files_write_them() {
        let text = "; root\n.  3600000  IN NS  A.Root.\nA.ROOT. 3600000 A 192.0.2.1 ; first\n\n\
                    a.root. AAAA 2001:db8::1\n. NS b.root.\n. IN NS c.root.\nc.root. 5 IN A 192.0.2.3\n";
        let RootHints(servers) = read(text).unwrap();
        let told: Vec<String> = servers.iter().map(|(name, at)| format!("{name} {at:?}")).collect();
        assert_eq!(told, ["A.Root. [192.0.2.1, 2001:db8::1]", "c.root. [192.0.2.3]"]);
        for (text, what) in [
            ("", "names no server"),
            (". NS a.root.", "names no server"),
            (". NS a.root.\na.root. A 192.0.2.300", "line 2: no address"),
            ("example. NS a.root.", "line 1: neither"),
            (". NS", "line 1: no record"),
            (". HS NS a.root.", "line 1: a record is"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }

    #[test]
    fn a_zone_can_be_a_stub_and_what_is_wrong_with_one_is_said() {
        let upstream = load_words(&["stub=/corp.example/192.0.2.1#5353", "recursive=ipv4"]).unwrap().upstream;
        assert_eq!(upstream.servers[0].to_string(), "/corp.example/192.0.2.1#5353");
        assert_eq!(upstream.iterating.recursive, Some(Families::Ipv4));
        for (word, what) in [
            ("stub=192.0.2.1", "no zone"),
            ("stub=/a.example/", "no server"),
            ("stub=/a.example/#", "no server"),
            ("stub=/a.example/ns.example", "is an address"),
            ("stub=/a.example/192.0.2.1@192.0.2.2", "is an address"),
            ("stub=/*a.example/192.0.2.1", "without *"),
            ("recursive=ipv5", "legal: nothing, or the one IP version"),
            ("root-hints=/nowhere/at/all", "cannot read file"),
        ] {
            let error = load_words(&[word]).unwrap_err();
            assert!(error.contains(what), "{word}: {error}");
        }
        let error = load_words(&["recursive", "server=192.0.2.1"]).unwrap_err();
        assert!(error.contains("without a domain"), "{error}");
    }
}
