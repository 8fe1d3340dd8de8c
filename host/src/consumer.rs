//! A stream that a task serves, as over TLS, where no other thread can write. It waits in its session like any stream;
//! whoever takes it out wakes the task, and the task asks what is to be written next, and parks the stream again, itself.

use crate::pid::Pid;
use crate::protocol::answer::{Answer, Ending};
use crate::session::{AnswerTo, Form};
use crate::sessions::{Again, NotBegun};
use crate::shared::Shared;
use crate::streaming::Open;
use crate::volley::Writer;
use crate::wakeup::{Cause, Wakeup};
use std::sync::Arc;
use std::task::{Context, Poll};

/// The stream, in its task.
pub struct Consumer {
    shared: Arc<Shared>,
    pid: Pid,
    /// Its number among the session's consumers.
    serial: u32,
    open: Open,
    wakeup: Arc<Wakeup>,
    /// It is in its session, unless somebody has taken it out and is about to say so.
    parked: bool,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// What was rendered is to be written.
    Write,
    /// The same, and it is the last.
    WriteLast,
    /// A heartbeat was rendered.
    Beat,
    /// Somebody has something else for the task to write.
    Look,
}

impl Consumer {
    /// Begins a stream, and ends the session's consumer before. It is still to be parked.
    pub fn begin(shared: &Arc<Shared>, pid: Pid, cursor: Option<u64>, form: Form) -> Result<Self, NotBegun> {
        let (serial, superseded) = shared.sessions.begin_stream(pid, cursor)?;
        if let Some(superseded) = superseded {
            Writer::default().end(superseded, Ending::Superseded, &shared.limits);
        }
        Ok(Self { shared: shared.clone(), pid, serial, open: Open::new(form), wakeup: Arc::default(), parked: false })
    }

    /// Whose, and the stream's number.
    pub fn whose(&self) -> (Pid, u32) {
        (self.pid, self.serial)
    }

    /// Renders what is to be written next, once all before has been; while there is nothing, it is parked.
    pub fn poll_next(&mut self, answer: &mut Answer, context: &Context<'_>) -> Poll<Next> {
        match self.wakeup.cause(context) {
            None if self.parked => return Poll::Pending,
            None => {}
            Some(cause) => {
                self.parked = false;
                match cause {
                    // An answer may be what it was woken for, and is to be looked for before the stream is parked again.
                    Cause::Called => return Poll::Ready(Next::Look),
                    Cause::Heartbeat => {
                        answer.heartbeat(self.open.form());
                        return Poll::Ready(Next::Beat);
                    }
                }
            }
        }
        let again = self.shared.sessions.park_again(
            (self.pid, self.serial),
            || AnswerTo::Task(self.open.form(), self.wakeup.clone()),
            |page| answer.next(self.open.form(), page),
        );
        let ending = match again {
            Again::Parked => {
                self.parked = true;
                return Poll::Pending;
            }
            Again::Wanted => return Poll::Ready(Next::Look),
            Again::More => return Poll::Ready(Next::Write),
            Again::Superseded => Ending::Superseded,
            Again::SessionOver => Ending::SessionOver,
            Again::Closing(retry_ms_max) => Ending::Draining { retry_ms: rand::random_range(0..=retry_ms_max) },
        };
        answer.last(self.open.form(), ending);
        Poll::Ready(Next::WriteLast)
    }
}

impl Drop for Consumer {
    /// The client has gone: nobody is to wake a task that is no more.
    fn drop(&mut self) {
        if self.parked {
            self.shared.sessions.unpark(self.pid, self.serial);
        }
    }
}
