//! A lane with the server's queue, calls and instances; its thread's loop, what it does about joins and exits, and which
//! instance it asks, are the server's own.

#[path = "../../../host/src/lane/control.rs"]
mod control;
#[path = "../../../host/src/lane/guests.rs"]
#[allow(dead_code)] // Answers that cannot be used are no model's.
mod guests;
#[path = "../../../host/src/lane/queue.rs"]
mod queue;
#[path = "../../../host/src/lane/slow.rs"]
mod slow;
mod swap;

use crate::event::{Answer, Event, Happening, Reply, Routed, Unrouted};
use crate::fault::Fault;
use crate::generation::{Generation, Row};
use crate::limits::Limits;
use crate::on_trap::OnTrap;
use crate::outcome::{Outcome, Refusal};
use crate::pid::Pid;
use crate::router::{Guest, Rule};
use crate::session::ExitReason;
use crate::shared::Shared;
use crate::sync::{Condvar, Mutex, oneshot};
use crate::topic::Topic;
use crate::volley::Volley;
use control::Control;
use guests::Guests;
use queue::Queue;
use slow::{Admitted, Slow};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
pub use swap::Swap;

include!(concat!(env!("OUT_DIR"), "/lane.rs"));
include!(concat!(env!("OUT_DIR"), "/lane-thread.rs"));

/// No volley of a model is fired early.
const VOLLEY_AGE_MAX: Duration = Duration::MAX;

/// Which version of the rule routed each event, or what it failed of. Not under test, so loom does not see its lock.
pub type Outcomes = Arc<std::sync::Mutex<Vec<Result<u64, String>>>>;

/// The publishers' and the operators' end of a lane.
#[derive(Clone)]
pub struct Lane {
    queue: Arc<Queue>,
    control: Arc<Control<LaneThread>>,
}

impl Default for Lane {
    fn default() -> Self {
        Self::new(&Limits::default())
    }
}

impl Lane {
    /// With an empty queue.
    pub fn new(limits: &Limits) -> Self {
        Self { queue: Arc::new(Queue::new(limits)), control: Arc::new(Control::new()) }
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

/// The lane's thread.
pub struct LaneThread {
    queue: Arc<Queue>,
    control: Arc<Control<LaneThread>>,
    batch: VecDeque<Event>,
    slow: Slow,
    set_aside: Arc<AtomicUsize>,
    published: Arc<Swap<Generation>>,
    guests: Guests,
    metrics: Metrics,
    shared: Arc<Shared>,
    volley: Volley,
    outcomes: Outcomes,
}

/// Counts nothing.
#[derive(Default)]
struct Metrics {
    events: Counter,
    route: Counter,
    batch: Counter,
}

#[derive(Default)]
struct Counter;

impl Counter {
    fn inc(&self) {}
    fn add(&self, _: u64) {}
    fn add_ns(&self, _: u64) {}
}

impl LaneThread {
    /// Of that lane.
    pub fn new(lane: &Lane, published: Arc<Swap<Generation>>, shared: Arc<Shared>) -> Self {
        Self {
            queue: lane.queue.clone(),
            control: lane.control.clone(),
            batch: VecDeque::new(),
            slow: Slow::new(&shared.limits),
            set_aside: Arc::default(),
            guests: Guests::new(0, published.load_full(), shared.clone()),
            published,
            metrics: Metrics::default(),
            volley: Volley::new(1),
            shared,
            outcomes: Outcomes::default(),
        }
    }

    /// What becomes of each event.
    pub fn outcomes(&self) -> Outcomes {
        self.outcomes.clone()
    }

    /// Routes what comes until the queue is closed.
    pub fn route_all(self) {
        self.run();
    }

    fn fire(&mut self) {}

    fn handle_contained(&mut self, event: &Event) -> Answer {
        self.handle(event)
    }

    fn turn_away(&self, _: Event) {
        unreachable!("no event of a model runs long");
    }

    fn deliver(&mut self, event: &Event, outcome: Outcome) -> Answer {
        self.push(Ok(outcome.remove[0]));
        Ok(Routed { event: event.id, recipients: 0 })
    }

    fn failed(&self, _: &Event, fault: &Fault) -> Unrouted {
        self.push(Err(fault.to_string()));
        Unrouted::Failed(fault.to_string())
    }

    fn push(&self, outcome: Result<u64, String>) {
        self.outcomes.lock().expect("nothing panics under it").push(outcome);
    }

    fn refused(&self, _: &Event, refusal: Refusal) -> Unrouted {
        Unrouted::Refused(format!("{refusal:?}"))
    }
}

/// No model has that policy.
fn as_it_is(_: &Event) -> Option<Outcome> {
    None
}
