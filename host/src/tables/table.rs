//! One table. Every call is atomic and isolated: it runs under the table's lock, and one that fails half-way is undone.

use crate::caller::Caller;
use crate::clock;
use crate::denied::{Allowed, Denied, badarg};
use crate::limits::Limits;
use parking_lot::{Mutex, MutexGuard};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What an object weighs besides its key and its value, about: tree, lists, and what the allocator rounds up to.
const OBJECT_BYTES: u64 = 160;
/// How many expiry entries may be stale before they are made anew (arbitrary).
const STALE_MAX: usize = 1024;

/// How keys and values relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One value a key.
    Set,
    /// One value a key, walked in order.
    OrderedSet,
    /// Several different values a key.
    Bag,
}

/// What a table is opened with.
#[derive(Clone, Debug)]
pub struct Options {
    /// How keys and values relate.
    pub kind: Kind,
    /// Whether it is kept across restarts.
    pub durable: bool,
    /// How long an object lives after its last write.
    pub ttl_ms: Option<u64>,
    /// Objects at most.
    pub max_objects: u64,
    /// Bytes of keys and values at most.
    pub max_bytes: u64,
}

/// What a table may hold, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    max_objects: u64,
    max_bytes: u64,
    ttl_ms: Option<u64>,
}

impl Options {
    pub(super) fn bounds(&self) -> Bounds {
        Bounds { max_objects: self.max_objects, max_bytes: self.max_bytes, ttl_ms: self.ttl_ms }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { kind: Kind::Set, durable: false, ttl_ms: None, max_objects: u64::MAX, max_bytes: u64::MAX }
    }
}

/// A key and one of its values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    /// Any bytes.
    pub key: Vec<u8>,
    /// Any bytes.
    pub value: Vec<u8>,
}

impl Object {
    /// Of any bytes.
    pub fn new(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

/// A change of a counter.
#[derive(Clone, Debug)]
pub struct CounterOp {
    /// Whose value is a decimal number.
    pub key: Vec<u8>,
    /// What is added.
    pub incr: i64,
    /// Where a missing key starts.
    pub default: i64,
    /// A result past the first, in the direction of `incr`, becomes the second.
    pub threshold: Option<(i64, i64)>,
}

/// Part of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In the order of the keys' bytes. The values of one key are never parted.
    pub objects: Vec<Object>,
    /// Where the next page goes on.
    pub continuation: Option<Vec<u8>>,
}

/// One table.
pub struct Table {
    owner: Arc<str>,
    kind: Kind,
    call_max: u64,
    answer_bytes_max: u64,
    /// What all tables of the node weigh, and may.
    all_bytes: Arc<AtomicU64>,
    all_bytes_max: u64,
    state: Mutex<State>,
}

struct State {
    objects: BTreeMap<Vec<u8>, Vec<Stored>>,
    count: u64,
    bytes: u64,
    bounds: Bounds,
    /// What of it is counted in `all_bytes`.
    counted: u64,
    /// When something of a key may expire, the soonest on top; stale entries are harmless.
    expiring: BinaryHeap<Reverse<(u64, Vec<u8>)>>,
}

#[derive(Clone, Debug)]
struct Stored {
    value: Vec<u8>,
    expires_ms: u64,
}

/// What keys had before a call touched them.
type Undo = HashMap<Vec<u8>, Vec<Stored>>;

impl Table {
    /// Empty.
    pub(super) fn new(owner: Arc<str>, options: &Options, limits: &Limits, all_bytes: Arc<AtomicU64>) -> Self {
        let state = State {
            objects: BTreeMap::new(),
            count: 0,
            bytes: 0,
            counted: 0,
            bounds: options.bounds(),
            expiring: BinaryHeap::new(),
        };
        Self {
            owner,
            kind: options.kind,
            call_max: limits.table_call_max,
            answer_bytes_max: limits.table_answer_bytes_max,
            all_bytes,
            all_bytes_max: limits.tables_bytes_max,
            state: Mutex::new(state),
        }
    }

    /// The plugin that may write it.
    pub fn owner(&self) -> &Arc<str> {
        &self.owner
    }

    /// How keys and values relate.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// New bounds take effect at once; which ones were there before.
    pub(super) fn set_bounds(&self, bounds: Bounds) -> Bounds {
        std::mem::replace(&mut self.state.lock().bounds, bounds)
    }

    /// How many objects there are, and what they weigh.
    pub fn size(&self) -> (u64, u64) {
        let state = self.current();
        (state.count, state.bytes)
    }

    /// Writes all objects.
    pub fn insert(self: &Arc<Self>, by: &Caller, objects: Vec<Object>) -> Allowed<()> {
        self.check_call(objects.len())?;
        self.write(by, |state, undo| {
            for object in objects {
                state.put(self.kind, object, undo);
            }
            Ok(())
        })
    }

