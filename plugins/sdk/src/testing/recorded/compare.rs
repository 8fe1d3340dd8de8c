//! What was expected and what came, and the words for the difference.

use std::collections::BTreeMap;

use serde_json::Value;

use super::line::{Cell, Expected, to_the_letter, written};
use crate::{Payload, Refusal};

/// In place of a value it stands for any.
const ANY: &str = "$any";

/// Whether the step was refused as expected.
pub(super) fn answer(expected: &Expected, came: &Result<(), Refusal>) -> Vec<String> {
    let Expected { refused, invalid, .. } = expected;
    let fits = match came {
        Ok(()) => refused.is_none() && invalid.is_none(),
        Err(Refusal::Refused(words)) => refused.as_ref().is_some_and(|expected| words.contains(expected)),
        Err(Refusal::Invalid(words)) => invalid.as_ref().is_some_and(|expected| words.contains(expected)),
    };
    if fits {
        return Vec::new();
    }
    let expected = match (refused, invalid) {
        (Some(words), _) => format!("refused: {words}"),
        (None, Some(words)) => format!("invalid: {words}"),
        (None, None) => "no refusal".to_owned(),
    };
    let came = came.as_ref().map_or_else(ToString::to_string, |()| "no refusal".to_owned());
    vec![format!("expected  {expected}"), format!("came      {came}")]
}

/// Whether each session received what it should.
pub(super) fn messages(
    expected: &BTreeMap<String, Vec<Value>>,
    others_too: bool,
    came: &BTreeMap<&str, Vec<Payload>>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for name in expected.keys().filter(|name| !came.contains_key(name.as_str())) {
        wrong.push(format!("no session {name} was opened"));
    }
    for (name, came) in came {
        match expected.get(*name) {
            Some(expected) => wrong.extend(inbox(name, expected, came)),
            None if others_too => {}
            None => wrong.extend(inbox(name, &[], came)),
        }
    }
    wrong
}

/// One line for each message that is not as expected, in the manner of a diff.
fn inbox(name: &str, expected: &[Value], came: &[Payload]) -> Vec<String> {
    let mut wrong = Vec::new();
    for at in 0..expected.len().max(came.len()) {
        let (expected, came) = (expected.get(at), came.get(at));
        if let (Some(expected), Some(came)) = (expected, came)
            && is_as(expected, came)
        {
            continue;
        }
        let place = format!("{name}, message {}", at + 1);
        wrong.extend(expected.map(|message| format!("- {place}: {message}")));
        wrong.extend(came.map(|message| format!("+ {place}: {}", written(message))));
    }
    wrong
}

fn is_as(expected: &Value, came: &Payload) -> bool {
    match (to_the_letter(expected), came) {
        (Some(expected), Payload::Json(_)) => expected == written(came),
        _ => fits(expected, &written(came)),
    }
}

fn fits(expected: &Value, came: &Value) -> bool {
    match (expected, came) {
        (Value::String(any), _) if any == ANY => true,
        (Value::Array(expected), Value::Array(came)) => {
            expected.len() == came.len() && expected.iter().zip(came).all(|(expected, came)| fits(expected, came))
        }
        (Value::Object(expected), Value::Object(came)) => {
            let has = |(key, expected)| came.get(key).is_some_and(|came| fits(expected, came));
            expected.len() == came.len() && expected.iter().all(has)
        }
        _ => expected == came,
    }
}

/// Whether a table holds what it should.
pub(super) fn cell(expected: &Cell, came: Option<&[u8]>) -> Option<String> {
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    let fits = match (&expected.value, came) {
        (None, None) => true,
        (Some(text), Some(bytes)) => match (json(text.as_bytes()), json(bytes)) {
            (Some(expected), Some(came)) => fits(&expected, &came),
            _ => text == ANY || text.as_bytes() == bytes,
        },
        _ => false,
    };
    let words =
        |value: Option<&[u8]>| value.map_or("nothing".into(), |bytes| String::from_utf8_lossy(bytes).into_owned());
    let Cell { name, key, value } = expected;
    let place = format!("the table {name} under {key:?}");
    let expected = words(value.as_ref().map(String::as_bytes));
    (!fits).then(|| format!("{place} has {}, not {expected}", words(came)))
}
