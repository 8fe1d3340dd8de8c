//! A lane's thread. What it would send is noted instead: which version routed each event, or what it failed of.

use super::Lane;
use super::control::Control;
use super::guests::Guests;
use super::queue::Queue;
use super::slow::{Admitted, Slow};
use crate::event::{Answer, Event, Happening, Reply, Routed, Unrouted};
use crate::fault::Fault;
use crate::generation::Generation;
use crate::metrics::PluginMetrics;
use crate::on_trap::OnTrap;
use crate::outcome::{Outcome, Refusal};
use crate::pid::Pid;
use crate::plugin::Plugin;
use crate::session::ExitReason;
use crate::shared::Shared;
use crate::swap::ArcSwap;
use crate::topic::Topic;
use crate::trace::Recorder;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

include!(concat!(env!("OUT_DIR"), "/lane-thread.rs"));

/// Nothing depends on it: firing does nothing here.
const VOLLEY_AGE_MAX: Duration = Duration::MAX;

/// What became of each event.
type Outcomes = Arc<Mutex<Vec<Result<u64, String>>>>;

/// The lane's thread.
pub struct LaneThread {
    pub(super) queue: Arc<Queue>,
    control: Arc<Control<LaneThread>>,
    pub(super) batch: VecDeque<Event>,
    pub(super) slow: Slow,
    set_aside: Arc<AtomicUsize>,
    sight: Sight,
    published: Arc<ArcSwap<Generation>>,
    guests: Guests,
    metrics: PluginMetrics,
    shared: Arc<Shared>,
    volley: Volley,
    outcomes: Outcomes,
}

/// Nobody looks.
struct Sight;

impl Sight {
    fn begins(&self, _: Instant, _: usize) {}
    fn routed(&self, _: &Topic, _: &Answer) {}
    fn ends(&self) {}
}

/// Sends nothing.
struct Volley;

impl Volley {
    fn begin(&mut self) {}
}

impl LaneThread {
    /// Of a plugin's lane.
    pub fn new(plugin: &Plugin, shared: Arc<Shared>) -> Self {
        let Lane { queue, control, set_aside } = plugin.only_lane().clone();
        Self {
            queue,
            control,
            batch: VecDeque::new(),
            slow: Slow::new(&shared.limits),
            set_aside,
            sight: Sight,
            published: plugin.generation.clone(),
            guests: Guests::new(0, Arc::new(Recorder), plugin.generation(), shared.clone()),
            metrics: PluginMetrics::default(),
            shared,
            volley: Volley,
            outcomes: Outcomes::default(),
        }
    }

    /// Routes what comes until the queue is closed; what became of each event.
    pub fn route_all(self) -> Vec<Result<u64, String>> {
        let outcomes = self.outcomes.clone();
        self.run();
        std::mem::take(&mut *outcomes.lock().expect("nothing panics under it"))
    }

    /// A panic ends the model.
    fn handle_contained(&mut self, event: &Event) -> Answer {
        self.handle(event)
    }

    fn deliver(&mut self, event: &Event, outcome: Outcome) -> Answer {
        self.became(Ok(outcome.0));
        Ok(Routed { event: event.id, recipients: 0 })
    }

    fn failed(&self, _: &Event, fault: &Fault) -> Unrouted {
        self.became(Err(fault.to_string()));
        Unrouted::Failed(fault.to_string())
    }

    fn told(&self, event: &Event, fault: &Fault) -> Unrouted {
        self.failed(event, fault)
    }

    fn refused(&self, _: &Event, refusal: Refusal) -> Unrouted {
        Unrouted::Refused(format!("{refusal:?}"))
    }

    fn became(&self, what: Result<u64, String>) {
        self.outcomes.lock().expect("nothing panics under it").push(what);
    }

    fn turn_away(&self, event: Event) {
        event.reply.send(Err(Unrouted::Busy));
    }

    fn fire(&mut self) {}
}

/// No model is about that.
fn as_it_is(_: &Event) -> Option<Outcome> {
    None
}
