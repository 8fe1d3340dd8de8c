//! A swap, step by step: the next generation is made and warmed, the tables change their layout if they must, it is kept,
//! and published. Until it is kept everything can be taken back; after that nothing can fail.

use super::known::Known;
use super::refused::Refused;
use super::{Deployer, off_the_lanes};
use crate::data::CodeChange;
use crate::generation::{Generation, Previous, Row};
use crate::journal::Journal;
use crate::plugin::Plugin;
use crate::router::{Fault, Guest, Mounted};
use crate::shadow::Shadow;
use std::sync::Arc;
use std::time::Duration;

/// A generation that is ready but for its instances, which have not touched anything yet.
pub(super) struct Prepared {
    generation: Generation,
    /// New instances, for each lane.
    warm: Vec<Vec<Guest>>,
}

impl Prepared {
    pub(super) fn with_shadow(self, shadow: Arc<Shadow>) -> Self {
        Self { generation: self.generation.with_shadow(shadow), ..self }
    }
}

impl Deployer {
    /// Makes the active version of `next` the one that routes.
    pub(super) async fn swap(&self, next: &mut Known, name: &str, change: CodeChange) -> Result<(), Refused> {
        let prepared = self.prepare(next, name, next.rows(name)).await?;
        let journal = self.journal();
        // A version that migrates nothing needs no pause.
        let paused = match &next.plugin(name)?.running {
            Some(running) if change != CodeChange::None => running.pause(self.pause()).await.ok_or_else(|| {
                Refused::Failed("the plugin's lanes did not come to a stop in time (pause_ms_max); try again".into())
            })?,
            _ => Vec::new(),
        };
        let held = (change != CodeChange::None).then(|| self.node.shared.tables.hold(name));
        let ready = async {
            self.change_code(next, name, change, &prepared, &journal).await?;
            let prepared = self.go_live(prepared, &journal).await?;
            if let Some(held) = &held {
                self.stage(next, held).await?;
            }
            self.keep(next).await.map(|()| prepared)
        };
        let prepared = match ready.await {
            Ok(prepared) => prepared,
            Err(refused) => return Err(undone(journal, refused).await),
        };
        self.store(next, name, prepared)?;
        // It has happened; what waited for that is done, or the log says that the host is broken.
        let _ = off_the_lanes(move || journal.keep()).await;
        drop(held);
        drop(paused);
        self.settle(next, name).await;
        Ok(())
    }

    /// The next generation of a plugin: its active version on those rows, with a warm instance for each lane of what is
    /// not warm yet.
    pub(super) async fn prepare(&self, next: &Known, name: &str, rows: Vec<Row>) -> Result<Prepared, Refused> {
        let plugin = next.plugin(name)?;
        let Some(active) = &plugin.active else {
            return Err(Refused::Conflict(format!("no version of {name:?} is active; activate one first")));
        };
        let name: Arc<str> = name.into();
        let running = plugin.running.as_ref().map(|running| running.generation());
        let running = running.as_deref();
        let mut generation = Generation::new(&name, self.rule(active).await?, rows, running);
        if let Some(before) = &plugin.before {
            // An older version that cannot be compiled any more is no reason not to go on without it.
            if let Ok(rule) = self.rule(&before.version).await {
                let configs = before.configs.iter().map(|(topics, config)| (topics.clone(), config.as_str().into()));
                let recent = Duration::from_millis(self.node.shared.limits.rollback_recent_ms);
                let leads_back = plugin.swapped_at.and_then(|at| recent.checked_sub(at.elapsed()));
                let previous = Previous {
                    rule,
                    configs: configs.collect(),
                    falls_back: before.back == CodeChange::None,
                    leads_back,
                };
                generation = generation.with_previous(&name, &previous, running);
            }
        }
        // What routes now goes on. Going back makes its instances anew, which takes no compile and gives the tables the
        // bounds of that version again.
        let is_warm = |mounted: &Arc<Mounted>| {
            running.is_some_and(|now| now.mounted.iter().any(|warm| Arc::ptr_eq(warm, mounted)))
        };
        let cold: Vec<Arc<Mounted>> = generation.mounted.iter().filter(|mounted| !is_warm(mounted)).cloned().collect();
        let warm = self.warm(cold).await?;
        Ok(Prepared { generation, warm })
    }

