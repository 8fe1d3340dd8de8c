//! What a rule that misbehaves on some topics costs a quick topic of the same lane: one event in progress, however many
//! wait.

use crate::client::{Session, batch_of};
use crate::harness::{Server, wait_until};
use crate::http::{Connection, assert_problem, post};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// With this bound of one event and a single lane, so that all topics are neighbours.
const ONE_LANE: [&str; 4] = ["--lanes", "1", "--limit", "route_ms_max=200"];
/// The event in progress, and some more for a busy machine.
const BOUND: Duration = Duration::from_millis(200 + 1500);

/// A session on the topic that goes to waste, and the one beside it.
fn neighbours(server: &Server) -> (Session, Session) {
    (Session::on(server, "probe.noisy"), Session::on(server, "probe.quiet"))
}

/// Publishes these in one call, in order; the first of them is being routed when it returns.
fn keep_busy(server: &Server, data: impl IntoIterator<Item = Value>) -> Connection {
    let before = server.metric("volley_events_total");
    let mut noisy = Connection::open(&server.listen);
    noisy.send(&post("/v1/events").body(batch_of("probe.noisy", data)));
    wait_until("the lane to be busy", || (server.metric("volley_events_total") > before).then_some(()));
    noisy
}

/// The neighbour publishes as long as the condition holds; it is served each time within the bound, in order.
#[track_caller]
fn is_served(ann: &mut Session, mut goes_on: impl FnMut() -> bool) -> u64 {
    let mut rounds = 0;
    while goes_on() {
        let started = Instant::now();
        assert_eq!(ann.publish("probe.quiet", &json!(rounds)).recipients, 1);
        let waited = started.elapsed();
        assert!(waited < BOUND, "round {rounds} took {waited:?}");
        ann.expect(&[json!(rounds)]);
        rounds += 1;
    }
    rounds
}

#[test]
fn loops_delay_a_neighbour_by_one_event() {
    let server = Server::start_with_probe(&ONE_LANE);
    let (mut bob, mut ann) = neighbours(&server);
    let loops_and_numbers = (0..40).map(|n| if n % 2 == 0 { json!({"do": "loop"}) } else { json!(n) });
    let mut noisy = keep_busy(&server, loops_and_numbers);
    let rounds = is_served(&mut ann, || server.metric("volley_faults_total") < 20);
    assert!(rounds >= 10, "{rounds} publishes beside 20 loops");
    let answers = noisy.receive().expect(200);
    for (n, line) in answers.text().lines().enumerate() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        if n % 2 == 0 {
            assert_problem(&line, 502);
        } else {
            assert_eq!(line["recipients"], 1, "{line}");
        }
    }
    let numbers: Vec<Value> = (0..20).map(|n| json!(2 * n + 1)).collect();
    bob.expect(&numbers);
    bob.expect_no_more();
}

/// Far more than could be routed while the test waits.
#[test]
fn hundreds_of_loops_delay_a_neighbour_by_one_event() {
    let server = Server::start_with_probe(&[&ONE_LANE[..], &["--limit", "lane_slow_events_max=4096"]].concat());
    let (_bob, mut ann) = neighbours(&server);
    let loops = || (0..64).map(|_| json!({"do": "loop"}));
    let _noisy: Vec<Connection> = (0..6).map(|_| keep_busy(&server, loops())).collect();
    wait_until("hundreds to wait", || (server.metric("volley_lane_queue_events") > 250).then_some(()));
    let mut rounds = 0..5;
    is_served(&mut ann, || rounds.next().is_some());
    // Coming and going are events as well.
    let started = Instant::now();
    Session::on(&server, "probe.quiet-too").leave("probe.quiet-too");
    assert!(started.elapsed() < 2 * BOUND, "{:?}", started.elapsed());
}

/// On topics that nobody has heard of before: that the neighbour was quick is what tells it from them.
#[test]
fn loops_on_many_topics_delay_a_neighbour_by_one_event() {
    let server = Server::start_with_probe(&ONE_LANE);
    let (_bob, mut ann) = neighbours(&server);
    let _first = keep_busy(&server, [json!({"do": "loop"}), json!({"do": "loop"})]);
    ann.publish("probe.quiet", &json!("quick"));
    ann.expect(&[json!("quick")]);
    let on_many: String = (0..60)
        .map(|n| json!({"topic": format!("probe.noisy-{n}"), "data": {"do": "loop"}}).to_string() + "\n")
        .collect();
    let mut noisy = Connection::open(&server.listen);
    noisy.send(&post("/v1/events").body(on_many));
    wait_until("many to wait", || (server.metric("volley_lane_queue_events") > 30).then_some(()));
    let rounds = is_served(&mut ann, || server.metric("volley_faults_total") < 15);
    assert!(rounds >= 10, "{rounds} publishes beside 15 loops");
}

#[test]
fn other_faults_delay_a_neighbour_no_more() {
    const EACH: u64 = 20;
    let server = Server::start_with_probe(&ONE_LANE);
    let (mut bob, mut ann) = neighbours(&server);
    for fault in [
        json!({"do": "trap", "words": "as told"}),
        json!({"do": "alloc", "mib": 1000}),
        json!({"do": "flood", "mib": 20}),
        json!({"do": "recurse"}),
        json!({"do": "bad-handle"}),
    ] {
        let before = server.metric("volley_faults_total");
        let mut noisy = keep_busy(&server, (0..EACH).map(|_| fault.clone()));
        is_served(&mut ann, || server.metric("volley_faults_total") < before + EACH);
        let answers = noisy.receive().expect(200);
        assert_eq!(answers.text().matches("\"status\":502").count() as u64, EACH, "{fault}: {answers}");
    }
    bob.publish("probe.noisy", &json!("next"));
    bob.expect(&[json!("next")]);
}
