//! Stands in for the clock: it shows what the model says. All threads of a model are one thread of the system, so a local
//! of that is one clock for all of them, and each test has its own.

use std::cell::Cell;

thread_local! {
    static NOW_MS: Cell<u64> = const { Cell::new(0) };
}

/// How far the coarse clock may be behind.
pub const COARSE_MS_MAX: u64 = 10;

/// From here on it is this time.
pub fn set(now_ms: u64) {
    NOW_MS.set(now_ms);
}

/// As of now.
pub fn coarse_ms() -> u64 {
    NOW_MS.get()
}

/// As of now.
pub fn now_ms() -> u64 {
    NOW_MS.get()
}

/// Never zero.
pub fn coarse_s() -> u32 {
    (coarse_ms() / 1000) as u32 + 1
}

/// Nothing depends on it.
pub fn unix_ms() -> u64 {
    0
}
