//! What lanes, rules and connections share: the state of the node that outlives every plugin and every connection.

use crate::event::EventIds;
use crate::groups::Groups;
use crate::history::Feed;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::onlookers::Onlookers;
use crate::places::Places;
use crate::plugin_logs::PluginLogs;
use crate::sessions::Sessions;
use crate::subscriptions::Subscriptions;
use crate::tables::{Changes, Keeping, Tables};
use crate::timers::Timers;
use crate::trace::Traces;
use crate::workers::Workers;
use std::sync::Arc;

/// The handles, each to one subject.
pub struct Shared {
    /// Every bound.
    pub limits: Arc<Limits>,
    /// Who is there.
    pub sessions: Arc<Sessions>,
    /// Who listens to which topic.
    pub subscriptions: Subscriptions,
    /// Who is in which group.
    pub groups: Groups,
    /// What plugins keep.
    pub tables: Tables,
    /// What plugins wait for.
    pub timers: Timers,
    /// What has changed in groups and tables, for shadows.
    pub feed: Arc<Feed>,
    /// Bytes of request bodies that are being received.
    pub bodies: Places,
    /// Numbers for events.
    pub event_ids: EventIds,
    /// The threads that serve connections.
    pub workers: Workers,
    /// What plugins log.
    pub plugin_logs: PluginLogs,
    /// What is recorded.
    pub traces: Traces,
    /// What is counted.
    pub metrics: Metrics,
    /// Who watches all this live.
    pub onlookers: Onlookers,
}

impl Shared {
    /// A node without sessions, plugins or connections.
    pub fn new(node: u16, limits: Limits, workers: Workers) -> Self {
        let limits = Arc::new(limits);
        let sessions = Arc::new(Sessions::new(node, limits.clone()));
        let feed = Arc::new(Feed::new(limits.shadow_bytes_max));
        Self {
            subscriptions: Subscriptions::new(),
            groups: Groups::new(limits.clone(), sessions.clone(), feed.clone()),
            tables: Tables::new(limits.clone(), feed.clone()),
            timers: Timers::new(limits.clone()),
            feed,
            bodies: Places::default(),
            event_ids: EventIds::default(),
            plugin_logs: PluginLogs::new(limits.clone()),
            traces: Traces::new(limits.clone()),
            metrics: Metrics::default(),
            onlookers: Onlookers::default(),
            sessions,
            workers,
            limits,
        }
    }

    /// With tables that were kept, and that are.
    #[must_use]
    pub fn keeping(self, keeping: Keeping, kept: Changes) -> Self {
        Self { tables: self.tables.keeping(keeping, kept), ..self }
    }
}
