//! The state machine that judges one response: reads its path, has each claim judged, follows where it breaks off, and
//! puts together what may be passed on.
//!
//! In: a question and the response to it, then replies as they are asked for. Out: a [`Step`]. The only place that builds
//! a [`Validated`].

use std::sync::Arc;

use super::alias::{self, Claim, End};
use super::chain::{Chain, Pause};
use super::denial::Denial;
use super::judge::{Gathered, Judged, Section, SetId, secure_set, zone_side};
use super::work::Work;
use super::zones::{Fact, ZoneFact};
use super::{
    BogusReason, ChainStep, FetchFailure, IndeterminateReason, InsecureReason, Pace, Policy, ProvenStatus, Step,
    TrustAnchors, Validated, Verdict, WorkBudget, ZoneCache,
};
use crate::clock::Now;
use crate::wire::{Name, Question, RCode, RecordType, Response, RrSet};

/// The validation of one response, from the first look to the verdict.
#[derive(Debug)]
pub struct Validation {
    question: Question,
    policy: Policy,
    chain: Chain,
    stage: Stage,
    /// Names that aliases have led to so far.
    visited: Vec<Name>,
    /// What was judged so far, in the order of the path.
    parts: Vec<Part>,
    /// What [`Step::Need`] asked for last.
    awaited: Option<Question>,
    /// The reply that made the verdict bogus.
    blamed: Option<usize>,
    /// Whether that is no more than a suspicion.
    suspects: bool,
}

/// A reply that made a verdict bogus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blame {
    /// The question that it is to.
    pub question: Question,
    /// The zone that it speaks for, as far as that is known.
    pub zone: Name,
    /// Whether the verdict stands if there is no better one. Else it only looks so: to be told by [`Validation::settle`] that
    /// there is none.
    pub is_proven: bool,
}

/// What is to be done next.
#[derive(Clone, Debug)]
enum Stage {
    /// Read the reply to this question.
    Read(Question),
    /// Judge these claims of a reply, from the last to the first, then go on with the end of its path. `before`: how many names
    /// were visited and parts judged before it.
    Judge { reply: usize, claims: Vec<Claim>, end: End, before: (usize, usize) },
}

/// A judged claim: the sets that may be passed on.
#[derive(Clone, Debug)]
struct Part {
    answer: Vec<RrSet>,
    authority: Vec<RrSet>,
    ttl_s: u32,
    /// How long the proof holds, whatever the TTLs of the answer are, in seconds.
    proof_ttl_s: u32,
    standing: Standing,
    /// The RCODE that the proof shows, where it may differ from the one received.
    rcode: Option<RCode>,
}

/// How far a part may be trusted.
#[derive(Clone, Debug)]
enum Standing {
    Secure,
    Insecure(InsecureReason),
    /// Not signed, and not asked about.
    Unchecked,
}

impl Validation {
    /// A validation of `response` as the answer to `question`. `zones` must hold only facts derived from `anchors` under
    /// `policy`.
    ///
    /// A response, here or in [`Self::supply`], with an RCODE other than NOERROR, NXDOMAIN or YXDOMAIN answers nothing
    /// and counts as a failed fetch.
    pub fn new(
        question: Question,
        response: Arc<Response>,
        anchors: Arc<TrustAnchors>,
        zones: Arc<ZoneCache>,
        policy: Policy,
    ) -> Self {
        let chain = Chain::new(question.clone(), response, anchors, zones);
        let stage = Stage::Read(question.clone());
        Self {
            visited: Vec::new(),
            question,
            policy,
            chain,
            stage,
            parts: Vec::new(),
            awaited: None,
            blamed: None,
            suspects: false,
        }
    }

    /// Goes on until something must be fetched or the verdict is reached. To be called again after each [`Self::supply`];
    /// without one, says the same again. No question is asked twice.
    pub fn advance(&mut self, now: Now, budget: &mut WorkBudget, pace: Pace) -> Step {
        (self.blamed, self.suspects) = (None, false);
        let (policy, spent_before) = (self.policy, budget.spent().signature_weight);
        match self.run(&mut Work { now, policy: &policy, budget, pace, spent_before }) {
            Ok(verdict) => Step::Done(verdict),
            Err(Pause::Bogus(reason, blamed)) => {
                self.blamed = blamed;
                Step::Done(Verdict::Bogus(reason))
            }
            Err(Pause::Suspect(reason, blamed)) => {
                (self.blamed, self.suspects) = (Some(blamed), true);
                Step::Done(Verdict::Bogus(reason))
            }
            Err(Pause::Indeterminate(reason)) => Step::Done(Verdict::Indeterminate(reason)),
            Err(Pause::Need(question)) => {
                self.awaited = Some(question.clone());
                Step::Need(question)
            }
            Err(Pause::Costly(zone)) => Step::Costly { zone },
        }
    }

