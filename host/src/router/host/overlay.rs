//! What a shadow has written during one event: on top of a table or a scope as it was, seen by nobody else, and gone when
//! the event is over. It is not kept longer because a shadow sees a sample of the events only: what it would have written
//! for the others would be missing, and soon it would live in another world than the live rule.

use crate::caller::Caller;
use crate::denied::Allowed;
use crate::groups::{Scope, put};
use crate::history::Past;
use crate::limits::Limits;
use crate::router::notes::Named;
use crate::tables::Table;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What a call on a table touches.
pub(super) struct Touched {
    pub(super) name: &'static str,
    pub(super) writes: bool,
    pub(super) keys: Vec<Vec<u8>>,
    pub(super) page: Option<(Vec<u8>, Option<Vec<u8>>, u32)>,
}

impl Touched {
    /// For notes. Whatever is answered depends on what is there, but for a plain insert.
    pub(super) fn named(&self) -> Named<'_> {
        let page = self.page.as_ref().map(|(prefix, after, limit)| (&prefix[..], after.as_deref(), *limit));
        Named { reads: self.name != "insert", writes: self.writes, keys: &self.keys, page }
    }
}

/// A table: what a call touches is copied as it was into a table of its own first, and the call is made there.
pub(super) struct TableOverlay {
    pub(super) table: Arc<Table>,
    scratch: Arc<Table>,
    /// Which keys, when. Where somebody else has written since, that counts.
    written: HashMap<Vec<u8>, u64>,
}

impl TableOverlay {
    pub(super) fn new(table: &Arc<Table>, limits: &Limits) -> Self {
        let scratch = table.scratch(limits, limits.shadow_bytes_max);
        Self { table: table.clone(), scratch, written: HashMap::new() }
    }

    pub(super) fn call<T>(
        &mut self,
        past: Past,
        by: &Caller,
        touched: Touched,
        call: impl FnOnce(&Arc<Table>, &Caller) -> Allowed<T>,
    ) -> Allowed<T> {
        let mut copied = Vec::new();
        for key in &touched.keys {
            if !self.is_written(past, key) {
                self.scratch.put_values(key, self.table.values_before(past, key));
                copied.push(key.clone());
            }
        }
        if let Some((prefix, after, limit)) = &touched.page {
            self.written.retain(|key, since| {
                let stays = !key.starts_with(prefix) || !self.table.is_changed(*since, past, key);
                if !stays {
                    self.scratch.put_values(key, Vec::new());
                }
                stays
            });
            let skip = |key: &Vec<u8>| self.written.contains_key(key);
            for (key, values) in self.table.page_before(past, prefix, after.as_deref(), *limit as usize, skip).0 {
                self.scratch.put_values(&key, values);
                copied.push(key);
            }
        }
        let answer = call(&self.scratch, by);
        if touched.writes && answer.is_ok() {
            self.written.extend(touched.keys.into_iter().map(|key| (key, past.moment)));
        } else {
            for key in &copied {
                self.scratch.put_values(key, Vec::new());
            }
        }
        answer
    }

    /// How many objects there are.
    pub(super) fn count(&mut self, past: Past) -> u64 {
        let keys: Vec<Vec<u8>> = self.written.keys().cloned().collect();
        keys.iter().filter(|key| self.is_written(past, key)).fold(self.table.count_before(past), |count, key| {
            (count + self.scratch.values_of(key)).saturating_sub(self.table.values_before(past, key).len() as u64)
        })
    }

    fn is_written(&self, past: Past, key: &Vec<u8>) -> bool {
        self.written.get(key).is_some_and(|since| !self.table.is_changed(*since, past, key))
    }
}

/// A scope of groups: who joined and left.
pub(super) struct ScopeOverlay {
    pub(super) scope: Arc<Scope>,
    /// By group and PID whether it is a member, and since when.
    written: BTreeMap<(Vec<u8>, u64), (bool, u64)>,
}

impl ScopeOverlay {
    pub(super) fn new(scope: &Arc<Scope>) -> Self {
        Self { scope: scope.clone(), written: BTreeMap::new() }
    }

    /// Lets PIDs in or out; how many it changed.
    pub(super) fn write(&mut self, past: Past, group: &[u8], pids: impl Iterator<Item = u64>, is_member: bool) -> u64 {
        let mut changed = 0;
        for pid in pids {
            if self.is_member(past, group, pid) != is_member {
                changed += 1;
            }
            self.written.insert((group.to_vec(), pid), (is_member, past.moment));
        }
        changed
    }

    /// In ascending order.
    pub(super) fn members(&self, past: Past, group: &[u8]) -> Vec<u64> {
        let mut pids = self.scope.members_before(past, group);
        for ((_, pid), (is_member, since)) in self.written.range((group.to_vec(), 0)..=(group.to_vec(), u64::MAX)) {
            if !self.scope.is_changed(*since, past, group, *pid) {
                put(&mut pids, *pid, *is_member);
            }
        }
        let mut pids: Vec<u64> = pids.into_iter().collect();
        pids.sort_unstable();
        pids
    }

    /// What a PID is a member of, in ascending order.
    pub(super) fn groups_of(&self, past: Past, pid: u64) -> Vec<Vec<u8>> {
        let mut groups = self.scope.groups_before(past, pid);
        for ((group, of), (is_member, since)) in &self.written {
            if *of == pid && !self.scope.is_changed(*since, past, group, pid) {
                if *is_member {
                    groups.insert(group.clone());
                } else {
                    groups.remove(group);
                }
            }
        }
        groups.into_iter().collect()
    }

    fn is_member(&self, past: Past, group: &[u8], pid: u64) -> bool {
        match self.written.get(&(group.to_vec(), pid)) {
            Some((is_member, since)) if !self.scope.is_changed(*since, past, group, pid) => *is_member,
            _ => self.scope.was_member(past, group, pid),
        }
    }
}