    /// Runs `upgrade` or `downgrade`, once, in an instance of its own. The lanes are paused, and all it does is in the
    /// journal.
    async fn change_code(
        &self,
        next: &Known,
        name: &str,
        change: CodeChange,
        prepared: &Prepared,
        journal: &Arc<Journal>,
    ) -> Result<(), Refused> {
        let plugin = next.plugin(name)?;
        let (Some(active), Some(before)) = (&plugin.active, &plugin.before) else { return Ok(()) };
        let (mounted, other) = match change {
            CodeChange::None => return Ok(()),
            // The version that comes changes the tables; it is told from which one.
            CodeChange::Up => (active, before.version.info.version.clone()),
            // The version that goes is told to which one.
            CodeChange::Down => (&before.version, active.info.version.clone()),
        };
        // Of one config, the first; of none if nothing is routed by it now: its tables are there all the same.
        let configs = prepared.generation.mounted.first().map_or("null", |mounted| &mounted.config);
        let (plugin, config, rule) = (name.into(), configs.to_owned(), self.rule(mounted).await?);
        let mounted = Arc::new(Mounted { plugin, config, rule });
        let (shared, journal) = (self.node.shared.clone(), journal.clone());
        let run = move || -> Result<(), Fault> {
            let mut guest = Guest::warm(&mounted, &shared)?;
            match change {
                CodeChange::Down => guest.downgrade(&other, &journal),
                _ => guest.upgrade(&other, &mounted.config, &journal),
            }
        };
        let words = |fault: Fault| {
            Refused::unfit(format!(
                "the code change failed, and all it did is undone; the version before serves on: {fault}"
            ))
        };
        off_the_lanes(run).await?.map_err(words)
    }

    /// What the new instances have opened becomes the plugin's.
    pub(super) async fn go_live(&self, prepared: Prepared, journal: &Arc<Journal>) -> Result<Prepared, Refused> {
        let Prepared { generation, mut warm } = prepared;
        let journal = Some(journal.clone());
        let live = off_the_lanes(move || {
            warm.iter_mut().flatten().try_for_each(|guest| guest.go_live(journal.as_ref())).map(|()| warm)
        });
        let warm = live.await?.map_err(|fault| Refused::unfit(fault.to_string()))?;
        Ok(Prepared { generation, warm })
    }

    /// For what a deploy changes before it is sure that it happens.
    pub(super) fn journal(&self) -> Arc<Journal> {
        Arc::new(Journal::new(self.node.shared.limits.undo_bytes_max))
    }

    /// From here on the lanes route by it.
    pub(super) async fn publish(&self, next: &mut Known, name: &str, prepared: Prepared) -> Result<(), Refused> {
        self.store(next, name, prepared)?;
        self.settle(next, name).await;
        Ok(())
    }

    fn store(&self, next: &mut Known, name: &str, prepared: Prepared) -> Result<(), Refused> {
        let Some(plugin) = next.plugins.get_mut(name) else { return Err(Refused::Unknown(name.into())) };
        let generation = Arc::new(prepared.generation.with_warm(prepared.warm));
        // It compares with one generation; what it has found is of no use for the next.
        if let Some(shadow) = std::mem::replace(&mut plugin.shadow, generation.shadow.clone()) {
            shadow.stop();
        }
        if let Some(running) = &plugin.running {
            running.publish(generation);
        } else {
            let started = Plugin::start(name.into(), generation, self.lanes, &self.node.shared, &self.alarms);
            plugin.running = Some(Arc::new(started.map_err(|error| Refused::Failed(format!("{error:#}")))?));
        }
        Ok(())
    }

    /// Waits for the lanes to finish the events they are at and to let go of instances that nobody needs any more.
    async fn settle(&self, next: &Known, name: &str) {
        let Some(running) = next.plugins.get(name).and_then(|plugin| plugin.running.as_ref()) else { return };
        if !running.settled(self.pause()).await {
            tracing::warn!(plugin = name, "a lane is still at an event of the version before (pause_ms_max)");
        }
    }
}

/// All is as it was before a deploy that is refused.
pub(super) async fn undone(journal: Arc<Journal>, refused: Refused) -> Refused {
    match off_the_lanes(move || journal.undo()).await {
        Ok(()) => refused,
        Err(failed) => failed,
    }
}
