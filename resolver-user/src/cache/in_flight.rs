//! Identical work that is under way is shared: the first asker leads, the others wait for its result.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::QuestionKey;

/// Work under way, by question.
#[derive(Debug)]
pub struct InFlight<V> {
    running: Mutex<HashMap<QuestionKey, watch::Receiver<Option<V>>>>,
}

/// The part an asker plays.
#[derive(Debug)]
pub enum Joined<V: Clone> {
    /// Nobody is at it yet: the asker does the work and tells the others.
    Leader(Leader<V>),
    /// Somebody is: wait for [`result`].
    Follower(watch::Receiver<Option<V>>),
}

/// The duty to do the work. Dropped without a result (a cancelled or failed task), it sends the followers away empty-handed.
#[derive(Debug)]
pub struct Leader<V: Clone> {
    /// None once the question is free for the next leader.
    key: Option<QuestionKey>,
    sender: watch::Sender<Option<V>>,
    all: Arc<InFlight<V>>,
}

impl<V> Default for InFlight<V> {
    fn default() -> Self {
        Self { running: Mutex::new(HashMap::new()) }
    }
}

impl<V: Clone> InFlight<V> {
    /// Joins the work on a question.
    pub fn join(self: &Arc<Self>, key: QuestionKey) -> Joined<V> {
        let mut running = self.lock();
        if let Some(receiver) = running.get(&key) {
            return Joined::Follower(receiver.clone());
        }
        let (sender, receiver) = watch::channel(None);
        running.insert(key.clone(), receiver);
        Joined::Leader(Leader { key: Some(key), sender, all: Arc::clone(self) })
    }

    /// Lets the next askers start anew, though work goes on for those who wait already.
    pub fn disown(&self) {
        self.lock().clear();
    }

    /// Number of questions under work.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing is under work.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<V> InFlight<V> {
    /// The table. A panic while it was locked left it whole: every change is one call.
    fn lock(&self) -> MutexGuard<'_, HashMap<QuestionKey, watch::Receiver<Option<V>>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Clone> Leader<V> {
    /// Lets the next asker start anew, and hands the result to all followers: in this order, so that a follower who is not
    /// content with it does not join the same work again.
    pub fn finish(mut self, value: V) {
        self.leave();
        self.sender.send_replace(Some(value));
    }

    fn leave(&mut self) {
        if let Some(key) = self.key.take() {
            self.all.lock().remove(&key);
        }
    }

    /// A receiver for the leader's own client.
    pub fn follow(&self) -> watch::Receiver<Option<V>> {
        self.sender.subscribe()
    }
}

impl<V: Clone> Drop for Leader<V> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Waits for the leader's result; none if it gave up. Dropping the wait harms nobody.
pub async fn result<V: Clone>(mut receiver: watch::Receiver<Option<V>>) -> Option<V> {
    receiver.wait_for(Option::is_some).await.ok().and_then(|value| value.clone())
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Wake};

    use super::*;
    use crate::wire::{Question, RecordType};

    fn key() -> QuestionKey {
        QuestionKey::new(&Question::new("a.".parse().unwrap(), RecordType::A))
    }

    fn follower(joined: Joined<u32>) -> watch::Receiver<Option<u32>> {
        match joined {
            Joined::Follower(receiver) => receiver,
            Joined::Leader(_) => panic!("a second leader"),
        }
    }

    #[tokio::test]
    async fn followers_get_the_leaders_result_and_the_next_asker_leads() {
        let all = Arc::new(InFlight::default());
        let Joined::Leader(leader) = all.join(key()) else { panic!("no leader") };
        let (first, second) = (follower(all.join(key())), follower(all.join(key())));
        drop(second);
        leader.finish(7);
        assert_eq!(result(first).await, Some(7));
        assert!(all.is_empty() && matches!(all.join(key()), Joined::Leader(_)));
    }

    /// Asks again at the very moment at which the result is there.
    struct Impatient {
        all: Arc<InFlight<u32>>,
        leads: AtomicBool,
    }

    impl Wake for Impatient {
        fn wake(self: Arc<Self>) {
            let leads = matches!(self.all.join(key()), Joined::Leader(_));
            self.leads.store(leads, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_has_the_result_never_meets_the_finished_work_again() {
        let all = Arc::new(InFlight::default());
        let Joined::Leader(leader) = all.join(key()) else { panic!("no leader") };
        let impatient = Arc::new(Impatient { all: Arc::clone(&all), leads: AtomicBool::new(false) });
        let mut waiting = pin!(result(follower(all.join(key()))));
        let waker = Arc::clone(&impatient).into();
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        leader.finish(7);
        assert!(impatient.leads.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn followers_of_a_leader_that_gave_up_are_told_so() {
        let all = Arc::new(InFlight::default());
        let Joined::Leader(leader) = all.join(key()) else { panic!("no leader") };
        let waiting = follower(all.join(key()));
        drop(leader);
        assert_eq!(result(waiting).await, None);
        assert!(all.is_empty());
    }
}
