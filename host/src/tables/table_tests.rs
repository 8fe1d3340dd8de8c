//! A table against a simple model, and the edges that the model does not have.

use super::super::state::STALE_MAX;
use super::*;
use proptest::prelude::*;
use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<Object>),
    InsertNew(Vec<Object>),
    Take(Vec<u8>),
    Delete(Vec<Vec<u8>>),
    DeleteObject(Vec<Object>),
    Count(Vec<u8>, i64),
    Replace(Vec<u8>, Vec<u8>, Vec<u8>),
    Lookup(Vec<Vec<u8>>),
    Select(Vec<u8>, Option<Vec<u8>>, u32),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    "[ab]{0,2}".prop_map(String::into_bytes)
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    "[0-9x]{0,2}".prop_map(String::into_bytes)
}

fn objects() -> impl Strategy<Value = Vec<Object>> {
    prop::collection::vec((key(), value()).prop_map(|(key, value)| Object { key, value }), 0..4)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => objects().prop_map(Step::Insert),
        2 => objects().prop_map(Step::InsertNew),
        1 => key().prop_map(Step::Take),
        1 => prop::collection::vec(key(), 0..3).prop_map(Step::Delete),
        1 => objects().prop_map(Step::DeleteObject),
        2 => (key(), -20..20i64).prop_map(|(key, incr)| Step::Count(key, incr)),
        2 => (key(), value(), value()).prop_map(|(key, old, new)| Step::Replace(key, old, new)),
        2 => prop::collection::vec(key(), 0..3).prop_map(Step::Lookup),
        2 => (key(), prop::option::of(key()), 1..5u32).prop_map(|(prefix, after, limit)| Step::Select(prefix, after, limit)),
    ];
    prop::collection::vec(step, 0..60)
}

impl Object {
    fn bytes(&self) -> u64 {
        (self.key.len() + self.value.len()) as u64
    }
}

const OBJECTS_MAX: usize = 5;
const BYTES_MAX: usize = 16;

/// What a call answered; none where it was denied.
#[derive(Clone, Debug, PartialEq)]
enum Did {
    Wrote(bool),
    Swapped(Option<bool>),
    Values(Vec<Vec<Vec<u8>>>),
    Deleted(u64),
    Counted(Option<i64>),
    Selected(Page),
}

fn table(kind: Kind) -> (Arc<Table>, Caller) {
    let me = Caller::of("me");
    let options = Options { kind, max_objects: OBJECTS_MAX as u64, max_bytes: BYTES_MAX as u64, ..Options::default() };
    (Arc::new(Table::new(me.plugin.clone(), &options, &Limits::default(), Arc::default(), Arc::default())), me)
}

fn count(key: Vec<u8>, incr: i64) -> CounterOp {
    CounterOp { key, incr, default: 7, threshold: Some((9, 1)) }
}

fn on_table(table: &Arc<Table>, me: &Caller, step: Step) -> Did {
    match step {
        Step::Insert(objects) => Did::Wrote(table.insert(me, objects).is_ok()),
        Step::InsertNew(objects) => Did::Swapped(table.insert_new(me, objects).ok()),
        Step::Take(key) => Did::Values(vec![table.take(me, &key).unwrap()]),
        Step::Delete(keys) => Did::Deleted(table.delete(me, &keys).unwrap()),
        Step::DeleteObject(objects) => Did::Deleted(table.delete_object(me, &objects).unwrap()),
        Step::Count(key, incr) => Did::Counted(table.update_counter(me, &[count(key, incr)]).ok().map(|all| all[0])),
        Step::Replace(key, old, new) => Did::Swapped(table.select_replace(me, &key, &old, new).ok()),
        Step::Lookup(keys) => Did::Values(table.lookup(me, &keys).unwrap()),
        Step::Select(prefix, after, limit) => {
            Did::Selected(table.select(me, &prefix, after.as_deref(), limit).unwrap())
        }
    }
}

/// The model: a list of objects, oldest first; a call works on a copy that is kept if it fits.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    bag: bool,
    list: Vec<Object>,
}

