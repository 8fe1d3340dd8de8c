//! Publishing many events in one call, as NDJSON.

use crate::client::{Published, Session, batch_of};
use crate::harness::{Scratch, Server};
use crate::http::{Response, assert_problem, call, post};
use serde_json::{Value, json};

fn batch(server: &Server, body: &str) -> Response {
    call(&server.listen, &post("/v1/events").typed("application/x-ndjson", body))
}

fn lines(response: Response) -> Vec<Value> {
    let response = response.expect(200);
    assert_eq!(response.header("content-type"), Some("application/x-ndjson"), "{response}");
    let text = response.text();
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|wrong| panic!("{wrong}: {line}"))).collect()
}

#[test]
fn each_line_is_answered_in_order() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "batch.a");
    let mut bob = Session::open_with(&server, &json!({"topics": ["batch.a", "batch.b"]}));
    let body = r#"{"topic":"batch.a","data":1}
{"topic":"batch.b","data":{"b":1,"a":[ 2 ]}}
{"data":"keys in any order","topic":"batch.a"}
{"topic":"batch.none","data":null}
"#;
    let answers: Vec<Published> = lines(batch(&server, body)).iter().map(Published::of).collect();
    assert_eq!(answers.iter().map(|answer| answer.recipients).collect::<Vec<_>>(), [2, 1, 2, 0]);
    assert_eq!(ann.poll(0).data(), [json!(1), json!("keys in any order")]);
    let page = bob.poll(0);
    assert_eq!(page.messages.len(), 3, "no order is promised between topics: {}", page.raw);
    assert!(page.raw.contains(r#""data":{"b":1,"a":[ 2 ]}"#), "{}", page.raw);
    for message in &page.messages {
        assert!(answers.iter().any(|answer| message["event"] == answer.event.as_str()), "{message}");
    }
}

#[test]
fn a_topic_keeps_its_order() {
    let server = Server::shared();
    let mut bob = Session::on(&server, "batch.order");
    let body = batch_of("batch.order", (0..900).map(Value::from));
    let answers: Vec<Published> = lines(batch(&server, &body)).iter().map(Published::of).collect();
    let page = bob.poll(0);
    assert_eq!(page.data(), (0..900).map(|n| json!(n)).collect::<Vec<_>>());
    let events: Vec<_> = page.messages.iter().map(|message| message["event"].as_str().expect("an id")).collect();
    assert_eq!(events, answers.iter().map(|answer| &*answer.event).collect::<Vec<_>>());
}

#[test]
fn a_bad_line_is_a_problem_and_the_others_are_served() {
    let folder = Scratch::new();
    let config = folder.file("volley.toml", "[[routes]]\ntopics = \"a.>\"\nplugin = \"topic\"\n");
    let server = Server::start(&["--config", &config, "--limit", "event_bytes_max=100"]);
    let mut bob = Session::on(&server, "a.b");
    let long = "x".repeat(200);
    let body = format!(
        r#"{{"topic":"a.b","data":"first"}}
{{"topic":"a.b","data":
{{"topic":"nobody","data":1}}
{{"topic":"a..b","data":1}}
{{"data":1}}
{{"topic":7,"data":1}}
[]
{{"topic":"a.b","data":"{long}"}}
{{"topic":"a.b","data":"last"}}"#
    );
    let answers = lines(batch(&server, &body));
    assert_eq!(answers.len(), 9, "{answers:?}");
    for (answer, status) in answers.iter().zip([200, 400, 404, 400, 400, 400, 400, 413, 200]) {
        if status == 200 {
            assert_eq!(Published::of(answer).recipients, 1);
        } else {
            assert_problem(answer, status);
        }
    }
    assert_eq!(bob.poll(0).data(), [json!("first"), json!("last")]);
}

#[test]
fn a_rule_refuses_a_line() {
    let server = Server::shared();
    let mut ann = Session::open_with(&server, &json!({"user": "ann", "topics": ["chat.batch-in"]}));
    let body = "{\"topic\":\"chat.batch-out\",\"data\":{\"say\":\"hi\"}}\n{\"topic\":\"chat.batch-in\",\"data\":{\"say\":\"hi\"}}\n";
    let answers = lines(ann.call(post("/v1/events").typed("application/x-ndjson", body)));
    assert_problem(&answers[0], 403);
    assert_eq!(Published::of(&answers[1]).recipients, 1);
    assert!(ann.next()["welcome"].is_object());
    assert_eq!(ann.next_message()["from"], ann.pid.as_str());
}

#[test]
fn a_session_publishes_in_its_own_name() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "batch.name");
    let line = "{\"topic\":\"batch.name\",\"data\":1}\n";
    lines(ann.call(post("/v1/events").typed("application/x-ndjson", line)));
    assert_eq!(ann.next_message()["from"], ann.pid.as_str());
    lines(batch(&server, line));
    assert_eq!(ann.next_message()["from"], Value::Null);
    ann.end();
    ann.call(post("/v1/events").typed("application/x-ndjson", line)).problem(410);
}

#[test]
fn nothing_asked_nothing_answered() {
    let server = Server::shared();
    assert!(lines(batch(&server, "")).is_empty());
    let answers =
        lines(batch(&server, "{\"topic\":\"batch.crlf\",\"data\":1}\r\n{\"topic\":\"batch.crlf\",\"data\":2}"));
    assert_eq!(answers.len(), 2, "{answers:?}");
}

#[test]
fn a_batch_has_an_end() {
    let server = Server::start_plain(&["--limit", "batch_lines_max=3", "--limit", "batch_bytes_max=1000"]);
    let line = "{\"topic\":\"batch.end\",\"data\":1}\n";
    assert_eq!(lines(batch(&server, &line.repeat(3))).len(), 3);
    batch(&server, &line.repeat(4)).problem(413);
    batch(&server, &format!("{{\"topic\":\"batch.end\",\"data\":\"{}\"}}", "x".repeat(1000))).problem(413);
}
