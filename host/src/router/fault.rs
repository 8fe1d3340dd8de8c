//! Why a rule failed, in words for its author and for the client whose event it was; never a stack of the host.

use crate::router::host::HostState;
use std::fmt;
use wasmtime::{Trap, WasmBacktrace};

/// How many of the guest's functions are named.
const FRAMES_MAX: usize = 8;

/// A rule failed on one event, or at its start.
#[derive(Debug)]
pub struct Fault(String);

impl Fault {
    /// In words.
    pub(super) fn words(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    /// Of a call that may have taken `ms_max`, by the limit of that name.
    pub(super) fn of_call(error: &wasmtime::Error, ms_max: u64, limit: &str, state: &mut HostState) -> Self {
        // What the rule logged as an error just before: the words of its panic.
        let said = state.take_last_error();
        if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
            let names: Vec<String> = backtrace
                .frames()
                .iter()
                .take(FRAMES_MAX)
                .filter_map(|frame| frame.func_name().map(str::to_owned))
                .collect();
            tracing::debug!(guest_stack = ?names, "where the guest was");
        }
        let words = match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => format!("stopped after {ms_max} ms ({limit})"),
            _ if state.wanted_too_much() => "wanted more memory than it may have (instance_bytes_max)".into(),
            Some(Trap::UnreachableCodeReached) => match said {
                Some(said) if said.starts_with("panicked") => said,
                Some(said) => format!("panicked: {said}"),
                None => "panicked (trap: unreachable)".into(),
            },
            Some(trap) => format!("trapped: {trap}"),
            None => format!("trapped: {}", error.root_cause()),
        };
        Self(words)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
