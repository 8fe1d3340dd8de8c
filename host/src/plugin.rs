//! A plugin: its lanes, and the generation that they route by.

use crate::event::Event;
use crate::generation::Generation;
use crate::lane::{Lane, Paused};
use crate::metrics::PluginMetrics;
use crate::shared::Shared;
use crate::topic::Topic;
use anyhow::Context as _;
use arc_swap::ArcSwap;
use foldhash::fast::FixedState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A rule that has failed too often since it became active: which plugin's, and in which generation.
pub type Alarm = (Arc<str>, u64);

/// One plugin, in whatever version.
pub struct Plugin {
    name: Arc<str>,
    generation: Arc<ArcSwap<Generation>>,
    lanes: Box<[Lane]>,
    /// What is counted.
    pub metrics: Arc<PluginMetrics>,
}

impl Plugin {
    /// Starts its lanes, with the instances that the generation has brought.
    pub fn start(
        name: Arc<str>,
        generation: Arc<Generation>,
        lanes: usize,
        shared: &Arc<Shared>,
        alarms: &mpsc::UnboundedSender<Alarm>,
    ) -> anyhow::Result<Self> {
        let metrics = shared.metrics.of_plugin(&name);
        let published = Arc::new(ArcSwap::new(generation));
        let start = |index| {
            let (published, metrics, shared) = (published.clone(), metrics.clone(), shared.clone());
            Lane::start(name.clone(), index, published, metrics, shared, alarms.clone()).context("can't start a lane")
        };
        let lanes = (0..lanes).map(start).collect::<anyhow::Result<_>>()?;
        Ok(Self { name, generation: published, lanes, metrics })
    }

    /// What operators call it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What its lanes route by.
    pub fn generation(&self) -> Arc<Generation> {
        self.generation.load_full()
    }

    fn lane(&self, topic: &Topic) -> &Lane {
        let hash = FixedState::with_seed(0).hash_one(topic.as_str());
        &self.lanes[hash as usize % self.lanes.len()]
    }

    /// Queues an event in its topic's lane: always the same one, which keeps the topic's events in order. A full lane
    /// gives it back.
    // The event goes back by value: boxing it would cost every event for the few that are turned away.
    #[allow(clippy::result_large_err)]
    pub fn offer(&self, event: Event) -> Result<(), Event> {
        self.lane(&event.topic).offer(event).inspect_err(|_| {
            self.metrics.busy.inc();
        })
    }

    /// Queues an exit or a timer, which have their own places.
    pub fn offer_reserved(&self, event: Event) {
        self.lane(&event.topic).offer_reserved(event);
    }

    /// How many events wait in each lane.
    pub fn queued(&self) -> Vec<usize> {
        self.lanes.iter().map(Lane::queued).collect()
    }

    /// Its lanes, for whoever looks.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// From now on its events are routed under the next generation.
    pub fn publish(&self, next: Arc<Generation>) {
        self.generation.store(next);
    }

    /// Waits until each lane has finished the event it was at, routes by what is published, and has let go of the
    /// instances that are not needed any more; whether they had within the time.
    pub async fn settled(&self, within: Duration) -> bool {
        let told = self.lanes.iter().map(Lane::keep_up).collect();
        all(told, within).await
    }

    /// Lets the lanes finish the events they are at, and no more until the value is dropped: what comes is queued. None
    /// if one of them takes longer than that.
    pub async fn pause(&self, within: Duration) -> Option<Vec<Paused>> {
        let (told, paused) = self.lanes.iter().map(Lane::pause).unzip();
        all(told, within).await.then_some(paused)
    }

    /// Whether an event of a topic waits, for which that holds; waits for a lane that routes.
    pub async fn any_waiting(&self, is_one: impl Fn(&Topic) -> bool + Clone + Send + 'static) -> bool {
        for lane in &self.lanes {
            // A lane that has ended has nothing that waits.
            if lane.any_waiting(is_one.clone()).await.unwrap_or(false) {
                return true;
            }
        }
        false
    }

    /// Routes what is queued and ends the lanes.
    pub fn finish(&self) {
        self.lanes.iter().for_each(Lane::finish);
    }
}

/// Waits for all of them; whether they came in time.
async fn all(told: Vec<oneshot::Receiver<()>>, within: Duration) -> bool {
    let each = async {
        let mut came = true;
        for told in told {
            came &= told.await.is_ok();
        }
        came
    };
    tokio::time::timeout(within, each).await.unwrap_or(false)
}
