//! A candidate sees live events, and how it would have routed them is compared; no client notices.

use crate::client::{Session, publish};
use crate::guests;
use crate::harness::{Server, wait_until};
use crate::http::{delete, post};
use crate::operator::{Operator, done, named, refused};
use serde_json::{Value, json};

const EVENTS: u64 = 40;

/// It stamps its messages as the live one does: a message that differs is a difference, too.
fn candidate(more: &Value) -> Vec<u8> {
    let mut settings = json!({"name": "a", "release": "0.1.1"});
    settings.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    guests::version(&settings)
}

#[track_caller]
fn shadow(operator: &Operator, version: &str) -> Value {
    let body = json!({"version": version, "sample": 1.0});
    done(&operator.call(post(operator.path("/shadow")).json(&body)), &[201])
}

/// The report once so many events were compared.
#[track_caller]
fn report(operator: &Operator, compared: u64) -> Value {
    wait_until("events to be compared", || {
        let report = operator.look(operator.path("/shadow"));
        (report["compared"].as_u64() >= Some(compared)).then_some(report)
    })
}

/// Publishes so many events; they are routed by `a` and counted once, whoever looks on.
#[track_caller]
fn publish_and_check(ann: &mut Session, bob: &mut Session, first: u64) {
    for n in first..first + EVENTS {
        assert_eq!(ann.publish("v.shadow", &json!(n)).recipients, 2);
        let message = json!({"by": "a", "config": null, "n": n, "data": n});
        ann.expect(std::slice::from_ref(&message));
        bob.expect(&[message]);
    }
    ann.expect_no_more();
    bob.expect_no_more();
}

#[test]
fn one_that_routes_alike_differs_in_nothing() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let (mut ann, mut bob) = (Session::on(&server, "v.shadow"), Session::on(&server, "v.shadow"));
    let candidate = operator.push(&candidate(&json!({})));
    shadow(&operator, &candidate);
    assert_eq!(operator.version(&candidate).expect("it is known")["state"], "shadow");
    refused(&operator.forget(&candidate), 409);
    publish_and_check(&mut ann, &mut bob, 0);
    let report = report(&operator, EVENTS);
    assert_eq!((&report["same"], &report["different"]), (&json!(EVENTS), &json!(0)), "{report}");
    assert_eq!(report["traps"], 0, "{report}");
    assert_eq!(operator.tables()["counts"]["v.shadow"], json!(EVENTS.to_string()), "it writes to tables of its own");
    done(&operator.call(delete(operator.path("/shadow"))), &[204]);
    assert_eq!(operator.version(&candidate).expect("it is known")["state"], "pushed");
    publish_and_check(&mut ann, &mut bob, EVENTS);
}

#[test]
fn who_would_miss_something_and_who_would_get_it_besides() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let (mut ann, mut bob) = (Session::on(&server, "v.shadow"), Session::on(&server, "v.shadow"));
    let mut eve = Session::on(&server, "v.elsewhere");
    eve.publish("v.elsewhere", &json!({"do": "enlist"}));
    eve.skip_all();
    for (to, key, pid) in [("others", "missing", &ann.pid.clone()), ("enlisted", "extra", &eve.pid.clone())] {
        let first = operator.tables()["counts"].get("v.shadow").map_or(0, |n| n.as_str().unwrap().parse().unwrap());
        shadow(&operator, &operator.push(&candidate(&json!({ "to": to }))));
        publish_and_check(&mut ann, &mut bob, first);
        let report = report(&operator, EVENTS);
        assert_eq!(report["different"], EVENTS, "{to}: {report}");
        let differences = report["differences"].as_array().expect("the first of them");
        assert_eq!(differences.len(), 20, "{report}");
        let other = if key == "extra" { "missing" } else { "extra" };
        for difference in differences {
            assert_eq!((&difference[key], &difference[other]), (&json!([pid]), &json!([])), "{to}: {difference}");
            assert_eq!((&difference["topic"], &difference["kind"]), (&json!("v.shadow"), &json!("publish")));
        }
        done(&operator.call(delete(operator.path("/shadow"))), &[204]);
    }
    eve.expect_no_more();
}

#[test]
fn a_message_in_other_words_is_a_difference() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let (mut ann, mut bob) = (Session::on(&server, "v.shadow"), Session::on(&server, "v.shadow"));
    shadow(&operator, &operator.push(&named("b")));
    publish_and_check(&mut ann, &mut bob, 0);
    let report = report(&operator, EVENTS);
    assert_eq!(report["different"], EVENTS, "{report}");
    let first = &report["differences"][0];
    assert_eq!((&first["extra"], &first["missing"]), (&json!([]), &json!([])), "{report}");
    assert!(first["what"].as_str().is_some_and(|what| !what.is_empty()), "{report}");
}

#[test]
fn one_that_traps_is_counted_and_hurts_nobody() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let (mut ann, mut bob) = (Session::on(&server, "v.shadow"), Session::on(&server, "v.shadow"));
    shadow(&operator, &operator.push(&candidate(&json!({"trap_at": 1}))));
    publish_and_check(&mut ann, &mut bob, 0);
    let traps = wait_until("its traps to be counted", || {
        let report = operator.look(operator.path("/shadow"));
        (report["traps"].as_u64() >= Some(EVENTS)).then_some(report)
    });
    assert_eq!(traps["traps"], EVENTS, "{traps}");
    assert_eq!(operator.about()["traps"], 0);
}

#[test]
fn activating_can_ask_for_events_without_a_difference() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let (mut ann, mut bob) = (Session::on(&server, "v.shadow"), Session::on(&server, "v.shadow"));
    let different = operator.push(&candidate(&json!({"to": "others"})));
    let same = operator.push(&candidate(&json!({})));
    let clean = |version: &str| {
        let wanted = json!({"events": EVENTS, "max_different": 0});
        operator.try_activate(&json!({"version": version, "require_shadow": wanted}))
    };
    refused(&clean(&same), 409); // nobody has seen it yet
    shadow(&operator, &different);
    publish_and_check(&mut ann, &mut bob, 0);
    report(&operator, EVENTS);
    assert!(refused(&clean(&different), 409).contains(&EVENTS.to_string()));
    done(&operator.call(delete(operator.path("/shadow"))), &[204]);
    shadow(&operator, &same);
    publish(&server, "v.shadow", &json!("too few"));
    report(&operator, 1);
    refused(&clean(&same), 409);
    ann.skip_all();
    bob.skip_all();
    publish_and_check(&mut ann, &mut bob, EVENTS + 1);
    report(&operator, EVENTS + 1);
    done(&clean(&same), &[200]);
    assert_eq!(operator.active(), same);
}

#[test]
fn there_is_one_at_most_and_only_of_what_was_pushed() {
    let (_server, operator) = Server::start_with_version(&named("a"), &[]);
    assert_eq!(operator.call(crate::http::get(operator.path("/shadow"))).status, 404);
    let body = json!({"version": "sha256:000000000000", "sample": 1.0});
    refused(&operator.call(post(operator.path("/shadow")).json(&body)), 404);
    let version = operator.push(&named("b"));
    for sample in [json!(0), json!(-0.5), json!(1.5), json!("all")] {
        let body = json!({"version": version, "sample": sample});
        let response = operator.call(post(operator.path("/shadow")).json(&body));
        assert!([400, 422].contains(&response.status), "{sample}: {response}");
    }
    shadow(&operator, &version);
}
