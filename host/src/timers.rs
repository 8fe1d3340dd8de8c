//! Timers that rules set: each becomes an event on a topic of the plugin that set it.

use crate::caller::Caller;
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
/// What a timer weighs in the undo of a code change besides its data: about.
const STEP_BYTES: u64 = 300;

/// All timers that are still to fire.
pub struct Timers {
    limits: Arc<Limits>,
    timetable: Arc<Timetable>,
}

#[derive(Default)]
struct Timetable {
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
    /// Set by a code change that may still be undone: they fire once it is not.
    held: HashMap<u64, (u64, Timer)>,
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

/// Whether a timer can wait so long.
pub fn check_delay(delay_ms: u64) -> Allowed<()> {
    if delay_ms > TIMER_MS_MAX { badarg("a timer waits a year at most") } else { Ok(()) }
}

impl Timers {
    /// None yet.
    pub fn new(limits: Arc<Limits>) -> Self {
        Self { limits, timetable: Arc::default() }
    }

    /// Sets a timer for the plugin that calls; its id cancels it.
    pub fn set(&self, by: &Caller, delay_ms: u64, topic: Topic, data: Payload) -> Allowed<u64> {
        check_delay(delay_ms)?;
        let mut waiting = self.timetable.waiting.lock();
        let held = waiting.of_plugin.entry(by.plugin.clone()).or_default();
        let bytes = data.len() as u64;
        if held.timers >= self.limits.timers_max {
            return Err(Denied::Limit("timers_max"));
        }
        if held.bytes + bytes > self.limits.timers_bytes_max {
            return Err(Denied::Limit("timers_bytes_max"));
        }
        (held.timers, held.bytes) = (held.timers + 1, held.bytes + bytes);
        waiting.last_id += 1;
        let (id, at_ms) = (waiting.last_id, clock::now_ms() + delay_ms.max(TIMER_MS_MIN));
        let timer = Timer { plugin: by.plugin.clone(), topic, data };
        let Some(journal) = &by.journal else {
            drop(waiting);
            self.timetable.enter((at_ms, id), timer);
            return Ok(id);
        };
        waiting.held.insert(id, (at_ms, timer));
        drop(waiting);
        let (timetable, plugin) = (self.timetable.clone(), by.plugin.clone());
        journal.record(STEP_BYTES + bytes, move || drop(timetable.take(&plugin, id)))?;
        let timetable = self.timetable.clone();
        journal.when_kept(move || timetable.release(id));
        Ok(id)
    }

    /// Cancels a plugin's own timer; whether it was still to fire.
    pub fn cancel(&self, by: &Caller, id: u64) -> Allowed<bool> {
        let Some((at_ms, timer)) = self.timetable.take(&by.plugin, id) else { return Ok(false) };
        if let Some(journal) = &by.journal {
            let timetable = self.timetable.clone();
            journal.record(STEP_BYTES + timer.data.len() as u64, move || timetable.put_back((at_ms, id), timer))?;
        }
        Ok(true)
    }

    /// Whether a plugin's own timer is still to fire.
    pub fn is_waiting(&self, by: &Caller, id: u64) -> bool {
        self.timetable.waiting.lock().find(&by.plugin, id).is_some()
    }

    /// The event of a timer that carried so many bytes has been routed: only then its place is free, so that a lane's
    /// queue is bounded too.
    pub fn routed(&self, plugin: &Arc<str>, bytes: usize) {
        self.timetable.waiting.lock().give_back(plugin, bytes);
    }

    /// The next one, when its time has come. To be awaited by one task only.
    pub async fn next(&self) -> Timer {
        loop {
            let wait = {
                let mut waiting = self.timetable.waiting.lock();
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
            let _ = tokio::time::timeout(wait, self.timetable.earlier.notified()).await;
        }
    }

    /// The next one that is to fire by that time, and when, for whoever lets time pass by himself.
    pub fn take_due(&self, by_ms: u64) -> Option<(u64, Timer)> {
        let mut waiting = self.timetable.waiting.lock();
        let key = waiting.due.keys().next().copied().filter(|(at_ms, _)| *at_ms <= by_ms)?;
        waiting.take(key).map(|timer| (key.0, timer))
    }

    /// How many are still to fire.
    pub fn count(&self) -> usize {
        self.timetable.waiting.lock().when.len()
    }
}

impl Timetable {
    /// A timer that is counted already.
    fn enter(&self, key: (u64, u64), timer: Timer) {
        let mut waiting = self.waiting.lock();
        waiting.when.insert(key.1, key.0);
        waiting.due.insert(key, timer);
        if waiting.due.keys().next() == Some(&key) {
            self.earlier.notify_one();
        }
    }

    /// Takes a plugin's own timer out, with its time.
    fn take(&self, plugin: &Arc<str>, id: u64) -> Option<(u64, Timer)> {
        let mut waiting = self.waiting.lock();
        let at_ms = waiting.find(plugin, id)?;
        let held = waiting.held.remove(&id).map(|(_, timer)| timer);
        let timer = held.or_else(|| waiting.take((at_ms, id)))?;
        waiting.give_back(plugin, timer.data.len());
        Some((at_ms, timer))
    }

