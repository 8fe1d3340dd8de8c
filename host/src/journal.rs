//! What a code change has done, so that it can be undone: steps back, newest first. What a step is made of is known to
//! whoever was changed (`tables`, `groups`, `timers`).

use crate::denied::{Allowed, Denied};
use crate::sync::Mutex;

type Step = Box<dyn FnOnce() + Send>;

/// The undo log of one code change. All lanes of the plugin rest while it records. Dropped without an undo, it keeps what
/// was done.
pub struct Journal {
    bytes_max: u64,
    steps: Mutex<Steps>,
}

#[derive(Default)]
struct Steps {
    bytes: u64,
    back: Vec<Step>,
    /// What takes effect only once it is sure that nothing is undone.
    forward: Vec<Step>,
}

impl Journal {
    /// Empty. It holds steps that weigh so many bytes (`undo_bytes_max`).
    pub fn new(bytes_max: u64) -> Self {
        Self { bytes_max, steps: Mutex::default() }
    }

    /// Something was done, and this undoes it; without room, at once. To be called without a lock that the step takes.
    pub fn record(&self, bytes: u64, back: impl FnOnce() + Send + 'static) -> Allowed<()> {
        let mut steps = self.steps.lock();
        if steps.bytes + bytes > self.bytes_max {
            drop(steps);
            back();
            return Err(Denied::Limit("undo_bytes_max"));
        }
        steps.bytes += bytes;
        steps.back.push(Box::new(back));
        Ok(())
    }

    /// Something waits until it is sure that nothing is undone.
    pub fn when_kept(&self, forward: impl FnOnce() + Send + 'static) {
        self.steps.lock().forward.push(Box::new(forward));
    }

    /// What the steps weigh, about.
    pub fn bytes(&self) -> u64 {
        self.steps.lock().bytes
    }

    /// All is as it was before, less what has ended by itself meanwhile: sessions, and objects that expired.
    pub fn undo(&self) {
        let steps = std::mem::take(&mut *self.steps.lock());
        steps.back.into_iter().rev().for_each(|step| step());
    }

    /// There is no way back any more.
    pub fn keep(&self) {
        let steps = std::mem::take(&mut *self.steps.lock());
        steps.forward.into_iter().for_each(|step| step());
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.keep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn steps_are_undone_once_and_newest_first() {
        let (journal, undone) = (Journal::new(10), Arc::<Mutex<Vec<u8>>>::default());
        let step = |name: u8| {
            let undone = undone.clone();
            move || undone.lock().push(name)
        };
        journal.record(5, step(1)).unwrap();
        journal.record(5, step(2)).unwrap();
        assert_eq!(journal.record(1, step(3)), Err(Denied::Limit("undo_bytes_max")));
        assert_eq!(*undone.lock(), [3], "what has no room is undone at once");
        journal.when_kept(step(4));
        journal.undo();
        journal.keep();
        journal.undo();
        assert_eq!(*undone.lock(), [3, 2, 1]);
    }

    #[test]
    fn what_is_kept_is_not_undone() {
        let (journal, done) = (Journal::new(10), Arc::<Mutex<Vec<u8>>>::default());
        let step = |name: u8| {
            let done = done.clone();
            move || done.lock().push(name)
        };
        journal.record(5, step(1)).unwrap();
        journal.when_kept(step(2));
        drop(journal);
        assert_eq!(*done.lock(), [2]);
    }
}
