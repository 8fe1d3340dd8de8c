//! What gets to the disk, against a model; and who waits for it.

use super::*;
use proptest::prelude::*;
use std::thread;

#[derive(Clone, Debug)]
enum Step {
    /// A key of a table has that value from now on, or is not there.
    Change(usize, u8, Option<u8>),
    /// A table has these values, and nothing else.
    Anew(usize, Vec<u8>),
    /// A code change of the first table's plugin begins, or ends.
    Hold,
    Release,
    /// What waits is written, or can't be.
    Write,
    Fail,
}

const TABLES: [&str; 2] = ["ann:rooms", "bob:rooms"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..2_usize, 0..4_u8, any::<Option<u8>>()).prop_map(|(table, key, value)| Step::Change(table, key, value)),
        1 => (0..2_usize, prop::collection::vec(any::<u8>(), 0..3)).prop_map(|(table, keys)| Step::Anew(table, keys)),
        1 => Just(Step::Hold),
        1 => Just(Step::Release),
        3 => Just(Step::Write),
        1 => Just(Step::Fail),
    ]
}

/// By table and key.
type Model = BTreeMap<(usize, Vec<u8>), KeptValues>;

fn is_empty(unwritten: &Unwritten) -> bool {
    TABLES.iter().all(|table| unwritten.is_written(&table[..3]))
}

fn value(byte: u8) -> KeptValues {
    vec![(u64::MAX, vec![byte])]
}

fn changes(table: usize, anew: bool, keys: impl IntoIterator<Item = (Vec<u8>, KeptValues)>) -> TableChanges {
    TableChanges { owner: TABLES[table][..3].into(), kind: Kind::Set, anew, keys: keys.into_iter().collect() }
}

/// As `data::tables` does it.
fn apply(model: &mut Model, table: usize, changes: &TableChanges) {
    if changes.anew {
        model.retain(|(of, _), _| *of != table);
    }
    for (key, values) in &changes.keys {
        if values.is_empty() {
            model.remove(&(table, key.clone()));
        } else {
            model.insert((table, key.clone()), values.clone());
        }
    }
}

fn check(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let unwritten = Arc::new(Unwritten::new(u64::MAX));
    let (mut now, mut disk) = (Model::new(), Model::new());
    let mut held: Option<(Held, Vec<TableChanges>)> = None;
    for step in steps {
        let changed = match step {
            Step::Change(table, key, byte) => {
                Some((table, changes(table, false, [(vec![key], byte.map_or_else(Vec::new, value))])))
            }
            Step::Anew(table, keys) => {
                Some((table, changes(table, true, keys.into_iter().map(|key| (vec![key % 4], value(key))))))
            }
            Step::Hold if held.is_none() => {
                held = Some((unwritten.hold("ann"), Vec::new()));
                None
            }
            Step::Release => {
                let changes = held.take().map_or_else(Vec::new, |(_held, changes)| changes);
                for changes in &changes {
                    apply(&mut now, 0, changes);
                }
                None
            }
            Step::Write if !is_empty(&unwritten) => {
                let batch = unwritten.take(Duration::ZERO).unwrap();
                for (name, changes) in &batch.changes {
                    apply(&mut disk, TABLES.iter().position(|table| **table == **name).unwrap(), changes);
                }
                unwritten.written(&batch);
                prop_assert_eq!(&disk, &now);
                prop_assert!(held.is_some() || unwritten.bytes() == 0);
                None
            }
            Step::Fail if !is_empty(&unwritten) => {
                unwritten.put_back(unwritten.take(Duration::ZERO).unwrap(), Duration::ZERO);
                None
            }
            Step::Hold | Step::Write | Step::Fail => None,
        };
        if let Some((table, changes)) = changed {
            unwritten.record(&TABLES[table].into(), changes.clone());
            match &mut held {
                Some((_, held)) if table == 0 => held.push(changes),
                _ => apply(&mut now, table, &changes),
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_disk_has_all_that_there_was_at_some_moment(steps in prop::collection::vec(step(), 0..60)) {
        check(steps)?;
    }
}

fn record(unwritten: &Unwritten, key: u8) {
    unwritten.record(&TABLES[0].into(), changes(0, false, [(vec![key], value(key))]));
}

#[test]
fn whoever_waits_is_told_when_it_is_written_and_not_before() {
    let unwritten = Arc::new(Unwritten::new(u64::MAX));
    record(&unwritten, 1);
    assert!(!unwritten.wait_until_written(Duration::from_millis(1)), "nobody writes");
    let disk = thread::spawn({
        let unwritten = unwritten.clone();
        move || {
            let mut written = 0;
            // An hour: it is only for who waits that this is quick.
            while let Some(batch) = unwritten.take(Duration::from_hours(1)) {
                written += batch.changes.values().map(|table| table.keys.len()).sum::<usize>();
                unwritten.written(&batch);
            }
            written
        }
    });
    for key in 2..100 {
        record(&unwritten, key);
        assert!(unwritten.wait_until_written(Duration::from_mins(1)));
        assert!(is_empty(&unwritten));
    }
    record(&unwritten, 100);
    unwritten.close();
    assert_eq!(disk.join().unwrap(), 100, "what waits at the end is written as well");
}

#[test]
fn with_nowhere_to_go_nothing_waits() {
    let unwritten = Arc::new(Unwritten::new(u64::MAX));
    record(&unwritten, 1);
    let waiting = thread::spawn({
        let unwritten = unwritten.clone();
        move || unwritten.wait_until_written(Duration::from_mins(1))
    });
    unwritten.forget();
    assert!(waiting.join().unwrap(), "nobody waits for ever");
    record(&unwritten, 2);
    drop(unwritten.hold("ann"));
    assert!(is_empty(&unwritten) && unwritten.bytes() == 0 && unwritten.take(Duration::ZERO).is_none());
}
