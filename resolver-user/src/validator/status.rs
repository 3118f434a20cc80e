//! What validation can say.

use std::sync::Arc;

use thiserror::Error;

use super::BudgetItem;
use crate::wire::{Name, Question, RecordType, Response};

/// The next thing to do.
#[derive(Clone, Debug)]
pub enum Step {
    /// Fetch this (a DS or DNSKEY set, or the next link of an alias chain) and supply the reply.
    Need(Question),
    /// Nothing more is needed.
    Done(Verdict),
    /// The next signature check is costly, as the [`Pace`](super::Pace) sees it: go on where that delays nobody else.
    Costly {
        /// The zone whose keys are to be tried.
        zone: Name,
    },
}

/// The verdict on a response (RFC 4035 §4.3).
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Secure, or proven insecure.
    Proven(Arc<Validated>),
    /// Parts of the response are not signed, and policy does not ask for the proof that they need not be. To be passed on
    /// as unvalidated data: never with AD, never published.
    Unchecked {
        /// The response, reduced to the sets that were looked at.
        response: Arc<Response>,
        /// Longest time this may be kept, in seconds.
        ttl_s: u32,
    },
    /// The response contradicts the chain of trust.
    Bogus(BogusReason),
    /// The chain of trust could not be followed to an end.
    Indeterminate(IndeterminateReason),
}

/// The two states in which an answer may be given and published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProvenStatus {
    /// A chain of signatures leads from an anchor to every set.
    Secure,
    /// It is proven from an anchor that some link has no chain of signatures.
    Insecure,
}

/// A response that validation let through, reduced to the sets that were judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validated {
    pub(super) response: Response,
    pub(super) status: ProvenStatus,
    pub(super) insecure_reason: Option<Box<InsecureReason>>,
    pub(super) ttl_s: u32,
    pub(super) proof_ttl_s: u32,
}

impl Validated {
    /// RCODE, answer sets in the order of the alias chain, and in the authority section what a negative or wildcard answer
    /// needs: SOA, NSEC, NSEC3. Additional and NS sets are gone.
    pub fn response(&self) -> &Response {
        &self.response
    }

    /// Secure or proven insecure: the weakest link decides.
    pub fn status(&self) -> ProvenStatus {
        self.status
    }

    /// Why it is insecure, where more can be said than that a delegation is unsigned.
    pub fn insecure_reason(&self) -> Option<&InsecureReason> {
        self.insecure_reason.as_deref()
    }

    /// Longest time this may be kept, in seconds from validation: the smallest of all TTLs, of the original TTLs and
    /// remaining validity of the signatures, of the negative TTL (RFC 2308 §5), and of the proofs in the chain.
    pub fn ttl_s(&self) -> u32 {
        self.ttl_s
    }

    /// How long the proof holds, in seconds from validation, whatever the answer's own TTLs say: the smallest remaining
    /// validity of its signatures, and TTL of the proofs in the chain and in the authority section. At least [`Self::ttl_s`].
    /// An operator may have an answer kept for longer than its TTLs, but never longer than this.
    pub fn proof_ttl_s(&self) -> u32 {
        self.proof_ttl_s
    }
}

/// Why a zone is treated as unsigned though it has a DS.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InsecureReason {
    /// The parent proves that there is no DS: the common case.
    #[error("{zone} is an unsigned delegation")]
    NoDs {
        /// The delegated zone.
        zone: Name,
    },
    /// No DS, or no key for the zone's data, has an algorithm that we accept (RFC 4035 §5.2, RFC 6840 §5.2).
    #[error("no supported DNSKEY algorithm at {zone}: {algorithm}")]
    Algorithm {
        /// The zone.
        zone: Name,
        /// One of the algorithms, by number.
        algorithm: u8,
    },
    /// No DS has a digest type that we support.
    #[error("no supported DS digest type at {zone}: {digest_type}")]
    Digest {
        /// The zone.
        zone: Name,
        /// One of the digest types, by number.
        digest_type: u8,
    },
    /// The keys that the DS names, or all keys for the zone's data, are of sizes that we cannot verify with.
    #[error("no supported key size at {zone}: key {key_tag} of algorithm {algorithm}")]
    KeySize {
        /// The zone.
        zone: Name,
        /// Algorithm of one of the keys, by number.
        algorithm: u8,
        /// Tag of that key.
        key_tag: u16,
    },
    /// NSEC3 with more iterations than we hash (RFC 9276 §3.2).
    #[error("NSEC3 iterations of {zone} over the limit: {iterations}")]
    Iterations {
        /// The zone.
        zone: Name,
        /// Its iterations.
        iterations: u16,
    },
    /// The name lies in an NSEC3 opt-out span, which may hide an unsigned delegation (RFC 5155 §6, §9.2).
    #[error("opt-out span of {zone}")]
    OptOut {
        /// The zone that opts out.
        zone: Name,
    },
    /// The operator has turned validation off at and below a name (RFC 7646).
    #[error("negative trust anchor at {anchor}")]
    NegativeAnchor {
        /// That name.
        anchor: Name,
    },
    /// The operator has given a domain servers of its own, and the public tree has no zone there, or by standard none that
    /// is signed.
    #[error("{domain} is a private domain")]
    PrivateDomain {
        /// The domain.
        domain: Name,
    },
    /// No anchor covers the name.
    #[error("no trust anchor covers {name}")]
    NoAnchor {
        /// The name asked for.
        name: Name,
    },
}

