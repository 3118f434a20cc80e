//! What is true about a question, followed through all zones (RFC 1034 §4.3.2, RFC 4592, RFC 6672), and how much of it
//! can be proven (RFC 4035 §4.3, RFC 5155 §6, RFC 9276 §3.2).

use std::collections::BTreeSet;

use resolver_user::wire::{Question, RCode, RecordType};

use super::{Path, World, Zone};

/// All that is true about a question.
pub(crate) struct Truth<'w> {
    /// One step for the name, and one for each name that aliases lead to.
    pub(crate) steps: Vec<Step<'w>>,
    /// RCODE that the last step ends with; none if the aliases loop or lead on for too long.
    pub(crate) rcode: Option<RCode>,
}

/// What is true about one name.
pub(crate) struct Step<'w> {
    /// The zone that speaks for it; none where there is none of ours.
    pub(crate) zone: Option<&'w Zone>,
    /// The name.
    pub(crate) name: Path,
    /// The longest ancestor that exists, or the name itself.
    pub(crate) encloser: Path,
    /// The name, or the wildcard that answers for it.
    pub(crate) source: Path,
    /// What is there.
    pub(crate) kind: Kind,
}

/// What there is at a name for a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The type.
    Data,
    /// A CNAME to this name.
    Alias(Path),
    /// A DNAME at the first name, which leads to the second unless that is too long.
    Redirection(Path, Option<Path>),
    /// The name without the type.
    NoData,
    /// No name.
    NxDomain,
    /// Nobody knows: a zone starts at or above the name that is not in the model, or no zone is above it.
    Unknown,
}

/// Owner, type and RDATAs of a set. RDATAs with names are folded.
pub(crate) type PlainSet = (Path, RecordType, BTreeSet<Vec<u8>>);

/// What an honest answer may be proven to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provable {
    /// Secure.
    Secure,
    /// Insecure.
    Insecure,
    /// Not said here: loops, bogus zones, limits of what opt-out can prove.
    Unsaid,
}

/// Aliases that are followed; one more than the validator's limit.
const ALIASES_MAX: usize = 12;

impl World {
    /// Follows a question to its end.
    pub(crate) fn truth(&self, question: &Question) -> Truth<'_> {
        self.truth_after(question, 0)
    }

    /// The same for who follows so many aliases although they were asked for.
    pub(crate) fn truth_after(&self, question: &Question, followed: usize) -> Truth<'_> {
        let mut steps: Vec<Step<'_>> = Vec::new();
        let mut path = Path::of(&question.qname);
        while steps.len() < ALIASES_MAX {
            // Any type that an alias answers for.
            let qtype = if steps.len() < followed { RecordType::A } else { question.qtype };
            let step = self.step(path, qtype);
            let kind = step.kind.clone();
            steps.push(step);
            let target = match kind {
                Kind::Data | Kind::NoData | Kind::Unknown => return Truth { steps, rcode: Some(RCode::NOERROR) },
                Kind::NxDomain => return Truth { steps, rcode: Some(RCode::NXDOMAIN) },
                Kind::Redirection(_, None) => return Truth { steps, rcode: Some(RCode::YXDOMAIN) },
                // The alias itself was asked for.
                Kind::Redirection(_, Some(_)) if matches!(qtype, RecordType::CNAME | RecordType::ANY) => {
                    return Truth { steps, rcode: Some(RCode::NOERROR) };
                }
                Kind::Alias(target) | Kind::Redirection(_, Some(target)) => target,
            };
            if steps.iter().any(|step| step.name == target) {
                break;
            }
            path = target;
        }
        Truth { steps, rcode: None }
    }

    fn step(&self, name: Path, rtype: RecordType) -> Step<'_> {
        let unknown =
            |zone| Step { zone, encloser: name.clone(), source: name.clone(), name: name.clone(), kind: Kind::Unknown };
        let Some(zone) = self.zone_of(&name, rtype) else { return unknown(None) };
        for depth in zone.apex.depth()..=name.depth() {
            let at = name.first(depth);
            if zone.is_cut(&at) && (at != name || rtype != RecordType::DS) {
                return unknown(Some(zone));
            }
            if at != name && zone.is_dname(&at) {
                let target = Path::of_wire(&zone.nodes[&at][&RecordType::DNAME][0]).expect("a DNAME has a name");
                let moved = name.moved(&at, &target);
                return Step { kind: Kind::Redirection(at, moved), ..unknown(Some(zone)) };
            }
        }
        let encloser = name.upward().find(|above| zone.exists(above)).expect("the apex exists");
        let source = if encloser == name { Some(name.clone()) } else { encloser.wildcard() };
        let kind = match source.as_ref().filter(|source| zone.exists(source)) {
            None => Kind::NxDomain,
            Some(source) => kind_at(zone, source, rtype),
        };
        let source = source.filter(|_| kind != Kind::NxDomain).unwrap_or_else(|| name.clone());
        Step { zone: Some(zone), name, encloser, source, kind }
    }

    /// Whether no chain of signatures need lead to a type at a name: somewhere on the way from its anchor there is an
    /// unsigned delegation, an algorithm that nobody verifies, more iterations than are hashed, or an opt-out span.
    pub(crate) fn may_be_insecure(&self, name: &Path, rtype: RecordType) -> bool {
        let side = name.parent().filter(|_| rtype == RecordType::DS).unwrap_or_else(|| name.clone());
        let anchored = |zone: &&Zone| self.anchored.contains(&zone.apex) && side.is_at_or_below(&zone.apex);
        let Some(mut zone) = self.zones.iter().rev().find(anchored) else { return true };
        loop {
            let is_iterated = zone.nsec3.as_ref().is_some_and(|nsec3| (51..=150).contains(&nsec3.iterations));
            if !zone.is_supported() || is_iterated {
                return true;
            }
            let below = zone.apex.depth() + 1..=side.depth();
            let Some(cut) = below.map(|depth| side.first(depth)).find(|at| zone.is_cut(at)) else { break };
            if !zone.has_ds(&cut) {
                return true;
            }
            match self.zones.iter().find(|child| child.apex == cut) {
                Some(child) => zone = child,
                None => return false,
            }
        }
        let encloser = name.upward().find(|above| !zone.is_opted_out(above)).expect("the apex is in its chain");
        encloser != *name && !zone.is_dname(&encloser) && !zone.is_cut(&encloser)
    }

    /// What the honest answer to a question can be proven to be.
    pub(crate) fn provable(&self, question: &Question) -> Provable {
        let truth = self.truth(question);
        if truth.rcode.is_none() || matches!(question.qtype, RecordType::RRSIG | RecordType::ANY) {
            return Provable::Unsaid;
        }
        let steps = truth.steps.iter().map(|step| self.provable_step(step, question.qtype));
        // The weakest decides.
        steps.max_by_key(|provable| *provable as u8).unwrap_or(Provable::Unsaid)
    }

    fn provable_step(&self, step: &Step<'_>, rtype: RecordType) -> Provable {
        let Some(zone) = step.zone else { return Provable::Insecure };
        if step.kind == Kind::Unknown {
            let is_lost = step.name.upward().any(|above| zone.is_cut(&above) && zone.has_ds(&above));
            return if is_lost && self.is_secure(zone) { Provable::Unsaid } else { self.provable_below(zone) };
        }
        if !self.is_secure(zone) {
            return self.provable_below(zone);
        }
        let is_denied = matches!(step.kind, Kind::NoData | Kind::NxDomain);
        let Some(nsec3) = zone.nsec3.as_ref().filter(|_| is_denied || step.source != step.name) else {
            // An NSEC has no meaning at a name that a wildcard answers for.
            let is_odd = rtype == RecordType::NSEC && step.source != step.name;
            return if is_odd { Provable::Unsaid } else { Provable::Secure };
        };
        match nsec3.iterations {
            151.. => return Provable::Unsaid,
            51.. => return Provable::Insecure,
            _ => {}
        }
        if !zone.is_opted_out(&step.name) {
            return Provable::Secure;
        }
        // Names that only an unsigned delegation makes exist cannot be told from those that do not.
        let is_vague = rtype != RecordType::DS && zone.is_opted_out(&step.encloser) && is_denied;
        if is_vague { Provable::Unsaid } else { Provable::Insecure }
    }

    /// What can be proven of data without a chain at or below a zone: nothing, where a zone that should deny a DS has more
    /// iterations than may be tolerated.
    fn provable_below(&self, zone: &Zone) -> Provable {
        let mut above = Some(zone);
        while let Some(zone) = above {
            if zone.nsec3.as_ref().is_some_and(|nsec3| nsec3.iterations > 150) {
                return Provable::Unsaid;
            }
            above = self.parent_of(zone);
        }
        Provable::Insecure
    }
}

