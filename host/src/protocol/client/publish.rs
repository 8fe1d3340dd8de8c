//! `POST /v1/topics/{topic}/events` and the batch `POST /v1/events`.

use crate::event::{Answer, Happening, Payload, Routed};
use crate::node::{Node, Sender};
use crate::pid::Pid;
use crate::protocol::batch::{self, Line, NotALine};
use crate::protocol::client::{self, doors};
use crate::protocol::http::{self, Answered};
use crate::protocol::payload;
use crate::protocol::plain;
use crate::protocol::problem::Problem;
use crate::socket::Socket;
use crate::topic::Topic;
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, StatusCode};
use serde::Serialize;
use std::sync::Arc;

/// The longest Idempotency-Key.
const KEY_BYTES_MAX: usize = 255;

#[derive(Serialize)]
struct Published {
    event: String,
    recipients: u64,
}

/// A publish as a client asked for it.
pub struct PublishCall {
    /// Where.
    pub topic: Topic,
    /// Who.
    pub sender: Sender,
    /// What.
    pub data: Payload,
}

/// The publish that these bytes are, if they are a plain one and nothing is wrong with it.
pub(super) fn plain(node: &Node, socket: &Socket, bytes: &[u8]) -> Option<PublishCall> {
    let plain = plain::plain_publish(bytes)?;
    if plain.body.len() as u64 > node.shared.limits.event_bytes_max {
        return None;
    }
    // Where there are keys, hyper looks at what a back-end shows.
    if plain.session.is_none() && node.auth.is_on() {
        return None;
    }
    let topic = client::valid_topic(plain.topic).ok()?;
    let data = payload::from_body(plain.content_type, Bytes::copy_from_slice(plain.body)).ok()?;
    // Last, since calls are noted here.
    let sender = match plain.session {
        Some(_) => sender_of(node, client::plain_session(node, plain.session)?).ok()?,
        None => Sender::default(),
    };
    if !doors::is_plain_from(node, || socket.peer()) {
        return None;
    }
    Some(PublishCall { topic, sender, data })
}

/// What the publisher is told.
pub fn published(routed: &Routed) -> Vec<u8> {
    serde_json::to_vec(&Published::from(*routed)).expect("our own types are JSON")
}

/// Publishes a body.
pub(super) async fn one(node: &Arc<Node>, request: Request<Incoming>, topic: &str) -> Answered {
    let sender = sender(node, request.headers())?;
    let topic = client::topic(topic)?;
    let key = idempotency_key(request.headers())?;
    let content_type = http::header(request.headers(), "content-type")?.map(str::to_owned);
    let bytes_max = node.shared.limits.event_bytes_max;
    let body = http::read_body(&node.shared, request.into_body(), bytes_max, "event_bytes_max").await?;
    let data = payload::from_body(content_type.as_deref(), body).map_err(Problem::bad_request)?;
    let routed = publish(node, topic, sender, key, data).await?;
    Ok(http::json(StatusCode::OK, &Published::from(routed)))
}

/// Publishes a line each; the answers come in the order of the lines.
pub(super) async fn batch(node: &Arc<Node>, request: Request<Incoming>) -> Answered {
    let limits = node.shared.limits.clone();
    let sender = sender(node, request.headers())?;
    let key = idempotency_key(request.headers())?;
    let body = http::read_body(&node.shared, request.into_body(), limits.batch_bytes_max, "batch_bytes_max").await?;
    let lines: Vec<Bytes> = batch::lines(&body).collect();
    if lines.len() as u64 > limits.batch_lines_max {
        let detail = format!("the batch has more than {} lines (batch_lines_max)", limits.batch_lines_max);
        return Err(Problem::too_large(detail));
    }
    // No client can send a line break in a key, so a line's key is never another publish's.
    // Events enter their lanes in the order of the lines, since each future runs up to there when it is first polled.
    let of_line = node.clone();
    let mut routed = stream::iter(lines.into_iter().enumerate())
        .map(move |(number, line)| {
            let key = key.as_ref().map(|key| format!("{key}\n{number}"));
            one_of_many(of_line.clone(), line, sender.clone(), key).boxed()
        })
        .buffered(limits.batch_events_in_flight_max as usize);
    let mut answers = Vec::new();
    while let Some(answer) = routed.next().await {
        match answer {
            Ok(routed) => serde_json::to_writer(&mut answers, &Published::from(routed)).expect("a Vec takes it"),
            Err(problem) => answers.extend(problem.body()),
        }
        answers.push(b'\n');
    }
    Ok(http::response(StatusCode::OK, "application/x-ndjson", answers))
}

async fn one_of_many(node: Arc<Node>, line: Bytes, sender: Sender, key: Option<String>) -> Result<Routed, Problem> {
    let Line { topic, data } = batch::line(&line, node.shared.limits.event_bytes_max).map_err(|wrong| match wrong {
        NotALine::Malformed(words) => Problem::bad_request(words),
        NotALine::TooLarge(words) => Problem::too_large(words),
    })?;
    Ok(publish(&node, topic, sender, key, data).await?)
}

async fn publish(node: &Arc<Node>, topic: Topic, sender: Sender, key: Option<String>, data: Payload) -> Answer {
    let what = Happening::Publish(data);
    match key {
        Some(key) => node.submit_once(key, topic, sender, what).await,
        None => node.submit(topic, sender, what).await,
    }
}

/// Without a session a back-end publishes.
fn sender(node: &Node, headers: &HeaderMap) -> Result<Sender, Problem> {
    match client::optional_session(node, headers)? {
        Some(pid) => sender_of(node, pid),
        None => doors::back_end(node, headers),
    }
}

fn sender_of(node: &Node, pid: Pid) -> Result<Sender, Problem> {
    node.shared.sessions.with(pid, |session| Sender::session(pid, session)).ok_or_else(Problem::gone)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    match http::header(headers, "idempotency-key")? {
        Some(key) if key.is_empty() || key.len() > KEY_BYTES_MAX => {
            Err(Problem::bad_request(format!("an Idempotency-Key has 1 to {KEY_BYTES_MAX} bytes")))
        }
        key => Ok(key.map(str::to_owned)),
    }
}

impl From<Routed> for Published {
    fn from(routed: Routed) -> Self {
        Self { event: routed.event.to_string(), recipients: routed.recipients }
    }
}
