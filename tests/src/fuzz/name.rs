//! Names: the forms agree, and the canonical order is one.

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};

use resolver_user::wire::Name;

use super::source::Source;

/// Reads names from wire form and from text, and holds them against each other.
pub fn name(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let mut names = vec![Name::root()];
    while !source.is_empty() && names.len() < 6 {
        let (is_text, part) = (source.flag(), source.run());
        let read = if is_text { std::str::from_utf8(part).ok().and_then(|text| text.parse().ok()) } else { wire(part) };
        names.extend(read);
    }
    for name in &names {
        round_trips(name);
        check_ancestry(name);
    }
    for a in &names {
        for b in &names {
            check_pair(a, b);
            for c in &names {
                assert!(!(a <= b && b <= c) || a <= c, "{a} <= {b} <= {c}");
            }
        }
    }
}

/// A name that is exactly these bytes, and the same from a longer message.
fn wire(bytes: &[u8]) -> Option<Name> {
    let exact = Name::from_wire(bytes);
    if let Ok((found, end)) = Name::read_compressed(bytes, 0) {
        assert_eq!(end, found.wire().len(), "at offset 0 no pointer leads backward");
        assert_eq!(exact.is_ok(), end == bytes.len());
    }
    exact.ok()
}

/// Holds the wire form and the text of a name against each other.
pub(super) fn round_trips(name: &Name) {
    let from_wire = Name::from_wire(name.wire()).expect("a name's wire form is a name");
    assert_eq!(from_wire.wire(), name.wire());
    let text = name.to_string();
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
    let from_text: Name = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(from_text.wire(), name.wire(), "{text}");
    let lower = name.to_lowercase();
    assert_eq!(&lower, name);
    assert_eq!(lower.wire(), &*name.canonical_wire());
    assert!(name.wire().len() <= 255 && name.label_count() <= 127);
}

fn check_ancestry(name: &Name) {
    let mut below = name.clone();
    for count in (0..name.label_count()).rev() {
        let parent = below.parent().expect("it has labels left");
        assert_eq!(Some(&parent), name.ancestor(count).as_ref());
        assert!(name.is_below(&parent) && below > parent, "{below} comes after {parent}");
        let label = below.labels().next().expect("it has a label");
        assert_eq!(parent.prepend(label).expect("it was that long").wire(), below.wire());
        below = parent;
    }
    assert!(below.is_root() && below.parent().is_none());
}

fn check_pair(a: &Name, b: &Name) {
    assert_eq!(a.cmp(b), b.cmp(a).reverse(), "{a} and {b}");
    assert_eq!(a == b, a.cmp(b) == Ordering::Equal, "{a} and {b}");
    assert_eq!(a == b, a.canonical_wire() == b.canonical_wire(), "{a} and {b}");
    assert!(a != b || hash(a) == hash(b), "{a} and {b}");
    let common = a.common_ancestor(b);
    assert!(a.is_at_or_below(&common) && b.is_at_or_below(&common), "{common} of {a} and {b}");
    assert_eq!(common, b.common_ancestor(a));
    assert_eq!(a.is_at_or_below(b), common == *b, "{a} and {b}");
    assert_eq!(a.is_below(b), a.is_at_or_below(b) && a != b, "{a} and {b}");
}

fn hash(name: &Name) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}
