//! What durable tables hold, in one file of redb: a store whose commits are whole or have not happened, in one file, with
//! no thread and no dependency of its own. The tables themselves are in memory, so that this file is only written to in
//! batches, and read at the start.
//!
//! A code change changes tables and the state, which is another file. What it changed is staged here first, under a number
//! that the state names once the change has happened; the next start does what the state says.

use super::steps::{self, Step, perform};
use crate::tables::{Batch, Changes, KeptValues, Kind, TableChanges};
use anyhow::Context as _;
use parking_lot::Mutex;
use redb::backends::FileBackend;
use redb::{Builder, Database, ReadableDatabase as _, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// By full name, what a table is, as JSON.
type About = TableDefinition<'static, &'static str, &'static str>;
/// By full name and key, the values.
type Objects = TableDefinition<'static, (&'static str, &'static [u8]), Vec<(u64, &'static [u8])>>;

const TABLES: About = TableDefinition::new("tables");
const OBJECTS: Objects = TableDefinition::new("objects");
const STAGED_TABLES: About = TableDefinition::new("staged tables");
const STAGED_OBJECTS: Objects = TableDefinition::new("staged objects");
/// The number of what is staged.
const STAGE: TableDefinition<'static, (), u64> = TableDefinition::new("stage");

/// The file, which is made when there is something to write.
pub struct TableFile {
    path: PathBuf,
    cache_bytes: usize,
    database: Mutex<Option<Database>>,
}

/// What a table is.
#[derive(Serialize, Deserialize)]
struct TableAbout {
    owner: String,
    kind: Kind,
    /// Of what is staged: whether it stands in the place of all that is there.
    #[serde(default)]
    anew: bool,
}

impl TableFile {
    pub(super) fn at(path: PathBuf, cache_bytes: u64) -> Self {
        Self { path, cache_bytes: cache_bytes as usize, database: Mutex::default() }
    }

    /// All that was kept, given the number of the code change that the state names.
    pub fn load(&self, stage: u64) -> anyhow::Result<Changes> {
        if !self.path.exists() {
            return Ok(Changes::new());
        }
        self.with(|database| {
            if stage > 0 {
                let transaction = begin(database)?;
                apply(&transaction, &staged(&transaction, stage)?)?;
                end_stage(&transaction)?;
                transaction.commit()?;
            }
            let reading = database.begin_read()?;
            read(&reading.open_table(TABLES)?, &reading.open_table(OBJECTS)?)
        })
        .with_context(|| {
            format!(
                "can't read {}: take it from a backup, or move it away to start with empty tables",
                self.path.display()
            )
        })
    }

    /// Writes a batch. Once this returns it is on the disk, and before that all of it is not.
    pub fn write(&self, batch: &Batch) -> anyhow::Result<()> {
        self.commit(|transaction| {
            apply(transaction, &batch.changes)?;
            if batch.ends_stage { end_stage(transaction) } else { Ok(()) }
        })
    }

    /// Writes what a code change has changed beside what is there, until the state names its number or it is written.
    pub fn stage(&self, number: u64, changes: &Changes) -> anyhow::Result<()> {
        self.commit(|transaction| {
            end_stage(transaction)?;
            let mut tables = transaction.open_table(STAGED_TABLES)?;
            let mut objects = transaction.open_table(STAGED_OBJECTS)?;
            for (name, changes) in changes {
                tables.insert(&**name, &*about(changes, changes.anew))?;
                for (key, values) in &changes.keys {
                    objects.insert((&**name, &**key), lend(values))?;
                }
            }
            transaction.open_table(STAGE)?.insert((), number)?;
            Ok(())
        })
    }

    fn commit(&self, change: impl FnOnce(&WriteTransaction) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.with(|database| {
            let transaction = begin(database)?;
            change(&transaction)?;
            perform(&Step::Commit)?;
            Ok(transaction.commit()?)
        })
        .with_context(|| format!("can't write {}", self.path.display()))
    }

