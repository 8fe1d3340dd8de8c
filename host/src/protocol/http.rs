//! What all calls share: responses, bodies within bounds, headers and query parameters that may come once.

use crate::protocol::problem::Problem;
use crate::protocol::query;
use crate::shared::Shared;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, EXPECT, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};
use serde::Serialize;
use std::pin::pin;
use std::time::Duration;

pub use crate::protocol::query::percent_decoded;

/// So much of a body that is refused is read away, and nothing of one that says it has more.
const READ_AWAY_BYTES_MAX: u64 = 1 << 30;
/// For so long its sender is listened to.
const READ_AWAY: Duration = Duration::from_secs(10);

/// A whole response.
pub type Reply = Response<Full<Bytes>>;

/// A call's answer, or why there is none.
pub type Answered = Result<Reply, Problem>;

/// A response with a body of that type.
pub fn response(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A JSON response.
pub fn json(status: StatusCode, body: &impl Serialize) -> Reply {
    response(status, "application/json", serde_json::to_vec(body).expect("our own types are JSON"))
}

/// 204.
pub fn no_content() -> Reply {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The whole body, if it is within the bound, which `limit` names, and if all bodies that are being received at this
/// moment are within theirs.
pub async fn read_body<B>(shared: &Shared, body: B, bytes_max: u64, limit: &str) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || too_large(bytes_max, limit);
    if body.size_hint().lower() > bytes_max {
        return Err(too_large());
    }
    let bytes = body.size_hint().upper().unwrap_or(bytes_max).min(bytes_max);
    let _place = shared.bodies.reserve(bytes, shared.limits.bodies_bytes_max).ok_or_else(|| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is receiving as much as it may (bodies_bytes_max)")
    })?;
    match Limited::new(body, bytes_max as usize).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Err(error) => Err(Problem::bad_request(format!("the body could not be read: {error}"))),
    }
}

/// 413, with the bound's name.
fn too_large(bytes_max: u64, limit: &str) -> Problem {
    Problem::too_large(format!("the body has more than {bytes_max} bytes ({limit})"))
}

/// The same of a body that may be so large that its sender is still sending when it is refused, and would find the connection
/// closed in place of the words. So what is left of it is read away, within bounds, unless its sender waits to be asked for it.
pub async fn read_body_to_its_end<B>(
    shared: &Shared,
    headers: &HeaderMap,
    body: B,
    bytes_max: u64,
    limit: &str,
) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut body = pin!(body);
    let is_asked_for = !headers.contains_key(EXPECT) || body.size_hint().lower() <= bytes_max;
    let read = read_body(shared, body.as_mut(), bytes_max, limit).await;
    let is_too_large = read.as_ref().is_err_and(|problem| problem.status() == StatusCode::PAYLOAD_TOO_LARGE);
    if is_too_large && is_asked_for && body.size_hint().lower() <= READ_AWAY_BYTES_MAX {
        let read_away = Limited::new(body, READ_AWAY_BYTES_MAX as usize);
        let mut read_away = pin!(read_away);
        let end = async { while let Some(Ok(_)) = read_away.frame().await {} };
        let _ = tokio::time::timeout(READ_AWAY, end).await;
    }
    read
}

/// A header's text; twice is once too often.
pub fn header<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::bad_request(format!("the header {name} is there more than once")));
    }
    match value.to_str() {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(Problem::bad_request(format!("the header {name} is not plain ASCII"))),
    }
}

/// A query parameter's text as it stands, not decoded; twice is once too often. Unknown ones are ignored.
pub fn parameter<'a>(query: Option<&'a str>, name: &str) -> Result<Option<&'a str>, Problem> {
    query::parameter(query, name).map_err(Problem::bad_request)
}

/// A query parameter with `%XX` and `+` decoded.
pub fn decoded_parameter(query: Option<&str>, name: &str) -> Result<Option<Vec<u8>>, Problem> {
    query::decoded_parameter(query, name).map_err(Problem::bad_request)
}
