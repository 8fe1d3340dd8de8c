//! Recorded events: what `volley plugin test` plays to a rule, compares, accepts, and strains.

use crate::ending::InTime as _;
use crate::guests;
use crate::harness::{Scratch, run, say};
use crate::terminal::{stderr, stdout};
use serde_json::Value;
use std::process::Command;

/// Plays events to the probe. The exit code, and all that was said.
#[track_caller]
pub(crate) fn play(events: &str, arguments: &[&str]) -> (i32, String) {
    let probe = guests::probe().to_str().expect("UTF-8");
    let output = run(&[&["plugin", "test", probe, "--events", events], arguments].concat());
    let code = output.status.code().expect("an exit code");
    (code, stdout(&output) + &stderr(&output))
}

/// A room with ann and bob, and these lines besides.
pub(crate) fn room(folder: &Scratch, lines: &str) -> String {
    let opening = "{\"topic\": \"probe.room\"}\n{\"open\": \"ann\"}\n{\"open\": \"bob\", \"params\": {\"a\": 1}}\n";
    folder.file("events.jsonl", &format!("{opening}{{\"join\": \"ann\"}}\n{{\"join\": \"bob\"}}\n{lines}"))
}

const ALL_IS_AS_EXPECTED: &str = r#"
{"publish": "ann", "data": {"n": 1}, "expect": {"ann": [{"n": 1}], "bob": [{"n": "$any"}]}}
{"publish": null, "data": {"$text": "hi"}, "expect": {"ann": [{"$text": "hi"}], "bob": ["hi"]}}
{"publish": null, "data": {"$base64": "aGk="}, "expect": {"ann": [{"$base64": "aGk="}], "...": true}}
{"publish": "bob", "data": {"do": "refuse", "words": "not today"}, "refused": "today"}
{"publish": "bob", "data": {"do": "invalid", "words": "what?"}, "invalid": "what"}
{"open": "eve", "user": null, "params": {"refuse": "not you"}}
{"join": "eve", "refused": "not you"}
{"publish": "ann", "data": {"do": "timer", "delay_ms": 1000, "data": "ding"}, "expect": {"ann": ["$any"]}}
{"wait_ms": 999, "expect": {}}
{"wait_ms": 1, "expect": {"ann": ["ding"], "bob": ["ding"]}}
{"publish": "ann", "data": {"do": "time"}, "expect": {"ann": [{"ok": {"system_ms": 1767225601000, "monotonic_us": 2000000}}]}}
{"publish": "ann", "data": {"do": "table", "name": "bans", "op": "open", "ttl_ms": 500}}
{"insert": {"table": "bans", "key": "bob", "value": "1"}}
{"table": {"name": "bans", "key": "bob", "value": "1"}}
{"table": {"name": "bans", "key": "carl", "value": null}}
{"wait_ms": 499, "expect": {}}
{"table": {"name": "bans", "key": "bob", "value": "1"}}
{"wait_ms": 2, "expect": {}}
{"table": {"name": "bans", "key": "bob", "value": null}}
{"leave": "bob", "expect": {}}
{"publish": null, "data": 2, "expect": {"ann": [2]}}
{"exit": "ann", "reason": "timeout", "expect": {}}
{"open": "ann"}
{"publish": null, "data": 3, "expect": {"ann": []}}
"#;

#[test]
fn what_is_as_expected_passes() {
    let folder = Scratch::new();
    let events = room(&folder, ALL_IS_AS_EXPECTED);
    let (code, said) = play(&events, &[]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("events.jsonl: ok, 28 steps, 20 compared; route p50 ") && said.contains("of 500 ms"),
        "{said}"
    );
    let (code, said) = play(&events, &["--json"]);
    assert_eq!(code, 0, "{said}");
    let found: Value = serde_json::from_str(&said).expect("JSON");
    let file = &found["files"][0];
    assert_eq!((&found["passed"], &file["compared"]), (&true.into(), &20.into()));
    let us = |share: &str| file["route_us"][share].as_f64().unwrap_or_default();
    assert!(us("p50") > 0.0 && us("p50") <= us("p99") && us("p99") <= us("max"), "{file}");
    assert!(file["memory_bytes"].as_u64().is_some_and(|bytes| bytes >= 65_536), "{file}");
}

