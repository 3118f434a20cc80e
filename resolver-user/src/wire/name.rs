//! Domain names in wire form (RFC 1035 §3.1), letter case kept, compared without it (RFC 4343).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// Longest name, in bytes of wire form with the root's zero byte (RFC 1035 §2.3.4).
pub const NAME_LEN_MAX: usize = 255;
/// Longest label, in bytes.
pub const LABEL_LEN_MAX: usize = 63;
/// Most labels of a name, the root not counted.
pub const LABELS_MAX: usize = 127;

/// A fully qualified domain name. Equality, order and hash ignore ASCII letter case; the order is the canonical one of
/// RFC 4034 §6.1.
#[derive(Clone)]
pub struct Name {
    /// Uncompressed wire form: 1..=255 bytes, the last of them zero. Shared by all copies: an answer in the cache has several.
    wire: Arc<[u8]>,
}

/// Why bytes or text are not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// The bytes end before the name does.
    #[error("name ends too early")]
    Truncated,
    /// Longer than 255 bytes in wire form.
    #[error("name is longer than 255 bytes")]
    TooLong,
    /// A label is longer than 63 bytes, or of a kind that is not used (RFC 6891 §5).
    #[error("bad label")]
    BadLabel,
    /// A compression pointer does not point backward, or stands where none may.
    #[error("bad compression pointer")]
    BadPointer,
    /// Text with an empty label or a bad escape.
    #[error("bad escape or empty label")]
    BadText,
}

impl Name {
    /// The root.
    pub fn root() -> Self {
        Self { wire: Arc::new([0]) }
    }

    /// Reads an uncompressed name that fills `wire`.
    ///
    /// # Errors
    /// Any [`NameError`] but `BadText`.
    pub fn from_wire(wire: &[u8]) -> Result<Self, NameError> {
        let (name, end) = Self::read(wire, 0, Compression::Refused)?;
        if end == wire.len() { Ok(name) } else { Err(NameError::BadLabel) }
    }

    /// Reads a name that starts at `at` in `message`, following compression pointers, and returns it with the offset
    /// after it. Each pointer must lead to a place before the part of the name that it ends, so reading cannot loop.
    ///
    /// # Errors
    /// Any [`NameError`] but `BadText`.
    pub fn read_compressed(message: &[u8], at: usize) -> Result<(Self, usize), NameError> {
        Self::read(message, at, Compression::Followed)
    }

    fn read(bytes: &[u8], start: usize, compression: Compression) -> Result<(Self, usize), NameError> {
        let mut wire = Vec::with_capacity(32);
        let (mut at, mut part_start, mut end) = (start, start, None);
        // Bound: each turn adds at least two bytes to `wire` (at most 255), or moves `part_start` backward by a pointer;
        // a pointer is only followed after at least one label or from the first part, so turns stay under 2 · 128.
        for _ in 0..2 * (LABELS_MAX + 2) {
            let length = usize::from(*bytes.get(at).ok_or(NameError::Truncated)?);
            let after = at.saturating_add(1);
            match length {
                0 => {
                    wire.push(0);
                    if wire.len() > NAME_LEN_MAX {
                        return Err(NameError::TooLong);
                    }
                    return Ok((Self { wire: wire.into() }, end.unwrap_or(after)));
                }
                1..=LABEL_LEN_MAX => {
                    let label_end = after.saturating_add(length);
                    wire.extend_from_slice(bytes.get(at..label_end).ok_or(NameError::Truncated)?);
                    if wire.len() >= NAME_LEN_MAX {
                        return Err(NameError::TooLong);
                    }
                    at = label_end;
                }
                0xc0.. if compression == Compression::Followed => {
                    let low = usize::from(*bytes.get(after).ok_or(NameError::Truncated)?);
                    let target = (length & 0x3f) << 8 | low;
                    if target >= part_start {
                        return Err(NameError::BadPointer);
                    }
                    end.get_or_insert(after.saturating_add(1));
                    (at, part_start) = (target, target);
                }
                0xc0.. => return Err(NameError::BadPointer),
                _ => return Err(NameError::BadLabel),
            }
        }
        Err(NameError::BadPointer)
    }

