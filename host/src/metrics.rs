//! What is counted, and how `/metrics` says it. Hot paths add to an atomic they hold; what the server knows anyway
//! (sessions, parked polls) is read when somebody asks.

use crate::histogram::Histogram;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All metrics of the process.
pub struct Metrics {
    registry: Mutex<Registry>,
    plugins: Mutex<BTreeMap<Arc<str>, Arc<PluginMetrics>>>,
    by_plugin: Families,
    /// Client connections accepted.
    pub accepted: Counter,
    /// Accepts that failed for want of file descriptors or memory.
    pub accept_failures: Counter,
    /// Connections closed at once because of `connections_max`.
    pub connections_refused: Counter,
    /// Volleys fired, and the polls they answered.
    pub volleys: Counter,
    /// Parked polls answered by a volley.
    pub volley_polls: Counter,
    /// Instances of rules.
    pub instances: Gauge,
    gauges: Gauges,
}

/// What is counted for one plugin.
#[derive(Default)]
pub struct PluginMetrics {
    /// Events routed, whatever came of it.
    pub events: Counter,
    /// Events that the rule refused or called invalid.
    pub refusals: Counter,
    /// Events that failed: traps, deadlines, answers out of bounds.
    pub faults: Counter,
    /// Events turned away because a lane was full.
    pub busy: Counter,
    /// Mailboxes that messages went into.
    pub recipients: Counter,
    /// Time in the rule, for one event.
    pub route: Arc<Histogram>,
}

/// What the server knows anyway, at the moment of asking.
#[derive(Debug, Default)]
pub struct Now {
    /// Live sessions.
    pub sessions: u64,
    /// Parked polls.
    pub parked: u64,
    /// Open client connections.
    pub connections: u64,
    /// Bytes of all messages in mailboxes.
    pub message_bytes: u64,
    /// Bytes of request bodies that are being received.
    pub body_bytes: u64,
    /// Bytes of answers that wait for slow readers.
    pub unsent_bytes: u64,
    /// Bytes of all tables.
    pub table_bytes: u64,
    /// Messages that full mailboxes dropped, ever.
    pub dropped: u64,
    /// Topics with subscribers.
    pub topics: u64,
    /// Memberships in groups.
    pub memberships: u64,
    /// Timers to fire.
    pub timers: u64,
    /// Events waiting in lanes.
    pub queued: u64,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfPlugin {
    plugin: String,
}

#[derive(Default)]
struct Families {
    events: Family<OfPlugin, Counter>,
    refusals: Family<OfPlugin, Counter>,
    faults: Family<OfPlugin, Counter>,
    busy: Family<OfPlugin, Counter>,
    recipients: Family<OfPlugin, Counter>,
}

#[derive(Default)]
struct Gauges {
    sessions: Gauge,
    parked: Gauge,
    connections: Gauge,
    message_bytes: Gauge,
    body_bytes: Gauge,
    unsent_bytes: Gauge,
    table_bytes: Gauge,
    dropped: Gauge,
    topics: Gauge,
    memberships: Gauge,
    timers: Gauge,
    queued: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Mutex::default(),
            plugins: Mutex::default(),
            by_plugin: Families::default(),
            accepted: Counter::default(),
            accept_failures: Counter::default(),
            connections_refused: Counter::default(),
            volleys: Counter::default(),
            volley_polls: Counter::default(),
            instances: Gauge::default(),
            gauges: Gauges::default(),
        };
        let mut registry = Registry::with_prefix("volley");
        metrics.register(&mut registry);
        metrics.registry = Mutex::new(registry);
        metrics
    }
}

