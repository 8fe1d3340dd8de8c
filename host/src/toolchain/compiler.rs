//! Which rustc builds components. The first that applies:
//!
//! 1. the active rustc, if it has std for the target;
//! 2. Debian's, if it was unpacked earlier (only because 3 had failed, so 3 is not tried again and again);
//! 3. the active rustc, once rustup has added the target to it;
//! 4. Debian's packages, unpacked in a cache folder.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::command::{run, run_within, say};
use super::{component, debian};

pub(super) const TARGET: &str = "wasm32-unknown-unknown";

/// Time for rustup to download about 20 MB, or to notice that it cannot.
const RUSTUP_BOUND: Duration = Duration::from_mins(3);

/// A rustc that has std for the target.
#[derive(Debug)]
pub(super) struct Compiler {
    pub(super) rustc: PathBuf,
    /// `rustc 1.95.0 (59807616e 2026-04-14)`
    pub(super) version: String,
    /// Where std's sources may lie, and the name that components hold in place of that folder.
    pub(super) std_source: (PathBuf, String),
    pub(super) std_origin: String,
    /// Tells one build of std from another, even of the same version.
    pub(super) std_id: String,
}

/// What `VOLLEY_TOOLCHAIN` asks for.
#[derive(Debug, PartialEq)]
enum Choice {
    First,
    Rustup,
    Debian,
}

/// Finds, or makes, the compiler for a crate in `dir` (a `rust-toolchain.toml` there is rustup's to follow).
pub(super) fn find(dir: &Path) -> Result<Compiler> {
    let active = active();
    match Choice::parse(env::var_os("VOLLEY_TOOLCHAIN").as_deref())? {
        Choice::Debian => {
            let unpacked = debian::ready_or_make().with_context(|| {
                format!("Debian's rustc-web cannot be had: unset VOLLEY_TOOLCHAIN and run `rustup target add {TARGET}`")
            })?;
            from_debian(&unpacked)
        }
        Choice::Rustup => match installed(&active, dir)? {
            Some(compiler) => Ok(compiler),
            None => after_rustup(&active, dir),
        },
        Choice::First => {
            if let Some(compiler) = installed(&active, dir)? {
                return Ok(compiler);
            }
            if let Some(unpacked) = debian::ready()? {
                return from_debian(&unpacked);
            }
            let failure = match after_rustup(&active, dir) {
                Ok(compiler) => return Ok(compiler),
                Err(error) => error,
            };
            tracing::debug!("{failure:#}");
            say("rustup could not add the target; taking Debian's rustc-web");
            let unpacked = debian::ready_or_make()
                .with_context(|| format!("no std for {TARGET}: {failure:#}\nand Debian's packages do not help"))?;
            from_debian(&unpacked)
        }
    }
}

/// The rustc that the user's own builds take.
pub(super) fn active() -> PathBuf {
    env::var_os("RUSTC").map_or_else(|| "rustc".into(), PathBuf::from)
}

/// What `rustc ARGS` prints, in `dir`.
pub(super) fn ask(rustc: &Path, dir: &Path, args: &[&str]) -> Result<String> {
    run(Command::new(rustc).args(args).current_dir(dir)).map(|text| text.trim_end().to_owned())
}

/// The folder of std for the target, if it is there.
pub(super) fn std_folder(rustc: &Path, dir: &Path) -> Option<PathBuf> {
    let folder = PathBuf::from(ask(rustc, dir, &["--print", "target-libdir", "--target", TARGET]).ok()?);
    let is_std = |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libstd-"));
    rlibs(&folder).ok()?.iter().any(is_std).then_some(folder)
}

fn installed(rustc: &Path, dir: &Path) -> Result<Option<Compiler>> {
    match std_folder(rustc, dir) {
        Some(std) => look_at(rustc, dir, &std, "as installed".to_owned()).map(Some),
        None => Ok(None),
    }
}

