//! A lane with the server's queue, instances and calls, and its thread: when it looks for the next generation, what it
//! does about joins and exits, and which instance it asks, is the server's own.

#[path = "../../../host/src/lane/control.rs"]
mod control;
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
include!(concat!(env!("OUT_DIR"), "/lane-thread.rs"));

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

    /// Stands in for `pause`, whose channel loom does not know: the lane waits until this is let go of, and waits now.
    pub fn hold(&self) -> Held {
        let held = Held::default();
        let lane = held.clone();
        let _told = self.call(move |_| {
            lane.set(Some(false));
            lane.wait_until(Some(true));
        });
        held.wait_until(Some(false));
        held
    }
}

/// A lane that waits: some once it does, true once it need not any more.
#[derive(Clone, Default)]
pub struct Held(Arc<(Mutex<Option<bool>>, Condvar)>);

impl Held {
    /// It goes on.
    pub fn let_go(self) {
        self.set(Some(true));
    }

    fn set(&self, state: Option<bool>) {
        *self.0.0.lock() = state;
        self.0.1.notify_one();
    }

    fn wait_until(&self, state: Option<bool>) {
        let mut now = self.0.0.lock();
        while *now != state {
            self.0.1.wait(&mut now);
        }
    }
}

/// A generation of this rule on all topics, with a warm instance for the lane.
pub fn generation(rule: &Arc<Rule>, before: Option<&Generation>, shared: &Arc<Shared>) -> Arc<Generation> {
    let row = Row { topics: ">".parse().expect("a pattern"), config: "null".into(), on_trap: OnTrap::Fail };
    let generation = Generation::new(&"plugin".into(), rule.clone(), vec![row], before);
    let warm = Guest::live(&generation.mounted[0], shared).expect("it starts");
    Arc::new(generation.with_warm(vec![vec![warm]]))
}
