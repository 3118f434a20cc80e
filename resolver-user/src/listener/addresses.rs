//! Which addresses to listen on. Each is bound by itself, so that an answer leaves from the address that was asked.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use super::ListenError;

/// Where the operator wants us to listen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listen {
    /// Addresses by number.
    pub addresses: Vec<IpAddr>,
    /// All addresses of these interfaces, and the loopback ones with them.
    pub interfaces: Vec<String>,
    /// Port: 1..=65 535.
    pub port: u16,
}

/// An address that an interface carries.
#[derive(Clone, Debug)]
struct Carried {
    interface: String,
    address: SocketAddr,
    loopback: bool,
}

/// The socket addresses to bind, sorted, without doubles. Neither interfaces nor addresses given: all addresses of all
/// interfaces. Interfaces given: theirs and the loopback ones (dnsmasq does the same). Addresses given: these.
///
/// # Errors
/// An interface that does not exist or has no address.
pub fn listen_addresses(listen: &Listen) -> Result<Vec<SocketAddr>, ListenError> {
    let carried = carried()?;
    let with_port = |mut address: SocketAddr| {
        address.set_port(listen.port);
        address
    };
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for &address in &listen.addresses {
        // An IPv6 link-local address means nothing without its interface.
        let known = carried.iter().find(|carried| carried.address.ip() == address);
        addresses.push(known.map_or_else(|| (address, listen.port).into(), |carried| with_port(carried.address)));
    }
    for interface in &listen.interfaces {
        let of_interface: Vec<_> = carried.iter().filter(|carried| carried.interface == *interface).collect();
        if of_interface.is_empty() {
            return Err(ListenError::Interface { interface: interface.clone() });
        }
        addresses.extend(of_interface.iter().map(|carried| with_port(carried.address)));
    }
    if !listen.interfaces.is_empty() {
        addresses.extend(carried.iter().filter(|carried| carried.loopback).map(|carried| with_port(carried.address)));
    } else if listen.addresses.is_empty() {
        addresses.extend(carried.iter().map(|carried| with_port(carried.address)));
    }
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// The interfaces on which XDP should answer when none are named: those of `interface=`, else those that carry a listening
/// address. Choice: never loopback, where the daemon is as near as XDP.
///
/// # Errors
/// The system did not list the interfaces.
pub fn xdp_interfaces(listen: &Listen, addresses: &[SocketAddr]) -> Result<Vec<String>, ListenError> {
    if !listen.interfaces.is_empty() {
        return Ok(listen.interfaces.clone());
    }
    let listening = |carried: &Carried| addresses.iter().any(|address| address.ip() == carried.address.ip());
    let carrying = carried()?.into_iter().filter(|carried| !carried.loopback && listening(carried));
    let mut interfaces: Vec<String> = carrying.map(|carried| carried.interface).collect();
    interfaces.sort_unstable();
    interfaces.dedup();
    Ok(interfaces)
}

fn carried() -> Result<Vec<Carried>, ListenError> {
    let list = getifaddrs().map_err(|errno| ListenError::List { source: io::Error::from(errno) })?;
    let read = list.filter_map(|entry| {
        let address = entry.address?;
        let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::from((v4.ip(), 0)));
        let v6 = || {
            let v6 = address.as_sockaddr_in6()?;
            Some(SocketAddr::V6(SocketAddrV6::new(v6.ip(), 0, 0, v6.scope_id())))
        };
        let loopback = entry.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        Some(Carried { interface: entry.interface_name, address: v4.or_else(v6)?, loopback })
    });
    Ok(read.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_addresses_are_taken_alone_and_interfaces_bring_loopback() {
        let localhost = IpAddr::from([127, 0, 0, 1]);
        let by_address = Listen { addresses: vec![localhost, localhost], interfaces: Vec::new(), port: 53 };
        assert_eq!(listen_addresses(&by_address).unwrap(), [SocketAddr::from((localhost, 53))]);
        let by_interface = Listen { addresses: Vec::new(), interfaces: vec!["lo".into()], port: 53 };
        assert!(listen_addresses(&by_interface).unwrap().contains(&(localhost, 53).into()));
        let everywhere = Listen { port: 5353, ..Listen::default() };
        assert!(listen_addresses(&everywhere).unwrap().contains(&(localhost, 5353).into()));
        let nowhere = Listen { interfaces: vec!["no-such-if".into()], ..by_address };
        assert!(
            matches!(listen_addresses(&nowhere), Err(ListenError::Interface { interface }) if interface == "no-such-if")
        );
    }
}
