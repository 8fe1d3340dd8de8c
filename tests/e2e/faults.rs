//! Faults of a rule: each fails one event, in words, and nothing else.

use crate::client::{Session, batch_of, events, publish, try_publish};
use crate::harness::Server;
use crate::http::{Connection, call, post};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The fault is told in words, and the next event of the same topic is served.
#[track_caller]
fn fails_and_goes_on(topic: &str, fault: &Value) -> String {
    let server = Server::shared_with_probe();
    let mut ann = Session::on(&server, topic);
    let detail = ann.try_publish(topic, fault).problem(502);
    assert_eq!(ann.publish(topic, &json!("next")).recipients, 1);
    ann.expect(&[json!("next")]);
    ann.expect_no_more();
    detail
}

#[test]
fn a_trap() {
    let detail = fails_and_goes_on("probe.trap", &json!({"do": "trap", "words": "the answer is not 42"}));
    assert!(detail.contains("the answer is not 42"), "what the rule said is told: {detail}");
}

#[test]
fn an_endless_loop() {
    let started = Instant::now();
    let detail = fails_and_goes_on("probe.loop", &json!({"do": "loop"}));
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    assert!(detail.contains("route_ms_max") || detail.contains("500"), "the bound is named: {detail}");
}

#[test]
fn a_stack_overflow() {
    fails_and_goes_on("probe.recurse", &json!({"do": "recurse"}));
}

#[test]
fn too_much_memory() {
    fails_and_goes_on("probe.alloc", &json!({"do": "alloc", "mib": 1000}));
}

#[test]
fn memory_within_the_bound_is_no_fault() {
    let server = Server::shared_with_probe();
    let mut ann = Session::on(&server, "probe.memory");
    ann.publish("probe.memory", &json!({"do": "alloc", "mib": 8}));
    ann.expect(&[json!({"ok": 8 << 20})]);
}

#[test]
fn a_handle_that_was_never_given() {
    fails_and_goes_on("probe.handle", &json!({"do": "bad-handle"}));
}

#[test]
fn json_that_is_none() {
    for (at, json) in ["{", "", "1 2", "\u{7f}x", "[1,]"].iter().enumerate() {
        fails_and_goes_on(&format!("probe.json-{at}"), &json!({"do": "bad-json", "json": json}));
    }
}

#[test]
fn an_answer_that_is_too_large() {
    fails_and_goes_on("probe.flood-a", &json!({"do": "flood", "deliveries": 2000}));
    fails_and_goes_on("probe.flood-b", &json!({"do": "flood", "mib": 8}));
    fails_and_goes_on("probe.flood-c", &json!({"do": "flood", "steps": 1000}));
}

#[test]
fn a_fault_is_logged_with_its_reason() {
    let server = Server::start_with_probe(&[]);
    try_publish(&server, "probe.log", &json!({"do": "trap", "words": "seventeen elephants"})).problem(502);
    let log = server.wait_for_stderr("seventeen elephants");
    assert!(log.contains("probe"), "{log}");
    assert_eq!(server.metric("volley_faults_total"), 1);
}

#[test]
fn refusals_are_no_faults() {
    let server = Server::shared_with_probe();
    let mut ann = Session::on(&server, "probe.refusals");
    let words = "not today – \"never\"";
    let told = ann.try_publish("probe.refusals", &json!({"do": "refuse", "words": words})).problem(403);
    assert!(told.contains(words), "{told}");
    let told = ann.try_publish("probe.refusals", &json!({"do": "invalid", "words": words})).problem(400);
    assert!(told.contains(words), "{told}");
    ann.expect_no_more();
}

#[test]
fn other_topics_go_on_while_a_rule_loops() {
    let server = Server::start_with_probe(&["--limit", "route_ms_max=2000", "--route", "chat.>=chat"]);
    let mut ann = Session::open_with(&server, &json!({"user": "ann", "topics": ["chat.beside", "faults.beside"]}));
    assert!(ann.next()["welcome"].is_object());
    let mut looping = Connection::open(&server.listen);
    looping.send(&post(events("probe.looping")).json(&json!({"do": "loop"})));
    let started = Instant::now();
    let mut rounds = 0;
    while rounds < 20 || started.elapsed() < Duration::from_millis(300) {
        ann.publish("chat.beside", &json!({"say": rounds.to_string()}));
        ann.expect(&[json!({"said": {"user": "ann", "text": rounds.to_string()}})]);
        ann.publish("faults.beside", &json!(rounds));
        ann.expect(&[json!(rounds)]);
        rounds += 1;
    }
    looping.receive().problem(502);
    assert_eq!(publish(&server, "probe.looping", &json!("next")).recipients, 0);
}

#[test]
fn a_hundred_faults_leave_nothing_behind() {
    let server = Server::start_with_probe(&[]);
    let mut ann = Session::on(&server, "probe.hundred");
    for n in 0..100 {
        ann.try_publish("probe.hundred", &json!({"do": "trap", "words": format!("no {n}")})).problem(502);
        ann.publish("probe.hundred", &json!(n));
    }
    assert_eq!(ann.poll(0).data(), (0..100).map(|n| json!(n)).collect::<Vec<_>>());
    assert_eq!(server.metric("volley_faults_total"), 100);
}

#[test]
fn an_event_of_a_batch_fails_alone() {
    let server = Server::shared_with_probe();
    let mut ann = Session::on(&server, "probe.batch");
    let lines = [json!("first"), json!({"do": "trap", "words": "in a batch"}), json!("last")];
    let body = batch_of("probe.batch", lines);
    let answer = call(&server.listen, &post("/v1/events").body(body)).expect(200);
    let statuses: Vec<Value> = answer
        .text()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["status"].clone())
        .collect();
    assert_eq!(statuses, [Value::Null, json!(502), Value::Null]);
    ann.expect(&[json!("first"), json!("last")]);
}

#[test]
fn a_rule_whose_init_fails_stops_the_start() {
    let folder = crate::harness::Scratch::new();
    let probe = crate::guests::probe().display();
    for (config, words) in
        [(r#"{ fail = "bad config, sorry" }"#, "bad config, sorry"), (r#"{ init = "trap" }"#, "probe")]
    {
        let text = format!(
            "[plugins.probe]\nfile = \"{probe}\"\n[[routes]]\ntopics = \"p.>\"\nplugin = \"probe\"\nconfig = {config}\n"
        );
        let file = folder.file("volley.toml", &text);
        let output = crate::cli::serve(&["--config", &file]);
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(words), "{said}");
    }
}
