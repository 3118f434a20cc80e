//! Counts who asks and what is asked for, answers of both halves together, in bounded memory.
//!
//! In: answers, or samples of them with their weight. Out: the most frequent names and clients.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Counted, Popular};
use crate::wire::RecordType;

/// What became of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnsweredBy {
    /// XDP has answered.
    Xdp,
    /// The daemon has, from what it had.
    Cache,
    /// Somebody else was asked.
    Upstream,
    /// The answer was neither NOERROR nor NXDOMAIN, whoever had it.
    Failed,
}

/// How a client's queries were answered, by [`AnsweredBy`].
pub type Ways = [u64; 4];
/// A name in wire form, lower case, and a type.
pub type AskedFor = (Box<[u8]>, RecordType);

/// The counts, if anything is counted.
#[derive(Debug, Default)]
pub struct Counting {
    /// One of so many of the daemon's answers is counted; 0: none.
    one_in: AtomicU32,
    counts: Mutex<Option<Counts>>,
}

/// What is counted.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Clients, and how they were answered.
    pub clients: Popular<IpAddr, Ways>,
    /// What was asked for.
    pub names: Popular<AskedFor, ()>,
    /// Since when, in nanoseconds of CLOCK_BOOTTIME.
    pub since_boot_ns: u64,
}

/// The most frequent of both.
#[derive(Clone, Debug)]
pub struct MostFrequent {
    /// Clients.
    pub clients: Vec<Counted<IpAddr, Ways>>,
    /// Names.
    pub names: Vec<Counted<AskedFor, ()>>,
    /// All queries counted.
    pub total: u64,
    /// Since when, in nanoseconds of CLOCK_BOOTTIME.
    pub since_boot_ns: u64,
}

impl Counting {
    /// Begins anew, with so many counters of each kind.
    pub fn begin(&self, clients: usize, names: usize, now_boot_ns: u64) {
        let counts = Counts { clients: Popular::new(clients), names: Popular::new(names), since_boot_ns: now_boot_ns };
        *self.lock() = Some(counts);
    }

    /// Ends, and forgets.
    pub fn end(&self) {
        self.sample(0);
        *self.lock() = None;
    }

    /// Has one of so many of the daemon's answers counted; 0: none.
    pub fn sample(&self, one_in: u32) {
        self.one_in.store(one_in, Ordering::Relaxed);
    }

    /// One of how many of the daemon's answers is counted; 0: none.
    pub fn one_in(&self) -> u32 {
        self.one_in.load(Ordering::Relaxed)
    }

    /// Counts an answer `weight` times.
    pub fn add(&self, client: IpAddr, qname_wire: &[u8], qtype: RecordType, by: AnsweredBy, weight: u64) {
        let mut counts = self.lock();
        let Some(counts) = &mut *counts else { return };
        counts.clients.add(&client, weight, |ways| {
            if let Some(way) = ways.get_mut(by as usize) {
                *way = way.saturating_add(weight);
            }
        });
        counts.names.add(&(qname_wire.to_ascii_lowercase().into(), qtype), weight, |()| ());
    }

    /// The most frequent; none if nothing is counted.
    pub fn most_frequent(&self, clients: usize, names: usize) -> Option<MostFrequent> {
        let counts = self.lock();
        let counts = counts.as_ref()?;
        Some(MostFrequent {
            clients: counts.clients.top(clients),
            names: counts.names.top(names),
            total: counts.clients.total(),
            since_boot_ns: counts.since_boot_ns,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Counts>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "made-up counts")]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_in_any_letter_case_and_ways_are_told_apart() {
        let counting = Counting::default();
        let client = IpAddr::from([192, 0, 2, 1]);
        counting.add(client, b"\x01a\0", RecordType::A, AnsweredBy::Xdp, 1);
        assert!(counting.most_frequent(9, 9).is_none(), "nothing has begun");
        counting.begin(8, 8, 7);
        counting.add(client, b"\x01a\0", RecordType::A, AnsweredBy::Xdp, 64);
        counting.add(client, b"\x01A\0", RecordType::A, AnsweredBy::Cache, 2);
        counting.add(IpAddr::from([192, 0, 2, 2]), b"\x01a\0", RecordType::AAAA, AnsweredBy::Failed, 1);
        let told = counting.most_frequent(9, 9).unwrap();
        assert_eq!((told.total, told.since_boot_ns), (67, 7));
        assert_eq!((told.clients[0].key, told.clients[0].count, told.clients[0].detail), (client, 66, [64, 2, 0, 0]));
        assert_eq!(told.clients[1].detail, [0, 0, 0, 1]);
        assert_eq!((told.names[0].key.1, told.names[0].count), (RecordType::A, 66));
        counting.end();
        assert!(counting.most_frequent(9, 9).is_none());
    }
}
