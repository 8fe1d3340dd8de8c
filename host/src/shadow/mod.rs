//! A shadow: a candidate version is asked what the live one was asked, for a sample of the events, and their answers are
//! compared. Nothing it does has an effect: it sends nothing, sets no timers, and what it writes only it sees, until the
//! event is over.
//!
//! It runs later than the live rule, on a thread of its own, and a rule that is the same must be called the same even so:
//! a tape of the live event (`router/tape`) says when each call saw what it saw and what chance gave; tables and groups
//! can be seen as they were (`history`). What waits is bounded, and dropped from the comparison when there is no room: no
//! live event ever waits for a shadow.
//!
//! What it cannot see: that a candidate writes something else, as long as it answers the same for each single event; what
//! a rule keeps in its own memory, where rules keep nothing; and the layout that a candidate would bring the tables into
//! first, if it migrates. Subscribers of another topic than the event's are those of now.

mod answers;
mod report;

pub use report::{Difference, Report, Times};

use crate::caller::Caller;
use crate::denied::Allowed;
use crate::event::{Event, Happening, Reply};
use crate::history::Past;
use crate::outcome::{Outcome, Refusal};
use crate::router::{Fault, Guest, Mounted, Tape};
use crate::shared::Shared;
use answers::{Comparison, Said};
use parking_lot::Mutex;
use report::Findings;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How many samples are compared before what nobody needs any more is forgotten everywhere.
const SWEEP_SAMPLES: u64 = 64;

/// The live lanes' end of a shadow.
pub struct Shadow {
    shared: Arc<Shared>,
    sample: f64,
    /// None once it has been stopped.
    queue: Mutex<Option<SyncSender<Sample>>>,
    findings: Arc<Findings>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Nobody wants to know any more.
    over: Arc<AtomicBool>,
}

/// An event as it was routed live.
struct Sample {
    event: Event,
    tape: Tape,
    live: Said,
    /// The topic's subscribers when the live rule had answered.
    subscribers: Vec<u64>,
}

impl Shadow {
    /// Warms an instance for each config of the plugin, and starts the thread. `sample` is the share of the events.
    pub fn start(candidates: &[Arc<Mounted>], sample: f64, shared: &Arc<Shared>) -> Result<Self, String> {
        let replica = |of: &Arc<Mounted>| Ok(Replica { guest: Some(Guest::shadow(of, shared)?), of: of.clone() });
        let replicas: Result<Vec<_>, Fault> = candidates.iter().map(replica).collect();
        let replicas = replicas.map_err(|fault| fault.to_string())?;
        let version = candidates.first().map_or_else(String::new, |of| of.rule.version.clone());
        let counted = candidates.first().map(|of| shared.metrics.of_plugin(&of.plugin));
        let findings = Arc::new(Findings::new(version, sample, counted));
        let (queue, samples) = sync_channel(shared.limits.shadow_queue_events_max as usize);
        let over = Arc::<AtomicBool>::default();
        let thread = ShadowThread { replicas, findings: findings.clone(), shared: shared.clone(), over: over.clone() };
        let thread = std::thread::Builder::new()
            .name("shadow".into())
            .spawn(move || thread.run(&samples))
            .map_err(|error| format!("the shadow's thread can't be started: {error}"))?;
        let (queue, thread) = (Mutex::new(Some(queue)), Mutex::new(Some(thread)));
        Ok(Self { shared: shared.clone(), sample, queue, findings, thread, over })
    }

    /// Whether the next event is one of the sample. If so, its routing is to be taped ([`Guest::begin_tape`]).
    pub fn wants(&self) -> bool {
        self.sample >= 1.0 || rand::random_bool(self.sample.clamp(0.0, 1.0))
    }

    /// An event was routed live: to be called right after that, in its lane. `tape` is what [`Guest::end_tape`] gave.
    pub fn offer(&self, event: &Event, tape: Option<Tape>, answer: &Result<Result<Outcome, Refusal>, Fault>) {
        let Some(mut tape) = tape else { return };
        let mut subscribers = Vec::new();
        self.shared.subscriptions.copy_into(event.topic.as_str(), &mut subscribers);
        if let (Happening::Join { .. }, Some(pid), Ok(Ok(_))) = (&event.what, event.sender, answer) {
            // It becomes a subscriber only now, before the deliveries are resolved.
            subscribers.push(pid.to_bits());
        }
        let live = Said::of(answer);
        let bytes = size_of::<Sample>() as u64 + event.bytes() + live.bytes() + 8 * subscribers.len() as u64;
        let sample = tape.since.take_room(bytes).then(|| Sample { event: copy(event), tape, live, subscribers });
        let queue = self.queue.lock().clone();
        let offered = sample.zip(queue).is_some_and(|(sample, queue)| queue.try_send(sample).is_ok());
        if !offered {
            self.findings.drop_one();
        }
    }

