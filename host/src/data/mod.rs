//! What outlives a restart: a folder with pushed components, the state of every plugin, and compiled code.
//!
//! ```text
//! format         what this folder is, for the servers to come
//! lock           held by the server that works here; its process id
//! state.json     what is active, and the routes (`state`)
//! tables.redb    what durable tables hold (`tables`)
//! versions/      pushed components by content, and their signatures (`versions`)
//! cache.key      proves that code was compiled here
//! cache/         compiled code (`cache`); may be removed at any time
//! admin.token    see `admin_token`
//! ```
//!
//! A deploy puts its component into `versions`, then saves the state: only with that it has happened, and what it left
//! when it did not is removed at the next start.

mod cache;
#[cfg(test)]
mod crash_tests;
mod disk;
mod lock;
mod state;
mod steps;
mod tables;
#[cfg(test)]
mod tests;
mod versions;

pub use cache::CodeCache;
pub use disk::Disk;
pub use lock::Held;

pub use state::{
    ActiveVersion, CodeChange, PluginState, PreviousVersion, PushedVersion, ReleaseState, RouteState, State,
};
pub use tables::TableFile;
pub use versions::version_of;

use crate::limits::Limits;
use crate::private;
use anyhow::{Context as _, bail};
use lock::Lock;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use steps::Step;
use versions::Versions;

/// What this server writes into the folder, and reads.
const FORMAT: &str = "volley data 1";

/// The folder, held for as long as this lives.
pub struct DataDir {
    path: PathBuf,
    versions: Versions,
    cache: CodeCache,
    tables: TableFile,
    _lock: Lock,
}

/// Why a folder is not opened.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    /// Another server works with it.
    #[error(transparent)]
    Held(#[from] Held),
    /// Anything else.
    #[error(transparent)]
    Broken(#[from] anyhow::Error),
}

impl DataDir {
    /// Makes the folder, if need be, takes hold of it, tidies up after a server that died, and reads its state.
    pub fn open(path: &Path, limits: &Limits) -> Result<(Self, State), NotOpened> {
        make(path)?;
        let lock = Lock::take(path)?;
        let failed = || format!("can't use the data folder {}", path.display());
        let is_new = is_new(path)?;
        steps::remove_unfinished(path).with_context(failed)?;
        if is_new {
            steps::replace(&path.join("format"), format!("{FORMAT}\n").as_bytes()).with_context(failed)?;
        }
        let state = load(path)?;
        let versions = Versions::open(path.join("versions"), limits.versions_bytes_max).with_context(failed)?;
        versions.retain(&state.pushed()).with_context(failed)?;
        let cache = CodeCache::open(path, limits.code_cache_bytes_max).with_context(failed)?;
        let tables = TableFile::at(path.join("tables.redb"), limits.table_file_cache_bytes_max);
        Ok((Self { path: path.into(), versions, cache, tables, _lock: lock }, state))
    }

    /// Replaces the state: once this returns, a restart finds the new one, and before that the old one.
    pub fn save(&self, state: &State) -> anyhow::Result<()> {
        let file = self.path.join("state.json");
        steps::replace(&file, &state.to_json()).with_context(|| format!("can't write {}", file.display()))
    }

    /// Keeps a component, with the signature that was verified. It stays if a state that names it is saved.
    pub fn put_version(&self, component: &[u8], signature: Option<&str>) -> anyhow::Result<String> {
        self.versions.put(component, signature)
    }

    /// A component as it was put; a damaged one is told, not returned.
    pub fn version(&self, version: &str) -> anyhow::Result<Vec<u8>> {
        self.versions.read(version)
    }

    /// The signature that came with it, to be verified again.
    pub fn signature(&self, version: &str) -> anyhow::Result<Option<String>> {
        self.versions.signature(version)
    }

    /// Forgets a component, once no saved state names it.
    pub fn remove_version(&self, version: &str) -> anyhow::Result<()> {
        self.versions.remove(version)
    }

    /// Compiled code.
    pub fn cache(&self) -> &CodeCache {
        &self.cache
    }

    /// What durable tables hold.
    pub fn tables(&self) -> &TableFile {
        &self.tables
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The folder is there, nobody else may write to it, and it stays: the folders that it is in may be new as well.
fn make(path: &Path) -> anyhow::Result<()> {
    let new: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
    private::folder(path)?;
    for folder in new.iter().rev() {
        steps::perform(&Step::SyncFolder(steps::folder_of(folder)))
            .with_context(|| format!("can't make the folder {}", folder.display()))?;
    }
    Ok(())
}

/// Whether nothing was kept here before; a folder that this server does not know is refused, and left as it is.
fn is_new(path: &Path) -> anyhow::Result<bool> {
    let file = path.join("format");
    match std::fs::read_to_string(&file) {
        Ok(text) if text.trim() == FORMAT => Ok(false),
        Ok(text) if text.starts_with("volley data ") => bail!(
            "the data folder {} is of another version of volley ({:?}, this one knows {FORMAT:?}): run that one, or give \
             another folder with --data",
            path.display(),
            text.trim()
        ),
        Err(error) if error.kind() == ErrorKind::NotFound && !path.join("state.json").exists() => Ok(true),
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't read {}", file.display()))
        }
        Ok(_) | Err(_) => bail!(
            "{} does not say what the data folder is: if it is one of volley's, write {FORMAT:?} into that file; or give \
             another folder with --data",
            file.display()
        ),
    }
}

fn load(path: &Path) -> anyhow::Result<State> {
    let file = path.join("state.json");
    let text = match std::fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(State::default()),
        Err(error) => return Err(error).with_context(|| format!("can't read {}", file.display())),
    };
    State::from_json(&text).map_err(|words| {
        anyhow::anyhow!(
            "{} is damaged: {words}. Put that right or take it from a backup; or move the whole folder {} away, to start \
             with the plugins and routes of the config",
            file.display(),
            path.display()
        )
    })
}
