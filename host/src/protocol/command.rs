//! What a client says over a WebSocket, and what it is answered: objects like `{"ref":7,"publish":{"topic":…,"data":…}}`.
//!
//! An answer repeats `ref` as it came. What a publish is told is what HTTP answers; an error is a problem object under
//! `error`. An acknowledgement that says no `ref` is not answered unless it is wrong.

use crate::event::{Answer, Routed};
use crate::protocol::batch::{self, Line, NotALine};
use crate::protocol::problem::Problem;
use crate::topic::{NotATopic, Topic};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The longest `ref`.
const REF_BYTES_MAX: usize = 256;
/// What a publish may have around its data, about: its topic, its `ref`, and the keys.
pub const ENVELOPE_BYTES_MAX: u64 = 4 << 10;

/// What an answer repeats, as it came.
pub type Ref = Option<Box<RawValue>>;

/// What a client wants.
#[derive(Debug)]
pub enum Command {
    /// Everything up to this message is acknowledged.
    Ack(u64),
    /// To publish.
    Publish(Line),
    /// To join a topic.
    Join(Topic),
    /// To leave it.
    Leave(Topic),
}

/// What a call was, for its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A publish.
    Publish,
    /// To join a topic.
    Join(Topic),
    /// To leave it.
    Leave(Topic),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape<'a> {
    #[serde(borrow, rename = "ref")]
    reference: Option<&'a RawValue>,
    ack: Option<u64>,
    #[serde(borrow)]
    publish: Option<&'a RawValue>,
    join: Option<String>,
    leave: Option<String>,
}

/// Only to find the `ref` of what is wrong otherwise.
#[derive(Deserialize)]
struct Referred<'a> {
    #[serde(borrow, rename = "ref")]
    reference: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Said<'a> {
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<&'a RawValue>,
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum What<'a> {
    Published { event: String, recipients: u64 },
    Joined { joined: &'a str },
    Left { left: &'a str },
    Acknowledged { acknowledged: u64 },
    Wrong { error: Box<RawValue> },
}

/// Reads a message: what is wanted, or what is wrong with it; and its `ref` in either case.
pub fn read(text: &str, data_bytes_max: u64) -> (Ref, Result<Command, Problem>) {
    let shape = |why: &str| {
        let shape =
            r#"{"ack":N}, {"publish":{"topic":…,"data":…}}, {"join":"…"} or {"leave":"…"}, perhaps with a "ref""#;
        Problem::bad_request(format!("the message is not {shape}: {why}"))
    };
    if !text.trim_ascii_start().starts_with('{') {
        return (None, Err(shape("it is no object")));
    }
    let parsed: Shape<'_> = match serde_json::from_str(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let referred = serde_json::from_str::<Referred<'_>>(text).ok();
            let reference = referred.and_then(|referred| bounded(referred.reference).ok().flatten());
            return (reference, Err(shape(&error.to_string())));
        }
    };
    let reference = match bounded(parsed.reference) {
        Ok(reference) => reference,
        Err(problem) => return (None, Err(problem)),
    };
    let command = match (parsed.ack, parsed.publish, parsed.join, parsed.leave) {
        (Some(cursor), None, None, None) => Ok(Command::Ack(cursor)),
        (None, Some(publish), None, None) => line(publish, data_bytes_max).map(Command::Publish),
        (None, None, Some(topic), None) => self::topic(&topic).map(Command::Join),
        (None, None, None, Some(topic)) => self::topic(&topic).map(Command::Leave),
        _ => Err(shape("it says one thing at a time")),
    };
    (reference, command)
}

fn bounded(reference: Option<&RawValue>) -> Result<Ref, Problem> {
    match reference {
        Some(raw) if raw.get().len() > REF_BYTES_MAX => {
            Err(Problem::bad_request(format!("a ref has {REF_BYTES_MAX} bytes at most")))
        }
        reference => Ok(reference.map(ToOwned::to_owned)),
    }
}

fn line(publish: &RawValue, data_bytes_max: u64) -> Result<Line, Problem> {
    batch::line(&Bytes::copy_from_slice(publish.get().as_bytes()), data_bytes_max).map_err(|wrong| match wrong {
        NotALine::Malformed(words) => Problem::bad_request(words),
        NotALine::TooLarge(words) => Problem::too_large(words),
    })
}

fn topic(text: &str) -> Result<Topic, Problem> {
    text.parse().map_err(|error: NotATopic| Problem::bad_request(error.to_string()))
}

