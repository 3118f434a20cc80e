//! Servers as text: dnsmasq's `server=`, `local=` and `rev-server=`.
//!
//! In: the value of an option. Out: [`ServerEntry`]s: for which names, and who is asked about them.
//! Resolves no host name and opens nothing.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::domains::patterns;
use super::option::number;
use super::syntax::reveal;
use super::{PORT, reverse};
use crate::wire::{DomainMap, DomainPattern, Name};

/// What `server` and `local` may be.
pub(super) const LEGAL: &str = "[/[<domain>]/[<domain>/…]][<address or host name>[#<port 1..=65535>][@<interface>]\
                                [@<source address>[#<port>]]], with domains also nothing (only local) or # (the usual \
                                servers); a domain may begin with *";
/// What `rev-server` may be.
pub(super) const LEGAL_REVERSE: &str = "<address>[/<prefix length>][,<server as for server=>]";

/// One line: names, and who is asked about them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerEntry {
    /// The names; empty: all that no other line names.
    pub domains: Vec<DomainPattern>,
    /// Who is asked.
    pub target: ServerTarget,
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServerTarget {
    /// Nobody: what is not known here does not exist.
    LocalOnly,
    /// Those who are asked about all other names.
    Usual,
    /// This server, which recurses.
    Server(ServerSpec),
    /// The servers of the zone itself, and those that they name: this is one of them.
    Stub(ServerSpec),
}

/// A server, and how its queries are sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerSpec {
    /// The server.
    pub host: ServerHost,
    /// Its port: 1..=65 535.
    pub port: u16,
    /// The interface that queries leave by.
    pub interface: Option<String>,
    /// The address that queries are sent from, and the port if one is given.
    pub source: Option<(IpAddr, Option<u16>)>,
}

/// How a server is named.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServerHost {
    /// By address.
    Address {
        /// The address.
        ip: IpAddr,
        /// The interface of an IPv6 link-local address.
        scope: Option<String>,
    },
    /// By a name that the system resolves.
    Name(String),
}

impl ServerEntry {
    /// Whether it is about all names that no other line names: without a domain, or with `#` as one.
    pub fn is_for_all(&self) -> bool {
        self.domains.is_empty() || self.domains.contains(&DomainPattern::Any)
    }

    /// The domains that it sets apart from all names.
    pub fn own_domains(&self) -> impl Iterator<Item = &DomainPattern> {
        self.domains.iter().filter(|domain| **domain != DomainPattern::Any)
    }
}

impl ServerSpec {
    /// A server at the usual port, without anything special.
    pub fn plain(ip: IpAddr) -> Self {
        Self { host: ServerHost::Address { ip, scope: None }, port: PORT, interface: None, source: None }
    }

    /// Its address, if it is named by one.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.host {
            ServerHost::Address { ip, .. } => Some((*ip, self.port).into()),
            ServerHost::Name(_) => None,
        }
    }
}

/// Who is asked about the names of one pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// Those who are asked about all other names; stronger than all else, as with dnsmasq.
    pub usual: bool,
    /// These servers, in order; none, and not the usual ones: nobody.
    pub servers: Vec<ServerSpec>,
    /// Servers of a stub zone; stronger than `servers`.
    pub stubs: Vec<ServerSpec>,
}

/// Who is asked about which names, where it is not the usual servers.
pub(super) fn by_domain<'a>(entries: impl Iterator<Item = &'a ServerEntry>) -> DomainMap<Targets> {
    let mut map: DomainMap<Targets> = DomainMap::default();
    for entry in entries {
        for domain in entry.own_domains() {
            let targets = map.entry(domain, Targets::default);
            match &entry.target {
                ServerTarget::LocalOnly => {}
                ServerTarget::Usual => targets.usual = true,
                ServerTarget::Server(spec) if targets.servers.contains(spec) => {}
                ServerTarget::Server(spec) => targets.servers.push(spec.clone()),
                ServerTarget::Stub(spec) => targets.stubs.push(spec.clone()),
            }
        }
    }
    map
}

