//! Reading a script line by line: each by itself, and against what the lines before have said.

use super::members::{Member, Wrong, members};
use super::script::{Action, Expected, Step};
use super::wanted::{BASE64, JSON, TEXT, Wanted};
use crate::event::Payload;
use crate::protocol::payload;
use crate::session::ExitReason;
use crate::topic::Topic;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::ops::Range;

/// Whatever else receives something, too.
const OTHERS: &str = "...";
/// What a line may say first of all; one of them.
const VERBS: [&str; 8] = ["open", "join", "publish", "leave", "exit", "wait_ms", "insert", "table"];
/// A wait is no longer: about a year, as with timers.
const WAIT_MS_MAX: u64 = 366 * 24 * 3_600_000;

/// What the lines before have said.
#[derive(Default)]
pub(super) struct Reading {
    began: bool,
    pub(super) config: Option<String>,
    topic: Option<Topic>,
    /// Sessions, and whether they are open still.
    sessions: Vec<(String, bool)>,
    pub(super) steps: Vec<Step>,
}

impl Reading {
    /// One more line.
    pub(super) fn line(&mut self, number: usize, range: Range<usize>, text: &str) -> Result<(), Wrong> {
        let members = members(text)?;
        let is_first = !std::mem::replace(&mut self.began, true);
        match members.as_slice() {
            [one] if one.key == "config" && is_first => self.config = Some(one.value.into()),
            [one] if one.key == "config" => return Err(Wrong::new(one.key_at, "the config stands on the first line")),
            [one] if one.key == "topic" => self.topic = Some(topic(one)?),
            members => {
                let line = Line(members);
                let verb = line.verb()?;
                let action = self.action(verb, &line)?;
                let (expected, said) = self.expected(verb, &line)?;
                match &action {
                    Action::Open { name, .. } => self.sessions.push((name.clone(), true)),
                    Action::Exit { name, .. } => self.sessions.retain_mut(|(known, is_open)| {
                        *is_open &= known != name;
                        true
                    }),
                    _ => {}
                }
                self.steps.push(Step { line: number, range, action, expected, said });
            }
        }
        Ok(())
    }

    fn action(&self, verb: &Member<'_>, line: &Line<'_>) -> Result<Action, Wrong> {
        Ok(match &*verb.key {
            "open" => {
                line.only(verb, &["user", "params"])?;
                let name: String = read(verb, "the name of a session, a text")?;
                if name == OTHERS || self.sessions.contains(&(name.clone(), true)) {
                    return Err(Wrong::new(verb.value_at, format!("there is a session {name:?} already")));
                }
                let user = match line.get("user") {
                    None => Some(name.clone()),
                    Some(user) => read(user, "a text, or null for nobody")?,
                };
                Action::Open { name, user, params: line.get("params").map(|params| params.value.to_owned()) }
            }
            "join" => {
                line.only(verb, &["topic", "expect", "refused", "invalid"])?;
                Action::Join { name: self.session(verb)?, topic: self.topic_of(verb, line)? }
            }
            "publish" => {
                line.only(verb, &["topic", "data", "expect", "refused", "invalid"])?;
                let name = if verb.value == "null" { None } else { Some(self.session(verb)?) };
                let data = line.get("data").ok_or_else(|| Wrong::new(verb.key_at, "a publish needs its data"))?;
                Action::Publish { name, topic: self.topic_of(verb, line)?, data: payload_of(data)? }
            }
            "leave" => {
                line.only(verb, &["topic", "expect"])?;
                Action::Leave { name: self.session(verb)?, topic: self.topic_of(verb, line)? }
            }
            "exit" => {
                line.only(verb, &["reason", "expect"])?;
                Action::Exit {
                    name: self.session(verb)?,
                    reason: line.get("reason").map_or(Ok(ExitReason::Normal), reason)?,
                }
            }
            "wait_ms" => {
                line.only(verb, &["expect"])?;
                let ms: u64 = read(verb, "a number of milliseconds")?;
                if ms > WAIT_MS_MAX {
                    return Err(Wrong::new(verb.value_at, "that is more than a year"));
                }
                Action::Wait { ms }
            }
            "insert" => {
                line.only(verb, &[])?;
                let [table, key, value] = parts(verb, ["table", "key", "value"])?;
                let text = |member| read(&member, "a text");
                Action::Insert { table: text(table)?, key: text(key)?, value: text(value)? }
            }
            _ => {
                line.only(verb, &[])?;
                let [name, key, _] = parts(verb, ["name", "key", "value"])?;
                Action::Look { table: read(&name, "a text")?, key: read(&key, "a text")? }
            }
        })
    }

