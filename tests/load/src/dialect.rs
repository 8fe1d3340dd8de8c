//! What each measured system says on the wire: the driver's requests, and what it reads out of the answers.

use std::fmt;
use std::io::Write as _;

use anyhow::{Context as _, Result, bail};

use crate::response::{Response, find};
use crate::streamed::Form;

/// The length of every published payload.
pub(crate) const PAYLOAD_BYTES: usize = 100;
/// Marks the driver's own numbers inside a payload: room, number in the room, time of publishing.
const MARK: &[u8] = br#""load":["#;
/// As long as a Volley token of 256 bits; the reference looks at no token.
const LIMIT_TOKEN: &str = "0000000000000000000000000000000000000000000";

/// Of the handshake of a WebSocket.
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The reference: one fixed answer, which tells nothing of what was published.
    Limit,
    /// Volley's protocol; the peer in Erlang speaks it too.
    Volley,
    /// Volley's streams: a member sends one request, and listens.
    Streams(Form),
    /// Nchan's: no sessions. A subscriber's position is the `Last-Modified` and `Etag` of the last message that it got.
    Nchan,
}

/// Where a member is: what it brings with its next poll.
pub(crate) struct Opened {
    /// Volley's token; Nchan's `Last-Modified`.
    pub(crate) token: Box<str>,
    /// Volley's cursor; Nchan's `Etag`.
    pub(crate) cursor: u64,
}

/// One message, as its publisher numbered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) room: u32,
    pub(crate) number: u32,
    pub(crate) published_micros: u64,
}

impl Dialect {
    /// Whether a member that comes needs a message to be there already, to learn its position from.
    pub(crate) fn needs_greeting(self) -> bool {
        self == Self::Nchan
    }

    /// Whether a member gets what was published while it had no poll waiting.
    pub(crate) fn keeps_messages(self) -> bool {
        self != Self::Limit
    }

