//! A rule's test as a file of recorded events, which `volley plugin test` runs on the built component as well.

mod compare;
mod line;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::{Server, memory};
use crate::bindings::volley::router::ets::Object;
use crate::{Payload, Pid, Refusal, Rule};
use line::{Act, Cell, Line};

/// When so many steps have gone wrong, the rest says nothing new.
const WRONG_STEPS_MAX: usize = 5;

/// Runs a file of recorded events through the rule, and panics with all that came otherwise than the file says.
///
/// The path is relative to the crate, so that the test of a rule is one line:
///
/// ```no_run
/// # use volley_plugin::{Event, Info, Outcome, Refusal, Rule, testing::recorded};
/// # struct Echo;
/// # impl Rule for Echo {
/// #     fn info() -> Info { Info { name: "echo", version: "0.1.0", description: "" } }
/// #     fn init(_: &str) -> Result<Self, String> { Ok(Self) }
/// #     fn route(&self, _: &Event) -> Result<Outcome, Refusal> { Ok(Outcome::new()) }
/// # }
/// recorded::<Echo>("tests/events.jsonl");
/// ```
///
/// Each line is one step, a JSON object:
///
/// ```json
/// {"config": {"limit": 10}}
/// {"topic": "room.1"}
/// {"open": "ann", "params": {"role": "op"}}
/// {"open": "guest", "user": null}
/// {"join": "ann"}
/// {"join": "guest", "topic": "room.2"}
/// {"publish": "ann", "data": {"say": "hi"}, "expect": {"ann": [{"said": "hi", "at": "$any"}]}}
/// {"publish": null, "data": {"$text": "from a back-end"}, "expect": {"ann": [{"$text": "from a back-end"}]}}
/// {"publish": "guest", "data": 1, "refused": "join the room first"}
/// {"wait_ms": 5000, "expect": {"ann": ["wake up"], "...": true}}
/// {"insert": {"table": "bans", "key": "bob", "value": "1"}}
/// {"table": {"name": "bans", "key": "ann", "value": null}}
/// {"leave": "ann"}
/// {"exit": "guest", "reason": "timeout"}
/// ```
///
/// - `config`, in the first line only, is the route's; `topic` by itself is that of the lines that name none.
/// - `open` names a session, whose user is the same unless `user` says otherwise; null gives none. A publish by null is
///   a back-end's. Data is JSON, or `{"$text":…}` or `{"$base64":…}`; JSON that looks like one of these, or has `"$any"`
///   in it as it is, is a text in `{"$json":…}`. `reason` is normal, shutdown, killed or timeout.
/// - `wait_ms` lets the clock go on; the timers that come due meanwhile fire in order.
/// - `insert` writes into a table of the rule's, `table` looks into one, alone or after the step it stands in: null is
///   no such key. Values are compared as JSON, if they are JSON.
/// - `expect` has what each session receives from this step, in order. Sessions that are not named receive nothing,
///   unless `"...": true`. `"$any"` in place of a value stands for any. Without `expect` nothing is compared.
/// - `refused` and `invalid`, in place of `expect`, are words that the refusal contains; a refused step delivers nothing. A
///   refusal that no line expects is wrong.
pub fn recorded<R: Rule>(path: impl AsRef<Path>) {
    let path = path.as_ref();
    let text = std::fs::read_to_string(path).unwrap_or_else(|wrong| panic!("{}: {wrong}", path.display()));
    if let Err(report) = replay::<R>(&text, &path.display().to_string()) {
        panic!("{report}");
    }
}

