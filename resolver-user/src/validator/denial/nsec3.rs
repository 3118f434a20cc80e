//! Proofs from NSEC3 records (RFC 5155 §8, RFC 9276 §3.2).
//!
//! In: NSEC3 records of one zone, checked by [`Nsec3::read`], a question, and a budget that pays for each hash. Out: what
//! they prove. Does no signature checks. Records of another hash algorithm or with unknown flags prove nothing
//! (RFC 5155 §8.1, §8.2); of several chains of a zone, only the first is used.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::{Delegation, Denial, TypeBitmap, denies_type, ends_authority, matched_delegation};
use crate::validator::{BudgetItem, WorkBudget};
use crate::wire::{Name, RecordType, RrSet};

/// The one hash algorithm: SHA-1.
const HASH_ALGORITHM: u8 = 1;
/// The one flag: opt-out.
const FLAG_OPT_OUT: u8 = 1;
/// Length of a hash, in bytes.
const HASH_LEN: usize = 20;

pub(super) type Hash = [u8; HASH_LEN];

/// One NSEC3 record.
#[derive(Clone, Debug)]
pub(super) struct Nsec3 {
    pub(super) owner: Hash,
    pub(super) next: Hash,
    pub(super) iterations: u16,
    pub(super) salt: Box<[u8]>,
    pub(super) opt_out: bool,
    pub(super) types: TypeBitmap,
}

impl Nsec3 {
    /// Reads the NSEC3 of a set of `zone`. None if the set has not exactly one record, if its owner is not a hash
    /// directly below the apex, or if the record is malformed or of a kind that must be ignored.
    pub(super) fn read(set: &RrSet, zone: &Name) -> Option<Self> {
        let [rdata] = &*set.rdatas else { return None };
        if set.owner.parent()? != *zone {
            return None;
        }
        let owner = decode_base32hex(set.owner.labels().next()?)?;
        let (&[algorithm, flags, i0, i1, salt_length], rest) = rdata.split_first_chunk::<5>()?;
        let (salt, rest) = rest.split_at_checked(usize::from(salt_length))?;
        let (&next_length, rest) = rest.split_first()?;
        let (next, types) = rest.split_at_checked(usize::from(next_length))?;
        if algorithm != HASH_ALGORITHM || flags & !FLAG_OPT_OUT != 0 {
            return None;
        }
        Some(Self {
            owner,
            next: next.try_into().ok()?,
            iterations: u16::from_be_bytes([i0, i1]),
            salt: salt.into(),
            opt_out: flags & FLAG_OPT_OUT != 0,
            types: TypeBitmap::read(types)?,
        })
    }

    pub(super) fn covers(&self, hash: &Hash) -> bool {
        if self.owner < self.next {
            self.owner < *hash && *hash < self.next
        } else {
            // The last of the zone, which leads back to the first; or the only one.
            self.owner < *hash || *hash < self.next
        }
    }
}

/// The records of one chain, with the hashes that are computed so far.
pub(super) struct Chain<'a> {
    zone: &'a Name,
    records: Vec<&'a Nsec3>,
    iterations: u16,
    salt: &'a [u8],
    hashes: Vec<(Name, Hash)>,
    hashes_left: u32,
    budget: &'a mut WorkBudget,
}

/// The proof that `qname` does not exist, wildcards aside (RFC 5155 §7.2.1).
struct ClosestEncloser {
    name: Name,
    /// Whether the span that covers the next closer name is an opt-out one.
    opt_out: bool,
}

impl<'a> Chain<'a> {
    /// The chain of the first record, or why there is nothing to be proven with it.
    pub(super) fn new(zone: &'a Name, records: &'a [Nsec3], budget: &'a mut WorkBudget) -> Result<Self, Denial> {
        let first = records.first().ok_or(Denial::Unproven)?;
        let (iterations, salt) = (first.iterations, &*first.salt);
        if iterations > budget.limits().nsec3_iterations_bogus_above {
            return Err(Denial::FarTooManyIterations(iterations));
        }
        if iterations > budget.limits().nsec3_iterations_insecure_above {
            return Err(Denial::TooManyIterations(iterations));
        }
        let records =
            records.iter().filter(|record| record.iterations == iterations && *record.salt == *salt).collect();
        let hashes_left = budget.limits().nsec3_hashes_per_proof;
        Ok(Self { zone, records, iterations, salt, hashes: Vec::new(), hashes_left, budget })
    }

