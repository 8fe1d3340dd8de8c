//! The operator's dashboard: a page that calls the admin API as any other client does. Its files are in this binary, hold
//! nothing that is secret, and load nothing from elsewhere.

use super::whole;
use super::{Problem, Streamed};
use crate::protocol::http;
use hyper::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{HeaderMap, StatusCode};

/// Files beside the page are below this path.
pub(super) const FILES: &str = "/dashboard/";

/// Nothing but its own files, no script or style in its text, no frame around it. Trusted types forbid what would make
/// markup of text, so that what users, rules and topics are called stays what it is.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const PAGE: &str = include_str!("dashboard/index.html");

macro_rules! files {
    ($($name:literal: $type:literal,)*) => {
        &[$(($name, $type, include_str!(concat!("dashboard/", $name))),)*]
    };
}

const FILE_TABLE: &[(&str, &str, &str)] = files! {
    "dashboard.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "actions.js": "text/javascript; charset=utf-8",
    "api.js": "text/javascript; charset=utf-8",
    "charts.js": "text/javascript; charset=utf-8",
    "diff.js": "text/javascript; charset=utf-8",
    "differences.js": "text/javascript; charset=utf-8",
    "dom.js": "text/javascript; charset=utf-8",
    "format.js": "text/javascript; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "logs.js": "text/javascript; charset=utf-8",
    "main.js": "text/javascript; charset=utf-8",
    "overview.js": "text/javascript; charset=utf-8",
    "plugins.js": "text/javascript; charset=utf-8",
    "routes.js": "text/javascript; charset=utf-8",
    "sessions.js": "text/javascript; charset=utf-8",
    "tables.js": "text/javascript; charset=utf-8",
};

/// The page, with this status.
pub(super) fn page(status: StatusCode) -> Streamed {
    guarded(whole(http::response(status, "text/html; charset=utf-8", PAGE)))
}

/// One of its files.
pub(super) fn file(name: &str) -> Result<Streamed, Problem> {
    let (_, kind, text) = FILE_TABLE.iter().find(|(known, ..)| *known == name).ok_or_else(Problem::not_found)?;
    Ok(guarded(whole(http::response(StatusCode::OK, kind, *text))))
}

fn guarded(mut response: Streamed) -> Streamed {
    let headers: &mut HeaderMap = response.headers_mut();
    let same_origin = HeaderValue::from_static("same-origin");
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), same_origin);
    response
}
