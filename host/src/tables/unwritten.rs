//! What durable tables have changed and is not on the disk yet. Of each key only the last state is kept, and all keys are
//! taken at once: the disk has everything up to some moment, and nothing that came after it.
//!
//! Tables say what they changed under their own lock, so this one's is taken under theirs. What a code change does is held
//! until it is sure that it happens; then it gets there as a whole.

use super::objects::Kind;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a key weighs besides its bytes and its values, about.
const KEY_BYTES: u64 = 128;
/// What a value weighs besides its bytes, about.
const VALUE_BYTES: u64 = 48;

/// What a key has: when each value expires, in Unix milliseconds, and the value. Nothing: the key is not there.
pub type KeptValues = Vec<(u64, Vec<u8>)>;

/// What has changed in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableChanges {
    /// Whose table it is.
    pub owner: Arc<str>,
    /// How keys and values relate.
    pub kind: Kind,
    /// Whatever the disk has of it goes first.
    pub anew: bool,
    /// What these keys have now.
    pub keys: BTreeMap<Vec<u8>, KeptValues>,
}

/// What has changed, by the full names of the tables.
pub type Changes = BTreeMap<Arc<str>, TableChanges>;

/// What goes to the disk in one step.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// What has changed.
    pub changes: Changes,
    /// What was staged for a code change is not needed any more: it happened and is in here, or it did not.
    pub ends_stage: bool,
    /// How many changes there were by then.
    pub number: u64,
    /// What it weighs, about.
    pub bytes: u64,
}

/// Changes that wait for the disk.
pub struct Unwritten {
    bytes_max: u64,
    state: Mutex<State>,
    /// Something is to be written, or was.
    turned: Condvar,
}

struct State {
    /// Whether anything is written at all; else nothing is kept here either.
    is_kept: bool,
    changes: Changes,
    /// When the first of them came.
    since: Option<Instant>,
    /// What a plugin changes while its code change is undecided.
    held: Option<(Arc<str>, Changes)>,
    ends_stage: bool,
    /// What all of it weighs, and the batch that is being written.
    bytes: u64,
    /// Changes so far, and how many of them are on the disk.
    recorded: u64,
    written: u64,
    /// The number of each plugin's last one.
    last: BTreeMap<Arc<str>, u64>,
    /// How many wait for that.
    waiting: u64,
    is_closed: bool,
}

/// Holds what a plugin changes until dropped.
pub struct Held {
    unwritten: Arc<Unwritten>,
}

impl Unwritten {
    /// Nothing yet, of so many bytes (`unwritten_bytes_max`).
    pub fn new(bytes_max: u64) -> Self {
        Self::with(true, bytes_max)
    }

    /// For a server that keeps nothing: no change waits.
    pub fn nowhere() -> Self {
        Self::with(false, u64::MAX)
    }

    fn with(is_kept: bool, bytes_max: u64) -> Self {
        let state = State {
            is_kept,
            changes: Changes::new(),
            since: None,
            held: None,
            ends_stage: false,
            bytes: 0,
            recorded: 0,
            written: 0,
            last: BTreeMap::new(),
            waiting: 0,
            is_closed: false,
        };
        Self { bytes_max, state: Mutex::new(state), turned: Condvar::new() }
    }

