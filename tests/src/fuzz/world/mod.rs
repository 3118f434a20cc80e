//! A model of the DNS: zones whose truth is known, servers that tell it, and an attacker who mixes what was signed.
//!
//! In: zones as trees of sets ([`ZonePlan`]) and the apexes that anchors name. Out: what is true about a question
//! ([`truth`]), what honest servers say ([`server`]), and what an attacker without keys can say ([`attack`]).
//! Written from the RFCs and not from the product, of which it uses the types of names and records only: names are
//! compared as [`Path`]s, chains of denial are made in [`chain`], signatures in [`keys`].

mod attack;
mod chain;
mod keys;
mod path;
mod server;
mod trial;
mod truth;
mod zone;

pub(super) use attack::Attacker;
pub(super) use chain::Nsec3Parameters;
pub(super) use keys::{Key, SignatureFields};
pub(super) use path::Path;
pub(super) use server::Reply;
pub(super) use trial::Trial;
pub(super) use zone::{Link, Node, Zone, ZonePlan};

use std::fmt;
use std::sync::Arc;

use resolver_user::validator::{DsAnchor, TrustAnchors};
use resolver_user::wire::{Name, RecordType};

/// Zones that know of each other, and the anchors that validation of them starts from.
pub(super) struct World {
    /// All zones, those above before those below.
    zones: Vec<Zone>,
    /// Apexes of the zones with an anchor.
    anchored: Vec<Path>,
    /// The anchors themselves.
    pub(super) anchors: Arc<TrustAnchors>,
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for zone in &self.zones {
            writeln!(f, "zone {} with {:?}", zone.apex.name(), zone.nsec3)?;
            for (path, node) in &zone.nodes {
                writeln!(f, "  {} {:?}", path.name(), node.keys().collect::<Vec<_>>())?;
            }
        }
        Ok(())
    }
}

impl World {
    /// Builds the zones and joins them: each gets its NS, and its DS if its plan says so, from the closest zone above.
    pub(super) fn new(mut plans: Vec<ZonePlan>, anchored: &[Path]) -> Self {
        // From the leaves up, since the DS of a zone comes from its keys alone; canonical order has parents first.
        plans.sort_by(|a, b| a.apex.cmp(&b.apex));
        for child in (0..plans.len()).rev() {
            let apex = plans[child].apex.clone();
            let above = (0..child).rev().find(|&index| apex.is_below(&plans[index].apex));
            let Some(parent) = above else { continue };
            let ds = plans[child].ds();
            let node = plans[parent].nodes.entry(apex.clone()).or_default();
            node.clear();
            node.insert(RecordType::NS, vec![apex.child(b"ns").expect("short").wire()]);
            if !ds.is_empty() {
                node.insert(RecordType::DS, ds);
            }
        }
        let mut zones: Vec<Zone> = plans.into_iter().map(Zone::new).collect();
        drop_unreachable(&mut zones);
        let is_anchored = |zone: &&Zone| anchored.contains(&zone.apex);
        let anchors = zones.iter().filter(is_anchored).flat_map(anchors_of).collect();
        Self { anchored: anchored.to_vec(), anchors: Arc::new(TrustAnchors::new(anchors, Vec::new())), zones }
    }

    /// All zones, those above before those below.
    pub(super) fn zones(&self) -> &[Zone] {
        &self.zones
    }

    /// The zone that answers for a type at a name; none outside of all zones. A DS is the parent's (RFC 4035 §3.1.4.1).
    fn zone_of(&self, path: &Path, rtype: RecordType) -> Option<&Zone> {
        let is_parents = |zone: &Zone| rtype == RecordType::DS && *path == zone.apex && !path.is_root();
        self.zones.iter().rev().find(|zone| path.is_at_or_below(&zone.apex) && !is_parents(zone))
    }

    /// The closest zone above another.
    fn parent_of(&self, zone: &Zone) -> Option<&Zone> {
        self.zones.iter().rev().find(|above| zone.apex.is_below(&above.apex))
    }

    /// Whether a chain of trust leads to a zone: from an anchor, or from a parent with a DS, by keys that we can verify.
    fn is_secure(&self, zone: &Zone) -> bool {
        if !zone.is_supported() {
            return false;
        }
        self.anchored.contains(&zone.apex)
            || self.parent_of(zone).is_some_and(|parent| parent.has_ds(&zone.apex) && self.is_secure(parent))
    }

    /// Every name of all zones, that of their wildcards included.
    pub(super) fn names(&self) -> Vec<Name> {
        self.zones.iter().flat_map(|zone| zone.nodes.keys().map(Path::name)).collect()
    }
}

/// Drops zones to which the zone above them does not lead: it ends at or above them. From the top down, so that nothing
/// is left below a zone that is dropped.
fn drop_unreachable(zones: &mut Vec<Zone>) {
    let mut index = 1;
    while let Some(zone) = zones.get(index) {
        let above = zones[..index].iter().rev().find(|above| zone.apex.is_below(&above.apex));
        if above.is_none_or(|above| above.is_cut(&zone.apex)) {
            index += 1;
        } else {
            zones.remove(index);
        }
    }
}

fn anchors_of(zone: &Zone) -> Vec<DsAnchor> {
    let anchor = |ds: Vec<u8>| DsAnchor {
        zone: zone.apex.name(),
        key_tag: u16::from_be_bytes([ds[0], ds[1]]),
        algorithm: ds[2],
        digest_type: ds[3],
        digest: ds[4..].into(),
    };
    zone.key_signing.iter().map(|key| anchor(key.ds(&zone.apex))).collect()
}
