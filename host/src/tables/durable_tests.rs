//! A table that is made again from what its changes left on a disk is the table that there was.

use super::*;
use crate::caller::Caller;
use crate::limits::Limits;
use crate::tables::{Changes, CounterOp, Keeping, Object, Options, Tables};
use proptest::prelude::*;
use std::time::Duration;

fn tables(disk: &Changes) -> (Tables, Arc<Unwritten>) {
    let unwritten = Arc::new(Unwritten::new(u64::MAX));
    let keeping = Keeping { unwritten: unwritten.clone(), durable: vec!["ann:asked-for".into()], synchronous: false };
    (Tables::new(Arc::new(Limits::default()), Arc::default()).keeping(keeping, disk.clone()), unwritten)
}

fn is_empty(unwritten: &Unwritten) -> bool {
    unwritten.is_written("ann")
}

/// Brings what waits to the disk, as `data::tables` does it.
fn write(unwritten: &Unwritten, disk: &mut Changes) {
    if is_empty(unwritten) {
        return;
    }
    let batch = unwritten.take(Duration::ZERO).unwrap();
    for (name, changes) in &batch.changes {
        let table = disk.entry(name.clone()).or_insert_with(|| TableChanges {
            anew: false,
            keys: BTreeMap::new(),
            ..changes.clone()
        });
        if changes.anew {
            table.keys.clear();
        }
        table.keys.extend(changes.keys.clone());
        table.keys.retain(|_, values| !values.is_empty());
    }
    disk.retain(|_, table| !table.keys.is_empty());
    unwritten.written(&batch);
}

fn all(tables: &Tables, name: &str) -> Vec<Object> {
    let by = Caller::of("ann");
    tables.get(name).map_or_else(Vec::new, |table| table.select(&by, b"", None, 1000).unwrap().objects)
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, u8),
    InsertTooMuch(u8),
    Take(u8),
    DeleteObject(u8, u8),
    Count(u8),
    Open(bool),
    Write,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..5_u8, 0..3_u8).prop_map(|(key, value)| Step::Insert(key, value)),
        1 => (0..5_u8).prop_map(Step::InsertTooMuch),
        2 => (0..5_u8).prop_map(Step::Take),
        2 => (0..5_u8, 0..3_u8).prop_map(|(key, value)| Step::DeleteObject(key, value)),
        2 => (5..7_u8).prop_map(Step::Count),
        1 => any::<bool>().prop_map(Step::Open),
        2 => Just(Step::Write),
        1 => Just(Step::Restart),
    ]
}

