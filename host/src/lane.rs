//! A lane: one thread that routes the events of its share of a plugin's topics, one after the other.
//!
//! A topic always goes to the same lane, which is what keeps its events in order for each recipient. A lane drains what
//! has queued up, routes each event, and fires one volley for the lot: under load the batches grow, and each response
//! carries several messages.

mod queue;
mod slow;

use crate::event::{Answer, Event, Happening, Payload, Reply, Routed, Unrouted};
use crate::fault::{Fault, FaultKind};
use crate::log_lines::LogRate;
use crate::message::Message;
use crate::metrics::PluginMetrics;
use crate::outcome::{Outcome, Refusal};
use crate::pid::Pid;
use crate::plugin_logs::Level;
use crate::protocol::{message, payload};
use crate::recipients::Resolver;
use crate::router::{Guest, Mounted};
use crate::session::ExitReason;
use crate::shared::Shared;
use crate::topic::Topic;
use crate::volley::Volley;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use queue::Queue;
use slow::{Admitted, Slow};
use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The publishers' end of a lane.
pub struct Lane {
    queue: Arc<Queue>,
    /// How many events of slow topics wait.
    set_aside: Arc<AtomicUsize>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Lane {
    /// Starts the thread; `guest` is warm.
    pub fn start(
        name: String,
        mounted: Arc<ArcSwap<Mounted>>,
        guest: Guest,
        metrics: Arc<PluginMetrics>,
        shared: Arc<Shared>,
    ) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::new(&shared.limits));
        let set_aside = Arc::<AtomicUsize>::default();
        let thread = LaneThread {
            queue: queue.clone(),
            slow: Slow::new(&shared.limits),
            set_aside: set_aside.clone(),
            mounted,
            guest: Some(guest),
            metrics,
            volley: Volley::new(shared.workers.count()),
            log: RefCell::default(),
            shared,
        };
        let thread = std::thread::Builder::new().name(name).spawn(move || thread.run())?;
        Ok(Self { queue, set_aside, thread: Mutex::new(Some(thread)) })
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

    /// Routes what is queued, then ends the thread.
    pub fn finish(&self) {
        self.queue.close();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            thread.join().expect("a lane's thread does not panic");
        }
    }
}

/// A volley that is older is fired before further events are routed: a rule that runs long delays its own event only.
const VOLLEY_AGE_MAX: Duration = Duration::from_millis(5);

struct LaneThread {
    queue: Arc<Queue>,
    slow: Slow,
    set_aside: Arc<AtomicUsize>,
    /// What to route by; another thread may publish a new one at any time.
    mounted: Arc<ArcSwap<Mounted>>,
    /// None after a fault when no new one could be made; the next event is told why.
    guest: Option<Guest>,
    metrics: Arc<PluginMetrics>,
    shared: Arc<Shared>,
    volley: Volley,
    log: RefCell<LogRate>,
}

/// A resolved delivery: nothing of it is visible yet.
type Prepared = (Vec<u64>, Arc<Message>);

impl LaneThread {
    fn run(mut self) {
        let mut batch = Vec::new();
        while self.queue.take_batch(&mut batch, self.slow.len() == 0) || self.slow.len() > 0 {
            self.volley.begin();
            let begun = Instant::now();
            let (mut now, mut fired) = (begun, begun);
            let any = !batch.is_empty();
            if any {
                self.metrics.batch.add(batch.len() as u64);
            }
            for event in batch.drain(..) {
                match self.slow.admit(event, now) {
                    Admitted::Now(event) => now = self.route_one(event, now),
                    Admitted::Waits => {}
                    Admitted::Refused(event) => self.turn_away(event),
                }
                if now - fired > VOLLEY_AGE_MAX {
                    self.fire();
                    // The next event is not to be blamed for the volley.
                    now = Instant::now();
                    fired = now;
                }
            }
            self.slow.others_ran(any.then(|| now - begun));
            if let Some(event) = self.slow.next() {
                // What the others were sent does not wait for it.
                self.fire();
                let begun = Instant::now();
                let done = self.route_one(event, begun);
                self.slow.slow_ran(done - begun);
            }
            self.set_aside.store(self.slow.len(), Relaxed);
            self.fire();
        }
    }

    /// Routes an event and answers who caused it; when it was done.
    fn route_one(&mut self, mut event: Event, begun: Instant) -> Instant {
        let reply = std::mem::replace(&mut event.reply, Reply::nobody());
        let had_guest = self.guest.is_some();
        let answer = self.handle_contained(&event);
        reply.send(answer);
        if had_guest && self.guest.is_none() {
            // The one who broke the instance waits for the next one, not whoever comes after. If there can be none,
            // the next event tries again and is told why.
            self.guest = Guest::warm(&self.mounted.load(), &self.shared).ok();
        }
        let done = Instant::now();
        self.slow.ran(&event.topic, done - begun, done);
        done
    }

