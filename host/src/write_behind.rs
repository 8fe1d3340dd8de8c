//! The thread that brings what durable tables have changed to the disk, behind the lanes' backs.

use crate::data::Disk;
use crate::shared::Shared;
use crate::tables::{Batch, Unwritten};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long after a failure of the disk it is tried again (arbitrary).
const RETRY: Duration = Duration::from_secs(1);

/// The thread.
pub struct WriteBehind {
    unwritten: Arc<Unwritten>,
    thread: JoinHandle<()>,
}

impl WriteBehind {
    /// Writes what has changed `write_behind_ms` after it has, or at once where somebody waits for it.
    pub fn start(unwritten: Arc<Unwritten>, disk: Arc<Disk>, shared: Arc<Shared>) -> std::io::Result<Self> {
        let from = unwritten.clone();
        let run = move || run(&from, &disk, &shared);
        let thread = std::thread::Builder::new().name("write-behind".into()).spawn(run)?;
        Ok(Self { unwritten, thread })
    }

    /// Nothing comes any more: it writes what waits, and ends.
    pub fn close(&self) {
        self.unwritten.close();
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

fn run(unwritten: &Unwritten, disk: &Disk, shared: &Shared) {
    let every = Duration::from_millis(shared.limits.write_behind_ms);
    while let Some(batch) = unwritten.take(every) {
        let begun = Instant::now();
        match write(disk, &batch) {
            Ok(true) => {
                shared.metrics.table_commit.add_ns(begun.elapsed().as_nanos() as u64);
                unwritten.written(&batch);
            }
            Ok(false) => unwritten.forget(),
            Err(error) => {
                shared.metrics.table_commit_failures.inc();
                tracing::error!("changes of durable tables can't be written, which is tried again: {error:#}");
                unwritten.put_back(batch, RETRY);
            }
        }
    }
}

/// Whether there is a place to write to.
fn write(disk: &Disk, batch: &Batch) -> anyhow::Result<bool> {
    disk.folder()?.map_or(Ok(false), |folder| folder.tables().write(batch).map(|()| true))
}
