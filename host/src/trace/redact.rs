//! What is taken out of a trace before any of it is kept.
//!
//! A rule copies what it likes: what was published becomes a value of a table, a value becomes a message, a user's name
//! becomes a key. So each kind takes out all that could hold something of it, and each implies the one before:
//!
//! | redacted | taken out |
//! |---|---|
//! | `tables` | values, keys, names of groups, chance, and what a rule says: messages, data of timers, words |
//! | `data` | that, and what clients say: data and params |
//! | `config` | that, and the configs of routes |
//! | `users` | that, names of users, the pattern that chose the topics, and the names that JSON gives its members |
//!
//! Names of users, keys and groups become pseudonyms that stay the same throughout the trace; everything else becomes a
//! placeholder of the same shape. What stays: topics (but for segments that are the name of a user the trace knows by
//! then), PIDs, kinds, times, the names of tables and scopes, and which event had which effect on whom.
//!
//! Of a name its digest is remembered, so that it does not matter how long it is.

use super::answer::{Answer, Delivery, Fault, Op};
use super::line::{EventLine, Header, Kind, VersionLine};
use super::met::Met;
use super::text::{Data, Term};
use crate::payload::Payload;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;

/// What can be taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Redacted {
    /// What rules keep and say.
    Tables,
    /// And what clients say.
    Data,
    /// And what routes are configured with.
    Config,
    /// And who they are.
    Users,
}

/// Takes out, and remembers the pseudonyms.
#[derive(Default)]
pub struct Redaction {
    most: Option<Redacted>,
    users: Pseudonyms,
    keys: Pseudonyms,
    groups: Pseudonyms,
}

/// What a user's pseudonym begins with.
const USER: &str = "user-";
/// What a pseudonym takes: about.
const PSEUDONYM_BYTES: usize = 64;

/// Their numbers, by the digests of names: of two names with the same nobody knows.
#[derive(Default)]
struct Pseudonyms(HashMap<[u8; 16], u64>);

impl Pseudonyms {
    /// That of a name within something; it gets one if it has none.
    fn of(&mut self, prefix: &str, within: &str, name: &[u8]) -> String {
        let next = self.0.len() as u64 + 1;
        format!("{prefix}{}", self.0.entry(digest(within, name)).or_insert(next))
    }

    /// That of a name, if it has one.
    fn known(&self, prefix: &str, name: &str) -> Option<String> {
        self.0.get(&digest("", name.as_bytes())).map(|number| format!("{prefix}{number}"))
    }
}

fn digest(within: &str, name: &[u8]) -> [u8; 16] {
    let whole =
        Sha256::new().chain_update(within.len().to_le_bytes()).chain_update(within).chain_update(name).finalize();
    std::array::from_fn(|at| whole[at])
}

impl Redaction {
    /// Of these kinds, and those that they imply.
    pub fn of(kinds: &[Redacted]) -> Self {
        Self { most: kinds.iter().copied().max(), ..Self::default() }
    }

    /// All kinds that are taken out.
    pub fn kinds(&self) -> Vec<Redacted> {
        let all = [Redacted::Tables, Redacted::Data, Redacted::Config, Redacted::Users];
        all.into_iter().filter(|kind| self.takes(*kind)).collect()
    }

    /// What the pseudonyms take: bytes, about.
    pub fn bytes(&self) -> usize {
        PSEUDONYM_BYTES * (self.users.0.len() + self.keys.0.len() + self.groups.0.len())
    }

    fn takes(&self, kind: Redacted) -> bool {
        self.most >= Some(kind)
    }

    /// Of the header: whoever chose the topics may have named a user.
    pub fn header(&self, line: &mut Header) {
        if self.takes(Redacted::Users) {
            line.topics.iter_mut().for_each(|topics| *topics = shape(topics));
        }
    }

    /// Of a version.
    pub fn version(&self, line: &mut VersionLine) {
        if self.takes(Redacted::Config) {
            self.data(&mut line.config);
        }
    }

    /// Of an event. Who takes part is named before anything else is looked at, so that topics lose these names, too.
    pub fn event(&mut self, line: &mut EventLine) {
        if self.most.is_none() {
            return;
        }
        if self.takes(Redacted::Users) {
            for name in line.users.values_mut().flatten().chain(&mut line.user) {
                *name = self.users.of(USER, "", name.as_bytes());
            }
            let subscribers = std::mem::take(&mut line.subscribers);
            line.subscribers = subscribers.into_iter().map(|(topic, pids)| (self.topic(&topic), pids)).collect();
            // With pseudonyms it may have become too long for a topic.
            if let Ok(topic) = self.topic(line.topic.as_str()).parse().or_else(|_| "too-long".parse()) {
                line.topic = topic;
            }
        }
        if self.takes(Redacted::Data) || line.kind == Kind::Timer {
            line.data.iter_mut().for_each(|data| self.data(data));
        }
        if self.takes(Redacted::Data) {
            line.params.iter_mut().for_each(|params| self.data(params));
        }
        self.met(&mut line.met);
        match &mut line.answer {
            Answer::Routed(routed) => self.deliveries(&mut routed.deliveries),
            Answer::Refused(words) | Answer::Invalid(words) => *words = shape(words),
            Answer::Fault(fault) => redact_fault(fault),
        }
        line.fell_back.iter_mut().for_each(|fell_back| redact_fault(&mut fell_back.fault));
        line.instead.iter_mut().for_each(|instead| self.deliveries(instead));
        // The words of `unrouted` are the host's own, but they may quote the rule's.
        line.unrouted.iter_mut().for_each(|words| *words = shape(words));
    }

