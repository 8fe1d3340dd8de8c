//! Tickets. What they open is tried where streams and sockets are; here is what they do not open.

use super::Doors;
use super::issuer::{Issuer, claims};
use crate::client::Session;
use crate::harness::Server;
use crate::http::{call, delete, get, post};
use serde_json::json;

#[test]
fn a_ticket_is_no_token_of_a_session() {
    let issuer = Issuer::hs256("h");
    let doors = Doors::of(&[&issuer], &[]);
    let opened = doors.open(&issuer.token(&claims("ann", &[">"])), &json!({})).expect(201).json();
    let session = opened["session"].as_str().expect("a token");
    let answer = call(&doors.server.listen, &post("/v1/tickets").token(session)).expect(201).json();
    assert_eq!(answer["expires_ms"], 10_000);
    let ticket = answer["ticket"].as_str().expect("a ticket");
    assert_ne!(ticket, session);
    call(&doors.server.listen, &get("/v1/poll?wait=0").token(ticket)).problem(410);
    call(&doors.server.listen, &delete("/v1/sessions").token(ticket)).problem(410);
    call(&doors.server.listen, &post("/v1/sessions").bearer(ticket)).problem(401);
    call(&doors.server.listen, &get("/v1/poll?wait=0").token(session)).expect(200);
}

#[test]
fn a_ticket_needs_a_session_and_tickets_are_bounded() {
    let server = Server::start_plain(&["--limit", "tickets_max=1"]);
    call(&server.listen, &post("/v1/tickets")).problem(401);
    call(&server.listen, &post("/v1/tickets").token("x")).problem(410);
    call(&server.listen, &get("/v1/tickets")).problem(405);
    let (mut ann, mut bob) = (Session::open(&server), Session::open(&server));
    ann.call(post("/v1/tickets")).expect(201);
    assert!(bob.call(post("/v1/tickets")).problem(503).contains("tickets_max"));
    // A session's new ticket takes the place of its old one.
    ann.call(post("/v1/tickets")).expect(201);
}
