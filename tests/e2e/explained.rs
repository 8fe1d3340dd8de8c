//! What `explain` and `replay` say is what happened, also where much happened at once or the trace has not all of it.

use crate::client::{Session, publish};
use crate::guests;
use crate::harness::{Scratch, Server};
use crate::http::{Connection, delete};
use crate::operator::Operator;
use crate::terminal::{failed, stdout};
use crate::traces::{bits, events, explain, record, replay, run, trace, trace_file};
use serde_json::{Value, json};

#[test]
fn whose_session_had_ended_has_got_nothing() {
    let (server, folder) = (Server::start_with_probe(&[]), Scratch::new());
    let operator = Operator::of(&server, "probe");
    record(&operator, &json!({}));
    let (mut ann, mut bob) = (Session::on(&server, "probe.a"), Session::on(&server, "probe.a"));
    bob.end();
    let never = "<0.77.3>";
    let to = [&*ann.pid, &bob.pid, never].map(bits);
    let published = ann.publish("probe.a", &json!({"do": "pids", "to": to}));
    assert_eq!(published.recipients, 1);
    let trace = trace_file(&operator, &folder);
    for gone in [&*bob.pid, never] {
        let said = explain(&trace, &published.event, &["--for", gone]);
        let why = format!("{gone} did not get delivery 1 because it is named by the rule, but its session had ended\n");
        assert!(said.starts_with(&why), "{said}");
        assert!(said.contains(&format!("whom the rule named: {}\n", ann.pid)), "{said}");
    }
    let (code, said) = replay(&trace, guests::probe(), &[]);
    assert_eq!(code, Some(0), "{said}");
}

/// It was taken for nothing said.
#[test]
fn who_said_null_said_something() {
    let (server, folder) = (Server::start_with_probe(&[]), Scratch::new());
    let operator = Operator::of(&server, "probe");
    let mut ann = Session::on(&server, "probe.a");
    record(&operator, &json!({}));
    let published = ann.publish("probe.a", &Value::Null);
    let said = explain(&trace_file(&operator, &folder), &published.event, &[]);
    assert!(said.contains("it said null\n"), "{said}");
}

#[test]
fn what_came_of_nothing_differs_from_nothing_and_is_told_as_it_was() {
    let (server, folder) = (Server::start_with_probe(&["--limit", "route_ms_max=10000"]), Scratch::new());
    let operator = Operator::of(&server, "probe");
    operator.set_routes(&json!([{"topics": "probe.>", "plugin": "probe", "config": {"announce": true}}]));
    let mut ann = Session::on(&server, "probe.a");
    record(&operator, &json!({}));
    let mut bob = Session::open_with(&server, &json!({"params": {"rounds": 300_000_000}}));
    let (joiner, token) = (bob.pid.clone(), bob.token.clone());
    let before = server.metric("volley_events_total");
    std::thread::scope(|threads| {
        let joining = threads.spawn(|| bob.try_join("probe.a").problem(410));
        server.wait_for_metric("volley_events_total", before + 1);
        Connection::open(&server.listen).call(&delete("/v1/sessions").token(&token)).expect(204);
        joining.join().expect("it was refused");
    });
    ann.publish("probe.a", &json!("after it"));
    let trace = trace_file(&operator, &folder);
    let join = events(&std::fs::read_to_string(&trace).expect("the trace")).remove(0);
    assert_eq!(join["unrouted"], json!("the session had ended"), "{join}");
    let said = explain(&trace, join["event"].as_str().expect("a number"), &["--for", &ann.pid]);
    let why =
        "did not get delivery 1 because it is subscribed to probe.a, but nothing came of it: the session had ended";
    assert!(said.starts_with(&format!("{} {why}\n", ann.pid)) && !said.contains("a moment later"), "{said}");
    let (code, said) = replay(&trace, guests::probe(), &["--event", join["event"].as_str().expect("a number")]);
    assert_eq!(code, Some(0), "{joiner}: {said}");
}

#[test]
fn a_size_that_other_lanes_change_is_replayed_as_it_was_told() {
    let (server, folder) = (Server::start_with_probe(&["--lanes", "4"]), Scratch::new());
    let operator = Operator::of(&server, "probe");
    record(&operator, &json!({"events": 4000}));
    let on = |op: Value| json!({"do": "table", "name": "t", "op": op});
    let write_and_ask = |room: usize| {
        let topic = format!("probe.room-{room}");
        let mut session = Session::open(&server);
        for n in 0..150 {
            session.publish(&topic, &on(json!({"insert": [[format!("{room}-{n}"), "x"]]})));
            session.publish(&topic, &on(json!("size")));
        }
    };
    std::thread::scope(|threads| {
        for room in 0..6 {
            let write_and_ask = &write_and_ask;
            threads.spawn(move || write_and_ask(room));
        }
    });
    let (code, said) = replay(&trace_file(&operator, &folder), guests::probe(), &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.ends_with("1800 events: 1800 the same, 0 different\n"), "{said}");
}