impl Model {
    fn of(kind: Kind) -> Self {
        Self { bag: kind == Kind::Bag, list: Vec::new() }
    }

    fn keep(&mut self, list: Vec<Object>) -> bool {
        let weigh = |list: &[Object]| list.iter().map(|object| object.bytes() as usize).sum::<usize>();
        let fits = list.len() <= OBJECTS_MAX.max(self.list.len()) && weigh(&list) <= BYTES_MAX.max(weigh(&self.list));
        if fits {
            self.list = list;
        }
        fits
    }

    fn put(&self, list: &mut Vec<Object>, object: Object) {
        list.retain(|other| other.key != object.key || (self.bag && *other != object));
        list.push(object);
    }

    fn put_all(&self, objects: &[Object]) -> Vec<Object> {
        let mut list = self.list.clone();
        for object in objects {
            self.put(&mut list, object.clone());
        }
        list
    }

    fn values(&self, key: &[u8]) -> Vec<Vec<u8>> {
        self.list.iter().filter(|object| object.key == key).map(|object| object.value.clone()).collect()
    }

    /// Deletes; how many there were.
    fn remove(&mut self, gone: impl Fn(&Object) -> bool) -> u64 {
        let before = self.list.len();
        self.list.retain(|object| !gone(object));
        (before - self.list.len()) as u64
    }

    fn count(&mut self, op: CounterOp) -> Option<i64> {
        let now = match self.values(&op.key).first() {
            None => op.default,
            Some(value) => std::str::from_utf8(value).unwrap().parse().ok()?,
        };
        let past = |sum: i64| (op.incr >= 0 && sum > 9) || (op.incr < 0 && sum < 9);
        let next = if past(now + op.incr) { 1 } else { now + op.incr };
        let fits = !self.bag && self.keep(self.put_all(&[Object::new(op.key, next.to_string())]));
        fits.then_some(next)
    }

    fn select(&self, prefix: &[u8], after: Option<&[u8]>, limit: u32) -> Page {
        let mut rest: Vec<&Object> = self.list.iter().collect();
        rest.retain(|object| object.key.starts_with(prefix) && after.is_none_or(|after| *object.key > *after));
        rest.sort_by(|a, b| a.key.cmp(&b.key));
        let mut end = rest.len().min(limit as usize);
        while end > 0 && end < rest.len() && rest[end].key == rest[end - 1].key {
            end += 1;
        }
        let continuation = (end < rest.len()).then(|| rest[end - 1].key.clone());
        Page { objects: rest[..end].iter().map(|object| (*object).clone()).collect(), continuation }
    }

    fn take(&mut self, step: Step) -> Did {
        match step {
            Step::Insert(objects) => Did::Wrote(self.keep(self.put_all(&objects))),
            Step::InsertNew(objects) => {
                let all_new = objects.iter().all(|object| self.values(&object.key).is_empty());
                let fits = !all_new || self.keep(self.put_all(&objects));
                Did::Swapped(fits.then_some(all_new))
            }
            Step::Take(key) => {
                let values = self.values(&key);
                self.remove(|object| object.key == key);
                Did::Values(vec![values])
            }
            Step::Delete(keys) => Did::Deleted(self.remove(|object| keys.contains(&object.key))),
            Step::DeleteObject(objects) => Did::Deleted(self.remove(|object| objects.contains(object))),
            Step::Count(key, incr) => Did::Counted(self.count(count(key, incr))),
            Step::Replace(key, old, new) => {
                let same = self.values(&key) == [old];
                let fits = !self.bag && (!same || self.keep(self.put_all(&[Object::new(key, new)])));
                Did::Swapped(fits.then_some(same))
            }
            Step::Lookup(keys) => Did::Values(keys.iter().map(|key| self.values(key)).collect()),
            Step::Select(prefix, after, limit) => Did::Selected(self.select(&prefix, after.as_deref(), limit)),
        }
    }
}

fn check(kind: Kind, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let ((table, me), mut model) = (table(kind), Model::of(kind));
    for step in steps {
        prop_assert_eq!(on_table(&table, &me, step.clone()), model.take(step));
        let bytes: u64 = model.list.iter().map(Object::bytes).sum();
        prop_assert_eq!(table.size(), (model.list.len() as u64, bytes));
    }
    Ok(())
}

