//! How much room a reply takes among others: as many places as it has times the ordinary size.
//!
//! In: a reply. Out: its number of places, one at least. Counts RDATA and signatures, which strangers choose, and not what we add.

use std::sync::Arc;

use quick_cache::Weighter;

use super::sets::KnownSet;
use super::{AnswerKey, CachedAnswer, Kept, QuestionKey};
use crate::wire::{Response, RrSet};

/// Most data of an answer that takes one place, in bytes.
/// Choice: above what is seldom exceeded, so that caches hold as many answers as they are told to.
const ORDINARY_LEN: usize = 4096;

/// Counts places by size.
#[derive(Clone, Copy, Debug)]
pub struct BySize;

impl Weighter<AnswerKey, Arc<CachedAnswer>> for BySize {
    fn weight(&self, _key: &AnswerKey, answer: &Arc<CachedAnswer>) -> u64 {
        match answer.kept() {
            Kept::Proven(packed) => 1 + (packed.size() / ORDINARY_LEN) as u64,
            Kept::Other(other) => other.1.response().map_or(1, places),
        }
    }
}

impl<S> Weighter<QuestionKey, (Arc<Response>, S, u64)> for BySize {
    fn weight(&self, _key: &QuestionKey, (response, ..): &(Arc<Response>, S, u64)) -> u64 {
        places(response)
    }
}

impl Weighter<QuestionKey, Arc<KnownSet>> for BySize {
    fn weight(&self, _key: &QuestionKey, known: &Arc<KnownSet>) -> u64 {
        places_of([&known.set])
    }
}

fn places(response: &Response) -> u64 {
    places_of(response.answer.iter().chain(&response.authority))
}

fn places_of<'a>(sets: impl IntoIterator<Item = &'a RrSet>) -> u64 {
    let len = |set: &RrSet| {
        let signatures = set.signatures.iter().map(|signature| signature.rdata.len());
        set.rdatas.iter().map(|rdata| rdata.len()).chain(signatures).sum::<usize>()
    };
    let len: usize = sets.into_iter().map(len).sum();
    1 + (len / ORDINARY_LEN) as u64
}
