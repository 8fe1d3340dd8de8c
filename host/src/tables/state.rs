//! What a table holds, under its lock: objects with what they weigh and when they expire; for shadows what was there
//! before; and if it is durable, where it says what has changed.

use super::durable::Durable;
use super::objects::{Bounds, CounterOp, Kind, Object};
use crate::clock;
use crate::denied::{Allowed, badarg};
use crate::history::{Feed, History, NOBODY};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What an object weighs besides its key and its value, about: tree, lists, and what the allocator rounds up to.
const OBJECT_BYTES: u64 = 160;
/// How many expiry entries may be stale before they are made anew (arbitrary).
pub(super) const STALE_MAX: usize = 1024;
pub(super) struct State {
    pub(super) objects: BTreeMap<Vec<u8>, Vec<Stored>>,
    pub(super) count: u64,
    pub(super) bytes: u64,
    pub(super) bounds: Bounds,
    /// What of it is counted in `all_bytes`.
    pub(super) counted: u64,
    /// When something of a key may expire, the soonest on top; stale entries are harmless.
    pub(super) expiring: BinaryHeap<Reverse<(u64, Vec<u8>)>>,
    /// What keys had before, for shadows.
    pub(super) history: History<Vec<u8>, Vec<Stored>>,
    /// If what it holds outlives a restart.
    pub(super) durable: Option<Durable>,
}

#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) value: Vec<u8>,
    pub(super) expires_ms: u64,
}

/// What keys had before a call touched them.
pub(super) type Undo = HashMap<Vec<u8>, Vec<Stored>>;

impl State {
    /// Empty.
    pub(super) fn new(bounds: Bounds, feed: Arc<Feed>) -> Self {
        Self {
            objects: BTreeMap::new(),
            count: 0,
            bytes: 0,
            bounds,
            counted: 0,
            expiring: BinaryHeap::new(),
            history: History::new(feed),
            durable: None,
        }
    }

    fn weight(&self) -> u64 {
        self.bytes + self.count * OBJECT_BYTES
    }

    /// How much more it weighs than was counted.
    pub(super) fn growth(&self) -> u64 {
        self.weight().saturating_sub(self.counted)
    }

    pub(super) fn count_in(&mut self, all_bytes: &AtomicU64) {
        let now = self.weight();
        let before = std::mem::replace(&mut self.counted, now);
        if now > before {
            all_bytes.fetch_add(now - before, Relaxed);
        } else if now < before {
            all_bytes.fetch_sub(before - now, Relaxed);
        }
    }

    pub(super) fn values(&self, key: &[u8]) -> Vec<Vec<u8>> {
        self.objects.get(key).map_or_else(Vec::new, |values| values.iter().map(|stored| stored.value.clone()).collect())
    }

    pub(super) fn put(&mut self, kind: Kind, object: Object, undo: &mut Undo) {
        let expires_ms = self.bounds.ttl_ms.map_or(u64::MAX, |ttl_ms| clock::now_ms().saturating_add(ttl_ms));
        self.expire_at(expires_ms, &object.key);
        self.change(&object.key, undo, |values| {
            match kind {
                Kind::Bag => values.retain(|stored| stored.value != object.value),
                Kind::Set | Kind::OrderedSet => values.clear(),
            }
            values.push(Stored { value: object.value, expires_ms });
        });
    }

    pub(super) fn count_up(&mut self, op: &CounterOp, undo: &mut Undo) -> Allowed<i64> {
        let now = match self.objects.get(&op.key) {
            None => op.default,
            Some(values) => match std::str::from_utf8(&values[0].value).ok().and_then(|text| text.parse().ok()) {
                Some(number) => number,
                None => return badarg("the value is not a counter"),
            },
        };
        let Some(sum) = i64::checked_add(now, op.incr) else { return badarg("the counter would overflow") };
        let next = match op.threshold {
            Some((threshold, value)) if (op.incr >= 0 && sum > threshold) || (op.incr < 0 && sum < threshold) => value,
            _ => sum,
        };
        self.put(Kind::Set, Object::new(op.key.as_slice(), next.to_string()), undo);
        Ok(next)
    }

    /// Changes the values of a key in place. What it had is kept for the undo, once a call.
    pub(super) fn change(&mut self, key: &[u8], undo: &mut Undo, change: impl FnOnce(&mut Vec<Stored>)) {
        let values = self.objects.entry(key.to_vec()).or_default();
        if !undo.contains_key(key) {
            undo.insert(key.to_vec(), values.clone());
        }
        let (count, bytes) = (values.len() as u64, weigh(key, values));
        change(values);
        self.count = self.count + values.len() as u64 - count;
        self.bytes = self.bytes + weigh(key, values) - bytes;
        if values.is_empty() {
            self.objects.remove(key);
        }
    }

    /// Keys were changed by an event, and had this before: shadows may look back to it, and the disk is to follow.
    pub(super) fn remember(&mut self, event: u64, before: &Undo) {
        if let Some(durable) = &self.durable {
            durable.changed(before.keys(), &self.objects);
        }
        if !self.history.is_wanted() {
            return;
        }
        for (key, before) in before {
            let now = self.objects.get(key).map_or(0, Vec::len);
            let (bytes, growth) = (weigh_undo(key, before), now as i64 - before.len() as i64);
            self.history.record(event, key.clone(), before.clone(), bytes, growth);
        }
    }

    pub(super) fn put_back(&mut self, undo: Undo) {
        for (key, before) in undo {
            self.change(&key, &mut Undo::new(), |values| *values = before);
        }
    }

    /// Gives a key these values for good, whatever it had.
    pub(super) fn put_values(&mut self, key: &[u8], values: Vec<Vec<u8>>) {
        let stored = values.into_iter().map(|value| Stored { value, expires_ms: u64::MAX }).collect();
        self.change(key, &mut Undo::new(), |before| *before = stored);
    }

    pub(super) fn expire_at(&mut self, expires_ms: u64, key: &[u8]) {
        if expires_ms != u64::MAX {
            self.expiring.push(Reverse((expires_ms, key.to_vec())));
        }
    }

    pub(super) fn expire(&mut self, now_ms: u64) {
        while self.expiring.peek().is_some_and(|Reverse((expires_ms, _))| *expires_ms <= now_ms) {
            let Some(Reverse((_, key))) = self.expiring.pop() else { return };
            if self.objects.contains_key(&key) {
                let mut undo = Undo::new();
                self.change(&key, &mut undo, |values| values.retain(|stored| stored.expires_ms > now_ms));
                self.remember(NOBODY, &undo);
            }
        }
        if self.expiring.len() > 2 * self.count as usize + STALE_MAX {
            let expiring = self
                .objects
                .iter()
                .flat_map(|(key, values)| values.iter().map(|stored| (stored.expires_ms, key.clone())))
                .filter(|(expires_ms, _)| *expires_ms != u64::MAX);
            self.expiring = expiring.map(Reverse).collect();
        }
    }
}
/// What the objects of a key weigh.
pub(super) fn weigh(key: &[u8], values: &[Stored]) -> u64 {
    values.iter().map(|stored| (key.len() + stored.value.len()) as u64).sum()
}

/// What the undo of a change of a key weighs, about.
pub(super) fn weigh_undo(key: &[u8], before: &[Stored]) -> u64 {
    OBJECT_BYTES + key.len() as u64 + weigh(key, before)
}
