//! A new version changes what the old one left in tables, groups and timers; all of it, or nothing.

use crate::client::{Session, publish};
use crate::guests::{self, migrating, reversible};
use crate::harness::{Scratch, Server};
use crate::http::{delete, post};
use crate::kept;
use crate::operator::{Operator, component_file, named, refused};
use crate::terminal::{done, operate};
use serde_json::{Value, json};

const QUICK: [&str; 2] = ["--limit", "upgrade_ms_max=500"];
const TOPICS: [&str; 8] = ["v.a", "v.b", "v.c", "v.d", "v.e", "v.f", "v.g", "v.h"];

fn second(faults: &Value) -> Value {
    let mut settings = json!({"name": "b", "release": "0.2.0", "layout": 2});
    settings.as_object_mut().expect("an object").extend(faults.as_object().expect("an object").clone());
    settings
}

/// A server whose version `a` has left something of everything, and a session that is on `v.a` and enlisted.
fn with_something_left(reminder_ms: u64) -> (Server, Operator, Session) {
    with_something_left_of(&named("a"), reminder_ms)
}

/// The same of this component.
fn with_something_left_of(version: &[u8], reminder_ms: u64) -> (Server, Operator, Session) {
    let (server, operator) = Server::start_with_version(version, &QUICK);
    let mut ann = Session::on(&server, TOPICS[0]);
    for (n, topic) in TOPICS.iter().enumerate() {
        for _ in 0..=n {
            publish(&server, topic, &json!(n));
        }
    }
    ann.publish(TOPICS[0], &json!({"do": "enlist"}));
    ann.publish(TOPICS[0], &json!({"do": "remind", "ms": reminder_ms}));
    ann.skip_all();
    (server, operator, ann)
}

/// The counts as the first layout has them: 3 on the first topic, 2 on the second, 3 on the third, and so on.
fn counts() -> Vec<i64> {
    (0..TOPICS.len()).map(|n| if n == 0 { 3 } else { n as i64 + 1 }).collect()
}

#[track_caller]
fn assert_counts(operator: &Operator, write: impl Fn(i64) -> String) {
    let expected: Vec<Value> = counts().into_iter().map(|count| json!(write(count))).collect();
    let table = operator.table("counts");
    assert_eq!(TOPICS.map(|topic| table[topic].clone()).to_vec(), expected);
}

/// The enlisted are called, by this version.
#[track_caller]
fn assert_called(ann: &mut Session, by: &str, n: i64) {
    assert_eq!(ann.publish(TOPICS[1], &json!({"do": "call"})).recipients, 1);
    let message = ann.next();
    assert_eq!((&message["by"], &message["n"]), (&json!(by), &json!(n)), "{message}");
}

#[test]
fn up_and_down() {
    goes_up_and_down(&named("a"), &reversible(&second(&json!({}))));
}

/// What was built when v0.1 of the contract was published.
#[test]
fn kept_versions_go_up_and_down() {
    let first = kept::version(&json!({"name": "a", "release": "0.1.0"}));
    goes_up_and_down(&first, &kept::reversible(&second(&json!({}))));
}

