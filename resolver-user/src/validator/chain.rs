//! The chain of trust: which keys speak for a name, or the proof that none do (RFC 4035 §5.2, RFC 6840 §5).
//!
//! The walk has two directions. For a signature, [`Chain::fact_at`] starts from the signer and asks for DS sets upward
//! until it meets a zone that is known, then verifies downward. For what is not signed, [`Chain::covering`] goes down
//! label by label from the deepest known zone until it meets a proof that there is no DS.
//!
//! Everything is written as if all replies were at hand. Where one is not, the walk stops with [`Pause::Need`] and is
//! begun again once it is there; what was verified is remembered, so that nothing is verified or paid for twice.
//! Recursion ends because [`Chain::fact_at`] asks only about names above its own.

use std::sync::Arc;

use super::anchor::AnchoredAt;
use super::denial::{Delegation, is_wildcard_data};
use super::judge::{Gathered, Judged, Section, SetId, zone_side};
use super::key::{Ds, ZoneKey};
use super::locally_served::is_locally_served;
use super::signature::{Attempt, SignatureFailure, Signed, verify_set};
use super::vouch::{unsupported, unusable, vouched_keys};
use super::work::{Halt, Work};
use super::zones::{Fact, ZoneFact};
use super::{BogusReason, BudgetItem, FetchFailure, IndeterminateReason, InsecureReason, TrustAnchors, ZoneCache};
use crate::clock::Now;
use crate::wire::{Name, Question, RCode, RecordType, Response, RrSet};

/// How long an answer may be kept that is insecure by standard and not by a proof with a TTL, in seconds; dnsmasq's.
const LOCALLY_SERVED_TTL_S: u32 = 3600;

/// Why a walk stops before its end.
#[derive(Clone, Debug)]
pub(super) enum Pause {
    /// This must be fetched first.
    Need(Question),
    /// Something on the way is bogus. With the number of the reply to blame, if another server may have a better one.
    Bogus(BogusReason, Option<usize>),
    /// The same, before it is proven that there is no unsigned zone on the way.
    Suspect(BogusReason, usize),
    /// Something on the way cannot be found out.
    Indeterminate(IndeterminateReason),
    /// The next signature check of this zone is one to pause before.
    Costly(Name),
}

impl From<BudgetItem> for Pause {
    fn from(item: BudgetItem) -> Self {
        Self::Indeterminate(item.into())
    }
}

impl From<BogusReason> for Pause {
    fn from(reason: BogusReason) -> Self {
        Self::Bogus(reason, None)
    }
}

impl Pause {
    /// Something is bogus because of what this reply says, or does not say.
    pub(super) fn blaming(reply: usize, reason: BogusReason) -> Self {
        Self::Bogus(reason, Some(reply))
    }
}

/// One thing that a validation has found out.
#[derive(Debug)]
pub(super) enum Found {
    /// A fact that was proven, or known already and then used.
    Fact(Arc<Fact>),
    /// A set that was verified.
    Set {
        /// Which.
        id: SetId,
        /// The zone whose keys were used.
        signer: Name,
        /// What came of it.
        outcome: Result<Signed, SignatureFailure>,
    },
}

/// What one validation has been told and has found out.
#[derive(Debug)]
pub(super) struct Chain {
    anchors: Arc<TrustAnchors>,
    zones: Arc<ZoneCache>,
    /// The response to be judged first, then all replies in the order they came.
    replies: Vec<(Question, Result<Arc<Response>, FetchFailure>)>,
    /// What was found out, in that order. It stays for the duration of the validation, even if the time of a fact ends or
    /// the cache drops it, so that every walk comes to an end.
    found: Vec<Found>,
    /// The set in whose verification the walk has paused.
    attempt: Option<(SetId, Name, Attempt)>,
    /// Whether a reply that looks bogus is told before it is proven to be.
    pub(super) tells_suspicions: bool,
    /// Replies of which there are no better ones.
    settled: Vec<usize>,
}

impl Chain {
    /// A chain that knows the response to be judged.
    pub(super) fn new(
        question: Question,
        response: Arc<Response>,
        anchors: Arc<TrustAnchors>,
        zones: Arc<ZoneCache>,
    ) -> Self {
        let replies = vec![(question, Ok(response))];
        Self { anchors, zones, replies, found: Vec::new(), attempt: None, tells_suspicions: false, settled: Vec::new() }
    }

    /// What was found out so far.
    pub(super) fn found(&self) -> &[Found] {
        &self.found
    }

