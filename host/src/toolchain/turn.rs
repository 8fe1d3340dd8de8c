//! One build in a folder at a time: two commands may build a rule at once, such as `dev` in one terminal and `push` in another,
//! and what the one has made must not be made anew while the other reads it.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use anyhow::{Context, Result};

use super::command::say;

/// Lasts until it is dropped, or its process ends.
#[derive(Debug)]
pub(super) struct Turn {
    _lock: File,
}

impl Turn {
    /// Waits for it.
    pub(super) fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(".volley-lock");
        let take = || {
            fs::create_dir_all(folder)?;
            let lock = File::options().write(true).create(true).truncate(false).open(&path)?;
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) => say("another build is at work here; waiting for it"),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            lock.lock().map(|()| lock)
        };
        Ok(Self { _lock: take().with_context(|| format!("cannot lock {}", path.display()))? })
    }
}
