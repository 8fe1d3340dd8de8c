//! The calls of clients: which there are, who makes them, and what pages may read of the answers.

mod demo;
mod doors;
mod over_tls;
mod params;
mod poll;
mod publish;
mod sessions;
mod stream;
mod subscriptions;

pub use doors::too_often;
pub use over_tls::{complaint, not_over_http2, too_many_requests, took_too_long, wants_tls};
pub use poll::{Held, cursor_too_high, not_begun, too_high};
pub use publish::{PublishCall, published};

use crate::node::Node;
use crate::pid::Pid;
use crate::protocol::cors;
use crate::protocol::http::{Answered, Reply};
use crate::protocol::plain::is_host;
use crate::protocol::problem::Problem;
use crate::protocol::query::percent_decoded;
use crate::sessions::PollCall;
use crate::socket::Socket;
use crate::streaming::StreamCall;
use crate::token::Token;
use crate::topic::Topic;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderValue, TRANSFER_ENCODING};
use hyper::{HeaderMap, Method, Request, StatusCode, Version};
use std::sync::Arc;

/// What the connection is to do about a request.
pub enum Reaction {
    /// This is the answer.
    Respond(Reply),
    /// It can leave hyper; over TLS, where it cannot, a task serves it.
    Leave(Leaving),
    /// It is a poll that hyper has to hold.
    Hold(Held),
}

/// What leaves hyper.
pub enum Leaving {
    /// A poll.
    Poll(PollCall),
    /// A stream.
    Stream(Box<StreamCall>),
}

/// A request that is read where it was received.
pub enum Plain {
    /// A poll.
    Poll(PollCall),
    /// A publish.
    Publish(PublishCall),
}

/// The request that these bytes are, if it is a plain one and they are nothing else. hyper gets all others, and those that
/// come too often: it tells them so.
pub fn plain(node: &Node, socket: &Socket, bytes: &[u8]) -> Option<Plain> {
    if node.is_draining() {
        return None;
    }
    let poll = || poll::plain(node, socket, bytes).map(Plain::Poll);
    poll().or_else(|| publish::plain(node, socket, bytes).map(Plain::Publish))
}

/// Serves a request.
pub async fn handle(node: &Arc<Node>, request: Request<Incoming>, socket: &Socket) -> Reaction {
    let allowed = node.cors.allowed(request.headers());
    let framed = well_framed(&request);
    // Nobody else can write into it now: earlier responses have not left, or TLS is spoken on it.
    let (behind, sealed) = (socket.is_blocked(), socket.is_sealed());
    let admitted = framed.and_then(|()| doors::note_address(node, request.headers(), || socket.peer()));
    let answered = match (request.method(), request.uri().path(), admitted) {
        (_, _, Err(problem)) => Err(problem),
        (&Method::GET, "/v1/poll", Ok(())) => match poll::begin(node, &request, behind || sealed) {
            Ok(reaction) => return reaction,
            Err(problem) => Err(problem),
        },
        (&Method::GET, "/v1/ws", Ok(())) if request.version() == Version::HTTP_2 => Err(not_over_http2()),
        (&Method::GET, "/v1/stream", Ok(())) => match stream::events(node, &request, behind && !sealed) {
            Ok(call) => return Reaction::Leave(Leaving::Stream(Box::new(call))),
            Err(problem) => Err(problem),
        },
        (&Method::GET, "/v1/ws", Ok(())) => match stream::websocket(node, &request, behind && !sealed) {
            Ok(Ok(call)) => return Reaction::Leave(Leaving::Stream(Box::new(call))),
            Ok(Err(reply)) => Ok(reply),
            Err(problem) => Err(problem),
        },
        (_, _, Ok(())) => call(node, request).await,
    };
    let mut reply = answered.unwrap_or_else(|problem| problem.response());
    if let Some(allowed) = allowed {
        cors::add(&mut reply, &allowed);
    }
    // The rest of a body that is too large is not waited for.
    if node.is_draining() || reply.status() == StatusCode::PAYLOAD_TOO_LARGE {
        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Reaction::Respond(reply)
}

/// What HTTP/1.1 demands of a request and hyper leaves to us.
fn well_framed(request: &Request<Incoming>) -> Result<(), Problem> {
    let headers = request.headers();
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_11 => {
            return Err(Problem::bad_request("an HTTP/1.1 request has the header Host"));
        }
        (_, Some(_)) => return Err(Problem::bad_request("the header Host is there more than once")),
        (Some(host), None) if !is_host(host.as_bytes()) => {
            return Err(Problem::bad_request("the header Host is no host with an optional port"));
        }
        _ => {}
    }
    match headers.get(TRANSFER_ENCODING) {
        Some(coding) if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "the only transfer coding here is chunked"))
        }
        _ => Ok(()),
    }
}

