//! Topics whose events run long. Their events wait here, and have their turns behind those of the lane's quick topics: so
//! a quick topic waits for one such event at most, however many there are.
//!
//! The idea is least attained service: who has used little of the lane comes first. It costs nothing until an event has
//! run long. From then on the lane is wary: a topic is quick once one of its events has run quickly, and until then its
//! events wait here, too, since they might be the next to run long. While quick topics have work, the others get half of
//! the lane's time, and take turns among themselves.

use crate::event::{Event, Happening};
use crate::limits::Limits;
use crate::topic::Topic;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

/// A topic is slow for this long after its last event that ran long, and the lane is wary.
const SLOW_FOR: Duration = Duration::from_secs(1);
/// So many topics are known to be quick; the next ones wait, as if they were not.
const QUICK_MAX: usize = 65_536;
/// Of all places a topic may take this part.
const TOPICS_PART: usize = 8;

/// The slow topics of one lane.
pub(super) struct Slow {
    long: Duration,
    events_max: usize,
    bytes_max: u64,
    /// None until an event runs long.
    wary_until: Option<Instant>,
    /// While the lane is wary: who has run quickly since.
    quick: HashSet<Topic>,
    /// Who has run long, and who has not run since.
    topics: HashMap<Topic, SlowTopic>,
    /// Those that have events here, each once, in the order of their turns.
    turns: VecDeque<Topic>,
    events: usize,
    bytes: u64,
    /// The last of these events ran this much longer than quick ones have been served since.
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
            wary_until: None,
            quick: HashSet::new(),
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

    /// Whether any event that waits here is such a one.
    pub(super) fn any(&self, is_one: impl Fn(&Event) -> bool) -> bool {
        self.topics.values().flat_map(|topic| &topic.waiting).any(is_one)
    }

    /// Takes an event of a topic that is not quick aside. Exits and timers have had their places since before and are not
    /// refused.
    pub(super) fn admit(&mut self, event: Event, now: Instant) -> Admitted {
        let Some(wary_until) = self.wary_until else { return Admitted::Now(event) };
        if wary_until <= now && self.events == 0 {
            self.wary_until = None;
            self.quick.clear();
            self.topics.clear();
            return Admitted::Now(event);
        }
        if self.quick.contains(&event.topic) {
            return Admitted::Now(event);
        }
        let has_place = matches!(event.what, Happening::Exit(_) | Happening::Timer(_));
        let bytes = event.bytes();
        let waiting = self.topics.get(&event.topic).map_or(0, |topic| topic.waiting.len());
        let is_full = self.events >= self.events_max || waiting >= (self.events_max / TOPICS_PART).max(1);
        if !has_place && (is_full || self.bytes + bytes > self.bytes_max) {
            return Admitted::Refused(event);
        }
        if waiting == 0 {
            self.turns.push_back(event.topic.clone());
        }
        self.events += 1;
        self.bytes += bytes;
        let unknown = || SlowTopic { until: now, waiting: VecDeque::new() };
        self.topics.entry(event.topic.clone()).or_insert_with(unknown).waiting.push_back(event);
        Admitted::Waits
    }

    /// An event of the topic has run for that long.
    pub(super) fn ran(&mut self, topic: &Topic, took: Duration, now: Instant) {
        if took >= self.long {
            let until = now + SLOW_FOR;
            self.wary_until = Some(until);
            self.quick.remove(topic);
            self.topics.retain(|_, slow| !slow.waiting.is_empty() || slow.until > now);
            self.topics.entry(topic.clone()).or_insert_with(|| SlowTopic { until, waiting: VecDeque::new() }).until =
                until;
        } else if self.wary_until.is_some() && self.quick.len() < QUICK_MAX && !self.quick.contains(topic) {
            let rests = self.topics.get(topic).is_none_or(|slow| slow.waiting.is_empty() && slow.until <= now);
            if rests {
                self.topics.remove(topic);
                self.quick.insert(topic.clone());
            }
        }
    }