fn goes_up_and_down(first: &[u8], next: &[u8]) {
    let (server, operator, mut ann) = with_something_left_of(first, 8000);
    assert_counts(&operator, |count| count.to_string());
    let version = operator.push(next);
    let known = operator.version(&version).expect("it was pushed");
    assert_eq!((&known["migrates"], &known["downgrades"]), (&json!(true), &json!(true)), "{known}");
    operator.activate(&version);
    assert_counts(&operator, |count| format!("{{\"count\":{count}}}"));
    assert_eq!(operator.table("notes")["upgrade"], r#"["0.1.0","null"]"#);
    assert_called(&mut ann, "b", 2);
    // It was set anew by the version that came, and fires once.
    assert_eq!(ann.next(), json!({"by": "b", "timer": {"set_by": "b"}}));
    ann.publish(TOPICS[0], &json!({"do": "remind", "ms": 4000}));
    assert_eq!(ann.next()["n"], 3);
    operator.rollback();
    let table = operator.table("counts");
    assert_eq!((&table["v.a"], &table["v.b"], &table["v.c"]), (&json!("4"), &json!("3"), &json!("3")));
    assert_eq!(operator.table("notes")["downgrade"], r#"["0.1.0"]"#);
    assert_called(&mut ann, "a", 3);
    assert_eq!(ann.next(), json!({"by": "a", "timer": {"set_by": "b"}}));
    ann.expect_no_more();
    // And up again, by going back once more.
    operator.rollback();
    assert_eq!(operator.active(), version);
    assert_called(&mut ann, "b", 4);
    assert_eq!(publish(&server, TOPICS[2], &json!(0)).recipients, 0);
    assert_eq!(operator.table("counts")["v.c"], r#"{"count":4}"#);
}

/// Everything is as it was, whatever `upgrade` did before it failed, and however it did.
#[test]
fn what_fails_is_undone_completely() {
    let (_server, operator, mut ann) = with_something_left(12_000);
    let (first, before) = (operator.active(), operator.tables());
    for (fault, words) in [("error", "told to fail"), ("panic", "told to panic"), ("loop", "upgrade_ms_max")] {
        let version = operator.push(&reversible(&second(&json!({ "upgrade": fault }))));
        let said = refused(&operator.try_activate(&json!({ "version": version })), 422);
        assert!(said.contains(words), "{fault}: {said}");
        assert_eq!(operator.active(), first);
        assert_eq!(operator.tables(), before, "{fault}");
        refused(&operator.try_rollback(), 409);
    }
    assert_called(&mut ann, "a", 2);
    // The timer is the old one, and the only one.
    assert_eq!(ann.next(), json!({"by": "a", "timer": {"set_by": "a"}}));
    ann.publish(TOPICS[0], &json!("nothing came between"));
    assert_eq!(ann.next()["data"], "nothing came between");
}

#[test]
fn a_rollback_that_fails_is_undone_completely() {
    for (fault, words) in [("error", "told to fail"), ("panic", "told to panic"), ("loop", "upgrade_ms_max")] {
        let (_server, operator, mut ann) = with_something_left(600_000);
        let version = operator.deploy(&reversible(&second(&json!({ "downgrade": fault }))));
        let before = operator.tables();
        let said = refused(&operator.try_rollback(), 422);
        assert!(said.contains(words), "{fault}: {said}");
        assert_eq!(operator.active(), version);
        assert_eq!(operator.tables(), before, "{fault}");
        assert_called(&mut ann, "b", 2);
    }
}

/// A repair of a version that migrates has its layout: it was refused, by an `upgrade` that knows of no way from itself, and
/// an event on which it fails was not given to the one before.
#[test]
fn between_two_builds_of_a_release_nothing_is_changed() {
    let (server, operator, mut ann) = with_something_left(600_000);
    let first = operator.active();
    let second_build = operator.deploy(&reversible(&second(&json!({}))));
    let tables = operator.tables();
    let faults = json!({"name": "c", "upgrade": "error", "traps": true});
    let repair = operator.deploy(&reversible(&second(&faults)));
    assert_eq!(operator.tables(), tables);
    operator.set_routes(&json!([{"topics": "v.>", "plugin": "versions", "on_trap": "previous"}]));
    ann.skip_all();
    publish(&server, TOPICS[0], &json!({"do": "trap"}));
    assert_eq!(ann.next()["by"], "b", "which the repair fails on");
    operator.rollback();
    assert_eq!(
        (operator.active(), operator.tables()["counts"]["v.b"].clone()),
        (second_build.clone(), tables["counts"]["v.b"].clone())
    );
    // The way back to the first layout leads from either of the two.
    operator.activate(&repair);
    operator.activate(&first);
    assert_eq!(operator.table("counts")["v.b"], "2");
    operator.activate(&second_build);
    operator.activate(&repair);
    operator.activate(&second_build);
    operator.activate(&first);
    assert_eq!(operator.table("counts")["v.b"], "2");
}

/// The guide said so, and `upgrade` was called all the same if nothing had migrated before: an author who forgot to raise the
/// version had tables that no later version could read.
#[test]
fn of_two_builds_of_the_first_release_neither_migrates() {
    let (server, operator, _ann) = with_something_left(600_000);
    let tables = operator.tables();
    let folder = Scratch::new();
    let forgotten = json!({"name": "b", "release": "0.1.0", "layout": 2, "upgrade": "error"});
    let file = component_file(folder.path(), &reversible(&forgotten));
    let said = done(&operate(&server.admin, &["plugin", "push", "versions", &file, "--activate"]));
    assert!(
        said.contains("\nnote: both versions say that they are 0.1.0") && said.contains("raise the version"),
        "{said}"
    );
    assert_eq!(operator.tables(), tables);
    operator.rollback();
    let file = component_file(folder.path(), &migrating(&second(&json!({}))));
    let said = done(&operate(&server.admin, &["plugin", "push", "versions", &file, "--activate"]));
    assert!(said.contains("\nnote: this version migrates its tables and has no downgrade"), "{said}");
    assert_ne!(operator.tables()["counts"], tables["counts"], "the second release migrates");
}

/// It was pushed before a repair of the release whose layout it reads, and was taken for one that does not know it.
#[test]
fn a_version_that_reads_a_layout_still_does_after_a_repair_of_the_one_that_made_it() {
    let (_server, operator, _ann) = with_something_left(600_000);
    let first = operator.active();
    let second_build = operator.deploy(&reversible(&second(&json!({}))));
    let laid_out = operator.table("counts");
    let third = operator.deploy(&guests::version(&json!({"name": "d", "release": "0.2.1", "layout": 2})));
    operator.rollback();
    let repair = operator.push(&reversible(&second(&json!({"name": "c", "upgrade": "error"}))));
    for version in [&repair, &third, &repair, &third] {
        operator.activate(version);
        assert_eq!(operator.table("counts"), laid_out);
    }
    // Only a build of that release leads back.
    let said = refused(&operator.try_activate(&json!({ "version": first })), 409);
    assert!(said.contains("the tables have the layout of release 0.2.0, which is newer than 0.1.0"), "{said}");
    operator.activate(&repair);
    operator.activate(&third);
    operator.activate(&repair);
    operator.call(delete(operator.path(&format!("/versions/{second_build}")))).expect(204);
    operator.activate(&first);
    assert_eq!(operator.table("counts")["v.b"], "2");
}

/// Its bytes are new, or its place in the list is; it does not know a layout for that. It was given the tables all the same.
#[test]
fn an_old_release_stays_old_when_it_is_forgotten_purged_or_mended() {
    let (server, operator, _ann) = with_something_left(600_000);
    let (first, second_build) = (named("a"), reversible(&second(&json!({}))));
    let old = operator.active();
    let laid_out = operator.deploy(&second_build);
    let third = operator.deploy(&guests::version(&json!({"name": "d", "release": "0.2.1", "layout": 2})));
    let is_refused = |version: &str| {
        let said = refused(&operator.try_activate(&json!({ "version": version })), 409);
        assert!(said.contains("have the layout of release 0.2.0"), "{said}");
    };
    is_refused(&old);
    operator.activate(&laid_out);
    operator.activate(&third);
    operator.call(delete(operator.path(&format!("/versions/{old}")))).expect(204);
    is_refused(&operator.push(&first));
    operator.call(post(operator.path("/purge"))).expect(200);
    is_refused(&operator.push(&first));
    // A mended build of it gets the tables back as it knows them.
    operator.activate(&operator.push(&second_build));
    let mended = guests::version(&json!({"name": "mended", "release": "0.1.0"}));
    operator.activate(&operator.push(&mended));
    assert_eq!(operator.table("counts")["v.b"], "2");
    assert_eq!(publish(&server, TOPICS[1], &json!(1)).recipients, 0);
}

/// Its layout was that of the tables already, since it was the first to write them: they were upgraded twice.
#[test]
fn a_layout_that_the_first_version_brought_is_known() {
    let (server, operator) = Server::start_with_version(&reversible(&second(&json!({"upgrade": "error"}))), &QUICK);
    let first = operator.active();
    publish(&server, TOPICS[1], &json!(1));
    let tables = operator.table("counts");
    operator.deploy(&guests::version(&json!({"name": "d", "release": "0.2.1", "layout": 2})));
    operator.deploy(&guests::version(&json!({"name": "e", "release": "0.2.2", "layout": 2})));
    let swapped = operator.activate(&first);
    assert!(swapped.to_string().contains("have the layout of 0.2.0 already"), "{swapped}");
    assert_eq!(operator.table("counts"), tables);
}

/// The way back had led to the layout of the version before the one that goes, and all that came before it could not be
/// activated any more.
#[test]
fn after_a_rollback_older_versions_can_be_activated() {
    let (_server, operator) =
        Server::start_with_version(&guests::version(&json!({"name": "z", "release": "0.0.9"})), &QUICK);
    let oldest = operator.active();
    operator.deploy(&named("a"));
    operator.deploy(&reversible(&second(&json!({}))));
    operator.rollback();
    operator.activate(&oldest);
    assert_eq!(operator.active(), oldest);
}

#[test]
fn without_downgrade_there_is_no_way_back_and_activating_says_so() {
    let (server, operator, mut ann) = with_something_left(600_000);
    let version = operator.push(&migrating(&second(&json!({"traps": true}))));
    let known = operator.version(&version).expect("it was pushed");
    assert_eq!((&known["migrates"], &known["downgrades"]), (&json!(true), &json!(false)), "{known}");
    operator.set_routes(&json!([
        {"topics": "v.>", "plugin": "versions", "config": null, "on_trap": "previous"},
        {"topics": ">", "plugin": "topic", "config": null, "on_trap": "fail"},
    ]));
    let swapped = operator.activate(&version);
    assert!(swapped.to_string().contains("rollback"), "it says that there is none: {swapped}");
    assert!(refused(&operator.try_rollback(), 409).contains("downgrade"));
    assert_eq!(operator.active(), version);
    let listed = done(&operate(&server.admin, &["plugin", "ls"]));
    assert!(listed.contains(" (no way back)"), "{listed}");
    // What it fails on is not given to a version that no longer knows the tables.
    for _ in 0..5 {
        crate::client::try_publish(&server, TOPICS[1], &json!({"do": "trap"})).problem(502);
    }
    assert_called(&mut ann, "b", 2);
    server.wait_for_stderr("it keeps failing, and goes on: ");
    assert_eq!(operator.active(), version);
}

/// What comes while the lanes stand still waits, and is routed by the version that came.
#[test]
fn what_comes_meanwhile_waits() {
    let (server, operator, ann) = with_something_left(600_000);
    let loops = operator.push(&reversible(&second(&json!({"upgrade": "loop"}))));
    let parked = ann.park(&server);
    std::thread::scope(|scope| {
        let swap = scope.spawn(|| refused(&operator.try_activate(&json!({ "version": loops })), 422));
        while !swap.is_finished() {
            publish(&server, TOPICS[7], &json!("waits"));
        }
        assert!(swap.join().expect("the swap").contains("upgrade_ms_max"));
    });
    assert!(server.is_parked(&ann.pid), "who had nothing to do with it");
    drop(parked);
}

#[test]
fn a_version_that_does_not_know_the_old_one_says_so() {
    let (server, operator) =
        Server::start_with_version(&guests::version(&json!({"name": "a", "release": "1.7.0"})), &[]);
    let version = operator.push(&reversible(&second(&json!({}))));
    let said = refused(&operator.try_activate(&json!({ "version": version })), 422);
    assert!(said.contains("there is no way from 1.7.0 to 0.2.0"), "{said}");
    assert_eq!(publish(&server, "v.old", &json!(1)).recipients, 0);
}

/// A layout that had been rolled back was taken for that of a later release's version before: nobody upgraded the tables.
#[test]
fn what_was_rolled_back_is_upgraded_again_whatever_came_between() {
    let (_server, operator, _ann) = with_something_left(600_000);
    let next = |name: &str, release: &str| {
        let settings = json!({"name": name, "release": release, "layout": 2});
        operator.deploy(&reversible(&settings))
    };
    let second_build = next("b", "0.2.0");
    operator.rollback();
    operator.deploy(&guests::version(&json!({"name": "c", "release": "0.1.1"})));
    next("d", "0.2.1");
    operator.rollback();
    operator.activate(&second_build);
    assert_counts(&operator, |count| format!("{{\"count\":{count}}}"));
}
