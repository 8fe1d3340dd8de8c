//! `--fault`: how a rule fares on a server with less of everything. Each limit that rules meet with is at a tenth, one
//! after the other, and what fails then and did not fail before is told.

use super::report::first_words;
use super::{Played, play};
use crate::limits::Limits;
use crate::router::Rule;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// The limits that rules meet with.
const OF_RULES: [&str; 21] = [
    "route_ms_max",
    "init_ms_max",
    "instance_bytes_max",
    "event_bytes_max",
    "deliveries_max",
    "recipients_max",
    "expression_ops_max",
    "outcome_bytes_max",
    "tables_max",
    "table_objects_max",
    "table_bytes_max",
    "tables_bytes_max",
    "table_call_max",
    "table_answer_bytes_max",
    "scopes_max",
    "group_members_max",
    "group_bytes_max",
    "timers_max",
    "timers_bytes_max",
    "log_bytes_max",
    "log_lines_max",
];

/// What one limit did.
pub(super) struct Strained {
    pub(super) limit: &'static str,
    pub(super) value: u64,
    /// The first thing that failed in each file, with its place.
    pub(super) failed: Vec<String>,
}

/// Plays all files for each limit.
pub(super) fn run(rule: &Arc<Rule>, played: &[Played<'_>], config: Option<&str>, limits: &Limits) -> Vec<Strained> {
    let strain = |limit: &&'static str| {
        let mut strained = limits.clone();
        let value = (limits.get(limit).unwrap_or_default() / 10).max(1);
        strained.set(limit, value);
        let failed = played.iter().filter_map(|before| {
            let again = std::panic::catch_unwind(AssertUnwindSafe(|| play(rule, before.script, config, &strained)));
            match again {
                Ok(again) => what_is_new(before, &again),
                Err(_) => Some(format!("{}: the host panicked; this is a bug of volley", before.script.file.display())),
            }
        });
        Strained { limit, value, failed: failed.collect() }
    };
    OF_RULES.iter().map(strain).collect()
}

/// The first failure that was not there without the strain.
fn what_is_new(before: &Played<'_>, again: &Played<'_>) -> Option<String> {
    let file = again.script.file.display();
    match (&before.verdict, &again.verdict) {
        (Err(_), _) => None,
        (Ok(_), Err(fault)) => Some(format!("{file}: {}", fault.report())),
        (Ok(before), Ok(again)) => {
            let is_new = |at: usize| before.failures.iter().all(|failure| failure.at != at);
            let failed = again.failures.iter().find(|failure| is_new(failure.at));
            let failed = failed.map(|failure| (failure.step.line, first_words(failure)));
            // A setup that is refused now is worth knowing, though nobody compares it.
            let noted = again.notes.iter().find(|note| !before.notes.contains(note));
            match (failed, noted) {
                (Some((line, words)), _) => Some(format!("{file}:{line}: {words}")),
                (None, note) => note.map(|note| format!("{file}: {note}")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_that_is_strained_is_there() {
        let limits = Limits::default();
        for name in OF_RULES {
            assert!(limits.get(name).is_some(), "{name}");
        }
    }
}
