//! Who comes too often is told when to come again, and nobody else notices.

use crate::client::{Session, events, poll};
use crate::harness::Server;
use crate::http::{Response, call, get, post};
use serde_json::json;

#[track_caller]
fn assert_slowed(response: &Response, words: &str) {
    assert!(response.problem(429).contains(words), "{response}");
    let seconds: u64 = response.header("retry-after").expect("Retry-After").parse().expect("seconds");
    assert!((1..=2).contains(&seconds), "{response}");
}

#[test]
fn a_session_that_calls_too_often_is_slowed_and_no_other() {
    let server = Server::start_plain(&["--limit", "session_requests_per_s_max=5"]);
    let (mut fast, mut other) = (Session::open(&server), Session::open(&server));
    // On the plain way and on hyper's: they share a bucket.
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(fast.call(poll(0, 0)));
        answers.push(fast.call(post(events("a")).json(&json!(1))));
        answers.push(fast.call(post(events("a")).header("Idempotency-Key", "k").json(&json!(1))));
    }
    let slowed: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(answers.len() - slowed.len() >= 5 && slowed.len() >= 15, "{} of 30", slowed.len());
    assert_slowed(slowed[0], "session_requests_per_s_max");
    assert_eq!(server.metric("volley_denials_total"), slowed.len() as u64);
    other.call(poll(0, 0)).expect(200);
}

/// What the plain way turns away, hyper answers: it was counted on both.
#[test]
fn who_is_turned_away_on_a_new_connection_is_counted_once() {
    let server = Server::start_plain(&["--limit", "session_requests_per_s_max=1"]);
    let session = Session::open(&server);
    let requests = [poll(0, 0), post(events("a")).json(&json!(1))].map(|request| request.token(&session.token));
    let answers: Vec<_> =
        (0..10).flat_map(|_| requests.iter().map(|request| call(&server.listen, request).status)).collect();
    let slowed = answers.iter().filter(|status| **status == 429).count();
    assert!(slowed >= 5, "{answers:?}");
    assert_eq!(server.metric("volley_denials_total"), slowed as u64);
}

#[test]
fn an_address_that_calls_too_often_is_slowed() {
    let server = Server::start_plain(&["--limit", "address_requests_per_s_max=10"]);
    let answers: Vec<_> = (0..40).map(|_| call(&server.listen, &post("/v1/sessions"))).collect();
    let slowed: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(answers.len() - slowed.len() >= 10 && slowed.len() >= 10, "{} of 40", slowed.len());
    assert_slowed(slowed[0], "address_requests_per_s_max");
    let plain: Vec<_> = (0..40).map(|_| call(&server.listen, &post(events("a")).json(&json!(1))).status).collect();
    assert!(plain.contains(&429) && plain.iter().all(|status| [200, 429].contains(status)), "{plain:?}");
}

/// What the plain way turns away, hyper answers: the address paid for it on both.
#[test]
fn an_address_pays_once_for_a_session_that_is_gone() {
    let server = Server::start_plain(&["--limit", "address_requests_per_s_max=30"]);
    let mut session = Session::open(&server);
    let token = session.token.clone();
    session.end();
    let requests = [poll(0, 0), post(events("a")).json(&json!(1))].map(|request| request.token(&token));
    for _ in 0..14 {
        for request in &requests {
            call(&server.listen, request).problem(410);
        }
    }
}

#[test]
fn rates_are_off_unless_configured() {
    let server = Server::start_plain(&[]);
    let mut ann = Session::open(&server);
    for _ in 0..300 {
        ann.call(get("/v1/poll?wait=0")).expect(200);
    }
}

#[test]
fn a_user_has_so_many_sessions() {
    let server = Server::start_plain(&["--limit", "user_sessions_max=2"]);
    let open = |user: &str| call(&server.listen, &post("/v1/sessions").json(&json!({"user": user})));
    let mut first = Session::open_as(&server, "ann");
    open("ann").expect(201);
    let refused = open("ann");
    assert!(refused.header("retry-after").is_some() && refused.problem(429).contains("user_sessions_max"));
    open("bob").expect(201);
    call(&server.listen, &post("/v1/sessions")).expect(201);
    first.end();
    open("ann").expect(201);
    open("ann").problem(429);
}
