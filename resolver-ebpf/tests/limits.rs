//! The limiter on the host, with a clock that the tests move: budgets, levels, and what floods can do to them.

use resolver_ebpf::abi::{
    LIMIT_ENFORCE, LIMIT_LEVELS, LIMIT_LOG_ONLY, LIMIT_OFF, LIMIT_WORDS, LimitLevel, LimitRules, OFFENDERS, client_v4,
    client_v6,
};
use resolver_ebpf::limit::{Limits, Use, Verdict};
use resolver_ebpf::serve::SharedWord;

const NS_PER_S: u64 = 1_000_000_000;
/// When the tests begin, in nanoseconds of CLOCK_BOOTTIME.
const START_NS: u64 = 1000 * NS_PER_S;

/// A limiter with memory and a clock of its own.
struct World {
    words: Vec<SharedWord>,
    now_ns: u64,
    random: u32,
}

impl World {
    /// `per_second` answers for a client, `wide` for all around it, bursts of a second.
    fn new(per_second: u32, wide: u32) -> Self {
        let words = (0..LIMIT_WORDS).map(|_| SharedWord::new(0)).collect();
        let world = Self { words, now_ns: START_NS, random: 0x1234_5678 };
        world.limits().set_hash_key([[0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3211], [0x1111, 0x9E37_79B9_7F4A_7C15]]);
        world.limits().set_rules(&rules(LIMIT_ENFORCE, 0, per_second, wide));
        world
    }

    fn limits(&self) -> Limits<'_> {
        Limits(self.words.first_chunk().expect("so many words"))
    }

    /// xorshift32.
    fn draw(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random
    }

    fn ask(&mut self, client: u64, is_v4: bool) -> Verdict {
        let random = self.draw();
        self.limits().ask(client, is_v4, Use::Answer, self.now_ns, || random)
    }

    fn ask_v4(&mut self, address: [u8; 4]) -> Verdict {
        self.ask(client_v4(address), true)
    }

    /// How many of so many queries at this moment are within their limits.
    fn within(&mut self, address: [u8; 4], queries: usize) -> usize {
        (0..queries).filter(|_| self.ask_v4(address) == Verdict::Within).count()
    }
}

fn rules(mode: u32, slip_one_in: u32, per_second: u32, wide: u32) -> LimitRules {
    let levels = [LimitLevel::new(per_second, 1, 32, 64), LimitLevel::new(wide, 1, 24, 56)];
    LimitRules { mode, slip_one_in, hash_key: [[0; 2]; LIMIT_LEVELS], levels, padding: [0; 3] }
}

const CLIENT: [u8; 4] = [198, 51, 100, 7];

#[test]
fn a_client_has_its_burst_at_once_and_then_its_rate() {
    let mut world = World::new(50, 1000);
    assert_eq!(world.within(CLIENT, 200), 50);
    for _ in 0..10 {
        world.now_ns += NS_PER_S / 50;
        assert_eq!(world.within(CLIENT, 5), 1);
    }
    // After a second of silence the budget is whole again, and no more than that.
    for silence_s in [1, 2, 3600] {
        world.now_ns += silence_s * NS_PER_S;
        assert_eq!(world.within(CLIENT, 200), 50, "after {silence_s} s");
    }
}

#[test]
fn a_flood_gets_the_rate_and_not_one_answer_more() {
    let mut world = World::new(50, 1000);
    let (seconds, queries_per_s) = (60, 5000);
    let mut within = 0;
    for _ in 0..seconds * queries_per_s {
        within += world.within(CLIENT, 1);
        world.now_ns += NS_PER_S / queries_per_s as u64;
    }
    // The last query comes just before the minute is over.
    assert_eq!(within, 50 * seconds + 50 - 1);
}

#[test]
fn what_is_refused_costs_nothing() {
    let mut world = World::new(10, 1000);
    world.within(CLIENT, 10);
    let spent: Vec<u64> = world.words[16 + 4 * OFFENDERS..].iter().map(SharedWord::load).collect();
    assert_eq!(world.within(CLIENT, 100_000), 0);
    let after: Vec<u64> = world.words[16 + 4 * OFFENDERS..].iter().map(SharedWord::load).collect();
    assert!(spent == after);
}

#[test]
fn each_client_has_a_budget_and_all_around_it_have_one_together() {
    let mut world = World::new(10, 35);
    let answered: Vec<usize> = (1..=5).map(|last| world.within([198, 51, 100, last], 20)).collect();
    assert_eq!(answered, [10, 10, 10, 5, 0]);
    assert_eq!(world.ask_v4([198, 51, 100, 5]), Verdict::DroppedWide);
    assert_eq!(world.ask_v4([198, 51, 100, 1]), Verdict::DroppedNarrow);
    assert_eq!(world.within([198, 51, 101, 1], 20), 10, "the next network has its own");
}

