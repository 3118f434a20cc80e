//! Reads the path from a question through a response: along aliases to the answer, the denial, or where it breaks off
//! (RFC 1034 §3.6.2, RFC 6672).
//!
//! In: a response and a question. Out: the claims that the response makes, in the order of the path. Believes none of
//! them: [`super::validation`] has each judged. Sets off the path are not mentioned, and so never judged nor passed on.

use super::judge::negative_ttl_s;
use crate::wire::{Name, Question, RCode, RecordType, Response, RrSet};

/// One thing that a response says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// The set with this number in the answer section.
    Set {
        /// Its number.
        index: usize,
        /// The CNAME that follows from it, if it is a DNAME.
        synthesised: Option<RrSet>,
    },
    /// Signatures without the sets that they sign, at a name: nothing can verify them.
    BareSignatures {
        /// The name.
        owner: Name,
    },
    /// That this does not exist.
    Denial {
        /// What.
        question: Question,
    },
}

/// Where the path ends in a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With the answer or its denial, and this RCODE.
    Final(RCode),
    /// With an alias to a name that the response says nothing about.
    Continues(Question),
}

/// What a response says about a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// What it says, in the order of the path.
    pub(super) claims: Vec<Claim>,
    /// Names that its aliases lead to.
    pub(super) targets: Vec<Name>,
    /// Where the path ends.
    pub(super) end: End,
}

/// For a name, the zone that is known to be there above it, if there is one: a DNAME has no zones below it, so one further up
/// is not true.
pub(super) type Floor<'a> = &'a dyn Fn(&Name) -> Option<Name>;

/// Reads a response. Follows at most `hops_max` aliases and no loops; the caller tells from the number of targets.
/// `visited` are the names that earlier responses have led to, `floor` says above what no DNAME counts.
///
/// None if the aliases loop.
pub(super) fn read(
    response: &Response,
    question: &Question,
    visited: &[Name],
    hops_max: usize,
    floor: Floor<'_>,
) -> Option<Reading> {
    let mut claims = Vec::new();
    let mut targets: Vec<Name> = Vec::new();
    let mut at = question.qname.clone();
    let qtype = question.qtype;
    // A server that denies an alias that was asked for has followed it: its RCODE is about where the alias leads (RFC 6604 §3).
    // Choice: it is taken at its word, which is proven like every other, as by Unbound.
    let chases = qtype == RecordType::CNAME && response.rcode == RCode::NXDOMAIN;
    while targets.len() <= hops_max {
        let alias = if chases || follows_aliases(qtype) { alias_at(response, &at, floor) } else { None };
        if (!chases || alias.is_none())
            && let Some(end) = terminal(response, &at, qtype, &mut claims, floor)
        {
            return Some(Reading { claims, targets, end });
        }
        let Some(alias) = alias else { break };
        claims.push(Claim::Set { index: alias.index, synthesised: alias.synthesised });
        let Some(target) = alias.target else {
            return Some(Reading { claims, targets, end: End::Final(RCode::YXDOMAIN) });
        };
        if target == question.qname || targets.contains(&target) || visited.contains(&target) {
            return None;
        }
        targets.push(target.clone());
        at = target;
    }
    let rest = Question::new(at, qtype);
    if !targets.is_empty() && !denies(response, &rest.qname) {
        return Some(Reading { claims, targets, end: End::Continues(rest) });
    }
    claims.push(Claim::Denial { question: rest });
    Some(Reading { claims, targets, end: End::Final(response.rcode) })
}

/// Claims the sets that answer the question at `at`, if there are any.
fn terminal(
    response: &Response,
    at: &Name,
    qtype: RecordType,
    claims: &mut Vec<Claim>,
    floor: Floor<'_>,
) -> Option<End> {
    let here = || response.answer.iter().enumerate().filter(|(_, set)| set.owner == *at);
    let before = claims.len();
    match qtype {
        RecordType::RRSIG => {
            if here().next().is_some() {
                claims.push(Claim::BareSignatures { owner: at.clone() });
            }
        }
        RecordType::ANY => {
            let full = here().filter(|(_, set)| !set.rdatas.is_empty());
            claims.extend(full.map(|(index, _)| set_claim(response, at, index, floor)));
        }
        _ => {
            // Where a name has both, which must not be (RFC 2181 §10.1), the server's order decides.
            let may_end = |set: &RrSet| set.rtype == qtype || set.rtype == RecordType::CNAME && follows_aliases(qtype);
            let found = here().find(|(_, set)| may_end(set) && !set.rdatas.is_empty());
            let found = found.filter(|(_, set)| set.rtype == qtype);
            claims.extend(found.map(|(index, _)| set_claim(response, at, index, floor)));
        }
    }
    (claims.len() > before).then_some(End::Final(RCode::NOERROR))
}

