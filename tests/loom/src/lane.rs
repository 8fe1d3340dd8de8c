//! A lane with the server's queue, and its thread: what it does about joins and exits, and which instance it asks, is the
//! server's own.

#[path = "../../../host/src/lane/queue.rs"]
mod queue;
mod swap;

use crate::event::{Answer, Event, Happening, Reply, Routed, Unrouted};
use crate::limits::Limits;
use crate::pid::Pid;
use crate::router::{Fault, Guest, Mounted, Outcome, Refusal};
use crate::session::ExitReason;
use crate::shared::Shared;
use crate::topic::Topic;
use queue::Queue;
use std::sync::Arc;
use std::time::Instant;
pub use swap::Swap;

include!(concat!(env!("OUT_DIR"), "/lane.rs"));

/// The publishers' end of a lane.
#[derive(Clone)]
pub struct Lane {
    queue: Arc<Queue>,
}

impl Default for Lane {
    fn default() -> Self {
        Self::new(&Limits::default())
    }
}

impl Lane {
    /// With an empty queue.
    pub fn new(limits: &Limits) -> Self {
        Self { queue: Arc::new(Queue::new(limits)) }
    }

    /// Queues an event.
    #[allow(clippy::result_large_err)]
    pub fn offer(&self, event: Event) -> Result<(), Event> {
        self.queue.offer(event)
    }

    /// Queues an exit or a timer.
    pub fn offer_reserved(&self, event: Event) {
        self.queue.offer_reserved(event);
    }

    /// How many events wait.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The lane's thread takes a batch, waiting for it; false when it is over.
    pub fn take_batch(&self, batch: &mut Vec<Event>) -> bool {
        self.queue.take_batch(batch, true)
    }

    /// Nothing more comes.
    pub fn close(&self) {
        self.queue.close();
    }
}

/// The lane's thread.
pub struct LaneThread {
    queue: Arc<Queue>,
    mounted: Arc<Swap<Mounted>>,
    guest: Option<Guest>,
    metrics: Metrics,
    shared: Arc<Shared>,
    outcomes: Vec<Result<u64, String>>,
}

/// Counts nothing.
#[derive(Default)]
struct Metrics {
    events: Counter,
    route: Counter,
}

#[derive(Default)]
struct Counter;

impl Counter {
    fn inc(&self) {}
    fn add_ns(&self, _: u64) {}
}

impl LaneThread {
    /// Of that lane.
    pub fn new(lane: &Lane, mounted: Arc<Swap<Mounted>>, shared: Arc<Shared>) -> Self {
        let guest = Guest::live(&mounted.load(), &shared).ok();
        Self { queue: lane.queue.clone(), mounted, guest, metrics: Metrics::default(), shared, outcomes: Vec::new() }
    }

    /// Routes what comes until the queue is closed; which version of the rule routed each event, or what it failed of.
    pub fn run(mut self) -> Vec<Result<u64, String>> {
        let mut batch = Vec::new();
        while self.queue.take_batch(&mut batch, true) {
            for event in batch.drain(..) {
                // Whoever asked is told elsewhere.
                let _ = self.handle(&event);
            }
        }
        self.outcomes
    }

    fn deliver(&mut self, event: &Event, outcome: Outcome) -> Answer {
        self.outcomes.push(Ok(outcome.0));
        Ok(Routed { event: event.id, recipients: 0 })
    }

    fn failed(&mut self, _: &Event, fault: &Fault) -> Unrouted {
        self.outcomes.push(Err(fault.to_string()));
        Unrouted::Failed(fault.to_string())
    }

    fn refused(&self, _: &Event, refusal: Refusal) -> Unrouted {
        Unrouted::Refused(format!("{refusal:?}"))
    }
}
