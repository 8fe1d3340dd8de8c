//! The body of a batch: NDJSON, a line an event.

use crate::payload::Payload;
use crate::protocol::payload;
use crate::topic::{NotATopic, Topic};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What is to be published.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// Where.
    pub topic: Topic,
    /// What.
    pub data: Payload,
}

/// Why a line is none, in words.
#[derive(Debug, PartialEq, Eq)]
pub enum NotALine {
    /// It is not what a line looks like.
    Malformed(String),
    /// Its data is over the bound.
    TooLarge(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape<'a> {
    topic: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The lines that have something in them.
pub fn lines(body: &Bytes) -> impl Iterator<Item = Bytes> {
    body.split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .map(|line| body.slice_ref(line))
}

/// Reads one of them.
pub fn line(line: &Bytes, data_bytes_max: u64) -> Result<Line, NotALine> {
    let text = std::str::from_utf8(line).map_err(|_| NotALine::Malformed("the line is not UTF-8".into()))?;
    let shape = |why: &str| NotALine::Malformed(format!("the line is not {{\"topic\":…,\"data\":…}}: {why}"));
    // An array of both would do for serde.
    if !text.starts_with('{') {
        return Err(shape("it is no object"));
    }
    let parsed: Shape<'_> = serde_json::from_str(text).map_err(|error| shape(&error.to_string()))?;
    let topic = parsed.topic.parse().map_err(|error: NotATopic| NotALine::Malformed(error.to_string()))?;
    if parsed.data.get().len() as u64 > data_bytes_max {
        return Err(NotALine::TooLarge(format!("the data has more than {data_bytes_max} bytes (event_bytes_max)")));
    }
    // A line break within a line is a CR at most; the same rule as for a body cleans it.
    let data = payload::json(line.slice_ref(parsed.data.get().as_bytes())).map_err(NotALine::Malformed)?;
    Ok(Line { topic, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Result<Line, NotALine> {
        line(&Bytes::from_static(text.as_bytes()), 8)
    }

    #[test]
    fn lines_without_anything_are_none() {
        let body = Bytes::from_static(b"\n a\r\n\t\r\n\nb");
        assert_eq!(lines(&body).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_line_is_a_topic_and_data() {
        let expected = Line { topic: "a.b".parse().unwrap(), data: Payload::Json("[ 1]".into()) };
        assert_eq!(read("{\"data\":[\r1],\"topic\":\"a.b\"}"), Ok(expected));
        assert!(matches!(read(r#"{"topic":"a","data":"7 bytes"}"#), Err(NotALine::TooLarge(_))));
        for bad in [r#"{"topic":"a"}"#, r#"{"topic":"a..b","data":1}"#, r#"{"topic":"a","data":1,"more":2}"#, "1"] {
            assert!(matches!(read(bad), Err(NotALine::Malformed(_))), "{bad}");
        }
    }

    #[test]
    fn an_array_is_no_line() {
        assert!(matches!(read(r#"["a",1]"#), Err(NotALine::Malformed(_))));
    }
}
