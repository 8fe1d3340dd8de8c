//! Components that were built when a version of the contract was published, and are never built again: they run on this
//! host as they did. (The probe among them holds the tests of `contract`, its versions that of `code_change`.)

use crate::client::{Session, publish};
use crate::contract::Asker;
use crate::ending::InTime as _;
use crate::guests;
use crate::harness::{Scratch, Server, TOPIC_ONLY, in_path, run, say, wait_until, workspace};
use crate::http::{call, delete, get, post};
use crate::shared::{Shared, SharedSlot};
use crate::terminal::done;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

fn of_v0_1(name: &str) -> PathBuf {
    workspace().join("tests/kept/v0.1").join(name)
}

/// A server with them on topics of their own: `probe.>` and `c.>`; on `told.>` the probe tells who comes and goes.
#[track_caller]
pub(crate) fn server() -> Shared {
    static SERVER: SharedSlot = OnceLock::new();
    Shared::get(&SERVER, || {
        let folder = Scratch::new();
        let plugins = [("probe", "probe.wasm"), ("c", "topic-c.wasm")].map(|(name, file)| {
            let path = of_v0_1(file);
            format!(
                "[plugins.{name}]\nfile = \"{}\"\n[[routes]]\ntopics = \"{name}.>\"\nplugin = \"{name}\"\n",
                path.display()
            )
        });
        let told = "[[routes]]\ntopics = \"told.>\"\nplugin = \"probe\"\nconfig = { announce = true }\n";
        let config = folder.file("volley.toml", &(plugins.concat() + told + TOPIC_ONLY));
        Server::start(&["--config", &config, "--lanes", "2"])
    })
}

/// The kept guest `versions` with these settings, which changes tables both ways.
pub(crate) fn reversible(settings: &Value) -> Vec<u8> {
    guests::with_settings(std::fs::read(of_v0_1("versions.wasm")).expect("it is kept"), settings)
}

/// The same, which changes nothing.
pub(crate) fn version(settings: &Value) -> Vec<u8> {
    guests::plain(&reversible(settings))
}

#[test]
fn a_rule_in_c_delivers_to_all() {
    let server = server();
    let [mut ann, mut bob] = [Session::on(&server, "c.1"), Session::on(&server, "c.1")];
    assert_eq!(ann.publish("c.1", &json!({"n": 1})).recipients, 2);
    publish(&server, "c.1", &json!("from a back-end"));
    for session in [&mut ann, &mut bob] {
        session.expect(&[json!({"n": 1}), json!("from a back-end")]);
    }
}

