//! `volley explain`: which version routed an event, to whom, and why.

use crate::admin_client::AdminClient;
use crate::commands::answers::PluginList;
use crate::commands::layout;
use crate::commands::looks::{self, Change, Look, list};
use crate::commands::operator::Operator;
use crate::commands::traced;
use crate::http_client::plain;
use crate::pid::Pid;
use crate::trace::{Answer, Data, Delivery, Op, Recorded, To, Trace};
use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;

/// For the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  volley explain 3617182912513 --trace chat.trace
  volley explain 3617182912513 --trace chat.trace --for bob     why did Bob get this? or why not?
  volley explain 3617182912513                                  of a recording that goes on at the server";

/// `explain`.
#[derive(Args, Debug)]
pub struct Explain {
    /// The event's number, as the answer to its publish and each of its messages say it
    event: u64,
    /// A trace as `volley record` writes it [default: what the server is recording]
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Why this user, or this session, got it or did not
    #[arg(long = "for", value_name = "USER|PID")]
    whom: Option<String>,
    #[command(flatten)]
    operator: Operator,
}

/// All that is to be said of an event.
#[derive(Serialize)]
struct Explanation {
    event: String,
    topic: String,
    kind: String,
    time_ms: u64,
    by: Option<String>,
    data: Option<Data>,
    version: String,
    release: Option<String>,
    generation: u64,
    fell_back_from: Option<String>,
    answer: String,
    deliveries: Vec<Delivered>,
    removed: Vec<String>,
    reads: Vec<Look>,
    writes: Vec<Change>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    denied: Vec<String>,
    /// What the trace does not have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    whom: Option<Vec<Whom>>,
}

#[derive(Serialize)]
struct Delivered {
    to: String,
    list: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ended: Vec<String>,
    message: Data,
}

/// One session that was asked about.
#[derive(Serialize)]
struct Whom {
    session: String,
    got: bool,
    why: Vec<String>,
}

impl Explain {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let trace = match &self.trace {
            Some(file) => traced::read(file)?,
            None => running(&self.operator.client()?, self.event).await?,
        };
        let recorded = trace.event(self.event).with_context(|| {
            format!("the trace of {} has no event {}; it has {}", trace.header.plugin, self.event, range(&trace))
        })?;
        let mut explanation = explain(&trace, recorded);
        if let Some(whom) = &self.whom {
            explanation.whom = Some(sessions(&trace, recorded, whom)?);
        }
        if self.operator.wants_json() {
            return layout::say(&serde_json::to_string(&explanation)?);
        }
        layout::say(&words(&explanation))
    }
}

fn range(trace: &Trace) -> String {
    let ids = || trace.events.iter().map(|recorded| recorded.line.event);
    match (ids().min(), ids().max()) {
        (Some(first), Some(last)) => format!("{}, from {first} to {last}", layout::count(trace.events.len(), "event")),
        _ => "none".into(),
    }
}

/// The recording that has the event.
async fn running(client: &AdminClient, event: u64) -> anyhow::Result<Trace> {
    let plugins: PluginList = client.read(&client.get(&["plugins"], "").await?)?;
    let mut looked_at = Vec::new();
    for plugin in plugins.plugins {
        let trace = match client.get(&["plugins", &plugin.name, "record"], "trace").await {
            Ok(answer) => traced::parse(&answer.body)?,
            Err(error) if error.status() == Some(404) => continue,
            Err(error) => return Err(error.into()),
        };
        if trace.event(event).is_some() {
            return Ok(trace);
        }
        looked_at.push(format!("{} ({})", plugin.name, range(&trace)));
    }
    match looked_at[..] {
        [] => anyhow::bail!("the server records nothing: `volley record PLUGIN` does, and --trace FILE names a trace"),
        _ => anyhow::bail!("no recording has event {event}; the server records {}", looked_at.join(", ")),
    }
}

