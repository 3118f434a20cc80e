//! What is put together from earlier answers is as true as what servers say, not a second older than they allow, and no more secure.
//!
//! The world is that of [`super::validation`]. The bytes are questions, what servers or an attacker say to them, with which TTLs, and how
//! much time passes between. Each search takes what is at hand first, in the resolver's order: answers, single sets, denials; the rest
//! comes from servers. What that makes is judged as ever, and held against the truth and against what was ever told.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use resolver_user::cache::{AtHand, Moment, SetCache, is_answered_by_sets};
use resolver_user::clock::{NS_PER_S, Now};
use resolver_user::validator::{Validated, Verdict};
use resolver_user::wire::{Name, Question, RecordType, Response, RrSet};

use super::source::Source;
use super::world::{Attacker, Path, Reply, Trial, World};

/// Asks questions one after another, of servers that the bytes make honest or not, with all that earlier ones have left at hand.
pub fn at_hand(bytes: &[u8]) {
    static WORLD: OnceLock<(World, Vec<Name>)> = OnceLock::new();
    let (world, names) = WORLD.get_or_init(|| {
        let world = super::validation::world();
        let names = super::validation::names(&world);
        (world, names)
    });
    let source = RefCell::new(Source::new(bytes));
    let attacker = Attacker::new(world, names);
    let past = Past::new(world);
    for _ in 0..ROUNDS_MAX {
        let (question, how) = {
            let source = &mut source.borrow_mut();
            past.pass(u64::from(source.byte()) * 2);
            (attacker.question(source), source.byte())
        };
        past.search(&question, |asked| {
            let source = &mut source.borrow_mut();
            let mut reply =
                if how % 4 == 0 { attacker.reply(asked, source) } else { world.honest(asked, how & 16 == 0) };
            if how & 8 == 0 {
                shorten(&mut reply, source.byte().into());
            }
            Some(reply)
        });
        if source.borrow().is_empty() {
            return;
        }
    }
}

/// Questions that are asked one after another.
const ROUNDS_MAX: usize = 8;

/// Gives the records of a reply no longer TTL, in seconds.
fn shorten(reply: &mut Reply, ttl_s: u32) {
    for record in reply.answer.iter_mut().chain(&mut reply.authority) {
        record.ttl_s = record.ttl_s.min(ttl_s);
    }
}

/// Answers by question, and until when they may be given, in nanoseconds of boot time.
type Answers = HashMap<(Path, RecordType), (Arc<Validated>, u64)>;

/// What was asked before, and what is left of it.
struct Past<'w> {
    trial: Trial<'w>,
    sets: SetCache,
    answers: RefCell<Answers>,
    /// Until when servers have said that a set may be kept, in nanoseconds of boot time, by owner and type.
    told: RefCell<HashMap<(Path, RecordType), u64>>,
}

impl<'w> Past<'w> {
    fn new(world: &'w World) -> Self {
        let (answers, told) = (RefCell::default(), RefCell::default());
        Self { trial: Trial::new(world), sets: SetCache::new(200), answers, told }
    }

    fn now(&self) -> Now {
        self.trial.now.get()
    }

    fn moment(&self) -> Moment {
        Moment { generation: 1, boot_ns: self.now().boot_ns }
    }

    fn pass(&self, seconds: u64) {
        let now = self.now();
        self.trial.now.set(Now { boot_ns: now.boot_ns + seconds * NS_PER_S, ..now });
    }

    /// Finds an answer with what is at hand and what `serve` says; says whether anything was at hand.
    fn search(&self, question: &Question, mut serve: impl FnMut(&Question) -> Option<Reply>) -> (Verdict, bool) {
        let taken = RefCell::new(Vec::new());
        let is_used = Cell::new(true);
        let mut judge = || {
            self.trial.judge(question, |asked| {
                let at_hand = self.at_hand(asked).filter(|_| is_used.get());
                if let Some(at_hand) = at_hand {
                    taken.borrow_mut().extend(keys(&at_hand.response));
                    return Some(Arc::new(at_hand.response));
                }
                let reply = serve(asked)?;
                self.hear(&reply);
                Some(reply.received(asked))
            })
        };
        let mut verdict = judge();
        let was_at_hand = !taken.borrow().is_empty();
        if matches!(verdict, Verdict::Bogus(_)) && was_at_hand {
            taken.borrow_mut().clear();
            is_used.set(false);
            verdict = judge();
        }
        if let Verdict::Proven(proven) = &verdict {
            self.check_ttls(question, proven);
            self.learn(question, proven, &taken.borrow());
        }
        (verdict, was_at_hand)
    }

