//! The client libraries in `examples`, each with tests in its own language, run here against real servers; and what their
//! READMEs promise.

use crate::browser::Browser;
use crate::doors::Doors;
use crate::doors::issuer::{Issuer, claims};
use crate::ending::InTime as _;
use crate::harness::{Scratch, Server, say, volley_path, wait_until, workspace};
use crate::http::PATIENCE;
use crate::real_clients::Way;
use crate::rooms::{self, enter, said};
use crate::secure::Authority;
use crate::stub::{Answer, Stub};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;

/// The first Node with all that the client uses.
const NODE_MIN: u32 = 20;

/// Where `.ci/run` has installed Node, where the system's is too old, and TypeScript.
fn installed(name: &str) -> Option<PathBuf> {
    let folder =
        std::env::var_os("VOLLEY_TEST_CLIENTS").map_or_else(|| workspace().join("target/clients"), PathBuf::from);
    Some(folder.join("node_modules").join(name)).filter(|path| path.exists())
}

/// None, with words, where there is no Node that is new enough; `.ci/run` installs one, and sets `VOLLEY_TEST_CLIENTS`.
#[track_caller]
pub(crate) fn node() -> Option<Command> {
    let node = installed(".bin/node").unwrap_or_else(|| "node".into());
    let version = Command::new(&node).arg("--version").output().ok().filter(|output| output.status.success());
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major >= NODE_MIN) {
        return Some(Command::new(node));
    }
    assert!(std::env::var_os("VOLLEY_TEST_CLIENTS").is_none(), "Node {NODE_MIN} is to be there, not {version:?}");
    say(&format!("SKIPPED: there is no Node {NODE_MIN} or newer (.ci/run installs one), but {version:?}"));
    None
}

#[test]
fn javascript() {
    let Some(mut node) = node() else { return };
    let (server, issuer) = (Server::shared(), Issuer::hs256("js"));
    let (doors, authority) = (Doors::of(&[&issuer], &[]), Authority::new());
    authority.issue("server", "named-server");
    let secure = authority.serve("server", &[]);
    let folder = workspace().join("examples/client-js");
    // Node 20 has the WebSocket of later versions behind a flag.
    node.args(["--experimental-websocket", "--test", "--test-concurrency=4", "--test-reporter=spec"])
        .current_dir(&folder);
    let mut tests: Vec<PathBuf> =
        std::fs::read_dir(folder.join("test")).expect("tests").map(|entry| entry.expect("entry").path()).collect();
    tests.retain(|path| path.to_string_lossy().ends_with(".test.js"));
    assert!(tests.len() >= 4, "{tests:?}");
    node.args(tests)
        .env("VOLLEY_URL", format!("http://{}", server.listen))
        .env("VOLLEY_ADMIN", format!("http://{}", server.admin))
        .env("VOLLEY_AUTH_URL", format!("http://{}", doors.server.listen))
        .env("VOLLEY_TLS_URL", format!("https://{}", secure.tls()))
        .env("NODE_EXTRA_CA_CERTS", authority.path("ca.pem"))
        .env("VOLLEY_AUTH_SECRET", issuer.jwk()["k"].as_str().expect("a secret"));
    match installed("typescript/lib/tsc.js") {
        Some(tsc) => drop(node.env("VOLLEY_TSC", tsc.canonicalize().expect("a path"))),
        None => say("SKIPPED: the types of examples/client-js; there is no TypeScript (.ci/run installs it)"),
    }
    let output = node.output_in_time().expect("Node");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("fail 0") && !said.contains("pass 0"), "{said}");
}

