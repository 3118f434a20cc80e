//! Checks that what IANA publishes was signed by IANA: a detached CMS signature (RFC 5652 §5) whose signer's certificate
//! leads to the authority (RFC 5280 §6).
//!
//! In: the content, the signature in DER form, the authority, the time. Out: nothing, or why it does not hold.
//! The signer must be the one that IANA names, as ICANN's authority signs certificates for other purposes too. Of the chain,
//! `webpki` checks signatures, times, constraints and purpose; the rest is checked here.

use std::time::Duration;

use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use ring::digest::{SHA256, SHA384, SHA512, digest};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use thiserror::Error;
use webpki::{EndEntityCert, KeyUsage};
use x509_cert::Certificate;
use x509_cert::der::asn1::{ObjectIdentifier, OctetString};
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage as KeyUsageBits, SubjectAltName, SubjectKeyIdentifier, name};
use x509_cert::time::Validity;

use super::authority::{Authority, der};

/// The address in the signer's certificate.
pub const SIGNER: &str = "dnssec@iana.org";
/// Signers of one message that are looked at. Choice: IANA has one; two leave room for a change of keys.
const SIGNERS_MAX: usize = 2;
/// Certificates of a message that are looked at.
const CERTIFICATES_MAX: usize = 10;

/// Why a signature does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// It is no CMS message in DER form.
    #[error("the signature is no CMS message, or cut short")]
    Malformed,
    /// It is a CMS message of another kind, or holds its content.
    #[error("the signature is not a detached one")]
    NotDetached,
    /// Nobody has signed.
    #[error("the signature has no signer with a certificate")]
    NoSigner,
    /// The signer is not the one that IANA names.
    #[error("the signer is not {SIGNER}")]
    OtherSigner,
    /// The signer's certificate may not be used for signatures.
    #[error("the signer's certificate is not for signatures")]
    Purpose,
    /// The content has another digest than the one that was signed.
    #[error("the content is not what was signed")]
    OtherContent,
    /// Signed attributes are missing, or say something else than they must (RFC 5652 §11).
    #[error("the signed attributes are missing or wrong")]
    Attributes,
    /// The signature does not verify with the signer's key.
    #[error("the signature does not verify")]
    BadSignature,
    /// No certificate of the authority holds now.
    #[error("no certificate of the authority is valid now: {subject} until {not_after}")]
    AuthorityNotValid {
        /// Whose certificate.
        subject: String,
        /// When it ends.
        not_after: String,
    },
    /// The signer's certificate does not lead to the authority.
    #[error("the signer's certificate does not lead to the authority: {source}")]
    Chain {
        /// The first thing that is wrong.
        source: webpki::Error,
    },
}

