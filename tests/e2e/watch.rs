//! `serve --watch` and `dev`: deploying by writing files.

use crate::client::{Session, publish};
use crate::guests;
use crate::harness::{Scratch, Server, TOPIC_ONLY, volley, wait_until, wait_within, workspace};
use crate::http::{call, get};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

fn plugin(server: &Server, name: &str) -> Value {
    call(&server.admin, &get(format!("/admin/v1/plugins/{name}"))).json()
}

/// As rsync does: written under another name, then renamed.
fn drop_in(folder: &Path, name: &str, component: &[u8]) {
    let temporary = folder.join(format!(".{name}.wasm.Xy12Za"));
    std::fs::write(&temporary, component).expect("write");
    std::fs::rename(&temporary, folder.join(format!("{name}.wasm"))).expect("rename");
}

#[test]
fn a_component_that_is_dropped_in_the_folder_is_deployed() {
    let folder = Scratch::new();
    let server = Server::start_plain(&["--watch", folder.path().to_str().expect("UTF-8")]);
    let mut ann = Session::on(&server, "watched.room");
    ann.publish("watched.room", &json!("by topic"));
    let topic = plugin(&server, "topic")["active"].clone();
    let probe = std::fs::read(guests::probe()).expect("the probe");
    drop_in(folder.path(), "topic", &probe);
    wait_until("the probe to be active", || (plugin(&server, "topic")["active"] != topic).then_some(()));
    ann.publish("watched.room", &json!({"do": "event"}));
    let seen = ann.poll(0);
    let data = seen.data();
    assert_eq!(data[0], "by topic");
    assert_eq!(data[1]["ok"]["topic"], "watched.room", "the probe answered: {data:?}");

    // What can't be used is told, and changes nothing.
    let active = plugin(&server, "topic")["active"].clone();
    drop_in(folder.path(), "topic", &probe[..1000]);
    server.wait_for_stderr("--watch: refused, and nothing changed: this is not a valid component");
    assert_eq!(plugin(&server, "topic")["active"], active);
    publish(&server, "watched.room", &json!(1));
}

#[test]
fn what_lies_in_the_folder_at_the_start_is_deployed_too() {
    let folder = Scratch::new();
    drop_in(folder.path(), "topic", &std::fs::read(guests::probe()).expect("the probe"));
    let server = Server::start_plain(&["--watch", folder.path().to_str().expect("UTF-8")]);
    wait_until("the probe to be active", || {
        let newest = plugin(&server, "topic")["versions"][0].clone();
        (newest["name"] == "probe" && newest["state"] == "active").then_some(())
    });
}

/// Building a rule's crate for the first time takes longer than anything else here.
const BUILT: Duration = Duration::from_mins(5);

fn wait_for_log(server: &Server, times: usize, words: &str) {
    let said = || (server.stderr().matches(words).count() >= times).then_some(());
    assert!(wait_within(BUILT, said).is_some(), "waited {BUILT:?} for {words:?}:\n{}", server.stderr());
}

fn holds_a_component(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| {
        entries.any(|entry| {
            let path = entry.expect("an entry").path();
            path.extension().is_some_and(|extension| extension == "wasm") || holds_a_component(&path)
        })
    })
}

const RULE: &str = r#"
use volley_plugin::{Event, Info, Kind, Outcome, Refusal, Rule, export_rule, log, subscribers};
struct Stamp;
impl Rule for Stamp {
    fn info() -> Info {
        Info { name: "stamp", version: "0.1.0", description: "stamps what it routes" }
    }
    fn init(_config: &str) -> Result<Self, String> {
        Ok(Self)
    }
    fn route(&self, event: &Event) -> Result<Outcome, Refusal> {
        if event.kind != Kind::Publish {
            return Ok(Outcome::new());
        }
        log::info!("routing by STAMP");
        Ok(Outcome::new().send(subscribers(), &"STAMP"))
    }
}
export_rule!(Stamp);
"#;

#[test]
fn a_crate_is_built_again_and_swapped_on_each_save() {
    let folder = Scratch::new();
    let source = folder.path().join("src/lib.rs");
    std::fs::create_dir(folder.path().join("src")).expect("a folder");
    let sdk = workspace().join("plugins/sdk").canonicalize().expect("the SDK");
    let manifest = format!(
        "[package]\nname = \"stamp\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n\
         [dependencies]\nvolley-plugin = {{ path = {sdk:?} }}\n[workspace]\n"
    );
    folder.file("Cargo.toml", &manifest);
    // The versions of dependencies that are here already.
    std::fs::copy(workspace().join("Cargo.lock"), folder.path().join("Cargo.lock")).expect("the lock file");
    let save = |stamp: &str| std::fs::write(&source, RULE.replace("STAMP", stamp)).expect("save");
    std::fs::write(&source, RULE.replace("Ok(Self)", "Err(\"not yet\".to_owned())")).expect("save");
    let config = folder.file("volley.toml", TOPIC_ONLY);
    let mut command = volley();
    command.args(["dev", folder.path().to_str().expect("UTF-8"), "--topics", "dev.>", "--config", &config]);
    command.args(["--admin-no-token", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let home = Scratch::new();
    // The first save builds, and its `init` fails; the next one is well.
    let server = std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_within(BUILT, || holds_a_component(&folder.path().join("target")).then_some(()));
            save("one");
        });
        Server::start_slowly_as(command.env("XDG_DATA_HOME", home.path()), BUILT)
    });
    assert!(server.stderr().contains("init failed: not yet\nvolley dev: waiting for the next change"));
    let conversation = server.wait_for_stdout(|text| text.contains("Ctrl-C"));
    assert!(conversation.contains("volley poll 'dev.1' --user bob"), "{conversation}");
    let mut ann = Session::on(&server, "dev.room");
    ann.publish("dev.room", &json!(0));
    assert_eq!(ann.poll(0).messages[0]["data"], "one");
    assert!(server.stderr().contains("routing by one"), "the rule's log is shown");

    save("two");
    wait_for_log(&server, 1, "swapped");
    ann.publish("dev.room", &json!(0));
    assert_eq!(ann.poll(0).messages[0]["data"], "two");

    std::fs::write(&source, RULE.replace("fn route", "fn rout")).expect("save");
    wait_for_log(&server, 1, "the version before serves on");
    assert!(server.stderr().contains("error[E0407]"), "the compiler's words are shown");
    ann.publish("dev.room", &json!(0));
    assert_eq!(ann.poll(0).messages[0]["data"], "two");

    save("three");
    wait_for_log(&server, 2, "swapped");
    ann.publish("dev.room", &json!(0));
    assert_eq!(ann.poll(0).messages[0]["data"], "three");
    assert_eq!(std::fs::read_dir(home.path()).expect("a folder").count(), 0, "nothing is kept for the next `serve`");
}
