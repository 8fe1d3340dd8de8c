//! Lanes: what waits in each, for how long, and how busy it is.

use crate::clock;
use crate::plugin::Plugin;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One lane.
#[derive(Clone, Debug, Serialize)]
pub struct LaneNow {
    /// Events that wait.
    pub queued: u64,
    /// Events that it has taken and not routed yet.
    pub in_hand: u64,
    /// For how long the first one in its queue waits; those of slow topics, which wait aside, are not in it.
    pub oldest_ms: u64,
    /// The share of the time since the picture before in which it worked.
    pub busy: f64,
}

/// How long each had worked at the picture before.
#[derive(Default)]
pub(super) struct Lanes {
    worked: BTreeMap<(String, usize), (Instant, Duration)>,
}

impl Lanes {
    /// Those of a plugin.
    pub(super) fn look(&mut self, name: &str, plugin: &Plugin) -> Vec<LaneNow> {
        let now_ms = clock::unix_ms();
        let lanes = plugin.lanes().iter().enumerate().map(|(index, lane)| {
            let (now, (worked, in_hand)) = (Instant::now(), lane.worked());
            let before = self.worked.insert((name.to_owned(), index), (now, worked));
            let busy = before.map_or(0.0, |(then, before)| {
                worked.saturating_sub(before).as_secs_f64() / (now - then).as_secs_f64().max(1e-3)
            });
            LaneNow {
                queued: lane.queued() as u64,
                in_hand,
                oldest_ms: lane.oldest_ms().map_or(0, |came| now_ms.saturating_sub(came)),
                busy: busy.min(1.0),
            }
        });
        lanes.collect()
    }
}