    /// Writes all objects if none of their keys is there.
    pub fn insert_new(self: &Arc<Self>, by: &Caller, objects: Vec<Object>) -> Allowed<bool> {
        self.check_call(objects.len())?;
        self.write(by, |state, undo| {
            let all_new = objects.iter().all(|object| !state.objects.contains_key(&object.key));
            if all_new {
                for object in objects {
                    state.put(self.kind, object, undo);
                }
            }
            Ok(all_new)
        })
    }

    /// For each key its values.
    pub fn lookup(&self, keys: &[Vec<u8>]) -> Allowed<Vec<Vec<Vec<u8>>>> {
        self.check_call(keys.len())?;
        let state = self.current();
        let mut bytes_left = self.answer_bytes_max;
        let mut look_up = |key: &Vec<u8>| {
            let values = state.objects.get(key).map_or(&[][..], Vec::as_slice);
            let bytes: u64 = values.iter().map(|stored| stored.value.len() as u64).sum();
            bytes_left = bytes_left.checked_sub(bytes).ok_or(Denied::Limit("table_answer_bytes_max"))?;
            Ok(values.iter().map(|stored| stored.value.clone()).collect())
        };
        keys.iter().map(&mut look_up).collect()
    }

    /// Looks up and deletes.
    pub fn take(self: &Arc<Self>, by: &Caller, key: &[u8]) -> Allowed<Vec<Vec<u8>>> {
        self.write(by, |state, undo| {
            let values = state.values(key);
            state.change(key, undo, Vec::clear);
            Ok(values)
        })
    }

    /// Deletes all objects of the keys; how many there were.
    pub fn delete(self: &Arc<Self>, by: &Caller, keys: &[Vec<u8>]) -> Allowed<u64> {
        self.check_call(keys.len())?;
        self.write(by, |state, undo| {
            let before = state.count;
            for key in keys {
                state.change(key, undo, Vec::clear);
            }
            Ok(before - state.count)
        })
    }

    /// Deletes just these objects; how many there were.
    pub fn delete_object(self: &Arc<Self>, by: &Caller, objects: &[Object]) -> Allowed<u64> {
        self.check_call(objects.len())?;
        self.write(by, |state, undo| {
            let before = state.count;
            for object in objects {
                let gone = |values: &mut Vec<Stored>| values.retain(|stored| stored.value != object.value);
                state.change(&object.key, undo, gone);
            }
            Ok(before - state.count)
        })
    }

    /// Changes counters; their new values.
    pub fn update_counter(self: &Arc<Self>, by: &Caller, ops: &[CounterOp]) -> Allowed<Vec<i64>> {
        self.check_call(ops.len())?;
        self.no_bag("a counter")?;
        self.write(by, |state, undo| ops.iter().map(|op| state.count_up(op, undo)).collect())
    }

    /// Compares and swaps; whether it did.
    pub fn select_replace(self: &Arc<Self>, by: &Caller, key: &[u8], old: &[u8], new: Vec<u8>) -> Allowed<bool> {
        self.no_bag("select-replace")?;
        self.write(by, |state, undo| {
            let same = state.objects.get(key).is_some_and(|values| values[0].value == old);
            if same {
                state.put(self.kind, Object::new(key, new), undo);
            }
            Ok(same)
        })
    }

    /// The objects whose keys start with the prefix and are beyond `after`.
    pub fn select(&self, prefix: &[u8], after: Option<&[u8]>, limit: u32) -> Allowed<Page> {
        if limit == 0 {
            return badarg("a page has at least one object");
        }
        let limit = u64::from(limit).min(self.call_max) as usize;
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let state = self.current();
        let (mut objects, mut bytes) = (Vec::new(), 0);
        let mut last_key: Option<&Vec<u8>> = None;
        for (key, values) in state.objects.range::<[u8], _>((from, Bound::Unbounded)) {
            if !key.starts_with(prefix) {
                break;
            }
            if objects.len() >= limit || bytes > self.answer_bytes_max {
                return Ok(Page { objects, continuation: last_key.cloned() });
            }
            bytes += weigh(key, values);
            if values.len() > 1 && bytes > 2 * self.answer_bytes_max {
                return Err(Denied::Limit("table_answer_bytes_max"));
            }
            objects.extend(values.iter().map(|stored| Object::new(key.as_slice(), stored.value.as_slice())));
            last_key = Some(key);
        }
        Ok(Page { objects, continuation: None })
    }

    fn check_call(&self, items: usize) -> Allowed<()> {
        if items as u64 > self.call_max {
            badarg(format!("at most {} items in one call", self.call_max))
        } else {
            Ok(())
        }
    }

