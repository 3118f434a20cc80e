//! Describes a finished walk: from replies to a [`ChainReport`].

use super::numbers::{algorithm_name, digest_name, extended_error_name};
use super::report::{
    AlgorithmReport, AnswerReport, ChainReport, DsReport, DsSetReport, ExtendedErrorReport, KeyReport, ProofRecord,
    ProofReport, QueryReport, SetReport, SignatureReport, VerdictReport, ZoneReport,
};
use super::walk::{Exchange, Walked};
use crate::answer::{ExtendedError, Failure};
use crate::clock::Now;
use crate::validator::{
    ChainStep, DenialFacts, DsFacts, DsOutcome, KeyFacts, ProvenStatus, Relation, Role, SignatureOutcome, Verdict,
    WorkBudget, WorkLimits, ZoneStanding, check_signature, describe_denial,
};
use crate::wire::{Name, Question, RecordType, Response, RrSet, Rrsig, rdata_text, time_text};

/// Signatures that are checked for one report.
/// Choice: eight times what one validation may; an operator looks at one name, and wants to see all of them.
const SIGNATURE_CHECKS: u32 = 256;
/// Aliases that are followed within one reply, to find out what its proof is about.
const ALIASES_MAX: usize = 16;

/// Describes a walk as of `now`, which should be the time of its last step.
pub fn report(walked: &Walked, now: Now) -> ChainReport {
    let limits = WorkLimits { signature_checks: SIGNATURE_CHECKS, ..walked.policy.limits };
    let mut view = View { walked, now, budget: WorkBudget::new(limits) };
    let mut zones: Vec<Name> = walked.exchanges.iter().enumerate().filter_map(zone_asked_about).collect();
    zones.sort();
    zones.dedup();
    let on_path = |(index, exchange): &(usize, &Exchange)| {
        *index == 0 || !matches!(exchange.question.qtype, RecordType::DS | RecordType::DNSKEY)
    };
    let path: Vec<&Exchange> = walked.exchanges.iter().enumerate().filter(on_path).map(|(_, one)| one).collect();
    ChainReport {
        name: walked.question.qname.to_string(),
        rtype: walked.question.qtype.to_string(),
        checked_at: time_text(now.unix_s.try_into().unwrap_or(i64::MAX)),
        zones: zones.iter().map(|zone| view.zone(zone)).collect(),
        answers: path.into_iter().map(|exchange| view.answer(exchange)).collect(),
        verdict: verdict(&walked.verdict),
        queries: walked.exchanges.iter().map(query).collect(),
    }
}

/// The name that an exchange was to say more about as the start of a zone. The question itself counts only if it is for
/// keys, which its own validation then uses; a DS set that was asked for is an answer.
fn zone_asked_about((index, exchange): (usize, &Exchange)) -> Option<Name> {
    let Question { qname, qtype } = &exchange.question;
    let got_keys = || exchange.reply.as_ref().is_ok_and(|reply| find(reply, qname, RecordType::DNSKEY).is_some());
    let asked = match *qtype {
        RecordType::DS => index > 0,
        RecordType::DNSKEY => index > 0 || got_keys(),
        _ => false,
    };
    asked.then(|| qname.clone())
}

fn query(exchange: &Exchange) -> QueryReport {
    let outcome = match &exchange.reply {
        Ok(reply) => reply.rcode.to_string(),
        Err(_) => failure(exchange),
    };
    let took_ms = u32::try_from(exchange.took_us).map_or(f64::INFINITY, |took_us| f64::from(took_us) / 1e3);
    QueryReport { question: exchange.question.to_string(), outcome, took_ms }
}

fn failure(exchange: &Exchange) -> String {
    let reason = exchange.reply.as_ref().err().map(ToString::to_string).unwrap_or_default();
    exchange.remark.clone().unwrap_or(reason)
}