/// Why a response is bogus. Each names the owner or zone that failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BogusReason {
    /// A set of a signed zone has no signature.
    #[error("no RRSIG for {owner} {rtype}")]
    MissingRrsig {
        /// Owner of the set.
        owner: Name,
        /// Type of the set.
        rtype: RecordType,
    },
    /// No signature of the set verifies.
    #[error("no valid RRSIG for {owner} {rtype}")]
    BadSignature {
        /// Owner of the set.
        owner: Name,
        /// Type of the set.
        rtype: RecordType,
    },
    /// All signatures that could verify have expired.
    #[error("RRSIG for {owner} {rtype} expired")]
    Expired {
        /// Owner of the set.
        owner: Name,
        /// Type of the set.
        rtype: RecordType,
        /// When, in seconds since 1970 modulo 2^32.
        expiration: u32,
    },
    /// All signatures that could verify are not valid yet.
    #[error("RRSIG for {owner} {rtype} not yet valid")]
    NotYetValid {
        /// Owner of the set.
        owner: Name,
        /// Type of the set.
        rtype: RecordType,
        /// From when, in seconds since 1970 modulo 2^32.
        inception: u32,
    },
    /// The zone has no DNSKEY set, or none that a DS or anchor of it matches.
    #[error("no DNSKEY of {zone} matches its DS")]
    NoMatchingKey {
        /// The zone.
        zone: Name,
    },
    /// The zone's DNSKEY set is missing altogether.
    #[error("no DNSKEY at {zone}")]
    MissingDnskey {
        /// The zone.
        zone: Name,
    },
    /// The matching key lacks the zone key bit (RFC 4034 §2.1.1).
    #[error("key of {zone} is no zone key")]
    NoZoneKeyBit {
        /// The zone.
        zone: Name,
    },
    /// NXDOMAIN or NODATA without the proof for it.
    #[error("{question} is denied without proof")]
    MissingDenial {
        /// What is said not to exist.
        question: Question,
    },
    /// An unsigned answer from where no proof of an insecure delegation leads.
    #[error("no proof that {zone} is unsigned")]
    MissingDsDenial {
        /// The name whose DS is neither there nor denied.
        zone: Name,
    },
    /// NSEC3 iterations beyond what may be tolerated (RFC 9276 §3.2).
    #[error("NSEC3 iterations of {zone} over the limit: {iterations}")]
    Iterations {
        /// The zone.
        zone: Name,
        /// Its iterations.
        iterations: u16,
    },
    /// The answer does not fit the question: a loop of aliases, or sets that lead nowhere.
    #[error("answer does not fit {question}")]
    Unrelated {
        /// What was asked.
        question: Question,
    },
}

/// Why no verdict was reached.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IndeterminateReason {
    /// A set of the chain could not be fetched.
    #[error("cannot fetch {question}: {failure}")]
    Fetch {
        /// What was to be fetched.
        question: Question,
        /// What went wrong.
        failure: FetchFailure,
    },
    /// The query's work budget is used up.
    #[error("work limit reached: {item}")]
    Budget {
        /// The limit.
        item: BudgetItem,
    },
}

impl IndeterminateReason {
    /// Whether there were too many questions: that says nothing of the next moment.
    pub fn is_want_of_room(&self) -> bool {
        matches!(self, Self::Fetch { failure: FetchFailure::TooMany, .. })
    }
}

impl From<BudgetItem> for IndeterminateReason {
    fn from(item: BudgetItem) -> Self {
        Self::Budget { item }
    }
}

/// Why a fetch failed, as far as a verdict cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FetchFailure {
    /// No server answered in time.
    #[error("no server answered")]
    NoAnswer,
    /// The servers answered with an error.
    #[error("servers answered with an error")]
    ServerError,
    /// As many questions as may be are with the servers already.
    #[error("too many questions are with the servers")]
    TooMany,
    /// No network path to any server.
    #[error("network error")]
    Network,
}
