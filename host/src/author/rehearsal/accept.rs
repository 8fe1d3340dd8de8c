//! `--accept`: what came becomes what is expected, in place; all else in the file stays byte for byte.

use super::Played;
use super::script::{Action, Expected, Script, Step};
use super::stage::{Outcome, Refused};
use super::verdict::{Failure, Verdict};
use super::wanted::{Came, Wanted};
use crate::router::Fault;
use crate::whole_file;
use std::ops::Range;

/// What became of a file.
pub(super) struct Accepted<'a> {
    pub(super) played: &'a Played<'a>,
    /// How many have new expectations, or why the file is as it was.
    pub(super) steps: Result<usize, String>,
}

impl<'a> Accepted<'a> {
    /// What can't be expected, a fault, stays what it is: a failure.
    pub(super) fn left(&self) -> impl Iterator<Item = &'a Failure<'a>> {
        let failures = self.played.verdict.iter().flat_map(|verdict| &verdict.failures);
        failures.filter(|failure| !failure.is_acceptable)
    }
}

/// Writes what came into each of the files.
pub(super) fn run<'a>(played: &'a [Played<'a>]) -> Vec<Accepted<'a>> {
    played.iter().map(|played| Accepted { played, steps: write(played) }).collect()
}

/// How many steps have new expectations. What was changed since it was read is somebody's work, and stays.
fn write(played: &Played<'_>) -> Result<usize, String> {
    let verdict = played.verdict.as_ref().map_err(Fault::report)?;
    let (text, count) = accepted(verdict);
    let Script { file, text: before, .. } = verdict.script;
    if count > 0 {
        let now = std::fs::read(file).map_err(|error| format!("it can't be read again: {error}"))?;
        // It may be named twice.
        if now != text.as_bytes() {
            if now != before.as_bytes() {
                return Err("it was changed while it was played; run this again".into());
            }
            whole_file::write(file, text.as_bytes()).map_err(|error| format!("it can't be written: {error}"))?;
        }
    }
    Ok(count)
}

/// The file's new text, and how many steps have new expectations. In a file that expects nothing yet all steps get some;
/// else only those that had other ones.
fn accepted(verdict: &Verdict<'_>) -> (String, usize) {
    let script = verdict.script;
    let is_new = !script.steps.iter().any(|step| can_expect(&step.action) && step.expected != Expected::Anything);
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for (at, (step, outcome)) in script.steps.iter().zip(&verdict.outcomes).enumerate() {
        let failed = verdict.failures.iter().find(|failure| failure.at == at);
        let wants =
            failed.map_or(is_new && can_expect(&step.action) && outcome.trouble.is_empty(), |f| f.is_acceptable);
        if wants {
            edits.push(edit(script, step, outcome));
        }
    }
    let count = edits.len();
    let mut text = script.text.clone();
    for (range, said) in edits.into_iter().rev() {
        text.replace_range(range, &said);
    }
    (text, count)
}

fn can_expect(action: &Action) -> bool {
    matches!(
        action,
        Action::Join { .. } | Action::Publish { .. } | Action::Leave { .. } | Action::Exit { .. } | Action::Wait { .. }
    )
}

/// Which part of the file is replaced, and by what.
fn edit(script: &Script, step: &Step, outcome: &Outcome) -> (Range<usize>, String) {
    let line = script.line(step);
    let (colon, comma) = if line.contains("\":") && !line.contains("\": ") { (":", ",") } else { (": ", ", ") };
    let said = said(step, outcome, colon, comma);
    if let Some(said_at) = &step.said {
        return (step.range.start + said_at.start..step.range.start + said_at.end, said);
    }
    // Before the bracket that ends the line.
    let end = step.range.start + line.trim_end().len() - 1;
    let end = script.text[..end].trim_end().len();
    (end..end, format!("{comma}{said}"))
}

fn said(step: &Step, outcome: &Outcome, colon: &str, comma: &str) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    if let Expected::Value(_) = step.expected {
        return outcome.values.first().map_or_else(|| "null".into(), |value| text(value));
    }
    match &outcome.refused {
        Some(Refused::Refused(words)) => return format!("\"refused\"{colon}{}", text(words)),
        Some(Refused::Invalid(words)) => return format!("\"invalid\"{colon}{}", text(words)),
        None => {}
    }
    let (before, others) = match &step.expected {
        Expected::Messages { of, others } => (of.as_slice(), *others),
        _ => (&[][..], false),
    };
    let mut members: Vec<String> = Vec::new();
    let came_to = |name: &str| outcome.came.iter().find(|(to, _)| to == name).map_or(&[][..], |(_, came)| came);
    for (name, wanted) in before {
        let came = came_to(name).iter().enumerate();
        let renewed = came.map(|(at, came)| wanted.get(at).map_or_else(|| came.said(), |w: &Wanted| w.renewed(came)));
        members.push(format!("{}{colon}[{}]", text(name), renewed.collect::<Vec<_>>().join(comma)));
    }
    for (name, came) in outcome.came.iter().filter(|(name, _)| !others && !before.iter().any(|(b, _)| b == name)) {
        let all: Vec<_> = came.iter().map(Came::said).collect();
        members.push(format!("{}{colon}[{}]", text(name), all.join(comma)));
    }
    if others {
        members.push(format!("\"...\"{colon}true"));
    }
    format!("\"expect\"{colon}{{{}}}", members.join(comma))
}

