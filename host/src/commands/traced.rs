//! Traces as commands read them.

use crate::commands::layout::count;
use crate::trace::{Trace, Why};
use anyhow::{Context as _, anyhow};
use std::path::Path;

/// A trace in a file.
pub(super) fn read(file: &Path) -> anyhow::Result<Trace> {
    let text = std::fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
    parse(&text).with_context(|| format!("{} is no trace that can be used", file.display()))
}

pub(super) fn parse(text: &[u8]) -> anyhow::Result<Trace> {
    Trace::parse(text).map_err(|bad| anyhow!("{bad}"))
}

/// What was taken out, if anything was.
pub(super) fn redacted(trace: &Trace) -> Option<String> {
    let kinds: Vec<String> = trace.header.redacted.iter().map(|kind| format!("{kind:?}").to_lowercase()).collect();
    (!trace.header.faithful || !kinds.is_empty()).then(|| kinds.join(", "))
}

/// Which events the trace does not have, of those that happened while it was recorded: in sentences.
pub(super) fn caveats(trace: &Trace) -> Vec<String> {
    let header = &trace.header;
    let mut caveats = Vec::new();
    if header.sample < 1.0 {
        caveats.push(format!("the trace has only a sample of the events, {} of them", header.sample));
    }
    caveats.extend(header.topics.iter().map(|topics| format!("the trace has only events on {topics}")));
    let Some(end) = &trace.end else { return caveats };
    if end.left_out > 0 {
        caveats.push(format!("the trace lacks {} for which there was no room", count(end.left_out as usize, "event")));
    }
    match end.end {
        Why::Events => {}
        Why::Bytes | Why::Time => caveats.push(format!("the trace ends early: {}", end.end)),
    }
    caveats
}
