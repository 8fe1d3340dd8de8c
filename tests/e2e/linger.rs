//! A session that is not heard of any more ends, and the others are told.

use crate::client::{Page, Session, poll, publish};
use crate::harness::{Server, wait_until};
use crate::http::{call, get};
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn the_others_see_it_leave() {
    let server = Server::start(&["--limit", "linger_ms=700"]);
    let mut ann = Session::open_with(&server, &json!({"user": "ann", "topics": ["chat.linger"]}));
    let mut bob = Session::open_with(&server, &json!({"user": "bob", "topics": ["chat.linger"]}));
    assert!(ann.next()["welcome"].is_object());
    ann.expect(&[json!({"joined": "bob"}), json!({"left": {"user": "bob", "reason": "timeout"}})]);
    bob.call(get("/v1/poll?wait=0")).problem(410);
    assert_eq!(ann.publish("chat.linger", &json!({"say": "alone"})).recipients, 1);
}

#[test]
fn a_parked_poll_keeps_its_session() {
    let server = Server::start_plain(&["--limit", "linger_ms=300"]);
    let ann = Session::on(&server, "linger.parked");
    let mut parked = ann.park_with(&server, poll(0, 2));
    assert!(Page::of(parked.receive()).messages.is_empty());
    publish(&server, "linger.parked", &json!(1));
    assert_eq!(Page::of(parked.call(&poll(0, 30).token(&ann.token))).data(), [json!(1)]);
}

#[test]
fn any_request_restarts_the_time() {
    let server = Server::start_plain(&["--limit", "linger_ms=3000"]);
    let mut ann = Session::open(&server);
    let mut clock = Session::open(&server);
    let started = Instant::now();
    for round in 0.. {
        match round % 4 {
            0 => ann.join("linger.any"),
            1 => drop(ann.publish("linger.any", &json!(round))),
            2 => ann.leave("linger.any"),
            _ => drop(ann.try_publish("linger..any", &json!("even one that is malformed")).problem(400)),
        }
        if started.elapsed() > Duration::from_secs(7) {
            break;
        }
        clock.poll(1); // passes a second
    }
}

#[test]
fn a_session_without_a_poll_ends_in_time() {
    let server = Server::start_plain(&["--limit", "linger_ms=300"]);
    let ann = Session::on(&server, "linger.ends");
    let started = Instant::now();
    wait_until("the session to end", || (publish(&server, "linger.ends", &json!(1)).recipients == 0).then_some(()));
    assert!(started.elapsed() >= Duration::from_millis(250), "{:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    call(&server.listen, &get("/v1/poll?wait=0").token(&ann.token)).problem(410);
    assert_eq!(server.metric("volley_sessions"), 0);
}

#[test]
fn messages_do_not_keep_a_session() {
    let server = Server::start_plain(&["--limit", "linger_ms=500"]);
    let ann = Session::on(&server, "linger.messages");
    let started = Instant::now();
    while publish(&server, "linger.messages", &json!(1)).recipients > 0 {
        assert!(started.elapsed() < Duration::from_secs(20), "it lives on what others publish");
    }
    call(&server.listen, &get("/v1/poll?wait=0").token(&ann.token)).problem(410);
}

#[test]
fn a_client_that_is_gone_lingers_from_then_on() {
    let server = Server::start_plain(&["--limit", "linger_ms=500"]);
    let ann = Session::on(&server, "linger.gone");
    drop(ann.park(&server));
    wait_until("the session to end", || (publish(&server, "linger.gone", &json!(1)).recipients == 0).then_some(()));
    call(&server.listen, &get("/v1/poll?wait=0").token(&ann.token)).problem(410);
}
