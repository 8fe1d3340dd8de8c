//! Pushed components, each in a file named after its content, with the signature that came with it beside.

use super::steps::{self, Step};
use anyhow::{Context as _, bail, ensure};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The folder of the components.
pub(super) struct Versions {
    folder: PathBuf,
    bytes_max: u64,
}

/// The version of a component: `sha256:` and the digest of its bytes in 64 hex digits.
pub fn version_of(component: &[u8]) -> String {
    Sha256::digest(component).iter().fold(String::from("sha256:"), |mut version, byte| {
        let _ = write!(version, "{byte:02x}");
        version
    })
}

/// The digits of a version, fit to be a file's name.
pub(super) fn hex(version: &str) -> Option<&str> {
    let hex = version.strip_prefix("sha256:")?;
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (hex.len() == 64 && hex.bytes().all(digit)).then_some(hex)
}

impl Versions {
    pub(super) fn open(folder: PathBuf, bytes_max: u64) -> std::io::Result<Self> {
        steps::make_folder(&folder)?;
        Ok(Self { folder, bytes_max })
    }

    pub(super) fn put(&self, component: &[u8], signature: Option<&str>) -> anyhow::Result<String> {
        let version = version_of(component);
        let file = self.file(&version, "wasm")?;
        let full = || format!("can't write {}", file.display());
        if let Some(signature) = signature {
            steps::replace(&self.file(&version, "sig")?, format!("{signature}\n").as_bytes()).with_context(full)?;
        }
        if self.read(&version).is_ok() {
            // That its name is on the disk is what an earlier put may have failed at.
            steps::perform(&Step::SyncFolder(&self.folder)).with_context(full)?;
            return Ok(version);
        }
        let others = self.bytes_without(&file)?;
        ensure!(
            others + component.len() as u64 <= self.bytes_max,
            "the pushed versions have {others} bytes and may have {} (versions_bytes_max): purge a plugin's old ones first",
            self.bytes_max
        );
        steps::replace(&file, component).with_context(full)?;
        Ok(version)
    }

    pub(super) fn read(&self, version: &str) -> anyhow::Result<Vec<u8>> {
        let file = self.file(version, "wasm")?;
        let component = std::fs::read(&file).with_context(|| format!("can't read {}", file.display()))?;
        let found = version_of(&component);
        ensure!(
            found == version,
            "{} is damaged: what is in it is {found}. It is not used; push that version again",
            file.display()
        );
        Ok(component)
    }

    pub(super) fn signature(&self, version: &str) -> anyhow::Result<Option<String>> {
        let file = self.file(version, "sig")?;
        match std::fs::read_to_string(&file) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("can't read {}", file.display())),
        }
    }

    pub(super) fn remove(&self, version: &str) -> anyhow::Result<()> {
        for end in ["wasm", "sig"] {
            let file = self.file(version, end)?;
            steps::remove(&file).with_context(|| format!("can't remove {}", file.display()))?;
        }
        Ok(())
    }

    /// Removes all but these: what a deploy that did not come to its end has left, half a file as well.
    pub(super) fn retain(&self, named: &BTreeSet<&str>) -> std::io::Result<()> {
        for path in self.files()? {
            let hex = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if !named.contains(&*format!("sha256:{hex}")) {
                steps::remove(&path)?;
            }
        }
        Ok(())
    }

    fn bytes_without(&self, file: &Path) -> std::io::Result<u64> {
        let mut bytes = 0;
        for path in self.files()?.iter().filter(|path| *path != file) {
            bytes += path.metadata()?.len();
        }
        Ok(bytes)
    }

    fn files(&self) -> std::io::Result<Vec<PathBuf>> {
        std::fs::read_dir(&self.folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
    }

    fn file(&self, version: &str, end: &str) -> anyhow::Result<PathBuf> {
        let Some(hex) = hex(version) else { bail!("{version:?} is no version; it is sha256: and 64 hex digits") };
        Ok(self.folder.join(format!("{hex}.{end}")))
    }
}
