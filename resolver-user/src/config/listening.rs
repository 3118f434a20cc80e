//! Where clients are listened to.

use std::net::IpAddr;

use super::PORT;
use super::option::{INTERFACES, OptionSpec, address, interfaces, number, value};

/// Where clients are listened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListeningConfig {
    /// `listen-address`.
    pub addresses: Vec<IpAddr>,
    /// `interface`.
    pub interfaces: Vec<String>,
    /// `port`: 1..=65 535.
    pub port: u16,
}

impl Default for ListeningConfig {
    fn default() -> Self {
        Self { addresses: Vec::new(), interfaces: Vec::new(), port: PORT }
    }
}

/// The options.
pub(super) const OPTIONS: &[OptionSpec] = &[
    value("listen-address", "IPv4 or IPv6 addresses, separated by commas", "listen on these", |config, value| {
        for text in value.split(',') {
            config.listening.addresses.push(address(text)?);
        }
        Ok(())
    })
    .letter('a'),
    value("interface", INTERFACES, "listen on these interfaces, and on loopback", |config, value| {
        interfaces(value, &mut config.listening.interfaces)
    })
    .letter('i'),
    value("port", "1..=65535", "listen on this port (53)", |config, value| {
        config.listening.port = number(value, 1, u16::MAX)?;
        Ok(())
    })
    .letter('p'),
];
