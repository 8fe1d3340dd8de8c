//! A host in memory, one for each test thread: tables, groups, timers and a clock with the bindings' own signatures.
//! Kept simple: nothing is bounded but the number of objects; no plugin is told from another.
#![allow(clippy::unnecessary_wraps, reason = "the bindings' signatures")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::bindings::volley::router::ets::{CounterOp, Kind, Object, Options, Page};
use crate::bindings::volley::router::types::{Error, Payload, Reach, Term};
use crate::log::Level;

#[derive(Clone, Default)]
pub(super) struct Memory {
    tables: BTreeMap<String, Objects>,
    pub(super) groups: BTreeMap<(String, Term), BTreeSet<u64>>,
    /// Topic and data of the timers that are to fire, by when they are due, then by number.
    pub(super) timers: BTreeMap<(u64, u64), (String, Payload)>,
    /// How far the clock has been moved.
    pub(super) passed_ms: u64,
    timers_set: u64,
    numbers_given: u64,
}

#[derive(Clone)]
struct Objects {
    kind: Kind,
    room: u64,
    ttl_ms: Option<u64>,
    values: BTreeMap<Term, Vec<Stored>>,
}

#[derive(Clone)]
struct Stored {
    value: Term,
    /// By the clock of `passed_ms`.
    expires_ms: u64,
}

/// Where a test's clock begins: some moment of 2023, so that a rule that subtracts times need not fear zero.
const BEGIN_MS: u64 = 1_700_000_000_000;
/// As on the real server.
const TIMER_MS_MIN: u64 = 10;

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

pub(super) fn with<T>(use_it: impl FnOnce(&mut Memory) -> T) -> T {
    MEMORY.with_borrow_mut(use_it)
}

#[derive(Debug)]
pub(crate) struct Table(String);

impl Table {
    pub(crate) fn open(name: &str, options: Options) -> Result<Self, Error> {
        with(|memory| {
            let fresh = Objects { kind: options.kind, room: 0, ttl_ms: None, values: BTreeMap::new() };
            let table = memory.tables.entry(name.to_owned()).or_insert(fresh);
            if table.kind != options.kind {
                return Err(Error::Badarg("a table of another kind".to_owned()));
            }
            (table.room, table.ttl_ms) = (options.max_objects, options.ttl_ms);
            Ok(Self(name.to_owned()))
        })
    }

    /// One that the rule has opened already.
    pub(super) fn find(name: &str) -> Option<Self> {
        with(|memory| memory.tables.contains_key(name)).then(|| Self(name.to_owned()))
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Objects, u64) -> T) -> T {
        with(|memory| {
            let now_ms = memory.passed_ms;
            let table = memory.tables.get_mut(&self.0).expect("an open table");
            if table.ttl_ms.is_some() {
                table.values.retain(|_, values| {
                    values.retain(|stored| stored.expires_ms > now_ms);
                    !values.is_empty()
                });
            }
            use_it(table, now_ms)
        })
    }

    pub(crate) fn insert(&self, objects: &[Object]) -> Result<(), Error> {
        self.with(|table, now_ms| {
            let fresh = objects.iter().filter(|object| !table.values.contains_key(&object.key));
            if table.size() + fresh.count() as u64 > table.room {
                return Err(Error::SystemLimit("max-objects".to_owned()));
            }
            for Object { key, value } in objects {
                let stored = table.stored(value, now_ms);
                let values = table.values.entry(key.clone()).or_default();
                if table.kind == Kind::Bag {
                    values.retain(|known| known.value != *value);
                } else {
                    values.clear();
                }
                values.push(stored);
            }
            Ok(())
        })
    }

    pub(crate) fn insert_new(&self, objects: &[Object]) -> Result<bool, Error> {
        let taken = self.with(|table, _| objects.iter().any(|object| table.values.contains_key(&object.key)));
        if !taken {
            self.insert(objects)?;
        }
        Ok(!taken)
    }

    pub(crate) fn lookup(&self, keys: &[Term]) -> Result<Vec<Vec<Term>>, Error> {
        let values = |table: &Objects, key| table.values.get(key).map(|values| plain(values)).unwrap_or_default();
        Ok(self.with(|table, _| keys.iter().map(|key| values(table, key)).collect()))
    }

    pub(crate) fn take(&self, key: &[u8]) -> Result<Vec<Term>, Error> {
        Ok(self.with(|table, _| table.values.remove(key).map(|values| plain(&values)).unwrap_or_default()))
    }

    pub(crate) fn delete(&self, keys: &[Term]) -> Result<u64, Error> {
        keys.iter().map(|key| Ok(self.take(key)?.len() as u64)).sum()
    }

    pub(crate) fn delete_object(&self, objects: &[Object]) -> Result<u64, Error> {
        Ok(self.with(|table, _| {
            let before = table.size();
            for Object { key, value } in objects {
                let Some(values) = table.values.get_mut(key) else { continue };
                values.retain(|known| known.value != *value);
                if values.is_empty() {
                    table.values.remove(key);
                }
            }
            before - table.size()
        }))
    }

    pub(crate) fn update_counter(&self, ops: &[CounterOp]) -> Result<Vec<i64>, Error> {
        let not_a_number = || Error::Badarg("not a counter".to_owned());
        ops.iter()
            .map(|op| {
                let known = self.lookup(std::slice::from_ref(&op.key))?.concat().pop();
                let known = known.map_or(Ok(op.default), |text| {
                    str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).ok_or_else(not_a_number)
                })?;
                let value = match (known + op.incr, op.threshold) {
                    (sum, Some((threshold, restart))) if op.incr >= 0 && sum > threshold => restart,
                    (sum, Some((threshold, restart))) if op.incr < 0 && sum < threshold => restart,
                    (sum, _) => sum,
                };
                self.insert(&[Object { key: op.key.clone(), value: value.to_string().into_bytes() }])?;
                Ok(value)
            })
            .collect()
    }

    pub(crate) fn select_replace(&self, key: &[u8], old: &[u8], new: &[u8]) -> Result<bool, Error> {
        Ok(self.with(|table, now_ms| {
            let stored = table.stored(new, now_ms);
            let values = table.values.get_mut(key);
            let known = values.and_then(|values| values.iter_mut().find(|known| known.value == old));
            known.map(|known| *known = stored).is_some()
        }))
    }

    pub(crate) fn select(&self, prefix: &[u8], after: Option<&[u8]>, limit: u32) -> Result<Page, Error> {
        Ok(self.with(|table, _| {
            let mut found = table
                .values
                .iter()
                .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| key.as_slice() > after));
            let mut objects = Vec::new();
            for (key, values) in found.by_ref().take(limit as usize) {
                objects.extend(plain(values).into_iter().map(|value| Object { key: key.clone(), value }));
            }
            let last = objects.last().map(|object| object.key.clone());
            Page { continuation: found.next().and(last), objects }
        }))
    }

    pub(crate) fn size(&self) -> u64 {
        self.with(|table, _| table.size())
    }
}

