//! Requests that no client library sends: a clear error or a clean close, and the server goes on.

use crate::client::{Session, events, poll, publish};
use crate::harness::{Server, wait_until};
use crate::http::{Connection, Response, post};
use serde_json::json;

/// Sends the bytes; what came back before the server closed, if anything did.
#[track_caller]
fn answer_to(server: &Server, bytes: &[u8]) -> Option<Response> {
    let mut connection = Connection::open(&server.listen);
    connection.send_raw(bytes);
    connection.half_close();
    connection.try_receive("GET").ok()
}

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// The next request is served.
    GoesOn,
    /// Nobody knows where the next request would begin, or the client wants no further one.
    Ends,
}
use Then::{Ends, GoesOn};

/// What is sent, the status of its answer, and what becomes of the connection.
fn bad_requests(ann: &Session, bob: &Session) -> Vec<(Vec<u8>, u16, Then)> {
    let token = format!("Volley-Session: {}\r\n", ann.token);
    let a_poll = |query: &str, headers: &str| format!("GET /v1/poll?{query} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    let poll_with = |headers: &str| a_poll("wait=0", &format!("{token}{headers}"));
    let poll_at = |query: &str| a_poll(&format!("wait=0&{query}"), &token);
    let line = |line: &str| format!("{line}\r\nHost: x\r\n{token}\r\n");
    let open = |headers: &str, body: &str| format!("POST /v1/sessions HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}");
    let event = |topic: &str, headers: &str| {
        format!("POST /v1/topics/{topic}/events HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: 1\r\n\r\n1")
    };
    let chunked = "Transfer-Encoding: chunked\r\n";
    let texts = [
        // No HTTP at all, or another one.
        ("hello\r\n\r\n".into(), 400, Ends),
        ("\x16\x03\x01\x02\0\x01\0\x01\u{7c}\x03\x03 a TLS client\r\n\r\n".into(), 400, Ends),
        ("GET\r\n\r\n".into(), 400, Ends),
        ("GET /v1/poll\r\n\r\n".into(), 400, Ends),
        (line("GET /v1/poll HTTP/9.9"), 400, Ends),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 400, Ends),
        // The line.
        (line("G\0T /v1/poll HTTP/1.1"), 400, Ends),
        (line("GET  /v1/poll?wait=0 HTTP/1.1"), 400, Ends),
        (line("GET /a b HTTP/1.1"), 400, Ends),
        (line("GET /v1/caf\u{e9} HTTP/1.1"), 404, GoesOn),
        (line("BREW /v1/poll HTTP/1.1"), 405, GoesOn),
        (line("get /v1/poll HTTP/1.1"), 405, GoesOn),
        (line("TRACE /v1/poll HTTP/1.1"), 405, GoesOn),
        (line("CONNECT x:80 HTTP/1.1"), 404, GoesOn),
        (line("GET /v1/../v1/poll HTTP/1.1"), 404, GoesOn),
        (line("GET http://x/v1/poll?wait=0 HTTP/1.1"), 200, GoesOn),
        (line(&format!("GET /{} HTTP/1.1", "a".repeat(100_000))), 431, Ends),
        // Headers.
        (poll_with("no colon here\r\n"), 400, Ends),
        (poll_with("bad name: x\r\n"), 400, Ends),
        (poll_with("X : space\r\n"), 400, Ends),
        (poll_with("X: folded\r\n line\r\n"), 400, Ends),
        (poll_with("X: a\0b\r\n"), 400, Ends),
        (poll_with("X: a\rb\r\n"), 400, Ends),
        (poll_with(&format!("X: {}\r\n", "a".repeat(100_000))), 431, Ends),
        (poll_with(&"X: a\r\n".repeat(2000)), 431, Ends),
        (poll_with(&"X: a\r\n".repeat(50)), 200, GoesOn),
        (poll_with("").replace("\r\n", "\n"), 200, GoesOn),
        (poll_with("").replace("Host: x\r\n", ""), 400, GoesOn),
        (poll_with("Host: x\r\n"), 400, GoesOn),
        (poll_with("").replace("Host: x", "Host: a b/c"), 400, GoesOn),
        // Who asks, and for what.
        (a_poll("wait=0", ""), 401, GoesOn),
        (a_poll("wait=0", "Volley-Session: nobody\r\n"), 410, GoesOn),
        (a_poll("wait=0", "Volley-Session:\r\n"), 410, GoesOn),
        (a_poll("wait=0", "Volley-Session: caf\u{e9}\r\n"), 410, GoesOn),
        (a_poll("wait=0", &format!("{}\r\n", &token[..token.len() - 6])), 410, GoesOn),
        // A session's address in front of another one's secret.
        (a_poll("wait=0", &format!("Volley-Session: {}{}\r\n", &ann.token[..10], &bob.token[10..])), 410, GoesOn),
        (poll_with(&token), 400, GoesOn),
        (poll_with(&format!("Volley-Session: {}\r\n", bob.token)), 400, GoesOn),
        (poll_at("cursor=-1"), 400, GoesOn),
        (poll_at("cursor=1"), 400, GoesOn),
        (poll_at("cursor=18446744073709551615"), 400, GoesOn),
        (poll_at("cursor=99999999999999999999999"), 400, GoesOn),
        (poll_at("cursor=0&cursor=0"), 400, GoesOn),
        (poll_at("wait=0"), 400, GoesOn),
        (poll_with("Volley-Cursor: 0\r\nVolley-Cursor: 0\r\n"), 400, GoesOn),
        (poll_with("Volley-Cursor: -1\r\n"), 400, GoesOn),
        (event("%ff", ""), 400, GoesOn),
        (event("%zz", ""), 400, GoesOn),
        (event("a%", ""), 400, GoesOn),
        (event("a%2Fb", ""), 400, GoesOn),
        (event("a%00", ""), 400, GoesOn),
        (event(&"a".repeat(256), ""), 400, GoesOn),
        (event("a", "Content-Type: text/plain\r\nContent-Type: text/plain\r\n"), 400, GoesOn),
        (event("a", "Content-Type: caf\u{e9}\r\n"), 400, GoesOn),
        (event("a", "Idempotency-Key: a\r\nIdempotency-Key: a\r\n"), 400, GoesOn),
        (event("a", "Idempotency-Key:\r\n"), 400, GoesOn),
        // Where the body ends.
        (open("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"), 400, Ends),
        (open("Content-Length: 2, 2\r\n", "{}"), 400, Ends),
        (open("Content-Length: -1\r\n", ""), 400, Ends),
        (open("Content-Length: +2\r\n", "{}"), 400, Ends),
        (open("Content-Length: 99999999999999999999\r\n", ""), 400, Ends),
        (open("Content-Length: 9999999999\r\n", ""), 413, Ends),
        (open("Expect: 100-continue\r\nContent-Length: 9999999\r\n", ""), 413, Ends),
        (open(chunked, "zz\r\n"), 400, Ends),
        (open(chunked, "fffffffffffffffff\r\n"), 400, Ends),
        (open(chunked, &format!("{:x}\r\n{}\r\n0\r\n\r\n", 70_000, "x".repeat(70_000))), 413, Ends),
        (open(chunked, "5\r\n{\r\n0\r\n\r\n"), 400, Ends),
        (open("Transfer-Encoding: nonsense\r\n", ""), 400, Ends),
        (open("Transfer-Encoding: chunked, gzip\r\n", ""), 400, Ends),
        (open("Transfer-Encoding: gzip, chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"), 501, GoesOn),
        (open("Content-Length: 2\r\n", "[]"), 400, GoesOn),
        (open("Content-Length: 2\r\n", "{x"), 400, GoesOn),
        ("PUT /v1/poll HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello".into(), 405, GoesOn),
        // A body that is told in two ways: whoever passed it on may have believed the other one.
        (open(&format!("Content-Length: 2\r\n{chunked}"), "0\r\n\r\n"), 201, Ends),
        (open("Connection: close\r\nContent-Length: 2\r\n", "[]"), 400, Ends),
        (poll_with("Connection: close\r\n"), 200, Ends),
        (poll_with("").replace("HTTP/1.1", "HTTP/1.0"), 200, Ends),
        ("GET /v1/nothing HTTP/1.0\r\n\r\n".into(), 404, Ends),
        (format!("POST /v1/sessions HTTP/1.0\r\n{chunked}\r\n0\r\n\r\n"), 400, Ends),
    ];
    let no_text = (b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 400, Ends);
    texts
        .map(|(text, status, then): (String, _, _)| (text.into_bytes(), status, then))
        .into_iter()
        .chain([no_text])
        .collect()
}