#[test]
fn a_client_of_ipv6_is_its_network_whatever_lower_half_it_takes() {
    let mut world = World::new(10, 35);
    let mut within = |network: u8, wide: u8| {
        let address = |host: u8| [0x20, 1, 0xd, 0xb8, 0, 0, wide, network, 0, 0, 0, 0, 0, 0, 0, host];
        (0..20).filter(|host| world.ask(client_v6(address(*host)), false) == Verdict::Within).count()
    };
    assert_eq!([within(1, 0), within(2, 0), within(3, 0), within(4, 0), within(5, 0)], [10, 10, 10, 5, 0]);
    assert_eq!(within(1, 1), 10);
}

#[test]
fn a_query_that_is_passed_on_is_charged_where_it_is_answered_and_nowhere_else() {
    let mut world = World::new(10, 1000);
    let pass = |world: &World| world.limits().ask(client_v4(CLIENT), true, Use::Pass, world.now_ns, || 0);
    assert!((0..1000).all(|_| pass(&world) == Verdict::Within));
    assert_eq!(world.within(CLIENT, 20), 10);
    assert_eq!(pass(&world), Verdict::DroppedNarrow);
}

#[test]
fn one_in_n_slips() {
    for (slip_one_in, expected) in [(0, 0..=0), (1, 10_000..=10_000), (2, 4800..=5200), (10, 900..=1100)] {
        let mut world = World::new(10, 1000);
        world.limits().set_rules(&rules(LIMIT_ENFORCE, slip_one_in, 10, 1000));
        world.within(CLIENT, 10);
        let slipped = (0..10_000).filter(|_| world.ask_v4(CLIENT) == Verdict::SlippedNarrow).count();
        assert!(expected.contains(&slipped), "one in {slip_one_in}: {slipped}");
    }
}

#[test]
fn log_only_says_so_and_off_says_nothing() {
    let mut world = World::new(10, 25);
    world.limits().set_rules(&rules(LIMIT_LOG_ONLY, 1, 10, 25));
    let verdicts: Vec<Verdict> = (0..12).map(|_| world.ask_v4(CLIENT)).collect();
    assert_eq!(verdicts[9..], [Verdict::Within, Verdict::LoggedNarrow, Verdict::LoggedNarrow]);
    assert_eq!(world.within([198, 51, 100, 8], 10) + world.within([198, 51, 100, 9], 10), 15);
    assert_eq!(world.ask_v4([198, 51, 100, 9]), Verdict::LoggedWide);
    world.limits().set_rules(&rules(LIMIT_OFF, 1, 10, 25));
    assert_eq!(world.within(CLIENT, 1000), 1000);
}

#[test]
fn tighter_rules_hold_at_once_and_budgets_of_older_rules_do_not_shut_a_client_out() {
    let mut world = World::new(10, 1000);
    let mut slow = rules(LIMIT_ENFORCE, 0, 1, 1000);
    slow.levels[0] = LimitLevel::new(1, 60, 32, 64);
    world.limits().set_rules(&slow);
    assert_eq!(world.within(CLIENT, 100), 60);
    // A minute's worth is spent; under the new rules, only a second's can be.
    world.limits().set_rules(&rules(LIMIT_ENFORCE, 0, 10, 1000));
    assert_eq!(world.ask_v4(CLIENT), Verdict::DroppedNarrow);
    world.now_ns += NS_PER_S;
    assert_eq!(world.within(CLIENT, 100), 10);
    // A clock that was wrong by a year wedges nothing either.
    world.now_ns += 31_557_600 * NS_PER_S;
    world.within(CLIENT, 100);
    world.now_ns -= 31_557_600 * NS_PER_S;
    // One level is found out after the other, since what is over the first is not held to the second.
    assert_eq!(world.within(CLIENT, 2), 0);
    world.now_ns += NS_PER_S;
    assert_eq!(world.within(CLIENT, 2), 0);
    world.now_ns += NS_PER_S;
    assert_eq!(world.within(CLIENT, 100), 10);
}

#[test]
fn budgets_outlive_new_rates_and_begin_anew_with_prefixes_of_other_lengths() {
    let mut world = World::new(10, 1000);
    assert_eq!(world.within(CLIENT, 100), 10);
    world.limits().set_rules(&rules(LIMIT_ENFORCE, 0, 10, 500));
    assert_eq!((world.within(CLIENT, 100), world.limits().offenders(0).count()), (0, 1));
    let mut other = rules(LIMIT_ENFORCE, 0, 10, 500);
    other.levels[0] = LimitLevel::new(10, 1, 31, 64);
    world.limits().set_rules(&other);
    assert_eq!(world.limits().offenders(0).count(), 0, "it was a network that does not count any more");
    assert_eq!(world.within(CLIENT, 100), 10);
    world.limits().set_rules(&other);
    assert_eq!(world.within(CLIENT, 100), 0);
}

