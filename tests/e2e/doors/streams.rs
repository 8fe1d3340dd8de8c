//! Streams at the doors: what opens one, and that whoever speaks over a WebSocket may do no more than over HTTP.

use super::Doors;
use super::issuer::{Issuer, claims, in_s};
use crate::client::{Session, events};
use crate::harness::Server;
use crate::http::{Connection, call, delete, get, post};
use crate::streaming::{Events, Ws, upgrade};
use serde_json::{Value, json};

/// A session of those claims; its token.
#[track_caller]
fn open(doors: &Doors, claims: &Value, issuer: &Issuer, topics: &[&str]) -> String {
    let opened = doors.open(&issuer.token(claims), &json!({"topics": topics})).expect(201).json();
    opened["session"].as_str().expect("a token").to_owned()
}

#[track_caller]
fn ticket(doors: &Doors, session: &str) -> String {
    let issued = call(&doors.server.listen, &post("/v1/tickets").token(session)).expect(201).json();
    issued["ticket"].as_str().expect("a ticket").to_owned()
}

#[test]
fn a_ticket_opens_one_stream_or_socket_and_no_second() {
    let issuer = Issuer::hs256("h");
    let doors = Doors::of(&[&issuer], &[]);
    let session = open(&doors, &claims("ann", &[">"]), &issuer, &["a"]);
    let connect = || Connection::open(&doors.server.listen);
    let first = ticket(&doors, &session);
    let stream = Events::asked(connect(), &get(format!("/v1/stream?session={first}")));
    call(&doors.server.listen, &get(format!("/v1/stream?session={first}"))).problem(410);
    call(&doors.server.listen, &upgrade(format!("/v1/ws?session={first}"))).problem(410);
    let second = ticket(&doors, &session);
    let mut socket = Ws::asked(connect(), &upgrade(format!("/v1/ws?session={second}")));
    call(&doors.server.listen, &post(events("a")).json(&json!("hi")).token(&session)).expect(200);
    assert_eq!(socket.hear()["messages"][0]["data"], "hi");
    drop(stream);
    // Of a session that is over it opens nothing.
    let third = ticket(&doors, &session);
    call(&doors.server.listen, &delete("/v1/sessions").token(&session)).expect(204);
    call(&doors.server.listen, &get(format!("/v1/stream?session={third}"))).problem(410);
}

#[test]
fn over_a_socket_a_token_allows_no_more_than_over_http() {
    let issuer = Issuer::hs256("h");
    let doors = Doors::of(&[&issuer], &[]);
    let claims = json!({"sub": "ann", "volley": {"join": ["chat.*"], "publish": ["chat.lobby"]}});
    let session = open(&doors, &claims, &issuer, &[]);
    let mut ann = Ws::asked(Connection::open(&doors.server.listen), &upgrade("/v1/ws").token(&session));
    assert_eq!(ann.ask(json!({"join": "chat.side"})), json!({"joined": "chat.side"}));
    assert_eq!(ann.ask(json!({"publish": {"topic": "chat.lobby", "data": 1}}))["recipients"], 0);
    let heard = doors.server.metric("volley_events_total");
    let join = ann.ask(json!({"join": "admin"}));
    let publish = ann.ask(json!({"publish": {"topic": "chat.side", "data": 1}}));
    for (refused, topic) in [(join, "admin"), (publish, "chat.side")] {
        assert_eq!(refused["error"]["status"], 403, "{refused}");
        assert!(refused["error"]["detail"].as_str().is_some_and(|words| words.contains(topic)), "{refused}");
    }
    assert_eq!(doors.server.metric("volley_events_total"), heard, "no rule heard of it");
    assert_eq!(ann.ask(json!({"leave": "chat.side"})), json!({"left": "chat.side"}));
}

#[test]
fn a_stream_and_a_socket_end_with_their_token() {
    let issuer = Issuer::hs256("h");
    let doors = Doors::of(&[&issuer], &["--limit", "token_leeway_ms=0"]);
    let exp = in_s(3);
    let until = |user: &str| {
        let mut claims = claims(user, &[">"]);
        claims["exp"] = json!(exp);
        claims
    };
    let (ann, bob) = (open(&doors, &until("ann"), &issuer, &[]), open(&doors, &until("bob"), &issuer, &[]));
    let connect = || Connection::open(&doors.server.listen);
    let mut stream = Events::asked(connect(), &get("/v1/stream").token(&ann));
    let mut socket = Ws::asked(connect(), &upgrade("/v1/ws").token(&bob));
    let last = stream.next().expect("why it ends");
    assert_eq!(last.name.as_deref(), Some("end"));
    assert_eq!(stream.next(), None);
    assert_eq!(u16::from(socket.expect_close().code), 4410);
    assert!(in_s(0) >= exp, "they ended before their token did");
}

#[test]
fn who_says_too_much_over_a_socket_is_slowed() {
    let server = Server::start_plain(&["--limit", "session_requests_per_s_max=5"]);
    let session = Session::open(&server);
    let mut socket = Ws::open(&server, &session);
    let answers: Vec<Value> = (0..30).map(|n| socket.ask(json!({"publish": {"topic": "a", "data": n}}))).collect();
    let slowed: Vec<&Value> = answers.iter().filter(|answer| answer["error"]["status"] == 429).collect();
    assert!(slowed.len() >= 15 && answers.len() - slowed.len() >= 3, "{} of 30", slowed.len());
    let detail = slowed[0]["error"]["detail"].as_str().expect("words");
    assert!(detail.contains("session_requests_per_s_max"), "{detail}");
}
