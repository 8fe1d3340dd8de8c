//! Where a script is played: one lane of the server, with the real sessions, tables, groups and timers, at a standstill.

use super::script::{Action, Script, Step};
use super::wanted::Came;
use crate::author::component::nobodys;
use crate::caller::Caller;
use crate::clock;
use crate::event::{Answer, Event, Happening, Reply, Unrouted};
use crate::lane::LaneAlone;
use crate::limits::Limits;
use crate::metrics::PluginMetrics;
use crate::pid::Pid;
use crate::router::{Fault, Rule};
use crate::session::ExitReason;
use crate::shared::Shared;
use crate::standstill::Standstill;
use crate::tables::Object;
use crate::timers::Timer;
use crate::topic::{Pattern, Topic};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// What the plugin is called while it is played; nobody sees it.
const PLUGIN: &str = "rehearsed";
/// Timers that fire while one line waits; a rule that sets one in each would never come to an end.
const TIMERS_MAX: usize = 100_000;
/// Of what the rule logs in one step so much is shown.
const LOG_LINES_SHOWN: usize = 20;

/// A rule that plays.
pub(super) struct Stage {
    still: Standstill,
    shared: Arc<Shared>,
    metrics: Arc<PluginMetrics>,
    plugin: Arc<str>,
    lane: LaneAlone,
    /// All that were opened, in their order; those that have ended have no PID.
    sessions: Vec<Member>,
    /// What each event took in the rule.
    pub(super) route_ns: Vec<u64>,
    pub(super) memory_bytes_max: u64,
}

struct Member {
    name: String,
    user: Option<Arc<str>>,
    params: Option<Arc<str>>,
    pid: Option<Pid>,
    read: u64,
}

/// What came of a step.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What each session received, if it received anything.
    pub(super) came: Vec<(String, Vec<Came>)>,
    /// Of a publish or a join.
    pub(super) refused: Option<Refused>,
    /// What must never happen, in words: the rule failed, or something could not be done.
    pub(super) trouble: Vec<String>,
    /// Of a look into a table.
    pub(super) values: Vec<String>,
    /// What the rule logged.
    pub(super) log: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Refused(String),
    Invalid(String),
}

/// The object that a client gets.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
    encoding: Option<&'a str>,
}

impl Stage {
    /// With an instance that has taken the config.
    pub(super) fn new(rule: &Arc<Rule>, config: &str, mut limits: Limits) -> Result<Self, Fault> {
        // A second that passes here is not one of the rule's: all that it logs is told, whatever the machine does.
        limits.log_lines_per_s_max = u64::MAX;
        let still = Standstill::begin();
        let (shared, plugin) = (nobodys(limits), Arc::<str>::from(PLUGIN));
        let everything: Pattern = ">".parse().expect("a pattern");
        let lane = LaneAlone::new(plugin.clone(), rule.clone(), everything, config, shared.clone())?;
        let metrics = shared.metrics.of_plugin(&plugin);
        let memory_bytes_max = metrics.memory.get().unsigned_abs();
        let (sessions, route_ns) = (Vec::new(), Vec::new());
        Ok(Self { still, shared, metrics, plugin, lane, sessions, route_ns, memory_bytes_max })
    }

    /// Plays all steps; what came of each.
    pub(super) fn play(&mut self, script: &Script) -> Vec<Outcome> {
        script.steps.iter().map(|step| self.step(step)).collect()
    }

