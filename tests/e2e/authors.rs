//! What authors of rules do: `volley plugin new`, `check` and `inspect`. Recorded events are in `rehearsals`.

use crate::client::{Session, publish};
use crate::ending::InTime as _;
use crate::guests::{self, edited};
use crate::harness::{Scratch, Server, run, target, volley, workspace};
use crate::operator::{component_file, named};
use crate::terminal::{done, failed, operate, stderr, stdout};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Output;

#[track_caller]
fn code(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}{}", stdout(output), stderr(output));
    format!("{}{}", stdout(output), stderr(output))
}

/// The ten minutes of the README: a new rule is built, checked, tested, brought to a server, and chatted through.
#[test]
fn a_new_rule_works_from_its_first_line_to_a_chat() {
    // A folder that is the same in each run, outside of any workspace's members, and what the guests were built with: so
    // that only the rule itself is compiled, and nothing is downloaded.
    let folder = target().join("authors");
    let _ = std::fs::remove_dir_all(&folder);
    let folder = folder.to_str().expect("UTF-8");
    let rule = done(&run(&["plugin", "new", "parlour", "--lang", "rust", "--dir", folder])).trim().to_owned();
    assert_eq!(rule, format!("{folder}/parlour"));
    std::fs::copy(workspace().join("Cargo.lock"), Path::new(&rule).join("Cargo.lock")).expect("its versions");
    let volley = |arguments: &[&str]| {
        let mut volley = volley();
        volley.args(arguments).env("CARGO_TARGET_DIR", target()).env("CARGO_NET_OFFLINE", "true");
        volley.output_in_time().expect("volley")
    };
    let component = format!("{rule}/parlour.wasm");
    let built = done(&volley(&["plugin", "build", &rule, "-o", &component]));
    assert_eq!(built.trim(), component);
    let checked: Value = serde_json::from_str(&done(&run(&["plugin", "check", &component, "--json"]))).expect("JSON");
    assert_eq!((&checked["fits"], &checked["info"]["name"]), (&json!(true), &json!("parlour")));
    let tested = done(&volley(&["plugin", "test", &rule]));
    assert!(tested.contains("tests/events.jsonl: ok, 14 steps, 11 compared"), "{tested}");

    let server = Server::start_plain(&[]);
    let operate = |arguments: &[&str]| done(&operate(&server.admin, arguments));
    operate(&["plugin", "push", "parlour", &component, "--activate"]);
    operate(&["routes", "add", "parlour.>=parlour", "--config", r#"{"chars_max":20}"#]);
    let enter = |user: &str| {
        let mut session = Session::open_as(&server, user);
        session.join("parlour.1");
        session
    };
    let (mut ann, mut bob) = (enter("ann"), enter("bob"));
    ann.expect(&[json!({"joined": "bob"})]);
    bob.publish("parlour.1", &json!({"quiet": true}));
    bob.expect(&[json!({"quiet": true})]);
    assert_eq!(ann.publish("parlour.1", &json!({"say": "hi"})).recipients, 1);
    ann.expect(&[json!({"said": {"user": "ann", "text": "hi"}})]);
    let far_too_much = json!({"say": "more than twenty characters"});
    assert!(ann.try_publish("parlour.1", &far_too_much).problem(403).contains("at most 20"));
    publish(&server, "parlour.1", &json!({"say": "closing time"}));
    bob.expect(&[json!({"said": {"user": null, "text": "closing time"}})]);
}

#[test]
fn a_new_rule_overwrites_nothing_and_has_a_name_that_can_be() {
    let scratch = Scratch::new();
    let dir = scratch.path().to_str().expect("UTF-8");
    let new = |name: &str, arguments: &[&str]| run(&[&["plugin", "new", name, "--dir", dir], arguments].concat());
    std::fs::create_dir(scratch.path().join("mine")).expect("a folder");
    assert!(failed(&new("mine", &[])).contains("nothing is overwritten"));
    assert_eq!(std::fs::read_dir(scratch.path().join("mine")).expect("a folder").count(), 0);
    for name in ["a b", "../up", "fn", ""] {
        code(&new(name, &[]), 2);
    }
    let said = code(&new("rule", &["--lang", "cobol"]), 2);
    assert!(said.contains("nothing for \"cobol\"; there is: rust"), "{said}");
    assert!(!scratch.path().join("rule").exists());
    let empty = scratch.path().join("mine");
    let said = failed(&run(&["plugin", "build", empty.to_str().expect("UTF-8")]));
    assert!(said.contains("holds no rule that can be built") && said.contains("Cargo.toml (rust)"), "{said}");
}

#[test]
fn check_refuses_what_a_server_refuses_and_says_all_of_it() {
    let scratch = Scratch::new();
    let check = |component: &[u8], arguments: &[&str]| {
        let file = component_file(scratch.path(), component);
        run(&[&["plugin", "check", &file], arguments].concat())
    };
    let good = named("b");
    let newer = edited(&good, b"@0.1.0", b"@0.2.0");
    let wasi = edited(&good, b"volley:router/logger@0.1.0", b"wasi:random/insecure@0.2.0");
    let both = edited(&edited(&wasi, b"volley:router/pg@0.1.0", b"volley:router/pg@0.3.0"), b"time-ms", b"time-us");
    let with = |settings: Value| guests::version(&settings);
    let quick = ["--limit", "init_ms_max=300", "--config", "null"];
    for (component, arguments, words) in [
        (&b"not wasm at all"[..], &[][..], &["not a valid component"][..]),
        (b"", &[], &["not a valid component"]),
        (b"\0asm\x01\0\0\0", &[], &["core module"]),
        (&good[..good.len() / 2], &[], &["not a valid component"]),
        (b"\0asm\x0d\0\x01\0", &[], &["does not export volley:router/handler"]),
        (&newer, &[], &["built for volley:router 0.2.0; this host speaks 0.1"]),
        (&wasi, &[], &["imports wasi:random/insecure@0.2.0: a plugin gets no WASI", "NOT ALLOWED"]),
        (&both, &["--limit", "component_bytes_max=1000"], &["wasi:random", "0.3.0", "time-ms", "component_bytes_max"]),
        (&good, &["--limit", "instance_bytes_max=65536"], &["of memory and may have 64.0 KiB (instance_bytes_max)"]),
        (&with(json!({"name": "b", "release": "1", "load_traps": true})), &[], &["can't be loaded: panicked", "[in "]),
        (&with(json!({"name": "b", "release": "1", "init": "error"})), &quick, &["told to fail"]),
        (&with(json!({"name": "b", "release": "1", "init": "loop"})), &quick, &["init_ms_max"]),
        // That it takes no config so far is one thing, that it fails another.
        (&with(json!({"name": "b", "release": "1", "init": "loop"})), &quick[..2], &["init_ms_max", "--config gives"]),
    ] {
        let said = code(&check(component, arguments), 1);
        assert!(words.iter().all(|words| said.contains(words)), "{words:?}: {said}");
    }
    // Nobody knows yet what config it will be given, so that is no reason to refuse it; a server says so, too.
    let picky = with(json!({"name": "b", "release": "1", "init": "error"}));
    assert!(code(&check(&picky, &[]), 0).contains("does not take the config null: init failed: "));

    let known =
        |component: &[u8]| -> Value { serde_json::from_str(&done(&check(component, &["--json"]))).expect("JSON") };
    let settings = json!({"name": "b", "release": "0.2.0"});
    for (component, swap) in [
        (good.clone(), "plain"),
        (guests::migrating(&settings), "migrating"),
        (guests::reversible(&settings), "reversible"),
    ] {
        assert_eq!(known(&component)["swap"], swap);
    }
    let found = known(&good);
    assert_eq!(
        (&found["contract"], &found["init"]["ok"], &found["signature"]),
        (&json!("0.1.0"), &json!(true), &json!(null))
    );
    assert!(found["imports"].as_array().is_some_and(|all| all.iter().all(|one| one["allowed"] == true)), "{found}");
    assert!(found["init"]["memory_bytes"].as_u64().is_some_and(|bytes| bytes >= 65_536), "{found}");
}

#[test]
fn check_sees_the_signature_that_push_would_send() {
    let scratch = Scratch::new();
    let file = component_file(scratch.path(), &named("b"));
    let key = scratch.path().join("alice.key");
    let key = key.to_str().expect("UTF-8");
    done(&run(&["plugin", "keygen", "-o", key]));
    done(&run(&["plugin", "sign", &file, "--key", key]));
    assert!(code(&run(&["plugin", "check", &file]), 0).contains(".sig goes with it"));
    std::fs::write(format!("{file}.sig"), "no signature").expect("write");
    assert!(code(&run(&["plugin", "check", &file]), 1).contains("its signature is none"));
}

#[test]
fn inspect_shows_what_a_component_is_made_of() {
    let probe = guests::probe().to_str().expect("UTF-8");
    let said = done(&run(&["plugin", "inspect", probe]));
    for words in ["language  Rust", "names of functions", "at the start", "world root {", "resource table {"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let found: Value = serde_json::from_str(&done(&run(&["plugin", "inspect", probe, "--json"]))).expect("JSON");
    let size = std::fs::metadata(probe).expect("a file").len();
    assert_eq!(found["bytes"], size);
    assert!(found["code_bytes"].as_u64().is_some_and(|code| code > size / 4 && code < size), "{found}");
    let scratch = Scratch::new();
    for bad in [&b"nonsense"[..], b"\0asm\x01\0\0\0"] {
        let file = component_file(scratch.path(), bad);
        let said = failed(&run(&["plugin", "inspect", &file]));
        assert!(said.contains("not a valid component") && said.lines().count() == 1, "{said}");
        assert!(failed(&run(&["plugin", "build", &file])).contains("is a file: name the folder of the rule"));
    }
    // What a component calls its things reaches no terminal as it is.
    let odd = edited(&std::fs::read(probe).expect("the probe"), b"guest_probe", b"\x1b[2J_probe_");
    let file = component_file(scratch.path(), &odd);
    assert!(!stdout(&run(&["plugin", "inspect", &file])).contains('\x1b'));
    assert!(failed(&run(&["plugin", "inspect", "no-such-file"])).contains("can't read no-such-file"));
}
