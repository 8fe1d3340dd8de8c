//! The head of a plain poll, read where it was received: nearly every request of a busy server is one.

use crate::protocol::query::{self, Asked};

/// With one of these headers a request is hyper's; all others but the four that are read do not matter to a poll.
const NOT_PLAIN: [&str; 7] =
    ["connection", "content-length", "transfer-encoding", "upgrade", "expect", "trailer", "http2-settings"];
/// More headers than that go to hyper.
const HEADERS_MAX: usize = 32;

/// What a plain poll says.
#[derive(Debug, PartialEq, Eq)]
pub struct PlainPoll<'a> {
    /// The session's token.
    pub session: Option<&'a str>,
    /// The page that it comes from.
    pub origin: Option<&'a str>,
    /// What it asks for.
    pub asked: Asked,
}

/// The poll that these bytes are, if they are one whole, plain request and nothing else. hyper gets everything that is
/// unusual in any way, so there is one place that says what is wrong with a request.
pub fn plain_poll(bytes: &[u8]) -> Option<PlainPoll<'_>> {
    if !bytes.starts_with(b"GET /v1/poll") {
        return None;
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let whole = request.parse(bytes).ok()? == httparse::Status::Complete(bytes.len());
    let (path, query) = match request.path?.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (request.path?, None),
    };
    if !whole || request.version != Some(1) || path != "/v1/poll" || query.is_some_and(|query| query.contains('#')) {
        return None;
    }
    let (mut session, mut cursor, mut origin, mut host) = (None, None, None, None);
    for header in request.headers.iter() {
        let known = match header.name {
            name if name.eq_ignore_ascii_case("volley-session") => &mut session,
            name if name.eq_ignore_ascii_case("volley-cursor") => &mut cursor,
            name if name.eq_ignore_ascii_case("origin") => &mut origin,
            name if name.eq_ignore_ascii_case("host") => &mut host,
            name if name.eq_ignore_ascii_case("connection") && header.value.eq_ignore_ascii_case(b"keep-alive") => {
                continue;
            }
            name if NOT_PLAIN.iter().any(|other| name.eq_ignore_ascii_case(other)) => return None,
            _ => continue,
        };
        if known.replace(std::str::from_utf8(header.value).ok()?).is_some() {
            return None;
        }
    }
    if !is_host(host?.as_bytes()) {
        return None;
    }
    Some(PlainPoll { session, origin, asked: query::asked(query, cursor).ok()? })
}

/// Whether it can be a host and a port. It is not looked at any closer: nothing depends on it.
pub fn is_host(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+,;=".contains(byte))
}
