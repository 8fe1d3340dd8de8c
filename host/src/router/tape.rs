//! What a live instance met with while it routed one event: when each call saw what it saw, and what chance gave it. A
//! shadow that is played the tape meets with the same, however much later it runs.

use crate::denied::{Allowed, Denied};
use crate::history::{NOBODY, Past, Since};
use crate::router::guest::Mounted;
use foldhash::fast::FixedState;
use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hash};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A rule that makes a further call is found on the tape again within so many calls (arbitrary).
const SEARCH_MAX: usize = 64;

/// One event's tape. As long as it is kept, what it saw can be looked up.
pub struct Tape {
    pub(crate) since: Since,
    /// The rule and config that routed live.
    pub(crate) of: Arc<Mounted>,
    began: Instant,
    /// How long the live instance took.
    pub(crate) took: Duration,
    /// There was no room for all of it.
    is_torn: bool,
    event: u64,
    /// Where the shadow's last call was.
    moment: u64,
    /// When the live instance had answered.
    end: u64,
    calls: VecDeque<Call>,
    pub(super) chance: Chance,
}

/// What chance gave, each kind in its order.
#[derive(Default)]
pub(super) struct Chance {
    pub(super) system_ms: VecDeque<u64>,
    pub(super) monotonic_us: VecDeque<u64>,
    pub(super) rand: VecDeque<u64>,
    pub(super) timers_set: VecDeque<Allowed<u64>>,
    pub(super) cancelled: VecDeque<bool>,
}

/// One call to a table or a scope.
pub(super) struct Call {
    what: u64,
    moment: u64,
    limit: Option<&'static str>,
    /// Of a join: who had ended by then.
    dead: Vec<u64>,
}

/// What a call of the shadow meets with.
pub(super) struct Meeting {
    pub(super) past: Past,
    /// The live call was denied for this limit.
    pub(super) limit: Option<&'static str>,
    /// Of a join that the live rule made, too: who had ended by then.
    pub(super) dead: Option<Vec<u64>>,
}

/// A call to a table or a scope is known by its name, by what it was made on, and by the keys or PIDs it named.
pub(super) fn call_id<T>(name: &str, on: &Arc<T>, named: impl Hash) -> u64 {
    FixedState::with_seed(0).hash_one((name, Arc::as_ptr(on).cast::<()>().addr(), named))
}

impl Tape {
    pub(super) fn begin(since: Since, of: Arc<Mounted>, event: u64) -> Self {
        Self {
            moment: since.moment(),
            end: since.moment(),
            since,
            of,
            began: Instant::now(),
            took: Duration::ZERO,
            is_torn: false,
            event,
            calls: VecDeque::new(),
            chance: Chance::default(),
        }
    }

    /// A call was made.
    pub(super) fn called<T>(&mut self, what: u64, moment: u64, answer: &Allowed<T>, dead: Vec<u64>) {
        let limit = if let Err(Denied::Limit(name)) = answer { Some(*name) } else { None };
        self.weigh(size_of::<Call>() + size_of_val(&*dead));
        self.calls.push_back(Call { what, moment, limit, dead });
    }

    /// Chance gave something.
    pub(super) fn gave<T>(&mut self, kind: impl FnOnce(&mut Chance) -> &mut VecDeque<T>, given: T) {
        self.weigh(size_of::<T>());
        kind(&mut self.chance).push_back(given);
    }

    /// So many bytes more are on the tape.
    fn weigh(&mut self, bytes: usize) {
        self.is_torn |= !self.since.take_room(bytes as u64);
    }

    /// The live instance has answered.
    pub(super) fn end(&mut self) {
        self.took = self.began.elapsed();
        self.end = self.since.now();
    }

    /// Whether it no longer shows what the live instance met with.
    pub fn is_useless(&self) -> bool {
        self.is_torn || self.since.is_lost()
    }

    /// As things were when the live instance had answered: for it, or without what it did itself.
    pub(crate) fn after(&self, for_live: bool) -> Past {
        Past { moment: self.end, event: if for_live { NOBODY } else { self.event }, since: 0 }
    }

    /// The shadow makes a call. If the live instance made it, too, this is where it was; else where the last one was.
    pub(super) fn meet(&mut self, what: u64) -> Meeting {
        let at = self.calls.iter().take(SEARCH_MAX).position(|call| call.what == what);
        let call = at.and_then(|at| self.calls.drain(..=at).next_back());
        let (limit, dead) = match call {
            Some(call) => {
                self.moment = call.moment;
                (call.limit, Some(call.dead))
            }
            None => (None, None),
        };
        Meeting { past: Past { moment: self.moment, event: self.event, since: 0 }, limit, dead }
    }
}
