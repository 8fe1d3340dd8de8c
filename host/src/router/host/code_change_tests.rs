//! What a code change did is undone, whatever it was; and what a candidate may do.

use super::*;
use crate::limits::Limits;
use crate::pid::Pid;
use crate::router::contract::volley::router::{erlang, ets, pg};
use crate::workers::Workers;
use erlang::Host as _;
use ets::HostTable as _;
use pg::HostScope as _;
use proptest::prelude::*;
use wasmtime::component::Resource;

const TABLES: [(&str, ets::Kind); 3] =
    [("set", ets::Kind::Set), ("walk", ets::Kind::OrderedSet), ("bag", ets::Kind::Bag)];
const HOUR_MS: u64 = 3_600_000;

#[derive(Clone, Debug)]
enum Step {
    /// Which table, lives an hour, objects at most.
    Open(usize, bool, u64),
    /// One that was not there before.
    OpenNew(u8),
    Insert(usize, Vec<(u8, u8)>),
    InsertNew(usize, Vec<(u8, u8)>),
    Take(usize, u8),
    Delete(usize, Vec<u8>),
    DeleteObject(usize, (u8, u8)),
    Count(usize, Vec<u8>),
    Replace(usize, u8, u8, u8),
    OpenScope(u8),
    Join(usize, u8, Vec<usize>),
    Leave(usize, u8, Vec<usize>),
    Exit(usize),
    SendAfter(u64),
    Cancel(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let object = || (0..4u8, 0..3u8);
    let objects = || prop::collection::vec(object(), 0..4);
    let pids = || prop::collection::vec(0..5usize, 0..4);
    let step = prop_oneof![
        1 => (0..3usize, any::<bool>(), 2..6u64).prop_map(|(table, hour, max)| Step::Open(table, hour, max)),
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
    ];
    prop::collection::vec(step, 0..40)
}

fn shared(limits: Limits) -> Arc<Shared> {
    Arc::new(Shared::new(0, limits, Workers::new(1).0))
}

fn live(shared: &Arc<Shared>) -> HostState {
    let mut state = HostState::new("me".into(), "v1".into(), shared);
    state.go_live(None).unwrap();
    state
}

fn options(kind: ets::Kind, hour: bool, max_objects: u64) -> ets::Options {
    let ttl_ms = hour.then_some(HOUR_MS);
    ets::Options { kind, reach: types::Reach::Node, durable: false, ttl_ms, max_objects, max_bytes: 1000 }
}

fn open_table(state: &mut HostState, name: String, options: ets::Options) -> Result<u32, types::Error> {
    ets::HostTable::open(state, name, options).unwrap().map(|table| table.rep())
}

fn open_scope(state: &mut HostState, name: String) -> Result<u32, types::Error> {
    pg::HostScope::open(state, name, types::Reach::Node).unwrap().map(|scope| scope.rep())
}

/// A plugin's instance with what it has open.
struct Instance {
    shared: Arc<Shared>,
    state: HostState,
    tables: Vec<u32>,
    scopes: Vec<u32>,
    pids: Vec<Pid>,
}

impl Instance {
    fn new(limits: Limits) -> Self {
        let shared = shared(limits);
        let mut state = live(&shared);
        let mut open = |(name, kind): (&str, _)| {
            open_table(&mut state, name.into(), options(kind, false, 5)).expect("a table can be opened")
        };
        let tables = TABLES.into_iter().map(&mut open).collect();
        let scope = open_scope(&mut state, "scope".into()).unwrap();
        let pids = (0..5).map(|_| shared.sessions.open(None, None).unwrap().pid).collect();
        Self { shared, state, tables, scopes: vec![scope], pids }
    }

