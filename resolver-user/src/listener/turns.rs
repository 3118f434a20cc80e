//! Queries whose answers have to be found begin in turns of their clients, and no faster than the runtime gets on with them.
//!
//! In: a query and its client. Out: the tasks that find answers, a few at a time; before the next few, all else that is ready runs. So what
//! this machine has no time for yet waits here, where clients have turns, and not with the runtime, which is first come, first
//! served. A client that asks for more than can be found thus delays its own queries, and those of others by the few that have begun.
//! Refuses to bound what waits: each query has come with a permit of those that [`Shared`] has.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::yield_now;

use super::batch::send_late;
use super::share::client_number;
use super::{QueryBytes, QueryService, Shared};

/// Queries that begin at once, for each thread of the runtime. Choice: few, since others wait for them (about 20 us each), but not one,
/// since before the next ones the runtime looks for what is ready, which is a system call.
const AT_ONCE_PER_THREAD: usize = 4;

/// A query by UDP whose answer has to be found.
#[derive(Debug)]
pub struct LateQuery {
    pub(super) query: QueryBytes,
    pub(super) client: SocketAddr,
    pub(super) socket: Arc<UdpSocket>,
    /// Given back once it is answered.
    pub(super) permits: [OwnedSemaphorePermit; 2],
}

/// What waits, by client.
#[derive(Debug)]
pub struct Turns<J> {
    waiting: Mutex<Waiting<J>>,
}

#[derive(Debug)]
struct Waiting<J> {
    /// Each client that something waits for, the next one first.
    clients: VecDeque<u128>,
    jobs: HashMap<u128, VecDeque<J>>,
    /// Whether somebody takes them out.
    is_served: bool,
}

impl<J> Default for Turns<J> {
    fn default() -> Self {
        Self { waiting: Mutex::new(Waiting { clients: VecDeque::new(), jobs: HashMap::new(), is_served: false }) }
    }
}

impl<J> Turns<J> {
    /// Takes in a job as its client's last. True if nobody takes jobs out: it is for the caller to see to that.
    #[must_use]
    fn join(&self, client: IpAddr, job: J) -> bool {
        let mut waiting = self.lock();
        let client = client_number(client);
        let jobs = waiting.jobs.entry(client).or_default();
        let is_first = jobs.is_empty();
        jobs.push_back(job);
        if is_first {
            waiting.clients.push_back(client);
        }
        !std::mem::replace(&mut waiting.is_served, true)
    }

