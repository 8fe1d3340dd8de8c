//! Bugs that were there once, each by the name of what went wrong.

use crate::client::{Page, Session, poll, publish, subscription};
use crate::harness::{Server, volley_path};
use crate::http::{Connection, call};
use crate::request::{delete, get, post};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

/// What hyper had read beyond a poll was kept, what it had been given and not read was lost: further requests were
/// answered out of step.
#[test]
fn pipelined_requests_larger_than_a_buffer_are_all_answered_in_step() {
    let server = Server::shared();
    let ann = Session::on(&server, "regressions.pipelined");
    let leave = delete(subscription("regressions.elsewhere")).token(&ann.token).bytes(&server.listen);
    let empty = poll(0, 0).token(&ann.token).bytes(&server.listen);
    let mut connection = Connection::open(&server.listen);
    connection.send_raw(&[leave.repeat(100), empty.repeat(300)].concat());
    for _ in 0..100 {
        connection.receive_answer_to("DELETE").expect(204);
    }
    for _ in 0..300 {
        assert_eq!(connection.receive().expect(200).text(), r#"{"cursor":0,"messages":[]}"#);
    }
}

/// The server closed its socket with most of the body unread, and the reset overtook the answer.
#[test]
fn an_answer_that_does_not_wait_for_the_body_arrives() {
    let server = Server::shared();
    let large = vec![b'x'; 12 << 20];
    let mut stream = TcpStream::connect(&server.listen).expect("a connection");
    stream
        .write_all(&post("/v1/topics/regressions.large/events").body(large).bytes(&server.listen))
        .expect("all of it");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer and the end");
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
}

/// An empty line behind a request, which some clients send, was taken for the next request.
#[test]
fn a_line_break_behind_a_poll_does_not_end_it() {
    let server = Server::shared();
    let ann = Session::on(&server, "regressions.break");
    let mut connection = Connection::open(&server.listen);
    connection.send_raw(&[poll(0, 30).token(&ann.token).bytes(&server.listen), b"\r\n".to_vec()].concat());
    server.wait_until_parked(&ann.pid);
    publish(&server, "regressions.break", &json!(1));
    assert_eq!(Page::of(connection.receive()).data(), [json!(1)]);
}

/// hyper answers a head that it cannot parse by itself: bare, and without `Cache-Control`.
#[test]
fn a_bad_head_is_answered_in_our_words() {
    let server = Server::shared();
    let long = format!("GET /v1/poll HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "x".repeat(100_000));
    for (head, status) in [("rubbish\r\n\r\n", 400), ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400), (&long, 431)] {
        let mut connection = Connection::open(&server.listen);
        connection.send_raw(head.as_bytes());
        connection.receive().problem(status);
        connection.expect_closed();
    }
}

/// Deep nesting is valid JSON that many clients cannot read: one publish would have stopped all subscribers.
#[test]
fn json_that_clients_cannot_read_is_refused() {
    let server = Server::shared();
    let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let request = post("/v1/topics/regressions.nested/events").typed("application/json", nested);
    let detail = call(&server.listen, &request).problem(400);
    assert!(detail.contains("nested"), "{detail}");
}

/// Clients took all open files, and operators could not get in any more.
#[test]
fn clients_leave_files_for_operators() {
    let mut limited = Command::new("sh");
    let serve =
        "ulimit -n 200; exec \"$0\" serve --ephemeral --admin-no-token --listen 127.0.0.1:0 --admin 127.0.0.1:0";
    let server = Server::start_as(limited.args(["-c", &format!("{serve} \"$@\"")]).arg(volley_path()));
    let clients: Vec<_> = (0..300).map(|_| TcpStream::connect(&server.listen)).collect();
    call(&server.admin, &get("/healthz")).expect(200);
    assert!(server.metric("volley_connections") < 200, "there is room left");
    drop(clients);
}
