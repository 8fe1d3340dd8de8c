//! Clients that take their time, on purpose or not: each ends by the limit that is named for it, and the others are
//! served meanwhile.

use crate::client::{Page, Session, events, poll, publish};
use crate::gone::{publish_large, start_for_large};
use crate::harness::{Server, wait_until};
use crate::http::{Connection, call, get, post};
use serde_json::json;
use std::time::{Duration, Instant};

/// Between two bytes of a client that sends one after the other.
const PACE: Duration = Duration::from_millis(20);

/// Connections are looked at in whole seconds, four times a second; a busy machine gets some more.
#[track_caller]
fn assert_ended_by(limit_ms: u64, ended: Duration, what: &str) {
    let (from, to) = (Duration::from_millis(limit_ms), Duration::from_millis(limit_ms + 1250 + 2000));
    assert!((from..to).contains(&ended), "{what}: {ended:?} with a limit of {limit_ms} ms");
}

/// Sends the beginning at once and the rest byte by byte, for ever; when the server had enough.
fn drip(server: &Server, beginning: &str, byte: &[u8]) -> Duration {
    let mut connection = Connection::open(&server.listen);
    connection.send_raw(beginning.as_bytes());
    let started = Instant::now();
    while !connection.hears_within(PACE) {
        let _ = connection.write(byte);
    }
    if let Ok(answer) = connection.try_receive("POST") {
        answer.problem(408);
        connection.expect_closed();
    }
    started.elapsed()
}

/// A byte at a time is progress, and still not in time.
#[test]
fn who_sends_byte_by_byte_ends_by_its_limit() {
    let server =
        Server::start_plain(&["--limit", "head_ms=1000", "--limit", "request_ms=2000", "--limit", "idle_ms=3000"]);
    let body = "POST /v1/topics/slow.body/events HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\n";
    let chunked = "POST /v1/topics/slow.body/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let bob = Session::on(&server, "slow.body");
    std::thread::scope(|scope| {
        let server = &server;
        for (beginning, byte, limit_ms) in [
            ("GET /v1/poll HTTP/1.1\r\nHost: x\r\nX: ", &b"x"[..], 1000),
            ("", b"G", 1000),
            (body, b"x", 2000),
            (chunked, b"1\r\nx\r\n", 2000),
            ("", b"", 3000),
        ] {
            scope.spawn(move || assert_ended_by(limit_ms, drip(server, beginning, byte), beginning));
        }
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(3) {
            let round = Instant::now();
            call(&server.listen, &post("/v1/sessions")).expect(201);
            assert!(round.elapsed() < Duration::from_secs(1), "others wait: {:?}", round.elapsed());
            std::thread::sleep(PACE); // others are few
        }
    });
    let kept = Page::of(call(&server.listen, &poll(0, 0).token(&bob.token)));
    assert!(kept.messages.is_empty(), "half a body is no event: {}", kept.raw);
    drop(bob);
    server.wait_for_metric("volley_connections", 0);
}

/// After an answer a connection may stay idle for so long; a parked poll is not idle.
#[test]
fn a_connection_that_is_kept_for_nothing_ends_by_its_limit() {
    let server =
        Server::start_plain(&["--limit", "idle_ms=1000", "--limit", "request_ms=1000", "--limit", "head_ms=1000"]);
    let (ann, bob) = (Session::on(&server, "slow.idle"), Session::on(&server, "slow.idle"));
    let mut parked = [ann.park(&server), bob.park_with(&server, poll(0, 30).header("Connection", "close"))];
    let mut kept = [Connection::open(&server.listen), Connection::open(&server.listen)];
    kept[0].call(&get("/v1/poll?wait=0&cursor=0").token(&Session::open(&server).token)).expect(200);
    kept[1].call(&post("/v1/sessions")).expect(201);
    let started = Instant::now();
    for connection in &mut kept {
        connection.expect_closed();
        assert_ended_by(1000, started.elapsed(), "idle");
    }
    server.wait_for_metric("volley_connections", 2);
    publish(&server, "slow.idle", &json!("to who is parked"));
    for connection in &mut parked {
        assert_eq!(Page::of(connection.receive()).data(), [json!("to who is parked")]);
    }
}

/// It loses nothing and holds nobody up, the subscribers of its own topic included.
#[test]
fn who_does_not_read_stops_nobody_and_loses_nothing() {
    let server = start_for_large(&[]);
    for held in [false, true] {
        let topic = format!("slow.reader-{held}");
        let slow = Session::on(&server, &topic);
        let mut quick = Session::on(&server, &topic);
        let request = if held { poll(0, 50).header("Connection", "close") } else { poll(0, 50) };
        let mut narrow = Connection::open_narrow(&server.listen);
        narrow.send(&request.token(&slow.token));
        server.wait_until_parked(&slow.pid);
        let large = publish_large(&server, &topic);
        assert_eq!(quick.next(), large);
        for n in 0..100 {
            let started = Instant::now();
            assert_eq!(publish(&server, &topic, &json!(n)).recipients, 2);
            quick.expect(&[json!(n)]);
            assert!(started.elapsed() < Duration::from_secs(1), "round {n}: {:?}", started.elapsed());
        }
        narrow.widen();
        assert_eq!(Page::of(narrow.receive()).data(), [large]);
        let rest = Page::of(call(&server.listen, &poll(1, 30).token(&slow.token)));
        assert_eq!(rest.data(), (0..100).map(|n| json!(n)).collect::<Vec<_>>());
    }
}

