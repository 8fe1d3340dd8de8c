//! Stands in for the workers: what a large volley gives them is kept, for a thread of the model to answer.

use crate::pid::Pid;
use crate::sync::Mutex;

/// One worker.
#[derive(Default)]
pub struct Workers {
    called: Mutex<Vec<Pid>>,
}

impl Workers {
    /// One.
    pub fn count(&self) -> usize {
        1
    }

    /// Has the worker answer the polls of these sessions.
    pub fn fire(&self, _: usize, pids: Vec<Pid>) {
        self.called.lock().extend(pids);
    }

    /// What it has to answer.
    pub fn called(&self) -> Vec<Pid> {
        std::mem::take(&mut *self.called.lock())
    }
}