    fn met(&mut self, met: &mut Met) {
        for touch in &mut met.tables {
            self.key(&touch.table, &mut touch.key);
            let others = [&mut touch.told, &mut touch.after].into_iter().flatten().flatten();
            touch.before.iter_mut().chain(others).for_each(|value| self.value(value));
        }
        for page in &mut met.pages {
            self.key(&page.table, &mut page.prefix);
            page.after.iter_mut().for_each(|after| self.key(&page.table, after));
        }
        for touch in &mut met.groups {
            self.group(&touch.scope, &mut touch.group);
        }
        for membership in &mut met.memberships {
            membership.groups.iter_mut().for_each(|group| self.group(&membership.scope, group));
        }
        for denial in &mut met.denied {
            for key in &mut denial.keys {
                if denial.call == "join" { self.group(&denial.table, key) } else { self.key(&denial.table, key) }
            }
        }
        // What a rule makes of chance, such as a code that invites somebody, it keeps and says.
        met.random.iter_mut().for_each(|number| *number = 0);
        for timer in &mut met.timers {
            self.data(&mut timer.data);
            timer.topic = self.topic(&timer.topic);
        }
    }

    fn deliveries(&mut self, deliveries: &mut [Delivery]) {
        for delivery in deliveries {
            delivery.message.iter_mut().for_each(|message| self.data(message));
            if let super::To::Expr(ops) = &mut delivery.to {
                for op in ops {
                    match op {
                        Op::Members(scope, group) => self.group(scope, group),
                        Op::Subscribers(topic) => *topic = self.topic(topic),
                        Op::Pids(_) | Op::Union | Op::Intersection | Op::Subtract => {}
                    }
                }
            }
        }
    }

    fn key(&mut self, table: &str, key: &mut Term) {
        key.0 = self.keys.of("key-", table, &key.0).into_bytes();
    }

    fn group(&mut self, scope: &str, group: &mut Term) {
        group.0 = self.groups.of("group-", scope, &group.0).into_bytes();
    }

    /// Its segments that are a user's name, or several of them together, are the pseudonym. So is one that looks like a
    /// pseudonym and is none: it would name somebody else.
    fn topic(&mut self, topic: &str) -> String {
        if !self.takes(Redacted::Users) {
            return topic.to_owned();
        }
        let segments: Vec<&str> = topic.split('.').collect();
        let (mut redacted, mut at) = (Vec::new(), 0);
        while at < segments.len() {
            let mut longest_first = (at + 1..=segments.len()).rev();
            let user = longest_first.find_map(|end| Some((self.users.known(USER, &segments[at..end].join("."))?, end)));
            let (segment, end) = user.unwrap_or_else(|| (self.of_nobody(segments[at]), at + 1));
            redacted.push(segment);
            at = end;
        }
        redacted.join(".")
    }

    fn of_nobody(&mut self, segment: &str) -> String {
        let looks_like_one = segment.strip_prefix(USER).is_some_and(|rest| rest.parse::<u64>().is_ok());
        if looks_like_one { self.users.of(USER, "", segment.as_bytes()) } else { segment.to_owned() }
    }

    fn data(&self, data: &mut Data) {
        data.0 = match &data.0 {
            Payload::Json(json) => Payload::Json(shape_json(json, self.takes(Redacted::Users)).into()),
            Payload::Text(text) => Payload::Text(shape(text)),
            Payload::Binary(bytes) => Payload::Binary(vec![0; bytes.len()].into()),
        };
    }

    fn value(&self, value: &mut Term) {
        let is_json = serde_json::from_slice::<&RawValue>(&value.0).is_ok();
        value.0 = match std::str::from_utf8(&value.0) {
            Ok(_) if is_json => shape_json(&value.0, self.takes(Redacted::Users)),
            Ok(text) => shape(text).into_bytes(),
            Err(_) => vec![0; value.0.len()],
        };
    }
}

fn redact_fault(fault: &mut Fault) {
    fault.words = shape(&fault.words);
}

/// Letters become `x`, digits `0`; what stands between words stays.
fn shape(text: &str) -> String {
    let placeholder = |c: char| match c {
        c if c.is_ascii_digit() => '0',
        c if c.is_ascii_punctuation() || c == ' ' => c,
        _ => 'x',
    };
    text.chars().map(placeholder).collect()
}

/// The same of the strings and numbers of valid JSON, and if wanted of the names of members.
fn shape_json(json: &[u8], names: bool) -> Vec<u8> {
    let (mut shaped, mut at) = (Vec::with_capacity(json.len()), 0);
    while at < json.len() {
        match json[at] {
            b'"' => {
                let end = end_of_string(json, at);
                let is_name = json[end..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
                if is_name && !names {
                    shaped.extend_from_slice(&json[at..end]);
                } else {
                    let inner = String::from_utf8_lossy(&json[at + 1..end.saturating_sub(1).max(at + 1)]);
                    shaped.push(b'"');
                    shaped.extend(shape_string(&inner).bytes());
                    shaped.push(b'"');
                }
                at = end;
            }
            // A number must not begin with a zero.
            digit if digit.is_ascii_digit() => {
                shaped.push(b'1');
                at += 1;
            }
            other => {
                shaped.push(other);
                at += 1;
            }
        }
    }
    shaped
}

/// Beyond the quote that ends it.
fn end_of_string(json: &[u8], begin: usize) -> usize {
    let mut at = begin + 1;
    while at < json.len() {
        match json[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    json.len()
}

/// What stands between the quotes; an escape is one letter.
fn shape_string(inner: &str) -> String {
    let (mut shaped, mut chars) = (String::new(), inner.chars());
    while let Some(c) = chars.next() {
        if c == '\\' {
            if chars.next() == Some('u') {
                chars.by_ref().take(4).for_each(drop);
            }
            shaped.push('x');
        } else {
            shaped.push_str(&shape(c.encode_utf8(&mut [0; 4])));
        }
    }
    shaped
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
