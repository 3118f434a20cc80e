//! A small tree of zones, signed in memory with Ed25519: the root, `example.` below it, and the unsigned `plain.`. And the
//! means to make such trees, also with ECDSA P-256.

use std::time::{SystemTime, UNIX_EPOCH};

use resolver_user::wire::{Name, RCode, RecordType};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};

use crate::message::{TestRecord, a, cname, name, record, soa};
use crate::upstream::{Asked, Reply};

/// TTL of everything, in seconds.
pub const TTL_S: u32 = 300;
/// Algorithm number of Ed25519.
const ED25519: u8 = 15;
/// Algorithm number of ECDSA P-256 with SHA-256.
const ECDSA_P256: u8 = 13;
const DAY_S: u32 = 86_400;

/// What a zone is signed with.
enum Key {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair, SystemRandom),
}

impl Key {
    fn algorithm(&self) -> u8 {
        match self {
            Self::Ed25519(_) => ED25519,
            Self::P256(..) => ECDSA_P256,
        }
    }

    fn public_key(&self) -> &[u8] {
        match self {
            Self::Ed25519(key) => key.public_key().as_ref(),
            // Without the byte that says that the point is not compressed (RFC 6605 §4).
            Self::P256(key, _) => &key.public_key().as_ref()[1..],
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Self::P256(key, random) => key.sign(random, message).expect("it signs").as_ref().to_vec(),
        }
    }
}

/// A zone with its one key.
pub struct SignedZone {
    apex: Name,
    key: Key,
    /// RDATA of its DNSKEY.
    dnskey: Vec<u8>,
}

/// The tree. What it answers to `<name>.example.`: `www` is right, `forged` has a signature of other data, `expired` one
/// that is over, `naked` none, and `x<anything>` is as right as `www`. `*.y` has an address. `z-…` are aliases, whatever the type: `z-tree` moves what is
/// below it to `example.`, `z-forged` leads to `forged`, others lead to `www`, and `z-0` for this once. All else does not exist. In
/// `plain.`, `t` moves what is below it to `plain.`, unsigned.
pub struct SignedTree {
    root: SignedZone,
    example: SignedZone,
}

impl SignedZone {
    pub(crate) fn new(apex: &str, seed: u8) -> Self {
        Self::with_flags(apex, seed, 0x0101)
    }

    pub(crate) fn with_flags(apex: &str, seed: u8, flags: u16) -> Self {
        let key = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("any seed is a key");
        Self::with_key(apex, Key::Ed25519(key), flags)
    }