    /// The first job of the client whose turn it is, which then has the last turn, and whether it is the last of all. After that one, and
    /// if there is none, nobody takes jobs out any more.
    fn next(&self) -> Option<(J, bool)> {
        let mut guard = self.lock();
        let waiting = &mut *guard;
        while let Some(client) = waiting.clients.pop_front() {
            let Some(jobs) = waiting.jobs.get_mut(&client) else { continue };
            let job = jobs.pop_front();
            if jobs.is_empty() {
                waiting.jobs.remove(&client);
            } else {
                waiting.clients.push_back(client);
            }
            if let Some(job) = job {
                waiting.is_served = !waiting.clients.is_empty();
                return Some((job, !waiting.is_served));
            }
        }
        waiting.is_served = false;
        None
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<J>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LateQuery {
    /// Has it wait for its client's turn, in a runtime.
    pub(super) fn join<S: QueryService>(self, shared: &Arc<Shared<S>>) {
        if shared.turns.join(self.client.ip(), self) {
            shared.tracker.spawn(serve(Arc::clone(shared)));
        }
    }

    /// Finds the answer and sends it.
    async fn answer<S: QueryService>(self, shared: Arc<Shared<S>>) {
        let Self { query, client, socket, permits } = self;
        let (answer, work) = Arc::clone(&shared.service).answer_later(query).await;
        if !send_late(&socket, &answer, client).await {
            shared.metrics.dropped_send_failed.add_one();
        }
        if let Some(work) = work {
            shared.service.after_sending(work);
        }
        drop(permits);
    }
}

/// Begins what waits, until nothing does.
async fn serve<S: QueryService>(shared: Arc<Shared<S>>) {
    let at_once = AT_ONCE_PER_THREAD.saturating_mul(Handle::current().metrics().num_workers());
    loop {
        for _ in 0..at_once {
            let Some((late, is_last)) = shared.turns.next() else { return };
            let answer = late.answer(Arc::clone(&shared));
            if is_last {
                // Where there is only one there is one task.
                return answer.await;
            }
            shared.tracker.spawn(answer);
        }
        yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::answer::{Asked, Sent, Transport};
    use crate::listener::{Answered, ClientQuery, QUERIES_IN_PROGRESS_MAX};

    fn client(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn clients_have_turns_and_a_client_s_first_query_begins_first() {
        let turns = Turns::default();
        for number in 0..100 {
            assert_eq!(turns.join(client(1), (1, number)), number == 0, "one is told to see to it");
        }
        let next = || turns.next().map(|(job, _)| job).unwrap();
        assert_eq!((0..3).map(|_| next()).collect::<Vec<_>>(), [(1, 0), (1, 1), (1, 2)]);
        for number in 0..2 {
            assert!(!turns.join(client(2), (2, number)));
            assert!(!turns.join(client(3), (3, number)));
        }
        let begun: Vec<_> = (0..7).map(|_| next()).collect();
        assert_eq!(begun, [(1, 3), (2, 0), (3, 0), (1, 4), (2, 1), (3, 1), (1, 5)]);
    }

    #[test]
    fn when_nothing_waits_nothing_is_left_behind_and_the_next_query_is_seen_to_anew() {
        let turns = Turns::default();
        for _ in 0..3 {
            assert!(turns.join(client(1), 1));
            assert!(!turns.join("2001:db8::1".parse().unwrap(), 2));
            assert_eq!([turns.next(), turns.next()], [Some((1, false)), Some((2, true))]);
            assert!(turns.join(client(1), 3), "after the last one");
            assert_eq!([turns.next(), turns.next()], [Some((3, true)), None]);
            let waiting = turns.lock();
            assert!(waiting.clients.is_empty() && waiting.jobs.is_empty());
        }
    }

    /// Notes who begins, and how many have begun and not ended. To find an answer takes some looks at what else is ready.
    #[derive(Default)]
    struct Noting {
        begun: Mutex<Vec<u8>>,
        under_way: AtomicUsize,
        most: AtomicUsize,
    }

    impl QueryService for Noting {
        type Afterwork = ();
        type Present = ();

        fn present(&self) {}

        fn is_past(&self, (): ()) {}

        fn answer_now(&self, _: &ClientQuery<'_>, (): &mut (), _: &mut Vec<u8>) -> Answered<()> {
            Answered::Later
        }

        fn answer_chaos(&self, _asked: &Asked<'_>, _out: &mut Vec<u8>) -> Option<Sent> {
            None
        }

        async fn answer_later(self: Arc<Self>, query: QueryBytes) -> (Vec<u8>, Option<()>) {
            let IpAddr::V4(client) = query.client.ip() else { panic!("of another IP version") };
            self.begun.lock().unwrap().push(client.octets()[3]);
            let under_way = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
            self.most.fetch_max(under_way, Ordering::Relaxed);
            yield_now().await;
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            (vec![0], None)
        }

        fn after_sending(self: &Arc<Self>, (): ()) {}
    }

    /// Such queries as a batch takes, before the runtime has had time for any of them.
    fn join(shared: &Arc<Shared<Noting>>, socket: &Arc<UdpSocket>, last: u8, queries: usize) {
        let client = SocketAddr::new(client(last), 4444);
        for _ in 0..queries {
            let permit = || Arc::clone(&shared.in_progress).try_acquire_owned().unwrap();
            let query = QueryBytes { packet: Box::default(), client, transport: Transport::Udp, cookies: None };
            let socket = Arc::clone(socket);
            LateQuery { query, client, socket, permits: [permit(), permit()] }.join(shared);
        }
    }

    #[tokio::test]
    async fn a_query_begins_before_those_that_another_client_has_too_many_of_and_all_are_answered() {
        let (shared, socket) = (Shared::of_test(Noting::default()), Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap()));
        join(&shared, &socket, 1, 200);
        join(&shared, &socket, 2, 1);
        shared.tracker.close();
        shared.tracker.wait().await;
        let noting = &shared.service;
        let begun = noting.begun.lock().unwrap().clone();
        assert_eq!(begun.len(), 201);
        assert_eq!(begun.iter().position(|&last| last == 2), Some(1), "it came as the last of all");
        let most = noting.most.load(Ordering::Relaxed);
        assert!(most <= 2 * AT_ONCE_PER_THREAD, "{most} at once on one thread");
        assert_eq!(shared.in_progress.available_permits(), QUERIES_IN_PROGRESS_MAX);
    }
}
