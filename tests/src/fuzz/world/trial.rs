//! Whole validations in a world, with the caches that they share, held against what is true there.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

use resolver_user::clock::{NS_PER_S, Now};
use resolver_user::validator::{
    BudgetItem, FetchFailure, IndeterminateReason, Pace, Policy, ProvenStatus, Step, TrustAnchors, Validated,
    Validation, Verdict, WorkBudget, ZoneCache,
};
use resolver_user::wire::{Question, RCode, RecordType, Response, RrSet};

use super::server::Reply;
use super::truth::{PlainSet, Provable, folded};
use super::{Path, World};

/// The time, in seconds since 1970.
pub(crate) const NOW_S: u32 = 1_750_000_000;
const NOW: Now = Now { unix_s: 1_750_000_000, boot_ns: 1000 * NS_PER_S };

/// Some validations one after another, which remember what they find out.
pub(crate) struct Trial<'w> {
    world: &'w World,
    anchors: Arc<TrustAnchors>,
    zones: Arc<ZoneCache>,
    /// Denials and answers from wildcards that were known without asking.
    known: Cell<(u32, u32)>,
    /// The time. The wall clock stands still, so that signatures go on to be what they are.
    pub(crate) now: Cell<Now>,
}

impl<'w> Trial<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        Self::with_anchors(world, world.anchors.clone())
    }

    /// With other anchors than the world's own, from which nothing follows.
    pub(crate) fn with_anchors(world: &'w World, anchors: Arc<TrustAnchors>) -> Self {
        let (zones, known, now) = (Arc::new(ZoneCache::new(100, 300)), Cell::default(), Cell::new(NOW));
        Self { world, anchors, zones, known, now }
    }

    /// Validates with whatever `serve` says, and holds the verdict against the truth.
    pub(crate) fn ask(&self, question: &Question, mut serve: impl FnMut(&Question) -> Option<Reply>) -> Verdict {
        let verdict = self.judge(question, |asked| serve(asked).map(|reply| reply.received(asked)));
        if matches!(verdict, Verdict::Proven(_)) {
            self.check_known(question);
        }
        verdict
    }

    /// The same where another server is asked once what the first one says is bogus.
    pub(crate) fn ask_both(
        &self,
        question: &Question,
        mut serve: impl FnMut(&Question) -> Option<Reply>,
        mut elsewhere: impl FnMut(&Question) -> Option<Reply>,
    ) -> Verdict {
        let serve = |asked: &Question| serve(asked).map(|reply| reply.received(asked));
        let mut elsewhere = |asked: &Question| elsewhere(asked).map(|reply| reply.received(asked));
        self.hold(question, self.validate(question, serve, Some(&mut elsewhere)))
    }

    /// The same with replies as validation has them, and nothing else.
    pub(crate) fn judge(&self, question: &Question, serve: impl FnMut(&Question) -> Option<Arc<Response>>) -> Verdict {
        self.hold(question, self.validate(question, serve, None))
    }

    /// Holds a verdict against the truth.
    fn hold(&self, question: &Question, verdict: Verdict) -> Verdict {
        match &verdict {
            Verdict::Proven(proven) => self.check(question, proven),
            // Nothing signs signatures.
            Verdict::Unchecked { .. } => assert_eq!(question.qtype, RecordType::RRSIG, "policy asks for proofs"),
            Verdict::Bogus(_) | Verdict::Indeterminate(_) => {}
        }
        verdict
    }

    /// Validates with honest servers, which must be believed.
    pub(crate) fn ask_honest(&self, question: &Question, follows: bool) {
        let verdict = self.ask(question, |asked| Some(self.world.honest(asked, follows)));
        self.check_honest(question, &verdict);
    }

    /// What came of a question where everybody was honest.
    pub(crate) fn check_honest(&self, question: &Question, verdict: &Verdict) {
        let Verdict::Proven(proven) = verdict else {
            let is_spent = matches!(verdict, Verdict::Indeterminate(IndeterminateReason::Budget { .. }));
            let may_fail = self.world.provable(question) == Provable::Unsaid || is_spent && self.is_costly();
            assert!(may_fail, "{question} is refused: {verdict:?}\n{}", self.world);
            return;
        };
        // An insecure status may have been learned before from an answer about another name.
        let path = Path::of(&question.qname);
        let expected = match self.world.provable(question) {
            Provable::Secure if !self.world.may_be_insecure(&path, question.qtype) => ProvenStatus::Secure,
            Provable::Insecure => ProvenStatus::Insecure,
            Provable::Secure | Provable::Unsaid => return,
        };
        assert_eq!(proven.status(), expected, "{question}: {proven:?}\n{}", self.world);
    }

    /// Whether hashing in some zone may cost more than the budget has.
    fn is_costly(&self) -> bool {
        self.world.zones().iter().any(|zone| zone.nsec3.as_ref().is_some_and(|nsec3| nsec3.iterations > 8))
    }

    fn validate(
        &self,
        question: &Question,
        mut serve: impl FnMut(&Question) -> Option<Arc<Response>>,
        mut elsewhere: Option<&mut Elsewhere<'_>>,
    ) -> Verdict {
        let mut budget = WorkBudget::new(Policy::DEFAULT.limits);
        let mut received = |asked: &Question| serve(asked).ok_or(FetchFailure::NoAnswer);
        let Ok(first) = received(question) else {
            return Verdict::Indeterminate(IndeterminateReason::Fetch {
                question: question.clone(),
                failure: FetchFailure::NoAnswer,
            });
        };
        let (anchors, zones) = (self.anchors.clone(), self.zones.clone());
        let mut validation = Validation::new(question.clone(), first, anchors, zones, Policy::DEFAULT);
        if elsewhere.is_some() {
            validation.tell_suspicions();
        }
        let (mut asked, mut replaced): (Vec<Question>, Vec<Question>) = Default::default();
        // Bound: each turn but the last pays for a sub-query or a signature check, or is a question's only one that is asked elsewhere,
        // and then settled.
        loop {
            match validation.advance(self.now.get(), &mut budget, Pace::Slice) {
                Step::Done(Verdict::Bogus(_))
                    if mend(&mut validation, self.now.get(), &mut replaced, &mut elsewhere) =>
                {
                    assert!(replaced.len() < 200, "no end: {replaced:?}");
                }
                Step::Done(verdict) => {
                    let _shown = validation.steps().len();
                    check_spent(&verdict, &mut budget);
                    return verdict;
                }
                Step::Costly { .. } => {}
                Step::Need(needed) => {
                    assert!(!asked.contains(&needed), "{needed} is asked again");
                    let reply = match budget.spend_sub_query() {
                        Ok(()) => received(&needed),
                        Err(_) => Err(FetchFailure::NoAnswer),
                    };
                    validation.supply(reply);
                    asked.push(needed);
                    assert!(asked.len() < 200, "no end: {asked:?}");
                }
            }
        }
    }

    /// What is proven is true, as far as it is not proven to be anybody's guess.
    fn check(&self, question: &Question, proven: &Validated) {
        let is_secure = proven.status() == ProvenStatus::Secure;
        let response = proven.response();
        let truth = self.world.truth_after(question, followed(question, proven));
        let last = truth.steps.last().expect("a question has a name");
        let parents_nsec =
            response.answer.last().filter(|set| is_secure && self.is_parents_nsec(question, set, &last.name));
        let mut given = response.answer.iter().map(plain).peekable();
        for step in &truth.steps {
            if !is_secure && self.world.may_be_insecure(&step.name, question.qtype) {
                return;
            }
            let sets = match parents_nsec {
                Some(nsec) if std::ptr::eq(step, last) => vec![plain(nsec)],
                _ => step.sets(question.qtype),
            };
            if question.qtype == RecordType::ANY && step.kind == super::truth::Kind::Data {
                // Any of them will do (RFC 8482). A DS among them is the parent's, which may be less secure.
                let may_be_insecure = |set: &PlainSet| !is_secure && self.world.may_be_insecure(&set.0, set.1);
                let some: Vec<PlainSet> = given.by_ref().collect();
                // An NSEC at a cut may be the parent's, too.
                let is_of_cut = |set: &PlainSet| {
                    set.1 == RecordType::NSEC && self.is_cut(&set.0) && self.is_in_a_chain(&set.0, &set.2)
                };
                let is_right = |set: &PlainSet| {
                    sets.contains(set) || may_be_insecure(set) || is_of_cut(set) || self.is_parents_ds(set)
                };
                assert!(!some.is_empty() && some.iter().all(is_right), "{question}: {proven:?}\n{}", self.world);
                if some.iter().any(may_be_insecure) {
                    return;
                }
                continue;
            }
            for set in sets {
                assert_eq!(given.next(), Some(set), "{question}: {proven:?}\n{}", self.world);
            }
        }
        assert_eq!(given.next(), None, "{question}: {proven:?}\n{}", self.world);
        assert!(is_secure, "nothing makes {question} insecure: {proven:?}\n{}", self.world);
        assert_eq!(Some(response.rcode), truth.rcode, "{question}: {proven:?}\n{}", self.world);
        let is_known = last.kind != super::truth::Kind::Unknown || parents_nsec.is_some();
        assert!(is_known, "nobody can know {question}: {proven:?}\n{}", self.world);
        response.authority.iter().for_each(|set| self.check_proof(set));
        check_ttl(proven);
    }

    /// Whether `set`, the last of an answer, is the parent's NSEC of the cut `name`, at which the question ends. At a cut both
    /// zones have one (RFC 4035 §2.3), and who asks for the type is told the truth by either.
    fn is_parents_nsec(&self, question: &Question, set: &RrSet, name: &Path) -> bool {
        let (owner, rtype, rdatas) = plain(set);
        let is_asked = question.qtype == RecordType::NSEC && rtype == RecordType::NSEC && owner == *name;
        is_asked && self.is_cut(name) && self.is_in_a_chain(name, &rdatas)
    }

    /// Whether a set is the DS that the parent has of a zone.
    fn is_parents_ds(&self, set: &PlainSet) -> bool {
        let truth = self.world.truth(&Question::new(set.0.name(), RecordType::DS));
        set.1 == RecordType::DS && truth.steps.iter().any(|step| step.sets(RecordType::DS).contains(set))
    }

    fn is_cut(&self, path: &Path) -> bool {
        self.world.zones().iter().any(|zone| zone.is_cut(path))
    }

    /// Whether a zone's chain of denials has this record at this name.
    fn is_in_a_chain(&self, owner: &Path, rdatas: &BTreeSet<Vec<u8>>) -> bool {
        let chains = self.world.zones().iter().filter_map(|zone| zone.chain.as_ref());
        chains
            .flat_map(|chain| (0..chain.len()).map(|number| chain.record(number)))
            .any(|(at, rdata)| at == owner && rdatas.len() == 1 && rdatas.contains(&folded(RecordType::NSEC, rdata)))
    }

    /// A set of the authority section is one that some zone really has.
    fn check_proof(&self, set: &RrSet) {
        let (owner, rtype, rdatas) = plain(set);
        let is_soa = rtype == RecordType::SOA && self.world.zones().iter().any(|zone| zone.apex == owner);
        assert!(is_soa || self.is_in_a_chain(&owner, &rdatas), "{} {} is no proof of any zone", set.owner, set.rtype);
    }

    /// How many denials, and answers from wildcards, were known without asking.
    #[cfg(test)]
    pub(crate) fn known(&self) -> (u32, u32) {
        self.known.get()
    }

    /// What is known of a question without asking anybody is true.
    pub(crate) fn check_known(&self, question: &Question) {
        let (denials, expansions) = self.known.get();
        if self.denied(question).is_some() {
            self.known.set((denials + 1, expansions));
        }
        if let Some(made) = self.zones.denials.expand(question, &self.anchors, self.now.get()) {
            self.check_expanded(question, made);
            self.known.set((denials, expansions + 1));
        }
    }

    /// The denial that is known, which is true.
    pub(crate) fn denied(&self, question: &Question) -> Option<Arc<Validated>> {
        let denied = self.zones.denials.deny(question, &self.anchors, self.now.get())?;
        assert!(denied.status() == ProvenStatus::Secure && denied.response().answer.is_empty());
        self.check(question, &denied);
        Some(denied)
    }

    /// What was made from a wildcard is what the zone would say, and convinces a validation; that of the rest may fail.
    fn check_expanded(&self, question: &Question, made: Response) {
        let truth = self.world.truth(question);
        let first = truth.steps.first().expect("a question has a name");
        let given: Vec<PlainSet> = made.answer.iter().map(plain).collect();
        assert_eq!(given, first.sets(question.qtype), "{question}: {made:?}\n{}", self.world);
        assert!(first.source.is_wildcard() && first.source != first.name, "{question}: {made:?}\n{}", self.world);
        made.authority.iter().for_each(|set| self.check_proof(set));
        // The alias that was made ends the path if nobody says more.
        let mut said = Some(Arc::new(made));
        let honest = |asked: &Question| Some(self.world.honest(asked, true).received(asked));
        match self.validate(question, |asked| said.take().or_else(|| honest(asked)), None) {
            Verdict::Proven(proven) => self.check(question, &proven),
            verdict => {
                let is_alias = first.kind != super::truth::Kind::Data;
                assert!(is_alias || self.is_costly(), "{question} is refused: {verdict:?}\n{}", self.world);
            }
        }
    }
}

