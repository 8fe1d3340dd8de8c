//! A version of a plugin: a component by its content, where it is kept, and its compiled form as long as somebody uses it.

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
        *self.rule.lock() = Arc::downgrade(rule);
    }

    pub(super) fn component(&self) -> &Component {
        &self.component
    }
}
