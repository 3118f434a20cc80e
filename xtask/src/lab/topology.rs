//! Namespaces, veth pairs and addresses: client ↔ resolver ↔ servers. Nothing of it is connected to the machine's network.
//!
//! Interfaces are made inside their namespaces, so their names touch nobody else's. XDP_TX on a veth reaches the other
//! end only while that end has an XDP program itself: GRO alone lets frames be queued but not delivered at once
//! (`veth_xdp_flush`). So the client's end carries [`super::pass_program`].

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use super::{
    facts::{Interface, Namespace},
    pass_program,
    zones::Server,
};
use crate::command::{Failure, Tool, write};

/// Last numbers of the addresses of a server in the servers' namespace. Those of the tree have two, so that one can be dead.
pub const fn hosts_of(server: Server) -> &'static [u8] {
    match server {
        Server::Root => &[10, 13],
        Server::Test => &[11, 14],
        Server::Example => &[12, 15],
        Server::Bind => &[20, 21],
        Server::Zoo => &[30],
        Server::ZooNsd => &[31],
    }
}

/// Last numbers of the addresses of the two recursive servers. Two, so that fail-over can be tested.
pub const UPSTREAM_HOSTS: [u8; 2] = [53, 54];

/// Validators that ours is compared with, and the last numbers of their addresses.
pub const PEERS: [(&str, u8); 3] = [("peer-unbound", 61), ("peer-bind", 62), ("peer-knot", 63)];

/// Last numbers of the addresses of [`PEERS`].
pub const PEER_HOSTS: [u8; 3] = [PEERS[0].1, PEERS[1].1, PEERS[2].1];

/// Last numbers of the addresses of the server of private zones, and of dnsmasq beside it.
pub const SPLIT_HOSTS: [u8; 2] = [71, 72];

/// IPv4 address of a server.
pub const fn auth_ipv4(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 53, 1, host)
}

/// IPv6 address of a server; its last group is spelled with the same digits.
pub fn auth_ipv6(host: u8) -> Ipv6Addr {
    let digits = u16::from(host / 100) << 8 | u16::from(host / 10 % 10) << 4 | u16::from(host % 10);
    Ipv6Addr::new(0xfd53, 0, 0, 1, 0, 0, 0, digits)
}

/// First part of every name, so that nothing else is touched.
pub fn prefix() -> String {
    std::env::var(PREFIX_VARIABLE).unwrap_or_else(|_| "rlab".to_owned())
}

/// The three namespaces, in the order client, resolver, servers.
pub fn namespaces() -> [Namespace; 3] {
    let prefix = prefix();
    let named = |word: &str, interfaces: Vec<Interface>| {
        let name = format!("{prefix}-{word}");
        Namespace { path: format!("{NAMESPACE_FOLDER}/{name}"), name, interfaces }
    };
    let end = |word: &str, number: u8, link: u8, host: u8| Interface {
        name: format!("{prefix}-{word}"),
        mac: format!("02:53:00:00:00:{number:02x}"),
        ipv4: Ipv4Addr::new(10, 53, link, host),
        ipv6: Ipv6Addr::new(0xfd53, 0, 0, link.into(), 0, 0, 0, host.into()),
        link_local: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number.into()),
    };
    [
        named("client", vec![end("c0", 1, 0, 2)]),
        named("resolver", vec![end("r0", 2, 0, 1), end("r1", 3, 1, 1)]),
        named("auth", vec![end("a0", 4, 1, 2)]),
    ]
}

/// Makes namespaces, interfaces, addresses and routes.
pub fn raise(checksum_offload: bool) -> Result<(), Failure> {
    let [client, resolver, auth] = &namespaces();
    for namespace in [client, resolver, auth] {
        ip(&["netns", "add", &namespace.name])?;
        ip(&["-n", &namespace.name, "link", "set", "lo", "up"])?;
    }
    let ([c0], [r0, r1], [a0]) = (&client.interfaces[..], &resolver.interfaces[..], &auth.interfaces[..]) else {
        return Ok(());
    };
    join((client, c0), (resolver, r0))?;
    join((resolver, r1), (auth, a0))?;
    for host in all_auth_hosts() {
        add_address(auth, a0, &format!("{}/24", auth_ipv4(host)))?;
        add_address(auth, a0, &format!("{}/64", auth_ipv6(host)))?;
    }
    // The resolver is a gateway, so that DNS which is merely forwarded can be seen to pass untouched.
    sysctl(resolver, "net.ipv4.ip_forward=1")?;
    sysctl(resolver, "net.ipv6.conf.all.forwarding=1")?;
    for (namespace, gateway) in [(client, r0), (auth, r1)] {
        ip(&["-n", &namespace.name, "route", "add", "default", "via", &gateway.ipv4.to_string()])?;
        ip(&["-n", &namespace.name, "-6", "route", "add", "default", "via", &gateway.ipv6.to_string()])?;
    }
    set_checksum_offload(checksum_offload)?;
    attach_pass_program(client, c0)
}

