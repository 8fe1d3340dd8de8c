//! The files of keys: read at the start, and again when something changes beside them. What is no good then changes
//! nothing: the keys before stay, and the log says why.

use super::Auth;
use super::jwks::{Demands, Jwks};
use super::publishers::Publishers;
use crate::changes::Changes;
use crate::config::AuthConfig;
use crate::private;
use anyhow::{Context as _, anyhow, ensure};
use notify::RecursiveMode;
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::sync::Arc;

/// Larger files are no keys.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What was read.
#[derive(Default)]
pub struct Keys {
    /// By which tokens are known.
    pub jwks: Option<Jwks>,
    /// By which back-ends are known.
    pub publishers: Publishers,
    /// Of the files.
    digest: [u8; 32],
}

/// Reads what is configured.
pub fn read(config: &AuthConfig, leeway_ms: u64) -> anyhow::Result<Keys> {
    let mut keys = Keys::default();
    let mut digest = Sha256::new();
    if let Some(path) = &config.jwks {
        let text = text_of(path)?;
        let (audience, issuer) = (config.audience.clone(), config.issuer.clone());
        let demands = Demands { audience, issuer, leeway_s: leeway_ms / 1000 };
        let jwks = Jwks::parse(&text, demands).map_err(|words| anyhow!("{}: {words}", path.display()))?;
        if jwks.has_secret {
            private::is_only_ours(path).context("it holds a secret (HS256)")?;
        }
        digest.update(&text);
        keys.jwks = Some(jwks);
    }
    if let Some(path) = &config.publishers {
        let text = text_of(path)?;
        private::is_only_ours(path)?;
        keys.publishers = Publishers::parse(&text).map_err(|words| anyhow!("{}: {words}", path.display()))?;
        digest.update([0]);
        digest.update(&text);
    }
    keys.digest = digest.finalize().into();
    Ok(keys)
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    let read = || format!("can't read the keys in {}", path.display());
    let size = std::fs::metadata(path).with_context(read)?.len();
    ensure!(size <= FILE_BYTES_MAX, "{} has more than {FILE_BYTES_MAX} bytes", path.display());
    private::is_not_written_by_others(path)?;
    std::fs::read_to_string(path).with_context(read)
}

impl Auth {
    /// Reads the files again.
    pub fn reload(&self) {
        match read(&self.config, self.leeway_ms) {
            Ok(keys) if keys.digest == self.keys.load().digest => {}
            Ok(keys) => {
                let (tokens, publishers) = (keys.jwks.as_ref().map_or(0, Jwks::len), keys.publishers.len());
                self.keys.store(Arc::new(keys));
                tracing::info!(tokens, publishers, "the keys have changed; sessions that are open stay");
            }
            Err(error) => tracing::error!("the keys are not read again, those before stay: {error:#}"),
        }
    }

    /// Looks beside the files for changes, for as long as the server runs. To be called within a local set.
    pub fn watch(self: &Arc<Self>) -> anyhow::Result<()> {
        for path in self.config.jwks.iter().chain(&self.config.publishers) {
            let folder = match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            };
            let name = path.file_name().unwrap_or_default().to_owned();
            // Or what the file is a link into: of a mounted secret `..data` is replaced, and the file is not touched.
            let is_meant = move |changed: &Path| {
                changed.file_name().is_some_and(|file| file == name || file.as_encoded_bytes().starts_with(b".."))
            };
            let mut changes = Changes::below(folder, RecursiveMode::NonRecursive, is_meant)?;
            let auth = self.clone();
            tokio::task::spawn_local(async move {
                loop {
                    changes.next().await;
                    auth.reload();
                }
            });
        }
        Ok(())
    }
}