/// The claim that the set makes; for a CNAME that was made from a DNAME, that of the DNAME.
fn set_claim(response: &Response, at: &Name, index: usize, floor: Floor<'_>) -> Claim {
    let set = response.answer.get(index);
    if let Some(set) = set.filter(|set| set.rtype == RecordType::CNAME && set.signatures.is_empty())
        && let Some(dname) = dname_above(response, at, floor)
        && let Some(synthesised) = dname.synthesised.filter(|made| says_the_same(set, made))
    {
        return Claim::Set { index: dname.index, synthesised: Some(synthesised) };
    }
    Claim::Set { index, synthesised: None }
}

/// Whether two sets have the same RDATA but for letter case.
fn says_the_same(set: &RrSet, made: &RrSet) -> bool {
    set.rdatas.len() == made.rdatas.len() && set.rdatas.iter().zip(&made.rdatas).all(|(a, b)| a.eq_ignore_ascii_case(b))
}

struct Alias {
    index: usize,
    synthesised: Option<RrSet>,
    /// None if a DNAME makes a name that is too long (RFC 6672 §2.2).
    target: Option<Name>,
}

/// The alias at a name: its own CNAME, or what a DNAME above makes of it.
fn alias_at(response: &Response, at: &Name, floor: Floor<'_>) -> Option<Alias> {
    let cname = response
        .answer
        .iter()
        .enumerate()
        .find(|(_, set)| set.owner == *at && set.rtype == RecordType::CNAME && !set.rdatas.is_empty());
    let Some((index, set)) = cname else { return dname_above(response, at, floor) };
    if let Claim::Set { index, synthesised: Some(synthesised) } = set_claim(response, at, index, floor) {
        let target = target_of(&synthesised);
        return Some(Alias { index, synthesised: Some(synthesised), target });
    }
    // More than one CNAME at a name is no alias (RFC 2181 §10.1); neither is a malformed one.
    let target = if set.rdatas.len() == 1 { target_of(set) } else { None };
    target.map(|target| Alias { index, synthesised: None, target: Some(target) })
}

/// The alias that the closest DNAME above `at` makes.
fn dname_above(response: &Response, at: &Name, floor: Floor<'_>) -> Option<Alias> {
    let floor = floor(at);
    let counts = |owner: &Name| at.is_below(owner) && floor.as_ref().is_none_or(|floor| owner.is_at_or_below(floor));
    let dnames = response
        .answer
        .iter()
        .enumerate()
        .filter(|(_, set)| set.rtype == RecordType::DNAME && set.rdatas.len() == 1 && counts(&set.owner));
    let (index, dname) = dnames.max_by_key(|(_, set)| set.owner.label_count())?;
    let target = at.moved(&dname.owner, &target_of(dname)?);
    let synthesised = target.as_ref().map(|target| RrSet {
        owner: at.clone(),
        rtype: RecordType::CNAME,
        ttl_s: dname.ttl_s,
        rdatas: vec![target.wire().into()],
        signatures: Vec::new(),
    });
    Some(Alias { index, synthesised, target })
}

/// The one name that the RDATA of a CNAME or DNAME is.
fn target_of(set: &RrSet) -> Option<Name> {
    set.rdatas.first().and_then(|rdata| Name::from_wire(rdata).ok())
}

/// Whether an alias at the name answers for this type (RFC 1034 §3.6.2, RFC 4035 §2.5).
fn follows_aliases(qtype: RecordType) -> bool {
    !matches!(qtype, RecordType::CNAME | RecordType::ANY | RecordType::RRSIG)
}

/// Whether the response, after following aliases to `at`, speaks about `at`: only then is it a denial, and not an answer
/// that breaks off.
fn denies(response: &Response, at: &Name) -> bool {
    response.authority.iter().any(|set| set.rtype == RecordType::SOA && at.is_at_or_below(&set.owner))
}

/// The SOA that an insecure denial at `at` comes with, TTL capped to that of negative answers.
pub(super) fn soa_for(response: &Response, at: &Name) -> Option<RrSet> {
    let soa = response
        .authority
        .iter()
        .find(|set| set.rtype == RecordType::SOA && !set.rdatas.is_empty() && at.is_at_or_below(&set.owner))?;
    Some(RrSet { ttl_s: negative_ttl_s(soa), ..soa.clone() })
}