/// Sets whether the ends between client and resolver leave checksums to the other end, as local packets do by default.
pub fn set_checksum_offload(on: bool) -> Result<(), Failure> {
    let [client, resolver, _] = &namespaces();
    for namespace in [client, resolver] {
        if let Some(end) = namespace.interfaces.first() {
            inside(namespace).args(["ethtool", "-K", &end.name, "tx", if on { "on" } else { "off" }]).output()?;
        }
    }
    Ok(())
}

/// Removes the namespaces, and with them interfaces, addresses and attached programs.
pub fn remove() -> Result<(), Failure> {
    for namespace in namespaces() {
        if exists(&namespace) {
            ip(&["netns", "del", &namespace.name])?;
        }
    }
    Ok(())
}

/// Whether a namespace of this name exists.
pub fn exists(namespace: &Namespace) -> bool {
    PathBuf::from(&namespace.path).exists()
}

/// A command inside a namespace. Choice: nsenter and not `ip netns exec`, which mounts a fresh /sys without bpffs.
pub fn inside(namespace: &Namespace) -> Tool {
    Tool::new("nsenter").arg(format!("--net={}", namespace.path))
}

/// Last numbers of all addresses of the servers' namespace.
fn all_auth_hosts() -> Vec<u8> {
    let authoritative =
        [Server::Root, Server::Test, Server::Example, Server::Bind, Server::Zoo, Server::ZooNsd].map(hosts_of).concat();
    [authoritative, UPSTREAM_HOSTS.to_vec(), PEER_HOSTS.to_vec(), SPLIT_HOSTS.to_vec()].concat()
}

/// Joins two namespaces by a veth pair and gives each end its addresses.
fn join(one: (&Namespace, &Interface), other: (&Namespace, &Interface)) -> Result<(), Failure> {
    let (this, peer) = (one.1, other.1);
    let pair = [["link", "add", "name"].as_slice(), &[&this.name, "address", &this.mac, "netns", &one.0.name]].concat();
    let peer_end = ["type", "veth", "peer", "name", &peer.name, "address", &peer.mac, "netns", &other.0.name];
    ip(&[pair.as_slice(), &peer_end].concat())?;
    for (namespace, end) in [one, other] {
        // The kernel's own link-local address would be unusable for a second. One has to be there, though: a router
        // asks for the next hop's hardware address from it.
        ip(&["-n", &namespace.name, "link", "set", &end.name, "addrgenmode", "none", "up"])?;
        add_address(namespace, end, &format!("{}/24", end.ipv4))?;
        add_address(namespace, end, &format!("{}/64", end.ipv6))?;
        add_address(namespace, end, &format!("{}/64", end.link_local))?;
    }
    Ok(())
}

/// Adds an address that is usable at once.
fn add_address(namespace: &Namespace, end: &Interface, address: &str) -> Result<(), Failure> {
    let words = ["-n", &namespace.name, "address", "add", address, "dev", &end.name];
    // Duplicate address detection is IPv6's alone.
    let nodad: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
    ip(&[&words, nodad].concat())
}

/// Attaches the program that lets everything pass.
fn attach_pass_program(namespace: &Namespace, end: &Interface) -> Result<(), Failure> {
    let object = crate::paths::lab().join("pass.o");
    write(&object, pass_program::object())?;
    let words = ["ip", "link", "set", "dev", &end.name, "xdpdrv", "obj"];
    inside(namespace).args(words).arg(object).args(["sec", pass_program::SECTION]).run()
}

/// Sets a kernel variable of a namespace.
fn sysctl(namespace: &Namespace, assignment: &str) -> Result<(), Failure> {
    inside(namespace).args(["sysctl", "--quiet", "--write", assignment]).run()
}

/// Runs iproute2.
fn ip(words: &[&str]) -> Result<(), Failure> {
    Tool::new("ip").args(words).run()
}

/// Variable that renames the lab, so that two checkouts can have one each.
pub const PREFIX_VARIABLE: &str = "RLAB_PREFIX";

/// Where iproute2 keeps named namespaces.
const NAMESPACE_FOLDER: &str = "/var/run/netns";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_addresses_of_a_server_show_the_same_digits() {
        assert_eq!(auth_ipv4(53).to_string(), "10.53.1.53");
        assert_eq!(auth_ipv6(53).to_string(), "fd53:0:0:1::53");
        assert_eq!(auth_ipv6(120).to_string(), "fd53:0:0:1::120");
    }
}
