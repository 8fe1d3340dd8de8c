//! The contract's `pg`: handles to the node's groups.

use super::candidate::Opening;
use super::{HostState, Stage, error, trap};
use crate::router::contract::volley::router::pg::{Error, Host, HostScope, Pid, Reach, Term};
use crate::router::handles::OpenScope;
use wasmtime::component::Resource;

impl Host for HostState {}

impl HostScope for HostState {
    /// Both reaches are the same thing on a single node.
    fn open(&mut self, name: String, _: Reach) -> wasmtime::Result<Result<Resource<OpenScope>, Error>> {
        let opened = match self.stage {
            Stage::Live => self.shared.groups.open(&self.caller, &name),
            Stage::Candidate(_) => self.shared.groups.preview(&self.caller, &name),
        };
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
        let scope = &self.handles.get(&scope)?.0;
        let may = self.unless_initialising("joins no groups");
        Ok(may.and_then(|()| scope.join(&self.caller, &group, &pids)).map_err(error))
    }

    fn leave(&mut self, scope: Resource<OpenScope>, group: Term, pids: Vec<Pid>) -> wasmtime::Result<u64> {
        let scope = &self.handles.get(&scope)?.0;
        self.unless_initialising("leaves no groups").map_err(trap)?;
        scope.leave(&self.caller, &group, &pids).map_err(trap)
    }

    fn get_members(&mut self, scope: Resource<OpenScope>, group: Term) -> wasmtime::Result<Vec<Pid>> {
        Ok(self.handles.get(&scope)?.0.members(&group))
    }

    fn which_groups(&mut self, scope: Resource<OpenScope>, pid: Pid) -> wasmtime::Result<Vec<Term>> {
        Ok(self.handles.get(&scope)?.0.groups_of(pid))
    }

    fn count(&mut self, scope: Resource<OpenScope>, groups: Vec<Term>) -> wasmtime::Result<Vec<u64>> {
        Ok(self.handles.get(&scope)?.0.count(&groups))
    }

    fn drop(&mut self, scope: Resource<OpenScope>) -> wasmtime::Result<()> {
        self.handles.delete(scope)?;
        Ok(())
    }
}
