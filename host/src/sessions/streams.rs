//! What sessions promise to streams: how one begins, and how it goes back to its session or does not.

use super::Sessions;
use crate::clock;
use crate::mailbox::Page;
use crate::pid::Pid;
use crate::session::{AnswerTo, Owed, Parked, Session};
use crate::sync::atomic::Ordering::Relaxed;

/// Why a stream did not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotBegun {
    /// The cursor is above the newest message.
    CursorTooHigh,
    /// The session has ended.
    SessionOver,
}

/// What became of a stream that was to be parked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It waits.
    Parked,
    /// It was rendered what has come meanwhile.
    More,
    /// It is not parked: its worker has something to write to it.
    Wanted,
    /// The session has another consumer.
    Superseded,
    /// The session has ended.
    SessionOver,
    /// The server goes down; the client may be told to stay away up to so many milliseconds.
    Closing(u64),
}

impl Sessions {
    /// Begins a stream, which is still to be parked: acknowledges, and counts it as the session's consumer. Its number, and
    /// the consumer before, which the caller has to end.
    pub fn begin_stream(&self, pid: Pid, cursor: Option<u64>) -> Result<(u32, Option<Parked>), NotBegun> {
        let begun = self.with(pid, |session| {
            if !session.mailbox.acknowledge(cursor.unwrap_or(0)) {
                return Err(NotBegun::CursorTooHigh);
            }
            let superseded = session.parked.take();
            if superseded.is_some() {
                self.unparked(session, clock::coarse_ms());
            }
            session.consumers = session.consumers.wrapping_add(1);
            session.streamed = cursor.unwrap_or(0).max(session.mailbox.acknowledged());
            session.wanted = false;
            session.heard_ms = clock::coarse_ms();
            Ok((session.consumers, superseded))
        });
        begun.unwrap_or(Err(NotBegun::SessionOver))
    }

    /// Its client is there.
    pub fn hear_of(&self, pid: Pid) {
        self.with(pid, |session| session.heard_ms = clock::coarse_ms());
    }

    /// Everything up to the cursor is acknowledged; none when the session is dead, false when no such message was sent.
    pub fn acknowledge(&self, pid: Pid, cursor: u64) -> Option<bool> {
        self.with(pid, |session| session.mailbox.acknowledge(cursor))
    }

    /// Parks a stream again, or renders what has come since it was taken. Checking and parking are one step, so a message
    /// that comes in between is not missed.
    pub fn park_again(
        &self,
        (pid, serial): (Pid, u32),
        answer_to: impl FnOnce() -> AnswerTo,
        render: impl FnOnce(Page<'_>),
    ) -> Again {
        let again = self.with(pid, |session| {
            if session.consumers != serial {
                return Again::Superseded;
            }
            let retry_ms_max = self.closing.load(Relaxed);
            if retry_ms_max > 0 {
                return Again::Closing(retry_ms_max);
            }
            session.heard_ms = clock::coarse_ms();
            if std::mem::take(&mut session.wanted) {
                return Again::Wanted;
            }
            if session.mailbox.has_after(session.streamed) {
                self.next_page(session, render);
                return Again::More;
            }
            debug_assert!(session.parked.is_none(), "whoever parks it has it, or was told by the one who took it");
            session.parked = Some(Parked {
                serial,
                after: session.streamed,
                deadline_ms: session.heard_ms + self.limits.heartbeat_ms,
                owed: Owed::default(),
                answer_to: answer_to(),
                volley: 0,
            });
            self.parked.fetch_add(1, Relaxed);
            self.schedule(pid, session);
            Again::Parked
        });
        again.unwrap_or(Again::SessionOver)
    }

    /// Takes a stream for somebody who has something to write to it besides messages. If somebody else is writing just now,
    /// that one will find that the stream is wanted, and hand it to its worker.
    pub fn want(&self, pid: Pid, serial: u32) -> Option<Parked> {
        self.with(pid, |session| {
            let parked = session.parked.take_if(|parked| parked.serial == serial);
            if parked.is_some() {
                self.unparked(session, clock::coarse_ms());
            } else {
                session.wanted |= session.consumers == serial;
            }
            parked
        })?
    }

    /// From here on no stream is parked again: the server goes down, and clients are told to stay away for a random time up
    /// to this.
    pub fn close_streams(&self, retry_ms_max: u64) {
        self.closing.store(retry_ms_max.max(1), Relaxed);
    }

    /// What a stream is written next. From then on it counts as written, and only its newest part is kept for a client that
    /// resumes.
    pub(super) fn next_page(&self, session: &mut Session, render: impl FnOnce(Page<'_>)) {
        let page = session.mailbox.next(session.streamed, &self.limits);
        let cursor = page.cursor;
        render(page);
        session.streamed = cursor;
        session.mailbox.written(cursor, &self.limits);
    }
}
