//! A room without sockets, for benchmarks: one topic with everybody in it, and a rule that is asked as a lane asks it.

use crate::event::{Event, Happening, Payload, Reply};
use crate::limits::Limits;
use crate::message::Message;
use crate::outcome::{Delivery, Outcome, Recipients, Refusal};
use crate::pid::Pid;
use crate::protocol::message;
use crate::recipients::Resolver;
use crate::router::{Engine, Guest, Mounted};
use crate::shared::Shared;
use crate::topic::Topic;
use crate::volley::Volley;
use crate::workers::Workers;
use anyhow::{Context as _, anyhow};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The room.
pub(super) struct Room {
    shared: Arc<Shared>,
    guest: Guest,
    topic: Topic,
    user: Arc<str>,
    volley: Volley,
    pids: Vec<Pid>,
}

/// What an event is routed by.
#[derive(Clone, Copy)]
pub(super) enum By {
    /// The component.
    Wasm,
    /// What the rule `topic` does, as a function of this program.
    Native,
}

/// A rule's answer, and what asking it took.
type Asked = (Result<Outcome, Refusal>, Duration);

impl Room {
    /// With nobody in it, but room for so many.
    pub(super) fn new(component: &[u8], size: usize) -> anyhow::Result<Self> {
        let limits = Limits { sessions_max: size as u64, sessions_bytes_max: u64::MAX, ..Limits::default() };
        let engine = Engine::new(&limits)?;
        let rule = engine.compile(component).map_err(|mismatches| anyhow!("{}", mismatches.join("; ")))?;
        let shared = Arc::new(Shared::new(0, limits, Workers::new(1).0));
        let mounted = Arc::new(Mounted { plugin: "bench".into(), config: "null".into(), rule: Arc::new(rule) });
        let guest = Guest::live(&mounted, &shared).map_err(|fault| anyhow!("{fault}"))?;
        let (topic, user) = ("bench.room".parse()?, "somebody".into());
        Ok(Self { shared, guest, topic, user, volley: Volley::new(1), pids: Vec::new() })
    }

    pub(super) fn open(&mut self, size: usize) -> anyhow::Result<()> {
        for _ in 0..size {
            self.pids.push(self.shared.sessions.open(None, None)?.pid);
        }
        Ok(())
    }

    pub(super) fn join(&mut self) -> anyhow::Result<()> {
        for at in 0..self.pids.len() {
            let pid = self.pids[at];
            let event = self.event(pid, Happening::Join { params: None });
            let (joined, _) = self.ask(&event, By::Wasm)?;
            joined.map_err(|refusal| anyhow!("a join was refused: {refusal:?}"))?;
            self.shared.sessions.subscribe(pid, &self.topic);
            self.shared.subscriptions.add(&self.topic, pid);
        }
        Ok(())
    }

    /// One event to all, as a lane does it: the rule, the list, the mailboxes. What the rule took.
    pub(super) fn broadcast(&mut self, by: By) -> anyhow::Result<Duration> {
        let sender = *self.pids.first().context("a room has at least one member")?;
        let payload = Payload::Json(format!("{{\"n\":\"{}\"}}", "x".repeat(92)).into());
        let event = self.event(sender, Happening::Publish(payload.clone()));
        let (outcome, took) = self.ask(&event, by)?;
        let outcome = outcome.map_err(|refusal| anyhow!("the event was refused: {refusal:?}"))?;
        let Shared { subscriptions, groups, limits, sessions, .. } = &*self.shared;
        let plugin: Arc<str> = "bench".into();
        let mut resolver = Resolver::new(&plugin, &self.topic, subscriptions, groups, limits);
        for delivery in outcome.deliveries {
            let list = resolver.resolve(delivery.to).map_err(|words| anyhow!("{words}"))?;
            let message = Message::new(message::render(&event, &payload), &sessions.message_bytes);
            self.volley.begin();
            let reached = self.volley.deliver(sessions, &list, &message, drop);
            anyhow::ensure!(reached as usize == self.pids.len(), "{reached} were reached");
        }
        Ok(took)
    }

    /// Everybody has read everything up to there.
    pub(super) fn acknowledge(&mut self, cursor: u64) {
        for pid in &self.pids {
            self.shared.sessions.with(*pid, |session| session.mailbox.acknowledge(cursor));
        }
    }

    pub(super) fn exit(&mut self) -> anyhow::Result<()> {
        for pid in std::mem::take(&mut self.pids) {
            let session = self.shared.sessions.end(pid).context("it was there")?;
            for topic in &session.topics {
                self.shared.subscriptions.remove(topic, pid);
            }
        }
        Ok(())
    }

    fn event(&self, sender: Pid, what: Happening) -> Event {
        let (id, topic, user) = (self.shared.event_ids.next(), self.topic.clone(), Some(self.user.clone()));
        Event { id, topic, sender: Some(sender), user, time_ms: 0, what, reply: Reply::nobody() }
    }

    fn ask(&mut self, event: &Event, by: By) -> anyhow::Result<Asked> {
        let begun = Instant::now();
        let outcome = match by {
            By::Wasm => self.guest.route(event).map_err(|fault| anyhow!("{fault}"))?,
            By::Native => Ok(std::hint::black_box(native(std::hint::black_box(event)))),
        };
        Ok((outcome, begun.elapsed()))
    }
}

/// The rule `topic` without Wasm.
fn native(event: &Event) -> Outcome {
    let deliveries = match event.what {
        Happening::Publish(_) => vec![Delivery { to: Recipients::Subscribers, message: None }],
        Happening::Join { .. } | Happening::Leave | Happening::Exit(_) | Happening::Timer(_) => Vec::new(),
    };
    Outcome { deliveries, remove: Vec::new() }
}
