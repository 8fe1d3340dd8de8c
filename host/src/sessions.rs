//! All sessions of this node, found by the slot in their PID.
//!
//! One small lock a slot, never held across a socket write, an await or a Wasm call. Below it in the lock order is only
//! a bucket of the deadline wheel. A closure that runs under it sees one session and must not come back here.

use crate::clock;
use crate::deadlines::Deadlines;
use crate::guard::{Grant, Guard};
use crate::limits::Limits;
use crate::mailbox::{Page, Room};
use crate::message::{Message, MessageBytes};
use crate::pid::{CHUNK_SLOTS, GENERATION_MAX, Pid, SLOTS_MAX};
use crate::rates::Slow;
use crate::session::{AnswerTo, Owed, Parked, Session};
use crate::standstill;
use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};
use crate::sync::{Mutex, OnceLock};
use crate::token::Token;
use crate::topic::Topic;
use std::sync::Arc;

#[path = "sessions/looks.rs"]
mod looks;
#[path = "sessions/slots.rs"]
mod slots;
#[path = "sessions/streams.rs"]
mod streams;

use slots::{Slot, SlotState, Unused};
pub use streams::{Again, NotBegun};

/// What a session weighs besides what it was opened with, and a subscription besides its topic: about.
const SESSION_BYTES: u64 = 512;
const SUBSCRIPTION_BYTES: u64 = 128;

/// No volley has this number: a worker has the poll on its list.
const CALLED: u64 = u64::MAX;

/// The sessions.
pub struct Sessions {
    node: u16,
    limits: Arc<Limits>,
    chunks: Box<[OnceLock<Box<[Slot]>>]>,
    unused: Mutex<Unused>,
    deadlines: Deadlines,
    /// What all messages in mailboxes weigh.
    pub message_bytes: Arc<MessageBytes>,
    live: AtomicU64,
    /// What all sessions were opened with and are subscribed to.
    bytes: AtomicU64,
    parked: AtomicU64,
    dropped: AtomicU64,
    /// Not zero when no stream is to be parked again: how long its client may be told to stay away.
    closing: AtomicU64,
}

/// There are as many sessions as may be.
#[derive(Debug, thiserror::Error)]
#[error("the server has as many sessions as it may (sessions_max, sessions_bytes_max)")]
pub struct Full;

/// What became of a message for a PID.
pub enum Pushed {
    /// Nobody has this PID any more.
    Dead,
    /// It is in the mailbox; a poll is on its way or on some volley's list.
    Kept,
    /// It is in the mailbox, and a poll is parked that the given worker's socket waits with.
    Wakes(usize),
}

/// A poll as a client asked for it.
#[derive(Debug)]
pub struct PollCall {
    /// Whose.
    pub pid: Pid,
    /// Everything up to here is acknowledged.
    pub cursor: Option<u64>,
    /// How long it may be parked.
    pub wait_ms: u64,
    /// What its response carries.
    pub owed: Owed,
}

/// How a poll began.
pub struct Began {
    /// The session's earlier poll, which the caller has to end.
    pub superseded: Option<Parked>,
    /// What became of this one.
    pub state: Beginning,
}

/// What became of a poll.
#[derive(Debug, PartialEq, Eq)]
pub enum Beginning {
    /// The answer was rendered.
    Answered,
    /// It waits, under this serial number.
    Parked(u32),
    /// The cursor is above the newest message.
    CursorTooHigh,
}

/// What is to be done about a session whose time came up.
pub enum Due {
    /// Its poll has waited long enough, and the caller ends it; or its stream, which gets a heartbeat.
    Poll(Pid, Parked),
    /// Nobody asked for it for too long, or its token has expired, so it was ended; the caller ends its subscriptions and
    /// its consumer.
    Linger(Pid, Box<Session>),
}

impl Sessions {
    /// None yet, of the given node.
    pub fn new(node: u16, limits: Arc<Limits>) -> Self {
        Self {
            node,
            limits,
            chunks: (0..SLOTS_MAX / CHUNK_SLOTS).map(|_| OnceLock::new()).collect(),
            unused: Mutex::default(),
            deadlines: Deadlines::default(),
            message_bytes: Arc::default(),
            live: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            parked: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            closing: AtomicU64::new(0),
        }
    }

    /// The number of the node.
    pub fn node(&self) -> u16 {
        self.node
    }

    /// Opens a session that may do everything.
    pub fn open(&self, user: Option<Arc<str>>, params: Option<Arc<str>>) -> Result<Token, Full> {
        self.open_guarded(user, params, None)
    }

