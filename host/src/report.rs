//! How the answer of a parked poll is reported: by whoever took the poll out of its session and wrote, to the task of the
//! socket it was written into.
//!
//! A delivery that went through wakes nobody: the client's next request does. The task is woken when there is something
//! left for it to do, or when it can do nothing but wait for the report.

use crate::sync::Mutex;
use crate::unsent::Unsent;
use std::task::{Context, Poll, Waker};

/// The place of the report: one for each socket, used again for each poll.
#[derive(Debug)]
pub struct Report(Mutex<State>);

#[derive(Debug)]
struct State {
    stage: Stage,
    /// The socket's task.
    waker: Option<Waker>,
    /// The task can do nothing but wait for the report, so it is woken even when all went well.
    awaited: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// No poll is parked here.
    Free,
    /// A poll is parked, or somebody who took it away is about to write.
    Owed,
    Told(Answered),
}

/// How a parked poll ended, as its task sees it.
#[derive(Debug, PartialEq, Eq)]
pub enum Answered {
    /// The answer is in the kernel's hands.
    Written,
    /// This is left to write.
    Unfinished(Unsent),
    /// The write failed: the peer is gone.
    Broken,
}

impl Default for Report {
    fn default() -> Self {
        Self(Mutex::new(State { stage: Stage::Free, waker: None, awaited: false }))
    }
}

impl Report {
    /// To be called before a poll is parked.
    pub fn owe(&self) {
        let mut state = self.0.lock();
        debug_assert_eq!(state.stage, Stage::Free, "one poll at a time");
        state.stage = Stage::Owed;
        state.awaited = false;
    }

    /// The poll was not parked after all, or its own task took it back: nobody else will write.
    pub fn disown(&self) {
        self.0.lock().stage = Stage::Free;
    }

    /// Tells how the write went.
    pub fn tell(&self, answered: Answered) {
        let mut state = self.0.lock();
        let nothing_left = answered == Answered::Written;
        state.stage = Stage::Told(answered);
        let waker = if state.awaited || !nothing_left { state.waker.take() } else { None };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What was told, if it was; else the task is noted, to be woken if there is something for it to do.
    pub fn look(&self, context: &Context<'_>) -> Option<Answered> {
        self.0.lock().taken_or_noted(context)
    }

    /// The same for a task that has nothing else to wait for: it is woken in any case.
    pub fn wait(&self, context: &Context<'_>) -> Poll<Answered> {
        let mut state = self.0.lock();
        state.awaited = true;
        state.taken_or_noted(context).map_or(Poll::Pending, Poll::Ready)
    }

    /// Notes the task while no poll is parked.
    pub fn note(&self, context: &Context<'_>) {
        self.0.lock().note(context);
    }

    /// Wakes the task, whatever it waits for.
    pub fn wake(&self) {
        let waker = self.0.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl State {
    fn note(&mut self, context: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            self.waker = Some(context.waker().clone());
        }
    }

    fn taken_or_noted(&mut self, context: &Context<'_>) -> Option<Answered> {
        match std::mem::replace(&mut self.stage, Stage::Free) {
            Stage::Told(answered) => {
                self.awaited = false;
                Some(answered)
            }
            Stage::Owed => {
                self.stage = Stage::Owed;
                self.note(context);
                None
            }
            Stage::Free => unreachable!("only a socket that is owed an answer is waited for"),
        }
    }
}
