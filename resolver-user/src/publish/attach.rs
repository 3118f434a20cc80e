//! The interfaces that the program is on: follows those that come, go, and change their names, and what is stacked on them.
//!
//! In: names of interfaces, and what the machine has ([`crate::interfaces`]). Out: links, and the rules in `LINKS`.
//! Refuses interfaces where an answer would reach nobody, and those that carry somebody else's program; the daemon answers
//! there, and the status says why.
//!
//! Rules that forbid come before the program does, and before rules that allow: at no time is a frame answered whose tags
//! may be hidden.

use std::collections::BTreeMap;
use std::mem::{offset_of, take};

use aya::maps::{HashMap, MapData, MapError};
use aya::programs::{ProgramInfo, loaded_programs};
use resolver_ebpf::abi::{Link, Settings, TAGS_MAX};
use thiserror::Error;

use super::endpoints::store_u32;
use super::memory::MappedArray;
use super::pod::Shared;
use super::program::{AttachMode, FastPathConfig, FastPathError, Held, Loaded};
use super::status::InterfaceStatus;
use crate::interfaces::{
    Interface, Interfaces, ProgramMode, TagRule, Unfit, XdpProgram, take_off_xdp, takes_off_vlan_tags,
};

/// `LINKS`.
pub type LinkMap = HashMap<MapData, Shared<Link>, u32>;

/// Why the program is not on an interface.
#[derive(Debug, Error)]
pub enum NotAttached {
    /// It could not answer there.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// Somebody else's program is there.
    #[error("another XDP program is there{}: stop what put it there, or set xdp-force", shown(.programs))]
    Occupied {
        /// Those that the kernel tells of; it may be on an interface above or below.
        programs: Vec<Occupant>,
    },
    /// Somebody else's program is there to stay.
    #[error("another XDP program is there{}, and `xdp-force` cannot take it off: {source}; see `bpftool link`", shown(.programs))]
    Held {
        /// As above.
        programs: Vec<Occupant>,
        /// What the kernel says; a BPF link holds it most likely.
        source: std::io::Error,
    },
    /// The kernel refused.
    #[error("{0}")]
    Attach(Box<FastPathError>),
}

/// Somebody else's program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupant {
    /// The kernel's number of it.
    pub id: u32,
    /// Its name, where we may know it: the kernel tells it to root alone.
    pub name: Option<String>,
}

/// An interface with the program on it.
#[derive(Debug)]
struct Attachment {
    index: u32,
    name: String,
    mode: ProgramMode,
    /// Why it is not native.
    why_generic: Option<String>,
    /// What was there before, if we took its place.
    replaced: Option<String>,
    /// What is not answered there.
    note: Option<String>,
    held: Held,
}

/// Where the program is, and where it is not.
#[derive(Debug)]
pub struct Attachments {
    mode: AttachMode,
    force: bool,
    /// Programs that were known by name at the start.
    names: ProgramNames,
    on: Vec<Attachment>,
    /// Interfaces that it should be on and is not: name and reason.
    off: Vec<(String, String)>,
    /// Interfaces that are there, were named in full, and were refused.
    refused: Vec<(String, NotAttached)>,
    map: LinkMap,
    /// What is in the map.
    rules: BTreeMap<Link, u32>,
}

impl Attachments {
    /// Attached nowhere.
    pub fn new(config: &FastPathConfig, map: LinkMap) -> Self {
        let (mode, force, names) = (config.mode, config.force, config.programs.clone());
        Self { mode, force, names, on: Vec::new(), off: Vec::new(), refused: Vec::new(), map, rules: BTreeMap::new() }
    }