#[test]
fn what_differs_is_shown_line_by_line_and_fails() {
    let folder = Scratch::new();
    let events = room(
        &folder,
        r#"{"publish": "ann", "data": {"n": 1, "to": ["x"]}, "expect": {"ann": [{"n": 1, "to": ["y"]}]}}
{"publish": "ann", "data": 2, "refused": "never"}
{"publish": "ann", "data": {"do": "refuse", "words": "<no> & \"no\""}, "expect": {"bob": [1]}}
{"publish": "ann", "data": {"do": "trap", "words": "over here"}}
{"publish": "ann", "data": 5, "expect": {"ann": [5], "bob": [5]}}
{"insert": {"table": "none", "key": "k", "value": "v"}}
"#,
    );
    let (code, said) = play(&events, &["--junit", &format!("{events}.xml")]);
    assert_eq!(code, 1, "{said}");
    for words in [
        "events.jsonl: FAILED, 10 steps, 4 compared, 5 failed",
        "line 6  {\"publish\": \"ann\", \"data\": {\"n\": 1, \"to\": [\"x\"]}",
        "  - {\"n\":1,\"to\":[\"y\"]}",
        "  + {\"n\": 1, \"to\": [\"x\"]}",
        ".to[0]: expected \"y\", came \"x\"",
        "bob was to receive nothing, and received",
        "expected \"refused\" with \"never\", but it was accepted",
        "it was refused: <no> & \"no\"",
        "the plugin failed: panicked at ",
        "[in guest_probe::",
        "the rule has not opened a table \"none\"",
        "1 of 1 file failed",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains('\x1b'), "colours are for terminals");
    let xml = std::fs::read_to_string(format!("{events}.xml")).expect("the XML");
    assert!(xml.contains("&lt;no&gt; &amp; &quot;no&quot;"), "{xml}");
    let Some((cases, failures)) = read_junit(&format!("{events}.xml")) else { return };
    assert_eq!((cases, failures), (6, 5), "{xml}");
}

/// A CI server showed the report of the run before, in which all was well.
#[test]
fn a_report_says_it_too_if_nothing_could_be_played() {
    let folder = Scratch::new();
    let events = room(&folder, "{\"publish\": \"ann\", \"data\": 1, \"expect\": {\"ann\": [1], \"bob\": [1]}}\n");
    let report = format!("{events}.xml");
    let (code, said) = play(&events, &["--junit", &report]);
    assert_eq!(code, 0, "{said}");
    std::fs::write(&events, "{\"jion\": \"ann\"}\n").expect("write");
    let (code, said) = play(&events, &["--junit", &report]);
    assert!(code == 1 && said.contains("jion"), "{said}");
    let xml = std::fs::read_to_string(&report).expect("the XML");
    assert!(xml.contains("errors=\"1\"") && xml.contains("jion"), "{xml}");
    let Some((cases, failures)) = read_junit(&report) else { return };
    assert_eq!((cases, failures), (1, 0), "{xml}");
}

/// How many cases and how many failures a reader of XML finds. None where there is no Python.
fn read_junit(file: &str) -> Option<(usize, usize)> {
    const READS: &str = "import sys, xml.etree.ElementTree as E\nt = E.parse(sys.argv[1])\ns = t.find('testsuite')\n\
        print(len(t.findall('.//testcase')), len(t.findall('.//failure')))\n\
        assert (s.get('tests'), s.get('failures')) == (str(len(s)), str(len(t.findall('.//failure'))))";
    let Ok(output) = Command::new("python3").args(["-c", READS, file]).output_in_time() else {
        say("SKIPPED: there is no python3, whose xml.etree would read the JUnit file");
        return None;
    };
    assert!(output.status.success(), "{}", stderr(&output));
    let numbers: Vec<usize> =
        stdout(&output).split_whitespace().map(|number| number.parse().expect("a number")).collect();
    Some((numbers[0], numbers[1]))
}

