//! What the zones hold, and what a validating resolver must make of questions about it.
//!
//! In: a row of [`super::zones::ZONES`]. Out: its zone file before signing, and its questions with their answers. Both
//! come from the same record sets, so they cannot disagree.

use std::fmt::Write as _;

use super::{
    facts::{Question, Reply},
    topology,
    zones::{AliasOutcome, Content, Defect, Server, Signing, Status, Zone},
};

/// The records of one owner and type.
struct RecordSet {
    /// Relative to the zone; `@` is the zone itself.
    owner: String,
    /// Seconds.
    ttl_s: u32,
    /// In letters, or `TYPE65400`.
    rtype: &'static str,
    /// One per record, in zone file form.
    rdata: Vec<String>,
}

/// The zone file before signing. `ds` gives the DS record of a child, if it is signed.
pub fn zone_file(zone: &Zone, ds: impl Fn(&Zone) -> Option<String>) -> String {
    let mut text = format!("$ORIGIN {}\n", zone.fqdn());
    let serial = 1;
    let _ = writeln!(text, "@ {TTL_S} IN SOA ns1 hostmaster {serial} 3600 600 86400 {TTL_S}");
    text += &name_servers(zone.server, "");
    for set in record_sets(zone) {
        for rdata in &set.rdata {
            let _ = writeln!(text, "{} {} IN {} {rdata}", set.owner, set.ttl_s, set.rtype);
        }
    }
    for alias in zone.aliases {
        let _ = writeln!(text, "{} {TTL_S} IN CNAME {}", alias.owner, alias.target);
    }
    for child in zone.children() {
        let owner = relative(child, zone);
        text += &name_servers(child.server, &owner);
        if let Some(ds) = ds(child) {
            let _ = writeln!(text, "{ds}");
        }
    }
    text
}

/// NS records of a zone with their addresses, as the zone itself and its parent have them.
pub fn name_servers(server: Server, owner: &str) -> String {
    let mut text = String::new();
    let apex = if owner.is_empty() { "@" } else { owner };
    for (index, host) in topology::hosts_of(server).iter().enumerate() {
        let name = format!("ns{}{}{owner}", index + 1, if owner.is_empty() { "" } else { "." });
        let _ = writeln!(text, "{apex} {TTL_S} IN NS {name}");
        let _ = writeln!(text, "{name} {TTL_S} IN A {}", topology::auth_ipv4(*host));
        let _ = writeln!(text, "{name} {TTL_S} IN AAAA {}", topology::auth_ipv6(*host));
    }
    text
}

/// Name of a child relative to its parent.
fn relative(child: &Zone, parent: &Zone) -> String {
    let name = child.name.strip_suffix(parent.name).unwrap_or(child.name);
    name.trim_end_matches('.').to_owned()
}

/// Authoritative data of a zone besides its servers, CNAMEs and delegations.
fn record_sets(zone: &Zone) -> Vec<RecordSet> {
    match zone.content {
        Content::Delegations | Content::Zoo => Vec::new(),
        Content::Small => SMALL.iter().map(RecordSet::from).collect(),
        Content::Sampler => sampler(zone),
        Content::Hosts(count) => (0..count).flat_map(host).collect(),
    }
}

/// One of every kind.
fn sampler(zone: &Zone) -> Vec<RecordSet> {
    let mut sets: Vec<RecordSet> = SMALL.iter().chain(SAMPLER).map(RecordSet::from).collect();
    for count in [1, 3, 8] {
        let owner = format!("multi{count}");
        let v4 = (1..=count).map(|last| format!("198.51.100.{last}")).collect();
        let v6 = (1..=count).map(|last| format!("2001:db8:100::{last:x}")).collect();
        sets.push(RecordSet { owner: owner.clone(), ttl_s: TTL_S, rtype: "A", rdata: v4 });
        sets.push(RecordSet { owner, ttl_s: TTL_S, rtype: "AAAA", rdata: v6 });
    }
    let strings: Vec<String> = ('a'..='f').map(|letter| format!("\"{}\"", letter.to_string().repeat(250))).collect();
    sets.push(RecordSet { owner: "large".into(), ttl_s: TTL_S, rtype: "TXT", rdata: vec![strings.join(" ")] });
    sets.push(RecordSet { owner: long_owner(zone), ttl_s: TTL_S, rtype: "A", rdata: vec!["192.0.2.250".into()] });
    sets
}

