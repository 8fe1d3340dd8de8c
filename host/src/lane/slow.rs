//! Topics whose events run long. Their events wait here, and have their turns behind those of the lane's other topics: so
//! another topic waits for one such event at most, however many there are.
//!
//! The idea is least attained service: who has used little of the lane comes first. Here it is enough to tell two kinds
//! of topics apart. While others have work, the slow ones get half of the lane's time; among themselves they take turns.

use crate::event::{Event, Happening};
use crate::limits::Limits;
use crate::topic::Topic;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// A topic is slow for this long after its last event that ran long, and as long as events of it wait.
const SLOW_FOR: Duration = Duration::from_secs(1);

/// The slow topics of one lane.
pub(super) struct Slow {
    long: Duration,
    events_max: usize,
    bytes_max: u64,
    topics: HashMap<Topic, SlowTopic>,
    /// Those that have events here, each once, in the order of their turns.
    turns: VecDeque<Topic>,
    events: usize,
    bytes: u64,
    /// The last slow event ran this much longer than others have been served since.
    ahead: Duration,
}

struct SlowTopic {
    until: Instant,
    waiting: VecDeque<Event>,
}

/// What is to be done with an event.
pub(super) enum Admitted {
    /// It is routed now.
    Now(Event),
    /// It waits for its topic's turn.
    Waits,
    /// Too many wait already.
    Refused(Event),
}

