//! `wasm-component-ld`, which makes a component out of what rustc emits, and the lld it calls.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::command::run;
use super::compiler::{active, ask};

const NAME: &str = "wasm-component-ld";

#[derive(Debug)]
pub(super) struct Linker {
    pub(super) path: PathBuf,
    /// `wasm-component-ld 0.5.21, LLD 22.1.2`
    pub(super) version: String,
    /// The PATH under which the linker finds its own lld before any other of the machine.
    pub(super) search_path: OsString,
}

/// Rustup's toolchains ship both programs; elsewhere they have to be on PATH.
pub(super) fn find(dir: &Path) -> Result<Linker> {
    let mut folders: Vec<PathBuf> = shipped(dir).into_iter().collect();
    folders.extend(env::var_os("PATH").iter().flat_map(env::split_paths));
    let Some(path) = first(&folders, &[NAME]) else {
        bail!("no {NAME}, which rustup's toolchains ship: run `cargo install --locked {NAME}`");
    };
    let Some(lld) = first(&folders, &["wasm-ld", "rust-lld"]) else {
        bail!("no wasm-ld or rust-lld, which rustup's toolchains ship: install LLVM's lld");
    };
    let version = format!("{}, {}", line(Command::new(&path).arg("--version"))?, lld_version(&lld)?);
    Ok(Linker { path, version, search_path: env::join_paths(folders)? })
}

fn shipped(dir: &Path) -> Option<PathBuf> {
    let rustc = active();
    let sysroot = ask(&rustc, dir, &["--print", "sysroot"]).ok()?;
    let about = ask(&rustc, dir, &["-vV"]).ok()?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "))?;
    Some(Path::new(&sysroot).join("lib/rustlib").join(host).join("bin"))
}

/// The first folder wins, not the first name: so does `wasm-component-ld` search.
fn first(folders: &[PathBuf], names: &[&str]) -> Option<PathBuf> {
    let files = folders.iter().flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    files.map(|file| file.with_extension(env::consts::EXE_EXTENSION)).find(|file| file.is_file())
}

/// `LLD 22.1.2`, without the address and commit that may follow.
fn lld_version(lld: &Path) -> Result<String> {
    let mut ask = Command::new(lld);
    if lld.file_stem().is_some_and(|name| name == "rust-lld") {
        ask.args(["-flavor", "wasm"]);
    }
    let text = line(ask.arg("--version"))?;
    let start = text.find("LLD").with_context(|| format!("{} says `{text}`, not its version", lld.display()))?;
    Ok(text[start..].split(' ').take(2).collect::<Vec<_>>().join(" "))
}

fn line(command: &mut Command) -> Result<String> {
    Ok(run(command)?.lines().next().unwrap_or_default().to_owned())
}
