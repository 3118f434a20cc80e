//! Raw replies to validation's sub-queries, kept for seconds, so that parallel misses under one zone ask for its DS and
//! DNSKEY once. Nothing here was validated; each validation judges what it takes from here.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::{QuestionKey, QuestionRef};
use crate::clock::NS_PER_S;
use crate::wire::{Question, Response};

/// Longest time a raw reply is kept, in seconds. Choice: long enough for a burst of misses; short, because a forged reply
/// that got here makes its zone fail for as long.
const KEPT_S_MAX: u32 = 5;
/// Most raw replies kept.
const ENTRIES_MAX: usize = 1024;

/// The cache of raw replies.
#[derive(Debug)]
pub struct ResponseCache {
    entries: Cache<QuestionKey, (Arc<Response>, u64)>,
}

impl Default for ResponseCache {
    fn default() -> Self {
        Self { entries: Cache::new(ENTRIES_MAX) }
    }
}

impl ResponseCache {
    /// The reply to a question, if it came a moment ago.
    pub fn response(&self, question: &Question, now_boot_ns: u64) -> Option<Arc<Response>> {
        let (response, expires_at_boot_ns) = self.entries.get(&QuestionRef::from(question))?;
        (now_boot_ns < expires_at_boot_ns).then_some(response)
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.entries.clear();
    }

    /// Keeps a reply for a moment, and no longer than its records' TTLs.
    pub fn insert(&self, response: Arc<Response>, now_boot_ns: u64) {
        let ttls_s = response.answer.iter().chain(&response.authority).map(|set| set.ttl_s);
        let kept_s = ttls_s.min().unwrap_or(KEPT_S_MAX).min(KEPT_S_MAX);
        if kept_s > 0 {
            let expires_at_boot_ns = now_boot_ns.saturating_add(u64::from(kept_s).saturating_mul(NS_PER_S));
            self.entries.insert(QuestionKey::new(&response.question), (response, expires_at_boot_ns));
        }
    }
}
