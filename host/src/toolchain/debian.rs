//! Debian's compiler as a fallback: unpacked in a cache folder of the user, std for the target built once from its
//! sources. Nothing is installed, no root is needed, and later builds need neither apt nor a network.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::apt;
use super::cargo::{changes_bytes, rustflags};
use super::command::{run, say};
use super::compiler::{TARGET, ask, std_folder};

/// Part of the folder's name: to be raised with every change of the recipe below.
const RECIPE: &str = "r1";

/// Written last, so a folder without it is the rest of a run that was interrupted. Holds the version's full name.
const MARK: &str = "ready";

/// A compiler that has been unpacked.
#[derive(Debug)]
pub(super) struct Unpacked {
    pub(super) folder: PathBuf,
    pub(super) rustc: PathBuf,
    /// `1.96.0+dfsg1-1~deb12u2`
    pub(super) version: String,
}

/// What an earlier run made.
pub(super) fn ready() -> Result<Option<Unpacked>> {
    Ok(newest_in(&cache_folder()?))
}

/// What an earlier run made, or else a new one; of several callers at once, one makes it and the others wait.
pub(super) fn ready_or_make() -> Result<Unpacked> {
    let cache = cache_folder()?;
    if let Some(unpacked) = newest_in(&cache) {
        return Ok(unpacked);
    }
    fs::create_dir_all(&cache)
        .with_context(|| format!("cannot make {}: name another folder with VOLLEY_TOOLCHAIN_DIR", cache.display()))?;
    let _lock = lock(&cache.join("lock"))?;
    match newest_in(&cache) {
        Some(unpacked) => Ok(unpacked),
        None => make(&cache),
    }
}

fn cache_folder() -> Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value: &std::ffi::OsString| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = set("VOLLEY_TOOLCHAIN_DIR") {
        // The programs below run in other folders than the caller.
        return std::path::absolute(folder).context("VOLLEY_TOOLCHAIN_DIR");
    }
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(env::home_dir()?.join(".cache")));
    Ok(cache.context("no home folder: set VOLLEY_TOOLCHAIN_DIR")?.join("volley/toolchain"))
}

fn newest_in(cache: &Path) -> Option<Unpacked> {
    let folders = fs::read_dir(cache).ok()?.flatten().map(|entry| entry.path());
    let ours = folders.filter(|folder| folder.extension() == Some(OsStr::new(RECIPE)));
    let marked = ours.filter_map(|folder| Some((fs::metadata(folder.join(MARK)).ok()?.modified().ok()?, folder)));
    let (_, folder) = marked.max()?;
    let version = fs::read_to_string(folder.join(MARK)).ok()?;
    Some(Unpacked { rustc: folder.join("rustc"), version: version.trim_end().to_owned(), folder })
}

fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => say("waiting for another build that is unpacking Debian's rustc-web"),
        Err(TryLockError::Error(error)) => bail!("cannot lock {}: {error}", path.display()),
    }
    file.lock()?;
    Ok(file)
}

fn make(cache: &Path) -> Result<Unpacked> {
    let start = Instant::now();
    let download = cache.join("download");
    fs::create_dir_all(&download)?;
    let version = apt::download(&download)?.full;
    let folder = cache.join(format!("rustc-web-{version}.{RECIPE}"));
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    say(&format!("unpacking Debian's rustc-web {version} into {} (once)", folder.display()));
    for package in fs::read_dir(download.join("debs"))? {
        unpack(&package?.path(), &folder)?;
    }
    fs::remove_dir_all(&download)?;

    let rustc = write_launcher(&folder)?;
    ask(&rustc, &folder, &["-vV"])
        .context("Debian's rustc does not start here: `apt-get install rustc-web` would tell which library it lacks")?;
    say(&format!("building std for {TARGET} (once, one to two minutes)"));
    let libraries = build_std(&folder, &rustc)?;
    install_std(&folder, &libraries)?;
    if std_folder(&rustc, &folder).is_none() {
        bail!("std for {TARGET} did not come out of its build in {}", folder.display());
    }
    fs::remove_dir_all(folder.join("std"))?;
    fs::write(folder.join(MARK), &version)?;
    say(&format!("Debian's rustc-web is ready after {} s", start.elapsed().as_secs()));
    Ok(Unpacked { folder, rustc, version })
}

