//! An operator for tests: runs commands, and an admin API that answers them as a server with one plugin would.

use crate::ending::ended_in_time;
use crate::harness::volley;
use crate::stub::{Answer, Call, Stub};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Output, Stdio};
use std::sync::Mutex;

pub(crate) const TOKEN: &str = "the-token-of-the-stub";
pub(crate) const OLD: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
pub(crate) const NEW: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";

/// Runs a command against the admin listener there.
#[track_caller]
pub(crate) fn operate(admin: &str, arguments: &[&str]) -> Output {
    operate_with(admin, arguments, "")
}

/// The same with something on stdin.
#[track_caller]
pub(crate) fn operate_with(admin: &str, arguments: &[&str], input: &str) -> Output {
    let mut child = volley()
        .args(arguments)
        .args(["--admin", admin])
        .env("VOLLEY_ADMIN_TOKEN", TOKEN)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("volley");
    // A command that reads nothing may be gone already.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    ended_in_time(child)
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Its stdout, if it did what it was told.
#[track_caller]
pub(crate) fn done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(output), stderr(output));
    stdout(output)
}

/// Its stderr, if it failed.
#[track_caller]
pub(crate) fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}{}", stdout(output), stderr(output));
    assert!(stdout(output).is_empty(), "{}", stdout(output));
    assert!(!stderr(output).contains(TOKEN), "the token shows: {}", stderr(output));
    stderr(output)
}

/// One plugin as the admin API keeps it, as far as the commands can tell.
struct Model {
    active: &'static str,
    previous: Option<&'static str>,
    routes: Value,
    routes_version: u64,
    shadow: bool,
    /// Of a version that was activated: whether it goes back by itself.
    unstable: bool,
}

/// A server with the plugin `chat`, which has [`OLD`] and gets [`NEW`].
pub(crate) fn admin() -> Stub {
    admin_that(false)
}

pub(crate) fn admin_that(unstable: bool) -> Stub {
    let model = Model {
        active: OLD,
        previous: None,
        routes: json!([
            {"topics": "chat.>", "plugin": "chat", "config": {"history": 5}, "on_trap": "previous"},
            {"topics": ">", "plugin": "topic", "config": null, "on_trap": "fail"},
        ]),
        routes_version: 1,
        shadow: false,
        unstable,
    };
    let model = Mutex::new(model);
    Stub::start(move |call| answer(&mut model.lock().expect("the model"), call))
}

fn answer(model: &mut Model, call: &Call) -> Answer {
    if call.method != "GET" && call.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
        return Answer::problem(401, "the admin token is needed, as Authorization: Bearer", &Value::Null);
    }
    let (method, path) = call.line();
    let missing = || Answer::problem(404, "there is no such plugin", &Value::Null);
    match (method, &path[2..]) {
        ("GET", ["plugins"]) => Answer::json(200, &json!({"plugins": [plugin(model)]})),
        ("GET" | "POST" | "DELETE", ["plugins", name, ..]) if *name != "chat" => missing(),
        ("GET", ["plugins", _]) => Answer::json(200, &plugin(model)),
        ("POST", ["plugins", _, "versions"]) if call.body == b"misfit" => {
            let words = json!(["it imports wasi:cli/environment", "it exports no `route`\u{1b}[2J"]);
            Answer::problem(422, "the component does not fit", &json!({"mismatches": words}))
        }
        ("POST", ["plugins", _, "versions"]) => {
            let is_new = call.query != "dry_run" && call.body != b"known";
            Answer::json(if is_new { 201 } else { 200 }, &json!({"version": NEW}))
        }
        ("POST", ["plugins", _, "activate"]) => activate(model, &call.json()),
        ("POST", ["plugins", _, "rollback"]) => match model.previous.take() {
            None => Answer::problem(409, "there is no previous version", &Value::Null),
            Some(previous) => {
                let current = std::mem::replace(&mut model.active, previous);
                Answer::json(200, &json!({"current": previous, "previous": current}))
            }
        },
        ("POST", ["plugins", _, "purge"]) => Answer::json(200, &json!({"purged": [NEW]})),
        ("POST", ["plugins", _, "shadow"]) => {
            model.shadow = true;
            Answer::json(201, &report())
        }
        ("GET", ["plugins", _, "shadow"]) if model.shadow => Answer::json(200, &report()),
        ("DELETE", ["plugins", _, "shadow"]) if std::mem::take(&mut model.shadow) => Answer::status(204),
        (_, ["plugins", _, "shadow"]) => Answer::problem(404, "no shadow is running", &Value::Null),
        ("GET", ["routes"]) => Answer::json(200, &model.routes).header("ETag", format!("\"{}\"", model.routes_version)),
        ("PUT", ["routes"]) => set_routes(model, call),
        ("DELETE", ["sessions", "%3C0.17.1%3E"]) => Answer::status(204),
        ("DELETE", ["sessions", _]) => Answer::problem(404, "there is no such session", &Value::Null),
        _ => Answer::problem(404, "there is nothing at this path", &Value::Null),
    }
}

