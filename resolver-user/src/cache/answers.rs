//! Finished answers, bounded by entries, of which large ones count as several; what is used often stays (S3-FIFO).

use std::sync::Arc;

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle};

use super::{AnswerKey, BySize, CachedAnswer, QuestionRef};
use crate::metrics::Counter;

type Entries = Cache<AnswerKey, Arc<CachedAnswer>, BySize, DefaultHashBuilder, Evictions>;

/// The answer cache.
#[derive(Debug)]
pub struct AnswerCache {
    /// None with `cache-size=0`.
    entries: Option<Entries>,
    /// Answers put in, in place of an earlier one or not.
    pub insertions: Counter,
    evictions: Evictions,
}

/// Counts the answers that had to make room for others.
#[derive(Clone, Debug, Default)]
struct Evictions(Arc<Counter>);

impl Lifecycle<AnswerKey, Arc<CachedAnswer>> for Evictions {
    /// What was evicted last: it is dropped once the cache is unlocked.
    type RequestState = Option<(AnswerKey, Arc<CachedAnswer>)>;

    fn on_evict(&self, state: &mut Self::RequestState, key: AnswerKey, answer: Arc<CachedAnswer>) {
        self.0.add_one();
        *state = Some((key, answer));
    }
}

impl AnswerCache {
    /// A cache of at most `entries_max` answers of ordinary size; 0 keeps nothing.
    pub fn new(entries_max: usize) -> Self {
        let evictions = Evictions::default();
        let entries = || {
            let hashes = DefaultHashBuilder::default();
            Cache::with(entries_max, entries_max as u64, BySize, hashes, evictions.clone())
        };
        Self { entries: (entries_max > 0).then(entries), insertions: Counter::default(), evictions }
    }

    /// The answer to a question, if it is there and has at least one whole second left.
    pub fn answer(&self, question: QuestionRef<'_>, now_boot_ns: u64) -> Option<Arc<CachedAnswer>> {
        let entry = self.entries.as_ref()?.get(&question)?;
        (entry.ttl_left_s(now_boot_ns) > 0).then_some(entry)
    }

    /// The answer to a question unless its time has been up for more than `stale_max_ns`, if it has data to give.
    pub fn stale(&self, question: QuestionRef<'_>, now_boot_ns: u64, stale_max_ns: u64) -> Option<Arc<CachedAnswer>> {
        let entry = self.entries.as_ref()?.get(&question)?;
        let is_over = now_boot_ns.saturating_sub(entry.expires_at_boot_ns) > stale_max_ns;
        (!is_over && entry.may_be_stale()).then_some(entry)
    }

    /// Keeps an answer. One without a whole second left is not kept (RFC 1035 §3.2.1: TTL 0 is for one use).
    pub fn insert(&self, answer: Arc<CachedAnswer>, now_boot_ns: u64) {
        if let Some(entries) = &self.entries
            && answer.ttl_left_s(now_boot_ns) > 0
        {
            self.insertions.add_one();
            entries.insert(AnswerKey::new(&answer), answer);
        }
    }

    /// Answers that had to make room for others.
    pub fn evictions(&self) -> u64 {
        self.evictions.0.value()
    }

