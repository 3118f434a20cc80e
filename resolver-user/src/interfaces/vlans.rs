//! Which VLAN tags lead to a VLAN of ours, and where tags may hide.
//!
//! In: the interfaces, the one that XDP is on, and whether tags may be taken off its frames. Out: what to do with frames, by
//! their tags. Looks at nothing itself.

use super::{Interface, Interfaces};

/// A VLAN tag without its priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    /// Its type, network order: 0x8100 or 0x88a8.
    pub protocol: [u8; 2],
    /// Number of the VLAN: 0..=4095.
    pub number: u16,
}

/// What to do with frames of these tags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagRule {
    /// From the outer one on; none for untagged frames.
    pub tags: Vec<Tag>,
    /// XDP may answer them.
    pub answers: bool,
}

impl Interfaces {
    /// What to do with frames that come in by an interface, `may_hide` saying that tags may have been taken off them. Without
    /// a rule, untagged frames may be answered and tagged ones may not.
    ///
    /// A frame whose tags are the end of a longer row of ours may be one from there, with a tag taken off: its answer would go
    /// out without that tag, to nobody. Such frames are left to the daemon.
    pub fn tag_rules(&self, index: u32, may_hide: bool) -> Vec<TagRule> {
        let rows = self.tag_rows(index);
        let is_end_of_another = |tags: &[Tag]| rows.iter().any(|row| row.len() > tags.len() && row.ends_with(tags));
        let rule = |tags: Vec<Tag>| TagRule { answers: !(may_hide && is_end_of_another(&tags)), tags };
        let mut rules: Vec<TagRule> = rows.iter().cloned().map(rule).collect();
        rules.extend(Some(rule(Vec::new())).filter(|untagged| !untagged.answers));
        rules.sort_unstable();
        rules.dedup();
        rules
    }

    /// Names of the VLANs that an interface carries, however they are stacked.
    pub fn vlans_on(&self, index: u32) -> impl Iterator<Item = &str> {
        self.iter().filter(move |vlan| self.tags_of(vlan, index).is_some()).map(|vlan| vlan.name.as_str())
    }

    /// The tags of each VLAN whose frames come in by an interface.
    fn tag_rows(&self, index: u32) -> Vec<Vec<Tag>> {
        self.iter().filter_map(|vlan| self.tags_of(vlan, index)).collect()
    }

    /// The tags with which frames of a VLAN come in by an interface, from the outer one on; none if they do not.
    fn tags_of(&self, vlan: &Interface, index: u32) -> Option<Vec<Tag>> {
        vlan.vlan.filter(|_| vlan.index != index)?;
        let masters = self.masters_of(index);
        let (mut at, mut tags) = (vlan, Vec::new());
        for _ in 0..DEPTH_MAX {
            if at.index == index || masters.contains(&at.index) {
                return Some(tags);
            }
            if !at.is_up {
                return None;
            }
            if let Some(tag) = at.vlan {
                tags.insert(0, tag);
            }
            at = self.by_index(at.lower?)?;
        }
        None
    }

    /// Bridges and bonds that frames of an interface come to.
    fn masters_of(&self, index: u32) -> Vec<u32> {
        let mut masters = Vec::new();
        let mut at = self.by_index(index);
        for _ in 0..DEPTH_MAX {
            let Some(master) = at.and_then(|interface| interface.master) else { break };
            masters.push(master);
            at = self.by_index(master);
        }
        masters
    }
}

