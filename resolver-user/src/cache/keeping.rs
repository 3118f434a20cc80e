//! For how long an outcome is kept, and which TTL clients see.

use std::time::Duration;

use super::Outcome;
use crate::wire::{RCode, RecordType, Response};

/// What the operator decides about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Keeping {
    /// `min-cache-ttl`: answers are kept for at least so long, in seconds: 0..=3600. Never longer than they are proven.
    pub ttl_s_min: u32,
    /// `max-cache-ttl`: answers are kept for at most so long, in seconds.
    pub ttl_s_max: Option<u32>,
    /// `max-ttl`: clients see no longer TTL, in seconds: at least 1.
    pub shown_ttl_s_max: Option<u32>,
    /// `neg-ttl`: negative answers without a SOA are kept for so long, in seconds.
    pub negative_ttl_s: u32,
    /// Not `no-negcache`: negative answers are kept.
    pub keeps_negative: bool,
    /// `use-stale-cache`: for how long after their end answers may be given.
    pub stale_max: Option<Duration>,
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            ttl_s_min: 0,
            ttl_s_max: None,
            shown_ttl_s_max: None,
            negative_ttl_s: 0,
            keeps_negative: true,
            stale_max: None,
        }
    }
}

impl Keeping {
    /// How long an outcome that may be kept for `ttl_s` seconds by itself is kept.
    ///
    /// Choice: `min-cache-ttl` lengthens what records say of themselves and nothing else. What is proven is kept no longer
    /// than its proof holds: the validity of its signatures, and the TTLs of what the chain and a denial rest on. So a
    /// denial by NSEC or NSEC3, whose records are its proof, is not lengthened at all; nor are failures.
    pub fn kept_s(&self, outcome: &Outcome, ttl_s: u32) -> u32 {
        let (response, proof_ttl_s) = match outcome {
            Outcome::Proven(validated) => (validated.response(), validated.proof_ttl_s()),
            Outcome::Unchecked(response) | Outcome::Filtered(response, _) => (&**response, u32::MAX),
            Outcome::Bogus(..) | Outcome::Failed(..) => return ttl_s,
        };
        let bare = is_negative(response) && !has_soa(response);
        // A denial that is proven says by its proof how long it holds, SOA or not.
        let ttl_s = if bare && ttl_s == 0 { self.negative_ttl_s } else { ttl_s };
        let ttl_s_min = if bare { 0 } else { self.ttl_s_min };
        let longest_s = self.ttl_s_max.unwrap_or(u32::MAX);
        ttl_s.min(longest_s).max(ttl_s_min).min(proof_ttl_s)
    }

    /// Whether an outcome is kept at all.
    pub fn keeps(&self, outcome: &Outcome) -> bool {
        self.keeps_negative || !(outcome.may_be_stale() && outcome.response().is_some_and(is_negative))
    }

    /// The TTL that clients see where `ttl_s` seconds are left.
    pub fn shown_s(&self, ttl_s: u32) -> u32 {
        ttl_s.min(self.shown_ttl_s_max.unwrap_or(u32::MAX))
    }

    /// For how long after their end answers may be given, in nanoseconds; none if not at all.
    pub fn stale_max_ns(&self) -> Option<u64> {
        self.stale_max.map(|stale_max| u64::try_from(stale_max.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Whether a response says that a name or type does not exist.
fn is_negative(response: &Response) -> bool {
    let qtype = response.question.qtype;
    let answers = |rtype: RecordType| rtype == qtype || qtype == RecordType::RRSIG;
    response.rcode != RCode::NOERROR || !response.answer.iter().any(|set| answers(set.rtype))
}

fn has_soa(response: &Response) -> bool {
    response.authority.iter().any(|set| set.rtype == RecordType::SOA)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::wire::{Question, RrSet};

    fn response(rcode: RCode, types: &[RecordType], soa: bool) -> Outcome {
        let set = |&rtype: &RecordType| RrSet {
            owner: "a.example.".parse().unwrap(),
            rtype,
            ttl_s: 60,
            rdatas: vec![[1, 2, 3, 4].into()],
            signatures: Vec::new(),
        };
        let question = Question::new("a.example.".parse().unwrap(), RecordType::A);
        let authority = if soa { vec![set(&RecordType::SOA)] } else { Vec::new() };
        Outcome::Unchecked(Arc::new(Response { question, rcode, answer: types.iter().map(set).collect(), authority }))
    }

    #[test]
    fn limits_hold_and_the_lower_one_comes_last() {
        let answer = response(RCode::NOERROR, &[RecordType::A], false);
        let kept =
            |ttl_s_min, ttl_s_max, ttl_s| Keeping { ttl_s_min, ttl_s_max, ..Keeping::default() }.kept_s(&answer, ttl_s);
        assert_eq!([kept(0, None, 60), kept(200, None, 60), kept(200, None, 300)], [60, 200, 300]);
        assert_eq!([kept(0, Some(50), 60), kept(0, Some(70), 60), kept(100, Some(50), 60)], [50, 60, 100]);
        assert_eq!(kept(100, None, 0), 100);
    }

    #[test]
    fn negative_answers_without_a_soa_are_kept_as_neg_ttl_says() {
        let keeping = Keeping { negative_ttl_s: 77, ttl_s_min: 200, ..Keeping::default() };
        assert_eq!(keeping.kept_s(&response(RCode::NXDOMAIN, &[], false), 0), 77);
        assert_eq!(keeping.kept_s(&response(RCode::NOERROR, &[RecordType::CNAME], false), 0), 77);
        assert_eq!(keeping.kept_s(&response(RCode::NXDOMAIN, &[], true), 30), 200);
        assert_eq!(Keeping::default().kept_s(&response(RCode::NXDOMAIN, &[], false), 0), 0);
        assert_eq!(keeping.kept_s(&response(RCode::NXDOMAIN, &[], false), 40), 40, "a proof without a SOA");
    }

    #[test]
    fn without_a_negative_cache_only_denials_are_not_kept() {
        let keeping = Keeping { keeps_negative: false, ..Keeping::default() };
        assert!(keeping.keeps(&response(RCode::NOERROR, &[RecordType::A], false)));
        assert!(!keeping.keeps(&response(RCode::NXDOMAIN, &[], true)));
        assert!(!keeping.keeps(&response(RCode::NOERROR, &[RecordType::CNAME], true)));
        assert!(Keeping::default().keeps(&response(RCode::NXDOMAIN, &[], true)));
    }

    #[test]
    fn clients_see_no_longer_ttl_than_allowed() {
        let keeping = Keeping { shown_ttl_s_max: Some(40), ..Keeping::default() };
        assert_eq!([keeping.shown_s(300), keeping.shown_s(39), Keeping::default().shown_s(300)], [40, 39, 300]);
    }
}