/// Every call but the poll and the streams; and with `--demo` the files of the chat page.
async fn call(node: &Arc<Node>, request: Request<Incoming>) -> Answered {
    let path = request.uri().path().to_owned();
    let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(&path).split('/').collect();
    match (request.method(), &segments[..]) {
        (&Method::OPTIONS, _) => Ok(node.cors.preflight(request.headers())),
        (&Method::POST, ["v1", "sessions"]) => sessions::open(node, request).await,
        (&Method::DELETE, ["v1", "sessions"]) => sessions::end(node, &request),
        (&Method::PUT, ["v1", "sessions"]) if node.auth.is_on() => sessions::renew(node, &request).await,
        (_, ["v1", "sessions"]) if node.auth.is_on() => Err(Problem::wrong_method("POST, PUT, DELETE")),
        (_, ["v1", "sessions"]) => Err(Problem::wrong_method("POST, DELETE")),
        (&Method::PUT, ["v1", "topics", topic, "subscription"]) => subscriptions::join(node, &request, topic).await,
        (&Method::DELETE, ["v1", "topics", topic, "subscription"]) => subscriptions::leave(node, &request, topic).await,
        (_, ["v1", "topics", _, "subscription"]) => Err(Problem::wrong_method("PUT, DELETE")),
        (&Method::POST, ["v1", "topics", topic, "events"]) => publish::one(node, request, topic).await,
        (&Method::POST, ["v1", "events"]) => publish::batch(node, request).await,
        (&Method::POST, ["v1", "tickets"]) => doors::issue(node, &request),
        (_, ["v1", "topics", _, "events"] | ["v1", "events" | "tickets"]) => Err(Problem::wrong_method("POST")),
        (_, ["v1", "poll" | "stream" | "ws"]) => Err(Problem::wrong_method("GET")),
        (method, _) if node.serves_demo => demo::serve(method, &path, request.headers()),
        _ => Err(Problem::not_found()),
    }
}

/// What was wrong with a head that hyper could not parse; none when the connection just broke.
pub fn bad_head(error: &hyper::Error) -> Option<Problem> {
    if error.is_parse_too_large() {
        Some(head_too_long())
    } else if error.is_parse() {
        Some(Problem::bad_request(format!("this is not HTTP/1.1: {error}")))
    } else {
        None
    }
}

fn head_too_long() -> Problem {
    let detail = "the request's line and headers are too long (request_head_bytes_max)";
    Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
}

/// Whose request it is; that restarts the linger time.
fn session(node: &Node, headers: &HeaderMap) -> Result<Pid, Problem> {
    optional_session(node, headers)?.ok_or_else(Problem::no_token)
}

/// The same for calls that need no session. A token that names none is an error all the same.
fn optional_session(node: &Node, headers: &HeaderMap) -> Result<Option<Pid>, Problem> {
    let mut tokens = headers.get_all("volley-session").iter();
    let Some(token) = tokens.next() else { return Ok(None) };
    if tokens.next().is_some() {
        return Err(Problem::bad_request("the header Volley-Session is there more than once"));
    }
    // Whatever is no text of ours is no token either.
    session_of(node, token.to_str().ok().or(Some(""))).map(Some)
}

fn session_of(node: &Node, token: Option<&str>) -> Result<Pid, Problem> {
    let token = Token::parse(token.ok_or_else(Problem::no_token)?).ok_or_else(Problem::gone)?;
    let noted = node.shared.sessions.authenticate(&token).ok_or_else(Problem::gone)?;
    noted.map_err(|slow| doors::too_often(node, slow, "session"))
}

/// Whose plain request it is. Where that is nobody, or one who calls too often, hyper looks at it again and tells, and counts
/// it then.
fn plain_session(node: &Node, token: Option<&str>) -> Option<Pid> {
    node.shared.sessions.authenticate(&Token::parse(token?)?)?.ok()
}

fn topic(text: &str) -> Result<Topic, Problem> {
    let decoded = percent_decoded(text).and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = decoded.ok_or_else(|| Problem::bad_request("the topic has a broken percent-encoding"))?;
    valid_topic(&decoded)
}

fn valid_topic(text: &str) -> Result<Topic, Problem> {
    text.parse().map_err(|error: crate::topic::NotATopic| Problem::bad_request(error.to_string()))
}