/// An `Err` has what went wrong, in lines that begin with the place in the file.
fn replay<R: Rule>(text: &str, name: &str) -> Result<(), String> {
    let mut lines = Vec::new();
    for (number, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let line = Line::parse(text).map_err(|wrong| format!("{name}:{number}: {wrong}\n"))?;
        lines.push((number, text, line));
    }
    let config = match lines.first() {
        Some((_, _, Line { act: Act::Config(config), .. })) => config.clone(),
        _ => "null".to_owned(),
    };
    let mut replay = Replay { server: Server::<R>::start(&config), sessions: BTreeMap::new(), topic: None };
    let (mut report, mut wrong_steps) = (String::new(), 0);
    for (at, (number, text, line)) in lines.iter().enumerate() {
        let wrong = match &line.act {
            Act::Config(_) if at > 0 => vec!["a config stands in the first line".to_owned()],
            _ => replay.step(line),
        };
        if !wrong.is_empty() {
            let _ = writeln!(report, "{name}:{number}: {}", text.trim());
            report.extend(wrong.iter().map(|wrong| format!("  {wrong}\n")));
            wrong_steps += 1;
        }
        if wrong_steps == WRONG_STEPS_MAX {
            let _ = writeln!(report, "and the {} lines after it were not run", lines.len() - at - 1);
            break;
        }
    }
    if report.is_empty() { Ok(()) } else { Err(report) }
}

struct Replay<R> {
    server: Server<R>,
    /// By the names that the file gives them; also those that have ended.
    sessions: BTreeMap<String, Pid>,
    topic: Option<String>,
}

impl<R: Rule> Replay<R> {
    /// What came otherwise than the line says.
    fn step(&mut self, line: &Line) -> Vec<String> {
        let answer = match self.act(line) {
            Ok(answer) => answer,
            Err(words) => return vec![words],
        };
        let mut wrong = compare::answer(&line.expected, &answer);
        let came: BTreeMap<&str, Vec<Payload>> =
            self.sessions.iter().map(|(name, pid)| (name.as_str(), self.server.take_inbox(*pid))).collect();
        if let Some(expected) = &line.expected.messages {
            wrong.extend(compare::messages(expected, line.expected.others_too, &came));
        }
        if let Some(cell) = &line.table {
            wrong.extend(look(cell));
        }
        wrong
    }

    /// An `Err` says what is wrong with the line itself.
    fn act(&mut self, line: &Line) -> Result<Result<(), Refusal>, String> {
        let topic = || line.topic.as_ref().or(self.topic.as_ref()).cloned().ok_or("no line has said which topic");
        match &line.act {
            Act::Config(_) | Act::Look => {}
            Act::Topic => self.topic.clone_from(&line.topic),
            Act::Open { name, user, params } => {
                if self.sessions.contains_key(name) {
                    return Err(format!("there is a session {name} already"));
                }
                let pid = self.server.open_session(user.as_deref(), params.as_deref());
                self.sessions.insert(name.clone(), pid);
            }
            Act::Join(name) => {
                let (topic, pid) = (topic()?, self.session(name)?);
                return Ok(self.server.join(&topic, pid));
            }
            Act::Publish { by, data } => {
                let (topic, sender) = (topic()?, by.as_deref().map(|name| self.session(name)).transpose()?);
                return Ok(self.server.publish_payload(&topic, sender, data));
            }
            Act::Leave(name) => {
                let (topic, pid) = (topic()?, self.session(name)?);
                self.server.leave(&topic, pid);
            }
            Act::Exit(name, reason) => {
                let pid = self.session(name)?;
                self.server.exit(pid, *reason);
            }
            Act::Wait(ms) => self.server.wait(Duration::from_millis(*ms)),
            Act::Insert(cell) => {
                let object = Object { key: cell.key.clone().into(), value: cell.text.clone().into() };
                let inserted = find(&cell.table)?.insert(&[object]);
                inserted.map_err(|wrong| format!("the table {}: {wrong:?}", cell.table))?;
            }
        }
        Ok(Ok(()))
    }

    fn session(&self, name: &str) -> Result<Pid, String> {
        self.sessions.get(name).copied().ok_or_else(|| format!("no session {name} was opened"))
    }
}

fn find(table: &str) -> Result<memory::Table, String> {
    memory::Table::find(table).ok_or_else(|| format!("the rule has opened no table {table}"))
}

fn look(cell: &Cell) -> Option<String> {
    let came = match find(&cell.name) {
        Ok(table) => table.lookup(&[cell.key.clone().into()]).unwrap_or_default().concat().pop(),
        Err(words) => return Some(words),
    };
    compare::cell(cell, came.as_deref())
}

#[cfg(test)]
mod tests;