fn check(kind: Kind, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let by = Caller::of("ann");
    let mut disk = Changes::new();
    let mut options = Options { kind, durable: true, max_objects: 6, ..Options::default() };
    let (mut tables, mut unwritten) = tables(&disk);
    let mut table = tables.open(&by, "rooms", options.clone()).unwrap();
    for step in steps {
        match step {
            Step::Insert(key, value) => drop(table.insert(&by, vec![Object::new([key], [value])])),
            Step::InsertTooMuch(from) => {
                let objects = (from..from + 9).map(|key| Object::new([key], "much")).collect();
                prop_assert!(table.insert(&by, objects).is_err());
            }
            Step::Take(key) => drop(table.take(&by, &[key]).unwrap()),
            Step::DeleteObject(key, value) => drop(table.delete_object(&by, &[Object::new([key], [value])]).unwrap()),
            Step::Count(key) => {
                let op = CounterOp { key: vec![key], incr: 1, default: 0, threshold: None };
                drop(table.update_counter(&by, &[op]));
            }
            Step::Open(durable) => {
                options.durable = durable;
                table = tables.open(&by, "rooms", options.clone()).unwrap();
            }
            Step::Write => write(&unwritten, &mut disk),
            Step::Restart => {
                write(&unwritten, &mut disk);
                let before = if options.durable { all(&tables, "ann:rooms") } else { Vec::new() };
                (tables, unwritten) = self::tables(&disk);
                prop_assert_eq!(all(&tables, "ann:rooms"), before);
                prop_assert!(is_empty(&unwritten), "what is on the disk is not written again");
                table = tables.open(&by, "rooms", options.clone()).unwrap();
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_set_is_the_same_after_a_restart(steps in prop::collection::vec(step(), 0..50)) {
        check(Kind::OrderedSet, steps)?;
    }

    #[test]
    fn a_bag_is_the_same_after_a_restart(steps in prop::collection::vec(step(), 0..50)) {
        check(Kind::Bag, steps)?;
    }
}

#[test]
fn objects_expire_while_there_is_no_server() {
    let by = Caller::of("ann");
    let (before, unwritten) = tables(&Changes::new());
    let options = Options { durable: true, ttl_ms: Some(3_600_000), ..Options::default() };
    let table = before.open(&by, "rooms", options.clone()).unwrap();
    table.insert(&by, vec![Object::new("soon", "1"), Object::new("late", "2")]).unwrap();
    let mut disk = Changes::new();
    write(&unwritten, &mut disk);
    let kept = disk.get_mut("ann:rooms").unwrap().keys.get_mut(&b"soon"[..]).unwrap();
    let in_an_hour = kept[0].0 - clock::unix_ms();
    assert!((3_590_000..=3_600_000).contains(&in_an_hour), "{in_an_hour} ms");
    kept[0].0 = clock::unix_ms() - 1;
    let (after, unwritten) = tables(&disk);
    assert_eq!(all(&after, "ann:rooms"), [Object::new("late", "2")]);
    write(&unwritten, &mut disk);
    assert_eq!(disk["ann:rooms"].keys.len(), 1, "and is gone from the disk");
}

#[test]
fn what_finds_no_room_to_wait_is_not_written_at_all() {
    let by = Caller::of("ann");
    let unwritten = Arc::new(Unwritten::new(600));
    let keeping = Keeping { unwritten: unwritten.clone(), durable: Vec::new(), synchronous: false };
    let tables = Tables::new(Arc::new(Limits::default()), Arc::default()).keeping(keeping, Changes::new());
    let table = tables.open(&by, "rooms", Options { durable: true, ..Options::default() }).unwrap();
    let insert = |key: &str| table.insert(&by, vec![Object::new(key, [b'x'; 200])]);
    insert("a").unwrap();
    let full = crate::denied::Denied::Limit("unwritten_bytes_max");
    assert_eq!((insert("b"), table.count(&by)), (Err(full), 1));
    let mut disk = Changes::new();
    write(&unwritten, &mut disk);
    insert("b").unwrap();
}

#[test]
fn an_operator_makes_a_table_durable_and_a_code_change_only_if_it_happens() {
    let (by, mut disk) = (Caller::of("ann"), Changes::new());
    let (tables, unwritten) = tables(&disk);
    let asked_for = tables.open(&by, "asked-for", Options::default()).unwrap();
    asked_for.insert(&by, vec![Object::new("k", "v")]).unwrap();
    let plain = tables.open(&by, "plain", Options::default()).unwrap();
    plain.insert(&by, vec![Object::new("k", "v")]).unwrap();
    write(&unwritten, &mut disk);
    assert_eq!(disk.keys().map(|name| &**name).collect::<Vec<_>>(), ["ann:asked-for"]);
    for happens in [false, true] {
        let journal = Arc::new(crate::journal::Journal::new(u64::MAX));
        let mut by = Caller::of("ann");
        by.journal = Some(journal.clone());
        tables.open(&by, "plain", Options { durable: true, ..Options::default() }).unwrap();
        assert!(!plain.is_durable(), "it is not sure yet");
        if happens {
            journal.keep();
        } else {
            journal.undo();
        }
        write(&unwritten, &mut disk);
        assert_eq!(disk.contains_key("ann:plain"), happens);
    }
}