fn verdict(verdict: &Verdict) -> VerdictReport {
    let (status, failure, reason) = match verdict {
        Verdict::Proven(validated) => {
            let secure = validated.status() == ProvenStatus::Secure;
            let reason = validated.insecure_reason();
            return VerdictReport {
                status: if secure { "secure" } else { "insecure" },
                reason: reason.map(ToString::to_string),
                rcode: validated.response().rcode.to_string(),
                authentic: secure,
                extended_error: reason.and_then(ExtendedError::of_insecure).map(extended_error),
                ttl_s: Some(validated.ttl_s()),
            };
        }
        Verdict::Unchecked { response, ttl_s } => {
            return VerdictReport {
                status: "unchecked",
                reason: Some("without signatures, and policy does not ask for proof that there are none".to_owned()),
                rcode: response.rcode.to_string(),
                authentic: false,
                extended_error: None,
                ttl_s: Some(*ttl_s),
            };
        }
        Verdict::Bogus(reason) => ("bogus", Failure::Bogus(reason), reason.to_string()),
        Verdict::Indeterminate(reason) => ("indeterminate", Failure::Indeterminate(reason), reason.to_string()),
    };
    VerdictReport {
        status,
        reason: Some(reason),
        rcode: failure.rcode().to_string(),
        authentic: false,
        extended_error: failure.extended_error().map(extended_error),
        ttl_s: None,
    }
}

fn extended_error(error: ExtendedError) -> ExtendedErrorReport {
    ExtendedErrorReport { code: error.code, name: extended_error_name(error.code), text: error.text }
}

fn algorithm(number: u8) -> AlgorithmReport {
    AlgorithmReport { number, name: algorithm_name(number) }
}

/// The set of this owner and type in the answer section, if it has records.
fn find<'a>(response: &'a Response, owner: &Name, rtype: RecordType) -> Option<&'a RrSet> {
    response.answer.iter().find(|set| set.rtype == rtype && set.owner == *owner && !set.rdatas.is_empty())
}

/// The walk, and what describing it may still cost.
struct View<'a> {
    walked: &'a Walked,
    now: Now,
    budget: WorkBudget,
}

