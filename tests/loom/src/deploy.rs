//! Stands in for whoever deploys, as far as it changes the routes; how topics move is the server's own.

use crate::generation::Row;
use crate::node::Node;
use crate::plugin::Plugin;
use crate::routes::{Moving, Route, Routes};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

include!(concat!(env!("OUT_DIR"), "/deploy-routes.rs"));

const LOOK: Duration = Duration::ZERO;

/// Deploys.
pub struct Deployer {
    /// What serves.
    pub node: Arc<Node>,
}

/// What is to be there.
#[derive(Default)]
pub struct Known {
    routes: Vec<RouteConfig>,
    plugins: BTreeMap<String, KnownPlugin>,
}

struct RouteConfig {
    plugin: String,
    row: Row,
}

struct KnownPlugin {
    running: Option<Arc<Plugin>>,
}

fn row(route: &RouteConfig) -> Row {
    route.row.clone()
}

impl Known {
    /// With those rows.
    pub fn new(rows: Vec<Route>) -> Self {
        let mut known = Self::default();
        for Route { row, plugin } in rows {
            known.routes.push(RouteConfig { plugin: plugin.name().to_string(), row });
            known.plugins.insert(plugin.name().to_string(), KnownPlugin { running: Some(plugin) });
        }
        known
    }
}

impl Deployer {
    /// Sends topics where they belong now.
    pub async fn set_routes(&self, rows: Vec<Route>) {
        self.move_topics(&Known::new(rows)).await;
    }
}
