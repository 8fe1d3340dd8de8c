//! CORS: which pages of a browser may call, and how they are told.

use crate::protocol::http::{self, Reply};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderValue, ORIGIN, VARY,
};
use hyper::{HeaderMap, Response};
use std::sync::Arc;

pub use crate::origins::Cors;

const METHODS: &str = "GET, POST, PUT, DELETE";
const HEADERS: &str = "content-type, volley-session, volley-cursor, idempotency-key, authorization, last-event-id";
/// How long a browser may cache the answer to a preflight, in seconds.
const MAX_AGE_S: &str = "600";

impl Cors {
    /// What `Access-Control-Allow-Origin` says for this request; none when it does not come from a page that may call.
    pub fn allowed(&self, headers: &HeaderMap) -> Option<Arc<str>> {
        self.allows(headers.get(ORIGIN)?.to_str().ok()?)
    }

    /// The answer to a preflight, which needs no session.
    pub fn preflight(&self, headers: &HeaderMap) -> Reply {
        let mut reply = http::no_content();
        if let Some(allowed) = self.allowed(headers) {
            add(&mut reply, &allowed);
            let headers = reply.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS));
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_S));
        }
        reply
    }
}

/// Tells the browser that the page may read the response.
pub fn add<B>(reply: &mut Response<B>, allowed: &str) {
    let headers = reply.headers_mut();
    if let Ok(origin) = HeaderValue::from_str(allowed) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(VARY, HeaderValue::from_static("origin"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
    }
}
