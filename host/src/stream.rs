//! A stream: server-sent events or a WebSocket. It waits in its session as a poll does, and goes back there: whoever takes
//! it out writes what there is and parks it again. Only what that one cannot do is handed to the stream's worker
//! (`streaming`): finishing a write, other writes that wait, and the end.

use crate::limits::Limits;
use crate::pid::Pid;
use crate::protocol::answer::{Answer, Ending};
use crate::report::Answered;
use crate::session::{AnswerTo, Form, Parked};
use crate::sessions::{Again, Sessions};
use crate::socket::Socket;
use crate::unsent::Unsent;
use crate::wakeup::Cause;
use std::sync::Arc;

/// So many pages are written in one go; then everybody else has a turn, and the worker goes on.
const PAGES_MAX: usize = 8;

/// A stream that was taken out of its session.
pub struct Stream {
    /// Whose.
    pub pid: Pid,
    /// Its number among the session's consumers.
    pub serial: u32,
    /// How messages look in it.
    pub form: Form,
    /// Where they go.
    pub socket: Arc<Socket>,
}

/// How far a stream went.
#[derive(Debug)]
pub enum Went {
    /// It is parked again, and anybody's.
    Parked,
    /// All was written so far, but its worker is to go on.
    On,
    /// This is left to write.
    Blocked(Unsent),
    /// Its last words were written, but for these.
    Over(Option<Unsent>),
    /// The write failed: the peer is gone.
    Broken,
}

impl Stream {
    /// What was parked, if it was a stream; a poll otherwise.
    pub fn of(pid: Pid, parked: Parked) -> Result<Self, Parked> {
        match parked.answer_to {
            AnswerTo::Stream(form, socket) => Ok(Self { pid, serial: parked.serial, form, socket }),
            _ => Err(parked),
        }
    }

    /// Takes a stream out of its session for whoever has something else to be written to it. None when another has it, who
    /// hands it over, or when a task serves it, which is woken to write it itself.
    pub fn take(sessions: &Sessions, pid: Pid, serial: u32) -> Option<Self> {
        match Self::of(pid, sessions.want(pid, serial)?) {
            Ok(stream) => Some(stream),
            Err(parked) => {
                if let AnswerTo::Task(_, wakeup) = parked.answer_to {
                    wakeup.wake(Cause::Called);
                }
                None
            }
        }
    }

    /// Writes what was rendered, then all that has come meanwhile, and parks it again.
    pub fn go_on(&self, answer: &mut Answer, sessions: &Sessions, limits: &Limits) -> Went {
        for _ in 0..PAGES_MAX {
            match self.socket.write_now(answer.whole(), limits) {
                Ok(None) => {}
                Ok(Some(rest)) => return Went::Blocked(rest),
                Err(_) => return Went::Broken,
            }
            let again = sessions.park_again(
                (self.pid, self.serial),
                || AnswerTo::Stream(self.form, self.socket.clone()),
                |page| answer.next(self.form, page),
            );
            let ending = match again {
                Again::Parked => return Went::Parked,
                Again::Wanted => return Went::On,
                Again::More => continue,
                Again::Superseded => Ending::Superseded,
                Again::SessionOver => Ending::SessionOver,
                Again::Closing(retry_ms_max) => Ending::Draining { retry_ms: rand::random_range(0..=retry_ms_max) },
            };
            answer.last(self.form, ending);
            return self.socket.write_now(answer.whole(), limits).map_or(Went::Broken, Went::Over);
        }
        // The last page was rendered and is still to be written.
        match self.socket.write_now(answer.whole(), limits) {
            Ok(None) => Went::On,
            Ok(Some(rest)) => Went::Blocked(rest),
            Err(_) => Went::Broken,
        }
    }

    /// The same for whoever is not its worker, which has to do what is left.
    pub fn go_on_for_worker(&self, answer: &mut Answer, sessions: &Sessions, limits: &Limits) {
        let answered = match self.go_on(answer, sessions, limits) {
            Went::Parked => return,
            Went::On => Answered::Written,
            Went::Blocked(rest) => Answered::Unfinished(rest),
            Went::Over(rest) => Answered::Over(rest),
            Went::Broken => Answered::Broken,
        };
        self.socket.hand_back(answered, limits);
    }

    /// Nothing was written for a while: a heartbeat, unless the peer is known to be gone.
    pub fn beat(&self, answer: &mut Answer, sessions: &Sessions, limits: &Limits) {
        if self.form == Form::WebSocket && !self.socket.expect_pong() {
            return self.socket.hand_back(Answered::Broken, limits);
        }
        answer.heartbeat(self.form);
        self.go_on_for_worker(answer, sessions, limits);
    }
}
