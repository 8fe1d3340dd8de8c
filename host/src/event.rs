//! An event: what happened on a topic, on its way from the protocol through a lane to a rule; and the answer to whoever
//! caused it.

use crate::clock;
use crate::pid::Pid;
use crate::session::ExitReason;
use crate::topic::Topic;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub use crate::payload::Payload;

/// Everything that can happen on a topic.
#[derive(Clone, Debug)]
pub enum Happening {
    /// Somebody published.
    Publish(Payload),
    /// A session asks to subscribe.
    Join {
        /// What it was opened with, as JSON.
        params: Option<Arc<str>>,
    },
    /// A session unsubscribes.
    Leave,
    /// A subscribed session has ended.
    Exit(ExitReason),
    /// A timer of the plugin fired.
    Timer(Payload),
}

/// One event.
pub struct Event {
    /// Below 2^53; grows over the node's life and its restarts.
    pub id: u64,
    /// Where.
    pub topic: Topic,
    /// Who published, joined, left or exited.
    pub sender: Option<Pid>,
    /// The name of the sender's session.
    pub user: Option<Arc<str>>,
    /// When, since 1970.
    pub time_ms: u64,
    /// What.
    pub what: Happening,
    /// Who waits for the answer.
    pub reply: Reply,
}

impl Event {
    /// What it weighs in a queue.
    pub fn bytes(&self) -> u64 {
        match &self.what {
            Happening::Publish(payload) | Happening::Timer(payload) => payload.len() as u64,
            Happening::Join { params } => params.as_ref().map_or(0, |params| params.len() as u64),
            Happening::Leave | Happening::Exit(_) => 0,
        }
    }
}

/// An event was routed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Routed {
    /// The event's id.
    pub event: u64,
    /// How many mailboxes it went to, over all deliveries.
    pub recipients: u64,
}

/// Why an event was not routed, for whoever caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unrouted {
    /// The rule does not allow it.
    Refused(String),
    /// The rule does not understand it.
    Invalid(String),
    /// The rule failed.
    Failed(String),
    /// A bound of the session was reached.
    Limited(String),
    /// No plugin is mounted on the topic.
    NoPlugin,
    /// The session ended meanwhile.
    Gone,
    /// What the rule has written is not on the disk in time.
    Unwritten,
    /// The lane's queue is full.
    Busy,
    /// The server is going down.
    Draining,
}

/// What became of an event.
pub type Answer = Result<Routed, Unrouted>;

/// Where the answer goes. A reply that is dropped tells nobody: whoever waits takes that for [`Unrouted::Draining`].
pub struct Reply(Option<Box<dyn FnOnce(Answer) + Send>>);

impl Reply {
    /// Nobody waits.
    pub fn nobody() -> Self {
        Self(None)
    }

    /// Whoever waits is told through this.
    pub fn to(tell: impl FnOnce(Answer) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    /// Tells.
    pub fn send(self, answer: Answer) {
        if let Some(tell) = self.0 {
            tell(answer);
        }
    }
}

/// Gives events their numbers.
#[derive(Debug)]
pub struct EventIds(AtomicU64);

impl Default for EventIds {
    /// Starts at the millisecond of the start, times 2^11: greater than all before the restart, unless two million events
    /// a second were routed over the node's whole life, and below 2^53 until the year 2109.
    fn default() -> Self {
        Self(AtomicU64::new(clock::unix_ms() << 11))
    }
}

impl EventIds {
    /// A fresh one.
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Relaxed)
    }
}
