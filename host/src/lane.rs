//! A lane: one thread that routes the events of its share of a plugin's topics, one after the other.
//!
//! A topic always goes to the same lane, which is what keeps its events in order for each recipient. A lane drains what
//! has queued up, routes each event, and fires one volley for the lot: under load the batches grow, and each response
//! carries several messages. Before each event it looks whether a new generation was published, or somebody called.

mod alone;
mod control;
mod draft;
mod guests;
mod queue;
mod sight;
mod slow;
mod thread;

pub use alone::LaneAlone;

use crate::busiest::Counted;
use crate::event::Event;
use crate::generation::Generation;
use crate::metrics::PluginMetrics;
use crate::plugin::Alarm;
use crate::shared::Shared;
use crate::topic::Topic;
use crate::volley::Volley;
use arc_swap::ArcSwap;
use control::Control;
use guests::Guests;
use parking_lot::Mutex;
use queue::Queue;
use sight::Sight;
use slow::Slow;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use thread::LaneThread;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

/// A lane's end that publishers and operators hold.
pub struct Lane {
    queue: Arc<Queue>,
    control: Arc<Control<LaneThread>>,
    /// How many events of slow topics wait.
    set_aside: Arc<AtomicUsize>,
    sight: Arc<Sight>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// A lane that waits until this is dropped.
pub struct Paused {
    _until_dropped: mpsc::Sender<()>,
}

impl Lane {
    /// Starts the thread, with the instances that the published generation has brought for it.
    pub fn start(
        plugin: Arc<str>,
        index: usize,
        published: Arc<ArcSwap<Generation>>,
        metrics: Arc<PluginMetrics>,
        shared: Arc<Shared>,
        alarms: UnboundedSender<Alarm>,
    ) -> std::io::Result<Self> {
        let (queue, control) = (Arc::new(Queue::new(&shared.limits)), Arc::new(Control::new()));
        let set_aside = Arc::<AtomicUsize>::default();
        let sight = Arc::new(Sight::new(shared.onlookers.clone()));
        let (name, recorder) = (format!("lane-{plugin}-{index}"), shared.traces.of_plugin(&plugin));
        let thread = LaneThread {
            plugin,
            queue: queue.clone(),
            control: control.clone(),
            batch: VecDeque::new(),
            slow: Slow::new(&shared.limits),
            set_aside: set_aside.clone(),
            sight: sight.clone(),
            guests: Guests::new(index, recorder, published.load_full(), shared.clone()),
            published,
            metrics,
            volley: Volley::new(shared.workers.count()),
            log: RefCell::default(),
            shared,
            alarms,
        };
        let thread = std::thread::Builder::new().name(name).spawn(move || thread.run())?;
        Ok(Self { queue, control, set_aside, sight, thread: Mutex::new(Some(thread)) })
    }

    /// Queues an event; a full lane gives it back.
    // The event goes back by value: boxing it would cost every event for the few that are turned away.
    #[allow(clippy::result_large_err)]
    pub fn offer(&self, event: Event) -> Result<(), Event> {
        self.queue.offer(event)
    }

    /// Queues an exit or a timer, which have their own places.
    pub fn offer_reserved(&self, event: Event) {
        self.queue.offer_reserved(event);
    }

    /// How many events wait.
    pub fn queued(&self) -> usize {
        self.queue.len() + self.set_aside.load(Relaxed)
    }

    /// When the first of them came that are in its queue, since 1970.
    pub fn oldest_ms(&self) -> Option<u64> {
        self.queue.oldest_ms()
    }

    /// How long it has worked while somebody watched the server live, and how many events it has in hand.
    pub fn worked(&self) -> (Duration, u64) {
        self.sight.worked()
    }

    /// The topics of its events since somebody asked, if somebody watched the server live.
    pub fn take_topics(&self) -> Vec<Counted> {
        self.sight.take_topics()
    }

    /// Makes it look at what is published even if no event comes; told when it has.
    pub fn keep_up(&self) -> oneshot::Receiver<()> {
        self.call(|_| ())
    }

    /// Lets it finish the event it is at, and no further one until the value is dropped; told when it waits.
    pub fn pause(&self) -> (oneshot::Receiver<()>, Paused) {
        let (resume, resumed) = mpsc::channel();
        let (tell, told) = oneshot::channel();
        self.call(move |_| {
            let _ = tell.send(());
            // An error, too, means that whoever paused it is done.
            let _ = resumed.recv();
        });
        (told, Paused { _until_dropped: resume })
    }

    /// Whether an event of a topic waits, for which that holds.
    pub fn any_waiting(&self, is_one: impl Fn(&Topic) -> bool + Send + 'static) -> oneshot::Receiver<bool> {
        self.call(move |lane| {
            let is_one = |event: &Event| is_one(&event.topic);
            lane.batch.iter().any(is_one) || lane.slow.any(is_one) || lane.queue.any(is_one)
        })
    }

    /// Has its thread do something between two events. Nobody is told once the lane has ended.
    fn call<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut LaneThread) -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (tell, told) = oneshot::channel();
        self.control.push(Box::new(move |lane| drop(tell.send(what(lane)))));
        self.queue.nudge();
        told
    }

    /// Routes what is queued, then ends the thread.
    pub fn finish(&self) {
        self.queue.close();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            thread.join().expect("a lane's thread does not panic");
        }
    }
}
