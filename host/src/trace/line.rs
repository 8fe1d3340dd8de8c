//! The lines of a trace. Parsing what was rendered gives the same line, and rendering what was parsed the same bytes.

use super::answer::{Answer, Delivery, Fault, Op, To};
use super::met::Met;
use super::redact::Redacted;
use super::text::{Data, as_text};
use crate::pid::Pid;
use crate::topic::Topic;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// One line.
// A trace is mostly events, so that boxing them would bring nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// The first.
    Header(Header),
    /// A version that routes the events after it.
    Version(VersionLine),
    /// An event.
    Event(EventLine),
    /// The last, if the recording had ended when it was fetched.
    End(End),
}

/// What the whole trace is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The format.
    pub trace: u32,
    /// The server's version.
    pub volley: String,
    /// The number of its node.
    pub node: u16,
    /// Whose events these are.
    pub plugin: String,
    /// When the recording began, in milliseconds since 1970.
    pub began_ms: u64,
    /// The share of the events that is recorded.
    pub sample: f64,
    /// The topics that are recorded; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<String>,
    /// What was taken out.
    pub redacted: Vec<Redacted>,
    /// Whether a replay meets with what the live rule met with: not when something was taken out.
    pub faithful: bool,
    /// The bounds that rules feel.
    pub limits: BTreeMap<String, u64>,
}

/// A version, with one config.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionLine {
    /// What events call it.
    pub version: u32,
    /// `sha256:…` of the component.
    pub sha256: String,
    /// What the rule itself says it is, such as `0.2.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// What `init` got.
    pub config: Data,
}

/// Who was subscribed to topics, of those for which it is something else than what the trace said last.
pub type Subscribers = BTreeMap<String, Vec<Pid>>;

/// An event that a rule was asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventLine {
    /// Its number.
    #[serde(with = "as_text")]
    pub event: u64,
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// Where.
    #[serde(with = "as_text")]
    pub topic: Topic,
    /// What happened.
    pub kind: Kind,
    /// Who caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<Pid>,
    /// Under which name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Of a publish or a timer.
    #[serde(default, deserialize_with = "Data::that_is_there", skip_serializing_if = "Option::is_none")]
    pub data: Option<Data>,
    /// Of an exit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Of a join: what the session was opened with.
    #[serde(default, deserialize_with = "Data::that_is_there", skip_serializing_if = "Option::is_none")]
    pub params: Option<Data>,
    /// The version that answered.
    pub by: u32,
    /// The generation under which it was routed.
    pub generation: u64,
    /// The names of sessions that the trace has not named yet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<Pid, Option<String>>,
    /// When the lists were resolved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub subscribers: Subscribers,
    /// What the rule met with.
    pub met: Met,
    /// What it said.
    pub answer: Answer,
    /// Another version was asked first, and failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fell_back: Option<FellBack>,
    /// What was delivered although the rule failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<Vec<Delivery>>,
    /// Why nothing came of it although the rule had answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unrouted: Option<String>,
}

/// A version that failed on an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FellBack {
    /// Which.
    pub by: u32,
    /// How.
    pub fault: Fault,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Somebody published.
    Publish,
    /// A session asked to subscribe.
    Join,
    /// A session unsubscribed.
    Leave,
    /// A subscribed session ended.
    Exit,
    /// A timer fired.
    Timer,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its client asked for it.
    Normal,
    /// An operator ended it.
    Killed,
    /// It was not heard of any more.
    Timeout,
}

/// The recording has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// Why.
    pub end: Why,
    /// How many events were kept.
    pub events: u64,
    /// How many were to be kept, and could not.
    pub left_out: u64,
}

/// Why a recording has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It has as many events as were asked for.
    Events,
    /// `record_bytes_max` is reached.
    Bytes,
    /// `record_ms_max` has passed.
    Time,
}

