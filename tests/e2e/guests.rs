//! The rules under test, built from source once in each test run.

use crate::ending::InTime as _;
use crate::harness::{say, target, volley, workspace};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

/// The guest that does what its payload says; the head of its source lists what that can be.
pub(crate) fn probe() -> &'static Path {
    static PROBE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROBE.get_or_init(|| build("tests/guests", "probe")).as_ref().unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// The next version of the bundled `chat`, on another layout of its tables and groups.
pub(crate) fn chat_next() -> Vec<u8> {
    static CHAT_NEXT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built =
        CHAT_NEXT.get_or_init(|| build("tests/guests", "chat-next")).as_ref().unwrap_or_else(|wrong| panic!("{wrong}"));
    std::fs::read(built).expect("the component")
}

/// The rules of the shelf, one after another: they share what they depend on.
pub(crate) fn shelf() -> &'static [PathBuf; SHELF.len()] {
    static BUILT: OnceLock<Result<[PathBuf; SHELF.len()], String>> = OnceLock::new();
    let build_all = || {
        let mut built = [const { PathBuf::new() }; SHELF.len()];
        for (path, name) in built.iter_mut().zip(SHELF) {
            *path = build("plugins", name)?;
        }
        Ok(built)
    };
    BUILT.get_or_init(build_all).as_ref().unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// The names of these rules, and of their folders in `plugins/`.
pub(crate) const SHELF: [&str; 7] =
    ["bridge", "fanout-by-attribute", "mentions", "presence", "queue", "redact", "throttle"];

/// A version of the guest `versions` with these settings, of which `name` and `release` are needed; the head of its
/// source and its `settings.rs` say what there is. It migrates nothing.
pub(crate) fn version(settings: &Value) -> Vec<u8> {
    plain(&reversible(settings))
}

/// The same with `upgrade`, without `downgrade`.
pub(crate) fn migrating(settings: &Value) -> Vec<u8> {
    without_downgrade(&reversible(settings))
}

/// A version without `upgrade` and `downgrade`: nobody knows these exports by their other names.
pub(crate) fn plain(reversible: &[u8]) -> Vec<u8> {
    edited(&without_downgrade(reversible), b"volley:router/migration@", b"volley:router/migratiom@")
}

fn without_downgrade(reversible: &[u8]) -> Vec<u8> {
    edited(reversible, b"volley:router/reversal@", b"volley:router/reversam@")
}

/// The same with both.
pub(crate) fn reversible(settings: &Value) -> Vec<u8> {
    static VERSIONS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built =
        VERSIONS.get_or_init(|| build("tests/guests", "versions")).as_ref().unwrap_or_else(|wrong| panic!("{wrong}"));
    with_settings(std::fs::read(built).expect("the component"), settings)
}

/// The guest `versions`, with these settings in the place that it has for them.
pub(crate) fn with_settings(mut component: Vec<u8>, settings: &Value) -> Vec<u8> {
    let unwritten = br#"{"name":"unwritten","release":"0.0.0"}"#;
    let mut places = (0..component.len()).filter(|at| component[*at..].starts_with(unwritten));
    let place = places.next().expect("a place for settings");
    assert!(places.next().is_none(), "one place");
    let settings = settings.to_string().into_bytes();
    let room = component[place + unwritten.len()..].iter().take_while(|byte| **byte == b' ').count();
    assert!(settings.len() <= unwritten.len() + room, "more than {} bytes of settings", unwritten.len() + room);
    component[place..place + unwritten.len()].fill(b' ');
    component[place..place + settings.len()].copy_from_slice(&settings);
    component
}

/// A component with other bytes, of the same length, in every place.
pub(crate) fn edited(component: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "sizes stand before what they count");
    let mut component = component.to_vec();
    let places: Vec<_> = (0..component.len()).filter(|at| component[*at..].starts_with(from)).collect();
    assert!(!places.is_empty(), "{} is not there", from.escape_ascii());
    for at in places {
        component[at..at + to.len()].copy_from_slice(to);
    }
    component
}

/// The file of a built guest, beside the program under test: `target/guests/NAME.wasm`.
pub(crate) fn file(name: &str) -> PathBuf {
    target().join("guests").join(format!("{name}.wasm"))
}

fn build(folder: &str, name: &str) -> Result<PathBuf, String> {
    let (source, built) = (workspace().join(folder).join(name), file(name));
    std::fs::create_dir_all(built.parent().expect("a folder")).expect("target/guests");
    say(&format!("building the rule under test {name} from source (the first time takes a minute) ..."));
    let started = Instant::now();
    let output =
        volley().args(["plugin", "build"]).arg(&source).arg("-o").arg(&built).output_in_time().expect("volley plugin");
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} could not be built:\n{said}", source.display()));
    }
    say(&format!("built {name} in {:.1} s", started.elapsed().as_secs_f64()));
    Ok(built)
}