    /// Puts the program on the interfaces that `wanted` means, and takes it off all others. False if it should be tried again
    /// although the machine's interfaces do not change.
    pub fn follow(&mut self, loaded: &mut Loaded, settings: &MappedArray, wanted: &[String]) -> bool {
        let interfaces = match Interfaces::look() {
            Ok(interfaces) => interfaces,
            Err(error) => {
                tracing::error!(%error, "interfaces are not followed");
                return false;
            }
        };
        self.leave_unwanted(loaded, &interfaces, wanted);
        let meant: Vec<&Interface> = interfaces.iter().filter(|interface| interface.is_meant_by(wanted)).collect();
        if let Err(error) = self.rule(settings, &interfaces, &meant) {
            tracing::error!(%error, "XDP leaves all interfaces: it cannot be told of VLANs");
            self.on.drain(..).for_each(|attachment| loaded.let_go(attachment.held));
            return false;
        }
        self.refused.clear();
        let off = take(&mut self.off);
        let mut is_settled = true;
        for interface in meant {
            if self.on.iter().any(|attachment| attachment.index == interface.index) {
                continue;
            }
            if let Err(refusal) = self.attach(loaded, &interfaces, interface) {
                // A program that was attached by a link leaves without a word.
                is_settled &= !matches!(refusal, NotAttached::Occupied { .. } | NotAttached::Held { .. });
                self.off.push((interface.name.clone(), refusal.to_string()));
                if wanted.contains(&interface.name) {
                    self.refused.push((interface.name.clone(), refusal));
                }
            }
        }
        for name in wanted.iter().filter(|name| !name.ends_with('*') && interfaces.iter().all(|at| at.name != **name)) {
            self.off.push((name.clone(), "it does not exist yet; it is waited for".to_owned()));
        }
        for (interface, reason) in self.off.iter().filter(|told| !off.contains(told)) {
            tracing::warn!(interface, reason, "XDP does not answer here");
        }
        is_settled
    }

    /// Interfaces that were named in full, exist, and were refused.
    pub fn take_refused(&mut self) -> Vec<(String, NotAttached)> {
        take(&mut self.refused)
    }

    /// How many rules about tags there are.
    pub fn rules(&self) -> usize {
        self.rules.len()
    }

    /// What an operator sees.
    pub fn status(&self) -> Vec<InterfaceStatus> {
        let on = self.on.iter().map(|at| {
            let reasons: Vec<&str> =
                at.why_generic.iter().chain(&at.replaced).chain(&at.note).map(String::as_str).collect();
            let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
            InterfaceStatus { name: at.name.clone(), mode: at.mode.name().to_owned(), reason }
        });
        let off = self.off.iter().map(|(name, reason)| InterfaceStatus {
            name: name.clone(),
            mode: "none".to_owned(),
            reason: Some(reason.clone()),
        });
        on.chain(off).collect()
    }

    /// Takes the program off interfaces that are gone or not meant any more, and notes new names of the others.
    fn leave_unwanted(&mut self, loaded: &Loaded, interfaces: &Interfaces, wanted: &[String]) {
        for mut attachment in take(&mut self.on) {
            match interfaces.by_index(attachment.index) {
                Some(interface) if interface.is_meant_by(wanted) && interfaces.fit(interface).is_ok() => {
                    if attachment.name != interface.name {
                        tracing::info!(old = attachment.name, new = interface.name, "an interface has another name");
                        attachment.name.clone_from(&interface.name);
                    }
                    self.on.push(attachment);
                }
                still_there => {
                    let interface = &attachment.name;
                    tracing::info!(interface, exists = still_there.is_some(), "XDP does not answer here any more");
                    loaded.let_go(attachment.held);
                }
            }
        }
    }

    /// Attaches to an interface.
    fn attach(
        &mut self,
        loaded: &mut Loaded,
        interfaces: &Interfaces,
        interface: &Interface,
    ) -> Result<(), NotAttached> {
        interfaces.fit(interface)?;
        let (first, second) = match self.mode {
            AttachMode::Native => (ProgramMode::Native, None),
            AttachMode::Generic => (ProgramMode::Generic, None),
            AttachMode::Auto => (ProgramMode::Native, Some(ProgramMode::Generic)),
        };
        let (mode, (held, replaced), why_generic) = match (self.attach_as(loaded, interface, first), second) {
            (Ok(attached), _) => (first, attached, None),
            (Err(NotAttached::Attach(error)), Some(second)) => {
                let instead = interfaces.native_instead(interface);
                let why = format!("not native: {}{instead}", error.reason());
                (second, self.attach_as(loaded, interface, second)?, Some(why))
            }
            (Err(refusal), _) => return Err(refusal),
        };
        let note = note(interfaces, interface);
        let (name, reason) = (&interface.name, why_generic.iter().chain(&note).cloned().collect::<Vec<_>>().join("; "));
        tracing::info!(interface = name, mode = mode.name(), reason, "XDP answers here");
        self.on.push(Attachment {
            index: interface.index,
            name: name.clone(),
            mode,
            why_generic,
            replaced,
            note,
            held,
        });
        Ok(())
    }

