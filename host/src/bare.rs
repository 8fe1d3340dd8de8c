//! Connections without a task: they wait for a request, have a parked poll or a stream, wait for a plain publish to be
//! routed, or owe the rest of an answer. Each is a socket in its worker's epoll and a place in its list; none has a task.
//!
//! What keeps a parked poll right: parking is one step with the check of the mailbox, under the session's lock, and the
//! socket is in the epoll before. Whoever takes the poll out of its session writes the answer (see `socket`), and the
//! worker reads no further request until that is reported.

use crate::epoll::Ready;
use crate::event::{self, Happening, Reply, Unrouted};
use crate::limits::Limits;
use crate::node::Node;
use crate::pid::Pid;
use crate::protocol::answer::{Answer, Ending};
use crate::protocol::client::{self, Plain, PublishCall};
use crate::report::Answered;
use crate::session::{AnswerTo, Owed};
use crate::sessions::{Began, Beginning, PollCall};
use crate::socket::{Peer, RECV_BYTES, Socket};
use crate::streaming::{self, StreamCall, Streaming};
use crate::unsent::Unsent;
use crate::volley::Writer;
use bytes::Bytes;
use std::cell::RefCell;
use std::io;
use std::sync::{Arc, Weak};

thread_local! {
    /// For answers that a worker itself writes.
    static ANSWER: RefCell<Answer> = RefCell::default();
}

/// The bare connections of a worker.
#[derive(Default)]
pub struct Bare {
    places: Vec<Place>,
    free: Vec<u32>,
}

/// A connection's place. It is used again under another generation, so that what was found ready before is not taken for
/// the connection that is there now.
struct Place {
    generation: u32,
    socket: Option<Arc<Socket>>,
    doing: Doing,
}

/// What a bare connection does.
pub enum Doing {
    /// It waits for a request.
    Idle,
    /// A poll of that session is parked under that number, or somebody is answering it.
    Parked(Pid, u32),
    /// A lane has its event, and answers.
    Publishing,
    /// This is left of an answer.
    Owing(Unsent),
    /// A stream is parked, or somebody is writing to it.
    Streaming(Box<Streaming>),
    /// This is left of the last words of a stream.
    Leaving(Unsent),
    /// Our side has ended.
    Left,
}

/// What becomes of a connection that had something to do.
pub enum Turn {
    /// It stays here.
    Stays,
    /// These bytes are no plain poll: they are for hyper.
    Serve(Bytes),
    /// It has ended. Errors end it too; the peer knows better than we do why.
    Ends,
}

impl Bare {
    /// A fresh connection, which waits for its first request.
    pub fn add(&mut self, socket: Arc<Socket>, node: &Node) {
        socket.idle_until(Limits::second_in(node.shared.limits.idle_ms));
        self.place(socket);
    }

    /// A connection whose last request is a poll.
    pub fn add_with(&mut self, socket: Arc<Socket>, poll: &PollCall, node: &Node) {
        // In the epoll first: whoever answers the poll may have to call its worker.
        let Some(at) = self.place(socket) else { return };
        let Place { socket: Some(socket), doing, .. } = &mut self.places[at as usize] else { return };
        if begin(socket, node, poll, doing).is_err() {
            self.take(at);
        }
    }

    /// A connection whose last request is a stream.
    pub fn add_stream(&mut self, socket: Arc<Socket>, call: StreamCall, node: &Node) {
        let Some(at) = self.place(socket) else { return };
        let Place { socket: Some(socket), doing, .. } = &mut self.places[at as usize] else { return };
        if !matches!(streaming::begin(socket, node, call, doing), Ok(Turn::Stays)) {
            self.take(at);
        }
    }

    fn place(&mut self, socket: Arc<Socket>) -> Option<u32> {
        let at = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, socket: None, doing: Doing::Idle });
            self.places.len() as u32 - 1
        });
        let place = &mut self.places[at as usize];
        let key = u64::from(place.generation) << 32 | u64::from(at);
        // It fails only for want of memory of the kernel's; the connection ends then.
        if socket.enter(key).is_err() {
            self.free.push(at);
            return None;
        }
        (place.socket, place.doing) = (Some(socket), Doing::Idle);
        Some(at)
    }

    /// Everything that is ready does what it has to do; what hyper is to serve is handed over.
    pub fn take_turns(&mut self, node: &Node, ready: &Ready, mut serve: impl FnMut(Arc<Socket>, Bytes)) {
        for (key, is_last) in (0..ready.len()).map(|at| ready.get(at)) {
            let (at, generation) = (key as u32, (key >> 32) as u32);
            let place = &mut self.places[at as usize];
            let Some(socket) = place.socket.as_ref().filter(|_| place.generation == generation) else { continue };
            let mut turned = turn(socket, node, &mut place.doing);
            if is_last && matches!(turned, Turn::Stays) && !matches!(place.doing, Doing::Owing(_) | Doing::Leaving(_)) {
                // Something came with the end behind it.
                turned = turn(socket, node, &mut place.doing);
            }
            match turned {
                Turn::Stays => {}
                Turn::Serve(bytes) => {
                    if let Some(socket) = self.take(at) {
                        socket.leave();
                        serve(socket, bytes);
                    }
                }
                Turn::Ends => drop(self.take(at)),
            }
        }
    }

    fn take(&mut self, at: u32) -> Option<Arc<Socket>> {
        let place = &mut self.places[at as usize];
        place.generation = place.generation.wrapping_add(1);
        place.doing = Doing::Idle;
        self.free.push(at);
        place.socket.take()
    }
}