/// Most interfaces on top of each other; Linux allows eight.
const DEPTH_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const CUSTOMER: [u8; 2] = [0x81, 0];
    const PROVIDER: [u8; 2] = [0x88, 0xa8];

    fn interface(index: u32, name: &str, kind: &str) -> Interface {
        Interface {
            index,
            name: name.to_owned(),
            kind: kind.to_owned(),
            is_up: true,
            link_type: 1,
            ..Interface::default()
        }
    }

    fn vlan(index: u32, name: &str, lower: u32, protocol: [u8; 2], number: u16) -> Interface {
        let vlan = Some(Tag { protocol, number });
        Interface { lower: Some(lower), vlan, ..interface(index, name, "vlan") }
    }

    /// The rules of an interface: numbers of tags, joined, and whether they are answered.
    fn rules(interfaces: &Interfaces, index: u32, may_hide: bool) -> Vec<(String, bool)> {
        let join = |tags: &[Tag]| tags.iter().map(|tag| tag.number.to_string()).collect::<Vec<_>>().join(".");
        interfaces.tag_rules(index, may_hide).iter().map(|rule| (join(&rule.tags), rule.answers)).collect()
    }

    fn expect(rules: &[(String, bool)], expected: &[(&str, bool)]) {
        let expected: Vec<_> = expected.iter().map(|(tags, answers)| ((*tags).to_owned(), *answers)).collect();
        assert_eq!(rules, expected);
    }

    #[test]
    fn an_interface_without_vlans_has_no_rules() {
        let interfaces = Interfaces(vec![interface(2, "eth0", ""), interface(3, "eth1", "")]);
        expect(&rules(&interfaces, 2, true), &[]);
        expect(&rules(&interfaces, 2, false), &[]);
    }

    #[test]
    fn tags_of_a_vlan_are_answered_and_untagged_frames_only_where_nothing_hides() {
        let interfaces = Interfaces(vec![
            interface(2, "eth0", ""),
            interface(3, "eth1", ""),
            vlan(4, "eth0.10", 2, CUSTOMER, 10),
            vlan(5, "eth1.20", 3, CUSTOMER, 20),
        ]);
        expect(&rules(&interfaces, 2, false), &[("10", true)]);
        expect(&rules(&interfaces, 2, true), &[("", false), ("10", true)]);
        expect(&rules(&interfaces, 3, true), &[("", false), ("20", true)]);
        expect(&rules(&interfaces, 4, true), &[]);
        assert_eq!(interfaces.vlans_on(2).collect::<Vec<_>>(), ["eth0.10"]);
    }

    #[test]
    fn a_tag_that_may_be_what_is_left_of_two_is_not_answered() {
        let interfaces = Interfaces(vec![
            interface(2, "eth0", ""),
            vlan(3, "outer", 2, PROVIDER, 100),
            vlan(4, "inner", 3, CUSTOMER, 10),
            vlan(5, "alone", 2, CUSTOMER, 10),
        ]);
        expect(&rules(&interfaces, 2, true), &[("", false), ("10", false), ("100", true), ("100.10", true)]);
        expect(&rules(&interfaces, 2, false), &[("10", true), ("100", true), ("100.10", true)]);
        // XDP on the outer VLAN itself sees the inner tags alone.
        expect(&rules(&interfaces, 3, true), &[("", false), ("10", true)]);
    }

    #[test]
    fn a_vlan_that_is_down_or_stands_on_one_that_is_has_no_clients() {
        let down = Interface { is_up: false, ..vlan(3, "outer", 2, PROVIDER, 100) };
        let interfaces = Interfaces(vec![interface(2, "eth0", ""), down, vlan(4, "inner", 3, CUSTOMER, 10)]);
        expect(&rules(&interfaces, 2, true), &[]);
    }

    #[test]
    fn ports_carry_the_vlans_of_their_bridge_or_bond() {
        let port = Interface { master: Some(3), ..interface(2, "eth0", "") };
        let other = Interface { master: Some(9), ..interface(5, "eth1", "") };
        let bridge = Interface { master: Some(8), ..interface(3, "bond0", "bond") };
        let interfaces = Interfaces(vec![
            port,
            bridge,
            interface(8, "br0", "bridge"),
            vlan(4, "br0.10", 8, CUSTOMER, 10),
            other,
            Interface { lower: Some(3), ..interface(6, "mv", "macvlan") },
            vlan(7, "mv.11", 6, CUSTOMER, 11),
        ]);
        for on_the_way in [2, 3] {
            expect(&rules(&interfaces, on_the_way, false), &[("10", true), ("11", true)]);
        }
        expect(&rules(&interfaces, 5, true), &[]);
    }
}
