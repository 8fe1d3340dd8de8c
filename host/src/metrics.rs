//! What is counted, and how `/metrics` says it. Hot paths add to an atomic they hold; what the server knows anyway
//! (sessions, parked polls) is read when somebody asks. `METRICS.md` lists it all for operators.

mod counters;
mod plugin;
mod tls;

pub use counters::{AcceptError, Counters, Denied, Label, RolledBackBy, ShadowResult};
pub use plugin::PluginMetrics;
pub use tls::{TlsMetrics, TlsReload};

use crate::histogram::Histogram;
use counters::Each as _;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Names and values.
type Labels = Vec<(&'static str, String)>;

/// All metrics of the process.
pub struct Metrics {
    registry: Mutex<Registry>,
    plugins: Mutex<BTreeMap<Arc<str>, Arc<PluginMetrics>>>,
    by_plugin: plugin::Families,
    lane_queues: Family<Labels, Gauge>,
    mailbox_dropped: Counter,
    gauges: Gauges,
    /// Client connections accepted.
    pub accepted: Counter,
    /// Accepts that failed for want of something that the system is to give.
    pub accept_failures: Counters<AcceptError>,
    /// Connections closed at once because of `connections_max`.
    pub connections_refused: Counter,
    /// What was turned away at the doors.
    pub denials: Counters<Denied>,
    /// Time in which a worker wrote its share of a large volley.
    pub worker_volley: Histogram,
    /// Time of a commit of durable tables to the disk.
    pub table_commit: Histogram,
    /// Commits that failed.
    pub table_commit_failures: Counter,
    /// What is counted of TLS.
    pub tls: TlsMetrics,
}

/// What the server knows anyway, at the moment of asking.
#[derive(Debug, Default)]
pub struct Now {
    /// What can be said in one number.
    pub numbers: Numbers,
    /// Messages that full mailboxes dropped, ever.
    pub dropped: u64,
    /// Events that wait in lanes.
    pub lanes: Vec<LaneQueue>,
}

/// The queue of a lane.
#[derive(Debug)]
pub struct LaneQueue {
    /// Whose lane.
    pub plugin: Arc<str>,
    /// Which of the plugin's.
    pub lane: usize,
    /// How many events wait in it.
    pub events: u64,
}

macro_rules! numbers {
    ($($(#[doc = $help:literal])+ $name:literal $field:ident;)*) => {
        /// What the server knows anyway and is one number.
        #[derive(Debug, Default)]
        pub struct Numbers { $($(#[doc = $help])+ pub $field: u64,)* }

        #[derive(Default)]
        struct Gauges { $($field: Gauge,)* }

        impl Gauges {
            fn register(&self, to: &mut Registry) {
                $(to.register($name, help(concat!($($help),+)), self.$field.clone());)*
            }

            fn set(&self, now: &Numbers) {
                $(self.$field.set(now.$field.try_into().unwrap_or(i64::MAX));)*
            }
        }
    };
}

numbers! {
    /// Live sessions.
    "sessions" sessions;
    /// Parked polls and streams.
    "parked_polls" parked;
    /// Open streams of server-sent events.
    "event_streams" event_streams;
    /// Open WebSocket connections.
    "websockets" websockets;
    /// Bytes of WebSocket messages that have come in part.
    "frame_bytes" frame_bytes;
    /// Open client connections.
    "connections" connections;
    /// Open client connections to the TLS listener.
    "tls_connections" tls_connections;
    /// Requests over HTTP/2 that are being served, polls that wait included.
    "http2_requests" http2_requests;
    /// Bytes of all messages in mailboxes.
    "message_bytes" message_bytes;
    /// Bytes of request bodies that are being received.
    "body_bytes" body_bytes;
    /// Bytes of answers that wait for slow readers.
    "unsent_bytes" unsent_bytes;
    /// Bytes of all tables, about.
    "table_bytes" table_bytes;
    /// Bytes of changes of durable tables that wait for the disk, about.
    "table_unwritten_bytes" unwritten_bytes;
    /// Operators who watch the server live.
    "live_streams" live_streams;
    /// Topics with subscribers.
    "topics" topics;
    /// Memberships in groups.
    "group_memberships" memberships;
    /// Timers to fire.
    "timers" timers;
}

/// The text of a doc comment as the registry wants it, which adds the full stop.
fn help(doc: &str) -> &str {
    doc.trim().trim_end_matches('.')
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("volley");
        let gauges = Gauges::default();
        gauges.register(&mut registry);
        let lane_queues = Family::default();
        registry.register("lane_queue_events", "Events that wait in a lane", lane_queues.clone());
        let mailbox_dropped = Counter::default();
        registry.register("mailbox_dropped", "Messages that full mailboxes dropped", mailbox_dropped.clone());
        let accepted = Counter::default();
        registry.register("connections_accepted", "Client connections accepted", accepted.clone());
        let accept_errors = Family::<Labels, Counter>::default();
        registry.register("accept_failures", "Accepts that failed, by the system's error", accept_errors.clone());
        let connections_refused = Counter::default();
        registry.register(
            "connections_refused",
            "Connections over connections_max, closed at once",
            connections_refused.clone(),
        );
        let denials = Family::<Labels, Counter>::default();
        registry.register("denials", "Calls and connections that were turned away, by why", denials.clone());
        let worker_volley = Histogram::of_times();
        registry.register(
            "worker_volley_seconds",
            "Time in which a worker wrote its share of a large volley",
            worker_volley.clone(),
        );
        let table_commit = Histogram::of_times();
        registry.register(
            "table_commit_seconds",
            "Time in which a batch of changes of durable tables got to the disk",
            table_commit.clone(),
        );
        let table_commit_failures = Counter::default();
        registry.register(
            "table_commit_failures",
            "Batches of changes of durable tables that could not be written, and were tried again",
            table_commit_failures.clone(),
        );
        let tls = TlsMetrics::register(&mut registry);
        let by_plugin = plugin::Families::default();
        by_plugin.register(&mut registry);
        Self {
            registry: Mutex::new(registry),
            plugins: Mutex::default(),
            by_plugin,
            lane_queues,
            mailbox_dropped,
            gauges,
            accepted,
            accept_failures: Counters::member_of(&Labels::new(), &|labels| accept_errors.get_or_create_owned(labels)),
            connections_refused,
            denials: Counters::member_of(&Labels::new(), &|labels| denials.get_or_create_owned(labels)),
            worker_volley,
            table_commit,
            table_commit_failures,
            tls,
        }
    }
}

impl Metrics {
    /// Those of a plugin.
    pub fn of_plugin(&self, name: &Arc<str>) -> Arc<PluginMetrics> {
        let make = || Arc::new(self.by_plugin.of_plugin(name));
        self.plugins.lock().entry(name.clone()).or_insert_with(make).clone()
    }

    /// The text of `/metrics`.
    pub fn encode(&self, now: &Now) -> String {
        let registry = self.registry.lock();
        self.gauges.set(&now.numbers);
        self.mailbox_dropped.inner().store(now.dropped, Relaxed);
        self.lane_queues.clear();
        for LaneQueue { plugin, lane, events } in &now.lanes {
            let labels = vec![("plugin", plugin.to_string()), ("lane", lane.to_string())];
            self.lane_queues.get_or_create(&labels).inc_by((*events).try_into().unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("a String takes everything");
        text
    }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
