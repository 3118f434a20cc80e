//! The key of every cache: name, in any letter case, and type. A look-up borrows it from the client's packet and allocates nothing.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use quick_cache::Equivalent;
use resolver_ebpf::wire::name::fold_word;

use super::CachedAnswer;
use crate::wire::{Question, RecordType};

/// An owned key. It shares the name of the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionKey(Question);

/// A borrowed key: the name in any letter case.
#[derive(Clone, Copy, Debug)]
pub struct QuestionRef<'a> {
    /// Name in wire form.
    pub qname_wire: &'a [u8],
    /// Type.
    pub qtype: RecordType,
}

impl QuestionKey {
    /// The key of a question.
    pub fn new(question: &Question) -> Self {
        Self(question.clone())
    }

    /// Type.
    pub fn qtype(&self) -> RecordType {
        self.0.qtype
    }
}

/// The key of an answer, which has its question: one look at the answer tells whether it is the right one.
#[derive(Clone, Debug)]
pub struct AnswerKey(Arc<CachedAnswer>);

impl AnswerKey {
    /// The key of an answer.
    pub fn new(answer: &Arc<CachedAnswer>) -> Self {
        Self(Arc::clone(answer))
    }
}

impl PartialEq for AnswerKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.question() == other.0.question()
    }
}

impl Eq for AnswerKey {}

impl Hash for AnswerKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        QuestionRef::from(self.0.question()).hash(state);
    }
}

impl<'a> From<&'a Question> for QuestionRef<'a> {
    fn from(question: &'a Question) -> Self {
        Self { qname_wire: question.qname.wire(), qtype: question.qtype }
    }
}

impl Hash for QuestionKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        QuestionRef::from(&self.0).hash(state);
    }
}

impl Hash for QuestionRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        folded_words(self.qname_wire).for_each(|word| state.write_u64(word));
        state.write_u16(self.qtype.0);
    }
}

/// A name in small letters, eight bytes at a time; what is left over comes with bytes before it, of a short name with zeros behind it.
fn folded_words(wire: &[u8]) -> impl Iterator<Item = u64> {
    let (words, rest) = wire.as_chunks::<8>();
    let rest = (!rest.is_empty()).then(|| {
        wire.last_chunk().copied().unwrap_or_else(|| std::array::from_fn(|at| wire.get(at).copied().unwrap_or(0)))
    });
    words.iter().copied().chain(rest).map(|word| fold_word(u64::from_ne_bytes(word)))
}

impl QuestionRef<'_> {
    fn is(&self, question: &Question) -> bool {
        let (wire, other) = (self.qname_wire, question.qname.wire());
        self.qtype == question.qtype && wire.len() == other.len() && folded_words(wire).eq(folded_words(other))
    }
}

impl Equivalent<QuestionKey> for QuestionRef<'_> {
    fn equivalent(&self, key: &QuestionKey) -> bool {
        self.is(&key.0)
    }
}

impl Equivalent<AnswerKey> for QuestionRef<'_> {
    fn equivalent(&self, key: &AnswerKey) -> bool {
        self.is(key.0.question())
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;
    use crate::wire::Name;

    #[test]
    fn a_borrowed_key_in_any_letter_case_finds_the_owned_one() {
        let build = std::hash::RandomState::new();
        let question = Question::new("www.EXAMPLE.".parse().unwrap(), RecordType::A);
        let key = QuestionKey::new(&question);
        let borrowed = QuestionRef { qname_wire: b"\x03WWW\x07example\0", qtype: RecordType::A };
        assert_eq!(build.hash_one(&key), build.hash_one(borrowed));
        assert!(borrowed.equivalent(&key));
        assert!(!QuestionRef { qtype: RecordType::AAAA, ..borrowed }.equivalent(&key));
    }

    #[test]
    fn names_are_the_same_if_nothing_but_letter_case_differs() {
        let build = std::hash::RandomState::new();
        for length in 1..=60 {
            let name: Vec<u8> = (0..length).map(|at| b"aZ\x05\xc1[@{`0"[usize::from(at) % 9]).collect();
            let wire = [&[length][..], &name, &[0]].concat();
            let key = QuestionKey::new(&Question::new(Name::from_wire(&wire).unwrap(), RecordType::A));
            let same = |wire: &[u8]| {
                let borrowed = QuestionRef { qname_wire: wire, qtype: RecordType::A };
                let is_same = borrowed.equivalent(&key);
                assert!(!is_same || build.hash_one(borrowed) == build.hash_one(&key));
                is_same
            };
            assert!(same(&wire) && same(&wire.to_ascii_uppercase()) && same(&wire.to_ascii_lowercase()));
            for at in 1..wire.len() {
                for bit in 0..8 {
                    let mut other = wire.clone();
                    other[at] ^= 1 << bit;
                    assert_eq!(same(&other), other.eq_ignore_ascii_case(&wire), "{wire:?} {other:?}");
                }
            }
            assert!(!same(&wire[..wire.len() - 1]));
        }
    }
}
