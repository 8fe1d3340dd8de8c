//! Rules in several languages: the same two rules in each, built from source by `volley plugin build`, hold the same
//! conversation over HTTP.
//!
//! `VOLLEY_TEST_LANGUAGES` names a folder with `node_modules` and `venv`, in which componentize-js, componentize-py and Go are
//! (`.ci/full` installs them). Without it JavaScript, Python and Go are skipped, and said to be; with it they must be there. So
//! must clang where `VOLLEY_TEST_CLANG` is set, as `.ci/run` does.

use crate::client::{Session, events, publish};
use crate::ending::{InTime as _, ended_in_time};
use crate::harness::{Scratch, Server, TOPIC_ONLY, say, volley, with_programs_of, workspace};
use crate::http::{Response, call, post};
use crate::terminal::{done, failed};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Engines of tens of megabytes are compiled, on machines that have other things to do.
const START: Duration = Duration::from_mins(20);

#[test]
fn rust() {
    converse(
        &build(&workspace().join("plugins/topic"), "rust", None),
        &build(&workspace().join("examples/rules/rust/room"), "rust", None),
    );
}

#[test]
fn c() {
    if Command::new("clang").arg("--version").output().is_err() {
        assert!(std::env::var_os("VOLLEY_TEST_CLANG").is_none(), "clang is to be there");
        return say("SKIPPED: rules in C: clang is not installed (.ci/run does that)");
    }
    examples("c", None);
    at_the_same_time(&crate::guests::file("c-topic").with_extension("source"));
}

/// `dev` in one terminal, `test` in another: what the one was making was read by the other.
fn at_the_same_time(rule: &Path) {
    let build = || volley().args(["plugin", "check"]).arg(rule).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let builds: Vec<_> = (0..8).map(|_| build().expect("volley")).collect();
    for build in builds {
        assert!(done(&ended_in_time(build)).contains("it fits"));
    }
}

#[test]
fn javascript() {
    let Some(tools) = tools("JavaScript", "node_modules/@bytecodealliance/componentize-js") else { return };
    examples("js", Some(&tools));
}

/// What it is compiled by finds the types at the first build.
#[test]
fn typescript() {
    let Some(tools) = tools("TypeScript", "node_modules/typescript") else { return };
    let topic = build(&workspace().join("examples/rules/ts/topic"), "ts", Some(&tools));
    everything_arrives_unchanged(&serve(&[("plain", &topic)]));
}

#[test]
fn python() {
    let Some(tools) = tools("Python", "venv/bin/componentize-py") else { return };
    examples("python", Some(&tools));
}

#[test]
fn go() {
    let Some(tools) = tools("Go", "venv/bin/go") else { return };
    examples("go", Some(&tools));
}

const FOUND_IN_GO: &str = r#"{"topic": "found.1"}
{"open": "ann"}
{"join": "ann"}
{"publish": "ann", "data": {"$text": "many"}, "expect": {"ann": ["many"]}}
{"publish": "ann", "data": {"$text": "within"}, "expect": {"ann": [{"text": "within", "json": [1], "null": null}, null]}}
{"publish": "ann", "data": {"$text": "nobody"}, "expect": {"ann": ["you"]}}
{"publish": "ann", "data": {"$text": "buffer"}, "expect": {"ann": [0, 1]}}
{"publish": "ann", "data": {"$text": "println"}, "expect": {"ann": [{"$text": "not \ufffd UTF-8"}]}}
{"publish": "ann", "data": {"$text": "wrapped"}, "expect": {"ann": [true]}}
"#;

#[test]
fn what_was_found_in_the_sdk_for_go() {
    let Some(tools) = tools("Go", "venv/bin/go") else { return };
    let rule = Scratch::new();
    let module = std::fs::read_to_string(workspace().join("examples/rules/go/topic/go.mod")).expect("go.mod");
    rule.file("go.mod", &module);
    rule.file("rule.go", include_str!("languages/found.go"));
    let events = rule.file("events.jsonl", FOUND_IN_GO);
    let mut command = volley();
    with_tools(&mut command, Some(&tools));
    command.args(["plugin", "test", "--events", &events, "--limit", "route_ms_max=20000"]).arg(rule.path());
    assert!(done(&command.output_in_time().expect("volley")).contains("6 compared"));
}

