//! What the operator says about names.

use std::path::PathBuf;
use std::sync::Arc;

use super::cache::{TTL, TTL_S_MAX};
use super::option::{OptionSpec, PATH, address, flag, number, path, value};
use super::syntax::reveal;
use super::{ConfigError, Origin, Problem, hosts, records};
use crate::local::{
    AddressRange, Cname, HostLine, LocalData, LocalRecord, LocalSource, PRIVATE_REVERSE_ZONES, RuleKind, SubnetDomain,
    SynthDomain,
};
use crate::wire::{DomainPattern, Name, RecordType};

/// Where names of hosts are read from without `no-hosts`.
const HOSTS: &str = "/etc/hosts";

/// What the operator says about names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalConfig {
    /// All of it, ready for look-ups. Two configurations that say the same have equal ones.
    pub data: Arc<LocalData>,
    /// What `data` is made from; empty once it is.
    source: LocalSource,
    /// `no-hosts`.
    no_hosts: bool,
    /// `addn-hosts`, `hostsdir`.
    files: Vec<PathBuf>,
}

/// The options.
pub(super) const OPTIONS: &[OptionSpec] = &[
    flag("no-hosts", "do not read /etc/hosts", |config| config.local.no_hosts = true).letter('h'),
    value("addn-hosts", PATH, "read names of hosts from this file, or the files of this directory", |config, value| {
        config.local.files.push(path(value)?);
        Ok(())
    })
    .letter('H'),
    value("hostsdir", PATH, "the same; read at start and at reload, not watched", |config, value| {
        config.local.files.push(path(value)?);
        Ok(())
    }),
    flag("expand-hosts", "single names of hosts files also stand in the domain", |config| {
        config.local.source.expand_hosts = true;
    })
    .letter('E'),
    value("domain", DOMAIN, "the domain of expand-hosts, for all addresses or for a range", |config, value| {
        config.local.take_domain(value)
    })
    .letter('s'),
    value("address", ADDRESS, "answer for these domains and all below", |config, value| {
        config.local.take_address(value)
    })
    .letter('A'),
    value("host-record", HOST_RECORD, "names with addresses, both ways", |config, value| {
        config.local.source.hosts.push(host_record(value)?);
        Ok(())
    }),
    value("cname", CNAME, "aliases of local names", |config, value| config.local.take_cname(value)),
    value("txt-record", "<name>[,<text>…]", "a TXT record", |config, value| take(config, records::txt(value)?))
        .letter('Y'),
    value("ptr-record", "<name>,<target>", "a PTR record", |config, value| take(config, records::ptr(value)?)),
    value("srv-host", records::SRV, "a SRV record; without a target the service is not there", |config, value| {
        take(config, records::srv(value)?)
    })
    .letter('W'),
    value("mx-host", records::MX, "an MX record (preference 1)", |config, value| take(config, records::mx(value)?))
        .letter('m'),
    value("naptr-record", records::NAPTR, "a NAPTR record", |config, value| take(config, records::naptr(value)?)),
    value("caa-record", records::CAA, "a CAA record", |config, value| take(config, records::caa(value)?)),
    value("dns-rr", records::RR, "a record of any type", |config, value| take(config, records::any(value)?)),
    value("synth-domain", SYNTH, "names made from addresses, both ways", |config, value| {
        config.local.source.synths.push(synth_domain(value)?);
        Ok(())
    }),
    value("local-ttl", TTL, "TTL of what is said here (0)", |config, value| {
        config.local.source.ttl_s = number(value, 0, TTL_S_MAX)?;
        Ok(())
    })
    .letter('T'),
    flag("domain-needed", "ask nobody for addresses of single names", |config| {
        config.local.source.domain_needed = true;
    })
    .letter('D'),
    flag("bogus-priv", "ask nobody for names of private addresses (RFC 6303)", |config| {
        config.local.source.bogus_priv = true;
    })
    .letter('b'),
    flag("filterwin2k", "ask nobody for SOA and SRV records", |config| config.local.source.filter_win2k = true)
        .letter('f'),
    flag("no-round-robin", "without effect: the order of records is always kept", |_| ()),
];

const DOMAIN: &str = "<domain>[,<prefix>[,local]] or <domain>,<first address>,<last address>";
const ADDRESS: &str =
    "/<domain>[/<domain>…]/[<IPv4 or IPv6 address>, or # for null addresses, or nothing for NXDOMAIN]";
