//! What all commands share: which server they mean, with which token, how they fail, help; and looking at a real server.

use crate::client::Session;
use crate::ending::{InTime as _, ended_in_time};
use crate::harness::{Scratch, Server, volley, wait_until};
use crate::rooms::{enter, say};
use crate::stub::{Answer, Stub};
use crate::terminal::{NEW, OLD, TOKEN, admin, done, failed, operate, stderr};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::{Mutex, mpsc};

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
    assert_eq!(ended_in_time(child).status.code(), Some(0));
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
        command.output_in_time().expect("volley")
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
        .output_in_time()
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
        let script = done(&volley().args(["completions", shell]).output_in_time().expect("volley"));
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