    /// Uncompressed wire form, letter case as received, the root's zero byte last.
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// Wire form with A–Z folded to a–z: the canonical form of RFC 4034 §6.2.
    pub fn canonical_wire(&self) -> Box<[u8]> {
        // Length bytes are at most 63, below 'A', so folding every byte touches only letters.
        self.wire.to_ascii_lowercase().into_boxed_slice()
    }

    /// The name in canonical letter case.
    pub fn to_lowercase(&self) -> Self {
        Self { wire: self.canonical_wire().into() }
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.wire.len() == 1
    }

    /// The labels from the left, the root not counted.
    pub fn labels(&self) -> Labels<'_> {
        Labels { rest: &self.wire }
    }

    /// Number of labels, the root not counted. A leading `*` counts.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// The name without its leftmost label; none for the root.
    pub fn parent(&self) -> Option<Self> {
        self.strip_left(1)
    }

    /// The name without its `count` leftmost labels; none if it has fewer.
    pub fn strip_left(&self, count: usize) -> Option<Self> {
        let mut labels = self.labels();
        for _ in 0..count {
            labels.next()?;
        }
        Some(Self { wire: labels.rest.into() })
    }

    /// The ancestor (or the name itself) that has `count` labels; none if the name has fewer.
    pub fn ancestor(&self, count: usize) -> Option<Self> {
        self.strip_left(self.label_count().checked_sub(count)?)
    }

    /// Whether this name is `ancestor` or lies below it.
    pub fn is_at_or_below(&self, ancestor: &Self) -> bool {
        let Some(surplus) = self.wire.len().checked_sub(ancestor.wire.len()) else { return false };
        // The cut must fall on a label boundary, so walk the labels to it.
        let mut labels = self.labels();
        while labels.rest.len() > ancestor.wire.len() {
            if labels.next().is_none() {
                return false;
            }
        }
        labels.rest.len() == ancestor.wire.len()
            && self.wire.get(surplus..).is_some_and(|tail| tail.eq_ignore_ascii_case(&ancestor.wire))
    }

    /// Whether this name lies below `ancestor` and is not it.
    pub fn is_below(&self, ancestor: &Self) -> bool {
        self.wire.len() > ancestor.wire.len() && self.is_at_or_below(ancestor)
    }

    /// `label` in front of this name.
    ///
    /// # Errors
    /// `BadLabel` for an empty or too long label, `TooLong` if the result exceeds 255 bytes.
    pub fn prepend(&self, label: &[u8]) -> Result<Self, NameError> {
        let length =
            u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length)).ok_or(NameError::BadLabel)?;
        let mut wire = Vec::with_capacity(self.wire.len() + label.len() + 1);
        wire.push(length);
        wire.extend_from_slice(label);
        wire.extend_from_slice(&self.wire);
        if wire.len() > NAME_LEN_MAX { Err(NameError::TooLong) } else { Ok(Self { wire: wire.into() }) }
    }

    /// This name, which lies at or below `from`, with that ending replaced by `to` (RFC 6672 §2.2); none if it does not, or
    /// that is too long.
    pub fn moved(&self, from: &Self, to: &Self) -> Option<Self> {
        let kept = self.wire.len().checked_sub(from.wire.len()).filter(|_| self.is_at_or_below(from))?;
        let wire = [self.wire.get(..kept)?, &to.wire].concat();
        (wire.len() <= NAME_LEN_MAX).then(|| Self { wire: wire.into() })
    }

    /// `*` in front of this name; none if that is too long.
    pub fn wildcard(&self) -> Option<Self> {
        self.prepend(b"*").ok()
    }

    /// Whether the leftmost label is `*` (RFC 4592 §2.1.1).
    pub fn is_wildcard(&self) -> bool {
        self.wire.starts_with(b"\x01*")
    }

    /// The longest name that both lie at or below.
    pub fn common_ancestor(&self, other: &Self) -> Self {
        let (mine, theirs) = (self.label_count(), other.label_count());
        let mut count = mine.min(theirs);
        while count > 0 {
            if let (Some(a), Some(b)) = (self.ancestor(count), other.ancestor(count))
                && a == b
            {
                return a;
            }
            count = count.saturating_sub(1);
        }
        Self::root()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Compression {
    Followed,
    Refused,
}

/// Iterator over labels without their length bytes, from the left.
#[derive(Clone)]
pub struct Labels<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&length, tail) = self.rest.split_first()?;
        if length == 0 {
            return None;
        }
        let (label, rest) = tail.split_at_checked(usize::from(length))?;
        self.rest = rest;
        Some(label)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.wire.eq_ignore_ascii_case(&other.wire)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut folded = [0u8; NAME_LEN_MAX];
        if let Some(part) = folded.get_mut(..self.wire.len()) {
            part.copy_from_slice(&self.wire);
            part.make_ascii_lowercase();
            part.hash(state);
        }
    }
}

