//! Pushing a version: it is checked, compiled and tried, and then known; what is served does not change.

use super::known::Known;
use super::refused::Refused;
use super::version::{Component, Origin, Version};
use super::{Deployer, off_the_lanes};
use crate::clock;
use crate::config::check_name;
use crate::limits::Limits;
use crate::router::{Guest, Mounted};
use bytes::Bytes;
use std::sync::Arc;

/// A version was pushed.
pub struct Pushed {
    /// Which.
    pub version: Arc<Version>,
    /// Whether it was not there before.
    pub is_new: bool,
}

fn check_number(known: &Known, name: &str, limits: &Limits) -> Result<(), Refused> {
    if known.plugins.contains_key(name) || (known.plugins.len() as u64) < limits.plugins_max {
        return Ok(());
    }
    Err(Refused::Conflict(format!("there are {} plugins already (plugins_max)", limits.plugins_max)))
}

/// Without a data folder what is pushed is in memory, and bounded all the same.
fn check_room(known: &Known, replaced: u64, version: &Version, limits: &Limits) -> Result<(), Refused> {
    let versions = known.plugins.values().flat_map(|plugin| &plugin.versions);
    let others = versions.map(|version| version.bytes_here()).sum::<u64>() - replaced;
    if others + version.bytes_here() <= limits.versions_bytes_max {
        return Ok(());
    }
    Err(Refused::Conflict(format!(
        "the pushed versions have {others} bytes and may have {} (versions_bytes_max): purge a plugin's old ones first",
        limits.versions_bytes_max
    )))
}

impl Deployer {
    /// Checks, compiles and tries a component, and keeps it unless it is a `dry_run`.
    pub async fn push(
        &self,
        name: &str,
        component: Bytes,
        signature: Option<&str>,
        dry_run: bool,
    ) -> Result<Pushed, Refused> {
        check_name(name).map_err(Refused::unfit)?;
        let limits = &self.node.shared.limits;
        let known = self.known();
        check_number(&known, name, limits)?;
        let signed_by = self.keys.verify(&component, signature).map_err(Refused::Unsigned)?.map(str::to_owned);
        let mut version = self.examine(name, &known, &component).await?;
        version.signed_by = signed_by;
        let _turn = self.turn().await?;
        let mut next = Known::clone(&self.known());
        // Others may have pushed meanwhile.
        check_number(&next, name, limits)?;
        let plugin = next.plugins.entry(name.to_owned()).or_default();
        let same = plugin.versions.iter().position(|known| known.id == version.id);
        if dry_run {
            return Ok(Pushed { version: Arc::new(version), is_new: same.is_none() });
        }
        if self.put(&component, signature).await? {
            version.is_kept();
        } else {
            let others = plugin.versions.iter().filter(|known| known.id == version.id).map(|same| same.bytes_here());
            check_room(&self.known(), others.sum(), &version, limits)?;
        }
        let version = Arc::new(version);
        // What the binary brought and somebody pushes is kept from now on; what was pushed before may have been damaged
        // since, or is signed now.
        if plugin.active.as_ref().is_some_and(|active| active.id == version.id) {
            plugin.active = Some(version.clone());
        }
        if let Some(before) = plugin.before.as_mut().filter(|before| before.version.id == version.id) {
            before.version = version.clone();
        }
        match same {
            Some(at) => plugin.versions[at] = version.clone(),
            None => plugin.versions.push(version.clone()),
        }
        plugin.layouts.know(version.release());
        let mut dropped = Vec::new();
        let unused = |known: &Arc<Version>| plugin.state_of(known) == "pushed" && known.id != version.id;
        if plugin.versions.len() as u64 > limits.plugin_versions_max
            && let Some(oldest) = plugin.versions.iter().position(unused)
        {
            dropped.push(plugin.versions.remove(oldest).id.clone());
        }
        tracing::info!(plugin = name, version = version.short(), bytes = version.size, "pushed");
        if let Err(refused) = self.keep(&next).await {
            self.remove(vec![version.id.clone()]).await;
            return Err(refused);
        }
        self.known.store(Arc::new(next));
        self.remove(dropped).await;
        self.metrics(name).pushes.inc();
        Ok(Pushed { version, is_new: same.is_none() })
    }

    /// All that can be found out about a component without it touching anything.
    async fn examine(&self, name: &str, known: &Known, component: &Bytes) -> Result<Version, Refused> {
        let rule = self.compile(component.clone()).await?;
        // Where it is routed already it must take those configs; else nobody knows yet what it will be given.
        let mut configs: Vec<Arc<str>> = known.rows(name).into_iter().map(|row| row.config).collect();
        configs.dedup();
        let info = self.describe(name, &rule).await?;
        let mount = |config: &Arc<str>| {
            Arc::new(Mounted { plugin: name.into(), config: config.to_string(), rule: rule.clone() })
        };
        let (mounted, shared): (Vec<Arc<Mounted>>, _) = (configs.iter().map(mount).collect(), self.node.shared.clone());
        let warmed =
            off_the_lanes(move || mounted.iter().try_for_each(|mounted| Guest::warm(mounted, &shared).map(drop)));
        warmed.await?.map_err(|fault| Refused::unfit(fault.to_string()))?;
        self.hold(&rule);
        let mut version = Version::new(&rule, info, Origin::Pushed, Component::Here(component.clone()));
        version.pushed_ms = clock::unix_ms();
        Ok(version)
    }

    /// Forgets a version that is not in use.
    pub async fn forget(&self, name: &str, version: &str) -> Result<(), Refused> {
        let _turn = self.turn().await?;
        let mut next = Known::clone(&self.known());
        let version = next.plugin(name)?.version(version)?.clone();
        let Some(plugin) = next.plugins.get_mut(name) else { return Ok(()) };
        if plugin.state_of(&version) != "pushed" {
            let words =
                format!("the version {} is {}; activate another one first", version.short(), plugin.state_of(&version));
            return Err(Refused::Conflict(words));
        }
        plugin.versions.retain(|known| known.id != version.id);
        self.keep(&next).await?;
        self.known.store(Arc::new(next));
        self.remove(vec![version.id.clone()]).await;
        Ok(())
    }

    /// Forgets all versions but the active one, and lets go of the instances of the version before: there is no way back
    /// then. Returns what is gone.
    pub async fn purge(&self, name: &str) -> Result<Vec<String>, Refused> {
        let _turn = self.turn().await?;
        let mut next = Known::clone(&self.known());
        next.plugin(name)?;
        let Some(plugin) = next.plugins.get_mut(name) else { return Ok(Vec::new()) };
        plugin.before = None;
        let active = plugin.active.as_ref().map(|active| active.id.clone());
        let (kept, gone): (Vec<_>, Vec<_>) =
            std::mem::take(&mut plugin.versions).into_iter().partition(|version| Some(&version.id) == active.as_ref());
        plugin.versions = kept;
        self.keep(&next).await?;
        let rows = next.rows(name);
        self.publish_rows(&mut next, name, rows).await;
        self.known.store(Arc::new(next));
        let gone: Vec<String> = gone.into_iter().map(|version| version.id.clone()).collect();
        self.remove(gone.clone()).await;
        Ok(gone)
    }
}
