//! What is known of each server, and in which order they are asked.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use crate::metrics::{Counter, Durations, Histogram};

/// Shortest wait before the next try. A validating or recursing server needs a few round trips of its own.
const RETRY_AFTER_MIN: Duration = Duration::from_millis(300);
/// Longest wait before the next try, and the wait for a server of which nothing is known.
const RETRY_AFTER_MAX: Duration = Duration::from_millis(1500);
/// Weight of a new round-trip time, as a shift: 1/8 (RFC 6298 §2).
const SRTT_SHIFT: u32 = 3;

/// The servers in the order of the configuration, and which of them answered last.
#[derive(Debug)]
pub(super) struct Servers {
    list: Vec<Server>,
    favoured: AtomicUsize,
}

/// One server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// Smoothed round-trip time, in microseconds; 0 = not known.
    srtt_us: AtomicU32,
    /// Round-trip times of the replies.
    rtt: Histogram,
    /// Queries sent.
    pub(super) sent: Counter,
    /// Queries that got no usable reply.
    pub(super) failed: Counter,
}

/// What `resolver status` shows of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerReport {
    /// Its address.
    pub address: SocketAddr,
    /// Queries sent.
    pub sent: u64,
    /// Queries that got no usable reply.
    pub failed: u64,
    /// Smoothed round-trip time, in microseconds; none before the first reply.
    pub srtt_us: Option<u32>,
    /// Round-trip times of its replies.
    pub rtt: Durations,
}

impl Servers {
    pub(super) fn new(addresses: &[SocketAddr]) -> Self {
        let server = |&address| Server {
            address,
            srtt_us: AtomicU32::new(0),
            rtt: Histogram::default(),
            sent: Counter::default(),
            failed: Counter::default(),
        };
        Self { list: addresses.iter().map(server).collect(), favoured: AtomicUsize::new(0) }
    }

    /// Indices of all servers, the favoured one first, the others in the order of the configuration.
    pub(super) fn order(&self) -> Vec<usize> {
        let favoured = self.favoured.load(Ordering::Relaxed).min(self.list.len().saturating_sub(1));
        let others = (0..self.list.len()).filter(|&index| index != favoured);
        self.list.get(favoured).map(|_| favoured).into_iter().chain(others).collect()
    }

    pub(super) fn server(&self, index: usize) -> Option<&Server> {
        self.list.get(index)
    }

    /// Notes that this server gave a usable reply: it is asked first from now on.
    pub(super) fn favour(&self, index: usize) {
        self.favoured.store(index, Ordering::Relaxed);
    }

    pub(super) fn reports(&self) -> Vec<ServerReport> {
        let report = |server: &Server| {
            let srtt_us = Some(server.srtt_us.load(Ordering::Relaxed)).filter(|&srtt_us| srtt_us > 0);
            let (sent, failed, rtt) = (server.sent.value(), server.failed.value(), server.rtt.snapshot());
            ServerReport { address: server.address, sent, failed, srtt_us, rtt }
        };
        self.list.iter().map(report).collect()
    }
}

impl Server {
    /// How long to wait for a reply before another try is made beside this one.
    pub(super) fn retry_after(&self) -> Duration {
        match self.srtt_us.load(Ordering::Relaxed) {
            0 => RETRY_AFTER_MAX,
            srtt_us => {
                let twice = Duration::from_micros(u64::from(srtt_us).saturating_mul(2));
                twice.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX)
            }
        }
    }

    /// Takes a measured round-trip time into the histogram and into the smoothed one. A lost update among threads does no harm.
    pub(super) fn note_rtt(&self, rtt: Duration) {
        self.rtt.record(rtt);
        let new_us = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX).max(1);
        let old_us = self.srtt_us.load(Ordering::Relaxed);
        let smoothed = match old_us {
            0 => new_us,
            _ => old_us.saturating_sub(old_us >> SRTT_SHIFT).saturating_add(new_us >> SRTT_SHIFT).max(1),
        };
        self.srtt_us.store(smoothed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_that_answered_last_is_asked_first() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let servers = Servers::new(&[address(1), address(2), address(3)]);
        assert_eq!(servers.order(), [0, 1, 2]);
        servers.favour(2);
        assert_eq!(servers.order(), [2, 0, 1]);
    }

    #[test]
    fn waits_follow_the_round_trip_time_within_bounds() {
        let servers = Servers::new(&[SocketAddr::from(([127, 0, 0, 1], 1))]);
        let server = servers.server(0).unwrap();
        assert_eq!(server.retry_after(), RETRY_AFTER_MAX);
        server.note_rtt(Duration::from_millis(1));
        assert_eq!(server.retry_after(), RETRY_AFTER_MIN);
        for _ in 0..100 {
            server.note_rtt(Duration::from_millis(400));
        }
        assert!(server.retry_after() > Duration::from_millis(700) && server.retry_after() < RETRY_AFTER_MAX);
    }
}