/// An owner that makes a name of [`LONG_NAME_LEN`] letters and dots.
fn long_owner(zone: &Zone) -> String {
    let mut left = LONG_NAME_LEN - zone.fqdn().len() - 1;
    let mut labels = Vec::new();
    while left > 0 {
        // A last label of nothing would be two dots in a row.
        let label = if left == 64 { 62 } else { left.min(63) };
        labels.push("l".repeat(label));
        left = (left - label).saturating_sub(1);
    }
    labels.join(".")
}

/// Both addresses of a generated host.
fn host(number: u16) -> [RecordSet; 2] {
    let owner = format!("h{number:04}");
    let v4 = format!("198.18.{}.{}", number / 250, number % 250 + 1);
    let v6 = format!("2001:db8:18::{number:x}");
    [
        RecordSet { owner: owner.clone(), ttl_s: TTL_S, rtype: "A", rdata: vec![v4] },
        RecordSet { owner, ttl_s: TTL_S, rtype: "AAAA", rdata: vec![v6] },
    ]
}

/// Questions about a zone, each with what a validating resolver must answer.
pub fn questions(zone: &Zone) -> Vec<Question> {
    let asking = Asking { zone };
    let mut questions = vec![asking.positive("@", "SOA", 1)];
    questions.push(asking.positive("@", "NS", topology::hosts_of(zone.server).len()));
    if zone.signing != Signing::Unsigned {
        // One key signing keys, one signing zone data.
        questions.push(asking.positive("@", "DNSKEY", 2));
    }
    // A thousand hosts are alike: the first few stand for all.
    let sets = record_sets(zone).into_iter().take(RECORD_SETS_ASKED_MAX);
    questions.extend(sets.map(|set| asking.positive(&set.owner, set.rtype, set.rdata.len())));
    questions.push(asking.denied("@", "TYPE65399", Reply::NoData));
    questions.push(asking.denied("nowhere", "A", Reply::NxDomain));
    questions.push(asking.denied("c.b.a.nowhere", "AAAA", Reply::NxDomain));
    if matches!(zone.content, Content::Small | Content::Sampler) {
        questions.push(asking.denied("www", "MX", Reply::NoData));
        questions.push(asking.denied("below.www", "A", Reply::NxDomain));
    }
    if zone.content == Content::Sampler {
        questions.push(asking.denied("ent", "A", Reply::NoData));
    }
    questions.extend(zone.aliases.iter().map(|alias| {
        let (reply, answers) = match alias.outcome {
            AliasOutcome::Address => (Reply::Answer, 1),
            AliasOutcome::NoData => (Reply::NoData, 0),
            AliasOutcome::NxDomain => (Reply::NxDomain, 0),
        };
        // A defect elsewhere: which extended error it makes is told by that zone.
        Question::new(zone.below(alias.owner), "A", reply, answers, alias.status, None)
    }));
    questions.extend(zone.children().map(|child| asking.delegation(child)));
    questions
}

/// Makes questions about one zone.
struct Asking<'a> {
    zone: &'a Zone,
}

impl Asking<'_> {
    /// A question that has an answer.
    fn positive(&self, owner: &str, rtype: &'static str, answers: usize) -> Question {
        let damaged = match self.zone.defect {
            Defect::WrongSignature { owner: wrong, rtype: wrong_type } => (owner, rtype) == (wrong, wrong_type),
            _ => false,
        };
        let status = if damaged { Status::Bogus } else { self.zone.status() };
        self.question(owner, rtype, Reply::Answer, answers, status)
    }

    /// A question about what is not there. What an opt-out span covers is not secure (RFC 5155 §9.2).
    fn denied(&self, owner: &str, rtype: &'static str, reply: Reply) -> Question {
        let opt_out = matches!(self.zone.signing, Signing::Nsec3OptOut(_)) && reply == Reply::NxDomain;
        self.question(owner, rtype, reply, 0, if opt_out { Status::Insecure } else { self.zone.status() })
    }

    /// The question for a child's DS, which the parent answers.
    fn delegation(&self, child: &Zone) -> Question {
        let owner = relative(child, self.zone);
        match (child.signing, self.zone.signing) {
            (Signing::Unsigned, Signing::Nsec3OptOut(_)) => {
                self.question(&owner, "DS", Reply::NoData, 0, Status::Insecure)
            }
            (Signing::Unsigned, _) => self.denied(&owner, "DS", Reply::NoData),
            _ => self.positive(&owner, "DS", 1),
        }
    }

    /// The question, with the zone's defect as extended error where the answer is bogus.
    fn question(&self, owner: &str, rtype: &str, reply: Reply, answers: usize, status: Status) -> Question {
        let error = self.zone.defect.extended_error().filter(|_| status == Status::Bogus);
        Question::new(self.zone.below(owner), rtype, reply, answers, status, error)
    }
}