    /// Hands over what came of the last [`Step::Need`]. Without one, does nothing.
    pub fn supply(&mut self, reply: Result<Arc<Response>, FetchFailure>) {
        if let Some(question) = self.awaited.take() {
            self.chain.learn(question, reply);
        }
    }

    /// The reply to blame for a verdict of bogus, if there is one: another server may have a better one. Not if whatever is
    /// wrong is the same everywhere, such as a limit of ours.
    pub fn blame(&mut self, now: Now) -> Option<Blame> {
        let blamed = self.blamed.filter(|&blamed| self.chain.is_open(blamed))?;
        let (question, zone) = self.chain.spoken_for(blamed, now)?;
        Some(Blame { question, zone, is_proven: !self.suspects })
    }

    /// The zone that the reply to a question speaks for, as far as that is known by now.
    pub fn zone_of(&mut self, question: &Question, now: Now) -> Option<Name> {
        let (reply, _) = self.chain.reply(question).ok()?;
        self.chain.spoken_for(reply, now).map(|(_, zone)| zone)
    }

    /// Has the verdict "bogus" be told as soon as a reply looks like it, so that another one can be asked for before the rest is found
    /// out. Whoever wants that must [`Self::settle`] what [`Blame`] says is not proven, or replace it.
    pub fn tell_suspicions(&mut self) {
        self.chain.tells_suspicions = true;
    }

    /// Takes note that there is no better reply than the blamed one: [`Self::advance`] then goes on to the verdict on this one.
    pub fn settle(&mut self) {
        if let Some(blamed) = self.blamed.take() {
            self.chain.settle(blamed);
        }
    }

    /// Hands over another reply in place of the blamed one. The validation then goes on with [`Self::advance`]: what it has
    /// proven stays proven, and nothing that it has spent comes back. Without a blamed one, does nothing.
    pub fn replace(&mut self, response: Arc<Response>) {
        let Some(blamed) = self.blamed.take() else { return };
        self.chain.replace(blamed, response);
        // Its path is read anew.
        if let Stage::Judge { reply, before: (names, parts), .. } = self.stage
            && reply == blamed
            && let Some(question) = self.chain.question(blamed)
        {
            self.visited.truncate(names);
            self.parts.truncate(parts);
            self.stage = Stage::Read(question);
        }
    }

    /// What was found out so far, in that order, for people.
    pub fn steps(&self) -> Vec<ChainStep> {
        self.chain.steps()
    }

    fn run(&mut self, work: &mut Work<'_>) -> Result<Verdict, Pause> {
        // Bound: each reading but the last follows at least one alias, which the budget pays.
        loop {
            self.stage = match &mut self.stage {
                Stage::Read(question) => read(&self.chain, question, &mut self.visited, self.parts.len(), work)
                    .map_err(|pause| unrelated(pause, &self.question))?,
                Stage::Judge { reply, claims, end, .. } => match (claims.last(), &*end) {
                    (Some(claim), _) => {
                        self.parts.push(judge(&mut self.chain, *reply, claim, work)?);
                        claims.pop();
                        continue;
                    }
                    (None, End::Continues(question)) => Stage::Read(question.clone()),
                    (None, End::Final(rcode)) => return put_together(&self.question, *rcode, &self.parts),
                },
            };
        }
    }
}

/// An answer that leads nowhere is unrelated to the client's question, whichever link was asked last.
fn unrelated(pause: Pause, question: &Question) -> Pause {
    match pause {
        Pause::Bogus(BogusReason::Unrelated { .. }, blamed) => {
            Pause::Bogus(BogusReason::Unrelated { question: question.clone() }, blamed)
        }
        other => other,
    }
}

