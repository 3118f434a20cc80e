//! Servers that have the same to say: which of them is asked, and how many questions they have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::doubts::Among;
use super::server::Server;

/// Questions after which all servers are asked again, to find the fastest; dnsmasq's.
const QUESTIONS_BETWEEN_RACES: u32 = 50;
/// Time after which they are, in milliseconds; dnsmasq's.
const TIME_BETWEEN_RACES_MS: u64 = 20_000;
/// Most servers that are asked at once.
const AT_ONCE_MAX: usize = 16;
/// Shortest time between two warnings, in milliseconds; dnsmasq's.
const WARNING_PERIOD_MS: u64 = 5000;

/// In which order servers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The one that answered last first; now and then all at once.
    Favoured,
    /// As configured.
    Strict,
    /// All at once.
    All,
}

/// Servers that have the same to say.
#[derive(Debug)]
pub(super) struct Group {
    /// In the order of the configuration.
    pub(super) servers: Vec<Arc<Server>>,
    favoured: AtomicUsize,
    /// Questions since all were asked.
    questions: AtomicU32,
    /// When all were asked; 0 = never.
    raced_at_ms: AtomicU64,
    /// Questions that are with the servers.
    in_flight: AtomicUsize,
    /// When it was last told that there are too many; 0 = never.
    warned_at_ms: AtomicU64,
}

/// Whom to ask about one question.
#[derive(Debug)]
pub(super) struct Plan {
    /// Numbers of the servers, the first one first.
    pub(super) order: Vec<usize>,
    /// How many of them at once.
    pub(super) at_once: usize,
    /// Whether there is a reply already, if only a bogus one, and all of these have been silent.
    pub(super) is_long_shot: bool,
}

/// A question that is with a group's servers. Dropping it makes room for another one.
#[derive(Debug)]
pub(super) struct Place<'a>(&'a Group);

impl Group {
    pub(super) fn new(servers: Vec<Arc<Server>>) -> Self {
        Self {
            servers,
            favoured: AtomicUsize::new(0),
            questions: AtomicU32::new(0),
            raced_at_ms: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            warned_at_ms: AtomicU64::new(0),
        }
    }

