//! `volley plugin keygen` and `sign`, and servers that know the keys. What is pushed with a signature is among the deploys.

use crate::cli::serve;
use crate::harness::{Scratch, Server, run};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

#[track_caller]
fn done(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[track_caller]
fn failed(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A path in the folder.
fn at(folder: &Scratch, name: &str) -> String {
    folder.path().join(name).to_str().expect("UTF-8").into()
}

#[test]
fn a_key_is_made_for_its_holder_alone_and_its_line_configures_a_server() {
    let folder = Scratch::new();
    let key = at(&folder, "alice.key");
    let line = done(&["plugin", "keygen", "-o", &key]);
    assert!(line.starts_with("alice = \"") && line.lines().count() == 1, "{line}");
    assert_eq!(std::fs::metadata(&key).expect("a file").permissions().mode() & 0o777, 0o600);
    let secret = std::fs::read_to_string(&key).expect("text");
    let secret = secret.trim().rsplit(':').next().expect("a key");
    assert!(!line.contains(secret));
    let config = folder.file("volley.toml", &format!("require_signed = true\n[signing_keys]\n{line}"));
    let server = Server::start(&["--config", &config]);
    assert!(!server.stderr().contains(secret));
}

#[test]
fn a_key_that_is_there_is_never_replaced() {
    let folder = Scratch::new();
    let key = at(&folder, "alice.key");
    done(&["plugin", "keygen", "-o", &key]);
    let first = std::fs::read(&key).expect("a key");
    let words = failed(&run(&["plugin", "keygen", "-o", &key]), 1);
    assert!(words.contains(&key) && words.contains("never replaced"), "{words}");
    assert_eq!(std::fs::read(&key).expect("a key"), first);
}

#[test]
fn a_signature_is_written_beside_the_component() {
    let folder = Scratch::new();
    let (key, component) = (at(&folder, "alice.key"), folder.file("rule.wasm", "a component"));
    done(&["plugin", "keygen", "-o", &key]);
    let signature = || {
        let said = done(&["plugin", "sign", &component, "--key", &key]);
        assert_eq!(said.trim_end(), format!("{component}.sig"));
        std::fs::read_to_string(format!("{component}.sig")).expect("text")
    };
    let first = signature();
    assert_eq!(first.trim_end().len(), 88, "{first}");
    assert_eq!(signature(), first, "of the same component it is the same");
    folder.file("rule.wasm", "another component");
    assert_ne!(signature(), first);
}

#[test]
fn what_cannot_be_signed_is_told() {
    let folder = Scratch::new();
    let (key, component) = (at(&folder, "alice.key"), folder.file("rule.wasm", "a component"));
    let garbage = folder.file("garbage.key", "volley-secret-key:AAAA");
    let words = failed(&run(&["plugin", "sign", &component, "--key", &key]), 1);
    assert!(words.contains("alice.key"), "{words}");
    let words = failed(&run(&["plugin", "sign", &component, "--key", &garbage]), 1);
    assert!(words.contains("garbage.key") && words.contains("keygen"), "{words}");
    done(&["plugin", "keygen", "-o", &key]);
    let words = failed(&run(&["plugin", "sign", &at(&folder, "none.wasm"), "--key", &key]), 1);
    assert!(words.contains("none.wasm"), "{words}");
    assert!(!Path::new(&at(&folder, "none.wasm.sig")).exists());
    failed(&run(&["plugin", "sign", &component]), 2);
}

#[test]
fn a_key_that_is_none_is_wrong_usage_and_not_repeated() {
    let words = failed(&serve(&["--signing-key", "alice=c2VjcmV0"]), 2);
    assert!(words.contains("--signing-key alice") && !words.contains("c2VjcmV0"), "{words}");
    let words = failed(&serve(&["--require-signed"]), 2);
    assert!(words.contains("--signing-key"), "{words}");
}
