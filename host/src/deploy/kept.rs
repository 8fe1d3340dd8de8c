//! What of it is kept in the data folder, and what is served again after a restart.

use super::known::{Before, Known, KnownPlugin};
use super::layouts::Layouts;
use super::refused::Refused;
use super::version::{Origin, Version};
use super::{Deployer, off_the_lanes};
use crate::clock;
use crate::config::RouteConfig;
use crate::data::{ActiveVersion, PluginState, PreviousVersion, RouteState, State};
use crate::tables::Held;
use anyhow::{Context as _, bail};
use bytes::Bytes;
use std::sync::Arc;

impl Deployer {
    /// Writes what is to be served after a restart. It has happened when this returns; until then a restart serves what
    /// was served before.
    pub(super) async fn keep(&self, next: &Known) -> Result<(), Refused> {
        let state = to_keep(next);
        // Until it has succeeded, nobody knows what is on the disk.
        let before = self.kept.lock().take();
        if before.as_ref() == Some(&state) {
            *self.kept.lock() = before;
            return Ok(());
        }
        let (disk, saved) = (self.disk.clone(), state.clone());
        off_the_lanes(move || disk.folder()?.map_or(Ok(()), |folder| folder.save(&saved))).await?.map_err(failed)?;
        *self.kept.lock() = Some(state);
        Ok(())
    }

    /// What a code change has changed in durable tables gets to the disk as `next` does: the one when the other has.
    pub(super) async fn stage(&self, next: &mut Known, held: &Held) -> Result<(), Refused> {
        let changes = held.changes();
        if changes.is_empty() {
            return Ok(());
        }
        let number = clock::unix_ms().max(next.stage + 1);
        let (node, disk, at_most) = (self.node.clone(), self.disk.clone(), self.pause());
        let stage = move || match disk.folder()? {
            None => Ok(()),
            // What it was built on comes first.
            Some(_) if !node.shared.tables.wait_until_written(at_most) => {
                bail!("what tables have changed before is not on the disk yet (pause_ms_max)")
            }
            Some(folder) => folder.tables().stage(number, &changes),
        };
        off_the_lanes(stage).await?.map_err(failed)?;
        next.stage = number;
        Ok(())
    }

    /// Puts a component where it is kept, if there is such a place; whether it is.
    pub(super) async fn put(&self, component: &Bytes, signature: Option<&str>) -> Result<bool, Refused> {
        let (disk, component, signature) = (self.disk.clone(), component.clone(), signature.map(str::to_owned));
        let put = move || match disk.folder()? {
            None => Ok(false),
            Some(folder) => folder.put_version(&component, signature.as_deref()).map(|_| true),
        };
        off_the_lanes(put).await?.map_err(failed)
    }

    /// A component that is kept; where signatures are required, only if it still has one.
    pub(super) async fn kept_component(&self, version: &str) -> Result<Bytes, Refused> {
        let (disk, keys, version) = (self.disk.clone(), self.keys.clone(), version.to_owned());
        let read = move || -> anyhow::Result<(Bytes, Option<String>)> {
            let folder = disk.opened().context("there is no data folder")?;
            Ok((folder.version(&version)?.into(), folder.signature(&version)?))
        };
        let (component, signature) = off_the_lanes(read)
            .await?
            .map_err(|error| Refused::Failed(format!("a pushed version can't be read: {error:#}")))?;
        if keys.required {
            keys.verify(&component, signature.as_deref()).map_err(Refused::Unsigned)?;
        }
        Ok(component)
    }

    /// Removes components that no plugin names any more. What stays by mistake is removed at the next start.
    pub(super) async fn remove(&self, versions: Vec<String>) {
        let (disk, known) = (self.disk.clone(), self.known());
        let is_known = move |id: &String| {
            known.plugins.values().flat_map(|plugin| &plugin.versions).any(|version| version.id == *id)
        };
        let remove = move || {
            let Some(folder) = disk.opened() else { return };
            for version in versions.iter().filter(|id| !is_known(id)) {
                if let Err(error) = folder.remove_version(version) {
                    tracing::warn!(version, "a component that is not needed any more stays: {error:#}");
                }
            }
        };
        let _ = off_the_lanes(remove).await;
    }
}

// By value, as `map_err` hands it over.
#[allow(clippy::needless_pass_by_value)]
fn failed(error: anyhow::Error) -> Refused {
    Refused::Failed(format!("it can't be kept: {error:#}"))
}