/// Reads a value of `server=` or `local=`.
pub(super) fn read_value(value: &str) -> Result<ServerEntry, String> {
    let Some(rest) = value.strip_prefix('/') else {
        return match read_target(value)? {
            target @ ServerTarget::Server(_) => Ok(ServerEntry { domains: Vec::new(), target }),
            ServerTarget::LocalOnly | ServerTarget::Usual | ServerTarget::Stub(_) => {
                Err("neither a server nor a domain".to_owned())
            }
        };
    };
    let (domains, target) = rest.rsplit_once('/').ok_or("a domain stands between two slashes")?;
    let (domains, target) = (patterns(domains.split('/'))?, read_target(target)?);
    if domains.contains(&DomainPattern::Any) && !matches!(target, ServerTarget::Server(_)) {
        return Err("# as a domain stands for all names, so a server must follow".to_owned());
    }
    Ok(ServerEntry { domains, target })
}

/// Reads a value of `rev-server=`.
pub(super) fn read_reverse_value(value: &str) -> Result<ServerEntry, String> {
    let (subnet, target) = value.split_once(',').map_or((value, ""), |(subnet, target)| (subnet, target.trim()));
    let domains = reverse::domains(subnet)?.into_iter().map(DomainPattern::Domain).collect();
    match read_target(target)? {
        ServerTarget::Usual => Err("# is no server here".to_owned()),
        target => Ok(ServerEntry { domains, target }),
    }
}

/// Reads `[<host>[#<port>][@<interface>][@<source>[#<port>]]]`.
fn read_target(text: &str) -> Result<ServerTarget, String> {
    match text.trim() {
        "" => return Ok(ServerTarget::LocalOnly),
        "#" => return Ok(ServerTarget::Usual),
        _ => {}
    }
    let mut parts = text.trim().split('@');
    let (host, port) = with_port(parts.next().unwrap_or_default())?;
    let mut spec = ServerSpec { host: read_host(host)?, port: port.unwrap_or(PORT), interface: None, source: None };
    for part in parts {
        let (word, port) = with_port(part)?;
        match reveal(word).parse::<IpAddr>() {
            Ok(source) if spec.source.is_none() => spec.source = Some((source, port)),
            Err(_) if spec.interface.is_none() && spec.source.is_none() && port.is_none() => {
                let mut names = Vec::new();
                super::option::interfaces(word, &mut names)?;
                spec.interface = names.pop();
            }
            _ => return Err(format!("\"@{}\": at most one interface, then at most one address", reveal(part))),
        }
    }
    if let (ServerHost::Address { ip, .. }, Some((source, _))) = (&spec.host, &spec.source)
        && ip.is_ipv4() != source.is_ipv4()
    {
        return Err(format!("{ip} cannot be asked from {source}"));
    }
    Ok(ServerTarget::Server(spec))
}

/// Cuts off `#<port>`.
fn with_port(text: &str) -> Result<(&str, Option<u16>), String> {
    match text.split_once('#') {
        None => Ok((text, None)),
        Some((word, port)) => {
            let port = number(port, 1, u16::MAX).map_err(|what| format!("port {port}: {what}"))?;
            Ok((word, Some(port)))
        }
    }
}

fn read_host(text: &str) -> Result<ServerHost, String> {
    let text = reveal(text);
    let (address, scope) = match text.split_once('%') {
        Some((address, scope)) => (address, Some(scope.to_owned())),
        None => (text.as_str(), None),
    };
    if let Ok(ip) = address.parse::<IpAddr>() {
        if ip.is_unspecified() || ip.is_multicast() {
            return Err(format!("{ip} is no server's address"));
        }
        return Ok(ServerHost::Address { ip, scope });
    }
    // A top-level domain is never a number, so this is a mistyped address.
    let last = text.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let like_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if text.parse::<Name>().is_err() || last.bytes().all(|byte| byte.is_ascii_digit()) || !text.bytes().all(like_host) {
        return Err(format!("\"{text}\" is neither an IP address nor a host name"));
    }
    Ok(ServerHost::Name(text))
}

