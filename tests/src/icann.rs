//! An authority as ICANN's, for tests: signs files as IANA signs `root-anchors.xml`, and serves them over HTTPS.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedAttributes, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType, SigningKey, date_time_ymd,
};
use ring::digest::{SHA256, digest};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};
use x509_cert::attr::Attribute;
use x509_cert::der::asn1::{Any, ObjectIdentifier, OctetString, SetOfVec};
use x509_cert::der::{Decode, Encode};
use x509_cert::spki::AlgorithmIdentifierOwned;

/// The authority with its signer.
pub struct TestAuthority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    /// What is odd about it.
    traits: Traits,
}

/// What is odd about an authority or its signer; by default nothing.
#[derive(Clone, Debug)]
pub struct Traits {
    /// Years in which the authority's certificate begins and ends.
    pub years: [i32; 2],
    /// Years in which the signer's certificate begins and ends.
    pub signer_years: [i32; 2],
    /// Address in the signer's certificate.
    pub signer: &'static str,
    /// What the signer's key may be used for.
    pub usage: KeyUsagePurpose,
    /// What the signer's certificate is for.
    pub purpose: ExtendedKeyUsagePurpose,
    /// Whether the authority's certificate is one of an authority.
    pub is_authority: bool,
    /// Whether the signer says so in signed attributes.
    pub has_attributes: bool,
}

impl Default for Traits {
    fn default() -> Self {
        Self {
            years: [2020, 2100],
            signer_years: [2020, 2100],
            signer: "dnssec@iana.org",
            usage: KeyUsagePurpose::DigitalSignature,
            purpose: ExtendedKeyUsagePurpose::EmailProtection,
            is_authority: true,
            has_attributes: true,
        }
    }
}

impl TestAuthority {
    /// A new authority.
    ///
    /// # Panics
    /// If a certificate cannot be made.
    pub fn new(traits: Traits) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = parameters("Test Root CA", traits.years);
        if traits.is_authority {
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        }
        let pem = parameters.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(parameters, key), pem, traits }
    }

    /// Its certificate in PEM form.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A detached signature of a new signer over `content`, in DER form.
    ///
    /// # Panics
    /// If something cannot be encoded.
    pub fn sign(&self, content: &[u8]) -> Vec<u8> {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = parameters("Trust Anchor Verification", self.traits.signer_years);
        let address = self.traits.signer.try_into().expect("an address");
        parameters.subject_alt_names = vec![SanType::Rfc822Name(address)];
        parameters.key_usages = vec![self.traits.usage];
        parameters.extended_key_usages = vec![self.traits.purpose.clone()];
        let certificate = parameters.signed_by(&key, &self.issuer).expect("a certificate");
        let certificate = x509_cert::Certificate::from_der(certificate.der()).expect("a certificate");
        let inner = certificate.tbs_certificate.clone();
        let attributes = attributes(content);
        let signed = if self.traits.has_attributes { attributes.to_der().expect("DER") } else { content.to_vec() };
        let signer = SignerInfo {
            version: CmsVersion::V1,
            sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
                issuer: inner.issuer,
                serial_number: inner.serial_number,
            }),
            digest_alg: algorithm(SHA_256),
            signed_attrs: self.traits.has_attributes.then_some(attributes),
            signature_algorithm: algorithm(ECDSA_WITH_SHA256),
            signature: OctetString::new(key.sign(&signed).expect("a signature")).expect("short"),
            unsigned_attrs: None,
        };
        let message = SignedData {
            version: CmsVersion::V1,
            digest_algorithms: set(algorithm(SHA_256)),
            encap_content_info: EncapsulatedContentInfo { econtent_type: ID_DATA, econtent: None },
            certificates: Some(CertificateSet(set(CertificateChoices::Certificate(certificate)))),
            crls: None,
            signer_infos: SignerInfos(set(signer)),
        };
        let content = Any::from_der(&message.to_der().expect("DER")).expect("DER");
        ContentInfo { content_type: ID_SIGNED_DATA, content }.to_der().expect("DER")
    }
}

fn parameters(name: &str, [begins, ends]: [i32; 2]) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    (parameters.not_before, parameters.not_after) = (date_time_ymd(begins, 1, 1), date_time_ymd(ends, 1, 1));
    parameters
}

fn attributes(content: &[u8]) -> SignedAttributes {
    let digest = OctetString::new(digest(&SHA256, content).as_ref()).expect("short");
    let attribute = |oid, value: Any| Attribute { oid, values: set(value) };
    let mut attributes = SetOfVec::new();
    let content_type = Any::from_der(&ID_DATA.to_der().expect("DER")).expect("DER");
    attributes.insert(attribute(CONTENT_TYPE, content_type)).expect("another");
    let digest = Any::from_der(&digest.to_der().expect("DER")).expect("DER");
    attributes.insert(attribute(MESSAGE_DIGEST, digest)).expect("another");
    attributes
}

fn set<T: x509_cert::der::DerOrd>(item: T) -> SetOfVec<T> {
    let mut set = SetOfVec::new();
    set.insert(item).expect("the first");
    set
}

fn algorithm(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid, parameters: None }
}

/// An HTTPS server on loopback with a few files. Its thread lives as long as the test process.
pub struct HttpsServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// The certificate at which its chain ends, in PEM form.
    pub pem: String,
}

impl HttpsServer {
    /// Serves files by their paths; anything else is not found.
    ///
    /// # Panics
    /// If it cannot listen.
    pub fn new(files: Vec<(String, Vec<u8>)>) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = parameters("Test Web CA", [2020, 2100]);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = parameters.self_signed(&key).expect("a certificate").pem();
        let issuer = Issuer::new(parameters, key);
        let own_key = KeyPair::generate().expect("a key");
        let own = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names");
        let own = own.signed_by(&own_key, &issuer).expect("a certificate");
        let chain = vec![CertificateDer::from(own.der().to_vec())];
        let own_key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_no_client_auth().with_single_cert(chain, own_key);
        let config = Arc::new(config.expect("a key that fits"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that does not trust us goes away.
                let _gone = serve(stream, Arc::clone(&config), &files);
            }
        });
        Self { address, pem }
    }
}

fn serve(mut stream: TcpStream, config: Arc<ServerConfig>, files: &[(String, Vec<u8>)]) -> std::io::Result<()> {
    let mut connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut reader = BufReader::new(Stream::new(&mut connection, &mut stream));
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let path = request.split_whitespace().nth(1).unwrap_or_default();
    let (status, body) = match files.iter().find(|(name, _)| name == path) {
        Some((_, body)) => ("200 OK", &body[..]),
        None => ("404 Not Found", &b"none"[..]),
    };
    let stream = reader.get_mut();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    stream.write_all(body)?;
    stream.flush()?;
    stream.conn.send_close_notify();
    stream.flush()
}

const ID_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ID_SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
