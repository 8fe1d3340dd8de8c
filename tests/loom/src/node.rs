//! A node of one plugin with one lane; what it does about sessions is the server's own.

use crate::clock;
use crate::event::{Event, Happening, Reply};
use crate::lane::Lane;
use crate::pid::Pid;
use crate::protocol::answer::Ending;
use crate::session::{ExitReason, Session};
use crate::sessions::Due;
use crate::shared::Shared;
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
    pub routes: Routes,
    draining: AtomicBool,
    retry_ms_max: AtomicU64,
}

/// All topics are one lane's.
#[derive(Clone, Default)]
pub struct Routes(Arc<Lane>);

impl Node {
    /// Puts it together.
    pub fn new(shared: Arc<Shared>) -> Arc<Self> {
        let (draining, retry_ms_max) = (AtomicBool::new(false), AtomicU64::new(0));
        let lane = Arc::new(Lane::new(&shared.limits));
        Arc::new(Self { shared, routes: Routes(lane), draining, retry_ms_max })
    }

    /// The lane.
    pub fn lane(&self) -> Arc<Lane> {
        self.routes.0.clone()
    }

    /// Queues that a session wants to join.
    pub fn join(&self, topic: &Topic, pid: Pid) {
        let sender = Sender { pid: Some(pid), user: None };
        let event = self.event(topic.clone(), sender, Happening::Join { params: None }, Reply::nobody());
        assert!(self.routes.0.offer(event).is_ok(), "there is room");
    }
}

impl Routes {
    /// They do not change.
    pub fn load(&self) -> &Self {
        self
    }

    /// All topics have one lane.
    #[allow(clippy::result_large_err)]
    pub fn offer_reserved(&self, event: Event) -> Result<(), Event> {
        self.0.offer_reserved(event);
        Ok(())
    }
}
