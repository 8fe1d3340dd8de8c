//! Tables in the manner of Erlang's ETS: which there are, and whose. They belong to the host and outlive the versions
//! of a plugin. What one table can do is in `table`.

mod durable;
mod objects;
mod past;
mod state;
mod table;
mod unwritten;

pub use objects::{CounterOp, Kind, Object, Options, Page};
pub use past::PageBefore;
pub use table::Table;
pub use unwritten::{Batch, Changes, Held, KeptValues, TableChanges, Unwritten};

use crate::caller::Caller;
use crate::denied::{Allowed, Denied, badarg};
use crate::history::Feed;
use crate::limits::Limits;
use durable::Durable;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A table opened under a name with this prefix can be read by all plugins.
const SHARED: &str = "shared:";
/// What the undo of an opening weighs: about.
const STEP_BYTES: u64 = 400;

/// All tables of the node, by their full name: `PLUGIN:NAME`, or `shared:NAME`.
pub struct Tables {
    limits: Arc<Limits>,
    by_name: Arc<Mutex<BTreeMap<String, Arc<Table>>>>,
    /// What all of them weigh.
    bytes: Arc<AtomicU64>,
    feed: Arc<Feed>,
    keeping: Keeping,
}

/// What of them outlives a restart.
pub struct Keeping {
    /// Where changes of durable tables go.
    pub unwritten: Arc<Unwritten>,
    /// Tables that are durable whatever the rule says, by their full names.
    pub durable: Vec<String>,
    /// Whether an event is answered only once what it changed is on the disk.
    pub synchronous: bool,
}

impl Tables {
    /// None yet, and durable ones are like others.
    pub fn new(limits: Arc<Limits>, feed: Arc<Feed>) -> Self {
        let keeping = Keeping { unwritten: Arc::new(Unwritten::nowhere()), durable: Vec::new(), synchronous: false };
        Self { limits, by_name: Arc::default(), bytes: Arc::default(), feed, keeping }
    }

    /// Those that were kept, and what becomes durable from now on.
    #[must_use]
    pub fn keeping(self, keeping: Keeping, kept: Changes) -> Self {
        for (name, TableChanges { owner, kind, keys, .. }) in kept {
            let options = Options { kind, ..Options::default() };
            let table = Table::new(owner.clone(), &options, &self.limits, self.bytes.clone(), self.feed.clone());
            let durable = Durable { unwritten: keeping.unwritten.clone(), name: name.clone(), owner, kind };
            table.restore(durable, keys);
            self.by_name.lock().insert(name.to_string(), Arc::new(table));
        }
        Self { keeping, ..self }
    }

    /// Opens a plugin's table, made at the first time. A shared one belongs to the plugin that opened it first.
    pub fn open(&self, by: &Caller, name: &str, options: Options) -> Allowed<Arc<Table>> {
        let (full_name, options) = self.check(by, name, options)?;
        let mut tables = self.by_name.lock();
        if let Some(table) = tables.get(&full_name).cloned() {
            drop(tables);
            same_kind(name, &table, &options)?;
            if *table.owner() == by.plugin {
                self.open_again(by, &full_name, &table, &options)?;
            }
            return Ok(table);
        }
        if tables.values().filter(|table| *table.owner() == by.plugin).count() as u64 >= self.limits.tables_max {
            return Err(Denied::Limit("tables_max"));
        }
        let table =
            Arc::new(Table::new(by.plugin.clone(), &options, &self.limits, self.bytes.clone(), self.feed.clone()));
        table.set_durable(self.durable(by, &full_name, &options));
        tables.insert(full_name.clone(), table.clone());
        drop(tables);
        if let Some(journal) = &by.journal {
            let by_name = self.by_name.clone();
            journal.record(STEP_BYTES, move || drop(by_name.lock().remove(&full_name)))?;
        }
        Ok(table)
    }

    /// What it may hold, and whether that outlives a restart, is as its owner opened it last.
    fn open_again(&self, by: &Caller, full_name: &str, table: &Arc<Table>, options: &Options) -> Allowed<()> {
        let durable = self.durable(by, full_name, options);
        let before = table.set_bounds(options.bounds());
        let Some(journal) = &by.journal else {
            table.set_durable(durable);
            return Ok(());
        };
        let undone = table.clone();
        journal.record(STEP_BYTES, move || {
            undone.set_bounds(before);
        })?;
        let kept = table.clone();
        journal.when_kept(move || kept.set_durable(durable));
        Ok(())
    }

    fn durable(&self, by: &Caller, full_name: &str, options: &Options) -> Option<Durable> {
        let Keeping { unwritten, durable, .. } = &self.keeping;
        let is_durable = options.durable || durable.iter().any(|name| name == full_name);
        is_durable.then(|| Durable {
            unwritten: unwritten.clone(),
            name: full_name.into(),
            owner: by.plugin.clone(),
            kind: options.kind,
        })
    }

    /// The table as `open` would find it, nothing changed.
    pub fn find(&self, by: &Caller, name: &str, options: &Options) -> Allowed<Option<Arc<Table>>> {
        let (full_name, options) = self.check(by, name, options.clone())?;
        self.get(&full_name).map(|table| same_kind(name, &table, &options).map(|()| table)).transpose()
    }