/// It was told that it had answered with nothing, and an error without words had none at all.
#[test]
fn a_rule_in_javascript_may_be_async_and_throws_what_it_likes() {
    let Some(tools) = tools("JavaScript", "node_modules/@bytecodealliance/componentize-js") else { return };
    let folder = tools.join("js/async");
    copy(&workspace().join("examples/rules/js/topic"), &folder);
    let rule = r#"
        import { Scope } from "volley:router/pg@0.1.0";
        const remove = new BigUint64Array();
        export const handler = {
            info: () => ({ name: "async", version: "0.1.0", description: "" }),
            init(_config) {},
            async route(event) {
                if (event.kind !== "publish") return { deliveries: [], remove };
                const words = event.data.val;
                if (words === "refuse") throw { tag: "refused", val: "not today" };
                if (words === "odd") throw { pid: event.sender, toString() { throw new Error("no words"); } };
                if (words === "error") throw new Error("late");
                if (words === "binding") Scope.open("q", "nodes");
                if (words === "shape") return { deliveries: [{ to: { tag: "all" }, message: { tag: "forward" } }], remove };
                return { deliveries: [{ to: { tag: "subscribers" }, message: { tag: "forward" } }], remove };
            },
        };"#;
    std::fs::write(folder.join("rule.js"), rule).expect("the rule");
    let server = serve(&[("plain", &build_as(&folder, "js-async", &tools))]);
    let mut ann = Session::on(&server, "plain.1");
    assert_eq!(typed(&mut ann, "plain.1", "text/plain", b"hi"), 200);
    ann.expect(&[json!("hi")]);
    assert!(said(&mut ann, "plain.1", "refuse").problem(403).contains("not today"));
    assert!(said(&mut ann, "plain.1", "odd").problem(502).contains("threw {\"pid\":"));
    assert!(said(&mut ann, "plain.1", "error").problem(502).contains("Error: late"));
    // An error of the bindings is of another realm, and had no words; an answer that they can't take was a bare trap.
    let binding = said(&mut ann, "plain.1", "binding").problem(502);
    assert!(binding.contains("\"nodes\" is not one of") && binding.contains("route at rule.js:"), "{binding}");
    assert!(said(&mut ann, "plain.1", "shape").problem(502).contains("`to` of a delivery is"));
}

/// It was found with the first event, at a server.
#[test]
fn a_function_that_is_missing_is_found_when_a_rule_is_built() {
    for (language, tool, file, from, to, words) in [
        (
            "js",
            "node_modules/@bytecodealliance/componentize-js",
            "rule.js",
            "route(event)",
            "rout(event)",
            "no function `route`",
        ),
        ("python", "venv/bin/componentize-py", "rule.py", "def route(", "def rout(", "the rule's Handler has no route"),
        (
            "python",
            "venv/bin/componentize-py",
            "rule.py",
            "class Handler",
            "class Handlr",
            "has no attribute 'Handler'",
        ),
    ] {
        let Some(tools) = tools(language, tool) else { continue };
        let folder = tools.join(language).join("incomplete");
        copy(&workspace().join("examples/rules").join(language).join("topic"), &folder);
        let rule = std::fs::read_to_string(folder.join(file)).expect("the rule");
        assert!(rule.contains(from), "{rule}");
        std::fs::write(folder.join(file), rule.replace(from, to)).expect("the rule");
        let mut command = volley();
        with_tools(&mut command, Some(&tools));
        let said = failed(&command.args(["plugin", "build"]).arg(&folder).output_in_time().expect("volley"));
        assert!(said.contains(words), "{said}");
    }
}

