//! What plugins log: the lines of rules and the faults of plugins. Each goes into the server's log, stays for operators
//! who look later, within bounds, and goes to those who follow.
//!
//! A lock is held to keep a line, never while readers are woken. So a reader asks for what is to come before it takes
//! what is kept, and lets pass what it has seen: lines are numbered.

use crate::clock;
use crate::limits::Limits;
use crate::log_lines::one_line;
use crate::topic::Topic;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How serious a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something failed that must not fail.
    Error,
    /// An operator should look at it.
    Warning,
    /// Worth knowing.
    Info,
    /// For whoever debugs the rule.
    Debug,
}

/// One line, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When, since 1970.
    pub time_ms: u64,
    /// How serious.
    pub level: Level,
    /// The plugin.
    pub plugin: Arc<str>,
    /// Its version, in the short form.
    pub version: Arc<str>,
    /// The topic and the number of the event that was being routed; none when the instance was being made.
    pub event: Option<(Topic, u64)>,
    /// The words, without control characters.
    pub line: String,
    /// Counts the lines of the plugin.
    number: u64,
}

/// Why a log cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFollowed {
    /// No instance of that plugin was ever made.
    #[error("there is no plugin of that name")]
    NoSuchPlugin,
    /// There are as many readers as there may be.
    #[error("as many follow plugins as may (plugin_log_readers_max)")]
    TooManyReaders,
}

/// The logs of all plugins.
pub struct PluginLogs {
    limits: Arc<Limits>,
    plugins: Mutex<BTreeMap<Arc<str>, Arc<PluginLog>>>,
    readers: Arc<Semaphore>,
}

/// The log of one plugin.
pub struct PluginLog {
    plugin: Arc<str>,
    line_bytes_max: usize,
    kept: Mutex<Kept>,
    followers: broadcast::Sender<Arc<Line>>,
}

/// A reader who follows a log.
pub struct Following {
    seen: VecDeque<Arc<Line>>,
    passed: u64,
    to_come: broadcast::Receiver<Arc<Line>>,
    plugin: Arc<str>,
    _place: OwnedSemaphorePermit,
}

impl PluginLogs {
    /// Nothing logged.
    pub fn new(limits: Arc<Limits>) -> Self {
        let readers = Arc::new(Semaphore::new((limits.plugin_log_readers_max as usize).min(Semaphore::MAX_PERMITS)));
        Self { limits, plugins: Mutex::default(), readers }
    }

    /// That of a plugin.
    pub fn of_plugin(&self, plugin: &Arc<str>) -> Arc<PluginLog> {
        let make = || Arc::new(PluginLog::new(plugin.clone(), &self.limits));
        self.plugins.lock().entry(plugin.clone()).or_insert_with(make).clone()
    }

    /// The last lines of a plugin, at most so many; none of a plugin that is unknown.
    pub fn tail(&self, plugin: &str, lines: usize) -> Vec<Arc<Line>> {
        let log = self.plugins.lock().get(plugin).cloned();
        log.map_or_else(Vec::new, |log| log.kept.lock().last(lines).collect())
    }

    /// The last lines of a plugin, then all that come.
    pub fn follow(&self, plugin: &str, lines: usize) -> Result<Following, NotFollowed> {
        let log = self.plugins.lock().get(plugin).cloned().ok_or(NotFollowed::NoSuchPlugin)?;
        let place = self.readers.clone().try_acquire_owned().map_err(|_| NotFollowed::TooManyReaders)?;
        let to_come = log.followers.subscribe();
        let (seen, passed) = {
            let kept = log.kept.lock();
            (kept.last(lines).collect(), kept.next)
        };
        Ok(Following { seen, passed, to_come, plugin: log.plugin.clone(), _place: place })
    }
}

impl PluginLog {
    fn new(plugin: Arc<str>, limits: &Limits) -> Self {
        Self {
            plugin,
            line_bytes_max: limits.log_bytes_max as usize,
            kept: Mutex::new(Kept::new(limits)),
            followers: broadcast::Sender::new(limits.plugin_log_unread_lines_max as usize),
        }
    }

    /// Logs a line, made one and cut to `log_bytes_max`.
    pub fn write(&self, level: Level, version: &Arc<str>, event: Option<&(Topic, u64)>, words: &str) {
        let mut line = one_line(words).into_owned();
        if line.len() > self.line_bytes_max {
            line.truncate(line.floor_char_boundary(self.line_bytes_max));
            line.push('…');
        }
        self.trace(level, version, event, &line);
        let (plugin, version, event) = (self.plugin.clone(), version.clone(), event.cloned());
        let line = Line { time_ms: clock::unix_ms(), level, plugin, version, event, line, number: 0 };
        let line = self.kept.lock().push(line);
        // It fails when nobody follows.
        let _ = self.followers.send(line);
    }

    /// Into the server's own log.
    fn trace(&self, level: Level, version: &str, event: Option<&(Topic, u64)>, line: &str) {
        let plugin = &*self.plugin;
        let (topic, event) = event.map(|(topic, event)| (tracing::field::display(topic), *event)).unzip();
        match level {
            Level::Error => tracing::error!(target: "plugin", plugin, version, topic, event, "{line}"),
            Level::Warning => tracing::warn!(target: "plugin", plugin, version, topic, event, "{line}"),
            Level::Info => tracing::info!(target: "plugin", plugin, version, topic, event, "{line}"),
            Level::Debug => tracing::debug!(target: "plugin", plugin, version, topic, event, "{line}"),
        }
    }
}

/// The last lines, within the bounds.
struct Kept {
    lines: VecDeque<Arc<Line>>,
    bytes: u64,
    next: u64,
    lines_max: u64,
    bytes_max: u64,
}

impl Kept {
    fn new(limits: &Limits) -> Self {
        let (lines_max, bytes_max) = (limits.plugin_log_lines_max, limits.plugin_log_bytes_max);
        Self { lines: VecDeque::new(), bytes: 0, next: 0, lines_max, bytes_max }
    }

    fn push(&mut self, line: Line) -> Arc<Line> {
        let line = Arc::new(Line { number: self.next, ..line });
        self.next += 1;
        self.bytes += bytes(&line);
        self.lines.push_back(line.clone());
        while self.lines.len() as u64 > self.lines_max || self.bytes > self.bytes_max {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= bytes(&oldest);
        }
        line
    }

    fn last(&self, lines: usize) -> impl Iterator<Item = Arc<Line>> {
        self.lines.range(self.lines.len().saturating_sub(lines)..).cloned()
    }
}

fn bytes(line: &Line) -> u64 {
    line.line.len() as u64
}

impl Following {
    /// The next line, when it comes. A reader who was too slow is told in a line how many it missed.
    pub async fn next(&mut self) -> Option<Arc<Line>> {
        if let Some(line) = self.seen.pop_front() {
            return Some(line);
        }
        loop {
            match self.to_come.recv().await {
                Ok(line) if line.number < self.passed => {}
                Ok(line) => return Some(line),
                Err(RecvError::Lagged(missed)) => return Some(self.missed(missed)),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn missed(&self, lines: u64) -> Arc<Line> {
        Arc::new(Line {
            time_ms: clock::unix_ms(),
            level: Level::Warning,
            plugin: self.plugin.clone(),
            version: "".into(),
            event: None,
            line: format!("{lines} lines came faster than this reader took them (plugin_log_unread_lines_max)"),
            number: 0,
        })
    }
}

#[cfg(test)]
#[path = "plugin_logs_tests.rs"]
mod tests;
