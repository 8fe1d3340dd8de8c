//! Deploying: pushing, activating and taking back versions of plugins, and changing routes, while everything runs.
//!
//! It happens on the control plane, one deploy at a time. Each prepares all that may fail (compiling, warming an instance
//! for each lane, the code change, the data folder) and then publishes, which cannot fail. Whatever is refused leaves what
//! is served as it is.

mod activate;
mod kept;
mod known;
mod layouts;
mod push;
mod refused;
mod routes;
mod shadows;
mod start;
mod swap;
mod version;

pub use activate::{Activation, Swapped};
pub use known::{Before, Known, KnownPlugin, RolledBack};
pub use push::Pushed;
pub use refused::Refused;
pub use shadows::{CleanShadow, Trial, shadow_of};
pub use version::{Origin, Version};

use crate::config::Source;
use crate::data::{DataDir, Disk, State};
use crate::metrics::PluginMetrics;
use crate::node::Node;
use crate::plugin::Alarm;
use crate::router::{Engine, Guest, Info, Interfaces, Mounted, Rule};
use crate::signatures::SigningKeys;
use arc_swap::ArcSwap;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use version::Component;

/// Deploys to a node.
pub struct Deployer {
    node: Arc<Node>,
    engine: Arc<Engine>,
    /// Lanes of each plugin.
    lanes: usize,
    /// What the binary and the configuration bring.
    sources: BTreeMap<String, Source>,
    alarms: mpsc::UnboundedSender<Alarm>,
    /// Whose components are taken.
    keys: Arc<SigningKeys>,
    disk: Arc<Disk>,
    /// What was written last.
    kept: parking_lot::Mutex<Option<State>>,
    known: ArcSwap<Known>,
    /// Held by whoever deploys.
    one_at_a_time: tokio::sync::Mutex<()>,
    /// The compiled forms of what was examined last, so that activating it compiles nothing.
    fresh: parking_lot::Mutex<VecDeque<Arc<Rule>>>,
}

/// How many of them.
const FRESH_MAX: usize = 8;

impl Deployer {
    /// What is known now.
    pub fn known(&self) -> Arc<Known> {
        self.known.load_full()
    }

    /// The right to deploy; one at a time has it.
    async fn turn(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, Refused> {
        let turn = self.one_at_a_time.lock().await;
        if self.node.is_draining() {
            return Err(Refused::Failed("the server is going down".into()));
        }
        Ok(turn)
    }

    fn metrics(&self, name: &str) -> Arc<PluginMetrics> {
        self.node.shared.metrics.of_plugin(&name.into())
    }

    /// How long the lanes of a plugin may take to come to a swap.
    fn pause(&self) -> Duration {
        let limits = &self.node.shared.limits;
        Duration::from_millis(limits.pause_ms_max + limits.route_ms_max)
    }

    /// The compiled form of a version: what is there, or compiled off the lanes.
    async fn rule(&self, version: &Arc<Version>) -> Result<Arc<Rule>, Refused> {
        if let Some(rule) = version.compiled() {
            return Ok(rule);
        }
        let rule = self.compile(self.component(version).await?).await?;
        version.set_compiled(&rule);
        Ok(rule)
    }

    /// What a version imports and exports.
    pub async fn interfaces(&self, name: &str, version: &str) -> Result<Interfaces, Refused> {
        let version = self.known().plugin(name)?.version(version)?.clone();
        let component = self.component(&version).await?;
        off_the_lanes(move || Interfaces::of(&component)).await?.map_err(Refused::unfit)
    }

    async fn component(&self, version: &Version) -> Result<Bytes, Refused> {
        match version.component() {
            Component::Here(component) => Ok(component.clone()),
            Component::Kept => self.kept_component(&version.id).await,
        }
    }

    /// Checks and compiles a component, off the lanes, unless its compiled form is there already.
    async fn compile(&self, component: Bytes) -> Result<Arc<Rule>, Refused> {
        let (engine, disk, known) = (self.engine.clone(), self.disk.clone(), self.known());
        off_the_lanes(move || {
            let id = crate::data::version_of(&component);
            let versions = known.plugins.values().flat_map(|plugin| &plugin.versions);
            let compiled = versions.filter(|version| version.id == id).find_map(|version| version.compiled());
            let folder = disk.opened();
            let cache = folder.as_deref().map(DataDir::cache);
            compiled.map_or_else(|| engine.load(&component, cache).map(Arc::new), Ok)
        })
        .await?
        .map_err(Refused::Unfit)
    }

    /// What a rule says of itself.
    async fn describe(&self, name: &str, rule: &Arc<Rule>) -> Result<Info, Refused> {
        let mounted = Arc::new(Mounted { plugin: name.into(), config: "null".into(), rule: rule.clone() });
        let shared = self.node.shared.clone();
        let described = off_the_lanes(move || Guest::describe(&mounted, &shared)).await?;
        described.map_err(|fault| Refused::unfit(fault.to_string()))
    }

    /// Keeps a compiled form that nobody uses yet.
    fn hold(&self, rule: &Arc<Rule>) {
        let mut fresh = self.fresh.lock();
        fresh.push_back(rule.clone());
        if fresh.len() > FRESH_MAX {
            fresh.pop_front();
        }
    }

    /// Instances of all of `mounted` for each lane.
    async fn warm(&self, mounted: Vec<Arc<Mounted>>) -> Result<Vec<Vec<Guest>>, Refused> {
        let (shared, lanes) = (self.node.shared.clone(), self.lanes);
        off_the_lanes(move || {
            let of_lane = |_| mounted.iter().map(|mounted| Guest::warm(mounted, &shared)).collect();
            (0..lanes).map(of_lane).collect::<Result<_, _>>()
        })
        .await?
        .map_err(|fault| Refused::unfit(fault.to_string()))
    }
}

/// Runs what takes long on a thread that serves nobody.
async fn off_the_lanes<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refused> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Refused::Failed("the host panicked on it; this is a bug of the server, see its log".into()))
}
