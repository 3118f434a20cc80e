//! Names as the model sees them: labels from the root, in lower case, so that the order of the lists is the canonical
//! order of names (RFC 4034 §6.1).

use resolver_user::wire::Name;

/// A name. Shorter lists sort before longer ones that they start, and labels sort as unsigned bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Path(Vec<Vec<u8>>);

impl Path {
    /// The name of this text.
    pub(crate) fn new(text: &str) -> Self {
        Self::of(&crate::message::name(text))
    }

    /// The path of a name.
    pub(crate) fn of(name: &Name) -> Self {
        let mut labels: Vec<Vec<u8>> = name.labels().map(<[u8]>::to_ascii_lowercase).collect();
        labels.reverse();
        Self(labels)
    }

    /// The name that uncompressed bytes are, if they are one.
    pub(crate) fn of_wire(wire: &[u8]) -> Option<Self> {
        Name::from_wire(wire).ok().map(|name| Self::of(&name))
    }

    /// The same as one of the product's names.
    pub(crate) fn name(&self) -> Name {
        Name::from_wire(&self.wire()).expect("a path is a name")
    }

    /// Wire form, which is the canonical one.
    pub(crate) fn wire(&self) -> Vec<u8> {
        let mut wire = Vec::new();
        for label in self.0.iter().rev() {
            wire.push(u8::try_from(label.len()).expect("a label"));
            wire.extend(label);
        }
        wire.push(0);
        wire
    }

    pub(crate) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of labels.
    pub(crate) fn depth(&self) -> usize {
        self.0.len()
    }

    /// The number of labels that an RRSIG counts (RFC 4034 §3.1.3).
    pub(crate) fn signed_labels(&self) -> u8 {
        let counted = self.depth() - usize::from(self.is_wildcard());
        u8::try_from(counted).expect("few labels")
    }

    pub(crate) fn is_wildcard(&self) -> bool {
        self.0.last().is_some_and(|label| label == b"*")
    }

    pub(crate) fn parent(&self) -> Option<Self> {
        let (_, above) = self.0.split_last()?;
        Some(Self(above.to_vec()))
    }

    /// One label longer; none if that is too long.
    pub(crate) fn child(&self, label: &[u8]) -> Option<Self> {
        let labels = self.0.iter().cloned().chain([label.to_ascii_lowercase()]).collect();
        let child = Self(labels);
        ((1..=63).contains(&label.len()) && child.wire().len() <= 255).then_some(child)
    }

    pub(crate) fn wildcard(&self) -> Option<Self> {
        self.child(b"*")
    }

    pub(crate) fn is_at_or_below(&self, above: &Self) -> bool {
        self.0.starts_with(&above.0)
    }

    pub(crate) fn is_below(&self, above: &Self) -> bool {
        self.depth() > above.depth() && self.is_at_or_below(above)
    }

    /// The name itself, and all above it up to the root.
    pub(crate) fn upward(&self) -> impl Iterator<Item = Self> {
        (0..=self.depth()).rev().map(|depth| self.first(depth))
    }

    /// The ancestor with so many labels.
    pub(crate) fn first(&self, depth: usize) -> Self {
        Self(self.0[..depth].to_vec())
    }

    /// With the ending `from`, which it has, replaced by `to`; none if that is too long (RFC 6672 §2.2).
    pub(crate) fn moved(&self, from: &Self, to: &Self) -> Option<Self> {
        let moved = Self(to.0.iter().chain(&self.0[from.depth()..]).cloned().collect());
        (moved.wire().len() <= 255).then_some(moved)
    }
}
