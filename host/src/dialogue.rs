//! What is said over a stream besides messages: the head of its response, and over a WebSocket what the client says and
//! what it is answered. While nothing is said, hardly anything is kept.

use crate::calls::{Call, Calls};
use crate::clock;
use crate::event::{Happening, Reply};
use crate::limits::Limits;
use crate::node::{Node, Sender};
use crate::pid::Pid;
use crate::places::{Places, Reserved};
use crate::protocol::client;
use crate::protocol::command::{self, Asked, Command, ENVELOPE_BYTES_MAX, Ref};
use crate::protocol::frames::{Frames, Heard};
use crate::protocol::stream::{FLOODED, TRY_AGAIN, write_close, write_pong, write_text};
use crate::session::Session;
use crate::socket::{RECV_BYTES, Socket};
use crate::topic::Topic;
use std::sync::Arc;

/// The bound is the process's, as memory is.
static BYTES: Places = Places::new();

/// How many bytes of messages that have come in part are kept in the whole process.
pub fn bytes_now() -> u64 {
    BYTES.taken()
}

/// What is being said over one stream.
#[derive(Default)]
pub struct Dialogue {
    now: Option<Box<Now>>,
    /// Pings and pongs that came in this coarse second.
    pings: u32,
    pings_s: u32,
}

/// While something is.
#[derive(Default)]
struct Now {
    /// What is to be written.
    out: Vec<u8>,
    /// It ends with a close frame.
    is_last: bool,
    /// What was received and waits until calls are answered: at most what one recv takes.
    unread: Vec<u8>,
    frames: Frames,
    /// For what has come of a message, which shall be whole by this coarse second.
    place: Option<Reserved<'static>>,
    whole_by: u32,
    calls: Option<Arc<Calls>>,
}

/// Whose stream, and its number.
type Whose = (Pid, u32);

impl Dialogue {
    /// Begins with the head of a response, and what came behind the request.
    pub fn beginning(head: Vec<u8>, unread: Vec<u8>) -> Self {
        Self { now: Some(Box::new(Now { out: head, unread, ..Now::default() })), ..Self::default() }
    }

    /// Whether there is something to be written.
    pub fn has_to_write(&self) -> bool {
        let has_answers = |calls: &Arc<Calls>| calls.has_answers();
        self.now.as_ref().is_some_and(|now| !now.out.is_empty() || now.calls.as_ref().is_some_and(has_answers))
    }

    /// Whether something was received that nobody has looked at.
    pub fn has_unread(&self) -> bool {
        self.now.as_ref().is_some_and(|now| !now.unread.is_empty())
    }

    /// Adds what is to be written; whether it is the last. If that makes room for which calls wait, the socket's worker is
    /// called.
    pub fn say(&mut self, to: &mut Vec<u8>, socket: &Socket) -> bool {
        let Some(now) = &mut self.now else { return false };
        to.append(&mut now.out);
        if now.calls.as_ref().filter(|_| !now.is_last).is_some_and(|calls| calls.take_answers(to)) {
            socket.call_again();
        }
        now.is_last
    }

    /// The coarse second by which a message that has come in part shall be whole.
    pub fn whole_by(&self) -> Option<u32> {
        self.now.as_ref().filter(|now| !now.frames.is_empty()).map(|now| now.whole_by)
    }

    /// Forgets what is not needed while nothing is said.
    pub fn rest(&mut self) {
        let is_over = |now: &Now| {
            let no_calls = now.calls.as_ref().is_none_or(|calls| calls.are_none());
            now.out.is_empty() && now.unread.is_empty() && now.frames.is_empty() && no_calls
        };
        self.now.take_if(|now| is_over(now));
    }

    /// Hears what has come, as far as there is room for its answers; false when the peer is gone.
    pub fn hear(&mut self, socket: &Arc<Socket>, node: &Node, whose: Whose) -> bool {
        if !self.catch_up(socket, node, whose) {
            return true;
        }
        let received = socket.receive(|bytes| {
            self.listen(bytes, socket, node, whose);
            bytes.len()
        });
        match received {
            Ok(Some(0)) | Err(_) => return false,
            // There may be more, which would not be told of once more.
            Ok(Some(RECV_BYTES)) => socket.call_again(),
            Ok(_) => {}
        }
        true
    }

    /// Hears what was received before; whether there is room for more.
    pub fn catch_up(&mut self, socket: &Arc<Socket>, node: &Node, whose: Whose) -> bool {
        let unread = self.now.as_mut().map(|now| std::mem::take(&mut now.unread)).unwrap_or_default();
        self.listen(&unread, socket, node, whose);
        let is_full = |now: &Now| {
            let full = |calls: &Arc<Calls>| calls.are_full(node.shared.limits.socket_calls_max);
            now.is_last || !now.unread.is_empty() || now.calls.as_ref().is_some_and(full)
        };
        !self.now.as_deref().is_some_and(is_full)
    }

