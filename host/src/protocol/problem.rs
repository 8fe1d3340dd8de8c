//! Errors as RFC 9457 problem objects: `title`, `status`, `detail`.

use crate::event::Unrouted;
use crate::protocol::http::{self, Reply};
use hyper::StatusCode;
use hyper::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;

/// When a client that was turned away may come again.
pub(super) const RETRY_AFTER_S: &str = "1";
/// The same as a line of a head.
pub(super) const RETRY_AFTER_LINE: &str = "retry-after: 1\r\n";

/// What a 401 asks for: a session's token, or a bearer's.
const SESSION: &str = "Volley-Session";
const BEARER: &str = "Bearer";
const ANOTHER_BEARER: &str = "Bearer error=\"invalid_token\"";

/// An error as the client sees it.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    allow: Option<&'static str>,
    /// What a 401 asks for.
    challenge: &'static str,
    /// When a client that comes too often may come again.
    retry_after_s: Option<u64>,
    mismatches: Vec<String>,
}

#[derive(Serialize)]
struct Shape<'a> {
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    mismatches: &'a [String],
}

impl Problem {
    /// Of any status.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            allow: None,
            challenge: SESSION,
            retry_after_s: None,
            mismatches: Vec::new(),
        }
    }

    /// 400.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 413.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// 401.
    pub fn no_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "the header Volley-Session with the session's token is missing")
    }

    /// 401 for a call that a bearer has to make.
    pub fn no_bearer(detail: impl Into<String>) -> Self {
        Self { challenge: BEARER, ..Self::new(StatusCode::UNAUTHORIZED, detail) }
    }

    /// 401 for a bearer whose token or key does not count.
    pub fn bad_bearer(detail: impl Into<String>) -> Self {
        Self { challenge: ANOTHER_BEARER, ..Self::new(StatusCode::UNAUTHORIZED, detail) }
    }

    /// 429, with the seconds after which to come again.
    pub fn too_many(detail: impl Into<String>, retry_after_s: u64) -> Self {
        Self { retry_after_s: Some(retry_after_s), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// 410.
    pub fn gone() -> Self {
        Self::new(StatusCode::GONE, "no such session: it has ended or never was; open a new one")
    }

    /// 404 for a path that is nothing.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing at this path")
    }

    /// 405, with what is allowed.
    pub fn wrong_method(allow: &'static str) -> Self {
        let detail = format!("this path takes {allow}");
        Self { allow: Some(allow), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, detail) }
    }

    /// The same with all that is wrong, one by one.
    #[must_use]
    pub fn with_mismatches(self, mismatches: Vec<String>) -> Self {
        Self { mismatches, ..self }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The JSON alone, for a line of a batch.
    pub fn body(&self) -> Vec<u8> {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let shape = Shape { title, status: self.status.as_u16(), detail: &self.detail, mismatches: &self.mismatches };
        serde_json::to_vec(&shape).expect("a problem is JSON")
    }

    /// The response.
    pub fn response(&self) -> Reply {
        let mut response = http::response(self.status, "application/problem+json", self.body());
        let headers = response.headers_mut();
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(self.challenge));
            }
            _ => {}
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

impl From<Unrouted> for Problem {
    fn from(unrouted: Unrouted) -> Self {
        let (status, detail) = match unrouted {
            Unrouted::Refused(words) | Unrouted::Limited(words) => (StatusCode::FORBIDDEN, words),
            Unrouted::Invalid(words) => (StatusCode::BAD_REQUEST, words),
            Unrouted::Failed(words) => (StatusCode::BAD_GATEWAY, format!("the plugin failed on this event: {words}")),
            Unrouted::NoPlugin => (StatusCode::NOT_FOUND, "no plugin is mounted on this topic".into()),
            Unrouted::Gone => return Self::gone(),
            Unrouted::Unwritten => {
                let words = "what the rule has written is not on the disk in time (commit_ms_max); try again later";
                (StatusCode::SERVICE_UNAVAILABLE, words.into())
            }
            Unrouted::Busy => {
                (StatusCode::SERVICE_UNAVAILABLE, "the topic's lane is full; try again after Retry-After".into())
            }
            Unrouted::Draining => (StatusCode::SERVICE_UNAVAILABLE, "the server is going down; try again".into()),
        };
        Self::new(status, detail)
    }
}
