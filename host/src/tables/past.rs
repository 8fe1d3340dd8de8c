//! A table as it was, for shadows. What was there is found under the table's lock, so that it fits together.

use super::objects::Options;
use super::state::{State, Stored, weigh};
use super::table::{Table, page_start};
use crate::history::Past;
use crate::limits::Limits;
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::Arc;

/// Keys, each with what it had.
pub type PageBefore = Vec<(Vec<u8>, Vec<Vec<u8>>)>;

impl Table {
    /// What a key had.
    pub fn values_before(&self, past: Past, key: &Vec<u8>) -> Vec<Vec<u8>> {
        values(self.state.lock().stored_before(past, key))
    }

    /// How many objects there were.
    pub fn count_before(&self, past: Past) -> u64 {
        let state = self.state.lock();
        state.count.saturating_add_signed(-state.history.growth(past))
    }

    /// By how many objects it has grown by what the event did.
    pub fn growth_by(&self, own: Past) -> i64 {
        self.state.lock().history.growth_by(own)
    }

    /// What a key had right after the event changed it for the last time; none if it did not.
    pub fn values_right_after(&self, own: Past, key: &Vec<u8>) -> Option<Vec<Vec<u8>>> {
        let state = self.state.lock();
        let (key, left) = state.history.right_after(key..=key, own).next()?;
        Some(left.or_else(|| state.objects.get(key)).map_or_else(Vec::new, |stored| values(stored)))
    }

    /// Whether another one than the event has changed the key after `since`.
    pub fn is_changed(&self, since: u64, past: Past, key: &Vec<u8>) -> bool {
        self.state.lock().history.is_changed(key, since, past)
    }

    /// What the first keys that start with the prefix and are beyond `after` had; and whether the last of them does not fit
    /// into an answer any more, and says only that there is another page.
    pub fn page_before(
        &self,
        past: Past,
        prefix: &[u8],
        after: Option<&[u8]>,
        keys_max: usize,
        skip: impl Fn(&Vec<u8>) -> bool,
    ) -> (PageBefore, bool) {
        let state = self.state.lock();
        let range = (page_start(prefix, after), Bound::Unbounded);
        let of_prefix = |key: &&Vec<u8>| key.starts_with(prefix);
        let there = state.objects.range::<[u8], _>(range).map(|(key, _)| key).take_while(of_prefix);
        let changed = (range.0.map(<[u8]>::to_vec), Bound::Unbounded);
        let changed = state.history.range(changed, past).map(|(key, _)| key).take_while(of_prefix);
        let (mut page, mut bytes) = (Vec::new(), 0);
        for key in merge(there.peekable(), changed.peekable()).filter(|key| !skip(key)) {
            let stored = state.stored_before(past, key);
            if stored.is_empty() {
                continue;
            }
            let is_full = page.len() >= keys_max || bytes > self.answer_bytes_max;
            bytes += weigh(key, stored);
            page.push((key.clone(), values(stored)));
            if is_full {
                return (page, true);
            }
        }
        (page, false)
    }

    /// An empty table of the same kind and owner that nobody else sees, and that weighs so much at most.
    pub fn scratch(&self, limits: &Limits, max_bytes: u64) -> Arc<Self> {
        let options = Options { kind: self.kind(), max_bytes, ..Options::default() };
        Arc::new(Self::new(self.owner().clone(), &options, limits, Arc::default(), Arc::default()))
    }

    /// Gives a key these values, whatever it had.
    pub fn put_values(&self, key: &[u8], values: Vec<Vec<u8>>) {
        self.state.lock().put_values(key, values);
    }

    /// How many values a key has.
    pub fn values_of(&self, key: &[u8]) -> u64 {
        self.state.lock().objects.get(key).map_or(0, |values| values.len() as u64)
    }
}

impl State {
    fn stored_before(&self, past: Past, key: &Vec<u8>) -> &[Stored] {
        let before = self.history.before(key, past).or_else(|| self.objects.get(key));
        before.map_or(&[], Vec::as_slice)
    }
}

fn values(stored: &[Stored]) -> Vec<Vec<u8>> {
    stored.iter().map(|stored| stored.value.clone()).collect()
}

/// The keys of both, in order, each once.
fn merge<'a>(
    mut left: Peekable<impl Iterator<Item = &'a Vec<u8>>>,
    mut right: Peekable<impl Iterator<Item = &'a Vec<u8>>>,
) -> impl Iterator<Item = &'a Vec<u8>> {
    std::iter::from_fn(move || match (left.peek(), right.peek()) {
        (Some(l), Some(r)) if l == r => {
            left.next();
            right.next()
        }
        (Some(l), Some(r)) if r < l => right.next(),
        (None, _) => right.next(),
        _ => left.next(),
    })
}
