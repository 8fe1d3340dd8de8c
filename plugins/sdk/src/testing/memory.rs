//! A host in memory, one for each test thread: tables, groups and timers with the bindings' own signatures.
//! Kept simple: nothing is timed or bounded but the number of objects; no plugin is told from another.
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
    /// Topic and data of the timers that are to fire.
    pub(super) timers: BTreeMap<u64, (String, Payload)>,
    timers_set: u64,
    numbers_given: u64,
}

#[derive(Clone)]
struct Objects {
    kind: Kind,
    room: u64,
    values: BTreeMap<Term, Vec<Term>>,
}

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
            let fresh = Objects { kind: options.kind, room: 0, values: BTreeMap::new() };
            let table = memory.tables.entry(name.to_owned()).or_insert(fresh);
            if table.kind != options.kind {
                return Err(Error::Badarg("a table of another kind".to_owned()));
            }
            table.room = options.max_objects;
            Ok(Self(name.to_owned()))
        })
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Objects) -> T) -> T {
        with(|memory| use_it(memory.tables.get_mut(&self.0).expect("an open table")))
    }

    pub(crate) fn insert(&self, objects: &[Object]) -> Result<(), Error> {
        self.with(|table| {
            let fresh = objects.iter().filter(|object| !table.values.contains_key(&object.key));
            if table.size() + fresh.count() as u64 > table.room {
                return Err(Error::SystemLimit("max-objects".to_owned()));
            }
            for Object { key, value } in objects {
                let values = table.values.entry(key.clone()).or_default();
                if table.kind == Kind::Bag {
                    values.retain(|known| known != value);
                } else {
                    values.clear();
                }
                values.push(value.clone());
            }
            Ok(())
        })
    }

    pub(crate) fn insert_new(&self, objects: &[Object]) -> Result<bool, Error> {
        let taken = self.with(|table| objects.iter().any(|object| table.values.contains_key(&object.key)));
        if !taken {
            self.insert(objects)?;
        }
        Ok(!taken)
    }

    pub(crate) fn lookup(&self, keys: &[Term]) -> Result<Vec<Vec<Term>>, Error> {
        let find =
            |table: &Objects| keys.iter().map(|key| table.values.get(key).cloned().unwrap_or_default()).collect();
        Ok(self.with(|table| find(table)))
    }

    pub(crate) fn take(&self, key: &[u8]) -> Result<Vec<Term>, Error> {
        Ok(self.with(|table| table.values.remove(key).unwrap_or_default()))
    }

    pub(crate) fn delete(&self, keys: &[Term]) -> Result<u64, Error> {
        keys.iter().map(|key| Ok(self.take(key)?.len() as u64)).sum()
    }

    pub(crate) fn delete_object(&self, objects: &[Object]) -> Result<u64, Error> {
        Ok(self.with(|table| {
            let before = table.size();
            for Object { key, value } in objects {
                let Some(values) = table.values.get_mut(key) else { continue };
                values.retain(|known| known != value);
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
        Ok(self.with(|table| {
            let known = table.values.get_mut(key).and_then(|values| values.iter_mut().find(|known| *known == old));
            known.map(|known| new.clone_into(known)).is_some()
        }))
    }

    pub(crate) fn select(&self, prefix: &[u8], after: Option<&[u8]>, limit: u32) -> Result<Page, Error> {
        Ok(self.with(|table| {
            let mut found = table
                .values
                .iter()
                .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| key.as_slice() > after));
            let mut objects = Vec::new();
            for (key, values) in found.by_ref().take(limit as usize) {
                objects.extend(values.iter().map(|value| Object { key: key.clone(), value: value.clone() }));
            }
            let last = objects.last().map(|object| object.key.clone());
            Page { continuation: found.next().and(last), objects }
        }))
    }

    pub(crate) fn size(&self) -> u64 {
        self.with(|table| table.size())
    }
}

impl Objects {
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

/// Time stands still, so that a test gives the same at each run.
pub(crate) fn system_time_ms() -> u64 {
    0
}

pub(crate) fn monotonic_time_us() -> u64 {
    0
}

/// Not random at all, for the same reason.
pub(crate) fn rand(count: u32) -> Vec<u64> {
    with(|memory| {
        let first = memory.numbers_given;
        memory.numbers_given += u64::from(count);
        (first..memory.numbers_given).collect()
    })
}

pub(crate) fn send_after(_: u64, topic: &str, data: &Payload) -> Result<u64, Error> {
    with(|memory| {
        memory.timers_set += 1;
        memory.timers.insert(memory.timers_set, (topic.to_owned(), data.clone()));
        Ok(memory.timers_set)
    })
}

pub(crate) fn cancel_timer(timer: u64) -> bool {
    with(|memory| memory.timers.remove(&timer).is_some())
}