    /// Takes over what an older group knows of the same servers.
    pub(super) fn remember(&self, older: &Self) {
        let favoured = older.servers.get(older.favoured.load(Ordering::Relaxed));
        let known = favoured.and_then(|favoured| self.servers.iter().position(|one| Arc::ptr_eq(one, favoured)));
        if let Some(known) = known
            && self.servers.len() == older.servers.len()
        {
            self.favoured.store(known, Ordering::Relaxed);
            self.raced_at_ms.store(older.raced_at_ms.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Whom to ask now. Servers that send our queries back are left out. `is_doubted`: whether what a server said of the zone
    /// was bogus a moment ago; such a one is asked last and alone, or not at all.
    pub(super) fn plan(&self, order: Order, among: Among, is_doubted: impl Fn(&Server) -> bool, now_ms: u64) -> Plan {
        let server = |number: usize| self.servers.get(number);
        let mut numbers: Vec<usize> = (0..self.servers.len()).collect();
        if order != Order::Strict {
            let favoured = self.favoured.load(Ordering::Relaxed);
            numbers.sort_by_key(|&number| number != favoured);
        }
        numbers.retain(|&number| server(number).is_some_and(|server| !server.is_looping()));
        let is_silent = |number: &usize| server(*number).is_some_and(|server| server.is_silent(now_ms));
        let is_doubted = |number: &usize| server(*number).is_some_and(|server| is_doubted(server));
        if among == Among::Undoubted {
            numbers.retain(|number| !is_doubted(number));
        }
        // Where all are silent, or all are asked, nothing changes.
        numbers.sort_by_cached_key(|number| (is_silent(number), is_doubted(number)));
        // The first who answers wins a race, whatever it says.
        let racing = || numbers.iter().filter(|number| !is_doubted(number)).count();
        let at_once = match order {
            Order::Strict => 1,
            Order::All => racing(),
            Order::Favoured if self.is_race_due(now_ms) => racing(),
            Order::Favoured => 1,
        };
        let is_long_shot = among == Among::Undoubted && numbers.iter().all(is_silent);
        Plan { order: numbers, at_once: at_once.clamp(1, AT_ONCE_MAX), is_long_shot }
    }

    /// Whether it is time to ask all servers at once; then the count begins again.
    fn is_race_due(&self, now_ms: u64) -> bool {
        let questions = self.questions.fetch_add(1, Ordering::Relaxed);
        let raced_at_ms = self.raced_at_ms.load(Ordering::Relaxed);
        let due = raced_at_ms == 0
            || questions >= QUESTIONS_BETWEEN_RACES
            || now_ms.saturating_sub(raced_at_ms) > TIME_BETWEEN_RACES_MS;
        if due {
            self.questions.store(0, Ordering::Relaxed);
            self.raced_at_ms.store(now_ms, Ordering::Relaxed);
        }
        due
    }

    /// Notes that this server gave a usable reply first: it is asked first from now on.
    pub(super) fn favour(&self, number: usize) {
        self.favoured.store(number, Ordering::Relaxed);
    }

    /// A place for a question; none if `max` are taken. Without a `max` there is always one.
    pub(super) fn place(&self, max: Option<usize>) -> Option<Place<'_>> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let place = Place(self);
        max.is_none_or(|max| before < max).then_some(place)
    }

    /// Whether it may be told now that there are too many questions.
    pub(super) fn may_warn(&self, now_ms: u64) -> bool {
        let last_ms = self.warned_at_ms.load(Ordering::Relaxed);
        let due = last_ms == 0 || now_ms.saturating_sub(last_ms) >= WARNING_PERIOD_MS;
        due && self.warned_at_ms.compare_exchange(last_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::server::tests::server;
    use super::*;

    fn group(servers: u16) -> Group {
        Group::new((1..=servers).map(|port| Arc::new(server(port))).collect())
    }

    fn orders(group: &Group, order: Order) -> (Vec<usize>, usize) {
        let plan = group.plan(order, Among::All, |_| false, 1);
        (plan.order, plan.at_once)
    }

    #[test]
    fn the_server_that_answered_last_is_asked_first_and_every_fiftieth_question_goes_to_all() {
        let group = group(3);
        assert_eq!(orders(&group, Order::Favoured), (vec![0, 1, 2], 3), "nothing is known yet");
        group.favour(2);
        for _ in 0..QUESTIONS_BETWEEN_RACES {
            assert_eq!(orders(&group, Order::Favoured), (vec![2, 0, 1], 1));
        }
        assert_eq!(orders(&group, Order::Favoured), (vec![2, 0, 1], 3));
        assert_eq!(orders(&group, Order::Favoured), (vec![2, 0, 1], 1));
    }

    #[test]
    fn strict_order_forgets_who_answered_and_all_means_all() {
        let group = group(3);
        group.favour(1);
        assert_eq!(orders(&group, Order::Strict), (vec![0, 1, 2], 1));
        assert_eq!(orders(&group, Order::All), (vec![1, 0, 2], 3));
    }

    #[test]
    fn a_looping_server_is_left_out() {
        let group = group(2);
        assert!(group.servers[0].set_looping(true) && !group.servers[0].set_looping(true));
        assert_eq!(orders(&group, Order::Strict), (vec![1], 1));
        group.servers[1].set_looping(true);
        assert_eq!(orders(&group, Order::All), (vec![], 1));
    }

    #[test]
    fn a_server_that_does_not_reply_is_asked_last_even_in_strict_order() {
        let group = group(3);
        (0..3).for_each(|_| group.servers[0].note_silence(1));
        assert_eq!(orders(&group, Order::Strict), (vec![1, 2, 0], 1));
        assert_eq!(orders(&group, Order::Favoured), (vec![1, 2, 0], 3), "a race asks it, too");
        group.servers[0].note_rtt(std::time::Duration::from_millis(1));
        assert_eq!(orders(&group, Order::Strict), (vec![0, 1, 2], 1));
    }

    #[test]
    fn a_server_that_gave_bogus_data_is_asked_last_and_not_again_for_something_better() {
        let group = group(3);
        let plan = |order, among| {
            let plan = group.plan(order, among, |server| [1, 2].contains(&server.address.port()), 1);
            (plan.order, plan.at_once)
        };
        assert_eq!(plan(Order::Strict, Among::All), (vec![2, 0, 1], 1));
        assert_eq!(plan(Order::All, Among::All), (vec![2, 0, 1], 1), "it takes no part in a race");
        assert_eq!(plan(Order::Strict, Among::Undoubted), (vec![2], 1));
        (0..3).for_each(|_| group.servers[2].note_silence(1));
        assert_eq!(plan(Order::Strict, Among::All), (vec![0, 1, 2], 1));
        assert_eq!(plan(Order::Strict, Among::Undoubted), (vec![2], 1), "it may not be silent to this");
    }

    #[test]
    fn something_better_is_not_waited_for_where_all_who_may_have_it_are_silent() {
        let group = group(3);
        let long_shot = |among| group.plan(Order::Strict, among, |server| server.address.port() == 1, 1).is_long_shot;
        (0..3).for_each(|_| group.servers[1].note_silence(1));
        assert!(!long_shot(Among::Undoubted), "one is not silent");
        (0..3).for_each(|_| group.servers[2].note_silence(1));
        assert!(long_shot(Among::Undoubted) && !long_shot(Among::All));
    }

    #[test]
    fn there_is_room_for_so_many_questions_and_no_more() {
        let group = group(1);
        let first = group.place(Some(2)).unwrap();
        let _second = group.place(Some(2)).unwrap();
        assert!(group.place(Some(2)).is_none());
        assert!(group.place(None).is_some(), "what a question under way needs is not counted against it");
        drop(first);
        assert!(group.place(Some(2)).is_some());
        assert!(group.may_warn(1) && !group.may_warn(2), "once in five seconds");
    }

    #[test]
    fn a_new_group_of_the_same_servers_keeps_its_favourite() {
        let old = group(2);
        old.favour(1);
        old.plan(Order::Favoured, Among::All, |_| false, 1);
        let new = Group::new(vec![Arc::clone(&old.servers[1]), Arc::clone(&old.servers[0])]);
        new.remember(&old);
        assert_eq!(orders(&new, Order::Favoured), (vec![0, 1], 1));
    }
}
