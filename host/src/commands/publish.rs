//! `volley publish`: one event, as a back-end sends it.

use crate::commands::client::{Server, advise, showing};
use crate::commands::layout;
use anyhow::{Context as _, ensure};
use clap::Args;
use reqwest::Method;
use std::io::Read;
use std::time::Duration;

/// `publish`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  volley publish news.sport '{\"goal\":true}'    JSON, since it is
  volley publish news.sport 'half time'        a text, since it is no JSON
  volley publish news.sport @photo.jpg         the bytes of a file
  date | volley publish news.clock -")]
pub struct Publish {
    /// Where, as in news.sport
    topic: String,
    /// What: the data itself; @FILE; or - for stdin
    #[arg(default_value = "-", hide_default_value = true)]
    data: String,
    /// It is JSON: refused when it is not
    #[arg(long, conflicts_with = "text")]
    json: bool,
    /// It is a text, even if it could be JSON
    #[arg(long)]
    text: bool,
    /// Sending it again with the same key does nothing but answer again
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    server: Server,
}

/// More is sent to no server.
const DATA_BYTES_MAX: u64 = 64 << 20;
const CALL: Duration = Duration::from_mins(1);

impl Publish {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let data = read(&self.data)?;
        let client = self.server.client()?;
        let content_type = match (self.json, self.text) {
            (true, _) => "application/json",
            (_, true) => "text/plain; charset=utf-8",
            _ => kind_of(&data),
        };
        let request = client.request(Method::POST, &["v1", "topics", &self.topic, "events"], "").body(data);
        let request = showing(request, self.server.bearer()?.as_deref());
        let mut request = request.header("Content-Type", content_type).timeout(CALL);
        if let Some(key) = self.idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        let answer = client.call(request).await.map_err(advise)?;
        layout::say_bytes(&answer.body)
    }
}

/// What it seems to be.
fn kind_of(data: &[u8]) -> &'static str {
    if serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok() {
        return "application/json";
    }
    if std::str::from_utf8(data).is_ok() { "text/plain; charset=utf-8" } else { "application/octet-stream" }
}

fn read(data: &str) -> anyhow::Result<Vec<u8>> {
    let mut source: Box<dyn Read> = match (data, data.strip_prefix('@')) {
        ("-", _) => Box::new(std::io::stdin()),
        (_, Some(file)) => Box::new(std::fs::File::open(file).with_context(|| format!("can't read {file}"))?),
        _ => return Ok(data.into()),
    };
    let mut bytes = Vec::new();
    source.by_ref().take(DATA_BYTES_MAX + 1).read_to_end(&mut bytes).context("can't read the data")?;
    ensure!(bytes.len() as u64 <= DATA_BYTES_MAX, "the data is larger than {DATA_BYTES_MAX} bytes");
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_taken_for_what_it_is() {
        for json in ["{\"a\":1}", "1", "\"text\"", " null "] {
            assert_eq!(kind_of(json.as_bytes()), "application/json", "{json}");
        }
        for text in ["hello", "", "{\"a\":", "1 2"] {
            assert_eq!(kind_of(text.as_bytes()), "text/plain; charset=utf-8", "{text}");
        }
        assert_eq!(kind_of(&[0xff, 0xfe]), "application/octet-stream");
    }
}
