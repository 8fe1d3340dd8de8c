//! A lane without a thread: whoever has it gives it one event after the other, and sees what came of each. What it does
//! with an event is what a lane's thread does.

use super::control::Control;
use super::guests::Guests;
use super::queue::Queue;
use super::sight::Sight;
use super::slow::Slow;
use super::thread::LaneThread;
use crate::event::{Answer, Event};
use crate::fault::Fault;
use crate::generation::{Generation, Row};
use crate::on_trap::OnTrap;
use crate::plugin::Alarm;
use crate::router::{Guest, Rule};
use crate::shared::Shared;
use crate::topic::Pattern;
use crate::volley::Volley;
use arc_swap::ArcSwap;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// The lane.
pub struct LaneAlone {
    thread: LaneThread,
    /// Nobody does anything about a version that fails too often.
    _alarms: UnboundedReceiver<Alarm>,
}

impl LaneAlone {
    /// Of a rule that routes these topics; its instance is made at once.
    pub fn new(
        plugin: Arc<str>,
        rule: Arc<Rule>,
        topics: Pattern,
        config: &str,
        shared: Arc<Shared>,
    ) -> Result<Self, Fault> {
        let row = Row { topics, config: config.into(), on_trap: OnTrap::Fail };
        let generation = Generation::new(&plugin, rule, vec![row], None);
        let guests = generation.mounted.iter().map(|mounted| Guest::live(mounted, &shared));
        let guests = guests.collect::<Result<Vec<_>, _>>()?;
        let published = Arc::new(ArcSwap::from_pointee(generation.with_warm(vec![guests])));
        let (alarms, unheard) = unbounded_channel();
        let thread = LaneThread {
            queue: Arc::new(Queue::new(&shared.limits)),
            control: Arc::new(Control::new()),
            batch: VecDeque::new(),
            slow: Slow::new(&shared.limits),
            set_aside: Arc::default(),
            sight: Arc::new(Sight::new(shared.onlookers.clone())),
            guests: Guests::new(0, shared.traces.of_plugin(&plugin), published.load_full(), shared.clone()),
            published,
            metrics: shared.metrics.of_plugin(&plugin),
            volley: Volley::new(shared.workers.count()),
            log: RefCell::default(),
            shared,
            alarms,
            plugin,
        };
        Ok(Self { thread, _alarms: unheard })
    }

    /// Routes an event, and what follows from it: what it delivers is in the mailboxes then.
    pub fn route(&mut self, event: &Event) -> Answer {
        self.thread.volley.begin();
        let answer = self.thread.handle_contained(event);
        self.thread.guests.refill();
        let mut follows = VecDeque::new();
        while self.thread.queue.len() > 0 && self.thread.queue.take_batch(&mut follows, false) {
            for event in follows.drain(..) {
                // Nobody waits for the answer of a departure.
                let _ = self.thread.handle_contained(&event);
                self.thread.guests.refill();
            }
        }
        self.thread.fire();
        answer
    }
}
