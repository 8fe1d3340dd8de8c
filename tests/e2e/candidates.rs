//! Versions that are no good: each is refused in words that an operator understands, and the one before serves on.

use crate::client::{Session, publish, try_publish};
use crate::guests::{self, edited};
use crate::harness::{Scratch, Server};
use crate::http::{Connection, post};
use crate::operator::{Operator, component_file, done, named, refused};
use crate::terminal::{failed, operate};
use serde_json::{Value, json};

const QUICK: [&str; 4] = ["--limit", "init_ms_max=300", "--limit", "route_ms_max=300"];

/// Refused when it is pushed or when it is activated; all that is said of it. The version before serves on.
#[track_caller]
fn is_refused(server: &Server, operator: &Operator, candidate: &[u8]) -> String {
    let before = operator.active();
    let pushed = operator.try_push(candidate);
    let response = match pushed.status {
        201 => operator.try_activate(&json!({"version": pushed.json()["version"]})),
        _ => pushed,
    };
    let words = refused(&response, 422);
    let all = response.json()["mismatches"].as_array().cloned().unwrap_or_default();
    assert_eq!(operator.active(), before);
    serves(server, "a");
    all.iter().filter_map(Value::as_str).fold(words, |words, more| words + "\n" + more)
}

/// The version of this name routes.
#[track_caller]
fn serves(server: &Server, name: &str) {
    let mut ann = Session::on(server, "v.candidates");
    assert_eq!(publish(server, "v.candidates", &json!("still there")).recipients, 1);
    assert_eq!(ann.next()["by"], name);
    ann.end();
}

#[test]
fn what_is_no_component() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let component = named("b");
    for (candidate, words) in [
        (&b"not wasm at all"[..], "not a valid component"),
        (b"", "not a valid component"),
        (b"\0asm\x01\0\0\0", "core module"),
        (&component[..component.len() / 2], "not a valid component"),
        (b"\0asm\x0d\0\x01\0", "does not export volley:router/handler"),
    ] {
        let said = is_refused(&server, &operator, candidate);
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn what_was_built_for_something_else() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let newer = edited(&named("b"), b"@0.1.0", b"@0.2.0");
    let said = is_refused(&server, &operator, &newer);
    assert!(said.contains("built for volley:router 0.2.0; this host speaks 0.1"), "{said}");
    let wasi = edited(&named("b"), b"volley:router/logger@0.1.0", b"wasi:random/insecure@0.2.0");
    let said = is_refused(&server, &operator, &wasi);
    assert!(said.contains("imports wasi:random/insecure@0.2.0: a plugin gets no WASI"), "{said}");
    // All that is wrong with it, at once.
    let both = edited(&edited(&wasi, b"volley:router/pg@0.1.0", b"volley:router/pg@0.3.0"), b"time-ms", b"time-us");
    let said = is_refused(&server, &operator, &both);
    for words in ["wasi:random/insecure", "0.3.0", "time-ms"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let no_way_up = edited(
        &guests::reversible(&json!({"name": "b", "release": "0.2.0"})),
        b"volley:router/migration@",
        b"volley:router/migratiom@",
    );
    let said = is_refused(&server, &operator, &no_way_up);
    assert!(said.contains("exports the reversal, but not the migration"), "{said}");
}

#[test]
fn what_fails_before_its_first_event() {
    let (server, operator) = Server::start_with_version(&named("a"), &QUICK);
    for (settings, words) in [
        (json!({"name": "b", "release": "0.1.0", "load_traps": true}), "can't be loaded: panicked"),
        (json!({"name": "b", "release": "0.1.0", "init": "error"}), "told to fail"),
        (json!({"name": "b", "release": "0.1.0", "init": "panic"}), "told to panic"),
        (json!({"name": "b", "release": "0.1.0", "init": "loop"}), "init_ms_max"),
        (json!({"name": "b", "release": "0.1.0", "no_such_setting": true}), "can't be loaded: panicked"),
    ] {
        let said = is_refused(&server, &operator, &guests::version(&settings));
        assert!(said.contains(words), "{settings}: {said}");
    }
}

/// It is active then; its publisher is told, and nobody else notices.
#[test]
fn what_fails_on_an_event() {
    let (server, operator) = Server::start_with_version(&named("a"), &["--limit", "rollback_traps_max=100"]);
    let mut ann = Session::on(&server, "v.events");
    operator.deploy(&guests::version(&json!({"name": "b", "release": "0.1.0", "trap_at": 1})));
    try_publish(&server, "v.events", &json!(0)).problem(502);
    operator.deploy(&guests::version(&json!({"name": "c", "release": "0.1.0", "trap_at": 1000})));
    for n in 1..=2000 {
        let response = try_publish(&server, "v.events", &json!(n));
        if n % 1000 == 0 {
            response.problem(502);
        } else {
            response.expect(200);
            let message = ann.next();
            assert_eq!((&message["by"], &message["data"]), (&json!("c"), &json!(n)));
        }
    }
    ann.expect_no_more();
    operator.rollback();
    let about = operator.about();
    assert!(about["traps"].as_u64().is_some_and(|traps| traps >= 3), "{about}");
}

#[test]
fn what_is_only_tried_is_not_kept() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let before = operator.about()["versions"].clone();
    let dry_run = |component: &[u8]| operator.call(post(operator.path("/versions?dry_run")).body(component));
    let tried = done(&dry_run(&named("b")), &[200]);
    assert!(tried["version"].as_str().is_some_and(|version| version.starts_with("sha256:")), "{tried}");
    assert!(refused(&dry_run(b"nonsense"), 422).contains("component"));
    assert_eq!(operator.about()["versions"], before);
    serves(&server, "a");
}

#[test]
fn what_is_too_large_is_refused_unread() {
    let (server, operator) = Server::start_with_version(&named("a"), &["--limit", "component_bytes_max=1000000"]);
    let response = operator.try_push(&vec![0; 1_000_001]);
    assert!(refused(&response, 413).contains("component_bytes_max"), "{response}");
    serves(&server, "a");
}

/// Who was still sending it met a closed connection, two times of five, and was asked whether there is a server.
#[test]
fn who_sends_far_too_much_is_told_so() {
    let (server, _operator) = Server::start_with_version(&named("a"), &["--limit", "component_bytes_max=1000000"]);
    let folder = Scratch::new();
    let file = component_file(folder.path(), &vec![0; 32 << 20]);
    for _ in 0..5 {
        let said = failed(&operate(&server.admin, &["plugin", "push", "versions", &file]));
        assert!(said.contains("component_bytes_max"), "{said}");
    }
}

/// In chunks nobody says how much it will be. A sender that reads nothing until it has sent it all met a closed connection.
#[test]
fn who_sends_far_too_much_in_chunks_is_told_so() {
    let (server, _operator) = Server::start_with_version(&named("a"), &["--limit", "component_bytes_max=1000000"]);
    let head = format!(
        "POST /admin/v1/plugins/versions/versions HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        server.admin
    );
    let chunk = [b"10000\r\n", &vec![0; 1 << 16][..], b"\r\n"].concat();
    for _ in 0..5 {
        let mut connection = Connection::open(&server.admin);
        connection.send_raw(head.as_bytes());
        for n in 0..512 {
            connection.write(&chunk).unwrap_or_else(|error| panic!("after {n} chunks: {error}"));
        }
        connection.send_raw(b"0\r\n\r\n");
        let response = connection.receive();
        assert!(response.problem(413).contains("component_bytes_max"), "{response}");
    }
}
