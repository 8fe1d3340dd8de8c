//! Where an instance has time and chance from: this machine, or for a replay what it is given.

use crate::clock;
use crate::denied::{Allowed, Denied};
use crate::limits;
use crate::pid::Pid;
use crate::router::notes::{Calls, Made};
use crate::sessions::Sessions;
use crate::standstill;
use crate::trace::{Counted, Denial, EventLine, Kind, Met};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::collections::{HashMap, HashSet, VecDeque};

/// What a timer that is set beyond what is given is called: no real one is as large, and JavaScript can hold it.
const MADE_UP_IDS: u64 = 1 << 52;

/// One of the two.
pub(crate) enum Source {
    /// This machine.
    Host,
    /// What the live rule met with.
    Given(Box<Given>),
}

/// What one event is given. Beyond it time stands still, and chance has the number of the event as its seed.
#[derive(Default)]
pub(crate) struct Given {
    system_ms: Series<u64>,
    monotonic_us: Series<u64>,
    random: VecDeque<u64>,
    beyond: Option<StdRng>,
    timers: VecDeque<Allowed<u64>>,
    made_up: u64,
    /// Which are still to fire.
    waiting: HashSet<u64>,
    /// Who has ended; everybody else that a rule wants in a group lives.
    dead: HashSet<Pid>,
    denied: Vec<Denial>,
    calls: Calls,
    /// How many objects tables have that are not in the trace, each time the rule asks; less than none when there were
    /// fewer than the trace has, which came later.
    unseen: HashMap<String, Series<i64>>,
}

/// Gives its numbers one after the other, then the last one again and again.
#[derive(Default)]
struct Series<T> {
    last: T,
    next: VecDeque<T>,
}

impl<T: Copy> Series<T> {
    fn new(last: T, next: &[T]) -> Self {
        Self { last, next: next.iter().copied().collect() }
    }

    fn read(&mut self) -> T {
        self.last = self.next.pop_front().unwrap_or(self.last);
        self.last
    }
}

impl Given {
    /// What the trace has of an event.
    pub(crate) fn of(line: &EventLine) -> Self {
        let Met { system_ms, monotonic_us, random, timers, dead, denied, .. } = &line.met;
        let timer = |timer: &crate::trace::Timer| match (timer.id, &timer.limit) {
            (Some(id), _) => Ok(id),
            (None, limit) => Err(Denied::Limit(bound(limit.as_deref().unwrap_or_default()))),
        };
        Self {
            system_ms: Series::new(line.time_ms, system_ms),
            monotonic_us: Series::new(0, monotonic_us),
            random: random.iter().copied().collect(),
            beyond: Some(StdRng::seed_from_u64(line.event)),
            timers: timers.iter().map(timer).collect(),
            made_up: 0,
            waiting: waiting_before(&line.met),
            // Whoever's exit it is has ended, whether the live rule tried or not.
            dead: dead.iter().copied().chain(line.sender.filter(|_| line.kind == Kind::Exit)).collect(),
            denied: denied.clone(),
            calls: Calls::default(),
            unseen: unseen(&line.met),
        }
    }

    fn random(&mut self) -> u64 {
        let beyond = &mut self.beyond;
        self.random.pop_front().unwrap_or_else(|| beyond.as_mut().map_or(0, StdRng::random))
    }

    /// Sets no timer.
    pub(super) fn set_timer(&mut self) -> Allowed<u64> {
        let set = self.timers.pop_front().unwrap_or_else(|| {
            self.made_up += 1;
            Ok(MADE_UP_IDS + self.made_up)
        });
        self.waiting.extend(set.as_ref().ok());
        set
    }

    /// Whether the timer was still to fire.
    pub(super) fn cancel(&mut self, timer: u64) -> bool {
        self.waiting.remove(&timer)
    }

    /// Lets those live that a rule wants in a group, unless they had ended.
    pub(super) fn revive(&self, pids: &[u64], sessions: &Sessions) {
        for pid in pids.iter().filter_map(|bits| Pid::from_bits(*bits)) {
            if self.dead.contains(&pid) {
                sessions.end(pid);
            } else {
                sessions.revive(pid);
            }
        }
    }