/// What another server says.
type Elsewhere<'e> = dyn FnMut(&Question) -> Option<Arc<Response>> + 'e;

/// Looks for another reply in place of the one that made a verdict bogus, once for each question; false if the verdict stands.
fn mend(
    validation: &mut Validation,
    now: Now,
    replaced: &mut Vec<Question>,
    elsewhere: &mut Option<&mut Elsewhere<'_>>,
) -> bool {
    let Some(elsewhere) = elsewhere else { return false };
    let Some(blame) = validation.blame(now) else { return false };
    let other = if replaced.contains(&blame.question) { None } else { elsewhere(&blame.question) };
    replaced.push(blame.question);
    let is_over = other.is_none() && blame.is_proven;
    match other {
        Some(response) => validation.replace(response),
        None => validation.settle(),
    }
    !is_over
}

/// Aliases that were followed although the alias was asked for: a server that denies it speaks of where it leads.
fn followed(question: &Question, proven: &Validated) -> usize {
    let response = proven.response();
    let aliases = response.answer.iter().filter(|set| set.rtype == RecordType::CNAME).count();
    let is_denied = response.rcode != RCode::NOERROR
        || proven.status() != ProvenStatus::Secure
        || response.authority.iter().any(|set| set.rtype == RecordType::SOA);
    match question.qtype {
        RecordType::CNAME if is_denied => aliases,
        RecordType::CNAME => aliases.saturating_sub(1),
        _ => 0,
    }
}

