//! A root whose key signing keys are published, revoked and taken away while it is served: all in memory, Ed25519.

use std::sync::{Arc, Mutex, PoisonError};

use resolver_user::wire::RecordType;

use crate::message::{TestRecord, a};
use crate::signed::SignedZone;
use crate::upstream::{Asked, Reply};

/// TTL of everything, in seconds: what a daemon has concluded about keys is soon looked at again.
const TTL_S: u32 = 1;
/// Flags of a key signing key, of a revoked one, and of a zone signing key.
const KEY_SIGNING: u16 = 257;
const REVOKED: u16 = 385;
const ZONE_SIGNING: u16 = 256;

/// The root. Every name has an address, signed with the zone signing key.
#[derive(Clone)]
pub struct RollingRoot {
    keys: Arc<Mutex<Vec<RootKey>>>,
}

/// One of its key signing keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootKey {
    /// What it is made from.
    pub seed: u8,
    /// Whether it is published with the revoke flag.
    pub revoked: bool,
    /// Whether it signs the keys.
    pub signs: bool,
}

impl RootKey {
    /// A key that signs.
    pub fn signing(seed: u8) -> Self {
        Self { seed, revoked: false, signs: true }
    }

    /// A key that is there and does not sign.
    pub fn stand_by(seed: u8) -> Self {
        Self { signs: false, ..Self::signing(seed) }
    }

    /// A key that revokes itself.
    pub fn revoked(seed: u8) -> Self {
        Self { revoked: true, ..Self::signing(seed) }
    }

    fn zone(self) -> SignedZone {
        SignedZone::with_flags(".", self.seed, if self.revoked { REVOKED } else { KEY_SIGNING })
    }

    /// Its key tag, revoked or not.
    pub fn tag(self) -> u16 {
        self.zone().key_tag()
    }

    /// The option with its anchor.
    pub fn anchor_option(self) -> String {
        let ds = self.zone().ds();
        let hex: String = ds[4..].iter().map(|byte| format!("{byte:02X}")).collect();
        format!("--trust-anchor=.,{},{},{},{hex}", self.tag(), ds[2], ds[3])
    }
}

impl RollingRoot {
    /// A root with these keys.
    pub fn new(keys: &[RootKey]) -> Self {
        Self { keys: Arc::new(Mutex::new(keys.to_vec())) }
    }

    /// Gives it other keys.
    pub fn publish(&self, keys: &[RootKey]) {
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys.to_vec();
    }

    /// What a recursive server without a cache says.
    pub fn reply(&self, asked: &Asked) -> Reply {
        let zone_key = SignedZone::with_flags(".", 200, ZONE_SIGNING);
        let owner = asked.question.qname.to_string();
        match asked.question.qtype {
            RecordType::DNSKEY if owner == "." => Reply::answer(self.dnskeys(&zone_key)),
            RecordType::A => {
                let address = TestRecord { ttl_s: TTL_S, ..a(&owner, TTL_S, [192, 0, 2, 1]) };
                Reply::answer(zone_key.signed(vec![address], 86_400))
            }
            _ => Reply::default(),
        }
    }

    fn dnskeys(&self, zone_key: &SignedZone) -> Vec<TestRecord> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let zones: Vec<(RootKey, SignedZone)> = keys.into_iter().map(|key| (key, key.zone())).collect();
        let record = |zone: &SignedZone| TestRecord { ttl_s: TTL_S, ..zone.dnskey_record() };
        let records: Vec<TestRecord> = zones.iter().map(|(_, zone)| zone).chain([zone_key]).map(record).collect();
        let signing = zones.iter().filter(|(key, _)| key.signs);
        let signatures = signing.filter_map(|(_, zone)| zone.signed(records.clone(), 86_400).pop());
        records.iter().cloned().chain(signatures).collect()
    }
}
