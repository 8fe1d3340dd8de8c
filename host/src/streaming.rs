//! A stream as its worker sees it: it begins here, and what comes from its peer is heard here. Mostly it is parked, and
//! others write messages into it (`stream`).
//!
//! A worker that has to write takes the stream out of its session like everybody else. If somebody else is writing, that
//! one hands it over; until then nothing further is heard.

use crate::bare::{self, Doing, Turn};
use crate::dialogue::Dialogue;
use crate::limits::Limits;
use crate::node::Node;
use crate::pid::Pid;
use crate::protocol::answer::{Answer, Ending};
use crate::protocol::client;
use crate::protocol::stream::stream_head;
use crate::report::Answered;
use crate::session::{Form, Owed};
use crate::sessions::NotBegun;
use crate::socket::{RECV_BYTES, Socket};
use crate::stream::{Stream, Went};
use crate::unsent::Unsent;
use crate::volley::Writer;
use hyper::Response;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A connection that we end is read on for this long: closing a socket with unread data would reset it, and the peer might
/// lose its last words.
const LAST_WORDS_MS: u64 = 2_000;

static EVENTS_OPEN: AtomicU64 = AtomicU64::new(0);
static WEBSOCKETS_OPEN: AtomicU64 = AtomicU64::new(0);

/// A stream as a client asked for it.
pub struct StreamCall {
    /// Whose.
    pub pid: Pid,
    /// Everything up to here is acknowledged.
    pub cursor: Option<u64>,
    /// What it is.
    pub form: Form,
    /// The head of its response.
    pub head: Response<()>,
    /// For a response that is an error.
    pub owed: Owed,
    /// What came behind the request.
    pub behind: Vec<u8>,
}

/// A stream that has begun.
pub struct Streaming {
    pid: Pid,
    serial: u32,
    open: Open,
    /// It is out of its session, and nobody else writes.
    ours: bool,
    /// The peer is gone.
    gone: bool,
    /// Something may have come that was not heard.
    missed: bool,
    /// This is left to write.
    rest: Option<Unsent>,
    /// What is being said, while something is.
    dialogue: Dialogue,
}

/// Counted among the streams of its form.
pub struct Open(Form);

impl Open {
    /// One more.
    pub fn new(form: Form) -> Self {
        count(form).fetch_add(1, Relaxed);
        Self(form)
    }

    /// How messages look in it.
    pub fn form(&self) -> Form {
        self.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        count(self.0).fetch_sub(1, Relaxed);
    }
}

/// How many there are of a form.
pub fn open_now(form: Form) -> u64 {
    count(form).load(Relaxed)
}

fn count(form: Form) -> &'static AtomicU64 {
    match form {
        Form::Events => &EVENTS_OPEN,
        Form::WebSocket => &WEBSOCKETS_OPEN,
    }
}

/// Begins a stream on a socket that is in the epoll.
pub fn begin(socket: &Arc<Socket>, node: &Node, call: StreamCall, doing: &mut Doing) -> io::Result<Turn> {
    let StreamCall { pid, cursor, form, head, owed, behind } = call;
    let head = stream_head(form, &head);
    let (serial, superseded) = match node.shared.sessions.begin_stream(pid, cursor) {
        Ok(begun) => begun,
        Err(why) => return refuse(socket, node, &owed, why, doing),
    };
    if let Some(superseded) = superseded {
        Writer::default().end(superseded, Ending::Superseded, &node.shared.limits);
    }
    let open = Open::new(form);
    socket.hold_at_most(node.shared.limits.stream_buffer_bytes_max);
    let dialogue = Dialogue::beginning(head, behind);
    let streaming =
        Box::new(Streaming { pid, serial, open, ours: true, gone: false, missed: false, rest: None, dialogue });
    let turned = streaming.turn(socket, node, doing)?;
    if node.is_draining() {
        // It came too late for the drain's round.
        node.end_parked(pid);
    }
    Ok(turned)
}

fn refuse(socket: &Arc<Socket>, node: &Node, owed: &Owed, why: NotBegun, doing: &mut Doing) -> io::Result<Turn> {
    let problem = client::not_begun(why);
    let limits = &node.shared.limits;
    let rest = bare::with_answer(|answer| {
        answer.last_problem_for(owed, &problem);
        socket.write_now(answer.whole(), limits)
    })?;
    leave(socket, node, rest, doing)
}

impl Streaming {
    /// Does what there is to do by now.
    pub fn turn(mut self: Box<Self>, socket: &Arc<Socket>, node: &Node, doing: &mut Doing) -> io::Result<Turn> {
        if !self.ours {
            match socket.answered() {
                None => {}
                Some(Answered::Written) => self.ours = true,
                Some(Answered::Unfinished(rest)) => (self.ours, self.rest) = (true, Some(rest)),
                Some(Answered::Over(rest)) => return leave(socket, node, rest, doing),
                Some(Answered::Broken) => return Ok(Turn::Ends),
            }
        }
        self.hear(socket, node);
        if !self.ours && (self.gone || self.dialogue.has_to_write()) {
            self.take_back(socket, node);
        } else if !self.ours && self.missed {
            // There was something to write, and somebody else has written it.
            socket.call_again();
        }
        match (self.ours, self.gone) {
            (false, _) => {
                self.dialogue.rest();
                self.set_time(socket);
                *doing = Doing::Streaming(self);
                Ok(Turn::Stays)
            }
            (true, true) => Ok(Turn::Ends),
            (true, false) => self.write(socket, node, doing),
        }
    }

