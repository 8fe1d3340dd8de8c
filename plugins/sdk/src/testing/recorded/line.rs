//! One line of recorded events: what it says, and what it may say.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::{ExitReason, Payload};

/// A line, understood.
pub(super) struct Line {
    pub(super) act: Act,
    pub(super) topic: Option<String>,
    pub(super) expected: Expected,
    pub(super) table: Option<Cell>,
}

/// What happens.
pub(super) enum Act {
    Config(String),
    /// Of all lines from here on.
    Topic,
    Open {
        name: String,
        user: Option<String>,
        params: Option<String>,
    },
    Join(String),
    Publish {
        by: Option<String>,
        data: Payload,
    },
    Leave(String),
    Exit(String, ExitReason),
    Wait(u64),
    Insert(Insert),
    /// Nothing; it is only looked into a table.
    Look,
}

/// What should come of it.
pub(super) struct Expected {
    pub(super) messages: Option<BTreeMap<String, Vec<Value>>>,
    pub(super) others_too: bool,
    /// Words of the refusal.
    pub(super) refused: Option<String>,
    pub(super) invalid: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Insert {
    pub(super) table: String,
    pub(super) key: String,
    #[serde(rename = "value")]
    pub(super) text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cell {
    pub(super) name: String,
    pub(super) key: String,
    pub(super) value: Option<String>,
}

/// A line as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    config: Option<Box<RawValue>>,
    topic: Option<String>,
    open: Option<String>,
    #[serde(default, deserialize_with = "even_null")]
    user: Option<Name>,
    params: Option<Box<RawValue>>,
    join: Option<String>,
    #[serde(default, deserialize_with = "even_null")]
    publish: Option<Name>,
    data: Option<Box<RawValue>>,
    leave: Option<String>,
    exit: Option<String>,
    reason: Option<Reason>,
    wait_ms: Option<u64>,
    insert: Option<Insert>,
    table: Option<Cell>,
    expect: Option<BTreeMap<String, Value>>,
    refused: Option<String>,
    invalid: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reason {
    Normal,
    Shutdown,
    Killed,
    Timeout,
}

/// A name, or null, which says something, too: that there is none.
struct Name(Option<String>);

fn even_null<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Name>, D::Error> {
    Option::deserialize(value).map(|name| Some(Name(name)))
}

impl Line {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str::<Written>(text).and_then(Self::of).map_err(|wrong| wrong.to_string())
    }

    fn of(written: Written) -> Result<Self, serde_json::Error> {
        let Written { open, user, params, publish, data, exit, reason, .. } = written;
        let misplaced = [
            ("user", user.is_some() && open.is_none()),
            ("params", params.is_some() && open.is_none()),
            ("data", data.is_some() && publish.is_none()),
            ("reason", reason.is_some() && exit.is_none()),
        ];
        if let Some((key, _)) = misplaced.into_iter().find(|(_, is_misplaced)| *is_misplaced) {
            return Err(serde_json::Error::custom(format!("`{key}` belongs to another step than this one")));
        }
        let reason = reason.unwrap_or(Reason::Normal).into();
        let payload = || payload(data.as_deref().map_or("null", RawValue::get));
        let acts = [
            written.config.map(|config| Act::Config(config.get().to_owned())),
            open.map(|name| Act::Open {
                user: user.map_or_else(|| Some(name.clone()), |Name(user)| user),
                params: params.map(|params| params.get().to_owned()),
                name,
            }),
            written.join.map(Act::Join),
            publish.map(|Name(by)| Ok(Act::Publish { by, data: payload()? })).transpose()?,
            written.leave.map(Act::Leave),
            exit.map(|name| Act::Exit(name, reason)),
            written.wait_ms.map(Act::Wait),
            written.insert.map(Act::Insert),
        ];
        let mut acts = acts.into_iter().flatten();
        let act = match (acts.next(), acts.next()) {
            (Some(act), None) => act,
            (None, _) if written.table.is_some() => Act::Look,
            (None, _) if written.topic.is_some() => Act::Topic,
            (None, _) => return Err(serde_json::Error::custom("a line says what happens")),
            (Some(_), Some(_)) => return Err(serde_json::Error::custom("a line is one step")),
        };
        let expected = Expected::of(written.expect, written.refused, written.invalid)?;
        Ok(Self { act, topic: written.topic, expected, table: written.table })
    }
}

impl Expected {
    fn of(
        messages: Option<BTreeMap<String, Value>>,
        refused: Option<String>,
        invalid: Option<String>,
    ) -> Result<Self, serde_json::Error> {
        if [messages.is_some(), refused.is_some(), invalid.is_some()].into_iter().filter(|is_said| *is_said).count() > 1
        {
            return Err(serde_json::Error::custom("a step has one of `expect`, `refused` and `invalid`"));
        }
        let mut others_too = false;
        let mut of_each = BTreeMap::new();
        let is_some = messages.is_some();
        for (name, value) in messages.into_iter().flatten() {
            match (name.as_str(), value) {
                ("...", Value::Bool(others)) => others_too = others,
                (_, Value::Array(list)) => drop(of_each.insert(name, list)),
                _ => {
                    let words = format!("what {name} receives is a list of messages");
                    return Err(serde_json::Error::custom(words));
                }
            }
        }
        Ok(Self { messages: is_some.then_some(of_each), others_too, refused, invalid })
    }
}

impl From<Reason> for ExitReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Normal => Self::Normal,
            Reason::Shutdown => Self::Shutdown,
            Reason::Killed => Self::Killed,
            Reason::Timeout => Self::Timeout,
        }
    }
}

/// What is no JSON is written as an object with one key that says what it is, and so is JSON that would be taken for one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
enum Wrapped {
    #[serde(rename = "$text")]
    Text(String),
    #[serde(rename = "$base64")]
    Base64(String),
    #[serde(rename = "$json")]
    Json(String),
}

/// JSON byte for byte, as a client would send it.
fn payload(json: &str) -> Result<Payload, serde_json::Error> {
    match serde_json::from_str(json) {
        Ok(Wrapped::Text(text)) => Ok(Payload::Text(text)),
        Ok(Wrapped::Json(text)) => serde_json::from_str(&text).map(|IgnoredAny| Payload::Json(text.into_bytes())),
        Ok(Wrapped::Base64(text)) => STANDARD.decode(text).map(Payload::Binary).map_err(serde_json::Error::custom),
        Err(_) => Ok(Payload::Json(json.as_bytes().to_vec())),
    }
}

/// The JSON of a message that is wanted to the letter, `"$any"` and all.
pub(super) fn to_the_letter(expected: &Value) -> Option<Value> {
    match Wrapped::deserialize(expected) {
        Ok(Wrapped::Json(text)) => serde_json::from_str(&text).ok(),
        _ => None,
    }
}

/// As a line would write it, but for JSON that would be taken for something else.
pub(super) fn written(payload: &Payload) -> Value {
    match payload {
        Payload::Json(_) => super::super::as_json(payload),
        Payload::Text(text) => serde_json::json!({ "$text": text }),
        Payload::Binary(bytes) => serde_json::json!({ "$base64": STANDARD.encode(bytes) }),
    }
}
