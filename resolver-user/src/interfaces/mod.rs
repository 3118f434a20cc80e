//! The machine's network interfaces as XDP has to know them: what they are, how they are stacked, what is on them.
//!
//! In: what the kernel says by netlink. Out: [`Interfaces`] at one moment, and facts worked out from them.
//! Changes nothing but on [`take_off_xdp`]; attaching is `publish`'s. Addresses are the listener's.
//!
//! * `netlink`: requests and attributes; `offload`: what network cards do with VLAN tags
//! * `vlans`: which tags lead to a VLAN of ours, and where tags may hide
//! * `fitness`: where XDP can answer at all, and what to do where it cannot

mod fitness;
mod netlink;
mod offload;
mod vlans;

use std::io;

use nix::sys::socket::SockProtocol;

pub use fitness::Unfit;
use netlink::{Netlink, attribute, first, nested, number, text, written};
pub use offload::takes_off_vlan_tags;
pub use vlans::{Tag, TagRule};

/// The interfaces at one moment.
#[derive(Clone, Debug, Default)]
pub struct Interfaces(Vec<Interface>);

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's number of it; not given again soon.
    pub index: u32,
    /// Its name, which may change.
    pub name: String,
    /// What its frames begin with: `ARPHRD_…`.
    pub link_type: u16,
    /// It takes part.
    pub is_up: bool,
    /// What it is, as `ip link` calls it; empty for hardware.
    pub kind: String,
    /// Number of the interface that its frames go through, if it is in this network namespace.
    pub lower: Option<u32>,
    /// Number of the bridge or bond that it belongs to.
    pub master: Option<u32>,
    /// Its tag, if it is a VLAN.
    pub vlan: Option<Tag>,
    /// It is a bridge that tells VLANs apart.
    pub filters_vlans: bool,
    /// XDP programs on it.
    pub programs: Vec<XdpProgram>,
}

/// An XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpProgram {
    /// The kernel's number of it.
    pub id: u32,
    /// By whom it is run.
    pub mode: ProgramMode,
}

/// Who runs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramMode {
    /// The driver.
    Native,
    /// The network stack.
    Generic,
    /// The network card.
    Offloaded,
}

impl ProgramMode {
    /// As people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Offloaded => "offloaded",
        }
    }
}

impl Interfaces {
    /// Looks at the machine.
    ///
    /// # Errors
    /// The kernel did not list its interfaces.
    pub fn look() -> io::Result<Self> {
        let netlink = Netlink::open(SockProtocol::NetlinkRoute)?;
        let request = [vec![0; LINK_HEADER_LEN], written(EXTENSIONS, &WITHOUT_STATISTICS.to_ne_bytes())].concat();
        let replies = netlink.ask(GET_LINK, netlink::ALL, &request)?;
        Ok(Self(replies.iter().filter_map(|reply| read(reply)).collect()))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Interface> {
        self.0.iter()
    }

    /// The one with a number.
    pub fn by_index(&self, index: u32) -> Option<&Interface> {
        self.0.iter().find(|interface| interface.index == index)
    }

    /// The ports of a bridge or bond.
    pub fn ports(&self, master: u32) -> impl Iterator<Item = &Interface> {
        self.0.iter().filter(move |port| port.master == Some(master))
    }
}

impl Interface {
    /// Whether it is the loopback interface.
    pub fn is_loopback(&self) -> bool {
        self.link_type == LOOPBACK
    }

    /// Whether one of the names means this interface. A final `*` stands for any end, but for loopback, which is meant by its
    /// name alone.
    pub fn is_meant_by(&self, patterns: &[String]) -> bool {
        patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => !self.is_loopback() && self.name.starts_with(beginning),
            None => *pattern == self.name,
        })
    }
}

/// Takes the program of somebody else off an interface. One that is held by a BPF link stays.
///
/// # Errors
/// The kernel's.
pub fn take_off_xdp(index: u32, mode: ProgramMode) -> io::Result<()> {
    let flag = match mode {
        ProgramMode::Generic => 1u32 << 1,
        ProgramMode::Native => 1 << 2,
        ProgramMode::Offloaded => 1 << 3,
    };
    let mut request = vec![0; LINK_HEADER_LEN];
    request.splice(4..8, index.to_ne_bytes());
    let none = [written(XDP_DESCRIPTOR, &(-1i32).to_ne_bytes()), written(XDP_FLAGS, &flag.to_ne_bytes())].concat();
    request.extend(nested(XDP, &none));
    Netlink::open(SockProtocol::NetlinkRoute)?.ask(SET_LINK, netlink::ONE, &request).map(drop)
}

/// Reads a description of an interface; none if it is none.
fn read(reply: &[u8]) -> Option<Interface> {
    let (header, rest) = reply.split_at_checked(LINK_HEADER_LEN)?;
    let part = |number| attribute(rest, number);
    let info = part(LINK_INFO).unwrap_or_default();
    let kind = attribute(info, INFO_KIND).and_then(text).unwrap_or_default();
    let data = attribute(info, INFO_DATA).unwrap_or_default();
    let vlan = (kind == "vlan").then(|| read_vlan(data)).flatten();
    let filters_vlans = kind == "bridge" && attribute(data, BRIDGE_VLAN_FILTERING).is_some_and(|value| value != [0]);
    let programs = part(XDP).map(read_programs).unwrap_or_default();
    Some(Interface {
        index: number(header.get(4..)?)?,
        name: text(part(NAME)?)?,
        link_type: u16::from_ne_bytes(first(header.get(2..)?)?),
        is_up: number(header.get(8..)?)? & 1 == 1,
        lower: part(LINK).and_then(number).filter(|_| part(LINK_NAMESPACE).is_none()),
        master: part(MASTER).and_then(number),
        kind,
        vlan,
        filters_vlans,
        programs,
    })
}

