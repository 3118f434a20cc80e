//! What the operator says about names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cache::{TTL, TTL_S_MAX};
use super::domains::{domains, name};
use super::option::{OptionSpec, PATH, address, flag, number, path, value};
use super::servers::{ServerEntry, ServerTarget};
use super::syntax::reveal;
use super::{ConfigError, Origin, Problem, hosts, records};
use crate::local::{
    AddressRange, BuildError, Cname, HostLine, LocalData, LocalRecord, LocalSource, RuleKind, SubnetDomain, SynthDomain,
};
use crate::wire::{DomainPattern, Name, PRIVATE_REVERSE_ZONES, RecordType};

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
    /// Those of them, `/etc/hosts`, and files in a directory, that could not be read.
    pub(super) unreadable: Vec<PathBuf>,
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
        let own = (!self.no_hosts).then_some(Path::new(HOSTS));
        let mut read = hosts::Read::default();
        for path in own.into_iter().chain(self.files.iter().map(PathBuf::as_path)) {
            hosts::read(path, &mut read);
        }
        source.hosts.append(&mut read.hosts);
        warnings.append(&mut read.warnings);
        self.unreadable = read.unreadable;
        if let Some(domain) = &source.domain {
            for record in source.records.iter_mut().filter(|record| record.rtype == RecordType::SRV) {
                records::complete_srv(&mut record.owner, domain);
            }
        }
        let built = LocalData::build(&source).map_err(|error| ConfigError {
            origin: Origin::Whole,
            option: if error == BuildError::TooManyNames { "addn-hosts" } else { "cname" }.to_owned(),
            value: None,
            problem: Problem::Local(error),
        });
        self.data = Arc::new(built?);
        Ok(())
    }

    /// Takes note of domains with servers of their own, or none: the longest domain decides over them and `address` together.
    pub(super) fn take_servers<'a>(&mut self, entries: impl Iterator<Item = &'a ServerEntry>) {
        for entry in entries {
            let kind = match entry.target {
                ServerTarget::LocalOnly => RuleKind::LocalOnly,
                ServerTarget::Usual | ServerTarget::Server(_) | ServerTarget::Stub(_) => RuleKind::Forwarded,
            };
            self.source.rules.extend(entry.own_domains().map(|domain| (domain.clone(), kind)));
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, load};
    use crate::wire::{RecordType, rdata_text};

    fn loaded(options: &[&str]) -> Result<Config, Vec<ConfigError>> {
        let dashed = options.iter().map(|option| format!("--{option}"));
        let others = ["--no-resolv", "--server=::1", "--xdp=off", "--no-hosts"].map(str::to_owned);
        load(&others.into_iter().chain(dashed).collect::<Vec<_>>())
    }

    /// What is answered under these options.
    fn answer(options: &[&str], qname: &str, qtype: u16) -> String {
        let config = loaded(options).unwrap_or_else(|errors| panic!("{options:?}: {errors:?}"));
        let answer = config.local.data.answer(name(qname).unwrap().wire(), RecordType(qtype));
        let Some(answer) = answer else { return "elsewhere".to_owned() };
        let record =
            |record: &crate::wire::Record| format!("{} {}", record.ttl_s, rdata_text(record.rtype, &record.rdata));
        let records: Vec<String> = answer.records.iter().map(record).collect();
        if records.is_empty() { answer.rcode.to_string() } else { records.join(" | ") }
    }

    #[test]
    fn every_record_option_makes_its_record() {
        for (option, qname, qtype, expected) in [
            ("host-record=hr.x,hr,10.9.9.9,fd00::99,77", "hr.x", 1, "77 10.9.9.9"),
            ("host-record=hr.x,hr,10.9.9.9,fd00::99,77", "hr", 28, "77 fd00::99"),
            ("host-record=hr.x,10.9.9.9", "9.9.9.10.in-addr.arpa", 12, "0 hr.x."),
            ("cname=a.x,b.x,c.y,50", "b.x", 5, "50 c.y."),
            ("cname=a.x,12", "a.x", 5, "0 12."),
            ("txt-record=t.x", "t.x", 16, "0 \"\""),
            ("txt-record=t.x,one , two", "t.x", 16, "0 \"one \" \" two\""),
            ("ptr-record=_http._tcp.x,y.x", "_http._tcp.x", 12, "0 y.x."),
            ("srv-host=_ldap._tcp.x,gw.x,389,5,6", "_ldap._tcp.x", 33, "0 5 6 389 gw.x."),
            ("srv-host=_none._tcp.x", "_none._tcp.x", 33, "0 0 0 1 ."),
            ("mx-host=m.x,mail.x,50", "m.x", 15, "0 50 mail.x."),
            ("mx-host=m.x,mail.x", "m.x", 15, "0 1 mail.x."),
            ("naptr-record=n.x,10,20,S,SIP+D2U,!a!b!,_sip.x", "n.x", 35, "0 10 20 \"S\" \"SIP+D2U\" \"!a!b!\" _sip.x."),
            ("naptr-record=n.x,10,20,S,SIP+D2U,!a!b!", "n.x", 35, "0 10 20 \"S\" \"SIP+D2U\" \"!a!b!\" ."),
            ("caa-record=c.x,0,issue,ca.example", "c.x", 257, "0 \\# 17 0005697373756563612e6578616d706c65"),
            ("dns-rr=r.x,13,0161", "r.x", 13, "0 \\# 2 0161"),
            ("dns-rr=r.x,65399,01:23:45", "r.x", 65399, "0 \\# 3 012345"),
            ("address=/a.x/b.x/10.1.1.1", "q.b.x", 1, "0 10.1.1.1"),
            ("address=/a.x/#", "a.x", 28, "0 ::"),
            ("address=/a.x/", "a.x", 16, "NXDOMAIN"),
            ("address=/#/10.1.1.2", "any.where", 1, "0 10.1.1.2"),
            ("address=10.1.1.2", "any.where", 1, "0 10.1.1.2"),
            ("address=//10.1.1.3", "single", 1, "0 10.1.1.3"),
            ("address=//10.1.1.3", "two.words", 1, "elsewhere"),
            ("address=/*foo.x/10.1.1.4", "barfoo.x", 1, "0 10.1.1.4"),
            ("address=/*.foo.x/10.1.1.4", "foo.x", 1, "elsewhere"),
            ("address=/.foo.x/10.1.1.5", "foo.x", 1, "0 10.1.1.5"),
            ("synth-domain=s.x,10.2.0.0/16,ip-", "ip-10-2-3-4.s.x", 1, "0 10.2.3.4"),
            ("synth-domain=s.x,10.2.0.5,10.2.0.9,n*", "n2.s.x", 1, "0 10.2.0.7"),
            ("domain=l.x,10.44.0.0/16,local", "q.l.x", 1, "NXDOMAIN"),
            ("domain=l.x,10.44.0.0/16,local", "3.3.44.10.in-addr.arpa", 12, "NXDOMAIN"),
            ("domain=l.x,10.44.0.0/16", "q.l.x", 1, "elsewhere"),
            ("bogus-priv", "3.3.44.10.in-addr.arpa", 12, "NXDOMAIN"),
            ("domain-needed", "single", 28, "NXDOMAIN"),
            ("filterwin2k", "x.y", 6, "NOERROR"),
        ] {
            assert_eq!(answer(&[option], qname, qtype), expected, "{option}: {qname} {qtype}");
        }
        assert_eq!(answer(&["local-ttl=9", "txt-record=t.x,a"], "t.x", 16), "9 \"a\"");
        assert_eq!(answer(&["txt-record=t.x,a", "local-ttl=9"], "t.x", 16), "9 \"a\"", "in either order");
        assert_eq!(answer(&["srv-host=_a._tcp,b.x", "domain=d.x"], "_a._tcp.d.x", 33), "0 0 0 1 b.x.");
    }

    #[test]
    fn wrong_values_are_told_with_what_is_wrong() {
        for (option, expected) in [
            ("address=/x/y", "is no IP address"),
            ("address=/x/1.2.3.4#53", "is no IP address"),
            ("address=/x/1.2.3.4,5.6.7.8", "is no IP address"),
            ("address=/x", "no slash after the domain"),
            ("address=/a..b/", "a..b"),
            ("address=/b\u{fc}cher/", "xn--"),
            ("host-record=x", "missing"),
            ("host-record=1.2.3.4", "missing"),
            ("host-record=a..b,1.2.3.4", "a..b"),
            ("host-record=x,1.2.3.4,99999999999", "TTL"),
            ("cname=a", "a target is missing"),
            ("cname=a,a", "lead in a circle"),
            ("srv-host=a,b,c", "port"),
            ("srv-host=a,b,1,2,3,4", "too many"),
            ("ptr-record=a", "1 fields, not 2"),
            ("mx-host=a", "target is missing"),
            ("mx-host=a,b,70000", "preference"),
            ("naptr-record=a,b", "fields, not 6 or 7"),
            ("caa-record=a,300,issue,x", "flags"),
            ("caa-record=a,0,iss-ue,x", "letters and digits"),
            ("dns-rr=a,TXT,00", "not a number"),
            ("dns-rr=a,51,0g", "not hexadecimal"),
            ("dns-rr=a,51,012", "half a byte"),
            ("dns-rr=a,255,00", "no type that records have"),
            ("local-ttl=x", "not a number"),
            ("domain=#", "search list"),
            ("domain=a,eth0", "interfaces are not supported"),
            ("domain=a,10.0.0.0/25,local", "multiple of 8"),
            ("synth-domain=a", "a range is missing"),
            ("synth-domain=a,10.0.0.9,10.0.0.1", "no addresses from"),
            ("rebind-domain-ok=/x", "no slash after"),
            ("filter-rr=FOO", "is no record type"),
            ("bogus-nxdomain=1.2.3.4/33", "longer than the address"),
            ("min-cache-ttl=3601", "out of range; legal: seconds, 0..=3600"),
            ("alias=1.2.3.4,5.6.7.8", "not supported: addresses are not rewritten"),
            ("localise-queries", "not supported"),
            ("interface-name=a,lo", "not supported"),
            ("selfmx", "not supported"),
        ] {
            let errors = loaded(&[option]).map(|_| ()).expect_err(option);
            let text: String = errors.iter().map(|error| format!("{error}\n")).collect();
            assert!(text.contains(expected), "{option}: {text}");
        }
    }

    #[test]
    fn options_that_say_the_same_are_equal_and_others_are_not() {
        let data = |options: &[&str]| loaded(options).unwrap().local.data;
        let (a, b) = ("host-record=a.x,10.0.0.1", "txt-record=a.x,t");
        assert_eq!(data(&[a, b]), data(&[b, a]));
        assert_ne!(data(&[a]), data(&[a, b]));
        assert_ne!(data(&["address=/x/"]), data(&["address=/x/#"]));
        assert_ne!(data(&[]), data(&["bogus-priv"]));
    }

    #[test]
    fn private_reverse_zones_need_no_proof_with_bogus_priv() {
        let negative = |options: &[&str]| loaded(options).unwrap().dnssec.negative_anchors.len();
        assert_eq!(negative(&["dnssec"]), 0);
        assert_eq!(negative(&["dnssec", "bogus-priv"]), PRIVATE_REVERSE_ZONES.len());
        assert_eq!(negative(&["bogus-priv"]), 0);
    }

    #[test]
    fn hosts_files_are_read_and_what_is_wrong_in_them_is_warned_of() {
        let folder = std::env::temp_dir().join(format!("resolver-hosts-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("one"), "10.0.0.1 one\nbad line\nworse\n").unwrap();
        std::fs::write(folder.join("two~"), "10.0.0.2 two\n").unwrap();
        let option = format!("addn-hosts={}", folder.display());
        let config = loaded(&[&option, "addn-hosts=/no/such/file"]).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(config.local.data.name_count(), 2, "a name and an address");
        let warnings = config.warnings.join("\n");
        assert!(warnings.contains("one:2: line left out: \"bad\" is no IP address, and 1 more lines"), "{warnings}");
        assert!(warnings.contains("/no/such/file"), "{warnings}");
    }

    #[test]
    fn ttl_options_are_read() {
        let keeping = |options: &[&str]| loaded(options).unwrap().cache.keeping;
        let read = keeping(&["min-cache-ttl=200", "max-cache-ttl=3000", "max-ttl=40", "neg-ttl=7", "no-negcache"]);
        assert_eq!((read.ttl_s_min, read.ttl_s_max, read.shown_ttl_s_max), (200, Some(3000), Some(40)));
        assert_eq!((read.negative_ttl_s, read.keeps_negative, read.stale_max), (7, false, None));
        assert_eq!(keeping(&["max-ttl=0", "max-cache-ttl=0"]), keeping(&[]));
        let stale_s = |option: &str| keeping(&[option]).stale_max.unwrap().as_secs();
        assert_eq!((stale_s("use-stale-cache"), stale_s("use-stale-cache=60")), (86_400, 60));
        assert_eq!(keeping(&["use-stale-cache=0"]).stale_max_ns(), Some(u64::MAX));
        assert!(loaded(&["cache-rr=TXT,64,ANY"]).is_ok());
    }

    #[test]
    fn filter_options_are_read() {
        let config =
            loaded(&["stop-dns-rebind", "rebind-domain-ok=/a.x/b.x/", "rebind-domain-ok=c.x", "filter-rr=MX,99"]);
        let filters = config.unwrap().filter.filters();
        assert_eq!(filters.types, [RecordType::MX, RecordType(99)]);
        assert_eq!(filters.rebind.unwrap().domains_allowed.len(), 3);
        let config = loaded(&["rebind-localhost-ok", "filter-A", "filter-AAAA", "filter-rr=ANY"]).unwrap();
        assert!(config.warnings.iter().any(|warning| warning.contains("stop-dns-rebind")), "{:?}", config.warnings);
        let filters = config.filter.filters();
        assert_eq!((filters.types, filters.rebind), (vec![RecordType::A, RecordType::AAAA], None));
    }
}
