//! What becomes of an event on which its rule fails, route by route; and of a version that fails too often.

use crate::client::{Session, publish, try_publish};
use crate::guests;
use crate::harness::{Server, wait_until};
use crate::operator::{Operator, named};
use serde_json::{Value, json};

fn trapping(name: &str) -> Vec<u8> {
    guests::version(&json!({"name": name, "release": "0.1.0", "traps": true}))
}

fn trap() -> Value {
    json!({"do": "trap"})
}

/// One pattern for each policy.
fn each_policy(operator: &Operator) {
    let row = |policy: &str| json!({"topics": format!("v.{policy}"), "plugin": "versions", "on_trap": policy});
    let all = json!({"topics": ">", "plugin": "topic"});
    operator.set_routes(&json!([row("fail"), row("subscribers"), row("previous"), all]));
}

#[test]
fn each_route_has_its_own() {
    let (server, operator) = Server::start_with_version(&named("a"), &["--limit", "rollback_traps_max=1000"]);
    each_policy(&operator);
    operator.deploy(&trapping("b"));
    for policy in ["fail", "subscribers", "previous"] {
        let topic = format!("v.{policy}");
        let mut ann = Session::on(&server, &topic);
        for round in 0..3 {
            let response = try_publish(&server, &topic, &trap());
            let n = if policy == "previous" { 2 * round } else { round };
            match policy {
                "fail" => drop(response.problem(502)),
                "subscribers" => {
                    assert_eq!(response.expect(200).json()["recipients"], 1);
                    ann.expect(&[trap()]);
                }
                _ => {
                    assert_eq!(response.expect(200).json()["recipients"], 1);
                    ann.expect(&[json!({"by": "a", "config": null, "n": n, "data": trap()})]);
                }
            }
            // The next event is the active version's again.
            publish(&server, &topic, &json!(round));
            let n = if policy == "previous" { n + 1 } else { n };
            ann.expect(&[json!({"by": "b", "config": null, "n": n, "data": round})]);
        }
        ann.expect_no_more();
    }
    let about = operator.about();
    assert!(about["traps"].as_u64().is_some_and(|traps| traps >= 9), "{about}");
    assert!(about["rolled_back"].is_null(), "{about}");
}

/// One that is not active any more, or was never there, can't route.
#[test]
fn previous_is_fail_where_there_is_none() {
    let (server, operator) = Server::start_with_version(&trapping("a"), &[]);
    each_policy(&operator);
    let mut ann = Session::on(&server, "v.previous");
    try_publish(&server, "v.previous", &trap()).problem(502);
    operator.deploy(&trapping("b"));
    // Both fail on it.
    try_publish(&server, "v.previous", &trap()).problem(502);
    publish(&server, "v.previous", &json!(1));
    assert_eq!(ann.next()["by"], "b");
    ann.expect_no_more();
}

#[test]
fn too_many_in_a_short_time_bring_the_version_before_back() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let (a, b) = (operator.active(), operator.deploy(&trapping("b")));
    let mut ann = Session::on(&server, "v.back");
    for _ in 0..5 {
        try_publish(&server, "v.back", &trap()).problem(502);
    }
    wait_until("the version before to be back", || (operator.active() == a).then_some(()));
    let about = operator.about();
    let rolled_back = &about["rolled_back"];
    assert_eq!((&rolled_back["from"], &rolled_back["to"]), (&json!(b), &json!(a)), "{about}");
    assert!(rolled_back["at_ms"].as_u64().is_some_and(|at| at > 0), "{about}");
    assert!(rolled_back["why"].as_str().is_some_and(|why| why.contains('5')), "{about}");
    server.wait_for_stderr("rolled back");
    publish(&server, "v.back", &trap());
    assert_eq!(ann.next()["by"], "a");
    // It does not go to and fro: what is back stays.
    assert_eq!(operator.active(), a);
}

#[test]
fn fewer_do_not() {
    let limits = ["--limit", "rollback_traps_max=3", "--limit", "rollback_window_ms=1"];
    let (server, operator) = Server::start_with_version(&named("a"), &limits);
    let b = operator.deploy(&trapping("b"));
    let mut ann = Session::on(&server, "v.rarely");
    for n in 0..10 {
        try_publish(&server, "v.rarely", &trap()).problem(502);
        publish(&server, "v.rarely", &json!(n));
        assert_eq!(ann.next()["by"], "b");
        // Each is alone in its window.
        let then = std::time::Instant::now();
        wait_until("the window to pass", || (then.elapsed().as_millis() > 2).then_some(()));
    }
    assert_eq!(operator.active(), b);
}

#[test]
fn a_swap_of_long_ago_is_not_taken_back() {
    let limits = ["--limit", "rollback_traps_max=2", "--limit", "rollback_recent_ms=1"];
    let (server, operator) = Server::start_with_version(&named("a"), &limits);
    let b = operator.deploy(&trapping("b"));
    let then = std::time::Instant::now();
    wait_until("the swap to be old", || (then.elapsed().as_millis() > 2).then_some(()));
    let mut ann = Session::on(&server, "v.old");
    for _ in 0..10 {
        try_publish(&server, "v.old", &trap()).problem(502);
    }
    publish(&server, "v.old", &json!(1));
    assert_eq!(ann.next()["by"], "b");
    assert_eq!(operator.active(), b);
}
