//! A rule's tests, run natively by plain `cargo test`: a small server in memory around one rule.
//!
//! Subscriptions, recipients, tables, groups and timers behave as on the real server, one event at a time; the clock stands
//! still but for [`Server::wait`]; there are no bounds and no other plugins. Another version of the rule can take over. A
//! whole conversation can be kept in a file: see [`recorded()`]. Not there when the rule is built for Wasm.
//!
//! ```
//! use volley_plugin::testing::Server;
//! use volley_plugin::{Event, Info, Kind, Outcome, Refusal, Rule, subscribers};
//!
//! struct Echo;
//!
//! impl Rule for Echo {
//!     fn info() -> Info {
//!         Info { name: "echo", version: "0.1.0", description: "to all but the sender" }
//!     }
//!     fn init(_config: &str) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!     fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
//!         match event.kind {
//!             Kind::Publish => Ok(Outcome::new().forward(subscribers() - event.sender)),
//!             _ => Ok(Outcome::new()),
//!         }
//!     }
//! }
//!
//! let mut server = Server::<Echo>::start("");
//! let (ann, bob) = (server.open("ann"), server.open("bob"));
//! server.join("news", ann).unwrap();
//! server.join("news", bob).unwrap();
//! server.publish("news", ann, r#""hello""#).unwrap();
//! assert_eq!(server.inbox(bob), ["hello"]);
//! assert!(server.inbox(ann).is_empty());
//! ```

mod code_change;
pub(crate) mod memory;
mod recorded;

pub use code_change::Failed;
pub use recorded::recorded;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::bindings::volley::router::types::{Recipients, SetOp};
use crate::{Event, ExitReason, Kind, Message, Outcome, Payload, Pid, Refusal, Rule};

/// A server in memory around one rule.
pub struct Server<R> {
    rule: R,
    sessions: BTreeMap<Pid, Session>,
    subscribers: BTreeMap<String, BTreeSet<u64>>,
    events: u64,
    sessions_opened: u64,
}

#[derive(Debug)]
struct Session {
    user: Option<String>,
    params: Option<String>,
    inbox: Vec<Payload>,
}

/// What a rule keeps is handles, so it need not be shown.
impl<R> fmt::Debug for Server<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule: _, sessions, subscribers, events, sessions_opened: _ } = self;
        f.debug_struct("Server")
            .field("sessions", sessions)
            .field("subscribers", subscribers)
            .field("events", events)
            .finish_non_exhaustive()
    }
}

impl<R: Rule> Server<R> {
    /// Starts afresh, with empty tables and groups; one at a time in a test.
    pub fn start(config: &str) -> Self {
        memory::with(|memory| *memory = memory::Memory::default());
        let rule = R::init(config).expect("the rule takes the config");
        let (sessions, subscribers) = (BTreeMap::new(), BTreeMap::new());
        Self { rule, sessions, subscribers, events: 0, sessions_opened: 0 }
    }

    /// A session of this user.
    pub fn open(&mut self, user: &str) -> Pid {
        self.open_session(Some(user), None)
    }

    /// A session of this user that gives these params, as JSON.
    pub fn open_with(&mut self, user: &str, params: &str) -> Pid {
        self.open_session(Some(user), Some(params))
    }

    /// A session that gave no user.
    pub fn open_nameless(&mut self) -> Pid {
        self.open_session(None, None)
    }

    fn open_session(&mut self, user: Option<&str>, params: Option<&str>) -> Pid {
        self.sessions_opened += 1;
        let pid = Pid::from_bits(self.sessions_opened << 18 | 1);
        let [user, params] = [user, params].map(|text| text.map(str::to_owned));
        self.sessions.insert(pid, Session { user, params, inbox: Vec::new() });
        pid
    }

    /// Subscribes the session, if the rule lets it.
    pub fn join(&mut self, topic: &str, pid: Pid) -> Result<(), Refusal> {
        if self.is_subscribed(topic, pid) {
            return Ok(());
        }
        let outcome = self.route(topic, Kind::Join, Some(pid), &null())?;
        self.subscribers.entry(topic.to_owned()).or_default().insert(pid.to_bits());
        self.deliver(topic, &outcome, &null());
        Ok(())
    }

    /// Unsubscribes the session.
    pub fn leave(&mut self, topic: &str, pid: Pid) {
        if self.subscribers.get_mut(topic).is_some_and(|pids| pids.remove(&pid.to_bits())) {
            self.tell(topic, Kind::Leave, Some(pid), &null());
        }
    }

    /// Ends the session.
    pub fn exit(&mut self, pid: Pid, reason: ExitReason) {
        memory::with(|memory| {
            for group in memory.groups.values_mut() {
                group.remove(&pid.to_bits());
            }
        });
        let topics: Vec<_> = self.subscribers.keys().filter(|topic| self.is_subscribed(topic, pid)).cloned().collect();
        for topic in topics {
            self.subscribers.entry(topic.clone()).or_default().remove(&pid.to_bits());
            self.tell(&topic, Kind::Exit(reason), Some(pid), &null());
        }
        self.sessions.remove(&pid);
    }

    /// Publishes JSON, from a session or (`None`) from a back-end.
    pub fn publish(&mut self, topic: &str, sender: impl Into<Option<Pid>>, json: &str) -> Result<(), Refusal> {
        self.publish_payload(topic, sender, &Payload::Json(json.as_bytes().to_vec()))
    }

    /// Publishes anything.
    pub fn publish_payload(
        &mut self,
        topic: &str,
        sender: impl Into<Option<Pid>>,
        data: &Payload,
    ) -> Result<(), Refusal> {
        let outcome = self.route(topic, Kind::Publish, sender.into(), data)?;
        self.deliver(topic, &outcome, data);
        Ok(())
    }