/// Checks that `signature` is one of [`SIGNER`] over `content`, under `authority`, at `now_s` seconds since 1970.
///
/// # Errors
/// Why it is not.
pub fn verify(content: &[u8], signature: &[u8], authority: &Authority, now_s: u64) -> Result<(), SignatureError> {
    let message = ContentInfo::from_der(signature).map_err(|_| SignatureError::Malformed)?;
    if message.content_type != ID_SIGNED_DATA {
        return Err(SignatureError::NotDetached);
    }
    let signed: SignedData = message.content.decode_as().map_err(|_| SignatureError::Malformed)?;
    if signed.encap_content_info.econtent.is_some() || signed.encap_content_info.econtent_type != ID_DATA {
        return Err(SignatureError::NotDetached);
    }
    let certificates = certificates(&signed);
    let mut failure = SignatureError::NoSigner;
    for signer in signed.signer_infos.0.iter().take(SIGNERS_MAX) {
        let Some(certificate) = certificates.iter().find(|certificate| names(&signer.sid, certificate)) else {
            continue;
        };
        match verify_signer(content, signer, certificate, &certificates, authority, now_s) {
            Ok(()) => return Ok(()),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn certificates(signed: &SignedData) -> Vec<&Certificate> {
    let choices = signed.certificates.iter().flat_map(|set| set.0.iter());
    let certificates = choices.filter_map(|choice| match choice {
        CertificateChoices::Certificate(certificate) => Some(certificate),
        CertificateChoices::Other(_) => None,
    });
    certificates.take(CERTIFICATES_MAX).collect()
}

/// Whether a signer says that this is its certificate.
fn names(signer: &SignerIdentifier, certificate: &Certificate) -> bool {
    let inner = &certificate.tbs_certificate;
    match signer {
        SignerIdentifier::IssuerAndSerialNumber(id) => {
            id.issuer == inner.issuer && id.serial_number == inner.serial_number
        }
        SignerIdentifier::SubjectKeyIdentifier(id) => {
            inner.get::<SubjectKeyIdentifier>().ok().flatten().is_some_and(|(_, own)| own == *id)
        }
    }
}

fn verify_signer(
    content: &[u8],
    signer: &SignerInfo,
    certificate: &Certificate,
    certificates: &[&Certificate],
    authority: &Authority,
    now_s: u64,
) -> Result<(), SignatureError> {
    if !is_of(certificate, SIGNER) {
        return Err(SignatureError::OtherSigner);
    }
    if !may_sign(certificate) {
        return Err(SignatureError::Purpose);
    }
    let encoded = CertificateDer::from(der(certificate).ok_or(SignatureError::Malformed)?);
    let end = EndEntityCert::try_from(&encoded).map_err(|source| SignatureError::Chain { source })?;
    verify_chain(&end, certificates, authority, now_s)?;
    let attributes = signed_attributes(content, signer)?;
    let verifies = |algorithm: &dyn SignatureVerificationAlgorithm| {
        end.verify_signature(algorithm, &attributes, signer.signature.as_bytes()).is_ok()
    };
    if algorithms(signer).into_iter().any(verifies) { Ok(()) } else { Err(SignatureError::BadSignature) }
}

/// Whether a certificate names this address, in its subject or beside it (RFC 5280 §4.2.1.6).
fn is_of(certificate: &Certificate, address: &str) -> bool {
    let inner = &certificate.tbs_certificate;
    let in_subject = inner.subject.0.iter().flat_map(|part| part.0.iter()).any(|attribute| {
        attribute.oid == EMAIL_ADDRESS && attribute.value.value().eq_ignore_ascii_case(address.as_bytes())
    });
    let beside = inner.get::<SubjectAltName>().ok().flatten().is_some_and(|(_, names)| {
        let is_it = |name: &name::GeneralName| {
            matches!(name, name::GeneralName::Rfc822Name(own) if own.as_str().eq_ignore_ascii_case(address))
        };
        names.0.iter().any(is_it)
    });
    in_subject || beside
}

/// Whether the key of a certificate may sign messages: its usage is not limited, or to that (RFC 5280 §4.2.1.3).
fn may_sign(certificate: &Certificate) -> bool {
    match certificate.tbs_certificate.get::<KeyUsageBits>() {
        Ok(Some((_, usage))) => usage.digital_signature(),
        Ok(None) => true,
        Err(_) => false,
    }
}

fn verify_chain(
    end: &EndEntityCert<'_>,
    certificates: &[&Certificate],
    authority: &Authority,
    now_s: u64,
) -> Result<(), SignatureError> {
    let holds = |validity: &Validity| {
        let (from, until) = (validity.not_before.to_unix_duration(), validity.not_after.to_unix_duration());
        from.as_secs() <= now_s && now_s <= until.as_secs()
    };
    let usable = authority
        .certificates
        .iter()
        .filter(|(certificate, _)| holds(&certificate.tbs_certificate.validity) && may_issue(certificate));
    let roots: Vec<CertificateDer<'_>> = usable.map(|(_, der)| CertificateDer::from(der.as_slice())).collect();
    if roots.is_empty() {
        let certificate = authority.certificates.first().map(|(certificate, _)| &certificate.tbs_certificate);
        let subject = certificate.map(|inner| inner.subject.to_string()).unwrap_or_default();
        let not_after = certificate.map(|inner| inner.validity.not_after.to_string()).unwrap_or_default();
        return Err(SignatureError::AuthorityNotValid { subject, not_after });
    }
    let chain = |source| SignatureError::Chain { source };
    let anchors = roots.iter().map(webpki::anchor_from_trusted_cert).collect::<Result<Vec<_>, _>>().map_err(chain)?;
    let between: Vec<CertificateDer<'_>> =
        certificates.iter().filter_map(|certificate| der(certificate)).map(CertificateDer::from).collect();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(now_s));
    let usage = KeyUsage::required_if_present(EMAIL_PROTECTION);
    end.verify_for_usage(ALGORITHMS, &anchors, &between, time, usage, None, None).map(drop).map_err(chain)
}

/// Whether a certificate may issue others (RFC 5280 §4.2.1.3, §4.2.1.9).
fn may_issue(certificate: &Certificate) -> bool {
    let inner = &certificate.tbs_certificate;
    let is_authority = inner.get::<BasicConstraints>().ok().flatten().is_some_and(|(_, basic)| basic.ca);
    let may_sign = match inner.get::<KeyUsageBits>() {
        Ok(Some((_, usage))) => usage.key_cert_sign(),
        Ok(None) => true,
        Err(_) => false,
    };
    is_authority && may_sign
}

/// The signed attributes as they were signed, once they say what they must: the type and the digest of the content
/// (RFC 5652 §5.3, §5.4). Choice: a signer without attributes is refused, though RFC 5652 allows it.
fn signed_attributes(content: &[u8], signer: &SignerInfo) -> Result<Vec<u8>, SignatureError> {
    let attributes = signer.signed_attrs.as_ref().ok_or(SignatureError::Attributes)?;
    let value = |oid: ObjectIdentifier| {
        let mut named = attributes.iter().filter(|attribute| attribute.oid == oid);
        let attribute = named.next().filter(|attribute| attribute.values.len() == 1)?;
        attribute.values.get(0).filter(|_| named.next().is_none())
    };
    let content_type = value(CONTENT_TYPE).and_then(|value| value.decode_as::<ObjectIdentifier>().ok());
    if content_type != Some(ID_DATA) {
        return Err(SignatureError::Attributes);
    }
    let signed_digest = value(MESSAGE_DIGEST).and_then(|value| value.decode_as::<OctetString>().ok());
    let signed_digest = signed_digest.ok_or(SignatureError::Attributes)?;
    let hash = match signer.digest_alg.oid {
        ID_SHA256 => &SHA256,
        ID_SHA384 => &SHA384,
        ID_SHA512 => &SHA512,
        _ => return Err(SignatureError::Attributes),
    };
    if digest(hash, content).as_ref() != signed_digest.as_bytes() {
        return Err(SignatureError::OtherContent);
    }
    attributes.to_der().map_err(|_| SignatureError::Malformed)
}

/// The algorithms that a signer may mean; each verifies only with a key that fits it.
fn algorithms(signer: &SignerInfo) -> Vec<&'static dyn SignatureVerificationAlgorithm> {
    use webpki::ring as algorithm;
    match (signer.signature_algorithm.oid, signer.digest_alg.oid) {
        (RSA | RSA_SHA256, ID_SHA256) => vec![algorithm::RSA_PKCS1_2048_8192_SHA256],
        (RSA | RSA_SHA384, ID_SHA384) => vec![algorithm::RSA_PKCS1_2048_8192_SHA384],
        (RSA | RSA_SHA512, ID_SHA512) => vec![algorithm::RSA_PKCS1_2048_8192_SHA512],
        (ECDSA_SHA256, ID_SHA256) => vec![algorithm::ECDSA_P256_SHA256, algorithm::ECDSA_P384_SHA256],
        (ECDSA_SHA384, ID_SHA384) => vec![algorithm::ECDSA_P256_SHA384, algorithm::ECDSA_P384_SHA384],
        _ => Vec::new(),
    }
}

/// Algorithms that certificates may be signed with.
const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::ring::RSA_PKCS1_2048_8192_SHA256,
    webpki::ring::RSA_PKCS1_2048_8192_SHA384,
    webpki::ring::RSA_PKCS1_2048_8192_SHA512,
    webpki::ring::ECDSA_P256_SHA256,
    webpki::ring::ECDSA_P384_SHA384,
];

