//! `--demo`: the chat page and the client library that it uses, as they stand in `examples` and travel in the binary.
//!
//! The page is one of many that may call, and nothing here treats it differently from the others.

use crate::protocol::http::{self, Answered, Reply};
use crate::protocol::problem::Problem;
use hyper::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{HeaderMap, Method, StatusCode};
use sha2::{Digest as _, Sha256};
use std::sync::LazyLock;

/// The page runs its own scripts and nothing else, loads from here alone, and stands in no other page's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

struct File {
    /// As it lies under `examples`, so that the page is the same when another server serves that folder.
    path: &'static str,
    content_type: &'static str,
    body: &'static [u8],
    etag: HeaderValue,
}

static FILES: LazyLock<[File; 6]> = LazyLock::new(|| {
    let (html, script) = ("text/html; charset=utf-8", "text/javascript; charset=utf-8");
    [
        file("/", html, include_bytes!("../../../../examples/chat/index.html")),
        file("/chat.js", script, include_bytes!("../../../../examples/chat/chat.js")),
        file("/room.js", script, include_bytes!("../../../../examples/chat/room.js")),
        file("/chat.css", "text/css; charset=utf-8", include_bytes!("../../../../examples/chat/chat.css")),
        file("/icon.svg", "image/svg+xml", include_bytes!("../../../../examples/chat/icon.svg")),
        file("/client-js/volley.js", script, include_bytes!("../../../../examples/client-js/volley.js")),
    ]
});

fn file(path: &'static str, content_type: &'static str, body: &'static [u8]) -> File {
    use std::fmt::Write as _;
    let mut etag = String::from("\"");
    for byte in &Sha256::digest(body)[..16] {
        let _ = write!(etag, "{byte:02x}");
    }
    etag.push('"');
    File { path, content_type, body, etag: HeaderValue::from_str(&etag).expect("hexadecimal digits") }
}

/// The file at that path.
pub(super) fn serve(method: &Method, path: &str, headers: &HeaderMap) -> Answered {
    let file = FILES.iter().find(|file| file.path == path).ok_or_else(Problem::not_found)?;
    if ![Method::GET, Method::HEAD].contains(method) {
        return Err(Problem::wrong_method("GET, HEAD"));
    }
    let mut reply = if headers.get_all(IF_NONE_MATCH).iter().any(|etags| names(etags, &file.etag)) {
        let mut unchanged = Reply::default();
        *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
        unchanged
    } else if method == Method::HEAD {
        let mut head = http::response(StatusCode::OK, file.content_type, "");
        head.headers_mut().insert(CONTENT_LENGTH, file.body.len().into());
        head
    } else {
        http::response(StatusCode::OK, file.content_type, file.body)
    };
    let headers = reply.headers_mut();
    headers.insert(ETAG, file.etag.clone());
    // Kept, and asked for each time: a newer server has a newer page.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    Ok(reply)
}

/// Whether the list of a client has this one; a proxy that compresses makes it weak.
fn names(etags: &HeaderValue, etag: &HeaderValue) -> bool {
    let mut each = etags.to_str().unwrap_or_default().split(',').map(str::trim);
    each.any(|each| each == "*" || each.strip_prefix("W/").unwrap_or(each) == etag)
}
