//! `volley plugin logs`: the last lines that a plugin's rules logged, and with `-f` those that come.

use crate::admin_client::AdminClient;
use crate::commands::answers::LogLine;
use crate::commands::layout;
use crate::commands::operator::Operator;
use crate::commands::plugins::unknown;
use crate::http_client::plain;
use anyhow::ensure;
use clap::Args;
use reqwest::Response;

/// `logs`.
#[derive(Args, Debug)]
pub struct Logs {
    /// The plugin
    name: String,
    /// Go on with what comes, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// How many lines of before
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    lines: u32,
    #[command(flatten)]
    operator: Operator,
}

/// No line of a log is longer.
const LINE_BYTES_MAX: usize = 1 << 20;

impl Logs {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let Self { name, follow, lines, operator } = self;
        let client = operator.client()?;
        let query = format!("lines={lines}{}", if follow { "&follow=1" } else { "" });
        let response = client.follow(&["plugins", &name, "logs"], &query).await.map_err(unknown)?;
        print_lines(&client, response, operator.wants_json()).await
    }
}

async fn print_lines(client: &AdminClient, mut response: Response, as_json: bool) -> anyhow::Result<()> {
    let mut rest = Vec::new();
    loop {
        let some = client.more(&mut response).await?;
        let ended = some.is_none();
        rest.extend_from_slice(&some.unwrap_or_default());
        let whole = if ended { rest.len() } else { memchr::memrchr(b'\n', &rest).map_or(0, |at| at + 1) };
        let lines: Vec<u8> = rest.drain(..whole).collect();
        if as_json {
            layout::say_bytes(&lines)?;
        } else {
            layout::say(&lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(words).collect::<String>())?;
        }
        if ended {
            return Ok(());
        }
        ensure!(rest.len() <= LINE_BYTES_MAX, "the server sends a line of more than {LINE_BYTES_MAX} bytes");
    }
}

/// A line for people; what is no line of a log is shown as it is.
fn words(line: &[u8]) -> String {
    let Ok(line) = serde_json::from_slice::<LogLine>(line) else {
        return plain(&String::from_utf8_lossy(line)) + "\n";
    };
    let LogLine { time_ms, level, version, topic, event, line } = line;
    let about = [Some(layout::version(&version)), topic, event];
    let about: Vec<String> = about.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    format!("{} {:<5} {}: {}\n", layout::time(time_ms), plain(&level), plain(&about.join(" ")), plain(&line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_who_and_what() {
        let line = br#"{"time_ms":1700000000123,"level":"warn","plugin":"chat","version":"sha256:0123456789abcdef","topic":"chat.x","event":"7","line":"odd\u001b[2J"}"#;
        assert_eq!(words(line), "2023-11-14T22:13:20.123Z warn  0123456789ab chat.x 7: odd\u{fffd}[2J\n");
        assert_eq!(words(b"no JSON"), "no JSON\n");
    }
}
