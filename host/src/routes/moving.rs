//! Topics that change their plugin: what comes for them is held until the plugin before has routed what it had, so that
//! each recipient sees their events in order. All other topics go on meanwhile.

use super::{Route, Routes};
use crate::event::{Event, Happening, Unrouted};
use crate::limits::Limits;
use crate::plugin::Plugin;
use crate::sync::Mutex;
use crate::topic::Topic;
use std::collections::VecDeque;
use std::sync::Arc;

/// From one set of routes to the next.
pub struct Moving {
    before: Routes,
    events_max: usize,
    bytes_max: u64,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    events: VecDeque<Event>,
    bytes: u64,
    /// Nothing is held any more.
    over: bool,
}

impl Moving {
    /// Away from those rows; as much is held as one lane's queue may hold.
    pub fn new(before: &[Route], limits: &Limits) -> Self {
        Self {
            before: Routes::new(before.to_vec()),
            events_max: limits.lane_queue_events_max as usize,
            bytes_max: limits.lane_queue_bytes_max,
            held: Mutex::default(),
        }
    }

    /// Whether a topic moves from another plugin to this one.
    fn moves(&self, topic: &Topic, to: &Arc<Plugin>) -> bool {
        self.before.plugin(topic).is_some_and(|from| !Arc::ptr_eq(from, to))
    }

    /// Takes an event of a topic that moves, and gives back any other. If there is no place, its publisher is told.
    pub(super) fn hold(&self, event: Event, to: &Arc<Plugin>) -> Option<Event> {
        if !self.moves(&event.topic, to) {
            return Some(event);
        }
        let mut held = self.held.lock();
        if held.over {
            return Some(event);
        }
        let bytes = held.bytes + event.bytes();
        let is_full = held.events.len() >= self.events_max || bytes > self.bytes_max;
        if is_full && !has_place(&event) {
            drop(held);
            event.reply.send(Err(Unrouted::Busy));
            return None;
        }
        held.bytes = bytes;
        held.events.push_back(event);
        None
    }

    /// Queues what was held where it belongs now, before anything that comes later.
    pub fn release(&self, routes: &Routes) {
        let mut turned_away = Vec::new();
        let mut held = self.held.lock();
        // Under the lock: whoever comes meanwhile waits for it, and goes behind.
        for event in std::mem::take(&mut held.events) {
            match routes.plugin(&event.topic) {
                Some(plugin) if has_place(&event) => plugin.offer_reserved(event),
                Some(plugin) => {
                    if let Err(event) = plugin.offer(event) {
                        turned_away.push((event, Unrouted::Busy));
                    }
                }
                None => turned_away.push((event, Unrouted::NoPlugin)),
            }
        }
        held.over = true;
        drop(held);
        // Whoever waits for the answer is woken by it.
        for (event, why) in turned_away {
            event.reply.send(Err(why));
        }
    }
}

/// Exits and timers have had their places since before.
fn has_place(event: &Event) -> bool {
    matches!(event.what, Happening::Exit(_) | Happening::Timer(_))
}