/// Reads the reply to `question` and pays for the aliases on its path. `parts`: how many were judged before it.
fn read(
    chain: &Chain,
    question: &Question,
    visited: &mut Vec<Name>,
    parts: usize,
    work: &mut Work<'_>,
) -> Result<Stage, Pause> {
    let (reply, response) = chain.reply(question)?;
    let hops_max = usize::try_from(work.budget.limits().alias_hops).unwrap_or(usize::MAX);
    let reading = alias::read(&response, question, visited, hops_max, &|name| chain.anchor_zone(name))
        .ok_or_else(|| Pause::blaming(reply, BogusReason::Unrelated { question: question.clone() }))?;
    let before = (visited.len(), parts);
    for _ in &reading.targets {
        work.budget.spend_alias_hop()?;
    }
    visited.push(question.qname.clone());
    visited.extend(reading.targets);
    let mut claims = reading.claims;
    claims.reverse();
    Ok(Stage::Judge { reply, claims, end: reading.end, before })
}

fn judge(chain: &mut Chain, reply: usize, claim: &Claim, work: &mut Work<'_>) -> Result<Part, Pause> {
    match claim {
        Claim::Set { index, synthesised } => judge_set(chain, reply, *index, synthesised.as_ref(), work),
        Claim::BareSignatures { owner } => Ok(judge_bare_signatures(chain, reply, owner)),
        Claim::Denial { question } => judge_denial(chain, reply, question, work),
    }
}

fn judge_set(
    chain: &mut Chain,
    reply: usize,
    index: usize,
    synthesised: Option<&RrSet>,
    work: &mut Work<'_>,
) -> Result<Part, Pause> {
    let response = chain.response(reply);
    let set = response.as_ref().and_then(|response| response.answer.get(index));
    let Some(set) = set else { return Err(chain.lost()) };
    let made = |ttl_s| synthesised.map(|made| RrSet { ttl_s: made.ttl_s.min(ttl_s), ..made.clone() });
    if !work.policy.unsigned_checked && set.signatures.is_empty() {
        let answer = std::iter::once(set.clone()).chain(made(set.ttl_s)).collect();
        return Ok(Part {
            answer,
            authority: Vec::new(),
            ttl_s: set.ttl_s,
            proof_ttl_s: u32::MAX,
            standing: Standing::Unchecked,
            rcode: None,
        });
    }
    let id = SetId { reply, section: Section::Answer, index };
    let side = zone_side(&set.owner, set.rtype);
    let mut part = match chain.judge_set(id, &side, work)? {
        // What a wildcard's DNAME says of the names below an expanded one is undefined (RFC 4592 §4.4).
        Judged::Secure { expanded: true, .. } if set.rtype == RecordType::DNAME => {
            let reason = BogusReason::BadSignature { owner: set.owner.clone(), rtype: set.rtype };
            return Err(Pause::blaming(reply, reason));
        }
        Judged::Secure { fact, ttl_s, proof_ttl_s, proof, .. } => Part {
            answer: vec![secure_set(set, &fact.name, ttl_s, work)],
            authority: proof,
            ttl_s: ttl_s.min(fact.ttl_s(work.now)),
            proof_ttl_s: proof_ttl_s.min(fact.ttl_s(work.now)),
            standing: Standing::Secure,
            rcode: None,
        },
        Judged::Insecure { fact, proof } => {
            let proof_ttl_s = fact.ttl_s(work.now);
            let ttl_s = set.ttl_s.min(proof_ttl_s);
            // Nobody has looked at its signatures.
            let passed_on = usize::try_from(work.budget.limits().rrsigs_per_rrset).unwrap_or(usize::MAX);
            let signatures = set.signatures.iter().take(passed_on).cloned().collect();
            let answer = vec![RrSet { ttl_s, signatures, ..set.clone() }];
            let standing = Standing::Insecure(reason(&fact));
            Part { answer, authority: proof, ttl_s, proof_ttl_s, standing, rcode: None }
        }
    };
    part.answer.extend(made(part.ttl_s));
    Ok(part)
}

/// Signatures asked for by themselves cannot be verified: nothing signs them. They are passed on as what they are, unproven and
/// without AD. Choice: RFC 4035 leaves QTYPE=RRSIG open; Unbound and Knot Resolver answer so too.
fn judge_bare_signatures(chain: &Chain, reply: usize, owner: &Name) -> Part {
    let response = chain.response(reply);
    let sets = response.iter().flat_map(|response| &response.answer).filter(|set| set.owner == *owner);
    let answer: Vec<RrSet> = sets.cloned().collect();
    let ttl_s = answer.iter().map(|set| set.ttl_s).min().unwrap_or_default();
    let (authority, standing) = (Vec::new(), Standing::Unchecked);
    Part { answer, authority, ttl_s, proof_ttl_s: u32::MAX, standing, rcode: None }
}

