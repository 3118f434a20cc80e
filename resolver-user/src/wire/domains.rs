//! What is said of domains: patterns as dnsmasq has them, and the search for those that say most about a name.
//!
//! In: patterns with a value each, then names in wire form. Out: the value of the longest pattern that covers the name, and
//! those of shorter ones. A search hashes the name once for each of its labels and allocates nothing.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};

use super::name::NAME_LEN_MAX;
use super::{Name, RecordType};

/// Names that something is said about.
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
    /// Names of one label that no other pattern covers, but [`Self::Any`].
    Undotted,
    /// Every name. [`Self::Domain`] of the root is the same.
    Any,
}

impl DomainPattern {
    /// The name, if the pattern is one name and all below it.
    pub fn name(&self) -> Option<&Name> {
        match self {
            Self::Domain(name) => Some(name),
            Self::Partial { .. } | Self::Undotted | Self::Any => None,
        }
    }
}

/// Values by folded bytes of a name.
type ByWire<T> = HashMap<Box<[u8]>, T>;

/// A value for each of some patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainMap<T> {
    /// By folded wire form.
    domains: ByWire<T>,
    /// By the folded wire form of what follows the first label, and by that label's end.
    partial: ByWire<ByWire<T>>,
    undotted: Option<T>,
    any: Option<T>,
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
        Self { domains: HashMap::new(), partial: HashMap::new(), undotted: None, any: None }
    }
}

/// Equal maps have equal hashes, whatever the order of their tables.
impl<T: Hash> Hash for DomainMap<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { domains, partial, undotted, any } = self;
        sorted(domains).hash(state);
        let mut partial: Vec<_> = partial.iter().map(|(rest, ends)| (rest, sorted(ends))).collect();
        partial.sort_unstable_by_key(|(rest, _)| *rest);
        partial.hash(state);
        (undotted, any).hash(state);
    }
}

/// The values in the order of their names.
fn sorted<T>(values: &ByWire<T>) -> Vec<(&[u8], &T)> {
    let mut sorted: Vec<_> = values.iter().map(|(name, value)| (&**name, value)).collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    sorted
}

impl<T> DomainMap<T> {
    /// The value of a pattern, made if there is none yet.
    pub fn entry(&mut self, pattern: &DomainPattern, make: impl FnOnce() -> T) -> &mut T {
        match pattern {
            DomainPattern::Domain(name) if name.is_root() => self.any.get_or_insert_with(make),
            DomainPattern::Domain(name) => self.domains.entry(name.canonical_wire()).or_insert_with(make),
            DomainPattern::Partial { end, rest } => {
                let ends = self.partial.entry(rest.canonical_wire()).or_default();
                ends.entry(end.to_ascii_lowercase().into_boxed_slice()).or_insert_with(make)
            }
            DomainPattern::Undotted => self.undotted.get_or_insert_with(make),
            DomainPattern::Any => self.any.get_or_insert_with(make),
        }
    }

    /// The same patterns with other values.
    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> DomainMap<U> {
        let mut all =
            |values: ByWire<T>| values.into_iter().map(|(wire, value)| (wire, change(value))).collect::<ByWire<U>>();
        DomainMap {
            domains: all(self.domains),
            partial: self.partial.into_iter().map(|(rest, ends)| (rest, all(ends))).collect(),
            undotted: self.undotted.map(&mut change),
            any: self.any.map(&mut change),
        }
    }

    /// The value of the longest pattern that covers a name, in wire form and any letter case.
    pub fn find(&self, name_wire: &[u8]) -> Option<Found<'_, T>> {
        if self.is_empty() {
            return None;
        }
        let mut folded = [0; NAME_LEN_MAX];
        self.find_folded(fold(name_wire, &mut folded)?)
    }

    /// The same for a name that is folded already.
    pub fn find_folded(&self, folded: &[u8]) -> Option<Found<'_, T>> {
        self.matches(folded, true).next()
    }

    /// The same for whoever asks servers: see [`Self::matches_question`].
    pub fn find_question(&self, qname_wire: &[u8], qtype: RecordType) -> Option<Found<'_, T>> {
        if self.is_empty() {
            return None;
        }
        let mut folded = [0; NAME_LEN_MAX];
        self.matches_question(fold(qname_wire, &mut folded)?, qtype).next()
    }

    /// What is said about a question, the longest pattern first; its name is folded. A DS belongs to the parent's side of a
    /// zone cut (RFC 4035 §3.1.4.1), so its name counts without the first label. [`DomainPattern::Undotted`] covers neither
    /// DS nor DNSKEY, as with dnsmasq: top-level zones have names of one label too, and the chain of trust leads through them.
    pub fn matches_question(&self, folded: &[u8], qtype: RecordType) -> impl Iterator<Item = Found<'_, T>> {
        let name = match qtype {
            RecordType::DS => without_label(folded).unwrap_or(folded),
            _ => folded,
        };
        self.matches(name, !matches!(qtype, RecordType::DS | RecordType::DNSKEY))
    }

    /// What is said about a folded name, the longest pattern first, counted in characters of text as dnsmasq counts; among
    /// equals, a domain goes before one with `*`.
    fn matches(&self, folded: &[u8], with_undotted: bool) -> impl Iterator<Item = Found<'_, T>> {
        let labels = if self.is_empty() { 0 } else { label_count(folded) };
        // Whatever covers more labels is longer.
        let suffixes = suffixes(folded).zip((1..=labels).rev());
        let of_domains = suffixes.flat_map(|(suffix, labels)| {
            let partial = split_label(suffix).filter(|_| !self.partial.is_empty());
            let partial = partial.and_then(|(label, rest)| Some((label, self.partial.get(rest)?)));
            let partial = partial.into_iter().flat_map(|(label, ends)| {
                (0..=label.len()).filter_map(move |start| label.get(start..).and_then(|end| ends.get(end)))
            });
            self.domains.get(suffix).into_iter().chain(partial).map(move |value| Found { value, labels })
        });
        let undotted = self.undotted.iter().filter(move |_| with_undotted && label_count(folded) == 1);
        let undotted = undotted.map(|value| Found { value, labels: 1 });
        of_domains.chain(undotted).chain(self.any.iter().map(|value| Found { value, labels: 0 }))
    }

    /// Number of patterns.
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