impl Slow {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            long: Duration::from_millis(limits.slow_event_ms),
            events_max: limits.lane_slow_events_max as usize,
            bytes_max: limits.lane_queue_bytes_max,
            topics: HashMap::new(),
            turns: VecDeque::new(),
            events: 0,
            bytes: 0,
            ahead: Duration::ZERO,
        }
    }

    /// How many events wait here.
    pub(super) fn len(&self) -> usize {
        self.events
    }

    /// Takes an event of a slow topic aside. Exits and timers have had their places since before and are not refused.
    pub(super) fn admit(&mut self, event: Event, now: Instant) -> Admitted {
        if self.topics.is_empty() {
            return Admitted::Now(event);
        }
        let Some(topic) = self.topics.get_mut(&event.topic) else { return Admitted::Now(event) };
        if topic.waiting.is_empty() && topic.until <= now {
            self.topics.remove(&event.topic);
            return Admitted::Now(event);
        }
        let has_place = matches!(event.what, Happening::Exit(_) | Happening::Timer(_));
        let bytes = event.bytes();
        if !has_place && (self.events >= self.events_max || self.bytes + bytes > self.bytes_max) {
            return Admitted::Refused(event);
        }
        if topic.waiting.is_empty() {
            self.turns.push_back(event.topic.clone());
        }
        self.events += 1;
        self.bytes += bytes;
        topic.waiting.push_back(event);
        Admitted::Waits
    }

    /// An event of the topic has run for that long.
    pub(super) fn ran(&mut self, topic: &Topic, took: Duration, now: Instant) {
        if took < self.long {
            return;
        }
        let until = now + SLOW_FOR;
        if let Some(slow) = self.topics.get_mut(topic) {
            slow.until = until;
        } else {
            self.topics.retain(|_, slow| !slow.waiting.is_empty() || slow.until > now);
            self.topics.insert(topic.clone(), SlowTopic { until, waiting: VecDeque::new() });
        }
    }

    /// Others were served for that long; none at all means that nothing of theirs waits.
    pub(super) fn others_ran(&mut self, took: Option<Duration>) {
        self.ahead = took.map_or(Duration::ZERO, |took| self.ahead.saturating_sub(took));
    }

    /// The event whose turn it is, unless the others have theirs.
    pub(super) fn next(&mut self) -> Option<Event> {
        if !self.ahead.is_zero() {
            return None;
        }
        let topic = self.turns.pop_front()?;
        let slow = self.topics.get_mut(&topic)?;
        let event = slow.waiting.pop_front()?;
        if !slow.waiting.is_empty() {
            self.turns.push_back(topic);
        }
        self.events -= 1;
        self.bytes -= event.bytes();
        Some(event)
    }

    /// One of these has run for that long.
    pub(super) fn slow_ran(&mut self, took: Duration) {
        self.ahead = took;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Payload, Reply};
    use crate::session::ExitReason;

    const LONG: Duration = Duration::from_millis(100);

    fn slow() -> Slow {
        Slow::new(&Limits {
            slow_event_ms: 50,
            lane_slow_events_max: 4,
            lane_queue_bytes_max: 100,
            ..Limits::default()
        })
    }

    fn event(topic: &str, id: u64, what: Happening) -> Event {
        let topic = topic.parse().unwrap();
        Event { id, topic, sender: None, user: None, time_ms: 0, what, reply: Reply::nobody() }
    }

    fn publish(topic: &str, id: u64) -> Event {
        event(topic, id, Happening::Publish(Payload::Text("x".into())))
    }

    fn waits(slow: &mut Slow, event: Event, now: Instant) -> bool {
        matches!(slow.admit(event, now), Admitted::Waits)
    }

    fn next_ids(slow: &mut Slow) -> Vec<u64> {
        std::iter::from_fn(|| slow.next()).map(|event| event.id).collect()
    }

    #[test]
    fn a_topic_is_slow_once_an_event_ran_long_and_until_it_has_rested() {
        let (mut slow, now) = (slow(), Instant::now());
        let topic = "a".parse().unwrap();
        assert!(!waits(&mut slow, publish("a", 1), now));
        slow.ran(&topic, Duration::from_millis(49), now);
        assert!(!waits(&mut slow, publish("a", 2), now));
        slow.ran(&topic, LONG, now);
        assert!(waits(&mut slow, publish("a", 3), now));
        assert!(!waits(&mut slow, publish("b", 4), now), "others are not");
        let later = now + SLOW_FOR;
        assert!(waits(&mut slow, publish("a", 5), later), "what came before is still here, and stays before it");
        assert_eq!(next_ids(&mut slow), [3, 5]);
        assert!(!waits(&mut slow, publish("a", 6), later));
        assert!(slow.topics.is_empty() && slow.len() == 0 && slow.bytes == 0);
    }

    #[test]
    fn slow_topics_take_turns_and_keep_their_order() {
        let (mut slow, now) = (slow(), Instant::now());
        for topic in ["a", "b"] {
            slow.ran(&topic.parse().unwrap(), LONG, now);
        }
        for (topic, id) in [("a", 1), ("a", 2), ("a", 3), ("b", 4)] {
            assert!(waits(&mut slow, publish(topic, id), now));
        }
        assert_eq!(next_ids(&mut slow), [1, 4, 2, 3]);
    }

    #[test]
    fn the_others_get_as_much_time_as_a_slow_event_took() {
        let (mut slow, now) = (slow(), Instant::now());
        slow.ran(&"a".parse().unwrap(), LONG, now);
        assert!(waits(&mut slow, publish("a", 1), now) && waits(&mut slow, publish("a", 2), now));
        assert_eq!(slow.next().map(|event| event.id), Some(1));
        slow.slow_ran(LONG);
        slow.others_ran(Some(Duration::from_millis(60)));
        assert!(slow.next().is_none());
        slow.others_ran(Some(Duration::from_millis(40)));
        assert_eq!(slow.next().map(|event| event.id), Some(2));
        slow.slow_ran(LONG);
        assert!(waits(&mut slow, publish("a", 3), now));
        slow.others_ran(None);
        assert_eq!(slow.next().map(|event| event.id), Some(3), "nobody else wants it");
    }

    #[test]
    fn places_are_bounded_but_not_those_of_exits() {
        let (mut slow, now) = (slow(), Instant::now());
        slow.ran(&"a".parse().unwrap(), LONG, now);
        for id in 1..=4 {
            assert!(waits(&mut slow, publish("a", id), now));
        }
        assert!(matches!(slow.admit(publish("a", 5), now), Admitted::Refused(Event { id: 5, .. })));
        assert!(waits(&mut slow, event("a", 6, Happening::Exit(ExitReason::Normal)), now));
        assert_eq!(next_ids(&mut slow), [1, 2, 3, 4, 6]);
        let large = event("a", 7, Happening::Publish(Payload::Text("x".repeat(101))));
        assert!(matches!(slow.admit(large, now), Admitted::Refused(_)), "so are bytes");
    }
}
