//! What a walk met, as one structure for text and JSON. Numbers are as on the wire, times are seconds since 1970.

use serde::Serialize;

/// The whole chain.
#[derive(Clone, Debug, Serialize)]
pub struct ChainReport {
    /// Name asked for.
    pub name: String,
    /// Type asked for.
    pub rtype: String,
    /// When signatures were checked, as `2026-11-23T02:16:33Z`.
    pub checked_at: String,
    /// Zones, and names that turned out to start none, from the anchor down.
    pub zones: Vec<ZoneReport>,
    /// The reply to the question, and to each further link of an alias chain.
    pub answers: Vec<AnswerReport>,
    /// The validator's verdict.
    pub verdict: VerdictReport,
    /// What was asked, in order.
    pub queries: Vec<QueryReport>,
}

/// A name at which a zone starts, or might.
#[derive(Clone, Debug, Serialize)]
pub struct ZoneReport {
    /// The name.
    pub zone: String,
    /// What the validator found out: `secure`, `insecure`, `no-cut`; `unproven` if it did not get so far.
    pub standing: &'static str,
    /// Why it is insecure.
    pub reason: Option<String>,
    /// Anchors at the name.
    pub anchors: Vec<DsReport>,
    /// The DS set, if the parent gave one.
    pub ds: Option<DsSetReport>,
    /// What the parent said instead of DS.
    pub ds_denial: Option<ProofReport>,
    /// An alias in place of the DS.
    pub aliases: Vec<SetReport>,
    /// Keys, if they were asked for and came.
    pub dnskey: Vec<KeyReport>,
    /// Signatures of the key set.
    pub dnskey_signatures: Vec<SignatureReport>,
    /// What could not be fetched, and why.
    pub failures: Vec<String>,
}

/// A DS set.
#[derive(Clone, Debug, Serialize)]
pub struct DsSetReport {
    /// Its records.
    pub records: Vec<DsReport>,
    /// Its signatures.
    pub signatures: Vec<SignatureReport>,
}

/// An algorithm or digest type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AlgorithmReport {
    /// Number.
    pub number: u8,
    /// Name in the registry.
    pub name: &'static str,
}

/// A DS record or an anchor.
#[derive(Clone, Debug, Serialize)]
pub struct DsReport {
    /// Tag of the key that it names.
    pub key_tag: u16,
    /// Algorithm of that key.
    pub algorithm: AlgorithmReport,
    /// Digest type.
    pub digest_type: AlgorithmReport,
    /// Whether it vouches for a key of the set.
    pub matches: bool,
    /// The same in words, with the reason why not.
    pub outcome: String,
}

/// A DNSKEY.
#[derive(Clone, Debug, Serialize)]
pub struct KeyReport {
    /// Key tag.
    pub key_tag: u16,
    /// Flags: 256 or 257 and perhaps 128.
    pub flags: u16,
    /// `KSK` with the secure entry point flag, else `ZSK`.
    pub role: &'static str,
    /// Algorithm.
    pub algorithm: AlgorithmReport,
    /// Size, in bits.
    pub bits: usize,
    /// `in use`, `stand-by`, `revoked`, `no zone key`, `not supported`.
    pub state: &'static str,
    /// Whether a DS or anchor vouches for it.
    pub vouched: bool,
    /// Sets seen on this walk that carry a signature of it.
    pub signs: Vec<String>,
}

/// A signature.
#[derive(Clone, Debug, Serialize)]
pub struct SignatureReport {
    /// Type of the set.
    pub covers: String,
    /// Tag of the key.
    pub key_tag: u16,
    /// Algorithm.
    pub algorithm: AlgorithmReport,
    /// Zone that signed.
    pub signer: String,
    /// Start of validity.
    pub inception: String,
    /// End of validity.
    pub expiration: String,
    /// Seconds until the end of validity; negative since then.
    pub validity_left_s: i64,
    /// The wildcard that the set was expanded from.
    pub expanded_from: Option<String>,
    /// Whether it verifies now, with a key of its signer's set.
    pub verifies: bool,
    /// The same in words, with the reason why not.
    pub outcome: String,
}

/// A set of an answer.
#[derive(Clone, Debug, Serialize)]
pub struct SetReport {
    /// Owner.
    pub owner: String,
    /// Type.
    pub rtype: String,
    /// TTL as received, in seconds.
    pub ttl_s: u32,
    /// Its records.
    pub records: Vec<String>,
    /// Its signatures.
    pub signatures: Vec<SignatureReport>,
}

/// What a reply has to prove that something does not exist.
#[derive(Clone, Debug, Serialize)]
pub struct ProofReport {
    /// What it is about.
    pub question: String,
    /// Zone of the records.
    pub zone: Option<String>,
    /// `NSEC`, `NSEC3`, `NSEC3 opt-out`; none without records.
    pub kind: Option<&'static str>,
    /// NSEC and NSEC3 records.
    pub records: Vec<ProofRecord>,
    /// The SOA that came with them.
    pub soa: Option<SetReport>,
}

/// An NSEC or NSEC3 record.
#[derive(Clone, Debug, Serialize)]
pub struct ProofRecord {
    /// `NSEC` or `NSEC3`.
    pub rtype: &'static str,
    /// Owner.
    pub owner: String,
    /// Next name or hash.
    pub next: String,
    /// Types at the owner.
    pub types: Vec<String>,
    /// Of NSEC3: whether the span may hide unsigned delegations.
    pub opt_out: Option<bool>,
    /// Of NSEC3: iterations.
    pub iterations: Option<u16>,
    /// Of NSEC3: salt.
    pub salt: Option<String>,
    /// What it shows, in words.
    pub shows: Vec<String>,
    /// Its signatures.
    pub signatures: Vec<SignatureReport>,
}

/// A reply on the path of the question.
#[derive(Clone, Debug, Serialize)]
pub struct AnswerReport {
    /// What was asked.
    pub question: String,
    /// RCODE.
    pub rcode: Option<String>,
    /// Answer sets.
    pub sets: Vec<SetReport>,
    /// The proof in the authority section, if there are records for one.
    pub proof: Option<ProofReport>,
    /// Why there is no reply.
    pub failure: Option<String>,
}

/// The verdict.
#[derive(Clone, Debug, Serialize)]
pub struct VerdictReport {
    /// `secure`, `insecure`, `unchecked`, `bogus` or `indeterminate`.
    pub status: &'static str,
    /// Why, unless it is secure.
    pub reason: Option<String>,
    /// RCODE that a client of the daemon sees.
    pub rcode: String,
    /// Whether a client that asks for it sees AD.
    pub authentic: bool,
    /// Extended error that a client sees.
    pub extended_error: Option<ExtendedErrorReport>,
    /// How long the answer may be kept, in seconds.
    pub ttl_s: Option<u32>,
}

/// An extended error (RFC 8914).
#[derive(Clone, Debug, Serialize)]
pub struct ExtendedErrorReport {
    /// INFO-CODE.
    pub code: u16,
    /// Its name in the registry.
    pub name: &'static str,
    /// EXTRA-TEXT.
    pub text: String,
}

/// A query of the walk.
#[derive(Clone, Debug, Serialize)]
pub struct QueryReport {
    /// What was asked.
    pub question: String,
    /// RCODE, or why there is no reply.
    pub outcome: String,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
}