    fn turn_away(&self, event: Event) {
        self.metrics.busy.inc();
        event.reply.send(Err(Unrouted::Busy));
    }

    fn fire(&mut self) {
        let fired = self.volley.fire(&self.shared.sessions, &self.shared.workers, &self.shared.limits);
        self.metrics.fired(&fired);
        self.volley.begin();
    }

    /// A mistake of ours fails one event too, and not the lane.
    fn handle_contained(&mut self, event: &Event) -> Answer {
        let handled = std::panic::catch_unwind(AssertUnwindSafe(|| self.handle(event)));
        handled.unwrap_or_else(|_| {
            self.guest = None;
            let words = "the host panicked; this is a bug of the server, see its log";
            Err(self.failed(event, &Fault::new(FaultKind::Host, words)))
        })
    }

    /// What the host itself does about an event comes before the rule is asked.
    fn handle(&mut self, event: &Event) -> Answer {
        let nothing_to_do = Ok(Routed { event: event.id, recipients: 0 });
        match (&event.what, event.sender) {
            (Happening::Join { .. }, Some(pid)) if self.shared.subscriptions.contains(&event.topic, pid) => {
                nothing_to_do
            }
            (Happening::Join { .. }, Some(pid)) => self.join(event, pid),
            (Happening::Leave, Some(pid)) if !self.unsubscribe(&event.topic, pid) => nothing_to_do,
            (Happening::Exit(_), Some(pid)) => {
                self.shared.subscriptions.remove(&event.topic, pid);
                self.route(event)
            }
            _ => self.route(event),
        }
    }

    fn route(&mut self, event: &Event) -> Answer {
        let outcome = self.ask(event)?;
        self.deliver(event, outcome)
    }

    /// The joiner is a subscriber once the rule has agreed, and before its deliveries are resolved.
    fn join(&mut self, event: &Event, pid: Pid) -> Answer {
        let topics_max = self.shared.limits.session_topics_max;
        let topics = self.shared.sessions.with(pid, |session| session.topics.len()).ok_or(Unrouted::Gone)?;
        if topics as u64 >= topics_max {
            let words = format!("a session has at most {topics_max} subscriptions (session_topics_max)");
            return Err(Unrouted::Limited(words));
        }
        if !self.shared.sessions.can_subscribe() {
            return Err(Unrouted::Busy);
        }
        let outcome = self.ask(event)?;
        if !self.subscribe(&event.topic, pid) {
            // The session ended meanwhile, and the rule believes that it is in.
            self.route_departure(event, Happening::Exit(ExitReason::Normal));
            return Err(Unrouted::Gone);
        }
        // Reserved places come first in a batch, so that a second try to join comes after the departure.
        self.deliver(event, outcome).inspect_err(|_| self.route_departure(event, Happening::Leave))
    }

