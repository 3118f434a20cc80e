//! Gets `root-anchors.xml` and its signature over HTTPS.
//!
//! In: where they are, and whose certificates the server may have. Out: their bytes, bounded. Nothing in them is believed
//! because of the way they came: the signature decides.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig, parse_pem};

/// Where IANA publishes them (RFC 9718 §3.1).
pub const PUBLISHED_AT: &str = "https://data.iana.org/root-anchors/";
/// Longest time for one file.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest file, in bytes. Choice: IANA's have 2 and 4 KiB.
const FILE_LEN_MAX: u64 = 1 << 20;

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// `root-anchors.xml`.
    pub xml: Vec<u8>,
    /// `root-anchors.p7s`.
    pub signature: Vec<u8>,
}

/// Why it was not got.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The server, or the way to it.
    #[error("{url}: {source}")]
    Http {
        /// Which file.
        url: String,
        /// What went wrong.
        source: ureq::Error,
    },
    /// The certificates given for the server.
    #[error("not certificates in PEM form")]
    Certificates,
}

/// Fetches both files from below `base`. `server_ca`: certificates in PEM form at which the server's chain may end, in
/// place of those of the web.
///
/// # Errors
/// What went wrong; in doubt, the first of the two files.
pub fn fetch(base: &str, server_ca: Option<&[u8]>) -> Result<Published, FetchError> {
    let roots = match server_ca {
        None => RootCerts::WebPki,
        Some(pem) => RootCerts::Specific(Arc::new(certificates(pem)?)),
    };
    let config = Agent::config_builder()
        .https_only(true)
        .timeout_global(Some(PATIENCE))
        .max_redirects(3)
        .user_agent(concat!("resolver/", env!("CARGO_PKG_VERSION")))
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .build();
    let agent = Agent::new_with_config(config);
    let get = |file: &str| {
        let url = format!("{}/{file}", base.trim_end_matches('/'));
        let reply = agent.get(&url).call();
        let body = reply.and_then(|mut reply| reply.body_mut().with_config().limit(FILE_LEN_MAX).read_to_vec());
        body.map_err(|source| FetchError::Http { url, source })
    };
    Ok(Published { xml: get("root-anchors.xml")?, signature: get("root-anchors.p7s")? })
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, FetchError> {
    let items = parse_pem(pem).collect::<Result<Vec<_>, _>>().map_err(|_| FetchError::Certificates)?;
    let certificate =
        |item| if let ureq::tls::PemItem::Certificate(certificate) = item { Some(certificate) } else { None };
    let certificates: Vec<_> = items.into_iter().filter_map(certificate).collect();
    if certificates.is_empty() { Err(FetchError::Certificates) } else { Ok(certificates) }
}