/// Unpacks a package without its documentation; of the sources, which are a gigabyte, only the library's.
fn unpack(package: &Path, folder: &Path) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.arg("-x").arg("-C").arg(folder);
    let name = package.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with("rust-web-src_") {
        tar.args(["--wildcards", "./usr/src/rustc-*/library*", "./usr/src/rustc-*/src/version"]);
        tar.arg("./usr/lib/rustlib/src*");
    } else {
        tar.arg("--exclude=./usr/share");
    }
    let mut reader = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(package).stdout(Stdio::piped()).spawn()?;
    let stream = reader.stdout.take().context("a pipe was asked for")?;
    // Not `run`, which would give tar no input.
    let output = tar.stdin(stream).output().context("cannot start `tar`")?;
    let read = reader.wait()?;
    if !read.success() || !output.status.success() {
        bail!("{} cannot be unpacked:\n{}", package.display(), String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(())
}

/// A script that starts the compiler with its own libraries, wherever the cache lies.
fn write_launcher(folder: &Path) -> Result<PathBuf> {
    let script = "#!/bin/sh\n\
        here=$(dirname \"$0\")\n\
        for lib in \"$here\"/usr/lib/*-linux-gnu*; do break; done\n\
        LD_LIBRARY_PATH=\"$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}\" exec \"$here/usr/bin/rustc\" \"$@\"\n";
    let path = folder.join("rustc");
    fs::write(&path, script)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// Has cargo build std for an empty crate; returns the folder of the libraries.
fn build_std(folder: &Path, rustc: &Path) -> Result<PathBuf> {
    let empty = folder.join("std");
    fs::create_dir_all(empty.join("src"))?;
    fs::write(empty.join("src/lib.rs"), "")?;
    let manifest = "[package]\nname = \"only-std\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[workspace]\n";
    fs::write(empty.join("Cargo.toml"), manifest)?;

    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    // The sources' folder is a link, and rustc records both its ends.
    let sources = folder.join("usr/lib/rustlib/src/rust");
    let linked = sources.canonicalize().context("rust-web-src holds no library")?;
    let mut names: Vec<_> = [sources, linked].map(|folder| (folder, "/rustc/std".to_owned())).into();
    names.extend(home.map(|home| (home, "/cargo".to_owned())));
    // Bitcode is what a rule's fat LTO takes from std; cargo leaves it out of a build that has no LTO itself.
    let mut flags = rustflags(&names);
    flags.push("\u{1f}-Cembed-bitcode=yes");

    let mut cargo = Command::new("cargo");
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(changes_bytes)) {
        cargo.env_remove(name);
    }
    cargo
        .args(["build", "-Zbuild-std=std,panic_abort", "--release", "--target", TARGET, "--target-dir"])
        .arg(empty.join("target"))
        .current_dir(&empty)
        .env("RUSTC", rustc)
        // -Zbuild-std is not stable; the compiler is Debian's and pinned, so what it does is known.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags);
    run(&mut cargo)?;
    Ok(empty.join("target").join(TARGET).join("release/deps"))
}

fn install_std(folder: &Path, libraries: &Path) -> Result<()> {
    let home = folder.join("usr/lib/rustlib").join(TARGET).join("lib");
    fs::create_dir_all(&home)?;
    for file in fs::read_dir(libraries)? {
        let file = file?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if file.extension() == Some(OsStr::new("rlib")) && !name.starts_with("libonly_std") {
            fs::copy(&file, home.join(&*name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_interrupted_run_left_is_not_ready() {
        let cache = env::temp_dir().join(format!("volley-toolchain-test-{}", std::process::id()));
        let folder = cache.join(format!("rustc-web-1.96.0.{RECIPE}"));
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(cache.join("rustc-web-1.95.0.r0")).unwrap();
        assert!(newest_in(&cache).is_none());
        fs::write(folder.join(MARK), "1.96.0-1\n").unwrap();
        let unpacked = newest_in(&cache).unwrap();
        assert_eq!((unpacked.version.as_str(), unpacked.rustc), ("1.96.0-1", folder.join("rustc")));
        fs::remove_dir_all(cache).unwrap();
    }
}
