//! A whole trace, read back. One that is damaged is refused, with the number of the line.

use super::FORMAT;
use super::line::{End, EventLine, Header, Line, VersionLine};
use crate::pid::Pid;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A trace that fits together.
#[derive(Debug)]
pub struct Trace {
    /// What it is.
    pub header: Header,
    /// Who routed.
    pub versions: BTreeMap<u32, VersionLine>,
    /// In the order in which they were recorded.
    pub events: Vec<Recorded>,
    /// How the recording ended, if it had.
    pub end: Option<End>,
    /// The names of sessions; none of the anonymous.
    pub users: HashMap<Pid, Option<String>>,
}

/// An event, and what the trace had said of its topics by then.
#[derive(Debug)]
pub struct Recorded {
    /// As it was recorded.
    pub line: EventLine,
    /// Who was subscribed to its topic, and to those that its answer names.
    pub subscribers: BTreeMap<String, Arc<[Pid]>>,
}

/// What is wrong with a trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {words}")]
pub struct BadTrace {
    /// Counted from one.
    pub line: usize,
    /// In words.
    pub words: String,
}

impl Trace {
    /// Reads all lines.
    pub fn parse(text: &[u8]) -> Result<Self, BadTrace> {
        let mut lines = Lines { rest: text, number: 0 };
        let header = match lines.next_line()? {
            Some(Line::Header(header)) => header,
            Some(_) => return Err(lines.bad("a trace begins with its header, which says {\"trace\":1,…}")),
            None => return Err(lines.bad("it is empty; a trace begins with its header")),
        };
        if header.trace != FORMAT {
            return Err(lines.bad(format!("a trace of format {}; this program reads {FORMAT}", header.trace)));
        }
        let mut trace =
            Self { header, versions: BTreeMap::new(), events: Vec::new(), end: None, users: HashMap::new() };
        let mut subscribers = HashMap::new();
        while let Some(line) = lines.next_line()? {
            if trace.end.is_some() {
                return Err(lines.bad("something comes after the line that says how the recording ended"));
            }
            trace.take(line, &mut subscribers).map_err(|words| lines.bad(words))?;
        }
        Ok(trace)
    }

    fn take(&mut self, line: Line, subscribers: &mut HashMap<String, Arc<[Pid]>>) -> Result<(), String> {
        match line {
            Line::Header(_) => return Err("a second header".into()),
            Line::Version(version) => {
                if self.versions.contains_key(&version.version) {
                    return Err(format!("a second version {}", version.version));
                }
                self.versions.insert(version.version, version);
            }
            Line::Event(event) => {
                let fell_back = event.fell_back.as_ref().map(|fell_back| fell_back.by);
                for by in [Some(event.by), fell_back].into_iter().flatten() {
                    if !self.versions.contains_key(&by) {
                        return Err(format!("the event was routed by version {by}, which no line before it describes"));
                    }
                }
                self.users.extend(event.users.iter().map(|(pid, name)| (*pid, name.clone())));
                subscribers.extend(event.subscribers.iter().map(|(topic, pids)| (topic.clone(), pids[..].into())));
                let told = event.subscribers.keys().cloned();
                let known = event.topics().chain(told).filter_map(|topic| {
                    let pids = subscribers.get(&topic)?.clone();
                    Some((topic, pids))
                });
                self.events.push(Recorded { subscribers: known.collect(), line: event });
            }
            Line::End(end) => self.end = Some(end),
        }
        Ok(())
    }

    /// The event of that number.
    pub fn event(&self, id: u64) -> Option<&Recorded> {
        self.events.iter().find(|recorded| recorded.line.event == id)
    }

    /// A session as people call it: its user's name, and its PID since a user may have several.
    pub fn name(&self, pid: Pid) -> String {
        match self.users.get(&pid) {
            Some(Some(name)) => format!("{name} {pid}"),
            _ => pid.to_string(),
        }
    }
}

struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl Lines<'_> {
    fn next_line(&mut self) -> Result<Option<Line>, BadTrace> {
        self.number += 1;
        if self.rest.is_empty() {
            return Ok(None);
        }
        let Some(end) = memchr::memchr(b'\n', self.rest) else {
            return Err(self.bad("it does not end: the trace was cut off"));
        };
        let (line, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        let text = std::str::from_utf8(line).map_err(|error| self.bad(format!("it is no text: {error}")))?;
        Line::parse(text).map(Some).map_err(|words| self.bad(words))
    }

    fn bad(&self, words: impl Into<String>) -> BadTrace {
        BadTrace { line: self.number, words: words.into() }
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
