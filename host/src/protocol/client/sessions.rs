//! `POST`, `PUT` and `DELETE /v1/sessions`.

use crate::auth::claims::Claims;
use crate::auth::jwks::BadToken;
use crate::clock;
use crate::event::{Happening, Routed, Unrouted};
use crate::guard::{Grant, Guard};
use crate::limits::OFF;
use crate::metrics::Denied;
use crate::node::{Node, Sender};
use crate::protocol::client::{self, doors, params};
use crate::protocol::http::{self, Answered};
use crate::protocol::problem::Problem;
use crate::session::ExitReason;
use crate::tally::Place;
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
    let claims = doors::admit(node, request.headers())?;
    let body =
        http::read_body(&node.shared, request.into_body(), limits.request_body_bytes_max, "request_body_bytes_max")
            .await?;
    let opening = parse(&body)?;
    let params = params::given(node, opening.params.as_deref())?;
    let (user, params, mut guard) = match &claims {
        None => (opening.user.map(|user| checked_user(node, user)).transpose()?, params, Guard::default()),
        Some(claims) => {
            let params = Some(params::with_claims(params.as_deref(), claims));
            let (grant, expires_ms) = granted(node, claims)?;
            (user_of(node, claims)?, params, Guard { grant: Some(grant), expires_ms, ..Guard::default() })
        }
    };
    let topics = opening.topics.iter().map(|text| client::valid_topic(text)).collect::<Result<Vec<Topic>, _>>()?;
    if topics.len() as u64 > limits.session_topics_max {
        let detail = format!("a session has at most {} subscriptions (session_topics_max)", limits.session_topics_max);
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    if node.is_draining() {
        return Err(Unrouted::Draining.into());
    }
    guard.bucket = node.rates.bucket();
    guard.place = user.as_ref().map_or(Ok(None), |user| place(node, user))?;
    let grant = guard.grant.clone();
    let full = |full: crate::sessions::Full| Problem::new(StatusCode::SERVICE_UNAVAILABLE, full.to_string());
    let token = node.shared.sessions.open_guarded(user.clone(), params.clone(), guard.unless_idle()).map_err(full)?;
    let unjoined = EndUnlessJoined { node, pid: Some(token.pid) };
    node.shared.sessions.set_opening(token.pid, true);
    for topic in topics {
        let sender = Sender { pid: Some(token.pid), user: user.clone(), grant: grant.clone() };
        node.submit(topic, sender, Happening::Join { params: params.clone() }).await?;
    }
    node.shared.sessions.set_opening(token.pid, false);
    unjoined.joined();
    let (linger_ms, wait_ms) = (limits.linger_ms, limits.wait_ms);
    let opened = Opened { session: token.text(), pid: token.pid.to_string(), cursor: 0, linger_ms, wait_ms };
    Ok(http::json(StatusCode::CREATED, &opened))
}

/// A new token of the same user takes the place of the one that the session was opened with: it lives until that expires,
/// and leaves the topics that it does not allow.
pub(super) async fn renew(node: &Arc<Node>, request: &Request<Incoming>) -> Answered {
    let pid = client::session(node, request.headers())?;
    let Some(claims) = doors::admit(node, request.headers())? else {
        return Err(Problem::no_bearer("a token is needed, as Authorization: Bearer TOKEN"));
    };
    let user = user_of(node, &claims)?;
    let known = node.shared.sessions.with(pid, |session| (session.user.clone(), session.params.clone()));
    let (of_session, params) = known.ok_or_else(Problem::gone)?;
    if user != of_session {
        return Err(Problem::new(StatusCode::FORBIDDEN, "the token is another user's than the session"));
    }
    let (grant, expires_ms) = granted(node, &claims)?;
    let params = Some(params::with_claims(params.as_deref(), &claims));
    let topics = node.shared.sessions.renew(pid, params, grant.clone(), expires_ms).ok_or_else(Problem::gone)?;
    for topic in topics.into_iter().filter(|topic| !grant.allows_joining(topic)) {
        // A rule has no say in it, and one that is busy must not keep it in.
        let sender = Sender { pid: Some(pid), user: user.clone(), grant: None };
        node.submit(topic, sender, Happening::Leave).await.or_else(|unrouted| match unrouted {
            Unrouted::Refused(_) | Unrouted::Invalid(_) => Ok(Routed::default()),
            other => Err(other),
        })?;
    }
    Ok(http::no_content())
}

fn user_of(node: &Node, claims: &Claims) -> Result<Option<Arc<str>>, Problem> {
    claims.user.clone().map(|user| checked_user(node, user)).transpose()
}

/// What these claims allow, and until when on the clock of the process.
fn granted(node: &Node, claims: &Claims) -> Result<(Arc<Grant>, u64), Problem> {
    let left_ms = node.auth.expires_unix_ms(claims).saturating_sub(clock::unix_ms());
    if left_ms == 0 {
        return Err(Problem::bad_bearer(BadToken::Expired.to_string()));
    }
    Ok((Arc::new(Grant::of_token(claims)), clock::now_ms().saturating_add(left_ms)))
}

/// A place among the sessions of a user; none is needed where they are not counted.
fn place(node: &Node, user: &Arc<str>) -> Result<Option<Place<Arc<str>>>, Problem> {
    let max = node.shared.limits.user_sessions_max;
    if max >= OFF {
        return Ok(None);
    }
    node.user_sessions.take(user.clone(), max).map(Some).ok_or_else(|| {
        node.shared.metrics.denials.of(Denied::Sessions).inc();
        let words = "the user has as many sessions as a user may (user_sessions_max)";
        Problem::too_many(words, node.shared.limits.linger_ms.div_ceil(1000).max(1))
    })
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
