//! A scripted world of zones that answers what a validation needs, honestly but for one thing that a test may break.

use std::cell::Cell;
use std::sync::Arc;

use super::super::alias::{self, End};
use super::zone::{Denies, Zone};
use super::{NOW, name};
use crate::clock::Now;
use crate::validator::{
    ChainStep, DsAnchor, FetchFailure, Pace, Policy, Step, TrustAnchors, Validation, Verdict, WorkBudget, ZoneCache,
};
use crate::wire::{DomainMap, Name, Question, RecordType, Response};

/// Changes a response; says whether it did.
pub type Break = Box<dyn Fn(&Question, &mut Response) -> bool>;

pub struct World {
    pub zones: Vec<Zone>,
    pub anchors: Vec<DsAnchor>,
    pub negative_anchors: Vec<Name>,
    /// Domains that have servers of their own, and those below that have not.
    pub private: DomainMap<bool>,
    pub cache: Arc<ZoneCache>,
    pub policy: Policy,
    /// How far a validation goes until it has paused for the first time; then by slices.
    pub pace: Pace,
    pub now: Now,
    /// Applied to each response.
    pub breaks: Vec<Break>,
    /// Number of responses that were broken.
    pub broken: Cell<u32>,
    /// Questions that nobody answers.
    pub unreachable: Vec<(String, RecordType)>,
    /// Whether the first response follows aliases, as a forwarder's would.
    pub follows: bool,
}

/// What came of a question.
pub struct Run {
    pub verdict: Verdict,
    /// What was fetched on the way, in order.
    pub asked: Vec<String>,
    /// What the validation says that it found out.
    pub steps: Vec<ChainStep>,
    /// How often it paused.
    pub pauses: u32,
}

impl World {
    /// A world with a root that is anchored, and the zones below it: name, how it denies, whether the parent has a DS.
    pub fn new(zones: &[(&str, Denies)]) -> Self {
        let mut world = Self {
            zones: vec![Zone::new(".", Denies::Nsec, 13)],
            anchors: vec![],
            negative_anchors: vec![],
            private: DomainMap::default(),
            cache: Arc::new(ZoneCache::new(1000, 1000)),
            policy: Policy::DEFAULT,
            pace: Pace::Unhindered,
            now: NOW,
            breaks: vec![],
            broken: Cell::new(0),
            unreachable: vec![],
            follows: false,
        };
        world.anchor(".");
        for &(zone, denies) in zones {
            world.delegate(Zone::new(zone, denies, 15));
        }
        world
    }

    /// Adds a zone below those that are there: NS in its parent and, if it is signed, DS.
    pub fn delegate(&mut self, zone: Zone) {
        let parent = self.zone_of(&zone.name.parent().unwrap());
        let parent = &mut self.zones[parent];
        parent.add(&zone.name, RecordType::NS, b"\x02ns\x00".to_vec());
        for key in &zone.keys {
            let ds = key.ds(&zone.name, 2);
            parent.add(&zone.name, RecordType::DS, ds);
        }
        self.zones.push(zone);
    }

    /// Makes the key of a zone a trust anchor.
    pub fn anchor(&mut self, zone: &str) {
        let zone = self.zone(zone);
        let rdata = zone.keys[0].ds(&zone.name, 2);
        let anchor = DsAnchor {
            zone: zone.name.clone(),
            key_tag: u16::from_be_bytes([rdata[0], rdata[1]]),
            algorithm: rdata[2],
            digest_type: rdata[3],
            digest: rdata[4..].into(),
        };
        self.anchors.push(anchor);
    }

    /// All anchors.
    pub fn trust_anchors(&self) -> TrustAnchors {
        TrustAnchors::new(self.anchors.clone(), self.negative_anchors.clone()).with_private(self.private.clone())
    }

    pub fn zone(&mut self, zone: &str) -> &mut Zone {
        let zone = name(zone);
        self.zones.iter_mut().find(|known| known.name == zone).unwrap()
    }