    fn step(&mut self, step: &Step) -> Outcome {
        let mut outcome = Outcome::default();
        match &step.action {
            Action::Open { name, user, params } => self.open(name, user.as_deref(), params.as_deref(), &mut outcome),
            Action::Join { name, topic } => {
                let params = self.member(name).and_then(|member| member.params.clone());
                self.route(Some(name), topic, Happening::Join { params }, &mut outcome);
            }
            Action::Leave { name, topic } => self.route(Some(name), topic, Happening::Leave, &mut outcome),
            Action::Publish { name, topic, data } => {
                if data.len() as u64 > self.shared.limits.event_bytes_max {
                    outcome.trouble.push("the data has more than event_bytes_max bytes".into());
                } else {
                    self.route(name.as_deref(), topic, Happening::Publish(data.clone()), &mut outcome);
                }
            }
            Action::Exit { name, reason } => self.exit(name, *reason, &mut outcome),
            Action::Wait { ms } => self.wait(*ms, &mut outcome),
            Action::Insert { table, key, value } => self.insert(table, key, value, &mut outcome),
            Action::Look { table, key } => self.look(table, key, &mut outcome),
        }
        self.collect(&mut outcome);
        self.memory_bytes_max = self.memory_bytes_max.max(self.metrics.memory.get().unsigned_abs());
        outcome
    }

    /// The session of that name that was opened last.
    fn member(&mut self, name: &str) -> Option<&mut Member> {
        self.sessions.iter_mut().rev().find(|member| member.name == name)
    }

    fn open(&mut self, name: &str, user: Option<&str>, params: Option<&str>, outcome: &mut Outcome) {
        let (user, params): (Option<Arc<str>>, Option<Arc<str>>) = (user.map(Into::into), params.map(Into::into));
        let pid = match self.shared.sessions.open(user.clone(), params.clone()) {
            Ok(token) => Some(token.pid),
            Err(full) => {
                outcome.trouble.push(full.to_string());
                None
            }
        };
        self.sessions.push(Member { name: name.into(), user, params, pid, read: 0 });
    }

    fn route(&mut self, name: Option<&str>, topic: &Topic, what: Happening, outcome: &mut Outcome) {
        let sender = name.and_then(|name| self.member(name)).map(|member| (member.pid, member.user.clone()));
        let (pid, user) = sender.unwrap_or_default();
        let can_refuse = matches!(what, Happening::Publish(_) | Happening::Join { .. });
        let answer = self.ask(pid, user, topic, what, outcome);
        let refused = match answer {
            Err(Unrouted::Refused(words)) => Refused::Refused(words),
            Err(Unrouted::Invalid(words)) => Refused::Invalid(words),
            _ => return,
        };
        if can_refuse {
            outcome.refused = Some(refused);
        }
    }

    /// Routes one event; whatever must not happen is noted.
    fn ask(
        &mut self,
        sender: Option<Pid>,
        user: Option<Arc<str>>,
        topic: &Topic,
        what: Happening,
        outcome: &mut Outcome,
    ) -> Answer {
        let (id, time_ms) = (self.shared.event_ids.next(), clock::unix_ms());
        let event = Event { id, topic: topic.clone(), sender, user, time_ms, what, reply: Reply::nobody() };
        let (events, took) = (self.metrics.events.get(), self.metrics.route.sum());
        let answer = self.lane.route(&event);
        if self.metrics.events.get() > events {
            self.route_ns.push(self.metrics.route.sum() - took);
        }
        let mut log: Vec<String> = Vec::new();
        for line in self.shared.plugin_logs.tail(PLUGIN, usize::MAX).iter().rev() {
            if line.event.as_ref().is_none_or(|(_, of)| *of < id) || log.len() == LOG_LINES_SHOWN {
                break;
            }
            log.push(format!("{}: {}", format!("{:?}", line.level).to_lowercase(), line.line));
        }
        let trouble = match &answer {
            Ok(_) | Err(Unrouted::Refused(_) | Unrouted::Invalid(_)) => None,
            // The log has the words, too, and the functions that the rule was in.
            Err(Unrouted::Failed(words)) => {
                let failed = log.iter().position(|line| line.starts_with("error: the plugin failed: "));
                let with_functions = failed.map(|at| log.remove(at)["error: ".len()..].to_owned());
                Some(with_functions.unwrap_or_else(|| format!("the plugin failed: {words}")))
            }
            Err(Unrouted::Limited(words)) => Some(words.clone()),
            Err(other) => Some(format!("the event was not routed: {other:?}")),
        };
        outcome.trouble.extend(trouble);
        outcome.log.extend(log.into_iter().rev());
        answer
    }

