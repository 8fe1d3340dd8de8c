//! Operators who watch the server live. As long as there is one, lanes count what nobody else asks for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many there are. The clones are one.
#[derive(Clone, Debug, Default)]
pub struct Onlookers(Arc<AtomicU64>);

/// One of them, until dropped.
#[derive(Debug)]
pub struct Onlooker(Arc<AtomicU64>);

impl Onlookers {
    /// One more, unless there are as many as may be.
    pub fn admit(&self, max: u64) -> Option<Onlooker> {
        let before = self.0.fetch_add(1, Relaxed);
        let onlooker = Onlooker(self.0.clone());
        // What does not fit is given back by the drop.
        (before < max).then_some(onlooker)
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Whether somebody looks: one load, for the event path.
    pub fn any(&self) -> bool {
        self.count() > 0
    }
}

impl Drop for Onlooker {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back() {
        let onlookers = Onlookers::default();
        let (first, second) = (onlookers.admit(2), onlookers.admit(2));
        assert!(first.is_some() && second.is_some() && onlookers.admit(2).is_none());
        assert_eq!(onlookers.count(), 2);
        drop((first, second));
        assert!(!onlookers.any() && onlookers.admit(0).is_none() && !onlookers.any());
    }
}
