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
    if !whole || request.version != Some(1) || path != "/v1/poll" || !query.is_none_or(is_plain) {
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
        if !header.value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
            return None;
        }
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

/// Whether a query has nothing but what every parser of URLs takes as it stands.
fn is_plain(query: &str) -> bool {
    query.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"&=.-_~%+".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(query: &str, header: &str) -> Option<Asked> {
        let head = format!("GET /v1/poll{query} HTTP/1.1\r\nHost: a\r\n{header}\r\n");
        plain_poll(head.as_bytes()).map(|poll| poll.asked)
    }

    #[test]
    fn a_plain_poll_is_read() {
        let head = b"GET /v1/poll?wait=2&cursor=7 HTTP/1.1\r\nhost:a\r\nVOLLEY-SESSION: t\r\nOrigin: https://a\r\n\r\n";
        let asked = Asked { cursor: Some(7), wait_ms: Some(2000) };
        assert_eq!(plain_poll(head), Some(PlainPoll { session: Some("t"), origin: Some("https://a"), asked }));
        assert_eq!(with("", "Volley-Cursor: 7\r\n"), Some(Asked { cursor: Some(7), wait_ms: None }));
        assert!(with("", "Connection: Keep-Alive\r\nAccept: ä\r\n").is_some());
    }

    #[test]
    fn whatever_is_unusual_is_not() {
        for header in ["Connection: close\r\n", "Content-Length: 0\r\n", "Host: b\r\n", "Volley-Cursor: x\r\n", "x"] {
            assert_eq!(with("", header), None, "{header}");
        }
        for query in ["#", "?a#b", "/", "?cursor=1&cursor=1", "?wait="] {
            assert_eq!(with(query, ""), None, "{query}");
        }
    }

    #[test]
    fn a_query_that_hyper_refuses_is_not_plain() {
        for query in ["?a=\"", "?a=<", "?a=>", "?a=\u{e4}"] {
            assert_eq!(with(query, ""), None, "{query}");
        }
    }

    #[test]
    fn an_origin_in_foreign_letters_is_not_plain() {
        assert_eq!(with("", "Origin: https://\u{e4}\r\n"), None);
    }
}
