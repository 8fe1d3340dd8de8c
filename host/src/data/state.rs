//! What a server remembers over a restart: the pushed versions, which one each plugin runs, and the routes. One JSON file,
//! replaced as a whole: that is the moment at which a deploy has happened.
//!
//! No older state is kept beside it. A replacement cannot leave half a file, so that only a failing disk or a hand damages
//! it; an older state would then say, and be believed, that rules are active which were replaced since, and name versions
//! that are removed. A server that does not start, and says where the file is wrong, is better.

use super::versions;
use crate::on_trap::OnTrap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// All that is remembered. The default is what a fresh server knows: nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// By name. A plugin that was never pushed to need not be here.
    pub plugins: BTreeMap<String, PluginState>,
    /// None: those of the config.
    pub routes: Option<Vec<RouteState>>,
    /// The number of the last code change that changed durable tables (`data::tables`); 0: none has.
    #[serde(default, skip_serializing_if = "is_none")]
    pub stage: u64,
}

// As serde wants it.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_none(stage: &u64) -> bool {
    *stage == 0
}

/// One plugin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginState {
    /// The pushed ones; their components are kept as long as they are named here.
    pub versions: Vec<PushedVersion>,
    /// What routes. None: the component of the config or of the binary.
    pub active: Option<ActiveVersion>,
    /// What a rollback goes to.
    pub previous: Option<PreviousVersion>,
    /// The release whose layout the tables have, if one has changed it. (`sha256:…` of a version, as it was kept at first.)
    pub layout: Option<String>,
    /// The releases in the order in which they were first known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<ReleaseState>,
}

/// One release of a plugin, whose versions may be forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseState {
    /// As the rule calls it.
    pub release: String,
    /// Whether it has given the tables a layout of its own.
    #[serde(default)]
    pub lays_out: bool,
}

/// A component that was pushed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushedVersion {
    /// `sha256:…` of the component.
    pub version: String,
    /// When, in Unix milliseconds.
    pub pushed_ms: u64,
    /// Of the component.
    pub bytes: u64,
    /// The name of the key that it is signed with.
    pub signed_by: Option<String>,
    /// What it calls itself.
    pub name: String,
    /// Which release of itself it is.
    pub release: String,
    /// One line.
    pub description: String,
    /// Whether it upgrades the tables of the version before.
    pub migrates: bool,
    /// Whether it can downgrade them again.
    pub downgrades: bool,
}

/// The version that routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActiveVersion {
    /// `sha256:…`
    pub version: String,
}

/// The version before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreviousVersion {
    /// `sha256:…`
    pub version: String,
    /// What it was configured with, by the pattern of the route.
    pub configs: BTreeMap<String, serde_json::Value>,
    /// What going back to it does to the tables.
    pub back: CodeChange,
}

/// How tables get from one version's layout to another's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodeChange {
    /// They stay as they are.
    #[default]
    None,
    /// The version that comes upgrades them.
    Up,
    /// The version that goes downgrades them.
    Down,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteState {
    /// A pattern.
    pub topics: String,
    /// A plugin's name.
    pub plugin: String,
    /// What `init` gets.
    pub config: serde_json::Value,
    /// What happens to an event on which the rule traps.
    pub on_trap: OnTrap,
}

impl CodeChange {
    /// What undoes it.
    #[must_use]
    pub fn back(self) -> Self {
        match self {
            Self::None => Self::None,
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

impl State {
    /// The versions that plugins were pushed.
    pub fn pushed(&self) -> BTreeSet<&str> {
        self.plugins.values().flat_map(|plugin| &plugin.versions).map(|pushed| &*pushed.version).collect()
    }

    /// From its file, or what is wrong with it.
    pub(super) fn from_json(text: &[u8]) -> Result<Self, String> {
        let state: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if let Some(wrong) = state.versions().find(|version| versions::hex(version).is_none()) {
            return Err(format!("{wrong:?} is no version; a version is sha256: and 64 hex digits"));
        }
        Ok(state)
    }

    /// As its file.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("its keys are texts");
        text.push(b'\n');
        text
    }

    fn versions(&self) -> impl Iterator<Item = &str> {
        self.plugins.values().flat_map(|plugin| {
            let pushed = plugin.versions.iter().map(|pushed| &*pushed.version);
            let active = plugin.active.iter().map(|active| &*active.version);
            pushed.chain(active).chain(plugin.previous.iter().map(|previous| &*previous.version))
        })
    }
}