    /// One that nobody else sees.
    pub fn private(&self, by: &Caller, options: &Options) -> Arc<Table> {
        Arc::new(Table::new(by.plugin.clone(), options, &self.limits, Arc::default(), Arc::default()))
    }

    /// The full name, and the options within the host's own bounds.
    fn check(&self, by: &Caller, name: &str, mut options: Options) -> Allowed<(String, Options)> {
        let own_name = name.strip_prefix(SHARED).unwrap_or(name);
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
        if own_name.is_empty() || own_name.len() > 255 || !own_name.bytes().all(plain) {
            return badarg("a table's name has 1 to 255 letters, digits, '_', '-' and '.'");
        }
        options.max_objects = options.max_objects.min(self.limits.table_objects_max);
        options.max_bytes = options.max_bytes.min(self.limits.table_bytes_max);
        let full_name = if name == own_name { format!("{}:{name}", by.plugin) } else { name.to_owned() };
        Ok((full_name, options))
    }

    /// The table of that full name.
    pub fn get(&self, full_name: &str) -> Option<Arc<Table>> {
        self.by_name.lock().get(full_name).cloned()
    }

    /// The full name of a table, if others see it.
    pub fn name_of(&self, table: &Arc<Table>) -> Option<String> {
        let tables = self.by_name.lock();
        tables.iter().find(|(_, known)| Arc::ptr_eq(known, table)).map(|(name, _)| name.clone())
    }

    /// Forgets what no shadow can look back to any more.
    pub fn forget(&self) {
        for (_, table) in self.list() {
            table.forget();
        }
    }

    /// What the plugin changes in durable tables gets to the disk as a whole, once the value is dropped.
    pub fn hold(&self, plugin: &str) -> Held {
        self.keeping.unwritten.hold(plugin)
    }

    /// Whether whoever learns now of an event of that plugin may learn of changes that a crash would lose.
    pub fn must_be_written(&self, plugin: &str) -> bool {
        self.keeping.synchronous && !self.keeping.unwritten.is_written(plugin)
    }

    /// Waits until all changes of durable tables by now are on the disk; false when that takes too long.
    pub fn wait_until_written(&self, at_most: Duration) -> bool {
        self.keeping.unwritten.wait_until_written(at_most)
    }

    /// What waits to be written, about.
    pub fn unwritten_bytes(&self) -> u64 {
        self.keeping.unwritten.bytes()
    }

    /// What all of them weigh, about.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// All tables with their full names, in their order.
    pub fn list(&self) -> Vec<(String, Arc<Table>)> {
        self.by_name.lock().iter().map(|(name, table)| (name.clone(), table.clone())).collect()
    }
}

/// A table is opened as the kind that it is.
pub fn same_kind(name: &str, table: &Table, options: &Options) -> Allowed<()> {
    if table.kind() == options.kind {
        Ok(())
    } else {
        badarg(format!(
            "the table {name} is there already, as {}, and not {}: what is kept otherwise needs another name",
            table.kind().label(),
            options.kind.label()
        ))
    }
}

#[cfg(test)]
impl Tables {
    /// All there is to say of all tables, for tests.
    pub(crate) fn dump(&self) -> Vec<String> {
        self.list().iter().map(|(name, table)| format!("{name} {}", table.dump())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> (Tables, Caller, Caller) {
        (
            Tables::new(Arc::new(Limits { tables_max: 2, ..Limits::default() }), Arc::default()),
            Caller::of("ann"),
            Caller::of("bob"),
        )
    }

    #[test]
    fn a_name_is_the_plugins_own_unless_shared() {
        let (tables, ann, bob) = tables();
        let anns = tables.open(&ann, "rooms", Options::default()).unwrap();
        let bobs = tables.open(&bob, "rooms", Options::default()).unwrap();
        anns.insert(&ann, vec![Object::new("k", "ann's")]).unwrap();
        assert_eq!(bobs.lookup(&bob, &[b"k".to_vec()]).unwrap(), [Vec::<Vec<u8>>::new()]);

        let shared = tables.open(&ann, "shared:rooms", Options::default()).unwrap();
        let same = tables.open(&bob, "shared:rooms", Options::default()).unwrap();
        shared.insert(&ann, vec![Object::new("k", "v")]).unwrap();
        assert_eq!(same.lookup(&bob, &[b"k".to_vec()]).unwrap(), [[b"v".to_vec()]]);
        assert_eq!(same.insert(&bob, vec![Object::new("k", "w")]), Err(Denied::NotOwner));
        assert_eq!(same.take(&bob, b"k"), Err(Denied::NotOwner));
    }

    #[test]
    fn what_cannot_be_opened() {
        let (tables, ann, _) = tables();
        for name in ["", "shared:", "a b", "a/b", &"a".repeat(256)] {
            assert!(matches!(tables.open(&ann, name, Options::default()), Err(Denied::Badarg(_))), "{name}");
        }
        tables.open(&ann, "one", Options::default()).unwrap();
        let bag = Options { kind: Kind::Bag, ..Options::default() };
        assert!(matches!(tables.open(&ann, "one", bag), Err(Denied::Badarg(_))));
        tables.open(&ann, "two", Options::default()).unwrap();
        assert!(matches!(tables.open(&ann, "three", Options::default()), Err(Denied::Limit("tables_max"))));
    }
}
