//! Keys that sign, and the signatures they make. The other half of `key.rs` and `signature.rs`, for tests alone.

use ed448_goldilocks::{SecretKey as Ed448Secret, SigningKey as Ed448KeyPair};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};

use super::super::canonical::{counted_labels, signed_bytes};
use super::super::key::ZoneKey;
use crate::wire::{Name, Record, RecordType, RrSet, Rrsig};

/// A key pair with its DNSKEY.
pub struct SigningKey {
    pair: Pair,
    pub dnskey: Vec<u8>,
}

enum Pair {
    Ed25519(Box<Ed25519KeyPair>),
    Ecdsa(Box<EcdsaKeyPair>),
    Ed448(Box<Ed448KeyPair>),
    /// Signs with bytes that mean nothing: for algorithms that we do not have.
    Nonsense,
}

/// What a signature says apart from what it signs.
#[derive(Clone, Copy)]
pub struct Terms {
    pub inception: u32,
    pub expiration: u32,
    /// Labels field, if it is not to be counted from the owner.
    pub labels: Option<u8>,
}

impl SigningKey {
    /// A new key of algorithm 13 to 16; of another, one that only looks like it.
    pub fn new(algorithm: u8, flags: u16) -> Self {
        let random = SystemRandom::new();
        let (pair, public) = match algorithm {
            15 => {
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
                let public = pair.public_key().as_ref().to_vec();
                (Pair::Ed25519(Box::new(pair)), public)
            }
            16 => {
                let mut secret = Ed448Secret::default();
                random.fill(&mut secret).unwrap();
                let pair = Ed448KeyPair::from(&secret);
                let public = pair.verifying_key().to_bytes().to_vec();
                (Pair::Ed448(Box::new(pair)), public)
            }
            13 | 14 => {
                let algorithm =
                    if algorithm == 13 { &ECDSA_P256_SHA256_FIXED_SIGNING } else { &ECDSA_P384_SHA384_FIXED_SIGNING };
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
                let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
                let public = pair.public_key().as_ref()[1..].to_vec();
                (Pair::Ecdsa(Box::new(pair)), public)
            }
            // An exponent of 3 and a modulus of 512 bits: what an old RSA key looks like.
            _ => (Pair::Nonsense, [&[1, 3][..], &[0xff; 64]].concat()),
        };
        let [f0, f1] = flags.to_be_bytes();
        Self { pair, dnskey: [&[f0, f1, 3, algorithm][..], &public].concat() }
    }

    pub fn tag(&self) -> u16 {
        ZoneKey::read(&self.dnskey).unwrap().tag
    }

    pub fn algorithm(&self) -> u8 {
        self.dnskey[3]
    }

    /// RDATA of a DS for this key.
    pub fn ds(&self, zone: &Name, digest_type: u8) -> Vec<u8> {
        let digested = [&*zone.canonical_wire(), &self.dnskey].concat();
        let algorithm = if digest_type == 4 { &ring::digest::SHA384 } else { &ring::digest::SHA256 };
        let [t0, t1] = self.tag().to_be_bytes();
        [&[t0, t1, self.algorithm(), digest_type], ring::digest::digest(algorithm, &digested).as_ref()].concat()
    }

    /// The signature of `set` by `signer`.
    pub fn sign(&self, set: &RrSet, signer: &Name, terms: Terms) -> Rrsig {
        let labels = terms.labels.unwrap_or(u8::try_from(counted_labels(&set.owner)).unwrap());
        let mut rdata = set.rtype.0.to_be_bytes().to_vec();
        rdata.extend([self.algorithm(), labels]);
        rdata.extend(set.ttl_s.to_be_bytes());
        rdata.extend(terms.expiration.to_be_bytes());
        rdata.extend(terms.inception.to_be_bytes());
        rdata.extend(self.tag().to_be_bytes());
        rdata.extend(signer.wire());
        let unsigned = rrsig(set, rdata.clone());
        let message = signed_bytes(set, &unsigned).unwrap_or_default();
        rdata.extend(match &self.pair {
            Pair::Ed25519(pair) => pair.sign(&message).as_ref().to_vec(),
            Pair::Ed448(pair) => pair.sign_raw(&message).to_bytes().to_vec(),
            Pair::Ecdsa(pair) => pair.sign(&SystemRandom::new(), &message).unwrap().as_ref().to_vec(),
            Pair::Nonsense => vec![0x5a; 64],
        });
        rrsig(set, rdata)
    }
}

fn rrsig(set: &RrSet, rdata: Vec<u8>) -> Rrsig {
    let record = Record {
        owner: set.owner.clone(),
        rtype: RecordType::RRSIG,
        class: 1,
        ttl_s: set.ttl_s,
        rdata: rdata.into_boxed_slice(),
    };
    Rrsig::read(&record).unwrap()
}