    /// Takes in the reply to a [`Pause::Need`].
    pub(super) fn learn(&mut self, question: Question, reply: Result<Arc<Response>, FetchFailure>) {
        self.replies.push((question, reply));
    }

    /// The reply to a question, by number, if it is there and is an answer of some kind.
    ///
    /// # Errors
    /// The need for it, or that it cannot be had.
    pub(super) fn reply(&self, question: &Question) -> Result<(usize, Arc<Response>), Pause> {
        let position = self.replies.iter().position(|(asked, _)| asked == question);
        let index = position.ok_or_else(|| Pause::Need(question.clone()))?;
        let unreachable = |failure| IndeterminateReason::Fetch { question: question.clone(), failure };
        match self.replies.get(index).map(|(_, reply)| reply) {
            Some(Ok(response)) if matches!(response.rcode, RCode::NOERROR | RCode::NXDOMAIN | RCode::YXDOMAIN) => {
                Ok((index, response.clone()))
            }
            Some(Err(failure)) => Err(Pause::Indeterminate(unreachable(*failure))),
            _ => Err(Pause::Indeterminate(unreachable(FetchFailure::ServerError))),
        }
    }

    /// Takes in another reply in place of one. What was found out with that one's sets is forgotten; what was proven stays.
    pub(super) fn replace(&mut self, reply: usize, response: Arc<Response>) {
        let Some((_, known)) = self.replies.get_mut(reply) else { return };
        *known = Ok(response);
        self.found.retain(|found| !matches!(found, Found::Set { id, .. } if id.reply == reply));
        self.attempt.take_if(|(id, ..)| id.reply == reply);
    }

    /// Takes note that there is no better reply than this one.
    pub(super) fn settle(&mut self, reply: usize) {
        self.settled.push(reply);
    }

    /// Whether there may be a better one.
    pub(super) fn is_open(&self, reply: usize) -> bool {
        !self.settled.contains(&reply)
    }

    /// Whether a set or denial at `side` that fails looks as if its server were to blame, rather than an unsigned zone on the way: it
    /// has a signature by a secure zone (`signed`), or came with the servers of a secure zone above it, and not of its own.
    pub(super) fn is_suspect(&mut self, reply: usize, side: &Name, signed: bool, now: Now) -> bool {
        if !self.tells_suspicions || !self.is_open(reply) {
            return false;
        }
        let Some(response) = self.response(reply) else { return false };
        let signers = || {
            let sets = response.answer.iter().chain(&response.authority);
            sets.flat_map(|set| &set.signatures).map(|signature| &signature.signer)
        };
        let servers = || response.authority.iter().filter(|set| set.rtype == RecordType::NS).map(|set| &set.owner);
        let mut zones: Vec<&Name> = if signed { signers().collect() } else { servers().collect() };
        zones.retain(|zone| side.is_at_or_below(zone));
        zones.sort_unstable_by_key(|zone| zone.label_count());
        let deepest = zones.last().and_then(|zone| self.fact_of(zone, now));
        deepest.is_some_and(|fact| matches!(fact.what, ZoneFact::Secure(_)))
    }

    /// The question that a reply is to.
    pub(super) fn question(&self, reply: usize) -> Option<Question> {
        self.replies.get(reply).map(|(question, _)| question.clone())
    }

    /// The question that a reply is to, and the zone that it speaks for as far as is known: a DS set is its parent's.
    pub(super) fn spoken_for(&mut self, reply: usize, now: Now) -> Option<(Question, Name)> {
        let question = self.question(reply)?;
        if question.qtype == RecordType::DNSKEY {
            let zone = question.qname.clone();
            return Some((question, zone));
        }
        let side = zone_side(&question.qname, question.qtype);
        let anchor = self.anchor_zone(&side)?;
        let zone = self.deepest_known(&side, &anchor, now).unwrap_or(anchor);
        Some((question, zone))
    }

    /// A reply by its number.
    pub(super) fn response(&self, index: usize) -> Option<Arc<Response>> {
        self.replies.get(index)?.1.as_ref().ok().cloned()
    }

    /// The verdict on a claim whose reply or set is not there.
    pub(super) fn lost(&self) -> Pause {
        let question = self.replies.first().map(|(question, _)| question.clone());
        let question = question.unwrap_or_else(|| Question::new(Name::root(), RecordType::ANY));
        BogusReason::Unrelated { question }.into()
    }

