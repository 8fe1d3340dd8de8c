//! The contract's `logger`: lines of a rule in its plugin's log, tagged and bounded.

use super::HostState;
use crate::event::Event;
use crate::log_lines::LogRate;
use crate::plugin_logs::{self, PluginLog};
use crate::router::contract::volley::router::logger::{Host, Level};
use crate::topic::Topic;
use std::sync::Arc;

/// What one instance has logged, for the event that it routes.
pub(crate) struct EventLog {
    plugin: Arc<PluginLog>,
    /// None until the first one.
    event: Option<(Topic, u64)>,
    lines: u64,
    last_error: Option<String>,
    rate: LogRate,
}

impl EventLog {
    pub(super) fn of(plugin: Arc<PluginLog>) -> Self {
        Self { plugin, event: None, lines: 0, last_error: None, rate: LogRate::default() }
    }

    pub(super) fn begin(&mut self, event: Option<&Event>) {
        self.event = event.map(|event| (event.topic.clone(), event.id));
        (self.lines, self.last_error) = (0, None);
    }

    pub(super) fn take_last_error(&mut self) -> Option<String> {
        self.last_error.take()
    }
}

impl Host for HostState {
    fn log(&mut self, level: Level, mut message: String) -> wasmtime::Result<()> {
        let (limits, log) = (&self.shared.limits, &mut self.log);
        let write = |level, words: &str| log.plugin.write(level, &self.version, log.event.as_ref(), words);
        log.lines += 1;
        if log.lines > limits.log_lines_max {
            if log.lines == limits.log_lines_max + 1 {
                write(plugin_logs::Level::Warning, "further lines of this event are dropped (log_lines_max)");
            }
            return Ok(());
        }
        if let Some(unsaid) = log.rate.admit(limits.log_lines_per_s_max) {
            if unsaid > 0 {
                let words = format!("{unsaid} lines of this rule were dropped (log_lines_per_s_max)");
                write(plugin_logs::Level::Warning, &words);
            }
            write(lift_level(level), &message);
        }
        if let Level::Error = level {
            message.truncate(message.floor_char_boundary(limits.log_bytes_max as usize));
            log.last_error = Some(message);
        }
        Ok(())
    }
}

fn lift_level(level: Level) -> plugin_logs::Level {
    match level {
        Level::Error => plugin_logs::Level::Error,
        Level::Warning => plugin_logs::Level::Warning,
        Level::Info => plugin_logs::Level::Info,
        Level::Debug => plugin_logs::Level::Debug,
    }
}
