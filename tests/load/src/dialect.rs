//! What each measured system says on the wire: the driver's requests, and what it reads out of the answers. A further
//! system (Nchan, mochiweb) is a further variant here.

use std::io::Write as _;

use anyhow::{Context as _, Result, bail};

use crate::response::{Response, find};

/// The length of every published payload.
pub(crate) const PAYLOAD_BYTES: usize = 100;
/// Marks the driver's own numbers inside a payload: room, number in the room, time of publishing.
const MARK: &[u8] = br#""load":["#;
/// As long as a Volley token of 256 bits; the reference looks at no token.
const LIMIT_TOKEN: &str = "0000000000000000000000000000000000000000000";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The reference: one fixed answer, which tells nothing of what was published.
    Limit,
    Volley,
}

/// What opening a session gave.
pub(crate) struct Opened {
    pub(crate) token: Box<str>,
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
    pub(crate) fn write_poll(self, room: u32, token: &str, cursor: u64, out: &mut Vec<u8>) {
        let room_query = match self {
            Self::Limit => format_args!("&topic=room.{room}").to_string(),
            Self::Volley => String::new(),
        };
        let written = write!(
            out,
            "GET /v1/poll?cursor={cursor}&wait=60{room_query} HTTP/1.1\r\nHost: 127.0.0.1\r\nVolley-Session: {token}\r\n\r\n"
        );
        written.expect("a Vec takes all");
    }

    pub(crate) fn read_opened(self, response: &Response<'_>) -> Result<Opened> {
        if self == Self::Limit {
            return Ok(Opened { token: LIMIT_TOKEN.into(), cursor: 0 });
        }
        if response.status != 201 {
            return Err(response.unexpected("opening a session"));
        }
        let body: serde_json::Value = serde_json::from_slice(response.body)?;
        let token = body["session"].as_str().context("a session without token")?;
        Ok(Opened { token: token.into(), cursor: body["cursor"].as_u64().context("a session without cursor")? })
    }
}

pub(crate) fn write_open(room: u32, out: &mut Vec<u8>) {
    let body = format!(r#"{{"topics":["room.{room}"]}}"#);
    write_post("/v1/sessions", &body, out);
}

pub(crate) fn write_publish(message: Message, out: &mut Vec<u8>) {
    let Message { room, number, published_micros } = message;
    let start = format!(r#"{{"load":[{room},{number},{published_micros}],"pad":""#);
    let padding = PAYLOAD_BYTES.saturating_sub(start.len() + 2);
    let body = format!(r#"{start}{:x<padding$}"}}"#, "");
    write_post(&format!("/v1/topics/room.{room}/events"), &body, out);
}

/// How many recipients the answer to a publish names.
pub(crate) fn read_published(response: &Response<'_>) -> Result<u64> {
    if response.status != 200 {
        return Err(response.unexpected("a publish"));
    }
    let recipients = number_behind(response.body, br#""recipients":"#);
    let (recipients, _) = recipients.ok_or_else(|| response.unexpected("a publish"))?;
    Ok(recipients)
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
    while let Some((room, tail)) = number_behind(rest, MARK) {
        let (number, tail) = number_behind(tail, b",").ok_or_else(unreadable)?;
        let (published_micros, tail) = number_behind(tail, b",").ok_or_else(unreadable)?;
        each(Message { room: room as u32, number: number as u32, published_micros });
        rest = tail;
        messages += 1;
    }
    if messages == 0 && find(response.body, br#""superseded":true"#).is_some() {
        bail!("a poll was superseded, though each session has one connection");
    }
    Ok(cursor)
}

/// How many messages an answer says are gone: behind the last of its messages.
pub(crate) fn read_gap(response: &Response<'_>) -> u64 {
    let behind = response.body.iter().rposition(|byte| *byte == b']').map_or(0, |at| at + 1);
    number_behind(&response.body[behind..], br#""gap":"#).map_or(0, |(gap, _)| gap)
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

    fn payload(number: u32) -> String {
        let mut request = Vec::new();
        write_publish(message(number), &mut request);
        let request = String::from_utf8(request).unwrap();
        request.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    #[test]
    fn a_payload_is_json_of_the_stated_length() {
        for number in [1, 4_000_000_000] {
            let payload = payload(number);
            assert_eq!(payload.len(), PAYLOAD_BYTES);
            serde_json::from_str::<serde_json::Value>(&payload).unwrap();
        }
    }

    #[test]
    fn reads_back_what_was_published() {
        let (one, two) = (payload(1), payload(2));
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
}