    /// The zone of the anchor that decides about `name`; none if there is none, or if it is a negative one.
    pub(super) fn anchor_zone(&self, name: &Name) -> Option<Name> {
        match self.anchors.decisive(name) {
            AnchoredAt::Zone(zone) => Some(zone.clone()),
            AnchoredAt::Negative(_) | AnchoredAt::Nowhere => None,
        }
    }

    /// The highest zone that may have a say in `name`.
    pub(super) fn outermost_zone(&self, name: &Name) -> Option<Name> {
        self.anchors.outermost(name).cloned()
    }

    /// That a name is of a private domain and so insecure, if it is: the operator has given the domain servers of its own,
    /// and the public tree proves that no zone starts there, or standards say that no signed one does. A public zone, signed or not, leaves nothing special; a
    /// parent that proves neither makes the name bogus as any other.
    ///
    /// Choice: the fact is made anew for each name and not kept with those that are proven. So names below that the
    /// operator has excepted go on to be judged by the public tree alone.
    pub(super) fn private(&mut self, name: &Name, work: &mut Work<'_>) -> Result<Option<Arc<Fact>>, Pause> {
        let Some(domain) = self.anchors.private_domain(name) else { return Ok(None) };
        if is_locally_served(&domain) {
            let what = ZoneFact::Insecure(InsecureReason::PrivateDomain { domain: domain.clone() });
            return Ok(Some(Fact::new(&domain, what, LOCALLY_SERVED_TTL_S, work.now)));
        }
        let fact = self.fact_at(&domain, work)?;
        match fact.what {
            ZoneFact::NoCut { .. } => {}
            // Inside another private domain, whose servers are the parent's.
            ZoneFact::Insecure(InsecureReason::PrivateDomain { .. }) => return Ok(Some(fact)),
            ZoneFact::Insecure(_) | ZoneFact::Secure(_) => return Ok(None),
        }
        let what = ZoneFact::Insecure(InsecureReason::PrivateDomain { domain: domain.clone() });
        Ok(Some(Arc::new(Fact { name: domain, what, ..*fact })))
    }

    /// What is proven about the zone that `name` belongs to, found by going down: secure with its keys, or insecure.
    pub(super) fn covering(&mut self, name: &Name, work: &mut Work<'_>) -> Result<Arc<Fact>, Pause> {
        if let Some(fact) = self.private(name, work)? {
            return Ok(fact);
        }
        let Some(anchor) = self.anchor_zone(name) else { return Ok(self.no_anchor(name)) };
        let start = self.deepest_known(name, &anchor, work.now).unwrap_or(anchor);
        let mut zone = self.fact_at(&start, work)?;
        let mut labels = start.label_count().saturating_add(1);
        // Bound: one turn per label of `name`.
        while let Some(child) = name.ancestor(labels) {
            if matches!(zone.what, ZoneFact::Insecure(_)) {
                break;
            }
            let fact = match self.known_unsigned(&zone.name, &child, work) {
                Some(known) => known,
                None => self.fact_at(&child, work)?,
            };
            match fact.what {
                ZoneFact::Secure(_) | ZoneFact::Insecure(_) => zone = fact,
                ZoneFact::NoCut { nothing_below: true } => break,
                ZoneFact::NoCut { nothing_below: false } => {}
            }
            labels = labels.saturating_add(1);
        }
        Ok(zone)
    }

    /// What is proven about `name` as the start of a zone.
    pub(super) fn fact_at(&mut self, name: &Name, work: &mut Work<'_>) -> Result<Arc<Fact>, Pause> {
        let Some(anchor) = self.anchor_zone(name) else { return Ok(self.no_anchor(name)) };
        for labels in anchor.label_count()..=name.label_count() {
            let known = name.ancestor(labels).and_then(|above| self.fact_of(&above, work.now));
            if let Some(fact) = known
                && (fact.name == *name || matches!(fact.what, ZoneFact::Insecure(_)))
            {
                return Ok(fact);
            }
        }
        let fact = if anchor == *name {
            let ds_set = self.anchors.of_zone(name).map(Ds::from).collect();
            self.zone_keys(name, ds_set, u32::MAX, work)?
        } else {
            self.delegated(name, work)?
        };
        // What holds for a private domain's names is no fact about the name as the public tree has it.
        if !matches!(fact.what, ZoneFact::Insecure(InsecureReason::PrivateDomain { .. })) {
            self.found.push(Found::Fact(fact.clone()));
            self.zones.remember(fact.clone(), work.now);
        }
        Ok(fact)
    }

