//! What a plugin logs: its last lines, and those to come.

use super::{Operators, Streamed, page_rows, whole};
use crate::plugin_logs::NotFollowed;
use crate::protocol::http;
use crate::protocol::plugin_log;
use crate::protocol::problem::Problem;
use http_body_util::BodyExt as _;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use std::sync::Arc;

const NDJSON: &str = "application/x-ndjson";

/// The last `lines` lines, and with `follow` all that come after them.
pub(super) fn logs(operators: &Operators, name: &str, query: Option<&str>) -> Result<Streamed, Problem> {
    operators.deployer.known().plugin(name)?;
    let lines = match http::parameter(query, "lines")? {
        Some("0") => 0,
        _ => page_rows(&operators.node, query, "lines")? as usize,
    };
    let logs = &operators.node.shared.plugin_logs;
    if !http::parameter(query, "follow")?.is_some_and(|value| !matches!(value, "0" | "false")) {
        let text: Vec<u8> = logs.tail(name, lines).iter().flat_map(|line| plugin_log::ndjson(line)).collect();
        return Ok(whole(http::response(StatusCode::OK, NDJSON, text)));
    }
    let following = logs.follow(&Arc::from(name), lines).map_err(|why| match why {
        NotFollowed::NoSuchPlugin => Problem::new(StatusCode::NOT_FOUND, why.to_string()),
        NotFollowed::TooManyReaders => Problem::new(StatusCode::SERVICE_UNAVAILABLE, why.to_string()),
    })?;
    let mut response = Response::new(plugin_log::body(following).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
