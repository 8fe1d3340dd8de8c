//! What is seen of an instance's calls: they are noted for a trace, and they are taped for a shadow.
//!
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
use crate::router::notes::{Made, Notes};
use crate::router::source::{Given, Source};
use crate::router::tape::{Chance, Meeting, Tape, call_id};
use crate::shared::Shared;
use crate::tables::Table;
use crate::timers;
use crate::topic::Topic;
use crate::trace::Met;
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

    /// Notes what the event meets with that is routed next, for a trace.
    pub(crate) fn begin_notes(&mut self, event: u64) {
        self.notes = Some(Notes::begin(self.shared.feed.look_back(), event));
    }

    /// The notes of the event that was routed last, even if the rule failed on it.
    pub(crate) fn end_notes(&mut self) -> Option<Box<Notes>> {
        self.notes.take()
    }

    /// The event that is routed next meets with this, whatever time and chance there is.
    pub(crate) fn give(&mut self, given: Given) {
        self.source = Source::Given(Box::new(given));
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
        let noted = self.notes.is_some().then(|| (topic.clone(), data.clone()));
        let answer = match self.source.given() {
            Some(given) => timers::check_delay(delay_ms).and_then(|()| given.set_timer()),
            None => self.shared.timers.set(&self.caller, delay_ms, topic, data),
        };
        if let (Some(notes), Some((topic, data))) = (&mut self.notes, noted) {
            notes.on_timer(delay_ms, &topic, &data, &answer);
        }
        if let Some(tape) = &mut self.tape {
            tape.gave(|chance| &mut chance.timers_set, answer.clone());
        }
        answer
    }

    /// Cancels a timer, or lets the shadow believe that it has.
    pub(super) fn cancel(&mut self, timer: u64) -> Allowed<bool> {
        if let Stage::Shadow(shadow) = &mut self.stage {
            let taped = shadow.tape.as_mut().and_then(|tape| tape.chance.cancelled.pop_front());
            let waits = || self.shared.timers.is_waiting(&self.caller, timer);
            return Ok(taped.unwrap_or_else(|| shadow.timers.contains(&timer) || waits()));
        }
        let cancelled = match self.source.given() {
            Some(given) => given.cancel(timer),
            None => self.shared.timers.cancel(&self.caller, timer)?,
        };
        if let Some(notes) = &mut self.notes {
            notes.on_cancel(timer, cancelled);
        }
        if let Some(tape) = &mut self.tape {
            tape.gave(|chance| &mut chance.cancelled, cancelled);
        }
        Ok(cancelled)
    }

    /// Whether what a call touches has to be known.
    fn is_watched(&self) -> bool {
        self.tape.is_some() || self.notes.is_some() || matches!(self.stage, Stage::Shadow(_))
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
        let made = || Made::new(touched.name, name_of(table, &self.shared), touched.keys.clone());
        let made = self.is_traced().then(made);
        let answer = self.call_bounded(made, |state| call(table, &state.caller));
        if let Some(tape) = &mut self.tape {
            tape.called(id, self.caller.moment(), &answer, Vec::new());
        }
        if let Some(notes) = &mut self.notes {
            notes.on_table(table, &touched.named(), self.caller.moment(), &self.shared);
        }
        answer
    }

    /// Whether calls are noted, or were when what is given was recorded.
    pub(super) fn is_traced(&self) -> bool {
        self.notes.is_some() || matches!(self.source, Source::Given(_))
    }

    /// Makes a call, if no bound stood against the same one when it was recorded. None is made that is not traced.
    pub(super) fn call_bounded<T>(
        &mut self,
        made: Option<Made>,
        call: impl FnOnce(&mut Self) -> Allowed<T>,
    ) -> Allowed<T> {
        let Some(made) = made else { return call(self) };
        let denied = self.source.given().and_then(|given| given.denies(&made));
        let answer = denied.map_or_else(|| call(self), |limit| Err(Denied::Limit(limit)));
        if let Some(notes) = &mut self.notes {
            notes.on_call(made, answer.as_ref().err());
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
        let mut count = table.count(&self.caller);
        if let Some(tape) = &mut self.tape {
            tape.called(id, self.caller.moment(), &Ok(count), Vec::new());
        }
        if let (Some(given), Some(name)) = (self.source.given(), self.shared.tables.name_of(table)) {
            count = count.saturating_add_signed(given.unseen(&name));
        }
        if let Some(notes) = &mut self.notes {
            notes.on_size(table, count, &self.shared);
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
        if let Some(given) = self.source.given() {
            given.revive(pids, &self.shared.sessions);
        }
        let made = || {
            let name = self.shared.groups.name_of(scope).unwrap_or_default();
            Made::new("join", name, vec![group.to_vec()])
        };
        let made = self.is_traced().then(made);
        let answer = self.call_bounded(made, |state| scope.join(&state.caller, group, pids, &mut dead));
        if let Some(notes) = &mut self.notes {
            notes.on_dead(&dead);
            notes.on_group(scope, group, false, true, self.caller.moment());
        }
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
        note: impl FnOnce(&mut Notes, &Arc<Scope>, u64, &Shared),
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
        if let Some(notes) = &mut self.notes {
            note(notes, scope, self.caller.moment(), &self.shared);
        }
        answer
    }

    /// What chance gives, or gave to the live instance; where it is taped and where it is noted.
    pub(super) fn by_chance(
        &mut self,
        taped: impl FnOnce(&mut Chance) -> &mut VecDeque<u64>,
        noted: impl FnOnce(&mut Met) -> &mut Vec<u64>,
        real: impl FnOnce(&mut Source) -> u64,
    ) -> u64 {
        if let Stage::Shadow(shadow) = &mut self.stage {
            let taped = shadow.tape.as_mut().and_then(|tape| taped(&mut tape.chance).pop_front());
            return taped.unwrap_or_else(|| real(&mut self.source));
        }
        let given = real(&mut self.source);
        if let Some(tape) = &mut self.tape {
            tape.gave(taped, given);
        }
        if let Some(notes) = &mut self.notes {
            noted(&mut notes.met).push(given);
        }
        given
    }
}

impl Shadowing {
    fn meet(&mut self, id: u64) -> Meeting {
        match &mut self.tape {
            Some(tape) => tape.meet(id),
            None => Meeting { past: Past { moment: u64::MAX, event: NOBODY, since: 0 }, limit: None, dead: None },
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

fn name_of(table: &Arc<Table>, shared: &Shared) -> String {
    shared.tables.name_of(table).unwrap_or_default()
}

fn allow(meeting: &Meeting) -> Allowed<Past> {
    meeting.limit.map_or(Ok(meeting.past), |name| Err(Denied::Limit(name)))
}