    fn no_bag(&self, what: &str) -> Allowed<()> {
        if self.kind == Kind::Bag { badarg(format!("{what} needs a set")) } else { Ok(()) }
    }

    /// Runs a change under the lock and undoes it when it fails or breaks a bound.
    fn write<T>(self: &Arc<Self>, by: &Caller, change: impl FnOnce(&mut State, &mut Undo) -> Allowed<T>) -> Allowed<T> {
        if by.plugin != self.owner {
            return Err(Denied::NotOwner);
        }
        let mut state = self.current();
        let (count, bytes) = (state.count, state.bytes);
        let mut undo = Undo::new();
        let result = change(&mut state, &mut undo).and_then(|value| {
            // What shrinks a table is allowed even where its bounds were lowered meanwhile.
            if state.count > state.bounds.max_objects.max(count) {
                Err(Denied::Limit("max-objects"))
            } else if state.bytes > state.bounds.max_bytes.max(bytes) {
                Err(Denied::Limit("max-bytes"))
            } else if state.growth() > 0 && self.all_bytes.load(Relaxed) + state.growth() > self.all_bytes_max {
                Err(Denied::Limit("tables_bytes_max"))
            } else {
                Ok(value)
            }
        });
        if result.is_err() {
            state.put_back(std::mem::take(&mut undo));
        }
        state.count_in(&self.all_bytes);
        drop(state);
        if let Some(journal) = by.journal.as_ref().filter(|_| !undo.is_empty()) {
            let bytes = undo.iter().map(|(key, before)| weigh_undo(key, before)).sum();
            let table = self.clone();
            journal.record(bytes, move || table.put_back(undo))?;
        }
        result
    }

    /// Undoes a call that succeeded, some time later.
    fn put_back(&self, undo: Undo) {
        let mut state = self.state.lock();
        for (key, values) in &undo {
            for stored in values {
                state.expire_at(stored.expires_ms, key);
            }
        }
        state.put_back(undo);
        state.count_in(&self.all_bytes);
    }

    /// What has not expired.
    fn current(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        state.expire(clock::now_ms());
        state.count_in(&self.all_bytes);
        state
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.all_bytes.fetch_sub(self.state.get_mut().counted, Relaxed);
    }
}

impl State {
    fn weight(&self) -> u64 {
        self.bytes + self.count * OBJECT_BYTES
    }

    /// How much more it weighs than was counted.
    fn growth(&self) -> u64 {
        self.weight().saturating_sub(self.counted)
    }

    fn count_in(&mut self, all_bytes: &AtomicU64) {
        let now = self.weight();
        let before = std::mem::replace(&mut self.counted, now);
        if now > before {
            all_bytes.fetch_add(now - before, Relaxed);
        } else if now < before {
            all_bytes.fetch_sub(before - now, Relaxed);
        }
    }

    fn values(&self, key: &[u8]) -> Vec<Vec<u8>> {
        self.objects.get(key).map_or_else(Vec::new, |values| values.iter().map(|stored| stored.value.clone()).collect())
    }

    fn put(&mut self, kind: Kind, object: Object, undo: &mut Undo) {
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

    fn count_up(&mut self, op: &CounterOp, undo: &mut Undo) -> Allowed<i64> {
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
    fn change(&mut self, key: &[u8], undo: &mut Undo, change: impl FnOnce(&mut Vec<Stored>)) {
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

    fn put_back(&mut self, undo: Undo) {
        for (key, before) in undo {
            self.change(&key, &mut Undo::new(), |values| *values = before);
        }
    }

    fn expire_at(&mut self, expires_ms: u64, key: &[u8]) {
        if expires_ms != u64::MAX {
            self.expiring.push(Reverse((expires_ms, key.to_vec())));
        }
    }

    fn expire(&mut self, now_ms: u64) {
        while self.expiring.peek().is_some_and(|Reverse((expires_ms, _))| *expires_ms <= now_ms) {
            let Some(Reverse((_, key))) = self.expiring.pop() else { return };
            if self.objects.contains_key(&key) {
                self.change(&key, &mut Undo::new(), |values| values.retain(|stored| stored.expires_ms > now_ms));
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
fn weigh(key: &[u8], values: &[Stored]) -> u64 {
    values.iter().map(|stored| (key.len() + stored.value.len()) as u64).sum()
}

/// What the undo of a change of a key weighs, about.
fn weigh_undo(key: &[u8], before: &[Stored]) -> u64 {
    OBJECT_BYTES + key.len() as u64 + weigh(key, before)
}

#[cfg(test)]
impl Table {
    pub(super) fn dump(&self) -> String {
        let state = self.current();
        format!("{:?} {:?} {} {} {:?}", self.kind, state.bounds, state.count, state.bytes, state.objects)
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
