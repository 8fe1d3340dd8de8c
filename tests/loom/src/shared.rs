//! Stands in for what lanes and connections share, without tables, timers and metrics.

use crate::event::EventIds;
use crate::groups::Groups;
use crate::limits::Limits;
use crate::sessions::Sessions;
use crate::subscriptions::Subscriptions;
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
    /// Numbers for events.
    pub event_ids: EventIds,
    /// The threads that serve connections.
    pub workers: Workers,
}

impl Shared {
    /// A node without sessions.
    pub fn new(limits: Limits) -> Self {
        let limits = Arc::new(limits);
        let sessions = Arc::new(Sessions::new(0, limits.clone()));
        Self {
            subscriptions: Subscriptions::new(),
            groups: Groups::new(limits.clone(), sessions.clone(), Arc::default()),
            event_ids: EventIds::default(),
            workers: Workers::default(),
            sessions,
            limits,
        }
    }
}
