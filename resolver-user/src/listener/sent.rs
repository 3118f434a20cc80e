//! Counts answers by what they say.
//!
//! In: what was written. Out: counters; of answers from the cache, those of a whole batch at once.

use crate::answer::Sent;
use crate::metrics::{Counter, Metrics};
use crate::wire::RCode;

/// Counts an answer by RCODE.
pub fn count_sent(sent: Sent, metrics: &Metrics) {
    let mut sum = Sum::default();
    sum.count(sent);
    sum.add_to(metrics);
}

/// Answers from the cache, counted together: a counter that all threads share costs more than a sum.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hits(Sum);

impl Hits {
    /// Counts one.
    pub fn count(&mut self, sent: Sent) {
        self.0.count(sent);
    }

    /// Adds them to the counters.
    pub fn add_to(self, metrics: &Metrics) {
        let Sum { noerror, nxdomain, servfail, other, .. } = self.0;
        add(&metrics.cache_hits, noerror + nxdomain + servfail + other);
        self.0.add_to(metrics);
    }
}

/// Answers by RCODE.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    noerror: u64,
    nxdomain: u64,
    servfail: u64,
    other: u64,
    truncated: u64,
}

impl Sum {
    fn count(&mut self, sent: Sent) {
        let sum = match sent.rcode {
            RCode::NOERROR => &mut self.noerror,
            RCode::NXDOMAIN => &mut self.nxdomain,
            RCode::SERVFAIL => &mut self.servfail,
            _ => &mut self.other,
        };
        *sum += 1;
        self.truncated += u64::from(sent.truncated);
    }

    fn add_to(self, metrics: &Metrics) {
        add(&metrics.answers_noerror, self.noerror);
        add(&metrics.answers_nxdomain, self.nxdomain);
        add(&metrics.answers_servfail, self.servfail);
        add(&metrics.answers_other, self.other);
        add(&metrics.truncated_answers, self.truncated);
    }
}

/// What has not risen is left alone.
fn add(counter: &Counter, amount: u64) {
    if amount > 0 {
        counter.add(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_are_counted_once_by_rcode_and_as_a_whole() {
        let (mut hits, metrics) = (Hits::default(), Metrics::default());
        let sent = |rcode, truncated| Sent { rcode, truncated, authentic: false };
        let all = [
            sent(RCode::NOERROR, false),
            sent(RCode::NOERROR, true),
            sent(RCode::NXDOMAIN, false),
            sent(RCode::SERVFAIL, false),
            sent(RCode::REFUSED, false),
        ];
        all.into_iter().for_each(|sent| hits.count(sent));
        hits.add_to(&metrics);
        let counted = || {
            let by_rcode = [
                &metrics.answers_noerror,
                &metrics.answers_nxdomain,
                &metrics.answers_servfail,
                &metrics.answers_other,
            ];
            (by_rcode.map(Counter::value), metrics.truncated_answers.value(), metrics.cache_hits.value())
        };
        assert_eq!(counted(), ([2, 1, 1, 1], 1, 5));
        count_sent(sent(RCode::NXDOMAIN, true), &metrics);
        assert_eq!(counted(), ([2, 2, 1, 1], 2, 5), "what was not in the cache is no hit");
    }
}