const HOST_RECORD: &str = "<name>[,<name>…],<address>[,<address>…][,<TTL>]";
const CNAME: &str = "<alias>[,<alias>…],<target>[,<TTL>]";
const SYNTH: &str = "<domain>,<prefix>[,<beginning>[*]] or <domain>,<first address>,<last address>[,<beginning>[*]]";

impl LocalConfig {
    /// What this says that validation must know: with `bogus-priv`, private reverse zones need no proof of being unsigned.
    pub(super) fn unsigned_zones(&self) -> Vec<Name> {
        let zones = PRIVATE_REVERSE_ZONES.iter().filter(|_| self.source.bogus_priv);
        zones.filter_map(|zone| zone.parse().ok()).collect()
    }

    /// Reads the hosts files and makes everything ready for look-ups. Files that cannot be read are warned of.
    pub(super) fn complete(&mut self, warnings: &mut Vec<String>) -> Result<(), ConfigError> {
        let mut source = std::mem::take(&mut self.source);
        if !self.no_hosts {
            hosts::read(HOSTS.as_ref(), &mut source.hosts, warnings);
        }
        for path in &self.files {
            hosts::read(path, &mut source.hosts, warnings);
        }
        if let Some(domain) = &source.domain {
            for record in source.records.iter_mut().filter(|record| record.rtype == RecordType::SRV) {
                records::complete_srv(&mut record.owner, domain);
            }
        }
        let built = LocalData::build(&source).map_err(|error| ConfigError {
            origin: Origin::Whole,
            option: "cname".to_owned(),
            value: None,
            problem: Problem::Local(error),
        });
        self.data = Arc::new(built?);
        Ok(())
    }

    fn take_domain(&mut self, value: &str) -> Result<(), String> {
        let fields: Vec<&str> = value.split(',').map(str::trim).collect();
        let (domain, range) = match fields.as_slice() {
            ["#"] => return Err("the search list of resolv.conf is not read; give the domain".to_owned()),
            [domain] => {
                self.source.domain = Some(name(domain)?);
                return Ok(());
            }
            [domain, prefix] if prefix.contains('/') => (name(domain)?, prefix_range(prefix)?),
            [domain, prefix, "local"] if prefix.contains('/') => {
                let domain = name(domain)?;
                let zone = DomainPattern::Domain(reverse_zone(prefix)?);
                self.source.rules.push((DomainPattern::Domain(domain.clone()), RuleKind::LocalOnly));
                self.source.rules.push((zone, RuleKind::LocalOnly));
                (domain, prefix_range(prefix)?)
            }
            [domain, first, last] => (name(domain)?, range(first, last)?),
            _ => return Err("neither a domain nor one with a range; interfaces are not supported".to_owned()),
        };
        self.source.subnet_domains.push(SubnetDomain { domain, range });
        Ok(())
    }

    fn take_address(&mut self, value: &str) -> Result<(), String> {
        let (patterns, target) =
            if value.starts_with('/') { domains(value)? } else { (vec![DomainPattern::Any], value) };
        let kind = match target {
            "" => RuleKind::LocalOnly,
            "#" => RuleKind::Null,
            _ => RuleKind::Address(address(target)?),
        };
        self.source.rules.extend(patterns.into_iter().map(|pattern| (pattern, kind)));
        Ok(())
    }

    fn take_cname(&mut self, value: &str) -> Result<(), String> {
        let mut fields: Vec<&str> = value.split(',').map(str::trim).collect();
        let ttl_s = take_ttl(&mut fields, 3)?;
        let target = name(fields.pop().unwrap_or_default())?;
        if fields.is_empty() {
            return Err("a target is missing".to_owned());
        }
        for alias in fields {
            self.source.cnames.push(Cname { alias: name(alias)?, target: target.clone(), ttl_s });
        }
        Ok(())
    }
}

/// Keeps a record.
fn take(config: &mut super::Config, record: LocalRecord) -> Result<(), String> {
    config.local.source.records.push(record);
    Ok(())
}

fn host_record(value: &str) -> Result<HostLine, String> {
    let mut fields: Vec<&str> = value.split(',').map(str::trim).collect();
    let ttl_s = take_ttl(&mut fields, 3)?;
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    for field in fields {
        match field.parse() {
            Ok(address) => addresses.push(address),
            Err(_) => names.push(name(field)?),
        }
    }
    if names.is_empty() || addresses.is_empty() {
        return Err("a name or an address is missing".to_owned());
    }
    Ok(HostLine { names, addresses, ttl_s, from_file: false })
}

