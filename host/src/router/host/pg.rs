//! The contract's `pg`: handles to the node's groups.

use super::{HostState, error};
use crate::router::contract::volley::router::pg::{Error, Host, HostScope, Pid, Reach, Term};
use crate::router::handles::OpenScope;
use wasmtime::component::Resource;

impl Host for HostState {}

impl HostScope for HostState {
    /// Both reaches are the same thing on a single node.
    fn open(&mut self, name: String, _: Reach) -> wasmtime::Result<Result<Resource<OpenScope>, Error>> {
        match self.shared.groups.open(&self.plugin, &name) {
            Ok(scope) => Ok(Ok(self.handles.push(OpenScope(scope))?)),
            Err(denied) => Ok(Err(error(denied))),
        }
    }

    fn join(
        &mut self,
        scope: Resource<OpenScope>,
        group: Term,
        pids: Vec<Pid>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        Ok(self.handles.get(&scope)?.0.join(&group, &pids).map_err(error))
    }

    fn leave(&mut self, scope: Resource<OpenScope>, group: Term, pids: Vec<Pid>) -> wasmtime::Result<u64> {
        Ok(self.handles.get(&scope)?.0.leave(&group, &pids))
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
