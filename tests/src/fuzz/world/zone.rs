//! One zone: its sets, its keys, its signatures and its chain of denial.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use resolver_user::wire::{CLASS_IN, Record, RecordType};

use super::chain::Chain;
use super::keys::SignatureFields;
use super::trial::NOW_S;
use super::{Key, Nsec3Parameters, Path};
use crate::message::soa;
use crate::signed::TTL_S;

/// The sets at a name: RDATAs by type.
pub(crate) type Node = BTreeMap<RecordType, Vec<Vec<u8>>>;

/// RDATAs of the RRSIGs of each set.
type Signatures = BTreeMap<(Path, RecordType), Vec<Vec<u8>>>;

/// How the zone above leads to a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// With a DS for each key that signs keys.
    Signed,
    /// Without.
    Unsigned,
}

/// What a zone is made from.
pub(crate) struct ZonePlan {
    /// Its apex.
    pub(crate) apex: Path,
    /// Its sets, but SOA, NS, DNSKEY and NSEC3PARAM of the apex, which are made. A name with NS starts another zone.
    pub(crate) nodes: BTreeMap<Path, Node>,
    /// NSEC3, or else NSEC.
    pub(crate) nsec3: Option<Nsec3Parameters>,
    /// Keys that sign the keys; none for a zone without signatures.
    pub(crate) key_signing: Vec<Key>,
    /// Keys that sign all else; if there are none, those that sign the keys do.
    pub(crate) zone_signing: Vec<Key>,
    /// How the zone above leads here.
    pub(crate) link: Link,
    /// For how many seconds from now its signatures hold.
    pub(crate) valid_s: u32,
}

impl ZonePlan {
    /// An empty signed zone with NSEC and one key.
    pub(crate) fn new(apex: Path, seed: u8) -> Self {
        Self {
            apex,
            nodes: BTreeMap::new(),
            nsec3: None,
            key_signing: vec![Key::of_seed(seed)],
            zone_signing: Vec::new(),
            link: Link::Signed,
            valid_s: 100_000,
        }
    }

    /// Adds one set.
    pub(crate) fn with(mut self, owner: &str, rtype: RecordType, rdata: &[u8]) -> Self {
        self.nodes.entry(Path::new(owner)).or_default().entry(rtype).or_default().push(rdata.to_vec());
        self
    }

    /// RDATA of the DS records that the zone above has.
    pub(super) fn ds(&self) -> Vec<Vec<u8>> {
        let keys = if self.link == Link::Signed { &*self.key_signing } else { &[] };
        keys.iter().map(|key| key.ds(&self.apex)).collect()
    }
}

/// A zone as its servers have it.
pub(crate) struct Zone {
    pub(crate) apex: Path,
    pub(crate) nodes: BTreeMap<Path, Node>,
    pub(crate) nsec3: Option<Nsec3Parameters>,
    pub(crate) key_signing: Vec<Key>,
    zone_signing: Vec<Key>,
    valid_s: u32,
    /// None if the zone is not signed.
    pub(crate) chain: Option<Chain>,
    /// Signatures that were made.
    signatures: Mutex<Signatures>,
}

impl Zone {
    pub(super) fn new(plan: ZonePlan) -> Self {
        let ZonePlan { apex, mut nodes, nsec3, key_signing, zone_signing, valid_s, .. } = plan;
        let top = nodes.entry(apex.clone()).or_default();
        top.remove(&RecordType::CNAME);
        top.remove(&RecordType::DS);
        top.insert(RecordType::SOA, vec![soa(".", TTL_S, TTL_S).rdata]);
        top.insert(RecordType::NS, vec![apex.child(b"ns").expect("short").wire()]);
        if !key_signing.is_empty() {
            let keys = key_signing.iter().chain(&zone_signing).map(|key| key.dnskey()).collect();
            top.insert(RecordType::DNSKEY, keys);
            if let Some(nsec3) = &nsec3 {
                top.insert(RecordType::NSEC3PARAM, vec![nsec3.param()]);
            }
        }
        let zone_signing = if zone_signing.is_empty() { key_signing.clone() } else { zone_signing };
        let mut zone =
            Self { apex, nodes, nsec3, key_signing, zone_signing, valid_s, chain: None, signatures: Mutex::default() };
        zone.tidy();
        if zone.is_signed() {
            zone.chain = Some(Chain::of(&zone));
        }
        zone
    }

    /// Drops what cannot stand in a zone: data beside a CNAME or below a cut or DNAME, and data at a cut.
    fn tidy(&mut self) {
        let apex = self.apex.clone();
        self.nodes.retain(|path, node| path.is_at_or_below(&apex) && !node.is_empty());
        for (path, node) in &mut self.nodes {
            if path.is_wildcard() {
                // What these mean at a wildcard is not defined (RFC 4592 §4.2, §4.4).
                node.retain(|&rtype, _| !matches!(rtype, RecordType::NS | RecordType::DS | RecordType::DNAME));
            }
            if *path != apex {
                if node.contains_key(&RecordType::NS) {
                    node.retain(|&rtype, _| matches!(rtype, RecordType::NS | RecordType::DS));
                } else if node.contains_key(&RecordType::CNAME) {
                    node.retain(|&rtype, _| rtype == RecordType::CNAME);
                } else {
                    node.remove(&RecordType::DS);
                }
            }
        }
        self.nodes.retain(|_, node| !node.is_empty());
        let ends: Vec<Path> =
            self.nodes.keys().filter(|path| self.is_cut(path) || self.is_dname(path)).cloned().collect();
        self.nodes.retain(|path, _| !ends.iter().any(|end| path.is_below(end)));
    }

