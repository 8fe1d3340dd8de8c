//! A plugin's log as operators get it: NDJSON, a line for each of its lines; what is kept, and what is to come.

use crate::plugin_logs::{Following, Level, Line};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::{Body, Frame};
use serde::Serialize;
use std::convert::Infallible;
use std::sync::Arc;

#[derive(Serialize)]
struct Shown<'a> {
    time_ms: u64,
    level: &'static str,
    plugin: &'a str,
    version: &'a str,
    topic: Option<&'a str>,
    event: Option<String>,
    line: &'a str,
}

/// These lines, one after the other.
pub fn page(lines: &[Arc<Line>]) -> Vec<u8> {
    lines.iter().flat_map(|line| ndjson(line)).collect()
}

/// One line, with its newline.
pub fn ndjson(line: &Line) -> Bytes {
    let (topic, event) = line.event.as_ref().map(|(topic, event)| (topic.as_str(), event.to_string())).unzip();
    let Line { time_ms, plugin, version, line: words, .. } = line;
    let shown = Shown { time_ms: *time_ms, level: level(line.level), plugin, version, topic, event, line: words };
    let mut json = serde_json::to_vec(&shown).expect("our own types are JSON");
    json.push(b'\n');
    json.into()
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
    }
}

/// The body of an answer that goes on until the reader has had enough.
pub fn body(following: Following) -> impl Body<Data = Bytes, Error = Infallible> {
    StreamBody::new(stream::unfold(following, async |mut following| {
        let line = following.next().await?;
        Some((Ok(Frame::data(ndjson(&line))), following))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::plugin_logs::PluginLogs;
    use http_body_util::BodyExt as _;
    use serde_json::{Value, json};

    #[tokio::test]
    async fn a_follower_gets_what_is_kept_and_then_what_comes() {
        let logs = PluginLogs::new(Arc::new(Limits::default()));
        let (plugin, version) = ("chat".into(), "sha256:0123".into());
        let at = ("chat.lobby".parse().unwrap(), 17);
        logs.of_plugin(&plugin).write(Level::Warning, &version, None, "\"before\"");
        let mut body = Box::pin(body(logs.follow("chat", 10).unwrap()));
        logs.of_plugin(&plugin).write(Level::Error, &version, Some(&at), "after\nit");
        let mut next = async || {
            let bytes = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(bytes.iter().position(|byte| *byte == b'\n'), Some(bytes.len() - 1));
            let mut line: Value = serde_json::from_slice(&bytes).unwrap();
            assert!(line["time_ms"].take().as_u64().unwrap() > 1_600_000_000_000);
            line
        };
        let before = json!({"time_ms": null, "level": "warning", "plugin": "chat", "version": "sha256:0123",
            "topic": null, "event": null, "line": "\"before\""});
        assert_eq!(next().await, before);
        let after = json!({"time_ms": null, "level": "error", "plugin": "chat", "version": "sha256:0123",
            "topic": "chat.lobby", "event": "17", "line": "after\\nit"});
        assert_eq!(next().await, after);
        let page = page(&logs.tail("chat", 10));
        let lines: Vec<Value> =
            page.split_inclusive(|byte| *byte == b'\n').map(|line| serde_json::from_slice(line).unwrap()).collect();
        assert_eq!(lines.iter().map(|line| line["line"].clone()).collect::<Vec<_>>(), ["\"before\"", "after\\nit"]);
    }
}