    fn with<T>(&self, work: impl FnOnce(&Database) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut database = self.database.lock();
        if database.is_none() {
            *database = Some(self.open()?);
        }
        let done = database.as_ref().context("it is open")?;
        let done = work(done);
        if done.is_err() {
            // After an error of the disk a database refuses all further work: it is opened anew.
            *database = None;
        }
        done
    }

    fn open(&self) -> anyhow::Result<Database> {
        if self.path.exists() {
            return open(&self.path, self.cache_bytes);
        }
        let fresh = steps::fresh(&self.path);
        let database = open(&fresh, self.cache_bytes)?;
        begin(&database)?.commit()?;
        drop(database);
        steps::adopt(&fresh, &self.path)?;
        open(&self.path, self.cache_bytes)
    }
}

fn open(path: &Path, cache_bytes: usize) -> anyhow::Result<Database> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    Ok(Builder::new().set_cache_size(cache_bytes).create_with_backend(FileBackend::new(file)?)?)
}

fn begin(database: &Database) -> anyhow::Result<WriteTransaction> {
    let transaction = database.begin_write()?;
    // All of them are there from the first commit on.
    transaction.open_table(TABLES)?;
    transaction.open_table(OBJECTS)?;
    Ok(transaction)
}

fn apply(transaction: &WriteTransaction, changes: &Changes) -> anyhow::Result<()> {
    let mut tables = transaction.open_table(TABLES)?;
    let mut objects = transaction.open_table(OBJECTS)?;
    for (name, changes) in changes {
        // A name has no zero byte, so that this is the next one.
        let next = format!("{name}\0");
        let all = || (&**name, &[][..])..(&*next, &[][..]);
        if changes.anew {
            objects.retain_in(all(), |_, _| false)?;
        }
        for (key, values) in &changes.keys {
            if values.is_empty() {
                objects.remove((&**name, &**key))?;
            } else {
                objects.insert((&**name, &**key), lend(values))?;
            }
        }
        if objects.range(all())?.next().is_some() {
            tables.insert(&**name, &*about(changes, false))?;
        } else {
            // Whoever opens it next may do so as another kind of table.
            tables.remove(&**name)?;
        }
    }
    Ok(())
}

/// What is staged under that number.
fn staged(transaction: &WriteTransaction, number: u64) -> anyhow::Result<Changes> {
    let is_meant = transaction.open_table(STAGE)?.get(())?.is_some_and(|staged| staged.value() == number);
    if is_meant {
        read(&transaction.open_table(STAGED_TABLES)?, &transaction.open_table(STAGED_OBJECTS)?)
    } else {
        Ok(Changes::new())
    }
}

fn end_stage(transaction: &WriteTransaction) -> anyhow::Result<()> {
    transaction.delete_table(STAGE)?;
    transaction.delete_table(STAGED_TABLES)?;
    transaction.delete_table(STAGED_OBJECTS)?;
    Ok(())
}

fn read(
    tables: &impl ReadableTable<&'static str, &'static str>,
    objects: &impl ReadableTable<(&'static str, &'static [u8]), Vec<(u64, &'static [u8])>>,
) -> anyhow::Result<Changes> {
    let mut changes = Changes::new();
    for row in tables.iter()? {
        let (name, about) = row?;
        let TableAbout { owner, kind, anew } = serde_json::from_str(about.value())?;
        changes.insert(name.value().into(), TableChanges { owner: owner.into(), kind, anew, keys: BTreeMap::new() });
    }
    for row in objects.iter()? {
        let (at, values) = row?;
        let (name, key) = at.value();
        let table = changes.get_mut(name).with_context(|| format!("{name:?} is no table"))?;
        table.keys.insert(key.to_vec(), values.value().into_iter().map(|(at, value)| (at, value.to_vec())).collect());
    }
    Ok(changes)
}

fn about(changes: &TableChanges, anew: bool) -> String {
    let about = TableAbout { owner: changes.owner.to_string(), kind: changes.kind, anew };
    serde_json::to_string(&about).expect("its keys are texts")
}

fn lend(values: &KeptValues) -> Vec<(u64, &[u8])> {
    values.iter().map(|(at, value)| (*at, &**value)).collect()
}