fn explain(trace: &Trace, recorded: &Recorded) -> Explanation {
    let line = &recorded.line;
    let version = trace.versions.get(&line.by);
    let names = |pids: &[Pid]| looks::names(trace, pids);
    let delivered = |delivery: &Delivery| Delivered {
        to: set(trace, recorded, delivery),
        list: names(&recipients(recorded, delivery)),
        ended: names(&delivery.ended),
        message: delivery.message.clone().unwrap_or_else(|| line.own_data()),
    };
    let removed = if let Answer::Routed(routed) = &line.answer { names(&routed.remove) } else { Vec::new() };
    Explanation {
        event: line.event.to_string(),
        topic: line.topic.to_string(),
        kind: line.kind.to_string(),
        time_ms: line.time_ms,
        by: line.sender.map(|sender| trace.name(sender)),
        data: line.data.clone().or_else(|| line.params.clone()),
        version: version.map_or_else(String::new, |version| version.sha256.clone()),
        release: version.and_then(|version| version.release.clone()),
        generation: line.generation,
        fell_back_from: line.fell_back.as_ref().map(|fell_back| {
            let version = trace.versions.get(&fell_back.by).map_or("", |version| &version.sha256);
            format!("{}, which failed: {}", layout::version(version), fell_back.fault.words)
        }),
        answer: answer(recorded),
        deliveries: line.deliveries().map(delivered).collect(),
        removed,
        reads: looks::reads(trace, &line.met),
        writes: looks::writes(trace, &line.met),
        denied: looks::denials(&line.met),
        notes: notes(trace),
        whom: None,
    }
}

fn notes(trace: &Trace) -> Vec<String> {
    let redacted =
        traced::redacted(trace).map(|kinds| format!("the trace is redacted ({kinds}): much of it is placeholders"));
    redacted.into_iter().chain(traced::caveats(trace)).collect()
}

/// Who got it.
fn recipients(recorded: &Recorded, delivery: &Delivery) -> Vec<Pid> {
    let ended: HashSet<&Pid> = delivery.ended.iter().collect();
    let listed = delivery.list.iter().flatten().filter(|_| recorded.line.unrouted.is_none());
    listed.filter(|pid| !ended.contains(pid)).copied().collect()
}

fn answer(recorded: &Recorded) -> String {
    let line = &recorded.line;
    let said = match &line.answer {
        Answer::Routed(_) => "routed".to_owned(),
        Answer::Refused(words) => format!("refused it: {words}"),
        Answer::Invalid(words) => format!("called it invalid: {words}"),
        Answer::Fault(fault) => format!("failed: {}", fault.words),
    };
    match (&line.unrouted, &line.instead) {
        (Some(why), _) => format!("{said}, but nothing came of it: {why}"),
        (None, Some(_)) => format!("{said}; it was delivered to all subscribers instead (on_trap)"),
        (None, None) => said,
    }
}

fn set(trace: &Trace, recorded: &Recorded, delivery: &Delivery) -> String {
    let step = |op: &Op| match op {
        Op::Pids(pids) => list(&looks::names(trace, pids)),
        Op::Members(scope, group) => format!("the group {} of {scope}", group.words()),
        Op::Subscribers(topic) => format!("the subscribers of {topic}"),
        Op::Union => "both".into(),
        Op::Intersection => "what is in both".into(),
        Op::Subtract => "the former without the latter".into(),
    };
    match &delivery.to {
        To::Subscribers => format!("the subscribers of {}", recorded.line.topic),
        To::Pids => "whom the rule named".into(),
        To::Expr(ops) => ops.iter().map(step).collect::<Vec<_>>().join("; "),
    }
}

/// The sessions that are meant, which are a user's if one is called so, and why each got it or did not.
fn sessions(trace: &Trace, recorded: &Recorded, whom: &str) -> anyhow::Result<Vec<Whom>> {
    let mut pids = sessions_of(trace, recorded, whom);
    if pids.is_empty() {
        let text = whom.trim_start_matches('<').trim_end_matches('>');
        pids.extend(format!("<{text}>").parse::<Pid>());
    }
    anyhow::ensure!(!pids.is_empty(), "the trace knows no session of {whom}; a PID is written <0.17.1>");
    Ok(pids.into_iter().map(|pid| why(trace, recorded, pid)).collect())
}

