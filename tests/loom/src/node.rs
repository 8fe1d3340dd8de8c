//! A node, at first of one plugin; what it does about sessions is the server's own.

use crate::clock;
use crate::event::{Event, Happening, Reply, Unrouted};
use crate::generation::{Generation, Row};
use crate::guard::Grant;
use crate::lane::Lane;
use crate::on_trap::OnTrap;
use crate::pid::Pid;
use crate::plugin::Plugin;
use crate::protocol::answer::Ending;
use crate::router::Rule;
use crate::routes::{Route, Routes};
use crate::session::{ExitReason, Session};
use crate::sessions::Due;
use crate::shared::Shared;
use crate::swap::ArcSwap;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use crate::topic::Topic;
use crate::volley::Writer;
use std::sync::Arc;

include!(concat!(env!("OUT_DIR"), "/node.rs"));

/// What serves clients and operators.
pub struct Node {
    /// What outlives plugins and connections.
    pub shared: Arc<Shared>,
    /// Which plugin routes which topic.
    pub routes: ArcSwap<Routes>,
    draining: AtomicBool,
    retry_ms_max: AtomicU64,
}

/// All topics, without a config.
pub fn row() -> Row {
    Row { topics: ">".parse().expect("a pattern"), config: "null".into(), on_trap: OnTrap::Fail }
}

impl Node {
    /// Puts it together.
    pub fn new(shared: Arc<Shared>) -> Arc<Self> {
        Self::of_rule(shared, Rule::new(1, 0))
    }

    /// The same, with that rule.
    pub fn of_rule(shared: Arc<Shared>, rule: Arc<Rule>) -> Arc<Self> {
        let generation = Generation::new(&"plugin".into(), rule, vec![row()], None);
        let plugin = Plugin::new("plugin", generation, &shared);
        let routes = ArcSwap::new(Arc::new(Routes::new(vec![Route { row: row(), plugin }])));
        Arc::new(Self { shared, routes, draining: AtomicBool::new(false), retry_ms_max: AtomicU64::new(0) })
    }

    /// What routes all topics.
    pub fn plugin(&self) -> Arc<Plugin> {
        self.routes.load_full().rows()[0].plugin.clone()
    }

    /// Its lane.
    pub fn lane(&self) -> Lane {
        self.plugin().only_lane().clone()
    }

    /// Queues what somebody published.
    pub fn publish(&self, event: Event) {
        self.offer(event);
    }

    /// Queues that a session wants to join.
    pub fn join(&self, topic: &Topic, pid: Pid) {
        let sender = Sender { pid: Some(pid), user: None, grant: None };
        self.offer(self.event(topic.clone(), sender, Happening::Join { params: None }, Reply::nobody()));
    }
}
