//! Without keys everybody is anonymous; with keys only where the operator says so.

use super::Doors;
use super::issuer::{Issuer, claims};
use crate::client::{Session, events, publish, subscription};
use crate::harness::{Server, volley};
use crate::http::{call, post, put};
use serde_json::json;

#[test]
fn without_keys_a_user_is_what_the_body_says() {
    let server = Server::start_plain(&[]);
    // What is shown all the same is not looked at, here or in a plain publish.
    let open = post("/v1/sessions").json(&json!({"user": "ann", "topics": ["a"]})).bearer("whatever");
    call(&server.listen, &open).expect(201);
    call(&server.listen, &post(events("a")).json(&json!(1)).bearer("whatever")).expect(200);
    assert_eq!(publish(&server, "a", &json!(1)).recipients, 1);
    call(&server.listen, &put("/v1/sessions")).problem(405);
    assert!(!server.stderr().contains("anybody"), "on loopback there is nothing to warn of");
}

#[test]
fn a_warning_says_that_anybody_may_come() {
    let mut command = volley();
    command.args(["serve", "--ephemeral", "--admin-no-token", "--listen", "0.0.0.0:0", "--admin", "127.0.0.1:0"]);
    let server = Server::start_as(&mut command);
    server.wait_for_stderr("anybody who reaches");
}

#[test]
fn anonymous_clients_are_let_in_beside_tokens_if_so_configured() {
    let issuer = Issuer::hs256("h");
    let doors = Doors::with(&[&issuer], "anonymous = true", &[]);
    doors.server.wait_for_stderr("a session without a token may do everything");
    let mut guest = Session::open_with(&doors.server, &json!({"user": "guest", "topics": ["a"]}));
    guest.publish("b", &json!(1));
    let mut limited = Session::open_with(&doors.server, &json!({}));
    limited.join("a");
    // Whoever shows a token is held to it, and a bad one is no way round it.
    let opened = doors.open(&issuer.token(&claims("ann", &["a"])), &json!({"user": "root"})).expect(201).json();
    let token = opened["session"].as_str().expect("a token");
    call(&doors.server.listen, &put(subscription("b")).token(token)).problem(403);
    doors.open("bad", &json!({"user": "root"})).problem(401);
    // A back-end shows a key all the same.
    call(&doors.server.listen, &post(events("a")).json(&json!(1))).problem(401);
}
