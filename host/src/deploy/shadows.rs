//! Shadows: a pushed version is asked what the active one is asked, and its answers are compared.

use super::known::{Known, KnownPlugin};
use super::refused::Refused;
use super::{Deployer, off_the_lanes};
use crate::router::Mounted;
use crate::shadow::{Report, Shadow};
use serde::Deserialize;
use std::sync::Arc;

/// Which version is to be tried, and on how much.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Which version, or an unambiguous beginning of it.
    pub version: String,
    /// The share of the events, up to 1.
    #[serde(default = "all")]
    pub sample: f64,
}

fn all() -> f64 {
    1.0
}

/// What a shadow must have found before its version may become active.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CleanShadow {
    /// At least so many events compared; only the last so many count.
    pub events: u64,
    /// Of which at most so many were answered differently.
    #[serde(default)]
    pub max_different: u64,
}

impl Deployer {
    /// Starts a shadow in place of the one there is.
    pub async fn shadow(&self, name: &str, wanted: &Trial) -> Result<Report, Refused> {
        let _turn = self.turn().await?;
        if !(wanted.sample > 0.0 && wanted.sample <= 1.0) {
            return Err(Refused::unfit("sample is a share of the events: more than 0, and 1 at most"));
        }
        let mut next = Known::clone(&self.known());
        let plugin = next.plugin(name)?;
        let version = plugin.version(&wanted.version)?.clone();
        let Some(running) = &plugin.running else {
            return Err(Refused::Conflict(
                "nothing is routed by this plugin, so there is nothing to compare with".into(),
            ));
        };
        let rule = self.rule(&version).await?;
        let live = running.generation();
        let candidate = |live: &Arc<Mounted>| {
            Arc::new(Mounted { plugin: live.plugin.clone(), config: live.config.clone(), rule: rule.clone() })
        };
        let candidates: Vec<Arc<Mounted>> = live.mounted.iter().map(candidate).collect();
        let (shared, sample) = (self.node.shared.clone(), wanted.sample);
        let shadow = off_the_lanes(move || Shadow::start(&candidates, sample, &shared)).await?;
        let shadow = Arc::new(shadow.map_err(Refused::unfit)?);
        let prepared = self.prepare(&next, name, next.rows(name)).await?.with_shadow(shadow.clone());
        self.publish(&mut next, name, prepared).await?;
        tracing::info!(plugin = name, version = version.short(), sample, "a shadow looks on");
        self.known.store(Arc::new(next));
        Ok(shadow.report())
    }

    /// Ends the shadow.
    pub async fn end_shadow(&self, name: &str) -> Result<(), Refused> {
        let _turn = self.turn().await?;
        let mut next = Known::clone(&self.known());
        shadow_of(next.plugin(name)?)?;
        let rows = next.rows(name);
        self.publish_rows(&mut next, name, rows).await;
        self.known.store(Arc::new(next));
        Ok(())
    }
}

/// The shadow of a plugin.
pub fn shadow_of(plugin: &KnownPlugin) -> Result<&Arc<Shadow>, Refused> {
    plugin.shadow.as_ref().ok_or_else(|| Refused::Unknown("this plugin has no shadow".into()))
}

/// 409 unless the plugin's shadow is of that version, and has found too little or nothing against it.
pub(super) fn check_clean(plugin: &KnownPlugin, version: &str, wanted: Option<&CleanShadow>) -> Result<(), Refused> {
    let Some(wanted) = wanted else { return Ok(()) };
    let shadow = plugin.shadow.as_ref().filter(|shadow| shadow.version() == version);
    let shadow = shadow.ok_or_else(|| {
        Refused::Conflict("a clean shadow is demanded, and no shadow of this version is running: start one".into())
    })?;
    shadow.is_clean(wanted.events, wanted.max_different).map_err(Refused::Conflict)
}
