//! A session ends with its token, unless it is given a new one.

use super::Doors;
use super::issuer::{Issuer, claims, in_s};
use crate::client::{events, poll, subscription};
use crate::harness::wait_until;
use crate::http::{Connection, call, get, post, put};
use serde_json::{Value, json};

fn until(user: &str, patterns: &[&str], exp: i64) -> Value {
    let mut claims = claims(user, patterns);
    claims["exp"] = json!(exp);
    claims
}

const NO_LEEWAY: [&str; 2] = ["--limit", "token_leeway_ms=0"];

#[track_caller]
fn open(doors: &Doors, token: &str, topics: &[&str]) -> String {
    let opened = doors.open(token, &json!({"topics": topics})).expect(201).json();
    opened["session"].as_str().expect("a token").to_owned()
}

#[test]
fn a_session_ends_with_its_token_though_a_poll_is_parked() {
    let issuer = Issuer::hs256("h");
    let doors = Doors::of(&[&issuer], &NO_LEEWAY);
    let exp = in_s(3);
    let session = open(&doors, &issuer.token(&until("ann", &[">"], exp)), &["a"]);
    let mut parked = Connection::open(&doors.server.listen);
    let answer = parked.call(&poll(0, 50).token(&session));
    answer.problem(410);
    assert!(in_s(0) >= exp, "it ended before its token did");
    call(&doors.server.listen, &post(events("a")).json(&json!(1)).token(&session)).problem(410);
    doors.server.wait_for_metric("volley_topics", 0);
    // One that had expired already opens none.
    doors.open(&issuer.token(&until("ann", &[">"], in_s(-1))), &json!({})).problem(401);
}

#[test]
fn a_new_token_keeps_a_session_alive() {
    let issuer = Issuer::hs256("h");
    let doors = Doors::of(&[&issuer], &NO_LEEWAY);
    let exp = in_s(4);
    let session = open(&doors, &issuer.token(&until("ann", &["a", "b"], exp)), &["a", "b"]);
    let renewed = put("/v1/sessions").token(&session).bearer(&issuer.token(&claims("ann", &["b", "c"])));
    call(&doors.server.listen, &renewed).expect(204);
    // What the new token does not allow is left, and what it allows can be joined.
    doors.server.wait_for_metric("volley_topics", 1);
    let back_to = |topic| call(&doors.server.listen, &put(subscription(topic)).token(&session));
    back_to("a").problem(403);
    back_to("c").expect(204);
    wait_until("the first token to expire", || (in_s(0) > exp).then_some(()));
    let publish = post(events("b")).json(&json!(1)).token(&session);
    call(&doors.server.listen, &publish).expect(200);
    call(&doors.server.listen, &get("/v1/poll?wait=0").token(&session)).expect(200);
}

#[test]
fn a_new_token_is_the_same_users() {
    let issuer = Issuer::hs256("h");
    let doors = Doors::of(&[&issuer], &[]);
    let session = open(&doors, &issuer.token(&claims("ann", &["a"])), &[]);
    let renew = |token: &str| call(&doors.server.listen, &put("/v1/sessions").token(&session).bearer(token));
    assert!(renew(&issuer.token(&claims("bob", &[">"]))).problem(403).contains("another user"));
    renew(&issuer.token(&json!({"volley": {"join": [">"]}}))).problem(403);
    renew(&issuer.token(&until("ann", &[">"], in_s(-100)))).problem(401);
    renew(&Issuer::hs256("h").token(&claims("ann", &[">"]))).problem(401);
    call(&doors.server.listen, &put("/v1/sessions").token(&session)).problem(401);
    call(&doors.server.listen, &put("/v1/sessions").bearer(&issuer.token(&claims("ann", &[">"])))).problem(401);
    // None of it has changed what the session may do.
    call(&doors.server.listen, &put(subscription("a")).token(&session)).expect(204);
    call(&doors.server.listen, &put(subscription("b")).token(&session)).problem(403);
}
