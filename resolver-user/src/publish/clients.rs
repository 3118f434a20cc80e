//! The access list in the kernel half's maps, replaced as a whole while programs look into it.
//!
//! In: an [`AccessList`]. Out: its networks in `CLIENTS_V4` and `CLIENTS_V6`, under a generation of their own.
//! A new list is written beside the one in use and switched to by one store; once no program runs any more that looks into
//! the old one, that is removed. So every program sees one whole list, and when the change is reported done, the new one.
//! Refuses to serve by half a list: if one cannot be written, XDP answers nobody.

use std::io;
use std::net::IpAddr;

use aya::maps::lpm_trie::Key;
use aya::maps::{LpmTrie, MapData, MapError};
use resolver_ebpf::abi::{CLIENTS_ALL, ClientRule, ClientV4, ClientV6, GENERATION_BITS};
use thiserror::Error;

use super::pod::Shared;
use crate::access::{Access, AccessList, Network};

/// A trie of networks.
pub type Trie<K> = LpmTrie<MapData, Shared<K>, Shared<ClientRule>>;

/// Why a list is not in force as it should be.
#[derive(Debug, Error)]
pub enum ClientsError {
    /// A network was not taken.
    #[error("network {network} was not taken by the kernel half, which now answers nobody: {source}")]
    Write {
        /// The network.
        network: Network,
        /// What aya says.
        source: Box<MapError>,
    },
    /// There was no grace period after the change.
    #[error("the old access list could not be removed: {0}")]
    Wait(#[from] io::Error),
}

/// The lists in the maps.
#[derive(Debug)]
pub struct Clients {
    v4: Trie<ClientV4>,
    v6: Trie<ClientV6>,
    /// The last one used.
    generation: u32,
    /// What is written for the list in use.
    written: Vec<Network>,
}

impl Clients {
    /// The two maps, empty.
    pub fn new(v4: Trie<ClientV4>, v6: Trie<ClientV6>) -> Self {
        Self { v4, v6, generation: CLIENTS_ALL, written: Vec::new() }
    }

    /// What the map says of an IPv4 client.
    pub fn rule_v4(&self, client: ClientV4) -> Option<ClientRule> {
        self.v4.get(&Key::new(GENERATION_BITS + 32, Shared(client)), 0).ok().map(|rule| rule.0)
    }

    /// What the map says of an IPv6 client.
    pub fn rule_v6(&self, client: ClientV6) -> Option<ClientRule> {
        self.v6.get(&Key::new(GENERATION_BITS + 128, Shared(client)), 0).ok().map(|rule| rule.0)
    }

    /// Networks in use.
    pub fn len(&self, is_v4: bool) -> usize {
        self.written.iter().filter(|network| network.address().is_ipv4() == is_v4).count()
    }

    /// Puts a list in force: `select` stores the generation that programs are to look for, `wait` waits until no program
    /// runs that was running before.
    ///
    /// # Errors
    /// Any [`ClientsError`]; either the list is in force, or XDP answers nobody.
    pub fn change(
        &mut self,
        list: &AccessList,
        select: impl Fn(u32),
        wait: impl Fn() -> io::Result<()>,
    ) -> Result<(), ClientsError> {
        let last = self.generation;
        let written = std::mem::take(&mut self.written);
        let failed = if list.is_open() {
            select(CLIENTS_ALL);
            None
        } else {
            self.generation = next(last);
            let failed = self.write(list).err();
            if failed.is_some() {
                // Under this one nothing is written, so nobody is answered.
                let half = std::mem::take(&mut self.written);
                self.remove(self.generation, &half);
                self.generation = next(self.generation);
            }
            select(self.generation);
            failed
        };
        wait()?;
        self.remove(last, &written);
        failed.map_or(Ok(()), Err)
    }

    /// Writes a list under the generation that is next.
    fn write(&mut self, list: &AccessList) -> Result<(), ClientsError> {
        for (network, standing) in list.networks() {
            let allowed = u16::from(standing.access == Access::Answer);
            let rule = Shared(ClientRule { allowed, limited: standing.is_limited.into() });
            let taken = match key(self.generation, network) {
                AnyKey::V4(key) => self.v4.insert(&key, rule, 0),
                AnyKey::V6(key) => self.v6.insert(&key, rule, 0),
            };
            taken.map_err(|source| ClientsError::Write { network, source: Box::new(source) })?;
            self.written.push(network);
        }
        Ok(())
    }

    /// Removes networks of a list that nobody looks into any more.
    fn remove(&mut self, generation: u32, networks: &[Network]) {
        for &network in networks {
            let removed = match key(generation, network) {
                AnyKey::V4(key) => self.v4.remove(&key),
                AnyKey::V6(key) => self.v6.remove(&key),
            };
            if let Err(error) = removed {
                tracing::warn!(%network, %error, "an old network stays in the kernel half's map, without effect");
            }
        }
    }
}

/// The generation after another; never [`CLIENTS_ALL`].
fn next(generation: u32) -> u32 {
    generation.checked_add(1).unwrap_or(CLIENTS_ALL + 1)
}

/// A key of one of the two maps.
enum AnyKey {
    V4(Key<Shared<ClientV4>>),
    V6(Key<Shared<ClientV6>>),
}

fn key(generation: u32, network: Network) -> AnyKey {
    let len = GENERATION_BITS + u32::from(network.prefix_len());
    match network.address() {
        IpAddr::V4(v4) => AnyKey::V4(Key::new(len, Shared(ClientV4 { generation, address: v4.octets() }))),
        IpAddr::V6(v6) => AnyKey::V6(Key::new(len, Shared(ClientV6 { generation, address: v6.octets() }))),
    }
}