    /// Takes the stream out of its session; if somebody else has it, that one hands it over.
    fn take_back(&mut self, socket: &Arc<Socket>, node: &Node) {
        if node.shared.sessions.want(self.pid, self.serial).is_some() {
            socket.disown();
            self.ours = true;
        }
    }

    /// What the peer does. While something is left to write nothing is heard, so that nothing more is to be written.
    fn hear(&mut self, socket: &Arc<Socket>, node: &Node) {
        if self.gone || self.rest.is_some() || !self.ours && self.dialogue.has_to_write() {
            self.missed = true;
            return;
        }
        if std::mem::take(&mut self.missed) {
            // The epoll has told of it, and does not do so again. One recv may not be all of it.
            socket.call_again();
        }
        self.gone = match self.open.form() {
            // A client says nothing over a stream of events: whatever comes ends it.
            Form::Events => !matches!(socket.receive(|_| ()), Ok(None)) || self.dialogue.has_unread(),
            Form::WebSocket => !self.dialogue.hear(socket, node, (self.pid, self.serial)),
        };
    }

    /// Writes what is left, what is to be said, and the messages that have come; then it is parked.
    fn write(mut self: Box<Self>, socket: &Arc<Socket>, node: &Node, doing: &mut Doing) -> io::Result<Turn> {
        if let Some(rest) = &mut self.rest {
            let written = socket.write(rest.as_ref())?;
            if written < rest.as_ref().len() {
                if written > 0 {
                    rest.advance(written);
                    // Whoever reads, however slowly, is there.
                    node.shared.sessions.hear_of(self.pid);
                    socket.responding_until(Limits::second_in(node.shared.limits.write_ms));
                }
                *doing = Doing::Streaming(self);
                return Ok(Turn::Stays);
            }
            self.rest = None;
        }
        let went = bare::with_answer(|answer| self.go_on(socket, node, answer));
        match went {
            Went::Parked => {
                self.ours = false;
                if self.missed {
                    socket.call_again();
                }
            }
            Went::On => {
                socket.disown();
                socket.responding_until(Limits::second_in(node.shared.limits.write_ms));
                socket.call_again();
            }
            Went::Blocked(rest) => {
                socket.disown();
                self.rest = Some(rest);
                socket.responding_until(Limits::second_in(node.shared.limits.write_ms));
                socket.call_again();
            }
            Went::Over(rest) => {
                socket.disown();
                return leave(socket, node, rest, doing);
            }
            Went::Broken => return Ok(Turn::Ends),
        }
        self.dialogue.rest();
        *doing = Doing::Streaming(self);
        Ok(Turn::Stays)
    }

    /// It may stay open for as long as it likes, unless half a message has come.
    fn set_time(&self, socket: &Socket) {
        match self.dialogue.whole_by() {
            Some(second) => socket.serving_until(second),
            None => socket.never_expire(),
        }
    }

    fn go_on(&mut self, socket: &Arc<Socket>, node: &Node, answer: &mut Answer) -> Went {
        let limits = &node.shared.limits;
        let is_last = self.dialogue.say(answer.raw(), socket);
        self.set_time(socket);
        // Before it is parked: from then on it may be handed over at any moment.
        socket.owe();
        if is_last {
            return socket.write_now(answer.whole(), limits).map_or(Went::Broken, Went::Over);
        }
        let stream = Stream { pid: self.pid, serial: self.serial, form: self.open.form(), socket: socket.clone() };
        stream.go_on(answer, &node.shared.sessions, limits)
    }
}

/// Ends the connection once the last words have left.
fn leave(socket: &Arc<Socket>, node: &Node, rest: Option<Unsent>, doing: &mut Doing) -> io::Result<Turn> {
    match rest {
        Some(rest) => {
            socket.responding_until(Limits::second_in(node.shared.limits.write_ms));
            socket.call_again();
            *doing = Doing::Leaving(rest);
            Ok(Turn::Stays)
        }
        None => farewell(socket, doing),
    }
}

/// Writes more of the last words.
pub fn leaving(socket: &Arc<Socket>, node: &Node, mut rest: Unsent, doing: &mut Doing) -> io::Result<Turn> {
    let written = socket.write(rest.as_ref())?;
    if written == rest.as_ref().len() {
        return farewell(socket, doing);
    }
    if written > 0 {
        rest.advance(written);
        socket.responding_until(Limits::second_in(node.shared.limits.write_ms));
    }
    *doing = Doing::Leaving(rest);
    Ok(Turn::Stays)
}

/// Ends our side.
fn farewell(socket: &Arc<Socket>, doing: &mut Doing) -> io::Result<Turn> {
    socket.shut_write();
    socket.responding_until(Limits::second_in(LAST_WORDS_MS));
    left(socket, doing)
}

/// Waits until the peer has ended its own.
pub fn left(socket: &Arc<Socket>, doing: &mut Doing) -> io::Result<Turn> {
    match socket.receive(<[u8]>::len)? {
        Some(0) => return Ok(Turn::Ends),
        Some(RECV_BYTES) => socket.call_again(),
        Some(_) | None => {}
    }
    *doing = Doing::Left;
    Ok(Turn::Stays)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_parked_stream_weighs_stays_small() {
        assert!(size_of::<Streaming>() <= 48, "{}", size_of::<Streaming>());
    }
}
