//! Who may ask.

use super::ConfigError;
use super::option::{OptionSpec, value};
use super::syntax::reveal;
use crate::access::{NETWORKS_MAX, Network};

/// Who may ask. `local-service` stands with the listening options, since those decide whether it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessConfig {
    /// `allow-client`: these are answered, and with any of them nobody else. At most 1000.
    pub allowed: Vec<Network>,
    /// `deny-client`: these are refused. At most 1000.
    pub denied: Vec<Network>,
}

/// What a list of networks may be.
pub(super) const NETWORKS: &str =
    "addresses, or networks such as 192.168.1.0/24, separated by commas; at most 1000 in all";

/// The options.
pub(super) const OPTIONS: &[OptionSpec] = &[
    value("allow-client", NETWORKS, "answer these clients and no others", |config, value| {
        networks(value, &mut config.access.allowed)
    }),
    value("deny-client", NETWORKS, "refuse these clients", |config, value| networks(value, &mut config.access.denied)),
];

impl AccessConfig {
    /// Checks both lists together.
    pub(super) fn complete(&self) -> Result<(), ConfigError> {
        if self.allowed.iter().any(|network| self.denied.contains(network)) {
            return Err(ConfigError::of_the_whole(
                "deny-client",
                "a network is both in allow-client and in deny-client",
            ));
        }
        Ok(())
    }
}

/// Reads networks into a list.
pub(super) fn networks(value: &str, list: &mut Vec<Network>) -> Result<(), String> {
    for text in value.split(',') {
        list.push(reveal(text.trim()).parse().map_err(|error: crate::access::NetworkError| error.to_string())?);
    }
    if list.len() > NETWORKS_MAX { Err(format!("{} networks", list.len())) } else { Ok(()) }
}
