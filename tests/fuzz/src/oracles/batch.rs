//! The first byte is a bound, the others are a batch: as many lines as there are, and each is read as if it were alone.

use crate::oracles::json::value;
use crate::payload::Payload;
use crate::protocol::batch::{Line, NotALine, line, lines};
use crate::topic::Topic;
use bytes::Bytes;
use serde_json::Value;

/// Checks a batch.
pub fn check(data: &[u8]) {
    let Some((bound, body)) = data.split_first() else { return };
    let bound = u64::from(*bound);
    let body = Bytes::copy_from_slice(body);
    let found: Vec<Bytes> = lines(&body).collect();
    let expected: Vec<&[u8]> =
        body.split(|byte| *byte == b'\n').filter(|line| line.iter().any(|byte| !byte.is_ascii_whitespace())).collect();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(**found, *expected.trim_ascii());
        let alone = Bytes::copy_from_slice(expected);
        let alone: Vec<Bytes> = lines(&alone).collect();
        assert_eq!(alone, [found]);
        let read = line(found, bound);
        assert_eq!(read, line(&alone[0], bound));
        reads_the_same(found, bound, read);
    }
}

/// The model: any JSON, and then a look at what it is.
fn reads_the_same(text: &[u8], bound: u64, read: Result<Line, NotALine>) {
    let Some(value) = value(text) else { return };
    let parts = value.as_ref().ok().and_then(Value::as_object).and_then(|object| {
        let topic: Topic = object.get("topic")?.as_str()?.parse().ok()?;
        if object.len() == 2 { Some((topic, object.get("data")?)) } else { None }
    });
    match read {
        Ok(Line { topic, data: Payload::Json(data) }) => {
            assert!(data.len() as u64 <= bound);
            let data: Value = serde_json::from_slice(&data).expect("JSON");
            // A line is nested one deeper than its data, and so may be too deep for the model.
            if value.is_ok() {
                assert_eq!(parts, Some((topic, &data)), "{}", text.escape_ascii());
            }
        }
        Ok(line) => panic!("{line:?} is not JSON"),
        Err(NotALine::TooLarge(words)) => assert!(words.contains("event_bytes_max") && text.len() as u64 > bound),
        // The model takes the last of two.
        Err(NotALine::Malformed(words)) if words.contains("duplicate field") => {}
        Err(NotALine::Malformed(words)) => assert_eq!(parts, None, "{words}: {}", text.escape_ascii()),
    }
}