#[test]
fn what_came_is_accepted_in_place_and_is_the_same_in_each_run() {
    let folder = Scratch::new();
    let events = room(
        &folder,
        r#"{"publish": "ann", "data": {"do": "rand", "count": 2}}
{"publish": "ann", "data": {"do": "event"}}
{"publish": "bob", "data": {"do": "binary", "data": [104, 105]}}
{"publish": "bob", "data": {"do": "refuse", "words": "no"}}
"#,
    );
    let read = || std::fs::read_to_string(&events).expect("the events");
    let before = read();
    assert_eq!(play(&events, &["--accept"]), (0, format!("{events}: 6 steps accepted\n")));
    let after = read();
    let random = after.lines().nth(5).expect("a line");
    assert!(
        random
            .starts_with("{\"publish\": \"ann\", \"data\": {\"do\": \"rand\", \"count\": 2}, \"expect\": {\"ann\": ["),
        "{random}"
    );
    for words in ["\"sender\":1,\"time_ms\":1767225600000,", "{\"$base64\": \"aGk=\"}", ", \"refused\": \"no\"}"] {
        assert!(after.contains(words), "{words}: {after}");
    }
    assert_eq!(play(&events, &["--accept"]), (0, format!("{events}: 0 steps accepted\n")));
    assert_eq!(play(&events, &[]).0, 0);
    assert_eq!(read(), after);
    // From here on only what differs is written.
    let other = after.replace("\"refused\": \"no\"", "\"refused\" :\t\"yes\"");
    std::fs::write(&events, &other).expect("write");
    assert_eq!(play(&events, &[]).0, 1);
    assert_eq!(play(&events, &["--accept"]), (0, format!("{events}: 1 step accepted\n")));
    assert_eq!(read(), after);
    // A fault is nothing to expect.
    std::fs::write(
        &events,
        format!("{before}{{\"publish\": \"ann\", \"data\": {{\"do\": \"trap\", \"words\": \"x\"}}}}\n"),
    )
    .expect("write");
    let (code, said) = play(&events, &["--accept"]);
    assert!(code == 1 && said.contains("6 steps accepted") && said.contains("nothing to expect"), "{said}");
}

#[test]
fn a_tenth_of_each_limit_is_survived_or_told() {
    let folder = Scratch::new();
    let events = room(
        &folder,
        r#"{"publish": "ann", "data": {"do": "alloc", "mib": 8}, "expect": {"ann": ["$any"]}}
{"publish": "ann", "data": {"do": "flood", "deliveries": 500}, "expect": {"...": true}}
"#,
    );
    // Even a tenth of this is plenty on a machine that has other things to do.
    let (code, said) = play(&events, &["--fault", "--limit", "route_ms_max=5000"]);
    assert_eq!(code, 0, "{said}");
    let row = |limit: &str| said.lines().find(|line| line.starts_with(limit)).unwrap_or_else(|| panic!("{said}"));
    assert!(row("instance_bytes_max").contains("events.jsonl:6: the plugin failed: "), "{said}");
    assert!(row("instance_bytes_max").contains("instance_bytes_max)"), "{said}");
    assert!(
        row("deliveries_max").contains("events.jsonl:7: ") && row("deliveries_max").contains("deliveries_max"),
        "{said}"
    );
    assert!(row("timers_max").ends_with("survives"), "{said}");
    assert!(said.contains("with each of 21 limits at a tenth, one after the other, "), "{said}");
    // The other way round: an operator's own limits.
    let (code, said) = play(&events, &["--limit", "deliveries_max=100"]);
    assert!(code == 1 && said.contains("line 7") && said.contains("deliveries_max"), "{said}");
}

#[test]
fn a_rule_that_loops_is_stopped_and_the_command_goes_on() {
    let folder = Scratch::new();
    let events = room(
        &folder,
        "{\"publish\": \"ann\", \"data\": {\"do\": \"loop\"}}\n{\"publish\": \"ann\", \"data\": 1, \"expect\": {\"...\": true}}\n",
    );
    let (code, said) = play(&events, &["--limit", "route_ms_max=100"]);
    assert!(code == 1 && said.contains("stopped after 100 ms (route_ms_max)") && said.contains("1 failed"), "{said}");
    let (code, said) = play(&events, &["--config", "{\"init\":\"trap\"}"]);
    assert!(code == 1 && said.contains("FAILED: init failed: panicked") && said.contains("[in "), "{said}");
}

#[test]
fn a_file_that_is_wrong_is_told_with_its_place_and_usage_with_2() {
    let folder = Scratch::new();
    let events = room(&folder, "\n{\"publish\": \"ann\", \"dta\": 1}\n");
    let (code, said) = play(&events, &[]);
    assert!(code == 1 && said.contains("events.jsonl:7:20: \"dta\" does not go with \"publish\""), "{said}");
    assert_eq!(play("no-such-file", &[]).0, 1);
    let probe = guests::probe().to_str().expect("UTF-8");
    let usage = |arguments: &[&str]| run(&[&["plugin", "test"], arguments].concat()).status.code();
    assert_eq!(usage(&[probe]), Some(2), "which events?");
    assert_eq!(usage(&[probe, "--events", &events, "--accept", "--fault"]), Some(2));
    assert_eq!(usage(&[probe, "--events", &events, "--config", "{"]), Some(2));
    let empty = folder.path().to_str().expect("UTF-8");
    let test_empty = |words: &str| {
        let output = run(&["plugin", "test", empty]);
        assert!(output.status.code() == Some(1) && stderr(&output).contains(words), "{output:?}");
    };
    test_empty("holds no rule that can be built");
    folder.file("rule.c", "");
    test_empty("there are no recorded events");
    let scratch = Scratch::new();
    let bad = scratch.file("bad.wasm", "no component");
    let output = run(&["plugin", "test", &bad, "--events", &room(&folder, "")]);
    assert!(output.status.code() == Some(1) && stderr(&output).contains("not a valid component"), "{output:?}");
}

