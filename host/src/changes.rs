//! Waits for files to change.

use anyhow::Context as _;
use notify::event::EventKind;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;

/// Nothing has changed for so long: whoever writes is done, an editor, a compiler or rsync.
const SETTLED: Duration = Duration::from_millis(200);

/// Changes below a folder.
pub struct Changes {
    _watcher: RecommendedWatcher,
    changed: mpsc::Receiver<()>,
}

impl Changes {
    /// Of those files.
    pub fn below(
        folder: &Path,
        mode: RecursiveMode,
        is_meant: impl Fn(&Path) -> bool + Send + 'static,
    ) -> anyhow::Result<Self> {
        // One place is enough: whoever is told looks at all files.
        let (tell, changed) = mpsc::channel(1);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let told = match event {
                Ok(event) => {
                    !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(|path| is_meant(path))
                }
                // Something was missed, perhaps.
                Err(_) => true,
            };
            if told {
                let _ = tell.try_send(());
            }
        })
        .context("this system does not tell about changed files")?;
        watcher.watch(folder, mode).with_context(|| format!("can't watch the folder {}", folder.display()))?;
        Ok(Self { _watcher: watcher, changed })
    }

    /// Returns when something has changed, and whoever changed it is done.
    pub async fn next(&mut self) {
        if self.changed.recv().await.is_some() {
            while let Ok(Some(())) = tokio::time::timeout(SETTLED, self.changed.recv()).await {}
        }
    }
}
