//! The contract's `logger`: lines of a rule in the server's log, tagged and bounded.

use super::HostState;
use crate::log_lines::{LogRate, one_line};
use crate::router::contract::volley::router::logger::{Host, Level};

/// What one instance has logged, for the event that it routes.
#[derive(Default)]
pub(crate) struct EventLog {
    event: u64,
    lines: u64,
    last_error: Option<String>,
    rate: LogRate,
}

impl EventLog {
    pub(super) fn begin(&mut self, event: u64) {
        (self.event, self.lines, self.last_error) = (event, 0, None);
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
                tracing::warn!(plugin = %self.caller.plugin, event = self.log.event, "further lines of this event are dropped (log_lines_max)");
            }
            return Ok(());
        }
        if message.len() as u64 > limits.log_bytes_max {
            message.truncate(message.floor_char_boundary(limits.log_bytes_max as usize));
            message.push('…');
        }
        if let Some(unsaid) = self.log.rate.admit(limits.log_lines_per_s_max) {
            if unsaid > 0 {
                tracing::warn!(plugin = %self.caller.plugin, unsaid, "lines of this rule were dropped (log_lines_per_s_max)");
            }
            let (plugin, version, event, line) =
                (&*self.caller.plugin, &*self.version, self.log.event, one_line(&message));
            match level {
                Level::Error => tracing::error!(target: "plugin", plugin, version, event, "{line}"),
                Level::Warning => tracing::warn!(target: "plugin", plugin, version, event, "{line}"),
                Level::Info => tracing::info!(target: "plugin", plugin, version, event, "{line}"),
                Level::Debug => tracing::debug!(target: "plugin", plugin, version, event, "{line}"),
            }
        }
        if let Level::Error = level {
            self.log.last_error = Some(message);
        }
        Ok(())
    }
}