/// Of a user, who may have had other sessions long before or after: those that the event knows, if there are any.
fn sessions_of(trace: &Trace, recorded: &Recorded, user: &str) -> BTreeSet<Pid> {
    let known = trace.users.iter().filter(|(_, name)| name.as_deref() == Some(user));
    let known: BTreeSet<Pid> = known.map(|(pid, _)| *pid).collect();
    let subscribed = recorded.subscribers.values().flat_map(|pids| pids.iter().copied());
    let here: BTreeSet<Pid> = recorded.line.pids().chain(subscribed).filter(|pid| known.contains(pid)).collect();
    if here.is_empty() { known } else { here }
}

fn why(trace: &Trace, recorded: &Recorded, pid: Pid) -> Whom {
    let line = &recorded.line;
    let session = trace.name(pid);
    let parts: Vec<(usize, String, bool)> = line
        .deliveries()
        .enumerate()
        .map(|(at, delivery)| {
            let (why, got_it) = recorded.why(delivery, pid);
            (at + 1, why, got_it)
        })
        .collect();
    let got = parts.iter().any(|(.., got_it)| *got_it);
    let mut why: Vec<String> = Vec::new();
    for (at, because, got_it) in &parts {
        if *got_it {
            why.push(format!("{session} got delivery {at} because it {because}"));
        } else if !got {
            why.push(format!("{session} did not get delivery {at} because it {because}"));
        }
    }
    let subscribed = recorded.subscribers.get(line.topic.as_str()).is_some_and(|pids| pids.contains(&pid));
    let listed = line.deliveries().any(|delivery| delivery.list.as_ref().is_none_or(|list| list.contains(&pid)));
    if !got && subscribed && !listed {
        why.push(format!("{session} was subscribed to {}, but was not on the list", line.topic));
    }
    if parts.is_empty() {
        why.push(format!("nobody got anything: the rule {}", answer(recorded)));
    }
    Whom { session, got, why }
}

fn words(explanation: &Explanation) -> String {
    let Explanation { event, topic, kind, time_ms, by, data, version, release, generation, answer, .. } = explanation;
    let by = by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
    let mut text = String::new();
    if let Some(whom) = &explanation.whom {
        whom.iter().flat_map(|whom| &whom.why).for_each(|why| text.extend([&*plain(why), "\n"]));
        text.push('\n');
    }
    let mut line = |words: String| text.extend([&*plain(&words), "\n"]);
    line(format!("event {event}: a {kind} on {topic}{by}, {}", layout::time(*time_ms)));
    if let Some(data) = data {
        line(format!("  it said {}", data.words()));
    }
    let release = release.as_ref().map_or_else(String::new, |release| format!(" ({release})"));
    line(format!("routed by version {}{release}, generation {generation}", layout::version(version)));
    explanation.fell_back_from.iter().for_each(|from| line(format!("  instead of {from}")));
    if answer != "routed" {
        line(format!("the rule {answer}"));
    }
    for (at, Delivered { to, list: names, ended, message }) in explanation.deliveries.iter().enumerate() {
        line(format!("delivery {}, to {to}: {}", at + 1, list(names)));
        if !ended.is_empty() {
            line(format!("  their sessions had ended: {}", list(ended)));
        }
        line(format!("  {}", message.words()));
    }
    if answer == "routed" && explanation.deliveries.is_empty() {
        line("it delivers nothing".into());
    }
    if !explanation.removed.is_empty() {
        line(format!("subscriptions ended: {}", list(&explanation.removed)));
    }
    explanation.reads.iter().for_each(|Look { what, value }| line(format!("read {what}: {value}")));
    for Change { what, before, after, raced } in &explanation.writes {
        let others = if *raced { "; others wrote it meanwhile" } else { "" };
        line(format!("wrote {what}: {after} (before: {before}{others})"));
    }
    explanation.denied.iter().for_each(|denied| line(format!("was denied {denied}")));
    explanation.notes.iter().for_each(|note| line(format!("note: {note}")));
    text
}
