//! A candidate: an instance that was initialised and may never route. What it opens it sees as it is, and it is opened for
//! all to see only when the instance goes live.

use super::{HANDLES_MAX, HostState, Stage};
use crate::denied::{Allowed, Denied};
use crate::groups::Scope;
use crate::journal::Journal;
use crate::router::handles::{OpenScope, OpenTable};
use crate::router::notes::Made;
use crate::tables::{self, Options, Table};
use std::collections::HashMap;
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

/// Tables and scopes that are there for one instance only, by the rule's names.
#[derive(Default)]
pub(super) struct Own {
    tables: HashMap<String, Arc<Table>>,
    scopes: HashMap<String, Arc<Scope>>,
}

impl HostState {
    /// What stands for a table by now; none if it is the instance's own and nobody else has opened it yet.
    pub(super) fn real_table(&self, table: &Arc<Table>) -> Option<Arc<Table>> {
        let Some((name, _)) = self.own.tables.iter().find(|(_, own)| Arc::ptr_eq(own, table)) else {
            return Some(table.clone());
        };
        let options = Options { kind: table.kind(), ..Options::default() };
        self.shared.tables.find(&self.caller, name, &options).ok().flatten()
    }

    /// The same of a scope.
    pub(super) fn real_scope(&self, scope: &Arc<Scope>) -> Option<Arc<Scope>> {
        let Some((name, _)) = self.own.scopes.iter().find(|(_, own)| Arc::ptr_eq(own, scope)) else {
            return Some(scope.clone());
        };
        self.shared.groups.find(&self.caller, name).ok().flatten()
    }
}

impl HostState {
    /// Opens a table; for an instance that is not live nothing is changed by it.
    pub(super) fn find_table(&mut self, name: &str, options: &Options) -> Allowed<Arc<Table>> {
        if let Stage::Live = self.stage {
            let made = self.is_traced().then(|| Made::new("open", name.into(), Vec::new()));
            let open = |state: &mut Self| state.shared.tables.open(&state.caller, name, options.clone());
            let table = self.call_bounded(made, open)?;
            if let Some(notes) = &mut self.notes {
                notes.on_open(&table, &self.shared);
            }
            return Ok(table);
        }
        let tables = &self.shared.tables;
        if let Some(table) = tables.find(&self.caller, name, options)? {
            return Ok(table);
        }
        if let Some(own) = self.own.tables.get(name) {
            return tables::same_kind(name, own, options).map(|()| own.clone());
        }
        if self.own.tables.len() as u64 >= self.shared.limits.tables_max {
            return Err(Denied::Limit("tables_max"));
        }
        let own = tables.private(&self.caller, options);
        self.own.tables.insert(name.into(), own.clone());
        Ok(own)
    }

    /// Opens a scope, likewise.
    pub(super) fn find_scope(&mut self, name: &str) -> Allowed<Arc<Scope>> {
        if let Stage::Live = self.stage {
            let made = self.is_traced().then(|| Made::new("open-scope", name.into(), Vec::new()));
            return self.call_bounded(made, |state| state.shared.groups.open(&state.caller, name));
        }
        let groups = &self.shared.groups;
        if let Some(scope) = groups.find(&self.caller, name)? {
            return Ok(scope);
        }
        if let Some(own) = self.own.scopes.get(name) {
            return Ok(own.clone());
        }
        if self.own.scopes.len() as u64 >= self.shared.limits.scopes_max {
            return Err(Denied::Limit("scopes_max"));
        }
        let own = groups.private();
        self.own.scopes.insert(name.into(), own.clone());
        Ok(own)
    }

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
        let opened = match std::mem::replace(&mut self.stage, Stage::Live) {
            Stage::Candidate(opened) => opened,
            Stage::Live => return Ok(()),
            Stage::Shadow(_) => return Err("a shadow never goes live".into()),
        };
        self.caller.journal = journal.cloned();
        let result = opened.into_iter().try_for_each(|opened| self.open(opened));
        self.caller.journal = None;
        self.own = Own::default();
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
