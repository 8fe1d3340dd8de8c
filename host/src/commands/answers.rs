//! What the admin API answers, as far as people are shown it. What an older server does not say is empty.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// `GET /plugins`.
#[derive(Deserialize)]
pub(super) struct PluginList {
    pub(super) plugins: Vec<Plugin>,
}

/// A plugin.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Plugin {
    pub(super) name: String,
    pub(super) active: Option<String>,
    pub(super) previous: Option<String>,
    pub(super) goes_back: Option<bool>,
    pub(super) generation: u64,
    pub(super) versions: Vec<Version>,
    pub(super) queued: u64,
    pub(super) calls: u64,
    pub(super) refusals: u64,
    pub(super) traps: u64,
    pub(super) busy: u64,
    pub(super) recipients: u64,
    pub(super) p50_us: Option<f64>,
    pub(super) p99_us: Option<f64>,
    pub(super) memory_bytes: Option<u64>,
    pub(super) rolled_back: Option<RolledBack>,
    pub(super) mounts: Vec<Mount>,
}

/// One of its versions. The names are the API's.
#[allow(clippy::struct_field_names)]
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Version {
    pub(super) version: String,
    pub(super) state: String,
    pub(super) source: String,
    pub(super) bytes: u64,
    pub(super) name: String,
    pub(super) release: String,
    pub(super) description: String,
    pub(super) pushed_ms: Option<u64>,
    pub(super) signed_by: Option<String>,
    pub(super) migrates: bool,
    pub(super) downgrades: bool,
}

/// That it went back by itself.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RolledBack {
    pub(super) at_ms: u64,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) why: String,
}

/// Where it is mounted with one config.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Mount {
    pub(super) config: Value,
    pub(super) on_trap: Option<String>,
    pub(super) topics: Vec<String>,
}

/// `POST …/versions`.
#[derive(Deserialize)]
pub(super) struct Pushed {
    pub(super) version: String,
}

/// `POST …/activate`, `POST …/rollback`.
#[derive(Deserialize)]
pub(super) struct Swapped {
    pub(super) current: String,
    pub(super) previous: Option<String>,
    #[serde(default)]
    pub(super) notes: Vec<String>,
}

/// `POST …/purge`.
#[derive(Deserialize)]
pub(super) struct Purged {
    pub(super) purged: Vec<String>,
}

/// `GET /tables`.
#[derive(Deserialize)]
pub(super) struct TableList {
    pub(super) tables: Vec<Table>,
}

/// A table.
#[derive(Deserialize)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) owner: String,
    pub(super) kind: String,
    pub(super) durable: bool,
    pub(super) size: u64,
    pub(super) bytes: u64,
}

/// A page of a table's objects, each as it came.
#[derive(Deserialize)]
pub(super) struct TablePage {
    pub(super) objects: Vec<Box<RawValue>>,
    /// For a query as it is: its key may be any bytes.
    pub(super) next: Option<String>,
}

/// One of them.
#[derive(Deserialize)]
pub(super) struct Object {
    pub(super) key: Value,
    pub(super) value: Value,
}

/// A page of sessions.
#[derive(Deserialize)]
pub(super) struct SessionPage {
    pub(super) sessions: Vec<Session>,
    pub(super) next: Option<String>,
}

/// A session.
#[derive(Deserialize)]
pub(super) struct Session {
    pub(super) pid: String,
    pub(super) user: Option<String>,
    pub(super) topics: Vec<String>,
    pub(super) parked: bool,
    pub(super) mailbox: Mailbox,
}

/// What waits for it.
#[derive(Deserialize)]
pub(super) struct Mailbox {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) newest: u64,
    pub(super) acknowledged: u64,
}

/// A line of a rule's log.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct LogLine {
    pub(super) time_ms: u64,
    pub(super) level: String,
    pub(super) version: String,
    pub(super) topic: Option<String>,
    pub(super) event: Option<String>,
    pub(super) line: String,
}
