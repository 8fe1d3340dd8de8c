//! What is known of plugins: their versions, which one is active, which one was before. A deploy makes the next value of
//! all of it, and replaces the old one when it has succeeded.

use super::layouts::Layouts;
use super::refused::Refused;
use super::version::Version;
use crate::config::RouteConfig;
use crate::data::CodeChange;
use crate::generation::Row;
use crate::plugin::Plugin;
use crate::shadow::Shadow;
use crate::topic::Pattern;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// All plugins and routes.
#[derive(Clone, Default)]
pub struct Known {
    /// By name.
    pub plugins: BTreeMap<String, KnownPlugin>,
    /// Who routes what.
    pub routes: Vec<RouteConfig>,
    /// Whether the routes were set at run time; else they are the configuration's.
    pub routes_are_set: bool,
    /// The number of the last code change that changed durable tables.
    pub stage: u64,
}

/// One plugin.
#[derive(Clone, Default)]
pub struct KnownPlugin {
    /// The oldest first.
    pub versions: Vec<Arc<Version>>,
    /// What it is routed by.
    pub active: Option<Arc<Version>>,
    /// What it was routed by before.
    pub before: Option<Before>,
    /// The layout of its tables.
    pub layouts: Layouts,
    /// When an operator made that version the active one; not after going back to it.
    pub swapped_at: Option<Instant>,
    /// Its lanes, from its first activation on.
    pub running: Option<Arc<Plugin>>,
    /// A version that is tried.
    pub shadow: Option<Arc<Shadow>>,
    /// When failures brought the version before back by themselves, the last time.
    pub rolled_back: Option<RolledBack>,
}

/// The version before.
#[derive(Clone)]
pub struct Before {
    /// Which.
    pub version: Arc<Version>,
    /// What its routes were configured with, where that was changed along with the version.
    pub configs: BTreeMap<Pattern, String>,
    /// What going back does to the tables.
    pub back: CodeChange,
}

/// The server has gone back to the version before by itself.
#[derive(Clone, Debug)]
pub struct RolledBack {
    /// When, since 1970.
    pub at_ms: u64,
    /// The version that failed.
    pub from: String,
    /// The version before.
    pub to: String,
    /// In words.
    pub why: String,
}

impl Known {
    /// The plugin of that name.
    pub fn plugin(&self, name: &str) -> Result<&KnownPlugin, Refused> {
        self.plugins.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.plugins.keys().map(String::as_str).collect();
            Refused::Unknown(format!("there is no plugin {name:?}; there are: {}", names.join(", ")))
        })
    }

    /// A plugin's own rows.
    pub fn rows(&self, name: &str) -> Vec<Row> {
        self.routes.iter().filter(|route| route.plugin == name).map(row).collect()
    }
}

impl Known {
    /// Configures all routes of a plugin anew; what those had that had something else.
    pub(super) fn set_config(&mut self, name: &str, config: &str) -> BTreeMap<Pattern, String> {
        let mut before = BTreeMap::new();
        for route in self.routes.iter_mut().filter(|route| route.plugin == name && route.config != config) {
            before.insert(route.topics.clone(), std::mem::replace(&mut route.config, config.to_owned()));
            self.routes_are_set = true;
        }
        before
    }

    /// Gives routes of a plugin back what they were configured with; what they have now.
    pub(super) fn restore_configs(
        &mut self,
        name: &str,
        configs: &BTreeMap<Pattern, String>,
    ) -> BTreeMap<Pattern, String> {
        let mut now = BTreeMap::new();
        for route in self.routes.iter_mut().filter(|route| route.plugin == name) {
            if let Some(config) = configs.get(&route.topics) {
                now.insert(route.topics.clone(), std::mem::replace(&mut route.config, config.clone()));
                self.routes_are_set = true;
            }
        }
        now
    }
}

/// A route as lanes know it.
pub(super) fn row(route: &RouteConfig) -> Row {
    Row { topics: route.topics.clone(), config: route.config.as_str().into(), on_trap: route.on_trap }
}

