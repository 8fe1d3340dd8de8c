//! What tables are opened with, and what is written to them and read.

use serde::{Deserialize, Serialize};

/// How keys and values relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One value a key.
    Set,
    /// One value a key, walked in order.
    OrderedSet,
    /// Several different values a key.
    Bag,
}

impl Kind {
    /// As the contract calls it, with its article.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Set => "a set",
            Self::OrderedSet => "an ordered-set",
            Self::Bag => "a bag",
        }
    }
}

/// What a table is opened with.
#[derive(Clone, Debug)]
pub struct Options {
    /// How keys and values relate.
    pub kind: Kind,
    /// Whether it is kept across restarts.
    pub durable: bool,
    /// How long an object lives after its last write.
    pub ttl_ms: Option<u64>,
    /// Objects at most.
    pub max_objects: u64,
    /// Bytes of keys and values at most.
    pub max_bytes: u64,
}

/// What a table may hold, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) max_objects: u64,
    pub(super) max_bytes: u64,
    pub(super) ttl_ms: Option<u64>,
}

impl Bounds {
    /// What a bound is called that was reached: the host's, where the table's own is no lower.
    pub(super) fn objects_named(&self, of_the_host: u64) -> &'static str {
        if self.max_objects < of_the_host { "max-objects" } else { "table_objects_max" }
    }

    /// Likewise.
    pub(super) fn bytes_named(&self, of_the_host: u64) -> &'static str {
        if self.max_bytes < of_the_host { "max-bytes" } else { "table_bytes_max" }
    }
}

impl Options {
    pub(super) fn bounds(&self) -> Bounds {
        Bounds { max_objects: self.max_objects, max_bytes: self.max_bytes, ttl_ms: self.ttl_ms }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { kind: Kind::Set, durable: false, ttl_ms: None, max_objects: u64::MAX, max_bytes: u64::MAX }
    }
}

/// A key and one of its values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    /// Any bytes.
    pub key: Vec<u8>,
    /// Any bytes.
    pub value: Vec<u8>,
}

impl Object {
    /// Of any bytes.
    pub fn new(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

/// A change of a counter.
#[derive(Clone, Debug)]
pub struct CounterOp {
    /// Whose value is a decimal number.
    pub key: Vec<u8>,
    /// What is added.
    pub incr: i64,
    /// Where a missing key starts.
    pub default: i64,
    /// A result past the first, in the direction of `incr`, becomes the second.
    pub threshold: Option<(i64, i64)>,
}

/// Part of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In the order of the keys' bytes. The values of one key are never parted.
    pub objects: Vec<Object>,
    /// Where the next page goes on.
    pub continuation: Option<Vec<u8>>,
}