/// A name in lower case, in the room that is given; none if it is too long for a name.
fn fold<'a>(name_wire: &[u8], room: &'a mut [u8; NAME_LEN_MAX]) -> Option<&'a [u8]> {
    let folded = room.get_mut(..name_wire.len())?;
    folded.copy_from_slice(name_wire);
    folded.make_ascii_lowercase();
    Some(folded)
}

/// The first label and what follows it; none at the root.
fn split_label(wire: &[u8]) -> Option<(&[u8], &[u8])> {
    match wire.split_first()? {
        (0, _) => None,
        (&length, tail) => tail.split_at_checked(usize::from(length)),
    }
}

fn without_label(wire: &[u8]) -> Option<&[u8]> {
    split_label(wire).map(|(_, rest)| rest)
}

/// A name, the name without its first label, and so on to the root.
fn suffixes(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(wire), |rest| without_label(rest))
}

fn label_count(wire: &[u8]) -> usize {
    suffixes(wire).count().saturating_sub(1)
}

impl fmt::Display for DomainPattern {
    /// As between the slashes of `server=`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) if name.is_root() => f.write_str("#"),
            Self::Domain(name) => f.write_str(name.to_string().trim_end_matches('.')),
            Self::Partial { end, rest } if rest.is_root() => write!(f, "*{}", String::from_utf8_lossy(end)),
            Self::Partial { end, rest } => {
                write!(f, "*{}.{}", String::from_utf8_lossy(end), rest.to_string().trim_end_matches('.'))
            }
            Self::Undotted => Ok(()),
            Self::Any => f.write_str("#"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn domain(text: &str) -> DomainPattern {
        DomainPattern::Domain(name(text))
    }

    fn partial(end: &str, rest: &str) -> DomainPattern {
        DomainPattern::Partial { end: end.as_bytes().into(), rest: name(rest) }
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
    fn the_longest_domain_decides_and_labels_are_whole() {
        let map = map(&[
            (domain("example"), "outer"),
            (domain("Corp.Example"), "inner"),
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
            (partial("google", "com"), "star"),
            (domain("google.com"), "named"),
            (partial("", "google.com"), "below"),
            (domain("www.supergoogle.com"), "one"),
            (partial("foo", "."), "top"),
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
    fn every_kind_of_pattern_beside_every_other() {
        let map = map(&[
            (domain("example"), "1"),
            (domain("Sub.Example"), "2"),
            (partial("foo", "example"), "3"),
            (partial("BARfoo", "example"), "4"),
            (DomainPattern::Undotted, "5"),
            (DomainPattern::Any, "6"),
            (domain("foo.example"), "7"),
            (partial("", "x.lan"), "8"),
        ]);
        assert_eq!(map.len(), 8);
        for (asked, expected) in [
            ("example.", "1"),
            ("x.EXAMPLE.", "1"),
            ("sub.example.", "2"),
            ("a.b.sUB.example.", "2"),
            ("notsub.example.", "1"),
            ("afoo.example.", "3"),
            ("q.afoo.example.", "3"),
            ("xbarfoo.example.", "4"),
            ("foo.example.", "7"),
            ("q.foo.example.", "7"),
            ("lan.", "5"),
            ("myexample.", "5"),
            ("a.lan.", "6"),
            ("x.lan.", "6"),
            ("b.a.x.lan.", "8"),
            (".", "6"),
        ] {
            assert_eq!(map.find(name(asked).wire()).map(|found| *found.value), Some(expected), "{asked}");
        }
        let all = |qname: &str, qtype| -> String {
            map.matches_question(&name(qname).canonical_wire(), qtype).map(|found| *found.value).collect()
        };
        assert_eq!(all("q.xbarfoo.example", RecordType::A), "4316", "the longest first");
        assert_eq!(all("foo.example", RecordType::A), "7316");
        assert_eq!(all("foo.example", RecordType::DS), "16", "a DS belongs to the parent");
        assert_eq!((all("lan", RecordType::DS), all("lan", RecordType::DNSKEY)), ("6".to_owned(), "6".to_owned()));
        assert_eq!((all("lan", RecordType::A), all(".", RecordType::DS)), ("56".to_owned(), "6".to_owned()));
    }

    #[test]
    fn nothing_matches_in_an_empty_map() {
        check(&DomainMap::default(), &[("a.b", None), (".", None)]);
        check(&map(&[(domain("b"), "b")]), &[("c", None)]);
        check(&map(&[(domain("."), "root")]), &[("c", Some(("root", 0))), (".", Some(("root", 0)))]);
    }

    #[test]
    fn values_of_one_pattern_meet() {
        let mut map = DomainMap::default();
        for (pattern, value) in [(domain("a"), 1), (domain("A"), 2)] {
            map.entry(&pattern, Vec::new).push(value);
        }
        let star = partial("x", "a");
        map.entry(&star, Vec::new).push(3);
        map.entry(&star, Vec::new).push(4);
        let sums = map.map(|values| values.iter().sum::<i32>());
        assert_eq!(sums.find(name("b.a").wire()).unwrap().value, &3);
        assert_eq!(sums.find(name("yx.a").wire()).unwrap().value, &7);
    }
}
