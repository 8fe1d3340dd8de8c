//! Which mount routes a topic: the most specific pattern wins.

use crate::mount::Mount;
use crate::topic::{Pattern, Topic};
use std::sync::Arc;

/// One row.
pub struct Route {
    /// The topics meant.
    pub topics: Pattern,
    /// What routes them.
    pub mount: Arc<Mount>,
}

/// All rows, the most specific first.
#[derive(Default)]
pub struct Routes(Vec<Route>);

impl Routes {
    /// Of rows in any order.
    pub fn new(mut rows: Vec<Route>) -> Self {
        rows.sort_by(|a, b| a.topics.cmp(&b.topics));
        Self(rows)
    }

    /// What routes a topic.
    pub fn mount(&self, topic: &Topic) -> Option<&Arc<Mount>> {
        self.0.iter().find(|route| route.topics.matches(topic)).map(|route| &route.mount)
    }

    /// The rows.
    pub fn rows(&self) -> &[Route] {
        &self.0
    }

    /// Each mount once.
    pub fn mounts(&self) -> Vec<Arc<Mount>> {
        let mut mounts: Vec<Arc<Mount>> = Vec::new();
        for route in &self.0 {
            if !mounts.iter().any(|mount| Arc::ptr_eq(mount, &route.mount)) {
                mounts.push(route.mount.clone());
            }
        }
        mounts
    }
}