impl Ord for Name {
    /// Canonical order (RFC 4034 §6.1): by label from the right, bytes as unsigned numbers after folding.
    fn cmp(&self, other: &Self) -> Ordering {
        let mine: Vec<&[u8]> = self.labels().collect();
        let theirs: Vec<&[u8]> = other.labels().collect();
        for (a, b) in mine.iter().rev().zip(theirs.iter().rev()) {
            let order = a.iter().map(u8::to_ascii_lowercase).cmp(b.iter().map(u8::to_ascii_lowercase));
            if order != Ordering::Equal {
                return order;
            }
        }
        mine.len().cmp(&theirs.len())
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Name {
    /// Presentation form with a final dot (RFC 1035 §5.1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for label in self.labels() {
            for &byte in label {
                match byte {
                    b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => write!(f, "\\{}", char::from(byte))?,
                    0x21..=0x7e => write!(f, "{}", char::from(byte))?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Name {
    type Err = NameError;

    /// Reads presentation form; a missing final dot is understood.
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text == "." {
            return Ok(Self::root());
        }
        let mut wire = Vec::with_capacity(text.len().saturating_add(2));
        let mut label = Vec::new();
        let mut bytes = text.bytes();
        let mut ended_with_dot = false;
        while let Some(byte) = bytes.next() {
            ended_with_dot = byte == b'.';
            match byte {
                b'.' => push_label(&mut wire, &mut label)?,
                b'\\' => label.push(read_escape(&mut bytes)?),
                _ => label.push(byte),
            }
        }
        if !ended_with_dot {
            push_label(&mut wire, &mut label)?;
        }
        wire.push(0);
        if wire.len() > NAME_LEN_MAX { Err(NameError::TooLong) } else { Ok(Self { wire: wire.into() }) }
    }
}

fn push_label(wire: &mut Vec<u8>, label: &mut Vec<u8>) -> Result<(), NameError> {
    match u8::try_from(label.len()) {
        Ok(0) => Err(NameError::BadText),
        Ok(length @ 1..=63) => {
            wire.push(length);
            wire.append(label);
            Ok(())
        }
        _ => Err(NameError::BadLabel),
    }
}

/// Reads what follows a backslash: three decimal digits, or any other byte for itself.
fn read_escape(bytes: &mut std::str::Bytes<'_>) -> Result<u8, NameError> {
    let first = bytes.next().ok_or(NameError::BadText)?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let mut value = u16::from(first - b'0');
    for _ in 0..2 {
        let digit = bytes.next().filter(u8::is_ascii_digit).ok_or(NameError::BadText)?;
        value = value * 10 + u16::from(digit - b'0');
    }
    u8::try_from(value).map_err(|_| NameError::BadText)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn canonical_order_is_that_of_rfc_4034() {
        // The list of RFC 4034 §6.1.
        let sorted = [
            "example.",
            "a.example.",
            "yljkjljk.a.example.",
            "Z.a.example.",
            "zABC.a.EXAMPLE.",
            "z.example.",
            "\\001.z.example.",
            "*.z.example.",
            "\\200.z.example.",
        ];
        for pair in sorted.windows(2) {
            assert!(name(pair[0]) < name(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn text_and_wire_agree() {
        for text in [".", "com.", "WWW.Example.", "a\\.b.c.", "\\000\\255.x.", "*.w."] {
            assert_eq!(name(text).to_string(), text);
            assert_eq!(Name::from_wire(name(text).wire()).unwrap().to_string(), text);
        }
        for (text, error) in [("a..b", NameError::BadText), ("", NameError::BadText), ("\\25", NameError::BadText)] {
            assert_eq!(text.parse::<Name>().unwrap_err(), error, "{text}");
        }
        assert_eq!("x".repeat(64).parse::<Name>().unwrap_err(), NameError::BadLabel);
        assert_eq!("abcdefg.".repeat(32).parse::<Name>().unwrap_err(), NameError::TooLong);
    }

    #[test]
    fn ancestry_falls_on_label_boundaries() {
        assert!(name("a.b.c").is_at_or_below(&name("B.C")));
        assert!(name("a.b.c").is_at_or_below(&Name::root()));
        assert!(!name("xb.c").is_at_or_below(&name("b.c")));
        assert!(!name("b.c").is_below(&name("b.c")));
        // The bytes of the label look like the ancestor's wire form; the boundary does not.
        assert!(!name("x\\001c.d").is_at_or_below(&name("c.d")));
        assert_eq!(name("a.b.c").ancestor(1).unwrap(), name("c"));
        assert_eq!(name("a.b.c").ancestor(4), None);
        assert_eq!(name("a.b.c").common_ancestor(&name("x.B.c")), name("b.c"));
    }

    #[test]
    fn a_moved_name_keeps_what_is_below_the_old_ending() {
        let moved = |text: &str, from: &str, to: &str| {
            let moved = name(text).moved(&name(from), &name(to));
            moved.map(|name| name.to_string())
        };
        assert_eq!(moved("a.B.c.example.", "C.example.", "d.").as_deref(), Some("a.B.d."));
        assert_eq!(moved("a.example.", ".", "x.").as_deref(), Some("a.example.x."));
        assert_eq!(moved("a.example.", "example.", ".").as_deref(), Some("a."));
        assert_eq!(moved("a.myexample.", "example.", "x."), None);
        let long = format!("{0}.{0}.{0}.{1}.", "x".repeat(63), "y".repeat(59));
        assert_eq!(moved("a.b.", "b.", &long).map(|name| name.len()), Some(long.len() + 2));
        assert_eq!(moved("ab.b.", "b.", &long), None);
    }

    #[test]
    fn compression_pointers_lead_backward_only() {
        let message = b"\x03com\x00\x01a\xc0\x00\xc0\x05\xc0\x0c\x01b\xc0\x09";
        let read = |at| Name::read_compressed(message, at).map(|(name, end)| (name.to_string(), end));
        assert_eq!(read(5), Ok(("a.com.".into(), 9)));
        assert_eq!(read(9), Ok(("a.com.".into(), 11)));
        assert_eq!(read(11), Err(NameError::BadPointer));
        assert_eq!(read(13), Ok(("b.a.com.".into(), 17)));
        assert_eq!(read(17), Err(NameError::Truncated));
        assert_eq!(Name::from_wire(b"\x01a\xc0\x00"), Err(NameError::BadPointer));
        assert_eq!(Name::from_wire(b"\x41a\x00"), Err(NameError::BadLabel));
    }

    #[test]
    fn the_longest_name_is_255_bytes() {
        let mut wire = Vec::new();
        for _ in 0..127 {
            wire.extend([1, b'a']);
        }
        wire.push(0);
        assert_eq!(Name::from_wire(&wire).unwrap().label_count(), 127);
        wire.splice(0..0, [1, b'a']);
        assert_eq!(Name::from_wire(&wire), Err(NameError::TooLong));
    }
}