    /// As when a session of the server ends.
    fn exit(&mut self, name: &str, reason: ExitReason, outcome: &mut Outcome) {
        let Some(pid) = self.member(name).and_then(|member| member.pid.take()) else { return };
        let Some(session) = self.shared.sessions.end(pid) else { return };
        self.shared.groups.exit(pid);
        for topic in session.topics {
            let _ = self.ask(Some(pid), session.user.clone(), &topic, Happening::Exit(reason), outcome);
        }
    }

    /// Time passes, and timers fire when theirs has come.
    fn wait(&mut self, ms: u64, outcome: &mut Outcome) {
        let until = clock::now_ms() + ms;
        for _ in 0..TIMERS_MAX {
            let Some((at_ms, Timer { topic, data, .. })) = self.shared.timers.take_due(until) else {
                return self.still.jump_to(until);
            };
            self.still.jump_to(at_ms);
            let bytes = data.len();
            let _ = self.ask(None, None, &topic, Happening::Timer(data), outcome);
            self.shared.timers.routed(&self.plugin, bytes);
        }
        outcome.trouble.push(format!("{TIMERS_MAX} timers fired and there are more: does each one set the next?"));
    }

    fn insert(&self, name: &str, key: &str, value: &str, outcome: &mut Outcome) {
        let Some(table) = self.table(name, outcome) else { return };
        let inserted = table.insert(&Caller::of(self.plugin.clone()), vec![Object::new(key, value)]);
        if let Err(denied) = inserted {
            outcome.trouble.push(format!("the insert into {name} was denied: {denied}"));
        }
    }

    fn look(&self, name: &str, key: &str, outcome: &mut Outcome) {
        let Some(table) = self.table(name, outcome) else { return };
        match table.lookup(&Caller::of(self.plugin.clone()), &[key.as_bytes().to_vec()]) {
            Ok(values) => {
                outcome.values =
                    values.into_iter().flatten().map(|value| String::from_utf8_lossy(&value).into_owned()).collect();
            }
            Err(denied) => outcome.trouble.push(format!("looking into {name} was denied: {denied}")),
        }
    }

    fn table(&self, name: &str, outcome: &mut Outcome) -> Option<Arc<crate::tables::Table>> {
        let own = format!("{PLUGIN}:{name}");
        let found = self.shared.tables.get(&own).or_else(|| self.shared.tables.get(name));
        if found.is_none() {
            let all = self.shared.tables.list();
            let all: Vec<&str> = all.iter().map(|(name, _)| name.trim_start_matches("rehearsed:")).collect();
            let opened = if all.is_empty() { "none".into() } else { all.join(", ") };
            outcome.trouble.push(format!("the rule has not opened a table {name:?}; it has opened: {opened}"));
        }
        found
    }

    /// What the sessions have received since the last time.
    fn collect(&mut self, outcome: &mut Outcome) {
        for member in &mut self.sessions {
            let Some(pid) = member.pid else { continue };
            let (mut came, mut lost) = (Vec::new(), 0);
            loop {
                let read = self.shared.sessions.with(pid, |session| {
                    let page = session.mailbox.after(member.read, &self.shared.limits);
                    let (cursor, gap) = (page.cursor, page.gap);
                    came.extend(page.messages.map(|message| message_of(message.json())));
                    lost += gap;
                    // A cursor of its own page is known.
                    let _ = session.mailbox.acknowledge(cursor);
                    cursor
                });
                if read.is_none_or(|read| read == member.read) {
                    break;
                }
                member.read = read.unwrap_or(member.read);
            }
            if lost > 0 {
                let words = format!("{} lost {lost} messages (mailbox_messages_max, mailbox_bytes_max)", member.name);
                outcome.trouble.push(words);
            }
            if !came.is_empty() {
                outcome.came.push((member.name.clone(), came));
            }
        }
    }
}

fn message_of(json: &[u8]) -> Came {
    let message: Message<'_> = serde_json::from_slice(json).expect("the server renders JSON");
    Came::new(message.data.get().to_owned(), message.encoding.is_some())
}
