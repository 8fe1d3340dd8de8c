//! Random calls of the contract, made on the host's side of an instance.

use super::*;
use crate::limits::Limits;
use crate::pid::Pid;
use crate::router::contract::volley::router::{erlang, ets, pg};
use crate::workers::Workers;
use erlang::Host as _;
use ets::HostTable as _;
use pg::HostScope as _;
use proptest::prelude::*;
use std::fmt::Debug;
use wasmtime::component::Resource;

pub(super) const TABLES: [(&str, ets::Kind); 3] =
    [("set", ets::Kind::Set), ("walk", ets::Kind::OrderedSet), ("bag", ets::Kind::Bag)];
pub(super) const HOUR_MS: u64 = 3_600_000;

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Which table, how long its objects live, objects at most.
    Open(usize, Option<u64>, u64),
    /// One that was not there before.
    OpenNew(u8),
    Insert(usize, Vec<(u8, u8)>),
    InsertNew(usize, Vec<(u8, u8)>),
    Take(usize, u8),
    Delete(usize, Vec<u8>),
    DeleteObject(usize, (u8, u8)),
    Count(usize, Vec<u8>),
    Replace(usize, u8, u8, u8),
    Lookup(usize, Vec<u8>),
    /// Which table, whether within a prefix, beyond which key, how many.
    Select(usize, bool, Option<u8>, u32),
    Size(usize),
    OpenScope(u8),
    Join(usize, u8, Vec<usize>),
    Leave(usize, u8, Vec<usize>),
    Members(usize, u8),
    Groups(usize, usize),
    CountMembers(usize, Vec<u8>),
    Exit(usize),
    SendAfter(u64),
    Cancel(u64),
    Rand(u32),
    Time,
}

/// With tables whose objects live this long or for ever, and as many steps at most.
pub(super) fn steps(ttl_ms: u64, steps_max: usize) -> impl Strategy<Value = Vec<Step>> {
    let object = || (0..4u8, 0..3u8);
    let objects = || prop::collection::vec(object(), 0..4);
    let pids = || prop::collection::vec(0..5usize, 0..4);
    let step = prop_oneof![
        1 => (0..3usize, prop::option::of(Just(ttl_ms)), 2..6u64).prop_map(|(table, ttl, max)| Step::Open(table, ttl, max)),
        1 => (0..3u8).prop_map(Step::OpenNew),
        4 => (0..4usize, objects()).prop_map(|(table, objects)| Step::Insert(table, objects)),
        2 => (0..4usize, objects()).prop_map(|(table, objects)| Step::InsertNew(table, objects)),
        1 => (0..4usize, 0..4u8).prop_map(|(table, key)| Step::Take(table, key)),
        1 => (0..4usize, prop::collection::vec(0..4u8, 0..3)).prop_map(|(table, keys)| Step::Delete(table, keys)),
        1 => (0..4usize, object()).prop_map(|(table, object)| Step::DeleteObject(table, object)),
        2 => (0..4usize, prop::collection::vec(0..4u8, 0..3)).prop_map(|(table, keys)| Step::Count(table, keys)),
        2 => (0..4usize, 0..4u8, 0..3u8, 0..3u8).prop_map(|(table, key, old, new)| Step::Replace(table, key, old, new)),
        1 => (0..3u8).prop_map(Step::OpenScope),
        4 => (0..2usize, 0..3u8, pids()).prop_map(|(scope, group, pids)| Step::Join(scope, group, pids)),
        2 => (0..2usize, 0..3u8, pids()).prop_map(|(scope, group, pids)| Step::Leave(scope, group, pids)),
        1 => (0..5usize).prop_map(Step::Exit),
        2 => (HOUR_MS..HOUR_MS + 5).prop_map(Step::SendAfter),
        2 => (1..8u64).prop_map(Step::Cancel),
        2 => (0..4usize, prop::collection::vec(0..4u8, 0..3)).prop_map(|(table, keys)| Step::Lookup(table, keys)),
        3 => (0..4usize, any::<bool>(), prop::option::of(0..4u8), 1..4u32)
            .prop_map(|(table, prefix, after, limit)| Step::Select(table, prefix, after, limit)),
        1 => (0..4usize).prop_map(Step::Size),
        2 => (0..2usize, 0..3u8).prop_map(|(scope, group)| Step::Members(scope, group)),
        1 => (0..2usize, 0..5usize).prop_map(|(scope, pid)| Step::Groups(scope, pid)),
        1 => (0..2usize, prop::collection::vec(0..3u8, 0..3)).prop_map(|(scope, groups)| Step::CountMembers(scope, groups)),
        1 => (0..3u32).prop_map(Step::Rand),
        1 => Just(Step::Time),
    ];
    prop::collection::vec(step, 0..steps_max)
}

pub(super) fn shared(limits: Limits) -> Arc<Shared> {
    Arc::new(Shared::new(0, limits, Workers::new(1).0))
}

pub(super) fn live(shared: &Arc<Shared>) -> HostState {
    let mut state = HostState::new("me".into(), "v1".into(), shared);
    state.go_live(None).unwrap();
    state
}

pub(super) fn options(kind: ets::Kind, ttl_ms: Option<u64>, max_objects: u64) -> ets::Options {
    ets::Options { kind, reach: types::Reach::Node, durable: false, ttl_ms, max_objects, max_bytes: 1000 }
}

pub(super) fn open_table(state: &mut HostState, name: String, options: ets::Options) -> Result<u32, types::Error> {
    ets::HostTable::open(state, name, options).unwrap().map(|table| table.rep())
}