    /// Attaches in one mode, in place of another program if that is wished; what that was, if so.
    fn attach_as(
        &self,
        loaded: &mut Loaded,
        interface: &Interface,
        mode: ProgramMode,
    ) -> Result<(Held, Option<String>), NotAttached> {
        let error = match loaded.attach(interface.index, &interface.name, mode) {
            Ok(held) => return Ok((held, None)),
            Err(error) => error,
        };
        if !error.is_occupied() {
            return Err(NotAttached::Attach(Box::new(error)));
        }
        let programs = self.occupants(&interface.programs);
        if !self.force || programs.is_empty() {
            return Err(NotAttached::Occupied { programs });
        }
        for program in &interface.programs {
            if let Err(source) = take_off_xdp(interface.index, program.mode) {
                return Err(NotAttached::Held { programs, source });
            }
        }
        let (interface_name, gone) = (&interface.name, shown(&programs));
        tracing::warn!(
            interface = interface_name,
            "xdp-force: another XDP program was taken off{gone}; nobody puts it back"
        );
        let held = loaded.attach(interface.index, &interface.name, mode);
        let held = held.map_err(|error| NotAttached::Attach(Box::new(error)))?;
        Ok((held, Some(format!("in the place of another XDP program{gone}, which nobody puts back"))))
    }

    /// The programs with their names, as far as the kernel tells us, now or at the start.
    fn occupants(&self, programs: &[XdpProgram]) -> Vec<Occupant> {
        let now = program_names();
        let name = |id| now.iter().chain(&self.names).find(|(known, _)| *known == id).map(|(_, name)| name.clone());
        programs.iter().map(|program| Occupant { id: program.id, name: name(program.id) }).collect()
    }

    /// Tells the kernel half what it may answer by tags on these interfaces, and nothing about others.
    fn rule(&mut self, settings: &MappedArray, interfaces: &Interfaces, meant: &[&Interface]) -> Result<(), MapError> {
        let mut wanted = BTreeMap::new();
        for interface in meant {
            for rule in rules(interfaces, interface) {
                wanted.extend(link(interface.index, &rule).map(|link| (link, u32::from(rule.answers))));
            }
        }
        let at = offset_of!(Settings, untagged_ruled);
        let forbids_untagged = wanted.keys().any(is_untagged);
        let (forbidding, allowing): (Vec<_>, Vec<_>) = wanted.iter().partition(|(_, answers)| **answers == 0);
        for (link, answers) in forbidding {
            self.set(*link, *answers)?;
        }
        if forbids_untagged {
            store_u32(settings, at, 1);
        }
        let is_gone = |link: &&Link| !wanted.contains_key(*link);
        for link in self.rules.keys().filter(is_gone).copied().collect::<Vec<_>>() {
            self.map.remove(&Shared(link))?;
            self.rules.remove(&link);
        }
        for (link, answers) in allowing {
            self.set(*link, *answers)?;
        }
        if !forbids_untagged {
            store_u32(settings, at, 0);
        }
        for attachment in &mut self.on {
            attachment.note = interfaces.by_index(attachment.index).and_then(|interface| note(interfaces, interface));
        }
        Ok(())
    }

    fn set(&mut self, link: Link, answers: u32) -> Result<(), MapError> {
        if self.rules.get(&link) != Some(&answers) {
            self.map.insert(Shared(link), answers, 0)?;
            self.rules.insert(link, answers);
        }
        Ok(())
    }
}

