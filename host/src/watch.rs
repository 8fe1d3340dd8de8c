//! `--watch DIR`: a component that is dropped in the folder as `NAME.wasm` is deployed as the plugin NAME, with the
//! signature in `NAME.wasm.sig` if there is one. For operators who deploy with rsync, which renames what it has written.

use crate::changes::Changes;
use crate::data::version_of;
use crate::deploy::{Activation, Deployer, KnownPlugin, Refused};
use anyhow::Context as _;
use bytes::Bytes;
use notify::RecursiveMode;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder of components.
pub struct Watch {
    folder: PathBuf,
    changes: Changes,
    /// What was deployed from each file, or refused.
    seen: BTreeMap<String, String>,
}

/// What is in the folder for one plugin.
struct Dropped {
    name: String,
    component: Bytes,
    signature: Option<String>,
}

impl Watch {
    /// Of a folder that is there.
    pub fn over(folder: &Path) -> anyhow::Result<Self> {
        let changes = Changes::below(folder, RecursiveMode::NonRecursive, is_meant)?;
        Ok(Self { folder: folder.into(), changes, seen: BTreeMap::new() })
    }

    /// Deploys what is there and what comes. What is refused is told in the log, and what was served is served on.
    pub async fn run(mut self, deployer: Arc<Deployer>) {
        loop {
            let folder = self.folder.clone();
            match tokio::task::spawn_blocking(move || read(&folder)).await {
                Ok(Ok(dropped)) => {
                    for dropped in dropped {
                        self.look_at(&deployer, dropped).await;
                    }
                }
                Ok(Err(error)) => tracing::error!("--watch: {error:#}"),
                Err(_) => return,
            }
            self.changes.next().await;
        }
    }

    async fn look_at(&mut self, deployer: &Deployer, dropped: Dropped) {
        // The signature may come after the component.
        let id = format!("{} {}", version_of(&dropped.component), dropped.signature.as_deref().unwrap_or_default());
        if self.seen.get(&dropped.name) == Some(&id) {
            return;
        }
        let name = dropped.name.clone();
        match deploy(deployer, dropped).await {
            Ok(()) => {}
            // That may pass: the next change in the folder tries again.
            Err(Refused::Failed(words)) => {
                tracing::error!(plugin = name, "--watch: failed, and nothing changed: {words}");
                return;
            }
            Err(refused) => tracing::error!(plugin = name, "--watch: refused, and nothing changed: {refused}"),
        }
        self.seen.insert(name, id);
    }
}

async fn deploy(deployer: &Deployer, dropped: Dropped) -> Result<(), Refused> {
    let Dropped { name, component, signature } = dropped;
    let version = version_of(&component);
    // After a restart: what was active before was taken back by somebody.
    let is_done = |known: &KnownPlugin| {
        let before = known.before.iter().map(|before| &before.version);
        known.active.iter().chain(before).any(|known| known.id == version)
    };
    if deployer.known().plugins.get(&name).is_some_and(is_done) {
        return Ok(());
    }
    deployer.push(&name, component, signature.as_deref(), false).await?;
    deployer.activate(&name, &Activation { version, ..Activation::default() }).await?;
    if deployer.known().rows(&name).is_empty() {
        tracing::warn!(plugin = name, "--watch: deployed, but no route names it yet; see `volley routes`");
    }
    Ok(())
}

fn is_meant(path: &Path) -> bool {
    let (name, extension) = (path.file_name().unwrap_or_default(), path.extension().unwrap_or_default());
    !name.as_encoded_bytes().starts_with(b".") && (extension == "wasm" || extension == "sig")
}

/// All components in the folder, by name.
fn read(folder: &Path) -> anyhow::Result<Vec<Dropped>> {
    let mut dropped = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("can't read the folder {}", folder.display()))? {
        let path = entry?.path();
        if path.extension() != Some(OsStr::new("wasm")) || !is_meant(&path) {
            continue;
        }
        let name = path.file_stem().and_then(OsStr::to_str).unwrap_or_default().to_owned();
        let component = std::fs::read(&path).with_context(|| format!("can't read {}", path.display()))?.into();
        let signature = std::fs::read_to_string(path.with_extension("wasm.sig")).ok();
        dropped.push(Dropped { name, component, signature: signature.map(|text| text.trim().to_owned()) });
    }
    dropped.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(dropped)
}
