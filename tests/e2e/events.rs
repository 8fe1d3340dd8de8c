//! Server-sent events: `GET /v1/stream`.

use crate::client::{Session, poll, publish};
use crate::harness::{Server, wait_until};
use crate::http::{Connection, call, get, post};
use crate::streaming::{Event, Events};
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn messages_come_as_they_are_published() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "events.come");
    publish(&server, "events.come", &json!("before"));
    let mut events = Events::open(&server, &ann);
    for (header, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
        ("connection", "close"),
    ] {
        assert_eq!(events.head.header(header), Some(value), "{}", events.head);
    }
    assert_eq!(events.message(&mut ann), json!("before"));
    server.wait_until_parked(&ann.pid);
    for n in 1..=50 {
        assert_eq!(publish(&server, "events.come", &json!({"n": n, "text": "a\nb"})).recipients, 1);
        assert_eq!(events.message(&mut ann), json!({"n": n, "text": "a\nb"}));
    }
    let whole = get("/v1/poll?cursor=50&wait=0").token(&ann.token);
    assert_eq!(call(&server.listen, &whole).json()["messages"].as_array().map(Vec::len), Some(1));
}

#[test]
fn the_object_is_that_of_a_poll() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "events.object");
    publish(&server, "events.object", &json!([1]));
    let polled = ann.peek().messages;
    let mut events = Events::open(&server, &ann);
    assert_eq!(events.next(), Some(Event { id: Some(1), data: Some(polled[0].clone()), ..Event::default() }));
}

#[test]
fn where_it_begins() {
    let server = Server::shared();
    let ann = Session::on(&server, "events.begin");
    for n in 1..=4 {
        publish(&server, "events.begin", &json!(n));
    }
    let first = |request| {
        let mut events = Events::asked(Connection::open(&server.listen), &request);
        events.next().and_then(|event| event.id)
    };
    let stream = |query: &str| get(format!("/v1/stream{query}"));
    assert_eq!(first(stream("").token(&ann.token)), Some(1), "nothing is acknowledged without a cursor");
    assert_eq!(first(stream(&format!("?session={}", ann.token))), Some(1));
    assert_eq!(first(stream("?cursor=1").token(&ann.token)), Some(2));
    assert_eq!(first(stream("").token(&ann.token)), Some(2), "it was acknowledged");
    assert_eq!(first(stream("?cursor=0").token(&ann.token).header("Last-Event-ID", "2")), Some(3), "it wins");
    assert_eq!(first(stream("").token(&ann.token).header("Volley-Cursor", "3")), Some(4));
}

#[test]
fn what_is_refused() {
    let server = Server::shared();
    let (ann, bob) = (Session::on(&server, "events.refused"), Session::open(&server));
    let stream = |query: &str| get(format!("/v1/stream{query}"));
    let status = |request| call(&server.listen, &request).status;
    assert_eq!(status(stream("")), 401);
    assert_eq!(status(stream("?session=nobody")), 410);
    assert_eq!(status(stream(&format!("?session={}", bob.token)).token(&ann.token)), 400, "two sessions");
    assert_eq!(status(stream("?cursor=1").token(&ann.token)), 400, "above the newest");
    assert_eq!(status(stream("?cursor=x").token(&ann.token)), 400);
    assert_eq!(status(stream("").token(&ann.token).header("Last-Event-ID", "x")), 400);
    assert_eq!(status(post("/v1/stream").token(&ann.token)), 405);
    let page = stream("?cursor=9").token(&ann.token).header("Origin", "https://a.example");
    let refused = call(&server.listen, &page);
    assert!(refused.header("access-control-allow-origin").is_some(), "a page is told: {refused}");
}

#[test]
fn a_page_of_another_origin_may_read() {
    let server = Server::shared();
    let ann = Session::on(&server, "events.origin");
    let request = get("/v1/stream").token(&ann.token).header("Origin", "https://a.example");
    let events = Events::asked(Connection::open(&server.listen), &request);
    assert_eq!(events.head.header("access-control-allow-origin"), Some("*"), "{}", events.head);
}

