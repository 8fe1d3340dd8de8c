//! What was there before. While a shadow looks at an event that was routed some time ago, tables and scopes remember what
//! they have changed since, so that it sees them as the live rule saw them.
//!
//! All changes have a number from one sequence, given under the lock of what is changed. A *moment* is such a number: what
//! was changed under the same lock by then is seen, what came later is not.

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeBounds;
use std::sync::Arc;

/// Changed by no event: an expiry, the end of a session, an undo.
pub const NOBODY: u64 = 0;
/// Nobody looks back.
const NEVER: u64 = u64::MAX;
/// What a change weighs besides what was there before: about.
const CHANGE_BYTES: u64 = 128;

/// The sequence of all changes, who still looks back how far, and what that takes.
#[derive(Debug)]
pub struct Feed {
    sequence: AtomicU64,
    /// The earliest moment that somebody may look back to.
    horizon: AtomicU64,
    /// How many look back to each moment.
    lookers: Mutex<BTreeMap<u64, u64>>,
    bytes: AtomicU64,
    bytes_max: u64,
    /// The latest change that there was no room to remember.
    lost: AtomicU64,
}

/// Somebody who may look back to this moment, until dropped.
#[derive(Debug)]
pub struct Since {
    feed: Arc<Feed>,
    moment: u64,
    bytes: u64,
}

/// How an event saw things: at a moment, and without what it changed itself.
#[derive(Clone, Copy, Debug)]
pub struct Past {
    /// When.
    pub moment: u64,
    /// The event; [`NOBODY`] leaves in what events changed.
    pub event: u64,
    /// What the event changed before that moment was another rule's doing, which failed on it.
    pub since: u64,
}

/// The changes of one table or scope, kept under its lock.
pub struct History<K, V> {
    feed: Arc<Feed>,
    changes: BTreeMap<K, VecDeque<Change<V>>>,
    /// Of which key, in the order in which they happened.
    order: VecDeque<(u64, K)>,
}

/// What a key had before one change.
struct Change<V> {
    moment: u64,
    event: u64,
    before: V,
    /// By how much the whole grew.
    growth: i64,
    bytes: u64,
}

impl Default for Feed {
    fn default() -> Self {
        Self::new(u64::MAX)
    }
}

impl Feed {
    /// Nothing has changed yet, and nobody looks back.
    pub fn new(bytes_max: u64) -> Self {
        Self {
            sequence: AtomicU64::new(0),
            horizon: AtomicU64::new(NEVER),
            lookers: Mutex::default(),
            bytes: AtomicU64::new(0),
            bytes_max,
            lost: AtomicU64::new(0),
        }
    }

    /// From now on nothing is forgotten.
    // All is relaxed: whoever changes something either came under its lock before the looker, who then sees the change
    // as what is there, or after, and then sees the horizon that the looker set before.
    pub fn look_back(self: &Arc<Self>) -> Since {
        let mut lookers = self.lookers.lock();
        let moment = self.sequence.load(Relaxed);
        *lookers.entry(moment).or_default() += 1;
        self.horizon.store(first(&lookers), Relaxed);
        Since { feed: self.clone(), moment, bytes: 0 }
    }

    /// Half of the room is taken: what nobody needs any more should be forgotten everywhere.
    pub fn is_crowded(&self) -> bool {
        self.bytes.load(Relaxed) > self.bytes_max / 2
    }

    /// What is remembered, about.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    fn take_room(&self, bytes: u64) -> bool {
        let taken = self.bytes.fetch_add(bytes, Relaxed).saturating_add(bytes);
        if taken > self.bytes_max {
            self.bytes.fetch_sub(bytes, Relaxed);
        }
        taken <= self.bytes_max
    }
}

fn first(lookers: &BTreeMap<u64, u64>) -> u64 {
    lookers.keys().next().copied().unwrap_or(NEVER)
}

impl Since {
    /// The moment from which on it can look.
    pub fn moment(&self) -> u64 {
        self.moment
    }

    /// How things are now.
    pub fn now(&self) -> u64 {
        self.feed.sequence.load(Relaxed)
    }

    /// Whether there was no room for something that it may need.
    pub fn is_lost(&self) -> bool {
        self.feed.lost.load(Relaxed) > self.moment
    }

    /// What the looker itself takes counts as well; false when there is no room.
    pub fn take_room(&mut self, bytes: u64) -> bool {
        let fits = self.feed.take_room(bytes);
        self.bytes += if fits { bytes } else { 0 };
        fits
    }
}

impl Drop for Since {
    fn drop(&mut self) {
        self.feed.bytes.fetch_sub(self.bytes, Relaxed);
        let mut lookers = self.feed.lookers.lock();
        if let Some(count) = lookers.get_mut(&self.moment) {
            *count -= 1;
            if *count == 0 {
                lookers.remove(&self.moment);
            }
        }
        self.feed.horizon.store(first(&lookers), Relaxed);
    }
}

impl<K: Ord + Clone, V> History<K, V> {
    /// Nothing has changed yet.
    pub fn new(feed: Arc<Feed>) -> Self {
        Self { feed, changes: BTreeMap::new(), order: VecDeque::new() }
    }

    /// Now.
    pub fn moment(&self) -> u64 {
        self.feed.sequence.load(Relaxed)
    }

