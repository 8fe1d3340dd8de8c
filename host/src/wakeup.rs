//! How the task of a stream is woken (`consumer`), by whoever has taken the stream out of its session.

use crate::sync::Mutex;
use std::task::{Context, Waker};

/// Wakes the task. What it was woken for stays until the task has looked.
#[derive(Default)]
pub struct Wakeup(Mutex<State>);

#[derive(Default)]
struct State {
    cause: Option<Cause>,
    task: Option<Waker>,
}

/// Why a task was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There is something to be written, or it is over.
    Called,
    /// Nothing was written for a while.
    Heartbeat,
}

impl Wakeup {
    /// To be called by whoever has taken the stream out of its session.
    pub fn wake(&self, cause: Cause) {
        let task = {
            let mut state = self.0.lock();
            state.cause = Some(cause);
            state.task.take()
        };
        if let Some(task) = task {
            task.wake();
        }
    }

    /// What the task was woken for; if for nothing, it is woken when there is something.
    pub fn cause(&self, context: &Context<'_>) -> Option<Cause> {
        let mut state = self.0.lock();
        let cause = state.cause.take();
        if cause.is_none() && !state.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            state.task = Some(context.waker().clone());
        }
        cause
    }
}
