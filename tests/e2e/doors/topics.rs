//! What a token allows: joins and publishes to other topics are refused before a rule hears of them, whatever the way.

use super::Doors;
use super::issuer::{Issuer, claims};
use crate::client::{batch_of, events, subscription};
use crate::http::{Connection, Request, Response, assert_problem, delete, post, put};
use serde_json::{Value, json};

/// A session of a user who may do what these patterns say.
struct Client {
    connection: Connection,
    token: String,
}

impl Client {
    #[track_caller]
    fn open(doors: &Doors, token: &str) -> Self {
        let session = doors.open(token, &json!({})).expect(201).json()["session"].as_str().expect("a token").to_owned();
        Self { connection: Connection::open(&doors.server.listen), token: session }
    }

    #[track_caller]
    fn call(&mut self, request: Request) -> Response {
        self.connection.call(&request.token(&self.token))
    }
}

#[test]
fn topics_of_others_are_refused_before_a_rule_hears_of_them() {
    let issuer = Issuer::hs256("h");
    let doors = Doors::of(&[&issuer], &[]);
    let claims = json!({"sub": "ann", "volley": {"join": ["chat.*", "news.>"], "publish": ["chat.lobby"]}});
    let mut ann = Client::open(&doors, &issuer.token(&claims));
    ann.call(put(subscription("chat.lobby"))).expect(204);
    ann.call(put(subscription("news.a.b"))).expect(204);
    ann.call(post(events("chat.lobby")).json(&json!(1))).expect(200);
    let heard = doors.server.metric("volley_events_total");
    for topic in ["chat", "chat.a.b", "admin", "news"] {
        assert!(ann.call(put(subscription(topic))).problem(403).contains(topic));
    }
    for topic in ["chat.side", "news.a", "admin"] {
        let words = ann.call(post(events(topic)).json(&json!(1))).problem(403);
        assert!(words.contains("does not allow") && words.contains(topic), "{words}");
        // What hyper reads, too: a body in chunks, and one under a key.
        ann.call(post(events(topic)).header("Transfer-Encoding", "chunked").body("x")).problem(403);
        ann.call(post(events(topic)).header("Idempotency-Key", "k").body("x")).problem(403);
    }
    let batch = batch_of("admin", [json!(1)]) + &batch_of("chat.lobby", [json!(2)]);
    let answer = ann.call(post("/v1/events").body(batch)).expect(200);
    let lines: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_problem(&lines[0], 403);
    assert_eq!(lines[1]["recipients"], 1, "{answer}");
    assert_eq!(doors.server.metric("volley_events_total"), heard + 1, "a rule heard of what was refused");
    assert!(doors.server.metric("volley_denials_total") > 10);
    // Leaving is everybody's right.
    ann.call(delete(subscription("admin"))).expect(204);
}

#[test]
fn a_session_that_would_join_what_it_may_not_is_not_opened() {
    let issuer = Issuer::hs256("h");
    let doors = Doors::of(&[&issuer], &[]);
    let refused = doors.open(&issuer.token(&claims("ann", &["a.>"])), &json!({"topics": ["a.b", "b.a"]}));
    assert!(refused.problem(403).contains("b.a"));
    doors.server.wait_for_metric("volley_sessions", 0);
}

#[test]
fn a_token_without_patterns_allows_nothing() {
    let issuer = Issuer::hs256("h");
    let doors = Doors::of(&[&issuer], &[]);
    let mut ann = Client::open(&doors, &issuer.token(&json!({"sub": "ann"})));
    ann.call(put(subscription("a"))).problem(403);
    ann.call(post(events("a")).json(&json!(1))).problem(403);
    ann.call(crate::client::poll(0, 0)).expect(200);
}

#[test]
fn patterns_that_are_none_are_refused_with_their_token() {
    let issuer = Issuer::hs256("h");
    let doors = Doors::of(&[&issuer], &[]);
    for volley in [
        json!({"join": ["a..b"]}),
        json!({"publish": ["a\r\nb"]}),
        json!({"join": "a"}),
        json!({"joins": []}),
        json!({"join": vec!["a"; 101]}),
    ] {
        let words = doors.open(&issuer.token(&json!({"sub": "ann", "volley": volley})), &json!({})).problem(401);
        assert!(words.contains("claims"), "{words}");
    }
}
