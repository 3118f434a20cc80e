//! Which addresses to listen on. Each is bound by itself, so that an answer leaves from the address that was asked.
//!
//! In: what the operator wants ([`Listen`]), and what the machine has now ([`Machine`]). Out: socket addresses.
//! Differs: by default dnsmasq binds the wildcard address and drops what came to another one than it should serve.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;

use super::ListenError;
use crate::access::Network;

/// Where the operator wants us to listen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listen {
    /// Addresses by number.
    pub addresses: Vec<IpAddr>,
    /// All addresses of these interfaces, and the loopback ones with them: names, or beginnings of names with a final `*`.
    pub interfaces: Vec<String>,
    /// Not those of these interfaces, unless they are among `addresses`.
    pub except: Vec<String>,
    /// Loopback alone.
    pub loopback_only: bool,
    /// Port: 1..=65 535.
    pub port: u16,
}

/// The machine's interfaces and addresses at one moment.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// Interfaces by name, and whether they are loopback.
    interfaces: BTreeMap<String, bool>,
    carried: Vec<Carried>,
}

/// An address that an interface carries.
#[derive(Clone, Debug)]
struct Carried {
    interface: String,
    /// Without a port.
    address: SocketAddr,
    /// The network that it is attached to by this address.
    network: Option<Network>,
    loopback: bool,
}

impl Listen {
    /// The socket addresses to bind, sorted, without doubles.
    ///
    /// Neither interfaces nor addresses given: all addresses of all interfaces. Interfaces given: theirs and the loopback
    /// ones. Addresses given: these, whether there yet or not. All as dnsmasq has it.
    pub fn wanted(&self, machine: &Machine) -> Vec<SocketAddr> {
        let carried = machine.carried.iter().filter(|carried| self.wants(carried));
        let mut wanted: Vec<SocketAddr> = carried.map(|carried| with_port(carried.address, self.port)).collect();
        let is_known = |address: &IpAddr| machine.carried.iter().any(|carried| carried.address.ip() == *address);
        // Other addresses may be local too: all of 127.0.0.0/8 is, and what a local route says. The kernel knows.
        // An IPv6 link-local address means nothing before there is an interface for it.
        let elsewhere = self.addresses.iter().filter(|address| !is_known(address) && !is_link_local(address));
        wanted.extend(elsewhere.map(|&address| SocketAddr::new(address, self.port)));
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    /// Fails if an interface or address that is named is not there.
    ///
    /// # Errors
    /// The first that is missing. Addresses that no interface carries are left to the kernel.
    pub fn demand(&self, machine: &Machine) -> Result<(), ListenError> {
        let has_address = |pattern: &&String| machine.carried.iter().any(|carried| fits(pattern, &carried.interface));
        match self.interfaces.iter().find(|pattern| !has_address(pattern)) {
            Some(interface) => Err(ListenError::Interface { interface: interface.clone() }),
            None => Ok(()),
        }
    }

    /// Names of interfaces that are not there, or have no address.
    pub fn missing<'l>(&'l self, machine: &'l Machine) -> impl Iterator<Item = &'l str> {
        let missing = |pattern: &&String| !machine.carried.iter().any(|carried| fits(pattern, &carried.interface));
        self.interfaces.iter().filter(missing).map(String::as_str)
    }

    /// The interfaces on which XDP should answer when none are named: those of `interface=`, with an address or not yet, and
    /// those that carry an address to listen on. Choice: never loopback, where the daemon is as near as XDP.
    pub fn xdp_interfaces(&self, machine: &Machine) -> Vec<String> {
        let carries =
            |name: &String| machine.carried.iter().any(|carried| carried.interface == *name && self.wants(carried));
        let is_wanted =
            |name: &String| carries(name) || !self.interfaces.is_empty() && self.wants_interface(name, false);
        let others = machine.interfaces.iter().filter(|(_, loopback)| !**loopback).map(|(name, _)| name);
        others.filter(|name| is_wanted(name)).cloned().collect()
    }

    /// Whether anything but loopback may ever be listened on.
    pub fn reaches_out(&self) -> bool {
        let is_told_where = !(self.addresses.is_empty() && self.interfaces.is_empty());
        let names_others = !self.interfaces.is_empty() || self.addresses.iter().any(|address| !address.is_loopback());
        !self.loopback_only && (names_others || !is_told_where)
    }

    fn wants(&self, carried: &Carried) -> bool {
        self.addresses.contains(&carried.address.ip()) || self.wants_interface(&carried.interface, carried.loopback)
    }

    /// Whether all addresses of an interface are wanted.
    fn wants_interface(&self, name: &str, loopback: bool) -> bool {
        let is_one_of = |patterns: &[String]| patterns.iter().any(|pattern| fits(pattern, name));
        let is_chosen = if self.loopback_only {
            loopback
        } else if self.interfaces.is_empty() {
            self.addresses.is_empty()
        } else {
            loopback || is_one_of(&self.interfaces)
        };
        is_chosen && !is_one_of(&self.except)
    }
}

impl Machine {
    /// Looks at the machine.
    ///
    /// # Errors
    /// The system did not list its interfaces.
    pub fn look() -> Result<Self, ListenError> {
        let list = getifaddrs().map_err(|errno| ListenError::List { source: io::Error::from(errno) })?;
        let mut machine = Self::default();
        for entry in list {
            let loopback = entry.flags.contains(InterfaceFlags::IFF_LOOPBACK);
            // An address may be listed under a label of its own, `eth0:1`.
            let name = entry.interface_name.split(':').next().unwrap_or_default();
            machine.interfaces.insert(name.to_owned(), loopback);
            machine.carried.extend(carried(&entry, name, loopback));
        }
        Ok(machine)
    }

