//! Process groups, as in Erlang's `pg`: named sets of PIDs in a plugin's scopes. They outlive the plugin's versions;
//! a session that ends leaves all of them.

use crate::caller::Caller;
use crate::denied::{Allowed, Denied, badarg};
use crate::limits::Limits;
use crate::pid::Pid;
use crate::sessions::Sessions;
use crate::subscriptions::PidSet;
use crate::sync::Mutex;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

type Map<K, V> = HashMap<K, V, RandomState>;
/// A scope is found by its plugin and its own name.
type Name = (Arc<str>, String);
/// The name of a group: any bytes.
type Term = Arc<[u8]>;
/// What the undo of a call weighs besides the group's name and the PIDs: about.
const STEP_BYTES: u64 = 300;

/// All scopes of all plugins.
pub struct Groups {
    limits: Arc<Limits>,
    sessions: Arc<Sessions>,
    scopes: Arc<Mutex<Map<Name, Arc<Scope>>>>,
    memberships: Arc<AtomicU64>,
}

/// One scope. Under its lock a session's slot may be locked, never the other way round.
pub struct Scope {
    limits: Arc<Limits>,
    sessions: Arc<Sessions>,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    groups: Map<Term, PidSet>,
    of: Map<u64, Vec<Term>>,
    /// Those of all scopes.
    memberships: Arc<AtomicU64>,
}

impl Groups {
    /// None yet.
    pub fn new(limits: Arc<Limits>, sessions: Arc<Sessions>) -> Self {
        Self { limits, sessions, scopes: Arc::default(), memberships: Arc::default() }
    }

    /// A plugin's scope, made at the first time.
    pub fn open(&self, by: &Caller, name: &str) -> Allowed<Arc<Scope>> {
        let key = self.check(by, name)?;
        let mut scopes = self.scopes.lock();
        if let Some(scope) = scopes.get(&key) {
            return Ok(scope.clone());
        }
        if scopes.keys().filter(|(owner, _)| *owner == by.plugin).count() as u64 >= self.limits.scopes_max {
            return Err(Denied::Limit("scopes_max"));
        }
        let scope = self.empty(&self.memberships);
        scopes.insert(key.clone(), scope.clone());
        drop(scopes);
        if let Some(journal) = &by.journal {
            let scopes = self.scopes.clone();
            journal.record(STEP_BYTES, move || drop(scopes.lock().remove(&key)))?;
        }
        Ok(scope)
    }

    /// The scope as `open` would find it; one that is not there is empty, and nobody else sees it.
    pub fn preview(&self, by: &Caller, name: &str) -> Allowed<Arc<Scope>> {
        let key = self.check(by, name)?;
        let found = self.scopes.lock().get(&key).cloned();
        Ok(found.unwrap_or_else(|| self.empty(&Arc::default())))
    }

    fn check(&self, by: &Caller, name: &str) -> Allowed<Name> {
        if name.is_empty() || name.len() as u64 > self.limits.group_bytes_max {
            return badarg(format!("a scope's name has 1 to {} bytes", self.limits.group_bytes_max));
        }
        Ok((by.plugin.clone(), name.to_owned()))
    }

    fn empty(&self, memberships: &Arc<AtomicU64>) -> Arc<Scope> {
        let members = Members { memberships: memberships.clone(), ..Members::default() };
        let (limits, sessions) = (self.limits.clone(), self.sessions.clone());
        Arc::new(Scope { limits, sessions, members: Mutex::new(members) })
    }

    /// A dead PID leaves all groups. To be called after its session ended, so that nobody can join it again.
    pub fn exit(&self, pid: Pid) {
        let scopes: Vec<Arc<Scope>> = self.scopes.lock().values().cloned().collect();
        for scope in scopes {
            scope.members.lock().forget(pid.to_bits());
        }
    }

    /// How many memberships there are.
    pub fn memberships(&self) -> u64 {
        self.memberships.load(Relaxed)
    }
}