    /// Which version it tries.
    pub fn version(&self) -> &str {
        self.findings.version()
    }

    /// What has been found so far.
    pub fn report(&self) -> Report {
        self.findings.report()
    }

    /// Whether of the last so many events at most so many were answered differently; if not, why, for an operator.
    pub fn is_clean(&self, events: u64, max_different: u64) -> Result<(), String> {
        self.findings.is_clean(events, max_different)
    }

    /// Takes no further samples, and drops those that wait.
    pub fn stop(&self) {
        self.over.store(true, Relaxed);
        *self.queue.lock() = None;
    }

    /// Stops it and waits until all that waited are compared.
    pub fn finish(&self) {
        *self.queue.lock() = None;
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            thread.join().expect("a shadow's thread does not panic");
        }
    }
}

/// The event without whoever waits for its answer.
fn copy(event: &Event) -> Event {
    Event {
        id: event.id,
        topic: event.topic.clone(),
        sender: event.sender,
        user: event.user.clone(),
        time_ms: event.time_ms,
        what: event.what.clone(),
        reply: Reply::nobody(),
    }
}

/// The candidate with one config.
struct Replica {
    of: Arc<Mounted>,
    /// None after a fault, and when it has had its number of events.
    guest: Option<Guest>,
}

struct ShadowThread {
    replicas: Vec<Replica>,
    findings: Arc<Findings>,
    shared: Arc<Shared>,
    over: Arc<AtomicBool>,
}

impl ShadowThread {
    fn run(mut self, samples: &Receiver<Sample>) {
        // What the candidate logs is told apart by this.
        let _tagged = tracing::info_span!("shadow", shadow = true).entered();
        let mut count: u64 = 0;
        while let Ok(sample) = samples.recv()
            && !self.over.load(Relaxed)
        {
            self.compare(sample);
            count += 1;
            if count.is_multiple_of(SWEEP_SAMPLES) && self.shared.feed.is_crowded() {
                self.sweep();
            }
        }
        self.sweep();
    }

    fn sweep(&self) {
        self.shared.tables.forget();
        self.shared.groups.forget();
    }

    fn compare(&mut self, sample: Sample) {
        let Sample { event, tape, live, subscribers } = sample;
        let replica = self.replicas.iter_mut().find(|replica| replica.of.config == tape.of.config);
        let Some(replica) = replica.filter(|_| !tape.is_useless()) else { return self.findings.drop_one() };
        let shared = &self.shared;
        let plugin = tape.of.plugin.clone();
        let comparison = Comparison { event: &event, plugin: &plugin, subscribers: &subscribers, shared };
        let (live_took, live_past, shadow_past) = (tape.took, tape.after(true), tape.after(false));
        let mut of_live = |scope: &str, group: &[u8]| members_before(shared, &plugin, scope, live_past, group);
        let guest = match replica.guest(shared) {
            Ok(guest) => guest,
            Err(fault) => {
                let fault = Said::Fault(fault.to_string());
                let verdict = comparison.verdict(&live, &fault, &mut of_live, &mut |_, _| Ok(Vec::new()));
                return self.findings.add(&event, verdict, live_took, Duration::ZERO);
            }
        };
        let began = Instant::now();
        let answer = guest.replay(&event, tape);
        let took = began.elapsed();
        let mut of_shadow = |scope: &str, group: &[u8]| guest.members_after(shadow_past, scope, group);
        let verdict = comparison.verdict(&live, &Said::of(&answer), &mut of_live, &mut of_shadow);
        // What it saw may have been forgotten while it looked.
        let is_useless = guest.end_replay().is_none_or(|tape| tape.is_useless());
        if answer.is_err() || guest.is_spent() {
            replica.guest = None;
        }
        if is_useless {
            self.findings.drop_one();
        } else {
            self.findings.add(&event, verdict, live_took, took);
        }
    }
}

/// The members of a group as the live rule left them.
fn members_before(shared: &Shared, plugin: &Arc<str>, scope: &str, past: Past, group: &[u8]) -> Allowed<Vec<u64>> {
    let scope = shared.groups.find(&Caller::of(plugin.clone()), scope)?;
    Ok(scope.map_or_else(Vec::new, |scope| scope.members_before(past, group).into_iter().collect()))
}

impl Replica {
    fn guest(&mut self, shared: &Arc<Shared>) -> Result<&mut Guest, Fault> {
        match &mut self.guest {
            Some(guest) => Ok(guest),
            none => Ok(none.insert(Guest::shadow(&self.of, shared)?)),
        }
    }
}

#[cfg(test)]
mod tests;