impl Metrics {
    fn register(&self, to: &mut Registry) {
        let (g, p) = (&self.gauges, &self.by_plugin);
        to.register("connections_accepted", "Client connections accepted", self.accepted.clone());
        to.register("accept_failures", "Accepts that failed (EMFILE and the like)", self.accept_failures.clone());
        to.register("connections_refused", "Connections over connections_max", self.connections_refused.clone());
        to.register("volleys", "Volleys that answered a poll", self.volleys.clone());
        to.register("volley_polls", "Parked polls answered by volleys", self.volley_polls.clone());
        to.register("instances", "Instances of rules", self.instances.clone());
        to.register("events", "Events routed", p.events.clone());
        to.register("refusals", "Events refused by the rule", p.refusals.clone());
        to.register("faults", "Events that failed in the rule", p.faults.clone());
        to.register("busy", "Events turned away by a full lane", p.busy.clone());
        to.register("recipients", "Mailboxes that messages went into", p.recipients.clone());
        to.register("sessions", "Live sessions", g.sessions.clone());
        to.register("parked_polls", "Parked polls", g.parked.clone());
        to.register("connections", "Open client connections", g.connections.clone());
        to.register("message_bytes", "Bytes of all messages in mailboxes", g.message_bytes.clone());
        to.register("body_bytes", "Bytes of request bodies that are being received", g.body_bytes.clone());
        to.register("unsent_bytes", "Bytes of answers that wait for slow readers", g.unsent_bytes.clone());
        to.register("table_bytes", "Bytes of all tables, about", g.table_bytes.clone());
        to.register("mailbox_dropped", "Messages that full mailboxes dropped", g.dropped.clone());
        to.register("topics", "Topics with subscribers", g.topics.clone());
        to.register("group_memberships", "Memberships in groups", g.memberships.clone());
        to.register("timers", "Timers to fire", g.timers.clone());
        to.register("lane_queue_events", "Events waiting in lanes", g.queued.clone());
    }

    /// Those of a plugin.
    pub fn of_plugin(&self, name: &Arc<str>) -> Arc<PluginMetrics> {
        let make = || {
            let label = OfPlugin { plugin: name.to_string() };
            let metrics = Arc::new(PluginMetrics {
                events: self.by_plugin.events.get_or_create(&label).clone(),
                refusals: self.by_plugin.refusals.get_or_create(&label).clone(),
                faults: self.by_plugin.faults.get_or_create(&label).clone(),
                busy: self.by_plugin.busy.get_or_create(&label).clone(),
                recipients: self.by_plugin.recipients.get_or_create(&label).clone(),
                route: Arc::default(),
            });
            let mut registry = self.registry.lock();
            let labelled = registry.sub_registry_with_label(("plugin".into(), label.plugin.into()));
            labelled.register("route_seconds", "Time of a rule for one event", SharedHistogram(metrics.route.clone()));
            metrics
        };
        self.plugins.lock().entry(name.clone()).or_insert_with(make).clone()
    }

    /// The text of `/metrics`.
    pub fn encode(&self, now: &Now) -> String {
        let g = &self.gauges;
        let pairs = [
            (&g.sessions, now.sessions),
            (&g.parked, now.parked),
            (&g.connections, now.connections),
            (&g.message_bytes, now.message_bytes),
            (&g.body_bytes, now.body_bytes),
            (&g.unsent_bytes, now.unsent_bytes),
            (&g.table_bytes, now.table_bytes),
            (&g.dropped, now.dropped),
            (&g.topics, now.topics),
            (&g.memberships, now.memberships),
            (&g.timers, now.timers),
            (&g.queued, now.queued),
        ];
        for (gauge, value) in pairs {
            gauge.set(value.try_into().unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry.lock()).expect("a String takes everything");
        text
    }
}

/// The registry owns what it encodes; this shares it with the lanes.
#[derive(Debug)]
struct SharedHistogram(Arc<Histogram>);

impl prometheus_client::encoding::EncodeMetric for SharedHistogram {
    fn encode(&self, encoder: prometheus_client::encoding::MetricEncoder<'_>) -> std::fmt::Result {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> prometheus_client::metrics::MetricType {
        self.0.metric_type()
    }
}