    /// What is denied is of no interest here: it leaves no trace either.
    fn take(&mut self, step: Step) {
        let key = |key: u8| vec![b'k', key];
        let object = |(at, value): (u8, u8)| ets::Object { key: key(at), value: value.to_string().into_bytes() };
        let objects = |list: Vec<(u8, u8)>| list.into_iter().map(object).collect::<Vec<_>>();
        let table = |index: usize| Resource::new_borrow(self.tables[index % self.tables.len()]);
        let scope = |index: usize| Resource::new_borrow(self.scopes[index % self.scopes.len()]);
        let bits = |list: Vec<usize>| list.into_iter().map(|index| self.pids[index].to_bits()).collect::<Vec<_>>();
        let state = &mut self.state;
        match step {
            Step::Open(index, hour, max) => {
                let (name, kind) = TABLES[index];
                drop(open_table(state, name.into(), options(kind, hour, max)));
            }
            Step::OpenNew(name) => {
                let opened = open_table(state, format!("new{name}"), options(ets::Kind::Set, false, 5));
                self.tables.extend(opened.ok());
            }
            Step::Insert(at, list) => drop(state.insert(table(at), objects(list)).unwrap()),
            Step::InsertNew(at, list) => drop(state.insert_new(table(at), objects(list)).unwrap()),
            Step::Take(at, name) => drop(ets::HostTable::take(state, table(at), key(name)).unwrap()),
            Step::Delete(at, names) => {
                drop(state.delete(table(at), names.into_iter().map(key).collect()).unwrap());
            }
            Step::DeleteObject(at, one) => drop(state.delete_object(table(at), vec![object(one)]).unwrap()),
            Step::Count(at, names) => {
                let op = |name| ets::CounterOp { key: key(name), incr: 1, default: 0, threshold: None };
                drop(state.update_counter(table(at), names.into_iter().map(op).collect()).unwrap());
            }
            Step::Replace(at, name, old, new) => {
                let [old, new] = [old, new].map(|value| value.to_string().into_bytes());
                drop(state.select_replace(table(at), key(name), old, new).unwrap());
            }
            Step::OpenScope(name) => {
                let opened = open_scope(state, format!("scope{name}"));
                self.scopes.extend(opened.ok());
            }
            Step::Join(at, group, pids) => drop(state.join(scope(at), vec![group], bits(pids)).unwrap()),
            Step::Leave(at, group, pids) => drop(state.leave(scope(at), vec![group], bits(pids))),
            Step::Exit(index) => self.end(index),
            Step::SendAfter(delay_ms) => {
                let data = types::PayloadResult::Text("data".into());
                drop(state.send_after(delay_ms, "a.b".into(), data).unwrap());
            }
            Step::Cancel(timer) => drop(state.cancel_timer(timer)),
        }
    }

    fn end(&self, index: usize) {
        self.shared.sessions.end(self.pids[index]);
        self.shared.groups.exit(self.pids[index]);
    }