impl<'a> View<'a> {
    fn exchange(&self, name: &Name, rtype: RecordType) -> Option<&'a Exchange> {
        let asked = |exchange: &&Exchange| exchange.question.qtype == rtype && exchange.question.qname == *name;
        self.walked.exchanges.iter().find(asked)
    }

    /// The DNSKEY set of a zone, if the validation asked for it and got it.
    fn key_set(&self, zone: &Name) -> Option<&'a RrSet> {
        let reply = self.exchange(zone, RecordType::DNSKEY)?.reply.as_ref().ok()?;
        find(reply, zone, RecordType::DNSKEY)
    }

    fn zone(&mut self, zone: &Name) -> ZoneReport {
        let standing = self.walked.steps.iter().find_map(|step| match step {
            ChainStep::Zone { name, standing } if name == zone => Some(standing),
            _ => None,
        });
        let (standing, reason) = match standing {
            Some(ZoneStanding::Secure(_)) => ("secure", None),
            Some(ZoneStanding::Insecure(reason)) => ("insecure", Some(reason.to_string())),
            Some(ZoneStanding::NoCut) => ("no-cut", None),
            None => ("unproven", None),
        };
        let mut report = ZoneReport {
            zone: zone.to_string(),
            standing,
            reason,
            anchors: self.anchors(zone),
            ds: None,
            ds_denial: None,
            aliases: Vec::new(),
            dnskey: Vec::new(),
            dnskey_signatures: Vec::new(),
            failures: Vec::new(),
        };
        match self.exchange(zone, RecordType::DS).map(|exchange| (&exchange.reply, exchange)) {
            Some((Ok(reply), _)) => self.delegation(zone, reply, &mut report),
            Some((Err(_), exchange)) => report.failures.push(format!("DS: {}", failure(exchange))),
            None => {}
        }
        match self.exchange(zone, RecordType::DNSKEY).map(|exchange| (&exchange.reply, exchange)) {
            Some((Ok(_), _)) if self.key_set(zone).is_none() => report.failures.push("DNSKEY: there is none".into()),
            Some((Ok(_), _)) => self.keys(zone, &mut report),
            Some((Err(_), exchange)) => report.failures.push(format!("DNSKEY: {}", failure(exchange))),
            None => {}
        }
        report
    }

    fn anchors(&self, zone: &Name) -> Vec<DsReport> {
        let rdata = self.walked.anchors.of_zone(zone).map(|anchor| {
            let [t0, t1] = anchor.key_tag.to_be_bytes();
            [&[t0, t1, anchor.algorithm, anchor.digest_type][..], &anchor.digest].concat()
        });
        rdata.filter_map(|rdata| self.ds(zone, &rdata)).collect()
    }

    fn ds(&self, zone: &Name, rdata: &[u8]) -> Option<DsReport> {
        let keys = self.key_set(zone);
        let facts = DsFacts::read(zone, rdata, keys.map(|set| &*set.rdatas).unwrap_or_default(), &self.walked.policy)?;
        let outcome = match facts.outcome {
            DsOutcome::AlgorithmUnsupported => "algorithm not supported".to_owned(),
            DsOutcome::DigestUnsupported => "digest type not supported".to_owned(),
            _ if keys.is_none() => "no DNSKEY set to compare with".to_owned(),
            DsOutcome::Matches => format!("matches DNSKEY {}", facts.key_tag),
            DsOutcome::KeyUnfit => format!("matches DNSKEY {}, which may not sign the zone", facts.key_tag),
            DsOutcome::DigestDiffers => format!("digest differs from that of DNSKEY {}", facts.key_tag),
            DsOutcome::NoSuchKey => format!("no DNSKEY with tag {} and this algorithm", facts.key_tag),
        };
        Some(DsReport {
            key_tag: facts.key_tag,
            algorithm: algorithm(facts.algorithm),
            digest_type: AlgorithmReport { number: facts.digest_type, name: digest_name(facts.digest_type) },
            matches: facts.outcome == DsOutcome::Matches,
            outcome,
        })
    }

    /// What the reply to the DS question says.
    fn delegation(&mut self, zone: &Name, reply: &Response, report: &mut ZoneReport) {
        if let Some(set) = find(reply, zone, RecordType::DS) {
            let records = set.rdatas.iter().filter_map(|rdata| self.ds(zone, rdata)).collect();
            report.ds = Some(DsSetReport { records, signatures: self.signatures(set) });
        } else if reply.answer.is_empty() {
            report.ds_denial = Some(self.proof(reply, zone, RecordType::DS));
        } else {
            report.aliases = reply.answer.iter().map(|set| self.set(set)).collect();
        }
    }

    fn keys(&mut self, zone: &Name, report: &mut ZoneReport) {
        let Some(set) = self.key_set(zone) else { return };
        let vouching = || report.anchors.iter().chain(report.ds.iter().flat_map(|ds| &ds.records));
        for facts in set.rdatas.iter().filter_map(|rdata| KeyFacts::read(rdata, &self.walked.policy)) {
            let signs = self.signed_by(zone, &facts);
            let signs_data = signs.iter().any(|signed| signed != "DNSKEY");
            let names_key = |ds: &&DsReport| ds.key_tag == facts.tag && ds.algorithm.number == facts.algorithm;
            report.dnskey.push(KeyReport {
                key_tag: facts.tag,
                flags: facts.flags,
                role: match facts.is_secure_entry_point {
                    true if signs_data => "CSK",
                    true => "KSK",
                    false => "ZSK",
                },
                algorithm: algorithm(facts.algorithm),
                bits: facts.bits,
                state: match () {
                    () if facts.is_revoked => "revoked",
                    () if !facts.may_sign_zone => "no zone key",
                    () if !facts.is_supported => "not supported",
                    () if signs.is_empty() => "stand-by",
                    () => "in use",
                },
                vouched: vouching().filter(names_key).any(|ds| ds.matches),
                signs,
            });
        }
        // Those that are to sign keys first.
        report.dnskey.sort_by_key(|key| key.role == "ZSK");
        report.dnskey_signatures = self.signatures(set);
    }

    /// The sets seen on the walk that carry a signature of this key.
    fn signed_by(&self, zone: &Name, key: &KeyFacts) -> Vec<String> {
        let replies = self.walked.exchanges.iter().filter_map(|exchange| exchange.reply.as_ref().ok());
        let sets = replies.flat_map(|reply| reply.answer.iter().chain(&reply.authority));
        let by_key = |signature: &Rrsig| {
            signature.key_tag == key.tag && signature.algorithm == key.algorithm && signature.signer == *zone
        };
        let mut signed: Vec<String> = Vec::new();
        for set in sets.filter(|set| set.signatures.iter().any(by_key)) {
            let label = match set.rtype {
                RecordType::DNSKEY => "DNSKEY".to_owned(),
                rtype => format!("{rtype} {}", set.owner),
            };
            if !signed.contains(&label) {
                signed.push(label);
            }
        }
        signed
    }

    fn signatures(&mut self, set: &RrSet) -> Vec<SignatureReport> {
        set.signatures.iter().map(|signature| self.signature(set, signature)).collect()
    }

    fn signature(&mut self, set: &RrSet, signature: &Rrsig) -> SignatureReport {
        let keys = self.key_set(&signature.signer);
        let outcome = keys
            .map(|keys| check_signature(set, signature, &keys.rdatas, self.now, &self.walked.policy, &mut self.budget));
        let (tag, signer) = (signature.key_tag, &signature.signer);
        let words = match outcome {
            None => format!("not checked: the walk has no DNSKEY set of {signer}"),
            Some(SignatureOutcome::Verifies) => "verifies".to_owned(),
            Some(SignatureOutcome::Bad) => "does not verify".to_owned(),
            Some(SignatureOutcome::Expired) => "expired".to_owned(),
            Some(SignatureOutcome::NotYetValid) => "not yet valid".to_owned(),
            Some(SignatureOutcome::Implausible) => "signer or labels cannot be those of this set".to_owned(),
            Some(SignatureOutcome::NoSuchKey) => format!("no DNSKEY with tag {tag} and this algorithm at {signer}"),
            Some(SignatureOutcome::KeyUnfit) => format!("DNSKEY {tag} may not sign or is not supported"),
            Some(SignatureOutcome::NotChecked) => "not checked: too many signatures".to_owned(),
        };
        let now_s = i64::try_from(self.now.unix_s).unwrap_or(i64::MAX);
        let counted = set.owner.label_count().saturating_sub(usize::from(set.owner.is_wildcard()));
        let labels = usize::from(signature.labels);
        let wildcard = || set.owner.ancestor(labels).and_then(|encloser| encloser.wildcard());
        SignatureReport {
            covers: signature.type_covered.to_string(),
            key_tag: tag,
            algorithm: algorithm(signature.algorithm),
            signer: signer.to_string(),
            inception: time_text(now_s.saturating_add(from_now_s(signature.inception, now_s))),
            expiration: time_text(now_s.saturating_add(from_now_s(signature.expiration, now_s))),
            validity_left_s: from_now_s(signature.expiration, now_s),
            expanded_from: Some(labels < counted)
                .filter(|&less| less)
                .and_then(|_| wildcard())
                .map(|name| name.to_string()),
            verifies: outcome == Some(SignatureOutcome::Verifies),
            outcome: words,
        }
    }

    fn set(&mut self, set: &RrSet) -> SetReport {
        SetReport {
            owner: set.owner.to_string(),
            rtype: set.rtype.to_string(),
            ttl_s: set.ttl_s,
            records: set.rdatas.iter().map(|rdata| rdata_text(set.rtype, rdata)).collect(),
            signatures: self.signatures(set),
        }
    }

    fn answer(&mut self, exchange: &Exchange) -> AnswerReport {
        let question = exchange.question.to_string();
        let Ok(reply) = &exchange.reply else {
            let failure = Some(failure(exchange));
            return AnswerReport { question, rcode: None, sets: Vec::new(), proof: None, failure };
        };
        let sets: Vec<SetReport> = reply.answer.iter().map(|set| self.set(set)).collect();
        let expanded = sets.iter().position(|set| set.signatures.iter().any(|one| one.expanded_from.is_some()));
        let about = match expanded.and_then(|index| reply.answer.get(index)) {
            Some(set) => set.owner.clone(),
            None => last_name(reply, &exchange.question),
        };
        let missing = find(reply, &about, exchange.question.qtype).is_none();
        let proof = self.proof(reply, &about, exchange.question.qtype);
        let proof = (missing || !proof.records.is_empty()).then_some(proof);
        AnswerReport { question, rcode: Some(reply.rcode.to_string()), sets, proof, failure: None }
    }

    /// What the authority section has about a name.
    fn proof(&mut self, reply: &Response, name: &Name, rtype: RecordType) -> ProofReport {
        let about = |set: &&RrSet| matches!(set.rtype, RecordType::SOA | RecordType::NSEC | RecordType::NSEC3);
        let signers = reply.authority.iter().filter(about).flat_map(|set| &set.signatures).map(|one| &one.signer);
        let owners = reply.authority.iter().filter(|set| set.rtype == RecordType::SOA).map(|set| &set.owner);
        let zone = signers.chain(owners).filter(|zone| name.is_at_or_below(zone)).max_by_key(|zone| zone.label_count());
        let facts = zone
            .map(|zone| describe_denial(&reply.authority, zone, name, self.walked.policy.limits))
            .unwrap_or_default();
        let kind = facts.first().map(|first| match &first.nsec3 {
            None => "NSEC",
            Some(_) if facts.iter().any(|one| one.nsec3.as_ref().is_some_and(|nsec3| nsec3.opt_out)) => "NSEC3 opt-out",
            Some(_) => "NSEC3",
        });
        let records = facts.iter().map(|facts| self.proof_record(reply, facts, rtype)).collect();
        let soa = reply.authority.iter().find(|set| set.rtype == RecordType::SOA && Some(&set.owner) == zone);
        ProofReport {
            question: Question::new(name.clone(), rtype).to_string(),
            zone: zone.map(ToString::to_string),
            kind,
            records,
            soa: soa.map(|set| self.set(set)),
        }
    }

    fn proof_record(&mut self, reply: &Response, facts: &DenialFacts, denied: RecordType) -> ProofRecord {
        let rtype = if facts.nsec3.is_some() { RecordType::NSEC3 } else { RecordType::NSEC };
        let set = reply.authority.iter().find(|set| set.rtype == rtype && set.owner == facts.owner);
        ProofRecord {
            rtype: if facts.nsec3.is_some() { "NSEC3" } else { "NSEC" },
            owner: facts.owner.to_string(),
            next: facts.next.clone(),
            types: facts.types.iter().map(ToString::to_string).collect(),
            opt_out: facts.nsec3.as_ref().map(|nsec3| nsec3.opt_out),
            iterations: facts.nsec3.as_ref().map(|nsec3| nsec3.iterations),
            salt: facts.nsec3.as_ref().map(|nsec3| nsec3.salt.clone()),
            shows: facts.relations.iter().map(|relation| shown(relation, facts, denied)).collect(),
            signatures: set.map(|set| self.signatures(set)).unwrap_or_default(),
        }
    }
}

