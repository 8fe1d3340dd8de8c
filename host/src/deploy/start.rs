//! What a server starts with: the plugins that the routes name, from the data folder, from the binary, from files that the
//! configuration names.

use super::Deployer;
use super::kept::{restored, restored_before};
use super::known::Known;
use super::refused::Refused;
use super::version::{Component, Origin, Version};
use crate::bundled;
use crate::config::{Config, Source};
use crate::data::{CodeChange, Disk, State};
use crate::node::Node;
use crate::plugin::Alarm;
use crate::router::Engine;
use anyhow::Context as _;
use arc_swap::ArcSwap;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

/// What was brought is active; where it was pushed as well, it is that version.
fn adopt(next: &mut Known, name: &str, brought: Arc<Version>) {
    let plugin = next.plugins.entry(name.to_owned()).or_default();
    let same = plugin.versions.iter().find(|known| known.id == brought.id).cloned();
    if same.is_none() {
        plugin.versions.insert(0, brought.clone());
    }
    plugin.layouts.know_first(brought.release());
    // Nobody changes tables at a start: they are as it reads them.
    plugin.layouts.begin();
    plugin.has_changed(&brought, CodeChange::None);
    plugin.active = Some(same.unwrap_or(brought));
}

impl Deployer {
    /// Compiles what the routes name, warms the lanes and routes by it. What the lanes find wrong with a version comes
    /// through `alarms`.
    pub async fn start(
        node: Arc<Node>,
        config: &Config,
        (disk, state): (Arc<Disk>, State),
        alarms: mpsc::UnboundedSender<Alarm>,
    ) -> anyhow::Result<Arc<Self>> {
        let deployer = Arc::new(Self {
            engine: Arc::new(Engine::new(&config.limits)?),
            node,
            lanes: config.lanes,
            sources: config.plugins.clone(),
            alarms,
            keys: Arc::new(config.signing.clone()),
            disk,
            kept: parking_lot::Mutex::new(Some(state.clone())),
            known: ArcSwap::default(),
            one_at_a_time: tokio::sync::Mutex::default(),
            fresh: parking_lot::Mutex::default(),
        });
        let mut next = restored(&state, &config.routes)?;
        let names: BTreeSet<String> = next.routes.iter().map(|route| route.plugin.clone()).collect();
        let is_kept = |name: &&String| next.plugins.get(*name).is_some_and(|plugin| plugin.active.is_some());
        let (kept, brought): (Vec<_>, Vec<_>) = names.iter().partition(is_kept);
        for name in kept.into_iter().filter(|name| deployer.sources.contains_key(*name)) {
            tracing::info!(plugin = name, "a pushed version is active, not the one of the binary or the configuration");
        }
        let bring = |name: String| {
            let deployer = deployer.clone();
            async move {
                let brought = deployer.bring(&name).await;
                brought.map(|brought| (name, brought))
            }
        };
        // Side by side: it is nearly all of a start.
        for brought in futures_util::future::join_all(brought.into_iter().cloned().map(bring)).await {
            let (name, brought) = brought?;
            adopt(&mut next, &name, brought);
        }
        restored_before(&state, &mut next);
        for name in &names {
            let swapped = deployer.swap(&mut next, name, CodeChange::None).await;
            swapped.map_err(|refused| anyhow::anyhow!("the plugin {name:?}: {refused}"))?;
        }
        deployer.move_topics(&next).await;
        deployer.known.store(Arc::new(next));
        Ok(deployer)
    }

    /// A plugin that the binary or the configuration brings becomes known, and active, unless it is.
    pub(super) async fn know_source(&self, next: &mut Known, name: &str) -> Result<(), Refused> {
        if self.sources.contains_key(name) && next.plugins.get(name).is_none_or(|plugin| plugin.active.is_none()) {
            let brought = self.bring(name).await.map_err(|error| Refused::unfit(format!("{error:#}")))?;
            adopt(next, name, brought);
        }
        Ok(())
    }

    async fn bring(&self, name: &str) -> anyhow::Result<Arc<Version>> {
        let start = Instant::now();
        let (component, origin, from) = match self.sources.get(name).context("there is no such plugin")? {
            Source::Bundled => {
                let component = bundled::component(name).context("not bundled")?;
                (Bytes::from_static(component), Origin::Bundled, "the binary".to_owned())
            }
            Source::File(path) => {
                let from = path.display().to_string();
                let component = std::fs::read(path).with_context(|| format!("can't read {from}"))?;
                (component.into(), Origin::File, from)
            }
        };
        let unfit = |refused: Refused| match refused {
            Refused::Unfit(words) => {
                anyhow::anyhow!("the plugin {name:?} from {from} can't be mounted:\n  {}", words.join("\n  "))
            }
            other => other.into(),
        };
        let rule = self.compile(component.clone()).await.map_err(unfit)?;
        let info = self.describe(name, &rule).await.map_err(unfit)?;
        let ms = start.elapsed().as_millis() as u64;
        tracing::info!(plugin = name, version = rule.short_version(), from, ms, "compiled");
        let version = Arc::new(Version::new(&rule, info, origin, Component::Here(component)));
        self.hold(&rule);
        Ok(version)
    }
}