impl Scope {
    /// How many were not in the group before. The dead do not join.
    pub fn join(self: &Arc<Self>, by: &Caller, group: &[u8], pids: &[u64]) -> Allowed<u64> {
        if group.len() as u64 > self.limits.group_bytes_max {
            return badarg(format!("a group's name has at most {} bytes", self.limits.group_bytes_max));
        }
        let mut members = self.members.lock();
        // Looked at under the scope's lock: a session that ends later leaves after we are done.
        let live = |bits: &&u64| Pid::from_bits(**bits).is_some_and(|pid| self.sessions.is_live(pid));
        let places = self.limits.group_members_max.saturating_sub(members.memberships.load(Relaxed));
        if pids.len() as u64 > places {
            // Only those that would be new need a place.
            let mut fresh: Vec<u64> = pids.iter().filter(live).copied().collect();
            fresh.retain(|bits| !members.contains(group, *bits));
            fresh.sort_unstable();
            fresh.dedup();
            if fresh.len() as u64 > places {
                return Err(Denied::Limit("group_members_max"));
            }
        }
        let joined: Vec<u64> = pids.iter().filter(live).copied().filter(|bits| members.add(group, *bits)).collect();
        drop(members);
        let count = joined.len() as u64;
        if let Some(journal) = by.journal.as_ref().filter(|_| count > 0) {
            let (scope, group) = (self.clone(), group.to_vec());
            journal.record(weigh_undo(&group, &joined), move || {
                let mut members = scope.members.lock();
                for bits in joined {
                    members.remove(&group, bits);
                }
            })?;
        }
        Ok(count)
    }

    /// How many were in the group.
    pub fn leave(self: &Arc<Self>, by: &Caller, group: &[u8], pids: &[u64]) -> Allowed<u64> {
        let mut members = self.members.lock();
        let left: Vec<u64> = pids.iter().copied().filter(|bits| members.remove(group, *bits)).collect();
        drop(members);
        let count = left.len() as u64;
        if let Some(journal) = by.journal.as_ref().filter(|_| count > 0) {
            let (scope, group) = (self.clone(), group.to_vec());
            journal.record(weigh_undo(&group, &left), move || {
                let mut members = scope.members.lock();
                let live = |bits: &&u64| Pid::from_bits(**bits).is_some_and(|pid| scope.sessions.is_live(pid));
                for bits in left.iter().filter(live) {
                    members.add(&group, *bits);
                }
            })?;
        }
        Ok(count)
    }

    /// In ascending order.
    pub fn members(&self, group: &[u8]) -> Vec<u64> {
        let mut list = Vec::new();
        self.copy_into(group, &mut list);
        list.sort_unstable();
        list
    }

    /// Adds all members to a list, in no particular order.
    pub fn copy_into(&self, group: &[u8], list: &mut Vec<u64>) {
        if let Some(pids) = self.members.lock().groups.get(group) {
            list.extend(pids.iter().copied());
        }
    }

    /// What a PID is a member of, in ascending order.
    pub fn groups_of(&self, pid: u64) -> Vec<Vec<u8>> {
        let mut groups: Vec<Vec<u8>> = self
            .members
            .lock()
            .of
            .get(&pid)
            .map_or_else(Vec::new, |of| of.iter().map(|group| group.to_vec()).collect());
        groups.sort_unstable();
        groups
    }

    /// How many members each group has.
    pub fn count(&self, groups: &[Vec<u8>]) -> Vec<u64> {
        let members = self.members.lock();
        groups.iter().map(|group| members.groups.get(&**group).map_or(0, |pids| pids.len() as u64)).collect()
    }
}

impl Members {
    fn add(&mut self, group: &[u8], pid: u64) -> bool {
        let name = match self.groups.get_key_value(group) {
            Some((name, _)) => name.clone(),
            None => Term::from(group),
        };
        if !self.groups.entry(name.clone()).or_default().insert(pid) {
            return false;
        }
        self.of.entry(pid).or_default().push(name);
        self.memberships.fetch_add(1, Relaxed);
        true
    }

    fn contains(&self, group: &[u8], pid: u64) -> bool {
        self.groups.get(group).is_some_and(|pids| pids.contains(&pid))
    }

    fn remove(&mut self, group: &[u8], pid: u64) -> bool {
        if !self.remove_from_group(group, pid) {
            return false;
        }
        if let Some(of) = self.of.get_mut(&pid) {
            of.retain(|name| **name != *group);
            if of.is_empty() {
                self.of.remove(&pid);
            }
        }
        true
    }

    fn remove_from_group(&mut self, group: &[u8], pid: u64) -> bool {
        let Some(pids) = self.groups.get_mut(group) else { return false };
        if !pids.swap_remove(&pid) {
            return false;
        }
        if pids.is_empty() {
            self.groups.remove(group);
        }
        self.memberships.fetch_sub(1, Relaxed);
        true
    }