    /// Whether neither `qname` nor a wildcard that would answer for it exists (RFC 5155 §8.4).
    pub(super) fn name_error(&mut self, qname: &Name) -> Result<Denial, BudgetItem> {
        let Some(encloser) = self.closest_encloser(qname)? else { return Ok(Denial::Unproven) };
        let Some(wildcard) = encloser.name.wildcard() else { return Ok(Denial::Unproven) };
        let wildcard_absent = self.covering(&wildcard)?.is_some();
        Ok(if wildcard_absent { absent(encloser.opt_out) } else { Denial::Unproven })
    }

    /// Whether there is no `qtype` at `qname`, nor at a wildcard that would answer for it (RFC 5155 §8.5 to §8.7).
    pub(super) fn no_data(&mut self, qname: &Name, qtype: RecordType) -> Result<Denial, BudgetItem> {
        if let Some(record) = self.matching(qname)? {
            return Ok(if denies_type(&record.types, qname, qtype) { Denial::Proven } else { Denial::Unproven });
        }
        let Some(encloser) = self.closest_encloser(qname)? else { return Ok(Denial::Unproven) };
        if let Some(wildcard) = encloser.name.wildcard()
            && let Some(record) = self.matching(&wildcard)?
        {
            let denied = denies_type(&record.types, &wildcard, qtype);
            return Ok(if denied { absent(encloser.opt_out) } else { Denial::Unproven });
        }
        // An opt-out span may hide an unsigned delegation, and the empty non-terminals that lead to one (RFC 5155 §7.1
        // as corrected by erratum 3441).
        Ok(if encloser.opt_out { Denial::OptOut } else { Denial::Unproven })
    }

    /// Whether `next_closer` does not exist (RFC 5155 §8.8).
    pub(super) fn no_closer_match(&mut self, next_closer: &Name) -> Result<Denial, BudgetItem> {
        let covering = self.covering(next_closer)?;
        Ok(covering.map_or(Denial::Unproven, |record| absent(record.opt_out)))
    }

    /// What there is at `child`, given that there is no DS (RFC 5155 §8.6, §8.9).
    pub(super) fn delegation(&mut self, child: &Name) -> Result<Delegation, BudgetItem> {
        if let Some(record) = self.matching(child)? {
            return Ok(matched_delegation(&record.types));
        }
        Ok(match self.closest_encloser(child)? {
            Some(encloser) if encloser.opt_out => Delegation::OptOut,
            Some(_) => Delegation::Nothing,
            None => Delegation::Unproven,
        })
    }

    /// The longest ancestor of `qname` that matches a record, if the name one label longer is covered (RFC 5155 §8.3).
    fn closest_encloser(&mut self, qname: &Name) -> Result<Option<ClosestEncloser>, BudgetItem> {
        let mut next_closer = qname.clone();
        // Bound: one turn per label of `qname` below the zone, each paid from the budget.
        while next_closer.is_below(self.zone) {
            let Some(name) = next_closer.parent() else { return Ok(None) };
            let Some(encloser) = self.matching(&name)? else {
                next_closer = name;
                continue;
            };
            if ends_authority(&encloser.types) {
                return Ok(None);
            }
            let covering = self.covering(&next_closer)?;
            return Ok(covering.map(|record| ClosestEncloser { name, opt_out: record.opt_out }));
        }
        Ok(None)
    }