    /// What waits weighs so much, about.
    pub fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }

    /// Whether so much more may wait.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.bytes() + bytes <= self.bytes_max
    }

    /// A table has changed.
    pub(super) fn record(&self, table: &Arc<str>, changes: TableChanges) {
        let mut state = self.state.lock();
        if !state.is_kept || (changes.keys.is_empty() && !changes.anew) {
            return;
        }
        let (owner, State { held, changes: all, bytes, .. }) = (changes.owner.clone(), &mut *state);
        match held {
            Some((plugin, held)) if *plugin == owner => return add(held, bytes, table, changes),
            _ => add(all, bytes, table, changes),
        }
        self.came(state, owner);
    }

    /// Something of a plugin is to be written; whoever writes is told of the first.
    fn came(&self, mut state: MutexGuard<'_, State>, of: Arc<str>) {
        state.recorded += 1;
        let (number, is_first) = (state.recorded, state.since.is_none());
        state.last.insert(of, number);
        state.since.get_or_insert_with(Instant::now);
        drop(state);
        if is_first {
            self.turned.notify_all();
        }
    }

    /// From now on what a plugin changes waits for the value to be dropped. One code change is made at a time.
    pub fn hold(self: &Arc<Self>, plugin: &str) -> Held {
        self.state.lock().held = Some((plugin.into(), Changes::new()));
        Held { unwritten: self.clone() }
    }

    /// Waits until all that has changed by now is on the disk; false when that takes too long.
    pub fn wait_until_written(&self, at_most: Duration) -> bool {
        let mut state = self.state.lock();
        let (number, deadline) = (state.recorded, Instant::now() + at_most);
        state.waiting += 1;
        self.turned.notify_all();
        while state.is_kept && state.written < number {
            if self.turned.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.waiting -= 1;
        !state.is_kept || state.written >= number
    }

    /// Whether all that a plugin has changed is on the disk.
    pub fn is_written(&self, plugin: &str) -> bool {
        let state = self.state.lock();
        !state.is_kept || state.last.get(plugin).is_none_or(|number| *number <= state.written)
    }

    /// All that waits, once the first of it has waited for so long, or somebody waits for it; none when it is over.
    pub fn take(&self, at_most: Duration) -> Option<Batch> {
        let mut state = self.state.lock();
        loop {
            match state.since.map(|since| since + at_most) {
                _ if !state.is_kept => return None,
                None if state.is_closed => return None,
                None => self.turned.wait(&mut state),
                Some(_) if state.is_closed || state.waiting > 0 => break,
                Some(due) if due <= Instant::now() => break,
                Some(due) => drop(self.turned.wait_until(&mut state, due)),
            }
        }
        state.since = None;
        let changes = std::mem::take(&mut state.changes);
        let bytes = changes.values().map(TableChanges::bytes).sum();
        let ends_stage = std::mem::take(&mut state.ends_stage);
        Some(Batch { changes, ends_stage, number: state.recorded, bytes })
    }

    /// It is on the disk.
    pub fn written(&self, batch: &Batch) {
        let mut state = self.state.lock();
        state.written = batch.number;
        state.bytes -= batch.bytes;
        drop(state);
        self.turned.notify_all();
    }

    /// It could not be written: it is taken again, with what has changed since. Returns after a pause.
    pub fn put_back(&self, batch: Batch, pause: Duration) {
        let mut state = self.state.lock();
        let newer = std::mem::replace(&mut state.changes, batch.changes);
        for (table, changes) in newer {
            let State { changes: all, bytes, .. } = &mut *state;
            *bytes -= changes.bytes();
            add(all, bytes, &table, changes);
        }
        state.ends_stage |= batch.ends_stage;
        state.since.get_or_insert_with(Instant::now);
        let until = Instant::now() + pause;
        while !state.is_closed && !self.turned.wait_until(&mut state, until).timed_out() {}
    }

    /// There is no place to keep it: from here on nothing waits.
    pub fn forget(&self) {
        let mut state = self.state.lock();
        (state.is_kept, state.changes, state.bytes, state.since) = (false, Changes::new(), 0, None);
        drop(state);
        self.turned.notify_all();
    }

    /// Nothing comes any more: what waits is taken at once.
    pub fn close(&self) {
        self.state.lock().is_closed = true;
        self.turned.notify_all();
    }
}

impl Held {
    /// What was changed since.
    pub fn changes(&self) -> Changes {
        self.unwritten.state.lock().held.as_ref().map_or_else(Changes::new, |(_, changes)| changes.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.unwritten.state.lock();
        let Some((plugin, held)) = state.held.take().filter(|(_, held)| !held.is_empty()) else { return };
        if !state.is_kept {
            return;
        }
        for (table, changes) in held {
            let State { changes: all, bytes, .. } = &mut *state;
            *bytes -= changes.bytes();
            add(all, bytes, &table, changes);
        }
        state.ends_stage = true;
        self.unwritten.came(state, plugin);
    }
}

impl TableChanges {
    fn bytes(&self) -> u64 {
        self.keys.iter().map(|(key, values)| weigh_kept(key, values)).sum()
    }
}

/// What a change of a key weighs here.
pub(super) fn weigh<'a>(key: &[u8], values: impl Iterator<Item = &'a Vec<u8>>) -> u64 {
    KEY_BYTES + key.len() as u64 + values.map(|value| VALUE_BYTES + value.len() as u64).sum::<u64>()
}

fn weigh_kept(key: &[u8], values: &[(u64, Vec<u8>)]) -> u64 {
    weigh(key, values.iter().map(|(_, value)| value))
}

/// What comes later stands in the place of what came before.
fn add(all: &mut Changes, bytes: &mut u64, table: &Arc<str>, later: TableChanges) {
    *bytes += later.bytes();
    let Some(earlier) = all.get_mut(table).filter(|_| !later.anew) else {
        if let Some(gone) = all.insert(table.clone(), later) {
            *bytes -= gone.bytes();
        }
        return;
    };
    for (key, values) in later.keys {
        if let Some(gone) = earlier.keys.get(&key) {
            *bytes -= weigh_kept(&key, gone);
        }
        earlier.keys.insert(key, values);
    }
}

#[cfg(test)]
#[path = "unwritten_tests.rs"]
mod tests;