    fn forget(&mut self, pid: u64) {
        for group in self.of.remove(&pid).unwrap_or_default() {
            self.remove_from_group(&group, pid);
        }
    }
}

/// What the undo of a join or a leave weighs, about.
fn weigh_undo(group: &[u8], pids: &[u64]) -> u64 {
    STEP_BYTES + (group.len() + size_of_val(pids)) as u64
}

#[cfg(test)]
impl Groups {
    /// All there is to say of all scopes, for tests.
    pub(crate) fn dump(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for ((plugin, name), scope) in self.scopes.lock().iter() {
            lines.push(format!("scope {plugin}:{name}"));
            let members = scope.members.lock();
            for (group, pids) in &members.groups {
                lines.extend(pids.iter().map(|pid| format!("{plugin}:{name} {group:?} has {pid}")));
            }
            for (pid, groups) in &members.of {
                lines.extend(groups.iter().map(|group| format!("{plugin}:{name} {pid} is in {group:?}")));
            }
        }
        lines.sort();
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Clone, Debug)]
    enum Step {
        Join(u8, Vec<usize>),
        Leave(u8, Vec<usize>),
        Exit(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let pids = || prop::collection::vec(0..8usize, 0..4);
        let step = prop_oneof![
            4 => (0..3u8, pids()).prop_map(|(group, pids)| Step::Join(group, pids)),
            2 => (0..3u8, pids()).prop_map(|(group, pids)| Step::Leave(group, pids)),
            1 => (0..8usize).prop_map(Step::Exit),
        ];
        prop::collection::vec(step, 0..60)
    }

    proptest! {
        #[test]
        fn a_scope_is_a_set_of_pairs_of_which_the_dead_are_gone(steps in steps()) {
            let limits = Arc::new(Limits { group_members_max: 9, ..Limits::default() });
            let sessions = Arc::new(Sessions::new(0, limits.clone()));
            let pids: Vec<Pid> = (0..8).map(|_| sessions.open(None, None).unwrap().pid).collect();
            let groups = Groups::new(limits, sessions.clone());
            let by = Caller::of("plugin");
            let scope = groups.open(&by, "scope").unwrap();
            let (mut model, mut dead) = (BTreeSet::new(), BTreeSet::new());
            let bits = |indices: &[usize]| indices.iter().map(|index| pids[*index].to_bits()).collect::<Vec<_>>();
            for step in steps {
                match step {
                    Step::Join(group, who) => {
                        let mut joined: BTreeSet<_> =
                            who.iter().filter(|pid| !dead.contains(*pid)).map(|pid| (group, *pid)).collect();
                        joined = &joined - &model;
                        let fits = model.len() + joined.len() <= 9;
                        let expected = if fits { Ok(joined.len() as u64) } else { Err(Denied::Limit("group_members_max")) };
                        prop_assert_eq!(scope.join(&by, &[group], &bits(&who)), expected);
                        if fits {
                            model.append(&mut joined);
                        }
                    }
                    Step::Leave(group, who) => {
                        let left = who.iter().filter(|pid| model.remove(&(group, **pid))).count() as u64;
                        prop_assert_eq!(scope.leave(&by, &[group], &bits(&who)), Ok(left));
                    }
                    Step::Exit(pid) => {
                        sessions.end(pids[pid]);
                        groups.exit(pids[pid]);
                        dead.insert(pid);
                        model.retain(|(_, member)| *member != pid);
                    }
                }
                prop_assert_eq!(groups.memberships(), model.len() as u64);
            }
            for group in 0..3u8 {
                let mut expected: Vec<u64> =
                    model.iter().filter(|(of, _)| *of == group).map(|(_, pid)| pids[*pid].to_bits()).collect();
                expected.sort_unstable();
                prop_assert_eq!(scope.count(&[vec![group]]), vec![expected.len() as u64]);
                prop_assert_eq!(scope.members(&[group]), expected);
            }
            for (index, pid) in pids.iter().enumerate() {
                let expected: Vec<Vec<u8>> =
                    model.iter().filter(|(_, member)| *member == index).map(|(group, _)| vec![*group]).collect();
                prop_assert_eq!(scope.groups_of(pid.to_bits()), expected);
            }
        }
    }
}
