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
    let shape = |error| NotALine::Malformed(format!("the line is not {{\"topic\":…,\"data\":…}}: {error}"));
    let parsed: Shape<'_> = serde_json::from_str(text).map_err(shape)?;
    let topic = parsed.topic.parse().map_err(|error: NotATopic| NotALine::Malformed(error.to_string()))?;
    if parsed.data.get().len() as u64 > data_bytes_max {
        return Err(NotALine::TooLarge(format!("the data has more than {data_bytes_max} bytes (event_bytes_max)")));
    }
    // A line break within a line is a CR at most; the same rule as for a body cleans it.
    let data = payload::json(line.slice_ref(parsed.data.get().as_bytes())).map_err(NotALine::Malformed)?;
    Ok(Line { topic, data })
}