/// As proxies ask that speak HTTP/1.0 to what is behind them.
#[test]
fn http_1_0_is_served() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "events.old");
    let mut connection = Connection::open(&server.listen);
    let request = format!("GET /v1/stream?cursor=0 HTTP/1.0\r\nVolley-Session: {}\r\n\r\n", ann.token);
    connection.send_raw(request.as_bytes());
    let head = connection.receive_head();
    assert_eq!(head.status, 200, "{head}");
    let mut events = Events { connection, head };
    assert_eq!(events.next().and_then(|event| event.retry_ms), Some(1000));
    publish(&server, "events.old", &json!(1));
    assert_eq!(events.message(&mut ann), json!(1));
}

#[test]
fn a_newer_consumer_ends_it() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "events.newer");
    let superseded = json!({"superseded": true});
    for wait in [0, 1] {
        let mut events = Events::open(&server, &ann);
        server.wait_until_parked(&ann.pid);
        ann.poll(wait);
        let last = events.next().expect("the reason");
        assert_eq!((last.name.as_deref(), last.data), (Some("superseded"), Some(superseded.clone())));
        assert!(last.retry_ms > Some(60_000), "a browser is not to come back at once");
        assert_eq!(events.next(), None);
    }
    let mut first = Events::open(&server, &ann);
    let mut second = Events::open(&server, &ann);
    assert_eq!(first.next().and_then(|event| event.name).as_deref(), Some("superseded"));
    let parked = ann.park(&server);
    assert_eq!(second.next().and_then(|event| event.name).as_deref(), Some("superseded"));
    let mut third = Events::open(&server, &ann);
    let mut parked = parked;
    assert_eq!(parked.receive().text(), r#"{"cursor":0,"messages":[],"superseded":true}"#);
    publish(&server, "events.newer", &json!(1));
    assert_eq!(third.message(&mut ann), json!(1));
}

#[test]
fn the_sessions_end_ends_it() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "events.end");
    let mut events = Events::open(&server, &ann);
    ann.end();
    let last = events.next().expect("the reason");
    assert_eq!(last.name.as_deref(), Some("end"));
    crate::http::assert_problem(&last.data.expect("a problem"), 410);
    assert_eq!(events.next(), None);
}

#[test]
fn a_quiet_stream_has_heartbeats_and_its_session_lives() {
    let server = Server::start_plain(&["--limit", "heartbeat_ms=300", "--limit", "linger_ms=500"]);
    let mut ann = Session::on(&server, "events.quiet");
    let mut events = Events::open(&server, &ann);
    for _ in 0..4 {
        let begun = Instant::now();
        assert_eq!(events.next(), Some(Event { comment: true, ..Event::default() }));
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
    publish(&server, "events.quiet", &json!(1));
    assert_eq!(events.message(&mut ann), json!(1));
    drop(events);
    wait_until("the stream to end", || (server.metric("volley_event_streams") == 0).then_some(()));
    wait_until("the session to linger out", || (server.metric("volley_sessions") == 0).then_some(()));
}

#[test]
fn a_client_that_goes_away_leaves_nothing() {
    let server = Server::start_plain(&[]);
    let mut ann = Session::on(&server, "events.gone");
    for reset in [false, true] {
        let events = Events::open(&server, &ann);
        server.wait_for_metric("volley_event_streams", 1);
        server.wait_until_parked(&ann.pid);
        if reset {
            events.connection.reset();
        } else {
            drop(events);
        }
        server.wait_for_metric("volley_event_streams", 0);
        server.wait_for_metric("volley_parked_polls", 0);
    }
    publish(&server, "events.gone", &json!(1));
    ann.expect(&[json!(1)]);
}

#[test]
fn what_a_client_says_ends_it() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "events.says");
    let mut events = Events::open(&server, &ann);
    server.wait_until_parked(&ann.pid);
    events.connection.send(&poll(0, 0).token(&ann.token));
    assert_eq!(events.next(), None);
    publish(&server, "events.says", &json!(1));
    ann.expect(&[json!(1)]);
}

#[test]
fn what_was_written_can_be_resumed_within_a_window() {
    let server = Server::start_plain(&["--limit", "replay_messages_max=10"]);
    let mut ann = Session::on(&server, "events.window");
    let mut events = Events::open(&server, &ann);
    for n in 1..=30 {
        publish(&server, "events.window", &json!(n));
        assert_eq!(events.message(&mut ann), json!(n));
    }
    drop(events);
    let resume = |last: u64| get("/v1/stream").token(&ann.token).header("Last-Event-ID", last.to_string());
    let mut events = Events::asked(Connection::open(&server.listen), &resume(20));
    assert_eq!(events.next().and_then(|event| event.id), Some(21), "within it nothing is lost");
    assert_eq!(server.metric("volley_mailbox_dropped_total"), 0);
    drop(events);
    for n in 31..=40 {
        publish(&server, "events.window", &json!(n));
    }
    let mut events = Events::asked(Connection::open(&server.listen), &resume(25));
    assert_eq!(events.next().and_then(|event| event.id), Some(26));
}

