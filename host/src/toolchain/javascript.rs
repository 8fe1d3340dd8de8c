//! Rules in JavaScript: the module that `package.json` names as `main` (`rule.js` if it names none), by componentize-js of the
//! folder's `node_modules`. What comes out holds the engine `SpiderMonkey`, with all of WASI switched off.
//!
//! TypeScript, or whatever else becomes JavaScript: `scripts.build` is run first, if there is one, and `main` is what it makes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Made;
use super::command::{run, say};
use super::contract::{WORLD, Workplace};

/// Calls the rule, and says what it threw.
const ENTRY: &str = include_str!("../../../plugins/sdk-js/entry.js");
/// Where the rule's module stands in it.
const RULE: &str = "{{rule}}";
const PACKAGE: &str = "@bytecodealliance/componentize-js";
/// Each of them would be an import that no server has.
const WITHOUT: [&str; 5] = ["stdio", "random", "clocks", "http", "fetch-event"];

pub(super) fn build(dir: &Path) -> Result<Made> {
    let package = read(dir)?;
    let node = run(Command::new("node").arg("--version"))
        .context("rules in JavaScript are built by Node.js, 20 or later: `apt-get install nodejs npm`")?;
    let (tool, version) = tool(dir)?;
    let place = Workplace::of(dir)?;
    place.write("volley.d.ts", include_str!("../../../plugins/sdk-js/volley.d.ts"))?;
    if package["scripts"]["build"].is_string() {
        // A pipe for stdout, which is for the component's path.
        let mut npm = Command::new("npm");
        let status =
            npm.args(["run", "--silent", "build"]).current_dir(dir).stdin(Stdio::null()).stdout(std::io::stderr());
        if !status.status().context("cannot start `npm run build`")?.success() {
            bail!("`npm run build` failed in {}: its own words are above", dir.display());
        }
    }
    let main = package["main"].as_str().unwrap_or("rule.js").trim_start_matches("./");
    check(&dir.join(main))?;
    let entry = place.write("entry.js", &ENTRY.replace(RULE, &format!("../../{main}")))?;
    let (file, component) = (place.made(dir), place.component(dir));
    say("componentize-js is at work (about half a minute)");
    let mut node_runs = Command::new("node");
    node_runs.current_dir(dir).arg(tool).arg(&entry).arg("--wit").arg(place.contract()?).args(["--world-name", WORLD]);
    run(node_runs.arg("--disable").args(WITHOUT).arg("--out").arg(&file))?;
    Ok(Made {
        file,
        component,
        toolchain: format!("{PACKAGE} {version}\nnode: {}\n", node.trim_end()),
        turn: place.into_turn(),
    })
}

/// componentize-js would say how many mistakes there are, and not where.
fn check(main: &Path) -> Result<()> {
    if !main.is_file() {
        bail!("there is no {}: `main` in package.json names the module of the rule", main.display());
    }
    let status = Command::new("node").arg("--check").arg(main).stdin(Stdio::null()).status();
    if !status.context("cannot start `node --check`")?.success() {
        bail!("{} is no JavaScript: node's own words are above", main.display());
    }
    Ok(())
}

fn read(dir: &Path) -> Result<Value> {
    let path = dir.join("package.json");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let package: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    if package["type"] != "module" {
        bail!("{}: a rule is a module: say \"type\": \"module\"", path.display());
    }
    Ok(package)
}

/// The command and its version, where node would look for it: here, or in a folder above.
fn tool(dir: &Path) -> Result<(PathBuf, String)> {
    let folder = dir.ancestors().map(|above| above.join("node_modules").join(PACKAGE)).find(|folder| folder.is_dir());
    let Some(folder) = folder else {
        bail!("{PACKAGE} is not installed: run `npm install` in {}", dir.display());
    };
    let text = fs::read_to_string(folder.join("package.json")).with_context(|| format!("{PACKAGE} is not whole"))?;
    let package: Value = serde_json::from_str(&text).with_context(|| format!("{PACKAGE} is not whole"))?;
    let command = package["bin"]["componentize-js"].as_str().with_context(|| format!("{PACKAGE} has no command"))?;
    Ok((folder.join(command), package["version"].as_str().unwrap_or("of unknown version").to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn what_is_missing_is_told_with_what_helps() {
        let scratch = Scratch::new();
        let dir = scratch.path().join("a/rule");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("package.json"), "{}").unwrap();
        assert!(read(&dir).unwrap_err().to_string().contains("\"type\": \"module\""));
        assert!(tool(&dir).unwrap_err().to_string().contains("run `npm install` in"));
        let installed = scratch.path().join("node_modules").join(PACKAGE);
        fs::create_dir_all(&installed).unwrap();
        fs::write(installed.join("package.json"), r#"{"version":"1.2.3","bin":{"componentize-js":"src/cli.js"}}"#)
            .unwrap();
        let (command, version) = tool(&dir).expect("that of a folder above");
        assert_eq!((command, version.as_str()), (installed.join("src/cli.js"), "1.2.3"));
    }
}
