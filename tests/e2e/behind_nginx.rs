//! Clients that come through the nginx that `volley doctor --print nginx` prints: polls, streams and sockets.

use crate::client::{Session, publish};
use crate::crowd::{Crowd, Heard, Way};
use crate::front::Front;
use crate::harness::{Server, say, wait_until};
use crate::http::{Connection, call, get};
use crate::streaming::Events;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use std::collections::BTreeSet;

const CROWD: [(Way, usize); 3] = [(Way::Poll, 1_400), (Way::Events, 300), (Way::WebSocket, 300)];
const CLIENTS: u64 = 2_000;
/// Open files of one process: nginx's, which has two for each client.
const FILES: u64 = 6_000;

fn behind_a_proxy() -> Server {
    Server::start_plain(&["--trusted-proxy", "127.0.0.0/8"])
}

/// Old workers are closed for good after this time instead of two minutes.
fn in_a_hurry(config: &str) -> String {
    let hurried = config.replace("worker_shutdown_timeout 120s;", "worker_shutdown_timeout 2s;");
    assert_ne!(config, hurried, "the time is not where it was");
    hurried
}

/// Raises the soft limit; false where the hard one is too low.
fn may_open(files: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    let enough = limit.maximum.is_none_or(|maximum| maximum >= files);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    enough && setrlimit(Resource::Nofile, raised).is_ok()
}

/// Two thousand are parked when nginx is reloaded. What is published before, meanwhile and afterwards reaches each of them
/// once and in order, whichever connections nginx closes for it.
#[test]
fn a_reload_of_nginx_loses_nothing() {
    if !may_open(FILES) {
        assert!(std::env::var_os("VOLLEY_TEST_NGINX").is_none(), "{FILES} open files are to be allowed");
        say("SKIPPED: a process may not open 6,000 files here");
        return;
    }
    let server = behind_a_proxy();
    let Some(front) = Front::of(&server, CLIENTS, in_a_hurry) else { return };
    let crowd = Crowd::start(&front.listen, "front.all", &CROWD);
    server.wait_for_metric("volley_sessions", CLIENTS);
    server.wait_for_metric("volley_parked_polls", CLIENTS);
    let mut number = 0;
    let mut publish = || {
        number += 1;
        crowd.publish(number);
        number
    };
    let heard_by_all = |number| wait_until("everybody to hear it", || (crowd.told() >= number * CLIENTS).then_some(()));
    for _ in 0..3 {
        publish();
    }
    heard_by_all(publish());
    server.wait_for_metric("volley_parked_polls", CLIENTS);
    let old: BTreeSet<u32> = front.workers();
    // Messages on their way to everybody, and a reload in the middle of it.
    publish();
    front.reload();
    while !front.workers().is_disjoint(&old) {
        heard_by_all(publish());
    }
    for _ in 0..3 {
        publish();
    }
    let newest = publish() + 1;
    let heard = crowd.last(newest);
    let expected: Vec<u64> = (1..=newest).collect();
    let lost: Vec<&Heard> = heard.iter().filter(|client| client.numbers != expected).collect();
    assert!(lost.is_empty(), "{} of {}: {:?}", lost.len(), heard.len(), lost.first());
    assert_eq!(heard.len() as u64, CLIENTS);
    // It was a reload: whoever would have stayed for ever was cut off, and came back.
    let cuts = |way| heard.iter().filter(move |client| client.way == way).map(|client| client.cuts);
    assert!(cuts(Way::Events).chain(cuts(Way::WebSocket)).all(|cuts| cuts >= 1), "no stream was closed");
    let total: u64 = cuts(Way::Poll).sum();
    say(&format!(
        "{newest} messages to {CLIENTS} clients through a reload; {total} polls met a connection that was being closed"
    ));
}

/// What the server sends comes at once, and a token in a query is in no log, not even when something goes wrong.
#[test]
fn a_stream_is_not_held_back_and_its_token_is_not_logged() {
    let server = behind_a_proxy();
    let Some(front) = Front::of(&server, 100, str::to_owned) else { return };
    let mut ann = Session::on(&server, "front.stream");
    let mut connection = Connection::open(&front.listen);
    // Who speaks HTTP/1.0 gets it without chunks.
    connection.send_raw(format!("GET /v1/stream?session={} HTTP/1.0\r\nHost: volley\r\n\r\n", ann.token).as_bytes());
    let mut events = Events::begun(connection);
    for n in 1..=3 {
        publish(&server, "front.stream", &json!(n));
        assert_eq!(events.message(&mut ann), json!(n));
    }
    assert_eq!(call(&front.listen, &get("/metrics")).status, 404, "operators have another door");
    let token = ann.token.clone();
    drop(server);
    assert_eq!(events.next(), None, "the stream ends with the server");
    assert_eq!(call(&front.listen, &get(format!("/v1/stream?session={token}"))).status, 502);
    assert!(!front.said().contains(&token), "{}", front.said());
}

/// More clients than one address has ports: nginx connects from several.
#[test]
fn a_large_crowd_comes_from_several_addresses() {
    let server = behind_a_proxy();
    let Some(front) = Front::of(&server, 60_000, str::to_owned) else { return };
    let sessions: Vec<Session> = (0..40).map(|_| Session::on(&server, "front.many")).collect();
    let parked: Vec<Connection> = sessions
        .iter()
        .map(|session| {
            let mut connection = Connection::open(&front.listen);
            connection.send(&get("/v1/poll?cursor=0&wait=50").token(&session.token));
            connection
        })
        .collect();
    server.wait_for_metric("volley_parked_polls", 40);
    let port: u16 = server.listen.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let to = format!("0100007F:{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the connections");
    let from = |address: &str| {
        let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.filter(|line| line[2] == to && line[1].starts_with(address)).count()
    };
    let (two, three) = (from("0200007F:"), from("0300007F:"));
    assert!(two > 0 && three > 0 && two + three >= 40, "{two} and {three} of 40");
    publish(&server, "front.many", &json!("all"));
    for mut connection in parked {
        assert_eq!(connection.receive().json()["messages"][0]["data"], "all");
    }
}

/// A server that was away for a moment: nginx asks it again at once, instead of believing for ten seconds that it is dead.
#[test]
fn a_server_that_comes_back_is_asked_at_once() {
    let server = behind_a_proxy();
    let Some(front) = Front::of(&server, 100, str::to_owned) else { return };
    let listen = server.listen.clone();
    drop(server);
    assert_eq!(call(&front.listen, &get("/v1/poll")).status, 502);
    let _server = Server::start_bare(&["--listen", &listen, "--admin", "127.0.0.1:0"]);
    wait_until("nginx to reach it", || (call(&front.listen, &get("/v1/poll")).status == 401).then_some(()));
}
