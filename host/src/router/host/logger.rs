//! The contract's `logger`: lines of a rule in the server's log, tagged and bounded.

use super::HostState;
use crate::router::contract::volley::router::logger::{Host, Level};

/// What one event of one instance has logged.
#[derive(Default)]
pub(crate) struct EventLog {
    event: u64,
    lines: u64,
    last_error: Option<String>,
}

impl EventLog {
    pub(super) fn begin(&mut self, event: u64) {
        *self = Self { event, ..Self::default() };
    }

    pub(super) fn take_last_error(&mut self) -> Option<String> {
        self.last_error.take()
    }
}

impl Host for HostState {
    fn log(&mut self, level: Level, mut message: String) -> wasmtime::Result<()> {
        let limits = &self.shared.limits;
        self.log.lines += 1;
        if self.log.lines > limits.log_lines_max {
            if self.log.lines == limits.log_lines_max + 1 {
                tracing::warn!(plugin = %self.plugin, event = self.log.event, "further lines of this event are dropped (log_lines_max)");
            }
            return Ok(());
        }
        if message.len() as u64 > limits.log_bytes_max {
            message.truncate(message.floor_char_boundary(limits.log_bytes_max as usize));
            message.push('…');
        }
        let (plugin, version, event) = (&*self.plugin, &*self.version, self.log.event);
        match level {
            Level::Error => tracing::error!(target: "plugin", plugin, version, event, "{message}"),
            Level::Warning => tracing::warn!(target: "plugin", plugin, version, event, "{message}"),
            Level::Info => tracing::info!(target: "plugin", plugin, version, event, "{message}"),
            Level::Debug => tracing::debug!(target: "plugin", plugin, version, event, "{message}"),
        }
        if let Level::Error = level {
            self.log.last_error = Some(message);
        }
        Ok(())
    }
}
