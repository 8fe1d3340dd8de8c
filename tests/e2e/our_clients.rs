//! The client libraries in `examples`, each with tests in its own language, run here against real servers.

use crate::harness::{Scratch, Server, say, workspace};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

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

/// A server that wants to see tokens, and the secret that signs them.
fn server_with_tokens(folder: &Scratch) -> (Server, String) {
    let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let jwks =
        folder.file("jwks.json", &format!(r#"{{"keys":[{{"kty":"oct","alg":"HS256","kid":"js","k":"{secret}"}}]}}"#));
    std::fs::set_permissions(&jwks, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    (Server::start_plain(&["--auth-jwks", &jwks]), secret)
}

#[test]
fn javascript() {
    let Some(mut node) = node() else { return };
    let (server, folder) = (Server::shared(), Scratch::new());
    let (server_with_tokens, secret) = server_with_tokens(&folder);
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
        .env("VOLLEY_AUTH_URL", format!("http://{}", server_with_tokens.listen))
        .env("VOLLEY_AUTH_SECRET", secret);
    match installed("typescript/lib/tsc.js") {
        Some(tsc) => drop(node.env("VOLLEY_TSC", tsc.canonicalize().expect("a path"))),
        None => say("SKIPPED: the types of examples/client-js; there is no TypeScript (.ci/run installs it)"),
    }
    let output = node.stdin(Stdio::null()).output().expect("Node");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("fail 0") && !said.contains("pass 0"), "{said}");
}