    /// What is at hand, in the resolver's order.
    fn at_hand(&self, question: &Question) -> Option<AtHand> {
        if !is_answered_by_sets(question.qtype) {
            return None;
        }
        let left_s = |until_ns: u64| u32::try_from(until_ns.saturating_sub(self.now().boot_ns) / NS_PER_S).unwrap();
        let answers = self.answers.borrow();
        let answer = answers.get(&(Path::of(&question.qname), question.qtype)).filter(|(_, until)| left_s(*until) > 0);
        let answer = answer.map(|(proven, until)| AtHand {
            response: proven.response().clone().with_ttl_s(left_s(*until)),
            expires_at_boot_ns: *until,
        });
        let denied = || {
            let denied = self.trial.denied(question)?;
            let expires_at_boot_ns = self.now().boot_ns + u64::from(denied.ttl_s()) * NS_PER_S;
            Some(AtHand { response: denied.response().clone(), expires_at_boot_ns })
        };
        let at_hand = answer.or_else(|| self.sets.reply(question, self.moment(), |_| true)).or_else(denied)?;
        let mut sets = at_hand.response.answer.iter().chain(&at_hand.response.authority);
        assert!(sets.all(|set| set.ttl_s > 0), "TTL 0 is for one use: {at_hand:?}");
        Some(at_hand)
    }

    /// Notes what a server has said of TTLs.
    fn hear(&self, reply: &Reply) {
        let now_ns = self.now().boot_ns;
        for record in reply.answer.iter().chain(&reply.authority) {
            let until_ns = now_ns + u64::from(record.ttl_s) * NS_PER_S;
            let mut told = self.told.borrow_mut();
            let known = told.entry((Path::of(&record.owner), record.rtype)).or_default();
            *known = until_ns.max(*known);
        }
    }

    /// Nothing is given for longer than a server has ever said; what was made from a DNAME, than the DNAME.
    fn check_ttls(&self, question: &Question, proven: &Validated) {
        let response = proven.response();
        let until_ns = self.now().boot_ns + u64::from(proven.ttl_s()) * NS_PER_S;
        for (owner, rtype) in keys(response) {
            let set = |set: &&RrSet| set.rtype == rtype && Path::of(&set.owner) == owner;
            let is_made = rtype == RecordType::CNAME
                && response.answer.iter().find(set).is_some_and(|set| set.signatures.is_empty())
                && response.answer.iter().any(|other| other.rtype == RecordType::DNAME);
            let told_ns = self.told.borrow().get(&(owner, rtype)).copied();
            let is_told = told_ns.is_some_and(|told_ns| until_ns <= told_ns);
            assert!(is_told || is_made, "{question} is kept for too long: {rtype} until {told_ns:?}, {proven:?}");
        }
    }

    fn learn(&self, question: &Question, proven: &Arc<Validated>, taken: &[(Path, RecordType)]) {
        let is_known = |set: &RrSet| taken.contains(&(Path::of(&set.owner), set.rtype));
        self.sets.learn(proven, is_known, u32::MAX, self.moment());
        if !proven.response().authority.iter().any(is_known) {
            self.trial.denials.learn(proven, self.now());
        }
        let until_ns = self.now().boot_ns + u64::from(proven.ttl_s()) * NS_PER_S;
        self.answers.borrow_mut().insert((Path::of(&question.qname), question.qtype), (Arc::clone(proven), until_ns));
    }
}

fn keys(response: &Response) -> impl Iterator<Item = (Path, RecordType)> {
    response.answer.iter().chain(&response.authority).map(|set| (Path::of(&set.owner), set.rtype))
}

#[cfg(test)]
mod tests {
    use super::super::validation;
    use super::*;

    const TYPES: [RecordType; 4] = [RecordType::A, RecordType::TXT, RecordType::CNAME, RecordType::DNAME];

    /// Without this the claim could hold because nothing is ever at hand. With honest servers, what is put together is what they say.
    #[test]
    fn what_is_put_together_is_what_honest_servers_say() {
        let world = validation::world();
        let names = validation::names(&world);
        let below = names.iter().filter_map(|name| name.prepend(b"zz").ok());
        let questions: Vec<Question> = (names.iter().cloned().chain(below))
            .flat_map(|name| TYPES.map(|qtype| Question::new(name.clone(), qtype)))
            .collect();
        let (mut put_together, mut bogus) = (0, 0);
        for follows in [false, true] {
            // Each from what another one has left, and all one after another, which is at hand for each other.
            let one_for_all = Past::new(&world);
            for (number, question) in questions.iter().enumerate() {
                let pair = Past::new(&world);
                let before = &questions[(number * 7 + 1) % questions.len()];
                let beside = Question::new(question.qname.clone(), RecordType::MX);
                let serve = |asked: &Question| Some(world.honest(asked, follows));
                for (past, question) in [(&pair, before), (&pair, &beside), (&pair, question), (&one_for_all, question)]
                {
                    one_for_all.pass(1);
                    let (verdict, was_at_hand) = past.search(question, serve);
                    past.trial.check_honest(question, &verdict);
                    put_together += u32::from(was_at_hand);
                    bogus += u32::from(matches!(verdict, Verdict::Bogus(_)));
                }
            }
        }
        assert!(put_together > 500, "{put_together} answers have parts that were at hand, {bogus} are bogus");
    }
}
