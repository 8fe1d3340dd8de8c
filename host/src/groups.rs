//! Process groups, as in Erlang's `pg`: named sets of PIDs in a plugin's scopes. They outlive the plugin's versions;
//! a session that ends leaves all of them.

use crate::caller::Caller;
use crate::denied::{Allowed, Denied, badarg};
use crate::history::{Feed, History, NOBODY, Past};
use crate::limits::Limits;
use crate::pid::Pid;
use crate::sessions::Sessions;
use crate::subscriptions::PidSet;
use crate::sync::{Mutex, MutexGuard};
use foldhash::fast::RandomState;
use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
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
    feed: Arc<Feed>,
}

/// One scope. Under its lock a session's slot may be locked, never the other way round.
pub struct Scope {
    limits: Arc<Limits>,
    sessions: Arc<Sessions>,
    members: Mutex<Members>,
}

struct Members {
    groups: Map<Term, PidSet>,
    of: Map<u64, Vec<Term>>,
    /// Those of all scopes.
    memberships: Arc<AtomicU64>,
    /// Who was a member before, by group and by PID.
    before: History<(Term, u64), bool>,
    groups_before: History<(u64, Term), bool>,
}

impl Groups {
    /// None yet.
    pub fn new(limits: Arc<Limits>, sessions: Arc<Sessions>, feed: Arc<Feed>) -> Self {
        Self { limits, sessions, scopes: Arc::default(), memberships: Arc::default(), feed }
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

    /// The scope as `open` would find it, nothing changed.
    pub fn find(&self, by: &Caller, name: &str) -> Allowed<Option<Arc<Scope>>> {
        let key = self.check(by, name)?;
        Ok(self.scopes.lock().get(&key).cloned())
    }

    /// What its plugin calls a scope, if others see it.
    pub fn name_of(&self, scope: &Arc<Scope>) -> Option<String> {
        let scopes = self.scopes.lock();
        scopes.iter().find(|(_, known)| Arc::ptr_eq(known, scope)).map(|((_, name), _)| name.clone())
    }

    /// One that nobody else sees.
    pub fn private(&self) -> Arc<Scope> {
        self.empty(&Arc::default())
    }

    fn check(&self, by: &Caller, name: &str) -> Allowed<Name> {
        if name.is_empty() || name.len() as u64 > self.limits.group_bytes_max {
            return badarg(format!("a scope's name has 1 to {} bytes", self.limits.group_bytes_max));
        }
        Ok((by.plugin.clone(), name.to_owned()))
    }

    fn empty(&self, memberships: &Arc<AtomicU64>) -> Arc<Scope> {
        let members = Members {
            groups: Map::default(),
            of: Map::default(),
            memberships: memberships.clone(),
            before: History::new(self.feed.clone()),
            groups_before: History::new(self.feed.clone()),
        };
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

    /// Forgets what no shadow can look back to any more.
    pub fn forget(&self) {
        let scopes: Vec<Arc<Scope>> = self.scopes.lock().values().cloned().collect();
        for scope in scopes {
            let mut members = scope.members.lock();
            members.before.forget();
            members.groups_before.forget();
        }
    }

    /// How many memberships there are.
    pub fn memberships(&self) -> u64 {
        self.memberships.load(Relaxed)
    }
}

impl Scope {
    /// Whether a group can have that name.
    pub fn check_group(&self, group: &[u8]) -> Allowed<()> {
        if group.len() as u64 > self.limits.group_bytes_max {
            return badarg(format!("a group's name has at most {} bytes", self.limits.group_bytes_max));
        }
        Ok(())
    }

    /// How many were not in the group before. The dead do not join, and are listed.
    pub fn join(self: &Arc<Self>, by: &Caller, group: &[u8], pids: &[u64], dead: &mut Vec<u64>) -> Allowed<u64> {
        self.check_group(group)?;
        let mut members = self.seen_by(by);
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
        let mut joined = Vec::new();
        for bits in pids {
            if !live(&bits) {
                dead.push(*bits);
            } else if members.add(by.event, group, *bits) {
                joined.push(*bits);
            }
        }
        drop(members);
        let count = joined.len() as u64;
        if let Some(journal) = by.journal.as_ref().filter(|_| count > 0) {
            let (scope, group) = (self.clone(), group.to_vec());
            journal.record(weigh_undo(&group, &joined), move || {
                let mut members = scope.members.lock();
                for bits in joined {
                    members.remove(NOBODY, &group, bits);
                }
            })?;
        }
        Ok(count)
    }

    /// How many were in the group.
    pub fn leave(self: &Arc<Self>, by: &Caller, group: &[u8], pids: &[u64]) -> Allowed<u64> {
        let mut members = self.seen_by(by);
        let left: Vec<u64> = pids.iter().copied().filter(|bits| members.remove(by.event, group, *bits)).collect();
        drop(members);
        let count = left.len() as u64;
        if let Some(journal) = by.journal.as_ref().filter(|_| count > 0) {
            let (scope, group) = (self.clone(), group.to_vec());
            journal.record(weigh_undo(&group, &left), move || {
                let mut members = scope.members.lock();
                let live = |bits: &&u64| Pid::from_bits(**bits).is_some_and(|pid| scope.sessions.is_live(pid));
                for bits in left.iter().filter(live) {
                    members.add(NOBODY, &group, *bits);
                }
            })?;
        }
        Ok(count)
    }

    /// In ascending order.
    pub fn members(&self, by: &Caller, group: &[u8]) -> Vec<u64> {
        let mut list = Vec::new();
        if let Some(pids) = self.seen_by(by).groups.get(group) {
            list.extend(pids.iter().copied());
        }
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
    pub fn groups_of(&self, by: &Caller, pid: u64) -> Vec<Vec<u8>> {
        let members = self.seen_by(by);
        let mut groups: Vec<Vec<u8>> =
            members.of.get(&pid).map_or_else(Vec::new, |of| of.iter().map(|group| group.to_vec()).collect());
        groups.sort_unstable();
        groups
    }

    /// How many members each group has.
    pub fn count(&self, by: &Caller, groups: &[Vec<u8>]) -> Vec<u64> {
        let members = self.seen_by(by);
        groups.iter().map(|group| members.groups.get(&**group).map_or(0, |pids| pids.len() as u64)).collect()
    }

    /// Whether the session was a member.
    pub fn was_member(&self, past: Past, group: &[u8], pid: u64) -> bool {
        let members = self.members.lock();
        members.before.before(&(group.into(), pid), past).copied().unwrap_or_else(|| members.contains(group, pid))
    }

    /// Whether another one than the event has let the session in or out after `since`.
    pub fn is_changed(&self, since: u64, past: Past, group: &[u8], pid: u64) -> bool {
        self.members.lock().before.is_changed(&(group.into(), pid), since, past)
    }

    /// Who was a member.
    pub fn members_before(&self, past: Past, group: &[u8]) -> PidSet {
        let mut list = Vec::new();
        let members = self.members.lock();
        if let Some(pids) = members.groups.get(group) {
            list.extend(pids.iter().copied());
        }
        let of_group = (Term::from(group), 0)..=(Term::from(group), u64::MAX);
        let changed: Vec<(u64, bool)> =
            members.before.range(of_group, past).filter_map(|((_, pid), was)| Some((*pid, *was?))).collect();
        drop(members);
        let mut pids: PidSet = list.into_iter().collect();
        for (pid, was_member) in changed {
            put(&mut pids, pid, was_member);
        }
        pids
    }

    /// Whom the event has let in or out, and which of the two it did last.
    pub fn changed_by(&self, own: Past, group: &[u8]) -> Vec<(u64, bool)> {
        let members = self.members.lock();
        let of_group = (Term::from(group), 0)..=(Term::from(group), u64::MAX);
        let changed = members.before.right_after(of_group, own);
        changed.map(|((_, pid), left)| (*pid, left.copied().unwrap_or_else(|| members.contains(group, *pid)))).collect()
    }

    /// What a PID was a member of.
    pub fn groups_before(&self, past: Past, pid: u64) -> BTreeSet<Vec<u8>> {
        let members = self.members.lock();
        let mut groups: BTreeSet<Vec<u8>> =
            members.of.get(&pid).into_iter().flatten().map(|group| group.to_vec()).collect();
        let of_pid = (Bound::Included((pid, Term::default())), Bound::Excluded((pid + 1, Term::default())));
        for ((_, group), was_member) in members.groups_before.range(of_pid, past) {
            match was_member {
                Some(true) => drop(groups.insert(group.to_vec())),
                Some(false) => drop(groups.remove(&**group)),
                None => {}
            }
        }
        groups
    }

    fn seen_by(&self, by: &Caller) -> MutexGuard<'_, Members> {
        let members = self.members.lock();
        by.sees(members.before.moment());
        members
    }
}

/// Makes a PID an element of a set, or none.
pub fn put(pids: &mut PidSet, pid: u64, is_element: bool) {
    if is_element {
        pids.insert(pid);
    } else {
        pids.swap_remove(&pid);
    }
}

impl Members {
    fn add(&mut self, event: u64, group: &[u8], pid: u64) -> bool {
        let name = match self.groups.get_key_value(group) {
            Some((name, _)) => name.clone(),
            None => Term::from(group),
        };
        if !self.groups.entry(name.clone()).or_default().insert(pid) {
            return false;
        }
        self.remember(event, &name, pid, false);
        self.of.entry(pid).or_default().push(name);
        self.memberships.fetch_add(1, Relaxed);
        true
    }

    fn contains(&self, group: &[u8], pid: u64) -> bool {
        self.groups.get(group).is_some_and(|pids| pids.contains(&pid))
    }

    fn remember(&mut self, event: u64, group: &Term, pid: u64, was_member: bool) {
        if self.before.is_wanted() {
            let growth = if was_member { -1 } else { 1 };
            self.before.record(event, (group.clone(), pid), was_member, 0, growth);
            self.groups_before.record(event, (pid, group.clone()), was_member, 0, growth);
        }
    }

    fn remove(&mut self, event: u64, group: &[u8], pid: u64) -> bool {
        if !self.remove_from_group(event, group, pid) {
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

    fn remove_from_group(&mut self, event: u64, group: &[u8], pid: u64) -> bool {
        let Some(pids) = self.groups.get_mut(group) else { return false };
        if !pids.swap_remove(&pid) {
            return false;
        }
        if pids.is_empty() {
            self.groups.remove(group);
        }
        self.remember(event, &group.into(), pid, true);
        self.memberships.fetch_sub(1, Relaxed);
        true
    }

    fn forget(&mut self, pid: u64) {
        for group in self.of.remove(&pid).unwrap_or_default() {
            self.remove_from_group(NOBODY, &group, pid);
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
#[path = "groups_tests.rs"]
mod tests;
