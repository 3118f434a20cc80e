//! What a DNSKEY set says to whoever follows its keys: who must have signed it, and who revokes itself (RFC 5011 §2.1).

use crate::validator::tests::*;
use crate::validator::{DsAnchor, KeySet, KeySetError, Policy, Presence, TrustAnchors, proven_revoked};

const DAY_S: u32 = 86_400;
const NONE: [usize; 0] = [];

/// A root with these keys, by flags, of which the numbered ones sign the set; the anchor is of the first, unrevoked.
struct Root {
    zone: Zone,
    signers: Vec<usize>,
    terms: Terms,
}

impl Root {
    fn new(flags: &[u16], signers: &[usize]) -> Self {
        let mut zone = Zone::new(".", Denies::Nsec, 15);
        zone.keys = flags.iter().map(|flags| SigningKey::new(15, *flags)).collect();
        zone.publish_keys();
        let terms = zone.terms;
        Self { zone, signers: signers.to_vec(), terms }
    }

    /// RDATA of a key without its revoke flag.
    fn unrevoked(&self, number: usize) -> Box<[u8]> {
        let mut rdata = self.zone.keys[number].dnskey.clone();
        rdata[1] &= 0x7f;
        rdata.into()
    }

    fn anchors(&self) -> TrustAnchors {
        TrustAnchors::new(vec![DsAnchor::of_key(&Name::root(), &self.unrevoked(0)).unwrap()], vec![])
    }

    fn response(&self) -> Response {
        let question = Question::new(Name::root(), RecordType::DNSKEY);
        let rdatas = self.zone.keys.iter().map(|key| key.dnskey.clone().into()).collect();
        let mut set = unsigned_set(&Name::root(), RecordType::DNSKEY, rdatas);
        set.ttl_s = TTL_S;
        let sign = |number: &usize| self.zone.keys[*number].sign(&set, &Name::root(), self.terms);
        set.signatures = self.signers.iter().map(sign).collect();
        Response { question, rcode: RCode::NOERROR, answer: vec![set], authority: vec![] }
    }

    fn read(&self) -> Result<KeySet, KeySetError> {
        KeySet::read(&self.response(), &Name::root(), &self.anchors(), &Policy::DEFAULT, NOW)
    }

    /// Which keys, by number, have proven their revocation.
    fn revoked(&self) -> Vec<usize> {
        let known: Vec<Box<[u8]>> = (0..self.zone.keys.len()).map(|number| self.unrevoked(number)).collect();
        let proven = proven_revoked(&self.response(), &Name::root(), &known, &Policy::DEFAULT, NOW);
        (0..known.len()).filter(|number| proven.contains(&known[*number])).collect()
    }
}

#[test]
fn a_set_counts_if_an_anchors_key_has_signed_it_and_no_other_key_will_do() {
    let set = Root::new(&[257, 257, 256], &[0]).read().unwrap();
    assert_eq!((set.original_ttl_s, set.signature_left_s), (TTL_S, 7 * DAY_S));
    assert_eq!(set.keys.len(), 2, "the zone signing key is nobody's anchor");
    assert!(matches!(Root::new(&[257, 257], &[1]).read(), Err(KeySetError::Bogus(BogusReason::BadSignature { .. }))));
    assert!(matches!(Root::new(&[257], &[]).read(), Err(KeySetError::Bogus(BogusReason::MissingRrsig { .. }))));
    // The anchor's key, revoked, speaks for nothing but its revocation.
    assert!(matches!(
        Root::new(&[385, 257], &[0, 1]).read(),
        Err(KeySetError::Bogus(BogusReason::NoMatchingKey { .. }))
    ));
}

#[test]
fn presence_tells_a_key_from_its_revoked_form() {
    let root = Root::new(&[257, 385, 257], &[0]);
    let set = root.read().unwrap();
    let presence = |number| set.presence(&root.unrevoked(number));
    assert_eq!([presence(0), presence(1)], [Presence::Present, Presence::Revoked]);
    assert_eq!(set.presence(&[1, 1, 3, 15]), Presence::Absent);
}

#[test]
fn a_key_revokes_itself_by_signing_with_the_flag_and_needs_nobody_else() {
    assert_eq!(Root::new(&[385, 257], &[0]).revoked(), [0]);
    assert_eq!(Root::new(&[257, 385], &[0, 1]).revoked(), [1]);
    assert_eq!(Root::new(&[257, 385], &[0]).revoked(), NONE, "not signed by itself: anybody could say so");
    assert_eq!(Root::new(&[257, 257], &[0, 1]).revoked(), NONE, "no flag");
    // Another's signature under its tag.
    let mut root = Root::new(&[257, 385], &[0, 1]);
    root.zone.keys[1].dnskey[10] ^= 1;
    assert_eq!(root.revoked(), NONE);
}

#[test]
fn times_of_signatures_are_checked_whatever_the_policy_says() {
    let lenient = Policy { times_checked: false, ..Policy::DEFAULT };
    let mut root = Root::new(&[257, 385], &[0, 1]);
    root.terms = Terms { inception: NOW_S - 2 * DAY_S, expiration: NOW_S - DAY_S, labels: None };
    let read = KeySet::read(&root.response(), &Name::root(), &root.anchors(), &lenient, NOW);
    assert!(matches!(read, Err(KeySetError::Bogus(BogusReason::Expired { .. }))), "an old set brings no old key back");
    assert_eq!(root.revoked(), NONE);
}

#[test]
fn many_other_revoked_keys_do_not_hide_one() {
    let mut flags = vec![257; 40];
    flags.push(385);
    let root = Root::new(&flags, &[0, 40]);
    assert_eq!(root.revoked(), [40]);
    let junk = Root::new(&[385; 30], &[0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(junk.revoked().len(), 8);
}
