//! Calls into a lane's thread, from whoever deploys: they run between two events, never beside one.

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Release};

/// What is to be done with a lane.
pub(super) type Call<T> = Box<dyn FnOnce(&mut T) + Send>;

/// Calls that wait. Deploys are one at a time, so they are few.
pub(super) struct Control<T> {
    waits: AtomicBool,
    calls: Mutex<Calls<T>>,
}

struct Calls<T> {
    waiting: Vec<Call<T>>,
    /// The thread has ended: calls are dropped, which tells those who wait for them.
    closed: bool,
}

impl<T> Control<T> {
    pub(super) fn new() -> Self {
        Self { waits: AtomicBool::new(false), calls: Mutex::new(Calls { waiting: Vec::new(), closed: false }) }
    }

    /// To be followed by a wake of the lane.
    pub(super) fn push(&self, call: Call<T>) {
        let mut calls = self.calls.lock();
        if !calls.closed {
            calls.waiting.push(call);
            self.waits.store(true, Release);
        }
    }

    /// What waits; asked before each event, so one load when there is nothing.
    pub(super) fn take(&self) -> Vec<Call<T>> {
        if !self.waits.load(Acquire) {
            return Vec::new();
        }
        let mut calls = self.calls.lock();
        self.waits.store(false, Release);
        std::mem::take(&mut calls.waiting)
    }

    pub(super) fn close(&self) {
        let mut calls = self.calls.lock();
        calls.closed = true;
        let waiting = std::mem::take(&mut calls.waiting);
        drop(calls);
        // Whoever waits for them is woken by that.
        drop(waiting);
    }
}
