//! Faults of a rule: each fails one event, in words, and nothing else.

use crate::client::{Session, batch_of, events, publish, try_publish};
use crate::harness::{Server, wait_until};
use crate::http::{Connection, call, get, post};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What may stay behind of many faults: what the allocators of guests and host keep for the next one.
const SLACK_MIB: u64 = 32;

#[track_caller]
fn wait_for_log(server: &Server, topic: &str, reason: &str) {
    let said = || server.stderr().lines().any(|line| line.contains(topic) && line.contains(reason));
    wait_until(&format!("the log to say {reason:?} of {topic}"), || said().then_some(()));
}

/// The fault is told in words, to the publisher and in the log, and the next event of the same topic is served.
#[track_caller]
fn fails_and_goes_on(topic: &str, fault: &Value, words: &str) {
    let server = Server::shared_with_probe();
    let mut ann = Session::on(&server, topic);
    let detail = ann.try_publish(topic, fault).problem(502);
    assert!(detail.contains(words), "{words} is what was to be told: {detail}");
    let (_, reason) = detail.split_once(": ").unwrap_or_else(|| panic!("no reason: {detail}"));
    wait_for_log(&server, topic, reason);
    assert_eq!(ann.publish(topic, &json!("next")).recipients, 1);
    ann.expect(&[json!("next")]);
    ann.expect_no_more();
}

#[test]
fn a_trap() {
    fails_and_goes_on("probe.trap", &json!({"do": "trap", "words": "the answer is not 42"}), "the answer is not 42");
}