fn judge_denial(chain: &mut Chain, reply: usize, question: &Question, work: &mut Work<'_>) -> Result<Part, Pause> {
    let side = zone_side(&question.qname, question.qtype);
    let Some(response) = chain.response(reply) else { return Err(chain.lost()) };
    if !work.policy.unsigned_checked && response.authority.iter().all(|set| set.signatures.is_empty()) {
        return Ok(bare_denial(&response, question, Standing::Unchecked, u32::MAX));
    }
    if let Some(fact) = chain.private(&side, work)? {
        return Ok(insecure_denial(&response, question, &fact, work));
    }
    let mut failure = BogusReason::MissingDenial { question: question.clone() };
    let signer = chain.denial_signer(reply, &side);
    let signed = signer.is_some();
    if let Some(signer) = signer {
        let fact = chain.fact_at(&signer, work)?;
        match &fact.what {
            ZoneFact::Insecure(_) => return Ok(insecure_denial(&response, question, &fact, work)),
            ZoneFact::NoCut { .. } => {}
            ZoneFact::Secure(keys) => {
                let gathered = chain.gather(reply, &signer, keys, work)?;
                match prove(&gathered, question, response.rcode, work)? {
                    _ if gathered.soa_failed => {}
                    (Denial::FarTooManyIterations(iterations), _) => {
                        return Err(BogusReason::Iterations { zone: signer, iterations }.into());
                    }
                    (Denial::Unproven, _) => {}
                    // An opt-out span over the name may hide a delegation, and says nothing of wildcards. A zone that calls the
                    // name an error knows of none there, and has to deny the wildcard (RFC 5155 §8.4).
                    (Denial::OptOut, RCode::NOERROR) if response.rcode == RCode::NXDOMAIN => {
                        return Err(Pause::blaming(reply, failure));
                    }
                    (denial, rcode) => {
                        if denial == Denial::Proven {
                            chain.learn_denial(&gathered, &signer, &fact, work.now);
                        }
                        return Ok(secure_denial(gathered, denial, rcode, &signer, &fact, work));
                    }
                }
                failure = gathered.failure.unwrap_or(failure);
            }
        }
    }
    if let Some(part) = denied_from_above(chain, reply, question, work)? {
        return Ok(part);
    }
    let fact = chain.unless_insecure(reply, &side, failure, signed, work)?;
    Ok(insecure_denial(&response, question, &fact, work))
}

/// The denial by a secure zone above the anchor that decides about the question, if it is proven; that zone may be an older one
/// than the anchor's, which is gone.
fn denied_from_above(
    chain: &mut Chain,
    reply: usize,
    question: &Question,
    work: &mut Work<'_>,
) -> Result<Option<Part>, Pause> {
    let side = zone_side(&question.qname, question.qtype);
    let Some(response) = chain.response(reply) else { return Ok(None) };
    let Some(signer) = chain.denial_signer_above(reply, &side) else { return Ok(None) };
    if chain.anchor_zone(&side) == chain.anchor_zone(&signer) {
        return Ok(None);
    }
    let fact = match chain.fact_at(&signer, work) {
        // Only what is proven counts; what the deciding anchor says stands.
        Err(Pause::Bogus(..) | Pause::Indeterminate(IndeterminateReason::Fetch { .. })) => return Ok(None),
        fact => fact?,
    };
    let ZoneFact::Secure(keys) = &fact.what else { return Ok(None) };
    let gathered = chain.gather(reply, &signer, keys, work)?;
    Ok(match prove(&gathered, question, response.rcode, work)? {
        (Denial::Proven, rcode) if !gathered.soa_failed => {
            chain.learn_denial(&gathered, &signer, &fact, work.now);
            Some(secure_denial(gathered, Denial::Proven, rcode, &signer, &fact, work))
        }
        _ => None,
    })
}

