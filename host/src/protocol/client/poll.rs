//! `GET /v1/poll`: what the request asks for, and the polls that hyper holds because they can't leave it.

use crate::node::Node;
use crate::pid::Pid;
use crate::protocol::answer::{Answer, Ending};
use crate::protocol::client::{self, Reaction};
use crate::protocol::cors;
use crate::protocol::http::{self, Reply};
use crate::protocol::problem::Problem;
use crate::session::{AnswerTo, Owed};
use crate::sessions::{Beginning, PollCall};
use crate::volley::Writer;
use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::{Request, StatusCode, Version};
use std::sync::Arc;
use tokio::sync::oneshot;

/// With one of these headers a request is hyper's; all others but the four that are read do not matter to a poll.
const NOT_PLAIN: [&str; 7] =
    ["connection", "content-length", "transfer-encoding", "upgrade", "expect", "trailer", "http2-settings"];
/// More headers than that go to hyper.
const PLAIN_HEADERS_MAX: usize = 32;

/// The poll that these bytes are, if they are one whole, plain request and nothing else. hyper gets everything that is
/// unusual in any way, so there is one place that says what is wrong with a request.
pub fn plain_poll(node: &Node, bytes: &[u8]) -> Option<PollCall> {
    if !bytes.starts_with(b"GET /v1/poll") || node.is_draining() {
        return None;
    }
    let mut headers = [httparse::EMPTY_HEADER; PLAIN_HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let whole = request.parse(bytes).ok()? == httparse::Status::Complete(bytes.len());
    let (path, query) = match request.path?.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (request.path?, None),
    };
    if !whole || request.version != Some(1) || path != "/v1/poll" || query.is_some_and(|query| query.contains('#')) {
        return None;
    }
    let (mut session, mut cursor, mut origin, mut host) = (None, None, None, None);
    for header in request.headers.iter() {
        let known = match header.name {
            name if name.eq_ignore_ascii_case("volley-session") => &mut session,
            name if name.eq_ignore_ascii_case("volley-cursor") => &mut cursor,
            name if name.eq_ignore_ascii_case("origin") => &mut origin,
            name if name.eq_ignore_ascii_case("host") => &mut host,
            name if name.eq_ignore_ascii_case("connection") && header.value.eq_ignore_ascii_case(b"keep-alive") => {
                continue;
            }
            name if NOT_PLAIN.iter().any(|other| name.eq_ignore_ascii_case(other)) => return None,
            _ => continue,
        };
        if known.replace(std::str::from_utf8(header.value).ok()?).is_some() {
            return None;
        }
    }
    let cors = origin.and_then(|origin| node.cors.allows(origin));
    host?;
    let pid = client::session_of(node, session).ok()?;
    parse(node, pid, query, cursor, cors).ok()
}

/// Reads a request that hyper has parsed, and decides where the poll waits.
pub(super) fn begin(node: &Arc<Node>, request: &Request<Incoming>, blocked: bool) -> Result<Reaction, Problem> {
    let headers = request.headers();
    let pid = client::session(node, headers)?;
    let cursor = http::header(headers, "volley-cursor")?;
    let call = parse(node, pid, request.uri().query(), cursor, node.cors.allowed(headers))?;
    if can_leave_hyper(request) && !blocked {
        return Ok(Reaction::Park(call));
    }
    hold(node, call)
}

fn parse(
    node: &Node,
    pid: Pid,
    query: Option<&str>,
    cursor_header: Option<&str>,
    cors: Option<Arc<str>>,
) -> Result<PollCall, Problem> {
    let cursor = cursor(http::parameter(query, "cursor")?, cursor_header)?;
    let wait_ms = node.shared.limits.wait_ms(wait_ms(http::parameter(query, "wait")?)?);
    Ok(PollCall { pid, cursor, wait_ms, owed: Owed { cors } })
}

fn cursor(parameter: Option<&str>, header: Option<&str>) -> Result<Option<u64>, Problem> {
    let Some(text) = parameter.or(header) else { return Ok(None) };
    if parameter.is_some() && header.is_some() && parameter != header {
        return Err(Problem::bad_request("the cursor of the query and that of the header differ"));
    }
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.map(Some).ok_or_else(|| Problem::bad_request("a cursor is a whole number from 0 on"))
}

/// Seconds, perhaps with a fraction.
fn wait_ms(text: Option<&str>) -> Result<Option<u64>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let seconds: Option<f64> = if plain { text.parse().ok() } else { None };
    let seconds = seconds.ok_or_else(|| Problem::bad_request("wait is a number of seconds from 0 on"))?;
    Ok(Some((seconds * 1000.0) as u64))
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

fn too_high() -> Problem {
    Problem::bad_request("the cursor is above the session's newest message")
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
        Beginning::Answered => Ok(Reaction::Respond(reply(&call.owed, 200, Bytes::copy_from_slice(answer.body())))),
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
    /// Waits for whoever answers it.
    pub async fn answered(mut self) -> Reply {
        match (&mut self.answer).await {
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
    if let Some(allowed) = &owed.cors {
        cors::add(&mut reply, allowed);
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors() {
        assert_eq!(cursor(Some("17"), None).unwrap(), Some(17));
        assert_eq!(cursor(None, Some("17")).unwrap(), Some(17));
        assert_eq!(cursor(Some("17"), Some("17")).unwrap(), Some(17));
        assert_eq!(cursor(None, None).unwrap(), None);
        assert!(cursor(Some("17"), Some("18")).is_err());
        for bad in ["", "-1", "+1", "1.0", "x", "18446744073709551616", "%31"] {
            assert!(cursor(Some(bad), None).is_err(), "{bad}");
        }
    }

    #[test]
    fn waits() {
        assert_eq!(wait_ms(Some("0")).unwrap(), Some(0));
        assert_eq!(wait_ms(Some("2.5")).unwrap(), Some(2500));
        assert_eq!(wait_ms(Some(&"9".repeat(400))).unwrap(), Some(u64::MAX));
        assert_eq!(wait_ms(None).unwrap(), None);
        for bad in ["", "-1", "1e3", "inf", "NaN", ".", "1.2.3"] {
            assert!(wait_ms(Some(bad)).is_err(), "{bad}");
        }
    }
}
