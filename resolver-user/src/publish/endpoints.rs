//! The endpoints in the kernel half's settings, changed while programs read them.
//!
//! In: the UDP endpoints to answer for. Out: the elements of `listen_v4` and `listen_v6`.
//! No program ever sees an endpoint that is none of ours, and none of those that stay is missing for a moment:
//!
//! 1. each endpoint that goes is taken out by one store into its last word;
//! 2. once no program runs any more that saw it, the addresses of those that come are written into unused elements;
//! 3. once no program runs any more that saw what was there before, each is put in by one store into its last word.
//!
//! Whoever calls has its sockets bound before an endpoint comes, and closes them after it went: what XDP passes meanwhile
//! is answered by the daemon.

use std::io;
use std::mem::offset_of;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use resolver_ebpf::abi::{LISTEN_MAX, ListenV4, ListenV6, Settings};

use super::memory::MappedArray;

/// The endpoints of one address family, by element. Addresses of one number on several interfaces are one endpoint.
#[derive(Debug)]
struct Elements {
    used: [Option<SocketAddr>; LISTEN_MAX],
}

/// Which endpoint stands where.
#[derive(Debug, Default)]
pub struct Endpoints {
    v4: Elements,
    v6: Elements,
}

impl Default for Elements {
    fn default() -> Self {
        Self { used: [None; LISTEN_MAX] }
    }
}

impl Elements {
    /// Takes out what is not wanted: the numbers of those elements.
    fn remove(&mut self, wanted: &[SocketAddr]) -> Vec<usize> {
        let goes = |element: &Option<SocketAddr>| element.is_some_and(|endpoint| !wanted.contains(&endpoint));
        let gone: Vec<usize> = (0..LISTEN_MAX).filter(|&at| self.used.get(at).is_some_and(goes)).collect();
        for &at in &gone {
            self.used[at] = None;
        }
        gone
    }

    /// Finds elements for what is new: their numbers and endpoints.
    fn add(&mut self, wanted: &[SocketAddr]) -> Vec<(usize, SocketAddr)> {
        let mut added = Vec::new();
        for &endpoint in wanted {
            if self.used.contains(&Some(endpoint)) {
                continue;
            }
            match self.used.iter().position(Option::is_none) {
                Some(at) => {
                    self.used[at] = Some(endpoint);
                    added.push((at, endpoint));
                }
                None => {
                    tracing::warn!(%endpoint, "too many addresses for the kernel half; the daemon alone serves this one")
                }
            }
        }
        added
    }

    /// Elements that have to be looked at.
    fn count(&self) -> u32 {
        self.used.iter().rposition(Option::is_some).map_or(0, |last| last as u32 + 1)
    }
}

impl Endpoints {
    /// Some endpoint of a client's address family.
    pub fn any_for(&self, client: SocketAddr) -> Option<SocketAddr> {
        let elements = if client.is_ipv4() { &self.v4 } else { &self.v6 };
        elements.used.iter().flatten().next().copied()
    }

    /// Makes `wanted` the endpoints, `wait` waiting until no program runs that was running before.
    ///
    /// # Errors
    /// `wait` failed: what was to go is gone; what was to come is served by the daemon alone, as long as we run.
    pub fn change(
        &mut self,
        settings: &MappedArray,
        wanted: &[SocketAddr],
        wait: impl Fn() -> io::Result<()>,
    ) -> io::Result<()> {
        // The scope of a link-local address is the interface's business, not the frame's.
        let plain = |is_v4: bool| -> Vec<SocketAddr> {
            let of_family = wanted.iter().filter(|endpoint| endpoint.is_ipv4() == is_v4);
            of_family.map(|endpoint| SocketAddr::new(endpoint.ip(), endpoint.port())).collect()
        };
        let (wanted_v4, wanted_v6) = (plain(true), plain(false));
        let (gone_v4, gone_v6) = (self.v4.remove(&wanted_v4), self.v6.remove(&wanted_v6));
        for &at in &gone_v4 {
            store(settings, v4_at(at), words_v4(ListenV4::UNUSED));
        }
        for &at in &gone_v6 {
            store(settings, v6_at(at) + 16, [words_v6(ListenV6::UNUSED)[2]]);
        }
        if !(gone_v4.is_empty() && gone_v6.is_empty()) {
            wait()?;
        }
        let (added_v4, added_v6) = (self.v4.add(&wanted_v4), self.v6.add(&wanted_v6));
        for &(at, endpoint) in &added_v6 {
            let [high, low, _] = words_v6(element_v6(endpoint));
            store(settings, v6_at(at), [high, low]);
        }
        // Unused elements are equal to no endpoint, so they may be looked at.
        store_u32(settings, offset_of!(Settings, listen_v4_count), self.v4.count());
        store_u32(settings, offset_of!(Settings, listen_v6_count), self.v6.count());
        if !(added_v4.is_empty() && added_v6.is_empty()) {
            wait()?;
        }
        for &(at, endpoint) in &added_v4 {
            store(settings, v4_at(at), words_v4(element_v4(endpoint)));
        }
        for &(at, endpoint) in &added_v6 {
            store(settings, v6_at(at) + 16, [words_v6(element_v6(endpoint))[2]]);
        }
        Ok(())
    }
}

