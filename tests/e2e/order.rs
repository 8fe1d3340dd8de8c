//! Order: everybody sees the events of a topic in the same order, each once, however many publish and poll at a time.

use crate::client::{Session, events, publish};
use crate::harness::Server;
use crate::http::{Connection, post};
use serde_json::{Value, json};

const PUBLISHERS: u64 = 4;
const EACH: u64 = 150;

#[test]
fn many_publishers_many_subscribers() {
    let server = Server::shared();
    let topic = "order.many";
    let subscribers: Vec<Session> = (0..5).map(|_| Session::on(&server, topic)).collect();
    let received: Vec<Vec<Value>> = std::thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let mut connection = Connection::open(&server.listen);
            scope.spawn(move || {
                for n in 0..EACH {
                    let request = post(events(topic)).json(&json!([publisher, n]));
                    assert_eq!(connection.call(&request).expect(200).json()["recipients"], 5);
                }
            });
        }
        let pollers: Vec<_> = subscribers.into_iter().map(|session| scope.spawn(|| follow(session))).collect();
        pollers.into_iter().map(|poller| poller.join().expect("a subscriber")).collect()
    });
    for other in &received[1..] {
        assert_eq!(&received[0], other, "all see the same order");
    }
    for publisher in 0..PUBLISHERS {
        let of_it = received[0].iter().filter(|data| data[0] == publisher).map(|data| data[1].clone());
        assert_eq!(of_it.collect::<Vec<_>>(), (0..EACH).map(Value::from).collect::<Vec<_>>());
    }
}

fn follow(mut session: Session) -> Vec<Value> {
    (0..PUBLISHERS * EACH).map(|_| session.next()).collect()
}

/// On each its own publisher, on lanes that work at the same time; nothing is promised between topics.
#[test]
fn several_topics_keep_each_its_order_for_each_recipient() {
    let server = Server::shared_with_probe();
    let topics: Vec<String> = (0..PUBLISHERS).map(|topic| format!("probe.order-{topic}")).collect();
    let subscribers: Vec<Session> = (0..3).map(|_| Session::open_with(&server, &json!({ "topics": topics }))).collect();
    let received: Vec<Vec<Value>> = std::thread::scope(|scope| {
        for (publisher, topic) in topics.iter().enumerate() {
            let mut connection = Connection::open(&server.listen);
            scope.spawn(move || {
                for n in 0..EACH {
                    connection.call(&post(events(topic)).json(&json!([publisher, n]))).expect(200);
                }
            });
        }
        let pollers: Vec<_> = subscribers.into_iter().map(|session| scope.spawn(|| follow(session))).collect();
        pollers.into_iter().map(|poller| poller.join().expect("a subscriber")).collect()
    });
    for (got, publisher) in received.iter().flat_map(|got| (0..PUBLISHERS).map(move |publisher| (got, publisher))) {
        let of_it = got.iter().filter(|data| data[0] == publisher).map(|data| data[1].clone());
        assert!(of_it.eq((0..EACH).map(Value::from)), "topic {publisher}");
    }
}

/// 200 to the publisher means that it is in the mailbox of everybody: over topics and lanes, whoever asks then has it.
#[test]
fn what_was_accepted_is_in_the_mailbox() {
    let server = Server::shared();
    let topics: Vec<String> = (0..8).map(|n| format!("order.accepted-{n}")).collect();
    let mut ann = Session::open_with(&server, &json!({ "topics": topics }));
    for round in 0..20 {
        for topic in &topics {
            assert_eq!(publish(&server, topic, &json!(round)).recipients, 1);
        }
        assert_eq!(ann.poll(0).messages.len(), topics.len());
    }
}

/// A volley finds either the parked poll or the mailbox that the poll looks into next.
#[test]
fn a_message_that_comes_as_the_poll_does_is_not_lost() {
    let server = Server::shared();
    let topic = "order.races";
    let session = Session::on(&server, topic);
    std::thread::scope(|scope| {
        let mut connection = Connection::open(&server.listen);
        scope.spawn(move || {
            for n in 0..1000 {
                connection.call(&post(events(topic)).json(&json!(n))).expect(200);
            }
        });
        let mut session = session;
        for n in 0..1000 {
            assert_eq!(session.next(), json!(n));
        }
        session.expect_no_more();
    });
}