    /// Forgets the answer to a question.
    pub fn remove(&self, question: QuestionRef<'_>) {
        if let Some(entries) = &self.entries {
            entries.remove(&question);
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        if let Some(entries) = &self.entries {
            entries.clear();
        }
    }

    /// Number of entries, expired ones included until they are replaced.
    pub fn len(&self) -> usize {
        self.entries.as_ref().map_or(0, Cache::len)
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All answers that have time left, in no order.
    pub fn dump(&self, now_boot_ns: u64) -> Vec<Arc<CachedAnswer>> {
        let entries = self.entries.iter().flat_map(Cache::iter).map(|(_, entry)| entry);
        entries.filter(|entry| entry.ttl_left_s(now_boot_ns) > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Outcome;
    use crate::clock::NS_PER_S;
    use crate::wire::{Question, RCode, RecordType, Response, RrSet};

    fn answer(name: &str, ttl_s: u32) -> Arc<CachedAnswer> {
        let question = Question::new(name.parse().unwrap(), RecordType::A);
        let response =
            Response { question: question.clone(), rcode: RCode::NOERROR, answer: Vec::new(), authority: Vec::new() };
        Arc::new(CachedAnswer::new(question, Outcome::Unchecked(Arc::new(response)), ttl_s, 0, 0))
    }

    const WWW: QuestionRef<'_> = QuestionRef { qname_wire: b"\x03WWW\0", qtype: RecordType::A };

    #[test]
    fn an_answer_is_found_until_its_last_whole_second_is_over() {
        let cache = AnswerCache::new(10);
        cache.insert(answer("www.", 2), 0);
        assert_eq!(cache.answer(WWW, NS_PER_S).unwrap().ttl_left_s(NS_PER_S), 1);
        assert!(cache.answer(WWW, NS_PER_S + 1).is_none());
        assert!(cache.answer(QuestionRef { qtype: RecordType::AAAA, ..WWW }, 0).is_none());
    }

    #[test]
    fn nothing_is_kept_without_a_ttl_or_without_a_cache() {
        let cache = AnswerCache::new(10);
        cache.insert(answer("www.", 0), 0);
        assert!(cache.is_empty());
        let none = AnswerCache::new(0);
        none.insert(answer("www.", 60), 0);
        assert!(none.answer(WWW, 0).is_none());
    }

    /// Nobody fills the memory with signatures that are kept for clients that set CD.
    #[test]
    fn large_answers_count_as_several() {
        let cache = AnswerCache::new(100);
        for number in 0..1000 {
            let mut large = answer(&format!("n{number}."), 60).question().clone();
            large.qtype = RecordType::TXT;
            let set = RrSet {
                owner: large.qname.clone(),
                rtype: RecordType::TXT,
                ttl_s: 60,
                rdatas: vec![vec![0; 60_000].into()],
                signatures: Vec::new(),
            };
            let response =
                Response { question: large.clone(), rcode: RCode::NOERROR, answer: vec![set], authority: Vec::new() };
            cache.insert(Arc::new(CachedAnswer::new(large, Outcome::Unchecked(Arc::new(response)), 60, 0, 0)), 0);
        }
        assert!((1..=10).contains(&cache.len()), "{}", cache.len());
    }

    #[test]
    fn the_number_of_entries_is_bounded() {
        let cache = AnswerCache::new(100);
        for number in 0..10_000 {
            cache.insert(answer(&format!("n{number}."), 60), 0);
        }
        assert!(cache.len() <= 128, "{}", cache.len());
        assert_eq!((cache.insertions.value(), cache.evictions()), (10_000, 10_000 - cache.len() as u64));
    }

    /// Share of queries that find their answer when names are as popular as in life (the n-th one n times less than the first), with
    /// `flood` made-up names, never asked for again, for each such query.
    fn hit_rate(flood: u32) -> f64 {
        const NAMES: usize = 5000;
        let cache = AnswerCache::new(1000);
        let mut seed = 7_u64;
        let mut random = || {
            seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (seed >> 11) as f64 / (1_u64 << 53) as f64
        };
        let weights = (1..=NAMES).scan(0.0, |sum, n| {
            *sum += 1.0 / n as f64;
            Some(*sum)
        });
        let sums: Vec<f64> = weights.collect();
        let answers: Vec<_> = (0..NAMES).map(|n| answer(&format!("n{n}.example."), 3600)).collect();
        let (mut hits, mut asked, mut made_up) = (0, 0, 0_u64);
        for query in 0..20_000 {
            let drawn = random() * sums[NAMES - 1];
            let wanted = &answers[sums.partition_point(|sum| *sum < drawn).min(NAMES - 1)];
            let hit = cache.answer(QuestionRef::from(wanted.question()), 0).is_some();
            if !hit {
                cache.insert(Arc::clone(wanted), 0);
            }
            // The first quarter fills the cache.
            if query >= 5000 {
                asked += 1;
                hits += u32::from(hit);
            }
            for _ in 0..flood {
                made_up += 1;
                cache.insert(answer(&format!("x{made_up}.flood."), 3600), 0);
            }
        }
        f64::from(hits) / f64::from(asked)
    }

    #[test]
    fn made_up_names_do_not_push_out_what_is_popular() {
        let (alone, flooded) = (hit_rate(0), hit_rate(10));
        println!("hit rate {alone:.3} alone, {flooded:.3} beside ten made-up names for each query");
        // What is asked for less than once in some hundred queries has to be found again each time.
        assert!(alone > 0.7 && flooded > 0.65 * alone, "{alone} {flooded}");
    }
}