fn kind_at(zone: &Zone, source: &Path, rtype: RecordType) -> Kind {
    let is_there = match rtype {
        // Signatures are there, but nothing can prove them.
        RecordType::ANY | RecordType::RRSIG => zone.nodes.contains_key(source),
        _ => !zone.records(source, rtype).is_empty(),
    };
    let cname = zone.nodes.get(source).and_then(|node| node.get(&RecordType::CNAME));
    match cname {
        _ if is_there => Kind::Data,
        Some(rdatas) if !matches!(rtype, RecordType::CNAME | RecordType::ANY | RecordType::RRSIG) => {
            Kind::Alias(Path::of_wire(&rdatas[0]).expect("a CNAME has a name"))
        }
        _ => Kind::NoData,
    }
}

impl Step<'_> {
    /// The sets that answer this step; for ANY, all that are there.
    pub(crate) fn sets(&self, qtype: RecordType) -> Vec<PlainSet> {
        let Some(zone) = self.zone else { return Vec::new() };
        let set = |owner: &Path, source: &Path, rtype: RecordType| {
            let records = zone.records(source, rtype);
            let data = records.iter().filter(|record| record.rtype == rtype);
            (owner.clone(), rtype, data.map(|record| folded(rtype, &record.rdata)).collect())
        };
        match &self.kind {
            Kind::Data if qtype == RecordType::ANY => {
                let types = zone.nodes[&self.source].keys().copied().chain([RecordType::NSEC]);
                types.map(|rtype| set(&self.name, &self.source, rtype)).collect()
            }
            Kind::Data => vec![set(&self.name, &self.source, qtype)],
            Kind::Alias(_) => vec![set(&self.name, &self.source, RecordType::CNAME)],
            Kind::Redirection(owner, target) => {
                let made = |target: &Path| {
                    (self.name.clone(), RecordType::CNAME, BTreeSet::from([folded(RecordType::CNAME, &target.wire())]))
                };
                let dname = set(owner, owner, RecordType::DNAME);
                std::iter::once(dname).chain(target.as_ref().map(made)).collect()
            }
            Kind::NoData | Kind::NxDomain | Kind::Unknown => Vec::new(),
        }
    }
}

/// RDATA in lower case where letter case says nothing.
pub(crate) fn folded(rtype: RecordType, rdata: &[u8]) -> Vec<u8> {
    let has_names = matches!(
        rtype,
        RecordType::NS | RecordType::CNAME | RecordType::DNAME | RecordType::SOA | RecordType::MX | RecordType::PTR
    );
    if has_names { rdata.to_ascii_lowercase() } else { rdata.to_vec() }
}
