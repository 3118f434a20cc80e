//! A table of domains: which of them a name lies at or below, the longest one first.
//!
//! In: domains as written in dnsmasq's `/domain/` lists, and names in wire form. Out: what was noted for the longest domain
//! that matches. A look-up hashes the name once for each of its labels and allocates nothing.

use std::collections::HashMap;

use super::Name;
use super::name::NAME_LEN_MAX;

/// What a name may be matched by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DomainPattern {
    /// This name and all below it.
    Domain(Name),
    /// `*end.rest`: names at or below one that is a label with this end, and the rest.
    Partial {
        /// How the label ends; any label does if this is empty.
        end: Box<[u8]>,
        /// What follows the label.
        rest: Name,
    },
    /// Names of one label.
    Undotted,
    /// Every name.
    Any,
}

/// Values by folded bytes of a name.
type ByWire<T> = HashMap<Box<[u8]>, T>;

/// Values by domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainMap<T> {
    /// By folded wire form.
    domains: ByWire<T>,
    /// By the folded wire form of what follows the first label, and by that label's end.
    partial: ByWire<ByWire<T>>,
    undotted: Option<T>,
    any: Option<T>,
}

impl<T> Default for DomainMap<T> {
    fn default() -> Self {
        Self { domains: HashMap::new(), partial: HashMap::new(), undotted: None, any: None }
    }
}

impl<T> DomainMap<T> {
    /// The value of a pattern, made if there is none.
    pub fn entry(&mut self, pattern: &DomainPattern) -> &mut T
    where
        T: Default,
    {
        match pattern {
            DomainPattern::Domain(name) if name.is_root() => self.any.get_or_insert_default(),
            DomainPattern::Domain(name) => self.domains.entry(name.canonical_wire()).or_default(),
            DomainPattern::Partial { end, rest } => {
                let ends = self.partial.entry(rest.canonical_wire()).or_default();
                ends.entry(end.to_ascii_lowercase().into_boxed_slice()).or_default()
            }
            DomainPattern::Undotted => self.undotted.get_or_insert_default(),
            DomainPattern::Any => self.any.get_or_insert_default(),
        }
    }

    /// The value of the longest domain that the name, in wire form and any letter case, lies at or below.
    pub fn longest(&self, name_wire: &[u8]) -> Option<&T> {
        if self.is_empty() {
            return None;
        }
        let mut folded = [0; NAME_LEN_MAX];
        let part = folded.get_mut(..name_wire.len())?;
        part.copy_from_slice(name_wire);
        part.make_ascii_lowercase();
        self.longest_folded(part)
    }

    /// The same for a name that is folded already.
    pub fn longest_folded(&self, folded: &[u8]) -> Option<&T> {
        let mut rest = folded;
        let mut labels = 0usize;
        while let Some((label, tail)) = split_label(rest) {
            if let Some(value) = self.domains.get(rest) {
                return Some(value);
            }
            if !self.partial.is_empty()
                && let Some(ends) = self.partial.get(tail)
                && let Some(value) = (0..=label.len()).find_map(|start| ends.get(label.get(start..)?))
            {
                return Some(value);
            }
            rest = tail;
            labels = labels.saturating_add(1);
        }
        let undotted = if labels == 1 { self.undotted.as_ref() } else { None };
        undotted.or(self.any.as_ref())
    }

    /// Number of domains.
    pub fn len(&self) -> usize {
        let partial: usize = self.partial.values().map(HashMap::len).sum();
        let others = usize::from(self.undotted.is_some()).saturating_add(usize::from(self.any.is_some()));
        self.domains.len().saturating_add(partial).saturating_add(others)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty() && self.partial.is_empty() && self.undotted.is_none() && self.any.is_none()
    }
}

/// The first label and what follows it; none at the root.
fn split_label(wire: &[u8]) -> Option<(&[u8], &[u8])> {
    match wire.split_first()? {
        (0, _) => None,
        (&length, tail) => tail.split_at_checked(usize::from(length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn table(patterns: &[DomainPattern]) -> DomainMap<usize> {
        let mut table = DomainMap::default();
        for (pattern, number) in patterns.iter().zip(1..) {
            *table.entry(pattern) = number;
        }
        table
    }

    #[test]
    fn the_longest_domain_wins_and_labels_are_whole() {
        use DomainPattern::{Any, Domain, Partial, Undotted};
        let partial = |end: &[u8], rest| Partial { end: end.into(), rest: name(rest) };
        let patterns = [
            Domain(name("example")),
            Domain(name("Sub.Example")),
            partial(b"foo", "example"),
            partial(b"BARfoo", "example"),
            Undotted,
            Any,
            Domain(name("foo.example")),
            partial(b"", "x.lan"),
        ];
        let table = table(&patterns);
        assert_eq!(table.len(), 8);
        for (asked, expected) in [
            ("example.", 1),
            ("x.EXAMPLE.", 1),
            ("sub.example.", 2),
            ("a.b.sUB.example.", 2),
            ("notsub.example.", 1),
            ("afoo.example.", 3),
            ("q.afoo.example.", 3),
            ("xbarfoo.example.", 4),
            ("foo.example.", 7),
            ("q.foo.example.", 7),
            ("lan.", 5),
            ("myexample.", 5),
            ("a.lan.", 6),
            ("x.lan.", 6),
            ("b.a.x.lan.", 8),
            (".", 6),
        ] {
            assert_eq!(table.longest(name(asked).wire()), Some(&expected), "{asked}");
        }
    }

    #[test]
    fn nothing_matches_in_an_empty_table() {
        assert_eq!(DomainMap::<usize>::default().longest(name("a.b").wire()), None);
        assert_eq!(table(&[DomainPattern::Domain(name("b"))]).longest(name("c").wire()), None);
        assert_eq!(table(&[DomainPattern::Domain(Name::root())]).longest(name("c").wire()), Some(&1));
    }
}
