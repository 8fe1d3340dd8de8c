//! SIGTERM: parked polls are answered, events in flight are finished, the process ends with 0 in time.

use crate::client::{Page, Session, events, poll, publish};
use crate::harness::{Server, wait_until};
use crate::http::{Connection, get, post};
use serde_json::json;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The page says 10 s for all of it; a busy machine gets some more.
const BOUND: Duration = Duration::from_secs(15);

#[track_caller]
fn ends_in_time(server: &Server, since: Instant) {
    let status = server.wait_for_exit();
    assert_eq!(status.code(), Some(0), "{status}");
    assert!(since.elapsed() < BOUND, "{:?}", since.elapsed());
}

#[test]
fn an_idle_server_ends_at_once() {
    let server = Server::start_plain(&[]);
    let _idle = Connection::open(&server.listen);
    let started = Instant::now();
    server.terminate();
    ends_in_time(&server, started);
    assert!(TcpStream::connect(&server.listen).is_err(), "somebody still accepts");
}

#[test]
fn parked_polls_are_answered_empty_with_a_time_to_come_back() {
    let server = Server::start_plain(&[]);
    let sessions: Vec<Session> = (0..50).map(|_| Session::on(&server, "drain.parked")).collect();
    let mut parked: Vec<Connection> = sessions.iter().map(|session| session.park(&server)).collect();
    let started = Instant::now();
    server.terminate();
    for connection in &mut parked {
        let page = Page::of(connection.receive());
        assert_eq!((page.cursor, page.messages.len(), page.superseded), (0, 0, false), "{}", page.raw);
        assert!(page.retry_ms.is_some(), "{}", page.raw);
        connection.expect_closed();
    }
    ends_in_time(&server, started);
}

#[test]
fn a_poll_that_stays_inside_http_is_answered_as_well() {
    let server = Server::start_plain(&[]);
    let ann = Session::on(&server, "drain.close");
    let mut parked = ann.park_with(&server, poll(0, 30).header("Connection", "close"));
    let started = Instant::now();
    server.terminate();
    let page = Page::of(parked.receive());
    assert!(page.messages.is_empty() && page.retry_ms.is_some(), "{}", page.raw);
    ends_in_time(&server, started);
}

/// An endless loop, and what waits in the lane behind it.
fn hold_up(server: &Server) -> (Connection, Vec<Connection>) {
    let send = |data| {
        let mut connection = Connection::open(&server.listen);
        connection.send(&post(events("probe.drain")).json(&data));
        connection
    };
    let (looping, mut behind) = (send(json!({"do": "loop"})), Vec::new());
    wait_until("the loop to be routed", || (server.metric("volley_events_total") >= 1).then_some(()));
    // What arrives together with the loop is taken out of the queue together with it, so it may take several.
    wait_until("an event to wait in the lane", || {
        behind.push(send(json!("behind")));
        (server.metric("volley_lane_queue_events") >= 1).then_some(())
    });
    (looping, behind)
}

/// How many of them were served. The last ones may have come when the signal had: they are refused, or closed unread.
fn accepted(behind: Vec<Connection>) -> usize {
    let answers = behind.into_iter().filter_map(|mut connection| connection.try_receive("POST").ok());
    let (served, refused): (Vec<_>, Vec<_>) = answers.partition(|answer| answer.status == 200);
    for answer in refused {
        answer.problem(503);
    }
    served.len()
}

/// The event is held up behind an endless loop when the signal comes.
#[test]
fn events_in_flight_are_finished() {
    let server = Server::start_with_probe(&["--limit", "route_ms_max=1000"]);
    let (mut looping, behind) = hold_up(&server);
    let started = Instant::now();
    server.terminate();
    looping.receive().problem(502);
    assert!(accepted(behind) >= 1);
    ends_in_time(&server, started);
}

#[test]
fn while_it_drains_it_is_not_ready() {
    let server = Server::start_with_probe(&["--limit", "route_ms_max=3000"]);
    let (mut looping, behind) = hold_up(&server);
    let mut admin = Connection::open(&server.admin);
    assert_eq!(admin.call(&get("/readyz")).status, 200);
    let started = Instant::now();
    server.terminate();
    let not_ready = wait_until("it to say that it is not ready", || {
        let mut admin = TcpStream::connect(&server.admin).ok().map(|_| Connection::open(&server.admin))?;
        admin.send(&get("/readyz"));
        admin.try_receive("GET").ok().filter(|response| response.status != 200)
    });
    assert_eq!(not_ready.status, 503, "{not_ready}");
    looping.receive().problem(502);
    assert!(accepted(behind) >= 1);
    ends_in_time(&server, started);
}

#[test]
fn a_new_session_is_refused_while_it_drains() {
    let server = Server::start_with_probe(&["--limit", "route_ms_max=3000"]);
    let mut client = Connection::open(&server.listen);
    client.call(&post("/v1/sessions")).expect(201);
    let (_looping, _behind) = hold_up(&server);
    server.terminate();
    // Before the signal is heard it is served; then it is told so, or the connection is closed. It is never left alone.
    client.send(&post("/v1/sessions"));
    if let Ok(answer) = client.try_receive("POST")
        && answer.status != 201
    {
        answer.problem(503);
        assert!(answer.header("retry-after").is_some(), "{answer}");
    }
    server.wait_for_exit();
}

#[test]
fn what_was_published_before_is_not_lost_to_who_polls_in_time() {
    let server = Server::start_plain(&[]);
    let ann = Session::on(&server, "drain.kept");
    let mut parked = ann.park(&server);
    publish(&server, "drain.kept", &json!("last words"));
    server.terminate();
    assert_eq!(Page::of(parked.receive()).data(), [json!("last words")]);
    server.wait_for_exit();
}
