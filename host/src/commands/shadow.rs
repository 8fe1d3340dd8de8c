//! `volley plugin shadow`: a candidate that sees live events and sends nothing, and what it would have done otherwise.

use crate::commands::layout::{self, Columns};
use crate::commands::operator::{Operator, advise};
use crate::commands::plugins::unknown;
use crate::commands::progress;
use crate::http_client::plain;
use clap::Args;
use serde::Deserialize;
use serde_json::json;
use std::fmt::Write as _;

/// For the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  volley plugin shadow chat 3fa9c1 --sample 0.1    starts: one event in ten
  volley plugin shadow chat                        how it does
  volley plugin shadow chat --stop";

/// `shadow`.
#[derive(Args, Debug)]
pub struct Shadow {
    /// The plugin
    name: String,
    /// Start with this version; without it the report is shown
    version: Option<String>,
    /// Which part of the events it sees, from 0 to 1
    #[arg(long, value_name = "PART", default_value_t = 0.1, value_parser = part)]
    sample: f64,
    /// End it
    #[arg(long, conflicts_with_all = ["version", "sample"])]
    stop: bool,
    #[command(flatten)]
    operator: Operator,
}

fn part(text: &str) -> Result<f64, String> {
    let part = text.parse().ok().filter(|part| *part > 0.0 && *part <= 1.0);
    part.ok_or_else(|| "a part is more than 0 and at most 1".into())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Report {
    version: String,
    sample: f64,
    since_ms: u64,
    compared: u64,
    same: u64,
    different: u64,
    dropped: u64,
    traps: u64,
    differences: Vec<Difference>,
    live: Times,
    shadow: Times,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Difference {
    event: String,
    topic: String,
    kind: String,
    extra: Vec<String>,
    missing: Vec<String>,
    what: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Times {
    p50_us: Option<f64>,
    p99_us: Option<f64>,
}

impl Shadow {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let Self { name, version, sample, stop, operator } = self;
        let client = operator.client()?;
        let path = ["plugins", &name, "shadow"];
        let none = |error| advise(error, &[(404, "`volley plugin shadow NAME VERSION` starts one")]);
        if stop {
            client.delete(&path).await.map_err(none)?;
            return if operator.wants_json() { Ok(()) } else { layout::say("the shadow has ended\n") };
        }
        let answer = match version {
            Some(version) => {
                let body = json!({"version": version, "sample": sample});
                let what = || format!("warming {version} as a shadow of {name}");
                progress::during(what, client.post(&path, &body)).await.map_err(unknown)?
            }
            None => client.get(&path, "").await.map_err(none)?,
        };
        operator.print(&client, &answer, words)
    }
}

fn words(report: &Report) -> String {
    let version = layout::version(&report.version);
    let (age, percent) = (layout::age(report.since_ms), report.sample * 100.0);
    let mut text = format!("{version} sees {percent:.0} % of the events, since {age}\n");
    let _ = writeln!(
        text,
        "{} compared: {} the same, {} different; {} traps, {} left out while it was busy",
        report.compared, report.same, report.different, report.traps, report.dropped,
    );
    let mut times = Columns::of(["", "P50", "P99"]);
    for (name, of) in [("live", &report.live), ("shadow", &report.shadow)] {
        times.row([name.into(), layout::micros(of.p50_us), layout::micros(of.p99_us)]);
    }
    text.push_str(&times.text(""));
    for difference in &report.differences {
        let Difference { event, topic, kind, extra, missing, what } = difference;
        let _ = write!(text, "{} {} {}: {}", plain(topic), plain(kind), plain(event), plain(what));
        for (word, pids) in [("extra", extra), ("missing", missing)] {
            if !pids.is_empty() {
                let _ = write!(text, "; {word} {}", plain(&pids.join(" ")));
            }
        }
        text.push('\n');
    }
    text
}
