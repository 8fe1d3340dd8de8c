//! Requests that no client library sends: a clear error or a clean close, and the server goes on.

use crate::client::{Session, events, publish};
use crate::harness::{Server, wait_until};
use crate::http::{Connection, Response, call, post};
use serde_json::json;
use std::time::{Duration, Instant};

/// Sends the bytes; what came back before the server closed, if anything did.
#[track_caller]
fn answer_to(server: &Server, bytes: &[u8]) -> Option<Response> {
    let mut connection = Connection::open(&server.listen);
    connection.send_raw(bytes);
    connection.half_close();
    connection.try_receive("GET").ok()
}

#[test]
fn what_is_not_http_is_refused_or_closed() {
    let server = Server::shared();
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    let wide = format!("GET /v1/poll HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(100_000));
    let many = format!("GET /v1/poll HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: a\r\n".repeat(2000));
    for bytes in [
        &b"\r\n\r\n\r\n"[..],
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"GET /v1/poll\r\n\r\n",
        b"GET /v1/poll HTTP/9.9\r\n\r\n",
        b"G\0T /v1/poll HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/poll HTTP/1.1\r\nno colon here\r\n\r\n",
        b"GET /v1/poll HTTP/1.1\r\nHost: x\r\nbad name: x\r\n\r\n",
        b"GET /v1/poll HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: nonsense\r\n\r\n",
        long.as_bytes(),
        wide.as_bytes(),
        many.as_bytes(),
    ] {
        if let Some(answer) = answer_to(&server, bytes) {
            let sent = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
            assert!((400..500).contains(&answer.status) || answer.status == 505, "{sent:?}: {answer}");
        }
    }
    assert_eq!(publish(&server, "hostile.after", &json!(1)).recipients, 0, "and the server goes on");
}

#[test]
fn two_tokens_or_two_cursors_are_served_or_refused() {
    let server = Server::shared();
    let (ann, bob) = (Session::open(&server), Session::open(&server));
    let two = format!(
        "GET /v1/poll?wait=0 HTTP/1.1\r\nHost: x\r\nVolley-Session: {}\r\nVolley-Session: {}\r\n\r\n",
        ann.token, bob.token
    );
    assert_eq!(answer_to(&server, two.as_bytes()).expect("an answer").status / 100, 4);
    let two =
        format!("GET /v1/poll?wait=0&cursor=0&cursor=x HTTP/1.1\r\nHost: x\r\nVolley-Session: {}\r\n\r\n", ann.token);
    answer_to(&server, two.as_bytes()).expect("an answer").problem(400);
}

#[test]
fn half_a_body_is_no_event() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "hostile.half");
    let head = "POST /v1/topics/hostile.half/events HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nhello";
    if let Some(answer) = answer_to(&server, head.as_bytes()) {
        assert_eq!(answer.status / 100, 4, "{answer}");
    }
    publish(&server, "hostile.half", &json!("whole"));
    ann.expect(&[json!("whole")]);
    ann.expect_no_more();
}

#[test]
fn a_publisher_that_does_not_wait_for_the_answer_has_published_or_not() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "hostile.impatient");
    for n in 0..20 {
        Connection::open(&server.listen).send(&post(events("hostile.impatient")).json(&json!(n)));
    }
    publish(&server, "hostile.impatient", &json!("last"));
    let all = wait_until("the last one", || Some(ann.peek()).filter(|page| page.data().contains(&json!("last"))));
    assert!(all.messages.len() <= 21, "{}", all.raw);
}

#[test]
fn who_is_slow_to_say_what_it_wants_is_closed() {
    let server =
        Server::start_plain(&["--limit", "head_ms=1000", "--limit", "request_ms=1500", "--limit", "idle_ms=2000"]);
    for (bytes, what) in [
        ("GET /v1/po", "half a head"),
        ("", "nothing at all"),
        ("POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{", "half a body"),
    ] {
        let mut connection = Connection::open(&server.listen);
        connection.send_raw(bytes.as_bytes());
        let started = Instant::now();
        if let Ok(answer) = connection.try_receive("POST") {
            assert_eq!(answer.status, 408, "{what}: {answer}");
            connection.expect_closed();
        }
        let waited = started.elapsed();
        assert!(waited > Duration::from_millis(900) && waited < Duration::from_secs(15), "{what}: {waited:?}");
    }
    wait_until("the connections to be closed", || (server.metric("volley_connections") == 0).then_some(()));
}

/// Many who send a byte at a time do not keep others out.
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
