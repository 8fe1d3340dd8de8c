//! The rules in `plugins/` that are not bundled, each in a short scene on a real server. What they do in detail, their own
//! recorded events say.

use crate::client::{Session, batch_of, events, publish};
use crate::guests::{SHELF, shelf};
use crate::harness::{Scratch, Server, volley};
use crate::http::post;
use crate::shared::{Shared, SharedSlot};
use serde_json::{Value, json};
use std::sync::OnceLock;

/// Short times, since tests wait for them; nothing goes wrong when a slow machine takes longer.
const CONFIGS: [(&str, &str); 7] = [
    ("bridge", r#"{ mirrors = { "bridge.en" = ["bridge.de"] } }"#),
    ("fanout-by-attribute", r#"{ attributes = { region = "/region" } }"#),
    ("mentions", "{}"),
    ("presence", r#"{ watch = "presence.online", diff_ms = 50 }"#),
    ("queue", "{ ack_ms = 500, attempts_max = 1000 }"),
    ("redact", r#"{ words = ["damn"], readers = { at = "/role", values = ["moderator"] } }"#),
    ("throttle", "{ events = 2, window_ms = 1000 }"),
];

/// Each of these rules on the topics that begin with its name.
fn config(names: &[&str]) -> String {
    let built = SHELF.iter().zip(shelf()).filter(|(name, _)| names.contains(name)).map(|(name, path)| {
        let (_, config) = CONFIGS.iter().find(|(of, _)| of == name).expect("its config");
        let plugin = format!("[plugins.{name}]\nfile = {:?}\n", path.to_str().expect("UTF-8"));
        format!("{plugin}[[routes]]\ntopics = \"{name}.>\"\nplugin = \"{name}\"\nconfig = {config}\n")
    });
    built.collect()
}

/// One server for all of them, with several lanes.
#[track_caller]
fn server() -> Shared {
    static SERVER: SharedSlot = OnceLock::new();
    Shared::get(&SERVER, || {
        let folder = Scratch::new();
        Server::start(&["--config", &folder.file("volley.toml", &config(&SHELF)), "--lanes", "2"])
    })
}

#[track_caller]
fn member(server: &Server, user: &str, topic: &str, params: &Value) -> Session {
    Session::open_with(server, &json!({"user": user, "params": params, "topics": [topic]}))
}

#[test]
fn throttle_refuses_then_allows() {
    let server = server();
    let mut ann = member(&server, "ann", "throttle.room", &Value::Null);
    // In one go: a slow machine must not take a whole window for it.
    let three = batch_of("throttle.room", [json!(1), json!(2), json!(3)]);
    let answers = ann.call(post("/v1/events").typed("application/x-ndjson", three)).expect(200);
    let answers: Vec<Value> = answers.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(answers[2]["status"], 403, "{answers:?}");
    assert_eq!(answers[2]["detail"], "too fast: at most 2 events within 1s");
    ann.expect(&[json!(1), json!(2), json!({"throttle": "over"})]);
    ann.publish("throttle.room", &json!(3));
    ann.expect(&[json!(3)]);
}

#[test]
fn presence_says_who_comes_and_goes() {
    let server = server();
    let mut watcher = Session::on(&server, "presence.online");
    watcher.expect(&[json!({"online": [], "more": 0})]);
    let mut ann = member(&server, "ann", "presence.room-1", &Value::Null);
    watcher.expect(&[json!({"joined": ["ann"], "left": []})]);
    ann.join("presence.room-2");
    ann.leave("presence.room-1");
    let mut late = Session::on(&server, "presence.online");
    late.expect(&[json!({"online": ["ann"], "more": 0})]);
    ann.end();
    watcher.expect(&[json!({"joined": [], "left": ["ann"]})]);
}

#[test]
fn mentions_reach_a_user_in_another_room() {
    let server = server();
    let mut ann = member(&server, "ann", "mentions.a", &Value::Null);
    let mut bob = member(&server, "bob", "mentions.b", &Value::Null);
    ann.publish("mentions.a", &json!({"say": "@bob and @eve, come here"}));
    let mention = json!({"topic": "mentions.a", "user": "ann", "text": "@bob and @eve, come here"});
    bob.expect(&[json!({ "mentioned": mention })]);
    ann.expect(&[json!({"said": {"user": "ann", "text": "@bob and @eve, come here"}})]);
    member(&server, "eve", "mentions.b", &Value::Null).expect(&[json!({ "missed": [mention] })]);
}

#[test]
fn fanout_goes_to_a_region() {
    let server = server();
    let topic = "fanout-by-attribute.news";
    let mut eu = member(&server, "ann", topic, &json!({"region": "eu"}));
    let mut us = member(&server, "bob", topic, &json!({"region": "us"}));
    let one = publish(&server, topic, &json!({"to": {"region": "eu"}, "data": "servus"}));
    assert_eq!(one.recipients, 1);
    publish(&server, topic, &json!({"data": "to all"}));
    eu.expect(&[json!("servus"), json!("to all")]);
    us.expect(&[json!("to all")]);
}

#[test]
fn queue_gives_a_job_to_another_worker_until_one_acknowledges_it() {
    let server = server();
    let mut lazy = member(&server, "lazy", "queue.mail", &Value::Null);
    publish(&server, "queue.mail", &json!({"put": {"id": "letter", "data": {"to": "zoe"}}}));
    lazy.expect(&[json!({"job": "letter", "attempt": 1, "data": {"to": "zoe"}})]);
    let mut busy = member(&server, "busy", "queue.mail", &Value::Null);
    // A slow machine may be late with it as well; then the job comes again.
    loop {
        let job = busy.next();
        assert_eq!((&job["job"], &job["data"]), (&json!("letter"), &json!({"to": "zoe"})), "{job}");
        assert!(job["attempt"].as_u64().expect("a number") >= 2, "{job}");
        if busy.try_publish("queue.mail", &json!({"ack": "letter"})).status == 200 {
            break;
        }
    }
    let words = lazy.call(post(events("queue.mail")).json(&json!({"ack": "letter"}))).problem(403);
    assert_eq!(words, "you do not have the job letter, or not any more");
}

#[test]
fn queue_keeps_its_jobs_over_a_restart() {
    let folder = Scratch::new();
    let config = folder.file("volley.toml", &config(&["queue"]));
    let data = folder.path().join("data");
    let start =
        || {
            Server::start_as(
                volley()
                    .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--admin-no-token"])
                    .args(["--config", &config, "--data", data.to_str().expect("UTF-8")]),
            )
        };
    let server = start();
    let mut ann = member(&server, "ann", "queue.kept", &Value::Null);
    for id in ["a", "b"] {
        publish(&server, "queue.kept", &json!({"put": {"id": id, "data": id}}));
    }
    assert_eq!(ann.next()["job"], "a");
    server.terminate();
    assert!(server.wait_for_exit().success());
    let server = start();
    let mut bob = member(&server, "bob", "queue.kept", &Value::Null);
    assert_eq!(bob.next()["job"], "a", "which ann had");
}

#[test]
fn redact_sends_two_forms() {
    let server = server();
    let mut ann = member(&server, "ann", "redact.room", &Value::Null);
    let mut op = member(&server, "op", "redact.room", &json!({"role": "moderator"}));
    assert_eq!(ann.publish("redact.room", &json!({"say": "Damn it"})).recipients, 2);
    ann.expect(&[json!({"say": "**** it"})]);
    op.expect(&[json!({"say": "Damn it"})]);
}

#[test]
fn bridge_mirrors_a_room() {
    let server = server();
    let mut en = Session::on(&server, "bridge.en");
    let mut de = Session::on(&server, "bridge.de");
    en.publish("bridge.en", &json!("hello"));
    de.publish("bridge.de", &json!("hallo"));
    let message = de.next_message();
    assert_eq!((&message["topic"], &message["data"]), (&json!("bridge.en"), &json!("hello")));
    de.expect(&[json!("hallo")]);
    en.expect(&[json!("hello")]);
    en.expect_no_more();
}
