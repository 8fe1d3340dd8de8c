//! Folders and files that nobody but this user may write, and secrets that nobody else may read.

use anyhow::{Context as _, ensure};
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Makes the folder, if it is not there, and refuses one that others could have put something into.
pub fn folder(path: &Path) -> anyhow::Result<PathBuf> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("can't make the folder {}", path.display()))?;
    let folder = std::fs::symlink_metadata(path)?;
    ensure!(folder.is_dir(), "{} is not a folder", path.display());
    ensure!(folder.uid() == rustix::process::getuid().as_raw(), "the folder {} is another user's", path.display());
    ensure!(folder.mode() & 0o022 == 0, "others may write to the folder {}", path.display());
    Ok(path.into())
}

/// Makes a file that is not there yet and that only this user may read.
pub fn create(path: &Path) -> std::io::Result<File> {
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// The same with this content.
pub fn new_file(path: &Path, content: &[u8]) -> std::io::Result<()> {
    create(path).and_then(|mut file| file.write_all(content))
}

/// Refuses a file that somebody else may read.
pub fn is_only_ours(path: &Path) -> anyhow::Result<()> {
    let for_others = std::fs::metadata(path)?.mode() & 0o077;
    ensure!(for_others == 0, "others may read {0}: chmod 600 {0}", path.display());
    Ok(())
}

/// Refuses a file that somebody else could have written.
pub fn is_not_written_by_others(path: &Path) -> anyhow::Result<()> {
    let file = std::fs::metadata(path)?;
    ensure!(file.mode() & 0o022 == 0, "others may write {0}: chmod go-w {0}", path.display());
    ensure!([0, rustix::process::getuid().as_raw()].contains(&file.uid()), "{} is another user's", path.display());
    Ok(())
}
