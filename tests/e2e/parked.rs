//! The connection of a parked poll: what else may come over it, and what if it goes away.

use crate::client::{Page, Session, poll, publish, subscription};
use crate::harness::{Server, wait_until};
use crate::http::{Connection, get, put};
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn a_request_behind_a_parked_poll_ends_it_and_is_served() {
    let server = Server::shared();
    let ann = Session::on(&server, "parked.behind");
    let mut connection = ann.park(&server);
    let started = Instant::now();
    connection.send(&put(subscription("parked.behind-b")).token(&ann.token));
    assert_eq!(connection.receive().expect(200).text(), r#"{"cursor":0,"messages":[]}"#);
    connection.receive_answer_to("PUT").expect(204);
    assert!(started.elapsed() < Duration::from_secs(25), "the poll was waited for: {:?}", started.elapsed());
    assert_eq!(publish(&server, "parked.behind-b", &json!(1)).recipients, 1);
    let page = Page::of(connection.call(&poll(0, 30).token(&ann.token)));
    assert_eq!(page.data(), [json!(1)], "the connection goes on");
}

#[test]
fn a_request_in_the_same_packet_is_served() {
    let server = Server::shared();
    let ann = Session::on(&server, "parked.packet");
    let mut connection = Connection::open(&server.listen);
    let mut both = poll(0, 2).token(&ann.token).bytes(&server.listen);
    both.extend(put(subscription("parked.packet-b")).token(&ann.token).bytes(&server.listen));
    connection.send_raw(&both);
    assert_eq!(connection.receive().expect(200).text(), r#"{"cursor":0,"messages":[]}"#);
    connection.receive_answer_to("PUT").expect(204);
    assert_eq!(publish(&server, "parked.packet-b", &json!(1)).recipients, 1);
}

#[test]
fn half_a_request_behind_a_parked_poll() {
    let server = Server::shared();
    let ann = Session::on(&server, "parked.half");
    let mut connection = ann.park(&server);
    let next = poll(0, 30).token(&ann.token).bytes(&server.listen);
    connection.send_raw(&next[..9]);
    assert_eq!(connection.receive().expect(200).text(), r#"{"cursor":0,"messages":[]}"#);
    connection.send_raw(&next[9..]);
    server.wait_until_parked(&ann.pid);
    publish(&server, "parked.half", &json!(1));
    assert_eq!(Page::of(connection.receive()).data(), [json!(1)]);
}

#[test]
fn several_polls_in_one_packet_are_answered_in_order() {
    let server = Server::shared();
    let ann = Session::on(&server, "parked.several");
    publish(&server, "parked.several", &json!(1));
    publish(&server, "parked.several", &json!(2));
    let mut connection = Connection::open(&server.listen);
    let polls: Vec<u8> =
        [0, 1, 2].iter().flat_map(|cursor| poll(*cursor, 0).token(&ann.token).bytes(&server.listen)).collect();
    connection.send_raw(&polls);
    assert_eq!(Page::of(connection.receive()).data(), [json!(1), json!(2)]);
    assert_eq!(Page::of(connection.receive()).data(), [json!(2)]);
    assert_eq!(connection.receive().expect(200).text(), r#"{"cursor":2,"messages":[]}"#);
}

#[test]
fn rubbish_behind_a_parked_poll() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "parked.rubbish");
    let mut connection = ann.park(&server);
    connection.send_raw(b"\x16\x03\x01 rubbish\r\n\r\n");
    assert_eq!(connection.receive().expect(200).text(), r#"{"cursor":0,"messages":[]}"#);
    if let Ok(answer) = connection.try_receive("GET") {
        assert_eq!(answer.status, 400, "{answer}");
    }
    connection.expect_closed();
    publish(&server, "parked.rubbish", &json!(1));
    ann.expect(&[json!(1)]);
}

#[test]
fn a_poll_with_connection_close_is_the_last_of_its_connection() {
    let server = Server::shared();
    let ann = Session::on(&server, "parked.close");
    let mut parked = ann.park_with(&server, poll(0, 30).header("Connection", "close"));
    publish(&server, "parked.close", &json!(1));
    let response = parked.receive().expect(200);
    assert_eq!(response.header("connection"), Some("close"), "{response}");
    assert_eq!(Page::of(response).data(), [json!(1)]);
    parked.expect_closed();
}

#[test]
fn a_poll_of_http_1_0() {
    let server = Server::shared();
    let ann = Session::on(&server, "parked.old");
    let mut connection = Connection::open(&server.listen);
    let request = format!("GET /v1/poll?cursor=0&wait=30 HTTP/1.0\r\nVolley-Session: {}\r\n\r\n", ann.token);
    connection.send_raw(request.as_bytes());
    server.wait_until_parked(&ann.pid);
    publish(&server, "parked.old", &json!(1));
    let response = connection.receive().expect(200);
    assert!(response.header("transfer-encoding").is_none(), "{response}");
    assert_eq!(Page::of(response).data(), [json!(1)]);
    connection.expect_closed();
}

/// Such a poll is held by the HTTP library, not parked as a bare socket; it ends in the same ways.
#[test]
fn a_held_poll_ends_as_a_parked_one() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "parked.held");
    let held = |wait_s| poll(0, wait_s).header("Connection", "close").header("Origin", "https://chat.example");
    let mut first = ann.park_with(&server, held(30));
    let mut second = ann.park_with(&server, held(30));
    let superseded = first.receive().expect(200);
    assert!(superseded.header("access-control-allow-origin").is_some(), "{superseded}");
    assert_eq!(superseded.text(), r#"{"cursor":0,"messages":[],"superseded":true}"#);
    first.expect_closed();
    drop(ann.park(&server));
    assert!(Page::of(second.receive()).superseded);
    let mut third = ann.park_with(&server, held(1));
    assert_eq!(third.receive().expect(200).text(), r#"{"cursor":0,"messages":[]}"#);
    let mut fourth = ann.park_with(&server, held(30));
    ann.end();
    fourth.receive().problem(410);
}

#[test]
fn a_held_client_that_is_gone_finds_its_messages_later() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "parked.held-gone");
    for n in 1..=10_u64 {
        drop(ann.park_with(&server, poll(ann.cursor, 30).header("Connection", "close")));
        assert_eq!(publish(&server, "parked.held-gone", &json!(n)).recipients, 1);
        ann.expect(&[json!(n)]);
    }
}

#[test]
fn a_client_that_is_gone_finds_its_messages_later() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "parked.gone");
    for n in 1..=20_u64 {
        drop(ann.park(&server));
        // Published while the server may or may not know yet that nobody listens.
        assert_eq!(publish(&server, "parked.gone", &json!(n)).recipients, 1);
        ann.expect(&[json!(n)]);
    }
}

