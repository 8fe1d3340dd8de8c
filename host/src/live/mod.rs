//! What operators watch: the server in one picture, taken every second for as long as somebody looks.
//!
//! It is taken on the control plane, once for all who look, and asks nobody on the data plane: what is counted anyway is
//! read, the sessions are looked over a slice at a time (`mailboxes`), and only the lanes count something more (`Sight`,
//! in `lane`). Rates are left to the reader, who has two pictures.

mod lanes;
mod mailboxes;
mod now;
mod topics;

pub use lanes::LaneNow;
pub use mailboxes::{Depth, Mailboxes};
pub use now::{Clients, Process, Totals, Use};
pub use topics::TopicNow;

use crate::clock;
use crate::deploy::{Deployer, KnownPlugin};
use crate::histogram::Seen;
use crate::lane::Lane;
use crate::node::Node;
use lanes::Lanes;
use mailboxes::Survey;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use topics::Topics;

/// How often a picture is taken.
pub const EVERY: Duration = Duration::from_secs(1);
/// Times of calls are those of so many pictures.
const TIMES_OF: usize = 10;

/// One picture.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// When, since 1970.
    pub at_ms: u64,
    /// How long the server is up.
    pub up_ms: u64,
    /// The program's version.
    pub release: &'static str,
    /// What the system says of the process.
    pub process: Process,
    /// What has happened since the start; two of them make a rate.
    pub totals: Totals,
    /// Who is there.
    pub clients: Clients,
    /// Limits, and what there is of what they bound.
    pub uses: Vec<Use>,
    /// What waits in mailboxes.
    pub mailboxes: Mailboxes,
    /// By name.
    pub plugins: Vec<PluginNow>,
    /// The busiest first.
    pub topics: Vec<TopicNow>,
}

/// One plugin.
#[derive(Clone, Debug, Serialize)]
pub struct PluginNow {
    /// Its name.
    pub name: String,
    /// The version that routes.
    pub active: Option<String>,
    /// What that says of itself.
    pub release: Option<String>,
    /// The version before.
    pub previous: Option<String>,
    /// How many versions are known.
    pub versions: usize,
    /// When it last went back by itself, since 1970.
    pub rolled_back_ms: Option<u64>,
    /// Grows with each swap.
    pub generation: u64,
    /// Events that its rule was asked about.
    pub calls: u64,
    /// Those that it refused.
    pub refusals: u64,
    /// Those on which it failed.
    pub traps: u64,
    /// Those that full lanes turned away.
    pub busy: u64,
    /// Mailboxes that its events went into.
    pub recipients: u64,
    /// Of the last seconds; none without a call.
    pub p50_us: Option<f64>,
    /// Likewise.
    pub p99_us: Option<f64>,
    /// Of all its instances.
    pub memory_bytes: i64,
    /// How many these are.
    pub instances: i64,
    /// Events that have come and are not routed yet.
    pub in_flight: u64,
    /// One by one.
    pub lanes: Vec<LaneNow>,
    /// A version that is tried.
    pub shadow: Option<ShadowNow>,
}

/// A shadow in short.
#[derive(Clone, Debug, Serialize)]
pub struct ShadowNow {
    /// Which version.
    pub version: String,
    /// The share of the events.
    pub sample: f64,
    /// Events that were compared.
    pub compared: u64,
    /// Of these, those that it answers differently.
    pub different: u64,
    /// And those on which it failed.
    pub traps: u64,
    /// Events that there was no room for.
    pub dropped: u64,
}

/// Takes pictures, and remembers what it takes to compare them.
pub struct Observer {
    node: Arc<Node>,
    deployer: Arc<Deployer>,
    started: Instant,
    survey: Survey,
    lanes: Lanes,
    topics: Topics,
    /// Of each plugin, at the last pictures.
    times: BTreeMap<String, VecDeque<Seen>>,
}

impl Observer {
    /// For somebody who begins to look.
    pub fn new(node: Arc<Node>, deployer: Arc<Deployer>, started: Instant) -> Self {
        Self {
            node,
            deployer,
            started,
            survey: Survey::default(),
            lanes: Lanes::default(),
            topics: Topics::default(),
            times: BTreeMap::new(),
        }
    }

    /// Takes one. Others have their turns while it looks over many sessions.
    pub async fn look(&mut self) -> Snapshot {
        let shared = self.node.shared.clone();
        self.survey.go_on(&shared.sessions).await;
        let known = self.deployer.known();
        self.times.retain(|name, _| known.plugins.contains_key(name));
        let plugins: Vec<PluginNow> = known.plugins.iter().map(|(name, plugin)| self.plugin(name, plugin)).collect();
        let counted = known.plugins.iter().flat_map(|(name, plugin)| {
            let lanes = plugin.running.iter().flat_map(|running| running.lanes());
            lanes.flat_map(Lane::take_topics).map(|counted| (name.as_str(), counted))
        });
        self.topics.note(counted, Instant::now());
        let fullest = plugins.iter().flat_map(|plugin| &plugin.lanes).map(|lane| lane.queued).max().unwrap_or(0);
        Snapshot {
            at_ms: clock::unix_ms(),
            up_ms: self.started.elapsed().as_millis() as u64,
            release: env!("CARGO_PKG_VERSION"),
            process: Process::now(),
            totals: Totals::of(&shared, &plugins),
            clients: Clients::of(&shared),
            uses: now::uses(&shared, plugins.len() as u64, fullest),
            mailboxes: self.survey.found(&shared),
            topics: self.topics.busiest(),
            plugins,
        }
    }

    fn plugin(&mut self, name: &str, plugin: &KnownPlugin) -> PluginNow {
        let metrics = self.node.shared.metrics.of_plugin(&name.into());
        let lanes = plugin.running.as_ref().map_or_else(Vec::new, |running| self.lanes.look(name, running));
        let seen = metrics.route.seen();
        let earlier = self.times.entry(name.to_owned()).or_default();
        let lately = earlier.front().map(|first| seen.since(first));
        if earlier.len() == TIMES_OF {
            earlier.pop_front();
        }
        earlier.push_back(seen);
        let quantile = |share| lately.as_ref().and_then(|lately| lately.quantile_us(share));
        let shadow = plugin.shadow.as_ref().map(|shadow| {
            let report = shadow.report();
            ShadowNow {
                version: report.version,
                sample: report.sample,
                compared: report.compared,
                different: report.different,
                traps: report.traps,
                dropped: report.dropped,
            }
        });
        PluginNow {
            name: name.to_owned(),
            active: plugin.active.as_ref().map(|active| active.id.clone()),
            release: plugin.active.as_ref().map(|active| active.info.version.clone()),
            previous: plugin.before.as_ref().map(|before| before.version.id.clone()),
            versions: plugin.versions.len(),
            rolled_back_ms: plugin.rolled_back.as_ref().map(|back| back.at_ms),
            generation: plugin.running.as_ref().map_or(0, |running| running.generation().number),
            calls: metrics.events.get(),
            refusals: metrics.refusals.get(),
            traps: metrics.faults.total(),
            busy: metrics.busy.get(),
            recipients: metrics.recipients.sum(),
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            memory_bytes: metrics.memory.get(),
            instances: metrics.instances.get(),
            in_flight: lanes.iter().map(|lane| lane.queued + lane.in_hand).sum(),
            lanes,
            shadow,
        }
    }
}
