//! A table against a simple model, and the edges that the model does not have.

use super::*;
use proptest::prelude::*;

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

/// The model: a list of objects, oldest first; a call works on a copy that is kept if it fits.
struct Model {
    bag: bool,
    list: Vec<Object>,
}

impl Model {
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

    fn without(&self, gone: impl Fn(&Object) -> bool) -> Vec<Object> {
        self.list.iter().filter(|object| !gone(object)).cloned().collect()
    }
}

fn check(kind: Kind, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let me: Arc<str> = "me".into();
    let options = Options { kind, max_objects: OBJECTS_MAX as u64, max_bytes: BYTES_MAX as u64, ..Options::default() };
    let table = Table::new(me.clone(), &options, &Limits::default(), Arc::default());
    let mut model = Model { bag: kind == Kind::Bag, list: Vec::new() };
    for step in steps {
        match step {
            Step::Insert(objects) => {
                let fits = model.keep(model.put_all(&objects));
                prop_assert_eq!(table.insert(&me, objects).is_ok(), fits);
            }
            Step::InsertNew(objects) => {
                let all_new = objects.iter().all(|object| model.values(&object.key).is_empty());
                let fits = !all_new || model.keep(model.put_all(&objects));
                prop_assert_eq!(table.insert_new(&me, objects).ok(), fits.then_some(all_new));
            }
            Step::Take(key) => {
                prop_assert_eq!(table.take(&me, &key).unwrap(), model.values(&key));
                model.list = model.without(|object| object.key == key);
            }
            Step::Delete(keys) => {
                let left = model.without(|object| keys.contains(&object.key));
                prop_assert_eq!(table.delete(&me, &keys).unwrap() as usize, model.list.len() - left.len());
                model.list = left;
            }
            Step::DeleteObject(objects) => {
                let left = model.without(|object| objects.contains(object));
                prop_assert_eq!(table.delete_object(&me, &objects).unwrap() as usize, model.list.len() - left.len());
                model.list = left;
            }
            Step::Count(key, incr) => {
                let op = CounterOp { key: key.clone(), incr, default: 7, threshold: Some((9, 1)) };
                let got = table.update_counter(&me, std::slice::from_ref(&op)).ok();
                let now = match model.values(&key).first() {
                    None => Some(7),
                    Some(value) => std::str::from_utf8(value).unwrap().parse::<i64>().ok(),
                };
                let past = |sum: i64| (incr >= 0 && sum > 9) || (incr < 0 && sum < 9);
                let next = now.map(|now| if past(now + incr) { 1 } else { now + incr });
                let expected = next.filter(|next| {
                    !model.bag && model.keep(model.put_all(&[Object::new(key.clone(), next.to_string())]))
                });
                prop_assert_eq!(got, expected.map(|next| vec![next]));
            }
            Step::Replace(key, old, new) => {
                let got = table.select_replace(&me, &key, &old, new.clone()).ok();
                let same = model.values(&key) == [old];
                let fits = !model.bag && (!same || model.keep(model.put_all(&[Object::new(key, new)])));
                prop_assert_eq!(got, fits.then_some(same));
            }
            Step::Lookup(keys) => {
                let expected: Vec<_> = keys.iter().map(|key| model.values(key)).collect();
                prop_assert_eq!(table.lookup(&keys).unwrap(), expected);
            }
            Step::Select(prefix, after, limit) => {
                let page = table.select(&prefix, after.as_deref(), limit).unwrap();
                let mut rest: Vec<&Object> = model.list.iter().collect();
                rest.retain(|object| {
                    object.key.starts_with(&prefix) && after.as_ref().is_none_or(|after| object.key > *after)
                });
                rest.sort_by(|a, b| a.key.cmp(&b.key));
                let mut end = rest.len().min(limit as usize);
                while end > 0 && end < rest.len() && rest[end].key == rest[end - 1].key {
                    end += 1;
                }
                let more = (end < rest.len()).then(|| rest[end - 1].key.clone());
                prop_assert_eq!(page.continuation, more);
                prop_assert_eq!(page.objects.iter().collect::<Vec<_>>(), &rest[..end]);
            }
        }
        let bytes: u64 = model.list.iter().map(Object::bytes).sum();
        prop_assert_eq!(table.size(), (model.list.len() as u64, bytes));
    }
    Ok(())
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
}

