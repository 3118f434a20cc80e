//! Keys of model zones, and signatures made with them (RFC 4034 §3.1.8.1, appendix B; RFC 3110, RFC 8080).

use std::sync::OnceLock;

use resolver_user::wire::RecordType;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};

use super::Path;

/// A key pair of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// Algorithm 15, made from this seed, with these flags.
    Ed25519 {
        /// What it is made from.
        seed: u8,
        /// Flags of its DNSKEY.
        flags: u16,
    },
    /// Algorithm 8: the one key of this kind.
    Rsa,
    /// An algorithm that nobody verifies; its signatures are noise.
    Unsupported,
}

/// What a signature says of its set.
pub(crate) struct SignatureFields<'a> {
    /// Zone.
    pub(crate) signer: &'a Path,
    /// Type of the set.
    pub(crate) rtype: RecordType,
    /// Labels of its owner.
    pub(crate) labels: u8,
    /// TTL in the zone, in seconds.
    pub(crate) ttl_s: u32,
    /// Validity, in seconds since 1970.
    pub(crate) times: std::ops::Range<u32>,
}

impl Key {
    /// An Ed25519 key that signs everything of its zone.
    pub(crate) fn of_seed(seed: u8) -> Self {
        Self::Ed25519 { seed, flags: 257 }
    }

    pub(crate) fn is_supported(self) -> bool {
        self != Self::Unsupported
    }

    fn algorithm(self) -> u8 {
        match self {
            Self::Ed25519 { .. } => 15,
            Self::Rsa => 8,
            Self::Unsupported => 12,
        }
    }

    /// RDATA of its DNSKEY.
    pub(crate) fn dnskey(self) -> Vec<u8> {
        let flags = if let Self::Ed25519 { flags, .. } = self { flags } else { 257 };
        let mut rdata = flags.to_be_bytes().to_vec();
        rdata.extend([3, self.algorithm()]);
        match self {
            Self::Ed25519 { seed, .. } => rdata.extend(ed25519(seed).public_key().as_ref()),
            Self::Rsa => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(rsa().public());
                rdata.push(u8::try_from(public.e.len()).expect("short"));
                rdata.extend([public.e, public.n].concat());
            }
            Self::Unsupported => rdata.extend([0x5a; 64]),
        }
        rdata
    }

    /// RFC 4034 appendix B.
    pub(crate) fn tag(self) -> u16 {
        let mut sum = 0u32;
        for (index, byte) in self.dnskey().into_iter().enumerate() {
            sum += if index % 2 == 0 { u32::from(byte) << 8 } else { byte.into() };
        }
        u16::try_from((sum + (sum >> 16)) & 0xffff).expect("sixteen bits")
    }

    /// RDATA of the DS that leads to it.
    pub(crate) fn ds(self, apex: &Path) -> Vec<u8> {
        let digest = digest(&SHA256, &[apex.wire(), self.dnskey()].concat());
        [&self.tag().to_be_bytes(), &[self.algorithm(), 2][..], digest.as_ref()].concat()
    }

    /// RDATA of the RRSIG over a set whose owner was written in canonical form, as were its RDATAs.
    pub(crate) fn rrsig(self, fields: &SignatureFields<'_>, owner: &[u8], rdatas: &[Vec<u8>]) -> Vec<u8> {
        let mut rdata = fields.rtype.0.to_be_bytes().to_vec();
        rdata.extend([self.algorithm(), fields.labels]);
        rdata.extend(fields.ttl_s.to_be_bytes());
        rdata.extend(fields.times.end.to_be_bytes());
        rdata.extend(fields.times.start.to_be_bytes());
        rdata.extend(self.tag().to_be_bytes());
        rdata.extend(fields.signer.wire());
        let mut message = rdata.clone();
        let mut sorted = rdatas.to_vec();
        sorted.sort();
        sorted.dedup();
        for one in sorted {
            message.extend(owner);
            message.extend(fields.rtype.0.to_be_bytes());
            message.extend([0, 1]);
            message.extend(fields.ttl_s.to_be_bytes());
            message.extend(u16::try_from(one.len()).expect("short rdata").to_be_bytes());
            message.extend(one);
        }
        rdata.extend(self.sign(&message));
        rdata
    }

    fn sign(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519 { seed, .. } => ed25519(seed).sign(message).as_ref().to_vec(),
            Self::Rsa => {
                let mut signature = vec![0; rsa().public().modulus_len()];
                // The random numbers blind the computation; they do not change its result.
                let random = SystemRandom::new();
                rsa().sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect("a signature of its size");
                signature
            }
            Self::Unsupported => vec![0x5a; 64],
        }
    }
}

/// The pair of a seed, made once.
fn ed25519(seed: u8) -> &'static Ed25519KeyPair {
    static PAIRS: [OnceLock<Ed25519KeyPair>; 256] = [const { OnceLock::new() }; 256];
    PAIRS[usize::from(seed)]
        .get_or_init(|| Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("any seed is a key"))
}

fn rsa() -> &'static RsaKeyPair {
    static PAIR: OnceLock<RsaKeyPair> = OnceLock::new();
    PAIR.get_or_init(|| RsaKeyPair::from_pkcs8(include_bytes!("rsa.pk8")).expect("a key"))
}