/// It was taken apart into numbers that have no room for it, and the program panicked.
#[test]
fn a_number_beyond_all_floats_comes_as_it_is() {
    let folder = Scratch::new();
    let lines = r#"{"publish": null, "data": 1e400, "expect": {"ann": [10e399], "bob": [1e400]}}
{"publish": null, "data": {"do": "timer", "delay_ms": 1, "data": 1}, "expect": {"...": true}}
{"publish": null, "data": [1e400], "expect": {"ann": [["$any"]], "bob": [[1e401]]}}
"#;
    let (code, said) = play(&room(&folder, lines), &[]);
    assert!(code == 1 && said.contains("3 compared, 1 failed"), "{said}");
    assert!(said.contains("[0]: expected 1e401, came 1e400"), "{said}");
}

/// They were compared as floats, which are the same beyond 2^53.
#[test]
fn whole_numbers_are_compared_by_all_their_digits() {
    let folder = Scratch::new();
    let lines = r#"{"publish": null, "data": 9007199254740992, "expect": {"ann": [9007199254740993], "...": true}}
{"publish": null, "data": 1.0, "expect": {"ann": [1], "bob": [10e-1]}}
"#;
    let (code, said) = play(&room(&folder, lines), &[]);
    assert!(code == 1 && said.contains("2 compared, 1 failed"), "{said}");
    assert!(said.contains("it: expected 9007199254740993, came 9007199254740992"), "{said}");
}

/// As many were told where the rule was as a server logs in a second, by the clock of the machine.
#[test]
fn each_fault_is_told_with_where_the_rule_was() {
    const FAULTS: usize = 5;
    let folder = Scratch::new();
    let line = "{\"publish\": \"ann\", \"data\": {\"do\": \"trap\", \"words\": \"x\"}}\n";
    let (code, said) = play(&room(&folder, &line.repeat(FAULTS)), &["--limit", "log_lines_per_s_max=2"]);
    assert_eq!((code, said.matches("[in guest_probe::").count()), (1, FAULTS), "{said}");
}

/// JSON that looks like what is no JSON can be published all the same.
#[test]
fn json_is_published_as_a_text_if_it_would_be_mistaken() {
    let folder = Scratch::new();
    let lines = r#"{"publish": "ann", "data": {"$json": "{\"$text\": 1}"}, "expect": {"ann": [{"$json": "{\"$text\":1}"}], "...": true}}
"#;
    assert_eq!(play(&room(&folder, lines), &[]).0, 0);
    let (code, said) = play(&room(&folder, "{\"publish\": null, \"data\": {\"$json\": \"{\"}}\n"), &[]);
    assert!(code == 1 && said.contains("events.jsonl:6:37: this is not JSON: "), "{said}");
}

/// It has something to hold a table to, and was taken for one in which everybody knows what is to come.
#[test]
fn a_file_that_only_looks_at_tables_can_be_accepted() {
    let folder = Scratch::new();
    let lines = r#"
{"publish": "ann", "data": {"do": "table", "name": "bans", "op": "open"}}
{"insert": {"table": "bans", "key": "bob", "value": "1"}}
{"publish": "ann", "data": 1}
{"table": {"name": "bans", "key": "bob", "value": "1"}}
"#;
    let events = room(&folder, lines);
    let (code, said) = play(&events, &["--accept"]);
    assert!(code == 0 && said.contains("4 steps accepted"), "{said}");
    let (code, said) = play(&events, &[]);
    assert!(code == 0 && said.contains("5 compared"), "{said}");
}

/// Nobody saw that most of what was played had come to nothing.
#[test]
fn what_was_refused_unexpectedly_is_told_of_what_passes_too() {
    let folder = Scratch::new();
    let refused = r#"{"publish": "bob", "data": {"do": "refuse", "words": "not today"}}"#;
    let (code, said) = play(&room(&folder, &format!("\n{refused}").repeat(12)), &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("line 7 was refused") && said.contains("and 2 more; --json has all"), "{said}");
}