    /// What a member says first.
    pub(crate) fn write_open(self, room: u32, out: &mut Vec<u8>) {
        match self {
            Self::Limit | Self::Volley | Self::Streams(_) => {
                write_post("/v1/sessions", &format!(r#"{{"topics":["room.{room}"]}}"#), out);
            }
            Self::Nchan => write_get(format_args!("/sub?room={room}"), format_args!(""), out),
        }
    }

    pub(crate) fn write_poll(self, room: u32, token: &str, cursor: u64, out: &mut Vec<u8>) {
        let session = format_args!("Volley-Session: {token}\r\n");
        match self {
            Self::Limit => {
                write_get(format_args!("/v1/poll?cursor={cursor}&wait=60&topic=room.{room}"), session, out);
            }
            Self::Volley => write_get(format_args!("/v1/poll?cursor={cursor}&wait=60"), session, out),
            Self::Streams(Form::Events) => write_get(format_args!("/v1/stream?cursor={cursor}"), session, out),
            Self::Streams(Form::Frames) => {
                write_get(format_args!("/v1/ws?cursor={cursor}"), format_args!("{session}{UPGRADE}"), out);
            }
            Self::Nchan => write_get(
                format_args!("/sub?room={room}"),
                format_args!("If-Modified-Since: {token}\r\nIf-None-Match: {cursor}\r\n"),
                out,
            ),
        }
    }

    pub(crate) fn read_opened(self, response: &Response<'_>) -> Result<Opened> {
        match self {
            Self::Limit => Ok(Opened { token: LIMIT_TOKEN.into(), cursor: 0 }),
            Self::Volley | Self::Streams(_) if response.status == 201 => {
                let body: serde_json::Value = serde_json::from_slice(response.body)?;
                let token = body["session"].as_str().context("a session without token")?;
                let cursor = body["cursor"].as_u64().context("a session without cursor")?;
                Ok(Opened { token: token.into(), cursor })
            }
            Self::Nchan if response.status == 200 => {
                let (token, cursor) = read_position(response)?;
                Ok(Opened { token: token.into(), cursor })
            }
            Self::Volley | Self::Streams(_) | Self::Nchan => Err(response.unexpected("opening a session")),
        }
    }

    pub(crate) fn write_publish(self, message: Message, out: &mut Vec<u8>) {
        let room = message.room;
        match self {
            Self::Limit | Self::Volley | Self::Streams(_) => {
                write_post(&format!("/v1/topics/room.{room}/events"), &payload(message), out);
            }
            Self::Nchan => write_post(&format!("/pub?room={room}"), &payload(message), out),
        }
    }

    /// How many recipients the answer to a publish names. Nchan counts those whose poll was waiting.
    pub(crate) fn read_published(self, response: &Response<'_>) -> Result<u64> {
        let recipients = match (self, response.status) {
            (Self::Limit | Self::Volley | Self::Streams(_), 200) => number_behind(response.body, br#""recipients":"#),
            (Self::Nchan, 201 | 202) => number_behind(response.body, b"active subscribers: "),
            _ => None,
        };
        let (recipients, _) = recipients.ok_or_else(|| response.unexpected("a publish"))?;
        Ok(recipients)
    }
}

fn payload(Message { room, number, published_micros }: Message) -> String {
    let start = format!(r#"{{"load":[{room},{number},{published_micros}],"pad":""#);
    let padding = PAYLOAD_BYTES.saturating_sub(start.len() + 2);
    format!(r#"{start}{:x<padding$}"}}"#, "")
}

/// The one message of a Nchan answer: its body, as it was published.
pub(crate) fn read_message(response: &Response<'_>) -> Result<Message> {
    let unreadable = || response.unexpected("a poll");
    if response.status != 200 {
        return Err(unreadable());
    }
    let (message, _) = read_mark(response.body).transpose()?.ok_or_else(unreadable)?;
    Ok(message)
}

/// Where a Nchan answer leaves its reader.
pub(crate) fn read_position<'a>(response: &Response<'a>) -> Result<(&'a str, u64)> {
    let modified = response.header("last-modified").context("a message without Last-Modified")?;
    let tag = response.header("etag").context("a message without Etag")?;
    Ok((modified, tag.parse().with_context(|| format!("an Etag that is no number: {tag}"))?))
}

/// Gives each message of a Volley poll answer to `each`, and returns the answer's cursor. It searches for the driver's
/// own mark instead of parsing JSON: the client shares the cores with what it measures.
pub(crate) fn read_polled(response: &Response<'_>, mut each: impl FnMut(Message)) -> Result<u64> {
    if response.status != 200 {
        return Err(response.unexpected("a poll"));
    }
    let unreadable = || response.unexpected("a poll");
    let (cursor, mut rest) = number_behind(response.body, br#"{"cursor":"#).ok_or_else(unreadable)?;
    let mut messages = 0;
    while let Some(found) = read_mark(rest) {
        let (message, tail) = found?;
        each(message);
        rest = tail;
        messages += 1;
    }
    if messages == 0 && find(response.body, br#""superseded":true"#).is_some() {
        bail!("a poll was superseded, though each session has one connection");
    }
    Ok(cursor)
}

/// The same for what came over a stream, of which the cursor is that of the last event or frame; none when there was no
/// message.
pub(crate) fn read_streamed(form: Form, response: &Response<'_>, mut each: impl FnMut(Message)) -> Result<Option<u64>> {
    let mut rest = response.body;
    while let Some(found) = read_mark(rest) {
        let (message, tail) = found?;
        each(message);
        rest = tail;
    }
    let name: &[u8] = match form {
        Form::Events => b"id: ",
        Form::Frames => br#"{"cursor":"#,
    };
    let last = response.body.windows(name.len()).rposition(|window| window == name);
    Ok(last.and_then(|at| number_behind(&response.body[at..], name)).map(|(cursor, _)| cursor))
}

/// The numbers that follow the driver's first mark, and what is behind them.
fn read_mark(bytes: &[u8]) -> Option<Result<(Message, &[u8])>> {
    let (room, tail) = number_behind(bytes, MARK)?;
    let rest_of = || {
        let (number, tail) = number_behind(tail, b",")?;
        let (published_micros, tail) = number_behind(tail, b",")?;
        Some((Message { room: room as u32, number: number as u32, published_micros }, tail))
    };
    Some(rest_of().context("a message that is not as it was published"))
}

/// How many messages an answer says are gone: behind the last of its messages.
pub(crate) fn read_gap(response: &Response<'_>) -> u64 {
    let behind = response.body.iter().rposition(|byte| *byte == b']').map_or(0, |at| at + 1);
    number_behind(&response.body[behind..], br#""gap":"#).map_or(0, |(gap, _)| gap)
}

fn write_get(path: fmt::Arguments<'_>, headers: fmt::Arguments<'_>, out: &mut Vec<u8>) {
    let written = write!(out, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n");
    written.expect("a Vec takes all");
}

pub(crate) fn write_post(path: &str, body: &str, out: &mut Vec<u8>) {
    let length = body.len();
    let written = write!(
        out,
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    written.expect("a Vec takes all");
}

/// The number that follows the first `name`, and what is behind it.
fn number_behind<'a>(bytes: &'a [u8], name: &[u8]) -> Option<(u64, &'a [u8])> {
    let rest = &bytes[find(bytes, name)? + name.len()..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    Some((number, &rest[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u32) -> Message {
        Message { room: 17, number, published_micros: 123_456 }
    }

    #[test]
    fn a_payload_is_json_of_the_stated_length() {
        for number in [1, 4_000_000_000] {
            let payload = payload(message(number));
            assert_eq!(payload.len(), PAYLOAD_BYTES);
            serde_json::from_str::<serde_json::Value>(&payload).unwrap();
        }
    }

    #[test]
    fn reads_back_what_was_published() {
        let (one, two) = (payload(message(1)), payload(message(2)));
        let body = format!(
            r#"{{"cursor":19,"messages":[{{"topic":"room.17","data":{one}}},{{"topic":"room.17","data":{two}}}]}}"#
        );
        let response = Response { status: 200, head: "", body: body.as_bytes() };
        let mut messages = Vec::new();
        let cursor = read_polled(&response, |message| messages.push(message)).unwrap();
        assert_eq!((cursor, messages), (19, vec![message(1), message(2)]));
        assert_eq!(read_gap(&response), 0);
        let body = br#"{"cursor":19,"messages":[{"gap":7}],"gap":12}"#;
        assert_eq!(read_gap(&Response { status: 200, head: "", body }), 12);
    }

    #[test]
    fn a_superseded_or_refused_poll_is_an_error() {
        for (status, body) in
            [(200, &br#"{"cursor":1,"messages":[],"superseded":true}"#[..]), (410, b"{}"), (200, b"[]")]
        {
            assert!(read_polled(&Response { status, head: "", body }, |_| ()).is_err());
        }
    }

    #[test]
    fn a_nchan_answer_is_one_message_and_a_position() {
        let head = "HTTP/1.1 200 OK\r\nLast-Modified: Tue, 24 Nov 2026 21:40:32 GMT\r\nEtag: 3";
        let body = payload(message(7));
        let response = Response { status: 200, head, body: body.as_bytes() };
        assert_eq!(read_message(&response).unwrap(), message(7));
        assert_eq!(read_position(&response).unwrap(), ("Tue, 24 Nov 2026 21:40:32 GMT", 3));
        let mut request = Vec::new();
        Dialect::Nchan.write_poll(17, "Tue, 24 Nov 2026 21:40:32 GMT", 3, &mut request);
        let request = String::from_utf8(request).unwrap();
        assert!(request.starts_with("GET /sub?room=17 HTTP/1.1\r\n") && request.ends_with("If-None-Match: 3\r\n\r\n"));
        for (status, body) in [(408, body.as_bytes()), (200, br#"{"load":[1"#)] {
            assert!(read_message(&Response { status, head, body }).is_err());
        }
    }

    #[test]
    fn a_publish_is_answered_with_its_recipients() {
        let nchan =
            b"queued messages: 2\r\nlast requested: 0 sec. ago\r\nactive subscribers: 10\r\nlast message id: 5:0";
        let read = |dialect: Dialect, status, body| dialect.read_published(&Response { status, head: "", body });
        assert_eq!(read(Dialect::Nchan, 201, nchan).unwrap(), 10);
        assert_eq!(read(Dialect::Volley, 200, br#"{"event":"1","recipients":7}"#).unwrap(), 7);
        assert!(read(Dialect::Volley, 403, br#"{"recipients":7}"#).is_err());
        assert!(read(Dialect::Nchan, 403, nchan).is_err());
    }
}
