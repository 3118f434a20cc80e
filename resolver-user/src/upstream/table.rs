//! Which servers are asked about which names: the configuration with every host name and resolv.conf filled in.
//!
//! In: an [`UpstreamConfig`], and what was [`Found`] outside of it. Out: a [`Table`]. What is known of a server that an
//! older table has too goes on to be known.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::Arc;

use nix::net::if_::if_nametoindex;
use tracing::warn;

use super::ServerReport;
use super::group::Group;
use super::server::Server;
use super::way::Way;
use crate::config::{ServerHost, ServerSpec, Targets, UpstreamConfig};
use crate::wire::{DomainMap, Name, RecordType};

/// Addresses of one host name that are used.
const ADDRESSES_PER_NAME_MAX: usize = 4;

/// What the configuration names and the system knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Servers of the youngest resolv.conf, in order.
    pub(super) nameservers: Vec<IpAddr>,
    /// Addresses of host names.
    pub(super) addresses: HashMap<String, Vec<IpAddr>>,
    /// Addresses that we listen on, which are no servers.
    pub(super) own: Vec<SocketAddr>,
}

/// Which servers are asked about which names.
#[derive(Debug)]
pub(super) struct Table {
    /// For all names that are not in `domains`.
    pub(super) usual: Arc<Group>,
    /// Whether those names are resolved from the root instead.
    pub(super) usual_iterates: bool,
    /// Whether there are stub zones.
    has_stubs: bool,
    domains: DomainMap<Domain>,
    /// All groups, the usual one first.
    groups: Vec<Arc<Group>>,
    /// Domains that a server is asked about, as between the slashes of `server=`.
    domains_of: HashMap<ServerSpec, Vec<String>>,
}

/// Who is asked about the names of a domain.
#[derive(Clone, Debug)]
enum Domain {
    Usual,
    LocalOnly,
    Iterate,
    Group(Arc<Group>),
}

/// Who is asked about a question.
#[derive(Clone, Copy, Debug)]
pub(super) enum Route<'a> {
    /// Nobody: what is not known here does not exist.
    LocalOnly,
    /// The servers of the zone, from the root down.
    Iterate,
    /// These servers.
    Group(&'a Arc<Group>),
}

impl Table {
    /// What is known of a server that an `older` table has too goes on to be known.
    pub(super) fn new(config: &UpstreamConfig, query_port: Option<u16>, found: &Found, older: Option<&Self>) -> Self {
        let mut builder = Builder { config, query_port, found, older, servers: Vec::new(), groups: Vec::new() };
        let resolv = found.nameservers.iter().map(|&ip| ServerSpec::plain(ip));
        let usual: Vec<ServerSpec> = config.usual_servers().cloned().chain(resolv).collect();
        let usual = builder.group(&usual);
        let domains = config.servers_by_domain().map(|targets: Targets| match &*targets.servers {
            _ if targets.usual => Domain::Usual,
            _ if !targets.stubs.is_empty() => Domain::Iterate,
            [] => Domain::LocalOnly,
            specs => Domain::Group(builder.group(specs)),
        });
        let no_servers = !config.names_servers() && usual.servers.is_empty();
        let usual_iterates = config.iterating.recursive.is_some() || no_servers;
        let has_stubs = !config.stub_zones().is_empty();
        Self { usual, usual_iterates, has_stubs, domains, groups: builder.groups, domains_of: domains_of(config) }
    }

