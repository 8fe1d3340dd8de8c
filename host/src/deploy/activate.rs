//! Activating a version, and going back to the one before.

use super::Deployer;
use super::known::{Before, Known, RolledBack, no_way_back};
use super::refused::Refused;
use super::shadows::{CleanShadow, check_clean};
use crate::clock;
use crate::data::CodeChange;
use crate::metrics::RolledBackBy;
use std::sync::Arc;
use std::time::Instant;

/// What is to become active.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// Which version, or an unambiguous beginning of it.
    pub version: String,
    /// Only if that one is active now.
    pub if_current: Option<String>,
    /// What `init` gets from now on, on all routes of the plugin.
    pub config: Option<serde_json::Value>,
    /// Only if its shadow has found nothing against it.
    pub require_shadow: Option<CleanShadow>,
}

/// Another version is active.
pub struct Swapped {
    /// What is active now.
    pub current: String,
    /// What was before.
    pub previous: Option<String>,
    /// What the operator should know.
    pub notes: Vec<String>,
}

impl Deployer {
    /// Makes a pushed version the active one.
    pub async fn activate(&self, name: &str, wanted: &Activation) -> Result<Swapped, Refused> {
        let _turn = self.turn().await?;
        let mut next = Known::clone(&self.known());
        let plugin = next.plugin(name)?;
        plugin.check_current(wanted.if_current.as_deref())?;
        let (version, active) = (plugin.version(&wanted.version)?.clone(), plugin.active.clone());
        check_clean(plugin, &version.id, wanted.require_shadow.as_ref())?;
        let is_other = active.as_ref().is_some_and(|active| active.id != version.id);
        // Going to the version before goes the way that a rollback goes.
        let back = plugin.before.as_ref().filter(|before| before.version.id == version.id).map(|before| before.back);
        let no_upgrade = if is_other && back.is_none() { plugin.why_no_upgrade(&version) } else { None };
        let change = match back {
            Some(CodeChange::Down) if active.as_ref().is_some_and(|active| !active.reverses) => {
                return Err(no_way_back());
            }
            Some(back) if is_other => back,
            _ if no_upgrade.is_some() => CodeChange::None,
            _ if is_other && version.migrates => CodeChange::Up,
            _ => plugin.change_to(&version)?,
        };
        let configs = wanted.config.as_ref().map(|config| next.set_config(name, &config.to_string()));
        let Some(plugin) = next.plugins.get_mut(name) else { return Err(Refused::Unknown(name.into())) };
        if let Some(active) = active.filter(|_| is_other || configs.as_ref().is_some_and(|configs| !configs.is_empty()))
        {
            let configs = configs.unwrap_or_default();
            plugin.before = Some(Before { version: active, configs, back: change.back() });
        }
        plugin.active = Some(version.clone());
        plugin.has_changed(&version, change);
        let mut notes = Vec::new();
        if wanted.config.is_some() && next.routes.iter().all(|route| route.plugin != name) {
            notes.push("no route names this plugin, so its config goes nowhere: give it with the route".into());
        }
        notes.extend(no_upgrade);
        if change == CodeChange::Up && !version.reverses {
            notes.push(
                "this version migrates its tables and has no downgrade: there is no rollback, and no falling back"
                    .into(),
            );
        }
        plugin.swapped_at = Some(Instant::now());
        let metrics = self.metrics(name);
        self.swap(&mut next, name, change).await.inspect_err(|_| {
            metrics.swap_failures.inc();
        })?;
        metrics.swaps.inc();
        Ok(self.swapped(next, name, notes))
    }

    /// Back to the version before.
    pub async fn rollback(&self, name: &str, if_current: Option<&str>) -> Result<Swapped, Refused> {
        let _turn = self.turn().await?;
        self.known().plugin(name)?.check_current(if_current)?;
        let next = self.back(name).await?;
        self.metrics(name).rollbacks.of(RolledBackBy::Operator).inc();
        Ok(self.swapped(next, name, Vec::new()))
    }

    /// Failures bring the version before back, unless somebody has deployed meanwhile.
    pub async fn roll_back_failing(&self, name: &str, generation: u64) {
        let Ok(_turn) = self.turn().await else { return };
        let known = self.known();
        let Some(plugin) = known.plugins.get(name) else { return };
        let (Some(running), Some(active), Some(before)) = (&plugin.running, &plugin.active, &plugin.before) else {
            return;
        };
        if running.generation().number != generation {
            return;
        }
        let limits = &self.node.shared.limits;
        let why = format!("{} failures within {} ms", limits.rollback_traps_max, limits.rollback_window_ms);
        let (from, to) = (active.id.clone(), before.version.id.clone());
        if !plugin.goes_back() {
            // Said once a generation: its failures are not counted again.
            tracing::error!(plugin = name, from, why, "it keeps failing, and goes on: {}", no_way_back());
            return;
        }
        match self.back(name).await {
            Ok(mut next) => {
                self.metrics(name).rollbacks.of(RolledBackBy::Traps).inc();
                tracing::error!(plugin = name, from, to, why, "rolled back by itself");
                if let Some(plugin) = next.plugins.get_mut(name) {
                    plugin.rolled_back = Some(RolledBack { at_ms: clock::unix_ms(), from, to, why });
                }
                self.swapped(next, name, Vec::new());
            }
            Err(refused) => {
                tracing::error!(plugin = name, from, why, "can't be rolled back, and is tried again: {refused}");
                running.generation().count_traps_again();
            }
        }
    }

    /// Swaps to the version before.
    async fn back(&self, name: &str) -> Result<Known, Refused> {
        let mut next = Known::clone(&self.known());
        let plugin = next.plugin(name)?;
        let (Some(active), Some(before)) = (plugin.active.clone(), plugin.before.clone()) else {
            return Err(Refused::Conflict("there is no version before this one".into()));
        };
        if !plugin.goes_back() {
            return Err(no_way_back());
        }
        let configs = next.restore_configs(name, &before.configs);
        let Some(plugin) = next.plugins.get_mut(name) else { return Err(Refused::Unknown(name.into())) };
        plugin.has_changed(&before.version, before.back);
        plugin.active = Some(before.version);
        plugin.before = Some(Before { version: active, configs, back: before.back.back() });
        plugin.swapped_at = None;
        self.swap(&mut next, name, before.back).await?;
        Ok(next)
    }

    fn swapped(&self, next: Known, name: &str, notes: Vec<String>) -> Swapped {
        let plugin = &next.plugins[name];
        let current = plugin.active.as_ref().map(|version| version.id.clone()).unwrap_or_default();
        let previous = plugin.before.as_ref().map(|before| before.version.id.clone());
        if let Some(running) = &plugin.running {
            self.metrics(name).generation.set(running.generation().number as i64);
        }
        tracing::info!(plugin = name, current, previous, "active");
        self.known.store(Arc::new(next));
        Swapped { current, previous, notes }
    }
}