#[test]
fn objects_expire_after_their_last_write() {
    let me: Arc<str> = "me".into();
    let options = Options { ttl_ms: Some(0), ..Options::default() };
    let table = Table::new(me.clone(), &options, &Limits::default(), Arc::default());
    for _ in 0..3 * STALE_MAX {
        table.insert(&me, vec![Object::new("gone", "at once")]).unwrap();
    }
    assert_eq!(table.size(), (0, 0));
    table.set_bounds(&Options { ttl_ms: Some(3_600_000), ..options });
    for _ in 0..3 * STALE_MAX {
        table.insert(&me, vec![Object::new("stays", "an hour")]).unwrap();
    }
    assert_eq!(table.size(), (1, 12));
    assert!(table.state.lock().expiring.len() <= STALE_MAX + 4, "stale entries do not pile up");
}

#[test]
fn a_counter_that_cannot_be_counted_changes_nothing() {
    let me: Arc<str> = "me".into();
    let table = Table::new(me.clone(), &Options::default(), &Limits::default(), Arc::default());
    table.insert(&me, vec![Object::new("text", "ten"), Object::new("full", i64::MAX.to_string())]).unwrap();
    let op = |key: &str| CounterOp { key: key.into(), incr: 1, default: 0, threshold: None };
    for bad in ["text", "full"] {
        assert!(matches!(table.update_counter(&me, &[op("fresh"), op(bad)]), Err(Denied::Badarg(_))));
        assert_eq!(table.lookup(&[b"fresh".to_vec()]).unwrap(), [Vec::<Vec<u8>>::new()], "undone");
    }
    assert_eq!(table.update_counter(&me, &[op("fresh"), op("fresh")]).unwrap(), [1, 2]);
}

#[test]
fn answers_are_bounded() {
    let me: Arc<str> = "me".into();
    let table = Table::new(
        me.clone(),
        &Options::default(),
        &Limits { table_answer_bytes_max: 10, ..Limits::default() },
        Arc::default(),
    );
    table.insert(&me, ["a", "b", "c"].map(|key| Object::new(key, "123456")).into()).unwrap();
    let a = b"a".to_vec();
    assert!(table.lookup(std::slice::from_ref(&a)).is_ok());
    assert_eq!(table.lookup(&[a.clone(), a]), Err(Denied::Limit("table_answer_bytes_max")));
    let page = table.select(b"", None, 100).unwrap();
    assert_eq!((page.objects.len(), page.continuation), (2, Some(b"b".to_vec())), "cut short");
}

#[test]
fn all_tables_together_are_bounded() {
    let me: Arc<str> = "me".into();
    let (limits, all) = (Limits { tables_bytes_max: 1000, ..Limits::default() }, Arc::<AtomicU64>::default());
    let tables = [(); 2].map(|()| Table::new(me.clone(), &Options::default(), &limits, all.clone()));
    let fill = |table: &Table, key: &str| table.insert(&me, vec![Object::new(key, vec![b'x'; 300])]);
    assert!(fill(&tables[0], "a").is_ok() && fill(&tables[1], "b").is_ok());
    assert_eq!(fill(&tables[0], "c"), Err(Denied::Limit("tables_bytes_max")));
    assert_eq!(tables[0].size().0, 1, "undone");
    assert!(fill(&tables[0], "a").is_ok(), "what does not grow is allowed");
    tables[1].take(&me, b"b").unwrap();
    assert!(fill(&tables[0], "c").is_ok());
    drop(tables);
    assert_eq!(all.load(Relaxed), 0);
}
