//! Tables and groups as a trace says that an event found them, and empty again.

use crate::caller::Caller;
use crate::pid::Pid;
use crate::shared::Shared;
use crate::tables::Options;
use crate::trace::{Met, Opened, Term};
use std::collections::BTreeSet;

/// Tables of other plugins are theirs before a rule opens them.
pub(crate) fn open_tables_of_others(shared: &Shared, by: &Caller, met: &Met) {
    open(shared, met.opened.iter().filter(|(_, opened)| *opened.owner != *by.plugin));
}

fn open<'a>(shared: &Shared, tables: impl Iterator<Item = (&'a String, &'a Opened)>) {
    for (name, Opened { kind, owner }) in tables {
        let own_name = name.strip_prefix(owner.as_str()).and_then(|rest| rest.strip_prefix(':')).unwrap_or(name);
        if shared.tables.get(name).is_none() {
            let options = Options { kind: (*kind).into(), ..Options::default() };
            // A name that is none, or one table too many, no live server has opened.
            let _ = shared.tables.open(&Caller::of(owner.as_str()), own_name, options);
        }
    }
}

/// What was met with is there.
pub(crate) fn set(shared: &Shared, by: &Caller, met: &Met) {
    open(shared, met.opened.iter());
    for touch in &met.tables {
        if let Some(table) = shared.tables.get(&touch.table) {
            table.put_values(&touch.key.0, touch.before.iter().map(|value| value.0.clone()).collect());
        }
    }
    for touch in &met.groups {
        put_in_group(shared, by, &touch.scope, &touch.group, &touch.before);
    }
    for membership in &met.memberships {
        for group in &membership.groups {
            put_in_group(shared, by, &membership.scope, group, &[membership.pid]);
        }
    }
}

fn put_in_group(shared: &Shared, by: &Caller, scope: &str, group: &Term, pids: &[Pid]) {
    let Ok(scope) = shared.groups.open(by, scope) else { return };
    for pid in pids {
        shared.sessions.revive(*pid);
    }
    let bits: Vec<u64> = pids.iter().map(|pid| pid.to_bits()).collect();
    // A name that is too long, or more members than there may be, no live server has let in.
    let _ = scope.join(by, &group.0, &bits, &mut Vec::new());
}

/// The lists are about to be resolved: by then others had come and gone, besides whom the rule itself has let in and out.
pub(crate) fn resolve(shared: &Shared, by: &Caller, met: &Met) {
    for touch in &met.groups {
        let Some(resolved) = &touch.resolved else { continue };
        let known = touch.after.as_ref().unwrap_or(&touch.before);
        let only = |these: &[Pid], others: &[Pid]| -> Vec<Pid> {
            these.iter().filter(|pid| !others.contains(pid)).copied().collect()
        };
        put_in_group(shared, by, &touch.scope, &touch.group, &only(resolved, known));
        if let Ok(Some(scope)) = shared.groups.find(by, &touch.scope) {
            let gone: Vec<u64> = only(known, resolved).iter().map(|pid| pid.to_bits()).collect();
            // Only a journal could stand against it, and there is none.
            let _ = scope.leave(by, &touch.group.0, &gone);
        }
    }
}

/// What was met with is gone.
pub(crate) fn clear(shared: &Shared, by: &Caller, met: &Met) {
    for touch in &met.tables {
        if let Some(table) = shared.tables.get(&touch.table) {
            table.put_values(&touch.key.0, Vec::new());
        }
    }
    let touched = met.groups.iter().map(|touch| (&touch.scope, &touch.group));
    let of_members = met.memberships.iter().flat_map(|of| of.groups.iter().map(move |group| (&of.scope, group)));
    for (scope, group) in touched.chain(of_members).collect::<BTreeSet<_>>() {
        if let Ok(Some(scope)) = shared.groups.find(by, scope) {
            let members = scope.members(by, &group.0);
            // Only a journal could stand against it, and there is none.
            let _ = scope.leave(by, &group.0, &members);
        }
    }
}
