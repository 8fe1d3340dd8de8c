//! A real server that is operated with the commands alone: what an operator types, and what clients see of it.

use crate::client::{Session, publish};
use crate::harness::{Scratch, Server, run, volley, wait_until};
use crate::operator::{Operator, component_file, named};
use crate::terminal::{TOKEN, done, failed, operate};
use serde_json::{Value, json};

/// A server that wants the token, with version `a` of `versions` on `v.>`.
fn started(folder: &Scratch, arguments: &[&str]) -> Server {
    let (token, plugin) = (folder.file("token", TOKEN), component_file(folder.path(), &named("a")));
    let (plugin, no_port) = (format!("versions={plugin}"), ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let config = folder.file("volley.toml", crate::harness::TOPIC_ONLY);
    let mut command = volley();
    command.args(["serve", "--ephemeral", "--admin-token-file", &token, "--config", &config]).args(no_port);
    Server::start_as(command.args(["--plugin", &plugin, "--route", "v.>=versions"]).args(arguments))
}

/// Another version, in a file.
fn file(folder: &Scratch, name: &str) -> String {
    let path = folder.path().join(format!("{name}.wasm"));
    std::fs::write(&path, named(name)).expect("write");
    path.to_str().expect("UTF-8").into()
}

#[track_caller]
fn next(session: &mut Session) -> Value {
    let message = session.next();
    message["by"].clone()
}

#[test]
fn versions_come_and_go() {
    let folder = Scratch::new();
    let server = started(&folder, &[]);
    let operate = |arguments: &[&str]| operate(&server.admin, arguments);
    let mut ann = Session::on(&server, "v.room");
    let mut routed_by = || {
        publish(&server, "v.room", &json!(1));
        next(&mut ann)
    };
    assert_eq!(routed_by(), "a");
    let (b, bad) = (file(&folder, "b"), folder.file("bad.wasm", "no component"));
    assert!(failed(&operate(&["plugin", "push", "versions", &bad])).contains("not a valid component"));
    done(&operate(&["plugin", "push", "versions", &b, "--dry-run"]));
    assert_eq!(routed_by(), "a");
    done(&operate(&["plugin", "push", "versions", &b, "--activate", "--wait"]));
    assert_eq!(routed_by(), "b");
    let known: Value = serde_json::from_str(&done(&operate(&["plugin", "show", "versions", "--json"]))).expect("JSON");
    let (active, previous) = (known["active"].as_str().expect("one"), known["previous"].as_str().expect("one"));
    assert!(
        failed(&operate(&["plugin", "activate", "versions", previous, "--if-current", previous])).contains("current")
    );
    assert_eq!(routed_by(), "b");

    done(&operate(&["plugin", "rollback", "versions"]));
    assert_eq!(routed_by(), "a");
    done(&operate(&["plugin", "activate", "versions", &active[7..20]]));
    assert_eq!(routed_by(), "b");
    assert!(done(&operate(&["plugin", "ls"])).contains("versions"));

    done(&operate(&["plugin", "shadow", "versions", previous, "--sample", "1"]));
    routed_by();
    let report = wait_until("an event to be compared", || {
        let report: Value = serde_json::from_str(&done(&operate(&["plugin", "shadow", "versions", "--json"]))).ok()?;
        (report["compared"].as_u64() >= Some(1)).then_some(report)
    });
    assert_eq!(report["different"], report["compared"], "the versions say their names: {report}");
    assert!(done(&operate(&["plugin", "shadow", "versions"])).contains("different"));
    done(&operate(&["plugin", "shadow", "versions", "--stop"]));

    done(&operate(&["plugin", "purge", "versions"]));
    assert!(failed(&operate(&["plugin", "rollback", "versions"])).contains("no version before"));
    assert_eq!(routed_by(), "b");
}

#[test]
fn routes_change_and_sessions_end() {
    let folder = Scratch::new();
    let server = started(&folder, &[]);
    let operate = |arguments: &[&str]| operate(&server.admin, arguments);
    done(&operate(&["routes", "add", "w.>=versions", "--config", "{\"x\":1}"]));
    assert!(done(&operate(&["routes", "get"])).contains("w.>"));
    let mut ann = Session::on(&server, "w.room");
    publish(&server, "w.room", &json!(1));
    assert_eq!(next(&mut ann), "a");
    failed(&operate(&["routes", "add", "x.>=nobody"]));
    done(&operate(&["routes", "rm", "w.>"]));
    publish(&server, "w.room", &json!("by topic now"));
    assert_eq!(ann.next(), "by topic now");
    assert!(done(&operate(&["sessions", "ls"])).contains(&ann.pid));
    done(&operate(&["sessions", "kick", &ann.pid]));
    assert!(!done(&operate(&["sessions", "ls"])).contains(&ann.pid));
    failed(&operate(&["sessions", "kick", &ann.pid]));
}

/// Where signatures are required: what is signed comes in, what is not, or was changed since, does not.
#[test]
fn only_what_a_known_key_signed_is_taken() {
    let folder = Scratch::new();
    let key = folder.path().join("alice.key").to_str().expect("UTF-8").to_owned();
    let line = String::from_utf8(run(&["plugin", "keygen", "-o", &key]).stdout).expect("UTF-8");
    let public = line.split('"').nth(1).expect("a key").to_owned();
    let server = started(&folder, &["--require-signed", "--signing-key", &format!("alice={public}")]);
    let operate = |arguments: &[&str]| operate(&server.admin, arguments);
    let operator = Operator::of(&server, "versions").with_token(TOKEN);
    let (b, c) = (file(&folder, "b"), file(&folder, "c"));
    let before = operator.active();
    assert!(failed(&operate(&["plugin", "push", "versions", &b])).contains("not signed"));

    assert!(run(&["plugin", "sign", &b, "--key", &key]).status.success());
    std::fs::copy(format!("{b}.sig"), format!("{c}.sig")).expect("copy");
    assert!(failed(&operate(&["plugin", "push", "versions", &c])).contains("signature"), "another component's");
    assert_eq!(operator.active(), before);
    let known = operator.about()["versions"].as_array().map(Vec::len);
    assert_eq!(known, Some(1), "nothing of it stays");

    done(&operate(&["plugin", "push", "versions", &b, "--activate", "--wait"]));
    let version = operator.version(&operator.active()).expect("it is known");
    assert_eq!((&version["signed_by"], &version["source"]), (&json!("alice"), &json!("pushed")));
}