impl fmt::Display for ServerEntry {
    /// As the value of `server=`, or of `stub=`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.domains.is_empty() {
            f.write_str("/")?;
            self.domains.iter().try_for_each(|domain| write!(f, "{domain}/"))?;
        }
        match &self.target {
            ServerTarget::LocalOnly => Ok(()),
            ServerTarget::Usual => f.write_str("#"),
            ServerTarget::Server(spec) | ServerTarget::Stub(spec) => spec.fmt(f),
        }
    }
}

impl fmt::Display for ServerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            ServerHost::Address { ip, scope: None } => write!(f, "{ip}")?,
            ServerHost::Address { ip, scope: Some(scope) } => write!(f, "{ip}%{scope}")?,
            ServerHost::Name(name) => f.write_str(name)?,
        }
        write!(f, "#{}", self.port)?;
        if let Some(interface) = &self.interface {
            write!(f, "@{interface}")?;
        }
        match &self.source {
            Some((source, Some(port))) => write!(f, "@{source}#{port}"),
            Some((source, None)) => write!(f, "@{source}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_and_is_written_back() {
        for (text, written) in [
            ("192.0.2.1", "192.0.2.1#53"),
            ("192.0.2.1#5353", "192.0.2.1#5353"),
            ("192.0.2.1#54@eth0", "192.0.2.1#54@eth0"),
            ("192.0.2.1@192.0.2.9#999", "192.0.2.1#53@192.0.2.9#999"),
            ("192.0.2.1@eth0@192.0.2.9", "192.0.2.1#53@eth0@192.0.2.9"),
            ("2001:db8::1#53", "2001:db8::1#53"),
            ("fe80::1%eth0", "fe80::1%eth0#53"),
            ("dns.example.net#54", "dns.example.net#54"),
            ("/corp.example/192.0.2.1", "/corp.example/192.0.2.1#53"),
            ("/a.example/b.example/192.0.2.1", "/a.example/b.example/192.0.2.1#53"),
            ("/.corp.example/192.0.2.1", "/corp.example/192.0.2.1#53"),
            ("/local/", "/local/"),
            ("/public.corp.example/#", "/public.corp.example/#"),
            ("//192.0.2.1", "//192.0.2.1#53"),
            ("//", "//"),
            ("/*Foo/192.0.2.1", "/*foo/192.0.2.1#53"),
            ("/*foo.example/192.0.2.1", "/*foo.example/192.0.2.1#53"),
            ("/*.example/192.0.2.1", "/*.example/192.0.2.1#53"),
            ("/#/192.0.2.1", "/#/192.0.2.1#53"),
            ("/a.example//192.0.2.1", "/a.example//192.0.2.1#53"),
        ] {
            let entry = read_value(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(entry.to_string(), written, "{text}");
            assert_eq!(read_value(written), Ok(entry), "{text}");
        }
    }

    #[test]
    fn wrong_servers_say_what_is_wrong() {
        for (text, what) in [
            ("", "neither a server nor a domain"),
            ("#", "neither a server nor a domain"),
            ("/corp.example", "between two slashes"),
            ("/a..b/192.0.2.1", "name \"a..b\""),
            ("/./192.0.2.1", "the root"),
            ("/#/", "a server must follow"),
            ("192.0.2.1#0", "port 0"),
            ("192.0.2.1#99999", "port 99999"),
            ("192.0.2.300", "neither an IP address nor a host name"),
            ("no host", "neither an IP address nor a host name"),
            ("0.0.0.0", "no server's address"),
            ("224.0.0.1", "no server's address"),
            ("192.0.2.1@::1", "cannot be asked from"),
            ("192.0.2.1@192.0.2.2@eth0", "at most one interface"),
            ("192.0.2.1@a@b", "at most one interface"),
            ("192.0.2.1@an-interface-with-a-long-name", "no name of an interface"),
        ] {
            let error = read_value(text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