/// A call of one lane, with the times at which it began and ended.
#[derive(Clone, Debug)]
struct Call {
    step: Step,
    did: Did,
    began: usize,
    ended: usize,
}

/// How often each lane repeats its steps: the longer, the more often two calls meet.
const ROUNDS: usize = 60;

/// Has each lane make its calls at the same time as the others. In the order in which they began.
fn calls_of_lanes(kind: Kind, lanes: Vec<Vec<Step>>) -> Vec<Call> {
    let (table, me) = table(kind);
    let (clock, ready, count) = (AtomicUsize::new(0), AtomicUsize::new(0), lanes.len());
    let tick = || clock.fetch_add(1, SeqCst);
    let run = |steps: Vec<Step>| {
        ready.fetch_add(1, SeqCst);
        while ready.load(SeqCst) < count {
            std::hint::spin_loop();
        }
        let call = |step: &Step| {
            let began = tick();
            let did = on_table(&table, &me, step.clone());
            Call { step: step.clone(), did, began, ended: tick() }
        };
        (0..ROUNDS).flat_map(|_| &steps).map(call).collect::<Vec<_>>()
    };
    let mut calls: Vec<Call> = std::thread::scope(|scope| {
        let running: Vec<_> = lanes.into_iter().map(|steps| scope.spawn(|| run(steps))).collect();
        running.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
    });
    calls.sort_by_key(|call| call.began);
    calls
}

/// Whether the calls, given in the order in which they began, could have happened one after the other, each at some
/// moment between its beginning and its end, as the model does them (linearizability, by trying orders as Wing and Gong
/// do; what was tried once is not tried again).
fn have_an_order(model: &Model, calls: &[Call]) -> bool {
    let mut tried = HashSet::new();
    let mut to_try = vec![(0, BTreeSet::new(), model.clone())];
    while let Some((mut first, mut done, model)) = to_try.pop() {
        while done.remove(&first) {
            first += 1;
        }
        if first == calls.len() {
            return true;
        }
        if !tried.insert((first, done.clone(), model.list.clone())) {
            continue;
        }
        // Whatever began after another one had ended comes after it.
        let mut first_end = usize::MAX;
        for (at, call) in calls.iter().enumerate().skip(first).filter(|(at, _)| !done.contains(at)) {
            if call.began > first_end {
                break;
            }
            first_end = first_end.min(call.ended);
            let mut after = model.clone();
            if after.take(call.step.clone()) == call.did {
                let mut done = done.clone();
                done.insert(at);
                to_try.push((first, done, after));
            }
        }
    }
    false
}

fn lanes() -> impl Strategy<Value = Vec<Vec<Step>>> {
    prop::collection::vec(steps().prop_map(|steps| steps.into_iter().take(5).collect()), 2..3)
}

proptest! {
    #[test]
    fn a_set_is_a_list_of_objects_with_different_keys(steps in steps()) {
        check(Kind::OrderedSet, steps)?;
    }

    #[test]
    fn a_bag_is_a_list_of_different_objects(steps in steps()) {
        check(Kind::Bag, steps)?;
    }

    #[test]
    fn what_lanes_do_at_a_time_has_an_order(lanes in lanes(), bag in any::<bool>()) {
        let kind = if bag { Kind::Bag } else { Kind::Set };
        let calls = calls_of_lanes(kind, lanes.clone());
        prop_assert!(have_an_order(&Model::of(kind), &calls), "{lanes:#?}");
    }
}

/// The check itself: two lanes that both were told that they had taken the same object.
#[test]
fn what_has_no_order_is_found() {
    let call = |step, did, began, ended| Call { step, did, began, ended };
    let taken = || Did::Values(vec![vec![b"1".to_vec()]]);
    let insert = call(Step::Insert(vec![Object::new("a", "1")]), Did::Wrote(true), 0, 1);
    let take = |began, ended| call(Step::Take(b"a".to_vec()), taken(), began, ended);
    let model = Model::of(Kind::Set);
    assert!(have_an_order(&model, &[insert.clone(), take(2, 4)]));
    assert!(!have_an_order(&model, &[insert.clone(), take(2, 4), take(3, 5)]), "taken twice");
    let late = call(insert.step, insert.did, 5, 6);
    assert!(!have_an_order(&model, &[take(2, 4), late]), "taken before it was there");
}

