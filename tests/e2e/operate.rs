//! Operators' commands: what they send, what they print, how they fail. The calls that change something go to a stub
//! that speaks the admin API; what looks goes to a real server.

use crate::client::Session;
use crate::harness::{Scratch, Server, volley, wait_until};
use crate::rooms::{enter, say};
use crate::stub::{Answer, Call, Stub};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};

pub(crate) const TOKEN: &str = "the-token-of-the-stub";
const OLD: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
const NEW: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";

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
    child.wait_with_output().expect("what it said")
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
fn admin() -> Stub {
    admin_that(false)
}

fn admin_that(unstable: bool) -> Stub {
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

#[test]
fn a_push_brings_the_component_and_its_signature() {
    let (stub, folder) = (admin(), Scratch::new());
    let file = folder.file("chat.wasm", "component");
    let said = done(&operate(&stub.address, &["plugin", "push", "chat", &file]));
    assert_eq!(said, "chat 222222222222 (9 B) is on the server\n");
    let call = stub.last("POST");
    assert_eq!((&*call.path, &*call.query, &*call.body), ("/admin/v1/plugins/chat/versions", "", &b"component"[..]));
    assert_eq!(call.header("volley-signature"), None);
    folder.file("chat.wasm.sig", "AAAA\n");
    done(&operate(&stub.address, &["plugin", "push", "chat", &file]));
    assert_eq!(stub.last("POST").header("volley-signature"), Some("AAAA"));
    let other = folder.file("other.sig", "BBBB\n");
    done(&operate(&stub.address, &["plugin", "push", "chat", &file, "--signature", &other]));
    assert_eq!(stub.last("POST").header("volley-signature"), Some("BBBB"));
    let broken = folder.file("broken.sig", "not base64!\n");
    let said = failed(&operate(&stub.address, &["plugin", "push", "chat", &file, "--signature", &broken]));
    assert!(said.contains("broken.sig") && said.contains("base64"), "{said}");
    let known = folder.file("known.wasm", "known");
    let said = done(&operate(&stub.address, &["plugin", "push", "chat", &known]));
    assert!(said.contains("already"), "{said}");
    let said = done(&operate(&stub.address, &["plugin", "push", "chat", &known, "--dry-run"]));
    assert!(said.contains("nothing was changed"), "{said}");
    assert_eq!(stub.last("POST").query, "dry_run");
    let said = done(&operate(&stub.address, &["plugin", "push", "chat", &known, "--json"]));
    assert_eq!(serde_json::from_str::<Value>(&said).expect("JSON"), json!({ "version": NEW }));
}

#[test]
fn a_component_that_does_not_fit_is_told_all_it_is_not() {
    let (stub, folder) = (admin(), Scratch::new());
    let file = folder.file("misfit.wasm", "misfit");
    let said = failed(&operate(&stub.address, &["plugin", "push", "chat", &file, "--activate"]));
    assert_eq!(
        said,
        "volley: the component does not fit\n  - it imports wasi:cli/environment\n  - it exports no `route`\u{fffd}[2J\n"
    );
    assert_eq!(stub.calls("POST").len(), 1, "it was not activated");
}

#[test]
fn push_activate_wait_is_one_line() {
    let (stub, folder) = (admin(), Scratch::new());
    let file = folder.file("chat.wasm", "component");
    let arguments =
        ["plugin", "push", "chat", &file, "--activate", "--wait", "--config", "{\"a\":1}", "--if-current", OLD];
    let said = done(&operate(&stub.address, &arguments));
    assert!(said.ends_with("chat is routed by 222222222222 (before: 111111111111)\n"), "{said}");
    assert_eq!(stub.last("POST").path, "/admin/v1/plugins/chat/activate");
    assert_eq!(stub.last("POST").json(), json!({"version": NEW, "if_current": OLD, "config": {"a": 1}}));
    assert_eq!(stub.last("GET").path, "/admin/v1/plugins/chat", "it looked whether that is so");
}

#[test]
fn a_version_that_goes_back_by_itself_fails_who_waits_for_it() {
    let (stub, folder) = (admin_that(true), Scratch::new());
    let file = folder.file("chat.wasm", "component");
    let output = operate(&stub.address, &["plugin", "push", "chat", &file, "--activate", "--wait"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).contains("went back to 111111111111 by itself: 5 traps in 10 s"), "{output:?}");
}

#[test]
fn activate_and_rollback_say_who_routes() {
    let stub = admin();
    let said = failed(&operate(&stub.address, &["plugin", "rollback", "chat"]));
    assert!(said.contains("there is no previous version"), "{said}");
    let said = failed(&operate(&stub.address, &["plugin", "activate", "chat", "333333"]));
    assert!(said.contains("no such version") && said.contains("volley plugin show"), "{said}");
    let said = failed(&operate(&stub.address, &["plugin", "activate", "chat", "222222", "--if-current", NEW]));
    assert!(said.contains("another version is current"), "{said}");
    let said = failed(&operate(&stub.address, &["plugin", "activate", "chat", "222222", "--config", "\"bad\""]));
    assert!(said.contains("init failed"), "{said}");
    let shadow = ["--require-shadow", "1000", "--max-different", "2", "--wait"];
    let said = done(&operate(&stub.address, &[&["plugin", "activate", "chat", "222222"], &shadow[..]].concat()));
    assert_eq!(said, "chat is routed by 222222222222 (before: 111111111111)\n");
    let body = json!({"version": "222222", "require_shadow": {"events": 1000, "max_different": 2}});
    assert_eq!(stub.last("POST").json(), body);
    let said = done(&operate(&stub.address, &["plugin", "rollback", "chat", "--if-current", NEW]));
    assert_eq!(said, "chat is routed by 111111111111 (before: 222222222222)\n");
    assert_eq!(stub.last("POST").json(), json!({ "if_current": NEW }));
    assert_eq!(done(&operate(&stub.address, &["plugin", "purge", "chat"])), "purged 222222222222\n");
}

#[test]
fn a_plugin_is_shown_to_people_and_to_programs() {
    let stub = admin();
    let said = done(&operate(&stub.address, &["plugin", "ls"]));
    let rows: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[1], ["chat", "111111111111", "-", "20", "3", "4", "1", "7", "us", "8.0", "ms", "3.0", "MiB"]);
    let said = done(&operate(&stub.address, &["plugin", "show", "chat"]));
    for words in
        ["generation 3", "4 trapped", "5 turned away", "2.0 KiB", "bundled", "ann", "chat.>", "{\"history\":5}"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    let said = done(&operate(&stub.address, &["plugin", "show", "chat", "--json"]));
    assert_eq!(serde_json::from_str::<Value>(&said).expect("JSON")["recipients"], 600);
    let said = failed(&operate(&stub.address, &["plugin", "show", "nobody"]));
    assert!(said.contains("no such plugin") && said.contains("volley plugin ls"), "{said}");
    let said = done(&operate(&admin_that(true).address, &["plugin", "ls"]));
    assert!(said.contains("went back from 222222222222 to 111111111111 by itself"), "{said}");
}

#[test]
fn a_shadow_is_started_looked_at_and_stopped() {
    let stub = admin();
    let said = failed(&operate(&stub.address, &["plugin", "shadow", "chat"]));
    assert!(said.contains("no shadow") && said.contains("volley plugin shadow NAME VERSION"), "{said}");
    let said = done(&operate(&stub.address, &["plugin", "shadow", "chat", "222222", "--sample", "0.5"]));
    assert!(said.contains("sees 50 % of the events"), "{said}");
    assert_eq!(stub.last("POST").json(), json!({"version": "222222", "sample": 0.5}));
    let said = done(&operate(&stub.address, &["plugin", "shadow", "chat"]));
    assert!(said.contains("100 compared: 99 the same, 1 different"), "{said}");
    assert!(said.contains("chat.x publish 77: other recipients; extra <0.1.1>; missing <0.2.1> <0.3.1>"), "{said}");
    done(&operate(&stub.address, &["plugin", "shadow", "chat", "--stop"]));
    failed(&operate(&stub.address, &["plugin", "shadow", "chat", "--stop"]));
}

#[test]
fn logs_come_as_they_are_written() {
    let (sender, lines) = mpsc::channel();
    let lines = Mutex::new(Some(lines));
    let stub = Stub::start(move |_| {
        let lines = lines.lock().expect("the lines").take().expect("one call");
        Answer::status(200).header("Content-Type", "application/x-ndjson").streamed(lines)
    });
    let mut child = volley()
        .args(["plugin", "logs", "chat", "-f", "-n", "7", "--admin", &stub.address])
        .stdout(Stdio::piped())
        .spawn()
        .expect("volley");
    let mut shown = BufReader::new(child.stdout.take().expect("piped")).lines();
    let line = |n: u32| {
        let line = json!({"time_ms": 0, "level": "info", "plugin": "chat", "version": OLD, "topic": "chat.x", "event": "9", "line": format!("line {n}")});
        line.to_string() + "\n"
    };
    // The second line comes in two pieces.
    let (first, second) = (line(1), line(2));
    sender.send((first.clone() + &second[..20]).into_bytes()).expect("the stub");
    let expected = |n: u32| format!("1970-01-01T00:00:00.000Z info  111111111111 chat.x 9: line {n}");
    assert_eq!(shown.next().expect("a line").expect("UTF-8"), expected(1), "before the log has ended");
    sender.send(second[20..].into()).expect("the stub");
    assert_eq!(shown.next().expect("a line").expect("UTF-8"), expected(2));
    assert_eq!(stub.last("GET").query, "lines=7&follow=1");
    drop(sender);
    assert!(shown.next().is_none());
    assert_eq!(child.wait().expect("an end").code(), Some(0));
}

#[test]
fn routes_are_changed_only_as_they_were_read() {
    let (stub, folder) = (admin(), Scratch::new());
    let said = done(&operate(&stub.address, &["routes", "get"]));
    assert!(
        said.lines().nth(1).is_some_and(|row| row.split_whitespace().eq([
            "chat.>",
            "chat",
            "previous",
            "{\"history\":5}"
        ])),
        "{said}"
    );
    let arguments = ["routes", "add", "irc.*=chat", "--config", "{\"history\":9}", "--on-trap", "subscribers"];
    let said = done(&operate(&stub.address, &arguments));
    assert_eq!(said, "+ irc.*=chat on-trap subscribers config {\"history\":9}\n");
    assert_eq!(stub.last("PUT").header("if-match"), Some("\"1\""));
    let rows = stub.last("PUT").json();
    assert_eq!(rows.as_array().map(Vec::len), Some(3), "{rows}");
    assert_eq!(rows[0], json!({"topics": "chat.>", "plugin": "chat", "config": {"history": 5}, "on_trap": "previous"}));
    let said = done(&operate(&stub.address, &["routes", "rm", "irc.*"]));
    assert_eq!(said, "- irc.*=chat on-trap subscribers config {\"history\":9}\n");
    let said = failed(&operate(&stub.address, &["routes", "rm", "irc.*"]));
    assert!(said.contains("irc.*") && said.contains("volley routes get"), "{said}");
    let said = failed(&operate(&stub.address, &["routes", "add", "a=nobody"]));
    assert!(said.contains("there are: chat, topic"), "{said}");
    let file = folder.file("routes.toml", "[[routes]]\ntopics = \">\"\nplugin = \"chat\"\nconfig = {history = 1}\n");
    let said = done(&operate(&stub.address, &["routes", "set", &file]));
    assert!(said.contains("- chat.>=chat") && said.contains("+ >=chat"), "{said}");
    assert_eq!(stub.last("PUT").json(), json!([{"topics": ">", "plugin": "chat", "config": {"history": 1}}]));
    let json = r#"[{"topics":">","plugin":"topic"}]"#;
    done(&operate_with(&stub.address, &["routes", "set", "-"], json));
    assert_eq!(stub.last("PUT").json(), json!([{"topics": ">", "plugin": "topic", "config": null}]));
    let said = failed(&operate_with(&stub.address, &["routes", "set", "-"], "[{\"topics\":\">\"}]"));
    assert!(said.contains("stdin") && said.contains("plugin"), "{said}");
}

#[test]
fn routes_that_somebody_else_changed_are_left_alone() {
    let versions = Arc::new(Mutex::new(0));
    let stub = Stub::start(move |call| {
        if call.method == "PUT" {
            return Answer::problem(412, "the routes have changed", &Value::Null);
        }
        *versions.lock().expect("a number") += 1;
        Answer::json(200, &json!([])).header("ETag", "\"1\"")
    });
    let said = failed(&operate(&stub.address, &["routes", "add", ">=topic"]));
    assert!(said.contains("somebody changed the routes meanwhile"), "{said}");
    assert_eq!(stub.calls("PUT").len(), 1);
}

#[test]
fn a_session_is_ended_by_its_pid() {
    let stub = admin();
    for pid in ["0.17.1", "<0.17.1>"] {
        assert_eq!(done(&operate(&stub.address, &["sessions", "kick", pid])), "<0.17.1> has ended\n");
    }
    let said = failed(&operate(&stub.address, &["sessions", "kick", "0.17.2"]));
    assert!(said.contains("no such session"), "{said}");
    assert_eq!(operate(&stub.address, &["sessions", "kick", "seventeen"]).status.code(), Some(2));
}

#[test]
fn what_takes_long_says_so() {
    let (sender, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let stub = Stub::start(move |_| {
        let _ = gate.lock().expect("the gate").recv();
        Answer::json(200, &json!({"current": NEW, "previous": OLD}))
    });
    let mut child = volley()
        .args(["plugin", "activate", "chat", "222222", "--admin", &stub.address])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("volley");
    let mut said = BufReader::new(child.stderr.take().expect("piped")).lines();
    let line = said.next().expect("a line").expect("UTF-8");
    assert!(line.starts_with("activating chat 222222 ... "), "{line}");
    drop(sender);
    assert_eq!(child.wait().expect("an end").code(), Some(0));
}

#[test]
fn who_does_not_answer_and_who_is_no_volley() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let said = failed(&operate(&nobody.to_string(), &["plugin", "ls"]));
    assert!(said.contains(&nobody.to_string()) && said.contains("volley serve") && said.contains("--admin"), "{said}");
    let stub = Stub::start(|call| match call.path.as_str() {
        "/admin/v1/plugins" => Answer::status(200).body("<html>"),
        _ => Answer::status(302).header("Location", "http://elsewhere.invalid/"),
    });
    for arguments in [&["plugin", "ls"][..], &["plugin", "purge", "chat"]] {
        let said = failed(&operate(&stub.address, arguments));
        assert!(said.contains("is the address right?"), "{said}");
    }
    for arguments in [
        &["plugin", "ls", "--admin", "ftp://x"][..],
        &["plugin", "push", "oci://localhost:1/a:1", "x.wasm", "--activate"],
        &["plugin", "push", "chat", "x.wasm", "--config", "1"],
        &["plugin", "push", "chat", "x.wasm", "--wait"],
        &["plugin", "push", "chat", "oci://no-registry"],
        &["plugin", "shadow", "chat", "222222", "--sample", "2"],
        &["routes", "add", "nothing"],
    ] {
        let output = crate::harness::run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn the_token_is_found_where_serve_wrote_it_and_sent_nowhere_else() {
    let (runtime, data) = (Scratch::new(), Scratch::new());
    let stub = admin();
    let port = stub.address.rsplit(':').next().expect("a port");
    let purge = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut command = volley();
        command.args(["plugin", "purge", "chat", "--admin", &stub.address]).args(arguments);
        command.env("XDG_RUNTIME_DIR", runtime.path()).envs(environment.iter().copied());
        command.output().expect("volley")
    };
    let said = failed(&purge(&[], &[]));
    assert!(said.contains("admin token is needed") && said.contains("--token-file"), "{said}");
    std::fs::create_dir(runtime.path().join("volley")).expect("a folder");
    runtime.file(&format!("volley/admin-{port}.token"), &format!("{TOKEN}\n"));
    done(&purge(&[], &[]));
    let file = data.file("admin.token", &format!("{TOKEN}\n"));
    let data = data.path().to_str().expect("UTF-8");
    let ways: [&[&str]; 3] = [&["--data", data], &["--token-file", &file], &["--token", TOKEN]];
    for way in ways {
        done(&purge(way, &[("VOLLEY_ADMIN_TOKEN", "a wrong one")]));
    }
    done(&purge(&[], &[("VOLLEY_DATA", data)]));
    done(&purge(&[], &[("VOLLEY_ADMIN_TOKEN_FILE", &file)]));
    failed(&purge(&[], &[("VOLLEY_ADMIN_TOKEN", "a wrong one")]));
    // The same port of another machine: a name that leads nowhere, and a proxy that sees what would be sent.
    let proxy = Stub::start(|_| Answer::problem(401, "who are you?", &Value::Null));
    let output = volley()
        .args(["plugin", "purge", "chat", "--admin", &format!("http://other.invalid:{port}")])
        .env("XDG_RUNTIME_DIR", runtime.path())
        .env("http_proxy", format!("http://{}", proxy.address))
        .output()
        .expect("volley");
    failed(&output);
    assert_eq!(proxy.last("POST").header("authorization"), None);
}

/// What looks, at a real server.
#[test]
fn a_real_server_is_looked_at() {
    let server = Server::start(&[]);
    let (mut ann, _) = enter(&server, "ann", "chat.operate");
    say(&mut ann, "chat.operate", "hello");
    let bob = Session::open_as(&server, "b\u{202e}ob");
    let look = |arguments: &[&str]| done(&operate(&server.admin, arguments));
    let said = look(&["plugin", "ls"]);
    assert!(said.contains("chat") && said.contains("topic") && !said.contains("sha256:"), "{said}");
    assert!(look(&["plugin", "show", "chat"]).contains("chat rooms"));
    let all: Value = serde_json::from_str(&look(&["plugin", "ls", "--json"])).expect("JSON");
    assert_eq!(all["plugins"].as_array().map(Vec::len), Some(2), "{all}");
    assert!(look(&["routes", "get"]).contains("chat.>"));
    let said = look(&["sessions", "ls"]);
    assert!(said.contains(&ann.pid) && said.contains(&bob.pid) && !said.contains('\u{202e}'), "{said}");
    assert!(look(&["sessions", "ls", "--limit", "1"]).contains("there are more: --after"));
    assert!(look(&["sessions", "show", ann.pid.trim_matches(['<', '>'])]).contains("chat.operate"));
    assert!(look(&["tables", "ls"]).contains("chat:rooms"));
    assert!(look(&["tables", "get", "chat:rooms", "--limit", "1"]).contains("there are more"));
    let said = failed(&operate(&server.admin, &["tables", "get", "nobody"]));
    assert!(said.contains("volley tables ls"), "{said}");
}

#[test]
fn a_table_is_dumped_to_its_end() {
    let server = Server::start(&["--limit", "admin_page_max=3"]);
    let (mut ann, _) = enter(&server, "ann", "chat.dump");
    for n in 0..10 {
        say(&mut ann, "chat.dump", &format!("saying {n}"));
    }
    let dumped = done(&operate(&server.admin, &["tables", "dump", "chat:rooms"]));
    let objects: Vec<Value> = dumped.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(objects.len() > 10, "{dumped}");
    for n in 0..10 {
        assert_eq!(dumped.matches(&format!("saying {n}")).count(), 1, "{dumped}");
    }
    let none = done(&operate(&server.admin, &["tables", "dump", "chat:rooms", "--prefix", "zzz"]));
    assert_eq!(none, "");
}

#[test]
fn every_command_teaches_by_example() {
    let commands: [&[&str]; 19] = [
        &["plugin", "push"],
        &["plugin", "pull"],
        &["plugin", "activate"],
        &["plugin", "rollback"],
        &["plugin", "shadow"],
        &["plugin", "ls"],
        &["plugin", "show"],
        &["plugin", "logs"],
        &["plugin", "purge"],
        &["routes", "get"],
        &["routes", "set"],
        &["routes", "add"],
        &["routes", "rm"],
        &["tables", "get"],
        &["tables", "dump"],
        &["sessions", "ls"],
        &["sessions", "kick"],
        &["publish"],
        &["poll"],
    ];
    for command in commands {
        let help = done(&crate::harness::run(&[command, &["--help"]].concat()));
        let example = format!("volley {}", command.join(" "));
        assert!(help.contains("Example") && help.matches(&example).count() >= 2, "{help}");
    }
}

#[test]
fn shells_are_told_the_commands() {
    for (shell, words) in [("bash", "complete -F"), ("zsh", "#compdef volley"), ("fish", "complete -c volley")] {
        let script = done(&volley().args(["completions", shell]).output().expect("volley"));
        assert!(script.contains(words) && script.contains("rollback"), "{shell}");
    }
    assert_eq!(crate::harness::run(&["completions", "tcsh"]).status.code(), Some(2));
}

/// A reader that has seen enough is no failure.
#[test]
fn who_stops_reading_is_not_shouted_at() {
    let page = json!({"objects": vec![json!({"key": "k", "value": "x".repeat(1000)}); 500], "next": "k"});
    let stub = Stub::start(move |_| Answer::json(200, &page));
    let mut child = volley()
        .args(["tables", "dump", "endless", "--admin", &stub.address])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("volley");
    let mut shown = BufReader::new(child.stdout.take().expect("piped")).lines();
    shown.next().expect("a line").expect("UTF-8");
    drop(shown);
    let status = wait_until("the dump to end", || child.try_wait().expect("wait"));
    assert_eq!(status.code(), Some(0));
}
