//! The chain of denial of a zone: NSEC (RFC 4034 §4) or NSEC3 (RFC 5155 §7.1), made from what the zone holds.

use std::collections::BTreeSet;

use resolver_user::wire::RecordType;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::{Path, Zone};

/// How a zone hashes its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nsec3Parameters {
    /// Iterations.
    pub(crate) iterations: u16,
    /// Salt.
    pub(crate) salt: Vec<u8>,
    /// Whether unsigned delegations are left out of the chain.
    pub(crate) opt_out: bool,
}

/// The records that say what there is not.
pub(crate) struct Chain {
    nsec3: Option<Nsec3Parameters>,
    links: Vec<ChainLink>,
}

/// One record of the chain.
struct ChainLink {
    /// What the chain is ordered by.
    place: Place,
    /// Owner of the record.
    owner: Path,
    rdata: Vec<u8>,
}

/// A name for NSEC, its hash for NSEC3; never both in a chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Name(Path),
    Hash(Vec<u8>),
}

impl Nsec3Parameters {
    /// RDATA of the zone's NSEC3PARAM (RFC 5155 §4.2).
    pub(super) fn param(&self) -> Vec<u8> {
        self.start(0)
    }

    /// The fields that NSEC3 and NSEC3PARAM start with.
    fn start(&self, flags: u8) -> Vec<u8> {
        let [i0, i1] = self.iterations.to_be_bytes();
        let salt_len = u8::try_from(self.salt.len()).expect("a short salt");
        [&[1, flags, i0, i1, salt_len], &*self.salt].concat()
    }

    /// The hash of a name (RFC 5155 §5).
    fn hash(&self, path: &Path) -> Vec<u8> {
        let round = |bytes: Vec<u8>| digest(&SHA1_FOR_LEGACY_USE_ONLY, &[bytes, self.salt.clone()].concat());
        let mut hash = round(path.wire()).as_ref().to_vec();
        for _ in 0..self.iterations {
            hash = round(hash).as_ref().to_vec();
        }
        hash
    }
}

impl Chain {
    /// The chain of a signed zone.
    pub(super) fn of(zone: &Zone) -> Self {
        let nsec3 = zone.nsec3.clone();
        let mut places: Vec<(Place, BTreeSet<RecordType>)> = match &nsec3 {
            None => zone.nodes.keys().map(|path| (Place::Name(path.clone()), types(zone, path, false))).collect(),
            Some(nsec3) => {
                let hashed = |path: Path| (Place::Hash(nsec3.hash(&path)), types(zone, &path, true));
                hashed_names(zone, nsec3.opt_out).into_iter().map(hashed).collect()
            }
        };
        places.sort();
        let links = (0..places.len()).map(|index| {
            let ((place, types), (next, _)) = (&places[index], &places[(index + 1) % places.len()]);
            link(zone, &nsec3, place, next, types)
        });
        let links = links.collect();
        Self { nsec3, links }
    }

    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }

    /// Owner and RDATA of a record.
    pub(crate) fn record(&self, number: usize) -> (&Path, &Vec<u8>) {
        let link = &self.links[number];
        (&link.owner, &link.rdata)
    }

    /// The number of the record that matches a name.
    pub(crate) fn matching(&self, path: &Path) -> Option<usize> {
        let place = self.place(path);
        self.links.iter().position(|link| link.place == place)
    }

    /// The number of the record that matches or covers a name.
    pub(crate) fn at_or_before(&self, path: &Path) -> usize {
        let place = self.place(path);
        self.links.iter().rposition(|link| link.place <= place).unwrap_or(self.links.len() - 1)
    }

    fn place(&self, path: &Path) -> Place {
        match &self.nsec3 {
            None => Place::Name(path.clone()),
            Some(nsec3) => Place::Hash(nsec3.hash(path)),
        }
    }
}

/// The names that have NSEC3 records: all that exist, also as empty non-terminals; with opt-out without unsigned
/// delegations and what exists only because of them (RFC 5155 §7.1).
fn hashed_names(zone: &Zone, opt_out: bool) -> BTreeSet<Path> {
    let is_left_out = |path: &Path| opt_out && zone.is_cut(path) && !zone.has_ds(path);
    let kept = zone.nodes.keys().filter(|path| !is_left_out(path));
    kept.flat_map(|path| path.upward().take_while(|above| above.is_at_or_below(&zone.apex)).collect::<Vec<_>>())
        .collect()
}

/// The types that the record of a name lists.
fn types(zone: &Zone, path: &Path, is_hashed: bool) -> BTreeSet<RecordType> {
    let mut types: BTreeSet<RecordType> =
        zone.nodes.get(path).into_iter().flat_map(|node| node.keys().copied()).collect();
    let has_signature = !types.is_empty() && (!zone.is_cut(path) || zone.has_ds(path));
    if !is_hashed {
        types.insert(RecordType::NSEC);
    }
    if has_signature || !is_hashed {
        types.insert(RecordType::RRSIG);
    }
    types
}

fn link(
    zone: &Zone,
    nsec3: &Option<Nsec3Parameters>,
    place: &Place,
    next: &Place,
    types: &BTreeSet<RecordType>,
) -> ChainLink {
    let (owner, mut rdata) = match place {
        Place::Name(path) => (path.clone(), Vec::new()),
        Place::Hash(hash) => {
            let nsec3 = nsec3.as_ref().expect("only NSEC3 hashes");
            let owner = zone.apex.child(&base32hex(hash)).expect("a short apex");
            (owner, nsec3.start(nsec3.opt_out.into()))
        }
    };
    match next {
        Place::Name(path) => rdata.extend(path.wire()),
        Place::Hash(hash) => {
            rdata.push(20);
            rdata.extend(hash);
        }
    }
    rdata.extend(bitmap(types));
    ChainLink { place: place.clone(), owner, rdata }
}

/// RFC 4034 §4.1.2.
fn bitmap(types: &BTreeSet<RecordType>) -> Vec<u8> {
    let mut wire = Vec::new();
    for window in 0..=255u8 {
        let low: Vec<u8> = types
            .iter()
            .map(|rtype| rtype.0.to_be_bytes())
            .filter(|word| word[0] == window)
            .map(|word| word[1])
            .collect();
        let Some(last) = low.last() else { continue };
        let mut block = vec![0u8; usize::from(last / 8) + 1];
        low.iter().for_each(|number| block[usize::from(number / 8)] |= 128 >> (number % 8));
        wire.extend([window, u8::try_from(block.len()).expect("at most 32")]);
        wire.extend(block);
    }
    wire
}

/// RFC 4648 §7, without padding: twenty bytes need none.
fn base32hex(hash: &[u8]) -> Vec<u8> {
    let bit = |at: usize| hash[at / 8] >> (7 - at % 8) & 1;
    let digit = |at: usize| (0..5).fold(0, |digit, offset| digit << 1 | bit(at + offset));
    (0..hash.len() * 8).step_by(5).map(|at| b"0123456789abcdefghijklmnopqrstuv"[usize::from(digit(at))]).collect()
}
