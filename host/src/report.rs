//! How the answer of a parked poll is reported: by whoever took the poll out of its session and wrote, to the worker of
//! the socket it was written into. Of a stream nothing is reported as long as it is parked again.
//!
//! A delivery that went through calls nobody: the client's next request does. The worker is called when there is something
//! left for it to do, or when it can do nothing but wait for the report.

use crate::sync::Mutex;
use crate::unsent::Unsent;

/// The place of the report: one for each socket, used again for each poll.
#[derive(Debug)]
pub struct Report(Mutex<State>);

#[derive(Debug)]
struct State {
    stage: Stage,
    /// The worker can do nothing but wait for the report, so it is called even when all went well.
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

/// How a parked poll ended, as its worker sees it.
#[derive(Debug, PartialEq, Eq)]
pub enum Answered {
    /// The answer is in the kernel's hands.
    Written,
    /// This is left to write.
    Unfinished(Unsent),
    /// The write failed: the peer is gone.
    Broken,
    /// The last words of a stream are in the kernel's hands, but for these.
    Over(Option<Unsent>),
}

impl Default for Report {
    fn default() -> Self {
        Self(Mutex::new(State { stage: Stage::Free, awaited: false }))
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

    /// The poll was not parked after all, or its own worker took it back: nobody else will write.
    pub fn disown(&self) {
        self.0.lock().stage = Stage::Free;
    }

    /// Tells how the write went; whether the worker has to be called.
    #[must_use]
    pub fn tell(&self, answered: Answered) -> bool {
        let mut state = self.0.lock();
        let call = state.awaited || answered != Answered::Written;
        state.stage = Stage::Told(answered);
        call
    }

    /// What was told, if it was.
    pub fn look(&self) -> Option<Answered> {
        self.0.lock().take()
    }

    /// The same for a worker that has nothing else to wait for: if nothing was told yet, it is called in any case.
    pub fn wait(&self) -> Option<Answered> {
        let mut state = self.0.lock();
        state.awaited = true;
        state.take()
    }
}

impl State {
    fn take(&mut self) -> Option<Answered> {
        match std::mem::replace(&mut self.stage, Stage::Free) {
            Stage::Told(answered) => Some(answered),
            Stage::Owed => {
                self.stage = Stage::Owed;
                None
            }
            Stage::Free => unreachable!("only a socket that is owed an answer is waited for"),
        }
    }
}
