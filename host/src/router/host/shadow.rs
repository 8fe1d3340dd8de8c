//! The two sides of a shadow: a live instance, whose event is taped, and the instance that is played the tape. It sees
//! tables and groups as they were for the live one; what it writes only it sees, until the event is over; it sets no
//! timers. What is there for a candidate only is its own, and stays.

use super::overlay::{ScopeOverlay, TableOverlay, Touched};
use super::{HostState, Stage};
use crate::caller::Caller;
use crate::denied::{Allowed, Denied};
use crate::event::Payload;
use crate::groups::Scope;
use crate::history::{NOBODY, Past};
use crate::limits::Limits;
use crate::pid::Pid;
use crate::router::tape::{Chance, Meeting, Tape, call_id};
use crate::tables::Table;
use crate::topic::Topic;
use std::collections::{HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

/// Where the ids of timers that a shadow believes to have set begin: no real one is as large, and JavaScript can hold it.
const MADE_UP_IDS: u64 = 1 << 52;

/// What a shadow has while it is played one event.
#[derive(Default)]
pub(super) struct Shadowing {
    tape: Option<Tape>,
    tables: Vec<TableOverlay>,
    scopes: Vec<ScopeOverlay>,
    /// Timers that it believes to have set, beyond those on the tape.
    timers: HashSet<u64>,
}

impl HostState {
    pub(crate) fn begin_tape(&mut self, tape: Tape) {
        self.tape = Some(tape);
    }

    pub(crate) fn end_tape(&mut self) -> Option<Tape> {
        let mut tape = self.tape.take()?;
        tape.end();
        Some(tape)
    }

    /// A candidate becomes a shadow, and never goes live.
    pub(crate) fn become_shadow(&mut self) {
        self.stage = Stage::Shadow(Box::default());
    }

    pub(crate) fn begin_replay(&mut self, tape: Tape) {
        self.stage = Stage::Shadow(Box::new(Shadowing { tape: Some(tape), ..Shadowing::default() }));
    }

    /// The event is over, and what was written for it is gone.
    pub(crate) fn end_replay(&mut self) -> Option<Tape> {
        let Stage::Shadow(shadow) = &mut self.stage else { return None };
        std::mem::take(&mut **shadow).tape
    }

    /// The members of a group as the shadow sees them once it has answered.
    pub(crate) fn members_after(&mut self, past: Past, scope: &str, group: &[u8]) -> Allowed<Vec<u64>> {
        let scope = self.find_scope(scope)?;
        match (self.real_scope(&scope), &mut self.stage) {
            (Some(real), Stage::Shadow(shadow)) => Ok(shadow.scope(&real).members(past, group)),
            _ => Ok(scope.members(&self.caller, group)),
        }
    }

    /// Sets a timer, or lets the shadow believe that it has.
    pub(super) fn set_timer(&mut self, delay_ms: u64, topic: Topic, data: Payload) -> Allowed<u64> {
        if let Stage::Shadow(shadow) = &mut self.stage {
            let made_up = MADE_UP_IDS + shadow.timers.len() as u64;
            let taped = shadow.tape.as_mut().and_then(|tape| tape.chance.timers_set.pop_front());
            return taped.unwrap_or_else(|| {
                shadow.timers.insert(made_up);
                Ok(made_up)
            });
        }
        let shared = self.shared.clone();
        let answer = shared.timers.set(&self.caller, delay_ms, topic, data);
        self.by_chance(|chance| &mut chance.timers_set, || answer)
    }

    /// Cancels a timer, or lets the shadow believe that it has.
    pub(super) fn cancel(&mut self, timer: u64) -> Allowed<bool> {
        if let Stage::Shadow(shadow) = &mut self.stage {
            let taped = shadow.tape.as_mut().and_then(|tape| tape.chance.cancelled.pop_front());
            let waits = || self.shared.timers.is_waiting(&self.caller, timer);
            return Ok(taped.unwrap_or_else(|| shadow.timers.contains(&timer) || waits()));
        }
        let cancelled = self.shared.timers.cancel(&self.caller, timer)?;
        Ok(self.by_chance(|chance| &mut chance.cancelled, || cancelled))
    }

    /// Whether what a call touches has to be known.
    fn is_watched(&self) -> bool {
        self.tape.is_some() || matches!(self.stage, Stage::Shadow(_))
    }

    /// What a call on a table touches, as far as anybody has to know.
    pub(super) fn touching(
        &self,
        name: &'static str,
        writes: bool,
        keys: impl FnOnce() -> Vec<Vec<u8>>,
    ) -> Option<Touched> {
        self.is_watched().then(|| Touched { name, writes, keys: keys(), page: None })
    }

    pub(super) fn touching_page(&self, prefix: &[u8], after: Option<&[u8]>, limit: u32) -> Option<Touched> {
        let page = || Some((prefix.to_vec(), after.map(<[u8]>::to_vec), limit));
        self.is_watched().then(|| Touched { name: "select", writes: false, keys: Vec::new(), page: page() })
    }

    /// Makes a call on a table, or has the shadow make it.
    pub(super) fn call_table<T>(
        &mut self,
        table: &Arc<Table>,
        touched: Option<Touched>,
        call: impl FnOnce(&Arc<Table>, &Caller) -> Allowed<T>,
    ) -> Allowed<T> {
        let Some(touched) = touched else { return call(table, &self.caller) };
        let Some(table) = &self.real_table(table) else { return call(table, &self.caller) };
        let id = call_id(touched.name, table, (&touched.keys, &touched.page));
        if let Stage::Shadow(shadow) = &mut self.stage {
            let past = allow(&shadow.meet(id))?;
            return shadow.table(table, &self.shared.limits).call(past, &self.caller, touched, call);
        }
        let answer = call(table, &self.caller);
        if let Some(tape) = &mut self.tape {
            tape.called(id, self.caller.moment(), &answer, Vec::new());
        }
        answer
    }

    pub(super) fn count_objects(&mut self, table: &Arc<Table>) -> u64 {
        if !self.is_watched() {
            return table.count(&self.caller);
        }
        let Some(table) = &self.real_table(table) else { return table.count(&self.caller) };
        let id = call_id("size", table, ());
        if let Stage::Shadow(shadow) = &mut self.stage {
            let past = shadow.meet(id).past;
            return shadow.table(table, &self.shared.limits).count(past);
        }
        let count = table.count(&self.caller);
        if let Some(tape) = &mut self.tape {
            tape.called(id, self.caller.moment(), &Ok(count), Vec::new());
        }
        count
    }

    pub(super) fn join_group(&mut self, scope: &Arc<Scope>, group: &[u8], pids: &[u64]) -> Allowed<u64> {
        let mut dead = Vec::new();
        if !self.is_watched() {
            return scope.join(&self.caller, group, pids, &mut dead);
        }
        let Some(scope) = &self.real_scope(scope) else {
            return scope.join(&self.caller, group, pids, &mut dead);
        };
        let id = call_id("join", scope, (group, pids));
        if let Stage::Shadow(shadow) = &mut self.stage {
            scope.check_group(group)?;
            let mut meeting = shadow.meet(id);
            let dead = meeting.dead.take();
            let past = allow(&meeting)?;
            let lives = |pid: &u64| match &dead {
                Some(dead) => !dead.contains(pid),
                None => Pid::from_bits(*pid).is_some_and(|pid| self.shared.sessions.is_live(pid)),
            };
            return Ok(shadow.scope(scope).write(past, group, pids.iter().copied().filter(lives), true));
        }
        let answer = scope.join(&self.caller, group, pids, &mut dead);
        if let Some(tape) = &mut self.tape {
            tape.called(id, self.caller.moment(), &answer, dead);
        }
        answer
    }

    /// Makes a call on a scope that is never denied but by a journal, or has the shadow make it.
    pub(super) fn call_scope<T>(
        &mut self,
        scope: &Arc<Scope>,
        name: &str,
        named: impl Hash,
        call: impl FnOnce(&Arc<Scope>, &Caller) -> Allowed<T>,
        in_shadow: impl FnOnce(&mut ScopeOverlay, Past) -> T,
    ) -> Allowed<T> {
        if !self.is_watched() {
            return call(scope, &self.caller);
        }
        let Some(scope) = &self.real_scope(scope) else { return call(scope, &self.caller) };
        let id = call_id(name, scope, named);
        if let Stage::Shadow(shadow) = &mut self.stage {
            let past = shadow.meet(id).past;
            return Ok(in_shadow(shadow.scope(scope), past));
        }
        let answer = call(scope, &self.caller);
        if let Some(tape) = &mut self.tape {
            tape.called(id, self.caller.moment(), &answer, Vec::new());
        }
        answer
    }

    /// What chance gives, or gave to the live instance.
    pub(super) fn by_chance<T: Clone>(
        &mut self,
        kind: impl FnOnce(&mut Chance) -> &mut VecDeque<T>,
        real: impl FnOnce() -> T,
    ) -> T {
        match (&mut self.stage, &mut self.tape) {
            (Stage::Shadow(shadow), _) => {
                let taped = shadow.tape.as_mut().and_then(|tape| kind(&mut tape.chance).pop_front());
                taped.unwrap_or_else(real)
            }
            (_, Some(tape)) => {
                let given = real();
                tape.weigh(size_of::<T>());
                kind(&mut tape.chance).push_back(given.clone());
                given
            }
            _ => real(),
        }
    }
}

impl Shadowing {
    fn meet(&mut self, id: u64) -> Meeting {
        match &mut self.tape {
            Some(tape) => tape.meet(id),
            None => Meeting { past: Past { moment: u64::MAX, event: NOBODY }, limit: None, dead: None },
        }
    }

    fn table(&mut self, table: &Arc<Table>, limits: &Limits) -> &mut TableOverlay {
        let at = self.tables.iter().position(|overlay| Arc::ptr_eq(&overlay.table, table));
        let at = at.unwrap_or_else(|| {
            self.tables.push(TableOverlay::new(table, limits));
            self.tables.len() - 1
        });
        &mut self.tables[at]
    }

    fn scope(&mut self, scope: &Arc<Scope>) -> &mut ScopeOverlay {
        let at = self.scopes.iter().position(|overlay| Arc::ptr_eq(&overlay.scope, scope));
        let at = at.unwrap_or_else(|| {
            self.scopes.push(ScopeOverlay::new(scope));
            self.scopes.len() - 1
        });
        &mut self.scopes[at]
    }
}

fn allow(meeting: &Meeting) -> Allowed<Past> {
    meeting.limit.map_or(Ok(meeting.past), |name| Err(Denied::Limit(name)))
}