const HEADER: &str = r#"{"trace":1,"volley":"0.1.0","node":0,"plugin":"chat","began_ms":1,"sample":0.01,"topics":"a.>","redacted":["tables"],"faithful":false,"limits":{}}
{"version":1,"sha256":"sha256:00","config":null}
"#;

/// A trace with one event, of which this is said besides.
fn crafted(folder: &Scratch, more: &str, met: &str) -> String {
    let event = format!(
        r#"{{"event":"7","time_ms":1,"topic":"a.b","kind":"publish","by":1,"generation":1{more},"met":{{{met}}},"answer":{{"routed":{{"deliveries":[{{"to":"pids","list":["<0.5.1>"]}}]}}}}}}"#
    );
    folder.file("crafted.trace", &format!("{HEADER}{event}\n{{\"end\":\"time\",\"events\":1,\"left_out\":5000}}\n"))
}

#[test]
fn all_that_an_answer_may_have_come_from_is_told() {
    let folder = Scratch::new();
    let met = r#""tables":[{"table":"t","key":"k","before":[],"told":["v"],"after":["v"]},
        {"table":"t","key":"l","read":true,"before":["x"],"told":["y"],"after":["y"],"raced":true}],
        "counted":[{"table":"t","objects":3,"own":1}],
        "groups":[{"scope":"s","group":"g","before":[],"after":["<0.1.1>"],"raced":true}],
        "memberships":[{"scope":"s","pid":"<0.1.1>","groups":["g","h"]}],
        "denied":[{"call":"insert","table":"t","keys":["k"],"limit":"max-objects"}],
        "system_ms":[1700000000123],"monotonic_us":[42],"random":["4711"],"cancelled":[{"id":9,"was_waiting":true}]"#;
    let said = explain(&crafted(&folder, "", &met.replace('\n', "")), "7", &[]);
    for words in [
        "read table t, key \"k\": v\n",
        "read table t, key \"l\": x, and later y\n",
        "read the size of table t: 3\n",
        "read the groups of <0.1.1> in s before the event: \"g\", \"h\"\n",
        "read the time: 2023-11-14T22:13:20.123Z\n",
        "read the monotonic clock: 42 us\n",
        "read chance: 4711\n",
        "wrote table t, key \"l\": y (before: x; others wrote it meanwhile)\n",
        "wrote group \"g\" of s: <0.1.1> (before: nobody; others wrote it meanwhile)\n",
        "wrote timer 9: cancelled (before: it was to fire)\n",
        "was denied insert on table t, key \"k\": max-objects\n",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn a_trace_that_has_not_all_of_it_says_so() {
    let folder = Scratch::new();
    let trace = crafted(&folder, "", "");
    let probe = guests::probe().to_str().expect("UTF-8");
    for said in [explain(&trace, "7", &[]), stdout(&run(&["replay", &trace, "--plugin", probe]))] {
        for words in [
            "the trace is redacted",
            "the trace has only a sample of the events, 0.01 of them\n",
            "the trace has only events on a.>\n",
            "the trace lacks 5000 events for which there was no room\n",
            "the trace ends early: it has lasted as long as it may (record_ms_max)\n",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
}

#[test]
fn a_user_may_be_called_like_a_pid() {
    let folder = Scratch::new();
    let trace = crafted(&folder, r#","users":{"<0.5.1>":"0.2.3"}"#, "");
    assert!(explain(&trace, "7", &["--for", "0.2.3"]).starts_with("0.2.3 <0.5.1> got delivery 1"));
    assert!(explain(&trace, "7", &["--for", "0.5.1"]).starts_with("0.2.3 <0.5.1> got delivery 1"));
    assert!(explain(&trace, "7", &["--for", "<0.2.3>"]).starts_with("<0.2.3> did not get delivery 1"));
}

#[test]
fn a_terminal_is_not_told_what_a_trace_wants() {
    let folder = Scratch::new();
    let hostile = folder.file("hostile.trace", &HEADER.replace("\"topics\"", "\"\\u001b[2J\u{9b}\""));
    let said = failed(&run(&["explain", "7", "--trace", &hostile]));
    assert!(said.contains("line 1: unknown field"), "{said}");
    assert!(!said.contains(['\u{1b}', '\u{9b}']) && said.ends_with('\n'), "{said:?}");
}

#[test]
fn a_trace_of_users_names_none_in_topics_either() {
    let (server, folder) = (Server::start_plain(&[]), Scratch::new());
    let operator = Operator::of(&server, "topic");
    record(&operator, &json!({"redact": ["users"], "topics": "inbox.>"}));
    let mut ann = Session::open_with(&server, &json!({"user": "ann.lee", "topics": ["inbox.ann.lee"]}));
    ann.publish("inbox.ann.lee", &json!("hello"));
    let impostor = publish(&server, "inbox.user-1", &json!("hello")).event;
    let text = trace(&operator);
    assert!(!text.contains("ann") && !text.contains("lee") && text.contains("\"topics\":\"xxxxx.>\""), "{text}");
    let trace = trace_file(&operator, &folder);
    let said = explain(&trace, &impostor, &[]);
    assert!(!said.contains("inbox.user-1"), "it is nobody's pseudonym: {said}");
}
