//! Where XDP can answer at all, and what to do where it cannot.
//!
//! In: the interfaces and one of them. Out: nothing, or why not. Looks at nothing itself.

use thiserror::Error;

use super::{Interface, Interfaces};

/// Why XDP cannot answer on an interface, whatever the mode.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    /// Its frames begin with something else than an Ethernet header, or with nothing.
    #[error("its packets have no Ethernet header (tun, WireGuard, PPP and their like): the daemon answers there")]
    NoEthernet,
    /// It is a port of a bridge that tells VLANs apart.
    #[error("it is a port of {bridge}, which filters VLANs: an answer could reach another VLAN; attach to {bridge}")]
    PortOfVlanFilter {
        /// Name of the bridge.
        bridge: String,
    },
    /// Packets do not come in by it.
    #[error("no packet comes in by an interface of kind {kind}: attach to those by which clients come")]
    NothingComes {
        /// As `ip link` calls it.
        kind: String,
    },
}

impl Interfaces {
    /// Whether XDP could answer on an interface.
    ///
    /// # Errors
    /// Why not.
    pub fn fit(&self, interface: &Interface) -> Result<(), Unfit> {
        if NOTHING_COMES.contains(&interface.kind.as_str()) {
            return Err(Unfit::NothingComes { kind: interface.kind.clone() });
        }
        if interface.link_type != ETHERNET && !interface.is_loopback() {
            return Err(Unfit::NoEthernet);
        }
        let bridge = interface.master.and_then(|master| self.by_index(master));
        match bridge.filter(|bridge| bridge.filters_vlans) {
            Some(bridge) => Err(Unfit::PortOfVlanFilter { bridge: bridge.name.clone() }),
            None => Ok(()),
        }
    }

    /// What an operator can do to have native XDP in place of generic on an interface of this kind; empty if nothing is known.
    pub fn native_instead(&self, interface: &Interface) -> String {
        let names = |interfaces: &mut dyn Iterator<Item = &Interface>| {
            interfaces.map(|interface| interface.name.as_str()).collect::<Vec<_>>().join(",")
        };
        let below = match interface.kind.as_str() {
            "bridge" if !interface.filters_vlans => names(&mut self.ports(interface.index)),
            "vlan" | "macvlan" | "macvtap" | "ipvlan" => {
                names(&mut interface.lower.and_then(|lower| self.by_index(lower)).into_iter())
            }
            "bond" | "team" => names(&mut self.ports(interface.index)),
            _ => String::new(),
        };
        if below.is_empty() { below } else { format!("; xdp-interface={below} may be native") }
    }
}

/// `ARPHRD_ETHER`
const ETHERNET: u16 = 1;
/// Kinds of interfaces that only send, or that packets pass under another name.
const NOTHING_COMES: [&str; 4] = ["dummy", "ifb", "nlmon", "vrf"];

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(index: u32, kind: &str, link_type: u16) -> Interface {
        Interface { index, name: format!("if{index}"), kind: kind.to_owned(), link_type, ..Interface::default() }
    }

    #[test]
    fn xdp_needs_ethernet_and_a_way_that_packets_come() {
        let bridge = Interface { filters_vlans: true, ..interface(8, "bridge", ETHERNET) };
        let interfaces = Interfaces(vec![bridge.clone(), interface(9, "bridge", ETHERNET)]);
        let port = |master| Interface { master: Some(master), ..interface(3, "", ETHERNET) };
        let none = 0xfffe;
        for (fits, expected) in [
            (interface(2, "", ETHERNET), Ok(())),
            (interface(1, "", 772), Ok(())),
            (bridge, Ok(())),
            (port(9), Ok(())),
            (interface(2, "tun", ETHERNET), Ok(())),
            (interface(2, "tun", none), Err(Unfit::NoEthernet)),
            (interface(2, "wireguard", none), Err(Unfit::NoEthernet)),
            (interface(2, "", 512), Err(Unfit::NoEthernet)),
            (interface(2, "dummy", ETHERNET), Err(Unfit::NothingComes { kind: "dummy".to_owned() })),
            (port(8), Err(Unfit::PortOfVlanFilter { bridge: "if8".to_owned() })),
        ] {
            assert_eq!(interfaces.fit(&fits), expected, "{fits:?}");
        }
    }

    #[test]
    fn what_is_generic_only_leads_to_what_may_be_native() {
        let port = |index| Interface { master: Some(9), ..interface(index, "", ETHERNET) };
        let bridge = interface(9, "bridge", ETHERNET);
        let vlan = Interface { lower: Some(3), ..interface(5, "vlan", ETHERNET) };
        let interfaces = Interfaces(vec![bridge.clone(), port(3), port(4), vlan.clone()]);
        assert_eq!(interfaces.native_instead(&bridge), "; xdp-interface=if3,if4 may be native");
        assert_eq!(interfaces.native_instead(&vlan), "; xdp-interface=if3 may be native");
        assert_eq!(interfaces.native_instead(&interface(7, "tun", ETHERNET)), "");
    }
}