    /// Verifies a set with the keys of `zone`, once.
    pub(super) fn verify(
        &mut self,
        id: SetId,
        set: &RrSet,
        zone: &Name,
        keys: &[ZoneKey],
        work: &mut Work<'_>,
    ) -> Result<Result<Signed, SignatureFailure>, Pause> {
        let known = self.found.iter().find_map(|found| match found {
            Found::Set { id: known, signer, outcome } if *known == id && signer == zone => Some(*outcome),
            _ => None,
        });
        if let Some(outcome) = known {
            return Ok(outcome);
        }
        let paused = self.attempt.take().filter(|(known, by, _)| *known == id && by == zone);
        let mut attempt = paused.map_or(Attempt::NEW, |(_, _, attempt)| attempt);
        match verify_set(set, zone, keys, &mut attempt, work) {
            Ok(outcome) => {
                self.found.push(Found::Set { id, signer: zone.clone(), outcome });
                Ok(outcome)
            }
            Err(Halt::Budget(item)) => Err(item.into()),
            Err(Halt::Pace) => {
                self.attempt = Some((id, zone.clone(), attempt));
                Err(Pause::Costly(zone.clone()))
            }
        }
    }

    /// Has the cache of denials learn the sets that have proven something, which say something of other names as well.
    ///
    /// Not sets that merely came along, nor what an opt-out span leaves open: servers of a child could have a say in what is
    /// believed of its delegation, by proofs of the parent's that are older than the zone's DS and still in time.
    pub(super) fn learn_denial(&self, gathered: &Gathered, zone: &Name, fact: &Fact, now: Now) {
        for set in gathered.proof.iter().chain(&gathered.soa) {
            self.zones.denials.learn(zone, set.clone(), set.ttl_s.min(fact.ttl_s(now)), now);
        }
    }

    /// The same of what stands at the wildcard with so many labels above it.
    pub(super) fn learn_wildcard(&self, set: RrSet, encloser_labels: usize, zone: &Name, fact: &Fact, now: Now) {
        let wildcard = set.owner.ancestor(encloser_labels).and_then(|encloser| encloser.wildcard());
        if let Some(owner) = wildcard.filter(|_| is_wildcard_data(set.rtype)) {
            let ttl_s = set.ttl_s.min(fact.ttl_s(now));
            self.zones.denials.learn(zone, RrSet { owner, ..set }, ttl_s, now);
        }
    }

    /// That `child` is insecure, if that follows from what `zone` has said before, perhaps of other names: the zone that the name belongs
    /// to by now, and none above it, whose word may be older than the cut between them.
    ///
    /// Choice: asked only about data without signatures. A zone that has just become a signed one is noticed by its signatures.
    fn known_unsigned(&mut self, zone: &Name, child: &Name, work: &Work<'_>) -> Option<Arc<Fact>> {
        let is_special = self.anchors.of_zone(child).next().is_some() || self.anchors.is_excepted(child);
        if is_special || self.fact_of(child, work.now).is_some() {
            return None;
        }
        let ttl_s = self.zones.denials.unsigned_s(zone, child, work.now)?;
        let what = ZoneFact::Insecure(InsecureReason::NoDs { zone: child.clone() });
        let fact = Fact::new(child, what, ttl_s, work.now);
        self.found.push(Found::Fact(fact.clone()));
        self.zones.remember(fact.clone(), work.now);
        Some(fact)
    }

    /// What is to be said of a name for which no chain starts anywhere.
    fn no_anchor(&self, name: &Name) -> Arc<Fact> {
        let reason = match self.anchors.decisive(name) {
            AnchoredAt::Negative(anchor) => InsecureReason::NegativeAnchor { anchor: anchor.clone() },
            AnchoredAt::Zone(_) | AnchoredAt::Nowhere => InsecureReason::NoAnchor { name: name.clone() },
        };
        let (name, what) = (name.clone(), ZoneFact::Insecure(reason));
        Arc::new(Fact { name, what, proven_at_boot_ns: 0, expires_at_boot_ns: u64::MAX })
    }

    fn fact_of(&mut self, name: &Name, now: Now) -> Option<Arc<Fact>> {
        let known = self.found.iter().find_map(|found| match found {
            Found::Fact(fact) if fact.name == *name => Some(fact),
            _ => None,
        });
        if let Some(fact) = known {
            return Some(fact.clone());
        }
        let fact = self.zones.fact(name, now)?;
        self.found.push(Found::Fact(fact.clone()));
        Some(fact)
    }

