//! What a queue remembers of its jobs: where each one is, in the table `jobs`, and under which key.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use volley_plugin::{Key, Pid, Timer};

/// What a job is about, and its place in the queue: written once, however often it changes hands.
#[derive(Deserialize, Serialize)]
pub(crate) struct Job {
    pub(crate) place: u64,
    pub(crate) data: Box<RawValue>,
}

/// A job is either waiting or held; what it is about is in the table `data`.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    Waiting(Waiting),
    Held(Held),
}

/// A job that nobody has. Its place in the queue is its key.
#[derive(Deserialize, Serialize)]
pub(crate) struct Waiting {
    pub(crate) id: String,
    /// That have come to nothing.
    pub(crate) attempts: u32,
}

/// A job that a worker has.
#[derive(Deserialize, Serialize)]
pub(crate) struct Held {
    pub(crate) worker: Pid,
    pub(crate) attempt: u32,
    /// Its place when it is given back.
    pub(crate) place: u64,
    /// Which says that it is late.
    pub(crate) timer: Timer,
}

/// What the timer of a job carries.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Alarm {
    /// If that attempt is still the job's.
    Late { job: String, attempt: u32 },
    /// There was more to hand out than one event may.
    More,
}

/// What a worker receives.
#[derive(Serialize)]
pub(crate) struct Message {
    pub(crate) job: String,
    pub(crate) attempt: u32,
    pub(crate) data: Box<RawValue>,
}

/// What kind of object it is; its letter stands in the key.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Tag {
    Waiting = b'W',
    Held = b'H',
}

/// The key of a job's data, and of those that are dead.
pub(crate) fn data_key(topic: &str, id: &str) -> Vec<u8> {
    [topic.as_bytes(), &[0], id.as_bytes()].concat()
}

/// The key of what a queue has under a name; with an empty one the prefix of all of a kind.
pub(crate) fn key(topic: &str, tag: Tag, name: &str) -> Vec<u8> {
    [topic.as_bytes(), &[0, tag as u8], name.as_bytes()].concat()
}

/// Jobs wait in the order in which they were put in: events are numbered so.
pub(crate) fn waiting(topic: &str, place: u64) -> Vec<u8> {
    let mut bytes = key(topic, Tag::Waiting, "");
    place.write(&mut bytes);
    bytes
}

/// The place that is in such a key.
pub(crate) fn place(key: &[u8]) -> u64 {
    key.last_chunk().map_or(0, |place| u64::from_be_bytes(*place))
}