#[test]
fn objects_expire_after_their_last_write() {
    let me = Caller::of("me");
    let options = Options { ttl_ms: Some(0), ..Options::default() };
    let table = Arc::new(Table::new(me.plugin.clone(), &options, &Limits::default(), Arc::default(), Arc::default()));
    for _ in 0..3 * STALE_MAX {
        table.insert(&me, vec![Object::new("gone", "at once")]).unwrap();
    }
    assert_eq!(table.size(), (0, 0));
    table.set_bounds(Options { ttl_ms: Some(3_600_000), ..options }.bounds());
    for _ in 0..3 * STALE_MAX {
        table.insert(&me, vec![Object::new("stays", "an hour")]).unwrap();
    }
    assert_eq!(table.size(), (1, 12));
    assert!(table.state.lock().expiring.len() <= STALE_MAX + 4, "stale entries do not pile up");
}

#[test]
fn a_counter_that_cannot_be_counted_changes_nothing() {
    let me = Caller::of("me");
    let table = Arc::new(Table::new(
        me.plugin.clone(),
        &Options::default(),
        &Limits::default(),
        Arc::default(),
        Arc::default(),
    ));
    table.insert(&me, vec![Object::new("text", "ten"), Object::new("full", i64::MAX.to_string())]).unwrap();
    let op = |key: &str| CounterOp { key: key.into(), incr: 1, default: 0, threshold: None };
    for bad in ["text", "full"] {
        assert!(matches!(table.update_counter(&me, &[op("fresh"), op(bad)]), Err(Denied::Badarg(_))));
        assert_eq!(table.lookup(&me, &[b"fresh".to_vec()]).unwrap(), [Vec::<Vec<u8>>::new()], "undone");
    }
    assert_eq!(table.update_counter(&me, &[op("fresh"), op("fresh")]).unwrap(), [1, 2]);
}

#[test]
fn answers_are_bounded() {
    let me = Caller::of("me");
    let limits = Limits { table_answer_bytes_max: 10, ..Limits::default() };
    let table = Arc::new(Table::new(me.plugin.clone(), &Options::default(), &limits, Arc::default(), Arc::default()));
    table.insert(&me, ["a", "b", "c"].map(|key| Object::new(key, "123456")).into()).unwrap();
    let a = b"a".to_vec();
    assert!(table.lookup(&me, std::slice::from_ref(&a)).is_ok());
    assert_eq!(table.lookup(&me, &[a.clone(), a]), Err(Denied::Limit("table_answer_bytes_max")));
    let page = table.select(&me, b"", None, 100).unwrap();
    assert_eq!((page.objects.len(), page.continuation), (2, Some(b"b".to_vec())), "cut short");
}

#[test]
fn all_tables_together_are_bounded() {
    let me = Caller::of("me");
    let (limits, all) = (Limits { tables_bytes_max: 1000, ..Limits::default() }, Arc::<AtomicU64>::default());
    let tables = [(); 2]
        .map(|()| Arc::new(Table::new(me.plugin.clone(), &Options::default(), &limits, all.clone(), Arc::default())));
    let fill = |table: &Arc<Table>, key: &str| table.insert(&me, vec![Object::new(key, vec![b'x'; 300])]);
    assert!(fill(&tables[0], "a").is_ok() && fill(&tables[1], "b").is_ok());
    assert_eq!(fill(&tables[0], "c"), Err(Denied::Limit("tables_bytes_max")));
    assert_eq!(tables[0].size().0, 1, "undone");
    assert!(fill(&tables[0], "a").is_ok(), "what does not grow is allowed");
    tables[1].take(&me, b"b").unwrap();
    assert!(fill(&tables[0], "c").is_ok());
    drop(tables);
    assert_eq!(all.load(Relaxed), 0);
}
