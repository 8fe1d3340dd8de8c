//! A lane with the server's queue, instances and calls, and its thread: when it looks for the next generation, what it
//! does about joins and exits, and which instance it asks, is the server's own.

#[path = "../../../host/src/lane/control.rs"]
mod control;
mod draft;
#[allow(dead_code)] // What is dropped because of its answer is no model's.
#[path = "../../../host/src/lane/guests.rs"]
mod guests;
#[path = "../../../host/src/lane/queue.rs"]
mod queue;
#[path = "../../../host/src/lane/slow.rs"]
mod slow;
mod thread;

use crate::event::Event;
use crate::limits::Limits;
use crate::sync::{mpsc, oneshot};
use crate::topic::Topic;
use control::Control;
use queue::Queue;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
pub use thread::LaneThread;

include!(concat!(env!("OUT_DIR"), "/lane.rs"));

/// A lane's end that publishers and operators hold.
#[derive(Clone)]
pub struct Lane {
    queue: Arc<Queue>,
    control: Arc<Control<LaneThread>>,
    set_aside: Arc<AtomicUsize>,
}

impl Lane {
    /// With an empty queue, and without a thread.
    pub fn new(limits: &Limits) -> Self {
        let (queue, control) = (Arc::new(Queue::new(limits)), Arc::new(Control::new()));
        Self { queue, control, set_aside: Arc::default() }
    }

    /// The lane's thread takes a batch, waiting for it; false when it is over.
    pub fn take_batch(&self, batch: &mut VecDeque<Event>) -> bool {
        self.queue.take_batch(batch, true)
    }

    /// Nothing more comes.
    pub fn close(&self) {
        self.queue.close();
    }
}
