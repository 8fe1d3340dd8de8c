//! What a rule looked at and what it changed, as `explain` says it.

use crate::commands::layout;
use crate::pid::Pid;
use crate::trace::{Cancelled, Counted, GroupTouch, Met, TableTouch, Trace, values_words};
use serde::Serialize;

/// Something that the rule was told.
#[derive(Serialize)]
pub(super) struct Look {
    pub(super) what: String,
    pub(super) value: String,
}

/// Something that is otherwise since.
#[derive(Serialize)]
pub(super) struct Change {
    pub(super) what: String,
    pub(super) before: String,
    pub(super) after: String,
    /// Others changed it as well while the event was routed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) raced: bool,
}

/// What an answer may have come from.
pub(super) fn reads(trace: &Trace, met: &Met) -> Vec<Look> {
    let mut reads = Vec::new();
    let mut look = |what: String, value: String| reads.push(Look { what, value });
    for touch in &met.tables {
        let told = touch.told.as_ref().map(|told| values_words(told));
        if let Some(value) = told_words(touch.read.then(|| values_words(&touch.before)), told) {
            look(key(touch), value);
        }
    }
    for touch in &met.groups {
        let names = |pids: &[Pid]| list(&names(trace, pids));
        // Of one that is only named the members count when the lists are made.
        let resolved = touch.named && !touch.read && touch.told.is_none();
        let first = if resolved { Some(touch.members()) } else { touch.read.then_some(&touch.before[..]) };
        let told = touch.told.as_ref().map(|told| names(told));
        if let Some(value) = told_words(first.map(names), told) {
            look(group(touch), value);
        }
    }
    for Counted { table, objects, .. } in &met.counted {
        look(format!("the size of table {table}"), objects.to_string());
    }
    for (table, objects) in &met.sizes {
        look(format!("the size of table {table} before the event"), objects.to_string());
    }
    for of in &met.memberships {
        let groups = of.groups.iter().map(crate::trace::Term::words).collect::<Vec<_>>().join(", ");
        let what = format!("the groups of {} in {} before the event", trace.name(of.pid), of.scope);
        look(what, if groups.is_empty() { "none".into() } else { groups });
    }
    if !met.dead.is_empty() {
        look("who had ended and could join no group".into(), list(&names(trace, &met.dead)));
    }
    met.system_ms.iter().for_each(|ms| look("the time".into(), layout::time(*ms)));
    met.monotonic_us.iter().for_each(|us| look("the monotonic clock".into(), format!("{us} us")));
    if !met.random.is_empty() {
        look("chance".into(), met.random.iter().map(u64::to_string).collect::<Vec<_>>().join(", "));
    }
    reads
}

/// What it was told first, and last if that was something else.
fn told_words(first: Option<String>, last: Option<String>) -> Option<String> {
    match (first, last) {
        (Some(first), Some(last)) => Some(format!("{first}, and later {last}")),
        (first, last) => first.or(last),
    }
}

/// What the rule changed.
pub(super) fn writes(trace: &Trace, met: &Met) -> Vec<Change> {
    let tables = met.tables.iter().filter_map(|touch| {
        let after = touch.after.as_ref().filter(|after| **after != touch.before)?;
        let (before, after) = (values_words(&touch.before), values_words(after));
        Some(Change { what: key(touch), before, after, raced: touch.raced })
    });
    let groups = met.groups.iter().filter_map(|touch| {
        let after = touch.after.as_ref().filter(|after| **after != touch.before)?;
        let [before, after] = [&touch.before, after].map(|pids| list(&names(trace, pids)));
        Some(Change { what: group(touch), before, after, raced: touch.raced })
    });
    let timers = met.timers.iter().map(|timer| Change {
        what: format!("timer on {} in {} ms", timer.topic, timer.delay_ms),
        before: "none".into(),
        after: timer.limit.as_ref().map_or_else(|| timer.data.words(), |limit| format!("denied ({limit})")),
        raced: false,
    });
    let cancelled = met.cancelled.iter().map(|Cancelled { id, was_waiting }| {
        let (before, after) =
            if *was_waiting { ("it was to fire", "cancelled") } else { ("it was over", "it is over") };
        Change { what: format!("timer {id}"), before: before.into(), after: after.into(), raced: false }
    });
    tables.chain(groups).chain(timers).chain(cancelled).collect()
}

/// What it wanted to do with tables, and might not.
pub(super) fn denials(met: &Met) -> Vec<String> {
    let words = |denial: &crate::trace::Denial| {
        let keys = denial.keys.iter().map(crate::trace::Term::words).collect::<Vec<_>>().join(", ");
        let what = match &*denial.call {
            "open" => format!("to open table {}", denial.table),
            "open-scope" => format!("to open scope {}", denial.table),
            "join" => format!("join of group {keys} of {}", denial.table),
            call => format!("{call} on table {}, key {keys}", denial.table),
        };
        format!("{what}: {}", denial.limit)
    };
    met.denied.iter().map(words).collect()
}

fn key(touch: &TableTouch) -> String {
    format!("table {}, key {}", touch.table, touch.key.words())
}

fn group(touch: &GroupTouch) -> String {
    format!("group {} of {}", touch.group.words(), touch.scope)
}

/// Sessions as people call them.
pub(super) fn names(trace: &Trace, pids: &[Pid]) -> Vec<String> {
    pids.iter().map(|pid| trace.name(*pid)).collect()
}

pub(super) fn list(names: &[String]) -> String {
    if names.is_empty() { "nobody".into() } else { names.join(", ") }
}
