//! One server to a data folder: a locked file, which says who holds it. The system lets go of it when the process ends,
//! however it ends.

use anyhow::Context as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Held as long as this lives.
pub(super) struct Lock(File);

/// Another process has it.
#[derive(Debug, thiserror::Error)]
#[error("the data folder {} is in use by {}: stop that server, or give this one another folder with --data", path.display(), holder(*pid))]
pub struct Held {
    /// The folder.
    pub path: PathBuf,
    /// Its process id, if it has said so already.
    pub pid: Option<u32>,
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"))
}

impl Lock {
    pub(super) fn take(folder: &Path) -> Result<Self, super::NotOpened> {
        let path = folder.join("lock");
        let failed = || format!("can't lock {}", path.display());
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = file.with_context(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Whoever holds it may be about to write.
                let _ = file.read_to_string(&mut pid);
                return Err(Held { path: folder.into(), pid: pid.trim().parse().ok() }.into());
            }
            Err(TryLockError::Error(error)) => return Err(anyhow::Error::from(error).context(failed()).into()),
        }
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| {
            let line = format!("{}\n", std::process::id());
            file.write_all(line.as_bytes())
        });
        written.with_context(failed)?;
        Ok(Self(file))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing it is not enough: a process that is just being started from this one has it open for a moment as well.
        let _ = self.0.unlock();
    }
}