    pub(super) fn matching(&mut self, name: &Name) -> Result<Option<&'a Nsec3>, BudgetItem> {
        let hash = self.hash(name)?;
        Ok(self.records.iter().copied().find(|record| record.owner == hash))
    }

    fn covering(&mut self, name: &Name) -> Result<Option<&'a Nsec3>, BudgetItem> {
        let hash = self.hash(name)?;
        Ok(self.records.iter().copied().find(|record| record.covers(&hash)))
    }

    pub(super) fn hash(&mut self, name: &Name) -> Result<Hash, BudgetItem> {
        if let Some((_, hash)) = self.hashes.iter().find(|(known, _)| known == name) {
            return Ok(*hash);
        }
        self.hashes_left = self.hashes_left.checked_sub(1).ok_or(BudgetItem::Nsec3Hashes)?;
        self.budget.spend_nsec3_rounds(u32::from(self.iterations).saturating_add(1))?;
        let hash = hash_name(name, self.iterations, self.salt);
        self.hashes.push((name.clone(), hash));
        Ok(hash)
    }
}

fn absent(opt_out: bool) -> Denial {
    if opt_out { Denial::OptOut } else { Denial::Proven }
}

/// The hash of a name (RFC 5155 §5).
pub(super) fn hash_name(name: &Name, iterations: u16, salt: &[u8]) -> Hash {
    let mut input = name.canonical_wire().into_vec();
    let mut hash = [0; HASH_LEN];
    for _ in 0..=iterations {
        input.extend_from_slice(salt);
        // SHA-1 is the only hash that NSEC3 has. Its output has HASH_LEN bytes.
        if let Ok(round) = digest(&SHA1_FOR_LEGACY_USE_ONLY, &input).as_ref().try_into() {
            hash = round;
        }
        input.clear();
        input.extend_from_slice(&hash);
    }
    hash
}

/// Decodes a hash from a label: 32 characters of base32hex without padding (RFC 4648 §7), in any letter case.
fn decode_base32hex(label: &[u8]) -> Option<Hash> {
    let mut hash = [0; HASH_LEN];
    if label.len() != 32 {
        return None;
    }
    // Eight characters are five bytes.
    for (bytes, characters) in hash.chunks_exact_mut(5).zip(label.chunks_exact(8)) {
        let mut bits = 0u64;
        for &character in characters {
            let digit = char::from(character).to_digit(32)?;
            bits = bits << 5 | u64::from(digit);
        }
        bytes.copy_from_slice(bits.to_be_bytes().get(3..)?);
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_rfc_5155_appendix_a() {
        let salt = [0xaa, 0xbb, 0xcc, 0xdd];
        for (name, expected) in [
            ("example", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"),
            ("a.example", "35mthgpgcu1qg68fab165klnsnk3dpvl"),
            ("ai.example", "gjeqe526plbf1g8mklp59enfd789njgi"),
            ("ns1.example", "2t7b4g4vsa5smi47k61mv5bv1a22bojr"),
            ("ns2.example", "q04jkcevqvmu85r014c7dkba38o0ji5r"),
            ("w.example", "k8udemvp1j2f7eg6jebps17vp3n8i58h"),
            ("*.w.example", "r53bq7cc2uvmubfu5ocmm6pers9tk9en"),
            ("x.w.example", "b4um86eghhds6nea196smvmlo4ors995"),
            ("y.w.example", "ji6neoaepv8b5o6k4ev33abha8ht9fgc"),
            ("x.y.w.example", "2vptu5timamqttgl4luu9kg21e0aor3s"),
            ("XX.Example", "t644ebqk9bibcna874givr6joj62mlhv"),
        ] {
            let hash = hash_name(&name.parse().unwrap(), 12, &salt);
            assert_eq!(Some(hash), decode_base32hex(expected.as_bytes()), "{name}");
            assert_eq!(Some(hash), decode_base32hex(expected.to_uppercase().as_bytes()), "{name}");
        }
    }

    #[test]
    fn owners_that_are_no_hash_are_refused() {
        for label in [
            "",
            "0p9mhaveqvm6t7vbl5lop2u3t2rp3to",
            "0p9mhaveqvm6t7vbl5lop2u3t2rp3tow",
            "0p9mhaveqvm6t7vbl5lop2u3t2rp3to-",
        ] {
            assert_eq!(decode_base32hex(label.as_bytes()), None, "{label}");
        }
    }
}
