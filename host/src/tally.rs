//! How many there are of something for each of its kind: connections of an address, sessions of a user. A place is given
//! back when it is dropped.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

/// Counts by key. There are as many keys as places are taken, at most.
#[derive(Debug)]
pub struct Tally<K>(Arc<Mutex<HashMap<K, u64>>>);

/// One of them, until dropped.
pub struct Place<K: Hash + Eq> {
    of: Arc<Mutex<HashMap<K, u64>>>,
    key: K,
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Hash + Eq + Clone> Tally<K> {
    /// One more of that key, unless there would be more than so many.
    pub fn take(&self, key: K, max: u64) -> Option<Place<K>> {
        let mut counts = self.0.lock();
        let count = counts.entry(key.clone()).or_default();
        if *count >= max {
            if max == 0 {
                counts.remove(&key);
            }
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Place { of: self.0.clone(), key })
    }
}

impl<K: Hash + Eq> fmt::Debug for Place<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}

impl<K: Hash + Eq> Drop for Place<K> {
    fn drop(&mut self) {
        let mut counts = self.of.lock();
        match counts.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back_and_nobody_is_remembered() {
        let tally = Tally::default();
        let (first, second) = (tally.take("ann", 2), tally.take("ann", 2));
        assert!(first.is_some() && second.is_some() && tally.take("ann", 2).is_none());
        assert!(tally.take("bob", 2).is_some());
        drop(first);
        let third = tally.take("ann", 2);
        assert!(third.is_some());
        drop((second, third));
        assert!(tally.take("ann", 0).is_none());
        assert!(tally.0.lock().is_empty());
    }
}
