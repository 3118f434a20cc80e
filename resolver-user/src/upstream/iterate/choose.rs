//! Which of several servers is asked next: the fastest, mostly.

use std::sync::Arc;
use std::time::Duration;

use super::super::server::Server;

/// What a server is taken to need of which nothing is known. Choice: less than most that are far away, so that it is tried.
const UNKNOWN_RTT: Duration = Duration::from_millis(100);
/// Servers that are so much slower than the fastest are as good as it. Choice: to ask several makes forging harder.
const SAME_WITHIN: Duration = Duration::from_millis(25);
/// Servers that are so much slower are asked now and then, to see whether they still are.
const PROBED_WITHIN: Duration = Duration::from_millis(400);
/// One in so many questions looks at those.
const PROBE_EVERY: u64 = 16;

/// A server that may be asked.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// The server.
    pub(super) server: Arc<Server>,
    /// How often it was asked about the same already.
    pub(super) tries: usize,
    /// Whether what it said of the zone was bogus a moment ago.
    pub(super) is_doubted: bool,
}

/// The one to ask: of those that were asked least often about the same, and neither lately silent nor doubted if there are others,
/// one of the fastest. `random` decides among equals.
pub(super) fn choose(candidates: &[Candidate], random: u64, now_ms: u64) -> Option<&Candidate> {
    let burden = |candidate: &Candidate| (candidate.tries, candidate.server.is_silent(now_ms), candidate.is_doubted);
    let least = candidates.iter().map(burden).min()?;
    let free = || candidates.iter().filter(|candidate| burden(candidate) == least);
    let rtt = |candidate: &Candidate| candidate.server.srtt().unwrap_or(UNKNOWN_RTT);
    let best = free().map(rtt).min()?;
    let within = if random.is_multiple_of(PROBE_EVERY) { PROBED_WITHIN } else { SAME_WITHIN };
    let good = || free().filter(|candidate| rtt(candidate) <= best.saturating_add(within));
    let count = u64::try_from(good().count()).unwrap_or(1).max(1);
    let index = usize::try_from((random / PROBE_EVERY).checked_rem(count)?).unwrap_or(0);
    good().nth(index)
}

#[cfg(test)]
mod tests {
    use super::super::super::server::tests::server;
    use super::*;

    fn candidate(port: u16, rtt_ms: Option<u64>, tries: usize) -> Candidate {
        let server = server(port);
        if let Some(rtt_ms) = rtt_ms {
            server.note_rtt(Duration::from_millis(rtt_ms));
        }
        Candidate { server: Arc::new(server), tries, is_doubted: false }
    }

    /// Ports of the servers that are chosen over many questions.
    fn chosen(candidates: &[Candidate], now_ms: u64) -> Vec<u16> {
        let ports = (0..2000).map(|random| choose(candidates, random, now_ms).unwrap().server.address.port());
        let mut ports: Vec<u16> = ports.collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    #[test]
    fn the_fastest_are_asked_and_others_now_and_then() {
        let candidates = [candidate(1, Some(10), 0), candidate(2, Some(30), 0), candidate(3, Some(200), 0)];
        let third = (0..1600)
            .filter(|&random| choose(&candidates, random, 1).is_some_and(|chosen| chosen.server.address.port() == 3));
        assert!((20..60).contains(&third.count()), "one in sixteen looks, one in three of these finds it");
        assert_eq!(chosen(&candidates, 1), [1, 2, 3]);
        let far = [candidate(1, Some(10), 0), candidate(2, Some(900), 0)];
        assert_eq!(chosen(&far, 1), [1]);
        let unknown = [candidate(1, Some(90), 0), candidate(2, None, 0)];
        assert_eq!(chosen(&unknown, 1), [1, 2], "an unknown one is tried");
    }

    #[test]
    fn one_that_was_asked_already_or_is_silent_comes_last() {
        assert_eq!(chosen(&[candidate(1, Some(1), 1), candidate(2, Some(900), 0)], 1), [2]);
        let silent = candidate(1, Some(1), 0);
        (0..3).for_each(|_| silent.server.note_silence(1));
        let candidates = [silent, candidate(2, Some(900), 0)];
        assert_eq!(chosen(&candidates, 2), [2]);
        assert_eq!(chosen(&candidates, 100_000), [1], "it gets another chance");
        assert!(choose(&[], 1, 1).is_none());
    }

    #[test]
    fn a_doubted_one_comes_after_all_others_but_the_silent() {
        let doubted = Candidate { is_doubted: true, ..candidate(1, Some(1), 0) };
        let slow = candidate(2, Some(900), 0);
        assert_eq!(chosen(&[doubted.clone(), slow.clone()], 2), [2]);
        (0..3).for_each(|_| slow.server.note_silence(1));
        assert_eq!(chosen(&[doubted, slow], 2), [1]);
    }
}