    /// Who is asked about a name and a type. Allocates nothing.
    pub(super) fn route(&self, qname_wire: &[u8], qtype: RecordType) -> Route<'_> {
        // The DS of a domain that is excepted from one above is the public tree's, as the domain is.
        if qtype == RecordType::DS && self.is_excepted(qname_wire) {
            return self.usual_route();
        }
        match self.domains.find_question(qname_wire, qtype).map(|found| found.value) {
            Some(Domain::LocalOnly) => Route::LocalOnly,
            Some(Domain::Iterate) => Route::Iterate,
            Some(Domain::Group(group)) => Route::Group(group),
            Some(Domain::Usual) | None => self.usual_route(),
        }
    }

    fn usual_route(&self) -> Route<'_> {
        if self.usual_iterates { Route::Iterate } else { Route::Group(&self.usual) }
    }

    /// Whether any name is resolved from the root, or from a stub zone down.
    pub(super) fn iterates(&self) -> bool {
        self.usual_iterates || self.has_stubs
    }

    /// Whether a line gives the usual servers to this very domain.
    fn is_excepted(&self, qname_wire: &[u8]) -> bool {
        let found = self.domains.find(qname_wire).filter(|found| matches!(found.value, Domain::Usual));
        found.is_some_and(|found| Some(found.labels) == Name::from_wire(qname_wire).ok().map(|name| name.label_count()))
    }

    /// The labels of the domain of this name that a line of the configuration names.
    pub(super) fn own_line(&self, qname_wire: &[u8], qtype: RecordType) -> Option<usize> {
        self.domains.find_question(qname_wire, qtype).map(|found| found.labels)
    }

    /// Every server once.
    pub(super) fn servers(&self) -> Vec<Arc<Server>> {
        let mut servers: Vec<Arc<Server>> = Vec::new();
        for server in self.groups.iter().flat_map(|group| &group.servers) {
            if !servers.iter().any(|known| Arc::ptr_eq(known, server)) {
                servers.push(Arc::clone(server));
            }
        }
        servers
    }

    pub(super) fn reports(&self, now_ms: u64) -> Vec<ServerReport> {
        let domains = |server: &Server| self.domains_of.get(&server.spec).cloned().unwrap_or_default();
        self.servers().iter().map(|server| server.report(domains(server), now_ms)).collect()
    }
}

/// Puts groups together, each set of servers once.
struct Builder<'a> {
    config: &'a UpstreamConfig,
    query_port: Option<u16>,
    found: &'a Found,
    older: Option<&'a Table>,
    servers: Vec<Arc<Server>>,
    groups: Vec<Arc<Group>>,
}

impl Builder<'_> {
    /// The group of these servers.
    fn group(&mut self, specs: &[ServerSpec]) -> Arc<Group> {
        let mut servers: Vec<Arc<Server>> = Vec::new();
        for spec in specs {
            for address in self.addresses(spec) {
                let server = self.server(spec, address);
                if !servers.iter().any(|known| Arc::ptr_eq(known, &server)) {
                    servers.push(server);
                }
            }
        }
        let same = |group: &Group| {
            group.servers.len() == servers.len() && group.servers.iter().zip(&servers).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        // The usual servers, which come first, stay by themselves: their group has no domain.
        if let Some(known) = self.groups.iter().skip(1).find(|group| same(group)) {
            return Arc::clone(known);
        }
        let group = Group::new(servers);
        for older in self.older.iter().flat_map(|older| &older.groups) {
            group.remember(older);
        }
        let group = Arc::new(group);
        self.groups.push(Arc::clone(&group));
        group
    }

    /// One server at one address: as it is known already, or new.
    fn server(&mut self, spec: &ServerSpec, address: SocketAddr) -> Arc<Server> {
        let same = |server: &&Arc<Server>| server.spec == *spec && server.address == address;
        if let Some(known) = self.servers.iter().find(same) {
            return Arc::clone(known);
        }
        let older = self.older.map(Table::servers).unwrap_or_default();
        let way = Way::new(spec, self.query_port, self.config);
        let server = match older.iter().find(same).filter(|older| older.way.is_like(&way)) {
            Some(older) => {
                // A change may have ended the loop; the next probe says if it has not.
                older.set_looping(false);
                Arc::clone(older)
            }
            None => Arc::new(Server::new(spec.clone(), address, way)),
        };
        self.servers.push(Arc::clone(&server));
        server
    }

    /// Where a server is; nowhere while its name is not resolved. Our own addresses are no servers.
    fn addresses(&self, spec: &ServerSpec) -> Vec<SocketAddr> {
        let addresses: Vec<SocketAddr> = match &spec.host {
            ServerHost::Address { ip, scope } => vec![scoped(*ip, spec.port, scope.as_deref())],
            ServerHost::Name(name) => {
                let known = self.found.addresses.get(name).into_iter().flatten();
                known.take(ADDRESSES_PER_NAME_MAX).map(|&ip| (ip, spec.port).into()).collect()
            }
        };
        let fits = |address: &SocketAddr| match spec.source {
            Some((source, _)) => source.is_ipv4() == address.is_ipv4(),
            None => true,
        };
        let foreign = |address: &SocketAddr| {
            let own = self.found.own.contains(address);
            if own {
                warn!(server = %address, "ignored: we listen there ourselves");
            }
            !own
        };
        addresses.into_iter().filter(fits).filter(foreign).collect()
    }
}

