//! What all actors of a round share: the server, the topics, the clock, and the list of what was found.

use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::books::Micros;
use super::inbox::Bounds;
use super::random::Random;

/// How a topic is used, and by which rule it is routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The rule `topic`.
    Plain,
    /// The same; large messages come in bursts that no mailbox holds.
    Burst,
    /// The guest that misbehaves as it is told.
    Probe,
    /// The rule `chat`, which says things of its own.
    Chat,
}

impl Kind {
    /// Whether its messages are publishes, and nothing else.
    pub(super) fn only_publishes(self) -> bool {
        matches!(self, Self::Plain | Self::Burst)
    }
}

pub(super) struct Topic {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// How many there are of each.
const TOPICS: [(Kind, &str, usize); 4] =
    [(Kind::Plain, "plain", 16), (Kind::Burst, "burst", 4), (Kind::Probe, "probe", 6), (Kind::Chat, "chat", 4)];

/// The same ones in each round.
pub(super) fn topics() -> Vec<Topic> {
    let of_kind = |(kind, name, count): (Kind, &str, usize)| {
        let topic = |number| Topic { name: format!("{name}.{number}"), kind };
        (0..count).map(topic).collect::<Vec<_>>()
    };
    TOPICS.into_iter().flat_map(of_kind).collect()
}

pub(super) struct World {
    pub(super) server: SocketAddrV4,
    pub(super) seed: u64,
    pub(super) round: u32,
    pub(super) topics: Vec<Topic>,
    pub(super) bounds: Bounds,
    pub(super) linger: Duration,
    start: Instant,
    sessions: AtomicU32,
    over: AtomicBool,
    settled: AtomicBool,
    findings: Mutex<Vec<String>>,
}

impl World {
    pub(super) fn new(server: SocketAddrV4, seed: u64, round: u32, bounds: Bounds, linger: Duration) -> Self {
        Self {
            server,
            seed,
            round,
            topics: topics(),
            bounds,
            linger,
            start: Instant::now(),
            sessions: AtomicU32::new(0),
            over: AtomicBool::new(false),
            settled: AtomicBool::new(false),
            findings: Mutex::default(),
        }
    }

    pub(super) fn now(&self) -> Micros {
        self.start.elapsed().as_micros() as Micros
    }

    /// What an actor decides in one step, and nothing else depends on.
    pub(super) fn random(&self, actor: u32, step: u64) -> Random {
        Random::of(&[self.seed, u64::from(self.round), u64::from(actor), step])
    }

    pub(super) fn next_session(&self) -> u32 {
        self.sessions.fetch_add(1, Relaxed)
    }

    /// Wanderers come to an end.
    pub(super) fn end(&self) {
        self.over.store(true, Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    /// Nothing more is published: witnesses read what there is and come to an end.
    pub(super) fn settle(&self) {
        self.settled.store(true, Relaxed);
    }

    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Relaxed)
    }

    pub(super) fn found(&self, what: String) {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    pub(super) fn findings(&self) -> Vec<String> {
        std::mem::take(&mut self.findings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Any topic of that kind.
    pub(super) fn topic_of(&self, kind: Kind, random: &mut Random) -> usize {
        let fitting = |topic: &usize| self.topics[*topic].kind == kind;
        let fitting: Vec<usize> = (0..self.topics.len()).filter(fitting).collect();
        random.pick(&fitting)
    }
}
