//! Changing the routes: the whole table at once, or nothing; topics that move keep the order of their events.
//!
//! `VOLLEY_TEST_MOVES=N` says how often one moves while it is busy (100).

use crate::client::{Session, batch_of, events, publish};
use crate::harness::{Server, wait_until};
use crate::http::{Connection, post};
use crate::operator::{Operator, done, named, refused};
use crate::swap::times;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

fn row(topics: &str, plugin: &str, config: Value) -> Value {
    let mut row = json!({"topics": topics, "plugin": plugin, "on_trap": "fail"});
    row["config"] = config;
    row
}

fn all_to_topic() -> Value {
    json!([row(">", "topic", Value::Null)])
}

#[test]
fn they_are_put_as_they_are_read() {
    let (_server, operator) = Server::start_with_version(&named("a"), &[]);
    let (routes, tag) = operator.routes();
    assert_eq!(routes, json!([row("v.>", "versions", Value::Null), row(">", "topic", Value::Null)]));
    done(&operator.try_set_routes(&routes, Some(&tag)), &[200, 204]);
    assert_eq!(operator.routes(), (routes, tag));
}

#[test]
fn who_read_them_before_somebody_changed_them_is_told() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let (before, tag) = operator.routes();
    done(&operator.try_set_routes(&all_to_topic(), Some(&tag)), &[200, 204]);
    let (now, new_tag) = operator.routes();
    assert_ne!(tag, new_tag);
    refused(&operator.try_set_routes(&before, Some(&tag)), 412);
    assert_eq!(operator.routes(), (now, new_tag));
    let mut ann = Session::on(&server, "v.moved");
    publish(&server, "v.moved", &json!("as it is"));
    ann.expect(&[json!("as it is")]);
}

#[test]
fn if_one_row_is_wrong_none_changes() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let before = operator.routes();
    let good = row("moved.>", "versions", Value::Null);
    let refusing = row("v.>", "versions", json!({"fail": "this config"}));
    for (bad, words) in [
        (row("a..b", "topic", Value::Null), "a..b"),
        (row("x.>.y", "topic", Value::Null), "x.>.y"),
        (row("x.>", "nobody", Value::Null), "nobody"),
        (good.clone(), "moved.>"),
        (refusing, "this config"),
    ] {
        let rows = json!([good, bad, row(">", "topic", Value::Null)]);
        let response = operator.try_set_routes(&rows, None);
        let all = refused(&response, 422) + &response.text().replace("\\\"", "\"");
        assert!(all.contains(words), "{words}: {all}");
        assert_eq!(operator.routes(), before);
    }
    for unreadable in [json!({}), json!([{"topics": "x"}]), json!([{"topics": "x", "plugin": "topic", "extra": 1}])] {
        let response = operator.try_set_routes(&unreadable, None);
        assert!([400, 422].contains(&response.status), "{response}");
        assert_eq!(operator.routes(), before);
    }
    let mut ann = Session::on(&server, "v.same");
    publish(&server, "v.same", &json!(1));
    assert_eq!(ann.next()["by"], "a");
}

#[test]
fn each_row_has_its_config() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    operator.set_routes(&json!([
        row("v.red", "versions", json!("red")),
        row("v.*", "versions", json!("any")),
        row(">", "topic", Value::Null),
    ]));
    for (topic, config) in [("v.red", "red"), ("v.blue", "any"), ("v.green", "any")] {
        let mut ann = Session::on(&server, topic);
        publish(&server, topic, &json!(1));
        assert_eq!(ann.next()["config"], config, "{topic}");
    }
    let about = operator.about();
    assert!(about["mounts"].as_array().is_some_and(|mounts| mounts.len() >= 2), "{about}");
}

/// To and fro between two plugins, while somebody publishes as fast as it is acknowledged, in batches too.
#[test]
fn a_topic_that_moves_keeps_its_order() {
    const BATCH: usize = 40;
    let wanted = times("VOLLEY_TEST_MOVES", 100);
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let (with_versions, _) = operator.routes();
    let mut ann = Session::on(&server, "v.moves");
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            let mut connection = Connection::open(&server.listen);
            let mut sent = 0;
            while !is_done.load(SeqCst) {
                let batch = batch_of("v.moves", (sent..sent + BATCH).map(Value::from));
                let answers = connection.call(&post("/v1/events").body(batch)).expect(200);
                assert!(!answers.text().contains("\"status\""), "{answers}");
                connection.call(&post(events("v.moves")).json(&json!(sent + BATCH))).expect(200);
                sent += BATCH + 1;
            }
            connection.call(&post(events("v.moves")).json(&json!("end"))).expect(200);
            sent
        });
        let reader = scope.spawn(|| {
            let (mut received, mut moves, mut was_by_rule) = (0, 0, true);
            loop {
                let message = ann.next();
                let is_by_rule = message.is_object();
                let data = if is_by_rule { &message["data"] } else { &message };
                moves += usize::from(is_by_rule != was_by_rule);
                if *data == "end" {
                    return (received, moves);
                }
                assert_eq!(*data, received, "in order, once");
                (received, was_by_rule) = (received + 1, is_by_rule);
            }
        });
        for at in 0..wanted {
            operator.set_routes(&if at % 2 == 0 { all_to_topic() } else { with_versions.clone() });
            let before = server.metric("volley_events_total");
            let goes_on = || (server.metric("volley_events_total") > before + 20).then_some(());
            wait_until("events to go on where they are routed now", goes_on);
        }
        is_done.store(true, SeqCst);
        let sent = publisher.join().expect("the publisher");
        assert_eq!(reader.join().expect("the reader"), (sent, wanted));
    });
}

#[test]
fn a_plugin_needs_an_active_version_to_be_routed_to() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let other = Operator::of(&server, "other");
    let version = other.push(&named("o"));
    let (mut routes, _) = operator.routes();
    routes.as_array_mut().expect("a list").insert(0, row("other.>", "other", Value::Null));
    assert!(refused(&operator.try_set_routes(&routes, None), 422).contains("other"));
    other.activate(&version);
    operator.set_routes(&routes);
    let mut ann = Session::on(&server, "other.x");
    publish(&server, "other.x", &json!(1));
    assert_eq!(ann.next()["by"], "o");
}
