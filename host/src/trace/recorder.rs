//! Where plugins are recorded: one recording each at most. Lanes ask here whether an event is wanted, which is one load for
//! each event of a plugin that is not recorded.

use super::FORMAT;
use super::line::Header;
use super::recording::{Recording, Status};
use super::redact::{Redacted, Redaction};
use crate::clock;
use crate::limits::Limits;
use crate::topic::{Pattern, Topic};
use bytes::Bytes;
use parking_lot::Mutex;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The bounds that a rule can feel, and a replay repeats.
const OF_RULES: [&str; 22] = [
    "deliveries_max",
    "event_bytes_max",
    "expression_ops_max",
    "group_bytes_max",
    "group_members_max",
    "init_ms_max",
    "instance_bytes_max",
    "log_bytes_max",
    "log_lines_max",
    "outcome_bytes_max",
    "recipients_max",
    "route_ms_max",
    "scopes_max",
    "table_answer_bytes_max",
    "table_bytes_max",
    "table_call_max",
    "table_objects_max",
    "tables_bytes_max",
    "tables_max",
    "timers_bytes_max",
    "timers_max",
    "instance_events_max",
];

/// How many events are recorded when nobody says.
const EVENTS: u64 = 1_000;

/// What is to be recorded.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wanted {
    /// So many events; then it ends. None for a thousand, or as many as there may be.
    pub events: Option<u64>,
    /// The share of the events.
    pub sample: f64,
    /// What is taken out.
    pub redact: Vec<Redacted>,
    /// Only topics like this.
    pub topics: Option<String>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { events: None, sample: 1.0, redact: Vec::new(), topics: None }
    }
}

/// Why there is no recording.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Unfit(String),
    /// Other plugins are recorded.
    #[error("other recordings take all the room (record_bytes_max): DELETE those that nobody needs")]
    NoRoom,
    /// One is there already.
    #[error(
        "there is a recording of this plugin, which only one may be: DELETE it first (`volley record` does when it ends)"
    )]
    OneAtATime,
}

/// The recordings of all plugins.
pub struct Traces {
    limits: Arc<Limits>,
    room: Arc<AtomicU64>,
    recorders: Mutex<BTreeMap<Arc<str>, Arc<Recorder>>>,
}

/// The place of a plugin's recording.
pub struct Recorder {
    plugin: Arc<str>,
    limits: Arc<Limits>,
    room: Arc<AtomicU64>,
    /// The number of the recording that goes on, or zero: all that a lane looks at when there is none.
    goes_on: Arc<AtomicU64>,
    recording: Mutex<Option<Arc<Recording>>>,
}

impl Traces {
    /// Nothing is recorded.
    pub fn new(limits: Arc<Limits>) -> Self {
        Self { limits, room: Arc::default(), recorders: Mutex::default() }
    }

    /// That of a plugin.
    pub fn of_plugin(&self, plugin: &Arc<str>) -> Arc<Recorder> {
        let make = || {
            Arc::new(Recorder {
                plugin: plugin.clone(),
                limits: self.limits.clone(),
                room: self.room.clone(),
                goes_on: Arc::default(),
                recording: Mutex::default(),
            })
        };
        self.recorders.lock().entry(plugin.clone()).or_insert_with(make).clone()
    }

    /// What all recordings take.
    pub fn bytes(&self) -> u64 {
        self.room.load(Relaxed)
    }
}

impl Recorder {
    /// Begins to record events of this node.
    pub fn start(&self, wanted: &Wanted, node: u16) -> Result<Status, Refused> {
        let unfit = |words: String| Err(Refused::Unfit(words));
        let events_max = self.limits.record_events_max;
        let events = wanted.events.unwrap_or(EVENTS.min(events_max));
        if events == 0 || events > events_max {
            return unfit(format!("events is from 1 to {events_max} (record_events_max)"));
        }
        if !(wanted.sample > 0.0 && wanted.sample <= 1.0) {
            return unfit("sample is a share of the events: more than 0, and 1 at most".into());
        }
        let topics = wanted.topics.as_deref().map(str::parse::<Pattern>).transpose();
        let topics = topics.map_err(|error| Refused::Unfit(format!("topics: {error}")))?;
        let mut place = self.recording.lock();
        if place.is_some() {
            return Err(Refused::OneAtATime);
        }
        let redaction = Redaction::of(&wanted.redact);
        let (began_ms, redacted) = (clock::unix_ms(), redaction.kinds());
        let bounds = OF_RULES.into_iter().filter_map(|name| Some((name.to_owned(), self.limits.get(name)?)));
        let header = Header {
            trace: FORMAT,
            volley: env!("CARGO_PKG_VERSION").into(),
            node,
            plugin: self.plugin.to_string(),
            began_ms,
            sample: wanted.sample,
            topics: wanted.topics.clone(),
            faithful: redacted.is_empty(),
            redacted,
            limits: bounds.collect(),
        };
        let place_of = (self.limits.clone(), self.room.clone(), self.goes_on.clone());
        let recording = Recording::new(header, events, topics, redaction, place_of).ok_or(Refused::NoRoom)?;
        recording.begin();
        let status = recording.status();
        *place = Some(Arc::new(recording));
        Ok(status)
    }

    /// What an event of the topic is to be recorded by: none for most, quickly.
    pub fn wants(&self, topic: &Topic) -> Option<Arc<Recording>> {
        if self.goes_on.load(Relaxed) == 0 {
            return None;
        }
        self.recording.lock().clone().filter(|recording| recording.wants(topic))
    }

    /// How it does; none when there is none.
    pub fn status(&self) -> Option<Status> {
        self.recording.lock().clone().map(|recording| recording.status())
    }

    /// The whole lines that are there, less so many bytes of them that somebody has already.
    pub fn lines(&self, from: u64) -> Option<Vec<Bytes>> {
        self.recording.lock().clone().map(|recording| recording.lines(from))
    }

    /// Ends and forgets it; whether there was one.
    pub fn remove(&self) -> bool {
        // A lane that is at an event of it finds that it is over.
        self.recording.lock().take().inspect(|recording| recording.forget()).is_some()
    }
}

#[cfg(test)]
#[path = "recording_tests.rs"]
mod tests;