/// What a record shows of a name, in words.
fn shown(relation: &Relation, facts: &DenialFacts, denied: RecordType) -> String {
    let role = match relation.role {
        Role::Name => "",
        Role::ClosestEncloser => "closest encloser ",
        Role::NextCloser => "next closer ",
        Role::Wildcard => "wildcard ",
    };
    let hash = relation.hash.as_ref().map(|hash| format!(" ({hash})")).unwrap_or_default();
    let verb = if relation.matches { "matches" } else { "covers" };
    let has = |rtype: RecordType| facts.types.contains(&rtype);
    let says = match relation.role {
        Role::Name | Role::Wildcard if relation.matches && !has(denied) => {
            let cut = if has(RecordType::NS) && !has(RecordType::SOA) { ", a delegation" } else { "" };
            format!(": no {denied}{cut}")
        }
        _ => String::new(),
    };
    format!("{verb} {role}{}{hash}{says}", relation.name)
}

/// The last name that the aliases of a reply lead to.
fn last_name(reply: &Response, question: &Question) -> Name {
    let mut name = question.qname.clone();
    for _ in 0..ALIASES_MAX {
        let alias = find(reply, &name, RecordType::CNAME).filter(|_| question.qtype != RecordType::CNAME);
        match alias.and_then(|set| Name::from_wire(set.rdatas.first()?).ok()) {
            Some(target) => name = target,
            None => break,
        }
    }
    name
}

/// Seconds from now to a time of a signature, in serial arithmetic (RFC 4034 §3.1.5).
fn from_now_s(time: u32, now_s: i64) -> i64 {
    let [_, _, _, _, low @ ..] = now_s.to_be_bytes();
    i64::from(time.wrapping_sub(u32::from_be_bytes(low)).cast_signed())
}