    /// Undoes a cancelling.
    fn put_back(&self, key: (u64, u64), timer: Timer) {
        let mut waiting = self.waiting.lock();
        let held = waiting.of_plugin.entry(timer.plugin.clone()).or_default();
        (held.timers, held.bytes) = (held.timers + 1, held.bytes + timer.data.len() as u64);
        drop(waiting);
        self.enter(key, timer);
    }

    /// A held timer may fire now.
    fn release(&self, id: u64) {
        let held = self.waiting.lock().held.remove(&id);
        if let Some((at_ms, timer)) = held {
            self.enter((at_ms, id), timer);
        }
    }
}

impl Waiting {
    /// When a plugin's own timer is to fire.
    fn find(&self, plugin: &Arc<str>, id: u64) -> Option<u64> {
        let (at_ms, timer) = match self.when.get(&id) {
            Some(at_ms) => (*at_ms, self.due.get(&(*at_ms, id))?),
            None => self.held.get(&id).map(|(at_ms, timer)| (*at_ms, timer))?,
        };
        (timer.plugin == *plugin).then_some(at_ms)
    }

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
impl Timers {
    /// All there is to say of all timers, for tests.
    pub(crate) fn dump(&self) -> Vec<String> {
        let waiting = self.timetable.waiting.lock();
        let due = waiting.due.iter().map(|(key, timer)| format!("{key:?} {timer:?}"));
        let held = waiting
            .of_plugin
            .iter()
            .filter(|(_, held)| held.timers > 0)
            .map(|(plugin, held)| format!("{plugin} {} {}", held.timers, held.bytes));
        due.chain(held).chain([format!("{:?} held", waiting.held)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;

    fn set(timers: &Timers, plugin: &str, delay_ms: u64, n: u8) -> Allowed<u64> {
        timers.set(&Caller::of(plugin), delay_ms, "a.b".parse().unwrap(), Payload::Text(n.to_string()))
    }

    fn cancel(timers: &Timers, plugin: &str, id: u64) -> bool {
        timers.cancel(&Caller::of(plugin), id).unwrap()
    }

    #[tokio::test]
    async fn timers_fire_in_order_unless_cancelled() {
        let timers = Timers::new(Arc::new(Limits { timers_max: 3, ..Limits::default() }));
        set(&timers, "ann", 30, 3).unwrap();
        set(&timers, "ann", 0, 1).unwrap();
        let cancelled = set(&timers, "ann", 20, 2).unwrap();
        assert_eq!(set(&timers, "ann", 10, 4), Err(Denied::Limit("timers_max")));
        assert!(matches!(set(&timers, "bob", u64::MAX, 0), Err(Denied::Badarg(_))));
        assert!(!cancel(&timers, "bob", cancelled), "not his");
        assert!(cancel(&timers, "ann", cancelled));
        assert!(!cancel(&timers, "ann", cancelled));
        let start = clock::now_ms();
        assert_eq!(timers.next().await.data, Payload::Text("1".into()));
        assert_eq!(timers.next().await.data, Payload::Text("3".into()));
        assert!(clock::now_ms() >= start.saturating_sub(1) + TIMER_MS_MIN);
        assert_eq!(timers.count(), 0);
        let ann = "ann".into();
        set(&timers, "ann", 0, 5).unwrap();
        assert!(set(&timers, "ann", 0, 6).is_err(), "the two that fired are not routed yet");
        timers.routed(&ann, 1);
        assert!(set(&timers, "ann", 0, 6).is_ok());
    }

    #[tokio::test]
    async fn a_timer_of_a_code_change_fires_once_it_is_kept() {
        let timers = Timers::new(Arc::default());
        let journal = Arc::new(Journal::new(u64::MAX));
        let mut changing = Caller::of("ann");
        changing.journal = Some(journal.clone());
        let set_now = |n: u8| timers.set(&changing, 0, "a.b".parse().unwrap(), Payload::Text(n.to_string())).unwrap();
        let cancelled = set_now(1);
        assert_eq!(timers.cancel(&changing, cancelled), Ok(true), "one that is held is cancelled like any");
        set_now(2);
        set(&timers, "ann", 2 * TIMER_MS_MIN, 3).unwrap();
        assert_eq!(timers.next().await.data, Payload::Text("3".into()), "the earlier one is held");
        drop(changing);
        drop(journal);
        assert_eq!(timers.next().await.data, Payload::Text("2".into()));
    }

    #[test]
    fn what_timers_carry_is_bounded() {
        let timers = Timers::new(Arc::new(Limits { timers_bytes_max: 2, ..Limits::default() }));
        let first = set(&timers, "ann", 1000, 1).unwrap();
        set(&timers, "ann", 1000, 2).unwrap();
        assert_eq!(set(&timers, "ann", 1000, 3), Err(Denied::Limit("timers_bytes_max")));
        set(&timers, "bob", 1000, 3).unwrap();
        assert!(cancel(&timers, "ann", first));
        assert!(set(&timers, "ann", 1000, 3).is_ok());
    }
}
