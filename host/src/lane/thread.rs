//! A lane's thread: what it does with its events, one after the other.

use super::control::Control;
use super::guests::Guests;
use super::queue::Queue;
use super::sight::Sight;
use super::slow::{Admitted, Slow};
use crate::event::{Answer, Event, Happening, Payload, Reply, Routed, Unrouted};
use crate::fault::{Fault, FaultKind};
use crate::generation::Generation;
use crate::log_lines::LogRate;
use crate::message::Message;
use crate::metrics::PluginMetrics;
use crate::on_trap::OnTrap;
use crate::outcome::{Delivery, Outcome, Recipients, Refusal};
use crate::pid::Pid;
use crate::plugin::Alarm;
use crate::plugin_logs::Level;
use crate::protocol::message;
use crate::recipients::{Operands, Resolver};
use crate::session::ExitReason;
use crate::shared::Shared;
use crate::topic::Topic;
use crate::volley::Volley;
use arc_swap::ArcSwap;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// A volley that is older is fired before further events are routed: a rule that runs long delays its own event only.
const VOLLEY_AGE_MAX: Duration = Duration::from_millis(5);

pub(super) struct LaneThread {
    pub(super) plugin: Arc<str>,
    pub(super) queue: Arc<Queue>,
    pub(super) control: Arc<Control<LaneThread>>,
    /// What was taken from the queue and comes next.
    pub(super) batch: VecDeque<Event>,
    pub(super) slow: Slow,
    pub(super) set_aside: Arc<AtomicUsize>,
    pub(super) sight: Arc<Sight>,
    /// What to route by; another thread may publish the next one at any time.
    pub(super) published: Arc<ArcSwap<Generation>>,
    pub(super) guests: Guests,
    pub(super) metrics: Arc<PluginMetrics>,
    pub(super) shared: Arc<Shared>,
    pub(super) volley: Volley,
    pub(super) log: RefCell<LogRate>,
    /// Whom to tell when a version fails too often.
    pub(super) alarms: UnboundedSender<Alarm>,
}

/// A resolved delivery: nothing of it is visible yet.
type Prepared = (Vec<u64>, Arc<Message>);

impl LaneThread {
    pub(super) fn run(mut self) {
        let mut batch = VecDeque::new();
        while self.queue.take_batch(&mut batch, self.slow.len() == 0) || self.slow.len() > 0 {
            std::mem::swap(&mut batch, &mut self.batch);
            self.volley.begin();
            self.keep_up();
            let begun = Instant::now();
            self.sight.begins(begun, self.batch.len());
            let (mut now, mut fired) = (begun, begun);
            let any = !self.batch.is_empty();
            if any {
                self.metrics.batch.add(self.batch.len() as u64);
            }
            while !self.batch.is_empty() {
                // Before the event is taken out: whoever asks what waits has to find it.
                if self.keep_up() {
                    now = Instant::now();
                }
                let Some(event) = self.batch.pop_front() else { break };
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
            self.keep_up();
            if let Some(event) = self.slow.next() {
                // What the others were sent does not wait for it.
                self.fire();
                let begun = Instant::now();
                let done = self.route_one(event, begun);
                self.slow.slow_ran(done - begun);
            }
            self.set_aside.store(self.slow.len(), Relaxed);
            self.fire();
            self.sight.ends();
        }
        self.control.close();
    }

    /// Turns to the generation that is published, and does what was called for; true if that may have taken time.
    fn keep_up(&mut self) -> bool {
        let mut took_time = false;
        // Looks again after each call: one that holds the lane may have done so while the next generation was published.
        loop {
            let is_new = !Arc::ptr_eq(&self.published.load(), self.guests.generation());
            let calls = self.control.take();
            if !is_new && calls.is_empty() {
                return took_time;
            }
            // Nobody's delivery waits for what operators do.
            self.fire();
            self.guests.turn_to(self.published.load_full());
            for call in calls {
                call(self);
            }
            took_time = true;
        }
    }

    /// Routes an event and answers who caused it; when it was done.
    fn route_one(&mut self, mut event: Event, begun: Instant) -> Instant {
        let reply = std::mem::replace(&mut event.reply, Reply::nobody());
        let answer = self.handle_contained(&event);
        self.sight.routed(&event.topic, &answer);
        reply.send(answer);
        self.guests.refill();
        let done = Instant::now();
        self.slow.ran(&event.topic, done - begun, done);
        done
    }

    fn turn_away(&self, event: Event) {
        self.metrics.busy.inc();
        event.reply.send(Err(Unrouted::Busy));
    }

    pub(super) fn fire(&mut self) {
        let fired = self.volley.fire(&self.shared.sessions, &self.shared.workers, &self.shared.limits);
        self.metrics.fired(&fired);
        self.volley.begin();
    }

    /// A mistake of ours fails one event too, and not the lane.
    pub(super) fn handle_contained(&mut self, event: &Event) -> Answer {
        let handled = std::panic::catch_unwind(AssertUnwindSafe(|| self.handle(event)));
        let answer = handled.unwrap_or_else(|_| {
            self.guests.drop_all();
            let words = "the host panicked; this is a bug of the server, see its log";
            Err(self.failed(event, &Fault::new(FaultKind::Host, words)))
        });
        self.record(event, &answer);
        answer
    }

    /// Whoever is answered finds the event in the trace.
    fn record(&mut self, event: &Event, answer: &Answer) {
        let Some(draft) = self.guests.draft().take() else { return };
        let (generation, shared) = (self.guests.generation().number, &self.shared);
        // It must not cost more than its own line.
        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| draft.finish(event, generation, answer, shared)));
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