fn plain(values: &[Stored]) -> Vec<Term> {
    values.iter().map(|stored| stored.value.clone()).collect()
}

impl Objects {
    fn stored(&self, value: &[u8], now_ms: u64) -> Stored {
        Stored { value: value.to_vec(), expires_ms: self.ttl_ms.map_or(u64::MAX, |ttl_ms| now_ms + ttl_ms) }
    }

    fn size(&self) -> u64 {
        self.values.values().map(|values| values.len() as u64).sum()
    }
}

#[derive(Debug)]
pub(crate) struct Scope(String);

impl Scope {
    pub(crate) fn open(name: &str, _: Reach) -> Result<Self, Error> {
        Ok(Self(name.to_owned()))
    }

    fn with<T>(&self, group: &[u8], use_it: impl FnOnce(&mut BTreeSet<u64>) -> T) -> T {
        with(|memory| use_it(memory.groups.entry((self.0.clone(), group.to_vec())).or_default()))
    }

    pub(crate) fn join(&self, group: &[u8], pids: &[u64]) -> Result<u64, Error> {
        Ok(self.with(group, |group| pids.iter().filter(|pid| group.insert(**pid)).count() as u64))
    }

    pub(crate) fn leave(&self, group: &[u8], pids: &[u64]) -> u64 {
        self.with(group, |group| pids.iter().filter(|pid| group.remove(pid)).count() as u64)
    }

    pub(crate) fn get_members(&self, group: &[u8]) -> Vec<u64> {
        self.with(group, |group| group.iter().copied().collect())
    }

    pub(crate) fn which_groups(&self, pid: u64) -> Vec<Term> {
        let in_it = |((scope, group), pids): (&(String, Term), &BTreeSet<u64>)| {
            (*scope == self.0 && pids.contains(&pid)).then(|| group.clone())
        };
        with(|memory| memory.groups.iter().filter_map(in_it).collect())
    }

    pub(crate) fn count(&self, groups: &[Term]) -> Vec<u64> {
        groups.iter().map(|group| self.get_members(group).len() as u64).collect()
    }
}

pub(crate) fn log(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}

/// Time stands still but for what a test lets it go on, so that it gives the same at each run.
pub(crate) fn system_time_ms() -> u64 {
    BEGIN_MS + with(|memory| memory.passed_ms)
}

pub(crate) fn monotonic_time_us() -> u64 {
    with(|memory| memory.passed_ms) * 1000
}

/// Not random at all, for the same reason.
pub(crate) fn rand(count: u32) -> Vec<u64> {
    with(|memory| {
        let first = memory.numbers_given;
        memory.numbers_given += u64::from(count);
        (first..memory.numbers_given).collect()
    })
}

pub(crate) fn send_after(delay_ms: u64, topic: &str, data: &Payload) -> Result<u64, Error> {
    with(|memory| {
        memory.timers_set += 1;
        let due_ms = memory.passed_ms.saturating_add(delay_ms.max(TIMER_MS_MIN));
        memory.timers.insert((due_ms, memory.timers_set), (topic.to_owned(), data.clone()));
        Ok(memory.timers_set)
    })
}

pub(crate) fn cancel_timer(timer: u64) -> bool {
    with(|memory| {
        let before = memory.timers.len();
        memory.timers.retain(|(_, number), _| *number != timer);
        memory.timers.len() < before
    })
}