/// Builds a rule of one file, with no tools but those that are named.
fn fails(name: &str, text: &str, path: &str) -> String {
    let rule = Scratch::new();
    rule.file(name, text);
    let output = volley()
        .args(["plugin", "build"])
        .arg(rule.path())
        .env("PATH", path)
        .env_remove("VIRTUAL_ENV")
        .output_in_time();
    let output = output.expect("volley plugin");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_is_missing_is_named_with_what_helps() {
    let nothing = Scratch::new();
    let path = nothing.path().to_str().expect("UTF-8");
    for (name, text, advice) in [
        ("rule.c", "", "apt-get install clang"),
        ("package.json", r#"{"type":"module"}"#, "apt-get install nodejs npm"),
        ("package.json", "{}", r#"say "type": "module""#),
        ("pyproject.toml", "", "there is no rule.py"),
        ("go.mod", "", "https://go.dev/dl"),
        ("README.md", "", "Cargo.toml (rust), rule.c (c), package.json (js), pyproject.toml (python), go.mod (go)"),
    ] {
        let said = fails(name, text, path);
        assert!(said.contains(advice), "{name}: {said}");
    }
    let python = Scratch::new();
    python.file("pyproject.toml", "");
    python.file("rule.py", "");
    let built = volley()
        .args(["plugin", "build"])
        .arg(python.path())
        .env("PATH", path)
        .env_remove("VIRTUAL_ENV")
        .output_in_time();
    let said = built.expect("volley plugin").stderr;
    assert!(String::from_utf8_lossy(&said).contains("pip install componentize-py"), "{}", said.escape_ascii());
}

#[test]
fn a_mistake_in_c_is_told_in_clangs_words_and_wasi_is_refused() {
    if Command::new("clang").arg("--version").output().is_err() {
        assert!(std::env::var_os("VOLLEY_TEST_CLANG").is_none(), "clang is to be there");
        return say("SKIPPED: mistakes in C: clang is not installed (.ci/run does that)");
    }
    let path = std::env::var("PATH").expect("a PATH");
    let said = fails("rule.c", "#include \"volley.h\"\nint x = not_there;\n", &path);
    assert!(said.contains("rule.c:2:9: error") && said.contains("clang's own words are above"), "{said}");
    let topic = std::fs::read_to_string(workspace().join("examples/rules/c/topic/rule.c")).expect("the rule");
    let wasi =
        "__attribute__((import_module(\"wasi_snapshot_preview1\"), import_name(\"sched_yield\"))) int yield(void);\n";
    let asks = topic
        .replace("return answer;", "yield();\n    return answer;")
        .replace("const volley_info", &(wasi.to_owned() + "const volley_info"));
    let said = fails("rule.c", &asks, &path);
    assert!(said.contains("a plugin gets no WASI"), "{said}");
}

/// The folder in which that tool is. None, with words, where nobody has promised it.
fn tools(language: &str, tool: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("VOLLEY_TEST_LANGUAGES").map(PathBuf::from) else {
        say(&format!(
            "SKIPPED: rules in {language}: VOLLEY_TEST_LANGUAGES names no folder with {tool} (.ci/full does that)"
        ));
        return None;
    };
    assert!(folder.join(tool).exists(), "{} is to have {tool}", folder.display());
    Some(folder)
}

/// All that is asked of a language but Rust, whose traps are other tests'.
fn examples(language: &str, tools: Option<&Path>) {
    let [topic, room] = ["topic", "room"]
        .map(|rule| build(&workspace().join("examples/rules").join(language).join(rule), language, tools));
    a_trap_fails_one_event(&converse(&topic, &room));
    a_new_one(language, tools);
}

/// What makes a copy of `room` fail when it is told to, which no example does, and what that comes before.
const MISTAKES: [(&str, &str, &str); 4] = [
    (
        "rule.c",
        "    if (is_text && ",
        r#"    if (is_text && volley_after(event->data.val.text, "/crash", &rest)) volley_trap(VOLLEY_STRING("told"));"#,
    ),
    ("rule.js", r#"  if (words.startsWith("/mute "#, r#"  if (words === "/crash") throw new Error("told");"#),
    ("rule.py", r#"    if words.startswith("/mute "#, r#"    assert words != "/crash", "told""#),
    ("rule.go", "\tif name, is := ", "\tif words == \"/crash\" {\n\t\tpanic(\"told\")\n\t}"),
];

fn make_mistake(room: &Path) {
    for (file, before, mistake) in MISTAKES {
        let Ok(text) = std::fs::read_to_string(room.join(file)) else { continue };
        let (above, below) = text.split_once(before).expect("where to put it");
        std::fs::write(room.join(file), format!("{above}{mistake}\n{before}{below}")).expect("the copy");
    }
}

/// Builds a copy of the rule, below the tools, where node looks for them.
fn build(source: &Path, language: &str, tools: Option<&Path>) -> PathBuf {
    let rule = source.file_name().expect("a name").to_string_lossy().into_owned();
    let target = crate::guests::file(&format!("{language}-{rule}"));
    std::fs::create_dir_all(target.parent().expect("a folder")).expect("target/guests");
    let mut command = volley();
    let mut folder = source.to_owned();
    if language != "rust" {
        let below = tools.map_or_else(|| target.with_extension("source"), |tools| tools.join(language).join(&rule));
        copy(source, &below);
        if rule == "room" {
            make_mistake(&below);
        }
        folder = below;
    }
    with_tools(&mut command, tools);
    let started = Instant::now();
    let built =
        command.args(["plugin", "build"]).arg(&folder).arg("-o").arg(&target).output_in_time().expect("volley plugin");
    assert!(built.status.success(), "{}:\n{}", source.display(), String::from_utf8_lossy(&built.stderr));
    let size = std::fs::metadata(&target).expect("the component").len();
    say(&format!("built {language}-{rule}, {size} bytes, in {:.1} s", started.elapsed().as_secs_f64()));
    target
}

/// Builds what lies there.
fn build_as(folder: &Path, name: &str, tools: &Path) -> PathBuf {
    let target = crate::guests::file(name);
    let mut command = volley();
    with_tools(&mut command, Some(tools));
    done(
        &command.args(["plugin", "build"]).arg(folder).arg("-o").arg(&target).output_in_time().expect("volley plugin"),
    );
    target
}

fn with_tools(command: &mut Command, tools: Option<&Path>) {
    if let Some(tools) = tools {
        with_programs_of(command, &tools.join("venv/bin"));
    }
}

/// What `plugin new` writes is a rule that passes its own recorded events, and that a server would take.
fn a_new_one(language: &str, tools: Option<&Path>) {
    let scratch = Scratch::new();
    let folder = tools.map_or_else(|| scratch.path().to_owned(), |tools| tools.join(language).join("new"));
    let _ = std::fs::remove_dir_all(folder.join("tea-room"));
    let rule = done(
        &volley()
            .args(["plugin", "new", "tea-room", "--lang", language, "--dir"])
            .arg(&folder)
            .output_in_time()
            .expect("volley"),
    );
    // Engines are slow to begin with, on machines that have other things to do.
    let patient = ["--limit", "init_ms_max=60000", "--limit", "route_ms_max=20000"];
    for (command, words) in [("test", "tests/events.jsonl: ok, "), ("check", "rule      tea-room ")] {
        let mut volley = volley();
        with_tools(&mut volley, tools);
        let said = done(&volley.args(["plugin", command, rule.trim()]).args(patient).output_in_time().expect("volley"));
        assert!(said.contains(words), "{language}: {said}");
    }
}

/// The files of a rule's folder; it has no folders but those that are made.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the rule") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("a copy");
        }
    }
}

/// The whole conversation, with `topic` on `plain.>` and `room` on `room.>`.
fn converse(topic: &Path, room: &Path) -> Server {
    let server = serve(&[("plain", topic), ("room", room)]);
    everything_arrives_unchanged(&server);
    a_room(&server);
    server
}

/// Each of them on topics that begin with its name.
fn serve(rules: &[(&str, &Path)]) -> Server {
    let folder = Scratch::new();
    let config = folder.file("volley.toml", TOPIC_ONLY);
    let mut command = volley();
    command.args(["serve", "--ephemeral", "--admin-no-token", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.args(["--config", &config]);
    for (name, file) in rules {
        command
            .arg("--plugin")
            .arg(format!("{name}={}", file.display()))
            .arg("--route")
            .arg(format!("{name}.>={name}"));
    }
    // The pool has room for as many instances as it says, however many modules an engine consists of.
    command.args(["--lanes", "1", "--limit", "instances_max=8"]);
    // What is to be seen here is what rules answer, not how fast this machine is.
    command.args(["--limit", "route_ms_max=20000", "--limit", "init_ms_max=60000"]);
    let started = Instant::now();
    let server = Server::start_slowly_as(&mut command, START);
    say(&format!("served {rules:?} after {:.1} s", started.elapsed().as_secs_f64()));
    server
}

/// A publish of any kind, whose answer's status is returned.
fn typed(session: &mut Session, topic: &str, content_type: &str, body: &[u8]) -> u16 {
    session.call(post(events(topic)).typed(content_type, body)).status
}

fn everything_arrives_unchanged(server: &Server) {
    let topic = "plain.1";
    let (mut ann, mut bob) = (Session::on(server, topic), Session::on(server, topic));
    let exact = json!({"n": 9_007_199_254_740_993_u64, "text": "é😀\u{2028}"});
    assert_eq!(ann.publish(topic, &exact).recipients, 2);
    assert_eq!(typed(&mut ann, topic, "text/plain", "quotes \" and é😀".as_bytes()), 200);
    assert_eq!(typed(&mut ann, topic, "application/octet-stream", b"\x00\xff\x10"), 200);
    for session in [&mut ann, &mut bob] {
        session.expect(&[exact.clone(), json!("quotes \" and é😀")]);
        let binary = session.next_message();
        assert_eq!((&binary["data"], &binary["encoding"]), (&json!("AP8Q"), &json!("base64")));
    }
    bob.leave(topic);
    assert_eq!(ann.publish(topic, &json!(1)).recipients, 1);
    assert_eq!(publish(server, topic, &json!(2)).recipients, 1, "from a back-end");
    ann.expect(&[json!(1), json!(2)]);
    ann.expect_no_more();
    bob.expect_no_more();
}

fn said(who: &mut Session, room: &str, words: &str) -> Response {
    who.call(post(events(room)).typed("text/plain", words))
}

/// What is in tables and groups is the server's, and stays.
fn a_trap_fails_one_event(server: &Server) {
    let room = "room.2";
    let [mut ann, mut bob, mut eve] = ["ann", "bob", "eve"].map(|user| {
        let mut session = Session::open_as(server, user);
        session.join(room);
        session
    });
    said(&mut ann, room, "/mute eve").expect(200);
    for session in [&mut ann, &mut bob, &mut eve] {
        session.skip_all();
    }
    for _ in 0..3 {
        let failed = said(&mut bob, room, "/crash").problem(502);
        assert!(failed.contains("told"), "an operator is to know why: {failed}");
    }
    assert!(eve.try_publish(room, &json!("but")).problem(403).contains("you are muted"), "after a trap");
    assert_eq!(bob.publish(room, &json!("still here")).recipients, 2);
    for session in [&mut ann, &mut eve] {
        session.expect(&[json!("still here")]);
    }
}

fn a_room(server: &Server) {
    let room = "room.1";

    // Joins: who has no name is refused, and everybody hears of the others.
    let refusal = Session::open(server).try_join(room).problem(403);
    assert!(refusal.contains("say who you are"), "{refusal}");
    let [mut ann, mut bob, mut eve] = ["ann", "b\"ob", "eve"].map(|user| {
        let mut session = Session::open_as(server, user);
        session.join(room);
        session
    });
    let joined = |user: &str, members: u64| json!({"joined": user, "members": members});
    ann.expect(&[joined("ann", 1), joined("b\"ob", 2), joined("eve", 3)]);
    bob.expect(&[joined("b\"ob", 2), joined("eve", 3)]);
    eve.expect(&[joined("eve", 3)]);

    // What one says, the others hear, in every form; a back-end is heard by all.
    assert_eq!(bob.publish(room, &json!({"say": "hi"})).recipients, 2);
    said(&mut bob, room, "as text").expect(200);
    assert_eq!(typed(&mut bob, room, "application/octet-stream", b"\xff"), 200);
    publish(server, room, &json!("closing time"));
    for session in [&mut ann, &mut eve] {
        session.expect(&[json!({"say": "hi"}), json!("as text"), json!("/w=="), json!("closing time")]);
    }
    bob.expect(&[json!("closing time")]);

    // Tables: who was there first is the host, and what the host has said counts for later events.
    let refusal = said(&mut bob, room, "/mute ann").problem(403);
    assert!(refusal.contains("only the host may mute"), "{refusal}");
    said(&mut ann, room, "/mute eve").expect(200);
    for session in [&mut ann, &mut bob, &mut eve] {
        session.expect(&[json!({"muted": "eve"})]);
    }
    let muted = |eve: &mut Session| eve.try_publish(room, &json!("but")).problem(403);
    assert!(muted(&mut eve).contains("you are muted"));

    // Many events in a row on one instance, so that what it allocates is seen to come back.
    let batch = (0..1_000).map(|n| json!({"topic": room, "data": {"n": n}}).to_string() + "\n").collect::<String>();
    let statuses = call(&server.listen, &post("/v1/events").body(batch)).expect(200);
    assert_eq!(statuses.text().lines().filter(|line| line.contains("\"recipients\":3")).count(), 1_000);
    for session in [&mut ann, &mut bob, &mut eve] {
        for n in 0..1_000 {
            session.expect(&[json!({ "n": n })]);
        }
    }

    // Leaving and ending: the others hear of it, and count the living.
    eve.leave(room);
    bob.end();
    let left = |user: &str, members: u64| json!({"left": user, "members": members});
    ann.expect(&[left("eve", 2), left("b\"ob", 1)]);
    for session in [&mut ann, &mut eve] {
        session.expect_no_more();
    }
    let memory: Value = json!(server.metric("volley_instance_memory_bytes"));
    crate::harness::say(&format!("memory of all instances afterwards: {memory} bytes"));
}
