//! How others learn which anchors we have: names that a client asks for (RFC 8509), and a name that we ask for (RFC 8145).
//!
//! In: a question, or the anchors. Out: what the name means, or the name. Does no I/O.

use super::Trust;
use crate::clock::{NS_PER_S, Now};
use crate::validator::TrustAnchors;
use crate::wire::{Name, Question, RecordType};

/// First words of the two labels (RFC 8509 §2), with the length that the whole label has.
const IS_TRUSTED: &[u8] = b"\x1droot-key-sentinel-is-ta-";
/// The other one.
const IS_NOT_TRUSTED: &[u8] = b"\x1eroot-key-sentinel-not-ta-";
/// Most key tags in one label (RFC 8145 §5.1: four letters, and five for each further one, in 63).
const TAGS_MAX: usize = 12;
/// How often the same tags are told, in seconds. Choice: once a day; RFC 8145 §5.1 lets them go with the queries for the keys.
const SIGNAL_PERIOD_S: u64 = 86_400;
/// Type of the query that tells our key tags (RFC 8145 §5.1).
const NULL: RecordType = RecordType(10);

/// What a name of the root key sentinel claims about us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySentinel {
    /// Key tag.
    pub key_tag: u16,
    /// Whether the claim is that it is a trust anchor of the root, or that it is none.
    pub is_trusted: bool,
}

impl KeySentinel {
    /// Reads the first label of a question for an address (RFC 8509 §3.1); none if it is no sentinel's.
    pub fn read(qname_wire: &[u8], qtype: RecordType) -> Option<Self> {
        // Most questions end here.
        if !matches!(qname_wire.first(), Some(0x1d | 0x1e)) || !matches!(qtype, RecordType::A | RecordType::AAAA) {
            return None;
        }
        let begins = |label: &[u8]| {
            let (start, rest) = qname_wire.split_at_checked(label.len())?;
            start.eq_ignore_ascii_case(label).then_some(rest)
        };
        let (rest, is_trusted) = match (begins(IS_TRUSTED), begins(IS_NOT_TRUSTED)) {
            (Some(rest), _) => (rest, true),
            (None, Some(rest)) => (rest, false),
            (None, None) => return None,
        };
        // Exactly five digits (RFC 8509 §2); a number that no tag can be makes it an ordinary name.
        let digits = rest.first_chunk::<5>().filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        let key_tag = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Some(Self { key_tag, is_trusted })
    }

    /// Whether the claim holds.
    pub fn holds(self, anchors: &TrustAnchors) -> bool {
        anchors.of_zone(&Name::root()).any(|anchor| anchor.key_tag == self.key_tag) == self.is_trusted
    }
}

/// The question that tells a zone's servers which anchors we have for it (RFC 8145 §5.1); none if there are none.
pub fn key_tag_query(zone: &Name, anchors: &TrustAnchors) -> Option<Question> {
    let mut tags: Vec<u16> = anchors.of_zone(zone).map(|anchor| anchor.key_tag).collect();
    tags.sort_unstable();
    tags.dedup();
    if tags.is_empty() {
        return None;
    }
    let tags: Vec<String> = tags.into_iter().take(TAGS_MAX).map(|tag| format!("{tag:04x}")).collect();
    let name = zone.prepend(format!("_ta-{}", tags.join("-")).as_bytes()).ok()?;
    Some(Question::new(name, NULL))
}

/// What a zone was told, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signalled {
    zone: Name,
    question: Question,
    at_boot_ns: u64,
}

