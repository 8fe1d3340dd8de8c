//! The contract's `pg`: handles to the node's groups.

use super::candidate::Opening;
use super::overlay::ScopeOverlay;
use super::{HostState, error, trap};
use crate::caller::Caller;
use crate::groups::Scope;
use crate::router::contract::volley::router::pg::{Error, Host, HostScope, Pid, Reach, Term};
use crate::router::handles::OpenScope;
use crate::router::notes::Notes;
use std::sync::Arc;
use wasmtime::component::Resource;

impl Host for HostState {}

impl HostScope for HostState {
    /// Both reaches are the same thing on a single node.
    fn open(&mut self, name: String, _: Reach) -> wasmtime::Result<Result<Resource<OpenScope>, Error>> {
        let opened = self.find_scope(&name);
        match opened {
            Ok(scope) => {
                let handle = self.handles.push(OpenScope(scope))?;
                self.opens_later(handle.rep(), Opening::Scope(name))?;
                Ok(Ok(handle))
            }
            Err(denied) => Ok(Err(error(denied))),
        }
    }

    fn join(
        &mut self,
        scope: Resource<OpenScope>,
        group: Term,
        pids: Vec<Pid>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        let scope = self.handles.get(&scope)?.0.clone();
        let may = self.unless_initialising("joins no groups");
        Ok(may.and_then(|()| self.join_group(&scope, &group, &pids)).map_err(error))
    }

    fn leave(&mut self, scope: Resource<OpenScope>, group: Term, pids: Vec<Pid>) -> wasmtime::Result<u64> {
        let scope = self.handles.get(&scope)?.0.clone();
        self.unless_initialising("leaves no groups").map_err(trap)?;
        let leave = |scope: &Arc<Scope>, by: &Caller| scope.leave(by, &group, &pids);
        let in_shadow = |overlay: &mut ScopeOverlay, past| overlay.write(past, &group, pids.iter().copied(), false);
        let note = |notes: &mut Notes, scope: &Arc<Scope>, at, _: &_| notes.on_group(scope, &group, true, true, at);
        self.call_scope(&scope, "leave", (&group, &pids), leave, in_shadow, note).map_err(trap)
    }

    fn get_members(&mut self, scope: Resource<OpenScope>, group: Term) -> wasmtime::Result<Vec<Pid>> {
        let scope = self.handles.get(&scope)?.0.clone();
        let members = |scope: &Arc<Scope>, by: &Caller| Ok(scope.members(by, &group));
        let in_shadow = |overlay: &mut ScopeOverlay, past| overlay.members(past, &group);
        let note = |notes: &mut Notes, scope: &Arc<Scope>, at, _: &_| notes.on_group(scope, &group, true, false, at);
        self.call_scope(&scope, "members", &group, members, in_shadow, note).map_err(trap)
    }

    fn which_groups(&mut self, scope: Resource<OpenScope>, pid: Pid) -> wasmtime::Result<Vec<Term>> {
        let scope = self.handles.get(&scope)?.0.clone();
        let groups = |scope: &Arc<Scope>, by: &Caller| Ok(scope.groups_of(by, pid));
        let in_shadow = |overlay: &mut ScopeOverlay, past| overlay.groups_of(past, pid);
        let note = |notes: &mut Notes, scope: &Arc<Scope>, at, shared: &_| notes.on_memberships(scope, pid, at, shared);
        self.call_scope(&scope, "groups", pid, groups, in_shadow, note).map_err(trap)
    }

    fn count(&mut self, scope: Resource<OpenScope>, groups: Vec<Term>) -> wasmtime::Result<Vec<u64>> {
        let scope = self.handles.get(&scope)?.0.clone();
        let count = |scope: &Arc<Scope>, by: &Caller| Ok(scope.count(by, &groups));
        let in_shadow = |overlay: &mut ScopeOverlay, past| {
            groups.iter().map(|group| overlay.members(past, group).len() as u64).collect()
        };
        let note = |notes: &mut Notes, scope: &Arc<Scope>, at, _: &_| {
            for group in &groups {
                notes.on_group(scope, group, true, false, at);
            }
        };
        self.call_scope(&scope, "count", &groups, count, in_shadow, note).map_err(trap)
    }

    fn drop(&mut self, scope: Resource<OpenScope>) -> wasmtime::Result<()> {
        self.handles.delete(scope)?;
        Ok(())
    }
}
