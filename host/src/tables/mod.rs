//! Tables in the manner of Erlang's ETS: which there are, and whose. They belong to the host and outlive the versions
//! of a plugin. What one table can do is in `table`.

mod table;

pub use table::{CounterOp, Kind, Object, Options, Page, Table};

use crate::denied::{Allowed, Denied, badarg};
use crate::limits::Limits;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A table opened under a name with this prefix can be read by all plugins.
const SHARED: &str = "shared:";

/// All tables of the node, by their full name: `PLUGIN:NAME`, or `shared:NAME`.
pub struct Tables {
    limits: Arc<Limits>,
    by_name: Mutex<BTreeMap<String, Arc<Table>>>,
    /// What all of them weigh.
    bytes: Arc<AtomicU64>,
}

impl Tables {
    /// None yet.
    pub fn new(limits: Arc<Limits>) -> Self {
        Self { limits, by_name: Mutex::default(), bytes: Arc::default() }
    }

    /// Opens a plugin's table, made at the first time. A shared one belongs to the plugin that opened it first.
    pub fn open(&self, plugin: &Arc<str>, name: &str, mut options: Options) -> Allowed<Arc<Table>> {
        let own_name = name.strip_prefix(SHARED).unwrap_or(name);
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
        if own_name.is_empty() || own_name.len() > 255 || !own_name.bytes().all(plain) {
            return badarg("a table's name has 1 to 255 letters, digits, '_', '-' and '.'");
        }
        if options.durable {
            return badarg("this server keeps no tables across restarts yet: open the table without durable");
        }
        options.max_objects = options.max_objects.min(self.limits.table_objects_max);
        options.max_bytes = options.max_bytes.min(self.limits.table_bytes_max);
        let full_name = if name == own_name { format!("{plugin}:{name}") } else { name.to_owned() };
        let mut tables = self.by_name.lock();
        if let Some(table) = tables.get(&full_name) {
            if table.kind() != options.kind {
                return badarg(format!("the table {name} is there already, as a {:?}", table.kind()));
            }
            if table.owner() == plugin {
                table.set_bounds(&options);
            }
            return Ok(table.clone());
        }
        if tables.values().filter(|table| table.owner() == plugin).count() as u64 >= self.limits.tables_max {
            return Err(Denied::Limit("tables_max"));
        }
        let table = Arc::new(Table::new(plugin.clone(), &options, &self.limits, self.bytes.clone()));
        tables.insert(full_name, table.clone());
        Ok(table)
    }

    /// The table of that full name.
    pub fn get(&self, full_name: &str) -> Option<Arc<Table>> {
        self.by_name.lock().get(full_name).cloned()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> (Tables, Arc<str>, Arc<str>) {
        (Tables::new(Arc::new(Limits { tables_max: 2, ..Limits::default() })), "ann".into(), "bob".into())
    }

    #[test]
    fn a_name_is_the_plugins_own_unless_shared() {
        let (tables, ann, bob) = tables();
        let anns = tables.open(&ann, "rooms", Options::default()).unwrap();
        let bobs = tables.open(&bob, "rooms", Options::default()).unwrap();
        anns.insert(&ann, vec![Object::new("k", "ann's")]).unwrap();
        assert_eq!(bobs.lookup(&[b"k".to_vec()]).unwrap(), [Vec::<Vec<u8>>::new()]);

        let shared = tables.open(&ann, "shared:rooms", Options::default()).unwrap();
        let same = tables.open(&bob, "shared:rooms", Options::default()).unwrap();
        shared.insert(&ann, vec![Object::new("k", "v")]).unwrap();
        assert_eq!(same.lookup(&[b"k".to_vec()]).unwrap(), [[b"v".to_vec()]]);
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