impl KnownPlugin {
    /// The version of that name, or of which that is an unambiguous beginning.
    pub fn version(&self, text: &str) -> Result<&Arc<Version>, Refused> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
        if hex.len() < 6 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            let words =
                format!("{text:?} is no version: it is sha256: and 64 hex digits, or the first six of them at least");
            return Err(Refused::Unknown(words));
        }
        let mut alike = self.versions.iter().filter(|version| version.hex().starts_with(&hex));
        match (alike.next(), alike.next()) {
            (Some(version), None) => Ok(version),
            (None, _) => Err(Refused::Unknown(format!("no version {text} was pushed for this plugin; push it first"))),
            (Some(_), Some(_)) => {
                Err(Refused::Unknown(format!("several versions begin with {text}; give more digits")))
            }
        }
    }

    /// How the version is used.
    pub fn state_of(&self, version: &Version) -> &'static str {
        if self.active.as_ref().is_some_and(|active| active.id == version.id) {
            "active"
        } else if self.before.as_ref().is_some_and(|before| before.version.id == version.id) {
            "previous"
        } else if self.shadow.as_ref().is_some_and(|shadow| shadow.version() == version.id) {
            "shadow"
        } else {
            "pushed"
        }
    }

    /// Whether there is a version before, and a way back to it.
    pub fn goes_back(&self) -> bool {
        let can = |before: &Before| {
            before.back != CodeChange::Down || self.active.as_ref().is_some_and(|active| active.reverses)
        };
        self.before.as_ref().is_some_and(can)
    }

    /// Why the upgrade of that version is not called, if it has one: the tables have its layout already.
    pub(super) fn why_no_upgrade(&self, version: &Version) -> Option<String> {
        let release = version.release();
        if !version.migrates {
            None
        } else if self.layouts.current() == Some(release) {
            Some(format!("the tables have the layout of {release} already, so its upgrade was not called"))
        } else if self.active.as_ref().is_some_and(|active| active.release() == release) {
            Some(format!(
                "both versions say that they are {release}, so its upgrade was not called: raise the version if the layout of \
                 the tables is another one"
            ))
        } else {
            None
        }
    }

    /// What it takes to go from the active version to one that migrates nothing. Of a release that was there before the one that
    /// gave the tables their layout it can't know that layout: only a build of that release leads back, if it can.
    pub(super) fn change_to(&self, version: &Version) -> Result<CodeChange, Refused> {
        let Some(layout) = self.layouts.current().filter(|_| self.layouts.is_too_new_for(version.release())) else {
            return Ok(CodeChange::None);
        };
        match self.active.as_ref().filter(|active| active.migrates && active.release() == layout) {
            Some(active) if active.reverses => Ok(CodeChange::Down),
            Some(_) => Err(no_way_back()),
            None => Err(Refused::Conflict(format!(
                "the tables have the layout of release {layout}, which is newer than {}, the release of {}: activate a build of \
                 {layout} first, which leads back if it has a downgrade; or push a version that migrates them",
                version.release(),
                version.short()
            ))),
        }
    }

    /// That version is the active one now, and has changed the tables so.
    pub(super) fn has_changed(&mut self, version: &Version, change: CodeChange) {
        match change {
            CodeChange::Down => self.layouts.back_to(version.release()),
            // What is new in tables is in its layout.
            CodeChange::Up | CodeChange::None if version.migrates => self.layouts.laid_out_by(version.release()),
            CodeChange::Up | CodeChange::None => {}
        }
    }

    /// 409 unless the active version is the one that the operator thinks it is.
    pub fn check_current(&self, if_current: Option<&str>) -> Result<(), Refused> {
        let Some(wanted) = if_current else { return Ok(()) };
        let hex = wanted.strip_prefix("sha256:").unwrap_or(wanted).to_ascii_lowercase();
        let active = self.active.as_ref().map_or("", |active| active.hex());
        if hex.len() >= 6 && active.starts_with(&hex) {
            return Ok(());
        }
        let active = self.active.as_ref().map_or("none", |active| active.id.as_str());
        Err(Refused::Conflict(format!(
            "the current version is {active}, not {wanted}: somebody else deployed meanwhile"
        )))
    }
}

/// Of a version that can't undo what it did.
pub(super) fn no_way_back() -> Refused {
    let words = "the active version has migrated its tables and has no downgrade: push one that migrates them back";
    Refused::Conflict(words.into())
}