    pub(crate) fn is_signed(&self) -> bool {
        !self.key_signing.is_empty()
    }

    /// Whether somebody can verify its signatures.
    pub(super) fn is_supported(&self) -> bool {
        self.key_signing.iter().any(|key| key.is_supported())
    }

    pub(crate) fn has(&self, path: &Path, rtype: RecordType) -> bool {
        self.nodes.get(path).is_some_and(|node| node.contains_key(&rtype))
    }

    pub(crate) fn is_cut(&self, path: &Path) -> bool {
        *path != self.apex && self.has(path, RecordType::NS)
    }

    pub(crate) fn has_ds(&self, path: &Path) -> bool {
        self.has(path, RecordType::DS)
    }

    pub(crate) fn is_dname(&self, path: &Path) -> bool {
        self.has(path, RecordType::DNAME)
    }

    /// Whether there is anything at or below a name.
    pub(crate) fn exists(&self, path: &Path) -> bool {
        self.nodes.range(path..).next().is_some_and(|(first, _)| first.is_at_or_below(path))
    }

    /// Whether the zone opts out, and its chain leaves this name out.
    pub(crate) fn is_opted_out(&self, path: &Path) -> bool {
        let opts_out = self.nsec3.as_ref().is_some_and(|nsec3| nsec3.opt_out);
        opts_out && self.chain.as_ref().is_some_and(|chain| chain.matching(path).is_none())
    }

    /// Every set, as its servers give it: those of the nodes, then the chain's.
    pub(crate) fn set_count(&self) -> usize {
        let chain = self.chain.as_ref().map_or(0, Chain::len);
        self.nodes.values().map(Node::len).sum::<usize>() + chain
    }

    /// The set with a number below [`Self::set_count`].
    pub(crate) fn set(&self, number: usize) -> Vec<Record> {
        let sets = self.nodes.iter().flat_map(|(path, node)| node.keys().map(move |rtype| (path, *rtype)));
        let mut left = number;
        for (path, rtype) in sets {
            if left == 0 {
                return self.records(path, rtype);
            }
            left -= 1;
        }
        self.chain_set(left)
    }

    /// The set of a type at a name, with signatures.
    pub(crate) fn records(&self, path: &Path, rtype: RecordType) -> Vec<Record> {
        if rtype == RecordType::NSEC && self.nsec3.is_none() {
            let number = self.chain.as_ref().and_then(|chain| chain.matching(path));
            return number.map(|number| self.chain_set(number)).unwrap_or_default();
        }
        let rdatas = self.nodes.get(path).and_then(|node| node.get(&rtype));
        let is_signed = self.is_signed() && !(self.is_cut(path) && rtype == RecordType::NS);
        rdatas.map(|rdatas| self.as_records(path, rtype, rdatas, is_signed)).unwrap_or_default()
    }

    /// A set of the chain by its number.
    pub(crate) fn chain_set(&self, number: usize) -> Vec<Record> {
        let Some(chain) = &self.chain else { return Vec::new() };
        let (owner, rdata) = chain.record(number);
        let rtype = if self.nsec3.is_some() { RecordType::NSEC3 } else { RecordType::NSEC };
        self.as_records(owner, rtype, std::slice::from_ref(rdata), true)
    }

    fn as_records(&self, owner: &Path, rtype: RecordType, rdatas: &[Vec<u8>], is_signed: bool) -> Vec<Record> {
        let signatures = if is_signed { self.signatures(owner, rtype, rdatas) } else { Vec::new() };
        let name = owner.name();
        let record = |rtype: RecordType, rdata: Vec<u8>| Record {
            owner: name.clone(),
            rtype,
            class: CLASS_IN,
            ttl_s: TTL_S,
            rdata: rdata.into(),
        };
        let data = rdatas.iter().map(|rdata| record(rtype, rdata.clone()));
        data.chain(signatures.into_iter().map(|rdata| record(RecordType::RRSIG, rdata))).collect()
    }

    fn signatures(&self, owner: &Path, rtype: RecordType, rdatas: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut known = self.signatures.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (owner.clone(), rtype);
        let times = NOW_S - 1000..NOW_S + self.valid_s;
        known.entry(key).or_insert_with(|| self.sign(owner, rtype, rdatas, times)).clone()
    }

    /// Signs anything as a set of this zone.
    pub(super) fn sign(
        &self,
        owner: &Path,
        rtype: RecordType,
        rdatas: &[Vec<u8>],
        times: std::ops::Range<u32>,
    ) -> Vec<Vec<u8>> {
        let keys = if rtype == RecordType::DNSKEY { &self.key_signing } else { &self.zone_signing };
        let fields = SignatureFields { signer: &self.apex, rtype, labels: owner.signed_labels(), ttl_s: TTL_S, times };
        keys.iter().map(|key| key.rrsig(&fields, &owner.wire(), rdatas)).collect()
    }
}