/// What to do with frames of an interface, by their tags.
fn rules(interfaces: &Interfaces, interface: &Interface) -> Vec<TagRule> {
    if interfaces.vlans_on(interface.index).next().is_none() {
        return Vec::new();
    }
    // Of hardware we can ask. Elsewhere tags have most likely been taken off by what lies below, or by the other end of a veth.
    let may_hide = !interface.kind.is_empty() || takes_off_vlan_tags(interface.index).unwrap_or(true);
    interfaces.tag_rules(interface.index, may_hide)
}

/// What is not answered on an interface.
fn note(interfaces: &Interfaces, interface: &Interface) -> Option<String> {
    rules(interfaces, interface).iter().find(|rule| rule.tags.is_empty())?;
    let vlans = interfaces.vlans_on(interface.index).collect::<Vec<_>>().join(",");
    let instead = if interface.kind.is_empty() {
        format!("ethtool -K {} rxvlan off rx-vlan-stag-hw-parse off", interface.name)
    } else {
        format!("xdp-interface={vlans} lets generic XDP see them")
    };
    Some(format!(
        "untagged queries are left to the daemon, since the tags of {vlans} may be taken off before XDP: {instead}"
    ))
}

/// The key of a rule; none if it has more tags than XDP looks behind.
fn link(index: u32, rule: &TagRule) -> Option<Link> {
    let mut tags = [[0; 4]; TAGS_MAX];
    for (place, tag) in rule.tags.iter().enumerate() {
        let ([a, b], [c, d]) = (tag.protocol, tag.number.to_be_bytes());
        *tags.get_mut(place)? = [a, b, c, d];
    }
    Some(Link::new(index, tags))
}

fn is_untagged(link: &Link) -> bool {
    link.tags == [[0; 4]; TAGS_MAX]
}

/// Numbers and names of programs.
pub type ProgramNames = Vec<(u32, String)>;

/// All programs that have a name. The kernel tells it to root alone, so a daemon that becomes somebody else asks before.
pub fn program_names() -> ProgramNames {
    let named = |program: ProgramInfo| Some((program.id(), program.name_as_str()?.to_owned()));
    loaded_programs().map_while(Result::ok).filter_map(named).collect()
}

/// Programs for people; nothing if there are none.
fn shown(programs: &[Occupant]) -> String {
    let one = |program: &Occupant| match &program.name {
        Some(name) => format!("{name} (id {})", program.id),
        None => format!("id {} (`bpftool prog show id {}` names it)", program.id, program.id),
    };
    let all: Vec<String> = programs.iter().map(one).collect();
    if all.is_empty() { " or on one that is stacked with it".to_owned() } else { format!(", {}", all.join(" and ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interfaces::Tag;

    #[test]
    fn a_rule_is_looked_for_under_the_bytes_of_its_tags() {
        let (outer, inner) = (Tag { protocol: [0x88, 0xa8], number: 0x123 }, Tag { protocol: [0x81, 0], number: 5 });
        let rule = |tags: &[Tag]| TagRule { tags: tags.to_vec(), answers: true };
        let untagged = link(7, &rule(&[])).unwrap();
        assert!(is_untagged(&untagged) && untagged.ifindex == 7);
        assert_eq!(link(7, &rule(&[inner])).unwrap().tags, [[0x81, 0, 0, 5], [0; 4]]);
        let both = link(7, &rule(&[outer, inner])).unwrap();
        assert_eq!(both.tags, [[0x88, 0xa8, 1, 0x23], [0x81, 0, 0, 5]]);
        assert!(!is_untagged(&both));
        assert_eq!(link(7, &rule(&[outer, outer, inner])), None);
    }

    #[test]
    fn other_programs_are_named_as_far_as_they_are_known() {
        let named = Occupant { id: 7, name: Some("firewall".to_owned()) };
        let refusal = NotAttached::Occupied { programs: vec![named, Occupant { id: 8, name: None }] };
        assert_eq!(
            refusal.to_string(),
            "another XDP program is there, firewall (id 7) and id 8 (`bpftool prog show id 8` names it): stop what put it there, \
             or set xdp-force"
        );
    }
}