/// Work is refused only when it is really used up.
fn check_spent(verdict: &Verdict, budget: &mut WorkBudget) {
    let Verdict::Indeterminate(IndeterminateReason::Budget { item }) = verdict else { return };
    let is_left = match item {
        // The dearest check counts four.
        BudgetItem::SignatureChecks => budget.spend_signature_check(4).is_ok(),
        // Of the slow lane, which is not here.
        BudgetItem::CostlyValidations => true,
        BudgetItem::SubQueries => budget.spend_sub_query().is_ok(),
        BudgetItem::AliasHops => budget.spend_alias_hop().is_ok(),
        // One proof has a limit of its own, and one name may cost 51 rounds.
        BudgetItem::Nsec3Hashes => false,
    };
    assert!(!is_left, "{verdict:?}, but there is more of it");
}

/// Nothing is kept for longer than one of its sets, nor than its signatures hold.
fn check_ttl(proven: &Validated) {
    let response = proven.response();
    for set in response.answer.iter().chain(&response.authority) {
        assert!(proven.ttl_s() <= set.ttl_s, "{proven:?}");
        let longest_s = set.signatures.iter().map(|signature| signature.expiration.wrapping_sub(NOW_S)).max();
        assert!(longest_s.is_none_or(|longest_s| proven.ttl_s() <= longest_s), "{proven:?}");
    }
    assert!(response.rcode != RCode(2));
}

fn plain(set: &RrSet) -> PlainSet {
    (Path::of(&set.owner), set.rtype, set.rdatas.iter().map(|rdata| folded(set.rtype, rdata)).collect())
}