fn from_debian(unpacked: &debian::Unpacked) -> Result<Compiler> {
    let std = std_folder(&unpacked.rustc, &unpacked.folder).with_context(|| {
        format!("{} has lost its std: remove that folder and build again", unpacked.folder.display())
    })?;
    let origin = format!("built from Debian's rust-web-src {}", unpacked.version);
    look_at(&unpacked.rustc, &unpacked.folder, &std, origin)
}

/// Lets rustup add the target to the active toolchain.
fn after_rustup(rustc: &Path, dir: &Path) -> Result<Compiler> {
    if run(Command::new("rustup").arg("--version").current_dir(dir)).is_err() {
        bail!("{}", advice("there is no rustup here to add it"));
    }
    say(&format!("adding {TARGET} with rustup (once)"));
    let mut add = Command::new("rustup");
    add.args(["target", "add", TARGET]).current_dir(dir);
    run_within(RUSTUP_BOUND, &mut add).with_context(|| advice("rustup could not add it"))?;
    // It can succeed for nothing: where the active rustc is not rustup's.
    installed(rustc, dir)?.with_context(|| advice(&format!("rustup added it, but {} is not rustup's", rustc.display())))
}

fn advice(why: &str) -> String {
    format!("{why}; run `rustup target add {TARGET}`, or use Debian's packages with VOLLEY_TOOLCHAIN=debian")
}

fn look_at(rustc: &Path, dir: &Path, std: &Path, std_origin: String) -> Result<Compiler> {
    let about = ask(rustc, dir, &["-vV"])?;
    let sysroot = PathBuf::from(ask(rustc, dir, &["--print", "sysroot"])?);
    Ok(Compiler {
        rustc: rustc.to_owned(),
        version: about.lines().next().unwrap_or_default().to_owned(),
        std_source: (sysroot.join("lib/rustlib/src/rust"), source_name(&about)),
        std_origin,
        std_id: std_id(std)?,
    })
}

/// What rustc itself calls std's sources where they are not installed, so that a machine that has them (rustup's
/// `rust-src`) makes the same bytes as one that has not.
fn source_name(about: &str) -> String {
    let field = |name: &str| about.lines().find_map(|line| line.strip_prefix(name));
    let name = field("commit-hash: ").filter(|hash| *hash != "unknown").or(field("release: "));
    format!("/rustc/{}", name.unwrap_or("unknown"))
}

fn std_id(folder: &Path) -> Result<String> {
    let mut id = component::hash_of_files(&rlibs(folder)?)?;
    id.truncate(12);
    Ok(id)
}

/// The libraries in a folder, sorted by name.
fn rlibs(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension() == Some(OsStr::new("rlib")));
    files.sort();
    Ok(files)
}

impl Choice {
    fn parse(value: Option<&OsStr>) -> Result<Self> {
        match value.map(OsStr::to_string_lossy).as_deref() {
            None | Some("") => Ok(Self::First),
            Some("rustup") => Ok(Self::Rustup),
            Some("debian") => Ok(Self::Debian),
            Some(other) => bail!("VOLLEY_TOOLCHAIN is `{other}`: it must be `rustup`, `debian` or unset"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_one_of_three() {
        assert_eq!(Choice::parse(None).unwrap(), Choice::First);
        assert_eq!(Choice::parse(Some(OsStr::new(""))).unwrap(), Choice::First);
        assert_eq!(Choice::parse(Some(OsStr::new("debian"))).unwrap(), Choice::Debian);
        assert!(Choice::parse(Some(OsStr::new("Debian"))).unwrap_err().to_string().contains("`Debian`"));
    }

    #[test]
    fn std_is_named_by_commit_and_else_by_release() {
        assert_eq!(source_name("rustc 1.95.0\ncommit-hash: 5980\nrelease: 1.95.0"), "/rustc/5980");
        assert_eq!(source_name("rustc 1.96.0\ncommit-hash: unknown\nrelease: 1.96.0"), "/rustc/1.96.0");
    }
}