/// Marks every element of settings that are not yet in use as unused.
pub fn clear(settings: &mut Settings) {
    settings.listen_v4 = [ListenV4::UNUSED; LISTEN_MAX];
    settings.listen_v6 = [ListenV6::UNUSED; LISTEN_MAX];
}

fn v4_at(element: usize) -> usize {
    offset_of!(Settings, listen_v4) + element * size_of::<ListenV4>()
}

fn v6_at(element: usize) -> usize {
    offset_of!(Settings, listen_v6) + element * size_of::<ListenV6>()
}

fn element_v4(endpoint: SocketAddr) -> ListenV4 {
    let port = endpoint.port().to_be_bytes();
    match endpoint {
        SocketAddr::V4(v4) => ListenV4 { address: v4.ip().octets(), port, padding: [0; 2] },
        SocketAddr::V6(_) => ListenV4::UNUSED,
    }
}

fn element_v6(endpoint: SocketAddr) -> ListenV6 {
    let port = endpoint.port().to_be_bytes();
    match endpoint {
        SocketAddr::V4(_) => ListenV6::UNUSED,
        SocketAddr::V6(v6) => ListenV6 { address: v6.ip().octets(), port, padding: [0; 6] },
    }
}

fn words_v4(element: ListenV4) -> [u64; 1] {
    bytemuck::must_cast(element)
}

fn words_v6(element: ListenV6) -> [u64; 3] {
    bytemuck::must_cast(element)
}

/// Stores words from an offset on, which is a multiple of 8, one after the other.
pub fn store<const COUNT: usize>(settings: &MappedArray, offset: usize, words: [u64; COUNT]) {
    for (place, word) in settings.words()[offset / 8..].iter().zip(words) {
        place.store(word, Ordering::Release);
    }
}

/// Stores one half of a word. Nobody but this thread writes the settings, so the other half stays as it is.
pub fn store_u32(settings: &MappedArray, offset: usize, value: u32) {
    let place = &settings.words()[offset / 8];
    let mut halves: [u32; 2] = bytemuck::must_cast(place.load(Ordering::Relaxed));
    halves[offset / 4 % 2] = value;
    place.store(bytemuck::must_cast(halves), Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn what_stays_keeps_its_element_and_what_goes_leaves_room() {
        let mut elements = Elements::default();
        let [a, b, c] = ["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"];
        let numbers = |added: Vec<(usize, SocketAddr)>| added.into_iter().map(|(at, _)| at).collect::<Vec<_>>();
        assert_eq!(numbers(elements.add(&endpoints(&[a, b]))), [0, 1]);
        assert_eq!(elements.count(), 2);
        assert_eq!(elements.remove(&endpoints(&[b, c])), [0]);
        assert_eq!(numbers(elements.add(&endpoints(&[b, c]))), [0]);
        assert_eq!(elements.remove(&endpoints(&[c])), [1]);
        assert_eq!(elements.count(), 1);
        assert!(elements.add(&endpoints(&[c])).is_empty());
    }

    #[test]
    fn more_endpoints_than_elements_leave_some_to_the_daemon() {
        let mut elements = Elements::default();
        let many: Vec<SocketAddr> = (0..=LISTEN_MAX as u8).map(|last| ([192, 0, 2, last], 53).into()).collect();
        assert_eq!(elements.add(&many).len(), LISTEN_MAX);
        assert_eq!(elements.count(), LISTEN_MAX as u32);
    }
}