fn to_keep(known: &Known) -> State {
    let plugins = known.plugins.iter().filter_map(|(name, plugin)| {
        let state = plugin_to_keep(plugin);
        (!state.versions.is_empty()).then(|| (name.clone(), state))
    });
    let json = |config: &str| serde_json::from_str(config).unwrap_or_default();
    let route = |route: &RouteConfig| RouteState {
        topics: route.topics.to_string(),
        plugin: route.plugin.clone(),
        config: json(&route.config),
        on_trap: route.on_trap,
    };
    State {
        plugins: plugins.collect(),
        routes: known.routes_are_set.then(|| known.routes.iter().map(route).collect()),
        stage: known.stage,
    }
}

/// What the binary or the configuration brings is not kept: a new one brings its own.
fn plugin_to_keep(plugin: &KnownPlugin) -> PluginState {
    let pushed = |version: &&Arc<Version>| version.origin == Origin::Pushed;
    let previous = |before: &Before| PreviousVersion {
        version: before.version.id.clone(),
        configs: before
            .configs
            .iter()
            .map(|(topics, config)| (topics.to_string(), serde_json::from_str(config).unwrap_or_default()))
            .collect(),
        back: before.back,
    };
    let (releases, layout) = plugin.layouts.to_keep();
    PluginState {
        versions: plugin.versions.iter().filter(pushed).map(|version| version.to_keep()).collect(),
        active: plugin.active.iter().find(pushed).map(|version| ActiveVersion { version: version.id.clone() }),
        previous: plugin.before.as_ref().map(previous),
        layout,
        releases,
    }
}

/// What was kept, over what the configuration says.
pub(super) fn restored(state: &State, routes: &[RouteConfig]) -> anyhow::Result<Known> {
    let plugin = |(name, kept): (&String, &PluginState)| {
        let versions: Vec<Arc<Version>> = kept.versions.iter().map(|kept| Arc::new(Version::kept(kept))).collect();
        let active = kept.active.as_ref().and_then(|active| find(&versions, &active.version));
        let layouts = layouts(kept, &versions);
        (name.clone(), KnownPlugin { versions, active, layouts, ..KnownPlugin::default() })
    };
    let route = |kept: &RouteState| -> anyhow::Result<RouteConfig> {
        let topics = kept.topics.parse().with_context(|| format!("the kept route {:?}", kept.topics))?;
        let (plugin, config) = (kept.plugin.clone(), kept.config.to_string());
        Ok(RouteConfig { topics, plugin, config, on_trap: kept.on_trap })
    };
    let kept_routes = state.routes.as_ref().map(|routes| routes.iter().map(route).collect::<anyhow::Result<Vec<_>>>());
    let routes_are_set = kept_routes.is_some();
    if routes_are_set {
        tracing::info!("the routes are those that were set at run time, not those of the configuration");
    }
    Ok(Known {
        plugins: state.plugins.iter().map(plugin).collect(),
        routes: kept_routes.unwrap_or_else(|| Ok(routes.to_vec()))?,
        routes_are_set,
        stage: state.stage,
    })
}

/// A state from before releases were kept names the version whose layout the tables have, and knows those that are there.
fn layouts(kept: &PluginState, versions: &[Arc<Version>]) -> Layouts {
    let id = kept.layout.as_ref().filter(|layout| layout.starts_with("sha256:"));
    let mut layouts = Layouts::kept(kept.releases.clone(), kept.layout.clone().filter(|_| id.is_none()));
    for version in versions {
        layouts.know(version.release());
    }
    if let Some(by) = id.and_then(|id| find(versions, id)) {
        // Those that migrate and came before it are taken to have done so.
        let before = versions.iter().take_while(|version| version.id != by.id);
        for version in before.filter(|version| version.migrates) {
            layouts.laid_out_by(version.release());
        }
        if by.migrates {
            layouts.laid_out_by(by.release());
        } else {
            layouts.back_to(by.release());
        }
    }
    layouts
}

/// Where rollbacks lead. A version that the binary brought and does not bring any more is not there.
pub(super) fn restored_before(state: &State, known: &mut Known) {
    for (name, plugin) in &mut known.plugins {
        let Some(previous) = state.plugins.get(name).and_then(|kept| kept.previous.as_ref()) else { continue };
        let configs =
            previous.configs.iter().filter_map(|(topics, config)| Some((topics.parse().ok()?, config.to_string())));
        plugin.before = find(&plugin.versions, &previous.version).map(|version| Before {
            version,
            configs: configs.collect(),
            back: previous.back,
        });
    }
}

fn find(versions: &[Arc<Version>], id: &str) -> Option<Arc<Version>> {
    versions.iter().find(|version| version.id == id).cloned()
}