    /// The deepest name from `name` up to `anchor` that is known to start a zone, secure or insecure.
    fn deepest_known(&mut self, name: &Name, anchor: &Name, now: Now) -> Option<Name> {
        let labels = anchor.label_count()..=name.label_count();
        labels
            .rev()
            .filter_map(|labels| name.ancestor(labels))
            .find(|above| self.fact_of(above, now).is_some_and(|fact| !matches!(fact.what, ZoneFact::NoCut { .. })))
    }

    /// What the reply to a DS query proves about `name`, which is not an anchor's. All that judging it may ask about lies
    /// above `name`: DS, and what stands in for it, belong to the parent (RFC 4035 §3.1.4.1).
    fn delegated(&mut self, name: &Name, work: &mut Work<'_>) -> Result<Arc<Fact>, Pause> {
        let mut parent = name.parent().unwrap_or_else(Name::root);
        // What the public tree says of a domain excepted from a private one stands above the private one, where it proves
        // that no zone starts.
        if self.anchors.is_excepted(name)
            && let Some(private) = self.private(&parent, work)?
        {
            parent = private.name.parent().unwrap_or_else(Name::root);
        }
        let asked = self.reply(&Question::new(name.clone(), RecordType::DS));
        if matches!(asked, Err(Pause::Indeterminate(_)))
            && let Some(fact) = self.delegation_told(name, &parent, work)?
        {
            return Ok(fact);
        }
        let (reply, response) = asked?;
        let at = |rtype: RecordType, owns: &dyn Fn(&Name) -> bool| {
            response.answer.iter().position(|set| set.rtype == rtype && !set.rdatas.is_empty() && owns(&set.owner))
        };
        if let Some(index) = at(RecordType::DS, &|owner| owner == name) {
            let id = SetId { reply, section: Section::Answer, index };
            return match self.judge_set(id, &parent, work)? {
                Judged::Insecure { fact, .. } => Ok(fact),
                Judged::Secure { expanded: true, .. } => {
                    let question = Question::new(name.clone(), RecordType::DS);
                    Err(Pause::blaming(reply, BogusReason::Unrelated { question }))
                }
                Judged::Secure { ttl_s, .. } => {
                    let rdatas = response.answer.get(index).map(|set| &*set.rdatas).unwrap_or_default();
                    let ds_set = rdatas.iter().filter_map(|rdata| Ds::read(rdata)).collect();
                    self.zone_keys(name, ds_set, ttl_s, work)
                }
            };
        }
        // An alias at the name, or a redirection above it, leaves no room for a zone to start here.
        let cname = at(RecordType::CNAME, &|owner| owner == name);
        // There is a zone at the anchor, so no DNAME above it is true.
        let floor = self.anchor_zone(name);
        let counts = |owner: &Name| floor.as_ref().is_none_or(|floor| owner.is_at_or_below(floor));
        let dname = at(RecordType::DNAME, &|owner| name.is_below(owner) && counts(owner));
        let made = cname.and_then(|index| response.answer.get(index)).is_none_or(|set| set.signatures.is_empty());
        // A CNAME without signatures may have been made from the DNAME beside it, which then must be judged.
        match dname.filter(|_| made).or(cname) {
            Some(index) => {
                let id = SetId { reply, section: Section::Answer, index };
                match self.judge_set(id, &parent, work)? {
                    Judged::Insecure { fact, .. } => Ok(fact),
                    Judged::Secure { ttl_s, .. } => {
                        let nothing_below = cname != Some(index);
                        Ok(Fact::new(name, ZoneFact::NoCut { nothing_below }, ttl_s, work.now))
                    }
                }
            }
            None => self.denied_delegation(name, reply, &parent, work),
        }
    }

    /// What replies to other questions prove of the delegation at `name` in passing: that it is there and unsigned. Whoever
    /// serves both sides of a cut says so, and may have no answer to a question for the DS. Nothing is fetched for it.
    ///
    /// Only once the DS cannot be had: these replies may come from the child's servers, and a proof of the parent's that is
    /// still in time may be older than the zone's DS.
    fn delegation_told(&mut self, name: &Name, parent: &Name, work: &mut Work<'_>) -> Result<Option<Arc<Fact>>, Pause> {
        for reply in 0..self.replies.len() {
            let Some(signer) = self.denial_signer(reply, parent) else { continue };
            let Some(fact) = self.fact_of(&signer, work.now) else { continue };
            let ZoneFact::Secure(keys) = &fact.what else { continue };
            let gathered = self.gather(reply, &signer, keys, work)?;
            let what = match gathered.evidence.delegation(name, work.budget)? {
                Delegation::Unsigned => InsecureReason::NoDs { zone: name.clone() },
                Delegation::OptOut => InsecureReason::OptOut { zone: signer.clone() },
                _ => continue,
            };
            return Ok(Some(Fact::new(name, ZoneFact::Insecure(what), gathered.ttl_s, work.now)));
        }
        Ok(None)
    }

