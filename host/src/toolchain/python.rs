//! Rules in Python: `rule.py`, by componentize-py of the folder's `.venv`, the active virtual environment, or `PATH`. What comes
//! out holds `CPython`; WASI's functions are replaced by ones that trap.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::command::{run, say};
use super::contract::{WORLD, Workplace};
use super::{Language, Made};

const TOOL: &str = "componentize-py";
/// The module whose class `Handler` is the rule.
const MODULE: &str = "rule";
/// Calls the rule, and says what it raised.
const ENTRY: &str = "volley_entry";

pub(super) fn build(dir: &Path) -> Result<Made> {
    if !dir.join(MODULE).with_extension("py").is_file() {
        bail!("there is no rule.py in {}: it has the class `Handler`, which is the rule", dir.display());
    }
    let (tool, environment) = tool(dir);
    let version = run(Command::new(&tool).arg("--version")).with_context(|| {
        let setup = Language::Python.setup().unwrap_or_default();
        format!("rules in Python are built by {TOOL}: run `{setup}` in {}", dir.display())
    })?;
    let place = Workplace::of(dir)?;
    let (file, component) = (place.made(dir), place.component(dir));
    say("componentize-py is at work (about half a minute)");
    let mut build = Command::new(&tool);
    if let Some(environment) = &environment {
        // What the rule imports is that environment's, and not the machine's.
        build.env("VIRTUAL_ENV", environment);
    }
    build.env("RUST_BACKTRACE", "0"); // Of a mistake in the rule it would hide the words.
    let entry =
        place.write(&format!("entry/{ENTRY}.py"), include_str!("../../../plugins/sdk-python/volley_entry.py"))?;
    build.current_dir(dir).arg("-d").arg(place.contract()?).args(["-w", WORLD, "componentize", "--stub-wasi"]);
    build.arg("-p").arg(dir).arg("-p").arg(entry.with_file_name(""));
    run(build.arg(ENTRY).arg("-o").arg(&file))?;
    Ok(Made { file, component, toolchain: format!("{}\n", version.trim_end()), turn: place.into_turn() })
}

/// The command, and the virtual environment that it is in.
fn tool(dir: &Path) -> (PathBuf, Option<PathBuf>) {
    let active = env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    let environments = [Some(dir.join(".venv")), active].into_iter().flatten();
    let tool = |environment: &Path| environment.join("bin").join(TOOL);
    match environments.into_iter().find(|environment| tool(environment).is_file()) {
        Some(environment) => (tool(&environment), Some(environment)),
        None => (TOOL.into(), None),
    }
}
