//! Whether a network card takes VLAN tags off frames, as ethtool's netlink family says.
//!
//! In: the number of an interface. Out: yes or no, or that nobody knows.

use std::io;

use nix::sys::socket::SockProtocol;

use super::netlink::{self, Netlink, attribute, attributes, first, nested, text, written};

/// Whether tags of either type may be taken off the frames that an interface receives.
///
/// # Errors
/// The kernel does not say; it may be older than 5.6.
pub fn takes_off_vlan_tags(index: u32) -> io::Result<bool> {
    let netlink = Netlink::open(SockProtocol::NetlinkGeneric)?;
    let name = written(FAMILY_NAME, b"ethtool\0");
    let family = netlink.ask(CONTROL, netlink::ONE, &[&[GET_FAMILY, 1, 0, 0], &name[..]].concat())?;
    let family = family.first().and_then(|reply| attribute(reply.get(GENERIC_HEADER_LEN..)?, FAMILY_ID));
    let family = u16::from_ne_bytes(family.and_then(first).ok_or(io::ErrorKind::NotFound)?);
    let header = nested(HEADER, &written(HEADER_INDEX, &index.to_ne_bytes()));
    let replies = netlink.ask(family, netlink::ONE, &[&[GET_FEATURES, 1, 0, 0], &header[..]].concat())?;
    let reply = replies.first().and_then(|reply| reply.get(GENERIC_HEADER_LEN..)).ok_or(io::ErrorKind::InvalidData)?;
    active(reply)
        .map(|mut names| names.any(|name| TAKING_OFF.contains(&name.as_str())))
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Names of the features that are active.
fn active(reply: &[u8]) -> Option<impl Iterator<Item = String>> {
    let bits = attribute(attribute(reply, ACTIVE)?, BITS)?;
    Some(attributes(bits).filter_map(|(_, bit)| text(attribute(bit, BIT_NAME)?)))
}

/// The kernel's names of what takes tags off; ethtool also calls the first `rxvlan`.
const TAKING_OFF: [&str; 2] = ["rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"];
/// `GENL_ID_CTRL`
const CONTROL: u16 = 16;
/// `CTRL_CMD_GETFAMILY`
const GET_FAMILY: u8 = 3;
/// `CTRL_ATTR_FAMILY_ID`
const FAMILY_ID: u16 = 1;
/// `CTRL_ATTR_FAMILY_NAME`
const FAMILY_NAME: u16 = 2;
/// `struct genlmsghdr`
const GENERIC_HEADER_LEN: usize = 4;
/// `ETHTOOL_MSG_FEATURES_GET`
const GET_FEATURES: u8 = 11;
/// `ETHTOOL_A_FEATURES_HEADER`
const HEADER: u16 = 1;
/// `ETHTOOL_A_HEADER_DEV_INDEX`
const HEADER_INDEX: u16 = 1;
/// `ETHTOOL_A_FEATURES_ACTIVE`
const ACTIVE: u16 = 4;
/// `ETHTOOL_A_BITSET_BITS`
const BITS: u16 = 3;
/// `ETHTOOL_A_BITSET_BIT_NAME`
const BIT_NAME: u16 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_features_are_known_by_name() {
        let bit = |name: &str| nested(1, &[written(1, &[0; 4]), written(BIT_NAME, name.as_bytes())].concat());
        let bits = |names: &[&str]| nested(BITS, &names.iter().flat_map(|name| bit(name)).collect::<Vec<_>>());
        let wanted = nested(3, &bits(&["rx-vlan-hw-parse\0"]));
        let reply = [wanted, nested(ACTIVE, &[written(1, &[]), bits(&["rx-gro\0", "tx-vlan-hw-insert\0"])].concat())];
        assert_eq!(active(&reply.concat()).unwrap().collect::<Vec<_>>(), ["rx-gro", "tx-vlan-hw-insert"]);
        assert!(active(&[]).is_none());
    }

    #[test]
    fn the_kernel_knows_that_loopback_takes_no_tags_off() {
        // Loopback has a fixed number, and no such feature, on every machine.
        assert!(!takes_off_vlan_tags(1).unwrap());
    }
}