    fn expected(&self, verb: &Member<'_>, line: &Line<'_>) -> Result<(Expected, Option<Range<usize>>), Wrong> {
        if verb.key == "table" {
            let [_, _, value] = parts(verb, ["name", "key", "value"])?;
            let expected = Expected::Value(read(&value, "a text, or null for none")?);
            return Ok((expected, Some(value.value_at..value.end())));
        }
        let mut all = line.0.iter().filter(|member| ["expect", "refused", "invalid"].contains(&&*member.key));
        let Some(said) = all.next() else { return Ok((Expected::Anything, None)) };
        if let Some(second) = all.next() {
            return Err(Wrong::new(second.key_at, format!("a step has either {:?} or {:?}", said.key, second.key)));
        }
        let words = || read(said, "a text: some of the refusal's words");
        let expected = match &*said.key {
            "refused" => Expected::Refused(words()?),
            "invalid" => Expected::Invalid(words()?),
            _ => self.messages(said)?,
        };
        Ok((expected, Some(said.key_at..said.end())))
    }

    fn messages(&self, said: &Member<'_>) -> Result<Expected, Wrong> {
        let (mut of, mut others) = (Vec::new(), false);
        for member in inner(said)? {
            if member.key == OTHERS {
                others = read(&member, "true or false")?;
                continue;
            }
            if !self.sessions.iter().any(|(known, _)| *known == member.key) {
                return Err(Wrong::new(member.key_at, format!("no session {:?} was opened before", member.key)));
            }
            let list: Vec<&RawValue> = read(&member, "a list of messages")?;
            let wanted = list.into_iter().map(|message| Wanted::read(message.get())).collect::<Result<Vec<_>, _>>();
            of.push((member.key.clone(), wanted.map_err(|words| Wrong::new(member.value_at, words))?));
        }
        Ok(Expected::Messages { of, others })
    }

    fn session(&self, member: &Member<'_>) -> Result<String, Wrong> {
        let name: String = read(member, "the name of a session, a text")?;
        if self.sessions.contains(&(name.clone(), true)) {
            return Ok(name);
        }
        let was_there = self.sessions.iter().any(|(known, _)| *known == name);
        let words = if was_there { "has ended" } else { "was not opened: {\"open\": …} comes before" };
        Err(Wrong::new(member.value_at, format!("the session {name:?} {words}")))
    }

    fn topic_of(&self, verb: &Member<'_>, line: &Line<'_>) -> Result<Topic, Wrong> {
        let default = || self.topic.clone();
        match line.get("topic").map(topic) {
            Some(topic) => topic,
            None => default().ok_or_else(|| {
                Wrong::new(verb.key_at, "no topic: say one here, or for all lines that follow in a line {\"topic\": …}")
            }),
        }
    }
}

