//! The key of every cache: name, in any letter case, and type. A look-up borrows it from the client's packet and allocates nothing.

use std::hash::{Hash, Hasher};

use quick_cache::Equivalent;

use crate::wire::{Question, RecordType};

/// Longest name, in bytes of wire form.
const NAME_LEN_MAX: usize = 255;

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
        let mut folded = [0; NAME_LEN_MAX];
        match folded.get_mut(..self.qname_wire.len()) {
            Some(part) => {
                part.copy_from_slice(self.qname_wire);
                part.make_ascii_lowercase();
                state.write(part);
            }
            // No name is that long; its hash need only be some number.
            None => state.write(self.qname_wire),
        }
        state.write_u16(self.qtype.0);
    }
}

impl Equivalent<QuestionKey> for QuestionRef<'_> {
    fn equivalent(&self, key: &QuestionKey) -> bool {
        self.qtype == key.0.qtype && self.qname_wire.eq_ignore_ascii_case(key.0.qname.wire())
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

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
}
