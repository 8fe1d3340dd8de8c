//! Which plugin routes a topic: the most specific pattern wins. Changing that is in `moving`.

// By its path, since the models take this file by its own.
#[path = "routes/moving.rs"]
mod moving;

pub use moving::Moving;

use crate::event::{Event, Unrouted};
use crate::generation::Row;
use crate::plugin::Plugin;
use crate::topic::{Pattern, Topic};
use std::sync::Arc;

/// One row.
#[derive(Clone)]
pub struct Route {
    /// The topics, and how they are routed.
    pub row: Row,
    /// What routes them.
    pub plugin: Arc<Plugin>,
}

impl Route {
    /// The topics meant.
    pub fn topics(&self) -> &Pattern {
        &self.row.topics
    }
}

/// All rows, the most specific first.
#[derive(Default)]
pub struct Routes {
    rows: Vec<Route>,
    /// Topics that change their plugin at this moment.
    moving: Option<Arc<Moving>>,
}

impl Routes {
    /// Of rows in any order.
    pub fn new(mut rows: Vec<Route>) -> Self {
        rows.sort_by(|a, b| a.topics().cmp(b.topics()));
        Self { rows, moving: None }
    }

    /// The same, while events of topics that change their plugin are held.
    #[must_use]
    pub fn with_moving(mut self, moving: Arc<Moving>) -> Self {
        self.moving = Some(moving);
        self
    }

    /// What routes a topic.
    pub fn plugin(&self, topic: &Topic) -> Option<&Arc<Plugin>> {
        self.rows.iter().find(|route| route.topics().matches(topic)).map(|route| &route.plugin)
    }

    /// Queues an event; if that can't be, its reply says why.
    pub fn offer(&self, event: Event) {
        let Some(plugin) = self.plugin(&event.topic) else { return event.reply.send(Err(Unrouted::NoPlugin)) };
        let event = match &self.moving {
            Some(moving) => moving.hold(event, plugin),
            None => Some(event),
        };
        if let Some(event) = event
            && let Err(event) = plugin.offer(event)
        {
            event.reply.send(Err(Unrouted::Busy));
        }
    }

    /// Queues an exit or a timer, which have their own places; given back if nothing routes its topic.
    // The event goes back by value: boxing it would cost every event for the few that are turned away.
    #[allow(clippy::result_large_err)]
    pub fn offer_reserved(&self, event: Event) -> Result<(), Event> {
        let Some(plugin) = self.plugin(&event.topic) else { return Err(event) };
        let event = match &self.moving {
            Some(moving) => moving.hold(event, plugin),
            None => Some(event),
        };
        if let Some(event) = event {
            plugin.offer_reserved(event);
        }
        Ok(())
    }

    /// The rows.
    pub fn rows(&self) -> &[Route] {
        &self.rows
    }

    /// Each plugin once.
    pub fn plugins(&self) -> Vec<Arc<Plugin>> {
        let mut plugins: Vec<Arc<Plugin>> = Vec::new();
        for route in &self.rows {
            if !plugins.iter().any(|plugin| Arc::ptr_eq(plugin, &route.plugin)) {
                plugins.push(route.plugin.clone());
            }
        }
        plugins
    }
}
