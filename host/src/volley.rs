//! The volley: first all messages go into all mailboxes, then the parked polls among them are answered in one go.
//!
//! A small volley is written by the lane itself, a large one by the threads that serve the connections, in bounded
//! chunks, so that a broadcast stalls neither its lane nor anybody else. Whoever writes takes the poll out of its
//! session at that moment, so a response carries all that has come in until then.

use crate::limits::Limits;
use crate::message::Message;
use crate::pid::Pid;
use crate::protocol::answer::{Answer, Ending};
use crate::protocol::problem::Problem;
use crate::session::{AnswerTo, Parked};
use crate::sessions::{Pushed, Sessions};
use crate::stream::Stream;
use crate::unsent::Unsent;
use crate::wakeup::Cause;
use crate::workers::Workers;
use bytes::Bytes;
use hyper::StatusCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Volleys are told apart by number, so that each lists a poll once.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// Writes the answers of polls, and to streams, with a buffer that it keeps.
#[derive(Default)]
pub struct Writer {
    answer: Answer,
}

impl Writer {
    /// Answers a session's poll, if there still is one that has messages.
    pub fn fire(&mut self, sessions: &Sessions, limits: &Limits, pid: Pid) {
        let taken = sessions.take_ready(pid, |parked, page| match parked.answer_to {
            AnswerTo::Stream(form, _) => self.answer.next(form, page),
            AnswerTo::Bare(_) | AnswerTo::Held(_) => self.answer.messages(&parked.owed, page),
            AnswerTo::Task(..) => {}
        });
        match taken.map(|parked| Stream::of(pid, parked)) {
            Some(Ok(stream)) => stream.go_on_for_worker(&mut self.answer, sessions, limits),
            Some(Err(poll)) => self.hand_over(poll.answer_to, limits),
            None => {}
        }
    }

    /// Does what is to be done for one that has waited long enough: a poll ends, a stream gets a heartbeat.
    pub fn wait_is_over(&mut self, sessions: &Sessions, limits: &Limits, pid: Pid, parked: Parked) {
        match Stream::of(pid, parked) {
            Ok(stream) => stream.beat(&mut self.answer, sessions, limits),
            Err(Parked { answer_to: AnswerTo::Task(_, wakeup), .. }) => wakeup.wake(Cause::Heartbeat),
            Err(poll) => self.end(poll, Ending::Deadline, limits),
        }
    }

    /// Ends a poll or a stream that was taken out of its session, without messages.
    pub fn end(&mut self, parked: Parked, ending: Ending, limits: &Limits) {
        match parked.answer_to {
            AnswerTo::Stream(form, _) => self.answer.last(form, ending),
            AnswerTo::Bare(_) | AnswerTo::Held(_) => self.answer.ending(&parked.owed, parked.after, ending),
            // The task asks for the reason, and finds it.
            AnswerTo::Task(..) => {}
        }
        self.hand_over(parked.answer_to, limits);
    }

    fn hand_over(&mut self, answer_to: AnswerTo, limits: &Limits) {
        match answer_to {
            AnswerTo::Bare(socket) => {
                socket.answer(self.answer.whole(), limits);
            }
            AnswerTo::Held(request) => {
                // It fails only when the client has gone; the messages stay in the mailbox.
                let _ = request.send(kept(&self.answer, limits));
            }
            AnswerTo::Stream(_, socket) => socket.end_stream(self.answer.whole(), limits),
            AnswerTo::Task(_, wakeup) => wakeup.wake(Cause::Called),
        }
    }
}

/// Status and body of an answer that waits for its reader in memory.
pub fn kept(answer: &Answer, limits: &Limits) -> (u16, Bytes) {
    match Unsent::keep(answer.body(), limits) {
        Some(body) => (answer.status(), Bytes::from_owner(body)),
        None => too_much_waits(),
    }
}

/// For a poll that cannot be answered because too many others are slow to read.
fn too_much_waits() -> (u16, Bytes) {
    let detail = "too much waits for slow readers; poll again (unsent_bytes_max)";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
    (problem.status().as_u16(), problem.body().into())
}

/// What one volley was, to be counted.
#[derive(Clone, Copy, Debug)]
pub struct Fired {
    /// Messages that it put into mailboxes, counted once for each mailbox.
    pub mailboxes: u64,
    /// Polls that it called.
    pub sockets: u64,
    /// What answering them took, or giving them to the workers.
    pub took: Duration,
}

/// One batched send.
pub struct Volley {
    number: u64,
    mailboxes: u64,
    /// Sessions with a parked poll, by the worker that serves their connection.
    called: Vec<Vec<Pid>>,
    writer: Writer,
}

impl Volley {
    /// Empty.
    pub fn new(workers: usize) -> Self {
        Self { number: 0, mailboxes: 0, called: (0..workers).map(|_| Vec::new()).collect(), writer: Writer::default() }
    }

    /// Begins a fresh one.
    pub fn begin(&mut self) {
        self.number = NUMBERS.fetch_add(1, Relaxed);
        self.mailboxes = 0;
    }

    /// Puts a message into the mailboxes of all live recipients; how many that were. The others are told one by one.
    pub fn deliver(
        &mut self,
        sessions: &Sessions,
        recipients: &[u64],
        message: &Arc<Message>,
        mut had_ended: impl FnMut(Pid),
    ) -> u64 {
        let mut live = 0;
        for pid in recipients.iter().filter_map(|bits| Pid::from_bits(*bits)) {
            match sessions.push(pid, message, self.number) {
                Pushed::Dead => {
                    had_ended(pid);
                    continue;
                }
                Pushed::Kept => {}
                Pushed::Wakes(worker) => self.called[worker].push(pid),
            }
            live += 1;
        }
        self.mailboxes += live;
        live
    }

    /// Answers all polls that were called.
    pub fn fire(&mut self, sessions: &Sessions, workers: &Workers, limits: &Limits) -> Fired {
        let begun = Instant::now();
        let sockets = self.called.iter().map(Vec::len).sum::<usize>() as u64;
        if sockets <= limits.volley_inline_pids_max {
            for pid in self.called.iter_mut().flat_map(|pids| pids.drain(..)) {
                self.writer.fire(sessions, limits, pid);
            }
        } else {
            for (worker, pids) in self.called.iter_mut().enumerate() {
                // Once on a worker's list: while it writes, the next volleys would list the same polls again and again.
                for pid in &*pids {
                    sessions.call(*pid);
                }
                workers.fire(worker, std::mem::take(pids));
            }
        }
        Fired { mailboxes: self.mailboxes, sockets, took: begun.elapsed() }
    }
}
