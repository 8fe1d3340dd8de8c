//! A plugin as it is mounted: a rule, its config, and the lanes that route by them.

use crate::event::Event;
use crate::lane::Lane;
use crate::metrics::PluginMetrics;
use crate::router::{Guest, Mounted, Rule};
use crate::shared::Shared;
use crate::topic::Topic;
use anyhow::Context as _;
use arc_swap::ArcSwap;
use foldhash::fast::FixedState;
use std::hash::BuildHasher as _;
use std::sync::Arc;

/// One plugin with one config. Routes with the same plugin and the same config share it.
pub struct Mount {
    /// What its lanes route by; swapped as one value.
    mounted: Arc<ArcSwap<Mounted>>,
    lanes: Box<[Lane]>,
    /// What is counted.
    pub metrics: Arc<PluginMetrics>,
    /// What the rule calls itself.
    pub info: Info,
}

/// What a rule says of itself.
#[derive(Clone, Debug)]
pub struct Info {
    /// Its own name; operators may mount it under another.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// One line.
    pub description: String,
}

impl Mount {
    /// Warms an instance for each lane and starts them.
    pub fn start(mounted: Mounted, lanes: usize, shared: &Arc<Shared>) -> anyhow::Result<Self> {
        let mounted = Arc::new(mounted);
        let metrics = shared.metrics.of_plugin(&mounted.plugin);
        let swappable = Arc::new(ArcSwap::new(mounted.clone()));
        let mut info = None;
        let start = |index| {
            let guest = Guest::warm(&mounted, shared)
                .map_err(|fault| anyhow::anyhow!("the plugin {:?}: {}", &*mounted.plugin, fault.report()))?;
            let (name, version, description) = guest.info();
            info = Some(Info { name: name.into(), version: version.into(), description: description.into() });
            let name = format!("lane-{}-{index}", mounted.plugin);
            Lane::start(name, swappable.clone(), guest, metrics.clone(), shared.clone()).context("can't start a lane")
        };
        let lanes = (0..lanes).map(start).collect::<anyhow::Result<_>>()?;
        let info = info.context("a plugin has at least one lane")?;
        Ok(Self { mounted: swappable, lanes, metrics, info })
    }

    /// The lane of a topic: always the same one, which keeps the topic's events in order.
    pub fn lane(&self, topic: &Topic) -> &Lane {
        let hash = FixedState::with_seed(0).hash_one(topic.as_str());
        &self.lanes[hash as usize % self.lanes.len()]
    }

    /// Queues an event in its topic's lane; a full lane gives it back.
    // The event goes back by value: boxing it would cost every event for the few that are turned away.
    #[allow(clippy::result_large_err)]
    pub fn offer(&self, event: Event) -> Result<(), Event> {
        self.lane(&event.topic).offer(event).inspect_err(|_| {
            self.metrics.busy.inc();
        })
    }

    /// The plugin's name.
    pub fn plugin(&self) -> Arc<str> {
        self.mounted.load().plugin.clone()
    }

    /// The rule that is active.
    pub fn rule(&self) -> Arc<Rule> {
        self.mounted.load().rule.clone()
    }

    /// What its rule was configured with.
    pub fn config(&self) -> String {
        self.mounted.load().config.clone()
    }

    /// How many events wait in each lane.
    pub fn queued(&self) -> Vec<usize> {
        self.lanes.iter().map(Lane::queued).collect()
    }

    /// Routes what is queued and ends the lanes.
    pub fn finish(&self) {
        self.lanes.iter().for_each(Lane::finish);
    }
}