    /// Opens a session.
    pub fn open_guarded(
        &self,
        user: Option<Arc<str>>,
        params: Option<Arc<str>>,
        guard: Option<Box<Guard>>,
    ) -> Result<Token, Full> {
        let texts = [&user, &params].into_iter().flatten().map(|text| text.len() as u64);
        let bytes = SESSION_BYTES + texts.sum::<u64>() + guard.as_ref().map_or(0, |guard| guard.bytes());
        let (live, all_bytes) = (self.live.fetch_add(1, Relaxed), self.bytes.fetch_add(bytes, Relaxed));
        let fits = live < self.limits.sessions_max && all_bytes + bytes <= self.limits.sessions_bytes_max;
        let Some(slot) = fits.then(|| self.unused.lock().take()).flatten() else {
            self.live.fetch_sub(1, Relaxed);
            self.bytes.fetch_sub(bytes, Relaxed);
            return Err(Full);
        };
        let mut session = Box::new(Session::new(user, params, guard, bytes));
        let secret = session.secret;
        let mut state = self.slot(slot).lock();
        state.generation = state.generation % GENERATION_MAX + 1;
        let pid = Pid::new(self.node, slot, state.generation);
        self.schedule(pid, &mut session);
        state.session = Some(session);
        Ok(Token { pid, secret })
    }

    /// Opens a session under a PID that is given, unless it lives already: for replays, where nothing else opens any. None
    /// is opened under a PID of another node.
    pub fn revive(&self, pid: Pid) {
        if pid.node() != self.node {
            return;
        }
        let mut state = self.slot(pid.slot()).lock();
        if state.generation != pid.generation() || state.session.is_none() {
            let fresh = state.session.is_none();
            state.generation = pid.generation();
            state.session = Some(Box::new(Session::new(None, None, None, SESSION_BYTES)));
            drop(state);
            if fresh {
                self.live.fetch_add(1, Relaxed);
                self.bytes.fetch_add(SESSION_BYTES, Relaxed);
            }
        }
    }

    /// A new token takes the place of the one before. What it is subscribed to is returned: the caller ends what the new one
    /// does not allow. None when the session is dead.
    pub fn renew(&self, pid: Pid, params: Option<Arc<str>>, grant: Arc<Grant>, expires_ms: u64) -> Option<Vec<Topic>> {
        self.with(pid, |session| {
            let guarded = |session: &Session| {
                session.guard.as_ref().map_or(0, |guard| guard.bytes())
                    + session.params.as_ref().map_or(0, |params| params.len() as u64)
            };
            let before = guarded(session);
            let guard = session.guard.get_or_insert_default();
            (guard.grant, guard.expires_ms) = (Some(grant), expires_ms);
            session.params = params;
            let after = guarded(session);
            session.bytes = session.bytes - before + after;
            self.bytes.fetch_add(after, Relaxed);
            self.bytes.fetch_sub(before, Relaxed);
            self.schedule(pid, session);
            session.topics.clone()
        })
    }

    /// While its first topics are being joined a session does not linger out, however busy their lanes are: whoever
    /// opens it ends it if need be.
    pub fn set_opening(&self, pid: Pid, opening: bool) {
        self.with(pid, |session| {
            session.opening = opening;
            session.heard_ms = clock::now_ms();
        });
    }

    /// Whose token it is, unless it calls too often; that restarts the linger time.
    pub fn authenticate(&self, token: &Token) -> Option<Result<Pid, Slow>> {
        self.with(token.pid, |session| {
            if !session.secret.matches(&token.secret) {
                return None;
            }
            session.heard_ms = clock::coarse_ms();
            let noted = session.note();
            Some(noted.map(|()| token.pid))
        })?
    }

    /// Does something with a live session of this node; none when it is dead or another node's.
    pub fn with<R>(&self, pid: Pid, act: impl FnOnce(&mut Session) -> R) -> Option<R> {
        self.slot_of(pid)?.lock().session_of(pid).map(act)
    }

    /// Whether there is room for one more subscription.
    pub fn can_subscribe(&self) -> bool {
        self.bytes.load(Relaxed) < self.limits.sessions_bytes_max
    }

    /// Notes a subscription; false when the session is dead.
    pub fn subscribe(&self, pid: Pid, topic: &Topic) -> bool {
        let bytes = SUBSCRIPTION_BYTES + topic.as_str().len() as u64;
        self.with(pid, |session| {
            self.bytes.fetch_add(bytes, Relaxed);
            session.bytes += bytes;
            session.subscribe(topic);
        })
        .is_some()
    }