    /// Hears these bytes, as far as there is room for their answers; the others wait.
    pub fn listen(&mut self, mut bytes: &[u8], socket: &Arc<Socket>, node: &Node, whose: Whose) {
        if bytes.is_empty() {
            return;
        }
        socket.heard();
        let limits = &node.shared.limits;
        let text_bytes_max = (limits.event_bytes_max + ENVELOPE_BYTES_MAX) as usize;
        let now = self.now.get_or_insert_default();
        let was_empty = now.frames.is_empty();
        while !bytes.is_empty() && !now.is_last {
            if now.calls.as_ref().is_some_and(|calls| calls.are_full(limits.socket_calls_max)) {
                now.unread = bytes.to_vec();
                break;
            }
            let heard = match now.frames.read(bytes, text_bytes_max) {
                Ok((taken, heard)) => {
                    bytes = &bytes[taken..];
                    heard
                }
                Err(violation) => {
                    let (code, words) = violation.words();
                    write_close(&mut now.out, code, words);
                    now.is_last = true;
                    break;
                }
            };
            match heard {
                Some(Heard::Text(text)) => {
                    let speaker = Speaker { socket, node, whose, calls: &mut now.calls };
                    speaker.obey(text, &mut now.out);
                }
                Some(Heard::Close(code)) => {
                    write_close(&mut now.out, code, "");
                    now.is_last = true;
                }
                Some(ping @ (Heard::Ping(_) | Heard::Pong)) => {
                    if is_flood(&mut self.pings, &mut self.pings_s, limits) {
                        write_close(&mut now.out, FLOODED, "too many pings (pings_per_s_max)");
                        now.is_last = true;
                    } else if let Heard::Ping(data) = ping {
                        write_pong(&mut now.out, data);
                    }
                }
                None => {}
            }
        }
        now.keep_what_came(was_empty, limits);
    }
}

fn is_flood(pings: &mut u32, pings_s: &mut u32, limits: &Limits) -> bool {
    let second = clock::coarse_s();
    if std::mem::replace(pings_s, second) != second {
        *pings = 0;
    }
    *pings += 1;
    u64::from(*pings) > limits.pings_per_s_max
}

impl Now {
    /// What has come of a message takes a place among all that have.
    fn keep_what_came(&mut self, was_empty: bool, limits: &Limits) {
        self.place = None;
        if self.is_last {
            self.frames = Frames::default();
        }
        if self.frames.is_empty() {
            return;
        }
        if was_empty {
            self.whole_by = Limits::second_in(limits.request_ms);
        }
        self.place = BYTES.reserve(self.frames.bytes() as u64, limits.frames_bytes_max);
        if self.place.is_none() {
            write_close(&mut self.out, TRY_AGAIN, "the server receives as much as it may (frames_bytes_max)");
            (self.is_last, self.frames) = (true, Frames::default());
        }
    }
}

/// Whose words are heard.
struct Speaker<'a> {
    socket: &'a Arc<Socket>,
    node: &'a Node,
    whose: Whose,
    calls: &'a mut Option<Arc<Calls>>,
}

impl Speaker<'_> {
    /// Does what a message says; what can be answered at once is.
    fn obey(self, text: &str, out: &mut Vec<u8>) {
        let (reference, command) = command::read(text, self.node.shared.limits.event_bytes_max);
        match command {
            Ok(Command::Ack(cursor)) => self.acknowledge(reference, cursor, out),
            Ok(Command::Publish(line)) => {
                self.call((reference, Asked::Publish), line.topic, |_| Happening::Publish(line.data), out);
            }
            Ok(Command::Join(topic)) => {
                let join = |session: &Session| Happening::Join { params: session.params.clone() };
                self.call((reference, Asked::Join(topic.clone())), topic, join, out);
            }
            Ok(Command::Leave(topic)) => {
                self.call((reference, Asked::Leave(topic.clone())), topic, |_| Happening::Leave, out);
            }
            Err(problem) => write_text(out, |out| command::wrong(out, reference.as_deref(), &problem)),
        }
    }

    fn acknowledge(&self, reference: Ref, cursor: u64, out: &mut Vec<u8>) {
        match (self.node.shared.sessions.acknowledge(self.whose.0, cursor), reference) {
            (Some(true), Some(reference)) => {
                write_text(out, |out| command::acknowledged(out, Some(&reference), cursor));
            }
            (Some(false), reference) => {
                write_text(out, |out| command::wrong(out, reference.as_deref(), &client::too_high()));
            }
            // Without a ref nobody waits; without a session the stream is about to end.
            (Some(true), None) | (None, _) => {}
        }
    }

    /// As over HTTP: the session's rate and grant count, and the lane that has the topic is asked. The answer comes by itself.
    fn call(self, asked: (Ref, Asked), topic: Topic, what: impl FnOnce(&Session) -> Happening, out: &mut Vec<u8>) {
        let Self { socket, node, whose, calls } = self;
        let noted = node.shared.sessions.with(whose.0, |session| {
            session.note()?;
            Ok((Sender::session(whose.0, session), what(session)))
        });
        match noted {
            Some(Ok((sender, what))) => {
                let call = Call::new(calls.get_or_insert_default(), socket, &node.shared, whose, asked);
                node.submit_to(Reply::to(|answer| call.tell(answer)), topic, sender, what);
            }
            Some(Err(slow)) => {
                let problem = client::too_often(node, slow, "session");
                write_text(out, |out| command::wrong(out, asked.0.as_deref(), &problem));
            }
            // The stream is about to end.
            None => {}
        }
    }
}