    /// A zone that is signed with a new key of ECDSA P-256.
    ///
    /// # Panics
    /// When there is no randomness.
    pub fn p256(apex: &str) -> Self {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, made.as_ref(), &random);
        Self::with_key(apex, Key::P256(key.expect("the key"), random), 0x0101)
    }

    fn with_key(apex: &str, key: Key, flags: u16) -> Self {
        let mut dnskey = [&flags.to_be_bytes()[..], &[3, key.algorithm()]].concat();
        dnskey.extend(key.public_key());
        Self { apex: name(apex), key, dnskey }
    }

    /// RFC 4034 appendix B.
    pub(crate) fn key_tag(&self) -> u16 {
        let words =
            self.dnskey.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| low.into()));
        let sum: u32 = words.sum();
        u16::try_from((sum + (sum >> 16)) & 0xffff).expect("sixteen bits")
    }

    /// RDATA of the DS that leads here.
    pub(crate) fn ds(&self) -> Vec<u8> {
        let digest = digest(&SHA256, &[&self.apex.canonical_wire(), &self.dnskey[..]].concat());
        [&self.key_tag().to_be_bytes(), &[self.key.algorithm(), 2][..], digest.as_ref()].concat()
    }

    /// Its DNSKEY.
    pub(crate) fn dnskey_record(&self) -> TestRecord {
        TestRecord { owner: self.apex.clone(), rtype: RecordType::DNSKEY, ttl_s: TTL_S, rdata: self.dnskey.clone() }
    }

    /// The records of one set with their signature, valid since a month and until `end_s` seconds from now.
    pub(crate) fn signed(&self, records: Vec<TestRecord>, end_s: i64) -> Vec<TestRecord> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let now = u32::try_from(now).expect("before 2106");
        let expiration = now.saturating_add_signed(i32::try_from(end_s).expect("small"));
        self.signed_between(records, now - 30 * DAY_S, expiration)
    }

    /// The records of one set with their signature, valid between two times in seconds since 1970.
    pub(crate) fn signed_between(&self, records: Vec<TestRecord>, inception: u32, expiration: u32) -> Vec<TestRecord> {
        let first = records.first().expect("a set has records");
        let mut rdata = first.rtype.0.to_be_bytes().to_vec();
        rdata.push(self.key.algorithm());
        // RFC 4034 §3.1.3: the asterisk does not count.
        let labels = first.owner.label_count() - usize::from(first.owner.is_wildcard());
        rdata.push(u8::try_from(labels).expect("few labels"));
        rdata.extend(first.ttl_s.to_be_bytes());
        rdata.extend(expiration.to_be_bytes());
        rdata.extend(inception.to_be_bytes());
        rdata.extend(self.key_tag().to_be_bytes());
        rdata.extend(self.apex.canonical_wire());
        let mut sorted = records.clone();
        sorted.sort_by(|a, b| a.rdata.cmp(&b.rdata));
        let mut message = rdata.clone();
        for record in sorted {
            message.extend(TestRecord { owner: record.owner.to_lowercase(), ..record }.wire());
        }
        rdata.extend(self.key.sign(&message));
        let signature = TestRecord { owner: first.owner.clone(), rtype: RecordType::RRSIG, ttl_s: first.ttl_s, rdata };
        records.into_iter().chain([signature]).collect()
    }

    pub(crate) fn sign(&self, record: TestRecord) -> Vec<TestRecord> {
        self.signed(vec![record], DAY_S.into())
    }

    /// The denial of a name or type: the SOA and this NSEC.
    fn denial(&self, rcode: RCode, nsec: TestRecord) -> Reply {
        let soa = soa(&self.apex.to_string(), TTL_S, 60);
        Reply { authority: [self.sign(soa), self.sign(nsec)].concat(), ..Reply::error(rcode) }
    }
}

impl Default for SignedTree {
    fn default() -> Self {
        Self { root: SignedZone::new(".", 1), example: SignedZone::new("example.", 2) }
    }
}

impl SignedTree {
    /// The option with the root's anchor.
    pub fn anchor_option(&self) -> String {
        let ds = self.root.ds();
        let hex: String = ds[4..].iter().map(|byte| format!("{byte:02X}")).collect();
        format!("--trust-anchor=.,{},{},{},{hex}", self.root.key_tag(), ds[2], ds[3])
    }