/// Takes a TTL off the end of at least so many fields, if it is one.
fn take_ttl(fields: &mut Vec<&str>, fields_min: usize) -> Result<Option<u32>, String> {
    let numeric = |field: &&str| !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit());
    match fields.last().filter(|_| fields.len() >= fields_min).copied().filter(numeric) {
        Some(field) => {
            fields.pop();
            number(field, 0, TTL_S_MAX).map(Some).map_err(|what| format!("TTL {field}: {what}"))
        }
        None => Ok(None),
    }
}

fn synth_domain(value: &str) -> Result<SynthDomain, String> {
    let fields: Vec<&str> = value.split(',').map(str::trim).collect();
    let (domain, range, rest) = match fields.as_slice() {
        [domain, prefix, rest @ ..] if prefix.contains('/') => (name(domain)?, prefix_range(prefix)?, rest),
        [domain, first, last, rest @ ..] => (name(domain)?, range(first, last)?, rest),
        _ => return Err("a range is missing".to_owned()),
    };
    let beginning = match rest {
        [] => "",
        [beginning] => beginning,
        _ => return Err("too many fields".to_owned()),
    };
    let numbered = beginning.ends_with('*');
    let prefix = reveal(beginning.trim_end_matches('*')).to_ascii_lowercase();
    if prefix.len() > 20 {
        return Err("more than 20 characters before the address".to_owned());
    }
    Ok(SynthDomain { domain, range, prefix, numbered })
}

fn prefix_range(text: &str) -> Result<AddressRange, String> {
    let (first, len) = text.split_once('/').unwrap_or((text, ""));
    let len = number(len, 0, 128).map_err(|what| format!("prefix length \"{len}\": {what}"))?;
    AddressRange::of_prefix(address(first)?, len).ok_or_else(|| format!("{len} bits are more than the address has"))
}

fn range(first: &str, last: &str) -> Result<AddressRange, String> {
    AddressRange::new(address(first)?, address(last)?).ok_or_else(|| format!("no addresses from {first} to {last}"))
}

/// The reverse zone of a prefix, which must end where labels do.
fn reverse_zone(text: &str) -> Result<Name, String> {
    let (first, len) = text.split_once('/').unwrap_or((text, ""));
    let (first, len): (_, usize) = (address(first)?, number(len, 0, 128)?);
    let (bits, label_bits) = if first.is_ipv4() { (32, 8) } else { (128, 4) };
    if len > bits || !len.is_multiple_of(label_bits) || len == 0 {
        return Err(format!("with \"local\", the length of the prefix must be a multiple of {label_bits}"));
    }
    let whole = crate::local::reverse_name(first).map_err(|error| error.to_string())?;
    whole.strip_left((bits - len) / label_bits).ok_or_else(|| "no zone".to_owned())
}

/// Reads `/domain/…/rest` into its domains and the rest.
pub(super) fn domains(value: &str) -> Result<(Vec<DomainPattern>, &str), String> {
    let inside = value.strip_prefix('/').ok_or("no domain between slashes")?;
    let (list, rest) = inside.rsplit_once('/').ok_or("no slash after the domain")?;
    Ok((patterns(list.split('/'))?, rest.trim()))
}

/// Reads domains: empty for names without dots, `#` for all, `*` for any beginning.
pub(super) fn patterns<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<DomainPattern>, String> {
    texts.into_iter().map(|text| pattern(text.trim())).collect()
}

fn pattern(text: &str) -> Result<DomainPattern, String> {
    match text {
        "" => return Ok(DomainPattern::Undotted),
        "#" => return Ok(DomainPattern::Any),
        _ => {}
    }
    if let Some(partial) = text.strip_prefix('*') {
        let (end, rest) = partial.split_once('.').unwrap_or((partial, "."));
        if end.is_empty() && rest == "." {
            return Ok(DomainPattern::Any);
        }
        return Ok(DomainPattern::Partial { end: reveal(end).into_bytes().into(), rest: name(rest)? });
    }
    Ok(DomainPattern::Domain(name(text.strip_prefix('.').unwrap_or(text))?))
}

/// Reads a name.
pub(super) fn name(text: &str) -> Result<Name, String> {
    let text = reveal(text.trim());
    if !text.is_ascii() {
        return Err(format!("\"{text}\": give the name in its ASCII form, xn--…"));
    }
    text.parse().map_err(|error| format!("name \"{text}\": {error}"))
}
