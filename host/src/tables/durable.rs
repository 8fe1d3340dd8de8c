//! How a durable table says what it has changed, and what it is made of again after a restart.

use super::objects::Kind;
use super::state::Stored;
use super::unwritten::{self, KeptValues, TableChanges, Unwritten};
use crate::clock;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The name of a durable table, and where its changes go.
#[derive(Clone)]
pub(super) struct Durable {
    pub(super) unwritten: Arc<Unwritten>,
    /// Its full name.
    pub(super) name: Arc<str>,
    pub(super) owner: Arc<str>,
    pub(super) kind: Kind,
}

type Objects = BTreeMap<Vec<u8>, Vec<Stored>>;

impl Durable {
    /// These keys have changed.
    pub(super) fn changed<'a>(&self, keys: impl Iterator<Item = &'a Vec<u8>>, objects: &Objects) {
        self.record(false, kept_values(keys, objects).collect());
    }

    /// All that the table has is to be kept, and nothing else.
    pub(super) fn whole(&self, objects: &Objects) {
        self.record(true, kept_values(objects.keys(), objects).collect());
    }

    /// Whether these changes find room to wait in.
    pub(super) fn has_room<'a>(&self, keys: impl Iterator<Item = &'a Vec<u8>>, objects: &Objects) -> bool {
        let values = |key| objects.get(key).into_iter().flatten().map(|stored: &Stored| &stored.value);
        let bytes = keys.map(|key| unwritten::weigh(key, values(key))).sum();
        self.unwritten.has_room(bytes)
    }

    fn record(&self, anew: bool, keys: BTreeMap<Vec<u8>, KeptValues>) {
        self.unwritten.record(&self.name, TableChanges { owner: self.owner.clone(), kind: self.kind, anew, keys });
    }
}

/// What each key has, by a clock that goes on over restarts.
fn kept_values<'a>(
    keys: impl Iterator<Item = &'a Vec<u8>>,
    objects: &Objects,
) -> impl Iterator<Item = (Vec<u8>, KeptValues)> {
    let boot_ms = boot_ms();
    keys.map(move |key| {
        let stored = objects.get(key).map_or(&[][..], Vec::as_slice);
        let kept = |stored: &Stored| (stored.expires_ms.saturating_add(boot_ms), stored.value.clone());
        (key.clone(), stored.iter().map(kept).collect())
    })
}

/// As a table holds what was kept, less what has expired.
pub(super) fn stored(values: KeptValues) -> Vec<Stored> {
    let (boot_ms, now_ms) = (boot_ms(), clock::unix_ms());
    let live = values.into_iter().filter(|(expires_ms, _)| *expires_ms > now_ms);
    let stored = |(expires_ms, value)| Stored {
        value,
        expires_ms: if expires_ms == u64::MAX { u64::MAX } else { u64::saturating_sub(expires_ms, boot_ms) },
    };
    live.map(stored).collect()
}

/// When the clock of this process was zero, since 1970.
fn boot_ms() -> u64 {
    clock::unix_ms().saturating_sub(clock::now_ms())
}

#[cfg(test)]
#[path = "durable_tests.rs"]
mod tests;
