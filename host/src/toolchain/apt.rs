//! Debian's rustc-web: which version there is, and its packages, fetched but not installed, so without root.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::command::{run, say};

/// A version of rustc-web.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Version {
    /// `1.96.0+dfsg1-1~deb12u2`
    pub(super) full: String,
    /// `(1, 96)`
    series: (u32, u32),
}

/// Where apt keeps its lists of packages.
enum Lists {
    /// The machine's, which may be missing or out of date.
    Machine,
    /// Ours, in this folder: they can be updated without root, and without a lock that the machine's apt may hold.
    Own(PathBuf),
}

/// Downloads the newest rustc-web and all that it needs into `folder/debs`. `folder` must exist.
pub(super) fn download(folder: &Path) -> Result<Version> {
    run(Command::new("dpkg-deb").arg("--version")).context("this is no Debian")?;
    let debs = folder.join("debs");
    let machine = download_by(&Lists::Machine, &debs);
    let Err(error) = machine else { return machine };
    tracing::debug!("the machine's package lists do not do: {error:#}");

    say("fetching Debian's lists of packages");
    let lists = folder.join("apt");
    for part in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(lists.join(part))?;
    }
    let lists = Lists::Own(lists);
    // One unreachable source of several fails the command; whether the rest suffices shows in the next line.
    let update = run(lists.apt("apt-get").args(["-q", "update"]));
    download_by(&lists, &debs).with_context(|| match update {
        Ok(_) => "no usable rustc-web among Debian's packages".to_owned(),
        Err(error) => format!("{error:#}"),
    })
}

fn download_by(lists: &Lists, debs: &Path) -> Result<Version> {
    let version = candidate(&run(lists.apt("apt-cache").args(["policy", "rustc-web"]))?)?;
    let (major, minor) = version.series;
    let std = format!("libstd-rust-web-{major}.{minor}");
    let needed = run(lists.apt("apt-cache").args(["depends", &std]))?;
    let llvm = dependency(&needed, "libllvm").with_context(|| format!("{std} needs no libllvm?"))?;

    say(&format!("downloading Debian's rustc-web {} (once, about 160 MB)", version.full));
    if debs.exists() {
        fs::remove_dir_all(debs)?;
    }
    fs::create_dir_all(debs)?;
    let mut download = lists.apt("apt-get");
    download.args(["-q", "download", llvm]).current_dir(debs);
    for name in ["rustc-web", &std, "libstd-rust-web-dev", "rust-web-src"] {
        download.arg(format!("{name}={}", version.full));
    }
    run(&mut download)?;
    Ok(version)
}

impl Lists {
    fn apt(&self, program: &str) -> Command {
        let mut apt = Command::new(program);
        apt.env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive");
        // As root apt steps down to a user of its own, who may not write where the user's cache is.
        apt.args(["-o", "APT::Sandbox::User=root"]);
        if let Self::Own(folder) = self {
            for (key, part) in [("Dir::State::Lists", "lists"), ("Dir::Cache", "cache")] {
                apt.arg("-o").arg(format!("{key}={}", folder.join(part).display()));
            }
        }
        apt
    }
}

/// The version that `apt-cache policy` would install, if it is new enough for this workspace's crates.
fn candidate(policy: &str) -> Result<Version> {
    let line = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
    let Some(version) = line.and_then(Version::parse) else { bail!("there is no package rustc-web") };
    let least = Version::parse(env!("CARGO_PKG_RUST_VERSION")).context("rust-version is set in Cargo.toml")?;
    if version.series < least.series {
        bail!("Debian's rustc-web is {}, but {} is needed", version.full, least.full);
    }
    Ok(version)
}

fn dependency<'a>(depends: &'a str, prefix: &str) -> Option<&'a str> {
    let names = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    names.map(str::trim).find(|name| name.starts_with(prefix))
}

impl Version {
    pub(super) fn parse(full: &str) -> Option<Self> {
        let mut numbers = full.split('.').map(str::parse);
        let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return None };
        Some(Self { full: full.to_owned(), series: (major, minor) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_needs_two_numbers() {
        assert_eq!(Version::parse("1.96.0+dfsg1-1~deb12u2").unwrap().series, (1, 96));
        assert_eq!(Version::parse("(none)"), None);
        assert_eq!(Version::parse("2"), None);
    }

    #[test]
    fn an_old_compiler_is_refused_in_words() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.85.0+dfsg3-1~deb12u3\n  Version table:\n";
        let error = candidate(policy).unwrap_err().to_string();
        assert!(error.contains("1.85.0+dfsg3") && error.contains("is needed"), "{error}");
        assert!(candidate("").unwrap_err().to_string().contains("no package"));
        assert_eq!(candidate("  Candidate: 9.1.0-1\n").unwrap().full, "9.1.0-1");
    }

    #[test]
    fn llvm_is_found_among_the_dependencies() {
        let depends = "libstd-rust-web-1.96\n  Depends: libc6\n  Depends: libllvm22\n  Conflicts: <rustup>\n";
        assert_eq!(dependency(depends, "libllvm"), Some("libllvm22"));
        assert_eq!(dependency(depends, "libzstd"), None);
    }
}
