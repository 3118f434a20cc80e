//! Who is asked.

use std::fs;
use std::net::{IpAddr, SocketAddr};

use super::option::{OptionSpec, flag, number, value};
use super::{ConfigError, PORT, RESOLV_CONF};

/// Who is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// `server`: recursive servers to forward to, in order; at least one.
    pub servers: Vec<SocketAddr>,
    /// `no-resolv`.
    pub no_resolv: bool,
}

/// The options.
pub(super) const OPTIONS: &[OptionSpec] = &[
    value("server", "<IPv4 or IPv6 address>[#<port 1..=65535>]", "forward to this server", |config, value| {
        config.upstream.servers.push(server(value)?);
        Ok(())
    })
    .letter('S'),
    flag("no-resolv", "do not read /etc/resolv.conf for servers", |config| config.upstream.no_resolv = true)
        .letter('R'),
];

impl UpstreamConfig {
    /// Takes servers from resolv.conf if none are given, and checks that there are any.
    pub(super) fn complete(&mut self) -> Result<(), ConfigError> {
        if self.servers.is_empty() && !self.no_resolv {
            self.servers = resolv_conf_servers();
        }
        if self.servers.is_empty() {
            let what = "no server to forward to; give server=<address>[#<port>], or without no-resolv a nameserver in \
                        /etc/resolv.conf";
            return Err(ConfigError::of_the_whole("server", what));
        }
        Ok(())
    }
}

fn server(value: &str) -> Result<SocketAddr, String> {
    if value.starts_with('/') {
        return Err("servers for one domain are not supported yet".to_owned());
    }
    if value.contains('@') {
        return Err("a source address or interface is not supported yet".to_owned());
    }
    let (address, port) = match value.split_once('#') {
        Some((address, port)) => (address, number(port, 1, u16::MAX).map_err(|what| format!("port {port}: {what}"))?),
        None => (value, PORT),
    };
    let address: IpAddr = super::option::address(address)?;
    if address.is_unspecified() || address.is_multicast() {
        return Err(format!("{address} is no server's address"));
    }
    Ok((address, port).into())
}

/// The `nameserver` lines of resolv.conf; none if it cannot be read.
fn resolv_conf_servers() -> Vec<SocketAddr> {
    let text = fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    let addresses = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok()).flatten()
    });
    addresses.map(|address: IpAddr| (address, PORT).into()).collect()
}
