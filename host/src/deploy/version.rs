//! A version of a plugin: a component by its content, where it is kept, and its compiled form as long as somebody uses it.

use crate::data::PushedVersion;
use crate::router::{Info, Rule};
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// One version.
pub struct Version {
    /// `sha256:…` of the component.
    pub id: String,
    /// Bytes of the component.
    pub size: usize,
    /// Where it comes from.
    pub origin: Origin,
    /// When it was pushed, since 1970; 0 if it was not.
    pub pushed_ms: u64,
    /// The name of the key that it was signed with.
    pub signed_by: Option<String>,
    /// What it says of itself.
    pub info: Info,
    /// Whether it changes the layout of its tables when it becomes active, and can change it back.
    pub migrates: bool,
    /// Likewise.
    pub reverses: bool,
    component: Component,
    rule: Mutex<Weak<Rule>>,
}

/// Where a version comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The binary: a new binary brings its own.
    Bundled,
    /// A file that the configuration names.
    File,
    /// An operator.
    Pushed,
}

impl Origin {
    /// As operators read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bundled => "bundled",
            Self::File => "file",
            Self::Pushed => "pushed",
        }
    }
}

/// Where the bytes are.
pub(super) enum Component {
    /// Here: it was not kept on disk.
    Here(Bytes),
    /// In the data folder.
    Kept,
}

impl Version {
    pub(super) fn new(rule: &Arc<Rule>, info: Info, origin: Origin, component: Component) -> Self {
        rule.set_release(&info.version);
        Self {
            id: rule.version.clone(),
            size: rule.size,
            origin,
            pushed_ms: 0,
            signed_by: None,
            info,
            migrates: rule.migrates(),
            reverses: rule.reverses(),
            component,
            rule: Mutex::new(Arc::downgrade(rule)),
        }
    }

    /// Which release of its rule it says that it is. Releases name layouts: what one has left in tables, another build of it
    /// reads.
    pub(super) fn release(&self) -> &str {
        &self.info.version
    }

    /// One that was kept over a restart.
    pub(super) fn kept(kept: &PushedVersion) -> Self {
        Self {
            id: kept.version.clone(),
            size: kept.bytes as usize,
            origin: Origin::Pushed,
            pushed_ms: kept.pushed_ms,
            signed_by: kept.signed_by.clone(),
            info: Info {
                name: kept.name.clone(),
                version: kept.release.clone(),
                description: kept.description.clone(),
            },
            migrates: kept.migrates,
            reverses: kept.downgrades,
            component: Component::Kept,
            rule: Mutex::default(),
        }
    }

    /// As it is kept.
    pub(super) fn to_keep(&self) -> PushedVersion {
        PushedVersion {
            version: self.id.clone(),
            pushed_ms: self.pushed_ms,
            bytes: self.size as u64,
            signed_by: self.signed_by.clone(),
            name: self.info.name.clone(),
            release: self.info.version.clone(),
            description: self.info.description.clone(),
            migrates: self.migrates,
            downgrades: self.reverses,
        }
    }

    /// The digits.
    pub fn hex(&self) -> &str {
        self.id.trim_start_matches("sha256:")
    }

    /// For people.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }

    /// The compiled form, if somebody has it.
    pub(super) fn compiled(&self) -> Option<Arc<Rule>> {
        self.rule.lock().upgrade()
    }

    pub(super) fn set_compiled(&self, rule: &Arc<Rule>) {
        rule.set_release(&self.info.version);
        *self.rule.lock() = Arc::downgrade(rule);
    }

    /// Bytes of a pushed component that is in memory, since nothing is kept on disk.
    pub(super) fn bytes_here(&self) -> u64 {
        match &self.component {
            Component::Here(component) if self.origin == Origin::Pushed => component.len() as u64,
            Component::Here(_) | Component::Kept => 0,
        }
    }

    /// Its bytes are on disk from now on.
    pub(super) fn is_kept(&mut self) {
        self.component = Component::Kept;
    }

    pub(super) fn component(&self) -> &Component {
        &self.component
    }
}