/// By which key the kinds of lines are told apart.
#[derive(Deserialize)]
struct Tag {
    trace: Option<IgnoredAny>,
    version: Option<IgnoredAny>,
    event: Option<IgnoredAny>,
    end: Option<IgnoredAny>,
}

impl Line {
    /// Of one line, with or without its end.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |error: serde_json::Error| error.to_string();
        // Of an array serde would take the elements for the members.
        if !text.trim_start().starts_with('{') {
            return Err("it is no JSON object".into());
        }
        let tag: Tag = serde_json::from_str(text).map_err(wrong)?;
        let line = match tag {
            Tag { event: Some(_), .. } => serde_json::from_str(text).map(Self::Event),
            Tag { version: Some(_), .. } => serde_json::from_str(text).map(Self::Version),
            Tag { trace: Some(_), .. } => serde_json::from_str(text).map(Self::Header),
            Tag { end: Some(_), .. } => serde_json::from_str(text).map(Self::End),
            _ => return Err("it is no line of a trace: it says none of trace, version, event and end".into()),
        };
        line.map_err(wrong)
    }

    /// With its end.
    pub fn render(&self) -> Vec<u8> {
        let rendered = match self {
            Self::Header(header) => serde_json::to_vec(header),
            Self::Version(version) => serde_json::to_vec(version),
            Self::Event(event) => serde_json::to_vec(event),
            Self::End(end) => serde_json::to_vec(end),
        };
        let mut line = rendered.expect("our own types are JSON");
        line.push(b'\n');
        line
    }
}

impl EventLine {
    /// All sessions that it speaks of, some of them several times.
    pub fn pids(&self) -> impl Iterator<Item = Pid> {
        let groups = self.met.groups.iter().flat_map(|touch| {
            let others = [&touch.told, &touch.after, &touch.resolved].into_iter().flatten().flatten();
            touch.before.iter().chain(others)
        });
        let removed = match &self.answer {
            Answer::Routed(routed) => &routed.remove[..],
            Answer::Refused(_) | Answer::Invalid(_) | Answer::Fault(_) => &[],
        };
        let listed = self.deliveries().flat_map(|delivery| delivery.list.iter().flatten());
        let named = self.ops().flat_map(|op| if let Op::Pids(pids) = op { &pids[..] } else { &[] });
        let others = self.met.dead.iter().chain(self.met.memberships.iter().map(|membership| &membership.pid));
        let subscribed = self.subscribers.values().flatten();
        let all = subscribed.chain(groups).chain(removed).chain(listed).chain(named).chain(others).chain(&self.sender);
        all.copied()
    }

    /// The topics whose subscribers it needs to know: its own, and those that its answer names.
    pub fn topics(&self) -> impl Iterator<Item = String> {
        let named =
            self.ops().filter_map(|op| if let Op::Subscribers(topic) = op { Some(topic.clone()) } else { None });
        std::iter::once(self.topic.to_string()).chain(named)
    }

    /// What it came to: of the rule, or what was delivered although it failed.
    pub fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        let routed = if let Answer::Routed(routed) = &self.answer { &routed.deliveries[..] } else { &[] };
        routed.iter().chain(self.instead.iter().flatten())
    }

    fn ops(&self) -> impl Iterator<Item = &Op> {
        self.deliveries().flat_map(|delivery| if let To::Expr(ops) = &delivery.to { &ops[..] } else { &[] })
    }

    /// What a forwarded message says.
    pub fn own_data(&self) -> Data {
        match self.kind {
            Kind::Publish | Kind::Timer => self.data.clone().unwrap_or_else(|| Data::json("null")),
            Kind::Join | Kind::Leave | Kind::Exit => Data::json("null"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Publish => "publish",
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Exit => "exit",
            Self::Timer => "timer",
        })
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Events => "it has as many events as were asked for",
            Self::Bytes => "there is no room for more (record_bytes_max)",
            Self::Time => "it has lasted as long as it may (record_ms_max)",
        })
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
pub(super) mod tests;