/// Does what a connection has to do by now.
pub fn turn(socket: &Arc<Socket>, node: &Node, doing: &mut Doing) -> Turn {
    let turned = match std::mem::replace(doing, Doing::Idle) {
        Doing::Idle => receive(socket, node, doing),
        Doing::Owing(rest) => go_on(socket, node, rest, doing),
        Doing::Parked(pid, serial) => parked(socket, node, (pid, serial), doing),
        Doing::Publishing => publishing(socket, node, doing),
        Doing::Streaming(streaming) => streaming.turn(socket, node, doing),
        Doing::Leaving(rest) => streaming::leaving(socket, node, rest, doing),
        Doing::Left => streaming::left(socket, doing),
    };
    turned.unwrap_or(Turn::Ends)
}

/// The poll was answered, or its peer does something.
fn parked(socket: &Arc<Socket>, node: &Node, (pid, serial): (Pid, u32), doing: &mut Doing) -> io::Result<Turn> {
    if let Some(answered) = socket.answered() {
        return after(answered, socket, node, doing);
    }
    let peer = socket.look();
    let taken = if peer == Peer::Quiet { None } else { node.shared.sessions.unpark(pid, serial) };
    let Some(parked) = taken else {
        *doing = Doing::Parked(pid, serial);
        if peer == Peer::Quiet {
            return Ok(Turn::Stays);
        }
        // Somebody else is answering just now.
        return socket.await_answer().map_or(Ok(Turn::Stays), |answered| after(answered, socket, node, doing));
    };
    // A pipelined request ends the poll early. So does the end of the stream: the peer may have closed its side only and
    // still read, and if not, the messages wait in the mailbox.
    socket.disown();
    ANSWER.with_borrow_mut(|answer| answer.ending(&parked.owed, parked.after, Ending::Deadline));
    drop(parked);
    write_answer(socket, node, doing)?;
    if let Doing::Owing(_) = doing { Ok(Turn::Stays) } else { receive(socket, node, doing) }
}

/// The event was routed, or its publisher does something.
fn publishing(socket: &Arc<Socket>, node: &Node, doing: &mut Doing) -> io::Result<Turn> {
    if let Some(answered) = socket.answered() {
        return after(answered, socket, node, doing);
    }
    if socket.is_lost() {
        return Ok(Turn::Ends);
    }
    *doing = Doing::Publishing;
    if socket.look() == Peer::Quiet {
        return Ok(Turn::Stays);
    }
    // A peer that has only ended its side may still read.
    socket.await_answer().map_or(Ok(Turn::Stays), |answered| after(answered, socket, node, doing))
}

/// Somebody else has answered.
fn after(answered: Answered, socket: &Arc<Socket>, node: &Node, doing: &mut Doing) -> io::Result<Turn> {
    *doing = Doing::Idle;
    match answered {
        Answered::Written => receive(socket, node, doing),
        Answered::Unfinished(rest) => go_on(socket, node, rest, doing),
        // Only a stream has last words.
        Answered::Broken | Answered::Over(_) => Ok(Turn::Ends),
    }
}

/// Nearly always it is a request like the one before, which is parsed where it was received; whatever is not quite plain
/// goes to hyper as it came.
fn receive(socket: &Arc<Socket>, node: &Node, doing: &mut Doing) -> io::Result<Turn> {
    let received = socket.receive(|bytes| match client::plain(node, socket, bytes) {
        // After a full buffer there may be more, which would not be told of once more.
        Some(_) if bytes.len() == RECV_BYTES => Ok(Turn::Serve(Bytes::copy_from_slice(bytes))),
        Some(Plain::Poll(poll)) => begin(socket, node, &poll, doing).map(|()| Turn::Stays),
        Some(Plain::Publish(publish)) => {
            submit(socket, node, publish, doing);
            Ok(Turn::Stays)
        }
        None if bytes.is_empty() => Ok(Turn::Ends),
        None => Ok(Turn::Serve(Bytes::copy_from_slice(bytes))),
    })?;
    received.unwrap_or(Ok(Turn::Stays))
}