    /// What the denial of a DS at `name` proves.
    fn denied_delegation(
        &mut self,
        name: &Name,
        reply: usize,
        parent: &Name,
        work: &mut Work<'_>,
    ) -> Result<Arc<Fact>, Pause> {
        let mut failure = BogusReason::MissingDsDenial { zone: name.clone() };
        let mut denied = false;
        if let Some(signer) = self.denial_signer(reply, parent) {
            denied = true;
            let fact = self.fact_at(&signer, work)?;
            match &fact.what {
                ZoneFact::Insecure(_) => return Ok(fact),
                ZoneFact::Secure(keys) => {
                    let gathered = self.gather(reply, &signer, keys, work)?;
                    let delegation = gathered.evidence.delegation(name, work.budget)?;
                    let what = match delegation {
                        Delegation::Unsigned => Some(ZoneFact::Insecure(InsecureReason::NoDs { zone: name.clone() })),
                        Delegation::OptOut => Some(ZoneFact::Insecure(InsecureReason::OptOut { zone: signer.clone() })),
                        Delegation::NotThere => Some(ZoneFact::NoCut { nothing_below: false }),
                        Delegation::Nothing => Some(ZoneFact::NoCut { nothing_below: true }),
                        Delegation::TooManyIterations(iterations) => {
                            Some(ZoneFact::Insecure(InsecureReason::Iterations { zone: signer.clone(), iterations }))
                        }
                        Delegation::FarTooManyIterations(iterations) => {
                            return Err(BogusReason::Iterations { zone: signer.clone(), iterations }.into());
                        }
                        Delegation::Unproven => None,
                    };
                    if let Some(what) = what {
                        if delegation != Delegation::OptOut {
                            self.learn_denial(&gathered, &signer, &fact, work.now);
                        }
                        return Ok(Fact::new(name, what, gathered.ttl_s, work.now));
                    }
                    failure = gathered.failure.unwrap_or(failure);
                }
                ZoneFact::NoCut { .. } => {}
            }
        }
        self.unless_insecure(reply, parent, failure, denied, work)
    }

    /// The keys of `zone` that `ds_set` vouches for, or why there are none to be had.
    fn zone_keys(
        &mut self,
        zone: &Name,
        ds_set: Vec<Ds>,
        ds_ttl_s: u32,
        work: &mut Work<'_>,
    ) -> Result<Arc<Fact>, Pause> {
        if let Some(reason) = unsupported(zone, &ds_set, work.policy) {
            return Ok(Fact::new(zone, ZoneFact::Insecure(reason), ds_ttl_s, work.now));
        }
        let (reply, response) = self.reply(&Question::new(zone.clone(), RecordType::DNSKEY))?;
        let mut sets = response.answer.iter().enumerate();
        let found =
            sets.find(|(_, set)| set.rtype == RecordType::DNSKEY && set.owner == *zone && !set.rdatas.is_empty());
        let missing = || Pause::blaming(reply, BogusReason::MissingDnskey { zone: zone.clone() });
        let (index, set) = found.ok_or_else(missing)?;
        let keys: Vec<ZoneKey> = set.rdatas.iter().filter_map(|rdata| ZoneKey::read(rdata)).collect();
        let vouched = vouched_keys(zone, &ds_set, &keys, work).map_err(|reason| Pause::blaming(reply, reason))?;
        if let Some(reason) = unusable(zone, &vouched, work.policy) {
            return Ok(Fact::new(zone, ZoneFact::Insecure(reason), ds_ttl_s.min(set.ttl_s), work.now));
        }
        let id = SetId { reply, section: Section::Answer, index };
        match self.verify(id, set, zone, &vouched, work)? {
            Err(failure) => Err(Pause::blaming(reply, failure.reason(set))),
            Ok(signed) => {
                // Keys without the zone bit verify nothing; they are kept to say why.
                let kept = keys.into_iter().filter(|key| key.may_sign_zone() || !key.has_zone_flag());
                let what = ZoneFact::Secure(kept.collect());
                Ok(Fact::new(zone, what, ds_ttl_s.min(signed.ttl_s), work.now))
            }
        }
    }
}