/// id-kp-emailProtection (RFC 5280 §4.2.1.12), the content of its DER form.
const EMAIL_PROTECTION: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 4];
// Object identifiers of RFC 5652 §4, §5.1, §11; RFC 5280 §A.1; RFC 8017 §A; RFC 5758 §3.2; RFC 5754 §2.
const ID_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ID_SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const EMAIL_ADDRESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ID_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const ID_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const ID_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

#[cfg(test)]
mod tests {
    use super::*;

    /// IANA's files of August 2025, as Debian's source package `dns-root-data` 2025080400 has them.
    const XML: &[u8] = include_bytes!("vectors/root-anchors.xml");
    const P7S: &[u8] = include_bytes!("vectors/root-anchors.p7s");
    /// 4 August 2025.
    const THEN_S: u64 = 1_754_300_000;

    fn check(xml: &[u8], p7s: &[u8], now_s: u64) -> Result<(), SignatureError> {
        verify(xml, p7s, &Authority::icann().unwrap(), now_s)
    }

    #[test]
    fn ianas_own_signature_holds_under_icanns_own_certificate() {
        assert_eq!(check(XML, P7S, THEN_S), Ok(()));
    }

    #[test]
    fn any_other_content_is_not_what_iana_signed() {
        let mut other = XML.to_vec();
        other[200] ^= 1;
        assert_eq!(check(&other, P7S, THEN_S), Err(SignatureError::OtherContent));
        assert_eq!(check(&XML[..XML.len() - 1], P7S, THEN_S), Err(SignatureError::OtherContent));
    }