/// Below the window there is a gap, which is told once.
#[test]
fn below_the_window_is_a_gap() {
    let server = Server::start_plain(&["--limit", "replay_messages_max=10"]);
    let mut ann = Session::on(&server, "events.below");
    let mut events = Events::open(&server, &ann);
    for n in 1..=30 {
        publish(&server, "events.below", &json!(n));
        events.message(&mut ann);
    }
    drop(events);
    let resume = |last: u64| get("/v1/stream").token(&ann.token).header("Last-Event-ID", last.to_string());
    let mut events = Events::asked(Connection::open(&server.listen), &resume(5));
    let gap = events.next().expect("the gap");
    assert_eq!((gap.id, gap.name.as_deref(), gap.data), (Some(20), Some("gap"), Some(json!({"gap": 15}))));
    assert_eq!(events.next().and_then(|event| event.id), Some(21));
    drop(events);
    let mut events = Events::asked(Connection::open(&server.listen), &resume(20));
    assert_eq!(events.next().and_then(|event| event.id), Some(21));
}

/// A consumer that does not read holds nobody up; its mailbox drops what it has no room for, and says so.
#[test]
fn a_slow_consumer_has_a_gap() {
    let server = Server::start_plain(&["--limit", "mailbox_messages_max=20"]);
    let (slow, mut quick) = (Session::on(&server, "events.slow"), Session::on(&server, "events.slow"));
    let request = get("/v1/stream?cursor=0").token(&slow.token);
    let mut narrow = Events::asked(Connection::open_narrow(&server.listen), &request);
    server.wait_until_parked(&slow.pid);
    let text = "x".repeat(100_000);
    for n in 1..=100 {
        publish(&server, "events.slow", &json!({"n": n, "text": text}));
        assert_eq!(quick.next()["n"], n);
    }
    assert!(server.metric("volley_mailbox_dropped_total") > 0);
    narrow.connection.widen();
    let (mut last, mut gaps) = (0, 0);
    while last < 100 {
        let event = narrow.next().expect("the stream goes on");
        if event.name.as_deref() == Some("gap") {
            let gap = event.data.expect("how many")["gap"].as_u64().expect("a number");
            gaps += 1;
            last += gap;
            assert_eq!(event.id, Some(last));
            continue;
        }
        last += 1;
        assert_eq!(event.id, Some(last));
        assert_eq!(event.data.expect("a message")["data"]["n"], last);
    }
    assert!(gaps > 0);
    server.wait_until_parked(&slow.pid);
}

#[test]
fn a_consumer_that_never_reads_is_closed_and_may_come_back() {
    let server = Server::start_plain(&["--limit", "write_ms=500", "--limit", "replay_bytes_max=9999999"]);
    let mut slow = Session::on(&server, "events.never");
    let request = get("/v1/stream?cursor=0").token(&slow.token);
    let narrow = Events::asked(Connection::open_narrow(&server.listen), &request);
    server.wait_until_parked(&slow.pid);
    for n in 1..=9 {
        publish(&server, "events.never", &json!({"n": n, "text": "x".repeat(100_000)}));
    }
    server.wait_for_metric("volley_event_streams", 0);
    drop(narrow);
    for n in 1..=9 {
        assert_eq!(slow.next()["n"], n, "what was not read is still there");
    }
}

#[test]
fn a_drain_ends_it_gently() {
    let server = Server::start_plain(&[]);
    let mut ann = Session::on(&server, "events.drain");
    let mut events = Events::open(&server, &ann);
    publish(&server, "events.drain", &json!(1));
    assert_eq!(events.message(&mut ann), json!(1));
    server.wait_until_parked(&ann.pid);
    server.terminate();
    let last = events.next().expect("the reason");
    assert_eq!(last.name.as_deref(), Some("end"));
    assert!(last.retry_ms.is_some());
    assert_eq!(last.data, last.retry_ms.map(|retry_ms| json!({"retry_ms": retry_ms})));
    assert_eq!(events.next(), None);
    assert!(server.wait_for_exit().success());
}