#[cfg(test)]
mod tests {
    use super::super::verdict::Measured;
    use super::super::wanted::{ANY, BASE64, JSON, TEXT};
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::path::Path;

    fn came(name: &str, all: &[Value]) -> (String, Vec<Came>) {
        (name.into(), all.iter().map(|data| Came::new(data.to_string(), false)).collect())
    }

    fn accept(text: &str, outcomes: Vec<Outcome>) -> (String, usize) {
        let script = Script::parse(Path::new("a.jsonl"), text.into()).unwrap();
        assert_eq!(script.steps.len(), outcomes.len());
        accepted(&Verdict::of(&script, outcomes, Measured::default()))
    }

    #[test]
    fn only_what_differs_is_written_and_all_else_stays() {
        let before = concat!(
            "{\"topic\":\"a\"}\r\n\n  {\"open\":\"ann\"}\r\n",
            "{ \"publish\": null,\t\"expect\": {\"ann\": [{\"id\": \"$any\", \"n\": 1}], \"...\": true}, \"data\": 1 }\n",
            "{\"publish\":null,\"data\":2,\"expect\":{\"ann\":[2]}}\n",
            "{\"publish\":null,\"data\":3,\"refused\":\"never\"}\n",
            "{\"publish\":null,\"data\":4}\n",
            "{\"table\":{\"value\":null,\"name\":\"t\",\"key\":\"k\"}}",
        );
        let outcomes = || {
            vec![
                Outcome::default(),
                Outcome { came: vec![came("ann", &[json!({"id": 7, "n": 2})])], ..Outcome::default() },
                Outcome { came: vec![came("ann", &[json!(2)])], ..Outcome::default() },
                Outcome { refused: Some(Refused::Invalid("no \"3\"".into())), ..Outcome::default() },
                Outcome { came: vec![came("ann", &[json!(4)])], ..Outcome::default() },
                Outcome { values: vec!["v".into()], ..Outcome::default() },
            ]
        };
        let (after, count) = accept(before, outcomes());
        let expected = before
            .replace("[{\"id\": \"$any\", \"n\": 1}], \"...\"", "[{\"id\":\"$any\",\"n\":2}], \"...\"")
            .replace("\"refused\":\"never\"", "\"invalid\":\"no \\\"3\\\"\"")
            .replace("\"value\":null", "\"value\":\"v\"");
        assert_eq!((after.as_str(), count), (expected.as_str(), 3));
        assert_eq!(accept(&after, outcomes()), (after.clone(), 0), "what was accepted is what came");
    }