#[test]
fn it_is_told_who_comes_and_goes() {
    let server = server();
    let mut watcher = Session::on(&server, "told.1");
    let mut told = |kind: &str| {
        let event = watcher.next();
        assert_eq!(event["kind"], kind, "{event}");
        event
    };
    told("Join");
    let ann = json!({"user": "ann", "params": {"p": 1}, "topics": ["told.1"]});
    let mut session = Session::open_with(&server, &ann);
    let joined = told("Join");
    assert_eq!((&joined["user"], &joined["params"]), (&json!("ann"), &json!(r#"{"p":1}"#)));
    session.leave("told.1");
    assert_eq!(told("Leave")["user"], "ann");
    session.join("told.1");
    told("Join");
    session.end();
    told("Exit(ExitReason::Normal)");
    let session = Session::open_with(&server, &ann);
    told("Join");
    call(&server.admin, &delete(format!("/admin/v1/sessions/{}", in_path(&session.pid)))).expect(204);
    told("Exit(ExitReason::Killed)");
}

#[test]
fn its_refusals_and_options_mean_what_they_did() {
    let server = server();
    let mut asker = Asker::on(&server, "probe.kept");
    for (what, status) in [("refuse", 403), ("invalid", 400)] {
        let refused = asker.session.try_publish("probe.kept", &json!({"do": what, "words": "not like this"}));
        assert_eq!(refused.problem(status), "not like this");
    }
    let opening = json!({"topics": ["probe.kept"], "params": {"refuse": "not you"}});
    assert_eq!(call(&server.listen, &post("/v1/sessions").json(&opening)).problem(403), "not you");
    let table =
        |op: Value| json!({"do": "table", "name": "kept", "durable": true, "cluster": true, "ttl_ms": 50, "op": op});
    asker.ok(&table(json!({"insert": [["a", "1"]]})));
    let listing = call(&server.admin, &get("/admin/v1/tables")).json();
    let kept = listing["tables"].as_array().expect("a list").iter().find(|table| table["name"] == "probe:kept");
    assert_eq!(kept.expect("the table")["durable"], true, "{listing}");
    wait_until("its object to expire", || (asker.ok(&table(json!({"lookup": ["a"]}))) == json!([[]])).then_some(()));
}

/// Every function of every interface that a component can import or export.
#[test]
fn what_is_kept_uses_all_of_the_contract() {
    let contract = std::fs::read_to_string(workspace().join("wit/v0.1/router.wit")).expect("the contract");
    let in_use = |file: &str| {
        let found = done(&run(&["plugin", "inspect", of_v0_1(file).to_str().expect("UTF-8"), "--json"]));
        let found: Value = serde_json::from_str(&found).expect("JSON");
        functions(found["wit"].as_str().expect("its types"))
    };
    let used = &in_use("probe.wasm") | &in_use("versions.wasm");
    let all = functions(&contract);
    assert!(all.len() >= 28 && all.contains("migration upgrade"), "{all:?}");
    assert_eq!(all.difference(&used).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// Of a text in WIT, as `INTERFACE NAME`; those of a resource are its interface's.
fn functions(wit: &str) -> BTreeSet<String> {
    let (mut functions, mut interface) = (BTreeSet::new(), "");
    for line in wit.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("interface ") {
            interface = name.trim_end_matches([' ', '{']);
        } else if let Some((name, _)) = line.split_once("func(").filter(|_| !line.starts_with("///")) {
            let name = name.trim_end().trim_end_matches("static").trim_end().trim_end_matches(':');
            functions.insert(format!("{interface} {name}"));
        }
    }
    functions
}

/// `.ci/published` in a repository of its own, with what a commit might do to it.
struct Published(Scratch);

impl Published {
    /// None, with words, where git or bash are missing.
    fn new() -> Option<Self> {
        if ["git", "bash", "sha256sum"].iter().any(|tool| Command::new(tool).arg("--version").output().is_err()) {
            say("SKIPPED: what .ci/published refuses; it needs git, bash and sha256sum");
            return None;
        }
        let repository = Self(Scratch::new());
        let kept = ["probe", "versions", "topic-c"].map(|name| format!("tests/kept/v0.1/{name}.wasm"));
        let lists = ["wit/published.sha256", "tests/kept/published.sha256", "wit/v0.1/router.wit", ".ci/published"];
        for file in kept.iter().map(String::as_str).chain(lists) {
            let to = repository.path(file);
            std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            std::fs::copy(workspace().join(file), to).expect("a copy");
        }
        repository.git(&["init", "-q"]);
        repository.commit();
        Some(repository)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// There, and nowhere else: a hook that runs tests says in its environment which repository is meant.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"GIT_")) {
            command.env_remove(name);
        }
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").current_dir(self.0.path());
        command
    }

    fn git(&self, arguments: &[&str]) {
        let identity = ["-c", "user.name=ann", "-c", "user.email=ann@example.org"];
        let output = self.command("git").args(identity).args(arguments).output_in_time().expect("git");
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
    }

    fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "a commit"]);
    }

    fn edit(&self, name: &str, edit: impl FnOnce(String) -> String) {
        let path = self.path(name);
        let text = std::fs::read_to_string(&path).expect("a text");
        std::fs::write(path, edit(text)).expect("write");
    }

    fn check(&self) -> Output {
        self.command("bash").arg(self.path(".ci/published")).output_in_time().expect("bash")
    }

    #[track_caller]
    fn refuses(&self, words: &str) {
        let output = self.check();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(words), "{words:?}: {output:?}");
    }
}

fn digest(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output_in_time().expect("sha256sum");
    String::from_utf8_lossy(&output.stdout[..64]).into_owned()
}

#[test]
fn a_published_contract_can_not_change_unseen() {
    let Some(repository) = Published::new() else { return };
    assert!(repository.check().status.success(), "{:?}", repository.check());

    // Not by a comment, nor with the list edited to match.
    repository.edit("wit/v0.1/router.wit", |text| text.replacen("///", "//!", 1));
    repository.refuses("put it back");
    let changed = digest(&repository.path("wit/v0.1/router.wit"));
    repository.edit("wit/published.sha256", |_| format!("{changed}  v0.1/router.wit\n"));
    repository.refuses("only ever grows");
    repository.commit();
    repository.refuses("only ever grows");
    // Whatever git is told of colours, or of what is a text.
    repository.git(&["config", "color.ui", "always"]);
    std::fs::write(repository.path(".gitattributes"), "*.sha256 -diff\n").expect("write");
    repository.refuses("only ever grows");
    repository.edit("wit/published.sha256", |list| list.replacen('f', "F", 1));
    repository.refuses("lines that are none");

    // Nor by another file, or a component that was built anew.
    let Some(repository) = Published::new() else { return };
    std::os::unix::fs::symlink("router.wit", repository.path("wit/v0.1/more.wit")).expect("a link");
    repository.refuses("v0.1/more.wit");
    std::fs::remove_file(repository.path("wit/v0.1/more.wit")).expect("remove");
    std::fs::copy(guests::probe(), repository.path("tests/kept/v0.1/topic-c.wasm")).expect("a copy");
    repository.refuses("put it back");

    // What is new is a version of its own: a draft, until the list has it.
    let Some(repository) = Published::new() else { return };
    std::fs::create_dir(repository.path("wit/v0.2")).expect("a folder");
    std::fs::write(repository.path("wit/v0.2/router.wit"), "package volley:router@0.2.0;\n").expect("write");
    assert!(repository.check().status.success());
    let new = digest(&repository.path("wit/v0.2/router.wit"));
    repository.edit("wit/published.sha256", |list| format!("{list}{new}  v0.2/router.wit\n"));
    repository.commit();
    assert!(repository.check().status.success());
}
