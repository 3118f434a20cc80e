//! How many queries to other servers one query of a client may cause.

use std::sync::atomic::{AtomicU32, Ordering};

/// Queries that one query of a client may cause, over UDP and TCP, tried again or not.
/// Choice: 200 lets every honest zone be found with a cold cache and lost packets, and keeps what one query can set off small.
pub const UPSTREAM_QUERIES_MAX: u32 = 200;

/// What is left of them. Whatever is fetched on behalf of one client query is paid from one of these; who waits for what
/// somebody else is fetching pays nothing.
#[derive(Debug, Default)]
pub struct Allowance {
    spent: AtomicU32,
}

impl Allowance {
    /// Pays for one query; false if nothing is left.
    pub(super) fn spend(&self) -> bool {
        self.spent.fetch_add(1, Ordering::Relaxed) < UPSTREAM_QUERIES_MAX
    }

    /// How many were sent.
    pub fn spent(&self) -> u32 {
        self.spent.load(Ordering::Relaxed).min(UPSTREAM_QUERIES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_ends() {
        let allowance = Allowance::default();
        assert_eq!((0..2 * UPSTREAM_QUERIES_MAX).filter(|_| allowance.spend()).count(), 200);
        assert_eq!(allowance.spent(), UPSTREAM_QUERIES_MAX);
    }
}
