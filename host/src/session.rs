//! A session: what Erlang calls a process. It has a mailbox, subscriptions and, now and then, a parked poll or stream,
//! which is only its current connection.

use crate::clock;
use crate::guard::Guard;
use crate::mailbox::Mailbox;
use crate::rates::Slow;
use crate::socket::Socket;
use crate::topic::Topic;
use crate::wakeup::Wakeup;
use bytes::Bytes;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tokio::sync::oneshot;

/// What a token proves to know, besides naming the PID.
#[derive(Clone, Copy)]
pub struct Secret([u8; 16]);

impl Secret {
    /// 128 random bits.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// As they travel in a token.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// For the token, and for nothing else.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Takes as long whatever the difference.
    pub fn matches(&self, other: &Self) -> bool {
        // As one number: byte by byte it showed in profiles.
        u128::from_ne_bytes(self.0).ct_eq(&u128::from_ne_bytes(other.0)).into()
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// The client asked for it.
    Normal,
    /// An operator ended it.
    Killed,
    /// Its linger time passed without a request, or its token expired.
    Timeout,
}

/// One client's place on this node.
pub struct Session {
    pub(crate) secret: Secret,
    /// The name it was opened with.
    pub user: Option<Arc<str>>,
    /// What it was opened with, as JSON.
    pub params: Option<Arc<str>>,
    /// What its calls are held against; most have nothing of it, and pay for a pointer.
    pub guard: Option<Box<Guard>>,
    /// What it is subscribed to.
    pub topics: Vec<Topic>,
    /// What it was opened with and is subscribed to, in bytes.
    pub(crate) bytes: u64,
    /// What it was sent and has not acknowledged.
    pub mailbox: Mailbox,
    pub(crate) parked: Option<Parked>,
    /// Its first topics are being joined.
    pub(crate) opening: bool,
    /// Serial number of its newest consumer: a poll, be it answered at once, or a stream.
    pub(crate) consumers: u32,
    /// The newest stream was written everything up to here.
    pub(crate) streamed: u64,
    /// The stream's worker wants it, which somebody else writes to: it is handed over instead of being parked again.
    pub(crate) wanted: bool,
    /// The linger time counts from here.
    pub(crate) heard_ms: u64,
    /// The tick of the deadline entry that counts.
    pub(crate) looked_at: u64,
}

/// A poll or a stream that waits for a message.
///
/// Whoever takes it out of its session owns the answer: a volley, the deadline, a second poll, the session's end, or
/// the poll's own task when its peer does something. A stream is parked again by whoever has written to it.
pub struct Parked {
    pub(crate) serial: u32,
    /// Messages after this cursor answer it.
    pub(crate) after: u64,
    pub(crate) deadline_ms: u64,
    pub(crate) owed: Owed,
    pub(crate) answer_to: AnswerTo,
    /// The volley that has it on its list already, or that a worker has.
    pub(crate) volley: u64,
}

/// What the response of a poll carries besides its messages.
#[derive(Clone, Debug, Default)]
pub struct Owed {
    /// For `Access-Control-Allow-Origin`, when the request came from a page.
    pub cors: Option<Arc<str>>,
}

/// Where the answer of a poll goes.
pub enum AnswerTo {
    /// A bare socket: the whole response is written into it.
    Bare(Arc<Socket>),
    /// A request that hyper holds (HTTP/1.0, `Connection: close` and the like): it gets status and body.
    Held(oneshot::Sender<(u16, Bytes)>),
    /// A bare socket that goes on: messages are written into it in this form, and it is parked again.
    Stream(Form, Arc<Socket>),
    /// A stream that a task serves, which renders and writes what there is: it is woken.
    Task(Form, Arc<Wakeup>),
}

/// How messages look in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Server-sent events.
    Events,
    /// Frames of a WebSocket.
    WebSocket,
}

impl AnswerTo {
    /// The worker thread that serves it; one that hyper holds, or a task, is answered by whoever comes.
    pub fn worker(&self) -> usize {
        match self {
            Self::Bare(socket) | Self::Stream(_, socket) => socket.worker(),
            Self::Held(_) | Self::Task(..) => 0,
        }
    }
}

impl Session {
    /// Newly opened, and of so many bytes.
    pub(crate) fn new(user: Option<Arc<str>>, params: Option<Arc<str>>, guard: Option<Box<Guard>>, bytes: u64) -> Self {
        Self {
            secret: Secret::random(),
            user,
            params,
            guard,
            topics: Vec::new(),
            bytes,
            mailbox: Mailbox::default(),
            parked: None,
            opening: false,
            consumers: 0,
            streamed: 0,
            wanted: false,
            heard_ms: clock::coarse_ms(),
            looked_at: u64::MAX,
        }
    }

    /// Notes a call, unless it comes too soon.
    pub fn note(&self) -> Result<(), Slow> {
        self.guard.as_ref().map_or(Ok(()), |guard| guard.note())
    }

    /// Notes a subscription.
    pub fn subscribe(&mut self, topic: &Topic) {
        // Most sessions have one, and there are many sessions.
        if self.topics.is_empty() {
            self.topics.reserve_exact(1);
        }
        self.topics.push(topic.clone());
    }

    /// Whether a poll or a stream waits.
    pub fn is_parked(&self) -> bool {
        self.parked.is_some()
    }

    /// What waits: a `poll`, `events` or a `websocket`.
    pub fn consumer(&self) -> Option<&'static str> {
        self.parked.as_ref().map(|parked| match parked.answer_to {
            AnswerTo::Bare(_) | AnswerTo::Held(_) => "poll",
            AnswerTo::Stream(Form::Events, _) | AnswerTo::Task(Form::Events, _) => "events",
            AnswerTo::Stream(Form::WebSocket, _) | AnswerTo::Task(Form::WebSocket, _) => "websocket",
        })
    }

    /// Messages that it has not been given: those of a stream that is open were, though they are kept for one that resumes.
    pub fn unread(&self) -> u64 {
        let is_stream = self
            .parked
            .as_ref()
            .is_some_and(|parked| matches!(parked.answer_to, AnswerTo::Stream(..) | AnswerTo::Task(..)));
        let given = self.mailbox.acknowledged().max(if is_stream { self.streamed } else { 0 });
        (self.mailbox.newest() - given).min(self.mailbox.len() as u64)
    }

    /// When its token expires; never without one.
    pub(crate) fn expires_ms(&self) -> u64 {
        self.guard.as_ref().map_or(u64::MAX, |guard| guard.expires_ms)
    }

    /// When its poll, or else its linger time, runs out, or its token.
    pub(crate) fn deadline_ms(&self, linger_ms: u64) -> u64 {
        let waits_until = self.parked.as_ref().map_or(self.heard_ms + linger_ms, |parked| parked.deadline_ms);
        waits_until.min(self.expires_ms())
    }
}
