//! Traces that fit together, and those that do not.

use super::*;

const HEADER: &str = r#"{"trace":1,"volley":"0.1.0","node":0,"plugin":"chat","began_ms":1,"sample":1.0,"redacted":[],"faithful":true,"limits":{}}"#;
const VERSION: &str = r#"{"version":1,"sha256":"sha256:00","config":null}"#;
const END: &str = r#"{"end":"events","events":1,"left_out":0}"#;

fn event(id: u64, more: &str) -> String {
    format!(
        r#"{{"event":"{id}","time_ms":1,"topic":"a.b","kind":"publish","by":1,"generation":1{more},"met":{{}},"answer":{{"routed":{{"deliveries":[]}}}}}}"#
    )
}

fn parse(lines: &[&str]) -> Result<Trace, BadTrace> {
    Trace::parse((lines.join("\n") + "\n").as_bytes())
}

#[test]
fn what_the_trace_said_last_holds() {
    let subscribed = |pids: &str| format!(r#","subscribers":{{"a.b":[{pids}]}}"#);
    let (first, second) = (subscribed("\"<0.1.1>\""), subscribed(""));
    let events = [
        event(1, &format!(r#","users":{{"<0.1.1>":"ann","<0.2.1>":null}}{first}"#)),
        event(2, ""),
        event(3, &second),
        event(4, ""),
    ];
    let trace = parse(&[HEADER, VERSION, &events[0], &events[1], &events[2], &events[3], END]).unwrap();
    let counts: Vec<usize> = trace.events.iter().map(|recorded| recorded.subscribers["a.b"].len()).collect();
    assert_eq!(counts, [1, 1, 0, 0]);
    let [ann, nobody, unknown] = ["<0.1.1>", "<0.2.1>", "<0.3.1>"].map(|pid| trace.name(pid.parse().unwrap()));
    assert_eq!([&*ann, &*nobody, &*unknown], ["ann <0.1.1>", "<0.2.1>", "<0.3.1>"]);
    assert_eq!(trace.event(3).unwrap().line.event, 3);
    assert!(trace.event(5).is_none() && trace.end.is_some());
}

#[test]
fn a_damaged_trace_is_refused_with_the_number_of_the_line() {
    let event = event(1, "");
    let other = HEADER.replace("\"trace\":1", "\"trace\":2");
    for (lines, at, words) in [
        (&[VERSION][..], 1, "begins with its header"),
        (&[&other], 1, "format 2"),
        (&[HEADER, VERSION, HEADER], 3, "second header"),
        (&[HEADER, VERSION, VERSION], 3, "second version"),
        (&[HEADER, &event], 2, "version 1"),
        (&[HEADER, VERSION, END, &event], 4, "after the line"),
        (&[HEADER, VERSION, &event[..40]], 3, "EOF"),
        (&[HEADER, "", VERSION], 2, "no JSON object"),
    ] {
        let bad = parse(lines).unwrap_err();
        assert!(bad.line == at && bad.words.contains(words), "{lines:?}: {bad}");
    }
    let cut = Trace::parse(format!("{HEADER}\n{VERSION}").as_bytes()).unwrap_err();
    assert_eq!(cut.to_string(), "line 2: it does not end: the trace was cut off");
    assert_eq!(Trace::parse(b"").unwrap_err().line, 1);
    assert!(Trace::parse(b"\xff\n").unwrap_err().words.contains("no text"));
}
