//! Rules in Python: `rule.py`, by componentize-py of the folder's `.venv`, the active virtual environment, or `PATH`. What comes
//! out holds `CPython`; WASI's functions are replaced by ones that trap.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Made;
use super::command::{run, say};
use super::contract::{WORLD, Workplace};

const TOOL: &str = "componentize-py";
/// The one that it was tried with.
const RELEASE: &str = "componentize-py==0.25.1";
/// The module whose class `Handler` is the rule.
const MODULE: &str = "rule";

pub(super) fn build(dir: &Path) -> Result<Made> {
    if !dir.join(MODULE).with_extension("py").is_file() {
        bail!("there is no rule.py in {}: it has the class `Handler`, which is the rule", dir.display());
    }
    let tool = tool(dir);
    let version = run(Command::new(&tool).arg("--version")).with_context(|| {
        format!(
            "rules in Python are built by {TOOL}: run `python3 -m venv .venv && .venv/bin/pip install {RELEASE}` in {}",
            dir.display()
        )
    })?;
    let place = Workplace::of(dir)?;
    let (file, component) = (place.made(dir), place.component(dir));
    say("componentize-py is at work (about half a minute)");
    let mut build = Command::new(&tool);
    build.current_dir(dir).arg("-d").arg(place.contract()?).args(["-w", WORLD, "componentize", "--stub-wasi"]);
    run(build.arg("-p").arg(dir).arg(MODULE).arg("-o").arg(&file))?;
    Ok(Made { file, component, toolchain: format!("{}\n", version.trim_end()), turn: place.into_turn() })
}

fn tool(dir: &Path) -> PathBuf {
    let active = env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    let environments = [Some(dir.join(".venv")), active];
    let tools = environments.into_iter().flatten().map(|environment| environment.join("bin").join(TOOL));
    tools.into_iter().find(|tool| tool.is_file()).unwrap_or_else(|| TOOL.into())
}