/// Parks a poll, or answers it.
fn begin(socket: &Arc<Socket>, node: &Node, poll: &PollCall, doing: &mut Doing) -> io::Result<()> {
    let pid = poll.pid;
    let Some(serial) = start(socket, node, poll) else { return write_answer(socket, node, doing) };
    *doing = Doing::Parked(pid, serial);
    if node.is_draining() {
        // It came too late for the drain's round.
        node.end_parked(pid);
    }
    Ok(())
}

/// Parks a poll, under that number, or renders its answer as this thread's.
pub fn start(socket: &Arc<Socket>, node: &Node, poll: &PollCall) -> Option<u32> {
    let shared = &node.shared;
    socket.owe();
    socket.never_expire();
    let begun = ANSWER.with_borrow_mut(|answer| {
        let begun = shared.sessions.begin_poll(
            poll,
            || AnswerTo::Bare(socket.clone()),
            |owed, page| answer.messages(owed, page),
        );
        match &begun {
            None => answer.ending(&poll.owed, 0, Ending::SessionOver),
            Some(begun) if begun.state == Beginning::CursorTooHigh => client::cursor_too_high(poll, answer),
            Some(_) => {}
        }
        begun
    });
    if let Some(Began { superseded, state }) = begun {
        if let Some(superseded) = superseded {
            Writer::default().end(superseded, Ending::Superseded, &shared.limits);
        }
        if let Beginning::Parked(serial) = state {
            return Some(serial);
        }
    }
    socket.disown();
    None
}

/// Has an event routed. The answer is written by whoever knows it, as that of a parked poll: by the lane, most likely.
fn submit(socket: &Arc<Socket>, node: &Node, publish: PublishCall, doing: &mut Doing) {
    let limits = &node.shared.limits;
    socket.owe();
    socket.serving_until(Limits::second_in(limits.request_ms));
    *doing = Doing::Publishing;
    let publisher = Publisher { socket: Some(Arc::downgrade(socket)), limits: limits.clone() };
    let PublishCall { topic, sender, data } = publish;
    node.submit_to(Reply::to(|answer| publisher.tell(answer)), topic, sender, Happening::Publish(data));
}

/// Who waits for what becomes of an event, as long as the connection does.
struct Publisher {
    socket: Option<Weak<Socket>>,
    limits: Arc<Limits>,
}

impl Publisher {
    fn tell(mut self, answer: event::Answer) {
        self.answer(answer);
    }

    fn answer(&mut self, answered: event::Answer) {
        let Some(socket) = self.socket.take().and_then(|socket| socket.upgrade()) else { return };
        ANSWER.with_borrow_mut(|answer| {
            match answered {
                Ok(routed) => answer.json(&client::published(&routed)),
                Err(unrouted) => answer.problem(&Owed::default(), &unrouted.into()),
            }
            socket.answer(answer.whole(), &self.limits);
        });
    }
}

impl Drop for Publisher {
    /// Nobody has told: the server is going down.
    fn drop(&mut self) {
        self.answer(Err(Unrouted::Draining));
    }
}

/// Something is to be done with this thread's answer, and no other one rendered meanwhile.
pub fn with_answer<R>(act: impl FnOnce(&mut Answer) -> R) -> R {
    ANSWER.with_borrow_mut(act)
}

/// Writes this thread's answer; what the socket does not take at once is kept.
fn write_answer(socket: &Socket, node: &Node, doing: &mut Doing) -> io::Result<()> {
    let limits = &node.shared.limits;
    *doing = match ANSWER.with_borrow(|answer| socket.write_now(answer.whole(), limits))? {
        None => {
            socket.idle_until(Limits::second_in(limits.idle_ms));
            Doing::Idle
        }
        Some(rest) => {
            socket.responding_until(Limits::second_in(limits.write_ms));
            socket.call_again();
            Doing::Owing(rest)
        }
    };
    Ok(())
}

/// Writes more of an answer, as long as some of it leaves within each `write_ms`.
fn go_on(socket: &Arc<Socket>, node: &Node, mut rest: Unsent, doing: &mut Doing) -> io::Result<Turn> {
    let limits = &node.shared.limits;
    let written = socket.write(rest.as_ref())?;
    if written == rest.as_ref().len() {
        socket.idle_until(Limits::second_in(limits.idle_ms));
        return receive(socket, node, doing);
    }
    if written > 0 {
        rest.advance(written);
        socket.responding_until(Limits::second_in(limits.write_ms));
    }
    *doing = Doing::Owing(rest);
    Ok(Turn::Stays)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 15,000 parked polls are 15,000 of these.
    #[test]
    fn what_a_parked_poll_weighs_stays_small() {
        let (socket, place) = (size_of::<Socket>(), size_of::<Place>());
        assert!(socket <= 96 && place <= 32, "{socket} {place}");
    }
}
