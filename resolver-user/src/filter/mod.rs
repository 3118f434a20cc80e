//! Takes out of upstream answers what the operator does not want clients to see.
//!
//! In: a response and the question that led to it. Out: what is left of it and the reason, or nothing if it may pass as it
//! is. What comes out changed has no proof any more: it never carries AD and is never published. CD=1 is no way around it.
//! Refuses: sockets, clocks, and local data, which pass unfiltered as with dnsmasq. Ruled by RFC 6303, RFC 8914 §4.16, §4.18.

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]

mod addresses;

use std::net::IpAddr;

use thiserror::Error;

pub use addresses::{Prefix, is_private};

use crate::wire::{DomainMap, RCode, RecordType, Response, RrSet};
use addresses::{for_each_address, is_service};

/// What is taken out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filters {
    /// `stop-dns-rebind`, with its exceptions.
    pub rebind: Option<RebindFilter>,
    /// `filter-A`, `filter-AAAA`, `filter-rr`: types that no client gets.
    pub types: Vec<RecordType>,
    /// `bogus-nxdomain`: addresses that mean that a name does not exist.
    pub bogus_nxdomain: Vec<Prefix>,
    /// `ignore-address`: a reply with one of these is not taken.
    pub ignored: Vec<Prefix>,
}

/// Private addresses do not come from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RebindFilter {
    /// `rebind-localhost-ok`.
    pub localhost_allowed: bool,
    /// `rebind-domain-ok`: names at and below which they do.
    pub domains_allowed: DomainMap<()>,
}

/// Why something was taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum FilterReason {
    /// A private address from outside.
    #[error("private address from outside (stop-dns-rebind)")]
    Rebind,
    /// An address that means that the name does not exist.
    #[error("bogus-nxdomain address")]
    BogusNxdomain,
    /// Records of a type that no client gets.
    #[error("record type filtered")]
    Type,
    /// The server says that a name does not exist that the operator has given other types for: it exists without this one.
    #[error("name is known here")]
    Known,
}

impl Filters {
    /// Whether a reply with this response is to be passed over as if it had not come.
    pub fn ignores(&self, response: &Response) -> bool {
        has_address(response, |address| self.ignored.iter().any(|prefix| prefix.contains(address)))
    }

    /// What is left of a response and why; none if it may pass as it is.
    pub fn apply(&self, response: &Response) -> Option<(Response, FilterReason)> {
        let bogus = |address| self.bogus_nxdomain.iter().any(|prefix| prefix.contains(address));
        if !self.bogus_nxdomain.is_empty() && has_address(response, bogus) {
            return Some((emptied(response, RCode::NXDOMAIN), FilterReason::BogusNxdomain));
        }
        if let Some(left) = self.rebind.as_ref().and_then(|rebind| rebind.apply(response)) {
            return Some((left, FilterReason::Rebind));
        }
        if self.types.is_empty() || !response.answer.iter().any(|set| self.hides(set)) {
            return None;
        }
        let answer = response.answer.iter().filter(|set| !self.hides(set)).cloned().collect();
        let authority = Vec::new();
        Some((Response { answer, authority, ..response.clone() }, FilterReason::Type))
    }

    /// Whether clients do not get a set. Aliases and signatures are no answers of their own and follow their sets.
    fn hides(&self, set: &RrSet) -> bool {
        self.types.contains(&set.rtype)
    }
}

impl RebindFilter {
    /// What is left of a response; none if it may pass as it is. As with dnsmasq, one private address empties all of it; of
    /// services, whose hints dnsmasq does not know, only the records with such a hint are taken out.
    fn apply(&self, response: &Response) -> Option<Response> {
        let is_forbidden = |address| is_private(address, self.localhost_allowed);
        let is_allowed = || self.domains_allowed.find(response.question.qname.wire()).is_some();
        if !has_address(response, is_forbidden) || is_allowed() {
            return None;
        }
        let mut left = emptied(response, response.rcode);
        for set in &response.answer {
            let mut rdatas = set.rdatas.clone();
            rdatas.retain(|rdata| !names_address(set.rtype, rdata, is_forbidden));
            if rdatas.len() == set.rdatas.len() {
                left.answer.push(set.clone());
                continue;
            }
            if !is_service(set.rtype) || rdatas.is_empty() {
                return Some(emptied(response, RCode::NOERROR));
            }
            // Its signatures are of the whole set.
            left.answer.push(RrSet { rdatas, signatures: Vec::new(), ..set.clone() });
        }
        Some(left)
    }
}

/// The same question without an answer.
fn emptied(response: &Response, rcode: RCode) -> Response {
    Response { question: response.question.clone(), rcode, answer: Vec::new(), authority: Vec::new() }
}

fn has_address(response: &Response, wanted: impl Fn(IpAddr) -> bool) -> bool {
    response.answer.iter().any(|set| set.rdatas.iter().any(|rdata| names_address(set.rtype, rdata, &wanted)))
}

/// Whether one of these addresses is in a record.
fn names_address(rtype: RecordType, rdata: &[u8], wanted: impl Fn(IpAddr) -> bool) -> bool {
    let mut found = false;
    for_each_address(rtype, rdata, |address| found |= wanted(address));
    found
}

#[cfg(test)]
mod tests;
