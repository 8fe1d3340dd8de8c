//! Opening and ending sessions.

use crate::client::{Session, events, publish, subscription};
use crate::harness::Server;
use crate::http::{Request, call, delete, get, post, put};
use serde_json::json;
use std::collections::HashSet;

fn open(server: &Server, body: &str) -> crate::http::Response {
    call(&server.listen, &post("/v1/sessions").typed("application/json", body))
}

#[test]
fn the_answer_has_these_fields_and_no_others() {
    let server = Server::shared();
    let response = call(&server.listen, &post("/v1/sessions")).expect(201);
    let answer = response.json();
    let (token, pid) = (answer["session"].as_str().expect("a token"), answer["pid"].as_str().expect("a pid"));
    let expected = format!(r#"{{"session":"{token}","pid":"{pid}","cursor":0,"linger_ms":60000,"wait_ms":25000}}"#);
    assert_eq!(response.text(), expected);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("content-length"), Some(&*expected.len().to_string()));
    let numbers = pid.strip_prefix('<').and_then(|pid| pid.strip_suffix('>')).expect("<node.slot.generation>");
    assert_eq!(numbers.split('.').filter(|number| number.parse::<u32>().is_ok()).count(), 3, "{pid}");
    assert!(token.len() >= 22, "128 bits do not fit into {token}");
}

#[test]
fn linger_and_wait_are_told_as_they_were_set() {
    let server = Server::start_plain(&["--limit", "linger_ms=5000", "--limit", "wait_ms=1500"]);
    let answer = call(&server.listen, &post("/v1/sessions").json(&json!({}))).expect(201).json();
    assert_eq!((&answer["linger_ms"], &answer["wait_ms"]), (&json!(5000), &json!(1500)));
}

#[test]
fn tokens_and_pids_are_never_the_same() {
    let server = Server::shared();
    let sessions: Vec<Session> = (0..20).map(|_| Session::open(&server)).collect();
    assert_eq!(sessions.iter().map(|session| &session.pid).collect::<HashSet<_>>().len(), 20);
    assert_eq!(sessions.iter().map(|session| &session.token).collect::<HashSet<_>>().len(), 20);
}

#[test]
fn topics_are_joined_at_once() {
    let server = Server::shared();
    let body = json!({"user": "ann", "params": {"colour": "red"}, "topics": ["sessions.a", "sessions.b"]});
    let mut ann = Session::open_with(&server, &body);
    assert_eq!(publish(&server, "sessions.a", &json!(1)).recipients, 1);
    assert_eq!(publish(&server, "sessions.b", &json!(2)).recipients, 1);
    assert_eq!(ann.poll(10).data(), [json!(1), json!(2)]);
}

#[test]
fn a_user_is_who_the_session_was_opened_for() {
    let server = Server::shared();
    let mut ann = Session::open_with(&server, &json!({"user": "ann", "topics": ["chat.sessions-user"]}));
    assert_eq!(ann.next()["welcome"]["members"], json!(["ann"]));
}

#[test]
fn a_refused_topic_refuses_the_whole_call() {
    let server = Server::shared();
    let mut ann = Session::open_with(&server, &json!({"user": "ann", "topics": ["chat.sessions-refused"]}));
    ann.publish("chat.sessions-refused", &json!({"ban": "bob"}));
    let body = json!({"user": "bob", "topics": ["sessions.refused", "chat.sessions-refused"]});
    let words = open(&server, &body.to_string()).problem(403);
    assert!(words.contains("banned"), "the rule's words are told: {words}");
    assert_eq!(publish(&server, "sessions.refused", &json!(1)).recipients, 0, "the topic before it was joined");
    let body = json!({"user": "bob", "topics": ["chat.sessions-refused", "sessions.refused"]});
    open(&server, &body.to_string()).problem(403);
    assert_eq!(publish(&server, "sessions.refused", &json!(1)).recipients, 0, "the topic after it was joined");
}

#[test]
fn a_deleted_session_is_gone() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "sessions.deleted");
    ann.end();
    assert_eq!(publish(&server, "sessions.deleted", &json!(1)).recipients, 0);
    for request in calls_of_a_session("sessions.deleted") {
        ann.call(request).problem(410);
    }
}

fn calls_of_a_session(topic: &str) -> [Request; 4] {
    [get("/v1/poll?wait=0"), put(subscription(topic)), delete(subscription(topic)), delete("/v1/sessions")]
}

#[test]
fn without_a_token_nobody_is_there() {
    let server = Server::shared();
    for request in calls_of_a_session("sessions.none") {
        call(&server.listen, &request).problem(401);
    }
}

#[test]
fn a_token_in_the_query_is_none_for_a_poll() {
    let server = Server::shared();
    let ann = Session::open(&server);
    call(&server.listen, &get(format!("/v1/poll?wait=0&session={}", ann.token))).problem(401);
}

#[test]
fn a_token_of_nobody_is_gone_however_it_is_shaped() {
    let server = Server::shared();
    let ann = Session::open(&server);
    let mut turned: Vec<u8> = ann.token.bytes().collect();
    turned.reverse();
    let turned = String::from_utf8(turned).expect("ASCII");
    let long = "x".repeat(2000);
    let lengthened = format!("{}A", ann.token);
    let odd = ["x", "no such token", "<0.1.1>", "%00", "'; --", "ümlaut", &ann.pid, &turned, &lengthened, &long];
    let mut wrong = Vec::new();
    for token in odd {
        let mut requests = calls_of_a_session("sessions.odd").to_vec();
        requests.push(post(events("sessions.odd")).json(&json!(1)));
        for request in requests {
            let response = call(&server.listen, &request.token(token));
            if response.status == 410 {
                response.problem(410);
            } else {
                wrong.push(format!("with the token {token:?}: {response}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn what_cannot_be_understood_is_malformed() {
    let server = Server::shared();
    let mut wrong = Vec::new();
    for body in [
        "{",
        "[]",
        "7",
        "\"ann\"",
        r#"{"user":7}"#,
        r#"{"topics":"chat.lobby"}"#,
        r#"{"topics":[7]}"#,
        r#"{"topics":["a..b"]}"#,
        r#"{"topics":["a.*"]}"#,
        r#"{"user":"ann"} {}"#,
    ] {
        let response = open(&server, body);
        if response.status == 400 {
            response.problem(400);
        } else {
            wrong.push(format!("{body}: {response}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    call(&server.listen, &post("/v1/sessions").typed("application/json", &b"{\"user\":\"\xff\"}"[..])).problem(400);
}

#[test]
fn a_name_has_an_end() {
    let server = Server::start_plain(&["--limit", "user_bytes_max=10", "--limit", "request_body_bytes_max=200"]);
    open(&server, &json!({"user": "0123456789"}).to_string()).expect(201);
    open(&server, &json!({"user": "0123456789a"}).to_string()).problem(400);
    open(&server, &json!({"user": "ann", "params": "x".repeat(200)}).to_string()).problem(413);
}

#[test]
fn a_full_server_says_when_to_come_back() {
    let server = Server::start_plain(&["--limit", "sessions_max=2"]);
    let (mut ann, _bob) = (Session::open(&server), Session::open(&server));
    let full = open(&server, "{}");
    full.problem(503);
    assert!(full.header("retry-after").is_some_and(|after| after.parse::<u64>().is_ok()), "{full}");
    ann.end();
    Session::open(&server);
}
