//! Shares of what there is of something, so that no client takes all of it.
//!
//! In: a client's address. Out: a permit, at once or later, of as many as a client may have.
//! Clients are told apart by a keyed hash into a fixed number of places (IPv4 addresses, networks of 64 bits of IPv6): nothing grows
//! with their number, and those few that meet in a place share its permits.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places that clients are spread over. Choice: about 100 kB.
const PLACES: usize = 1024;

/// Permits, a few for each client.
#[derive(Debug)]
pub struct Shares {
    places: Box<[Arc<Semaphore>]>,
    key: RandomState,
}

impl Shares {
    /// So many permits for each client.
    pub fn new(each: usize) -> Self {
        Self { places: (0..PLACES).map(|_| Arc::new(Semaphore::new(each))).collect(), key: RandomState::new() }
    }

    /// A permit of a client's, if it has one left.
    pub fn try_take(&self, client: IpAddr) -> Option<OwnedSemaphorePermit> {
        Arc::clone(self.place(client)?).try_acquire_owned().ok()
    }

    /// The same, for a task to wait for.
    pub fn place(&self, client: IpAddr) -> Option<&Arc<Semaphore>> {
        let hash = usize::try_from(self.key.hash_one(client_number(client)) & 0xffff).unwrap_or(0);
        self.places.get(hash % PLACES)
    }
}

/// What a client is told apart from others by: its IPv4 address, or its network of 64 bits of IPv6.
pub(super) fn client_number(client: IpAddr) -> u128 {
    match client {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits() >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_share_and_leaves_others_theirs() {
        let shares = Shares::new(3);
        let client = |text: &str| text.parse().unwrap();
        let held: Vec<_> = (0..5).map(|_| shares.try_take(client("192.0.2.1"))).collect();
        assert_eq!(held.iter().flatten().count(), 3);
        // Of a hundred others, hardly any meets it in its place.
        let others = (0..100).filter(|last| shares.try_take(client(&format!("198.51.100.{last}"))).is_some()).count();
        assert!(others >= 95, "{others}");
        drop(held);
        assert!(shares.try_take(client("192.0.2.1")).is_some());
    }

    #[test]
    fn hosts_of_one_network_of_ipv6_are_one_client() {
        let shares = Shares::new(2);
        let held: Vec<_> = (1..9).map(|host| shares.try_take(format!("2001:db8::{host}").parse().unwrap())).collect();
        assert_eq!(held.iter().flatten().count(), 2);
    }
}
