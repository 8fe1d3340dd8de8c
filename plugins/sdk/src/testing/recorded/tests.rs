//! A replay finds what is wrong, says where, and lets pass what is right.

use super::replay;
use crate::{Event, Info, Kind, Options, Outcome, Refusal, Rule, Table, send_after, subscribers};
use std::time::Duration;

/// Forwards what is published, counts it, refuses `"no"` and `"what"`, and says `"late"` after five seconds.
struct Echo(Table<str, i64>);

impl Rule for Echo {
    fn info() -> Info {
        Info { name: "echo", version: "0.1.0", description: "" }
    }

    fn init(config: &str) -> Result<Self, String> {
        assert!(["null", r#"{"a": 1}"#].contains(&config), "the config as it stands: {config}");
        Ok(Self(Table::open("count", Options::set().ttl(Duration::from_mins(1)))?))
    }

    fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
        match event.kind {
            Kind::Join => Ok(Outcome::new().send(event.sender, &(event.user_name(), &event.params))),
            Kind::Publish => match event.json::<&str>() {
                Ok("no") => Err(Refusal::refused("not no, please")),
                Ok("what") => Err(Refusal::invalid("what is what?")),
                _ => {
                    self.0.update_counter("all", 1)?;
                    send_after(Duration::from_secs(5), &event.topic, "late")?;
                    Ok(Outcome::new().forward(subscribers() - event.sender))
                }
            },
            Kind::Timer => Ok(Outcome::new().forward(subscribers())),
            Kind::Leave | Kind::Exit(_) => Ok(Outcome::new().send(subscribers(), &format!("{:?}", event.kind))),
        }
    }
}

const SETUP: &str = r#"{"config": {"a": 1}}
{"topic": "t"}
{"open": "ann"}
{"open": "bob", "user": null, "params": {"p": [1]}}
{"join": "ann", "expect": {"ann": [["ann", null]]}}
{"join": "bob", "expect": {"bob": [["$any", "{\"p\": [1]}"]]}}
"#;

fn wrong(lines: &str) -> String {
    replay::<Echo>(&format!("{SETUP}{lines}"), "e.jsonl").expect_err("something is wrong")
}

#[test]
fn what_is_right_passes() {
    let lines = r#"{"publish": "ann", "data": {"deep": [1, {"x": 2}]}, "expect": {"bob": [{"deep": ["$any", {"x": "$any"}]}]}}
{"publish": null, "data": {"$text": "hi"}, "expect": {"ann": [{"$text": "hi"}], "...": true}}
{"publish": "bob", "data": {"$base64": "AP8="}, "expect": {"ann": [{"$base64": "AP8="}], "bob": []}}
{"publish": "bob", "data": "no", "refused": "not no"}
{"publish": "bob", "data": "what", "invalid": "what?"}
{"table": {"name": "count", "key": "all", "value": "3"}}
{"wait_ms": 4999, "expect": {}}
{"wait_ms": 1, "expect": {"ann": ["late", "late", "late"], "bob": ["late", "late", "late"]}}
{"insert": {"table": "count", "key": "all", "value": "41"}}
{"publish": "ann", "data": 1, "table": {"name": "count", "key": "all", "value": "42"}}
{"wait_ms": 60000, "table": {"name": "count", "key": "all", "value": null}}
{"exit": "bob", "reason": "killed", "expect": {"ann": ["Exit(ExitReason::Killed)"]}}
{"leave": "ann", "expect": {}}
"#;
    replay::<Echo>(&format!("{SETUP}{lines}"), "e.jsonl").unwrap_or_else(|report| panic!("{report}"));
}

#[test]
fn json_that_looks_like_what_is_none_is_a_text() {
    for json in [r#"{\"$text\": 1}"#, r#"{\"$text\": \"hi\"}"#, r#"[\"$any\"]"#, r#"{\"$json\": \"1\"}"#] {
        let data = format!(r#"{{"$json": "{json}"}}"#);
        let line =
            |expected: &str| format!(r#"{{"publish": "ann", "data": {data}, "expect": {{"bob": [{expected}]}}}}"#);
        replay::<Echo>(&format!("{SETUP}{}", line(&data)), "e.jsonl").unwrap_or_else(|report| panic!("{report}"));
        wrong(&line(r#"{"$json": "[1]"}"#));
    }
    assert!(wrong(r#"{"publish": "ann", "data": {"$json": "{"}}"#).contains("EOF"));
}

#[test]
fn what_is_wrong_is_shown_with_its_place() {
    let report = wrong(r#"{"publish": "ann", "data": [1], "expect": {"ann": [2], "bob": [[3]]}}"#);
    let shown = "e.jsonl:7: {\"publish\": \"ann\", \"data\": [1], \"expect\": {\"ann\": [2], \"bob\": [[3]]}}\n  \
                 - ann, message 1: 2\n  - bob, message 1: [3]\n  + bob, message 1: [1]\n";
    assert_eq!(report, shown);
    for (line, words) in [
        (r#"{"publish": "ann", "data": 1, "expect": {}}"#, "+ bob, message 1: 1"),
        (r#"{"publish": "ann", "data": {"a": 1}, "expect": {"bob": [{}]}}"#, r#"+ bob, message 1: {"a":1}"#),
        (r#"{"publish": null, "data": {"$text": "a"}, "expect": {"ann": ["a"], "...": true}}"#, r#"{"$text":"a"}"#),
        (r#"{"publish": "ann", "data": "no"}"#, "came      refused: not no, please"),
        (r#"{"publish": "ann", "data": "no", "invalid": "no"}"#, "expected  invalid: no"),
        (r#"{"publish": "ann", "data": 1, "refused": "no"}"#, "came      no refusal"),
        (r#"{"table": {"name": "count", "key": "all", "value": "0"}}"#, "has nothing, not 0"),
        (r#"{"table": {"name": "other", "key": "all", "value": "0"}}"#, "the rule has opened no table other"),
        (r#"{"leave": "eve"}"#, "no session eve was opened"),
        (r#"{"wait_ms": 1, "expect": {"eve": []}}"#, "no session eve was opened"),
        (r#"{"open": "ann"}"#, "there is a session ann already"),
        (r#"{"config": {}}"#, "a config stands in the first line"),
    ] {
        let report = wrong(line);
        assert!(report.starts_with(&format!("e.jsonl:7: {line}\n")) && report.contains(words), "{report}");
    }
}

#[test]
fn what_is_no_step_is_told_before_anything_is_run() {
    for (line, words) in [
        (r#"{"jion": "ann"}"#, "unknown field `jion`"),
        (r#"{"join": "ann", "leave": "ann"}"#, "one step"),
        (r#"{"expect": {}}"#, "says what happens"),
        (r#"{"join": "ann", "expect": {}, "refused": "no"}"#, "one of `expect`"),
        (r#"{"join": "ann", "data": 1}"#, "`data` belongs to another step"),
        (r#"{"join": "ann", "expect": {"ann": 1}}"#, "what ann receives is a list"),
        (r#"{"exit": "ann", "reason": "tired"}"#, "unknown variant `tired`"),
        (r#"{"publish": "ann", "data": {"$base64": "?"}}"#, "nvalid"),
        ("nothing", "expected"),
    ] {
        let report = wrong(line);
        assert!(report.starts_with("e.jsonl:7: ") && report.contains(words), "{line}: {report}");
    }
}