    #[test]
    fn a_file_that_expects_nothing_yet_gets_all_of_it() {
        let before = "{\"topic\": \"a\"}\n{\"open\": \"ann\"}\n{\"join\": \"ann\" }\n{\"wait_ms\": 1}\n";
        let outcomes = vec![
            Outcome::default(),
            Outcome { came: vec![came("ann", &[json!("hi")])], ..Outcome::default() },
            Outcome { trouble: vec!["it failed".into()], ..Outcome::default() },
        ];
        let (after, count) = accept(before, outcomes);
        assert_eq!(after, before.replace("\"ann\" }", "\"ann\", \"expect\": {\"ann\": [\"hi\"]} }"));
        assert_eq!(count, 1, "a fault is nothing to expect");
    }

    /// JSON as a rule may write it, with all that files have words for.
    fn message() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            prop::sample::select(vec!["null", "true", "1e400", "-0.0", "9007199254740993", "\"aGk=\""])
                .prop_map(String::from),
            Just(Value::from(ANY).to_string()),
            any::<i64>().prop_map(|number| number.to_string()),
            ".{0,6}".prop_map(|text| Value::from(text).to_string()),
        ];
        let key = prop::sample::select(vec![ANY, TEXT, BASE64, JSON, "a", "b"]);
        leaf.prop_recursive(3, 12, 3, move |inner| {
            let member = (key.clone(), inner.clone()).prop_map(|(key, value)| format!("\"{key}\" :{value}"));
            prop_oneof![
                prop::collection::vec(inner, 0..3).prop_map(|all| format!("[{}]", all.join(", "))),
                prop::collection::vec(member, 0..3).prop_map(|all| format!("{{{}}}", all.join(","))),
            ]
        })
    }

    /// What comes of a file in which one session receives these messages at the second step.
    fn received<'a>(script: &'a Script, messages: &[Came]) -> Verdict<'a> {
        let came = Outcome { came: vec![("ann".into(), messages.to_vec())], ..Outcome::default() };
        Verdict::of(script, vec![Outcome::default(), came], Measured::default())
    }

    fn script(expected: &str) -> Script {
        let text = format!("{{\"open\":\"ann\"}}\n{{\"wait_ms\":1{expected}}}");
        Script::parse(Path::new("a.jsonl"), text).unwrap_or_else(|bad| panic!("{bad}"))
    }

    #[test]
    fn a_message_as_deep_as_messages_are_is_as_expected_once_it_is_accepted() {
        let deep = format!("{}\"{ANY}\"{}", "[".repeat(127), "]".repeat(127));
        for messages in [[Came::new(deep.clone(), false)], [Came::new(deep.replace('$', ""), false)]] {
            let script = script("");
            let accepted = Script::parse(&script.file, accepted(&received(&script, &messages)).0).unwrap();
            assert!(accepted.checks() == 1 && received(&accepted, &messages).passed());
        }
    }

    proptest! {
        #[test]
        fn whatever_came_is_as_expected_once_it_is_accepted(
            came in prop::collection::vec((message(), prop::bool::weighted(0.1)), 1..4),
            expected in prop::option::of(prop::collection::vec(message(), 0..4)),
        ) {
            let came: Vec<_> = came.into_iter()
                .map(|(json, is_binary)| if is_binary { Came::new("\"aGk=\"".into(), true) } else { Came::new(json, false) })
                .collect();
            let expected = expected.map_or_else(String::new, |all| {
                let readable: Vec<_> = all.into_iter().filter(|message| Wanted::read(message).is_ok()).collect();
                format!(",\"expect\":{{\"ann\":[{}]}}", readable.join(","))
            });
            let script = script(&expected);
            let (text, _) = accepted(&received(&script, &came));
            let read = Script::parse(&script.file, text.clone());
            let read = read.map_err(|bad| TestCaseError::fail(format!("{bad}: {text}")))?;
            prop_assert!(read.checks() == 1 && received(&read, &came).passed(), "{}", text);
        }
    }
}
