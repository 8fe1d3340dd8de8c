//! Clients that go away, and answers that never reached them: nothing is lost, and nothing of them is kept.

use crate::client::{Page, Session, events, poll, publish};
use crate::harness::{Server, wait_until};
use crate::http::{Connection, post};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// An answer that no socket's buffers hold, in one message.
const LARGE_BYTES: usize = 12 << 20;
const LARGE: [&str; 6] = [
    "--limit",
    "event_bytes_max=16777216",
    "--limit",
    "mailbox_bytes_max=67108864",
    "--limit",
    "response_bytes_max=67108864",
];

/// A server that takes and gives so much at once.
#[track_caller]
pub(crate) fn start_for_large(arguments: &[&str]) -> Server {
    Server::start_plain(&[&LARGE, arguments].concat())
}

/// Publishes so much at once; what arrives of it.
#[track_caller]
pub(crate) fn publish_large(server: &Server, topic: &str) -> Value {
    let large = "0123456789abcdef".repeat(LARGE_BYTES / 16);
    let request = post(events(topic)).typed("text/plain", large.as_str());
    crate::http::call(&server.listen, &request).expect(200);
    large.into()
}

/// Before the answer, together with it, and when it lies unread in the client's buffer.
#[test]
fn what_a_reset_swallows_is_answered_again() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "gone.reset");
    for n in 1..=60_u64 {
        let mut parked = ann.park(&server);
        let publish = || assert_eq!(publish(&server, "gone.reset", &json!(n)).recipients, 1);
        match n % 3 {
            0 => {
                parked.reset();
                publish();
            }
            1 => std::thread::scope(|scope| {
                scope.spawn(publish);
                parked.reset();
            }),
            _ => {
                publish();
                assert!(parked.hears_within(Duration::from_secs(30)), "the answer has come, and nobody looks at it");
                parked.reset();
            }
        }
        ann.expect(&[json!(n)]);
    }
    ann.expect_no_more();
}

/// A poll that finds messages, one that was parked, and one that is held by the HTTP library.
#[test]
fn a_large_answer_that_is_cut_off_is_given_again() {
    let server = start_for_large(&[]);
    for (at, held) in [(0, false), (1, false), (2, true)] {
        let topic = format!("gone.large-{at}");
        let ann = Session::on(&server, &topic);
        let mut request = poll(0, 30).token(&ann.token);
        if held {
            request = request.header("Connection", "close");
        }
        let found = (at == 0).then(|| publish_large(&server, &topic));
        let mut narrow = Connection::open_narrow(&server.listen);
        narrow.send(&request);
        let large = found.unwrap_or_else(|| {
            server.wait_until_parked(&ann.pid);
            publish_large(&server, &topic)
        });
        narrow.read_bytes(100).expect("the answer begins");
        narrow.reset();
        server.wait_for_metric("volley_connections", 1);
        let mut again = Connection::open(&server.listen);
        assert_eq!(Page::of(again.call(&request)).data(), [large]);
        drop((ann, again));
        server.wait_for_metric("volley_connections", 0);
    }
}

/// Each poll either gets the message or hears that there is a later poll; it does not matter which.
#[test]
fn polls_at_the_same_time_lose_nothing() {
    const POLLS: usize = 6;
    let server = Server::shared();
    let mut ann = Session::on(&server, "gone.polls");
    let mut connections: Vec<Connection> = (0..POLLS).map(|_| Connection::open(&server.listen)).collect();
    for n in 1..=50_u64 {
        let request = poll(n - 1, 30).token(&ann.token);
        let pages: Vec<Page> = std::thread::scope(|scope| {
            let send = |connection: &mut Connection| Page::of(connection.call(&request));
            let polls: Vec<_> =
                connections.iter_mut().map(|connection| scope.spawn(move || send(connection))).collect();
            assert_eq!(publish(&server, "gone.polls", &json!(n)).recipients, 1);
            polls.into_iter().map(|poll| poll.join().expect("a poll")).collect()
        });
        let (told, got): (Vec<_>, Vec<_>) = pages.iter().partition(|page| page.superseded);
        assert!(told.iter().all(|page| (page.cursor, page.messages.len()) == (n - 1, 0)), "{told:?}");
        assert!(got.iter().all(|page| (page.cursor, page.data()) == (n, vec![json!(n)])), "{got:?}");
        assert!(!got.is_empty(), "the last one to come is not superseded: {told:?}");
    }
    ann.cursor = 50;
    ann.expect_no_more();
}

/// An endless loop of three seconds, and events that wait behind it, each on a connection of its own.
fn wait_behind_a_loop(server: &Server, topic: &str, count: u64) -> Vec<Connection> {
    let send = |data: &Value| {
        let mut connection = Connection::open(&server.listen);
        connection.send(&post(events(topic)).json(data));
        connection
    };
    let before = server.metric("volley_events_total");
    let mut all = vec![send(&json!({"do": "loop"}))];
    server.wait_for_metric("volley_events_total", before + 1);
    all.extend((0..count).map(|n| send(&json!(n))));
    server.wait_for_metric("volley_lane_queue_events", count);
    all
}

/// Long before the lane has come to its event, which is routed all the same, or never. Who has only said that nothing
/// more comes still waits for its answer, and gets it.
#[test]
fn who_does_not_wait_for_an_answer_is_let_go() {
    let server = Server::start_with_probe(&["--lanes", "1", "--limit", "route_ms_max=3000"]);
    let mut ann = Session::on(&server, "probe.gone");
    let mut half_closed = Vec::new();
    for (at, connection) in wait_behind_a_loop(&server, "probe.gone", 7).into_iter().enumerate() {
        if at % 2 == 0 {
            connection.reset();
        } else {
            connection.half_close();
            half_closed.push(connection);
        }
    }
    let started = Instant::now();
    server.wait_for_metric("volley_connections", 1 + half_closed.len() as u64);
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    for connection in &mut half_closed {
        connection.receive_answer_to("POST").expect(200);
    }
    let mut came = ann.poll(0).data();
    came.sort_by_key(Value::as_u64);
    assert!(came.is_sorted_by(|a, b| a.as_u64() < b.as_u64()), "each once: {came:?}");
    assert!([0, 2, 4, 6].iter().all(|n| came.contains(&json!(n))), "{came:?}");
}

/// The HTTP library holds such a poll; nobody else would look at its socket.
#[test]
fn a_poll_of_http_1_0_whose_client_is_gone_is_let_go() {
    let server = Server::start_plain(&[]);
    for reset in [true, false] {
        let ann = Session::on(&server, "gone.old");
        let mut old = Connection::open(&server.listen);
        old.send_raw(
            format!("GET /v1/poll?cursor=0&wait=30 HTTP/1.0\r\nVolley-Session: {}\r\n\r\n", ann.token).as_bytes(),
        );
        server.wait_until_parked(&ann.pid);
        if reset {
            old.reset();
        } else {
            drop(old);
        }
        let started = Instant::now();
        wait_until("the poll to end", || (!server.is_parked(&ann.pid)).then_some(()));
        server.wait_for_metric("volley_connections", 1);
        assert!(started.elapsed() < Duration::from_secs(3), "reset: {reset}, {:?}", started.elapsed());
        drop(ann);
        server.wait_for_metric("volley_connections", 0);
    }
}
