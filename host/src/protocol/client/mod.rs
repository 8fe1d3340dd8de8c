//! The calls of clients: which there are, who makes them, and what pages may read of the answers.

mod poll;
mod publish;
mod sessions;
mod subscriptions;

pub use poll::{Held, cursor_too_high};

use crate::node::Node;
use crate::pid::Pid;
use crate::protocol::cors;
use crate::protocol::http::{self, Answered, Reply};
use crate::protocol::problem::Problem;
use crate::sessions::PollCall;
use crate::token::Token;
use crate::topic::Topic;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{HeaderMap, Method, Request};
use std::sync::Arc;

/// What the connection is to do about a request.
pub enum Reaction {
    /// This is the answer.
    Respond(Reply),
    /// It is a poll that can leave hyper.
    Park(PollCall),
    /// It is a poll that hyper has to hold.
    Hold(Held),
}

/// Serves a request. `blocked` says that earlier responses have not left the socket yet.
pub async fn handle(node: &Arc<Node>, request: Request<Incoming>, blocked: bool) -> Reaction {
    let allowed = node.cors.allowed(request.headers());
    let answered = match (request.method(), request.uri().path()) {
        (&Method::GET, "/v1/poll") => match poll::begin(node, &request, blocked) {
            Ok(reaction) => return reaction,
            Err(problem) => Err(problem),
        },
        _ => call(node, request).await,
    };
    let mut reply = answered.unwrap_or_else(|problem| problem.response());
    if let Some(allowed) = allowed {
        cors::add(&mut reply, &allowed);
    }
    if node.is_draining() {
        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Reaction::Respond(reply)
}

/// Every call but the poll.
async fn call(node: &Arc<Node>, request: Request<Incoming>) -> Answered {
    let path = request.uri().path().to_owned();
    let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(&path).split('/').collect();
    match (request.method(), &segments[..]) {
        (&Method::OPTIONS, _) => Ok(node.cors.preflight(request.headers())),
        (&Method::POST, ["v1", "sessions"]) => sessions::open(node, request).await,
        (&Method::DELETE, ["v1", "sessions"]) => sessions::end(node, &request),
        (_, ["v1", "sessions"]) => Err(Problem::wrong_method("POST, DELETE")),
        (&Method::PUT, ["v1", "topics", topic, "subscription"]) => subscriptions::join(node, &request, topic).await,
        (&Method::DELETE, ["v1", "topics", topic, "subscription"]) => subscriptions::leave(node, &request, topic).await,
        (_, ["v1", "topics", _, "subscription"]) => Err(Problem::wrong_method("PUT, DELETE")),
        (&Method::POST, ["v1", "topics", topic, "events"]) => publish::one(node, request, topic).await,
        (&Method::POST, ["v1", "events"]) => publish::batch(node, request).await,
        (_, ["v1", "topics", _, "events"] | ["v1", "events"]) => Err(Problem::wrong_method("POST")),
        (_, ["v1", "poll"]) => Err(Problem::wrong_method("GET")),
        _ => Err(Problem::not_found()),
    }
}

/// Whose request it is; that restarts the linger time.
fn session(node: &Node, headers: &HeaderMap) -> Result<Pid, Problem> {
    optional_session(node, headers)?.ok_or_else(Problem::no_token)
}

/// The same for calls that need no session. A token that names none is an error all the same.
fn optional_session(node: &Node, headers: &HeaderMap) -> Result<Option<Pid>, Problem> {
    let Some(text) = http::header(headers, "volley-session")? else { return Ok(None) };
    let token = Token::parse(text).ok_or_else(Problem::gone)?;
    node.shared.sessions.authenticate(&token).map(Some).ok_or_else(Problem::gone)
}

fn topic(text: &str) -> Result<Topic, Problem> {
    text.parse().map_err(|error: crate::topic::NotATopic| Problem::bad_request(error.to_string()))
}