fn read_vlan(data: &[u8]) -> Option<Tag> {
    let number = u16::from_ne_bytes(first(attribute(data, VLAN_ID)?)?);
    Some(Tag { protocol: first(attribute(data, VLAN_PROTOCOL)?)?, number })
}

fn read_programs(value: &[u8]) -> Vec<XdpProgram> {
    let modes = [(5, ProgramMode::Native), (6, ProgramMode::Generic), (7, ProgramMode::Offloaded)];
    let program =
        |(attribute_number, mode)| Some(XdpProgram { id: number(attribute(value, attribute_number)?)?, mode });
    modes.into_iter().filter_map(program).collect()
}

/// `ARPHRD_LOOPBACK`
const LOOPBACK: u16 = 772;
/// `struct ifinfomsg`
const LINK_HEADER_LEN: usize = 16;
/// `RTM_GETLINK`
const GET_LINK: u16 = 18;
/// `RTM_SETLINK`
const SET_LINK: u16 = 19;
/// `IFLA_IFNAME`
const NAME: u16 = 3;
/// `IFLA_LINK`
const LINK: u16 = 5;
/// `IFLA_MASTER`
const MASTER: u16 = 10;
/// `IFLA_LINKINFO`
const LINK_INFO: u16 = 18;
/// `IFLA_INFO_KIND`
const INFO_KIND: u16 = 1;
/// `IFLA_INFO_DATA`
const INFO_DATA: u16 = 2;
/// `IFLA_EXT_MASK`
const EXTENSIONS: u16 = 29;
/// `RTEXT_FILTER_SKIP_STATS`
const WITHOUT_STATISTICS: u32 = 1 << 3;
/// `IFLA_LINK_NETNSID`
const LINK_NAMESPACE: u16 = 37;
/// `IFLA_XDP`
const XDP: u16 = 43;
/// `IFLA_XDP_FD`
const XDP_DESCRIPTOR: u16 = 1;
/// `IFLA_XDP_FLAGS`
const XDP_FLAGS: u16 = 3;
/// `IFLA_VLAN_ID`
const VLAN_ID: u16 = 1;
/// `IFLA_VLAN_PROTOCOL`
const VLAN_PROTOCOL: u16 = 5;
/// `IFLA_BR_VLAN_FILTERING`
const BRIDGE_VLAN_FILTERING: u16 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    /// A description as the kernel sends it.
    fn description(index: u32, link_type: u16, flags: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = [[0; 2], link_type.to_ne_bytes()].concat();
        bytes.extend([index.to_ne_bytes(), flags.to_ne_bytes(), [0; 4]].concat());
        bytes.extend(attributes.concat());
        bytes
    }

    #[test]
    fn a_vlan_is_read_with_its_tag_and_what_carries_it() {
        let data = [written(VLAN_ID, &10u16.to_ne_bytes()), written(VLAN_PROTOCOL, &[0x88, 0xa8])].concat();
        let info = [written(INFO_KIND, b"vlan\0"), nested(INFO_DATA, &data)].concat();
        let bytes = description(
            7,
            1,
            0x11043,
            &[written(NAME, b"lan0.10\0"), written(LINK, &3u32.to_ne_bytes()), nested(LINK_INFO, &info)],
        );
        let expected = Interface {
            index: 7,
            name: "lan0.10".to_owned(),
            link_type: 1,
            is_up: true,
            kind: "vlan".to_owned(),
            lower: Some(3),
            vlan: Some(Tag { protocol: [0x88, 0xa8], number: 10 }),
            ..Interface::default()
        };
        assert_eq!(read(&bytes), Some(expected.clone()));
        // What carries it is in another network namespace: its number means nothing here.
        let elsewhere = [bytes, written(LINK_NAMESPACE, &[0; 4])].concat();
        assert_eq!(read(&elsewhere), Some(Interface { lower: None, ..expected }));
        assert_eq!(read(&elsewhere[..12]), None);
    }

    #[test]
    fn bridges_ports_and_programs_are_read() {
        let data = nested(INFO_DATA, &written(BRIDGE_VLAN_FILTERING, &[1]));
        let info = nested(LINK_INFO, &[written(INFO_KIND, b"bridge\0"), data].concat());
        let bridge = read(&description(4, 1, 0, &[written(NAME, b"br0\0"), info])).unwrap();
        assert!(bridge.filters_vlans && !bridge.is_up && bridge.kind == "bridge");
        let xdp = [written(2, &[1]), written(4, &9u32.to_ne_bytes()), written(6, &9u32.to_ne_bytes())].concat();
        let port = [written(NAME, b"p0\0"), written(MASTER, &4u32.to_ne_bytes()), nested(XDP, &xdp)];
        let port = read(&description(5, 1, 1, &port)).unwrap();
        assert_eq!(port.programs, [XdpProgram { id: 9, mode: ProgramMode::Generic }]);
        let interfaces = Interfaces(vec![bridge, port.clone()]);
        assert_eq!(interfaces.ports(4).collect::<Vec<_>>(), [&port]);
    }

    #[test]
    fn this_machine_has_loopback_which_only_its_name_means() {
        let interfaces = Interfaces::look().unwrap();
        let loopback = interfaces.by_index(1).unwrap();
        assert!(loopback.is_loopback() && loopback.name == "lo");
        let is_meant = |pattern: &str| loopback.is_meant_by(&[pattern.to_owned()]);
        assert!(is_meant("lo") && !is_meant("l*") && !is_meant("*") && !is_meant("lo0"));
    }
}
