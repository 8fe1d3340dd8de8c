//! Bugs that were there once, each by the name of what went wrong.

use crate::client::{Page, Session, poll, publish, subscription};
use crate::guests::{migrating, reversible};
use crate::harness::{Server, volley_path, wait_until};
use crate::http::{Connection, call};
use crate::operator::{done, named, refused};
use crate::request::{delete, get, post};
use serde_json::{Value, json};
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

/// It was left half done: published, and not known.
#[test]
fn a_deploy_is_done_to_its_end_though_the_operator_hangs_up() {
    let (server, operator) = Server::start_with_version(&named("a"), &["--limit", "upgrade_ms_max=20000"]);
    publish(&server, "v.room", &json!(1));
    let first = operator.active();
    let version = operator.push(&migrating(&json!({"name": "b", "release": "0.2.0", "layout": 2})));
    let body = json!({ "version": version }).to_string();
    let mut connection = TcpStream::connect(&server.admin).expect("the admin listener");
    let length = body.len();
    let path = operator.path("/activate");
    let request = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}");
    connection.write_all(request.as_bytes()).expect("write");
    drop(connection);
    wait_until("the version to be active", || (operator.active() == version).then_some(()));
    let about = operator.about();
    assert_eq!((&about["previous"], &about["generation"]), (&json!(first), &json!(2)), "{about}");
    assert_eq!(operator.table("counts")["v.room"], "{\"count\":1}", "it was upgraded, once");
}

/// The same call again made the failing version its own way back.
#[test]
fn activating_again_with_the_same_config_keeps_the_way_back() {
    let (_server, operator) = Server::start_with_version(&named("a"), &[]);
    let (first, version) = (operator.active(), operator.push(&named("b")));
    for _ in 0..2 {
        let body = json!({"version": version, "config": {"x": 1}});
        let swapped = done(&operator.try_activate(&body), &[200]);
        assert_eq!((&swapped["current"], &swapped["previous"]), (&json!(version), &json!(first)));
    }
    assert_eq!(operator.rollback()["current"], json!(first));
    assert_eq!(operator.routes().0[0]["config"], Value::Null, "with the config that it had");
}

/// Two versions later nobody remembered that the tables had another layout by then.
#[test]
fn a_version_from_before_a_migration_does_not_come_back_to_tables_it_does_not_know() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    publish(&server, "v.room", &json!(1));
    let first = operator.active();
    let second = operator.deploy(&reversible(&json!({"name": "b", "release": "0.2.0", "layout": 2})));
    let third = operator.deploy(&crate::guests::version(&json!({"name": "c", "release": "0.2.1", "layout": 2})));
    let words = refused(&operator.try_activate(&json!({ "version": first })), 409);
    assert!(words.contains("the tables have the layout of release 0.2.0"), "{words}");
    assert_eq!(operator.active(), third);
    operator.activate(&second);
    operator.activate(&first);
    publish(&server, "v.room", &json!(2));
    assert_eq!(operator.table("counts")["v.room"], "2", "it was downgraded on the way");
}