fn plugin(model: &Model) -> Value {
    let back = json!({"at_ms": 0, "from": NEW, "to": OLD, "why": "5 traps in 10 s"});
    json!({
        "name": "chat", "active": model.active, "previous": model.previous, "generation": 3,
        "versions": [{
            "version": OLD, "state": "active", "source": "bundled", "bytes": 2048, "name": "chat", "release": "1.0",
            "description": "rooms", "pushed_ms": 0, "signed_by": "ann", "migrates": true, "downgrades": false,
        }],
        "queued": 1, "calls": 20, "refusals": 3, "traps": 4, "busy": 5, "recipients": 600,
        "p50_us": 7.0, "p99_us": 8000.0, "memory_bytes": 3_145_728,
        "rolled_back": if model.unstable && model.previous.is_none() { back } else { Value::Null },
        "mounts": [{"config": {"history": 5}, "on_trap": "previous", "topics": ["chat.>"]}],
    })
}

fn activate(model: &mut Model, body: &Value) -> Answer {
    if body["version"]
        .as_str()
        .is_none_or(|version| !NEW.replace("sha256:", "").starts_with(&version.replace("sha256:", "")))
    {
        return Answer::problem(404, "there is no such version", &Value::Null);
    }
    if body["if_current"].as_str().is_some_and(|current| current != model.active) {
        return Answer::problem(409, "another version is current", &Value::Null);
    }
    if body["config"] == json!("bad") {
        return Answer::problem(422, "init failed: no such key", &Value::Null);
    }
    if model.unstable {
        // It is routed by the new one for a moment, in which nobody looks.
        return Answer::json(200, &json!({"current": NEW, "previous": OLD}));
    }
    model.previous = Some(std::mem::replace(&mut model.active, NEW));
    Answer::json(200, &json!({"current": NEW, "previous": OLD}))
}

fn set_routes(model: &mut Model, call: &Call) -> Answer {
    let body = call.json();
    if call.header("if-match") != Some(&format!("\"{}\"", model.routes_version)) {
        return Answer::problem(412, "the routes have changed", &Value::Null);
    }
    if body.as_array().expect("rows").iter().any(|row| row["plugin"] == "nobody") {
        return Answer::problem(422, "there is no plugin \"nobody\"; there are: chat, topic", &Value::Null);
    }
    model.routes_version += 1;
    model.routes = body;
    Answer::json(200, &model.routes).header("ETag", format!("\"{}\"", model.routes_version))
}

fn report() -> Value {
    json!({
        "version": NEW, "sample": 0.5, "since_ms": 0, "compared": 100, "same": 99, "different": 1, "dropped": 2, "traps": 3,
        "differences": [{
            "event": "77", "topic": "chat.x", "kind": "publish", "extra": ["<0.1.1>"], "missing": ["<0.2.1>", "<0.3.1>"],
            "what": "other recipients",
        }],
        "live": {"p50_us": 10.0, "p99_us": 20.0}, "shadow": {"p50_us": 30.0, "p99_us": null},
    })
}
