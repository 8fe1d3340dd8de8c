//! Clients that change how they listen in mid-stream: nothing is lost, nothing comes twice, all in order.

use crate::client::{Session, publish};
use crate::harness::Server;
use crate::http::{Connection, get};
use crate::streaming::{Events, Ws};
use serde_json::{Value, json};

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<Value> {
    range.map(Value::from).collect()
}

#[test]
fn poll_events_websocket_poll() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "transports.all");
    let publish_up_to = |from: u64, to: u64| {
        for n in from..=to {
            publish(&server, "transports.all", &json!(n));
        }
    };
    publish_up_to(1, 3);
    assert_eq!(ann.poll(0).data(), numbers(1..=3));
    publish_up_to(4, 4);
    let mut events = Events::open(&server, &ann);
    publish_up_to(5, 6);
    for n in 4..=6 {
        assert_eq!(events.message(&mut ann), n);
    }
    // While the events are open, and unread ones are on their way in both.
    publish_up_to(7, 8);
    let mut ws = Ws::open(&server, &ann);
    assert_eq!(ws.messages(&mut ann), numbers(7..=8));
    publish_up_to(9, 9);
    assert_eq!(ws.messages(&mut ann), numbers(9..=9));
    publish_up_to(10, 12);
    assert_eq!(ann.poll(0).data(), numbers(10..=12));
    assert_eq!(u16::from(ws.expect_close().code), 4409);
    let mut last = None;
    while let Some(event) = events.next() {
        last = Some(event);
    }
    assert_eq!(last.and_then(|event| event.name).as_deref(), Some("superseded"));
    let page = ann.poll(0);
    assert_eq!(page.raw, r#"{"cursor":12,"messages":[]}"#);
}

/// What was on its way when the connection was cut comes again, since nobody acknowledged it.
#[test]
fn what_a_cut_connection_did_not_bring_comes_again() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "transports.cut");
    let mut n = 0;
    for _ in 0..10 {
        let ws = Ws::open(&server, &ann);
        server.wait_until_parked(&ann.pid);
        for _ in 0..3 {
            n += 1;
            publish(&server, "transports.cut", &json!(n));
        }
        ws.cut();
        let request = get("/v1/stream").token(&ann.token).header("Last-Event-ID", ann.cursor.to_string());
        let mut events = Events::asked(Connection::open(&server.listen), &request);
        for expected in n - 2..=n {
            assert_eq!(events.message(&mut ann), expected);
        }
        events.connection.reset();
    }
    assert_eq!(ann.poll(0).raw, format!("{{\"cursor\":{n},\"messages\":[]}}"));
}
