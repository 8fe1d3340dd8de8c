//! Too much: refused at once, in words, with a time to come back; and all is well again afterwards.

use crate::client::{Session, batch_of, events, publish};
use crate::harness::{Server, metric, wait_until};
use crate::http::{Connection, Request, assert_problem, call, get, post};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The lane is kept busy by an endless loop while more comes than its queue holds.
#[test]
fn a_full_lane_refuses_and_recovers() {
    let server = Server::start_with_probe(&["--limit", "lane_queue_events_max=8", "--limit", "route_ms_max=2000"]);
    let topic = "probe.overload";
    let mut ann = Session::on(&server, topic);
    let send = |data: Value| {
        let mut connection = Connection::open(&server.listen);
        connection.send(&post(events(topic)).json(&data));
        connection
    };
    let mut looping = send(json!({"do": "loop"}));
    let mut waiting = Vec::new();
    wait_until("the lane to be full", || {
        waiting.push(send(json!(waiting.len())));
        (server.metric("volley_busy_total") > 0).then_some(())
    });
    let started = Instant::now();
    let refused = call(&server.listen, &post(events(topic)).json(&json!("one too many")));
    refused.problem(503);
    assert!(refused.header("retry-after").is_some_and(|after| after.parse::<u64>().is_ok()), "{refused}");
    assert!(started.elapsed() < Duration::from_millis(1500), "a refusal is immediate: {:?}", started.elapsed());
    // Others are served meanwhile.
    assert_eq!(publish(&server, "overload.beside", &json!(1)).recipients, 0);
    looping.receive().problem(502);
    let mut accepted = 0;
    for connection in &mut waiting {
        let answer = connection.receive();
        if answer.status == 200 {
            accepted += 1;
        } else {
            answer.problem(503);
        }
    }
    assert!(accepted >= 8, "{accepted}");
    assert_eq!(ann.publish(topic, &json!("after")).recipients, 1);
    let got = ann.poll(0).data();
    assert_eq!((got.len(), got.last()), (accepted + 1, Some(&json!("after"))), "what was accepted, and no more");
}

/// The subscribers of a full lane can still leave and end, and their leaving is not lost.
#[test]
fn an_exit_is_never_refused() {
    let server = Server::start_with_probe(&["--limit", "lane_queue_events_max=8", "--limit", "route_ms_max=1000"]);
    let topic = "probe.overload-exits";
    let mut sessions: Vec<Session> = (0..30).map(|_| Session::on(&server, topic)).collect();
    let mut looping = Connection::open(&server.listen);
    looping.send(&post(events(topic)).json(&json!({"do": "loop"})));
    for session in &mut sessions {
        session.end();
    }
    looping.receive().problem(502);
    assert_eq!(publish(&server, topic, &json!("nobody")).recipients, 0);
    assert_eq!(server.metric("volley_sessions"), 0);
}

#[test]
fn a_batch_larger_than_the_lane_goes_through() {
    let server = Server::start_plain(&["--limit", "lane_queue_events_max=8"]);
    let mut ann = Session::on(&server, "overload.batch");
    let body = batch_of("overload.batch", (0..500).map(Value::from));
    let answer = call(&server.listen, &post("/v1/events").body(body)).expect(200);
    let mut accepted = 0;
    for line in answer.text().lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        if line.get("event").is_some() {
            accepted += 1;
        } else {
            assert_problem(&line, 503);
        }
    }
    assert!(accepted >= 8, "{accepted}");
    assert_eq!(ann.poll(0).messages.len(), accepted);
}

#[test]
fn connections_have_a_bound() {
    let server = Server::start_plain(&["--limit", "connections_max=3"]);
    let mut three: Vec<Connection> = (0..3).map(|_| Connection::open(&server.listen)).collect();
    for connection in &mut three {
        connection.call(&post("/v1/sessions")).expect(201);
    }
    Connection::open(&server.listen).expect_closed();
    three.pop();
    wait_until("a place to be free", || {
        let mut connection = Connection::open(&server.listen);
        connection.send(&post("/v1/sessions"));
        connection.try_receive("POST").ok().filter(|answer| answer.status == 201)
    });
}

/// Connections wait in the kernel while there are no files for them; who is in goes on, and nobody computes.
#[test]
fn out_of_files_it_waits_and_recovers() {
    const CLIENTS: usize = 20;
    let server = Server::start_plain(&[]);
    let mut ann = Session::on(&server, "overload.files");
    let mut operator = Connection::open(&server.admin);
    let before = metric(&mut operator, "volley_accept_failures_total");
    let room = server.open_files() + 2 * CLIENTS;
    server.limit_open_files(3);
    let open = |address: &str, request: Request| {
        let mut connection = Connection::open(address);
        connection.send(&request);
        connection
    };
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| open(&server.listen, post("/v1/sessions"))).collect();
    let mut operators: Vec<_> = (0..CLIENTS).map(|_| open(&server.admin, get("/healthz"))).collect();
    wait_until("it to be out of files", || {
        (metric(&mut operator, "volley_accept_failures_total") > before).then_some(())
    });
    let (computed, failed) = (server.cpu_time(), metric(&mut operator, "volley_accept_failures_total"));
    ann.publish("overload.files", &json!("to who is in"));
    ann.expect(&[json!("to who is in")]);
    assert!(ann.poll(1).messages.is_empty(), "a second passes");
    let computed = server.cpu_time().saturating_sub(computed);
    assert!(computed < Duration::from_millis(300), "{computed:?} of a second, while there was nothing to do");
    let retried = metric(&mut operator, "volley_accept_failures_total") - failed;
    assert!((1..100).contains(&retried), "{retried} tries in a second");
    let heard = clients.iter_mut().map(|client| usize::from(client.hears_within(Duration::from_millis(1))));
    // A thread that waits to accept has the file for it already, and there are two.
    assert!(heard.sum::<usize>() <= 2);
    server.limit_open_files(room);
    for client in &mut clients {
        client.receive_answer_to("POST").expect(201);
    }
    for operator in &mut operators {
        assert_eq!(operator.receive().status, 200);
    }
    server.wait_for_stderr("open files");
    assert!(!server.stderr().contains("panicked"));
}