    /// Asks the rule; if it fails, its topic's policy says what then.
    fn ask(&mut self, event: &Event) -> Result<Outcome, Unrouted> {
        self.metrics.events.inc();
        let Some((row, config)) = self.guests.generation().row(&event.topic) else { return Err(Unrouted::NoPlugin) };
        let on_trap = row.on_trap;
        let start = Instant::now();
        let routed = self.guests.route(config, event);
        self.metrics.route.add_ns(start.elapsed().as_nanos() as u64);
        let fault = match routed {
            Ok(Ok(outcome)) => return Ok(outcome),
            Ok(Err(refusal)) => return Err(self.refused(event, refusal)),
            Err(fault) => self.failed(event, &fault),
        };
        match on_trap {
            OnTrap::Fail => Err(fault),
            OnTrap::Subscribers => as_it_is(event).ok_or(fault),
            OnTrap::Previous => match self.guests.route_by_previous(config, event) {
                None => Err(fault),
                Some(Ok(Ok(outcome))) => Ok(outcome),
                Some(Ok(Err(refusal))) => Err(self.refused(event, refusal)),
                // One event is one failure of the active version.
                Some(Err(fault)) => Err(self.told(event, &fault.within("the version before, too"))),
            },
        }
    }

    /// Resolves everything before anything becomes visible, so that an event fails as a whole.
    fn deliver(&mut self, event: &Event, mut outcome: Outcome) -> Answer {
        self.wait_for_disk()?;
        let mut recorded = self.guests.draft().is_some().then(|| (outcome.clone(), Operands::default()));
        let remove = std::mem::take(&mut outcome.remove);
        let prepared = if remove.len() as u64 > self.shared.limits.recipients_max {
            Err("the rule removed more PIDs than recipients_max".into())
        } else {
            self.prepare(event, outcome, recorded.as_mut().map(|(_, operands)| operands))
        };
        if let (Some(draft), Some((outcome, operands))) = (self.guests.draft(), recorded) {
            let lists = prepared.as_ref().ok().map(|prepared| prepared.iter().map(|(list, _)| list));
            draft.resolved(event, outcome, &operands, lists, &self.plugin, &self.shared);
        }
        let prepared = prepared.map_err(|words| {
            if let Some((_, config)) = self.guests.generation().row(&event.topic) {
                self.guests.drop_one(config);
            }
            self.failed(event, &Fault::new(FaultKind::Answer, words))
        })?;
        let mut recipients = 0;
        for (at, (pids, message)) in prepared.iter().enumerate() {
            let had_ended = |pid| self.guests.draft().iter_mut().for_each(|draft| draft.had_ended(at, pid));
            recipients += self.volley.deliver(&self.shared.sessions, pids, message, had_ended);
        }
        for pid in remove.into_iter().filter_map(Pid::from_bits) {
            self.unsubscribe(&event.topic, pid);
        }
        self.metrics.recipients.add(recipients);
        Ok(Routed { event: event.id, recipients })
    }

