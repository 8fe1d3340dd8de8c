//! Bounds of the whole process on what clients make it remember: whoever brings too much is told, others lose nothing.

use crate::client::{Page, Session, events, poll, publish};
use crate::harness::{Server, wait_until};
use crate::http::{Connection, call, post};
use serde_json::{Value, json};

#[test]
fn what_sessions_are_opened_with_is_bounded() {
    let server = Server::start_plain(&["--limit", "sessions_bytes_max=20000"]);
    let open = || call(&server.listen, &post("/v1/sessions").json(&json!({"params": "x".repeat(6000)})));
    let first = open().expect(201).json();
    while open().status == 201 {}
    let refused = open();
    assert!(refused.problem(503).contains("sessions_bytes_max"), "{refused}");
    assert!(refused.header("retry-after").is_some(), "{refused}");
    let token = first["session"].as_str().expect("a token");
    call(&server.listen, &crate::http::delete("/v1/sessions").token(token)).expect(204);
    open().expect(201);
}

#[test]
fn what_all_sessions_are_subscribed_to_is_bounded() {
    let server = Server::start_plain(&["--limit", "sessions_bytes_max=20000"]);
    let mut ann = Session::open(&server);
    let topic = |n: usize| format!("memory.{}-{n}", "x".repeat(200));
    let joined = (0..1000).take_while(|n| ann.try_join(&topic(*n)).status == 204).count();
    ann.try_join(&topic(joined)).problem(503);
    assert!((30..80).contains(&joined), "{joined}");
    ann.leave(&topic(0));
    ann.join(&topic(joined));
}

#[test]
fn bodies_that_are_being_received_are_bounded() {
    let server = Server::start_plain(&["--limit", "bodies_bytes_max=2000000"]);
    let body = vec![b'x'; 900_000];
    let request = post(events("memory.bodies")).typed("text/plain", body).bytes(&server.listen);
    let mut slow: Vec<Connection> = (0..2)
        .map(|_| {
            let mut connection = Connection::open(&server.listen);
            connection.send_raw(&request[..request.len() - 1]);
            connection
        })
        .collect();
    wait_until("both to be counted", || (server.metric("volley_body_bytes") == 1_800_000).then_some(()));
    let another = || call(&server.listen, &post(events("memory.bodies")).typed("text/plain", vec![b'x'; 900_000]));
    let refused = another();
    assert!(refused.problem(503).contains("bodies_bytes_max"), "{refused}");
    publish(&server, "memory.bodies", &json!("a small one has room"));
    for connection in &mut slow {
        connection.send_raw(&request[request.len() - 1..]);
        connection.receive().expect(200);
    }
    wait_until("all to be received", || (server.metric("volley_body_bytes") == 0).then_some(()));
    another().expect(200);
}

/// What a socket does not take waits in memory. When too much does, a connection ends and the messages stay.
#[test]
fn answers_that_nobody_reads_are_bounded() {
    let large = ["mailbox_bytes_max=16000000", "response_bytes_max=16000000", "unsent_bytes_max=20000000"];
    let limits: Vec<&str> = large.iter().flat_map(|limit| ["--limit", limit]).collect();
    let server = Server::start_plain(&limits);
    let sessions: Vec<Session> = (0..2).map(|_| Session::on(&server, "memory.unsent")).collect();
    for n in 0..16 {
        publish(&server, "memory.unsent", &json!(format!("{n:02}{}", "x".repeat(900_000))));
    }
    let ask = |session: &Session| {
        let mut connection = Connection::open_narrow(&server.listen);
        connection.send(&poll(0, 0).token(&session.token));
        connection
    };
    let mut first = ask(&sessions[0]);
    wait_until("its answer to wait", || (server.metric("volley_unsent_bytes") > 5_000_000).then_some(()));
    let mut second = ask(&sessions[1]);
    // 14 MB each, less what the kernel takes: both do not fit.
    let mut ended = None;
    wait_until("the second to be cut off", || {
        let waits = server.metric("volley_unsent_bytes");
        assert!(waits <= 20_000_000, "{waits}");
        ended = (server.metric("volley_connections") <= 3).then_some(());
        ended
    });
    second.try_receive("GET").expect_err("half an answer");
    first.widen();
    assert_eq!(Page::of(first.receive()).messages.len(), 16);
    wait_until("nothing to wait any more", || (server.metric("volley_unsent_bytes") == 0).then_some(()));
    let mut again = Connection::open(&server.listen);
    assert_eq!(Page::of(again.call(&poll(0, 0).token(&sessions[1].token))).messages.len(), 16, "the messages stayed");
}

#[test]
fn all_mailboxes_together_are_bounded_and_who_has_little_loses_nothing() {
    let server = Server::start_plain(&["--limit", "mailboxes_bytes_max=2000000"]);
    let mut fat: Vec<Session> = (0..8).map(|n| Session::on(&server, &format!("memory.fat-{n}"))).collect();
    let mut thin = Session::on(&server, "memory.thin");
    let mut said = Vec::new();
    for round in 0..10 {
        publish(&server, "memory.thin", &json!(round));
        said.push(json!(round));
        for n in 0..fat.len() {
            publish(&server, &format!("memory.fat-{n}"), &json!(format!("{round}{}", "x".repeat(90_000))));
            let bytes = server.metric("volley_message_bytes");
            assert!(bytes <= 2_000_000 / 8 * 9 + 200_000, "{bytes}");
        }
    }
    wait_until("the fat to be trimmed", || (server.metric("volley_message_bytes") <= 2_000_000).then_some(()));
    thin.expect(&said);
    let mut lost = 0;
    for session in &mut fat {
        let page = session.poll(0);
        let got: Vec<Value> = page.data();
        assert_eq!(got.len() as u64 + page.gap.unwrap_or(0), 10, "each is there or counted: {}", got.len());
        lost += page.gap.unwrap_or(0);
    }
    assert!(lost > 0, "7 MB do not fit");
    assert_eq!(server.metric("volley_mailbox_dropped_total"), lost);
}
