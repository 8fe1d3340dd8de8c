//! When to look at a session again: the deadline of its parked poll, or the end of its linger time.
//!
//! A wheel of coarse ticks. A session has at most one entry that counts; what is to be done is asked of the session
//! when the entry comes up, so re-polling, which moves the deadline, costs the wheel nothing.

use crate::pid::Pid;
use crate::sync::Mutex;
use crate::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};

/// Deadlines are met this late at most, and never early.
pub const TICK_MS: u64 = 50;
/// A deadline further away comes up early and is entered again.
const TICKS: u64 = 2048;

/// The wheel.
#[derive(Debug)]
pub struct Deadlines {
    buckets: Box<[Mutex<Vec<Pid>>]>,
    /// All ticks up to this one have come up.
    done: AtomicU64,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { buckets: (0..TICKS).map(|_| Mutex::default()).collect(), done: AtomicU64::new(0) }
    }
}

impl Deadlines {
    /// Enters a session; the tick at which it comes up, by which a stale entry is told from one that counts.
    pub fn enter(&self, pid: Pid, at_ms: u64) -> u64 {
        loop {
            let done = self.done.load(Acquire);
            let tick = at_ms.div_ceil(TICK_MS).clamp(done + 1, done + TICKS - 1);
            let mut bucket = self.buckets[(tick % TICKS) as usize].lock();
            // A tick is done before its bucket is drained: if it is not done under the lock, the entry will be seen.
            if self.done.load(Acquire) < tick {
                bucket.push(pid);
                return tick;
            }
        }
    }

    /// Takes out what is due, tick by tick. To be called from one thread only.
    pub fn come_up(&self, now_ms: u64, mut look_at: impl FnMut(Pid, u64)) {
        let now = now_ms / TICK_MS;
        for tick in self.done.load(Acquire) + 1..=now {
            self.done.store(tick, Release);
            // Under a name of its own: in the head of the loop the lock would be held to the loop's end, and looking at a
            // session takes that session's lock, which comes first.
            let due = std::mem::take(&mut *self.buckets[(tick % TICKS) as usize].lock());
            for pid in due {
                look_at(pid, tick);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_entered_comes_up_once_not_early_and_in_time() {
        let deadlines = Deadlines::default();
        let pids: Vec<Pid> = (1..400).map(|slot| Pid::new(0, slot, 1)).collect();
        let mut expected: Vec<(Pid, u64)> = Vec::new();
        for (index, pid) in pids.iter().enumerate() {
            let at_ms = index as u64 * 137;
            expected.push((*pid, deadlines.enter(*pid, at_ms)));
        }
        let mut came = Vec::new();
        for now_ms in (0..60_000).step_by(30) {
            deadlines.come_up(now_ms, |pid, tick| {
                let at_ms = u64::from(pid.slot() - 1) * 137;
                assert!(now_ms >= at_ms, "early");
                assert!(now_ms <= at_ms + 3 * TICK_MS, "late");
                came.push((pid, tick));
            });
        }
        came.sort();
        assert_eq!(came, expected);
    }

    #[test]
    fn what_is_too_far_away_comes_up_early_to_be_entered_again() {
        let deadlines = Deadlines::default();
        let pid = Pid::new(0, 1, 1);
        let tick = deadlines.enter(pid, 10 * TICKS * TICK_MS);
        let mut came = Vec::new();
        deadlines.come_up(TICKS * TICK_MS, |pid, tick| came.push((pid, tick)));
        assert_eq!(came, [(pid, tick)]);
    }
}
