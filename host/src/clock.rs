//! Time as the server uses it: milliseconds since the process began, and since 1970.
//!
//! Where a few milliseconds do not matter, a connection or a session reads a coarse clock: one load instead of a call,
//! several times in every delivery. The thread that counts the rules' epochs keeps it going. On a thread where time stands
//! still (`standstill`) all but the coarse clock stands still.

use crate::standstill;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
static COARSE_MS: AtomicU64 = AtomicU64::new(0);
static COARSE_UNIX_S: AtomicU64 = AtomicU64::new(0);

/// How far the coarse clock may be behind.
pub const COARSE_MS_MAX: u64 = 10;

/// Moves the coarse clock on. To be called every [`COARSE_MS_MAX`].
pub fn tick() {
    COARSE_MS.store(now_ms(), Relaxed);
    COARSE_UNIX_S.store(unix_ms() / 1000, Relaxed);
}

/// Milliseconds since the process began, as of the last tick.
pub fn coarse_ms() -> u64 {
    COARSE_MS.load(Relaxed)
}

/// Seconds since the process began, as of the last tick; never zero.
pub fn coarse_s() -> u32 {
    (coarse_ms() / 1000) as u32 + 1
}

/// Seconds since 1970, as of the last tick.
pub fn coarse_unix_s() -> u64 {
    COARSE_UNIX_S.load(Relaxed)
}

/// Milliseconds since the process began; monotonic.
pub fn now_ms() -> u64 {
    standstill::now_us().map_or_else(|| START.elapsed().as_millis() as u64, |us| us / 1000)
}

/// Microseconds since the process began; monotonic.
pub fn now_us() -> u64 {
    standstill::now_us().unwrap_or_else(|| START.elapsed().as_micros() as u64)
}

/// Milliseconds since 1970.
pub fn unix_ms() -> u64 {
    let real = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    standstill::unix_ms().unwrap_or_else(real)
}