    /// Whether somebody may look back to what there is now.
    pub fn is_wanted(&self) -> bool {
        self.feed.horizon.load(Relaxed) != NEVER
    }

    /// Remembers what a key had before an event changed it, if anybody may look back so far.
    pub fn record(&mut self, event: u64, key: K, before: V, before_bytes: u64, growth: i64) {
        self.forget();
        if !self.is_wanted() {
            return;
        }
        let (moment, bytes) = (self.feed.sequence.fetch_add(1, Relaxed) + 1, before_bytes + CHANGE_BYTES);
        if !self.feed.take_room(bytes) {
            self.feed.lost.fetch_max(moment, Relaxed);
            return;
        }
        self.order.push_back((moment, key.clone()));
        self.changes.entry(key).or_default().push_back(Change { moment, event, before, growth, bytes });
    }

    /// Forgets what nobody can look back to any more.
    pub fn forget(&mut self) {
        let horizon = self.feed.horizon.load(Relaxed);
        while self.order.front().is_some_and(|(moment, _)| *moment <= horizon) {
            let Some((_, key)) = self.order.pop_front() else { return };
            let Some(changes) = self.changes.get_mut(&key) else { return };
            if let Some(change) = changes.pop_front() {
                self.feed.bytes.fetch_sub(change.bytes, Relaxed);
            }
            if changes.is_empty() {
                self.changes.remove(&key);
            }
        }
    }

    /// What a key had, if it has been changed since.
    pub fn before(&self, key: &K, past: Past) -> Option<&V> {
        unseen(self.changes.get(key)?, past).next().map(|change| &change.before)
    }

    /// The keys from there on that were changed, with what they had where that is something else than they have.
    pub fn range(&self, range: impl RangeBounds<K>, past: Past) -> impl Iterator<Item = (&K, Option<&V>)> {
        let before = move |changes| unseen(changes, past).next().map(|change: &Change<V>| &change.before);
        self.changes.range(range).map(move |(key, changes)| (key, before(changes)))
    }

    /// By how much all of it has grown since.
    pub fn growth(&self, past: Past) -> i64 {
        self.changes.values().flat_map(|changes| unseen(changes, past)).map(|change| change.growth).sum()
    }

    /// By how much all of it has grown by what the event itself did, as far as that is remembered.
    pub fn growth_by(&self, own: Past) -> i64 {
        self.changes.values().flatten().filter(|change| !is_of_others(change, own)).map(|change| change.growth).sum()
    }

    /// The keys of the range that the event itself has changed, with what they had right after it did so for the last time;
    /// none where that is what they have.
    pub fn right_after(&self, range: impl RangeBounds<K>, own: Past) -> impl Iterator<Item = (&K, Option<&V>)> {
        self.changes.range(range).filter_map(move |(key, changes)| {
            let last = changes.iter().rposition(|change| !is_of_others(change, own))?;
            Some((key, changes.get(last + 1).map(|change| &change.before)))
        })
    }

    /// Whether another one than the event has changed the key after `since`.
    pub fn is_changed(&self, key: &K, since: u64, past: Past) -> bool {
        self.changes.get(key).is_some_and(|changes| {
            let after = changes.partition_point(|change| change.moment <= since);
            let until = changes.partition_point(|change| change.moment <= past.moment);
            changes.iter().take(until).skip(after).any(|change| is_of_others(change, past))
        })
    }
}

impl<K, V> Drop for History<K, V> {
    fn drop(&mut self) {
        let bytes: u64 = self.changes.values().flatten().map(|change| change.bytes).sum();
        self.feed.bytes.fetch_sub(bytes, Relaxed);
    }
}

/// Not the event's own.
fn is_of_others<V>(change: &Change<V>, past: Past) -> bool {
    change.event != past.event || past.event == NOBODY || change.moment <= past.since
}

/// Changes of a key that the past does not see: later ones, and the event's own if they were the last by then. Where
/// somebody else has written after the event, it saw that. Quick however many changes there are: it is done under the
/// lock that live events wait for.
fn unseen<V>(changes: &VecDeque<Change<V>>, past: Past) -> impl Iterator<Item = &Change<V>> {
    let mut seen = changes.partition_point(|change| change.moment <= past.moment);
    while seen > 0 && !is_of_others(&changes[seen - 1], past) {
        seen -= 1;
    }
    changes.range(seen..)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a rule has failed on an event, another one may route it; what the first one did was taken for its own.
    #[test]
    fn what_an_event_did_for_a_rule_that_failed_is_anothers() {
        let feed = Arc::new(Feed::default());
        let _from_the_beginning = feed.look_back();
        let mut history = History::new(feed.clone());
        let (failed, other) = (7, 8);
        history.record(failed, "k", 0, 0, 1);
        let since = feed.look_back().moment();
        history.record(failed, "k", 1, 0, 0);
        history.record(other, "l", 0, 0, 1);
        let own = |since| Past { moment: u64::MAX, event: failed, since };
        assert_eq!((history.growth_by(own(0)), history.growth_by(own(since))), (1, 0));
        assert_eq!((history.before(&"k", own(0)), history.before(&"k", own(since))), (Some(&0), Some(&1)));
        let after = |since| history.right_after("k"..="l", own(since)).collect::<Vec<_>>();
        assert_eq!(after(since), [(&"k", None)]);
        assert_eq!(history.right_after("l"..="l", own(since)).count(), 0);
    }
}
