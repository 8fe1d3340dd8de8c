//! All changes to files of the data folder, one step at a time: a file is replaced whole or not at all, whenever the
//! process dies or the power fails.
//!
//! Nothing else in `data` changes a file, but for redb's commits, which are said here: so that a test can end the world
//! before each step.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Result, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How the names of files end that are not whole yet.
const FRESH: &str = "volley-new";

/// One change.
#[derive(Clone, Debug)]
pub(super) enum Step<'a> {
    MakeFolder(&'a Path),
    /// A fresh file. Once done, its content is on the disk; that it has a name need not be.
    Write(&'a Path, &'a [u8]),
    Rename(&'a Path, &'a Path),
    Remove(&'a Path),
    /// What the names in the folder stand for is on the disk.
    SyncFolder(&'a Path),
    /// A transaction of the file of tables, which is done by whoever says so.
    Commit,
}

pub(super) fn perform(step: &Step<'_>) -> Result<()> {
    #[cfg(test)]
    super::crash_tests::about_to(step);
    match step {
        Step::MakeFolder(path) => DirBuilder::new().mode(0o700).create(path),
        Step::Write(path, content) => {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(content)?;
            file.sync_all()
        }
        Step::Rename(from, to) => std::fs::rename(from, to),
        Step::Remove(path) => std::fs::remove_file(path),
        Step::SyncFolder(path) => File::open(path)?.sync_all(),
        Step::Commit => Ok(()),
    }
}

/// Puts a file that somebody else has made, under a name of files that are not whole yet, in its place.
pub(super) fn adopt(fresh: &Path, path: &Path) -> Result<()> {
    perform(&Step::Rename(fresh, path))?;
    perform(&Step::SyncFolder(folder_of(path)))
}

/// The name of a file while it is not whole yet.
pub(super) fn fresh(path: &Path) -> PathBuf {
    // Two may be at work on files of one name, such as the same rule compiled twice.
    static FILES: AtomicU64 = AtomicU64::new(0);
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".{}.{FRESH}", FILES.fetch_add(1, Relaxed)));
    fresh.into()
}

/// The folder is there, and stays there.
pub(super) fn make_folder(path: &Path) -> Result<()> {
    match perform(&Step::MakeFolder(path)) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => perform(&Step::SyncFolder(folder_of(path))),
    }
}

/// Puts a file in the place of the one of that name, if there is one. Once done, it stays.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let fresh = fresh(path);
    let done = perform(&Step::Write(&fresh, content)).and_then(|()| perform(&Step::Rename(&fresh, path)));
    if let Err(error) = done {
        // The disk may be full.
        let _ = perform(&Step::Remove(&fresh));
        return Err(error);
    }
    perform(&Step::SyncFolder(folder_of(path)))
}

/// The file is not there.
pub(super) fn remove(path: &Path) -> Result<()> {
    match perform(&Step::Remove(path)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Removes what a process that died left half done. Only for who holds the folder's lock.
pub(super) fn remove_unfinished(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == FRESH) {
            remove(&path)?;
        }
    }
    Ok(())
}

pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
