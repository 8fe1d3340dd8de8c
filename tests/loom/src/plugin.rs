//! A plugin with one lane, whose thread a model starts; all else is the server's own.

use crate::event::Event;
use crate::generation::Generation;
use crate::lane::{Lane, Paused};
use crate::metrics::PluginMetrics;
use crate::shared::Shared;
use crate::swap::ArcSwap;
use crate::sync::oneshot;
use crate::topic::Topic;
use foldhash::fast::FixedState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

include!(concat!(env!("OUT_DIR"), "/plugin.rs"));

/// One plugin, in whatever version.
pub struct Plugin {
    name: Arc<str>,
    pub(crate) generation: Arc<ArcSwap<Generation>>,
    pub(crate) lanes: Box<[Lane]>,
    metrics: PluginMetrics,
}

impl Plugin {
    /// Without a thread.
    pub fn new(name: &str, generation: Generation, shared: &Shared) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            generation: Arc::new(ArcSwap::new(Arc::new(generation))),
            lanes: [Lane::new(&shared.limits)].into(),
            metrics: PluginMetrics::default(),
        })
    }

    /// Its lane.
    pub fn only_lane(&self) -> &Lane {
        &self.lanes[0]
    }
}
