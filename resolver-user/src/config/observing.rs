//! What is told about the daemon, and to whom.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::option::{OptionSpec, address, flag, number, perhaps, value};
use super::syntax::reveal;

/// Port of `metrics-address` unless one is given. Choice: what other DNS servers' exporters are scraped at.
pub const METRICS_PORT: u16 = 9153;
/// Most clients that are counted at once. Choice: they take 20 MB.
const CLIENT_COUNTS_MAX: usize = 100_000;
/// Longest `identity`, in bytes: one string of a TXT record (RFC 1035 §3.3).
const IDENTITY_LEN_MAX: usize = 255;

/// What is told about the daemon, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservingConfig {
    /// `metrics-address`: where metrics are served over HTTP; off unless given.
    pub metrics_address: Option<SocketAddr>,
    /// `client-counts`: clients that have a counter of their own; 0: queries are not counted by client.
    pub client_counts: usize,
    /// Whether questions of class CH about the daemon are answered: no with `no-ident`.
    pub ident: bool,
    /// `identity`: the answer to `id.server` and `hostname.bind`.
    pub identity: Option<String>,
}

impl Default for ObservingConfig {
    fn default() -> Self {
        Self { metrics_address: None, client_counts: 0, ident: true, identity: None }
    }
}

/// The options.
pub(super) const OPTIONS: &[OptionSpec] = &[
    perhaps(
        "metrics-address",
        "nothing (127.0.0.1), or <IPv4 or [IPv6] address>[:<port> or #<port>] (port 9153)",
        "serve metrics over HTTP at /metrics",
        |config, value| {
            config.observing.metrics_address = Some(metrics_address(value.unwrap_or_default())?);
            Ok(())
        },
    ),
    value("client-counts", "0..=100000", "count queries by client, so many of them at once (0)", |config, value| {
        config.observing.client_counts = number(value, 0, CLIENT_COUNTS_MAX)?;
        Ok(())
    }),
    flag("no-ident", "do not answer questions of class CH about the daemon", |config| config.observing.ident = false),
    value("identity", "1 to 255 bytes", "answer id.server and hostname.bind of class CH with this", |config, value| {
        let identity = reveal(value.trim());
        if identity.is_empty() || identity.len() > IDENTITY_LEN_MAX {
            return Err(format!("{} bytes", identity.len()));
        }
        config.observing.identity = Some(identity);
        Ok(())
    }),
];

impl ObservingConfig {
    /// Warns of what others may read.
    pub(super) fn complete(&self, warnings: &mut Vec<String>) {
        if let Some(address) = self.metrics_address.filter(|address| !address.ip().is_loopback()) {
            warnings.push(format!(
                "metrics-address={address} is not on loopback: whoever reaches it can read the metrics; nothing is encrypted"
            ));
        }
    }
}

/// Reads an address with or without a port, after `:` or `#`; an IPv6 address before `:` stands in brackets.
fn metrics_address(text: &str) -> Result<SocketAddr, String> {
    let text = reveal(text.trim());
    if text.is_empty() {
        return Ok((Ipv4Addr::LOCALHOST, METRICS_PORT).into());
    }
    if let Ok(address) = text.parse::<SocketAddr>().or_else(|_| text.replace('#', ":").parse()) {
        return if address.port() == 0 { Err("port 0: out of range".to_owned()) } else { Ok(address) };
    }
    let (ip, port) = match text.split_once('#') {
        Some((ip, port)) => (ip, number(port, 1, u16::MAX).map_err(|what| format!("port {port}: {what}"))?),
        None => (text.as_str(), METRICS_PORT),
    };
    let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
    let ip: IpAddr = address(bare)?;
    Ok((ip, port).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_ports_of_both_kinds_and_without() {
        for (text, expected) in [
            ("", "127.0.0.1:9153"),
            ("127.0.0.1", "127.0.0.1:9153"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("127.0.0.1#80", "127.0.0.1:80"),
            ("::1", "[::1]:9153"),
            ("::1#80", "[::1]:80"),
            ("[::1]", "[::1]:9153"),
            ("[::1]:80", "[::1]:80"),
            ("[::1]#80", "[::1]:80"),
            ("192.0.2.1", "192.0.2.1:9153"),
        ] {
            assert_eq!(metrics_address(text), Ok(expected.parse().unwrap()), "{text}");
        }
        for text in ["x", "127.0.0.1:0", "127.0.0.1#0", "127.0.0.1#99999", "127.0.0.1:99999", "localhost:80"] {
            assert!(metrics_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_that_others_reach_is_warned_of() {
        let warned = |text: &str| {
            let config =
                ObservingConfig { metrics_address: Some(metrics_address(text).unwrap()), ..ObservingConfig::default() };
            let mut warnings = Vec::new();
            config.complete(&mut warnings);
            warnings.len()
        };
        assert_eq!(["127.0.0.1", "::1", "192.0.2.1", "0.0.0.0", "::"].map(warned), [0, 0, 1, 1, 1]);
    }
}
