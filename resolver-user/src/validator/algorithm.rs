//! The signature algorithms of DNSSEC, as far as we verify them, over ring, and Ed448 over ed448-goldilocks, which ring
//! lacks (RFC 3110, 5702, 6605, 8080).
//!
//! In: an algorithm number, a public key and a signature as they stand in DNSKEY and RRSIG, the signed bytes. Out: yes or
//! no. Refuses: anything that has to do with names, sets or time. What is not supported makes a zone insecure, never
//! bogus (RFC 4035 §5.2), so "supported" is asked apart from "valid".

use ed448_goldilocks::{Signature as Ed448Signature, VerifyingKey as Ed448Key};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

use super::Policy;

/// An algorithm that we verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// 5, 7, 8 and 10: RSA with PKCS #1 v1.5 padding, over SHA-1, SHA-256 or SHA-512.
    Rsa(RsaHash),
    /// 13 and 14: ECDSA.
    Ecdsa(Curve),
    /// 15.
    Ed25519,
    /// 16.
    Ed448,
    /// 3, 5, 6 and 7 where [`Policy::sha1_taken_on_trust`] says so: whatever there is, is valid, unless it is nothing.
    TakenOnTrust,
}

/// The hash of an RSA algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RsaHash {
    /// Algorithms 5 and 7, which differ only in what they say of denial (RFC 5155 §2).
    Sha1,
    /// Algorithm 8.
    Sha256,
    /// Algorithm 10.
    Sha512,
}

/// The curve of an ECDSA algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    /// Algorithm 13.
    P256,
    /// Algorithm 14.
    P384,
}

impl Algorithm {
    /// The algorithm with this number, if we can verify it.
    pub(super) fn from_number(number: u8) -> Option<Self> {
        match number {
            5 | 7 => Some(Self::Rsa(RsaHash::Sha1)),
            8 => Some(Self::Rsa(RsaHash::Sha256)),
            10 => Some(Self::Rsa(RsaHash::Sha512)),
            13 => Some(Self::Ecdsa(Curve::P256)),
            14 => Some(Self::Ecdsa(Curve::P384)),
            15 => Some(Self::Ed25519),
            16 => Some(Self::Ed448),
            _ => None,
        }
    }

    /// The algorithm with this number, if we can verify it and policy accepts it.
    pub(super) fn accepted(number: u8, policy: &Policy) -> Option<Self> {
        if policy.sha1_taken_on_trust && matches!(number, 3 | 5..=7) {
            return Some(Self::TakenOnTrust);
        }
        Self::from_number(number).filter(|&algorithm| policy.sha1_allowed || algorithm != Self::Rsa(RsaHash::Sha1))
    }

    /// Whether we can verify with this very key. Only RSA keys differ: ring takes 1024 to 8192 bits, and odd exponents
    /// from 3 to 2^33 − 1. A key of another algorithm with a wrong length is a broken key, not an unsupported one.
    pub(super) fn supports_key(self, public_key: &[u8]) -> bool {
        match self {
            Self::Rsa(_) => RsaKey::read(public_key).is_some_and(|key| key.is_supported()),
            Self::Ecdsa(_) | Self::Ed25519 | Self::Ed448 | Self::TakenOnTrust => true,
        }
    }

    /// What a check with this key costs, in units of about 250 µs, at least one: what the budget counts.
    ///
    /// Measured on one core of a server of 2026, for good and bad signatures alike, in microseconds: RSA of 2048 bits 16,
    /// of 4096 bits 62, Ed25519 31, ECDSA P-256 38, P-384 500, Ed448 850; RSA with the largest exponent that ring takes, of
    /// 4096 bits 190, of 8192 bits 755.
    ///
    /// Choice: coarse units, so that an honest cold chain of the costliest algorithm stays within 32 of them: a denial by
    /// three NSEC3 in a zone of Ed448 below another is 7 checks. A message of 64 kB adds at most 80 µs.
    pub(super) fn weight(self, public_key: &[u8]) -> u32 {
        match self {
            Self::Rsa(_) if rsa_modulus_bits(public_key).is_some_and(|bits| bits > RSA_BITS_USUAL_MAX) => 3,
            Self::Rsa(_) | Self::Ecdsa(Curve::P256) | Self::Ed25519 | Self::TakenOnTrust => 1,
            Self::Ecdsa(Curve::P384) => 2,
            Self::Ed448 => 4,
        }
    }

