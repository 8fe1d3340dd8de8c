//! Recordings of what a plugin is asked and answers.

use super::{Operators, Streamed, whole};
use crate::protocol::http;
use crate::protocol::problem::Problem;
use crate::trace::{Recorder, Refused, Wanted};
use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};
use std::convert::Infallible;
use std::sync::Arc;

const NDJSON: &str = "application/x-ndjson";

/// Begins one.
pub(super) fn start(operators: &Operators, name: &str, wanted: &Wanted) -> Result<http::Reply, Problem> {
    let node = operators.node.shared.sessions.node();
    let status = recorder(operators, name)?.start(wanted, node).map_err(|refused| match refused {
        Refused::Unfit(words) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, words),
        Refused::NoRoom => Problem::new(StatusCode::SERVICE_UNAVAILABLE, refused.to_string()),
        Refused::OneAtATime => Problem::new(StatusCode::CONFLICT, refused.to_string()),
    })?;
    tracing::info!(plugin = name, events = status.events_max, sample = wanted.sample, "events are recorded");
    Ok(http::json(StatusCode::CREATED, &status))
}

/// How it does, or with `trace` the lines that are there; `from` is how many bytes of them somebody has already.
pub(super) fn look(
    operators: &Operators,
    name: &str,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<Streamed, Problem> {
    let recorder = recorder(operators, name)?;
    let accepts = http::header(headers, ACCEPT.as_str())?.is_some_and(|accepts| accepts.contains(NDJSON));
    if !accepts && http::parameter(query, "trace")?.is_none_or(|value| matches!(value, "0" | "false")) {
        return Ok(whole(http::json(StatusCode::OK, &recorder.status().ok_or_else(none)?)));
    }
    let from = http::parameter(query, "from")?.map_or(Ok(0), str::parse);
    let from = from.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "from is a number of bytes"))?;
    let pieces = recorder.lines(from).ok_or_else(none)?.into_iter().filter(|piece| !piece.is_empty());
    let frames = pieces.map(|piece| Ok::<Frame<Bytes>, Infallible>(Frame::data(piece)));
    let mut response = Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Ends and forgets it.
pub(super) fn remove(operators: &Operators, name: &str) -> Result<http::Reply, Problem> {
    if recorder(operators, name)?.remove() { Ok(http::no_content()) } else { Err(none()) }
}

fn recorder(operators: &Operators, name: &str) -> Result<Arc<Recorder>, Problem> {
    operators.deployer.known().plugin(name)?;
    Ok(operators.node.shared.traces.of_plugin(&name.into()))
}

fn none() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is no recording of this plugin; POST begins one")
}