    /// Forgets a subscription.
    pub fn unsubscribe(&self, pid: Pid, topic: &Topic) {
        let bytes = SUBSCRIPTION_BYTES + topic.as_str().len() as u64;
        self.with(pid, |session| {
            let before = session.topics.len();
            session.topics.retain(|joined| joined != topic);
            let bytes = bytes * (before - session.topics.len()) as u64;
            self.bytes.fetch_sub(bytes, Relaxed);
            session.bytes -= bytes;
        });
    }

    /// Whether anybody has this PID.
    pub fn is_live(&self, pid: Pid) -> bool {
        self.with(pid, |_| ()).is_some()
    }

    /// Ends a session: from here on its PID is dead. The caller ends its poll and its subscriptions.
    pub fn end(&self, pid: Pid) -> Option<Box<Session>> {
        let mut state = self.slot_of(pid)?.lock();
        state.session_of(pid)?;
        let session = state.session.take()?;
        drop(state);
        self.ended(pid, &session);
        Some(session)
    }

    /// Puts a message into a mailbox. A poll is reported once a volley.
    pub fn push(&self, pid: Pid, message: &Arc<Message>, volley: u64) -> Pushed {
        let room = self.room();
        let pushed = self.with(pid, |session| {
            let dropped = session.mailbox.push(message, &self.limits, room);
            if dropped > 0 {
                self.dropped.fetch_add(dropped, Relaxed);
            }
            match &mut session.parked {
                Some(parked) if parked.volley != volley && parked.volley != CALLED => {
                    parked.volley = volley;
                    Pushed::Wakes(parked.answer_to.worker())
                }
                _ => Pushed::Kept,
            }
        });
        pushed.unwrap_or(Pushed::Dead)
    }

    /// A worker is about to answer the poll with all that has come by then: no further volley need list it.
    pub fn call(&self, pid: Pid) {
        self.with(pid, |session| {
            // One that has no messages yet was parked since it was listed: the worker will leave it.
            if let Some(parked) = &mut session.parked
                && session.mailbox.has_after(parked.after)
            {
                parked.volley = CALLED;
            }
        });
    }

    /// Beyond the bound each mailbox that is sent to keeps its newest message, until the fat ones have been trimmed
    /// (`relieve`); an eighth beyond, nothing.
    fn room(&self) -> Room {
        let (now, max) = (self.message_bytes.now(), self.limits.mailboxes_bytes_max);
        match now.saturating_sub(max) {
            0 => Room::Own,
            beyond if beyond <= max / 8 => Room::Newest,
            _ => Room::None,
        }
    }

    /// If all mailboxes together are too large, trims those that have more than their share of half of the bound; how
    /// many messages were dropped.
    pub fn relieve(&self) -> u64 {
        let max = self.limits.mailboxes_bytes_max;
        if self.message_bytes.now() <= max {
            return 0;
        }
        let share = max / 2 / self.live().max(1);
        let mut dropped = 0;
        self.walk(0, |_, session| {
            dropped += session.mailbox.trim(share);
            true
        });
        self.dropped.fetch_add(dropped, Relaxed);
        dropped
    }

