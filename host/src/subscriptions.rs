//! Who is subscribed to which topic. Written by the topic's own lane; read by any.

use crate::pid::Pid;
use crate::sync::Mutex;
use crate::topic::Topic;
use foldhash::fast::RandomState;
use indexmap::IndexSet;
use std::collections::HashMap;
use std::hash::BuildHasher;

/// PIDs in no particular order: quick to copy as a list, to test and to change at any size.
pub type PidSet = IndexSet<u64, RandomState>;

/// Locks, so that lanes seldom meet (a guess).
const SHARDS: usize = 64;

/// The subscribers of all topics. No other lock is taken under one of its own.
#[derive(Default)]
pub struct Subscriptions {
    hasher: RandomState,
    shards: Box<[Mutex<HashMap<Topic, PidSet, RandomState>>]>,
}

impl Subscriptions {
    /// None yet.
    pub fn new() -> Self {
        Self { hasher: RandomState::default(), shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Whether it was not there before.
    pub fn add(&self, topic: &Topic, pid: Pid) -> bool {
        self.shard(topic.as_str()).lock().entry(topic.clone()).or_default().insert(pid.to_bits())
    }

    /// Whether it was there.
    pub fn remove(&self, topic: &Topic, pid: Pid) -> bool {
        let mut shard = self.shard(topic.as_str()).lock();
        let Some(subscribers) = shard.get_mut(topic) else { return false };
        let was_there = subscribers.swap_remove(&pid.to_bits());
        if subscribers.is_empty() {
            shard.remove(topic);
        }
        was_there
    }

    /// Whether it is there.
    pub fn contains(&self, topic: &Topic, pid: Pid) -> bool {
        self.shard(topic.as_str()).lock().get(topic).is_some_and(|subscribers| subscribers.contains(&pid.to_bits()))
    }

    /// Adds all subscribers of a topic to a list.
    pub fn copy_into(&self, topic: &str, list: &mut Vec<u64>) {
        if let Some(subscribers) = self.shard(topic).lock().get(topic) {
            list.extend(subscribers.iter().copied());
        }
    }

    /// How many topics have subscribers.
    pub fn topics(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn shard(&self, topic: &str) -> &Mutex<HashMap<Topic, PidSet, RandomState>> {
        &self.shards[self.hasher.hash_one(topic) as usize % SHARDS]
    }
}