    /// Whether an interface carries an address.
    pub fn carries(&self, address: IpAddr) -> bool {
        self.carried.iter().any(|carried| carried.address.ip() == address)
    }

    /// The networks that the machine is attached to, sorted, without doubles.
    pub fn networks(&self) -> Vec<Network> {
        let mut networks: Vec<Network> = self.carried.iter().filter_map(|carried| carried.network).collect();
        networks.sort_unstable();
        networks.dedup();
        networks
    }
}

/// The address of an entry, if it has one.
fn carried(entry: &InterfaceAddress, name: &str, loopback: bool) -> Option<Carried> {
    let address = ip_address(entry.address.as_ref()?)?;
    let mask = entry.netmask.as_ref().and_then(ip_address).map(|mask| match mask.ip() {
        IpAddr::V4(v4) => v4.to_bits().count_ones(),
        IpAddr::V6(v6) => v6.to_bits().count_ones(),
    });
    let network = mask.and_then(|len| Network::of(address.ip(), u8::try_from(len).ok()?));
    Some(Carried { interface: name.to_owned(), address, network, loopback })
}

fn ip_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::from((v4.ip(), 0)));
    let v6 = || {
        let v6 = address.as_sockaddr_in6()?;
        Some(SocketAddr::V6(SocketAddrV6::new(v6.ip(), 0, 0, v6.scope_id())))
    };
    v4.or_else(v6)
}

