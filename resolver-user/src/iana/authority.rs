//! The certificates at which the chain of a signer may end.
//!
//! In: PEM, of the operator or what is built in. Out: an [`Authority`] of certificates that are well formed. Whether one
//! holds today is asked when it is used.

use thiserror::Error;
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

/// `ICANN Root CA` of 2009: O=ICANN, OU=ICANN Certification Authority, CN=ICANN Root CA, C=US; serial 1; RSA of 2048 bits,
/// self-signed with SHA-256; valid from 23 December 2009 04:19:12 to 18 December 2029 04:19:12 UTC; SHA-256 of its DER
/// aee89906d7cc60c5e151f3bb923abf8a1b28dc855d5e2127cb524ead4aad603d.
/// From IANA's `icannbundle.pem`, as Debian's source package `dns-root-data` 2025080400 has it.
const ICANN_2009: &str = include_str!("icann-root-ca-2009.pem");

/// Certificates at which a chain may end.
#[derive(Clone, Debug)]
pub struct Authority {
    /// Each with its DER form.
    pub(super) certificates: Vec<(Certificate, Vec<u8>)>,
}

/// A file of certificates cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AuthorityError {
    /// It is not PEM, or a certificate in it is malformed.
    #[error("not certificates in PEM form")]
    Malformed,
    /// It holds none.
    #[error("no certificate in it")]
    Empty,
}

impl Authority {
    /// ICANN's, which is built in.
    ///
    /// # Errors
    /// Never: a test reads it.
    pub fn icann() -> Result<Self, AuthorityError> {
        Self::read(ICANN_2009)
    }

    /// Reads certificates in PEM form; text around them is skipped.
    ///
    /// # Errors
    /// None is there, or one is malformed.
    pub fn read(pem: &str) -> Result<Self, AuthorityError> {
        let mut certificates = Vec::new();
        for after in pem.split(BEGIN).skip(1) {
            let (base64, _) = after.split_once(END).ok_or(AuthorityError::Malformed)?;
            let base64: String = base64.split_whitespace().collect();
            let der = data_encoding::BASE64.decode(base64.as_bytes()).map_err(|_| AuthorityError::Malformed)?;
            let certificate = Certificate::from_der(&der).map_err(|_| AuthorityError::Malformed)?;
            certificates.push((certificate, der));
        }
        if certificates.is_empty() { Err(AuthorityError::Empty) } else { Ok(Self { certificates }) }
    }
}

/// A certificate in DER form.
pub(super) fn der(certificate: &Certificate) -> Option<Vec<u8>> {
    certificate.to_der().ok()
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_is_icanns_certificate() {
        let icann = Authority::icann().unwrap();
        let [(certificate, der)] = &icann.certificates[..] else { panic!("one is built in") };
        let inner = &certificate.tbs_certificate;
        assert_eq!(inner.subject.to_string(), "C=US,CN=ICANN Root CA,OU=ICANN Certification Authority,O=ICANN");
        assert_eq!(inner.serial_number.as_bytes(), [1]);
        assert_eq!(inner.validity.not_after.to_unix_duration().as_secs(), 1_892_261_952);
        let digest = ring::digest::digest(&ring::digest::SHA256, der);
        assert_eq!(data_encoding::HEXLOWER.encode(digest.as_ref()), FINGERPRINT);
        assert_eq!(super::der(certificate).as_ref(), Some(der), "what is read is written as it was");
    }

    #[test]
    fn what_holds_no_certificate_is_refused() {
        assert_eq!(Authority::read("").unwrap_err(), AuthorityError::Empty);
        let cut = &ICANN_2009[..ICANN_2009.len() / 2];
        assert_eq!(Authority::read(cut).unwrap_err(), AuthorityError::Malformed);
        assert_eq!(Authority::read(&format!("{BEGIN}\nAAAA\n{END}")).unwrap_err(), AuthorityError::Malformed);
    }

    /// SHA-256 of the certificate.
    const FINGERPRINT: &str = "aee89906d7cc60c5e151f3bb923abf8a1b28dc855d5e2127cb524ead4aad603d";
}
