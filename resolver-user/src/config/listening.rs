//! Where clients are listened to.

use std::net::IpAddr;

use super::option::{OptionSpec, address, flag, interfaces, number, perhaps, value};
use super::{ConfigError, PORT};

/// Where clients are listened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListeningConfig {
    /// `listen-address`.
    pub addresses: Vec<IpAddr>,
    /// `interface`: names, or beginnings of names with a final `*`.
    pub interfaces: Vec<String>,
    /// `except-interface`: the same.
    pub except: Vec<String>,
    /// `bind-interfaces`: what is there at the start is listened to, nothing else, and all of it has to be there.
    pub bind_interfaces: bool,
    /// `bind-dynamic`: addresses and interfaces that come and go are followed. So they are without either option.
    pub bind_dynamic: bool,
    /// `local-service`, where it holds: not beside `listen-address`, `interface` and `except-interface`.
    pub local_service: Option<LocalService>,
    /// `port`: 1..=65 535.
    pub port: u16,
}

/// How local a client has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalService {
    /// In a network that the machine is attached to.
    Net,
    /// On this machine: only loopback is listened to.
    Host,
}

impl Default for ListeningConfig {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            interfaces: Vec::new(),
            except: Vec::new(),
            bind_interfaces: false,
            bind_dynamic: false,
            local_service: None,
            port: PORT,
        }
    }
}

/// What a list of interfaces may be where patterns are allowed.
pub(super) const PATTERNS: &str =
    "names of network interfaces, or beginnings of names with a final *, separated by commas";

/// The options.
pub(super) const OPTIONS: &[OptionSpec] = &[
    value("listen-address", "IPv4 or IPv6 addresses, separated by commas", "listen on these", |config, value| {
        for text in value.split(',') {
            config.listening.addresses.push(address(text)?);
        }
        Ok(())
    })
    .letter('a'),
    value("interface", PATTERNS, "listen on these interfaces, and on loopback", |config, value| {
        patterns(value, &mut config.listening.interfaces)
    })
    .letter('i'),
    value("except-interface", PATTERNS, "do not listen on these interfaces", |config, value| {
        patterns(value, &mut config.listening.except)
    })
    .letter('I'),
    flag("bind-interfaces", "listen on what is there at the start, and fail if something is not", |config| {
        config.listening.bind_interfaces = true;
    })
    .letter('z'),
    flag("bind-dynamic", "follow addresses and interfaces that come and go (the default)", |config| {
        config.listening.bind_dynamic = true;
    }),
    perhaps("local-service", "nothing, net, or host", "answer clients of attached networks alone", |config, value| {
        config.listening.local_service = Some(match value {
            None | Some("net") => LocalService::Net,
            Some("host") => LocalService::Host,
            Some(_) => return Err("neither nothing nor \"net\" nor \"host\"".to_owned()),
        });
        Ok(())
    }),
    value("port", "1..=65535", "listen on this port (53)", |config, value| {
        if value == "0" {
            return Err("0 turns dnsmasq's DNS off, and DNS is all that this program does".to_owned());
        }
        config.listening.port = number(value, 1, u16::MAX)?;
        Ok(())
    })
    .letter('p'),
];

impl ListeningConfig {
    /// Checks the whole, and drops a `local-service` that does not hold.
    pub(super) fn complete(&mut self, warnings: &mut Vec<String>) -> Result<(), ConfigError> {
        let is_told_where = !(self.addresses.is_empty() && self.interfaces.is_empty() && self.except.is_empty());
        if is_told_where && self.local_service.take().is_some() {
            warnings.push(
                "local-service has no effect beside interface, except-interface and listen-address (as in dnsmasq); \
                 use allow-client"
                    .to_owned(),
            );
        }
        if self.bind_interfaces && self.bind_dynamic {
            return Err(ConfigError::of_the_whole("bind-dynamic", "cannot stand beside bind-interfaces"));
        }
        Ok(())
    }
}

/// Reads names of interfaces and beginnings of such into a list.
pub(super) fn patterns(value: &str, list: &mut Vec<String>) -> Result<(), String> {
    for text in value.split(',') {
        let text = text.trim();
        match text.strip_suffix('*') {
            // Alone it means any interface.
            Some("") => list.push(text.to_owned()),
            Some(beginning) => {
                let mut beginnings = Vec::new();
                interfaces(beginning, &mut beginnings)?;
                list.extend(beginnings.into_iter().map(|beginning| beginning + "*"));
            }
            None => interfaces(text, list)?,
        }
    }
    Ok(())
}
