//! Deploying by the book: two operators at once, versions by their beginnings, configs, cleaning up.

use crate::client::{Session, publish};
use crate::guests;
use crate::harness::Server;
use crate::http::post;
use crate::operator::{Operator, done, named, refused};
use serde_json::{Value, json};

/// What routes the topic now stamps its messages with.
#[track_caller]
fn stamps(server: &Server, topic: &str) -> Value {
    let mut ann = Session::on(server, topic);
    publish(server, topic, &json!(null));
    let mut message = ann.next();
    json!([message["by"].take(), message["config"].take()])
}

#[test]
fn of_two_operators_at_once_one_is_told() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let (b, c) = (operator.push(&named("b")), operator.push(&named("c")));
    for _ in 0..5 {
        let current = operator.active();
        let others = [&b, &c].map(|version| json!({"version": version, "if_current": current}));
        let mut statuses = std::thread::scope(|scope| {
            let both = others.each_ref().map(|body| scope.spawn(|| operator.try_activate(body)));
            both.map(|one| one.join().expect("an operator").status)
        });
        statuses.sort_unstable();
        // Activating what is active already is no conflict for who knows that it is.
        assert!(statuses == [200, 409], "{statuses:?}");
        assert_ne!(operator.active(), current);
        operator.rollback();
        operator.deploy(&named("a"));
    }
    let stale = json!({"version": b, "if_current": c});
    let said = refused(&operator.try_activate(&stale), 409);
    assert!(said.contains(&operator.active()) && said.contains(&c), "what is and what was expected: {said}");
    let body = json!({"if_current": c});
    refused(&operator.call(post(operator.path("/rollback")).json(&body)), 409);
    assert_eq!(stamps(&server, "v.deploys")[0], "a");
}

/// All of them looked before the first of them was there.
#[test]
fn of_many_that_push_new_plugins_at_once_as_many_come_in_as_there_is_room_for() {
    let (server, operator) = Server::start_with_version(&named("a"), &["--limit", "plugins_max=4"]);
    let there = operator.look("/admin/v1/plugins")["plugins"].as_array().map_or(0, Vec::len);
    let names: Vec<String> = (0..8).map(|n| format!("new-{n}")).collect();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let push = |name: &str| Operator::of(&server, name).try_push(&named("b")).status;
        let all: Vec<_> = names.iter().map(|name| scope.spawn(move || push(name))).collect();
        all.into_iter().map(|one| one.join().expect("an operator")).collect()
    });
    let came_in = statuses.iter().filter(|status| **status == 201).count();
    assert_eq!((came_in, statuses.iter().filter(|status| **status == 409).count()), (4 - there, 4 + there));
    let said = refused(&Operator::of(&server, "another").try_push(&named("b")), 409);
    assert!(said.contains("plugins_max"), "{said}");
}

/// Where nothing is kept on disk, what is pushed is in memory: under one bound, whatever names it is pushed under.
#[test]
fn pushed_versions_have_room_together() {
    let room = named("a").len() * 5 / 2;
    let limit = format!("versions_bytes_max={room}");
    let (server, operator) = Server::start_with_version(&named("a"), &["--limit", &limit]);
    let b = operator.push(&named("b"));
    let other = Operator::of(&server, "other");
    other.push(&named("c"));
    other.push(&named("c"));
    let said = refused(&other.try_push(&named("d")), 409);
    assert!(said.contains("versions_bytes_max") && said.contains("purge"), "{said}");
    operator.forget(&b);
    other.push(&named("d"));
}

#[test]
fn versions_go_by_their_beginnings() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let version = operator.push(&named("b"));
    let hex = version.strip_prefix("sha256:").expect("sha256:");
    for text in ["sha256:000000000000", "000000000000", &hex[..5], "", "latest"] {
        let response = operator.try_activate(&json!({ "version": text }));
        assert!([404, 422].contains(&response.status), "{text:?}: {response}");
        assert_eq!(stamps(&server, "v.deploys")[0], "a");
    }
    for text in [version.clone(), hex.to_owned(), hex[..6].to_owned(), version[..20].to_owned()] {
        let swapped = done(&operator.try_activate(&json!({ "version": text })), &[200]);
        assert_eq!(swapped["current"], version, "{swapped}");
        assert_eq!(stamps(&server, "v.deploys")[0], "b");
        operator.rollback();
    }
}