    fn dump(&self) -> Vec<String> {
        let shared = &self.shared;
        let counts = format!("{} bytes, {} memberships", shared.tables.bytes(), shared.groups.memberships());
        [shared.tables.dump(), shared.groups.dump(), shared.timers.dump(), vec![counts]].concat()
    }
}

proptest! {
    #[test]
    fn what_a_code_change_did_is_undone(before in steps(), during in steps(), bytes_max in 0..20_000u64) {
        let mut instance = Instance::new(Limits { tables_max: 5, scopes_max: 3, timers_max: 6, ..Limits::default() });
        for step in before {
            instance.take(step);
        }
        let journal = Arc::new(Journal::new(bytes_max));
        let as_it_was = instance.dump();
        instance.state.begin_code_change(&journal);
        for step in &during {
            instance.take(step.clone());
        }
        instance.state.end_code_change();
        journal.undo();
        // Who has ended meanwhile does not come back.
        let ended = |step: &Step| if let Step::Exit(index) = step { Some(*index) } else { None };
        let dead: Vec<u64> = during.iter().filter_map(ended).map(|index| instance.pids[index].to_bits()).collect();
        let lives = |line: &String| !dead.iter().any(|pid| {
            line.ends_with(&format!(" has {pid}")) || line.contains(&format!(" {pid} is in "))
        });
        let counted = |line: &String| dead.is_empty() || !line.contains(" memberships");
        let keep = |lines: Vec<String>| lines.into_iter().filter(lives).filter(counted).collect::<Vec<_>>();
        let now = instance.dump();
        prop_assert!(now.iter().all(lives), "the dead stay away");
        prop_assert_eq!(keep(now), keep(as_it_was));
    }
}

#[test]
fn what_has_expired_meanwhile_stays_away() {
    let mut instance = Instance::new(Limits::default());
    let soon = ets::Options { ttl_ms: Some(1), ..options(ets::Kind::Set, false, 5) };
    open_table(&mut instance.state, "set".into(), soon).unwrap();
    instance.take(Step::Insert(0, vec![(1, 1)]));
    let journal = Arc::new(Journal::new(u64::MAX));
    instance.state.begin_code_change(&journal);
    instance.take(Step::Take(0, 1));
    instance.take(Step::Insert(0, vec![(2, 2)]));
    let taken_ms = crate::clock::now_ms();
    while crate::clock::now_ms() <= taken_ms + 1 {
        std::hint::spin_loop();
    }
    journal.undo();
    assert_eq!(instance.state.size(Resource::new_borrow(instance.tables[0])).unwrap(), 0);
}

#[test]
fn a_code_change_that_outgrows_its_undo_is_told_so() {
    let mut instance = Instance::new(Limits::default());
    let journal = Arc::new(Journal::new(1000));
    instance.state.begin_code_change(&journal);
    let mut insert = |key: u8| {
        let object = ets::Object { key: vec![key; 100], value: vec![] };
        instance.state.insert(Resource::new_borrow(instance.tables[0]), vec![object]).unwrap()
    };
    let first_denied = (0..5).find_map(|key| insert(key).err());
    assert!(matches!(first_denied, Some(types::Error::SystemLimit(which)) if which == "undo_bytes_max"));
    journal.undo();
    assert_eq!(instance.shared.tables.bytes(), 0);
}

#[test]
fn a_candidate_changes_nothing_before_it_goes_live() {
    let shared = shared(Limits { tables_max: 2, ..Limits::default() });
    let mut old = live(&shared);
    let kept = open_table(&mut old, "kept".into(), options(ets::Kind::Set, false, 3)).unwrap();
    let object = ets::Object { key: vec![1], value: vec![2] };
    old.insert(Resource::new_borrow(kept), vec![object.clone()]).unwrap().unwrap();
    let timer = old.send_after(HOUR_MS, "a.b".into(), types::PayloadResult::Text(String::new())).unwrap().unwrap();
    let before = (shared.tables.dump(), shared.groups.dump(), shared.timers.dump());

    let mut candidate = HostState::new("me".into(), "v2".into(), &shared);
    let kept = open_table(&mut candidate, "kept".into(), options(ets::Kind::Set, true, 9)).unwrap();
    let fresh = open_table(&mut candidate, "fresh".into(), options(ets::Kind::Set, false, 9)).unwrap();
    let scope = open_scope(&mut candidate, "scope".into()).unwrap();
    assert!(matches!(
        open_table(&mut candidate, "kept".into(), options(ets::Kind::Bag, false, 9)),
        Err(types::Error::Badarg(_))
    ));
    let table = |rep| Resource::new_borrow(rep);
    assert_eq!(candidate.lookup(table(kept), vec![vec![1]]).unwrap().unwrap(), [[vec![2]]], "it reads what there is");
    for rep in [kept, fresh] {
        let denied = candidate.insert(table(rep), vec![object.clone()]).unwrap().unwrap_err();
        assert!(matches!(denied, types::Error::Badarg(words) if words == "init writes no tables"));
    }
    let pid = shared.sessions.open(None, None).unwrap().pid.to_bits();
    let in_scope = || Resource::new_borrow(scope);
    assert!(matches!(candidate.join(in_scope(), vec![1], vec![pid]), Ok(Err(types::Error::Badarg(_)))));
    assert!(candidate.leave(in_scope(), vec![1], vec![pid]).is_err());
    let data = types::PayloadResult::Text(String::new());
    assert!(matches!(candidate.send_after(HOUR_MS, "a.b".into(), data), Ok(Err(types::Error::Badarg(_)))));
    assert!(candidate.cancel_timer(timer).is_err());
    let now = || (shared.tables.dump(), shared.groups.dump(), shared.timers.dump());
    assert_eq!(now(), before);

    let journal = Arc::new(Journal::new(u64::MAX));
    candidate.go_live(Some(&journal)).unwrap();
    assert_ne!(now(), before);
    candidate.insert(table(fresh), vec![object]).unwrap().unwrap();
    candidate.join(in_scope(), vec![1], vec![pid]).unwrap().unwrap();
    assert_eq!((shared.tables.get("me:fresh").unwrap().size().0, shared.groups.memberships()), (1, 1));
    candidate.leave(in_scope(), vec![1], vec![pid]).unwrap();
    let fresh = shared.tables.get("me:fresh").unwrap();
    drop(fresh.take(&Caller::of("me"), &[1]).unwrap());
    journal.undo();
    assert_eq!(now(), before);

    let mut one_too_many = HostState::new("me".into(), "v3".into(), &shared);
    for name in ["one", "two"] {
        open_table(&mut one_too_many, name.into(), options(ets::Kind::Set, false, 9)).unwrap();
    }
    assert_eq!(one_too_many.go_live(None), Err("the table two can't be opened: tables_max is reached".into()));
}