impl Trust {
    /// The question that tells `zone` which anchors we have for it, if that is due; it then counts as asked. To be called
    /// when its keys are asked for (RFC 8145 §5.3).
    pub fn signal(&self, zone: &Name, now: Now) -> Option<Question> {
        let question = key_tag_query(zone, &self.basis().anchors)?;
        let mut changing = self.changing();
        let is_told = |told: &Signalled| {
            let age_ns = now.boot_ns.saturating_sub(told.at_boot_ns);
            told.question == question && age_ns < SIGNAL_PERIOD_S.saturating_mul(NS_PER_S)
        };
        if changing.signalled.iter().any(is_told) {
            return None;
        }
        changing.signalled.retain(|told| told.zone != *zone);
        changing.signalled.push(Signalled { zone: zone.clone(), question: question.clone(), at_boot_ns: now.boot_ns });
        Some(question)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validator::DsAnchor;
    use crate::wire::DomainMap;

    fn anchors(tags: &[u16]) -> TrustAnchors {
        let anchor = |tag: &u16| DsAnchor {
            zone: Name::root(),
            key_tag: *tag,
            algorithm: 13,
            digest_type: 2,
            digest: [0; 32].into(),
        };
        TrustAnchors::new(tags.iter().map(anchor).collect(), vec![])
    }

    fn read(name: &str, qtype: RecordType) -> Option<(u16, bool)> {
        let name: Name = name.parse().unwrap();
        KeySentinel::read(name.wire(), qtype).map(|sentinel| (sentinel.key_tag, sentinel.is_trusted))
    }

    mod rfc8509_3_1 {
        use super::*;

        #[test]
        fn only_the_first_label_of_address_questions_is_read() {
            for (name, expected) in [
                ("root-key-sentinel-is-ta-20326.example", Some((20326, true))),
                ("Root-Key-Sentinel-NOT-ta-00042.", Some((42, false))),
                ("www.root-key-sentinel-is-ta-20326.example", None),
                ("root-key-sentinel-is-ta-2032.example", None),
                ("root-key-sentinel-is-ta-020326.example", None),
                ("root-key-sentinel-is-ta-2032x.example", None),
                ("root-key-sentinel-is-ta-99999.example", None),
                ("root-key-sentinel-was-ta-2032.example", None),
                (".", None),
            ] {
                assert_eq!(read(name, RecordType::A), expected, "{name}");
                assert_eq!(read(name, RecordType::AAAA), expected, "{name}");
                assert_eq!(read(name, RecordType::TXT), None, "{name}");
            }
            assert_eq!(KeySentinel::read(b"\x1droot-key-sentinel-is-ta-20", RecordType::A), None);
        }

        #[test]
        fn a_claim_holds_or_not_by_the_anchors_of_the_root() {
            let anchors = anchors(&[20326, 38696]);
            for (key_tag, is_trusted, holds) in
                [(20326, true, true), (20326, false, false), (1, true, false), (1, false, true)]
            {
                assert_eq!(KeySentinel { key_tag, is_trusted }.holds(&anchors), holds, "{key_tag} {is_trusted}");
            }
        }
    }

    mod rfc8145_5_1 {
        use super::*;
        use crate::trust::Configured;
        use crate::validator::Policy;

        #[test]
        fn a_zone_is_told_once_a_day_and_when_its_anchors_change() {
            let at = |seconds: u64| Now { unix_s: 0, boot_ns: seconds * NS_PER_S };
            let configured = |tags: &[u16]| {
                let anchors = anchors(tags).all().to_vec();
                let (private, policy) = (DomainMap::default(), Policy::DEFAULT);
                Configured { anchors, negative: vec![], private, policy, answers_max: 0 }
            };
            let trust = Trust::new(configured(&[1]), None, at(0));
            let told = |seconds| trust.signal(&Name::root(), at(seconds)).map(|question| question.to_string());
            assert_eq!(told(0).as_deref(), Some("_ta-0001. NULL"));
            assert_eq!(told(86_399), None);
            assert_eq!(told(86_400).as_deref(), Some("_ta-0001. NULL"));
            trust.configure(configured(&[1, 2]));
            assert_eq!(told(86_401).as_deref(), Some("_ta-0001-0002. NULL"));
            assert_eq!(trust.signal(&"example.".parse().unwrap(), at(0)), None, "not anchored");
        }

        #[test]
        fn tags_are_sorted_hexadecimal_numbers_of_four_digits() {
            let asked =
                |tags: &[u16]| key_tag_query(&Name::root(), &anchors(tags)).map(|question| question.to_string());
            assert_eq!(asked(&[20326, 66, 20326]).as_deref(), Some("_ta-0042-4f66. NULL"));
            assert_eq!(asked(&[]), None);
            let many: Vec<u16> = (0..40).collect();
            assert_eq!(asked(&many).unwrap().len(), "_ta".len() + 5 * TAGS_MAX + ". NULL".len());
            assert_eq!(key_tag_query(&"example.".parse().unwrap(), &anchors(&[1])), None);
        }
    }
}
