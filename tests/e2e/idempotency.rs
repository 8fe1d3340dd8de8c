//! `Idempotency-Key`: a publish that is sent again is answered again and delivered once.

use crate::client::{Session, events, publish};
use crate::harness::Server;
use crate::http::{Request, call, post};
use serde_json::{Value, json};
use std::collections::HashSet;

fn keyed(topic: &str, key: &str, data: &Value) -> Request {
    post(events(topic)).json(data).header("Idempotency-Key", key)
}

#[test]
fn the_same_answer_delivered_once() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "idempotency.once");
    let first = ann.call(keyed("idempotency.once", "k1", &json!(1))).expect(200).json();
    let again = ann.call(keyed("idempotency.once", "k1", &json!(1))).expect(200).json();
    assert_eq!(first, again);
    let mut late = Session::on(&server, "idempotency.once");
    let again = ann.call(keyed("idempotency.once", "k1", &json!(1))).expect(200).json();
    assert_eq!(first, again, "the answer is that of the first, even if there are more subscribers now");
    assert_eq!(ann.poll(0).data(), [json!(1)]);
    late.expect_no_more();
}

#[test]
fn another_key_another_event() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "idempotency.keys");
    let events: HashSet<Value> = ["a", "b", "A", "a b", "\"a\""]
        .iter()
        .map(|key| ann.call(keyed("idempotency.keys", key, &json!(key))).expect(200).json()["event"].clone())
        .collect();
    assert_eq!(events.len(), 5);
    assert_eq!(ann.poll(0).messages.len(), 5);
}

#[test]
fn a_key_belongs_to_its_publisher() {
    let server = Server::shared();
    let (mut ann, mut bob) = (Session::on(&server, "idempotency.whose"), Session::open(&server));
    ann.call(keyed("idempotency.whose", "k", &json!("ann"))).expect(200);
    bob.call(keyed("idempotency.whose", "k", &json!("bob"))).expect(200);
    call(&server.listen, &keyed("idempotency.whose", "k", &json!("back-end"))).expect(200);
    assert_eq!(ann.poll(0).data(), [json!("ann"), json!("bob"), json!("back-end")]);
}

#[test]
fn a_key_belongs_to_its_topic() {
    let server = Server::shared();
    let mut ann = Session::open_with(&server, &json!({"topics": ["idempotency.one", "idempotency.two"]}));
    ann.call(keyed("idempotency.one", "k", &json!(1))).expect(200);
    ann.call(keyed("idempotency.two", "k", &json!(2))).expect(200);
    let mut data = ann.poll(0).data();
    data.sort_by_key(Value::as_u64);
    assert_eq!(data, [json!(1), json!(2)]);
}

#[test]
fn a_back_end_has_keys_as_well() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "idempotency.back-end");
    let first = call(&server.listen, &keyed("idempotency.back-end", "k", &json!(1))).expect(200).json();
    let again = call(&server.listen, &keyed("idempotency.back-end", "k", &json!(1))).expect(200).json();
    assert_eq!(first, again);
    assert_eq!(ann.poll(0).data(), [json!(1)]);
}

#[test]
fn failures_are_not_remembered() {
    let server = Server::shared();
    let mut ann = Session::open_as(&server, "ann");
    let say = keyed("chat.idempotency", "k", &json!({"say": "hi"}));
    ann.call(say.clone()).problem(403);
    ann.join("chat.idempotency");
    let malformed = post(events("chat.idempotency")).typed("application/json", "{").header("Idempotency-Key", "k");
    ann.call(malformed).problem(400);
    let first = ann.call(say.clone()).expect(200).json();
    assert_eq!(ann.call(say).expect(200).json(), first);
    assert!(ann.next()["welcome"].is_object());
    ann.expect(&[json!({"said": {"user": "ann", "text": "hi"}})]);
    ann.expect_no_more();
}

#[test]
fn faults_are_not_remembered() {
    let server = Server::shared_with_probe();
    let mut ann = Session::on(&server, "probe.idempotency-fault");
    ann.call(keyed("probe.idempotency-fault", "k", &json!({"do": "trap", "words": "oh no"}))).problem(502);
    ann.call(keyed("probe.idempotency-fault", "k", &json!("fine"))).expect(200);
    ann.expect(&[json!("fine")]);
}

#[test]
fn many_at_once_are_one() {
    let server = Server::shared();
    let mut ann = Session::on(&server, "idempotency.crowd");
    let (listen, token) = (&server.listen, &ann.token);
    let answers: HashSet<String> = std::thread::scope(|scope| {
        let publishers: Vec<_> = (0..16)
            .map(|_| {
                let request = keyed("idempotency.crowd", "k", &json!("one")).token(token);
                scope.spawn(move || call(listen, &request).expect(200).text().to_owned())
            })
            .collect();
        publishers.into_iter().map(|publisher| publisher.join().expect("a publisher")).collect()
    });
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(ann.poll(0).data(), [json!("one")]);
}

/// The first is held up in its lane behind an endless loop; meanwhile the second arrives.
#[test]
fn a_duplicate_waits_for_the_first() {
    let server = Server::start_with_probe(&["--limit", "route_ms_max=1500"]);
    let topic = "probe.idempotency-wait";
    let mut ann = Session::on(&server, topic);
    let (listen, token) = (&server.listen, &ann.token);
    std::thread::scope(|scope| {
        let looping = scope.spawn(|| call(listen, &post(events(topic)).json(&json!({"do": "loop"}))).problem(502));
        let publish = || call(listen, &keyed(topic, "k", &json!("one")).token(token)).expect(200).json();
        let (first, second) = (scope.spawn(publish), scope.spawn(publish));
        assert_eq!(first.join().expect("the first"), second.join().expect("the second"));
        looping.join().expect("the loop");
    });
    assert_eq!(ann.poll(0).data(), [json!("one")]);
}

#[test]
fn what_was_forgotten_is_an_event_of_its_own() {
    let server = Server::start_plain(&["--limit", "idempotency_keys_max=2"]);
    let mut ann = Session::on(&server, "idempotency.forgotten");
    for key in ["a", "b", "c", "d", "a"] {
        ann.call(keyed("idempotency.forgotten", key, &json!(key))).expect(200);
    }
    let keys: Vec<Value> = ["a", "b", "c", "d", "a"].map(Value::from).to_vec();
    assert_eq!(ann.poll(0).data(), keys);
    publish(&server, "idempotency.forgotten", &json!("without a key"));
    ann.expect(&[json!("without a key")]);
}