    #[test]
    fn a_signature_changed_or_cut_anywhere_does_not_hold() {
        let holds = |at: &usize| {
            let mut other = P7S.to_vec();
            other[*at] ^= 0x40;
            check(XML, &other, THEN_S).is_ok()
        };
        let free: Vec<usize> = (0..P7S.len()).filter(holds).collect();
        // The message carries a list of digests and the authority's own certificate, of which nothing is believed, and
        // two algorithms have parameters that say nothing.
        let is_unused = |at: &usize| (32..AUTHORITY_END).contains(at) || PARAMETERS.contains(at);
        assert!(free.iter().all(is_unused), "{free:?}");
        for length in 0..P7S.len() {
            assert_eq!(check(XML, &P7S[..length], THEN_S), Err(SignatureError::Malformed));
        }
    }

    #[test]
    fn certificates_hold_for_their_time_only() {
        // The signer's ends on 13 March 2029, the authority's on 18 December 2029.
        let expired = |now_s| check(XML, P7S, now_s).unwrap_err();
        assert!(matches!(expired(1_868_200_000), SignatureError::Chain { source: webpki::Error::CertExpired { .. } }));
        assert!(matches!(expired(1_892_261_953), SignatureError::AuthorityNotValid { .. }));
        assert!(matches!(
            expired(1_600_000_000),
            SignatureError::Chain { source: webpki::Error::CertNotValidYet { .. } }
        ));
        assert!(matches!(expired(0), SignatureError::AuthorityNotValid { .. }));
    }

    /// Where the authority's own certificate, which leads the message's certificates, ends.
    const AUTHORITY_END: usize = 951;
    /// Where the empty parameters of the signer's algorithms are.
    const PARAMETERS: [usize; 2] = [2015, 2261];
}