/// A program that ends with its holder.
pub(crate) struct Ending(pub(crate) Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The code blocks of a language in a page, one after the other.
pub(crate) fn snippets(page: &str, language: &str) -> Vec<String> {
    let page = std::fs::read_to_string(workspace().join(page)).expect("the page");
    let begin = format!("\n```{language}\n");
    let blocks = page.split(&begin).skip(1).map(|rest| rest.split("\n```").next().expect("an end").to_owned() + "\n");
    blocks.collect()
}

/// What a snippet says it prints: what stands behind its arrows.
fn promised(snippet: &str) -> Vec<&str> {
    snippet.lines().filter_map(|line| line.split_once("→ ")).map(|(_, printed)| printed).collect()
}

const README_URL: &str = "http://127.0.0.1:8080";

/// Somebody who only reads the README has a working page in ten lines.
#[test]
fn readme_page_in_ten_lines() {
    let Some(mut browser) = Browser::start() else { return };
    let server = Server::shared();
    let [page] = &snippets("examples/client-js/README.md", "html")[..] else { panic!("one page") };
    assert!(page.lines().count() <= 10, "{page}");
    let page = page.replace(README_URL, &format!("http://{}", server.listen)).replace("\"lobby\"", "\"readme.page\"");
    let web = Stub::start(move |call| match &*call.path {
        "/page.html" => Answer::status(200).header("Content-Type", "text/html").body(page.clone()),
        "/volley.js" => {
            let module = std::fs::read(workspace().join("examples/client-js/volley.js")).expect("the module");
            Answer::status(200).header("Content-Type", "text/javascript").body(module)
        }
        _ => Answer::status(204),
    });
    let url = format!("http://{}/page.html", web.address);
    let [mut ann, mut bob] = [browser.page(&url), browser.page(&url)];
    for (speaker, text) in [(0, "hello"), (1, "<b>hello</b> yourself")] {
        let pages = [&mut ann, &mut bob];
        let [ann, bob] = pages;
        // A page that has not connected yet would send its form to nobody.
        for page in [&mut *ann, &mut *bob] {
            page.wait_for("document.forms[0].onsubmit");
        }
        let speaker = if speaker == 0 { &mut *ann } else { &mut *bob };
        speaker.fill("input", text);
        speaker.press("Enter");
        for page in [ann, bob] {
            page.wait_for_text("li:last-child", text);
        }
    }
    for page in [&mut ann, &mut bob] {
        assert_eq!(page.value("document.querySelectorAll('li').length"), 2);
        assert_eq!(page.complaints(), Vec::<String>::new());
    }
}

#[test]
fn readme_snippets() {
    if node().is_none() {
        return;
    }
    let folder = Scratch::new();
    let (server, issuer) = (Server::shared(), Issuer::hs256("readme"));
    let doors = Doors::of(&[&issuer], &[]);
    let id = Stub::start(move |_| Answer::status(200).body(issuer.token(&claims("ann", &[">"]))));
    let modules = folder.path().join("node_modules");
    std::fs::create_dir(&modules).expect("a folder");
    let package = workspace().join("examples/client-js").canonicalize().expect("the package");
    std::os::unix::fs::symlink(package, modules.join("volley-client")).expect("a link");
    let all = snippets("examples/client-js/README.md", "js");
    assert!(all.len() >= 4, "{}", all.len());
    for (number, snippet) in all.into_iter().enumerate() {
        let address = if snippet.contains("token") { &doors.server.listen } else { &server.listen };
        let program = snippet
            .replace(README_URL, &format!("http://{address}"))
            .replace("https://id.example/token", &format!("http://{}/", id.address));
        let file = folder.file(&format!("snippet-{number}.mjs"), &program);
        let output = node().expect("Node").arg(file).output_in_time().expect("Node");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{snippet}\n{said}");
        let promised = promised(&snippet);
        assert!(!promised.is_empty(), "it says what it prints: {snippet}");
        for line in promised {
            assert!(said.lines().any(|said| said == line), "{line:?} is not among: {said}\n{snippet}");
        }
    }
}

/// None, with words, where there is no Python.
#[track_caller]
fn python() -> Option<Command> {
    if Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Some(Command::new("python3"));
    }
    assert!(std::env::var_os("VOLLEY_TEST_CLIENTS").is_none(), "python3 is to be there");
    say("SKIPPED: there is no python3");
    None
}

/// An example of the Rust client, which Cargo builds before it runs the tests of the whole workspace.
#[track_caller]
fn rust_example(name: &str) -> Option<Command> {
    let built = volley_path().parent().expect("target/PROFILE").join("examples").join(name);
    if built.exists() {
        return Some(Command::new(built));
    }
    assert!(std::env::var_os("VOLLEY_TEST_CLIENTS").is_none(), "{} is to be there", built.display());
    say(&format!("SKIPPED: {} is not built (`cargo test --workspace` does that)", built.display()));
    None
}

