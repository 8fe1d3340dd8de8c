//! A content type on the first line, a body on the others: what is accepted is JSON that others read, on one line, and
//! what is refused is none.

use crate::payload::Payload;
use crate::protocol::payload::{from_body, json, text, write_members};
use bytes::Bytes;
use serde_json::Value;

/// The deepest nesting that is passed on.
const DEPTH_MAX: usize = 127;

/// Checks a body.
pub fn check(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let (content_type, body) = (std::str::from_utf8(&data[..at.saturating_sub(1)]).ok(), &data[at..]);
    is_json_or_not(body);
    let body = Bytes::copy_from_slice(body);
    assert_eq!(text(body.clone()).is_ok(), std::str::from_utf8(&body).is_ok());
    if let Ok(payload) = from_body(content_type, body.clone()) {
        assert_eq!((payload.len(), payload.is_empty()), (body.len(), body.is_empty()));
        let mut object = vec![b'{'];
        write_members(&payload, &mut object);
        object.push(b'}');
        assert!(!object.iter().any(|byte| matches!(byte, b'\n' | b'\r')), "a message is one line");
        // A message is nested one deeper than its data.
        if !matches!(&payload, Payload::Json(json) if depth(json) == DEPTH_MAX)
            && let Some(message) = value(&object)
        {
            message.expect("a message is JSON");
        }
    }
}

/// None when a number is larger than any double: JSON has such numbers, and passes them on.
pub(super) fn value(json: &[u8]) -> Option<Result<Value, serde_json::Error>> {
    let value = serde_json::from_slice(json);
    let is_large = |error: &serde_json::Error| error.to_string().starts_with("number out of range");
    if value.as_ref().is_err_and(is_large) { None } else { Some(value) }
}

/// Checks a body as JSON.
pub(super) fn is_json_or_not(body: &[u8]) {
    let Some(expected) = value(body) else { return };
    match (json(Bytes::copy_from_slice(body)), expected) {
        (Ok(Payload::Json(line)), Ok(expected)) => {
            assert!(!line.iter().any(|byte| matches!(byte, b'\n' | b'\r')), "JSON is one line");
            assert_eq!(serde_json::from_slice::<Value>(&line).expect("JSON"), expected);
            assert!(depth(body) <= DEPTH_MAX);
        }
        (Err(words), Err(_)) => assert!(!words.is_empty()),
        (ours, theirs) => panic!("{ours:?}, but {theirs:?}: {}", body.escape_ascii()),
    }
}

/// How deep it is nested, by what stands open at the most.
fn depth(json: &[u8]) -> usize {
    let text = String::from_utf8_lossy(json).replace("\\\\", "").replace("\\\"", "");
    let outside: String = text.split('"').step_by(2).collect();
    let mut open = 0usize;
    let opened = outside.chars().map(|character| {
        match character {
            '[' | '{' => open += 1,
            ']' | '}' => open -= 1,
            _ => {}
        }
        open
    });
    opened.max().unwrap_or(0)
}