    /// What a recursive server without a cache says.
    pub fn reply(&self, asked: &Asked) -> Reply {
        let question = &asked.question;
        let owner = question.qname.to_string();
        match (owner.to_ascii_lowercase().as_str(), question.qtype) {
            (".", RecordType::DNSKEY) => Reply::answer(self.root.sign(self.root.dnskey_record())),
            ("example.", RecordType::DNSKEY) => Reply::answer(self.example.sign(self.example.dnskey_record())),
            ("example.", RecordType::DS) => {
                Reply::answer(self.root.sign(record("example.", RecordType::DS, TTL_S, &self.example.ds())))
            }
            // A delegation without DS: NS and no SOA in the bitmap.
            ("plain.", RecordType::DS) => self.root.denial(RCode::NOERROR, nsec("plain.", "z.", &[2, 46, 47])),
            // No such name: no zone there, signed or not.
            ("lan.", RecordType::DS) | ("lbn.", _) => {
                let mut reply = self.root.denial(RCode::NXDOMAIN, nsec("example.", "plain.", &[2, 43, 46, 47]));
                reply.authority.extend(self.root.sign(nsec(".", "example.", &[2, 6, 46, 47, 48])));
                reply
            }
            ("alias.example.", RecordType::A) => {
                let target = name("nas.lan.");
                let mut reply =
                    Reply::answer(self.example.sign(record(&owner, RecordType::CNAME, TTL_S, target.wire())));
                // A recursive server follows the alias as far as it knows.
                let denial = self.root.denial(RCode::NXDOMAIN, nsec("example.", "plain.", &[2, 43, 46, 47]));
                (reply.rcode, reply.authority) = (denial.rcode, denial.authority);
                reply
            }
            (other, RecordType::A) if other.ends_with(".y.example.") => self.expanded(&owner),
            (other, qtype) if qtype != RecordType::DS && other.trim_end_matches(".example.").contains("z-") => {
                Reply::answer(self.alias(other))
            }
            (other, RecordType::A) if other.ends_with(".t.plain.") => {
                let moved = other.replace(".t.", ".");
                let dname = record("t.plain.", RecordType::DNAME, TTL_S, name("plain.").wire());
                Reply::answer(vec![dname, cname(other, TTL_S, &moved), a(&moved, TTL_S, [192, 0, 2, 6])])
            }
            ("t.plain.", RecordType::DS) => {
                Reply { authority: vec![soa("plain.", TTL_S, 60)], ..Reply::answer(Vec::new()) }
            }
            ("www.plain.", RecordType::A) => Reply::answer(vec![a(&owner, TTL_S, [192, 0, 2, 2])]),
            ("forged.example.", RecordType::A) => {
                let mut records = self.example.sign(a(&owner, TTL_S, [192, 0, 2, 3]));
                records[0].rdata = vec![6, 6, 6, 6];
                Reply::answer(records)
            }
            ("expired.example.", RecordType::A) => {
                Reply::answer(self.example.signed(vec![a(&owner, TTL_S, [192, 0, 2, 4])], -i64::from(DAY_S)))
            }
            ("naked.example.", RecordType::A) => Reply::answer(vec![a(&owner, TTL_S, [192, 0, 2, 5])]),
            (other, RecordType::A)
                if other == "www.example." || other.starts_with('x') && other.ends_with(".example.") =>
            {
                Reply::answer(self.example.sign(a(&owner, TTL_S, [192, 0, 2, 1])))
            }
            // By an NSEC that spans no name but those below its own.
            (other, _)
                if other.starts_with('x') && other.ends_with(".example.")
                    || ["forged.example.", "expired.example.", "naked.example."].contains(&other) =>
            {
                self.example.denial(RCode::NOERROR, nsec(&owner, &format!("0.{owner}"), &[1, 46, 47]))
            }
            // Type or name: both are denied by the apex's NSEC, which spans all names up to the first x.
            ("www.example.", _) => {
                self.example.denial(RCode::NOERROR, nsec("www.example.", "x.example.", &[1, 46, 47]))
            }
            (other, _) if other.ends_with(".example.") => {
                self.example.denial(RCode::NXDOMAIN, nsec("example.", "www.example.", &[2, 6, 46, 47, 48]))
            }
            _ => Reply::error(RCode::REFUSED),
        }
    }

    /// The address of `*.y.example.` at a name below, and the proof that the name itself is not there.
    fn expanded(&self, owner: &str) -> Reply {
        let mut answer = self.example.sign(a("*.y.example.", TTL_S, [192, 0, 2, 7]));
        answer.iter_mut().for_each(|record| record.owner = name(owner));
        let authority = self.example.sign(nsec("*.y.example.", "z-.example.", &[1, 46, 47]));
        Reply { authority, ..Reply::answer(answer) }
    }

    /// The alias at or above a name of the kind `z-…`. It is not followed.
    fn alias(&self, owner: &str) -> Vec<TestRecord> {
        if let Some(below) = owner.strip_suffix(".z-tree.example.") {
            let dname = record("z-tree.example.", RecordType::DNAME, TTL_S, name("example.").wire());
            let made = cname(owner, TTL_S, &format!("{below}.example."));
            return [self.example.sign(dname), vec![made]].concat();
        }
        let target = if owner.starts_with("z-forged") { "forged.example." } else { "www.example." };
        self.example.sign(cname(owner, if owner.starts_with("z-0") { 0 } else { TTL_S }, target))
    }
}

/// An NSEC record with these types, all below 256 and ascending.
pub(crate) fn nsec(owner: &str, next: &str, types: &[u8]) -> TestRecord {
    let length = types.iter().max().map_or(0, |&last| usize::from(last) / 8 + 1);
    let mut bitmap = vec![0u8; length];
    for &rtype in types {
        bitmap[usize::from(rtype) / 8] |= 0x80 >> (rtype % 8);
    }
    let window = [0, u8::try_from(length).expect("one window")];
    record(owner, RecordType::NSEC, 60, &[name(next).wire(), &window, &bitmap].concat())
}