    /// Whether `signature` over `message` was made with the private half of `public_key`.
    pub(super) fn verify(self, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa(RsaHash::Sha1) => {
                verify_rsa(&RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, public_key, message, signature)
            }
            Self::Rsa(RsaHash::Sha256) => {
                verify_rsa(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, public_key, message, signature)
            }
            Self::Rsa(RsaHash::Sha512) => {
                verify_rsa(&RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, public_key, message, signature)
            }
            Self::Ecdsa(Curve::P256) => verify_ecdsa(&ECDSA_P256_SHA256_FIXED, public_key, message, signature),
            Self::Ecdsa(Curve::P384) => verify_ecdsa(&ECDSA_P384_SHA384_FIXED, public_key, message, signature),
            Self::Ed25519 => UnparsedPublicKey::new(&ED25519, public_key).verify(message, signature).is_ok(),
            Self::Ed448 => verify_ed448(public_key, message, signature).is_some(),
            Self::TakenOnTrust => !signature.is_empty(),
        }
    }
}

/// Ed448 without a context (RFC 8080 §3, §4); none if key, signature or both are wrong.
fn verify_ed448(public_key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let key: [u8; ED448_KEY_LEN] = public_key.try_into().ok()?;
    let key = Ed448Key::from_bytes(&key).ok()?;
    key.verify_raw(&Ed448Signature::from_slice(signature).ok()?, message).ok()
}

/// ring wants the point in the uncompressed form of SEC 1 §2.3.3; DNSKEY leaves out the leading 4 (RFC 6605 §4).
fn verify_ecdsa(
    algorithm: &'static dyn VerificationAlgorithm,
    public_key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    let mut point = Vec::with_capacity(public_key.len().saturating_add(1));
    point.push(4);
    point.extend_from_slice(public_key);
    UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok()
}

fn verify_rsa(parameters: &'static RsaParameters, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Some(RsaKey { exponent, modulus }) = RsaKey::read(public_key) else { return false };
    RsaPublicKeyComponents { n: modulus, e: exponent }.verify(parameters, message, signature).is_ok()
}

/// An RSA public key (RFC 3110 §2), big-endian, without leading zeros.
struct RsaKey<'a> {
    exponent: &'a [u8],
    modulus: &'a [u8],
}

impl<'a> RsaKey<'a> {
    fn read(public_key: &'a [u8]) -> Option<Self> {
        let (length, rest) = match public_key {
            [0, high, low, rest @ ..] => (u16::from_be_bytes([*high, *low]), rest),
            [length, rest @ ..] => (u16::from(*length), rest),
            [] => return None,
        };
        let (exponent, modulus) = rest.split_at_checked(usize::from(length))?;
        Some(Self { exponent: without_leading_zeros(exponent), modulus: without_leading_zeros(modulus) })
    }

    fn is_supported(&self) -> bool {
        let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
        let exponent_fits = match self.exponent {
            [] | [1] => false,
            [first, _, _, _, _] => *first <= 1,
            longer_or_shorter => longer_or_shorter.len() < 5,
        };
        // ring rounds the lower bound up to whole bytes and takes the upper one in bits; whole bytes are the same here.
        exponent_fits && odd(self.exponent) && odd(self.modulus) && (128..=1024).contains(&self.modulus.len())
    }
}

/// Size of the modulus of an RSA key, in bits; none if the key is malformed.
pub(super) fn rsa_modulus_bits(public_key: &[u8]) -> Option<usize> {
    let key = RsaKey::read(public_key)?;
    let unused = key.modulus.first().map_or(0, |first| first.leading_zeros());
    key.modulus.len().saturating_mul(8).checked_sub(usize::try_from(unused).ok()?)
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let start = number.iter().position(|&byte| byte != 0).unwrap_or(number.len());
    number.get(start..).unwrap_or(&[])
}

/// Size of the largest RSA modulus whose check costs no more than a unit whatever the exponent, in bits.
const RSA_BITS_USUAL_MAX: usize = 4096;
/// Length of an Ed448 public key, in bytes (RFC 8080 §3).
const ED448_KEY_LEN: usize = 57;
