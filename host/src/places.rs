//! Places of something that is bounded over the whole process, given back when dropped.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many places are taken.
#[derive(Debug, Default)]
pub struct Places(AtomicU64);

/// Some places, until dropped.
#[derive(Debug)]
pub struct Reserved<'a> {
    of: &'a Places,
    count: u64,
}

impl Places {
    /// None taken.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// How many are taken.
    pub fn taken(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Takes so many, unless more than the bound would be taken then.
    pub fn reserve(&self, count: u64, max: u64) -> Option<Reserved<'_>> {
        let reserved = Reserved { of: self, count };
        // Counted first: what does not fit is given back by the drop.
        let taken = self.0.fetch_add(count, Relaxed).saturating_add(count);
        (taken <= max).then_some(reserved)
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.of.0.fetch_sub(self.count, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_leaves_no_trace() {
        let places = Places::default();
        let first = places.reserve(6, 10);
        assert!(first.is_some());
        assert!(places.reserve(5, 10).is_none());
        assert!(places.reserve(4, 10).is_some());
        drop(first);
        assert!(places.reserve(10, 10).is_some());
    }
}
