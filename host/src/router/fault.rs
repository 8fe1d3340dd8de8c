//! What wasmtime says of a failed call, as a fault: never a stack of the host.

use crate::router::host::HostState;
use std::fmt::{self, Write as _};
use wasmtime::{Trap, WasmBacktrace};

pub(super) use crate::fault::{Fault, FaultKind};

/// How many of the guest's functions are named; the innermost tell most.
const FUNCTIONS_MAX: usize = 8;
/// How much of a function's name is shown.
const NAME_BYTES_MAX: usize = 160;
/// The crates and functions through which every panic and every call goes. Where they come from, nobody has to be told.
const MACHINERY: [&str; 15] = [
    "core::",
    "std::",
    "alloc::",
    "dlmalloc::",
    "__rust",
    "rust_",
    "abort",
    "volley_plugin::glue::",
    "volley_plugin::bindings::",
    "volley:router/",
    // Of Go, whose names have dots.
    "runtime.",
    "volley.",
    "volley_internal_",
    "volley_router_handler_",
    "wasm_pc_f_loop",
];

/// Python's.
const INTERPRETER: &str = "_PyEval_EvalFrameDefault";

impl Fault {
    /// Of a call that may have taken `ms_max`, by the limit of that name.
    pub(super) fn of_call(error: &wasmtime::Error, ms_max: u64, limit: &str, state: &mut HostState) -> Self {
        // What the rule logged as an error just before: the words of its panic.
        let said = state.take_last_error();
        let has_words = said.is_some();
        let (kind, words) = match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => (FaultKind::Deadline, format!("stopped after {ms_max} ms ({limit})")),
            _ if state.wanted_too_much() => {
                (FaultKind::Memory, "wanted more memory than it may have (instance_bytes_max)".into())
            }
            Some(Trap::UnreachableCodeReached) => (FaultKind::Panic, panic_words(said)),
            Some(trap) => (FaultKind::Trap, format!("trapped: {trap}")),
            None => (FaultKind::Trap, format!("trapped: {}", error.root_cause())),
        };
        let frames = error.downcast_ref::<WasmBacktrace>().map_or(&[][..], WasmBacktrace::frames);
        let names: Vec<&str> = frames.iter().filter_map(|frame| frame.func_name()).collect();
        // Where an interpreter was says nothing of the rule that it ran, and the words do.
        let stack = if has_words && names.contains(&INTERPRETER) { Vec::new() } else { stack(&names) };
        Self::new(kind, words).with_stack(stack)
    }
}

fn panic_words(said: Option<String>) -> String {
    match said {
        Some(said) if said.starts_with("panicked") => said,
        Some(said) => format!("panicked: {said}"),
        None => "panicked (trap: unreachable)".into(),
    }
}

/// The rule's own functions, the innermost first; one that calls itself is named once. All of them, if none is its own.
fn stack(names: &[&str]) -> Vec<String> {
    let own = shown(names, |name| !is_machinery(name));
    if own.is_empty() { shown(names, |_| true) } else { own }
}

fn shown(names: &[&str], wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut shown = Vec::new();
    for name in names.iter().map(|name| readable(name)).filter(|name| wanted(name)) {
        if shown.last() != Some(&name) {
            shown.push(name);
        }
    }
    shown.truncate(FUNCTIONS_MAX);
    shown
}

fn is_machinery(name: &str) -> bool {
    let name = name.trim_start_matches('<');
    MACHINERY.iter().any(|prefix| name.starts_with(prefix))
}

/// Demangled, in case it still has to be; and cut, since a component may call its functions what it likes.
fn readable(name: &str) -> String {
    let mut cut = Cut(String::new());
    // It fails when there is no more room.
    let _ = write!(cut, "{:#}", rustc_demangle::demangle(name));
    cut.0
}

/// Takes so much and no more.
struct Cut(String);

impl fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = NAME_BYTES_MAX - self.0.len().min(NAME_BYTES_MAX);
        let end = text.floor_char_boundary(room);
        self.0.push_str(&text[..end]);
        if end < text.len() {
            self.0.push('…');
            return Err(fmt::Error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_own_functions_are_named_and_what_panics_go_through_is_not() {
        let names = [
            "abort",
            "_RNvNtCsgXGp5Oqx2Ny_4core9panicking9panic_fmt",
            "<alloc::vec::Vec<T> as core::ops::Drop>::drop",
            "_ZN11guest_probe6faults7recurse17h80c2e86038cfe581E",
            "guest_probe::faults::recurse",
            "<guest_probe::Probe as volley_plugin::Rule>::route",
            "volley_plugin::glue::route::<guest_probe::Probe>",
            "volley:router/handler@0.1.0#route",
        ];
        let own = ["guest_probe::faults::recurse", "<guest_probe::Probe as volley_plugin::Rule>::route"];
        assert_eq!(stack(&names), own);
    }

    #[test]
    fn machinery_is_better_than_nothing() {
        assert_eq!(stack(&["core::panicking::panic"]), ["core::panicking::panic"]);
        assert!(stack(&[]).is_empty());
    }

    #[test]
    fn a_component_may_call_its_functions_what_it_likes() {
        let long = "ä".repeat(100_000);
        let many: Vec<String> = (0..100).map(|n| format!("{n}{long}")).collect();
        let named = stack(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(named.len(), FUNCTIONS_MAX);
        assert!(named.iter().all(|name| name.len() <= NAME_BYTES_MAX + '…'.len_utf8() && name.ends_with('…')));
    }
}
