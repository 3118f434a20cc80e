//! The private DNS tree as one table: which zones there are, who serves them, how they are signed, and what is wrong.
//!
//! Add a zone by adding a row. Everything else follows from it: keys, records, delegation, DS, server configuration,
//! and the expectations that tests and the demo read from `lab.json`.

/// One zone of the tree.
#[derive(Clone, Copy, Debug)]
pub struct Zone {
    /// Its name, without the final dot; empty for the root.
    pub name: &'static str,
    /// Who serves it.
    pub server: Server,
    /// How it is signed, or that it is not.
    pub signing: Signing,
    /// What is wrong with it: at most one thing.
    pub defect: Defect,
    /// What it holds besides its own servers and its delegations.
    pub content: Content,
    /// Its CNAMEs to interesting places.
    pub aliases: &'static [Alias],
}

/// An authoritative server of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Server {
    /// NSD with the root zone.
    Root,
    /// NSD with `test`.
    Test,
    /// NSD with `example`.
    Example,
    /// BIND with everything below.
    Bind,
    /// BIND with the zoo.
    Zoo,
    /// NSD with what BIND refuses to load or to serve.
    ZooNsd,
}

/// The servers of the plain tree.
pub const TREE_SERVERS: [Server; 4] = [Server::Root, Server::Test, Server::Example, Server::Bind];

/// How a zone is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signing {
    /// Not at all; the parent has no DS.
    Unsigned,
    /// Denial of existence by NSEC.
    Nsec(Algorithm),
    /// Denial by NSEC3: no salt, no further iterations (RFC 9276 §3.1).
    Nsec3(Algorithm),
    /// As [`Signing::Nsec3`], and unsigned delegations have no NSEC3 record of their own.
    Nsec3OptOut(Algorithm),
}

/// DNSSEC algorithm by its number in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSA with SHA-256 (RFC 5702).
    RsaSha256 = 8,
    /// RSA with SHA-512 (RFC 5702).
    RsaSha512 = 10,
    /// ECDSA over P-256 (RFC 6605).
    EcdsaP256 = 13,
    /// ECDSA over P-384 (RFC 6605).
    EcdsaP384 = 14,
    /// Ed25519 (RFC 8080).
    Ed25519 = 15,
}

/// The one thing that is wrong with a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Defect {
    /// Nothing.
    None,
    /// The signature of one RRset, and no other, differs in one character.
    WrongSignature {
        /// Owner of the RRset, relative to the zone.
        owner: &'static str,
        /// Its type.
        rtype: &'static str,
    },
    /// The digest of the DS at the parent differs in one character.
    WrongDs,
    /// All signatures ended a month ago.
    Expired,
}

/// What a zone holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing but delegations.
    Delegations,
    /// An address and a text or two.
    Small,
    /// One of every kind of record and name that we care about.
    Sampler,
    /// Delegations to the zoo.
    Zoo,
    /// This many hosts, `h0000` and on, each with an IPv4 and an IPv6 address.
    Hosts(u16),
}

/// A CNAME and what becomes of a question for its owner.
#[derive(Clone, Copy, Debug)]
pub struct Alias {
    /// Owner, relative to the zone.
    pub owner: &'static str,
    /// Target, absolute.
    pub target: &'static str,
    /// What an address question for the owner comes to.
    pub outcome: AliasOutcome,
    /// Status of the whole chain: the weakest link decides.
    pub status: Status,
}

/// What a chain of CNAMEs leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliasOutcome {
    /// An address.
    Address,
    /// A name without an address.
    NoData,
    /// No such name.
    NxDomain,
}

/// Security status that a validator must come to (RFC 4035 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Proven all the way.
    Secure,
    /// Proven to be unsigned.
    Insecure,
    /// Wrong.
    Bogus,
}

impl Zone {
    /// The name as a fully qualified domain name.
    pub fn fqdn(&self) -> String {
        format!("{}.", self.name)
    }

    /// A name below the zone, fully qualified. `@` is the zone itself.
    pub fn below(&self, owner: &str) -> String {
        match (owner, self.name) {
            ("@", _) => self.fqdn(),
            (_, "") => format!("{owner}."),
            (_, name) => format!("{owner}.{name}."),
        }
    }

