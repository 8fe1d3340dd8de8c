//! Calling cargo so that the same sources and toolchain give the same bytes, whoever builds them and wherever.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Made;
use super::command::{run, shown};
use super::compiler::{Compiler, TARGET};
use super::component;
use super::linker::Linker;
use super::turn::Turn;

/// The release profile of every rule, whatever its author's workspace says. Speed before size: level 3 makes the
/// bundled rules a few kilobytes larger than "s", and a route over 100,000 PIDs is one hot loop. The names of functions
/// stay in, readable (`names.rs`): they make a component 8 to 11 % larger, and a trap without them says nothing. (What
/// an author may still choose, such as overflow checks, is not listed.)
const PROFILE: [(&str, &str); 8] = [
    ("opt-level", "3"),
    ("lto", "\"fat\""),
    ("codegen-units", "1"),
    ("panic", "\"abort\""),
    ("strip", "\"debuginfo\""),
    ("debug", "false"),
    ("debug-assertions", "false"),
    ("incremental", "false"),
];

/// What a crate's surroundings tell of it.
struct Crate {
    id: String,
    workspace: PathBuf,
    target: PathBuf,
    /// Crates given by path from outside of the workspace, such as the SDK in a checkout of Volley.
    elsewhere: Vec<(String, PathBuf)>,
}

/// Builds the crate in `dir` with these tools, which are called so.
pub(super) fn build(dir: &Path, compiler: &Compiler, linker: &Linker, toolchain: String) -> Result<Made> {
    let krate = look_at(dir, compiler)?;
    let target = target(&krate, compiler);
    let turn = Turn::take(&target)?;
    let mut cargo = cargo(dir, compiler);
    cargo
        .args(["build", "--release", "--lib", "--target", TARGET, "--message-format=json-render-diagnostics"])
        .arg("--target-dir")
        .arg(&target)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(&renamed(&krate, &target, compiler)))
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &linker.path)
        .env("PATH", &linker.search_path);
    for (key, value) in PROFILE {
        cargo.arg("--config").arg(format!("profile.release.{key}={value}"));
    }
    // Progress and diagnostics go straight to the author; only the list of files is read here.
    let line = shown(&cargo);
    let output = cargo.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!("{} was not built ({}): cargo's own words are above", dir.display(), output.status);
    }
    let file = wasm_file(&String::from_utf8_lossy(&output.stdout), &krate.id);
    let file = file.with_context(|| format!("`{line}` succeeded but named no .wasm file"))?;
    let component = target.join(file.file_name().unwrap_or_default());
    Ok(Made { file, component, toolchain, turn })
}

/// Says what helps where there is no cargo.
pub(super) fn find(dir: &Path) -> Result<()> {
    match Command::new("cargo").arg("--version").current_dir(dir).output() {
        Ok(_) => Ok(()),
        Err(error) => bail!("there is no cargo ({error}): install Rust from https://rustup.rs"),
    }
}

/// A folder of its own: no lock shared with an outer cargo, and nothing left over from another std, which rustc could not
/// load (E0463) although its version is the same. Of a workspace's own where several share one: a `cdylib` has no hash in
/// its name, so cargo would take another's of the same name for what it has made.
fn target(krate: &Crate, compiler: &Compiler) -> PathBuf {
    let mut name = format!("plugin-{}", compiler.std_id);
    if !krate.target.starts_with(&krate.workspace) {
        name.extend(["-", &component::hash_of_path(&krate.workspace)[..8]]);
    }
    krate.target.join(name)
}

pub(super) fn profile_text() -> String {
    PROFILE.map(|(key, value)| format!("{key}={}", value.trim_matches('"'))).join(" ")
}

/// Cargo in `dir`, without what the caller's environment would change in the bytes.
fn cargo(dir: &Path, compiler: &Compiler) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(dir).env("RUSTC", &compiler.rustc);
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(changes_bytes)) {
        cargo.env_remove(name);
    }
    cargo
}

pub(super) fn changes_bytes(variable: &str) -> bool {
    const NAMES: [&str; 7] = [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_INCREMENTAL",
        "RUSTC_BOOTSTRAP",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_TARGET",
    ];
    const PREFIXES: [&str; 4] = ["CARGO_BUILD_RUST", "CARGO_PROFILE_", "CARGO_TARGET_WASM32_", "CARGO_UNSTABLE_"];
    NAMES.contains(&variable) || PREFIXES.iter().any(|prefix| variable.starts_with(prefix))
}

fn look_at(dir: &Path, compiler: &Compiler) -> Result<Crate> {
    let mut metadata = cargo(dir, compiler);
    metadata.args(["metadata", "--format-version", "1", "--filter-platform", TARGET]);
    let metadata: Value = serde_json::from_str(&run(&mut metadata)?).context("`cargo metadata` printed no JSON")?;
    parse(dir, &metadata)
}

