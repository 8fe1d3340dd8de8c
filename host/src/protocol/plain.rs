//! The heads of a plain poll and of a plain publish, read where they were received: nearly every request of a busy server
//! is one of them.

use crate::protocol::query::{self, Asked};
use httparse::Header;

/// With one of these headers a request is hyper's; all others but those that are read do not matter.
const NOT_PLAIN: [&str; 7] =
    ["connection", "transfer-encoding", "upgrade", "expect", "trailer", "http2-settings", "idempotency-key"];
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

/// What a plain publish says.
#[derive(Debug, PartialEq, Eq)]
pub struct PlainPublish<'a> {
    /// The session's token.
    pub session: Option<&'a str>,
    /// As it stands in the path.
    pub topic: &'a str,
    /// What the body is.
    pub content_type: Option<&'a str>,
    /// All of it.
    pub body: &'a [u8],
}

/// The headers that are read.
#[derive(Default)]
struct Read<'a> {
    host: Option<&'a str>,
    session: Option<&'a str>,
    cursor: Option<&'a str>,
    origin: Option<&'a str>,
    content_type: Option<&'a str>,
    content_length: Option<&'a str>,
}

/// The poll that these bytes are, if they are one whole, plain request and nothing else. hyper gets everything that is
/// unusual in any way, so there is one place that says what is wrong with a request.
pub fn plain_poll(bytes: &[u8]) -> Option<PlainPoll<'_>> {
    if !bytes.starts_with(b"GET /v1/poll") {
        return None;
    }
    let (path, read, body) = head(bytes)?;
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    let is_plain = path == "/v1/poll" && query.is_none_or(is_plain) && body.is_empty();
    if !is_plain || read.content_length.is_some() {
        return None;
    }
    Some(PlainPoll { session: read.session, origin: read.origin, asked: query::asked(query, read.cursor).ok()? })
}

/// The publish that these bytes are, likewise: with all of its body, and not from a page, which is told more.
pub fn plain_publish(bytes: &[u8]) -> Option<PlainPublish<'_>> {
    if !bytes.starts_with(b"POST /v1/topics/") {
        return None;
    }
    let (path, read, body) = head(bytes)?;
    let topic = path.strip_prefix("/v1/topics/")?.strip_suffix("/events")?;
    // As hyper reads it: digits and nothing else.
    let length = read.content_length.filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))?;
    let is_whole = length.parse() == Ok(body.len());
    let is_topic = topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !is_whole || !is_topic || read.origin.is_some() {
        return None;
    }
    Some(PlainPublish { session: read.session, topic, content_type: read.content_type, body })
}

/// The path of a plain HTTP/1.1 request, its headers, and what comes behind them.
fn head(bytes: &[u8]) -> Option<(&str, Read<'_>, &[u8])> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = request.parse(bytes).ok()? else { return None };
    if request.version != Some(1) {
        return None;
    }
    let read = read(request.headers)?;
    is_host(read.host?.as_bytes()).then_some((request.path?, read, &bytes[length..]))
}

fn read<'a>(headers: &[Header<'a>]) -> Option<Read<'a>> {
    let mut read = Read::default();
    for header in headers {
        let known = match header.name {
            name if name.eq_ignore_ascii_case("volley-session") => &mut read.session,
            name if name.eq_ignore_ascii_case("volley-cursor") => &mut read.cursor,
            name if name.eq_ignore_ascii_case("origin") => &mut read.origin,
            name if name.eq_ignore_ascii_case("host") => &mut read.host,
            name if name.eq_ignore_ascii_case("content-type") => &mut read.content_type,
            name if name.eq_ignore_ascii_case("content-length") => &mut read.content_length,
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
    Some(read)
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

    fn publish(topic: &str, header: &str, body: &str) -> Option<(String, Vec<u8>)> {
        let head = format!("POST /v1/topics/{topic}/events HTTP/1.1\r\nHost: a\r\n{header}\r\n{body}");
        plain_publish(head.as_bytes()).map(|publish| (publish.topic.into(), publish.body.into()))
    }

    #[test]
    fn a_plain_publish_is_read() {
        let head = b"POST /v1/topics/a.b/events HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\ncontent-length: 2\r\nVolley-Session: t\r\n\r\nhi";
        let expected = PlainPublish { session: Some("t"), topic: "a.b", content_type: Some("text/plain"), body: b"hi" };
        assert_eq!(plain_publish(head), Some(expected));
        assert_eq!(publish("a", "Content-Length: 0\r\n", ""), Some(("a".into(), Vec::new())));
    }

    #[test]
    fn whatever_is_unusual_of_a_publish_is_not() {
        for header in [
            "",
            "Content-Length: 3\r\n",
            "Content-Length: 1\r\n",
            "Content-Length: +2\r\n",
            "Content-Length: 2\r\nContent-Length: 2\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Content-Length: 2\r\nIdempotency-Key: k\r\n",
            "Content-Length: 2\r\nOrigin: https://a\r\n",
            "Content-Length: 2\r\nExpect: 100-continue\r\n",
            "Content-Length: 2\r\nConnection: close\r\n",
        ] {
            assert_eq!(publish("a", header, "hi"), None, "{header}");
        }
        for topic in ["a%2Eb", "a/b", "a?b", "a b", "\u{e4}"] {
            assert_eq!(publish(topic, "Content-Length: 2\r\n", "hi"), None, "{topic}");
        }
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
