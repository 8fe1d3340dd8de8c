//! `GET /v1/poll`: what the request asks for, and the polls that hyper holds because they can't leave it.

use crate::node::Node;
use crate::pid::Pid;
use crate::protocol::answer::{Answer, Ending};
use crate::protocol::client::{self, Leaving, Reaction, doors};
use crate::protocol::cors;
use crate::protocol::http::{self, Reply};
use crate::protocol::plain;
use crate::protocol::problem::{Problem, RETRY_AFTER_S};
use crate::protocol::query::{self, Asked};
use crate::session::{AnswerTo, Owed};
use crate::sessions::{Beginning, NotBegun, PollCall};
use crate::socket::Socket;
use crate::volley::{self, Writer};
use bytes::Bytes;
use futures_util::future::{Either, select};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, HeaderValue, RETRY_AFTER, UPGRADE};
use hyper::{Request, StatusCode, Version};
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The poll that these bytes are, if they are a plain one and nothing else.
pub(super) fn plain(node: &Node, socket: &Socket, bytes: &[u8]) -> Option<PollCall> {
    let plain = plain::plain_poll(bytes)?;
    let pid = client::plain_session(node, plain.session)?;
    if !doors::is_plain_from(node, || socket.peer()) {
        return None;
    }
    let cors = plain.origin.and_then(|origin| node.cors.allows(origin));
    Some(call(node, pid, plain.asked, cors))
}

/// Reads a request that hyper has parsed, and decides where the poll waits.
pub(super) fn begin(node: &Arc<Node>, request: &Request<Incoming>, blocked: bool) -> Result<Reaction, Problem> {
    let headers = request.headers();
    let pid = client::session(node, headers)?;
    let cursor = http::header(headers, "volley-cursor")?;
    let asked = query::asked(request.uri().query(), cursor).map_err(Problem::bad_request)?;
    let call = call(node, pid, asked, node.cors.allowed(headers));
    if can_leave_hyper(request) && !blocked {
        return Ok(Reaction::Leave(Leaving::Poll(call)));
    }
    hold(node, call)
}

fn call(node: &Node, pid: Pid, asked: Asked, cors: Option<Arc<str>>) -> PollCall {
    let wait_ms = node.shared.limits.wait_ms(asked.wait_ms);
    PollCall { pid, cursor: asked.cursor, wait_ms, owed: Owed { cors } }
}

/// Parked bare are plain HTTP/1.1 requests without a body, on connections that stay open.
fn can_leave_hyper(request: &Request<Incoming>) -> bool {
    let headers = request.headers();
    request.version() == Version::HTTP_11
        && request.body().is_end_stream()
        && !headers.contains_key(UPGRADE)
        && !headers.get_all(CONNECTION).iter().any(|value| {
            let text = value.to_str().unwrap_or("close");
            text.split(',').any(|option| option.trim().eq_ignore_ascii_case("close"))
        })
}

/// The answer when the cursor is above the newest message.
pub fn cursor_too_high(call: &PollCall, answer: &mut Answer) {
    answer.problem(&call.owed, &too_high());
}

/// The same for a stream.
pub fn too_high() -> Problem {
    Problem::bad_request("the cursor is above the session's newest message")
}

/// Why a stream does not begin.
pub fn not_begun(why: NotBegun) -> Problem {
    match why {
        NotBegun::CursorTooHigh => too_high(),
        NotBegun::SessionOver => Problem::gone(),
    }
}

/// A poll that hyper holds.
pub struct Held {
    node: Arc<Node>,
    pid: Pid,
    owed: Owed,
    /// The parked poll's number, until it is answered.
    parked: Option<u32>,
    answer: oneshot::Receiver<(u16, Bytes)>,
}

fn hold(node: &Arc<Node>, call: PollCall) -> Result<Reaction, Problem> {
    let (tell, told) = oneshot::channel();
    let mut answer = Answer::default();
    let begun = node
        .shared
        .sessions
        .begin_poll(&call, || AnswerTo::Held(tell), |owed, page| answer.messages(owed, page))
        .ok_or_else(Problem::gone)?;
    if let Some(superseded) = begun.superseded {
        Writer::default().end(superseded, Ending::Superseded, &node.shared.limits);
    }
    match begun.state {
        Beginning::CursorTooHigh => Err(too_high()),
        Beginning::Answered => {
            let (status, body) = volley::kept(&answer, &node.shared.limits);
            Ok(Reaction::Respond(reply(&call.owed, status, body)))
        }
        Beginning::Parked(serial) => {
            let held = Held { node: node.clone(), pid: call.pid, owed: call.owed, parked: Some(serial), answer: told };
            if node.is_draining() {
                node.end_parked(call.pid);
            }
            Ok(Reaction::Hold(held))
        }
    }
}

impl Held {
    /// Waits for whoever answers it. When the peer has closed its side it is answered at once, as a bare one is: the
    /// peer may still read, and if not, the messages wait in the mailbox.
    pub async fn answered(mut self, peer_closed: impl Future<Output = ()>) -> Reply {
        let answered = match select(&mut self.answer, pin!(peer_closed)).await {
            Either::Left((answer, _)) => Some(answer),
            Either::Right(_) => None,
        };
        let answer = if let Some(answer) = answered {
            answer
        } else {
            self.end_early();
            (&mut self.answer).await
        };
        match answer {
            Ok((status, body)) => {
                self.parked = None;
                let mut reply = reply(&self.owed, status, body);
                if self.node.is_draining() {
                    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                reply
            }
            Err(_) => Problem::gone().response(),
        }
    }

    /// Ends the poll without messages, unless somebody else is answering it just now.
    fn end_early(&mut self) {
        let shared = &self.node.shared;
        let parked = self.parked.take().and_then(|serial| shared.sessions.unpark(self.pid, serial));
        if let Some(parked) = parked {
            Writer::default().end(parked, Ending::Deadline, &shared.limits);
        }
    }
}

impl Drop for Held {
    /// The client has gone: nobody is to answer into the void.
    fn drop(&mut self) {
        if let Some(serial) = self.parked {
            self.node.shared.sessions.unpark(self.pid, serial);
        }
    }
}

fn reply(owed: &Owed, status: u16, body: Bytes) -> Reply {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = if status == StatusCode::OK { "application/json" } else { "application/problem+json" };
    let mut reply = http::response(status, content_type, body);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
    }
    if let Some(allowed) = &owed.cors {
        cors::add(&mut reply, allowed);
    }
    reply
}