    /// The bound that stood against the same call, made as often before.
    pub(super) fn denies(&mut self, made: &Made) -> Option<&'static str> {
        let now = self.calls.count(made);
        let same = |denial: &&Denial| {
            denial.call == made.call
                && denial.table == made.on
                && denial.keys.iter().map(|key| &key.0).eq(made.keys.iter())
                && denial.nth.is_none_or(|nth| nth == now)
        };
        self.denied.iter().find(same).map(|denial| bound(&denial.limit))
    }

    /// How many objects a table has besides those that are there for the replay, when its size is asked for now.
    pub(super) fn unseen(&mut self, table: &str) -> i64 {
        self.unseen.get_mut(table).map_or(0, Series::read)
    }
}

/// Timers of before that the event found still to fire, when it cancelled them for the first time.
fn waiting_before(met: &Met) -> HashSet<u64> {
    let mut first: HashMap<u64, bool> = HashMap::new();
    for cancelled in &met.cancelled {
        first.entry(cancelled.id).or_insert(cancelled.was_waiting);
    }
    let set_now: HashSet<u64> = met.timers.iter().filter_map(|timer| timer.id).collect();
    first.into_iter().filter(|(id, was_waiting)| *was_waiting && !set_now.contains(id)).map(|(id, _)| id).collect()
}

fn unseen(met: &Met) -> HashMap<String, Series<i64>> {
    let seen = |table: &str| {
        let of_table = met.tables.iter().filter(|touch| touch.table == table);
        of_table.map(|touch| touch.before.len() as i64).sum::<i64>()
    };
    let of_old = |(table, size): (&String, &u64)| {
        let unseen = (*size as i64).saturating_sub(seen(table)).max(0);
        (table.clone(), Series::new(unseen, &[]))
    };
    let mut unseen: HashMap<String, Series<i64>> = met.sizes.iter().map(of_old).collect();
    for Counted { table, objects, own } in &met.counted {
        let of_others = (*objects as i64).saturating_sub(*own);
        let series = unseen.entry(table.clone()).or_default();
        series.next.push_back(of_others.saturating_sub(seen(table)));
    }
    unseen
}

/// The name of a bound as rules are told it.
fn bound(name: &str) -> &'static str {
    let own = ["max-objects", "max-bytes"].into_iter();
    let all = limits::TABLE.iter().map(|(name, ..)| *name).chain(own);
    all.into_iter().find(|known| *known == name).unwrap_or("a bound of the server that recorded it")
}

impl Source {
    pub(super) fn system_ms(&mut self) -> u64 {
        match self {
            Self::Host => clock::unix_ms(),
            Self::Given(given) => given.system_ms.read(),
        }
    }

    pub(super) fn monotonic_us(&mut self) -> u64 {
        match self {
            Self::Host => clock::now_us(),
            Self::Given(given) => given.monotonic_us.read(),
        }
    }

    pub(super) fn random(&mut self) -> u64 {
        match self {
            Self::Host => standstill::random().unwrap_or_else(rand::random),
            Self::Given(given) => given.random(),
        }
    }

    /// What is given; none when this machine is the source.
    pub(super) fn given(&mut self) -> Option<&mut Given> {
        match self {
            Self::Host => None,
            Self::Given(given) => Some(given),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Term;

    /// It was denied whenever the same call was made, also when there was room for it.
    #[test]
    fn a_call_is_denied_as_often_as_it_was() {
        let denial = |nth| Denial {
            call: "insert".into(),
            table: "p:t".into(),
            keys: vec![Term(b"k".to_vec())],
            nth,
            limit: "max-objects".into(),
        };
        let made = || Made::new("insert", "p:t".into(), vec![b"k".to_vec()]);
        let denied = |denial| {
            let mut given = Given { denied: vec![denial], ..Given::default() };
            [0; 3].map(|_| given.denies(&made()).is_some())
        };
        assert_eq!(denied(denial(Some(1))), [false, true, false]);
        assert_eq!(denied(denial(None)), [true; 3], "older traces do not say which");
        let mut given = Given { denied: vec![denial(Some(0))], ..Given::default() };
        assert_eq!(given.denies(&Made::new("insert", "p:t".into(), vec![b"other".to_vec()])), None);
    }
}
