//! What is said of domains: patterns as dnsmasq has them, and the search for the one that says most about a name.
//!
//! In: patterns with a value each, then names in wire form. Out: the value of the longest pattern that covers the name.
//! A search allocates nothing and looks at each label once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::Name;
use super::name::NAME_LEN_MAX;

/// Names that something is said about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DomainPattern {
    /// A domain and all below.
    Name(Name),
    /// `*`: names at or below `suffix` whose next label to the left ends with `partial`; there must be such a label.
    Ending {
        /// End of that label, in lower case; may be empty.
        partial: Box<[u8]>,
        /// The labels after it.
        suffix: Name,
    },
    /// Names of one label.
    Undotted,
}

/// A value for each of some patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainMap<T> {
    /// By canonical wire form.
    named: HashMap<Box<[u8]>, T>,
    /// The longest first.
    endings: BTreeMap<Ending, T>,
    undotted: Option<T>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ending {
    /// Length as text, without `*` and the final dot.
    text_len: Reverse<usize>,
    partial: Box<[u8]>,
    /// Canonical wire form.
    suffix: Box<[u8]>,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a, T> {
    /// The value of the pattern.
    pub value: &'a T,
    /// Labels of the name, from the right, that the pattern covers whole or in part.
    pub labels: usize,
}

impl<T> Default for DomainMap<T> {
    fn default() -> Self {
        Self { named: HashMap::new(), endings: BTreeMap::new(), undotted: None }
    }
}

impl<T> DomainMap<T> {
    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.endings.is_empty() && self.undotted.is_none()
    }

    /// The value of a pattern, made if there is none yet.
    pub fn entry(&mut self, pattern: &DomainPattern, make: impl FnOnce() -> T) -> &mut T {
        match pattern {
            DomainPattern::Name(name) => self.named.entry(name.canonical_wire()).or_insert_with(make),
            DomainPattern::Undotted => self.undotted.get_or_insert_with(make),
            DomainPattern::Ending { partial, suffix } => {
                self.endings.entry(Ending::new(partial, suffix)).or_insert_with(make)
            }
        }
    }

    /// The same patterns with other values.
    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> DomainMap<U> {
        DomainMap {
            named: self.named.into_iter().map(|(wire, value)| (wire, change(value))).collect(),
            endings: self.endings.into_iter().map(|(ending, value)| (ending, change(value))).collect(),
            undotted: self.undotted.map(&mut change),
        }
    }

    /// The same as [`Self::find`], but for [`DomainPattern::Undotted`], which covers nothing.
    pub fn find_domain(&self, qname_wire: &[u8]) -> Option<Found<'_, T>> {
        self.search(qname_wire, false)
    }

    /// The value of the longest pattern that covers a name, counted in characters of text; among equals, a domain goes
    /// before one with `*`. Names of one label that no other pattern covers have their own. The root has none.
    pub fn find(&self, qname_wire: &[u8]) -> Option<Found<'_, T>> {
        self.search(qname_wire, true)
    }

    fn search(&self, qname_wire: &[u8], with_undotted: bool) -> Option<Found<'_, T>> {
        if self.is_empty() || qname_wire.len() > NAME_LEN_MAX {
            return None;
        }
        let mut folded = [0u8; NAME_LEN_MAX];
        let folded = folded.get_mut(..qname_wire.len())?;
        folded.copy_from_slice(qname_wire);
        folded.make_ascii_lowercase();
        let labels = label_count(folded);
        let named = self.find_named(folded, labels);
        let shortest = named.as_ref().map_or(0, |(_, text_len)| *text_len);
        let longer = |ending: &Ending| named.is_none() || ending.text_len.0 > shortest;
        let ending = self.endings.iter().take_while(|(ending, _)| longer(ending)).find_map(|(ending, value)| {
            let labels = ending.covers(folded)?;
            Some(Found { value, labels })
        });
        let undotted =
            || self.undotted.as_ref().filter(|_| with_undotted && labels == 1).map(|value| Found { value, labels: 1 });
        ending.or(named.map(|(found, _)| found)).or_else(undotted)
    }

    /// The longest domain at or above a name, with its length as text.
    fn find_named(&self, mut rest: &[u8], mut labels: usize) -> Option<(Found<'_, T>, usize)> {
        if self.named.is_empty() {
            return None;
        }
        loop {
            if let Some(value) = self.named.get(rest) {
                return Some((Found { value, labels }, text_len(rest)));
            }
            rest = without_label(rest)?;
            labels = labels.saturating_sub(1);
        }
    }
}

impl Ending {
    fn new(partial: &[u8], suffix: &Name) -> Self {
        let suffix_len = text_len(suffix.wire());
        // A dot stands before a suffix that is not the root.
        let text_len = partial.len().saturating_add(suffix_len).saturating_add(usize::from(suffix_len > 0));
        Self { text_len: Reverse(text_len), partial: partial.into(), suffix: suffix.canonical_wire() }
    }

