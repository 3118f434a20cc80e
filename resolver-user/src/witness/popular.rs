//! The most frequent of many keys, in bounded memory: Space-Saving (Metwally, Agrawal, El Abbadi 2005).
//!
//! Of `size` counters each belongs to a key. A key without one takes over the smallest, with its count: so a count is never
//! too low, too high by no more than the error that stands beside it, and every key that makes up more than one `size`th of
//! all is among them.

use std::collections::HashMap;
use std::hash::Hash;

/// A key with its estimate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted<K, D> {
    /// The key.
    pub key: K,
    /// How often it came: not more often than this.
    pub count: u64,
    /// By how much that may be too high.
    pub error: u64,
    /// What was noted of it since it has its counter.
    pub detail: D,
}

/// The counters.
#[derive(Clone, Debug)]
pub struct Popular<K, D> {
    /// A heap: none has a smaller count than the one above it, which stands at half its place.
    heap: Vec<Counted<K, D>>,
    /// Where in the heap a key stands.
    places: HashMap<K, usize>,
    size: usize,
    total: u64,
}

impl<K: Clone + Eq + Hash, D: Default> Popular<K, D> {
    /// So many counters, at least 1.
    pub fn new(size: usize) -> Self {
        Self { heap: Vec::new(), places: HashMap::new(), size: size.max(1), total: 0 }
    }

    /// Counts a key `weight` times and lets `note` change its detail.
    pub fn add(&mut self, key: &K, weight: u64, note: impl FnOnce(&mut D)) {
        self.total = self.total.saturating_add(weight);
        let at = match self.places.get(key) {
            Some(&at) => at,
            None if self.heap.len() < self.size => self.append(key),
            None => self.take_over(key),
        };
        let Some(counted) = self.heap.get_mut(at) else { return };
        counted.count = counted.count.saturating_add(weight);
        note(&mut counted.detail);
        self.sink(at);
    }

    /// All weights together.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The most frequent keys, most frequent first.
    pub fn top(&self, count: usize) -> Vec<Counted<K, D>>
    where
        D: Clone,
    {
        let mut all: Vec<&Counted<K, D>> = self.heap.iter().collect();
        all.sort_by_key(|counted| std::cmp::Reverse(counted.count));
        all.into_iter().take(count).cloned().collect()
    }

    /// A new counter at zero, which belongs to the top: to the smallest.
    fn append(&mut self, key: &K) -> usize {
        let mut at = self.heap.len();
        self.heap.push(Counted { key: key.clone(), count: 0, error: 0, detail: D::default() });
        self.places.insert(key.clone(), at);
        while at > 0 {
            let above = (at - 1) / 2;
            self.swap(at, above);
            at = above;
        }
        at
    }

    /// The smallest counter, for another key.
    fn take_over(&mut self, key: &K) -> usize {
        if let Some(smallest) = self.heap.first_mut() {
            self.places.remove(&smallest.key);
            let count = smallest.count;
            *smallest = Counted { key: key.clone(), count, error: count, detail: D::default() };
            self.places.insert(key.clone(), 0);
        }
        0
    }

    /// Moves a counter that has grown down to where it belongs.
    fn sink(&mut self, mut at: usize) {
        let count_at = |heap: &[Counted<K, D>], at: usize| heap.get(at).map(|counted| counted.count);
        // Bound: the heap's height.
        while let Some(count) = count_at(&self.heap, at) {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let below = match (count_at(&self.heap, left), count_at(&self.heap, right)) {
                (Some(l), Some(r)) if r < l => right,
                (Some(_), _) => left,
                _ => return,
            };
            if count_at(&self.heap, below).is_none_or(|smaller| smaller >= count) {
                return;
            }
            self.swap(at, below);
            at = below;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        for at in [a, b] {
            if let Some(place) = self.heap.get(at).and_then(|counted| self.places.get_mut(&counted.key)) {
                *place = at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys with a few frequent ones among many rare ones, always the same.
    fn stream(len: u64) -> impl Iterator<Item = u64> {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        (0..len).map(move |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // Each number half as often as the one before, and a long tail.
            if state.is_multiple_of(3) { 1000 + state % 5000 } else { u64::from((state >> 20).trailing_zeros()) }
        })
    }

    #[test]
    fn counts_are_never_too_low_and_too_high_by_no_more_than_told() {
        let mut popular: Popular<u64, u64> = Popular::new(64);
        let mut truth: HashMap<u64, u64> = HashMap::new();
        for key in stream(100_000) {
            popular.add(&key, 1, |detail| *detail += 1);
            *truth.entry(key).or_default() += 1;
        }
        assert_eq!(popular.total(), 100_000);
        let top = popular.top(64);
        assert_eq!(top.len(), 64);
        for Counted { key, count, error, detail } in &top {
            let true_count = truth.get(key).copied().unwrap_or(0);
            assert!((count - error..=*count).contains(&true_count), "{key}: {true_count} is not {count} - {error}");
            assert_eq!(*detail, count - error, "what is noted begins when the counter is taken");
            assert!(*error <= 100_000 / 64, "the error is at most total / size");
        }
        let frequent: Vec<u64> =
            truth.iter().filter(|(_, count)| **count > 100_000 / 64).map(|(key, _)| *key).collect();
        assert!(frequent.len() >= 4);
        assert!(frequent.iter().all(|key| top.iter().any(|counted| counted.key == *key)), "{frequent:?}");
        assert!(top.is_sorted_by_key(|counted| std::cmp::Reverse(counted.count)));
    }

    #[test]
    fn with_room_for_all_every_count_is_exact_whatever_the_weights() {
        let mut popular: Popular<u64, ()> = Popular::new(10);
        for (key, weight) in [(1, 5), (2, 64), (3, 1), (1, 60), (2, 2), (4, 100), (3, 1)] {
            popular.add(&key, weight, |()| ());
        }
        let counted: Vec<_> =
            popular.top(9).into_iter().map(|counted| (counted.key, counted.count, counted.error)).collect();
        assert_eq!(counted, [(4, 100, 0), (2, 66, 0), (1, 65, 0), (3, 2, 0)]);
        assert_eq!(popular.top(2).len(), 2);
    }
}
