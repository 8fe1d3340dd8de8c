//! What is seen of a lane by those who watch the server live. While nobody does, it costs the lane a load an event.

use crate::busiest::{Busiest, Counted};
use crate::event::Answer;
use crate::onlookers::Onlookers;
use crate::topic::Topic;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// One lane's.
#[derive(Debug)]
pub(super) struct Sight {
    onlookers: Onlookers,
    /// Times below count from here.
    epoch: Instant,
    /// How long it has worked, what it is at not included.
    worked_us: AtomicU64,
    /// When it began what it is at; 0 when it waits for events.
    since_us: AtomicU64,
    /// Events that it has taken from its queue and has not routed yet.
    in_hand: AtomicU64,
    topics: Mutex<Busiest>,
}

impl Sight {
    pub(super) fn new(onlookers: Onlookers) -> Self {
        Self {
            onlookers,
            epoch: Instant::now(),
            worked_us: AtomicU64::new(0),
            since_us: AtomicU64::new(0),
            in_hand: AtomicU64::new(0),
            topics: Mutex::default(),
        }
    }

    /// The lane has taken a batch.
    pub(super) fn begins(&self, now: Instant, events: usize) {
        if self.onlookers.any() {
            self.since_us.store(self.us(now).max(1), Relaxed);
            self.in_hand.store(events as u64, Relaxed);
        }
    }

    /// It has routed an event of it.
    pub(super) fn routed(&self, topic: &Topic, answer: &Answer) {
        if self.onlookers.any() {
            self.topics.lock().add(topic, answer.as_ref().map_or(0, |routed| routed.recipients));
            // One that nobody saw being taken may be routed now.
            let left = self.in_hand.load(Relaxed).saturating_sub(1);
            self.in_hand.store(left, Relaxed);
        }
    }

    /// It is done with its batch.
    pub(super) fn ends(&self) {
        // Whether or not somebody still looks; nobody else writes it.
        let since = self.since_us.load(Relaxed);
        if since > 0 {
            self.since_us.store(0, Relaxed);
            self.worked_us.fetch_add(self.us(Instant::now()).saturating_sub(since), Relaxed);
            self.in_hand.store(0, Relaxed);
        }
    }

    /// How long it has worked while somebody looked, and how many events it has in hand.
    pub(super) fn worked(&self) -> (Duration, u64) {
        let since = self.since_us.load(Relaxed);
        let now = if since > 0 { self.us(Instant::now()).saturating_sub(since) } else { 0 };
        (Duration::from_micros(self.worked_us.load(Relaxed) + now), self.in_hand.load(Relaxed))
    }

    /// The topics of its events since the last time.
    pub(super) fn take_topics(&self) -> Vec<Counted> {
        self.topics.lock().take()
    }

    fn us(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_micros() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Routed;

    #[test]
    fn nothing_is_counted_until_somebody_looks() {
        let onlookers = Onlookers::default();
        let sight = Sight::new(onlookers.clone());
        let (topic, answer): (Topic, Answer) = ("a.b".parse().unwrap(), Ok(Routed { event: 1, recipients: 3 }));
        let batch = |events| {
            sight.begins(Instant::now(), events);
            sight.routed(&topic, &answer);
            sight.ends();
        };
        batch(1);
        assert_eq!(sight.worked(), (Duration::ZERO, 0));
        assert!(sight.take_topics().is_empty());
        let looking = onlookers.admit(1);
        sight.begins(Instant::now(), 3);
        sight.routed(&topic, &answer);
        assert_eq!(sight.worked().1, 2, "what it has not come to yet");
        std::thread::sleep(Duration::from_millis(2));
        assert!(sight.worked().0 >= Duration::from_millis(2), "it is seen while it goes on");
        drop(looking);
        sight.ends();
        let worked = sight.worked();
        assert!(worked.0 >= Duration::from_millis(2) && worked.1 == 0);
        batch(1);
        assert_eq!(sight.worked(), worked);
        let counted = sight.take_topics();
        assert_eq!((counted.len(), counted[0].events, counted[0].recipients), (1, 1, 3));
    }
}
