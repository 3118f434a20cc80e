//! What clients do not get to see of upstream answers.

use super::cache::{TYPES, types};
use super::domains::{domains, patterns};
use super::option::{OptionSpec, address, flag, number, value};
use super::syntax::reveal;
use crate::filter::{Filters, Prefix, RebindFilter};
use crate::wire::RecordType;

/// What clients do not get to see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FilterConfig {
    /// All filters but the one against rebinding.
    pub others: Filters,
    /// `stop-dns-rebind`.
    pub stop_rebind: bool,
    /// `rebind-localhost-ok`, `rebind-domain-ok`.
    pub rebind: RebindFilter,
}

/// The options.
pub(super) const OPTIONS: &[OptionSpec] = &[
    flag("stop-dns-rebind", "take no private addresses from servers", |config| config.filter.stop_rebind = true),
    flag("rebind-localhost-ok", "but take those of localhost", |config| config.filter.rebind.localhost_allowed = true),
    value("rebind-domain-ok", "<domain>, or /<domain>/…/", "but take them for these domains", |config, value| {
        let list = if value.starts_with('/') { domains(value)?.0 } else { patterns([value])? };
        for pattern in list {
            config.filter.rebind.domains_allowed.entry(&pattern, || ());
        }
        Ok(())
    }),
    flag("filter-A", "give clients no A records", |config| config.filter.others.types.push(RecordType::A)),
    flag("filter-AAAA", "give clients no AAAA records", |config| config.filter.others.types.push(RecordType::AAAA)),
    value("filter-rr", TYPES, "give clients no records of these types", |config, value| {
        // ANY is refused as a question (RFC 8482), so it needs no filter.
        config.filter.others.types.extend(types(value)?.into_iter().filter(|rtype| *rtype != RecordType::ANY));
        Ok(())
    }),
    value("bogus-nxdomain", PREFIX, "take answers with these addresses for NXDOMAIN", |config, value| {
        config.filter.others.bogus_nxdomain.push(prefix(value)?);
        Ok(())
    })
    .letter('B'),
    value("ignore-address", PREFIX, "pass over replies with these addresses", |config, value| {
        config.filter.others.ignored.push(prefix(value)?);
        Ok(())
    }),
];

/// What a prefix may be.
const PREFIX: &str = "<IPv4 or IPv6 address>[/<prefix length>]";

impl FilterConfig {
    /// The filters that hold.
    pub fn filters(&self) -> Filters {
        Filters { rebind: self.stop_rebind.then(|| self.rebind.clone()), ..self.others.clone() }
    }

    /// Warns of exceptions without a rule.
    pub(super) fn complete(&self, warnings: &mut Vec<String>) {
        if !self.stop_rebind && self.rebind != RebindFilter::default() {
            warnings.push("rebind-localhost-ok and rebind-domain-ok do nothing without stop-dns-rebind".to_owned());
        }
    }
}

fn prefix(value: &str) -> Result<Prefix, String> {
    let value = reveal(value);
    let Some((text, len)) = value.split_once('/') else { return Ok(Prefix::of(address(&value)?)) };
    let len = number(len, 0, 128)?;
    Prefix::new(address(text)?, len).ok_or_else(|| format!("a prefix of {len} bits is longer than the address"))
}