/// A record set as the tables below write it.
struct Sample(&'static str, u32, &'static str, &'static [&'static str]);

impl From<&Sample> for RecordSet {
    fn from(sample: &Sample) -> Self {
        let &Sample(owner, ttl_s, rtype, rdata) = sample;
        Self { owner: owner.to_owned(), ttl_s, rtype, rdata: rdata.iter().map(ToString::to_string).collect() }
    }
}

/// Length of the longest name, with all its dots. A name may have 254 (RFC 1035 §3.1).
const LONG_NAME_LEN: usize = 250;

/// How many record sets of one zone are asked for.
const RECORD_SETS_ASKED_MAX: usize = 40;

/// TTL of almost everything, and of negative answers, in seconds. Longer than a run of the tests, as the upstreams are shared.
pub const TTL_S: u32 = 3600;

/// TTL of `short`, in seconds.
const SHORT_TTL_S: u32 = 5;

/// What every zone with hosts has.
const SMALL: &[Sample] = &[
    Sample("@", TTL_S, "A", &["192.0.2.1"]),
    Sample("www", TTL_S, "A", &["192.0.2.80"]),
    Sample("www", TTL_S, "AAAA", &["2001:db8::80"]),
    Sample("text", TTL_S, "TXT", &["\"a validated text\""]),
];

/// What a sampler has besides. Upper case in names and RDATA is on purpose: RFC 4034 §6.2 lowers some of it.
const SAMPLER: &[Sample] = &[
    Sample("short", SHORT_TTL_S, "A", &["192.0.2.5"]),
    Sample("@", TTL_S, "MX", &["10 mail", "20 MAIL2.Upper"]),
    Sample("@", TTL_S, "TXT", &["\"v=spf1 -all\"", "\"second text\""]),
    Sample("@", TTL_S, "CAA", &["0 issue \"ca.example\"", "128 iodef \"mailto:hostmaster@ca.example\""]),
    Sample("mail", TTL_S, "A", &["192.0.2.25"]),
    Sample("mail", TTL_S, "AAAA", &["2001:db8::25"]),
    Sample("MiXeD", TTL_S, "A", &["192.0.2.77"]),
    Sample("_dns._udp", TTL_S, "SRV", &["0 5 53 Www", "1 5 5353 mail"]),
    Sample("www", TTL_S, "HTTPS", &["1 . alpn=h2,h3 ipv4hint=192.0.2.80 ipv6hint=2001:db8::80"]),
    Sample("_853._dot", TTL_S, "SVCB", &["1 www alpn=dot port=853"]),
    Sample("_443._tcp.www", TTL_S, "TLSA", &["3 1 1 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]),
    Sample("www", TTL_S, "SSHFP", &["4 2 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]),
    Sample("enum", TTL_S, "NAPTR", &["100 10 \"S\" \"SIP+D2U\" \"\" _SIP._UDP"]),
    Sample("pointer", TTL_S, "PTR", &["WWW"]),
    Sample("unknown", TTL_S, "TYPE65400", &["\\# 4 0A000001"]),
    Sample("leaf.ent", TTL_S, "A", &["192.0.2.44"]),
];

#[cfg(test)]
mod tests {
    use super::{super::zones::ZONES, *};

    #[test]
    fn the_long_name_is_as_long_as_it_says() {
        for zone in ZONES.iter().filter(|zone| zone.content == Content::Sampler) {
            let name = zone.below(&long_owner(zone));
            assert_eq!(name.len(), LONG_NAME_LEN, "{name}");
            assert!(name.trim_end_matches('.').split('.').all(|label| (1..=63).contains(&label.len())), "{name}");
        }
    }

    #[test]
    fn one_wrong_signature_spoils_one_question() {
        let zone = ZONES.iter().find(|zone| zone.name == "badsig.test").unwrap();
        let bogus: Vec<String> = questions(zone)
            .into_iter()
            .filter(|q| q.status == "bogus")
            .map(|q| format!("{} {}", q.qname, q.qtype))
            .collect();
        assert_eq!(bogus, ["www.badsig.test. A"]);
    }

    #[test]
    fn a_parent_holds_the_ds_of_signed_children_only() {
        let parent = ZONES.iter().find(|zone| zone.name == "nsec.test").unwrap();
        let text = zone_file(parent, |child| (child.signing != Signing::Unsigned).then(|| "a DS".to_owned()));
        assert!(text.contains(&format!("insecure {TTL_S} IN NS ns1.insecure\n")), "{text}");
        assert!(!text.contains("a DS"), "{text}");
    }
}