    /// Adds a record to the zone that it falls into.
    pub fn add(&mut self, owner: &str, rtype: RecordType, rdata: &[u8]) {
        let index = self.zone_of(&name(owner));
        self.zones[index].add(&name(owner), rtype, rdata.to_vec());
    }

    pub fn break_with(&mut self, breaks: impl Fn(&Question, &mut Response) -> bool + 'static) {
        self.breaks.push(Box::new(breaks));
    }

    /// Breaks the response to one question.
    pub fn break_reply(&mut self, qname: &str, qtype: RecordType, breaks: impl Fn(&mut Response) + 'static) {
        let broken = Question::new(name(qname), qtype);
        self.break_with(move |question, response| {
            let is_it = *question == broken;
            if is_it {
                breaks(response);
            }
            is_it
        });
    }

    fn zone_of(&self, owner: &Name) -> usize {
        let holding = self.zones.iter().enumerate().filter(|(_, zone)| owner.is_at_or_below(&zone.name));
        holding.max_by_key(|(_, zone)| zone.name.label_count()).unwrap().0
    }

    /// The response to a question, with what the test breaks in it.
    pub fn answer(&self, question: &Question) -> Response {
        let mut response = self.honest(question);
        let mut rest = Some(question.clone()).filter(|_| self.follows);
        while let Some(next) = rest.take() {
            let reading = alias::read(&response, &next, &[], 50, &|_| None);
            if let Some(End::Continues(target)) = reading.map(|reading| reading.end) {
                let more = self.honest(&target);
                response.rcode = more.rcode;
                response.answer.extend(more.answer);
                response.authority.extend(more.authority);
                rest = Some(target);
            }
        }
        for breaks in &self.breaks {
            if breaks(question, &mut response) {
                self.broken.set(self.broken.get() + 1);
            }
        }
        response
    }

    fn honest(&self, question: &Question) -> Response {
        let Question { qname, qtype } = question;
        let side = if *qtype == RecordType::DS { qname.parent().unwrap_or_else(Name::root) } else { qname.clone() };
        self.zones[self.zone_of(&side)].answer(question)
    }

    /// Validates the response to a question.
    pub fn resolve(&self, qname: &str, qtype: RecordType) -> Run {
        let mut budget = WorkBudget::new(self.policy.limits);
        self.resolve_with(qname, qtype, &mut budget)
    }

    pub fn resolve_with(&self, qname: &str, qtype: RecordType, budget: &mut WorkBudget) -> Run {
        self.judge_with(self.answer(&Question::new(name(qname), qtype)), budget)
    }

    /// Validates a response to a question of its own.
    pub fn judge(&self, response: Response) -> Run {
        self.judge_with(response, &mut WorkBudget::new(self.policy.limits))
    }

    fn judge_with(&self, response: Response, budget: &mut WorkBudget) -> Run {
        let anchors = Arc::new(self.trust_anchors());
        let question = response.question.clone();
        let mut validation = Validation::new(question, Arc::new(response), anchors, self.cache.clone(), self.policy);
        let (mut asked, mut pauses) = (vec![], 0);
        let mut pace = self.pace;
        loop {
            match validation.advance(self.now, budget, pace) {
                Step::Done(verdict) => return Run { verdict, asked, steps: validation.steps(), pauses },
                Step::Costly { .. } => {
                    pauses += 1;
                    pace = Pace::Slice;
                }
                Step::Need(question) => {
                    assert!(!asked.contains(&question.to_string()), "{question} is asked again");
                    asked.push(question.to_string());
                    let gone = self
                        .unreachable
                        .iter()
                        .any(|(at, rtype)| name(at) == question.qname && *rtype == question.qtype);
                    let reply = if gone { Err(FetchFailure::NoAnswer) } else { Ok(Arc::new(self.answer(&question))) };
                    let paid = budget.spend_sub_query();
                    assert!(paid.is_ok(), "a test world is small");
                    validation.supply(reply);
                }
            }
        }
    }
}