    /// Takes a parked poll or stream that has messages now, and renders them, unless a task does.
    pub fn take_ready(&self, pid: Pid, render: impl FnOnce(&Parked, Page<'_>)) -> Option<Parked> {
        self.with(pid, |session| {
            let parked = session.parked.take_if(|parked| session.mailbox.has_after(parked.after))?;
            match parked.answer_to {
                AnswerTo::Stream(..) => self.next_page(session, |page| render(&parked, page)),
                AnswerTo::Task(..) => {}
                AnswerTo::Bare(_) | AnswerTo::Held(_) => {
                    render(&parked, session.mailbox.after(parked.after, &self.limits));
                }
            }
            self.unparked(session, clock::coarse_ms());
            Some(parked)
        })?
    }

    /// Begins a poll: acknowledges, then renders an answer or parks it. Checking and parking are one step, so a message
    /// that comes in between is not missed. None when the session is dead.
    pub fn begin_poll(
        &self,
        call: &PollCall,
        answer_to: impl FnOnce() -> AnswerTo,
        render: impl FnOnce(&Owed, Page<'_>),
    ) -> Option<Began> {
        self.with(call.pid, |session| {
            if !session.mailbox.acknowledge(call.cursor.unwrap_or(0)) {
                return Began { superseded: None, state: Beginning::CursorTooHigh };
            }
            let superseded = session.parked.take();
            if superseded.is_some() {
                self.unparked(session, clock::coarse_ms());
            }
            session.consumers = session.consumers.wrapping_add(1);
            let after = call.cursor.unwrap_or(0).max(session.mailbox.acknowledged());
            // The coarse clock is behind when its thread waits for a core, and a poll must not end early.
            session.heard_ms = clock::now_ms();
            if call.wait_ms == 0 || session.mailbox.has_after(after) {
                render(&call.owed, session.mailbox.after(after, &self.limits));
                return Began { superseded, state: Beginning::Answered };
            }
            session.parked = Some(Parked {
                serial: session.consumers,
                after,
                deadline_ms: session.heard_ms + call.wait_ms,
                owed: call.owed.clone(),
                answer_to: answer_to(),
                volley: 0,
            });
            self.parked.fetch_add(1, Relaxed);
            self.schedule(call.pid, session);
            Began { superseded, state: Beginning::Parked(session.consumers) }
        })
    }

    /// Takes a poll back for its own task, if it is still there.
    pub fn unpark(&self, pid: Pid, serial: u32) -> Option<Parked> {
        self.with(pid, |session| {
            let parked = session.parked.take_if(|parked| parked.serial == serial)?;
            self.unparked(session, clock::coarse_ms());
            Some(parked)
        })?
    }

    /// Takes whatever poll is parked.
    pub fn unpark_any(&self, pid: Pid) -> Option<Parked> {
        self.with(pid, |session| {
            let parked = session.parked.take()?;
            self.unparked(session, clock::coarse_ms());
            Some(parked)
        })?
    }

    /// Hands out what has come due. To be called from one thread only.
    pub fn come_due(&self, now_ms: u64, mut act: impl FnMut(Due)) {
        self.deadlines.come_up(now_ms, |pid, tick| {
            if let Some(due) = self.look_at(pid, tick, now_ms) {
                act(due);
            }
        });
    }

    fn look_at(&self, pid: Pid, tick: u64, now_ms: u64) -> Option<Due> {
        let mut state = self.slot_of(pid)?.lock();
        let session = state.session_of(pid).filter(|session| session.looked_at <= tick)?;
        let is_over = session.expires_ms() <= now_ms
            || (session.parked.is_none() && session.deadline_ms(self.limits.linger_ms) <= now_ms);
        if is_over && !session.opening {
            // Ended under the same lock: a request that comes now either was in time or finds the session gone.
            let session = state.session.take()?;
            drop(state);
            self.ended(pid, &session);
            return Some(Due::Linger(pid, session));
        }
        let poll = session.parked.take_if(|parked| parked.deadline_ms <= now_ms);
        if poll.is_some() {
            self.unparked(session, now_ms);
        }
        session.looked_at = u64::MAX;
        self.schedule(pid, session);
        poll.map(|poll| Due::Poll(pid, poll))
    }

    fn ended(&self, pid: Pid, session: &Session) {
        if session.parked.is_some() {
            self.parked.fetch_sub(1, Relaxed);
        }
        self.live.fetch_sub(1, Relaxed);
        self.bytes.fetch_sub(session.bytes, Relaxed);
        self.unused.lock().freed.push_back(pid.slot());
    }

    fn unparked(&self, session: &mut Session, now_ms: u64) {
        session.heard_ms = now_ms;
        self.parked.fetch_sub(1, Relaxed);
    }

    /// Enters the session's deadline, unless an earlier look at it is coming anyway.
    fn schedule(&self, pid: Pid, session: &mut Session) {
        let at_ms = session.deadline_ms(self.limits.linger_ms);
        if session.looked_at == u64::MAX || at_ms.div_ceil(crate::deadlines::TICK_MS) < session.looked_at {
            session.looked_at = self.deadlines.enter(pid, at_ms);
        }
    }

    fn slot_of(&self, pid: Pid) -> Option<&Slot> {
        if pid.node() != self.node {
            return None;
        }
        let chunk = self.chunks[(pid.slot() / CHUNK_SLOTS) as usize].get()?;
        Some(&chunk[(pid.slot() % CHUNK_SLOTS) as usize])
    }

    /// The slot, made if need be. A slot's first generation is random, so that a restarted node does not give out PIDs
    /// that somebody still holds.
    fn slot(&self, slot: u32) -> &Slot {
        let chunk = self.chunks[(slot / CHUNK_SLOTS) as usize].get_or_init(|| {
            // Where time stands still, PIDs are the same in each run.
            let random = || standstill::now_us().map_or_else(|| rand::random_range(0..GENERATION_MAX), |_| 0);
            (0..CHUNK_SLOTS).map(|_| Mutex::new(SlotState { generation: random(), session: None })).collect()
        });
        &chunk[(slot % CHUNK_SLOTS) as usize]
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
