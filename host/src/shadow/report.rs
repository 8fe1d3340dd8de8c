//! What a shadow has found: for the operator, and for an activation that demands that it is clean.

use super::answers::Verdict;
use crate::clock;
use crate::event::{Event, Happening};
use crate::histogram::Histogram;
use crate::metrics::{PluginMetrics, ShadowResult};
use crate::pid::Pid;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// So many differences are told in full, each with so many extra and missing recipients.
const TOLD_MAX: usize = 20;
/// Of so many events it is remembered whether they differed; an activation can't demand more (arbitrary).
const LAST_MAX: usize = 100_000;

/// What has been found so far.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Of the candidate: `sha256:…`.
    pub version: String,
    /// The share of events that are compared.
    pub sample: f64,
    /// When it began, in milliseconds since 1970.
    pub since_ms: u64,
    /// Events that both rules were asked.
    pub compared: u64,
    /// Those in which everybody would have received the same.
    pub same: u64,
    /// And those in which not.
    pub different: u64,
    /// Events of the sample that there was no room for.
    pub dropped: u64,
    /// Events on which the candidate failed.
    pub traps: u64,
    /// The first ones.
    pub differences: Vec<Difference>,
    /// How long the live rule took.
    pub live: Times,
    /// How long the candidate took.
    pub shadow: Times,
}

/// One event that the candidate would have routed in another way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its id.
    pub event: String,
    /// Its topic.
    pub topic: String,
    /// What happened: `publish`, `join`, `leave`, `exit` or `timer`.
    pub kind: &'static str,
    /// The first that would receive something only from the candidate.
    pub extra: Vec<String>,
    /// And only from the live rule.
    pub missing: Vec<String>,
    /// In words.
    pub what: String,
}

/// Times of single calls; none before there is one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Times {
    /// Half of them took no longer.
    pub p50_us: Option<f64>,
    /// 99 of 100 took no longer.
    pub p99_us: Option<f64>,
}

/// Where the shadow's thread writes it down.
pub(super) struct Findings {
    version: String,
    sample: f64,
    since_ms: u64,
    dropped: AtomicU64,
    counted: Option<Arc<PluginMetrics>>,
    live: Histogram,
    shadow: Histogram,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    compared: u64,
    different: u64,
    traps: u64,
    differences: Vec<Difference>,
    /// Whether each of the last events differed, the newest at the end.
    last: VecDeque<bool>,
}

impl Findings {
    pub(super) fn new(version: String, sample: f64, counted: Option<Arc<PluginMetrics>>) -> Self {
        Self {
            version,
            sample,
            since_ms: clock::unix_ms(),
            dropped: AtomicU64::new(0),
            counted,
            live: Histogram::of_times(),
            shadow: Histogram::of_times(),
            found: Mutex::default(),
        }
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    pub(super) fn drop_one(&self) {
        self.dropped.fetch_add(1, Relaxed);
        self.count(ShadowResult::Skipped);
    }

    fn count(&self, result: ShadowResult) {
        if let Some(counted) = &self.counted {
            counted.shadow.of(result).inc();
        }
    }

    pub(super) fn add(&self, event: &Event, verdict: Verdict, live: Duration, shadow: Duration) {
        self.live.add_ns(live.as_nanos() as u64);
        self.shadow.add_ns(shadow.as_nanos() as u64);
        self.count(match (verdict.is_trap, &verdict.difference) {
            (true, _) => ShadowResult::Failed,
            (false, Some(_)) => ShadowResult::Different,
            (false, None) => ShadowResult::Same,
        });
        let mut found = self.found.lock();
        found.compared += 1;
        found.traps += u64::from(verdict.is_trap);
        found.different += u64::from(verdict.difference.is_some());
        if found.last.len() >= LAST_MAX {
            found.last.pop_front();
        }
        found.last.push_back(verdict.difference.is_some());
        if let Some(difference) = verdict.difference.filter(|_| found.differences.len() < TOLD_MAX) {
            let name = |bits: &u64| Pid::from_bits(*bits).map_or_else(|| bits.to_string(), |pid| pid.to_string());
            found.differences.push(Difference {
                event: event.id.to_string(),
                topic: event.topic.to_string(),
                kind: match event.what {
                    Happening::Publish(_) => "publish",
                    Happening::Join { .. } => "join",
                    Happening::Leave => "leave",
                    Happening::Exit(_) => "exit",
                    Happening::Timer(_) => "timer",
                },
                extra: difference.extra.iter().take(TOLD_MAX).map(name).collect(),
                missing: difference.missing.iter().take(TOLD_MAX).map(name).collect(),
                what: difference.what,
            });
        }
    }

    pub(super) fn report(&self) -> Report {
        let times = |times: &Histogram| Times { p50_us: times.quantile_us(0.5), p99_us: times.quantile_us(0.99) };
        let found = self.found.lock();
        Report {
            version: self.version.clone(),
            sample: self.sample,
            since_ms: self.since_ms,
            compared: found.compared,
            same: found.compared - found.different,
            different: found.different,
            dropped: self.dropped.load(Relaxed),
            traps: found.traps,
            differences: found.differences.clone(),
            live: times(&self.live),
            shadow: times(&self.shadow),
        }
    }

    pub(super) fn is_clean(&self, events: u64, max_different: u64) -> Result<(), String> {
        if events > LAST_MAX as u64 {
            return Err(format!("a shadow remembers its last {LAST_MAX} events: demand no more"));
        }
        let found = self.found.lock();
        if (found.last.len() as u64) < events {
            return Err(format!("the shadow has compared {} events, of {events} that are demanded", found.last.len()));
        }
        let different = found.last.iter().rev().take(events as usize).filter(|different| **different).count() as u64;
        if different > max_different {
            let words = format!("of the last {events} events {different} differ, and {max_different} may");
            return Err(format!("{words}: see the shadow's report"));
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, sample, compared, same, different, dropped, traps, .. } = self;
        writeln!(f, "shadow of {version} on {} % of the events", sample * 100.0)?;
        writeln!(f, "{compared} compared: {same} same, {different} different; {traps} traps; {dropped} dropped")?;
        let us = |us: Option<f64>| us.map_or_else(|| "-".into(), |us| format!("{us} us"));
        for (name, times) in [("live", &self.live), ("shadow", &self.shadow)] {
            writeln!(f, "{name}: p50 {}, p99 {}", us(times.p50_us), us(times.p99_us))?;
        }
        for Difference { event, topic, kind, extra, missing, what } in &self.differences {
            writeln!(f, "event {event}, a {kind} on {topic}: {what}")?;
            for (name, pids) in [("extra", extra), ("missing", missing)] {
                if !pids.is_empty() {
                    writeln!(f, "  {name}: {}", pids.join(" "))?;
                }
            }
        }
        Ok(())
    }
}
