//! What an instance of a rule may ask of the server: one file for each interface of the contract, and here what belongs
//! to an instance. A host function has its own bounds, since epochs do not interrupt it.

mod candidate;
mod erlang;
mod ets;
mod logger;
mod overlay;
mod pg;
mod shadow;

use crate::caller::Caller;
use crate::denied::{Allowed, Denied, badarg};
use crate::event::{Event, Payload};
use crate::history::NOBODY;
use crate::journal::Journal;
use crate::router::contract::volley::router::types;
use crate::router::notes::Notes;
use crate::router::source::Source;
use crate::router::tape::Tape;
use crate::shared::Shared;
use candidate::{Opened, Own};
use prometheus_client::metrics::gauge::Gauge;
use shadow::Shadowing;
use std::sync::Arc;
use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;

/// Handles to tables and scopes that an instance may hold; a rule that opens one for each event must close it again.
const HANDLES_MAX: usize = 10_000;

/// Elements of a rule's tables of functions; real ones have hundreds.
const TABLE_ELEMENTS_MAX: usize = 100_000;

/// The host's side of one instance.
pub(crate) struct HostState {
    shared: Arc<Shared>,
    /// The plugin, and the journal of a code change.
    caller: Caller,
    version: Arc<str>,
    handles: ResourceTable,
    memory: Memory,
    stage: Stage,
    /// What was not there when it was opened: nobody else sees it.
    own: Own,
    /// Of the event that is routed, if a shadow is to route it, too.
    tape: Option<Tape>,
    /// Of the event that is routed, if it is recorded.
    notes: Option<Box<Notes>>,
    /// Where time and chance come from.
    source: Source,
    log: logger::EventLog,
}

/// How far an instance has come, and so what it may do.
enum Stage {
    /// `init` runs or has run, and it may never route: nothing it does is seen, and what it opens is opened later.
    Candidate(Vec<Opened>),
    /// It routes.
    Live,
    /// It is asked again what a live instance was asked, and nothing it does has an effect.
    Shadow(Box<Shadowing>),
}

impl HostState {
    /// Of an instance of that plugin, in that version.
    pub(super) fn new(plugin: Arc<str>, version: Arc<str>, shared: &Arc<Shared>) -> Self {
        let metrics = shared.metrics.of_plugin(&plugin);
        let log = logger::EventLog::of(shared.plugin_logs.of_plugin(&plugin));
        let mut handles = ResourceTable::new();
        handles.set_max_capacity(HANDLES_MAX);
        Self {
            shared: shared.clone(),
            caller: Caller::of(plugin),
            version,
            handles,
            stage: Stage::Candidate(Vec::new()),
            memory: Memory::new(shared.limits.instance_bytes_max as usize, metrics.memory.clone()),
            own: Own::default(),
            tape: None,
            notes: None,
            source: Source::Host,
            log,
        }
    }

    pub(super) fn limiter(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.memory
    }

    pub(super) fn begin_event(&mut self, event: &Event) {
        self.log.begin(Some(event));
        self.begin_call(event.id);
    }

    /// A call that is for no event.
    pub(super) fn begin_code_change(&mut self, journal: &Arc<Journal>) {
        self.log.begin(None);
        self.begin_call(NOBODY);
        self.caller.journal = Some(journal.clone());
    }

    pub(super) fn end_code_change(&mut self) {
        self.caller.journal = None;
    }

    fn begin_call(&mut self, event: u64) {
        self.caller.event = event;
        self.memory.refused = false;
    }

    /// What `init` may not do: it runs for an instance that may never route.
    fn unless_initialising(&self, what: &str) -> Allowed<()> {
        match self.stage {
            Stage::Live | Stage::Shadow(_) => Ok(()),
            Stage::Candidate(_) => badarg(format!("init {what}")),
        }
    }

    /// Whether the rule has asked for more memory than it may have since the event began.
    pub(super) fn wanted_too_much(&self) -> bool {
        self.memory.refused
    }

    /// What the rule logged as an error since the event began: the words of its panic.
    pub(super) fn take_last_error(&mut self) -> Option<String> {
        self.log.take_last_error()
    }
}

/// What an instance may take.
struct Memory {
    bytes_max: usize,
    /// It has asked for more.
    refused: bool,
    /// What it has taken, and where that is counted.
    bytes: usize,
    counted: Gauge,
}

impl Memory {
    fn new(bytes_max: usize, counted: Gauge) -> Self {
        Self { bytes_max, refused: false, bytes: 0, counted }
    }

    fn count(&mut self, bytes: usize) {
        self.counted.inc_by(bytes as i64 - self.bytes as i64);
        self.bytes = bytes;
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.count(0);
    }
}

impl ResourceLimiter for Memory {
    /// An instance has one memory at most, since the pool has no more for it.
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let fits = desired <= self.bytes_max;
        self.refused |= !fits;
        if fits {
            self.count(desired);
        }
        Ok(fits)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}

impl types::Host for HostState {}

/// As the rule gets it.
fn error(denied: Denied) -> types::Error {
    match denied {
        Denied::Badarg(words) => types::Error::Badarg(words),
        Denied::NotOwner => types::Error::NotOwner,
        Denied::Limit(name) => types::Error::SystemLimit(name.into()),
    }
}

/// Where the contract has no answer for it.
fn trap(denied: Denied) -> wasmtime::Error {
    wasmtime::Error::new(denied)
}

/// A payload that came from a rule; its JSON is not checked yet.
pub(crate) fn lift_payload(payload: types::PayloadResult) -> Payload {
    match payload {
        types::PayloadResult::Json(json) => Payload::Json(json.into()),
        types::PayloadResult::Text(text) => Payload::Text(text),
        types::PayloadResult::Binary(bytes) => Payload::Binary(bytes.into()),
    }
}

#[cfg(test)]
mod calls_tests;
#[cfg(test)]
mod code_change_tests;
#[cfg(test)]
mod given_tests;
#[cfg(test)]
mod replay_tests;