    /// Asks the rule, and sees to it that one that failed is replaced.
    fn ask(&mut self, event: &Event) -> Result<Outcome, Unrouted> {
        self.metrics.events.inc();
        let mounted = self.mounted.load();
        if self.guest.as_ref().is_some_and(|guest| guest.is_spent() || !guest.is_of(&mounted)) {
            self.guest = None;
        }
        let guest = match &mut self.guest {
            Some(guest) => guest,
            None => match Guest::warm(&mounted, &self.shared) {
                Ok(guest) => self.guest.insert(guest),
                Err(fault) => return Err(self.failed(event, &fault)),
            },
        };
        let start = Instant::now();
        let routed = guest.route(event);
        self.metrics.route.add_ns(start.elapsed().as_nanos() as u64);
        match routed {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(refusal)) => Err(self.refused(event, refusal)),
            Err(fault) => {
                self.guest = None;
                Err(self.failed(event, &fault))
            }
        }
    }

    /// Resolves everything before anything becomes visible, so that an event fails as a whole.
    fn deliver(&mut self, event: &Event, mut outcome: Outcome) -> Answer {
        let remove = std::mem::take(&mut outcome.remove);
        let prepared = if remove.len() as u64 > self.shared.limits.recipients_max {
            Err("the rule removed more PIDs than recipients_max".into())
        } else {
            self.prepare(event, outcome)
        };
        let prepared = prepared.map_err(|words| {
            // A fresh instance gives back the memory that such an answer has taken.
            self.guest = None;
            self.failed(event, &Fault::new(FaultKind::Answer, words))
        })?;
        let mut recipients = 0;
        for (pids, message) in &prepared {
            recipients += self.volley.deliver(&self.shared.sessions, pids, message);
        }
        for pid in remove.into_iter().filter_map(Pid::from_bits) {
            self.unsubscribe(&event.topic, pid);
        }
        self.metrics.recipients.add(recipients);
        Ok(Routed { event: event.id, recipients })
    }

    fn prepare(&self, event: &Event, outcome: Outcome) -> Result<Vec<Prepared>, String> {
        let limits = &self.shared.limits;
        if outcome.deliveries.len() as u64 > limits.deliveries_max {
            return Err("the rule returned more than deliveries_max deliveries".into());
        }
        let plugin = &self.mounted.load().plugin;
        let (subscriptions, groups) = (&self.shared.subscriptions, &self.shared.groups);
        let mut resolver = Resolver::new(plugin, &event.topic, subscriptions, groups, limits);
        let mut bytes_left = limits.outcome_bytes_max;
        let mut forwarded = None;
        let mut prepared = Vec::with_capacity(outcome.deliveries.len());
        for delivery in outcome.deliveries {
            let list = resolver.resolve(delivery.to)?;
            let message = match delivery.message {
                None => forwarded.get_or_insert_with(|| self.render(event, own_data(event))).clone(),
                Some(data) => {
                    bytes_left = bytes_left
                        .checked_sub(data.len() as u64)
                        .ok_or("the rule returned payloads of more than outcome_bytes_max bytes")?;
                    self.render(event, &checked(data)?)
                }
            };
            prepared.push((list, message));
        }
        Ok(prepared)
    }

    fn render(&self, event: &Event, data: &Payload) -> Arc<Message> {
        Message::new(message::render(event, data), &self.shared.sessions.message_bytes)
    }

    /// Whether the session is still there. One that ends from here on routes its exit through this lane, after this event.
    fn subscribe(&self, topic: &Topic, pid: Pid) -> bool {
        let is_live = self.shared.sessions.subscribe(pid, topic);
        if is_live {
            self.shared.subscriptions.add(topic, pid);
        }
        is_live
    }

    fn unsubscribe(&self, topic: &Topic, pid: Pid) -> bool {
        self.shared.sessions.unsubscribe(pid, topic);
        self.shared.subscriptions.remove(topic, pid)
    }

    /// The rule let a session in that could not stay: it gets to know that it is out again.
    fn route_departure(&self, join: &Event, what: Happening) {
        self.queue.offer_reserved(Event {
            id: self.shared.event_ids.next(),
            topic: join.topic.clone(),
            sender: join.sender,
            user: join.user.clone(),
            time_ms: join.time_ms,
            what,
            reply: Reply::nobody(),
        });
    }

    fn refused(&self, event: &Event, refusal: Refusal) -> Unrouted {
        self.metrics.refusals.inc();
        if !matches!(event.what, Happening::Publish(_) | Happening::Join { .. }) {
            tracing::warn!(plugin = %self.mounted.load().plugin, topic = %event.topic, event = event.id, ?refusal,
                "a rule refused what cannot be refused");
        }
        let cut = |mut words: String| {
            words.truncate(words.floor_char_boundary(self.shared.limits.log_bytes_max as usize));
            words
        };
        match refusal {
            Refusal::Refused(words) => Unrouted::Refused(cut(words)),
            Refusal::Invalid(words) => Unrouted::Invalid(cut(words)),
        }
    }

    /// Operators are told where the rule was; whoever caused the event is told in words.
    fn failed(&self, event: &Event, fault: &Fault) -> Unrouted {
        self.metrics.faults.of(fault.kind()).inc();
        if let Some(unsaid) = self.log.borrow_mut().admit(self.shared.limits.log_lines_per_s_max) {
            let mounted = self.mounted.load();
            let (log, version) =
                (self.shared.plugin_logs.of_plugin(&mounted.plugin), mounted.rule.short_version().into());
            if unsaid > 0 {
                log.write(
                    Level::Warning,
                    &version,
                    None,
                    &format!("{unsaid} faults were not logged (log_lines_per_s_max)"),
                );
            }
            let at = (event.topic.clone(), event.id);
            log.write(Level::Error, &version, Some(&at), &format!("the plugin failed: {}", fault.report()));
        }
        Unrouted::Failed(fault.to_string())
    }
}

/// A rule's payload is held to what a client's is.
fn checked(data: Payload) -> Result<Payload, String> {
    match data {
        Payload::Json(json) => payload::json(json).map_err(|words| format!("in a delivery of the rule {words}")),
        Payload::Text(_) | Payload::Binary(_) => Ok(data),
    }
}

/// What `forward` forwards.
fn own_data(event: &Event) -> &Payload {
    static NULL: Payload = Payload::Json(bytes::Bytes::from_static(b"null"));
    match &event.what {
        Happening::Publish(data) | Happening::Timer(data) => data,
        Happening::Join { .. } | Happening::Leave | Happening::Exit(_) => &NULL,
    }
}
