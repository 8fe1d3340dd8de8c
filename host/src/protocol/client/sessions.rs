//! `POST` and `DELETE /v1/sessions`.

use crate::event::Happening;
use crate::node::{Node, Sender};
use crate::protocol::client;
use crate::protocol::http::{self, Answered};
use crate::protocol::problem::Problem;
use crate::session::ExitReason;
use crate::topic::Topic;
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Opening {
    user: Option<String>,
    params: Option<Box<RawValue>>,
    topics: Vec<String>,
}

#[derive(Serialize)]
struct Opened {
    session: String,
    pid: String,
    cursor: u64,
    linger_ms: u64,
    wait_ms: u64,
}

/// Opens a session and joins it to its topics; if one is refused, the whole call is.
pub(super) async fn open(node: &Arc<Node>, request: Request<Incoming>) -> Answered {
    let limits = &node.shared.limits;
    let body =
        http::read_body(&node.shared, request.into_body(), limits.request_body_bytes_max, "request_body_bytes_max")
            .await?;
    let opening = parse(&body)?;
    let user = opening.user.map(|user| checked_user(node, user)).transpose()?;
    let params: Option<Arc<str>> = opening.params.map(|params| one_line(params.get()).into());
    let topics = opening.topics.iter().map(|text| client::valid_topic(text)).collect::<Result<Vec<Topic>, _>>()?;
    if topics.len() as u64 > limits.session_topics_max {
        let detail = format!("a session has at most {} subscriptions (session_topics_max)", limits.session_topics_max);
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    if node.is_draining() {
        return Err(crate::event::Unrouted::Draining.into());
    }
    let full = |full: crate::sessions::Full| Problem::new(StatusCode::SERVICE_UNAVAILABLE, full.to_string());
    let token = node.shared.sessions.open(user.clone(), params.clone()).map_err(full)?;
    let unjoined = EndUnlessJoined { node, pid: Some(token.pid) };
    node.shared.sessions.set_opening(token.pid, true);
    for topic in topics {
        let sender = Sender { pid: Some(token.pid), user: user.clone() };
        node.submit(topic, sender, Happening::Join { params: params.clone() }).await?;
    }
    node.shared.sessions.set_opening(token.pid, false);
    unjoined.joined();
    let (linger_ms, wait_ms) = (limits.linger_ms, limits.wait_ms);
    let opened = Opened { session: token.text(), pid: token.pid.to_string(), cursor: 0, linger_ms, wait_ms };
    Ok(http::json(StatusCode::CREATED, &opened))
}

/// Ends the session.
pub(super) fn end(node: &Arc<Node>, request: &Request<Incoming>) -> Answered {
    let pid = client::session(node, request.headers())?;
    if node.end_session(pid, ExitReason::Normal) { Ok(http::no_content()) } else { Err(Problem::gone()) }
}

fn parse(body: &[u8]) -> Result<Opening, Problem> {
    if body.is_empty() {
        return Ok(Opening::default());
    }
    let text = std::str::from_utf8(body).map_err(|_| Problem::bad_request("the body is not UTF-8"))?;
    let shape = |why: &str| {
        let shape = r#"{"user":…,"params":{…},"topics":[…]}, each of them optional"#;
        Problem::bad_request(format!("the body is not {shape}: {why}"))
    };
    if !text.trim_start().starts_with('{') {
        return Err(shape("it is no object"));
    }
    serde_json::from_str(text).map_err(|error| shape(&error.to_string()))
}

fn checked_user(node: &Node, user: String) -> Result<Arc<str>, Problem> {
    let bytes_max = node.shared.limits.user_bytes_max;
    if user.is_empty() || user.len() as u64 > bytes_max {
        return Err(Problem::bad_request(format!("a user has 1 to {bytes_max} bytes (user_bytes_max)")));
    }
    if user.chars().any(char::is_control) {
        return Err(Problem::bad_request("a user has no control characters"));
    }
    Ok(user.into())
}

/// In valid JSON a line break can only stand between tokens.
fn one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}

/// Until all topics are joined, a refusal, or a client that goes away, ends the session.
struct EndUnlessJoined<'a> {
    node: &'a Node,
    pid: Option<crate::pid::Pid>,
}

impl EndUnlessJoined<'_> {
    fn joined(mut self) {
        self.pid = None;
    }
}

impl Drop for EndUnlessJoined<'_> {
    fn drop(&mut self) {
        if let Some(pid) = self.pid {
            self.node.end_session(pid, ExitReason::Normal);
        }
    }
}
