//! The address of a session.

use std::fmt;

use serde::{Deserialize, Serialize};

const GENERATION_BITS: u32 = 18;
const SLOT_BITS: u32 = 25;

/// The address of a session, as in Erlang; it may be dead, or of another node.
///
/// Compare it, keep it, send to it. In JSON it is a number below 2^53; written for people it is
/// `<node.slot.generation>`.
///
/// ```
/// let pid = volley_plugin::Pid::from_bits(17 << 18 | 1);
/// assert_eq!(pid.to_string(), "<0.17.1>");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[repr(transparent)]
pub struct Pid(u64);

impl Pid {
    /// Of the number that JSON and tables hold. One that was never given out is skipped like a dead one.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The number that JSON and tables hold.
    pub const fn to_bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.0 >> (SLOT_BITS + GENERATION_BITS);
        let slot = (self.0 >> GENERATION_BITS) & ((1 << SLOT_BITS) - 1);
        let generation = self.0 & ((1 << GENERATION_BITS) - 1);
        write!(f, "<{node}.{slot}.{generation}>")
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reuses the vector's memory, in a release build without a loop: a list of 100,000 costs nothing here.
pub(crate) fn from_bits(bits: Vec<u64>) -> Vec<Pid> {
    bits.into_iter().map(Pid).collect()
}

/// Reuses the vector's memory, as `from_bits` does.
pub(crate) fn to_bits(pids: Vec<Pid>) -> Vec<u64> {
    pids.into_iter().map(|pid| pid.0).collect()
}
