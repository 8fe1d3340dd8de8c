//! The rules under test, built from source once in each test run.

use crate::harness::{say, volley, volley_path, workspace};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

/// The guest that does what its payload says; the head of its source lists what that can be.
pub(crate) fn probe() -> &'static Path {
    static PROBE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROBE.get_or_init(|| build("probe")).as_ref().unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// The file of a built guest, beside the program under test: `target/guests/NAME.wasm`.
pub(crate) fn file(name: &str) -> PathBuf {
    let target = volley_path().ancestors().nth(2).expect("target/PROFILE/volley");
    target.join("guests").join(format!("{name}.wasm"))
}

fn build(name: &str) -> Result<PathBuf, String> {
    let (source, built) = (workspace().join("tests/guests").join(name), file(name));
    std::fs::create_dir_all(built.parent().expect("a folder")).expect("target/guests");
    say(&format!("building the rule under test {name} from source (the first time takes a minute) ..."));
    let started = Instant::now();
    let output = volley().args(["plugin", "build"]).arg(&source).arg("-o").arg(&built).output().expect("volley plugin");
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} could not be built:\n{said}", source.display()));
    }
    say(&format!("built {name} in {:.1} s", started.elapsed().as_secs_f64()));
    Ok(built)
}
