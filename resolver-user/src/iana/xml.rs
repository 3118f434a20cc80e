//! Reads `root-anchors.xml` (RFC 9718 §2) and keeps what holds now.
//!
//! In: the file, whose signature was checked, and the time. Out: [`RootAnchors`], in the order of the file.
//! Refuses a file about another zone than the root, and one in which a key and its digest contradict each other.

use std::fmt;

use roxmltree::{Document, Node};
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::validator::{AnchorError, DsAnchor};
use crate::wire::Name;

/// The anchors of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RootAnchors {
    /// Those that hold now and that we can use.
    pub usable: Vec<DsAnchor>,
    /// The others.
    pub left_out: Vec<LeftOut>,
}

/// An anchor that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its key tag.
    pub key_tag: u16,
    /// Why.
    pub reason: NotNow,
}

/// Why an anchor is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotNow {
    /// Its time has not come.
    Before(String),
    /// Its time is over.
    Over(String),
    /// We cannot use it.
    Unsupported(AnchorError),
}

/// Why a file is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum XmlError {
    /// It is not XML, or cut short.
    #[error("not well-formed XML: {0}")]
    Malformed(#[from] roxmltree::Error),
    /// It is not UTF-8.
    #[error("not UTF-8")]
    Encoding,
    /// Something that must be there is missing, or is not what it must be.
    #[error("line {line}: {what} is missing or malformed")]
    Field {
        /// Which element or attribute.
        what: &'static str,
        /// Line, from 1.
        line: u32,
    },
    /// It is about another zone.
    #[error("the zone is {zone:?}, not the root")]
    OtherZone {
        /// Which.
        zone: String,
    },
    /// A key is not the one that its digest is of.
    #[error("the key and the digest of anchor {key_tag} contradict each other")]
    Contradiction {
        /// Which.
        key_tag: u16,
    },
    /// Nothing in it holds now.
    #[error("no anchor in it is valid now and usable: {}", list(left_out))]
    NothingUsable {
        /// Why not.
        left_out: Vec<LeftOut>,
    },
}

/// Reads the file as of `now_s` seconds since 1970.
///
/// # Errors
/// Why it is refused.
pub fn read(xml: &[u8], now_s: u64) -> Result<RootAnchors, XmlError> {
    let text = std::str::from_utf8(xml).map_err(|_| XmlError::Encoding)?;
    let document = Document::parse(text)?;
    let root = document.root_element();
    if root.tag_name().name() != "TrustAnchor" {
        return Err(missing(root, "TrustAnchor"));
    }
    let zone = text_of(root, "Zone")?;
    if zone != "." {
        return Err(XmlError::OtherZone { zone: zone.to_owned() });
    }
    let mut anchors = RootAnchors::default();
    for entry in root.children().filter(|child| child.has_tag_name("KeyDigest")) {
        let anchor = anchor(entry)?;
        let reason = match window(entry, now_s)? {
            Some(reason) => Some(reason),
            None => anchor.check().err().map(NotNow::Unsupported),
        };
        match reason {
            Some(reason) => anchors.left_out.push(LeftOut { key_tag: anchor.key_tag, reason }),
            None => {
                agrees(entry, &anchor)?;
                anchors.usable.push(anchor);
            }
        }
    }
    if anchors.usable.is_empty() {
        return Err(XmlError::NothingUsable { left_out: anchors.left_out });
    }
    Ok(anchors)
}

fn anchor(entry: Node<'_, '_>) -> Result<DsAnchor, XmlError> {
    let digest = text_of(entry, "Digest")?.to_ascii_uppercase();
    let digest = data_encoding::HEXUPPER.decode(digest.as_bytes()).map_err(|_| missing(entry, "Digest"))?;
    Ok(DsAnchor {
        zone: Name::root(),
        key_tag: number(entry, "KeyTag")?,
        algorithm: number(entry, "Algorithm")?,
        digest_type: number(entry, "DigestType")?,
        digest: digest.into(),
    })
}

/// Why the time of an entry is not now, if so.
fn window(entry: Node<'_, '_>, now_s: u64) -> Result<Option<NotNow>, XmlError> {
    let time = |what: &'static str| {
        let written = entry.attribute(what);
        let read = written.map(|written| OffsetDateTime::parse(written.trim(), &Rfc3339)).transpose();
        read.map_err(|_| missing(entry, what))
    };
    let now_s = i64::try_from(now_s).unwrap_or(i64::MAX);
    let from = time("validFrom")?.ok_or_else(|| missing(entry, "validFrom"))?;
    let until = time("validUntil")?;
    let told = |what| entry.attribute(what).unwrap_or_default().to_owned();
    Ok(if now_s < from.unix_timestamp() {
        Some(NotNow::Before(told("validFrom")))
    } else if until.is_some_and(|until| until.unix_timestamp() <= now_s) {
        Some(NotNow::Over(told("validUntil")))
    } else {
        None
    })
}

