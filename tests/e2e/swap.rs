//! Swapping a rule again and again while many rooms are busy: no event is lost, doubled, out of order or routed by two
//! versions, no connection is dropped, and once a swap is acknowledged the version before routes nothing more.
//!
//! `VOLLEY_TEST_SWAPS=N` says how often (60).

use crate::client::{Session, events};
use crate::guests;
use crate::harness::{Server, say, wait_until};
use crate::http::{Connection, post};
use crate::operator::{Operator, named};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

const ROOMS: usize = 8;
const SUBSCRIBERS: usize = 3;
const PARKED: usize = 40;
const NAMES: [&str; 2] = ["a", "b"];
/// After each swap, so that what it left behind would show.
const EVENTS_BETWEEN: usize = 4 * ROOMS;

/// From the environment, or the second.
pub(crate) fn times(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

/// How many swaps have been asked for and how many acknowledged; the versions take turns.
#[derive(Default)]
struct Swaps {
    asked: AtomicUsize,
    acknowledged: AtomicUsize,
    published: AtomicUsize,
    done: AtomicBool,
}

/// Of one publish: how many swaps were acknowledged before, and asked for after it.
type Between = (usize, usize);

#[test]
fn under_load_every_event_is_routed_once() {
    let swaps = times("VOLLEY_TEST_SWAPS", 60);
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let versions = [operator.active(), operator.push(&named("b"))];
    under_load(&server, swaps, |swap| {
        operator.activate(&versions[(swap + 1) % 2]);
    });
}

/// Every one a code change: up, and by a rollback down.
#[test]
fn under_load_code_changes_lose_nothing() {
    let swaps = times("VOLLEY_TEST_SWAPS", 60).div_ceil(6);
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let second = guests::reversible(&json!({"name": "b", "release": "0.2.0", "layout": 2}));
    let second = operator.push(&second);
    under_load(&server, swaps, |swap| {
        if swap % 2 == 0 {
            operator.activate(&second);
        } else {
            operator.rollback();
        }
    });
}

/// Swaps so often between two versions of which `a` was first, while everybody is busy.
#[track_caller]
fn under_load(server: &Server, times: usize, mut swap: impl FnMut(usize)) {
    let state = Swaps::default();
    let started = Instant::now();
    let waiting: Vec<(Session, Connection)> = (0..PARKED)
        .map(|n| {
            let session = Session::on(server, &format!("v.quiet-{n}"));
            let parked = session.park(server);
            (session, parked)
        })
        .collect();
    let rooms: Vec<String> = (0..ROOMS).map(|room| format!("v.room-{room}")).collect();
    let sessions: Vec<Vec<Session>> =
        rooms.iter().map(|room| (0..SUBSCRIBERS).map(|_| Session::on(server, room)).collect()).collect();
    let mut events = 0;
    std::thread::scope(|scope| {
        let state = &state;
        let busy: Vec<_> = rooms
            .iter()
            .zip(sessions)
            .map(|(room, sessions)| {
                let publisher = scope.spawn(move || publish_until_done(server, room, state));
                let pollers: Vec<_> = sessions.into_iter().map(|session| scope.spawn(|| follow(session))).collect();
                (publisher, pollers)
            })
            .collect();
        for at in 0..times {
            state.asked.store(at + 1, SeqCst);
            swap(at);
            state.acknowledged.store(at + 1, SeqCst);
            let before = state.published.load(SeqCst);
            let enough = || (state.published.load(SeqCst) >= before + EVENTS_BETWEEN).then_some(());
            wait_until("the version to route for a while", enough);
        }
        state.done.store(true, SeqCst);
        for (publisher, pollers) in busy {
            let published = publisher.join().expect("a publisher");
            events += published.len();
            for poller in pollers {
                check(&published, &poller.join().expect("a subscriber"));
            }
        }
    });
    assert!(events > times, "only {events} events beside {times} swaps");
    for (session, _) in &waiting {
        assert!(server.is_parked(&session.pid), "a poll that had nothing to do with it");
    }
    say(&format!("{times} swaps and {events} events in {:.1} s", started.elapsed().as_secs_f64()));
}

/// As fast as it is acknowledged; a last one says that there is no more.
fn publish_until_done(server: &Server, room: &str, swaps: &Swaps) -> Vec<Between> {
    let mut connection = Connection::open(&server.listen);
    let mut published = Vec::new();
    loop {
        let last = swaps.done.load(SeqCst);
        let before = swaps.acknowledged.load(SeqCst);
        let answer = connection.call(&post(events(room)).json(&json!([published.len(), last]))).expect(200).json();
        assert_eq!(answer["recipients"], SUBSCRIBERS, "{answer}");
        published.push((before, swaps.asked.load(SeqCst)));
        swaps.published.fetch_add(1, SeqCst);
        if last {
            return published;
        }
    }
}

fn follow(mut session: Session) -> Vec<Value> {
    let mut received = Vec::new();
    loop {
        received.push(session.next());
        if received.last().is_some_and(|message| message["data"][1] == true) {
            session.expect_no_more();
            return received;
        }
    }
}

/// One subscriber's messages: each event once and in order, counted once in the table, stamped by a version that could.
#[track_caller]
fn check(published: &[Between], received: &[Value]) {
    assert_eq!(published.len(), received.len());
    for (at, (message, (acknowledged, asked))) in received.iter().zip(published).enumerate() {
        assert_eq!(message["data"][0], at, "lost, doubled or out of order: {message}");
        assert_eq!(message["n"], at, "routed by two versions, or counted and not delivered: {message}");
        if acknowledged == asked {
            assert_eq!(message["by"], NAMES[acknowledged % 2], "event {at}, after {acknowledged} swaps");
        }
    }
}

/// Another plugin's events are never held up, whatever a swap does: here an `upgrade` that never ends.
#[test]
fn a_swap_that_hangs_delays_no_other_plugin() {
    let (server, operator) = Server::start_with_version(&named("a"), &["--limit", "upgrade_ms_max=1000"]);
    let hanging = guests::migrating(&json!({"name": "b", "release": "0.2.0", "layout": 2, "upgrade": "loop"}));
    let hanging = operator.push(&hanging);
    let mut ann = Session::on(&server, "swap.other-plugin");
    let slowest = std::thread::scope(|scope| {
        let swap = scope.spawn(|| operator.try_activate(&json!({ "version": hanging })));
        let mut slowest = std::time::Duration::ZERO;
        while !swap.is_finished() {
            let start = Instant::now();
            ann.publish("swap.other-plugin", &json!(1));
            slowest = slowest.max(start.elapsed());
        }
        assert_eq!(swap.join().expect("the swap").status, 422);
        slowest
    });
    assert!(slowest.as_millis() < 500, "{slowest:?}");
}

/// What it takes does not grow. `VOLLEY_TEST_RSS_SWAPS=N` says over how many swaps (300).
#[test]
fn memory_stays_flat() {
    const WARM_UP: usize = 100;
    const GROWTH_MIB: u64 = 10;
    let swaps = times("VOLLEY_TEST_RSS_SWAPS", 300).max(2 * WARM_UP);
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let versions = [operator.active(), operator.push(&named("b"))];
    let mut ann = Session::on(&server, "v.memory");
    let (mut after_warm_up, mut instances) = (0, 0);
    for swap in 1..=swaps {
        operator.activate(&versions[swap % 2]);
        ann.publish("v.memory", &json!(swap));
        assert_eq!(ann.next()["by"], NAMES[swap % 2]);
        if swap == WARM_UP {
            (after_warm_up, instances) = (server.memory_mib(), settled_instances(&server, &operator));
        }
    }
    assert_eq!(settled_instances(&server, &operator), instances, "instances of swapped versions are let go of");
    let now = server.memory_mib();
    say(&format!("{after_warm_up} MiB after {WARM_UP} swaps, {now} MiB after {swaps}"));
    assert!(now <= after_warm_up + GROWTH_MIB, "{after_warm_up} MiB after {WARM_UP} swaps, {now} MiB after {swaps}");
}

/// At most the active one and the one before, in each lane; lanes let go of others before their next event.
fn settled_instances(server: &Server, operator: &Operator) -> u64 {
    let lanes = 2;
    let others = 2; // those of `topic`
    wait_until("old instances to go", || {
        let now = server.metric("volley_instances");
        (now <= 2 * lanes + others).then_some(now)
    });
    assert!(operator.about()["previous"].is_string());
    server.metric("volley_instances")
}