#[test]
fn an_endless_loop() {
    let started = Instant::now();
    fails_and_goes_on("probe.loop", &json!({"do": "loop"}), "route_ms_max");
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn a_stack_overflow() {
    fails_and_goes_on("probe.recurse", &json!({"do": "recurse"}), "trapped");
}

#[test]
fn too_much_memory() {
    fails_and_goes_on("probe.alloc", &json!({"do": "alloc", "mib": 1000}), "instance_bytes_max");
}

#[test]
fn memory_within_the_bound_is_no_fault() {
    let server = Server::shared_with_probe();
    let mut ann = Session::on(&server, "probe.memory");
    ann.publish("probe.memory", &json!({"do": "alloc", "mib": 8}));
    ann.expect(&[json!({"ok": 8 << 20})]);
}

#[test]
fn memory_comes_back() {
    let server = Server::start_with_probe(&["--lanes", "1"]);
    let topic = "probe.memory-back";
    let mut ann = Session::on(&server, topic);
    let before = server.memory_mib();
    for (op, status, may_stay) in [
        (json!({"do": "alloc", "mib": 1000}), 502, 0),
        (json!({"do": "flood", "mib": 20}), 502, 0),
        (json!({"do": "recurse"}), 502, 0),
        // The instance of the only lane keeps what it was allowed to take (instance_bytes_max).
        (json!({"do": "alloc", "mib": 50}), 200, 64),
    ] {
        for _ in 0..50 {
            assert_eq!(ann.try_publish(topic, &op).status, status, "{op}");
        }
        ann.skip_all();
        wait_until(&format!("the memory of {op} to come back"), || {
            (server.memory_mib() <= before + may_stay + SLACK_MIB).then_some(())
        });
    }
}

#[test]
fn a_handle_that_is_no_tables() {
    for (which, words) in
        [("never-given", "unknown handle"), ("dropped", "unknown handle"), ("of-a-scope", "wrong type")]
    {
        fails_and_goes_on(&format!("probe.handle-{which}"), &json!({"do": "bad-handle", "which": which}), words);
    }
}

#[test]
fn json_that_is_none() {
    for (at, json) in ["{", "", "1 2", "\u{7f}x", "[1,]"].iter().enumerate() {
        fails_and_goes_on(&format!("probe.json-{at}"), &json!({"do": "bad-json", "json": json}), "not JSON");
    }
}

#[test]
fn an_answer_that_is_too_large() {
    fails_and_goes_on("probe.flood-a", &json!({"do": "flood", "deliveries": 2000}), "deliveries_max");
    fails_and_goes_on("probe.flood-b", &json!({"do": "flood", "mib": 8}), "outcome_bytes_max");
    fails_and_goes_on("probe.flood-c", &json!({"do": "flood", "steps": 1000}), "expression_ops_max");
}

#[test]
fn a_list_that_is_too_long() {
    let server = Server::start_with_probe(&["--limit", "recipients_max=1000"]);
    let flood = |pids: u64| try_publish(&server, "probe.long", &json!({"do": "flood", "pids": pids}));
    assert!(flood(1001).problem(502).contains("recipients_max"));
    wait_for_log(&server, "probe.long", "recipients_max");
    flood(1000).expect(200);
}

/// Nobody published it, so only the log is told.
#[test]
fn a_timer_that_traps() {
    let server = Server::shared_with_probe();
    let mut ann = Session::on(&server, "probe.timer-trap");
    let trap = json!({"do": "trap", "words": "tick, tock, bang"});
    ann.publish("probe.timer-trap", &json!({"do": "timer", "delay_ms": 10, "data": trap}));
    assert!(ann.next()["ok"].is_u64());
    wait_for_log(&server, "probe.timer-trap", "tick, tock, bang");
    ann.publish("probe.timer-trap", &json!("next"));
    ann.expect(&[json!("next")]);
}

#[test]
fn faults_are_counted_by_kind() {
    let server = Server::start_with_probe(&["--limit", "route_ms_max=50"]);
    let faults = [
        ("panic", json!({"do": "trap", "words": "seventeen elephants"})),
        ("trap", json!({"do": "recurse"})),
        ("deadline", json!({"do": "loop"})),
        ("memory", json!({"do": "alloc", "mib": 1000})),
        ("answer", json!({"do": "bad-json", "json": "{"})),
    ];
    for (before, (kind, fault)) in faults.iter().enumerate() {
        assert_eq!(server.metric("volley_faults_total"), before as u64);
        try_publish(&server, "probe.count", fault).problem(502);
        let of_kind = format!("volley_faults_total{{plugin=\"probe\",kind=\"{kind}\"}} 1");
        let scrape = call(&server.admin, &get("/metrics"));
        assert!(scrape.text().lines().any(|line| line == of_kind), "no {of_kind:?} in {scrape}");
    }
}

/// Operators see where the rule was, and in which version; clients only what it said.
#[test]
fn a_fault_names_the_functions_that_the_rule_was_in() {
    let server = Server::shared_with_probe();
    let versions = call(&server.admin, &get("/admin/v1/plugins/probe")).json();
    let version = versions["active"].as_str().expect("a version")[.."sha256:".len() + 12].to_owned();
    let faults = [
        (json!({"do": "trap", "words": "seven named dwarfs"}), "seven named dwarfs", "guest_probe::obey"),
        (json!({"do": "recurse"}), "trapped", "guest_probe::faults::recurse"),
        (json!({"do": "loop"}), "route_ms_max", "guest_probe::"),
    ];
    for (at, (fault, words, function)) in faults.iter().enumerate() {
        let topic = format!("probe.named-{at}");
        let detail = try_publish(&server, &topic, fault).problem(502);
        assert!(detail.contains(words) && !detail.contains("guest_probe::"), "{detail}");
        let tags = [&*topic, "plugin=\"probe\"", &version, "event=", "the plugin failed", words, function];
        let said = || server.stderr().lines().any(|line| tags.iter().all(|tag| line.contains(tag)));
        wait_until(&format!("the log to say {tags:?} in a line"), || said().then_some(()));
    }
    let log = server.stderr();
    let named = log.lines().filter(|line| line.contains("the plugin failed") && line.contains("probe.named-"));
    for line in named {
        for machinery in ["core::panicking", "std::panicking", "_ZN", "volley_plugin::glue"] {
            assert!(!line.contains(machinery), "{line}");
        }
    }
}

#[test]
fn memory_of_a_plugins_instances_is_counted_and_comes_back() {
    const MIB: u64 = 1 << 20;
    let server = Server::start_with_probe(&["--lanes", "1"]);
    let memory = || server.metric("volley_instance_memory_bytes");
    let before = memory();
    assert!(before > 0, "two plugins have an instance each");
    publish(&server, "probe.counted", &json!({"do": "alloc", "mib": 20}));
    assert!(memory() >= before + 20 * MIB, "{before} {}", memory());
    let instances = server.metric("volley_instances");
    try_publish(&server, "probe.counted", &json!({"do": "trap", "words": "away with it"})).problem(502);
    // A fresh one takes its place, after the publisher was told.
    publish(&server, "probe.counted", &json!("next"));
    assert_eq!((memory(), server.metric("volley_instances")), (before, instances));
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
