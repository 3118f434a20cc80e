//! Which servers are doubted about which zones: what they said of them was bogus a moment ago.
//!
//! In: who said what, once a validation has failed because of it. Out: whether a server is to be asked last about a name, and not
//! at all when something better than a bogus reply is looked for. So a zone whose servers all give bogus data is asked
//! once by each of them, whoever asks and for whatever name, until that is forgotten. Judges nothing itself; bounded and ageing.

use std::fmt;
use std::net::SocketAddr;

use quick_cache::sync::Cache;

use crate::wire::{Name, Response};

/// Servers and zones that are remembered.
const DOUBTS_MAX: usize = 4096;
/// For how long, in milliseconds. Choice: as for lame servers; a zone that was repaired is soon asked at all its servers again.
const DOUBTED_MS: u64 = 300_000;

/// A reply, and who gave it.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The reply, scrubbed.
    pub response: Response,
    /// Who gave it; none if nobody was asked.
    pub source: Option<Source>,
}

/// Who gave a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The server.
    pub(super) server: SocketAddr,
    /// The zone that it was asked as a server of; none if it resolves for us.
    pub(super) zone: Option<Name>,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.server)
    }
}

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Among {
    /// All, the doubted ones last.
    All,
    /// None that is doubted: there is a reply already, if only a bogus one.
    Undoubted,
}

/// Servers that are doubted, by zone, and until when, in milliseconds of [`Outside::now_ms`](super::Outside).
#[derive(Debug)]
pub(super) struct Doubts {
    until_ms: Cache<(Name, SocketAddr), u64>,
}

impl Default for Doubts {
    fn default() -> Self {
        Self { until_ms: Cache::new(DOUBTS_MAX) }
    }
}

impl Doubts {
    /// Notes that what a server said about a zone is bogus.
    pub(super) fn note(&self, zone: &Name, server: SocketAddr, now_ms: u64) {
        self.until_ms.insert((zone.clone(), server), now_ms.saturating_add(DOUBTED_MS));
    }

    /// Whether a server is doubted about this very zone.
    pub(super) fn about(&self, zone: &Name, server: SocketAddr, now_ms: u64) -> bool {
        !self.until_ms.is_empty()
            && self.until_ms.get(&(zone.clone(), server)).is_some_and(|until_ms| now_ms < until_ms)
    }

    /// Whether it is about a zone at or above a name.
    pub(super) fn about_any(&self, name: &Name, server: SocketAddr, now_ms: u64) -> bool {
        let zones = || (0..=name.label_count()).filter_map(|labels| name.ancestor(labels));
        !self.until_ms.is_empty() && zones().any(|zone| self.about(&zone, server, now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_doubted_about_one_zone_for_five_minutes() {
        let doubts = Doubts::default();
        let name = |text: &str| text.parse::<Name>().unwrap();
        let (server, other) = (([192, 0, 2, 1], 53).into(), ([192, 0, 2, 2], 53).into());
        doubts.note(&name("example.org."), server, 1000);
        assert!(doubts.about(&name("EXAMPLE.org."), server, 1000) && !doubts.about(&name("example.org."), other, 1000));
        assert!(!doubts.about(&name("www.example.org."), server, 1000) && !doubts.about(&name("org."), server, 1000));
        assert!(doubts.about_any(&name("a.www.example.org."), server, 1000));
        assert!(!doubts.about_any(&name("org."), server, 1000) && !doubts.about_any(&name("b.org."), server, 1000));
        assert!(doubts.about(&name("example.org."), server, 300_999));
        assert!(!doubts.about(&name("example.org."), server, 301_000));
    }

    #[test]
    fn the_number_of_doubts_is_bounded() {
        let doubts = Doubts::default();
        for number in 0..3 * DOUBTS_MAX {
            doubts.note(&format!("n{number}.").parse().unwrap(), ([192, 0, 2, 1], 53).into(), 1);
        }
        assert!(doubts.until_ms.len() <= DOUBTS_MAX, "{}", doubts.until_ms.len());
    }
}