#[test]
fn a_closed_connection_parks_nothing() {
    let server = Server::shared();
    let ann = Session::on(&server, "parked.closed");
    drop(ann.park(&server));
    wait_until("the parked poll to end", || (!server.is_parked(&ann.pid)).then_some(()));
}

#[test]
fn a_half_closed_connection_loses_nothing() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "parked.half-closed");
    let parked = ann.park(&server);
    parked.half_close();
    publish(&server, "parked.half-closed", &json!(1));
    ann.expect(&[json!(1)]);
}

#[test]
fn a_poll_with_a_body_is_a_poll() {
    let server = Server::shared();
    let ann = Session::on(&server, "parked.body");
    let mut parked = ann.park_with(&server, poll(0, 30).body("hello"));
    publish(&server, "parked.body", &json!(1));
    assert_eq!(Page::of(parked.receive()).data(), [json!(1)]);
    parked.send(&poll(1, 0).token(&ann.token));
    assert_eq!(parked.receive().expect(200).text(), r#"{"cursor":1,"messages":[]}"#);
}

#[test]
fn one_connection_serves_several_sessions() {
    let server = Server::shared();
    let mut connection = Connection::open(&server.listen);
    for name in ["a", "b", "c"] {
        let topic = format!("parked.several-{name}");
        let session = Session::on(&server, &topic);
        connection.send(&poll(0, 30).token(&session.token));
        server.wait_until_parked(&session.pid);
        publish(&server, &topic, &json!(name));
        assert_eq!(Page::of(connection.receive()).data(), [json!(name)]);
    }
    connection.call(&get("/v1/poll?wait=0")).problem(401);
}

/// More than a socket's buffer holds, to a client that does not read: the rest follows when it does.
#[test]
fn a_slow_reader_gets_all_of_it() {
    let server = Server::shared();
    let slow = Session::on(&server, "parked.slow");
    let mut quick = Session::on(&server, "parked.slow");
    let mut parked = slow.park(&server);
    let data: Vec<_> = (0..12).map(|n| json!(format!("{n}{}", "z".repeat(80_000)))).collect();
    for value in &data {
        assert_eq!(publish(&server, "parked.slow", value).recipients, 2);
        assert_eq!(&quick.next(), value);
    }
    let first = Page::of(parked.receive());
    let rest = Page::of(parked.call(&poll(first.cursor, 30).token(&slow.token)));
    assert_eq!([first.data(), rest.data()].concat(), data);
}