/// Each of several kinds of poll: one that finds messages, a parked one, one that is held by the HTTP library.
#[test]
fn who_reads_next_to_nothing_ends_by_its_limit() {
    let server = start_for_large(&["--limit", "write_ms=2000"]);
    let mut slow: Vec<(Session, Connection)> = Vec::new();
    for kind in 0..3 {
        let session = Session::on(&server, "slow.stuck");
        let mut narrow = Connection::open_narrow(&server.listen);
        if kind == 0 {
            publish_large(&server, "slow.stuck");
        }
        let mut request = poll(0, 50).token(&session.token);
        if kind == 2 {
            request = request.header("Connection", "close");
        }
        narrow.send(&request);
        if kind > 0 {
            server.wait_until_parked(&session.pid);
        }
        slow.push((session, narrow));
    }
    let large = publish_large(&server, "slow.stuck");
    let started = Instant::now();
    wait_until("the server to have enough", || {
        // What is stuck at the server does not move for that.
        for (_, narrow) in &mut slow {
            let _ = narrow.read_bytes(1);
        }
        (server.metric("volley_connections") == slow.len() as u64).then_some(())
    });
    assert_ended_by(2000, started.elapsed(), "reading byte by byte");
    for (session, _) in &mut slow {
        assert_eq!(session.poll(0).data().last(), Some(&large), "the messages stay");
    }
}

/// Reading slowly is reading: some of the answer within each `write_ms` is enough, however long all of it takes.
#[test]
fn who_reads_slowly_but_steadily_gets_all_of_it() {
    const PIECES: usize = 60;
    let server = start_for_large(&["--limit", "write_ms=1000"]);
    let read_slowly = |header: &str| {
        let topic = format!("slow.steady-{header}");
        let session = Session::on(&server, &topic);
        let large = publish_large(&server, &topic);
        let mut narrow = Connection::open_narrow(&server.listen);
        narrow.send(&poll(0, 30).token(&session.token).header("Connection", header));
        narrow.widen();
        let mut answer = narrow.receive_head().expect(200);
        let length = answer.header("content-length").and_then(|length| length.parse().ok()).expect("a length");
        while answer.body.len() < length {
            // The pace is the point here.
            std::thread::sleep(3 * PACE);
            let piece = narrow.read_bytes((length / PIECES).min(length - answer.body.len()));
            let cut_off = |wrong| panic!("{header}: cut off at {} of {length}: {wrong}", answer.body.len());
            answer.body.extend(piece.unwrap_or_else(cut_off));
        }
        assert_eq!(Page::of(answer).data(), [large]);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| read_slowly("keep-alive")); // answered on the bare socket
        scope.spawn(|| read_slowly("close")); // answered by the HTTP library
    });
}

/// The rule is not at fault yet when the request's own time is up: its connection does not wait for the lane.
#[test]
fn a_request_that_waits_for_a_lane_ends_by_its_limit() {
    let server =
        Server::start_with_probe(&["--lanes", "1", "--limit", "request_ms=1000", "--limit", "route_ms_max=5000"]);
    let mut looping: Vec<Connection> = (0..2).map(|_| Connection::open(&server.listen)).collect();
    let started = Instant::now();
    for connection in &mut looping {
        connection.send(&post(events("probe.slow")).json(&json!({"do": "loop"})));
    }
    server.wait_for_metric("volley_connections", 2);
    server.wait_for_metric("volley_connections", 0);
    assert_ended_by(1000, started.elapsed(), "waiting for a lane");
    for connection in &mut looping {
        if let Ok(answer) = connection.try_receive("POST") {
            assert!([408, 503, 504].contains(&answer.status), "{answer}");
            answer.problem(answer.status);
        }
    }
}

/// Many who have said only half of what they want do not keep others out.
#[test]
fn the_slow_keep_nobody_out() {
    let server = Server::start_plain(&[]);
    let _slow: Vec<Connection> = (0..200)
        .map(|_| {
            let mut connection = Connection::open(&server.listen);
            connection.send_raw(b"POST /v1/sessions HTTP/1.1\r\nHo");
            connection
        })
        .collect();
    let started = Instant::now();
    for _ in 0..20 {
        call(&server.listen, &post("/v1/sessions")).expect(201);
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}
