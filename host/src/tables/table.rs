//! One table. Every call is atomic and isolated: it runs under the table's lock, and one that fails half-way is undone.

use super::durable::{self, Durable};
use super::objects::{Bounds, CounterOp, Kind, Object, Options, Page};
use super::state::{State, Stored, Undo, weigh, weigh_undo};
use super::unwritten::KeptValues;
use crate::caller::Caller;
use crate::clock;
use crate::denied::{Allowed, Denied, badarg};
use crate::history::{Feed, NOBODY};
use crate::limits::Limits;
use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One table.
pub struct Table {
    owner: Arc<str>,
    kind: Kind,
    call_max: u64,
    /// What the host allows any table; its own bounds are within that.
    objects_max: u64,
    bytes_max: u64,
    pub(super) answer_bytes_max: u64,
    /// What all tables of the node weigh, and may.
    all_bytes: Arc<AtomicU64>,
    all_bytes_max: u64,
    pub(super) state: Mutex<State>,
}

impl Table {
    /// Empty.
    pub(super) fn new(
        owner: Arc<str>,
        options: &Options,
        limits: &Limits,
        all_bytes: Arc<AtomicU64>,
        feed: Arc<Feed>,
    ) -> Self {
        let state = State::new(options.bounds(), feed);
        Self {
            owner,
            kind: options.kind,
            call_max: limits.table_call_max,
            objects_max: limits.table_objects_max,
            bytes_max: limits.table_bytes_max,
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

    /// Whether what it holds outlives a restart.
    pub fn is_durable(&self) -> bool {
        self.state.lock().durable.is_some()
    }

    /// From now on what it holds outlives a restart, or does not.
    pub(super) fn set_durable(&self, durable: Option<Durable>) {
        let mut state = self.state.lock();
        match (&state.durable, &durable) {
            // Nothing of it is on the disk, where it is not durable.
            (None, Some(durable)) if state.count > 0 => durable.whole(&state.objects),
            (Some(durable), None) => durable.whole(&BTreeMap::new()),
            (None, Some(_)) => {}
            (Some(_), Some(_)) | (None, None) => return,
        }
        state.durable = durable;
    }

    /// Puts in what was kept, which is on the disk already.
    pub(super) fn restore(&self, durable: Durable, keys: impl IntoIterator<Item = (Vec<u8>, KeptValues)>) {
        let mut state = self.state.lock();
        let mut expired = Undo::new();
        for (key, kept) in keys {
            let count = kept.len();
            let values = durable::stored(kept);
            if values.len() < count {
                expired.insert(key.clone(), Vec::new());
            }
            for stored in &values {
                state.expire_at(stored.expires_ms, &key);
            }
            state.change(&key, &mut Undo::new(), |before| *before = values);
        }
        state.count_in(&self.all_bytes);
        state.durable = Some(durable);
        // What has expired while there was no server goes from the disk as well.
        state.remember(NOBODY, &expired);
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
    pub fn lookup(&self, by: &Caller, keys: &[Vec<u8>]) -> Allowed<Vec<Vec<Vec<u8>>>> {
        self.check_call(keys.len())?;
        let state = self.seen_by(by);
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
    pub fn select(&self, by: &Caller, prefix: &[u8], after: Option<&[u8]>, limit: u32) -> Allowed<Page> {
        if limit == 0 {
            return badarg("a page has at least one object");
        }
        let limit = u64::from(limit).min(self.call_max) as usize;
        let state = self.seen_by(by);
        let (mut objects, mut bytes) = (Vec::new(), 0);
        let mut last_key: Option<&Vec<u8>> = None;
        for (key, values) in state.objects.range::<[u8], _>((page_start(prefix, after), Bound::Unbounded)) {
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

    /// How many objects there are.
    pub fn count(&self, by: &Caller) -> u64 {
        self.seen_by(by).count
    }

    fn check_call(&self, items: usize) -> Allowed<()> {
        if items as u64 > self.call_max {
            badarg(format!("at most {} items in one call (table_call_max)", self.call_max))
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
        let mut state = self.seen_by(by);
        let (count, bytes) = (state.count, state.bytes);
        let mut undo = Undo::new();
        let result = change(&mut state, &mut undo).and_then(|value| {
            // What shrinks a table is allowed even where its bounds were lowered meanwhile.
            if state.count > state.bounds.max_objects.max(count) {
                Err(Denied::Limit(state.bounds.objects_named(self.objects_max)))
            } else if state.bytes > state.bounds.max_bytes.max(bytes) {
                Err(Denied::Limit(state.bounds.bytes_named(self.bytes_max)))
            } else if state.growth() > 0 && self.all_bytes.load(Relaxed) + state.growth() > self.all_bytes_max {
                Err(Denied::Limit("tables_bytes_max"))
            } else if state.durable.as_ref().is_some_and(|durable| !durable.has_room(undo.keys(), &state.objects)) {
                Err(Denied::Limit("unwritten_bytes_max"))
            } else {
                Ok(value)
            }
        });
        if result.is_err() {
            state.put_back(std::mem::take(&mut undo));
        }
        state.remember(by.event, &undo);
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
        let undone = undo.keys().map(|key| (key.clone(), state.objects.get(key).cloned().unwrap_or_default()));
        let undone = undone.collect();
        state.put_back(undo);
        state.remember(NOBODY, &undone);
        state.count_in(&self.all_bytes);
    }

    /// Forgets what no shadow can look back to any more.
    pub(super) fn forget(&self) {
        self.state.lock().history.forget();
    }

    /// What a caller sees, and when.
    fn seen_by(&self, by: &Caller) -> MutexGuard<'_, State> {
        let state = self.current();
        by.sees(state.history.moment());
        state
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

/// Where a page begins.
pub(super) fn page_start<'a>(prefix: &'a [u8], after: Option<&'a [u8]>) -> Bound<&'a [u8]> {
    match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    }
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