#[test]
fn pushing_the_same_again_is_no_news() {
    let (_server, operator) = Server::start_with_version(&named("a"), &[]);
    let first = operator.try_push(&named("b"));
    assert_eq!(first.status, 201, "{first}");
    let again = operator.try_push(&named("b"));
    assert_eq!((again.status, again.json()), (200, first.json()), "{again}");
    let states: Vec<Value> = operator.about()["versions"].as_array().expect("a list").clone();
    assert_eq!(states.len(), 2, "{states:?}");
}

#[test]
fn a_config_reaches_init_and_changing_it_is_a_swap() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let a = operator.active();
    assert_eq!(stamps(&server, "v.config"), json!(["a", null]));
    let body = json!({"version": a, "config": {"color": "red"}});
    done(&operator.try_activate(&body), &[200]);
    assert_eq!(stamps(&server, "v.config"), json!(["a", {"color": "red"}]));
    // One that `init` refuses changes nothing, and its words are told.
    let body = json!({"version": a, "config": {"fail": "no such color"}});
    assert!(refused(&operator.try_activate(&body), 422).contains("no such color"));
    assert_eq!(stamps(&server, "v.config"), json!(["a", {"color": "red"}]));
    assert!(operator.routes().0.to_string().contains("red"));
    let body = json!({"version": operator.push(&named("b")), "config": {"color": "blue"}});
    done(&operator.try_activate(&body), &[200]);
    assert_eq!(stamps(&server, "v.config"), json!(["b", {"color": "blue"}]));
    operator.rollback();
    assert_eq!(stamps(&server, "v.config"), json!(["a", {"color": "red"}]));
}

#[test]
fn going_back_has_its_bounds() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let a = operator.active();
    refused(&operator.try_rollback(), 409);
    let b = operator.deploy(&named("b"));
    assert_eq!(operator.about()["previous"], a.as_str());
    let swapped = operator.rollback();
    assert_eq!((&swapped["current"], &swapped["previous"]), (&json!(a), &json!(b)));
    assert_eq!(stamps(&server, "v.deploys")[0], "a");
    operator.rollback();
    assert_eq!(stamps(&server, "v.deploys")[0], "b");
}

#[test]
fn what_is_in_use_is_not_forgotten() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let (a, b) = (operator.active(), operator.push(&named("b")));
    refused(&operator.forget(&a), 409);
    done(&operator.forget(&b), &[204]);
    assert!(operator.version(&b).is_none());
    assert_eq!(operator.try_activate(&json!({ "version": b })).status, 404);
    operator.deploy(&named("b"));
    operator.push(&named("c"));
    let purged = done(&operator.call(post(operator.path("/purge"))), &[200]);
    assert_eq!(purged["purged"].as_array().map(Vec::len), Some(2), "{purged}");
    let about = operator.about();
    assert_eq!(about["versions"].as_array().map(Vec::len), Some(1), "{about}");
    assert_eq!(about["active"], b.as_str());
    refused(&operator.try_rollback(), 409);
    assert_eq!(stamps(&server, "v.deploys")[0], "b");
}

#[test]
fn versions_are_told_apart() {
    let (_server, operator) = Server::start_with_version(&named("a"), &[]);
    let settings = json!({"name": "the next one", "release": "0.2.0"});
    let b = operator.deploy(&guests::version(&settings));
    let c = operator.push(&named("c"));
    let about = operator.about();
    let states: Vec<_> = about["versions"].as_array().expect("a list").iter().map(|one| one["state"].clone()).collect();
    for state in ["active", "previous", "pushed"] {
        assert_eq!(states.iter().filter(|known| **known == state).count(), 1, "{state}: {about}");
    }
    let known = operator.version(&b).expect("b");
    assert_eq!((&known["state"], &known["release"]), (&json!("active"), &json!("0.2.0")), "{known}");
    assert_eq!((&known["description"], &known["source"]), (&json!("the next one"), &json!("pushed")), "{known}");
    assert_eq!((&known["migrates"], &known["downgrades"]), (&json!(false), &json!(false)), "{known}");
    assert_eq!(operator.version(&c).expect("c")["state"], "pushed");
}

#[test]
fn a_plugin_that_nobody_knows() {
    let server = Server::shared();
    let nobody = Operator::of(&server, "nobody");
    let known = |said: String| assert!(said.contains("chat"), "which plugins there are: {said}");
    known(refused(&nobody.try_activate(&json!({"version": "sha256:000000"})), 404));
    known(refused(&nobody.try_rollback(), 404));
    let response = nobody.call(post(nobody.path("/activate")).body("{"));
    refused(&response, 400);
}
