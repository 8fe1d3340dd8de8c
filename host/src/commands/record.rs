//! `volley record`: a trace of what a plugin is asked and answers, from a server that runs.

use crate::commands::interrupts::Interrupts;
use crate::commands::layout;
use crate::commands::operator::{Operator, advise};
use crate::commands::plugins::unknown;
use crate::commands::recording::{Output, Recording};
use crate::topic::Pattern;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

/// For the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  volley record chat -o chat.trace                            1000 events, or until Ctrl-C
  volley record chat -o chat.trace --topic 'chat.lobby' --seconds 60
  volley record chat -o chat.trace --redact users             who, to whom and why, without a word of theirs
  volley replay chat.trace --plugin new.wasm                  what would another version have done?
  volley explain 3617182912513 --trace chat.trace --for bob   why did Bob get this?";

/// `record`.
#[derive(Args, Debug)]
pub struct Record {
    /// The plugin
    name: String,
    /// Where the trace goes, for you alone to read; a file that is there is never replaced [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How many events; then it ends [default: 1000]
    #[arg(long, value_name = "N")]
    events: Option<u64>,
    /// It ends after this time as well
    #[arg(long, value_name = "S")]
    seconds: Option<u64>,
    /// Which part of the events, from 0 to 1
    #[arg(long, value_name = "PART", default_value_t = 1.0)]
    sample: f64,
    /// Only events on topics like this
    #[arg(long, value_name = "PATTERN")]
    topic: Option<Pattern>,
    /// What the server takes out before it keeps anything; each implies those before it
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    redact: Vec<Kind>,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// What rules keep and say: values, keys, groups, messages
    Tables,
    /// And what clients say: data and params
    Data,
    /// And what routes are configured with
    Config,
    /// And who they are: names become user-1, user-2, ...
    Users,
}

impl Record {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let Self { name, output, events, seconds, sample, topic, redact, operator } = self;
        let client = operator.client()?;
        let redact: Vec<String> = redact.iter().map(|kind| format!("{kind:?}").to_lowercase()).collect();
        let body = json!({"events": events, "sample": sample, "redact": redact, "topics": topic.map(|topic| topic.to_string())});
        let path = ["plugins", &name, "record"];
        let other = format!(
            "`DELETE /admin/v1/plugins/{name}/record` (with curl) ends a recording that nobody waits for any more"
        );
        // Before anything is recorded, so that nothing is recorded in vain.
        let (output, interrupts) = (Output::open(output)?, Interrupts::catch()?);
        let begun = client.post(&path, &body).await.map_err(|error| {
            output.discard();
            match error.status() {
                Some(409) => advise(error, &[(409, &other)]),
                _ => unknown(error),
            }
        })?;
        eprintln!("recording {name}; Ctrl-C ends it sooner");
        let mut recording = Recording::begun(&client, path, &begun, output)?;
        let time = Duration::from_secs(seconds.unwrap_or(u64::MAX / 1_000_000));
        recording.follow(time, interrupts).await?;
        let Recording { events, bytes, left_out, why, .. } = recording;
        let why = why.map_or_else(String::new, |why| format!("; it ended since {why}"));
        let left_out = match left_out {
            0 => String::new(),
            left_out => format!(", {} left out for lack of room", layout::count(left_out as usize, "event")),
        };
        eprintln!("{}, {}{left_out}{why}", layout::count(events, "event"), layout::bytes(bytes));
        Ok(())
    }
}