/// Whether the gathered sets prove the denial, and the RCODE that they show. An NXDOMAIN for a name that is proven to
/// exist without the type is passed on as NODATA.
fn prove(
    gathered: &Gathered,
    question: &Question,
    rcode: RCode,
    work: &mut Work<'_>,
) -> Result<(Denial, RCode), Pause> {
    let evidence = &gathered.evidence;
    if rcode == RCode::NXDOMAIN {
        let denial = evidence.name_error(&question.qname, work.budget)?;
        if denial != Denial::Unproven {
            return Ok((denial, RCode::NXDOMAIN));
        }
    }
    Ok((evidence.no_data(&question.qname, question.qtype, work.budget)?, RCode::NOERROR))
}

fn secure_denial(gathered: Gathered, denial: Denial, rcode: RCode, zone: &Name, fact: &Fact, work: &Work<'_>) -> Part {
    let standing = match denial {
        Denial::OptOut => Standing::Insecure(InsecureReason::OptOut { zone: zone.clone() }),
        Denial::TooManyIterations(iterations) => {
            Standing::Insecure(InsecureReason::Iterations { zone: zone.clone(), iterations })
        }
        Denial::Proven | Denial::FarTooManyIterations(_) | Denial::Unproven => Standing::Secure,
    };
    let ttl_s = gathered.ttl_s.min(fact.ttl_s(work.now));
    let authority = gathered.soa.into_iter().chain(gathered.proof).collect();
    // The records that deny are the proof, so their TTLs bound it.
    Part { answer: Vec::new(), authority, ttl_s, proof_ttl_s: ttl_s, standing, rcode: Some(rcode) }
}

/// A denial by a zone that is proven insecure, or without signatures where nobody asks: the SOA is all that is passed on.
/// Without one, it must not be kept (RFC 2308 §5).
fn bare_denial(response: &Response, question: &Question, standing: Standing, ttl_s_max: u32) -> Part {
    let soa = alias::soa_for(response, &question.qname);
    let ttl_s = soa.as_ref().map_or(0, |soa| soa.ttl_s).min(ttl_s_max);
    let authority = soa.into_iter().collect();
    Part { answer: Vec::new(), authority, ttl_s, proof_ttl_s: ttl_s_max, standing, rcode: None }
}

fn insecure_denial(response: &Response, question: &Question, fact: &Fact, work: &Work<'_>) -> Part {
    bare_denial(response, question, Standing::Insecure(reason(fact)), fact.ttl_s(work.now))
}

/// Why a fact makes a set insecure. Total, so that no fact can make one secure by mistake.
fn reason(fact: &Fact) -> InsecureReason {
    match &fact.what {
        ZoneFact::Insecure(reason) => reason.clone(),
        ZoneFact::Secure(_) | ZoneFact::NoCut { .. } => InsecureReason::NoDs { zone: fact.name.clone() },
    }
}

/// The whole answer: it is as secure as its weakest part, and kept as long as its shortest-lived one. An answer without
/// parts answers nothing.
fn put_together(question: &Question, rcode: RCode, parts: &[Part]) -> Result<Verdict, Pause> {
    let shortest_s = parts.iter().map(|part| part.ttl_s).min();
    let ttl_s = shortest_s.ok_or_else(|| BogusReason::Unrelated { question: question.clone() })?;
    let proof_ttl_s = parts.iter().map(|part| part.proof_ttl_s).fold(u32::MAX, u32::min).max(ttl_s);
    let mut response = Response { question: question.clone(), rcode, answer: Vec::new(), authority: Vec::new() };
    for part in parts {
        response.rcode = part.rcode.unwrap_or(response.rcode);
        response.answer.extend(part.answer.iter().cloned());
        for set in &part.authority {
            // At a cut between zones, two NSEC sets have one owner.
            let is_known =
                |known: &RrSet| known.rtype == set.rtype && known.owner == set.owner && known.rdatas == set.rdatas;
            if !response.authority.iter().any(is_known) {
                response.authority.push(set.clone());
            }
        }
    }
    let response = response.compact();
    if parts.iter().any(|part| matches!(part.standing, Standing::Unchecked)) {
        return Ok(Verdict::Unchecked { response: Arc::new(response), ttl_s });
    }
    let insecure_reason = parts.iter().find_map(|part| match &part.standing {
        Standing::Insecure(reason) => Some(Box::new(reason.clone())),
        Standing::Secure | Standing::Unchecked => None,
    });
    let status = if insecure_reason.is_some() { ProvenStatus::Insecure } else { ProvenStatus::Secure };
    Ok(Verdict::Proven(Arc::new(Validated { response, status, insecure_reason, ttl_s, proof_ttl_s })))
}