    /// Name of its files.
    pub fn file_name(&self) -> &'static str {
        if self.name.is_empty() { "root" } else { self.name }
    }

    /// The zone that delegates to this one; `None` for the root.
    pub fn parent(&self) -> Option<&'static Self> {
        let mut rest = self.name;
        while !rest.is_empty() {
            rest = rest.split_once('.').map_or("", |(_, above)| above);
            if let Some(parent) = ZONES.iter().find(|zone| zone.name == rest) {
                return Some(parent);
            }
        }
        None
    }

    /// The zones that this one delegates to.
    pub fn children(&self) -> impl Iterator<Item = &'static Self> {
        let name = self.name;
        ZONES.iter().filter(move |zone| zone.parent().is_some_and(|parent| parent.name == name))
    }

    /// Status of its data, as far as zone cuts and the defects of whole zones decide it.
    pub fn status(&self) -> Status {
        let above = self.parent().map_or(Status::Secure, Self::status);
        match (above, self.signing, self.defect) {
            (Status::Secure, _, Defect::WrongDs | Defect::Expired) => Status::Bogus,
            (Status::Secure, Signing::Unsigned, _) => Status::Insecure,
            (above, ..) => above,
        }
    }

    /// A row of the table without defect and aliases.
    const fn new(name: &'static str, server: Server, signing: Signing, content: Content) -> Self {
        Self { name, server, signing, defect: Defect::None, content, aliases: &[] }
    }

    /// The row with something wrong.
    const fn with_defect(self, defect: Defect) -> Self {
        Self { defect, ..self }
    }

    /// The row with CNAMEs.
    const fn with_aliases(self, aliases: &'static [Alias]) -> Self {
        Self { aliases, ..self }
    }
}

impl Signing {
    /// The algorithm, if signed.
    pub fn algorithm(self) -> Option<Algorithm> {
        match self {
            Self::Unsigned => None,
            Self::Nsec(algorithm) | Self::Nsec3(algorithm) | Self::Nsec3OptOut(algorithm) => Some(algorithm),
        }
    }

    /// How it denies existence, in the words of `lab.json`.
    pub fn denial(self) -> Option<&'static str> {
        match self {
            Self::Unsigned => None,
            Self::Nsec(_) => Some("nsec"),
            Self::Nsec3(_) => Some("nsec3"),
            Self::Nsec3OptOut(_) => Some("nsec3-opt-out"),
        }
    }
}

impl Algorithm {
    /// Its number in the registry.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Whether its keys come in sizes.
    pub fn is_rsa(self) -> bool {
        matches!(self, Self::RsaSha256 | Self::RsaSha512)
    }
}

impl Defect {
    /// Its name in `lab.json`.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::WrongSignature { .. } => Some("wrong-signature"),
            Self::WrongDs => Some("wrong-ds"),
            Self::Expired => Some("expired"),
        }
    }

    /// The extended error that names it best (RFC 8914 §4).
    pub fn extended_error(self) -> Option<u16> {
        match self {
            Self::None => None,
            Self::WrongSignature { .. } => Some(6),
            Self::Expired => Some(7),
            Self::WrongDs => Some(9),
        }
    }
}

/// A CNAME that leads to an address.
const fn alias(owner: &'static str, target: &'static str, status: Status) -> Alias {
    Alias { owner, target, outcome: AliasOutcome::Address, status }
}

use Algorithm::{EcdsaP256, EcdsaP384, Ed25519, RsaSha256, RsaSha512};
use Content::{Delegations, Hosts, Sampler, Small};
use Server::{Bind, Example, Root, Test};
use Signing::{Nsec, Nsec3, Nsec3OptOut, Unsigned};
use Status::{Bogus, Insecure, Secure};