#[test]
fn clocks_that_differ_by_two_jiffies_give_nothing_away() {
    let mut world = World::new(100, 100_000);
    let skew_ns = 20_000_000;
    let mut within = 0;
    for _ in 0..1_000_000 {
        // Now from the one half, then from the other, a hundred thousand times a second each.
        world.now_ns += 5_000 + skew_ns;
        within += world.within(CLIENT, 1);
        world.now_ns = world.now_ns + 5_000 - skew_ns;
        within += world.within(CLIENT, 1);
    }
    // Ten seconds, their burst, and what the faster clock is ahead, once.
    assert!((1098..=1104).contains(&within), "{within}");
}

/// A flood from made-up sources beside a client that is over its limit, and innocent ones. Out: what the former got in two
/// seconds at ten times its rate, and how many of the latter's queries were refused.
fn flooded(queries_per_s: u64, rate: u32) -> (usize, usize) {
    let mut world = World::new(rate, 10 * rate);
    let (seconds, innocents) = (2, 1000);
    let (mut guilty_got, mut refused) = (0, 0);
    let step_ns = NS_PER_S / queries_per_s;
    for turn in 0..seconds * queries_per_s {
        let source = world.draw().to_be_bytes();
        // Theirs is not the network of the others: made-up sources are not ours to tell apart from real ones.
        world.ask_v4([source[0] | 128, source[1], source[2], source[3]]);
        if turn % (queries_per_s / u64::from(10 * rate)) == 0 {
            guilty_got += world.within(CLIENT, 1);
        }
        // Two queries a second each.
        if turn % (queries_per_s / (2 * innocents)) == 0 {
            let who = world.draw() % innocents as u32;
            refused += usize::from(world.within([10, (who >> 4) as u8, who as u8, 1], 1) == 0);
        }
        world.now_ns += step_ns;
    }
    (guilty_got, refused)
}

#[test]
fn a_flood_of_made_up_sources_frees_nobody_and_limits_nobody_else() {
    for (queries_per_s, rate) in [(200_000, 20), (1_000_000, 20), (2_000_000, 20)] {
        let (guilty_got, refused) = flooded(queries_per_s, rate);
        println!(
            "{queries_per_s} made-up sources a second, {rate} answers a second each: the one over its limit got {guilty_got} in 2 s"
        );
        assert!(guilty_got <= 3 * rate as usize, "{guilty_got} answers at {rate} a second");
        assert!(guilty_got >= rate as usize, "nor is it shut out: {guilty_got}");
        assert!(refused == 0, "{refused} of innocent queries refused at {queries_per_s}/s");
    }
}

#[test]
fn threads_that_race_lose_few_charges_and_leave_nobody_shut_out() {
    let mut world = World::new(100_000, 1_000_000);
    let limits = &world;
    let ask = || {
        let ask =
            |_: &u32| limits.limits().ask(client_v4(CLIENT), true, Use::Answer, START_NS, || 0) == Verdict::Within;
        (0..500_000u32).filter(ask).count()
    };
    let within: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    println!("{within} of 100000");
    // Each thread could at worst get the whole budget.
    assert!((100_000..=400_000).contains(&within), "{within}");
    world.now_ns += NS_PER_S;
    assert_eq!(world.within(CLIENT, 200_000), 100_000);
}

#[test]
fn who_was_over_a_limit_is_remembered_in_bounded_memory() {
    let mut world = World::new(1, 50);
    for last in 0..=255 {
        world.within([198, 51, 100, last], 3);
        world.within([10, 0, last, 1], 3);
    }
    let [narrow, wide] = [0, 1].map(|level| world.limits().offenders(level).collect::<Vec<_>>());
    assert!(narrow.len() > 64 && narrow.len() <= OFFENDERS, "{}", narrow.len());
    let known = client_v4([198, 51, 100, 0]);
    assert_eq!(wide.iter().map(|offender| offender.prefix).collect::<Vec<_>>(), [known]);
    assert_eq!(wide[0].state >> 32, START_NS >> 30);
    assert!(narrow.iter().all(|offender| offender.state as u32 <= 3), "{narrow:?}");
    // Later ones take the places of those that have been quiet.
    world.now_ns += 120 * NS_PER_S;
    world.within([192, 0, 2, 1], 5);
    let newcomer = client_v4([192, 0, 2, 1]);
    let state =
        world.limits().offenders(0).find(|offender| offender.prefix == newcomer).map(|offender| offender.state as u32);
    assert_eq!(state, Some(4));
}