pub(super) fn open_scope(state: &mut HostState, name: String) -> Result<u32, types::Error> {
    pg::HostScope::open(state, name, types::Reach::Node).unwrap().map(|scope| scope.rep())
}

/// A plugin's instance with what it has open.
pub(super) struct Instance {
    pub(super) shared: Arc<Shared>,
    pub(super) state: HostState,
    pub(super) tables: Vec<u32>,
    scopes: Vec<u32>,
    pub(super) pids: Vec<Pid>,
}

impl Instance {
    pub(super) fn new(limits: Limits) -> Self {
        let shared = shared(limits);
        let pids = (0..5).map(|_| shared.sessions.open(None, None).unwrap().pid).collect();
        Self::on(live(&shared), pids)
    }

    pub(super) fn on(mut state: HostState, pids: Vec<Pid>) -> Self {
        let mut open = |(name, kind): (&str, _)| {
            open_table(&mut state, name.into(), options(kind, None, 5)).expect("a table can be opened")
        };
        let tables = TABLES.into_iter().map(&mut open).collect();
        let scope = open_scope(&mut state, "scope".into()).unwrap();
        Self { shared: state.shared.clone(), state, tables, scopes: vec![scope], pids }
    }

    /// What it was answered, in words.
    pub(super) fn take(&mut self, step: Step) -> String {
        fn words(answer: impl Debug) -> String {
            format!("{answer:?}")
        }
        let key = |key: u8| vec![b'k', key];
        let keys = |names: Vec<u8>| names.into_iter().map(key).collect::<Vec<_>>();
        let object = |(at, value): (u8, u8)| ets::Object { key: key(at), value: value.to_string().into_bytes() };
        let objects = |list: Vec<(u8, u8)>| list.into_iter().map(object).collect::<Vec<_>>();
        let table = |index: usize| Resource::new_borrow(self.tables[index % self.tables.len()]);
        let scope = |index: usize| Resource::new_borrow(self.scopes[index % self.scopes.len()]);
        let bits = |list: Vec<usize>| list.into_iter().map(|index| self.pids[index].to_bits()).collect::<Vec<_>>();
        let state = &mut self.state;
        match step {
            Step::Open(index, ttl_ms, max) => {
                let (name, kind) = TABLES[index];
                words(open_table(state, name.into(), options(kind, ttl_ms, max)).is_ok())
            }
            Step::OpenNew(name) => {
                let opened = open_table(state, format!("new{name}"), options(ets::Kind::Set, None, 5));
                self.tables.extend(opened.as_ref().ok());
                words(opened.is_ok())
            }
            Step::Insert(at, list) => words(state.insert(table(at), objects(list)).unwrap()),
            Step::InsertNew(at, list) => words(state.insert_new(table(at), objects(list)).unwrap()),
            Step::Take(at, name) => words(ets::HostTable::take(state, table(at), key(name)).unwrap()),
            Step::Delete(at, names) => words(state.delete(table(at), keys(names)).unwrap()),
            Step::DeleteObject(at, one) => words(state.delete_object(table(at), vec![object(one)]).unwrap()),
            Step::Count(at, names) => {
                let op = |name| ets::CounterOp { key: key(name), incr: 1, default: 0, threshold: None };
                words(state.update_counter(table(at), names.into_iter().map(op).collect()).unwrap())
            }
            Step::Replace(at, name, old, new) => {
                let [old, new] = [old, new].map(|value| value.to_string().into_bytes());
                words(state.select_replace(table(at), key(name), old, new).unwrap())
            }
            Step::Lookup(at, names) => words(state.lookup(table(at), keys(names)).unwrap()),
            Step::Select(at, within, after, limit) => {
                let prefix = if within { b"k".to_vec() } else { Vec::new() };
                words(state.select(table(at), prefix, after.map(key), limit).unwrap())
            }
            Step::Size(at) => words(state.size(table(at)).unwrap()),
            Step::OpenScope(name) => {
                let opened = open_scope(state, format!("scope{name}"));
                self.scopes.extend(opened.as_ref().ok());
                words(opened.is_ok())
            }
            Step::Join(at, group, pids) => words(state.join(scope(at), vec![group], bits(pids)).unwrap()),
            Step::Leave(at, group, pids) => words(state.leave(scope(at), vec![group], bits(pids)).ok()),
            Step::Members(at, group) => words(state.get_members(scope(at), vec![group]).unwrap()),
            Step::Groups(at, pid) => words(state.which_groups(scope(at), self.pids[pid].to_bits()).unwrap()),
            Step::CountMembers(at, groups) => {
                words(state.count(scope(at), groups.into_iter().map(|group| vec![group]).collect()).unwrap())
            }
            Step::Exit(index) => {
                self.end(index);
                String::new()
            }
            Step::SendAfter(delay_ms) => {
                let data = types::PayloadResult::Text("data".into());
                words(state.send_after(delay_ms, "a.b".into(), data).unwrap())
            }
            Step::Cancel(timer) => words(state.cancel_timer(timer).ok()),
            Step::Rand(count) => words(state.rand(count).unwrap()),
            Step::Time => words((state.system_time_ms().unwrap(), state.monotonic_time_us().unwrap())),
        }
    }

    pub(super) fn end(&self, index: usize) {
        self.shared.sessions.end(self.pids[index]);
        self.shared.groups.exit(self.pids[index]);
    }

    pub(super) fn dump(&self) -> Vec<String> {
        let shared = &self.shared;
        let counts = format!("{} bytes, {} memberships", shared.tables.bytes(), shared.groups.memberships());
        [shared.tables.dump(), shared.groups.dump(), shared.timers.dump(), vec![counts]].concat()
    }
}
