//! A candidate: an instance that was initialised and may never route. What it opens it sees as it is, and it is opened for
//! all to see only when the instance goes live.

use super::{HANDLES_MAX, HostState, Stage};
use crate::denied::{Allowed, Denied};
use crate::journal::Journal;
use crate::router::handles::{OpenScope, OpenTable};
use crate::tables::Options;
use std::sync::Arc;
use wasmtime::component::Resource;

/// What `init` asked for.
pub(super) enum Opening {
    /// By the name and with the options of the rule.
    Table(String, Options),
    /// By the name of the rule.
    Scope(String),
}

/// What stands behind a handle until the instance goes live.
pub(super) struct Opened {
    handle: u32,
    opening: Opening,
}

impl HostState {
    /// Remembers what a candidate opened.
    pub(super) fn opens_later(&mut self, handle: u32, opening: Opening) -> wasmtime::Result<()> {
        if let Stage::Candidate(opened) = &mut self.stage {
            if opened.len() >= HANDLES_MAX {
                return Err(wasmtime::Error::msg(format!("init opened tables and scopes {HANDLES_MAX} times")));
            }
            opened.push(Opened { handle, opening });
        }
        Ok(())
    }

    /// All that `init` opened becomes real, in the order in which it was opened: a handle that was closed and given out
    /// again stands for the last one. After a failure the instance is to be dropped.
    pub(crate) fn go_live(&mut self, journal: Option<&Arc<Journal>>) -> Result<(), String> {
        let Stage::Candidate(opened) = std::mem::replace(&mut self.stage, Stage::Live) else { return Ok(()) };
        self.caller.journal = journal.cloned();
        let result = opened.into_iter().try_for_each(|opened| self.open(opened));
        self.caller.journal = None;
        result
    }

    fn open(&mut self, Opened { handle, opening }: Opened) -> Result<(), String> {
        let opened: Allowed<()> = match &opening {
            Opening::Table(name, options) => {
                self.shared.tables.open(&self.caller, name, options.clone()).map(|table| {
                    if let Ok(open) = self.handles.get_mut(&Resource::<OpenTable>::new_borrow(handle)) {
                        open.0 = table;
                    }
                })
            }
            Opening::Scope(name) => self.shared.groups.open(&self.caller, name).map(|scope| {
                if let Ok(open) = self.handles.get_mut(&Resource::<OpenScope>::new_borrow(handle)) {
                    open.0 = scope;
                }
            }),
        };
        opened.map_err(|denied: Denied| match opening {
            Opening::Table(name, _) => format!("the table {name} can't be opened: {denied}"),
            Opening::Scope(name) => format!("the scope {name} can't be opened: {denied}"),
        })
    }
}