/// The members of a line.
struct Line<'a>(&'a [Member<'a>]);

impl<'a> Line<'a> {
    fn verb(&self) -> Result<&'a Member<'a>, Wrong> {
        let mut verbs = self.0.iter().filter(|member| VERBS.contains(&&*member.key));
        let Some(verb) = verbs.next() else {
            let (at, what) =
                self.0.first().map_or((0, String::new()), |first| (first.key_at, format!("{:?}: ", first.key)));
            return Err(Wrong::new(at, format!("{what}a line says one of {}", VERBS.join(", "))));
        };
        match verbs.next() {
            Some(second) => {
                Err(Wrong::new(second.key_at, format!("a line says one thing, and this one says {:?}", verb.key)))
            }
            None => Ok(verb),
        }
    }

    /// Nothing else goes with it.
    fn only(&self, verb: &Member<'_>, keys: &[&str]) -> Result<(), Wrong> {
        match self.0.iter().find(|member| member.key != verb.key && !keys.contains(&&*member.key)) {
            None => Ok(()),
            Some(other) => {
                let goes = if keys.is_empty() { "nothing".into() } else { keys.join(", ") };
                let words = format!("{:?} does not go with {:?}; {goes} may", other.key, verb.key);
                Err(Wrong::new(other.key_at, words))
            }
        }
    }

    fn get(&self, key: &str) -> Option<&'a Member<'a>> {
        self.0.iter().find(|member| member.key == key)
    }
}

fn read<'a, T: Deserialize<'a>>(member: &Member<'a>, what: &str) -> Result<T, Wrong> {
    serde_json::from_str(member.value).map_err(|_| Wrong::new(member.value_at, format!("{:?} is {what}", member.key)))
}

/// The members of a member that is an object.
fn inner<'a>(member: &Member<'a>) -> Result<Vec<Member<'a>>, Wrong> {
    let shift = |inner: Member<'a>| Member {
        key_at: inner.key_at + member.value_at,
        value_at: inner.value_at + member.value_at,
        ..inner
    };
    let found = members(member.value).map_err(|wrong| wrong.within(member.value_at))?;
    Ok(found.into_iter().map(shift).collect())
}

/// Those, all of them and no other.
fn parts<'a, const N: usize>(member: &Member<'a>, keys: [&str; N]) -> Result<[Member<'a>; N], Wrong> {
    let mut found = inner(member)?;
    if let Some(other) = found.iter().find(|one| !keys.contains(&&*one.key)) {
        return Err(Wrong::new(other.key_at, format!("{:?} does not go there; {} do", other.key, keys.join(", "))));
    }
    found.sort_by_key(|one| keys.iter().position(|key| *key == one.key));
    let lacks = |_| Wrong::new(member.value_at, format!("{:?} has {}", member.key, keys.join(", ")));
    found.try_into().map_err(lacks)
}

fn topic(member: &Member<'_>) -> Result<Topic, Wrong> {
    let text: String = read(member, "a topic, such as \"room.1\"")?;
    text.parse().map_err(|words| Wrong::new(member.value_at, format!("{words}")))
}

fn reason(member: &Member<'_>) -> Result<ExitReason, Wrong> {
    match &*read::<String>(member, "a text")? {
        "normal" => Ok(ExitReason::Normal),
        "killed" => Ok(ExitReason::Killed),
        "timeout" => Ok(ExitReason::Timeout),
        _ => Err(Wrong::new(member.value_at, "a session ends for one of normal, timeout, killed")),
    }
}

/// JSON as it stands there; `{"$text": …}`, `{"$base64": …}` and `{"$json": …}` are what they say.
fn payload_of(member: &Member<'_>) -> Result<Payload, Wrong> {
    let json = |text: &str, at| payload::json(text.to_owned().into()).map_err(|words| Wrong::new(at, words));
    if let Ok(inner) = inner(member)
        && let [one] = inner.as_slice()
    {
        match &*one.key {
            TEXT => return Ok(Payload::Text(read(one, "a text")?)),
            BASE64 => {
                let bytes = STANDARD.decode(read::<String>(one, "bytes in base64")?);
                let no_base64 = |_| Wrong::new(one.value_at, "these are no bytes in base64");
                return bytes.map(|bytes| Payload::Binary(bytes.into())).map_err(no_base64);
            }
            JSON => return json(&read::<String>(one, "JSON as a text")?, one.value_at),
            _ => {}
        }
    }
    json(member.value, member.value_at)
}
