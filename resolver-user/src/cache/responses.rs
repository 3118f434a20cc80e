//! Raw replies to validation's sub-queries, kept for seconds, so that parallel misses under one zone ask for its DS and
//! DNSKEY once. Nothing here was validated; each validation judges what it takes from here, and takes out what it has found to be
//! bogus. With each reply goes whatever says who gave it.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::{BySize, QuestionKey, QuestionRef};
use crate::clock::NS_PER_S;
use crate::wire::{Question, Response};

/// Longest time a raw reply is kept, in seconds. Choice: long enough for a burst of misses; short, because a forged reply
/// that got here makes its zone fail for as long.
const KEPT_S_MAX: u32 = 5;
/// Most raw replies kept, of ordinary size.
const ENTRIES_MAX: usize = 1024;

/// The cache of raw replies. `S`: who gave one.
#[derive(Debug)]
pub struct ResponseCache<S> {
    entries: Cache<QuestionKey, (Arc<Response>, S, u64), BySize>,
}

impl<S: Clone> Default for ResponseCache<S> {
    fn default() -> Self {
        Self { entries: Cache::with_weighter(ENTRIES_MAX, ENTRIES_MAX as u64, BySize) }
    }
}

impl<S: Clone> ResponseCache<S> {
    /// The reply to a question and who gave it, if it came a moment ago.
    pub fn response(&self, question: &Question, now_boot_ns: u64) -> Option<(Arc<Response>, S)> {
        let (response, source, expires_at_boot_ns) = self.entries.get(&QuestionRef::from(question))?;
        (now_boot_ns < expires_at_boot_ns).then_some((response, source))
    }

    /// Takes out this very reply, if it is there: it is of no use.
    pub fn remove(&self, response: &Arc<Response>) {
        let is_it = |(known, ..): &(Arc<Response>, S, u64)| Arc::ptr_eq(known, response);
        self.entries.remove_if(&QuestionRef::from(&response.question), is_it);
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.entries.clear();
    }

    /// Keeps a reply for a moment, and no longer than its records' TTLs.
    pub fn insert(&self, response: Arc<Response>, source: S, now_boot_ns: u64) {
        let ttls_s = response.answer.iter().chain(&response.authority).map(|set| set.ttl_s);
        let kept_s = ttls_s.min().unwrap_or(KEPT_S_MAX).min(KEPT_S_MAX);
        if kept_s > 0 {
            let expires_at_boot_ns = now_boot_ns.saturating_add(u64::from(kept_s).saturating_mul(NS_PER_S));
            self.entries.insert(QuestionKey::new(&response.question), (response, source, expires_at_boot_ns));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{RCode, RecordType};

    #[test]
    fn only_the_very_reply_that_is_of_no_use_is_taken_out() {
        let cache = ResponseCache::default();
        let question = Question::new("www.".parse().unwrap(), RecordType::A);
        let response =
            Response { question: question.clone(), rcode: RCode::NOERROR, answer: Vec::new(), authority: Vec::new() };
        let (bad, good) = (Arc::new(response.clone()), Arc::new(response));
        cache.insert(Arc::clone(&bad), 1, 0);
        cache.insert(Arc::clone(&good), 2, 0);
        cache.remove(&bad);
        assert_eq!(cache.response(&question, 1).map(|(_, source)| source), Some(2));
        cache.remove(&good);
        assert!(cache.response(&question, 1).is_none());
    }
}
