//! Timers that rules set: each becomes an event on a topic of the plugin that set it.

use crate::clock;
use crate::denied::{Allowed, Denied, badarg};
use crate::event::Payload;
use crate::limits::{Limits, TIMER_MS_MIN};
use crate::topic::Topic;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// A timer may wait no longer than this: about a year.
const TIMER_MS_MAX: u64 = 366 * 24 * 3_600_000;

/// All timers that are still to fire.
pub struct Timers {
    limits: Arc<Limits>,
    waiting: Mutex<Waiting>,
    /// The next timer is now an earlier one.
    earlier: Notify,
}

#[derive(Default)]
struct Waiting {
    last_id: u64,
    /// By when they fire, then by id.
    due: BTreeMap<(u64, u64), Timer>,
    when: HashMap<u64, u64>,
    of_plugin: HashMap<Arc<str>, Held>,
}

/// What a plugin's timers take.
#[derive(Default)]
struct Held {
    timers: u64,
    bytes: u64,
}

/// One timer.
#[derive(Debug)]
pub struct Timer {
    /// Who set it, and gets the event.
    pub plugin: Arc<str>,
    /// Where the event happens.
    pub topic: Topic,
    /// What it carries.
    pub data: Payload,
}

impl Timers {
    /// None yet.
    pub fn new(limits: Arc<Limits>) -> Self {
        Self { limits, waiting: Mutex::default(), earlier: Notify::new() }
    }

    /// Sets a timer; its id cancels it.
    pub fn set(&self, delay_ms: u64, timer: Timer) -> Allowed<u64> {
        if delay_ms > TIMER_MS_MAX {
            return badarg("a timer waits a year at most");
        }
        let mut waiting = self.waiting.lock();
        let held = waiting.of_plugin.entry(timer.plugin.clone()).or_default();
        let bytes = held.bytes + timer.data.len() as u64;
        if held.timers >= self.limits.timers_max {
            return Err(Denied::Limit("timers_max"));
        }
        if bytes > self.limits.timers_bytes_max {
            return Err(Denied::Limit("timers_bytes_max"));
        }
        (held.timers, held.bytes) = (held.timers + 1, bytes);
        waiting.last_id += 1;
        let (id, at_ms) = (waiting.last_id, clock::now_ms() + delay_ms.max(TIMER_MS_MIN));
        waiting.when.insert(id, at_ms);
        waiting.due.insert((at_ms, id), timer);
        if waiting.due.keys().next() == Some(&(at_ms, id)) {
            self.earlier.notify_one();
        }
        Ok(id)
    }

    /// Cancels a plugin's own timer; whether it was still to fire.
    pub fn cancel(&self, plugin: &Arc<str>, id: u64) -> bool {
        let mut waiting = self.waiting.lock();
        let Some(at_ms) = waiting.when.get(&id).copied() else { return false };
        if waiting.due.get(&(at_ms, id)).is_none_or(|timer| timer.plugin != *plugin) {
            return false;
        }
        if let Some(timer) = waiting.take((at_ms, id)) {
            waiting.give_back(plugin, timer.data.len());
        }
        true
    }

    /// The event of a timer that carried so many bytes has been routed: only then its place is free, so that a lane's
    /// queue is bounded too.
    pub fn routed(&self, plugin: &Arc<str>, bytes: usize) {
        self.waiting.lock().give_back(plugin, bytes);
    }

    /// The next one, when its time has come. To be awaited by one task only.
    pub async fn next(&self) -> Timer {
        loop {
            let wait = {
                let mut waiting = self.waiting.lock();
                match waiting.due.keys().next().copied() {
                    None => Duration::MAX,
                    Some(key) => match key.0.checked_sub(clock::now_ms()) {
                        Some(left_ms) if left_ms > 0 => Duration::from_millis(left_ms),
                        _ => {
                            if let Some(timer) = waiting.take(key) {
                                return timer;
                            }
                            continue;
                        }
                    },
                }
            };
            // Either the time is over or an earlier timer came; the loop looks again anyhow.
            let _ = tokio::time::timeout(wait, self.earlier.notified()).await;
        }
    }

    /// How many are still to fire.
    pub fn count(&self) -> usize {
        self.waiting.lock().due.len()
    }
}

impl Waiting {
    fn take(&mut self, key: (u64, u64)) -> Option<Timer> {
        let timer = self.due.remove(&key)?;
        self.when.remove(&key.1);
        Some(timer)
    }

    fn give_back(&mut self, plugin: &Arc<str>, bytes: usize) {
        if let Some(held) = self.of_plugin.get_mut(plugin) {
            held.timers -= 1;
            held.bytes -= bytes as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(plugin: &str, n: u8) -> Timer {
        Timer { plugin: plugin.into(), topic: "a.b".parse().unwrap(), data: Payload::Text(n.to_string()) }
    }

    #[tokio::test]
    async fn timers_fire_in_order_unless_cancelled() {
        let timers = Timers::new(Arc::new(Limits { timers_max: 3, ..Limits::default() }));
        timers.set(30, timer("ann", 3)).unwrap();
        timers.set(0, timer("ann", 1)).unwrap();
        let cancelled = timers.set(20, timer("ann", 2)).unwrap();
        assert_eq!(timers.set(10, timer("ann", 4)), Err(Denied::Limit("timers_max")));
        assert!(matches!(timers.set(u64::MAX, timer("bob", 0)), Err(Denied::Badarg(_))));
        assert!(!timers.cancel(&"bob".into(), cancelled), "not his");
        assert!(timers.cancel(&"ann".into(), cancelled));
        assert!(!timers.cancel(&"ann".into(), cancelled));
        let start = clock::now_ms();
        assert_eq!(timers.next().await.data, Payload::Text("1".into()));
        assert_eq!(timers.next().await.data, Payload::Text("3".into()));
        assert!(clock::now_ms() >= start.saturating_sub(1) + TIMER_MS_MIN);
        assert_eq!(timers.count(), 0);
        let ann = "ann".into();
        timers.set(0, timer("ann", 5)).unwrap();
        assert!(timers.set(0, timer("ann", 6)).is_err(), "the two that fired are not routed yet");
        timers.routed(&ann, 1);
        assert!(timers.set(0, timer("ann", 6)).is_ok());
    }

    #[test]
    fn what_timers_carry_is_bounded() {
        let timers = Timers::new(Arc::new(Limits { timers_bytes_max: 2, ..Limits::default() }));
        let first = timers.set(1000, timer("ann", 1)).unwrap();
        timers.set(1000, timer("ann", 2)).unwrap();
        assert_eq!(timers.set(1000, timer("ann", 3)), Err(Denied::Limit("timers_bytes_max")));
        timers.set(1000, timer("bob", 3)).unwrap();
        assert!(timers.cancel(&"ann".into(), first));
        assert!(timers.set(1000, timer("ann", 3)).is_ok());
    }
}