/// The tree. Order does not matter, except that the root is found by its empty name.
pub const ZONES: &[Zone] = &[
    Zone::new("", Root, Nsec(RsaSha256), Delegations),
    Zone::new("test", Test, Nsec(EcdsaP256), Delegations),
    Zone::new("example", Example, Nsec3OptOut(EcdsaP256), Delegations),
    // One per algorithm.
    Zone::new("alg8.test", Bind, Nsec(RsaSha256), Sampler),
    Zone::new("alg10.test", Bind, Nsec(RsaSha512), Sampler),
    Zone::new("alg13.test", Bind, Nsec(EcdsaP256), Sampler),
    Zone::new("alg14.test", Bind, Nsec(EcdsaP384), Sampler),
    Zone::new("alg15.test", Bind, Nsec(Ed25519), Sampler),
    // One per kind of denial, each with an unsigned delegation; `alg13.test` is the one with NSEC and without.
    Zone::new("nsec.test", Bind, Nsec(EcdsaP256), Small),
    Zone::new("insecure.nsec.test", Bind, Unsigned, Small),
    Zone::new("nsec3.test", Bind, Nsec3(EcdsaP256), Sampler),
    Zone::new("insecure.nsec3.test", Bind, Unsigned, Small),
    Zone::new("optout.test", Bind, Nsec3OptOut(EcdsaP256), Sampler),
    Zone::new("insecure.optout.test", Bind, Unsigned, Small),
    // Below the top level with opt-out.
    Zone::new("secure.example", Bind, Nsec(Ed25519), Small),
    Zone::new("unsigned.example", Bind, Unsigned, Small),
    Zone::new("unsigned.test", Bind, Unsigned, Sampler).with_aliases(FROM_INSECURE),
    Zone::new("alias.test", Bind, Nsec(EcdsaP256), Small).with_aliases(FROM_SECURE),
    Zone::new("hosts.test", Bind, Nsec(EcdsaP256), Hosts(5000)),
    // Its many zones have a table of their own, see `zoo`.
    Zone::new("zoo.test", Server::Zoo, Nsec(EcdsaP256), Content::Zoo),
    // Each broken in one way.
    Zone::new("badsig.test", Bind, Nsec(EcdsaP256), Small)
        .with_defect(Defect::WrongSignature { owner: "www", rtype: "A" }),
    Zone::new("badds.test", Bind, Nsec(EcdsaP256), Small).with_defect(Defect::WrongDs),
    Zone::new("expired.test", Bind, Nsec(EcdsaP256), Small).with_defect(Defect::Expired),
];

/// CNAMEs of a signed zone.
const FROM_SECURE: &[Alias] = &[
    alias("same", "www.alias.test.", Secure),
    alias("secure", "www.alg15.test.", Secure),
    alias("rsa", "www.alg8.test.", Secure),
    alias("nsec3", "www.nsec3.test.", Secure),
    alias("chain", "same.alias.test.", Secure),
    alias("far", "chain.alias.test.", Secure),
    alias("other-top", "www.secure.example.", Secure),
    alias("insecure", "www.unsigned.test.", Insecure),
    alias("insecure-opt-out", "www.unsigned.example.", Insecure),
    alias("there-and-back", "to-secure.unsigned.test.", Insecure),
    alias("bogus", "www.badsig.test.", Bogus),
    alias("expired", "www.expired.test.", Bogus),
    Alias { owner: "nxdomain", target: "nowhere.alg13.test.", outcome: AliasOutcome::NxDomain, status: Secure },
    Alias { owner: "nxdomain-nsec3", target: "nowhere.nsec3.test.", outcome: AliasOutcome::NxDomain, status: Secure },
    Alias { owner: "nodata", target: "text.alg13.test.", outcome: AliasOutcome::NoData, status: Secure },
];

/// CNAMEs of an unsigned zone.
const FROM_INSECURE: &[Alias] = &[
    alias("to-secure", "www.alg13.test.", Insecure),
    alias("to-insecure", "www.unsigned.example.", Insecure),
    alias("to-bogus", "www.badsig.test.", Bogus),
    Alias { owner: "to-nxdomain", target: "nowhere.alg13.test.", outcome: AliasOutcome::NxDomain, status: Insecure },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The row of a name.
    fn zone(name: &str) -> &'static Zone {
        ZONES.iter().find(|zone| zone.name == name).unwrap()
    }

    #[test]
    fn every_zone_but_the_root_has_a_parent() {
        let orphans: Vec<&str> = ZONES.iter().filter(|zone| zone.parent().is_none()).map(|zone| zone.name).collect();
        assert_eq!(orphans, [""]);
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = ZONES.iter().map(|zone| zone.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ZONES.len());
    }

    #[test]
    fn status_follows_the_delegations() {
        assert_eq!(zone("alg8.test").status(), Status::Secure);
        assert_eq!(zone("insecure.nsec3.test").status(), Status::Insecure);
        assert_eq!(zone("badds.test").status(), Status::Bogus);
        assert_eq!(zone("badsig.test").status(), Status::Secure);
    }
}