/// Checks that the key of an entry, if it has one, is the one that its digest is of.
fn agrees(entry: Node<'_, '_>, anchor: &DsAnchor) -> Result<(), XmlError> {
    if !entry.children().any(|child| child.has_tag_name("PublicKey")) {
        return Ok(());
    }
    let base64: String = text_of(entry, "PublicKey")?.split_whitespace().collect();
    let key = data_encoding::BASE64.decode(base64.as_bytes()).map_err(|_| missing(entry, "PublicKey"))?;
    let flags: u16 = number(entry, "Flags")?;
    let [high, low] = flags.to_be_bytes();
    let rdata = [&[high, low, 3, anchor.algorithm], &key[..]].concat();
    if anchor.vouches_for(&rdata) { Ok(()) } else { Err(XmlError::Contradiction { key_tag: anchor.key_tag }) }
}

fn number<N: std::str::FromStr>(entry: Node<'_, '_>, what: &'static str) -> Result<N, XmlError> {
    text_of(entry, what)?.parse().map_err(|_| missing(entry, what))
}

/// The text of the only child of this name.
fn text_of<'a>(parent: Node<'a, '_>, what: &'static str) -> Result<&'a str, XmlError> {
    let mut named = parent.children().filter(|child| child.has_tag_name(what));
    match (named.next().and_then(|child| child.text()), named.next()) {
        (Some(text), None) => Ok(text.trim()),
        _ => Err(missing(parent, what)),
    }
}

fn missing(near: Node<'_, '_>, what: &'static str) -> XmlError {
    XmlError::Field { what, line: near.document().text_pos_at(near.range().start).row }
}

fn list(left_out: &[LeftOut]) -> String {
    left_out.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key_tag = self.key_tag;
        match &self.reason {
            NotNow::Before(time) => write!(f, "{key_tag} is valid from {time}"),
            NotNow::Over(time) => write!(f, "{key_tag} was valid until {time}"),
            NotNow::Unsupported(error) => write!(f, "{key_tag}: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = include_str!("vectors/root-anchors.xml");
    /// 4 August 2025.
    const THEN_S: u64 = 1_754_300_000;

    fn tags(xml: &str, now_s: u64) -> Result<Vec<u16>, XmlError> {
        read(xml.as_bytes(), now_s).map(|anchors| anchors.usable.iter().map(|anchor| anchor.key_tag).collect())
    }

    fn error(from: &str, to: &str) -> String {
        let changed = XML.replacen(from, to, 1);
        assert_ne!(changed, XML, "the fixture has {from}");
        tags(&changed, THEN_S).unwrap_err().to_string()
    }

    mod rfc9718_2 {
        use super::*;

        #[test]
        fn only_what_is_valid_now_is_kept() {
            assert_eq!(tags(XML, THEN_S), Ok(vec![20326, 38696]));
            // 1 July 2018: the retired key still, the latest one not yet.
            assert_eq!(tags(XML, 1_530_403_200), Ok(vec![19036, 20326]));
            let then = read(XML.as_bytes(), THEN_S).unwrap();
            assert_eq!(then.left_out[0].to_string(), "19036 was valid until 2019-01-11T00:00:00+00:00");
            // To the second.
            let retired_s = 1_547_164_800;
            assert_eq!(tags(XML, retired_s - 1).unwrap().len(), 2);
            assert_eq!(tags(XML, retired_s), Ok(vec![20326]));
            assert!(
                matches!(tags(XML, 1_000_000_000), Err(XmlError::NothingUsable { left_out }) if left_out.len() == 3)
            );
        }

        #[test]
        fn another_zone_than_the_root_is_refused() {
            assert_eq!(error("<Zone>.<", "<Zone>example.<"), "the zone is \"example.\", not the root");
            assert!(error("<Zone>.</Zone>", "").contains("Zone is missing"));
        }

        #[test]
        fn a_key_must_be_the_one_that_its_digest_is_of() {
            assert!(error("E06D44B8", "E06D44B9").contains("20326 contradict"));
            assert!(error("<Flags>257<", "<Flags>256<").contains("20326 contradict"));
            assert!(error("AwEAAaz/", "AwEAAaz!").contains("PublicKey is missing or malformed"));
        }

        #[test]
        fn what_we_cannot_use_is_left_out() {
            let odd = XML.replacen("38696</KeyTag>\n        <Algorithm>8", "38696</KeyTag>\n        <Algorithm>253", 1);
            let read = read(odd.as_bytes(), THEN_S).unwrap();
            assert_eq!((read.usable.len(), read.left_out[1].key_tag), (1, 38696));
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let end = XML.trim_end().len();
        for length in 0..end {
            assert!(tags(&XML[..length], THEN_S).is_err(), "{length} of {end} bytes");
        }
    }

    #[test]
    fn entities_and_document_types_are_not_read() {
        assert!(error("<TrustAnchor", "<!DOCTYPE x [<!ENTITY e \"1\">]><TrustAnchor").contains("not well-formed"));
    }
}