#[test]
fn python_readme() {
    let Some(mut python) = python() else { return };
    let (server, folder) = (Server::start(&[]), Scratch::new());
    let [snippet] = &snippets("examples/client-python/README.md", "python")[..] else { panic!("one snippet") };
    let program = folder.file("snippet.py", &snippet.replace(README_URL, &format!("http://{}", server.listen)));
    let client = workspace().join("examples/client-python");
    let output = python.arg("-B").arg(program).env("PYTHONPATH", client).output_in_time().expect("Python");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.lines().collect::<Vec<_>>(), promised(snippet));
}

#[test]
fn rust_readme() {
    let [snippet] = &snippets("examples/client-rust/README.md", "rust")[..] else { panic!("one snippet") };
    let hello =
        std::fs::read_to_string(workspace().join("examples/client-rust/examples/hello.rs")).expect("the example");
    assert!(hello.ends_with(snippet), "README.md shows examples/hello.rs");
    let Some(mut hello) = rust_example("hello") else { return };
    let server = Server::start(&[]);
    let output = hello.arg(format!("http://{}", server.listen)).output_in_time().expect("the example");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "{\"text\":\"hello\",\"user\":\"ann\"}\n");
}

#[test]
fn python_in_a_terminal() {
    let Some(mut python) = python() else { return };
    python.arg("-B").arg(workspace().join("examples/client-python/volley.py"));
    chats(python);
}

#[test]
fn rust_in_a_terminal() {
    let Some(terminal) = rust_example("terminal") else { return };
    chats(terminal);
}

const ROOM: &str = "chat.terminal";

/// Somebody chats with this, while the connection is cut and the server started anew.
fn chats(mut command: Command) {
    let server = Server::start(&[]);
    let (listen, way) = (server.listen.clone(), Way::to(&server));
    command.args([&format!("http://{}", way.address), "ann", "terminal"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut ann = Ending(command.spawn().expect("the client"));
    let (mut keyboard, screen) = (ann.0.stdin.take().expect("piped"), lines_of(ann.0.stdout.take().expect("piped")));
    let line = || screen.recv_timeout(PATIENCE).expect("a line");
    let told = || -> Value { serde_json::from_str(line().strip_prefix("* ").expect("no saying")).expect("JSON") };
    assert_eq!(told()["welcome"]["members"], json!(["ann"]));
    let (mut bob, _) = enter(&server, "bob", ROOM);
    assert_eq!(told(), json!({"joined": "bob"}));
    // Cut again and again: nothing is missing, nothing comes twice.
    for n in 1..=20 {
        rooms::say(&mut bob, ROOM, &n.to_string());
        if n % 5 == 0 {
            way.cut();
        }
    }
    for n in 1..=20 {
        assert_eq!(line(), format!("bob: {n}"));
    }
    bob.skip_all();
    for n in 1..=5 {
        writeln!(keyboard, "line {n}").expect("a line");
        way.cut();
    }
    for n in 1..=5 {
        bob.expect(&[said("ann", &format!("line {n}"))]);
        assert_eq!(line(), format!("ann: line {n}"));
    }
    // The server is started anew and knows nobody: a session is opened, and the room is joined again.
    server.terminate();
    server.wait_for_exit();
    let again = Server::start_bare(&["--listen", &listen, "--admin", "127.0.0.1:0"]);
    assert_eq!(told(), json!({"gap": null}));
    assert_eq!(told()["welcome"]["members"], json!(["ann"]));
    let (mut bob, _) = enter(&again, "bob", ROOM);
    assert_eq!(told(), json!({"joined": "bob"}));
    writeln!(keyboard, "and on").expect("a line");
    bob.expect(&[said("ann", "and on")]);
    assert_eq!(line(), "ann: and on");
    drop(keyboard);
    assert_eq!(bob.next(), json!({"left": {"user": "ann", "reason": "exit"}}));
    let status = wait_until("the client to end", || ann.0.try_wait().expect("wait"));
    assert!(status.success(), "{status}");
}

fn lines_of(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    lines
}
