//! Calls over a WebSocket that lanes have, and their answers. Whoever knows an answer takes the stream out of its session
//! and writes it; if somebody else has the stream, or a task serves it, its worker or that task does.

use crate::bare;
use crate::event::{Answer, Unrouted};
use crate::pid::Pid;
use crate::protocol::command::{self, Asked, Ref};
use crate::protocol::stream::write_text;
use crate::shared::Shared;
use crate::socket::Socket;
use crate::stream::Stream;
use crate::sync::Mutex;
use std::sync::{Arc, Weak};

/// The calls of one WebSocket.
#[derive(Default)]
pub struct Calls(Mutex<State>);

#[derive(Default)]
struct State {
    /// Calls whose answers are not known, or not taken to be written.
    open: u64,
    /// So many of them are known.
    known: u64,
    /// The frames of these answers.
    answers: Vec<u8>,
    /// The worker reads no further call until there are fewer.
    awaited: bool,
}

impl Calls {
    /// Whether there are so many that no further one is read; if so, the worker is called when there are fewer.
    pub fn are_full(&self, max: u64) -> bool {
        let mut state = self.0.lock();
        state.awaited = state.open >= max;
        state.awaited
    }

    /// Whether there are answers to be written.
    pub fn has_answers(&self) -> bool {
        self.0.lock().known > 0
    }

    /// Whether there are none.
    pub fn are_none(&self) -> bool {
        self.0.lock().open == 0
    }

    /// Adds what is to be written; whether the worker waits for the room that this makes, and is to be called.
    #[must_use]
    pub fn take_answers(&self, out: &mut Vec<u8>) -> bool {
        let mut state = self.0.lock();
        out.append(&mut state.answers);
        let taken = std::mem::take(&mut state.known);
        state.open -= taken;
        taken > 0 && std::mem::take(&mut state.awaited)
    }

    /// An answer is known.
    fn put(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        write(&mut state.answers);
        state.known += 1;
    }
}

/// One call, until it is answered.
pub struct Call {
    calls: Arc<Calls>,
    socket: Weak<Socket>,
    shared: Arc<Shared>,
    /// Whose, and the stream's number.
    whose: (Pid, u32),
    reference: Ref,
    /// None once it is answered.
    asked: Option<Asked>,
}

impl Call {
    /// Counted among the others from now on.
    pub fn new(
        calls: &Arc<Calls>,
        socket: &Arc<Socket>,
        shared: &Arc<Shared>,
        whose: (Pid, u32),
        (reference, asked): (Ref, Asked),
    ) -> Self {
        calls.0.lock().open += 1;
        let (socket, asked) = (Arc::downgrade(socket), Some(asked));
        Self { calls: calls.clone(), socket, shared: shared.clone(), whose, reference, asked }
    }

    /// Tells the client.
    pub fn tell(mut self, answer: Answer) {
        self.answer(answer);
    }

    fn answer(&mut self, answer: Answer) {
        let Some((asked, socket)) = self.asked.take().zip(self.socket.upgrade()) else { return };
        self.calls.put(|out| {
            write_text(out, |out| command::answered(out, self.reference.as_deref(), &asked, answer));
        });
        let ((pid, serial), Shared { sessions, limits, .. }) = (self.whose, &*self.shared);
        let Some(stream) = Stream::take(sessions, pid, serial) else { return };
        let is_awaited = bare::with_answer(|out| {
            let is_awaited = self.calls.take_answers(out.raw());
            stream.go_on_for_worker(out, sessions, limits);
            is_awaited
        });
        if is_awaited {
            socket.call_again();
        }
    }
}

impl Drop for Call {
    /// Nobody has told: the server is going down.
    fn drop(&mut self) {
        self.answer(Err(Unrouted::Draining));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of them were known before the worker saw that there was no room, and nobody called it when there was.
    #[test]
    fn who_waits_for_room_is_told_when_there_is() {
        let (calls, mut out) = (Calls::default(), Vec::new());
        calls.0.lock().open = 2;
        calls.put(|out| out.push(1));
        calls.put(|out| out.push(2));
        assert!(calls.are_full(2));
        assert!(calls.take_answers(&mut out));
        assert!(!calls.take_answers(&mut out) && !calls.are_full(2));
        assert_eq!(out, [1, 2]);
    }
}