fn parse(dir: &Path, metadata: &Value) -> Result<Crate> {
    let folder = |key: &str| metadata[key].as_str().map(PathBuf::from).with_context(|| format!("no {key}"));
    let workspace = folder("workspace_root")?;
    let Some(id) = metadata["resolve"]["root"].as_str() else {
        bail!("{} is a workspace, not a crate: name the folder of one of its crates", dir.display());
    };
    let packages = metadata["packages"].as_array().context("no packages")?;
    let package = packages.iter().find(|package| package["id"] == id).context("no root package")?;
    if !kinds(package).any(|kind| kind == "cdylib") {
        bail!("{} builds no cdylib: add `crate-type = [\"cdylib\"]` to [lib] in its Cargo.toml", dir.display());
    }
    let by_path = packages.iter().filter(|package| package["source"].is_null()).filter_map(|package| {
        let manifest = Path::new(package["manifest_path"].as_str()?);
        Some((package["name"].as_str()?.to_owned(), manifest.parent()?.to_owned()))
    });
    let elsewhere = by_path.filter(|(_, folder)| !folder.starts_with(&workspace)).collect();
    Ok(Crate { id: id.to_owned(), target: folder("target_directory")?, workspace, elsewhere })
}

fn kinds(package: &Value) -> impl Iterator<Item = &str> {
    let targets = package["targets"].as_array().into_iter().flatten();
    targets.flat_map(|target| target["kind"].as_array().into_iter().flatten()).filter_map(Value::as_str)
}

/// The folders of this machine that would get into panic messages, with the names that go there instead.
fn renamed(krate: &Crate, target: &Path, compiler: &Compiler) -> Vec<(PathBuf, String)> {
    let mut names = vec![
        (krate.workspace.clone(), "/src".to_owned()),
        (target.to_owned(), "/target".to_owned()),
        compiler.std_source.clone(),
    ];
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    names.extend(home.map(|home| (home, "/cargo".to_owned())));
    names.extend(krate.elsewhere.iter().map(|(name, folder)| (folder.clone(), format!("/{name}"))));
    names
}

/// rustc applies the last name that fits, so the most specific folder goes last.
pub(super) fn rustflags(names: &[(PathBuf, String)]) -> OsString {
    let mut names: Vec<_> = names.iter().collect();
    names.sort_by_key(|(folder, _)| folder.as_os_str().len());
    let mut flags = OsString::new();
    for (folder, name) in names {
        // Flags are separated by 0x1f here, so a folder may hold spaces.
        flags.push(if flags.is_empty() { "" } else { "\u{1f}" });
        flags.push("--remap-path-prefix=");
        flags.push(folder);
        flags.push("=");
        flags.push(name);
    }
    flags
}

fn wasm_file(messages: &str, id: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ours = messages.filter(|message| message["reason"] == "compiler-artifact" && message["package_id"] == id);
    let files: Vec<Value> = ours.filter_map(|message| message["filenames"].as_array().cloned()).flatten().collect();
    let files = files.iter().filter_map(Value::as_str).map(PathBuf::from);
    files.rev().find(|file| file.extension() == Some(OsStr::new("wasm")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata(kind: &str) -> Value {
        json!({
            "workspace_root": "/w", "target_directory": "/w/target", "resolve": { "root": "rule" },
            "packages": [
                { "id": "rule", "name": "rule", "source": null, "manifest_path": "/w/rule/Cargo.toml",
                  "targets": [{ "kind": [kind] }] },
                { "id": "sdk", "name": "sdk", "source": null, "manifest_path": "/v/sdk/Cargo.toml", "targets": [] },
                { "id": "serde", "name": "serde", "source": "registry", "manifest_path": "/c/serde/Cargo.toml",
                  "targets": [] },
            ],
        })
    }

    #[test]
    fn crates_by_path_outside_of_the_workspace_are_noticed() {
        let krate = parse(Path::new("/w/rule"), &metadata("cdylib")).unwrap();
        assert_eq!(krate.id, "rule");
        assert_eq!(krate.elsewhere, [("sdk".to_owned(), PathBuf::from("/v/sdk"))]);
    }

    #[test]
    fn what_cannot_become_a_component_is_refused_with_advice() {
        let error = |metadata| parse(Path::new("/w/rule"), &metadata).err().unwrap().to_string();
        assert!(error(metadata("rlib")).contains("crate-type = [\"cdylib\"]"));
        let mut workspace = metadata("cdylib");
        workspace["resolve"]["root"] = Value::Null;
        assert!(error(workspace).contains("is a workspace"));
    }

    #[test]
    fn the_most_specific_folder_is_renamed_last() {
        let names = [("/home/me/w".into(), "/src".to_owned()), ("/home/me".into(), "/cargo".to_owned())];
        let flags = "--remap-path-prefix=/home/me=/cargo\u{1f}--remap-path-prefix=/home/me/w=/src";
        assert_eq!(rustflags(&names), flags);
    }

    #[test]
    fn what_changes_bytes_is_kept_out() {
        assert!(changes_bytes("RUSTFLAGS") && changes_bytes("CARGO_PROFILE_RELEASE_LTO"));
        assert!(!changes_bytes("CARGO_HOME") && !changes_bytes("CARGO_TARGET_DIR"));
    }

    #[test]
    fn the_file_is_that_of_the_crate_itself() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","package_id":"dep","filenames":["/t/dep.wasm"]}"#,
            "\nnot json\n",
            r#"{"reason":"compiler-artifact","package_id":"rule","filenames":["/t/rule.d","/t/rule.wasm"]}"#,
        );
        assert_eq!(wasm_file(messages, "rule"), Some(PathBuf::from("/t/rule.wasm")));
        assert_eq!(wasm_file(messages, "other"), None);
    }
}
