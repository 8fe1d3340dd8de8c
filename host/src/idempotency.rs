//! Idempotency keys: the answer to a publish is remembered under its key, so that a client that never saw the answer
//! can publish again and nothing is delivered twice. Failures are not remembered.

use crate::clock;
use crate::event::{Answer, Routed, Unrouted};
use crate::limits::Limits;
use crate::pid::Pid;
use crate::topic::Topic;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Whom a key belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Publisher {
    /// A session.
    Session(Pid),
    /// The back-end with the key of that name.
    Key(Arc<str>),
    /// Any back-end, where none shows a key.
    Anybody,
}

/// A key belongs to a publisher and a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Whose it is.
    pub publisher: Publisher,
    /// Where it is published.
    pub topic: Topic,
    /// As the client gave it.
    pub key: String,
}

/// The keys of the last minutes.
pub struct Keys {
    limits: Arc<Limits>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: HashMap<Key, Entry>,
    /// In the order in which they were answered.
    answered: VecDeque<(u64, Key)>,
}

enum Entry {
    /// The first is being routed; these wait for its answer.
    InFlight(Vec<oneshot::Sender<Answer>>),
    Answered(Routed),
}

/// What a key means for a publish.
pub enum Seen {
    /// It is the first: publish, and give the answer to the ticket.
    Never(Ticket),
    /// The first is being routed: this will be its answer.
    InFlight(oneshot::Receiver<Answer>),
    /// This was the answer.
    Answered(Routed),
}

/// The duty to say what became of the first. Dropping it says that the server went down meanwhile.
pub struct Ticket {
    keys: Arc<Keys>,
    key: Option<Key>,
}

impl Keys {
    /// None yet.
    pub fn new(limits: Arc<Limits>) -> Self {
        Self { limits, state: Mutex::default() }
    }

    /// Looks a key up, and takes note of it.
    pub fn see(self: &Arc<Self>, key: Key) -> Seen {
        let mut state = self.state.lock();
        state.forget(clock::now_ms().saturating_sub(self.limits.idempotency_ms), self.limits.idempotency_keys_max);
        match state.known.get_mut(&key) {
            Some(Entry::Answered(routed)) => Seen::Answered(*routed),
            Some(Entry::InFlight(waiting)) => {
                let (tell, told) = oneshot::channel();
                waiting.push(tell);
                Seen::InFlight(told)
            }
            None => {
                state.known.insert(key.clone(), Entry::InFlight(Vec::new()));
                Seen::Never(Ticket { keys: self.clone(), key: Some(key) })
            }
        }
    }
}

impl Ticket {
    /// Remembers the answer, and tells those who wait for it.
    pub fn answer(mut self, answer: &Answer) {
        self.finish(answer);
    }

    fn finish(&mut self, answer: &Answer) {
        let Some(key) = self.key.take() else { return };
        let mut state = self.keys.state.lock();
        let entry = match answer {
            Ok(routed) => {
                state.answered.push_back((clock::now_ms(), key.clone()));
                state.known.insert(key, Entry::Answered(*routed))
            }
            Err(_) => state.known.remove(&key),
        };
        drop(state);
        if let Some(Entry::InFlight(waiting)) = entry {
            for tell in waiting {
                let _ = tell.send(answer.clone());
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.finish(&Err(Unrouted::Draining));
    }
}

impl State {
    fn forget(&mut self, before_ms: u64, keys_max: u64) {
        let too_many = |state: &Self| state.answered.len() as u64 >= keys_max.max(1);
        while too_many(self) || self.answered.front().is_some_and(|(at_ms, _)| *at_ms < before_ms) {
            let Some((_, key)) = self.answered.pop_front() else { return };
            self.known.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str) -> Key {
        Key { publisher: Publisher::Anybody, topic: "a.b".parse().unwrap(), key: key.into() }
    }

    fn first(keys: &Arc<Keys>, name: &str) -> Ticket {
        match keys.see(key(name)) {
            Seen::Never(ticket) => ticket,
            Seen::InFlight(_) | Seen::Answered(_) => panic!("{name} was seen before"),
        }
    }

    const ROUTED: Routed = Routed { event: 7, recipients: 2 };

    #[test]
    fn a_duplicate_waits_for_the_first_and_later_ones_get_its_answer() {
        let keys = Arc::new(Keys::new(Arc::default()));
        let ticket = first(&keys, "a");
        let Seen::InFlight(mut told) = keys.see(key("a")) else { panic!("in flight") };
        assert!(told.try_recv().is_err());
        ticket.answer(&Ok(ROUTED));
        assert_eq!(told.try_recv(), Ok(Ok(ROUTED)));
        assert!(matches!(keys.see(key("a")), Seen::Answered(ROUTED)));
    }

    #[test]
    fn failures_and_losses_are_not_remembered() {
        let keys = Arc::new(Keys::new(Arc::default()));
        first(&keys, "a").answer(&Err(Unrouted::Busy));
        let lost = first(&keys, "a");
        let Seen::InFlight(mut told) = keys.see(key("a")) else { panic!("in flight") };
        drop(lost);
        assert_eq!(told.try_recv(), Ok(Err(Unrouted::Draining)));
        first(&keys, "a");
    }

    #[test]
    fn the_oldest_is_forgotten_when_there_are_too_many() {
        let keys = Arc::new(Keys::new(Arc::new(Limits { idempotency_keys_max: 2, ..Limits::default() })));
        for name in ["a", "b", "c"] {
            first(&keys, name).answer(&Ok(ROUTED));
        }
        assert!(matches!(keys.see(key("c")), Seen::Answered(_)));
        first(&keys, "a");
    }
}
