//! A lane's queue. Publishers, joins and leaves share bounded places and are turned away when there is none. Exits and
//! timers have places of their own, as many as there are subscriptions and timers, so that they are never dropped, and
//! never more than half of a batch, so that they don't keep publishers out.

use crate::event::Event;
use crate::limits::Limits;
use crate::sync::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;

/// The queue of one lane.
pub(super) struct Queue {
    events_max: usize,
    bytes_max: u64,
    batch_max: usize,
    waiting: Mutex<Waiting>,
    /// Something came for a lane that sleeps.
    came: Condvar,
}

#[derive(Default)]
struct Waiting {
    offered: VecDeque<Event>,
    offered_bytes: u64,
    reserved: VecDeque<Event>,
    sleeping: bool,
    /// The lane is to look up, whether or not an event came.
    nudged: bool,
    closed: bool,
}

impl Queue {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            events_max: limits.lane_queue_events_max as usize,
            bytes_max: limits.lane_queue_bytes_max,
            batch_max: limits.lane_batch_events_max as usize,
            waiting: Mutex::default(),
            came: Condvar::new(),
        }
    }

    // The event goes back by value: boxing it would cost every event for the few that are turned away.
    #[allow(clippy::result_large_err)]
    pub(super) fn offer(&self, event: Event) -> Result<(), Event> {
        let mut waiting = self.waiting.lock();
        let bytes = waiting.offered_bytes + event.bytes();
        // One event always fits, however large.
        let full = waiting.offered.len() >= self.events_max || (bytes > self.bytes_max && !waiting.offered.is_empty());
        if full || waiting.closed {
            return Err(event);
        }
        waiting.offered_bytes = bytes;
        waiting.offered.push_back(event);
        self.wake(waiting);
        Ok(())
    }

    pub(super) fn offer_reserved(&self, event: Event) {
        let mut waiting = self.waiting.lock();
        waiting.reserved.push_back(event);
        self.wake(waiting);
    }

    /// Moves up to a batch of events, waiting for the first, or a nudge, if it may; false when the queue is closed and
    /// empty.
    pub(super) fn take_batch(&self, batch: &mut VecDeque<Event>, may_wait: bool) -> bool {
        let mut waiting = self.waiting.lock();
        while waiting.offered.is_empty() && waiting.reserved.is_empty() {
            if waiting.closed || !may_wait || std::mem::take(&mut waiting.nudged) {
                return !waiting.closed;
            }
            waiting.sleeping = true;
            self.came.wait(&mut waiting);
            waiting.sleeping = false;
        }
        let reserved = waiting.reserved.len().min(self.batch_max.div_ceil(2));
        batch.extend(waiting.reserved.drain(..reserved));
        let offered = waiting.offered.len().min((self.batch_max - reserved).max(1));
        batch.extend(waiting.offered.drain(..offered));
        let taken: u64 = batch.range(batch.len() - offered..).map(Event::bytes).sum();
        waiting.offered_bytes -= taken;
        true
    }

    /// When the first of the events came that wait, since 1970.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        let waiting = self.waiting.lock();
        let first = [waiting.offered.front(), waiting.reserved.front()];
        first.into_iter().flatten().map(|event| event.time_ms).min()
    }

    /// Makes a lane that sleeps look up.
    pub(super) fn nudge(&self) {
        let mut waiting = self.waiting.lock();
        waiting.nudged = true;
        self.wake(waiting);
    }

    /// Whether any event that waits is such a one.
    pub(super) fn any(&self, is_one: impl Fn(&Event) -> bool) -> bool {
        let waiting = self.waiting.lock();
        waiting.offered.iter().chain(&waiting.reserved).any(is_one)
    }

    pub(super) fn len(&self) -> usize {
        let waiting = self.waiting.lock();
        waiting.offered.len() + waiting.reserved.len()
    }

    pub(super) fn close(&self) {
        let mut waiting = self.waiting.lock();
        waiting.closed = true;
        self.wake(waiting);
    }

    /// A lane that is at work looks at its queue again by itself: no need for a syscall.
    fn wake(&self, waiting: MutexGuard<'_, Waiting>) {
        let sleeping = waiting.sleeping;
        drop(waiting);
        if sleeping {
            self.came.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Happening, Payload, Reply};
    use crate::session::ExitReason;

    fn event(id: u64, what: Happening) -> Event {
        let topic = "a.b".parse().unwrap();
        Event { id, topic, sender: None, user: None, time_ms: 0, what, reply: Reply::nobody() }
    }

    fn publish(id: u64, bytes: usize) -> Event {
        event(id, Happening::Publish(Payload::Text("x".repeat(bytes))))
    }

    fn ids(batch: &mut VecDeque<Event>) -> Vec<u64> {
        batch.drain(..).map(|event| event.id).collect()
    }

    #[test]
    fn exits_have_their_own_places_and_leave_half_a_batch() {
        let limits = Limits { lane_queue_events_max: 3, lane_batch_events_max: 4, ..Limits::default() };
        let queue = Queue::new(&limits);
        for id in 1..=3 {
            assert!(queue.offer(publish(id, 1)).is_ok());
        }
        assert_eq!(queue.offer(publish(4, 1)).unwrap_err().id, 4);
        for id in 11..=15 {
            queue.offer_reserved(event(id, Happening::Exit(ExitReason::Timeout)));
        }
        let mut batch = VecDeque::new();
        assert!(queue.take_batch(&mut batch, true));
        assert_eq!(ids(&mut batch), [11, 12, 1, 2]);
        assert!(queue.offer(publish(5, 1)).is_ok(), "there is room again");
        assert!(queue.take_batch(&mut batch, true));
        assert_eq!(ids(&mut batch), [13, 14, 3, 5]);
        queue.close();
        assert!(queue.offer(publish(6, 1)).is_err());
        assert!(queue.take_batch(&mut batch, true), "what was accepted is routed");
        assert_eq!(ids(&mut batch), [15]);
        assert!(!queue.take_batch(&mut batch, true));
    }

    #[test]
    fn bytes_are_bounded_but_one_event_fits() {
        let queue = Queue::new(&Limits { lane_queue_bytes_max: 10, ..Limits::default() });
        assert!(queue.offer(publish(1, 50)).is_ok());
        assert!(queue.offer(publish(2, 1)).is_err());
        let mut batch = VecDeque::new();
        assert!(queue.take_batch(&mut batch, true));
        assert!(queue.offer(publish(3, 5)).is_ok());
        assert!(queue.offer(publish(4, 6)).is_err());
        assert!(queue.offer(publish(5, 5)).is_ok());
    }
}
