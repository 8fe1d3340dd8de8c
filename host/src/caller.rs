//! For whom tables, groups and timers do something.

use crate::journal::Journal;
use std::sync::Arc;

/// A plugin, and how what it does is recorded.
#[derive(Clone)]
pub struct Caller {
    /// The plugin's name.
    pub plugin: Arc<str>,
    /// Where a code change records what it does; none otherwise.
    pub journal: Option<Arc<Journal>>,
}

impl Caller {
    /// A plugin as it routes.
    pub fn of(plugin: impl Into<Arc<str>>) -> Self {
        Self { plugin: plugin.into(), journal: None }
    }
}