    /// Labels that are covered of a name in canonical wire form, if it is.
    fn covers(&self, mut name: &[u8]) -> Option<usize> {
        while name.len() > self.suffix.len() {
            let rest = without_label(name)?;
            if rest.len() == self.suffix.len() {
                let label = name.get(1..name.len().checked_sub(rest.len())?)?;
                let covered = *rest == *self.suffix && label.ends_with(&self.partial);
                return covered.then(|| label_count(rest).saturating_add(1));
            }
            name = rest;
        }
        None
    }
}

/// Length of a name as text, without the final dot.
fn text_len(wire: &[u8]) -> usize {
    wire.len().saturating_sub(2)
}

/// A name without its leftmost label; none for the root.
fn without_label(wire: &[u8]) -> Option<&[u8]> {
    let length = usize::from(*wire.first()?);
    if length == 0 { None } else { wire.get(length.saturating_add(1)..) }
}

fn label_count(wire: &[u8]) -> usize {
    std::iter::successors(Some(wire), |rest| without_label(rest)).count().saturating_sub(1)
}

impl fmt::Display for DomainPattern {
    /// As between the slashes of `server=`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name.to_string().trim_end_matches('.')),
            Self::Ending { partial, suffix } if suffix.is_root() => write!(f, "*{}", String::from_utf8_lossy(partial)),
            Self::Ending { partial, suffix } => {
                write!(f, "*{}.{}", String::from_utf8_lossy(partial), suffix.to_string().trim_end_matches('.'))
            }
            Self::Undotted => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn ending(partial: &str, suffix: &str) -> DomainPattern {
        DomainPattern::Ending { partial: partial.as_bytes().into(), suffix: name(suffix) }
    }

    fn map(patterns: &[(DomainPattern, &'static str)]) -> DomainMap<&'static str> {
        let mut map = DomainMap::default();
        for (pattern, value) in patterns {
            map.entry(pattern, || *value);
        }
        map
    }

    fn check(map: &DomainMap<&'static str>, expected: &[(&str, Option<(&str, usize)>)]) {
        for (qname, expected) in expected {
            let found = map.find(name(qname).wire()).map(|found| (*found.value, found.labels));
            assert_eq!(found, *expected, "{qname}");
        }
    }

    #[test]
    fn the_longest_domain_decides() {
        let map = map(&[
            (DomainPattern::Name(name("example")), "outer"),
            (DomainPattern::Name(name("Corp.Example")), "inner"),
            (DomainPattern::Undotted, "undotted"),
        ]);
        check(
            &map,
            &[
                ("EXAMPLE", Some(("outer", 1))),
                ("www.example", Some(("outer", 1))),
                ("corp.example", Some(("inner", 2))),
                ("a.b.CORP.example", Some(("inner", 2))),
                ("xcorp.example", Some(("outer", 1))),
                ("example.org", None),
                ("nas", Some(("undotted", 1))),
                ("nas.local", None),
                (".", None),
            ],
        );
    }

    #[test]
    fn an_asterisk_matches_ends_of_labels_and_longer_patterns_win() {
        let map = map(&[
            (ending("google", "com"), "star"),
            (DomainPattern::Name(name("google.com")), "named"),
            (ending("", "google.com"), "below"),
            (DomainPattern::Name(name("www.supergoogle.com")), "one"),
            (ending("foo", "."), "top"),
        ]);
        check(
            &map,
            &[
                ("google.com", Some(("named", 2))),
                ("supergoogle.com", Some(("star", 2))),
                ("mail.supergoogle.com", Some(("star", 2))),
                ("www.supergoogle.com", Some(("one", 3))),
                ("www.google.com", Some(("below", 3))),
                ("a.www.google.com", Some(("below", 3))),
                ("google.com.x", None),
                ("foo", Some(("top", 1))),
                ("a.barfoo", Some(("top", 1))),
                ("foo.bar", None),
                ("com", None),
            ],
        );
    }

    #[test]
    fn values_of_one_pattern_meet() {
        let mut map = DomainMap::default();
        for (pattern, value) in [(DomainPattern::Name(name("a")), 1), (DomainPattern::Name(name("A")), 2)] {
            map.entry(&pattern, Vec::new).push(value);
        }
        let star = ending("x", "a");
        map.entry(&star, Vec::new).push(3);
        map.entry(&star, Vec::new).push(4);
        let sums = map.map(|values| values.iter().sum::<i32>());
        assert_eq!(sums.find(name("b.a").wire()).unwrap().value, &3);
        assert_eq!(sums.find(name("yx.a").wire()).unwrap().value, &7);
    }
}