/// Whether a name fits a name, or a beginning with a final `*`.
fn fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |beginning| name.starts_with(beginning))
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// lo, eth0 and eth1 with addresses, and tun0 without one.
    fn machine() -> Machine {
        let carried = |interface: &str, network: &str, host: &str| Carried {
            interface: interface.to_owned(),
            address: (host.parse::<IpAddr>().unwrap(), 0).into(),
            network: Some(network.parse().unwrap()),
            loopback: interface == "lo",
        };
        Machine {
            interfaces: ["lo", "eth0", "eth1", "tun0"].map(|name| (name.to_owned(), name == "lo")).into(),
            carried: vec![
                carried("lo", "127.0.0.0/8", "127.0.0.1"),
                carried("lo", "::1/128", "::1"),
                carried("eth0", "192.168.1.0/24", "192.168.1.1"),
                carried("eth1", "2001:db8::/64", "2001:db8::1"),
                carried("eth1", "192.168.1.0/24", "192.168.1.2"),
            ],
        }
    }

    fn listen(addresses: &[&str], interfaces: &[&str], except: &[&str]) -> Listen {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Listen {
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            interfaces: names(interfaces),
            except: names(except),
            loopback_only: false,
            port: 53,
        }
    }

    fn check(listen: &Listen, expected: &[&str], xdp: &[&str]) {
        let wanted: Vec<String> = listen.wanted(&machine()).iter().map(|address| address.ip().to_string()).collect();
        assert_eq!(wanted, expected, "{listen:?}");
        assert_eq!(listen.xdp_interfaces(&machine()), xdp, "{listen:?}");
        assert!(listen.wanted(&machine()).iter().all(|address| address.port() == 53));
    }

    #[test]
    fn interfaces_bring_loopback_and_addresses_do_not() {
        check(
            &listen(&[], &[], &[]),
            &["127.0.0.1", "192.168.1.1", "192.168.1.2", "::1", "2001:db8::1"],
            &["eth0", "eth1"],
        );
        check(&listen(&[], &["eth0"], &[]), &["127.0.0.1", "192.168.1.1", "::1"], &["eth0"]);
        check(&listen(&["192.168.1.2"], &[], &[]), &["192.168.1.2"], &["eth1"]);
        check(
            &listen(&["192.168.1.2"], &["eth0"], &[]),
            &["127.0.0.1", "192.168.1.1", "192.168.1.2", "::1"],
            &["eth0", "eth1"],
        );
        check(&Listen { loopback_only: true, ..listen(&[], &[], &[]) }, &["127.0.0.1", "::1"], &[]);
    }

    #[test]
    fn a_final_star_stands_for_any_end_of_a_name() {
        let everything = ["127.0.0.1", "192.168.1.1", "192.168.1.2", "::1", "2001:db8::1"];
        check(&listen(&[], &["eth*"], &[]), &everything, &["eth0", "eth1"]);
        check(&listen(&[], &["*"], &[]), &everything, &["eth0", "eth1", "tun0"]);
        check(&listen(&[], &["tun*"], &[]), &["127.0.0.1", "::1"], &["tun0"]);
    }

    #[test]
    fn exceptions_override_interfaces_but_not_addresses() {
        check(&listen(&[], &[], &["eth1"]), &["127.0.0.1", "192.168.1.1", "::1"], &["eth0"]);
        check(&listen(&[], &["eth*"], &["eth0", "lo"]), &["192.168.1.2", "2001:db8::1"], &["eth1"]);
        check(&listen(&["192.168.1.1"], &["eth*"], &["eth*"]), &["127.0.0.1", "192.168.1.1", "::1"], &["eth0"]);
    }

    #[test]
    fn addresses_are_wanted_before_they_are_there_unless_only_an_interface_gives_them_a_meaning() {
        check(&listen(&["192.0.2.1", "fe80::1", "127.0.0.53"], &[], &[]), &["127.0.0.53", "192.0.2.1"], &[]);
    }

    #[test]
    fn what_is_named_and_missing_is_told() {
        let named = listen(&["192.0.2.1"], &["eth*", "tun0", "wlan*"], &[]);
        assert_eq!(named.missing(&machine()).collect::<Vec<_>>(), ["tun0", "wlan*"]);
        assert!(matches!(named.demand(&machine()), Err(ListenError::Interface { interface }) if interface == "tun0"));
        assert!(listen(&[], &["eth1"], &[]).demand(&machine()).is_ok());
    }

    #[test]
    fn this_machine_has_loopback_and_is_attached_to_its_networks() {
        let machine = Machine::look().unwrap();
        assert_eq!(machine.interfaces.get("lo"), Some(&true));
        assert!(machine.carries([127, 0, 0, 1].into()) && !machine.carries([192, 0, 2, 1].into()));
        assert!(machine.networks().contains(&"127.0.0.0/8".parse().unwrap()));
    }
}
