//! `volley replay`: what another version of a rule would have done with the events of a trace.

use crate::commands::layout::{self, count};
use crate::commands::{Unlike, traced};
use crate::http_client::plain;
use crate::replay::{Difference, Replay};
use crate::toolchain;
use crate::trace::{Redacted, Trace};
use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// For the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  volley replay chat.trace --plugin new.wasm           0: nothing differs, 1: something does
  volley replay chat.trace --plugin rules/chat         builds the crate first
  volley replay chat.trace --plugin new.wasm --config '{\"history\":5}' --event 3617182912513";

/// `replay`.
#[derive(Args, Debug)]
pub struct ReplayTrace {
    /// A trace as `volley record` writes it
    trace: PathBuf,
    /// The version that is asked again: a component, or the folder of its crate
    #[arg(long, value_name = "FILE|DIR")]
    plugin: PathBuf,
    /// What its `init` gets, in JSON [default: what the recorded version got]
    #[arg(long, value_name = "JSON", value_parser = super::plugins::json_value)]
    config: Option<serde_json::Value>,
    /// Only this event
    #[arg(long, value_name = "ID")]
    event: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// All that is to be said.
#[derive(Serialize)]
struct Report {
    plugin: String,
    recorded: Vec<String>,
    asked: String,
    redacted: Vec<Redacted>,
    /// Which events the trace does not have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    migrates: bool,
    events: usize,
    different: usize,
    uncertain: usize,
    differences: Vec<Difference>,
}

impl ReplayTrace {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let trace = traced::read(&self.trace)?;
        let component = component(&self.plugin)?;
        let mut replay = Replay::new(&trace, &component, self.config.map(|config| config.to_string()))?;
        let (mut events, mut differences) = (0, Vec::new());
        for recorded in &trace.events {
            if self.event.is_some_and(|id| id != recorded.line.event) {
                replay.learn(recorded);
                continue;
            }
            let played = replay.play(&trace, recorded)?;
            events += 1;
            let difference = Difference::between(&trace, recorded, &played);
            if !difference.is_none() || !difference.uncertain.is_empty() {
                differences.push(difference);
            }
        }
        if let Some(id) = self.event.filter(|_| events == 0) {
            anyhow::bail!("the trace has no event {id}");
        }
        let different = differences.iter().filter(|difference| difference.counts()).count();
        let report = Report {
            plugin: trace.header.plugin.clone(),
            recorded: trace.versions.values().map(|of| called(&of.sha256, of.release.as_deref())).collect(),
            asked: called(replay.version(), Some(&replay.info.version)),
            redacted: trace.header.redacted.clone(),
            notes: traced::caveats(&trace),
            // Builds of one release have one layout.
            migrates: replay.migrates()
                && trace.versions.values().any(|of| of.release.as_ref() != Some(&replay.info.version)),
            events,
            different,
            uncertain: differences.iter().filter(|difference| !difference.uncertain.is_empty()).count(),
            differences,
        };
        if self.json {
            layout::say(&serde_json::to_string(&report)?)?;
        } else {
            layout::say(&words(&trace, &report))?;
        }
        if different == 0 { Ok(()) } else { Err(Unlike.into()) }
    }
}

fn called(version: &str, release: Option<&str>) -> String {
    let release = release.map_or_else(String::new, |release| format!(" ({})", plain(release)));
    format!("{}{release}", layout::version(version))
}

fn component(plugin: &Path) -> anyhow::Result<Vec<u8>> {
    let file = if plugin.is_dir() { toolchain::build(plugin, None)?.path } else { plugin.to_owned() };
    std::fs::read(&file).with_context(|| format!("can't read {}", file.display()))
}

fn words(trace: &Trace, report: &Report) -> String {
    let mut text = String::new();
    let recorded = if report.recorded.is_empty() { "nothing".into() } else { report.recorded.join(", ") };
    let _ = writeln!(text, "{}: recorded with {recorded}, asked again of {}", plain(&report.plugin), report.asked);
    if !trace.header.faithful {
        text.push_str("the trace is redacted: no version can be asked what was asked then, so expect differences\n");
    }
    report.notes.iter().for_each(|note| text.extend([&*plain(note), "\n"]));
    if report.migrates {
        text.push_str("this version migrates its tables, and here it finds them in the layout of the recorded one\n");
    }
    report.differences.iter().for_each(|difference| tell(&mut text, difference));
    let same = report.events - report.different;
    let uncertain = match report.uncertain {
        0 => String::new(),
        uncertain => format!("; of {} the trace does not know all that was looked at", count(uncertain, "event")),
    };
    let _ =
        writeln!(text, "{}: {same} the same, {} different{uncertain}", count(report.events, "event"), report.different);
    text
}

fn tell(text: &mut String, difference: &Difference) {
    let Difference { event, topic, kind, by, answer, messages, removed, writes, uncertain, .. } = difference;
    let by = by.as_ref().map_or_else(String::new, |by| format!(" by {}", plain(by)));
    let _ = writeln!(text, "\nevent {event}, a {kind} on {topic}{by}");
    for change in messages {
        let what = match (change.recorded.is_empty(), change.now.is_empty()) {
            (true, _) => "extra recipients",
            (_, true) => "missing recipients",
            _ => "other messages for",
        };
        let _ = writeln!(text, "  {what}: {}", plain(&change.who.join(", ")));
        for (mark, messages) in [('-', &change.recorded), ('+', &change.now)] {
            for message in messages {
                let _ = writeln!(text, "    {mark} {}", plain(message));
            }
        }
    }
    let said = answer.iter().map(|pair| ("answer", pair));
    let ended = removed.iter().map(|pair| ("whose subscription ends", pair));
    for (what, pair) in said.chain(ended).chain(writes.iter().map(|(what, pair)| (what.as_str(), pair))) {
        let _ = writeln!(text, "  {}", plain(what));
        for (mark, side) in [('-', &pair.recorded), ('+', &pair.now)] {
            let _ = writeln!(text, "    {mark} {}", if side.is_empty() { "none".into() } else { plain(side) });
        }
    }
    for words in uncertain {
        let _ = writeln!(text, "  note: {}", plain(words));
    }
}
