//! Changing the routes: the whole set at once. Topics that stay with their plugin go on all the time; what comes for
//! those that move is held until the plugin before has routed what it had.

use super::Deployer;
use super::known::{Known, row};
use super::refused::Refused;
use super::swap::{Prepared, undone};
use crate::config::RouteConfig;
use crate::generation::Row;
use crate::routes::{Moving, Route, Routes};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two looks whether the plugin before is done.
const LOOK: Duration = Duration::from_millis(2);

impl Deployer {
    /// Routes by these rows from now on. If anything is wrong with any of them, nothing changes. `check` may refuse what
    /// is there now.
    pub async fn set_routes(
        &self,
        routes: Vec<RouteConfig>,
        check: impl FnOnce(&Known) -> Result<(), Refused>,
    ) -> Result<Arc<Known>, Refused> {
        let _turn = self.turn().await?;
        let known = self.known();
        check(&known)?;
        self.check_routes(&routes, &known)?;
        let mut next = Known::clone(&known);
        let named: BTreeSet<String> = routes.iter().map(|route| route.plugin.clone()).collect();
        for name in &named {
            self.know_source(&mut next, name).await?;
        }
        (next.routes, next.routes_are_set) = (routes, true);
        let before: BTreeSet<String> = known.routes.iter().map(|route| route.plugin.clone()).collect();
        // Plugins that lose topics keep their old rows, too, until those have moved.
        let (mut prepared, mut narrowed) = (Vec::new(), Vec::new());
        for name in named.union(&before) {
            let (old, new) = (known.rows(name), next.rows(name));
            if old == new && next.plugin(name)?.running.is_some() {
                continue;
            }
            let lost: Vec<Row> = old.into_iter().filter(|old| new.iter().all(|new| new.topics != old.topics)).collect();
            if !lost.is_empty() {
                narrowed.push(name.clone());
            }
            let rows = [new, lost].concat();
            prepared.push((name.clone(), self.prepare(&next, name, rows).await?));
        }
        let journal = self.journal();
        let ready = async {
            let mut ready = Vec::new();
            for (name, prepared) in prepared {
                ready.push((name, self.go_live(prepared, &journal).await?));
            }
            self.keep(&next).await.map(|()| ready)
        };
        let widened = match ready.await {
            Ok(widened) => widened,
            Err(refused) => return Err(undone(journal, refused).await),
        };
        journal.keep();
        for (name, prepared) in widened {
            self.publish(&mut next, &name, prepared).await?;
        }
        self.move_topics(&next).await;
        for name in narrowed {
            let rows = next.rows(&name);
            self.publish_rows(&mut next, &name, rows).await;
        }
        tracing::info!(rows = next.routes.len(), "new routes");
        let next = Arc::new(next);
        self.known.store(next.clone());
        Ok(next)
    }

    fn check_routes(&self, routes: &[RouteConfig], known: &Known) -> Result<(), Refused> {
        let routes_max = self.node.shared.limits.routes_max;
        let mut wrong = Vec::new();
        if routes.len() as u64 > routes_max {
            wrong.push(format!("there are more than {routes_max} rows (routes_max)"));
        }
        let mut patterns = BTreeSet::new();
        for route in routes {
            if !patterns.insert(&route.topics) {
                wrong.push(format!("the pattern {} has several rows", route.topics));
            }
            let is_known = self.sources.contains_key(&route.plugin)
                || known.plugins.get(&route.plugin).is_some_and(|plugin| plugin.active.is_some());
            if !is_known {
                let words = match known.plugins.get(&route.plugin) {
                    Some(_) => "no version of it is active; activate one first",
                    None => "there is no such plugin; push it first",
                };
                wrong.push(format!("{} = {:?}: {words}", route.topics, route.plugin));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(Refused::Unfit(wrong)) }
    }

    /// The same version on other rows. It was prepared before, or needs nothing new, so it cannot fail.
    pub(super) async fn publish_rows(&self, next: &mut Known, name: &str, rows: Vec<Row>) {
        let prepared: Result<Prepared, Refused> = self.prepare(next, name, rows).await;
        let published = match prepared {
            Ok(prepared) => self.publish(next, name, prepared).await,
            Err(refused) => Err(refused),
        };
        if let Err(refused) = published {
            tracing::error!(plugin = name, "rows that were given up are still there: {refused}");
        }
    }

    /// Sends topics where they belong now, each in order.
    pub(super) async fn move_topics(&self, next: &Known) {
        let rows = |route: &RouteConfig| {
            let plugin = next.plugins.get(&route.plugin)?.running.clone()?;
            Some(Route { row: row(route), plugin })
        };
        let rows: Vec<Route> = next.routes.iter().filter_map(rows).collect();
        let (before, begun) = (self.node.routes.load_full(), Instant::now());
        let moving = Arc::new(Moving::new(before.rows(), &self.node.shared.limits));
        let plugins = before.plugins();
        self.node.routes.store(Arc::new(Routes::new(rows.clone()).with_moving(moving.clone())));
        // Whoever still looks at the old routes puts events where they were.
        Self::nobody_looks_at(before).await;
        let routes = Arc::new(Routes::new(rows));
        for plugin in plugins {
            let (name, now) = (plugin.name().clone(), routes.clone());
            let has_moved = move |topic: &_| now.plugin(topic).is_none_or(|now| *now.name() != name);
            while plugin.any_waiting(has_moved.clone()).await {
                if begun.elapsed() > Duration::from_millis(self.node.shared.limits.move_ms_max) {
                    tracing::warn!(plugin = %plugin.name(), "topics move before all their events were routed (move_ms_max)");
                    break;
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        moving.release(&routes);
        let between = self.node.routes.load_full();
        self.node.routes.store(routes);
        // The next change of routes must not be overtaken by whoever has slept over all of this one.
        Self::nobody_looks_at(between).await;
    }

    /// Waits until nobody has routes in hand that were replaced.
    async fn nobody_looks_at(routes: Arc<Routes>) {
        while Arc::strong_count(&routes) > 1 {
            tokio::time::sleep(LOOK).await;
        }
    }
}
