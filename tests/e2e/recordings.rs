//! `volley record`: what becomes of a trace whatever happens to the command, its file and the server.

use crate::client::publish;
use crate::ending::ended_in_time;
use crate::harness::{Scratch, Server, volley, wait_until};
use crate::http::{delete, get};
use crate::operator::{Operator, done, refused};
use crate::stub::{Answer, Stub};
use crate::terminal::{self, failed, operate, stderr};
use crate::traces::{events, record};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The command, while it records.
fn recording(server: &Server, plugin: &str, arguments: &[&str]) -> Child {
    volley()
        .args(["record", plugin, "--admin", &server.admin])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("volley")
}

fn wait_for_events(file: &Path, count: usize) {
    let there = || std::fs::read_to_string(file).map_or(0, |text| events(&text).len());
    wait_until("the events to be in the file", || (there() == count).then_some(()));
}

#[test]
fn the_command_records_until_it_is_interrupted_and_leaves_nothing_behind() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        is_interrupted_by(signal);
    }
}

#[test]
fn under_nohup_it_goes_on_when_the_terminal_is_gone() {
    let (server, folder) = (Server::start_plain(&[]), Scratch::new());
    let (operator, file) = (Operator::of(&server, "topic"), folder.path().join("a.trace"));
    let child = std::process::Command::new("nohup")
        .arg(volley().get_program())
        .args(["record", "topic", "--admin", &server.admin, "-o", file.to_str().expect("UTF-8")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nohup");
    wait_until("the recording", || (operator.call(get(operator.path("/record"))).status == 200).then_some(()));
    let send = |signal: &str| {
        let sent = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    };
    send("-HUP");
    publish(&server, "a", &json!(1));
    wait_for_events(&file, 1);
    send("-INT");
    terminal::done(&ended_in_time(child));
}

#[track_caller]
fn is_interrupted_by(signal: &str) {
    let (server, folder) = (Server::start_plain(&[]), Scratch::new());
    let operator = Operator::of(&server, "topic");
    let file = folder.path().join("a.trace");
    let path = file.to_str().expect("UTF-8");
    let child = recording(&server, "topic", &["-o", path, "--topic", "a.>", "--redact", "tables"]);
    wait_until("the recording", || (operator.call(get(operator.path("/record"))).status == 200).then_some(()));
    publish(&server, "a.b", &json!(1));
    publish(&server, "b.a", &json!(1));
    let interrupted = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(interrupted.expect("kill").success());
    let output = ended_in_time(child);
    assert_eq!(terminal::done(&output), "");
    let said = stderr(&output);
    assert!(said.starts_with("recording topic; ") && said.contains("\n1 event, "), "{said}");
    assert_eq!(events(&std::fs::read_to_string(&file).expect("the trace")).len(), 1);
    assert_eq!(std::fs::metadata(&file).expect("the trace").permissions().mode() & 0o777, 0o600);
    refused(&operator.call(get(operator.path("/record"))), 404);
    assert!(failed(&operate(&server.admin, &["record", "topic", "-o", path])).contains("is there already"));
    let none = failed(&operate(&server.admin, &["explain", "1"]));
    assert!(none.contains("the server records nothing"), "{none}");
    let short = terminal::done(&operate(&server.admin, &["record", "topic", "--seconds", "0"]));
    assert!(short.starts_with("{\"trace\":1,") && short.lines().count() == 1, "{short}");
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_anything_is_recorded() {
    let (server, folder) = (Server::start_plain(&[]), Scratch::new());
    let operator = Operator::of(&server, "topic");
    let nowhere = folder.path().join("no-folder/a.trace");
    let said = failed(&operate(&server.admin, &["record", "topic", "-o", nowhere.to_str().expect("UTF-8")]));
    assert!(said.contains("can't write") && !said.contains("recording topic"), "{said}");
    refused(&operator.call(get(operator.path("/record"))), 404);
    // And one that was made in vain does not stay.
    record(&operator, &json!({}));
    let file = folder.path().join("a.trace");
    failed(&operate(&server.admin, &["record", "topic", "-o", file.to_str().expect("UTF-8")]));
    assert!(!file.exists());
}

#[test]
fn what_a_full_disk_has_no_room_for_stays_at_the_server() {
    let server = Server::start_plain(&[]);
    let operator = Operator::of(&server, "topic");
    let full = std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    let command = volley()
        .args(["record", "topic", "--seconds", "0", "--admin", &server.admin])
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn();
    let output = ended_in_time(command.expect("volley"));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("the server still has the recording"), "{}", stderr(&output));
    done(&operator.call(get(operator.path("/record"))), &[200]);
}

/// The first version gave up, and had the server forget what it had.
#[test]
fn a_look_that_fails_is_repeated() {
    let (calls, folder) = (AtomicUsize::new(0), Scratch::new());
    let status = |state: &str| json!({"state": state, "why": "it has all", "began_ms": 1, "left_out": 0});
    let server = Stub::start(move |call| match (&*call.method, &*call.query) {
        ("POST", _) => Answer::json(201, &status("recording")),
        ("DELETE", _) => Answer::status(204),
        _ if calls.fetch_add(1, Relaxed) == 0 => Answer::problem(503, "too busy", &json!({})),
        (_, "") => Answer::json(200, &status("ended")),
        _ => Answer::status(200).body("{\"trace\":1}\n{\"event\":\"7\"}\n"),
    });
    let file = folder.path().join("a.trace");
    let output = operate(&server.address, &["record", "topic", "-o", file.to_str().expect("UTF-8")]);
    assert_eq!(terminal::done(&output), "");
    assert!(stderr(&output).contains("\n1 event, "), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(&file).expect("the trace").lines().count(), 2);
}

#[test]
fn what_was_recorded_is_there_though_the_server_goes_down() {
    let (server, folder) = (Server::start_plain(&[]), Scratch::new());
    let file = folder.path().join("a.trace");
    let child = recording(&server, "topic", &["-o", file.to_str().expect("UTF-8")]);
    let operator = Operator::of(&server, "topic");
    wait_until("the recording", || (operator.call(get(operator.path("/record"))).status == 200).then_some(()));
    publish(&server, "a.b", &json!("before"));
    wait_for_events(&file, 1);
    server.terminate();
    let output = ended_in_time(child);
    let said = failed(&output);
    assert!(said.contains("the recording broke off") && said.contains("has 1 event"), "{said}");
    assert_eq!(events(&std::fs::read_to_string(&file).expect("the trace")).len(), 1);
}

#[test]
fn somebody_elses_recording_is_neither_mixed_in_nor_removed() {
    let (server, folder) = (Server::start_plain(&[]), Scratch::new());
    let operator = Operator::of(&server, "topic");
    let file = folder.path().join("a.trace");
    let child = recording(&server, "topic", &["-o", file.to_str().expect("UTF-8")]);
    wait_for_events(&file, 0);
    wait_until("the recording", || (operator.call(get(operator.path("/record"))).status == 200).then_some(()));
    publish(&server, "a.b", &json!("ours"));
    wait_for_events(&file, 1);
    done(&operator.call(delete(operator.path("/record"))), &[204]);
    record(&operator, &json!({}));
    publish(&server, "a.b", &json!("theirs"));
    let said = failed(&ended_in_time(child));
    assert!(said.contains("the recording broke off"), "{said}");
    assert_eq!(events(&std::fs::read_to_string(&file).expect("the trace")).len(), 1);
    done(&operator.call(get(operator.path("/record"))), &[200]);
}
