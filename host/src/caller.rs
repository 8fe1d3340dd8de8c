//! For whom tables, groups and timers do something.

use crate::history::NOBODY;
use crate::journal::Journal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A plugin, and how what it does is recorded.
pub struct Caller {
    /// The plugin's name.
    pub plugin: Arc<str>,
    /// Where a code change records what it does; none otherwise.
    pub journal: Option<Arc<Journal>>,
    /// The event that is routed; [`NOBODY`] when none is.
    pub event: u64,
    /// When the last call saw what it saw, just before it changed anything.
    moment: AtomicU64,
}

impl Caller {
    /// A plugin as it routes.
    pub fn of(plugin: impl Into<Arc<str>>) -> Self {
        Self { plugin: plugin.into(), journal: None, event: NOBODY, moment: AtomicU64::new(0) }
    }

    /// Said by whatever is called, under its lock.
    pub fn sees(&self, moment: u64) {
        self.moment.store(moment, Relaxed);
    }

    /// When the last call saw what it saw.
    pub fn moment(&self) -> u64 {
        self.moment.load(Relaxed)
    }
}