    /// With synchronous commits nobody learns of an event before what its plugin has changed in durable tables by now is on
    /// the disk.
    fn wait_for_disk(&mut self) -> Result<(), Unrouted> {
        if !self.shared.tables.must_be_written(&self.plugin) {
            return Ok(());
        }
        // What earlier events have sent does not wait for it.
        self.fire();
        let at_most = Duration::from_millis(self.shared.limits.commit_ms_max);
        if self.shared.tables.wait_until_written(at_most) { Ok(()) } else { Err(Unrouted::Unwritten) }
    }

    fn prepare(
        &self,
        event: &Event,
        outcome: Outcome,
        operands: Option<&mut Operands>,
    ) -> Result<Vec<Prepared>, String> {
        let Shared { limits, subscriptions, groups, .. } = &*self.shared;
        let resolver = Resolver::new(&self.plugin, &event.topic, subscriptions, groups, limits).noting(operands);
        let mut forwarded = None;
        resolver.resolve_all(outcome.deliveries, limits, |data| match data {
            None => forwarded.get_or_insert_with(|| self.render(event, own_data(event))).clone(),
            Some(data) => self.render(event, &data),
        })
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
            tracing::warn!(plugin = %self.plugin, topic = %event.topic, event = event.id, ?refusal,
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
        let generation = self.guests.generation();
        if generation.trapped(&self.shared.limits) {
            // Nobody listens only when the server goes down.
            let _ = self.alarms.send((self.plugin.clone(), generation.number));
        }
        self.told(event, fault)
    }

    fn told(&self, event: &Event, fault: &Fault) -> Unrouted {
        self.metrics.faults.of(fault.kind()).inc();
        let generation = self.guests.generation();
        if let Some(unsaid) = self.log.borrow_mut().admit(self.shared.limits.log_lines_per_s_max) {
            let (log, version) =
                (self.shared.plugin_logs.of_plugin(&self.plugin), generation.rule.short_version().into());
            if unsaid > 0 {
                let words = format!("{unsaid} faults were not logged (log_lines_per_s_max)");
                log.write(Level::Warning, &version, None, &words);
            }
            let at = (event.topic.clone(), event.id);
            log.write(Level::Error, &version, Some(&at), &format!("the plugin failed: {}", fault.report()));
        }
        Unrouted::Failed(fault.to_string())
    }
}

/// A plain broadcast. Only a publish is made for it: a join that nobody agreed to must not let anybody in, and a timer's
/// data is the rule's own.
fn as_it_is(event: &Event) -> Option<Outcome> {
    let forward = Delivery { to: Recipients::Subscribers, message: None };
    matches!(event.what, Happening::Publish(_)).then(|| Outcome { deliveries: vec![forward], remove: Vec::new() })
}

/// What `forward` forwards.
fn own_data(event: &Event) -> &Payload {
    static NULL: Payload = Payload::Json(bytes::Bytes::from_static(b"null"));
    match &event.what {
        Happening::Publish(data) | Happening::Timer(data) => data,
        Happening::Join { .. } | Happening::Leave | Happening::Exit(_) => &NULL,
    }
}