    /// Quick ones were served for that long; none at all means that nothing of theirs waits.
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

    /// A topic may take two places of 16.
    fn slow() -> Slow {
        let limits =
            Limits { slow_event_ms: 50, lane_slow_events_max: 16, lane_queue_bytes_max: 100, ..Limits::default() };
        Slow::new(&limits)
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

    fn ran(slow: &mut Slow, topic: &str, took: Duration, now: Instant) {
        slow.ran(&topic.parse().unwrap(), took, now);
    }

    const SHORT: Duration = Duration::from_millis(49);

    #[test]
    fn a_topic_is_slow_once_an_event_ran_long_and_until_it_has_rested() {
        let (mut slow, now) = (slow(), Instant::now());
        assert!(!waits(&mut slow, publish("a", 1), now));
        ran(&mut slow, "a", SHORT, now);
        assert!(!waits(&mut slow, publish("a", 2), now));
        ran(&mut slow, "a", LONG, now);
        assert!(waits(&mut slow, publish("a", 3), now));
        let later = now + SLOW_FOR;
        assert!(waits(&mut slow, publish("a", 5), later), "what came before is still here, and stays before it");
        assert_eq!(next_ids(&mut slow), [3, 5]);
        assert!(!waits(&mut slow, publish("a", 6), later));
        assert!(slow.topics.is_empty() && slow.quick.is_empty() && slow.len() == 0 && slow.bytes == 0);
    }

    #[test]
    fn while_the_lane_is_wary_a_topic_is_quick_once_it_was() {
        let (mut slow, now) = (slow(), Instant::now());
        ran(&mut slow, "a", LONG, now);
        assert!(waits(&mut slow, publish("b", 1), now), "nobody knows yet");
        assert!(waits(&mut slow, publish("b", 2), now));
        assert_eq!(slow.next().map(|event| event.id), Some(1));
        ran(&mut slow, "b", SHORT, now);
        assert!(waits(&mut slow, publish("b", 3), now), "behind what waits already");
        assert_eq!(next_ids(&mut slow), [2, 3]);
        ran(&mut slow, "b", SHORT, now);
        assert!(!waits(&mut slow, publish("b", 4), now));
        ran(&mut slow, "b", LONG, now);
        assert!(waits(&mut slow, publish("b", 5), now), "not any more");
    }

    #[test]
    fn slow_topics_take_turns_and_keep_their_order() {
        let (mut slow, now) = (slow(), Instant::now());
        ran(&mut slow, "a", LONG, now);
        for (topic, id) in [("a", 1), ("a", 2), ("b", 3), ("b", 4), ("c", 5)] {
            assert!(waits(&mut slow, publish(topic, id), now));
        }
        assert_eq!(next_ids(&mut slow), [1, 3, 5, 2, 4]);
    }

    #[test]
    fn quick_topics_get_as_much_time_as_a_slow_event_took() {
        let (mut slow, now) = (slow(), Instant::now());
        ran(&mut slow, "a", LONG, now);
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
        ran(&mut slow, "a", LONG, now);
        assert!(waits(&mut slow, publish("a", 1), now) && waits(&mut slow, publish("a", 2), now));
        assert!(matches!(slow.admit(publish("a", 3), now), Admitted::Refused(Event { id: 3, .. })), "its part");
        assert!(waits(&mut slow, event("a", 4, Happening::Exit(ExitReason::Normal)), now));
        for n in 0..13 {
            assert!(waits(&mut slow, publish(&format!("b{n}"), 5), now));
        }
        assert!(matches!(slow.admit(publish("c", 6), now), Admitted::Refused(_)), "all places");
        assert!(waits(&mut slow, event("c", 7, Happening::Exit(ExitReason::Normal)), now));
        assert_eq!(next_ids(&mut slow).len(), 17);
        let large = event("a", 8, Happening::Publish(Payload::Text("x".repeat(101))));
        assert!(matches!(slow.admit(large, now), Admitted::Refused(_)), "so are bytes");
    }
}