/// A socket address, with the number of its interface if it needs one.
fn scoped(ip: IpAddr, port: u16, scope: Option<&str>) -> SocketAddr {
    match (ip, scope) {
        (IpAddr::V6(ip), Some(scope)) => {
            let number = if_nametoindex(scope).unwrap_or_else(|error| {
                warn!(server = %ip, interface = scope, %error, "no such interface; the server cannot be reached");
                0
            });
            SocketAddrV6::new(ip, port, 0, number).into()
        }
        _ => (ip, port).into(),
    }
}

/// Domains of each server that has some.
fn domains_of(config: &UpstreamConfig) -> HashMap<ServerSpec, Vec<String>> {
    let mut domains: HashMap<ServerSpec, Vec<String>> = HashMap::new();
    for (spec, domain) in config.domains_and_servers() {
        domains.entry(spec.clone()).or_default().push(domain.to_string());
    }
    domains
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    fn config(options: &[&str]) -> UpstreamConfig {
        let options: Vec<String> = options.iter().map(|option| format!("--{option}")).collect();
        load(&[&["--no-resolv".to_owned(), "--xdp=off".to_owned()][..], &options].concat()).unwrap().upstream
    }

    fn table(config: &UpstreamConfig) -> Table {
        Table::new(config, None, &Found::default(), None)
    }

    /// The servers' last numbers, or that there are none.
    fn route(table: &Table, qname: &str, qtype: RecordType) -> String {
        match table.route(qname.parse::<Name>().unwrap().wire(), qtype) {
            Route::LocalOnly => "local".to_owned(),
            Route::Iterate => "root".to_owned(),
            Route::Group(group) => {
                let numbers = group.servers.iter().map(|server| match server.address.ip() {
                    IpAddr::V4(ip) => ip.octets()[3].to_string(),
                    IpAddr::V6(ip) => ip.to_string(),
                });
                numbers.collect::<Vec<_>>().join(" ")
            }
        }
    }

    #[test]
    fn names_go_to_the_servers_of_the_longest_domain() {
        let table = table(&config(&[
            "server=192.0.2.1",
            "server=192.0.2.2",
            "server=/corp.example/192.0.2.3",
            "server=/corp.example/192.0.2.4",
            "server=/public.corp.example/#",
            "local=/lan/",
            "server=/printer.lan/192.0.2.5",
            "server=//192.0.2.6",
            "server=/*foo.example/192.0.2.7",
            "rev-server=10.20.30.0/23,192.0.2.8",
            "server=/both/",
            "server=/both/192.0.2.9",
        ]));
        for (qname, servers) in [
            ("example", "6"),
            ("www.example", "1 2"),
            ("corp.example", "3 4"),
            ("a.b.CORP.example", "3 4"),
            ("www.public.corp.example", "1 2"),
            ("nas.lan", "local"),
            ("lan", "local"),
            ("a.printer.lan", "5"),
            ("nas", "6"),
            (".", "1 2"),
            ("barfoo.example", "7"),
            ("1.31.20.10.in-addr.arpa", "8"),
            ("1.32.20.10.in-addr.arpa", "1 2"),
            ("x.both", "9"),
        ] {
            assert_eq!(route(&table, qname, RecordType::A), servers, "{qname}");
        }
        // DS belongs to the parent.
        assert_eq!(route(&table, "corp.example", RecordType::DS), "1 2");
        assert_eq!(route(&table, "example", RecordType::DNSKEY), "1 2");
        assert_eq!(route(&table, "a.corp.example", RecordType::DS), "3 4");
        assert_eq!(route(&table, "com", RecordType::DS), "1 2");
        assert_eq!(route(&table, ".", RecordType::DS), "1 2");
        assert_eq!(route(&table, "corp.example", RecordType::DNSKEY), "3 4");
    }

    #[test]
    fn names_are_resolved_from_the_root_where_nobody_is_named_for_them() {
        let of = |options: &[&str], qname: &str| route(&table(&config(options)), qname, RecordType::A);
        assert_eq!(of(&[], "example"), "root");
        assert_eq!(of(&["local=/lan/"], "example"), "root");
        assert_eq!(of(&["server=192.0.2.1"], "example"), "1");
        assert_eq!(of(&["server=/lan/192.0.2.1"], "example"), "", "as with dnsmasq, there is nobody to ask");
        let mixed = ["recursive", "server=/lan/192.0.2.1", "stub=/corp.lan/192.0.2.2", "local=/none/"];
        for (qname, expected) in [("example", "root"), ("x.lan", "1"), ("x.corp.lan", "root"), ("x.none", "local")] {
            assert_eq!(of(&mixed, qname), expected, "{qname}");
        }
        let stub = ["server=192.0.2.1", "stub=/corp.lan/192.0.2.2"];
        assert_eq!((of(&stub, "corp.lan").as_str(), of(&stub, "lan").as_str()), ("root", "1"));
        let ds_of_stub = route(&table(&config(&stub)), "corp.lan", RecordType::DS);
        assert_eq!(ds_of_stub, "1", "the parent knows the DS");
        let found = Found { nameservers: vec!["192.0.2.9".parse().unwrap()], ..Found::default() };
        let with_file = Table::new(&config(&[]), None, &found, None);
        assert_eq!(route(&with_file, "example", RecordType::A), "9", "of resolv.conf");
    }

    #[test]
    fn a_server_of_two_domains_is_one_server_of_one_group() {
        let table = table(&config(&["server=/a/b/192.0.2.1", "server=/c/192.0.2.1", "server=192.0.2.1"]));
        assert_eq!((table.groups.len(), table.servers().len()), (2, 1));
        assert_eq!(table.reports(1)[0].domains, ["a", "b", "c"]);
    }

    #[test]
    fn what_is_known_of_a_server_survives_a_change_of_others() {
        let first = table(&config(&["server=192.0.2.1", "server=/a/192.0.2.2"]));
        for server in first.servers() {
            server.sent.add_one();
        }
        let change = |options: &[&str]| {
            let second = Table::new(&config(options), None, &Found::default(), Some(&first));
            second.reports(1).iter().map(|report| report.sent).collect::<Vec<_>>()
        };
        assert_eq!(change(&["server=192.0.2.3", "server=192.0.2.1", "server=/b/192.0.2.2"]), [0, 1, 1]);
        assert_eq!(change(&["server=192.0.2.1#54", "max-port=2000"]), [0], "another port is another server");
        assert_eq!(change(&["server=192.0.2.1", "max-port=2000"]), [0], "the way to it is another one");
    }

    #[test]
    fn host_names_and_resolv_conf_are_filled_in_and_our_own_addresses_left_out() {
        let config = config(&["server=dns.example", "server=192.0.2.1#5353"]);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let addresses = HashMap::from([("dns.example".to_owned(), vec![ip("192.0.2.7"), ip("::7")])]);
        let own = vec!["127.0.0.1:53".parse().unwrap()];
        let found = Found { nameservers: vec![ip("192.0.2.8"), ip("127.0.0.1")], addresses, own };
        let table = Table::new(&config, None, &found, None);
        assert_eq!(route(&table, "x.y", RecordType::A), "7 ::7 1 8");
    }
}