/// Sends the packet; what is wrong with the answers, if they are not these.
#[track_caller]
fn complaint(server: &Server, packet: &[u8], statuses: &[u16], then: Then) -> Option<String> {
    let mut connection = Connection::open(&server.listen);
    let _ = connection.write(packet); // it may be closed before all of it is through
    let answers: Vec<Response> = statuses.iter().map_while(|_| connection.try_receive("GET").ok()).collect();
    let came: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    if came != statuses {
        return Some(format!("{statuses:?} was expected, not {came:?}"));
    }
    let more = if then == Ends { connection.until_closed() } else { String::new() };
    if !more.is_empty() {
        return Some(format!("more came after {came:?}: {more}"));
    }
    let explained = |answer: &Response| answer.header("content-type") == Some("application/problem+json");
    if let Some(unexplained) = answers.iter().find(|answer| answer.status >= 400 && !explained(answer)) {
        return Some(format!("it is not told why: {unexplained}"));
    }
    for answer in answers {
        let status = answer.status;
        if status < 400 { drop(answer.expect(status)) } else { drop(answer.problem(status)) }
    }
    None
}

/// Alone, with a good one behind it, and between two good ones.
#[test]
fn each_bad_request_has_its_answer() {
    let server = Server::start_plain(&[]);
    let (ann, bob) = (Session::open(&server), Session::open(&server));
    let good = &poll(0, 0).token(&ann.token).bytes("x")[..];
    let mut complaints = Vec::new();
    for (bytes, status, then) in bad_requests(&ann, &bob) {
        let answers = if then == GoesOn { &[200, status, 200][..] } else { &[200, status] };
        for (packet, answers) in [
            (bytes.clone(), &[status][..]),
            ([&bytes, good].concat(), &answers[1..]),
            ([good, &bytes, good].concat(), answers),
        ] {
            if let Some(complaint) = complaint(&server, &packet, answers, then) {
                let start = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
                complaints.push(format!("{start:?}: {complaint}"));
            }
        }
    }
    assert!(complaints.is_empty(), "{}\n{} complaints", complaints.join("\n"), complaints.len());
    drop((ann, bob));
    server.wait_for_metric("volley_connections", 0);
    assert!(!server.stderr().contains("panicked"));
}

/// There is nothing to answer.
#[test]
fn who_says_nothing_is_told_nothing() {
    let server = Server::shared();
    for bytes in [&b""[..], b"\r\n\r\n\r\n", b"\x16\x03\x01", b"GET /v1/po", b"GET /v1/poll HTTP/1.1\r\nHost: x\r\n"] {
        let answer = answer_to(&server, bytes);
        assert!(answer.as_ref().is_none_or(|answer| answer.status == 400), "{answer:?}");
    }
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