    /// Lets the clock go on. The timers that come due meanwhile fire at their time, also those that are set meanwhile.
    pub fn wait(&mut self, duration: Duration) {
        let until_ms = memory::with(|memory| memory.passed_ms) + duration.as_millis() as u64;
        let next = |memory: &mut memory::Memory| {
            let first = memory.timers.first_entry().filter(|timer| timer.key().0 <= until_ms);
            let ((due_ms, _), timer) = first?.remove_entry();
            // One that was due earlier has been waiting for the clock to go on at all.
            memory.passed_ms = memory.passed_ms.max(due_ms);
            Some(timer)
        };
        while let Some((topic, data)) = memory::with(next) {
            self.tell(&topic, Kind::Timer, None, &data);
        }
        memory::with(|memory| memory.passed_ms = until_ms);
    }

    /// Fires all timers that are set at once, whenever they are due; how many there were.
    pub fn fire_timers(&mut self) -> usize {
        let timers = memory::with(|memory| std::mem::take(&mut memory.timers));
        let count = timers.len();
        for (topic, data) in timers.into_values() {
            self.tell(&topic, Kind::Timer, None, &data);
        }
        count
    }

    /// Lets all timers that are set come that much later, as on a server that is busy.
    pub fn delay_timers(&mut self, by: Duration) {
        memory::with(|memory| {
            let timers = std::mem::take(&mut memory.timers).into_iter();
            let later = timers.map(|((due_ms, number), timer)| ((due_ms + by.as_millis() as u64, number), timer));
            memory.timers = later.collect();
        });
    }

    /// Loses all timers that are set, as a restart does; how many there were.
    pub fn forget_timers(&mut self) -> usize {
        memory::with(|memory| std::mem::take(&mut memory.timers)).len()
    }

    /// Takes out what the session has received, in order: JSON as it is, text as a JSON string, bytes as numbers.
    pub fn inbox(&mut self, pid: Pid) -> Vec<Value> {
        self.take_inbox(pid).iter().map(as_json).collect()
    }

    fn take_inbox(&mut self, pid: Pid) -> Vec<Payload> {
        self.sessions.get_mut(&pid).map(|session| std::mem::take(&mut session.inbox)).unwrap_or_default()
    }

    /// Whether the session is subscribed to the topic.
    pub fn is_subscribed(&self, topic: &str, pid: Pid) -> bool {
        self.subscribers.get(topic).is_some_and(|pids| pids.contains(&pid.to_bits()))
    }

    /// The rule itself.
    pub fn rule(&self) -> &R {
        &self.rule
    }

    fn route(&mut self, topic: &str, kind: Kind, sender: Option<Pid>, data: &Payload) -> Result<Outcome, Refusal> {
        self.events += 1;
        let session = sender.and_then(|pid| self.sessions.get(&pid));
        let event = Event {
            id: self.events,
            topic: topic.to_owned(),
            kind,
            sender,
            user: session.and_then(|session| session.user.clone()),
            time_ms: memory::system_time_ms(),
            data: data.clone(),
            params: session.filter(|_| kind == Kind::Join).and_then(|session| session.params.clone()),
        };
        self.rule.route(&event)
    }

    /// Routes what can't be refused.
    fn tell(&mut self, topic: &str, kind: Kind, sender: Option<Pid>, data: &Payload) {
        match self.route(topic, kind, sender, data) {
            Ok(outcome) => self.deliver(topic, &outcome, data),
            Err(refusal) => crate::log::warning!("{kind:?} on {topic}: {refusal}"),
        }
    }

    fn deliver(&mut self, topic: &str, outcome: &Outcome, data: &Payload) {
        for delivery in outcome.deliveries() {
            let payload = match &delivery.message {
                Message::Forward => data,
                Message::Data(payload) => payload,
            };
            for pid in self.resolve(topic, delivery.to.clone().into_wit(topic)) {
                if let Some(session) = self.sessions.get_mut(&Pid::from_bits(pid)) {
                    session.inbox.push(payload.clone());
                }
            }
        }
        for pid in outcome.removed() {
            self.subscribers.entry(topic.to_owned()).or_default().remove(&pid.to_bits());
        }
    }

    fn resolve(&self, topic: &str, recipients: Recipients) -> BTreeSet<u64> {
        let subscribers = |topic: &str| self.subscribers.get(topic).cloned().unwrap_or_default();
        let steps = match recipients {
            Recipients::Subscribers => return subscribers(topic),
            Recipients::Pids(pids) => return pids.into_iter().collect(),
            Recipients::Expr(steps) => steps,
        };
        let mut sets: Vec<BTreeSet<u64>> = Vec::new();
        let pop = |sets: &mut Vec<_>| sets.pop().expect("an operation has its operands");
        for step in steps {
            let set = match step {
                SetOp::Pids(pids) => pids.into_iter().collect(),
                SetOp::Subscribers(topic) => subscribers(&topic),
                SetOp::Members(group) => memory::with(|memory| memory.groups.get(&group).cloned().unwrap_or_default()),
                SetOp::Union => &pop(&mut sets) | &pop(&mut sets),
                SetOp::Intersection => &pop(&mut sets) & &pop(&mut sets),
                SetOp::Subtract => {
                    let less = pop(&mut sets);
                    &pop(&mut sets) - &less
                }
            };
            sets.push(set);
        }
        pop(&mut sets)
    }
}

fn as_json(payload: &Payload) -> Value {
    match payload {
        Payload::Json(json) => serde_json::from_slice(json).expect("a rule's JSON is JSON"),
        Payload::Text(text) => text.as_str().into(),
        Payload::Binary(bytes) => bytes.as_slice().into(),
    }
}

fn null() -> Payload {
    Payload::Json(b"null".to_vec())
}
