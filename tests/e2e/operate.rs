//! Operators' commands that change something: what they send, what they print, how they fail. A stub speaks the admin API.

use crate::ending::ended_in_time;
use crate::harness::{Scratch, volley};
use crate::stub::{Answer, Stub};
use crate::terminal::{NEW, OLD, admin, admin_that, done, failed, operate, operate_with, stderr};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::{Mutex, mpsc};

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
    let said = done(&operate(&stub.address, &["plugin", "push", "chat", &file]));
    assert_eq!(said, "chat 222222222222 (9 B, signed) is on the server\n");
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

/// A folder is built first: what is pushed is what `plugin build` makes of it.
#[test]
fn a_folder_is_built_and_pushed() {
    let stub = admin();
    let built = std::fs::read(crate::guests::probe()).expect("the probe");
    let folder = crate::harness::workspace().join("tests/guests/probe");
    done(&operate(&stub.address, &["plugin", "push", "chat", folder.to_str().expect("UTF-8")]));
    assert!(stub.last("POST").body == built, "other bytes");
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
    assert_eq!(ended_in_time(child).status.code(), Some(0));
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
    let stub = Stub::start(|call| match &*call.method {
        "PUT" => Answer::problem(412, "the routes have changed", &Value::Null),
        _ => Answer::json(200, &json!([])).header("ETag", "\"1\""),
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
