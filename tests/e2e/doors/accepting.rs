//! Many who come at once: each is served, and an address has so many connections as it may.

use crate::ending::InTime as _;
use crate::harness::{Server, wait_until};
use crate::http::{Connection, get, post};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// As many as come within seconds when a building's power is back.
const STORM: usize = 10_000;

#[test]
fn a_storm_is_served_without_resets_and_without_lost_syns() {
    let server = Server::start_plain(&[]);
    raise_open_files();
    let begun = Instant::now();
    let mut connections: Vec<(Connection, Duration)> = Vec::with_capacity(STORM);
    for at in 0..STORM {
        let before = Instant::now();
        let Ok(stream) = TcpStream::connect(&server.listen) else { panic!("connection {at} is refused or reset") };
        let took = before.elapsed();
        let mut connection = Connection::over(&server.listen, stream);
        connection.send(&post("/v1/sessions"));
        connections.push((connection, took));
    }
    // A SYN that is lost is sent again after a second.
    let slowest = connections.iter().map(|(_, took)| *took).max().expect("many");
    assert!(slowest < Duration::from_secs(1), "a SYN was sent again: {slowest:?}");
    for (connection, _) in &mut connections {
        connection.receive().expect(201);
    }
    assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
    assert_eq!(server.metric("volley_sessions"), STORM as u64);
    assert_eq!(server.metric("volley_accept_failures_total"), 0);
    drop(connections);
    server.wait_for_metric("volley_connections", 0);
}

/// The client's ends are files of this process.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    assert!(maximum.is_none_or(|files| files > STORM as u64 + 500), "the hard limit of open files is {maximum:?}");
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("raised");
}

#[test]
fn an_address_has_so_many_connections() {
    let server = Server::start_plain(&["--limit", "address_connections_max=3"]);
    let mut open: Vec<Connection> = (0..3).map(|_| Connection::open(&server.listen)).collect();
    for connection in &mut open {
        connection.call(&post("/v1/sessions")).expect(201);
    }
    let mut refused = Connection::open(&server.listen);
    let _ = refused.write(b"GET /v1/poll HTTP/1.1\r\nHost: a\r\n\r\n"); // it may be closed by now
    refused.expect_closed();
    assert_eq!(server.metric("volley_denials_total"), 1);
    // Nobody else's place is lost, and one that is given back is free.
    open[0].call(&get("/v1/poll?wait=0")).problem(401);
    open.pop();
    wait_until("a place to be free", || {
        let mut again = Connection::open(&server.listen);
        again.write(&post("/v1/sessions").bytes("a")).ok()?;
        again.try_receive("POST").ok().filter(|answer| answer.status == 201)
    });
}

#[test]
fn a_proxy_that_is_trusted_has_as_many_connections_as_it_needs() {
    let server = Server::start_plain(&["--limit", "address_connections_max=1", "--trusted-proxy", "127.0.0.1"]);
    let mut open: Vec<Connection> = (0..5).map(|_| Connection::open(&server.listen)).collect();
    for connection in &mut open {
        connection.call(&post("/v1/sessions")).expect(201);
    }
}

#[test]
fn a_short_backlog_is_what_was_asked_for() {
    let server = Server::start_plain(&["--backlog", "3"]);
    Connection::open(&server.listen).call(&post("/v1/sessions")).expect(201);
    let port = server.listen.rsplit(':').next().expect("a port").to_owned();
    // `ss` shows the backlog of a listener as what it may send.
    let shown = std::process::Command::new("ss").args(["-Hltn", &format!("sport = :{port}")]).output_in_time();
    let shown = String::from_utf8(shown.expect("ss, of iproute2").stdout).expect("UTF-8");
    assert_eq!(shown.split_whitespace().nth(2), Some("3"), "{shown}");
}

#[test]
fn the_limit_of_open_files_is_raised_and_told() {
    let server = Server::start_plain(&[]);
    let log = server.wait_for_stderr("room for clients");
    let told = log.split("open_files=").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a number");
    let pid = server.child.lock().expect("the child").id();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("a process");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("the limit");
    let mut numbers = line.split_whitespace().filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    assert_eq!((numbers.next(), numbers.next()), (Some(told), Some(told)), "{line}");
}
