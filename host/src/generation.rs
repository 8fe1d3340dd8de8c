//! A generation: what a plugin's lanes route by, as one value. Swapping a rule, a config or a route publishes the next
//! one; each event is routed under exactly one of them.

use crate::limits::Limits;
use crate::on_trap::OnTrap;
use crate::router::{Guest, Mounted, Rule};
use crate::shadow::Shadow;
use crate::sync::Mutex;
use crate::topic::{Pattern, Topic};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Topics of a plugin, and how they are routed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The topics meant.
    pub topics: Pattern,
    /// What `init` gets, as JSON.
    pub config: Arc<str>,
    /// What becomes of an event on which the rule failed.
    pub on_trap: OnTrap,
}

/// What a plugin's lanes route by.
pub struct Generation {
    /// Counts on with each one that the plugin publishes.
    pub number: u64,
    /// The active version.
    pub rule: Arc<Rule>,
    /// One for each config of the rows.
    pub mounted: Vec<Arc<Mounted>>,
    /// Those of the version before, config by config, still warm; empty when there is none.
    pub previous: Vec<Arc<Mounted>>,
    /// Whether the version before may route what this one failed on: not when this one has migrated their tables.
    pub falls_back: bool,
    /// A candidate that is asked what the active version was asked, too.
    pub shadow: Option<Arc<Shadow>>,
    /// The most specific first, each with the place of its config in `mounted`.
    rows: Vec<(Row, usize)>,
    /// Instances that are ready, for each lane; it takes its own.
    warm: Mutex<Vec<Vec<Guest>>>,
    traps: Traps,
}

/// The version before, as a generation knows it.
pub struct Previous {
    /// Its rule.
    pub rule: Arc<Rule>,
    /// Its configs, where they were other ones.
    pub configs: BTreeMap<Pattern, Arc<str>>,
    /// Whether it may route what the active one failed on.
    pub falls_back: bool,
    /// For how long failures of the active one lead back to it by themselves, where there is a way.
    pub leads_back: Option<Duration>,
}

/// How a generation's rule has failed of late.
struct Traps {
    /// Until when this version counts as a new one, if there was one before.
    until: Option<Instant>,
    at: Mutex<VecDeque<Instant>>,
    told: AtomicBool,
}

impl Generation {
    /// Of a rule on those rows. What is mounted in the same way in `before` stays what it is, so that its instances stay
    /// warm.
    pub fn new(plugin: &Arc<str>, rule: Arc<Rule>, mut rows: Vec<Row>, before: Option<&Self>) -> Self {
        rows.sort_by(|a, b| a.topics.cmp(&b.topics));
        let mut mounted: Vec<Arc<Mounted>> = Vec::new();
        let rows = rows.into_iter().map(|row| {
            let at = mounted.iter().position(|mounted| *mounted.config == *row.config).unwrap_or_else(|| {
                mounted.push(mount(plugin, &rule, &row.config, before));
                mounted.len() - 1
            });
            (row, at)
        });
        let rows = rows.collect();
        let traps = Traps { until: None, at: Mutex::default(), told: AtomicBool::new(false) };
        let number = before.map_or(1, |before| before.number + 1);
        Self {
            number,
            rule,
            mounted,
            previous: Vec::new(),
            falls_back: false,
            shadow: None,
            rows,
            warm: Mutex::default(),
            traps,
        }
    }

    /// The same with a version to go back to.
    #[must_use]
    pub fn with_previous(mut self, plugin: &Arc<str>, previous: &Previous, before: Option<&Self>) -> Self {
        let config = |at: usize| {
            let row = self.rows.iter().find(|(_, mounted)| *mounted == at).map(|(row, _)| row);
            row.map(|row| previous.configs.get(&row.topics).unwrap_or(&row.config).clone())
        };
        let configs: Vec<Arc<str>> = (0..self.mounted.len()).filter_map(config).collect();
        self.previous = configs.iter().map(|config| mount(plugin, &previous.rule, config, before)).collect();
        self.falls_back = previous.falls_back;
        self.traps.until = previous.leads_back.and_then(|recent| Instant::now().checked_add(recent));
        self
    }

    /// The same with a shadow.
    #[must_use]
    pub fn with_shadow(self, shadow: Arc<Shadow>) -> Self {
        Self { shadow: Some(shadow), ..self }
    }

    /// The same with instances for each lane.
    #[must_use]
    pub fn with_warm(self, warm: Vec<Vec<Guest>>) -> Self {
        *self.warm.lock() = warm;
        self
    }

    /// How a topic is routed, and which of `mounted` does it; none if it is no topic of this plugin.
    pub fn row(&self, topic: &Topic) -> Option<(&Row, usize)> {
        self.rows.iter().find(|(row, _)| row.topics.matches(topic)).map(|(row, mounted)| (row, *mounted))
    }

    /// The most specific first.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().map(|(row, _)| row)
    }

    /// The instances that were made ready for a lane; the second time there are none.
    pub fn take_warm(&self, lane: usize) -> Vec<Guest> {
        self.warm.lock().get_mut(lane).map(std::mem::take).unwrap_or_default()
    }

    /// The rule has failed. True, once, when that has been too often within the window since a swap that is recent.
    pub fn trapped(&self, limits: &Limits) -> bool {
        let now = Instant::now();
        if self.traps.until.is_none_or(|until| until < now) || self.traps.told.load(Relaxed) {
            return false;
        }
        let mut at = self.traps.at.lock();
        let window = Duration::from_millis(limits.rollback_window_ms);
        at.push_back(now);
        while at.front().is_some_and(|first| now - *first > window) {
            at.pop_front();
        }
        at.len() as u64 >= limits.rollback_traps_max && !self.traps.told.swap(true, Relaxed)
    }
}

impl Generation {
    /// Going back has failed: the next failures are to lead to it again.
    pub fn count_traps_again(&self) {
        self.traps.at.lock().clear();
        self.traps.told.store(false, Relaxed);
    }
}

fn mount(plugin: &Arc<str>, rule: &Arc<Rule>, config: &Arc<str>, before: Option<&Generation>) -> Arc<Mounted> {
    let same = |mounted: &&Arc<Mounted>| Arc::ptr_eq(&mounted.rule, rule) && *mounted.config == **config;
    let known = before.and_then(|before| before.mounted.iter().chain(&before.previous).find(same).cloned());
    known
        .unwrap_or_else(|| Arc::new(Mounted { plugin: plugin.clone(), config: config.to_string(), rule: rule.clone() }))
}
