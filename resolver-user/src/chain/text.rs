//! A report as text for people.

use std::fmt::Write;

use super::report::{
    AlgorithmReport, AnswerReport, ChainReport, DsReport, KeyReport, ProofReport, SetReport, SignatureReport,
    ZoneReport,
};

/// Longest text of one record, in characters; signatures and keys are longer and tell people nothing.
const RECORD_LEN_MAX: usize = 100;

/// The report, zone by zone, with the verdict last.
pub fn text(report: &ChainReport) -> String {
    let mut out = Out(String::new());
    out.line(0, format_args!("{} {}  checked at {}", report.name, report.rtype, report.checked_at));
    for zone in &report.zones {
        out.blank();
        out.zone(zone);
    }
    for answer in &report.answers {
        out.blank();
        out.answer(answer);
    }
    out.blank();
    let verdict = &report.verdict;
    let reason = verdict.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    out.line(0, format_args!("verdict: {}{reason}", verdict.status));
    let ad = if verdict.authentic { ", AD" } else { "" };
    let ttl = verdict.ttl_s.map(|ttl_s| format!(", kept for {ttl_s} s")).unwrap_or_default();
    out.line(1, format_args!("clients see {}{ad}{ttl}", verdict.rcode));
    if let Some(error) = &verdict.extended_error {
        out.line(1, format_args!("extended error {} ({}): {}", error.code, error.name, error.text));
    }
    out.0
}

struct Out(String);

impl Out {
    fn line(&mut self, depth: usize, text: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _infallible = writeln!(self.0, "{:width$}{text}", "", width = depth * 2);
    }

    fn blank(&mut self) {
        self.0.push('\n');
    }

    fn zone(&mut self, zone: &ZoneReport) {
        let standing = match zone.standing {
            "no-cut" => "no zone starts here".to_owned(),
            "unproven" => "not proven".to_owned(),
            standing => standing.to_owned(),
        };
        let reason = zone.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        self.line(0, format_args!("{}  {standing}{reason}", zone.zone));
        for anchor in &zone.anchors {
            self.ds("anchor", anchor);
        }
        if let Some(ds) = &zone.ds {
            for record in &ds.records {
                self.ds("DS    ", record);
            }
            self.signatures(1, &ds.signatures);
            if ds.signatures.is_empty() {
                self.line(1, format_args!("no RRSIG for {} DS", zone.zone));
            }
        }
        if let Some(proof) = &zone.ds_denial {
            self.proof(proof);
        }
        for set in &zone.aliases {
            self.set(set);
        }
        for key in &zone.dnskey {
            self.key(key);
        }
        self.signatures(1, &zone.dnskey_signatures);
        if zone.dnskey_signatures.is_empty() && !zone.dnskey.is_empty() {
            self.line(1, format_args!("no RRSIG for {} DNSKEY", zone.zone));
        }
        for failure in &zone.failures {
            self.line(1, format_args!("{failure}"));
        }
    }

    fn ds(&mut self, kind: &str, ds: &DsReport) {
        let (algorithm, digest) = (named(ds.algorithm), named(ds.digest_type));
        self.line(1, format_args!("{kind}  {:>5}  {algorithm}  {digest}  {}", ds.key_tag, ds.outcome));
    }

    fn key(&mut self, key: &KeyReport) {
        let vouched = if key.vouched { ", vouched for" } else { "" };
        let signs = if key.signs.is_empty() { "nothing seen".to_owned() } else { key.signs.join(", ") };
        let (algorithm, role) = (named(key.algorithm), key.role);
        let state = format!("{}{vouched}: signs {signs}", key.state);
        self.line(1, format_args!("DNSKEY  {:>5}  {algorithm}  {} bits  {role}  {state}", key.key_tag, key.bits));
    }

    fn signatures(&mut self, depth: usize, signatures: &[SignatureReport]) {
        for one in signatures {
            let from = one.expanded_from.as_ref().map(|name| format!(", expanded from {name}")).unwrap_or_default();
            let left = validity(one.validity_left_s);
            self.line(
                depth,
                format_args!(
                    "RRSIG   {:>5}  {}  {} by {}  {} to {}, {left}  {}{from}",
                    one.key_tag,
                    named(one.algorithm),
                    one.covers,
                    one.signer,
                    one.inception,
                    one.expiration,
                    one.outcome
                ),
            );
        }
    }

    fn set(&mut self, set: &SetReport) {
        for record in &set.records {
            let end = record.char_indices().nth(RECORD_LEN_MAX).map_or(record.len(), |(end, _)| end);
            let (shown, cut) = record.split_at(end);
            let dots = if cut.is_empty() { "" } else { "…" };
            self.line(1, format_args!("{} {} {} {shown}{dots}", set.owner, set.ttl_s, set.rtype));
        }
        self.signatures(1, &set.signatures);
        if set.signatures.is_empty() {
            self.line(1, format_args!("no RRSIG for {} {}", set.owner, set.rtype));
        }
    }

    fn proof(&mut self, proof: &ProofReport) {
        let zone = proof.zone.as_ref().map(|zone| format!(" by {zone}")).unwrap_or_default();
        match proof.kind {
            Some(kind) => self.line(1, format_args!("{}: {kind}{zone}", proof.question)),
            None => self.line(1, format_args!("{}: no proof came with the reply{zone}", proof.question)),
        }
        for record in &proof.records {
            let parameters = match (record.iterations, &record.salt) {
                (Some(iterations), Some(salt)) => {
                    let opt_out = if record.opt_out == Some(true) { "opt-out, " } else { "" };
                    format!("  {opt_out}{iterations} iterations, salt {salt}")
                }
                _ => String::new(),
            };
            let types = if record.types.is_empty() { "no types".to_owned() } else { record.types.join(" ") };
            let (rtype, owner, next) = (record.rtype, &record.owner, &record.next);
            self.line(1, format_args!("{rtype}  {owner} to {next}  {types}{parameters}"));
            for shown in &record.shows {
                self.line(2, format_args!("{shown}"));
            }
            self.signatures(2, &record.signatures);
            if record.signatures.is_empty() {
                self.line(2, format_args!("no RRSIG"));
            }
        }
        if let Some(soa) = &proof.soa {
            self.set(soa);
        }
    }

    fn answer(&mut self, answer: &AnswerReport) {
        let outcome = answer.rcode.as_ref().or(answer.failure.as_ref());
        self.line(0, format_args!("{}  {}", answer.question, outcome.map_or("", String::as_str)));
        for set in &answer.sets {
            self.set(set);
        }
        if let Some(proof) = &answer.proof {
            self.proof(proof);
        }
    }
}

fn named(algorithm: AlgorithmReport) -> String {
    match algorithm.name {
        name @ ("unassigned" | "reserved") => format!("{} ({name})", algorithm.number),
        name => name.to_owned(),
    }
}

/// How long a signature is or was valid, in its largest unit.
fn validity(left_s: i64) -> String {
    let span = match left_s.unsigned_abs() {
        span_s @ 172_800.. => format!("{} d", span_s / 86_400),
        span_s @ 7200.. => format!("{} h", span_s / 3600),
        span_s => format!("{span_s} s"),
    };
    if left_s < 0 { format!("over for {span}") } else { format!("{span} left") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity_is_told_in_its_largest_unit() {
        for (left_s, expected) in [
            (0, "0 s left"),
            (7199, "7199 s left"),
            (86_400, "24 h left"),
            (172_800, "2 d left"),
            (-200_000, "over for 2 d"),
        ] {
            assert_eq!(validity(left_s), expected);
        }
    }
}
