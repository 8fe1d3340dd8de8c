//! How long a poll waits, and what ends it.

use crate::client::{Page, Session, poll, publish};
use crate::harness::Server;
use crate::http::{call, delete, get};
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn no_wait_is_answered_at_once() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "waiting.none");
    let started = Instant::now();
    assert_eq!(ann.poll_at(0, 0).raw, r#"{"cursor":0,"messages":[]}"#);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn at_the_deadline_the_cursor_is_the_same() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "waiting.deadline");
    let started = Instant::now();
    assert_eq!(ann.poll_at(0, 1).raw, r#"{"cursor":0,"messages":[]}"#);
    assert!(started.elapsed() >= Duration::from_millis(990), "{:?}", started.elapsed());
    publish(&server, "waiting.deadline", &json!(1));
    assert_eq!(ann.poll(1).cursor, 1);
    assert_eq!(ann.poll_at(1, 1).raw, r#"{"cursor":1,"messages":[]}"#);
}

#[test]
fn who_does_not_say_waits_for_wait_ms() {
    let server = Server::start_plain(&["--limit", "wait_ms=400"]);
    let mut ann = Session::on(&server, "waiting.default");
    for target in ["/v1/poll", "/v1/poll?cursor=0"] {
        let started = Instant::now();
        let page = Page::of(ann.call(get(target)));
        assert!(page.messages.is_empty());
        let waited = started.elapsed();
        assert!(waited >= Duration::from_millis(390) && waited < Duration::from_secs(15), "{target}: {waited:?}");
    }
}

#[test]
fn a_long_wait_is_capped_and_not_refused() {
    let server = Server::start_plain(&["--limit", "wait_ms=300", "--limit", "wait_ms_max=400"]);
    let mut ann = Session::on(&server, "waiting.capped");
    for wait in ["1", "61", "3600", "4294967296", "18446744073709551615"] {
        let started = Instant::now();
        let page = Page::of(ann.call(get(format!("/v1/poll?cursor=0&wait={wait}"))));
        assert!(page.messages.is_empty());
        let waited = started.elapsed();
        assert!(waited >= Duration::from_millis(390) && waited < Duration::from_secs(15), "{wait}: {waited:?}");
    }
}

#[test]
fn a_wait_that_is_none_is_malformed() {
    let server = Server::shared();
    let mut ann = Session::open(&server);
    for wait in ["x", "-1", "", "1s", "NaN"] {
        let response = ann.call(get(format!("/v1/poll?cursor=0&wait={wait}")));
        assert_eq!(response.status, 400, "wait={wait}: {response}");
        response.problem(400);
    }
}

#[test]
fn a_message_ends_the_wait() {
    let server = Server::shared();
    let ann = Session::on(&server, "waiting.message");
    let mut parked = ann.park(&server);
    let published = publish(&server, "waiting.message", &json!("hello"));
    let page = Page::of(parked.receive());
    let message = format!(r#"{{"topic":"waiting.message","from":null,"event":"{}","data":"hello"}}"#, published.event);
    assert_eq!(page.raw, format!(r#"{{"cursor":1,"messages":[{message}]}}"#));
}

#[test]
fn many_messages_on_one_connection() {
    let server = Server::shared();
    let ann = Session::on(&server, "waiting.many");
    let mut connection = ann.park(&server);
    for n in 1..=100_u64 {
        publish(&server, "waiting.many", &json!(n));
        let page = Page::of(connection.receive());
        assert_eq!((page.cursor, page.data()), (n, vec![json!(n)]));
        connection.send(&poll(n, 30).token(&ann.token));
    }
}

#[test]
fn all_who_wait_are_answered() {
    let server = Server::shared();
    let sessions: Vec<Session> = (0..200).map(|_| Session::on(&server, "waiting.all")).collect();
    let mut parked: Vec<_> = sessions.iter().map(|session| session.park(&server)).collect();
    assert_eq!(publish(&server, "waiting.all", &json!("all")).recipients, 200);
    for connection in &mut parked {
        assert_eq!(Page::of(connection.receive()).data(), [json!("all")]);
    }
}

#[test]
fn a_second_poll_ends_the_first() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "waiting.second");
    publish(&server, "waiting.second", &json!(1));
    ann.poll(0);
    let mut first = ann.park(&server);
    let mut second = ann.park(&server);
    assert_eq!(first.receive().expect(200).text(), r#"{"cursor":1,"messages":[],"superseded":true}"#);
    publish(&server, "waiting.second", &json!(2));
    assert_eq!(Page::of(second.receive()).data(), [json!(2)]);
}

#[test]
fn a_second_poll_that_is_answered_at_once_ends_the_first_too() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "waiting.peek");
    let mut first = ann.park(&server);
    assert_eq!(ann.poll_at(0, 0).raw, r#"{"cursor":0,"messages":[]}"#);
    assert_eq!(first.receive().expect(200).text(), r#"{"cursor":0,"messages":[],"superseded":true}"#);
    assert!(!server.is_parked(&ann.pid));
}

#[test]
fn of_many_polls_the_last_one_stays() {
    let server = Server::shared();
    let ann = Session::on(&server, "waiting.last");
    let mut polls: Vec<_> = (0..10).map(|_| ann.park(&server)).collect();
    let mut last = polls.pop().expect("ten");
    for poll in &mut polls {
        assert!(Page::of(poll.receive()).superseded);
    }
    publish(&server, "waiting.last", &json!("last"));
    let page = Page::of(last.receive());
    assert_eq!((page.superseded, page.data()), (false, vec![json!("last")]));
}

#[test]
fn a_refused_second_poll_leaves_the_first_alone() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "waiting.refused");
    let mut first = ann.park(&server);
    ann.call(get("/v1/poll?cursor=99&wait=0")).problem(400);
    publish(&server, "waiting.refused", &json!(1));
    assert_eq!(Page::of(first.receive()).data(), [json!(1)]);
}

#[test]
fn the_end_of_the_session_ends_the_poll() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "waiting.end");
    let mut parked = ann.park(&server);
    ann.end();
    parked.receive().problem(410);
    parked.call(&get("/v1/poll?wait=0").token(&ann.token)).problem(410);
}

#[test]
fn other_calls_go_on_while_a_poll_waits() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "waiting.others");
    let mut parked = ann.park(&server);
    ann.join("waiting.others-b");
    ann.publish("waiting.others-b", &json!("b"));
    assert_eq!(Page::of(parked.receive()).data(), [json!("b")]);
    let mut parked = ann.park_with(&server, poll(1, 30));
    ann.leave("waiting.others-b");
    ann.publish("waiting.others-b", &json!("not for ann"));
    ann.publish("waiting.others", &json!("for ann"));
    assert_eq!(Page::of(parked.receive()).data(), [json!("for ann")]);
    call(&server.listen, &delete("/v1/sessions").token(&ann.token)).expect(204);
}