/// What became of a call.
pub fn answered(out: &mut Vec<u8>, reference: Option<&RawValue>, asked: &Asked, answer: Answer) {
    let what = match (asked, answer) {
        (Asked::Publish, Ok(Routed { event, recipients })) => What::Published { event: event.to_string(), recipients },
        (Asked::Join(topic), Ok(_)) => What::Joined { joined: topic.as_str() },
        (Asked::Leave(topic), Ok(_)) => What::Left { left: topic.as_str() },
        (_, Err(unrouted)) => return wrong(out, reference, &unrouted.into()),
    };
    write(out, reference, what);
}

/// An acknowledgement that wants to be answered.
pub fn acknowledged(out: &mut Vec<u8>, reference: Option<&RawValue>, cursor: u64) {
    write(out, reference, What::Acknowledged { acknowledged: cursor });
}

/// What is wrong.
pub fn wrong(out: &mut Vec<u8>, reference: Option<&RawValue>, problem: &Problem) {
    let problem = String::from_utf8(problem.body()).expect("a problem is JSON");
    write(out, reference, What::Wrong { error: RawValue::from_string(problem).expect("a problem is JSON") });
}

fn write(out: &mut Vec<u8>, reference: Option<&RawValue>, what: What<'_>) {
    serde_json::to_writer(out, &Said { reference, what }).expect("a Vec takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Unrouted;
    use crate::payload::Payload;

    fn said(text: &str) -> (Option<String>, Result<Command, String>) {
        let (reference, command) = read(text, 8);
        let words = |problem: Problem| String::from_utf8(problem.body()).unwrap();
        (reference.map(|raw| raw.get().to_owned()), command.map_err(words))
    }

    #[test]
    fn what_a_client_may_say() {
        let (reference, command) = said(r#" {"publish":{"topic":"a.b","data":[ 1]},"ref": {"a": 1}}"#);
        assert_eq!(reference.as_deref(), Some(r#"{"a": 1}"#));
        let expected = Line { topic: "a.b".parse().unwrap(), data: Payload::Json("[ 1]".into()) };
        assert!(matches!(command, Ok(Command::Publish(line)) if line == expected));
        assert!(matches!(said(r#"{"ack":19}"#), (None, Ok(Command::Ack(19)))));
        assert!(matches!(said(r#"{"join":"a"}"#).1, Ok(Command::Join(topic)) if topic.as_str() == "a"));
        assert!(matches!(said(r#"{"leave":"a","ref":null}"#).1, Ok(Command::Leave(_))));
    }

    #[test]
    fn what_it_may_not() {
        for (text, status) in [
            ("", 400),
            ("[]", 400),
            ("{}", 400),
            (r#"{"ack":-1}"#, 400),
            (r#"{"ack":1.5}"#, 400),
            (r#"{"ack":1,"join":"a"}"#, 400),
            (r#"{"join":"a..b"}"#, 400),
            (r#"{"join":"a","more":1}"#, 400),
            (r#"{"publish":{"topic":"a"}}"#, 400),
            (r#"{"publish":["a",1]}"#, 400),
            (r#"{"publish":{"topic":"a","data":"7 bytes"}}"#, 413),
            (r#"{"publish":{"topic":"a","data":"\ud800"}}"#, 400),
        ] {
            let wrong = said(text).1.expect_err(text);
            assert!(wrong.contains(&format!("\"status\":{status}")), "{text}: {wrong}");
        }
        assert_eq!(said(r#"{"ref":"x","ack":"1"}"#).0.as_deref(), Some("\"x\""), "an error is told by its ref");
        let long = format!(r#"{{"ref":"{}","ack":1}}"#, "x".repeat(REF_BYTES_MAX));
        assert!(matches!(said(&long), (None, Err(_))));
    }

    #[test]
    fn answers() {
        let reference = serde_json::from_str::<Box<RawValue>>("\"r\"").unwrap();
        let text = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            String::from_utf8(out).unwrap()
        };
        let routed = Routed { event: 17, recipients: 5 };
        let published = text(&|out| answered(out, Some(&reference), &Asked::Publish, Ok(routed)));
        assert_eq!(published, r#"{"ref":"r","event":"17","recipients":5}"#);
        let joined = text(&|out| answered(out, None, &Asked::Join("a".parse().unwrap()), Ok(routed)));
        assert_eq!(joined, r#"{"joined":"a"}"#);
        assert_eq!(text(&|out| acknowledged(out, Some(&reference), 3)), r#"{"ref":"r","acknowledged":3}"#);
        let refused = text(&|out| answered(out, None, &Asked::Publish, Err(Unrouted::Refused("no".into()))));
        assert_eq!(refused, r#"{"error":{"title":"Forbidden","status":403,"detail":"no"}}"#);
    }
}
